/* What a pool does for members of groups: those that come again are waited for. The broker is an
 * endpoint of the test's own. */
#include <stdio.h>
#include <string.h>

#include "t/pool-broker.h"

/* Returns when the pool has it. */
static void say(broker_t *broker, const char *event, xo_buf_t *body)
{
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str(event)};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(body));
    xo_buf_free(body);
    xo_endpoint_tell(broker->endpoint, broker->link, &msg, 0, NULL, NULL, NULL);
    msg = xo_msg_create(&(xo_header_t){.kind = XO_HAS, .target_uid = xo_slice_str("nobody")},
                        xo_slice(NULL, 0));
    xo_future_t *future = xoi_future_create(broker->endpoint);
    xoi_future_set_call(future, xo_endpoint_call(broker->endpoint, broker->link, &msg, 0, 0,
                                                 xoi_future_answer, future, NULL));
    expect_ok(future);
}

static void say_recovering(broker_t *broker, const char *uid)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "{s s}", "uid", uid);
    say(broker, "actor.recovering", &body);
}

/* `uid` of the client's; NULL: nobody. */
static void say_turn(broker_t *broker, const char *uid)
{
    xo_buf_t body = XO_BUF_INIT;
    if (uid)
        xo_pack_format(&body, "{s s s s s U}", "group", "g", "uid", uid, "endpoint",
                       xo_endpoint_self(broker->world->client)->id);
    else
        xo_pack_format(&body, "{s s}", "group", "g");
    say(broker, "group.turn", &body);
}

static bool is_destroyed(void *arg)
{
    return ((broker_t *)arg)->world->host.destroyed == 1;
}

static void stop(broker_t *broker, const char *uid)
{
    stop_by_group(broker, uid);
    run_until(broker->world, is_destroyed, broker);
}

static xo_future_t *call_as(broker_t *broker, const char *sender, const char *uid, int arg)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(uid),
                          .sender_uid = xo_slice_str(sender),
                          .method = xo_slice_str("echo")};
    xo_pack_format(&body, "[[i] {}]", arg);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    return post(broker->world, msg);
}

/* ---- tests ---- */

static void test_what_is_stopped_to_come_again_is_waited_for(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a");
    xo_future_t *watch = start(world, "a", XO_METHOD_WATCH, 0);
    xo_future_t *hold = start(world, "a", "hold", 1);
    run_until_held(world, 1);
    stop_by_group(broker, "a");
    xo_future_t *behind = start(world, "a", "echo", 2);
    settle(broker);
    host_release_one(world, 0);
    run_until(world, is_destroyed, broker);
    expect_int(hold, 1);
    expect_ok(watch);
    xo_future_t *after = start(world, "a", "echo", 3);
    settle(broker);
    assert_false(xo_future_done(behind) || xo_future_done(after));
    create_again(broker, "a");
    expect_int(behind, 2);
    expect_int(after, 3);
    settle(broker);
    assert_non_null(strstr(broker->told, "a=3+0 a "));
}

