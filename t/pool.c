/* The life of actors in a pool: create, ref, has, destroy, stop. */
#include <string.h>

#include "libxo/future.h"
#include "t/pool-world.h"

/* A request without arguments that client.h has no function for. */
static xo_future_t *ask(world_t *world, xo_kind_t kind, const char *uid)
{
    xo_error_t err;
    xo_header_t header = {.kind = kind, .target_uid = xo_slice_str(uid)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    xo_future_t *future = xoi_future_create(world->client);
    xo_link_t *link = xo_endpoint_link(world->client, xo_pool_address(world->pool), &err);
    assert_non_null(link);
    xo_call_t *call =
        xo_endpoint_call(world->client, link, &msg, 0, 0, xoi_future_answer, future, &err);
    assert_non_null(call);
    xoi_future_set_call(future, call);
    return future;
}

static void expect_bool(xo_future_t *future, bool value)
{
    bool got;
    xo_error_t err;
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    if (xo_future_get(future, &err, "?", &got) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(got, value);
    xo_future_destroy(future);
}

static void test_create_gives_a_reference(void **state)
{
    world_t *world = *state;
    uint64_t first = expect_reference(start_create(world, "a"), xo_pool_address(world->pool), "a");
    uint64_t drawn =
        expect_reference(start_create(world, NULL), xo_pool_address(world->pool), NULL);
    assert_true(first > UINT32_MAX && drawn > first);
    assert_int_equal(world->host.created, 2);
    xo_pool_stats_t stats;
    xo_pool_get_stats(world->pool, &stats);
    assert_int_equal(stats.actors, 2);
    assert_string_equal(xo_actor_class(xo_pool_find(world->pool, xo_slice_str("a"))), "Fake");
}

static void test_create_again_is_refused(void **state)
{
    world_t *world = *state;
    create(world, "a");
    expect_error(start_create(world, "a"), XO_CODE_ACTOR_EXISTS, "no");
    assert_int_equal(world->host.created, 1);
    expect_ok(start_destroy(world, "a"));
    create(world, "a");
}

static void test_has_and_ref(void **state)
{
    world_t *world = *state;
    expect_bool(ask(world, XO_HAS, "a"), false);
    expect_error(ask(world, XO_REF, "a"), XO_CODE_ACTOR_NOT_EXIST, "no");
    uint64_t incarnation =
        expect_reference(start_create(world, "a"), xo_pool_address(world->pool), "a");
    expect_bool(ask(world, XO_HAS, "a"), true);
    assert_true(expect_reference(ask(world, XO_REF, "a"), xo_pool_address(world->pool), "a") ==
                incarnation);
    expect_ok(start_destroy(world, "a"));
    expect_bool(ask(world, XO_HAS, "a"), false);
    assert_true(expect_reference(start_create(world, "a"), xo_pool_address(world->pool), "a") >
                incarnation);
}

static void test_has_of_the_pool_itself(void **state)
{
    world_t *world = *state;
    expect_bool(ask(world, XO_HAS, ""), true);
    expect_error(ask(world, XO_REF, ""), XO_CODE_REFUSED, "no");
    expect_error(ask(world, XO_DESTROY, ""), XO_CODE_REFUSED, "no");
}

static void test_calls_wait_for_creation(void **state)
{
    world_t *world = *state;
    world->host.hold_create = true;
    xo_future_t *created = start_create(world, "a");
    xo_future_t *called = start(world, "a", "echo", 7);
    xo_future_t *looked = start(world, "a", "look", 8);
    expect_error(start_create(world, "a"), XO_CODE_ACTOR_EXISTS, "no");
    expect_bool(ask(world, XO_HAS, "a"), true);
    assert_true(log_is(world, "a.create "));
    assert_false(xo_future_done(called));
    host_release_one(world, 0);
    expect_reference(created, xo_pool_address(world->pool), "a");
    expect_int(called, 7);
    expect_int(looked, 8);
    assert_true(log_is(world, "a.create a.echo a.look "));
}

static void test_failed_creation_leaves_nothing(void **state)
{
    world_t *world = *state;
    world->host.hold_create = true;
    xo_future_t *created = start_create(world, "a");
    xo_future_t *called = start(world, "a", "echo", 7);
    run_until_held(world, 1);
    run_settled(world);
    xo_request_t *request = world->host.held[--world->host.held_count];
    xo_request_fail(request, XO_CODE_METHOD, "no");
    expect_error(created, XO_CODE_METHOD, "ran");
    expect_error(called, XO_CODE_ACTOR_NOT_EXIST, "no");
    assert_int_equal(world->host.released, 1);
    assert_null(xo_pool_find(world->pool, xo_slice_str("a")));
    expect_bool(ask(world, XO_HAS, "a"), false);
}

static void test_unknown_actor(void **state)
{
    world_t *world = *state;
    expect_error(start(world, "ghost", "echo", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
    tell(world, "ghost", "echo", 1);
    run_settled(world);
    assert_int_equal(xo_endpoint_drops(xo_pool_endpoint(world->pool))[XO_DROP_NO_ACTOR], 1);
}

static void test_error_names_uid_and_address(void **state)
{
    xo_error_t err;
    world_t *world = *state;
    xo_future_t *future = start(world, "gh\"ost\n\xff\xc3\xa4", "echo", 1);
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, NULL), -1);
    assert_non_null(strstr(err.text, "gh\\x22ost\\x0a\\xff\xc3\xa4"));
    assert_non_null(strstr(err.text, xo_pool_address(world->pool)));
    xo_future_destroy(future);
}

static void test_destroy_waits_its_turn(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *held = start(world, "a", "hold", 0);
    xo_future_t *before = start(world, "a", "echo", 1);
    xo_future_t *destroyed = start_destroy(world, "a");
    xo_future_t *after = start(world, "a", "echo", 2);
    xo_future_t *again = start_destroy(world, "a");
    run_until_held(world, 1);
    run_settled(world);
    assert_int_equal(world->host.destroyed, 0);
    host_release_one(world, 0);
    expect_int(held, 1);
    expect_int(before, 1);
    expect_ok(destroyed);
    expect_error(after, XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(again, XO_CODE_ACTOR_NOT_EXIST, "no");
    assert_int_equal(world->host.destroyed, 1);
    assert_int_equal(world->host.released, 1);
}

/* The object stays until the last method that gave up the lock has ended. */
static void test_release_waits_for_what_runs(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *freed = start(world, "a", "free", 0);
    run_until_held(world, 1);
    expect_ok(start_destroy(world, "a"));
    assert_int_equal(world->host.released, 0);
    create(world, "a");
    host_release_one(world, 0);
    expect_int(freed, 1);
    assert_int_equal(world->host.released, 1);
}

static bool was_stopped(void *arg)
{
    return *(bool *)arg;
}

static void on_stopped(xo_pool_t *pool, void *arg)
{
    (void)pool;
    *(bool *)arg = true;
}

static void test_stop_destroys_all(void **state)
{
    world_t *world = *state;
    bool stopped = false;
    create(world, "a");
    create(world, "b");
    xo_future_t *held = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    xo_pool_stop(world->pool, WAIT_MS, on_stopped, &stopped);
    expect_error(start_create(world, "c"), XO_CODE_SERVER_CLOSED, "no");
    assert_false(stopped);
    host_release_one(world, 0);
    run_until(world, was_stopped, &stopped);
    expect_int(held, 1);
    assert_int_equal(world->host.destroyed, 2);
    assert_int_equal(world->host.released, 2);
    expect_error(start(world, "a", "echo", 0), XO_CODE_SERVER_CLOSED, "no");
}

static void test_stop_is_bounded(void **state)
{
    world_t *world = *state;
    bool stopped = false;
    create(world, "a");
    xo_future_t *held = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    xo_pool_stop(world->pool, 1500, on_stopped, &stopped);
    run_settled(world);
    assert_false(stopped);
    xo_loop_advance(world->loop, 1500 * XO_MS);
    run_until(world, was_stopped, &stopped);
    assert_int_equal(world->host.destroyed, 0);
    xo_future_destroy(held);
}

/* What runs and what waits is answered when the pool goes; the host's late end does nothing. */
static void test_pool_end_answers_all(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *running = start(world, "a", "hold", 0);
    xo_future_t *waiting = start(world, "a", "echo", 0);
    run_until_held(world, 1);
    run_settled(world);
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    expect_error(running, XO_CODE_SERVER_CLOSED, "maybe");
    expect_error(waiting, XO_CODE_SERVER_CLOSED, "no");
    assert_int_equal(world->host.released, 1);
}

static void test_incarnation_has_the_generation(void **state)
{
    world_t *world = *state;
    world->options.self.generation = 3;
    world_open(world);
    uint64_t incarnation =
        expect_reference(start_create(world, "a"), xo_pool_address(world->pool), "a");
    assert_true(incarnation >> 32 == 3);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_create_gives_a_reference),
        WORLD_TEST(test_create_again_is_refused),
        WORLD_TEST(test_has_and_ref),
        WORLD_TEST(test_has_of_the_pool_itself),
        WORLD_TEST(test_calls_wait_for_creation),
        WORLD_TEST(test_failed_creation_leaves_nothing),
        WORLD_TEST(test_unknown_actor),
        WORLD_TEST(test_error_names_uid_and_address),
        WORLD_TEST(test_destroy_waits_its_turn),
        WORLD_TEST(test_release_waits_for_what_runs),
        WORLD_TEST(test_stop_destroys_all),
        WORLD_TEST(test_stop_is_bounded),
        WORLD_TEST(test_pool_end_answers_all),
        cmocka_unit_test_setup_teardown(test_incarnation_has_the_generation, world_setup_bare,
                                        world_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
