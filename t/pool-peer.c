/* pool-peer.c - a peer that speaks the wire by hand, to send what libxo's own endpoint does not. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/pool-world.h"

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    peer_t *peer = arg;
    xo_kind_t kind = xo_msg_header(*msg)->kind;
    if (kind == XO_WELCOME)
        peer->welcome = true;
    if (kind == XO_RESULT || kind == XO_ERROR) {
        assert_true(peer->count < 64);
        peer->answers[peer->count++] = *msg;
        *msg = NULL;
    }
    xo_msg_destroy(msg);
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    peer_t *peer = arg;
    peer->closed = true;
}

static const xo_lane_events_t events = {.message = on_message, .closed = on_closed};

static bool is_welcome(void *arg)
{
    const peer_t *peer = arg;
    return peer->welcome;
}

/* `bytes` 0: many, and it says nothing of answers that it has taken. */
static void say_hello(peer_t *peer, const char *role, uint64_t bytes, bool mutes)
{
    const char *address = xo_pool_address(peer->world->pool);
    const char *machine = peer->machine ? peer->machine : "";
    uint64_t node = peer->machine ? peer->node : 7;
    peer_send(peer, (xo_header_t){.kind = XO_HELLO, .seq = 1},
              "{s s s s s U s U s U s U s i s i s s s s s s s [U U] s s s ? s ?}", "role", role,
              "cluster", "test", "id", peer->id, "node", node, "pool", (uint64_t)0, "generation",
              (uint64_t)1, "index", -1, "pid", (int)getpid(), "machine", machine, "label", "",
              "address", "", "window", (uint64_t)1000, bytes ? bytes : (uint64_t)1 << 20, "expect",
              address, "answers", bytes > 0, "mutes", mutes);
}

static void dial(peer_t *peer, world_t *world, const char *role, uint64_t id, uint64_t bytes,
                 bool mutes)
{
    char endpoint[XO_ADDRESS_BYTES + 16];
    xo_error_t err;
    *peer = (peer_t){.world = world, .id = id, .node = peer->node, .machine = peer->machine};
    snprintf(endpoint, sizeof endpoint, "inproc://%s", xo_pool_address(world->pool));
    peer->lane = xo_dial(world->ctx, world->loop, endpoint, &events, peer, &err);
    if (!peer->lane)
        fail_msg("%s", err.text);
    say_hello(peer, role, bytes, mutes);
    run_until(world, is_welcome, peer);
}

void peer_open(peer_t *peer, world_t *world, const char *role, uint64_t id)
{
    *peer = (peer_t){0};
    dial(peer, world, role, id, 0, false);
}

void peer_open_for(peer_t *peer, world_t *world, uint64_t id, uint64_t bytes)
{
    *peer = (peer_t){0};
    dial(peer, world, "client", id, bytes, false);
}

void peer_open_muted(peer_t *peer, world_t *world, uint64_t id)
{
    *peer = (peer_t){0};
    dial(peer, world, "client", id, 0, true);
}

void peer_open_near(peer_t *peer, world_t *world, uint64_t id, uint64_t node, const char *machine)
{
    *peer = (peer_t){.node = node, .machine = machine};
    dial(peer, world, "pool", id, 0, false);
}

void peer_close(peer_t *peer)
{
    while (peer->count)
        xo_msg_destroy(&peer->answers[--peer->count]);
    xo_lane_destroy(peer->lane);
    peer->lane = NULL;
}

void peer_send(peer_t *peer, xo_header_t header, const char *format, ...)
{
    xo_buf_t body = XO_BUF_INIT;
    va_list args;
    va_start(args, format);
    if (format)
        xo_pack_vformat(&body, format, args);
    va_end(args);
    header.sender_id = peer->id;
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    assert_int_equal(xo_lane_send(peer->lane, &msg), 0);
}

typedef struct wanted {
    peer_t *peer;
    uint64_t seq;
    size_t found;
} wanted_t;

static bool has_answer(void *arg)
{
    wanted_t *wanted = arg;
    for (size_t i = 0; i < wanted->peer->count; i++)
        if (xo_msg_header(wanted->peer->answers[i])->seq == wanted->seq) {
            wanted->found = i;
            return true;
        }
    return false;
}

xo_msg_t *peer_answer(peer_t *peer, uint64_t seq)
{
    wanted_t wanted = {.peer = peer, .seq = seq};
    run_until(peer->world, has_answer, &wanted);
    xo_msg_t *answer = peer->answers[wanted.found];
    memmove(peer->answers + wanted.found, peer->answers + wanted.found + 1,
            (--peer->count - wanted.found) * sizeof *peer->answers);
    return answer;
}

void peer_expect_int(peer_t *peer, uint64_t seq, int value)
{
    int got = -1;
    xo_msg_t *answer = peer_answer(peer, seq);
    assert_int_equal(xo_msg_header(answer)->kind, XO_RESULT);
    assert_int_equal(xo_unpack(xo_msg_body(answer), NULL, "i", &got), 0);
    assert_int_equal(got, value);
    xo_msg_destroy(&answer);
}

void peer_expect_error(peer_t *peer, uint64_t seq, const char *code, const char *executed,
                       const char *reason)
{
    xo_failure_t failure;
    xo_msg_t *answer = peer_answer(peer, seq);
    assert_int_equal(xo_msg_header(answer)->kind, XO_ERROR);
    assert_int_equal(xo_failure_read(xo_msg_body(answer), &failure), 0);
    assert_true(xo_slice_eq_str(failure.code, code));
    assert_true(xo_slice_eq_str(failure.executed, executed));
    assert_true(!reason || xo_slice_eq_str(failure.reason, reason));
    xo_msg_destroy(&answer);
}
