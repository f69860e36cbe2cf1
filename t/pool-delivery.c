/* Delivery: cancelling, deadlines, incarnations, idempotent requests that come again, drops. */
#include <string.h>

#include "t/pool-world.h"

static uint64_t drops(const world_t *world, xo_drop_t reason)
{
    return xo_endpoint_drops(xo_pool_endpoint(world->pool))[reason];
}

static xo_header_t header(xo_kind_t kind, uint64_t seq, const char *uid, const char *method)
{
    return (xo_header_t){
        .kind = kind, .seq = seq, .target_uid = xo_slice_str(uid), .method = xo_slice_str(method)};
}

/* ---- cancelling ---- */

static void test_cancel_of_what_waits(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *running = start(world, "a", "hold", 0);
    xo_future_t *waiting = start(world, "a", "echo", 0);
    run_until_held(world, 1);
    run_settled(world);
    xo_future_cancel(waiting);
    expect_error(waiting, XO_CODE_CANCELLED, "no");
    host_release_one(world, 0);
    expect_int(running, 1);
    run_settled(world);
    assert_true(log_is(world, "a.hold "));
    assert_int_equal(world->host.cancelled, 0);
}

static void test_cancel_of_what_runs(void **state)
{
    world_t *world = *state;
    world->host.run_cancelled = true;
    create(world, "a");
    xo_future_t *running = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    xo_future_cancel(running);
    expect_error(running, XO_CODE_CANCELLED, "ran");
    assert_int_equal(world->host.cancelled, 1);
    expect_int(start(world, "a", "echo", 5), 5);
}

/* The host may go on; the answer is then what it says. It hears of each wish. */
static void test_cancel_ignored(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *running = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    xo_future_cancel(running);
    xo_future_cancel(running);
    run_settled(world);
    assert_int_equal(world->host.cancelled, 2);
    host_release_one(world, 0);
    expect_int(running, 1);
}