static void test_only_its_broker_may_say_that_it_comes_again(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_header_t header = {.kind = XO_DESTROY, .flags = XO_F_AGAIN, .target_uid = xo_slice_str("a")};
    create(world, "a");
    expect_ok(post(world, xo_msg_create(&header, xo_slice(NULL, 0))));
    expect_error(start(world, "a", "echo", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
}

static void test_what_comes_later_is_waited_for(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    say_recovering(broker, "a");
    say_all(broker);
    xo_future_t *call = start(world, "a", "echo", 1);
    settle(broker);
    expect_error(start(world, "b", "echo", 2), XO_CODE_ACTOR_NOT_EXIST, "no");
    assert_false(xo_future_done(call));
    create_again(broker, "a");
    expect_int(call, 1);
}

static void test_what_comes_later_may_fail(void **state)
{
    broker_t *broker = *state;
    say_recovering(broker, "a");
    say_all(broker);
    xo_future_t *call = start(broker->world, "a", "echo", 1);
    settle(broker);
    say_failed(broker, "a", "the group has failed");
    expect_error(call, XO_CODE_ACTOR_NOT_EXIST, "no");
}

static void test_who_has_the_turn_waits_for_nobody(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a");
    stop(broker, "a");
    xo_future_t *before = call_as(broker, "first", "a", 1);
    xo_future_t *other = call_as(broker, "other", "a", 2);
    settle(broker);
    assert_false(xo_future_done(before));
    say_turn(broker, "first");
    expect_error(before, XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(call_as(broker, "first", "a", 3), XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(call_as(broker, "", "a", 3), XO_CODE_ACTOR_NOT_EXIST, "no"); /* from its pool */
    say_turn(broker, "second"); /* of the same group: the first one's is over */
    xo_future_t *again = call_as(broker, "first", "a", 4);
    settle(broker);
    say_turn(broker, NULL);
    xo_future_t *second = call_as(broker, "second", "a", 5);
    settle(broker);
    assert_false(xo_future_done(other) || xo_future_done(again) || xo_future_done(second));
    create_again(broker, "a");
    expect_int(other, 2);
    expect_int(again, 4);
    expect_int(second, 5);
}

/* In the next process its calls may come before its broker has said anything. */
static void test_who_came_before_the_broker_has_its_turn(void **state)
{
    broker_t *broker = *state;
    xo_future_t *call = call_as(broker, "first", "a", 1);
    xo_future_t *other = call_as(broker, "other", "a", 2);
    settle(broker);
    say_turn(broker, "first");
    assert_false(xo_future_done(call));
    say_recovering(broker, "a");
    expect_error(call, XO_CODE_ACTOR_NOT_EXIST, "no");
    create_again(broker, "a");
    expect_int(other, 2);
}

/* What a creation causes carries its trace. */
static void test_a_creation_waits_for_nobody(void **state)
{
    broker_t *broker = *state;
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str("a"),
                          .method = xo_slice_str("echo"),
                          .trace = xo_slice_str(XO_TRACE_AGAIN "0000000000000001")};
    create(broker->world, "a");
    stop(broker, "a");
    xo_pack_format(&body, "{s s s s}", "group", "g", "trace", XO_TRACE_AGAIN "0000000000000001");
    say(broker, "group.turn", &body);
    expect_error(post(broker->world, xo_msg_create(&header, BODY)), XO_CODE_ACTOR_NOT_EXIST, "no");
    xo_future_t *other = start(broker->world, "a", "echo", 1);
    settle(broker);
    create_again(broker, "a");
    expect_int(other, 1);
}

static bool has_asked(void *arg)
{
    return ((broker_t *)arg)->withheld.link != NULL;
}

static xo_future_t *create_in_group(broker_t *broker, const char *uid)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {
        .kind = XO_CREATE, .target_uid = xo_slice_str(uid), .method = xo_slice_str("Class")};
    xo_pack_format(&body, "[[] {} {s s s s}]", "group", "g", "restart", "temporary");
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    return post(broker->world, msg);
}

static void test_a_creator_hears_that_its_broker_refuses(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = create_in_group(broker, "a");
    run_until(broker->world, has_asked, broker);
    xo_msg_t *msg = xo_failure_msg(0, XO_CODE_REFUSED, "ran", NULL, "no such group");
    xo_endpoint_answer(broker->endpoint, &broker->withheld, &msg);
    expect_error(created, XO_CODE_REFUSED, "ran");
    run_until(broker->world, is_destroyed, broker);
    expect_error(start(broker->world, "a", "echo", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
}

/* So that it is stopped in its turn. */
static void test_a_temporary_member_is_told_too(void **state)
{
    broker_t *broker = *state;
    expect_ok(create_in_group(broker, "a"));
    assert_non_null(strstr(broker->told, "a=30+0 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIRST(test_what_is_stopped_to_come_again_is_waited_for),
        FIRST(test_only_its_broker_may_say_that_it_comes_again),
        SECOND(test_what_comes_later_is_waited_for),
        SECOND(test_what_comes_later_may_fail),
        FIRST(test_who_has_the_turn_waits_for_nobody),
        SECOND(test_who_came_before_the_broker_has_its_turn),
        FIRST(test_a_creation_waits_for_nobody),
        FIRST(test_a_creator_hears_that_its_broker_refuses),
        FIRST(test_a_temporary_member_is_told_too),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
