/* t/loop-zmq.c - ZeroMQ sockets in the event loop (libxo/loop.h). */
#include "t/unit.h"

#include <poll.h>

#include <zmq.h>

#include "libxo/loop.h"

static int set_up(void **state)
{
    *state = xo_loop_create(NULL);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    xo_loop_destroy(*state);
    return 0;
}

static bool readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

typedef struct zmq_end {
    xo_zmq_t zmq;
    int received;
    int at_a_time;
} zmq_end_t;

static void on_zmq(xo_zmq_t *zmq, int revents, void *arg)
{
    zmq_end_t *end = arg;
    char text[16];

    assert_int_equal(revents, XO_READ);
    for (int i = 0; i < end->at_a_time; i++) {
        if (zmq_recv(zmq->socket, text, sizeof text, ZMQ_DONTWAIT) < 0) {
            xo_zmq_drained(zmq);
            return;
        }
        end->received++;
    }
}

typedef struct pair {
    void *context, *a, *b;
    zmq_end_t end;
} pair_t;

static void open_pair(pair_t *pair, xo_loop_t *loop, int at_a_time)
{
    pair->context = zmq_ctx_new();
    pair->a = zmq_socket(pair->context, ZMQ_PAIR);
    pair->b = zmq_socket(pair->context, ZMQ_PAIR);
    assert_int_equal(zmq_bind(pair->a, "inproc://pair"), 0);
    assert_int_equal(zmq_connect(pair->b, "inproc://pair"), 0);
    pair->end = (zmq_end_t){.at_a_time = at_a_time};
    xo_zmq_init(&pair->end.zmq, loop, pair->a, XO_READ, on_zmq, &pair->end);
    assert_int_equal(xo_zmq_start(&pair->end.zmq), 0);
}

static void close_pair(pair_t *pair)
{
    xo_zmq_stop(&pair->end.zmq);
    zmq_close(pair->a);
    zmq_close(pair->b);
    zmq_ctx_term(pair->context);
}

static void zmq_messages_are_never_missed(void **state)
{
    xo_loop_t *loop = *state;
    pair_t pair;

    open_pair(&pair, loop, 1);
    for (int i = 1; i <= 2000; i++) {
        zmq_send(pair.b, "x", 1, 0);
        if (i % 3 == 0) { /* using the socket eats its descriptor's signal */
            zmq_send(pair.a, "y", 1, 0);
            xo_zmq_touch(&pair.end.zmq);
        }
        if (i % 7 == 0)
            zmq_send(pair.b, "x", 1, 0);
        while (pair.end.received < i + i / 7)
            xo_loop_once(loop, -1);
    }
    close_pair(&pair);
}

/* Sends in the middle of a pass, after a message came: that eats the descriptor's signal. */
static void send_within(xo_defer_t *defer, void *arg)
{
    pair_t *pair = arg;

    (void)defer;
    zmq_send(pair->b, "x", 1, 0);
    zmq_send(pair->a, "y", 1, 0);
    xo_zmq_touch(&pair->end.zmq);
}

static void zmq_messages_are_not_missed_within_a_pass(void **state)
{
    xo_loop_t *loop = *state;
    pair_t pair;
    xo_defer_t defer;

    open_pair(&pair, loop, 10);
    xo_defer_init(&defer, loop, send_within, &pair);
    for (int i = 1; i <= 200; i++) {
        xo_defer_start(&defer);
        while (pair.end.received < i)
            xo_loop_once(loop, -1);
        assert_int_equal(xo_loop_once(loop, 0), 0);
    }
    close_pair(&pair);
}

static void zmq_messages_are_batched(void **state)
{
    xo_loop_t *loop = *state;
    pair_t pair;

    open_pair(&pair, loop, 10);
    for (int i = 0; i < 25; i++)
        zmq_send(pair.b, "x", 1, 0);
    while (pair.end.received == 0)
        xo_loop_once(loop, -1);
    while (pair.end.received < 25) {
        int before = pair.end.received;
        int more = xo_loop_once(loop, -1);
        assert_true(pair.end.received - before <= 20); /* once when ready, once before it sleeps */
        assert_int_equal(more, pair.end.received < 25);
    }
    xo_zmq_set_events(&pair.end.zmq, 0);
    zmq_send(pair.b, "x", 1, 0);
    while (xo_loop_once(loop, 0))
        continue;
    assert_int_equal(pair.end.received, 25);
    xo_zmq_set_events(&pair.end.zmq, XO_READ);
    xo_loop_once(loop, -1);
    assert_int_equal(pair.end.received, 26);
    close_pair(&pair);
}

static void one_descriptor_tells_of_zmq_messages(void **state)
{
    xo_loop_t *loop = *state;
    struct pollfd poll_fd = {.fd = xo_loop_fd(loop, NULL), .events = POLLIN};
    pair_t pair;

    open_pair(&pair, loop, 1);
    while (xo_loop_once(loop, 0))
        continue;
    for (int i = 1; i <= 1000; i++) {
        zmq_send(pair.b, "x", 1, 0);
        if (i % 2) {
            zmq_send(pair.a, "y", 1, 0);
            xo_zmq_touch(&pair.end.zmq);
        }
        while (pair.end.received < i) {
            assert_int_equal(poll(&poll_fd, 1, 10000), 1);
            xo_loop_once(loop, 0);
        }
    }
    while (xo_loop_once(loop, 0))
        continue;
    assert_false(readable(poll_fd.fd));
    close_pair(&pair);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(zmq_messages_are_never_missed),
        LOOP_TEST(zmq_messages_are_not_missed_within_a_pass),
        LOOP_TEST(zmq_messages_are_batched),
        LOOP_TEST(one_descriptor_tells_of_zmq_messages),
    };

    return run_tap(tests);
}
