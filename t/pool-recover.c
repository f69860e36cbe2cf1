/* A pool whose actors are created again: what it tells its broker, and what it holds until they are
 * there. The broker is an endpoint of the test's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/pool-broker.h"

/* ---- tests ---- */

static bool told_all(void *arg)
{
    return strstr(((broker_t *)arg)->told, "large") != NULL;
}

static void test_specs_are_told(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_header_t header = {
        .kind = XO_CREATE, .target_uid = xo_slice_str("buffers"), .method = xo_slice_str("Class")};
    create(world, "plain");
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    xo_msg_add_buffer_copy(msg, "12345678", 8);
    expect_ok(post(world, msg));
    size_t large = ((size_t)16 << 20) + 1;
    char *bytes = calloc(1, large);
    header.target_uid = xo_slice_str("large");
    msg = xo_msg_create(&header, BODY);
    xo_msg_add_buffer_copy(msg, bytes, large);
    free(bytes);
    expect_ok(post(world, msg));
    run_until(world, told_all, broker);
    assert_string_equal(broker->told,
                        "plain=3+0 buffers=4+8 large=its arguments take 16777221 bytes, and at "
                        "most 16777216 are kept ");
}

static bool told_early(void *arg)
{
    return strstr(((broker_t *)arg)->told, "early") != NULL;
}

/* The broker may know the pool, and others through it, before its welcome has arrived. */
static void test_a_spec_before_the_welcome_is_told(void **state)
{
    broker_t *broker = *state;
    run_until(broker->world, told_early, broker);
    settle(broker);
    assert_int_equal(strncmp(broker->told, "early=4+0 ", 10), 0);
}

