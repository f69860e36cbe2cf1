/* Mailboxes and turns: the lock, bypassing it, fairness, bounds. */
#include <stdlib.h>
#include <string.h>

#include "t/pool-world.h"

static void test_one_at_a_time_in_order(void **state)
{
    world_t *world = *state;
    create(world, "a");
    xo_future_t *first = start(world, "a", "hold", 0);
    tell(world, "a", "echo", 0);
    xo_future_t *third = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    run_settled(world);
    assert_true(log_is(world, "a.hold "));
    host_release_one(world, 0);
    run_until_log(world, "a.hold a.echo a.hold ");
    host_release_one(world, 0);
    expect_int(first, 1);
    expect_int(third, 1);
}

static void test_stateless_runs_all(void **state)
{
    world_t *world = *state;
    world->host.stateless = true;
    create(world, "a");
    xo_future_t *first = start(world, "a", "hold", 0);
    xo_future_t *second = start(world, "a", "hold", 0);
    run_until_held(world, 2);
    host_release_one(world, 1);
    expect_int(second, 1);
    host_release_one(world, 0);
    expect_int(first, 1);
}

/* A method that bypasses the lock overtakes what waits for it, and nothing else. */
static void test_bypass(void **state)
{
    world_t *world = *state;
    create(world, "a");
    tell(world, "a", "echo", 1);
    tell(world, "a", "look", 2);
    tell(world, "a", "hold", 3);
    tell(world, "a", "echo", 4);
    tell(world, "a", "look", 5);
    tell(world, "a", "peek", 6);
    run_until_log(world, "a.echo a.look a.hold a.look a.peek ");
    host_release_one(world, 1);
    run_settled(world);
    assert_true(log_is(world, "a.echo a.look a.hold a.look a.peek "));
    host_release_one(world, 0);
    run_until_log(world, "a.echo a.look a.hold a.look a.peek a.echo ");
}

static void on_locked(xo_actor_t *actor, void *arg)
{
    (void)actor;
    *(int *)arg += 1;
}

/* A method gives up the lock, another one takes its turn, and the first gets the lock back ahead of
 * those that wait. */
static void test_unlock_and_lock_again(void **state)
{
    int locked = 0;
    world_t *world = *state;
    create(world, "a");
    xo_actor_t *actor = xo_pool_find(world->pool, xo_slice_str("a"));
    tell(world, "a", "free", 0);
    tell(world, "a", "hold", 0);
    tell(world, "a", "echo", 0);
    run_until_log(world, "a.free a.hold ");
    assert_int_equal(xo_actor_lock(actor, on_locked, &locked), 0);
    run_settled(world);
    assert_int_equal(locked, 0);
    host_release_one(world, 1);
    run_settled(world);
    assert_int_equal(locked, 1);
    assert_true(log_is(world, "a.free a.hold "));
    host_release_one(world, 0);
    run_settled(world);
    assert_true(log_is(world, "a.free a.hold "));
    xo_actor_unlock(actor);
    run_until_log(world, "a.free a.hold a.echo ");
}

static void test_lock_of_an_idle_actor(void **state)
{
    int locked = 0;
    world_t *world = *state;
    create(world, "a");
    xo_actor_t *actor = xo_pool_find(world->pool, xo_slice_str("a"));
    assert_int_equal(xo_actor_lock(actor, on_locked, &locked), 0);
    assert_int_equal(locked, 0); /* never from within */
    assert_int_equal(xo_actor_lock(actor, on_locked, &locked), 0);
    run_settled(world);
    assert_int_equal(locked, 1);
    xo_actor_unlock(actor);
    run_settled(world);
    assert_int_equal(locked, 2);
    xo_actor_unlock(actor);
    expect_int(start(world, "a", "echo", 4), 4);
}

static bool enter(xo_actor_t *actor)
{
    return xo_actor_enter(actor, xo_slice_str("echo"), 1);
}

/* A host enters only an actor that has nothing to do, and what is sent meanwhile waits. */
static void test_enter(void **state)
{
    xo_pool_stats_t stats;
    world_t *world = *state;
    create(world, "a");
    xo_actor_t *actor = xo_pool_find(world->pool, xo_slice_str("a"));
    assert_true(enter(actor));
    assert_false(enter(actor));
    tell(world, "a", "hold", 0);
    run_settled(world);
    assert_true(log_is(world, ""));
    xo_actor_leave(actor, true);
    assert_false(enter(actor)); /* the tell comes first */
    run_until_log(world, "a.hold ");
    assert_false(enter(actor));
    host_release_one(world, 0);
    assert_true(enter(actor));
    xo_actor_leave(actor, false);
    xo_pool_get_stats(world->pool, &stats);
    assert_int_equal(stats.failed, 1);
    assert_int_equal(stats.handled, 4); /* of which one is the create */
}

