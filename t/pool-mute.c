/* pool-mute.c - a slow actor does not take a link's credit from others: it asks for no more, while
 * what has come waits in its mailbox. */
#include <errno.h>
#include <stdlib.h>

#include "t/pool-world.h"

enum { MAILBOX_MESSAGES = 16, WINDOW_MESSAGES = 8 };

/* 0, or an errno. */
static int try_to_tell(world_t *world, const char *uid, const char *method)
{
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), uid, &err);
    int errnum = xo_ref_tell(ref, &err, method, "i", 0) < 0 ? errno : 0;
    xo_ref_destroy(ref);
    return errnum;
}

static uint64_t waiting(const world_t *world)
{
    xo_pool_stats_t stats;
    xo_pool_get_stats(world->pool, &stats);
    return stats.waiting_messages;
}

/* Two actors, of which "a" is held. */
static void begin(world_t *world)
{
    world->options.mailbox_messages = MAILBOX_MESSAGES;
    world->options.endpoint.window_messages = WINDOW_MESSAGES;
    world_open(world);
    create(world, "a");
    create(world, "b");
    tell(world, "a", "hold", 0);
    run_until_held(world, 1);
}

static bool has_arrived(void *arg)
{
    const world_t *world = ((void **)arg)[0];
    return waiting(world) == *(uint64_t *)((void **)arg)[1];
}

/* Until so many wait in the pool. It needs no credit. */
static void run_until_waiting(world_t *world, uint64_t messages)
{
    run_until(world, has_arrived, (void *[]){world, &messages});
}

/* Until it is pushed back, with all that was sent having arrived in between. */
static int fill(world_t *world)
{
    int sent = 0;
    while (try_to_tell(world, "a", "echo") == 0) {
        run_settled(world);
        sent++;
        assert_true(sent < 3 * MAILBOX_MESSAGES);
    }
    assert_int_equal(errno, EAGAIN);
    return sent;
}