static void test_calls_wait_for_what_comes_back(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *first = start(world, "a", "echo", 1);
    xo_future_t *reference = ask(broker, XO_REF, "a");
    xo_future_t *second = start(world, "a", "echo", 2);
    xo_future_t *never = start(world, "never", "echo", 3);
    settle(broker);
    assert_false(xo_future_done(first) || xo_future_done(reference) || xo_future_done(never));
    create_again(broker, "a");
    run_until(world, one_created, broker);
    expect_int(first, 1);
    expect_int(second, 2);
    assert_true(expect_reference(reference, xo_pool_address(world->pool), "a") > 2ull << 32);
    assert_true(log_is(world, "a.create a.echo a.echo "));
    assert_string_equal(broker->told, "a ");   /* the broker has the spec */
    say_recovered(broker, "0000000000000001"); /* of another pool */
    say_recovered(broker, "0000000000000077");
    expect_error(never, XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(start(world, "never", "echo", 4), XO_CODE_ACTOR_NOT_EXIST, "no");
}

static void test_has_waits_too(void **state)
{
    broker_t *broker = *state;
    xo_future_t *has = ask(broker, XO_HAS, "a");
    settle(broker);
    assert_false(xo_future_done(has));
    create_again(broker, "a");
    expect_ok(has);
}

/* One that is being created may ask for one that never was. */
static void test_nothing_waits_once_all_is_requested(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *never = start(world, "never", "echo", 1);
    world->host.hold_create = true;
    create_again(broker, "a");
    say_all(broker);
    expect_error(never, XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(start(world, "never", "echo", 2), XO_CODE_ACTOR_NOT_EXIST, "no");
    run_until_held(world, 1);
    host_release_one(world, 0);
    run_until(world, one_created, broker);
    assert_string_equal(broker->told, "a "); /* it is still recovering */
}

static void test_what_waits_can_be_cancelled(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *call = start(world, "a", "echo", 1);
    xo_future_t *other = start(world, "a", "echo", 2);
    settle(broker);
    xo_future_cancel(call);
    expect_error(call, XO_CODE_CANCELLED, "no");
    create_again(broker, "a");
    expect_int(other, 2);
}

typedef struct pair {
    xo_call_t *second;
    int answers;
} pair_t;

static void on_first(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call, (void)answer;
    pair_t *pair = arg;
    pair->answers++;
    xo_call_cancel(pair->second);
}

static void on_second(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call, (void)answer;
    ((pair_t *)arg)->answers++;
}

static bool both_answered(void *arg)
{
    return ((pair_t *)arg)->answers == 2;
}

static xo_call_t *call_locally(world_t *world, const char *uid, xo_answer_f answer, void *arg)
{
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(uid), .method = xo_slice_str("echo")};
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    return xo_endpoint_call(xo_pool_endpoint(world->pool), NULL, &msg, 0, 0, answer, arg, NULL);
}

/* The first one's caller hears at once that there is no such actor, and gives the second up, which
 * was held with it. */
static void test_what_is_let_go_can_be_cancelled_within(void **state)
{
    broker_t *broker = *state;
    pair_t pair = {0};
    call_locally(broker->world, "never", on_first, &pair);
    pair.second = call_locally(broker->world, "never", on_second, &pair);
    say_all(broker);
    run_until(broker->world, both_answered, &pair);
}

static void test_one_that_is_there_is_adopted_by_the_broker(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a"); /* by somebody else, before the broker's request came */
    create_again(broker, "a");
    run_until(world, one_created, broker);
    assert_int_equal(world->host.created, 1);
    expect_error(start_create(world, "a"), XO_CODE_ACTOR_EXISTS, "no");
}

static void test_the_end_answers_what_waits(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *call = start(world, "a", "echo", 1);
    settle(broker);
    xo_pool_stop(world->pool, 1000, NULL, NULL);
    expect_error(call, XO_CODE_SERVER_CLOSED, "no");
}

static bool has_lost_two(void *arg)
{
    return xo_endpoint_drops(((world_t *)arg)->client)[XO_DROP_LOST] == 2;
}

/* Its dead letters go with it. */
static void test_who_told_in_vain_counts_it(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    tell(world, "a", "echo", 1);
    settle(broker);
    xo_pool_stop(world->pool, 1000, NULL, NULL);
    tell(world, "a", "echo", 2);
    settle(broker);
    assert_int_equal(xo_endpoint_drops(world->client)[XO_DROP_LOST], 0);
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    run_until(world, has_lost_two, world);
}

static bool has_asked(void *arg)
{
    return ((broker_t *)arg)->withheld.link != NULL;
}

static void test_who_creates_is_answered_when_the_broker_has_the_spec(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = start_create(broker->world, "one");
    run_until(broker->world, has_asked, broker);
    expect_ok(ask(broker, XO_HAS, "one")); /* the creation's answer would have come before */
    assert_false(xo_future_done(created));
    broker_answer(broker, &broker->withheld);
    expect_ok(created);
}

/* It lies in the broker's memory, where this process cannot lose it. */
static void test_through_shared_memory_who_creates_does_not_wait(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    expect_ok(start_create(broker->world, "one"));
    assert_null(broker->withheld.link);
    settle(broker);
    assert_string_equal(broker->told, "one=3+0 ");
}

/* The broker may say that its group does not take it. */
static void test_who_creates_a_member_waits_for_the_broker(void **state)
{
    broker_t *broker = *state;
    xo_header_t header = {
        .kind = XO_CREATE, .target_uid = xo_slice_str("one"), .method = xo_slice_str("Class")};
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[[] {} {s s}]", "group", "g");
    broker->withholds = true;
    xo_future_t *created = post(broker->world, xo_msg_create(&header, xo_buf_slice(&body)));
    xo_buf_free(&body);
    run_until(broker->world, has_asked, broker);
    expect_ok(ask(broker, XO_HAS, "one"));
    assert_false(xo_future_done(created));
    broker_answer(broker, &broker->withheld);
    expect_ok(created);
}

static void test_who_creates_is_answered_when_the_broker_goes(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = start_create(broker->world, "one");
    run_until(broker->world, has_asked, broker);
    xo_link_close(broker->link, &(xo_error_t){.errnum = ECONNRESET});
    expect_ok(created);
}

static void test_the_end_answers_who_creates(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = start_create(broker->world, "one");
    run_until(broker->world, has_asked, broker);
    xo_pool_stop(broker->world->pool, 1000, NULL, NULL);
    expect_ok(created);
}

static bool told_again(void *arg)
{
    return ((broker_t *)arg)->told[0] != '\0';
}

static bool is_without_broker(void *arg)
{
    return !xo_endpoint_broker(xo_pool_endpoint(((broker_t *)arg)->world->pool));
}

/* The next broker knows it from the registry. */
static void test_what_is_created_again_has_its_spec_though_the_broker_goes(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    world->host.hold_create = true;
    create_again(broker, "a");
    run_until_held(world, 1);
    xo_link_close(broker->link, &(xo_error_t){.errnum = ECONNRESET});
    run_until(world, one_failed, broker);
    run_until(world, is_without_broker, broker);
    host_release_one(world, 0);
    run_until(world, told_again, broker);
    assert_string_equal(broker->told, "a ");
}

static void link_anew(broker_t *broker)
{
    broker->told[0] = '\0';
    xo_link_close(broker->link, &(xo_error_t){.errnum = ECONNRESET});
    run_until(broker->world, is_without_broker, broker);
    xo_loop_advance(broker->world->loop, 1000 * XO_MS); /* it looks for the next one */
    run_until(broker->world, told_again, broker);
}

/* It may have been killed before it had written the spec. */
static void test_the_next_broker_is_told_the_last_specs(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a");
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    link_anew(broker);
    assert_string_equal(broker->told, "a=3+0 ");
    for (int i = 0; i < 2; i++) {
        xo_loop_advance(world->loop, 1000 * XO_MS); /* a heartbeat */
        settle(broker);
    }
    link_anew(broker);
    assert_string_equal(broker->told, "a ");
}

/* It stood still, and had read nothing. */
static void test_what_a_broker_has_not_read_is_told_the_next(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a");
    broker->withholds = true;
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    for (int i = 0; i < 3; i++) {
        xo_loop_advance(world->loop, 1000 * XO_MS);
        settle(broker);
    }
    link_anew(broker);
    assert_string_equal(broker->told, "a=3+0 ");
}

static void test_the_first_process_holds_nothing(void **state)
{
    broker_t *broker = *state;
    expect_error(start(broker->world, "a", "echo", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIRST(test_specs_are_told),
        OVER_IPC(test_who_creates_is_answered_when_the_broker_has_the_spec),
        cmocka_unit_test_setup_teardown(test_through_shared_memory_who_creates_does_not_wait,
                                        broker_setup_over_shm, broker_teardown),
        FIRST(test_who_creates_a_member_waits_for_the_broker),
        OVER_IPC(test_who_creates_is_answered_when_the_broker_goes),
        OVER_IPC(test_the_end_answers_who_creates),
        FIRST(test_the_next_broker_is_told_the_last_specs),
        FIRST(test_what_a_broker_has_not_read_is_told_the_next),
        FIRST(test_the_first_process_holds_nothing),
        cmocka_unit_test_setup_teardown(test_a_spec_before_the_welcome_is_told, broker_setup_early,
                                        broker_teardown),
        SECOND(test_calls_wait_for_what_comes_back),
        SECOND(test_has_waits_too),
        SECOND(test_nothing_waits_once_all_is_requested),
        SECOND(test_what_waits_can_be_cancelled),
        SECOND(test_what_is_let_go_can_be_cancelled_within),
        SECOND(test_one_that_is_there_is_adopted_by_the_broker),
        SECOND(test_the_end_answers_what_waits),
        SECOND(test_who_told_in_vain_counts_it),
        SECOND(test_what_is_created_again_has_its_spec_though_the_broker_goes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
