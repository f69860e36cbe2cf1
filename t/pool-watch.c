/* pool-watch.c - who asked to be told when an actor ends, and hosts that hear of peers that go. */
#include <string.h>

#include "t/pool-world.h"

static bool is_done(void *arg)
{
    return xo_future_done(arg);
}

/* The reason that a watch is answered with. */
static void expect_reason(world_t *world, xo_future_t *future, const char *wanted)
{
    xo_error_t err;
    xo_slice_t reason;
    run_until(world, is_done, future);
    if (xo_future_get(future, &err, "S", &reason) < 0)
        fail_msg("%s", err.text);
    assert_true(xo_slice_eq_str(reason, wanted));
    xo_future_destroy(future);
}

static xo_future_t *watch(world_t *world, const char *uid)
{
    return start(world, uid, XO_METHOD_WATCH, 0);
}

static void test_told_at_the_end(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *first = watch(world, "a"), *second = watch(world, "a");
    expect_int(start(world, "a", "echo", 1), 1);
    assert_false(xo_future_done(first));
    expect_ok(start_destroy(world, "a"));
    expect_reason(world, first, "destroyed");
    expect_reason(world, second, "destroyed");
    assert_true(log_is(world, "a.echo a.destroy ")); /* the host saw nothing of it */
    create(world, "a");
    expect_ok(start_destroy(world, "a"));
}

static void test_no_such_actor(void **state)
{
    expect_error(watch(*state, "nobody"), XO_CODE_ACTOR_NOT_EXIST, "no");
}

static void test_a_creation_that_fails(void **state)
{
    world_t *world = *state;
    world->host.hold_create = true;
    xo_future_t *made = start_create(world, "a");
    run_until_held(world, 1);
    xo_future_t *watched = watch(world, "a");
    run_settled(world);
    xo_request_fail(world->host.held[0], XO_CODE_METHOD, "no");
    world->host.held_count = 0;
    expect_error(made, XO_CODE_METHOD, "ran");
    expect_reason(world, watched, "its creation failed");
}

static void test_the_reason_that_is_given(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    xo_future_t *watched = watch(world, "a");
    peer_open(&peer, world, "client", 99);
    xo_header_t header = {.kind = XO_DESTROY,
                          .seq = 2,
                          .target_uid = xo_slice_str("a"),
                          .method = xo_slice_str("it was time")};
    peer_send(&peer, header, NULL);
    expect_reason(world, watched, "it was time");
    peer_close(&peer);
}

static void test_neither_lock_nor_credit(void **state)
{
    enum { COUNT = 20 };
    xo_future_t *watched[COUNT];
    world_t *world = *state;
    world->options.endpoint.window_messages = 4;
    world_open(world);
    create(world, "a");
    xo_future_t *held = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    for (int i = 0; i < COUNT; i++) {
        watched[i] = watch(world, "a");
        run_settled(world);
    }
    host_release_one(world, 0);
    expect_int(held, 1);
    expect_int(start(world, "a", "echo", 5), 5);
    expect_ok(start_destroy(world, "a"));
    for (int i = 0; i < COUNT; i++)
        expect_reason(world, watched[i], "destroyed");
}

static void test_cancelled(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *cancelled = watch(world, "a"), *dropped = watch(world, "a");
    xo_future_t *kept = watch(world, "a");
    run_settled(world);
    xo_future_cancel(cancelled);
    xo_future_destroy(dropped);
    expect_error(cancelled, XO_CODE_CANCELLED, "no");
    expect_ok(start_destroy(world, "a"));
    expect_reason(world, kept, "destroyed");
}

static void test_the_pool_ends(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *watched = watch(world, "a");
    run_settled(world);
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    expect_error(watched, XO_CODE_SERVER_CLOSED, "no");
}

/* ---- peers that go ---- */

typedef struct attentive_host {
    fake_host_t fake; /* first: its operations get this as theirs */
    uint64_t gone_id;
} attentive_host_t;

static void note_gone(void *host, uint64_t endpoint)
{
    ((attentive_host_t *)host)->gone_id = endpoint;
}

static bool is_gone(void *arg)
{
    return ((attentive_host_t *)arg)->gone_id != 0;
}

static void test_a_watcher_that_goes(void **state)
{
    peer_t peer;
    world_t *world = *state;
    attentive_host_t host = {.gone_id = 0};
    xo_host_ops_t ops = fake_ops;
    ops.peer_gone = note_gone;
    world->ops = &ops;
    world->ops_arg = &host;
    world_open(world);
    create(world, "a");
    peer_open(&peer, world, "client", 99);
    xo_header_t header = {.kind = XO_CALL,
                          .seq = 2,
                          .target_uid = xo_slice_str("a"),
                          .method = xo_slice_str(XO_METHOD_WATCH)};
    peer_send(&peer, header, "[[] {}]");
    header.seq = 3;
    header.method = xo_slice_str("echo");
    peer_send(&peer, header, "[[i] {}]", 5);
    peer_expect_int(&peer, 3, 5);
    assert_int_equal(host.gone_id, 0);
    peer_close(&peer);
    run_until(world, is_gone, &host);
    assert_int_equal(host.gone_id, 99);
    expect_ok(start_destroy(world, "a"));
    xo_pool_destroy(world->pool); /* while its operations are there */
    world->pool = NULL;
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_bare, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_told_at_the_end),        WORLD_TEST(test_no_such_actor),
        WORLD_TEST(test_a_creation_that_fails),  WORLD_TEST(test_the_reason_that_is_given),
        BARE_TEST(test_neither_lock_nor_credit), WORLD_TEST(test_cancelled),
        WORLD_TEST(test_the_pool_ends),          BARE_TEST(test_a_watcher_that_goes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
