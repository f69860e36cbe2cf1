/* pool-answers.c - who does not take its answers waits, and nobody else. */
#include <string.h>

#include "t/pool-world.h"

/* Answers of echo have some fifty bytes each, so two are more than this. */
enum { WINDOW_BYTES = 100, CALLS = 5 };

static void send_to(peer_t *peer, xo_kind_t kind, uint64_t seq, const char *method)
{
    peer_send(peer,
              (xo_header_t){.kind = kind,
                            .seq = seq,
                            .target_uid = xo_slice_str("a"),
                            .method = xo_slice_str(method)},
              "[[i] {}]", (int)seq);
}

static size_t bytes_of(const peer_t *peer)
{
    size_t bytes = 0;
    for (size_t i = 0; i < peer->count; i++)
        bytes += xo_msg_bytes(peer->answers[i]);
    return bytes;
}

/* Calls CALLS times; returns how many were answered. */
static size_t call_too_often(world_t *world, peer_t *peer)
{
    create(world, "a");
    peer_open_for(peer, world, 77, WINDOW_BYTES);
    for (uint64_t i = 1; i <= CALLS; i++)
        send_to(peer, XO_CALL, i, "echo");
    run_settled(world);
    return peer->count;
}

static void give_credit(peer_t *peer, size_t bytes)
{
    peer_send(peer, (xo_header_t){.kind = XO_CREDIT}, "[i i i U]", 0, 0, 0, (uint64_t)bytes);
}

static void test_who_takes_no_answers_waits(void **state)
{
    peer_t peer;
    world_t *world = *state;
    size_t answered = call_too_often(world, &peer);
    assert_true(answered > 0 && answered < CALLS);
    size_t bytes = bytes_of(&peer);
    assert_true(bytes >= WINDOW_BYTES && bytes < 2 * WINDOW_BYTES);
    expect_int(start(world, "a", "echo", 9), 9); /* and passes */
    assert_int_equal(peer.count, answered);
    give_credit(&peer, bytes);
    run_settled(world);
    assert_true(peer.count > answered);
    give_credit(&peer, bytes_of(&peer) - bytes);
    for (uint64_t i = 1; i <= CALLS; i++)
        peer_expect_int(&peer, i, (int)i);
    assert_false(peer.closed);
    peer_close(&peer);
}

static void test_its_order_holds(void **state)
{
    peer_t peer;
    world_t *world = *state;
    size_t answered = call_too_often(world, &peer);
    send_to(&peer, XO_TELL, 0, "fail");
    run_settled(world);
    assert_null(strstr(world->host.log, "fail"));
    while (answered < CALLS) {
        give_credit(&peer, bytes_of(&peer) / peer.count);
        run_settled(world);
        assert_true(peer.count <= answered + 1);
        answered = peer.count;
    }
    give_credit(&peer, bytes_of(&peer) / peer.count);
    run_until_log(world, "a.echo a.echo a.echo a.echo a.echo a.fail ");
    peer_close(&peer);
}

static void test_credit_that_was_never_used(void **state)
{
    peer_t peer;
    world_t *world = *state;
    call_too_often(world, &peer);
    give_credit(&peer, bytes_of(&peer) + 1);
    run_settled(world);
    assert_true(peer.closed);
    peer_close(&peer);
}

static void test_what_waits_can_be_cancelled(void **state)
{
    peer_t peer;
    world_t *world = *state;
    call_too_often(world, &peer);
    peer_send(&peer, (xo_header_t){.kind = XO_CANCEL, .seq = CALLS}, NULL);
    peer_expect_error(&peer, CALLS, XO_CODE_CANCELLED, "no", NULL);
    peer_close(&peer);
}

static void test_the_actor_goes(void **state)
{
    peer_t peer;
    world_t *world = *state;
    call_too_often(world, &peer);
    expect_ok(start_destroy(world, "a"));
    peer_expect_error(&peer, CALLS, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    peer_close(&peer);
}

/* There is nobody any more for whom answers would be kept. */
static void test_the_link_closes(void **state)
{
    peer_t peer;
    world_t *world = *state;
    call_too_often(world, &peer);
    send_to(&peer, XO_TELL, 0, "fail");
    run_settled(world);
    peer_close(&peer);
    run_until_log(world, "a.echo a.echo a.echo a.echo a.echo a.fail ");
}

/* One who holds the lock is not held up by what waits for other reasons, nor the other way. */
static void test_beside_the_lock(void **state)
{
    peer_t peer;
    world_t *world = *state;
    size_t answered = call_too_often(world, &peer);
    xo_future_t *held = start(world, "a", "hold", 0);
    run_until_held(world, 1);
    send_to(&peer, XO_CALL, CALLS + 1, "look");
    run_settled(world);
    assert_null(strstr(world->host.log, "look"));
    give_credit(&peer, bytes_of(&peer));
    run_until_log(world, answered == 2 ? "a.echo a.echo a.hold a.look "
                                       : "a.echo a.echo a.echo a.hold a.look ");
    host_release_one(world, 0);
    expect_int(held, 1);
    peer_close(&peer);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_who_takes_no_answers_waits),
        WORLD_TEST(test_its_order_holds),
        WORLD_TEST(test_credit_that_was_never_used),
        WORLD_TEST(test_what_waits_can_be_cancelled),
        WORLD_TEST(test_the_actor_goes),
        WORLD_TEST(test_the_link_closes),
        WORLD_TEST(test_beside_the_lock),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