/* Those that wait for the lock again come before who would enter. */
static void test_enter_after_who_waits(void **state)
{
    int locked = 0;
    world_t *world = *state;
    create(world, "a");
    xo_actor_t *actor = xo_pool_find(world->pool, xo_slice_str("a"));
    assert_int_equal(xo_actor_lock(actor, on_locked, &locked), 0);
    assert_false(enter(actor));
    run_settled(world);
    assert_int_equal(locked, 1);
    assert_false(enter(actor));
    xo_actor_unlock(actor);
    assert_true(enter(actor));
    xo_actor_leave(actor, false);
}

static void test_enter_a_stateless_actor(void **state)
{
    world_t *world = *state;
    world->host.stateless = true;
    create(world, "a");
    xo_future_t *held = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    xo_actor_t *actor = xo_pool_find(world->pool, xo_slice_str("a"));
    assert_true(enter(actor));
    expect_int(start(world, "a", "echo", 3), 3);
    xo_actor_leave(actor, false);
    host_release_one(world, 0);
    expect_int(held, 1);
}

/* Two actors with full mailboxes take turns of `batch` messages. */
static void test_fair_turns(void **state)
{
    world_t *world = *state;
    world->options.batch = 2;
    world_open(world);
    create(world, "a");
    create(world, "b");
    world->host.log[0] = '\0';
    tell(world, "a", "hold", 0);
    tell(world, "b", "hold", 0);
    for (int i = 0; i < 5; i++)
        tell(world, "a", "echo", i);
    for (int i = 0; i < 3; i++)
        tell(world, "b", "echo", i);
    run_until_held(world, 2);
    run_settled(world);
    world->host.log[0] = '\0';
    host_release_one(world, 0);
    host_release_one(world, 0);
    run_until_log(world, "a.echo a.echo b.echo b.echo a.echo a.echo b.echo a.echo ");
}

static void actor_room(xo_actor_t *actor, void *arg)
{
    (void)actor;
    *(bool *)arg = true;
}

/* Senders in the pool have no credit: they ask for room. */
static void test_mailbox_room(void **state)
{
    bool room = false;
    world_t *world = *state;
    world->options.mailbox_messages = 4;
    world_open(world);
    create(world, "a");
    xo_actor_t *actor = xo_pool_find(world->pool, xo_slice_str("a"));
    for (int i = 0; i < 3; i++) {
        tell(world, "a", "hold", i);
        run_settled(world);
        assert_true(xo_actor_has_room(actor));
    }
    for (int i = 3; i < 5; i++) /* with the first the client hears that it is full */
        tell(world, "a", "hold", i);
    run_settled(world);
    assert_false(xo_actor_has_room(actor));
    assert_int_equal(xo_actor_on_room(actor, actor_room, &room), 0);
    for (int i = 0; i < 2; i++) {
        assert_false(room);
        host_release_one(world, 0);
        run_until_held(world, 1);
    }
    assert_false(room); /* two wait: half of four */
    host_release_one(world, 0);
    run_until_held(world, 1);
    assert_true(room);
}

static void test_mailbox_bytes(void **state)
{
    world_t *world = *state;
    world->options.mailbox_bytes = 150;
    world_open(world);
    create(world, "a");
    tell(world, "a", "hold", 0);
    for (int i = 0; i < 3; i++)
        tell(world, "a", "echo", 0);
    run_settled(world);
    xo_pool_stats_t stats;
    xo_pool_get_stats(world->pool, &stats);
    assert_int_equal(stats.waiting_messages, 3);
    assert_true(stats.waiting_bytes >= 150);
    assert_false(xo_actor_has_room(xo_pool_find(world->pool, xo_slice_str("a"))));
}

/* More than one pass handles, from one actor: all arrive, in order. */
static void test_many_messages(void **state)
{
    enum { COUNT = 5000 };
    world_t *world = *state;
    xo_future_t **futures = calloc(COUNT, sizeof *futures);
    create(world, "a");
    for (int i = 0; i < COUNT; i++)
        futures[i] = start(world, "a", "echo", i);
    for (int i = 0; i < COUNT; i++)
        expect_int(futures[i], i);
    free(futures);
    xo_pool_stats_t stats;
    xo_pool_get_stats(world->pool, &stats);
    assert_int_equal(stats.handled, COUNT + 1);
    assert_int_equal(stats.waiting_messages, 0);
    assert_int_equal(stats.waiting_bytes, 0);
    assert_int_equal(stats.running, 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_bare, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_one_at_a_time_in_order),
        WORLD_TEST(test_stateless_runs_all),
        WORLD_TEST(test_bypass),
        WORLD_TEST(test_unlock_and_lock_again),
        WORLD_TEST(test_lock_of_an_idle_actor),
        WORLD_TEST(test_enter),
        WORLD_TEST(test_enter_after_who_waits),
        WORLD_TEST(test_enter_a_stateless_actor),
        BARE_TEST(test_fair_turns),
        BARE_TEST(test_mailbox_room),
        BARE_TEST(test_mailbox_bytes),
        WORLD_TEST(test_many_messages),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
