/* A pool's actors that could not be created again: who calls them waits for another try, or hears
 * that there will be none. */
#include <errno.h>
#include <string.h>

#include "t/pool-broker.h"

/* Those who came before the creation, while it ran, and after it failed, in this order. */
static void test_calls_wait_for_another_try(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *calls[3] = {start(world, "a", "echo", 1)};
    settle(broker);
    world->host.hold_create = true;
    create_again(broker, "a");
    say_all(broker);
    run_until_held(world, 1);
    calls[1] = start(world, "a", "echo", 2);
    xo_future_t *watch = start(world, "a", XO_METHOD_WATCH, 0);
    settle(broker);
    host_fail_one(world, 0);
    run_until(world, one_failed, broker);
    say_recovered(broker, "0000000000000077"); /* its pool does not wait for it */
    calls[2] = start(world, "a", "echo", 3);
    xo_future_t *has = ask(broker, XO_HAS, "a");
    settle(broker);
    for (int i = 0; i < 3; i++)
        assert_false(xo_future_done(calls[i]));
    assert_false(xo_future_done(has));
    world->host.hold_create = false;
    create_again(broker, "a");
    for (int i = 0; i < 3; i++)
        expect_int(calls[i], i + 1);
    expect_ok(has);
    settle(broker);
    assert_false(xo_future_done(watch));
    assert_string_equal(broker->told, "a "); /* the broker has the spec */
    assert_true(log_is(world, "a.create a.create a.echo a.echo a.echo "));
    xo_future_destroy(watch);
}

static void call_of_a_creation(peer_t *peer, uint64_t seq)
{
    xo_header_t header = {.kind = XO_CALL,
                          .seq = seq,
                          .target_uid = xo_slice_str("a"),
                          .method = xo_slice_str("echo"),
                          .trace = xo_slice_str(XO_TRACE_AGAIN "of another")};
    peer_send(peer, header, "[[i] {}]", (int)seq);
}

/* All that it has sent has. */
static void arrive(peer_t *peer, uint64_t seq)
{
    peer_send(peer, (xo_header_t){.kind = XO_HAS, .seq = seq}, NULL);
    xo_msg_t *answer = peer_answer(peer, seq);
    xo_msg_destroy(&answer);
}