/* All three arrive in one pass, before any actor has its turn. */
static void test_cancel_of_a_creation_that_waits(void **state)
{
    peer_t peer;
    world_t *world = *state;
    peer_open(&peer, world, "client", 77);
    peer_send(&peer, header(XO_CREATE, 2, "a", "Fake"), "[[] {}]");
    peer_send(&peer, header(XO_CALL, 3, "a", "echo"), "[[i] {}]", 1);
    peer_send(&peer, header(XO_CANCEL, 2, "", NULL), NULL);
    peer_expect_error(&peer, 2, XO_CODE_CANCELLED, "no", NULL);
    peer_expect_error(&peer, 3, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    assert_null(xo_pool_find(world->pool, xo_slice_str("a")));
    assert_int_equal(world->host.created, 0);
    peer_close(&peer);
}

/* A peer that says it is another cannot cancel what that one asked for. */
static void test_cancel_over_another_link(void **state)
{
    world_t *world = *state;
    peer_t caller, thief;
    const xo_header_t call = {
        .kind = XO_CALL, .seq = 5, .target_uid = {"a", 1}, .method = {"hold", 4}};
    const xo_header_t cancel = {.kind = XO_CANCEL, .seq = 5};
    world->host.run_cancelled = true;
    create(world, "a");
    peer_open(&caller, world, "client", 99);
    peer_open(&thief, world, "client", 99);
    peer_send(&caller, call, "[[i]{}]", 1);
    run_until_held(world, 1);
    peer_send(&thief, cancel, NULL);
    peer_send(&thief, (xo_header_t){.kind = XO_HAS, .seq = 6}, NULL);
    xo_msg_t *has = peer_answer(&thief, 6);
    xo_msg_destroy(&has);
    assert_int_equal(world->host.cancelled, 0);
    peer_send(&caller, cancel, NULL);
    peer_expect_error(&caller, 5, XO_CODE_CANCELLED, "ran", NULL);
    assert_int_equal(world->host.cancelled, 1);
    peer_close(&thief);
    peer_close(&caller);
}

static void test_cancel_of_nothing(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    peer_send(&peer, header(XO_CANCEL, 99, "a", NULL), NULL);
    peer_send(&peer, header(XO_CALL, 2, "a", "echo"), "[[i] {}]", 3);
    peer_expect_int(&peer, 2, 3);
    peer_close(&peer);
}

/* ---- deadlines ---- */

static void test_deadline_of_what_waits(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    peer_send(&peer, header(XO_CALL, 2, "a", "hold"), "[[] {}]");
    xo_header_t late = header(XO_CALL, 3, "a", "echo");
    late.deadline_ms = 200;
    peer_send(&peer, late, "[[i] {}]", 1);
    late = header(XO_TELL, 0, "a", "echo");
    late.deadline_ms = 200;
    peer_send(&peer, late, "[[i] {}]", 1);
    late = header(XO_CALL, 4, "a", "echo");
    late.deadline_ms = 201;
    peer_send(&peer, late, "[[i] {}]", 9);
    run_until_held(world, 1);
    run_settled(world);
    xo_loop_advance(world->loop, 200 * XO_MS);
    host_release_one(world, 0);
    peer_expect_int(&peer, 2, 1);
    peer_expect_error(&peer, 3, XO_CODE_DEADLINE, "no", NULL);
    peer_expect_int(&peer, 4, 9);
    assert_true(log_is(world, "a.hold a.echo "));
    assert_int_equal(drops(world, XO_DROP_DEADLINE), 1);
    peer_close(&peer);
}

/* No number that a peer can send overflows. */
static void test_deadline_of_all_time(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    xo_loop_freeze(world->loop, xo_loop_now(world->loop)); /* the last ones are short */
    xo_header_t patient = header(XO_CALL, 2, "a", "echo");
    for (patient.deadline_ms = UINT64_MAX; patient.deadline_ms > 1; patient.deadline_ms >>= 1) {
        peer_send(&peer, patient, "[[i] {}]", 3);
        peer_expect_int(&peer, patient.seq++, 3);
    }
    peer_close(&peer);
}

/* ---- incarnations ---- */

static void test_stale_incarnation(void **state)
{
    peer_t peer;
    world_t *world = *state;
    uint64_t old = expect_reference(start_create(world, "a"), xo_pool_address(world->pool), "a");
    expect_ok(start_destroy(world, "a"));
    uint64_t new = expect_reference(start_create(world, "a"), xo_pool_address(world->pool), "a");
    peer_open(&peer, world, "client", 77);
    xo_header_t stale = header(XO_CALL, 2, "a", "echo");
    stale.incarnation = old;
    peer_send(&peer, stale, "[[i] {}]", 1);
    peer_expect_error(&peer, 2, XO_CODE_ACTOR_NOT_EXIST, "no", "stale incarnation");
    stale = header(XO_TELL, 0, "a", "echo");
    stale.incarnation = old;
    peer_send(&peer, stale, "[[i] {}]", 1);
    xo_header_t fresh = header(XO_CALL, 3, "a", "echo");
    fresh.incarnation = new;
    peer_send(&peer, fresh, "[[i] {}]", 6);
    peer_expect_int(&peer, 3, 6);
    assert_int_equal(drops(world, XO_DROP_STALE), 1);
    assert_int_equal(drops(world, XO_DROP_NO_ACTOR), 0);
    peer_close(&peer);
}

/* ---- idempotent requests that come again ---- */

static uint64_t duplicates(const world_t *world)
{
    xo_pool_stats_t stats;
    xo_pool_get_stats(world->pool, &stats);
    return stats.duplicates;
}

static void test_duplicate_of_an_answered_one(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    xo_header_t again = header(XO_CALL, 2, "a", "echo");
    again.flags = XO_F_IDEMPOTENT;
    for (int i = 0; i < 2; i++) {
        peer_send(&peer, again, "[[i] {}]", 4);
        peer_expect_int(&peer, 2, 4);
    }
    assert_true(log_is(world, "a.echo "));
    assert_int_equal(duplicates(world), 1);
    again.seq = 3;
    again.method = xo_slice_str("fail");
    for (int i = 0; i < 2; i++) {
        peer_send(&peer, again, "[[] {}]");
        peer_expect_error(&peer, 3, XO_CODE_METHOD, "ran", NULL);
    }
    assert_true(log_is(world, "a.echo a.fail "));
    peer_close(&peer);
}

/* It comes again since its actor may be there by then. */
static void test_duplicate_of_a_refused_one(void **state)
{
    peer_t peer;
    world_t *world = *state;
    peer_open(&peer, world, "client", 77);
    xo_header_t again = header(XO_CALL, 2, "a", "echo");
    again.flags = XO_F_IDEMPOTENT;
    peer_send(&peer, again, "[[i] {}]", 4);
    peer_expect_error(&peer, 2, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    create(world, "a");
    peer_send(&peer, again, "[[i] {}]", 4);
    peer_expect_int(&peer, 2, 4);
    assert_int_equal(duplicates(world), 0);
    peer_close(&peer);
}

/* The caller has lost its link and comes back by another one: the answer goes there. */
static void test_duplicate_of_one_under_way(void **state)
{
    peer_t first;
    peer_t second;
    world_t *world = *state;
    create(world, "a");
    peer_open(&first, world, "client", 77);
    xo_header_t again = header(XO_CALL, 2, "a", "hold");
    again.flags = XO_F_IDEMPOTENT;
    peer_send(&first, again, "[[] {}]");
    run_until_held(world, 1);
    peer_close(&first);
    peer_open(&second, world, "client", 77);
    peer_send(&second, again, "[[] {}]");
    peer_send(&second, header(XO_CALL, 3, "nobody", "echo"), "[[] {}]");
    peer_expect_error(&second, 3, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    assert_true(log_is(world, "a.hold "));
    assert_int_equal(duplicates(world), 1);
    host_release_one(world, 0);
    peer_expect_int(&second, 2, 1);
    peer_close(&second);
}

static void test_others_are_not_remembered(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    for (int i = 0; i < 2; i++) {
        peer_send(&peer, header(XO_CALL, 2, "a", "echo"), "[[i] {}]", 4);
        peer_expect_int(&peer, 2, 4);
    }
    assert_true(log_is(world, "a.echo a.echo "));
    peer_close(&peer);
}

/* ---- drops ---- */

static void test_tell_that_fails_is_counted(void **state)
{
    world_t *world = *state;
    create(world, "a");
    tell(world, "a", "fail", 0);
    run_settled(world);
    assert_int_equal(drops(world, XO_DROP_ERROR), 1);
    xo_pool_stats_t stats;
    xo_pool_get_stats(world->pool, &stats);
    assert_int_equal(stats.failed, 1);
}

static void test_batch_without_answer(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    xo_header_t batch = header(XO_BATCH, 2, "nobody", "echo");
    batch.flags = XO_F_NO_ANSWER;
    peer_send(&peer, batch, "[[[] {}]]");
    peer_send(&peer, header(XO_CALL, 3, "a", "echo"), "[[i] {}]", 8);
    peer_expect_int(&peer, 3, 8);
    assert_int_equal(peer.count, 0);
    assert_int_equal(drops(world, XO_DROP_NO_ACTOR), 1);
    peer_close(&peer);
}

/* The caller goes while its call runs: the answer is a dead letter, and the actor goes on. */
static void test_caller_gone(void **state)
{
    peer_t peer;
    world_t *world = *state;
    create(world, "a");
    peer_open(&peer, world, "client", 77);
    peer_send(&peer, header(XO_CALL, 2, "a", "hold"), "[[] {}]");
    run_until_held(world, 1);
    peer_close(&peer);
    run_settled(world);
    host_release_one(world, 0);
    expect_int(start(world, "a", "echo", 2), 2);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_cancel_of_what_waits),
        WORLD_TEST(test_cancel_of_what_runs),
        WORLD_TEST(test_cancel_ignored),
        WORLD_TEST(test_cancel_of_a_creation_that_waits),
        WORLD_TEST(test_cancel_over_another_link),
        WORLD_TEST(test_cancel_of_nothing),
        WORLD_TEST(test_deadline_of_what_waits),
        WORLD_TEST(test_deadline_of_all_time),
        WORLD_TEST(test_stale_incarnation),
        WORLD_TEST(test_duplicate_of_an_answered_one),
        WORLD_TEST(test_duplicate_of_a_refused_one),
        WORLD_TEST(test_duplicate_of_one_under_way),
        WORLD_TEST(test_others_are_not_remembered),
        WORLD_TEST(test_tell_that_fails_is_counted),
        WORLD_TEST(test_batch_without_answer),
        WORLD_TEST(test_caller_gone),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