static void on_room(xo_link_t *link, void *arg)
{
    (void)link;
    *(bool *)arg = true;
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

static xo_link_t *link_of(world_t *world)
{
    return xo_endpoint_link(world->client, xo_pool_address(world->pool), NULL);
}

static void run_until_room(world_t *world, const char *uid)
{
    bool room = false;
    assert_int_equal(xo_link_on_room_for(link_of(world), xo_slice_str(uid), on_room, &room), 0);
    run_until(world, is_true, &room);
}

static void test_others_pass(void **state)
{
    bool room = false;
    world_t *world = *state;
    begin(world);
    int sent = fill(world); /* more than the window, since what has arrived costs none */
    assert_int_equal(sent, MAILBOX_MESSAGES - 1);
    for (int i = 0; i < 3 * WINDOW_MESSAGES; i++)
        expect_int(start(world, "b", "echo", i), i);
    assert_int_equal(xo_link_on_room_for(link_of(world), xo_slice_str("a"), on_room, &room), 0);
    run_settled(world);
    assert_false(room);
    host_release_one(world, 0);
    run_until(world, is_true, &room);
    assert_int_equal(try_to_tell(world, "a", "echo"), 0);
    expect_int(start(world, "a", "echo", 7), 7);
    assert_int_equal(waiting(world), 0);
}

/* All that is under way when the actor has enough still arrives, and the link goes on. */
static void test_what_is_under_way_arrives(void **state)
{
    world_t *world = *state;
    begin(world);
    uint64_t sent = 0;
    while (sent < MAILBOX_MESSAGES - 2) {
        assert_int_equal(try_to_tell(world, "a", "echo"), 0);
        run_until_waiting(world, ++sent);
        run_until_room(world, "b");
    }
    run_settled(world);
    while (try_to_tell(world, "a", "echo") == 0)
        sent++;
    assert_in_range(sent, MAILBOX_MESSAGES, MAILBOX_MESSAGES + WINDOW_MESSAGES);
    run_until_waiting(world, sent);
    run_until_room(world, "b");
    expect_int(start(world, "b", "echo", 1), 1);
    host_release_one(world, 0);
    run_until_room(world, "a");
    expect_int(start(world, "a", "echo", 2), 2);
}

static void send_echoes(peer_t *peer, int count)
{
    xo_header_t header = {
        .kind = XO_TELL, .target_uid = xo_slice_str("a"), .method = xo_slice_str("echo")};
    for (int i = 0; i < count; i++)
        peer_send(peer, header, "[[i] {}]", 0);
}

/* Whoever sends nothing that waits for the lock may go on looking. */
static void test_what_bypasses_the_lock_mutes_nobody(void **state)
{
    peer_t peer;
    world_t *world = *state;
    begin(world);
    peer_open_muted(&peer, world, 77);
    send_echoes(&peer, MAILBOX_MESSAGES);
    run_until_waiting(world, MAILBOX_MESSAGES);
    for (int i = 0; i < 3 * WINDOW_MESSAGES; i++)
        expect_int(start(world, "a", "look", i), i);
    assert_int_equal(try_to_tell(world, "a", "echo"), 0);
    run_settled(world);
    assert_int_equal(try_to_tell(world, "a", "look"), EAGAIN);
    peer_close(&peer);
}

static void test_the_actor_goes(void **state)
{
    bool room = false;
    world_t *world = *state;
    begin(world);
    xo_future_t *gone = start_destroy(world, "a");
    fill(world);
    assert_int_equal(xo_link_on_room_for(link_of(world), xo_slice_str("a"), on_room, &room), 0);
    host_release_one(world, 0);
    expect_ok(gone);
    run_until(world, is_true, &room);
    expect_error(start(world, "a", "echo", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_int(start(world, "b", "echo", 1), 1);
}

static bool is_closed(void *arg)
{
    return ((peer_t *)arg)->closed;
}

/* Who is muted and goes on has, beyond what can have been under way, its credit. */
static void test_who_goes_on_all_the_same(void **state)
{
    peer_t peer;
    world_t *world = *state;
    begin(world);
    peer_open_muted(&peer, world, 77);
    int most = MAILBOX_MESSAGES - 2 + 2 * WINDOW_MESSAGES;
    for (int i = 0; i < most; i++) {
        send_echoes(&peer, 1);
        run_until_waiting(world, (uint64_t)i + 1);
    }
    run_settled(world);
    assert_false(peer.closed);
    send_echoes(&peer, 1);
    run_until(world, is_closed, &peer);
    peer_close(&peer);
    expect_int(start(world, "b", "echo", 1), 1);
}

/* One of an older version is bounded by its credit, as ever. */
static void test_who_cannot_be_muted(void **state)
{
    peer_t peer;
    world_t *world = *state;
    begin(world);
    peer_open(&peer, world, "client", 77);
    send_echoes(&peer, WINDOW_MESSAGES);
    run_until_waiting(world, WINDOW_MESSAGES);
    assert_false(peer.closed);
    send_echoes(&peer, 1);
    run_until(world, is_closed, &peer);
    peer_close(&peer);
}

/* What a pool keeps for all its actors is bounded, too: then credit stays away, as ever. */
static void test_a_full_pool(void **state)
{
    world_t *world = *state;
    xo_ctx_destroy(world->ctx);
    setenv("XO_POOL_BYTES", "1", 1);
    world->ctx = xo_ctx_create("test", NULL);
    unsetenv("XO_POOL_BYTES");
    begin(world);
    uint64_t sent = 0;
    while (try_to_tell(world, "a", "echo") == 0)
        run_until_waiting(world, ++sent);
    assert_in_range(sent, 1, WINDOW_MESSAGES - 1);
    assert_int_equal(try_to_tell(world, "b", "echo"), EAGAIN);
}

#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_bare, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BARE_TEST(test_others_pass),
        BARE_TEST(test_what_is_under_way_arrives),
        BARE_TEST(test_what_bypasses_the_lock_mutes_nobody),
        BARE_TEST(test_the_actor_goes),
        BARE_TEST(test_who_goes_on_all_the_same),
        BARE_TEST(test_who_cannot_be_muted),
        BARE_TEST(test_a_full_pool),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