/* It may be what this one waited for. */
static void test_other_creations_do_not_wait_for_one_that_was_cancelled(void **state)
{
    peer_t peer;
    broker_t *broker = *state;
    world_t *world = broker->world;
    peer_open(&peer, world, "client", 77);
    world->host.hold_create = world->host.run_cancelled = true;
    xo_call_t *creation = create_again(broker, "a");
    say_all(broker);
    run_until_held(world, 1);
    xo_future_t *call = start(world, "a", "echo", 1);
    call_of_a_creation(&peer, 2);
    settle(broker);
    arrive(&peer, 9);
    xo_call_cancel(creation);
    run_until(world, one_failed, broker);
    peer_expect_error(&peer, 2, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    call_of_a_creation(&peer, 3); /* what comes later waits for the next try */
    arrive(&peer, 10);
    assert_false(xo_future_done(call));
    world->host.hold_create = false;
    create_again(broker, "a");
    expect_int(call, 1);
    peer_expect_int(&peer, 3, 3);
    peer_close(&peer);
}

/* Its pool had not come to it. */
static void test_calls_wait_for_one_that_was_cancelled_before_it_began(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *call = start(world, "a", "echo", 1);
    settle(broker);
    xo_call_cancel(create_again(broker, "a"));
    run_until(world, one_failed, broker);
    settle(broker);
    assert_true(log_is(world, ""));
    assert_false(xo_future_done(call));
    create_again(broker, "a");
    expect_int(call, 1);
}

static xo_future_t *fail_with_a_caller(broker_t *broker)
{
    world_t *world = broker->world;
    world->host.fail_create = true;
    create_again(broker, "a");
    say_all(broker);
    run_until(world, one_failed, broker);
    xo_future_t *call = start(world, "a", "echo", 1);
    settle(broker);
    assert_false(xo_future_done(call));
    return call;
}

static void expect_absent(xo_future_t *call, const char *why)
{
    xo_error_t err;
    assert_int_equal(xo_future_wait(call, -1, &err), 0);
    assert_int_equal(xo_future_get(call, &err, NULL), -1);
    assert_int_equal(err.errnum, ENOENT);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s", err.text);
    xo_future_destroy(call);
}

static void test_callers_hear_when_it_is_given_up(void **state)
{
    broker_t *broker = *state;
    xo_future_t *call = fail_with_a_caller(broker);
    say_failed(broker, "a", "the test has enough");
    expect_absent(call, "it has failed: the test has enough");
    expect_absent(start(broker->world, "a", "echo", 2), "it has failed: the test has enough");
    broker->world->host.fail_create = false;
    create(broker->world, "a");
    expect_int(start(broker->world, "a", "echo", 3), 3);
}

/* A pool that comes in another's place is told while it holds. */
static void test_one_that_failed_before_is_not_waited_for(void **state)
{
    broker_t *broker = *state;
    xo_future_t *call = start(broker->world, "a", "echo", 1);
    settle(broker);
    say_failed(broker, "a", "long ago");
    expect_absent(call, "it has failed: long ago");
    expect_absent(start(broker->world, "a", "echo", 2), "long ago");
}

static void test_without_a_broker_nobody_tries_again(void **state)
{
    broker_t *broker = *state;
    xo_future_t *call = fail_with_a_caller(broker);
    xo_link_close(broker->link, &(xo_error_t){.errnum = ECONNRESET});
    expect_absent(call, "could not be created again");
}

static void test_the_end_answers_who_waits_for_another_try(void **state)
{
    broker_t *broker = *state;
    xo_future_t *call = fail_with_a_caller(broker);
    xo_pool_stop(broker->world->pool, 1000, NULL, NULL);
    expect_error(call, XO_CODE_SERVER_CLOSED, "no");
}

/* ---- options ---- */

static xo_future_t *create_with(world_t *world, const char *uid, const xo_actor_options_t *options)
{
    xo_error_t err;
    xo_future_t *future = xo_create_actor_with(world->client, &err, xo_pool_address(world->pool),
                                               "Class", uid, options, "i", 5);
    if (!future)
        fail_msg("%s", err.text);
    return future;
}

/* One that is temporary has none, another one's options are in it. */
static void test_options_go_with_the_spec(void **state)
{
    broker_t *broker = *state;
    xo_actor_options_t options = XO_ACTOR_OPTIONS_INIT;
    expect_ok(create_with(broker->world, "none", NULL));
    expect_ok(create_with(broker->world, "open", &options));
    options.restart = "temporary";
    expect_ok(create_with(broker->world, "once", &options));
    options = (xo_actor_options_t){"transient", 64, 0, 1, INT32_MAX, "g", 1, NULL, 7};
    expect_ok(create_with(broker->world, "all", &options));
    settle(broker);
    assert_string_equal(broker->told, "none=4+0 open=5+0 once all=117+0 ");
}

static void expect_einval(world_t *world, const xo_actor_options_t *options, const char *name)
{
    xo_error_t err;
    assert_null(xo_create_actor_with(world->client, &err, xo_pool_address(world->pool), "Class",
                                     "wrong", options, ""));
    assert_int_equal(err.errnum, EINVAL);
    assert_non_null(strstr(err.text, name));
}

static void test_options_that_cannot_be_are_refused(void **state)
{
    broker_t *broker = *state;
    static const struct {
        xo_actor_options_t options;
        const char *name;
    } cases[] = {
        {{"always", -1, -1, -1, -1, NULL, -1, NULL, -1}, "always"},
        {{NULL, 65, -1, -1, -1, NULL, -1, NULL, -1}, "intensity"},
        {{NULL, -1, -2, -1, -1, NULL, -1, NULL, -1}, "period_ms"},
        {{NULL, -1, -1, INT64_MAX, -1, NULL, -1, NULL, -1}, "backoff_ms"},
        {{NULL, -1, -1, -1, INT64_MIN, NULL, -1, NULL, -1}, "backoff_max_ms"},
        {{NULL, -1, -1, -1, -1, "", -1, NULL, -1}, "group"},
        {{NULL, -1, -1, -1, -1, NULL, -2, NULL, -1}, "shutdown_ms"},
        {{NULL, -1, -1, -1, -1, NULL, -1, NULL, INT64_MAX}, "create_timeout_ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_einval(broker->world, &cases[i].options, cases[i].name);
}

/* Its caller may send that anew: what it has sent after it must not run before. */
static void test_what_is_behind_a_refused_one_is_refused(void **state)
{
    peer_t peer, other;
    broker_t *broker = *state;
    world_t *world = broker->world;
    peer_open(&peer, world, "client", 77);
    peer_open(&other, world, "client", 78);
    xo_header_t call = {.kind = XO_CALL,
                        .seq = 2,
                        .target_uid = xo_slice_str("xo:a"),
                        .method = xo_slice_str("echo")};
    peer_send(&peer, call, "[[i] {}]", 1);
    peer_expect_error(&peer, 2, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    create_again(broker, "xo:a");
    run_until(world, one_created, broker);
    xo_header_t alone = call; /* it is in no line with the others */
    alone.seq = 9;
    alone.incarnation = xo_actor_incarnation(xo_pool_find(world->pool, call.target_uid));
    peer_send(&peer, alone, "[[i] {}]", 9);
    peer_expect_int(&peer, 9, 9);
    call.seq = 3;
    call.flags = XO_F_BEHIND;
    peer_send(&peer, call, "[[i] {}]", 2);
    peer_expect_error(&peer, 3, XO_CODE_ACTOR_NOT_EXIST, "no", "behind");
    peer_send(&other, call, "[[i] {}]", 2); /* behind another caller's */
    peer_expect_int(&other, 3, 2);
    call.seq = 4;
    call.flags = 0;
    peer_send(&peer, call, "[[i] {}]", 1);
    peer_expect_int(&peer, 4, 1);
    call.seq = 5;
    call.flags = XO_F_BEHIND;
    peer_send(&peer, call, "[[i] {}]", 2);
    peer_expect_int(&peer, 5, 2);
    peer_close(&other);
    peer_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIRST(test_options_go_with_the_spec),
        FIRST(test_options_that_cannot_be_are_refused),
        FIRST(test_what_is_behind_a_refused_one_is_refused),
        SECOND(test_calls_wait_for_another_try),
        SECOND(test_other_creations_do_not_wait_for_one_that_was_cancelled),
        SECOND(test_calls_wait_for_one_that_was_cancelled_before_it_began),
        SECOND(test_callers_hear_when_it_is_given_up),
        SECOND(test_one_that_failed_before_is_not_waited_for),
        SECOND(test_without_a_broker_nobody_tries_again),
        SECOND(test_the_end_answers_who_waits_for_another_try),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
