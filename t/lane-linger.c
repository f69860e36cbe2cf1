/* t/lane-linger.c - a lane that is closed with much unsent, to a peer that sends, or then dies.
 *
 * libzmq up to 4.3.5 ended the process in the latter case ("Assertion failed: !_io_error", its
 * issue 4841) when its own heartbeats were on: the timer of a connection wrote to it although it
 * was gone. What it takes is that the connection has stopped reading, because a message came for a
 * closed socket.
 */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#include "libxo/lane_zmq.h"
#include "t/lane-rig.h"

#define UNSENT_MESSAGES 64
#define UNSENT_BYTES (1 << 20)
#define LATE_MESSAGES 100

static void answer(void *socket, const char *id, int id_bytes, uint64_t seq)
{
    xo_msg_t *msg = make_msg(seq, 10);

    zmq_send(socket, id, (size_t)id_bytes, ZMQ_SNDMORE);
    xoi_send_msg(NULL, socket, xo_slice(NULL, 0), &msg);
}

/* The child: answers the first message and reads no others; when told to, sends more and ends. */
static void __attribute__((noreturn)) serve_one(int out)
{
    char endpoint[320], id[256];
    int id_bytes, which;
    sigset_t told;
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    void *socket = xoi_lane_socket(ctx, ZMQ_ROUTER, XOI_TCP, "tcp://127.0.0.1:0", NULL);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&told);
    sigaddset(&told, SIGUSR1);
    sigprocmask(SIG_BLOCK, &told, NULL);
    xoi_set_int(socket, ZMQ_RCVHWM, 2);
    xo_ctx_start_zap(ctx, NULL);
    if (xoi_zmq_bind(ctx, socket, "tcp://127.0.0.1:0", endpoint, sizeof endpoint, NULL) < 0 ||
        write(out, endpoint, sizeof endpoint) < 0)
        _exit(1);
    id_bytes = zmq_recv(socket, id, sizeof id, 0);
    answer(socket, id, id_bytes, 1);
    sigwait(&told, &which);
    for (uint64_t seq = 2; seq < 2 + LATE_MESSAGES; seq++)
        answer(socket, id, id_bytes, seq);
    xoi_lane_socket_close(&socket, XOI_LINGER_MS);
    zmq_ctx_term(xo_ctx_zmq(ctx, NULL));
    _exit(0);
}

static void a_peer_dies_while_a_closed_lane_lingers(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    fixture_serve(f, serve_one);
    rig_dial(&f->rig, &dialled, f->endpoint);
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, dialled.received == 1);
    for (uint64_t seq = 2; seq < 2 + UNSENT_MESSAGES; seq++) {
        xo_msg_t *msg = make_msg(seq, UNSENT_BYTES);
        assert_int_equal(xo_lane_send(dialled.lane, &msg), 0);
    }
    end_destroy(&dialled);
    kill(f->child, SIGUSR1);
    assert_int_equal(waitpid(f->child, NULL, 0), f->child);
    f->child = 0;
    rig_close(&f->rig); /* waits until the lane has lingered */
    rig_open(&f->rig);
}

static void send_much(xo_lane_t *lane)
{
    for (uint64_t seq = 2; seq < 2 + UNSENT_MESSAGES; seq++) {
        xo_msg_t *msg = make_msg(seq, UNSENT_BYTES / 8);
        assert_int_equal(xo_lane_send(lane, &msg), 0);
    }
}

/* Each end has a thread of ZeroMQ's, as two processes have. */
static end_t *meet_apart(fixture_t *f, end_t *dialled)
{
    assert_int_equal(xo_ctx_set_io_threads(f->rig.ctx, 2, NULL), 0);
    f->rig.echo = true;
    end_t *accepted = rig_meet(&f->rig, dialled, f->endpoint);
    RUN_UNTIL(&f->rig, dialled->received == 1);
    dialled->echo = true;
    accepted->echo = false;
    return accepted;
}

/* A connection that is closed with something unread is reset, and what has not left is lost. */
static void who_leaves_sends_the_rest_to_a_peer_that_sends(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = meet_apart(f, &dialled);
    accepted->echo = true;
    send_much(dialled.lane);
    end_destroy(&dialled);
    RUN_UNTIL(&f->rig, accepted->closed);
    assert_int_equal(accepted->received, 1 + UNSENT_MESSAGES);
    assert_false(accepted->out_of_order);
}

static void a_listener_that_leaves_sends_the_rest_to_a_peer_that_sends(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = meet_apart(f, &dialled);
    send_much(accepted->lane);
    xo_listener_destroy(f->rig.listener);
    f->rig.listener = NULL;
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_int_equal(dialled.received, 1 + UNSENT_MESSAGES);
    assert_false(dialled.out_of_order);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return poll(&wait, 1, timeout_ms) == 1;
}

/* Whoever ends a process first and then what it has with that: the loop had no turn to notice. */
static void a_lane_does_not_linger_for_a_peer_that_was_killed(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    int64_t start_ms, took_ms;
    int fd = xo_loop_fd(f->rig.loop, NULL);

    fixture_serve(f, serve_one);
    rig_dial(&f->rig, &dialled, f->endpoint);
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, dialled.received == 1);
    while (is_readable(fd, 0))
        xo_loop_once(f->rig.loop, 0);
    fixture_end_child(f);
    assert_true(is_readable(fd, RIG_DEADLINE_MS));
    start_ms = now_ms();
    end_destroy(&dialled);
    rig_close(&f->rig);
    took_ms = now_ms() - start_ms;
    rig_open(&f->rig);
    assert_true(took_ms < XOI_LINGER_MS);
}

/* What is left for a peer whose connection is lost would hold the end of the context up by as long
 * as the socket lingered then: it is for those that are closed. */
static void an_open_socket_does_not_linger(void **state)
{
    static const int types[] = {ZMQ_ROUTER, ZMQ_DEALER};
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int linger_ms = -1;
        size_t size = sizeof linger_ms;
        void *socket = xoi_lane_socket(ctx, types[i], XOI_TCP, "tcp://127.0.0.1:0", NULL);
        assert_non_null(socket);
        assert_int_equal(zmq_getsockopt(socket, ZMQ_LINGER, &linger_ms, &size), 0);
        assert_int_equal(linger_ms, 0);
        xoi_lane_socket_close(&socket, 0);
    }
    xo_ctx_destroy(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(who_leaves_sends_the_rest_to_a_peer_that_sends,
                                                 fixture_open, fixture_close, "tcp"),
        cmocka_unit_test_prestate_setup_teardown(
            a_listener_that_leaves_sends_the_rest_to_a_peer_that_sends, fixture_open, fixture_close,
            "tcp"),
        cmocka_unit_test_prestate_setup_teardown(a_peer_dies_while_a_closed_lane_lingers,
                                                 fixture_open, fixture_close, "tcp"),
        cmocka_unit_test_prestate_setup_teardown(a_lane_does_not_linger_for_a_peer_that_was_killed,
                                                 fixture_open, fixture_close, "tcp"),
        cmocka_unit_test(an_open_socket_does_not_linger)};
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
