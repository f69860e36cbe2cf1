/* lane-shm.c - what is special about lanes in shared memory: peers that are killed, stopped or
 * forked, full rings, and doorbells. What all lanes have in common is in lane.c, and hostile peers
 * are in lane-shm-hostile.c.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/lane_shm.h"
#include "t/lane-rig.h"

static const char *path_of(fixture_t *f)
{
    return strstr(f->endpoint, "://") + 3;
}

/* ---- full rings ---- */

static void nothing(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    (void)arg;
    xo_msg_destroy(msg);
}

static void note_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    *(int *)arg = why->errnum;
}

static const xo_lane_events_t plain_events = {.message = nothing, .closed = note_closed};

static xo_lane_t *dial_small(fixture_t *f, int *closed)
{
    xo_lane_t *lane = xoi_shm_dial_sized(f->rig.ctx, f->rig.loop, f->endpoint, &plain_events,
                                         closed, XOI_SHM_RING_BYTES_MIN, NULL);

    *closed = 0;
    assert_non_null(lane);
    return lane;
}

#define MANY 3000

static void send_sizes(xo_lane_t *lane, uint64_t from)
{
    for (uint64_t seq = from; seq <= MANY; seq++) {
        xo_msg_t *msg = make_msg(seq, seq % 100 == 0 ? 5 * XOI_SHM_RING_BYTES_MIN : seq % 700);
        assert_int_equal(xo_lane_send(lane, &msg), 0);
    }
}

static void more_than_the_ring_holds_arrives_in_order(void **state)
{
    fixture_t *f = *state;
    end_t *end = &f->rig.accepted[0];
    int closed;
    rig_listen(&f->rig, f->endpoint);
    xo_lane_t *lane = dial_small(f, &closed);

    send_sizes(lane, 1);
    RUN_UNTIL(&f->rig, end->received == MANY);
    assert_false(end->out_of_order);
    xo_lane_destroy(lane);
    RUN_UNTIL(&f->rig, end->closed);
}

/* ---- what a pass sends ---- */

typedef struct pass {
    fixture_t *f;
    xo_lane_t *lane;
    bool waits;    /* in a pass of its own, for what it has sent to arrive */
    bool destroys; /* the lane, before the pass ends */
    bool done;
} pass_t;

#define IN_A_PASS 500 /* more than is published one by one */

static void send_in_pass(xo_defer_t *defer, void *arg)
{
    pass_t *pass = arg;
    (void)defer;
    for (uint64_t seq = 1; seq <= IN_A_PASS; seq++)
        send_seq(pass->lane, seq);
    if (pass->waits)
        RUN_UNTIL(&pass->f->rig, pass->f->rig.accepted[0].received == IN_A_PASS);
    if (pass->destroys)
        xo_lane_destroy(pass->lane);
    pass->done = true;
}

static void all_arrives(fixture_t *f, pass_t *pass)
{
    end_t *end = &f->rig.accepted[0];
    xo_defer_t defer;
    int closed;
    rig_listen(&f->rig, f->endpoint);
    pass->f = f;
    pass->lane = dial_small(f, &closed);
    xo_defer_init(&defer, f->rig.loop, send_in_pass, pass);
    xo_defer_start(&defer);
    RUN_UNTIL(&f->rig, pass->done && end->received == IN_A_PASS);
    assert_false(end->out_of_order);
    if (!pass->destroys)
        xo_lane_destroy(pass->lane);
    RUN_UNTIL(&f->rig, end->closed);
}

static void what_a_pass_sends_leaves_at_its_end(void **state)
{
    all_arrives(*state, &(pass_t){0});
}

static void what_a_pass_sends_leaves_before_it_waits(void **state)
{
    all_arrives(*state, &(pass_t){.waits = true});
}

static void what_a_pass_sends_leaves_before_the_lane_does(void **state)
{
    all_arrives(*state, &(pass_t){.destroys = true});
}

static void what_is_left_is_delivered_after_the_end(void **state)
{
    fixture_t *f = *state;
    end_t *end = &f->rig.accepted[0];
    int closed;
    rig_listen(&f->rig, f->endpoint);
    xo_lane_t *lane = dial_small(f, &closed);

    send_seq(lane, 1);
    RUN_UNTIL(&f->rig, end->received == 1);
    send_sizes(lane, 2);
    xo_lane_destroy(lane); /* the ring holds a few of them */
    RUN_UNTIL(&f->rig, end->closed);
    assert_int_equal(end->received_at_close, MANY);
    assert_false(end->out_of_order);
    assert_int_equal(end->why, ECONNRESET);
}

static void destroyed_while_the_rest_is_read(void **state)
{
    fixture_t *f = *state;
    end_t *end = &f->rig.accepted[0];
    int closed;
    f->rig.destroy_at = MANY - 10;
    rig_listen(&f->rig, f->endpoint);
    xo_lane_t *lane = dial_small(f, &closed);

    send_sizes(lane, 1);
    xo_lane_destroy(lane);
    RUN_UNTIL(&f->rig, end->received == MANY - 10);
    assert_null(end->lane);
    assert_int_equal(end->closed, 0);
}

/* ---- processes ---- */

typedef struct child_lane {
    xo_loop_t *loop;
    uint64_t sent;
} child_lane_t;

static void echo(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)arg;
    if (xo_lane_send(lane, msg) < 0)
        _exit(2);
}

static void stop_when_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    xo_loop_stop(arg);
}

static const xo_lane_events_t echo_events = {.message = echo, .closed = stop_when_closed};

static void use_one_core(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof set, &set);
}

typedef struct echo {
    uint64_t ring_bytes;
    bool one_core;
} echo_t;

/* In a process of its own: sends a message, and echoes what comes until the lane closes. */
static void dial_echo(fixture_t *f, void *arg)
{
    const echo_t *how = arg;
    if (how->one_core)
        use_one_core();
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    xo_loop_t *loop = xo_loop_create(NULL);
    xo_lane_t *lane =
        xoi_shm_dial_sized(ctx, loop, f->endpoint, &echo_events, loop, how->ring_bytes, NULL);
    xo_msg_t *msg = make_msg(1, 0);
    xo_lane_send(lane, &msg);
    xo_loop_run(loop);
    xo_lane_destroy(lane);
}

static end_t *join_child(fixture_t *f, uint64_t ring_bytes, bool one_core)
{
    echo_t how = {ring_bytes, one_core};

    return fixture_join(f, dial_echo, &how);
}

#define ROUND_TRIPS 5000

static void ping_pong(fixture_t *f, end_t *end)
{
    for (uint64_t seq = 2; seq <= ROUND_TRIPS; seq++) {
        send_seq(end->lane, seq);
        RUN_UNTIL(&f->rig, end->received == seq);
    }
    assert_false(end->out_of_order);
}

static void no_bell_is_lost(void **state)
{
    fixture_t *f = *state;

    ping_pong(f, join_child(f, XOI_SHM_RING_BYTES, false));
}

static void no_bell_is_lost_on_one_core(void **state)
{
    fixture_t *f = *state;
    cpu_set_t before;

    sched_getaffinity(0, sizeof before, &before);
    use_one_core();
    end_t *end = join_child(f, XOI_SHM_RING_BYTES, true);
    ping_pong(f, end);
    sched_setaffinity(0, sizeof before, &before);
}

/* As a loop in asyncio's does: sleeps on the descriptor, not in the loop. */
static void no_bell_is_lost_by_a_driven_loop(void **state)
{
    fixture_t *f = *state;
    int fd = xo_loop_fd(f->rig.loop, NULL);
    end_t *end = join_child(f, XOI_SHM_RING_BYTES, false);

    for (uint64_t seq = 2; seq <= ROUND_TRIPS; seq++) {
        send_seq(end->lane, seq);
        while (end->received < seq) {
            fd_set set;
            struct timeval limit = {.tv_sec = RIG_DEADLINE_MS / 1000};
            FD_ZERO(&set);
            FD_SET(fd, &set);
            assert_int_equal(select(fd + 1, &set, NULL, NULL, &limit), 1);
            while (xo_loop_once(f->rig.loop, 0))
                continue;
        }
    }
}

static void a_full_ring_goes_both_ways(void **state)
{
    fixture_t *f = *state;
    end_t *end = join_child(f, XOI_SHM_RING_BYTES_MIN, false);

    send_sizes(end->lane, 2);
    RUN_UNTIL(&f->rig, end->received == MANY);
    assert_false(end->out_of_order);
}

static void a_stopped_peer_holds_nobody_up(void **state)
{
    fixture_t *f = *state;
    end_t *end = join_child(f, XOI_SHM_RING_BYTES_MIN, false);

    kill(f->child, SIGSTOP);
    assert_int_equal(waitpid(f->child, NULL, WUNTRACED), f->child);
    send_sizes(end->lane, 2); /* returns */
    xo_loop_once(f->rig.loop, 0);
    assert_int_equal(end->received, 1);
    kill(f->child, SIGCONT);
    RUN_UNTIL(&f->rig, end->received == MANY);
    assert_false(end->out_of_order);
}

#define KILLS 60

/* Two processes send all the time; one is killed after a number of messages that the seed gives,
 * wherever it is then. */
static void a_killed_peer_closes_the_lane_and_no_more(void **state)
{
    fixture_t *f = *state;
    const char *text = getenv("XO_TEST_SEED");
    unsigned seed = text ? (unsigned)atoi(text) : (unsigned)getpid();

    print_message("# XO_TEST_SEED=%u\n", seed);
    srand(seed);
    for (int i = 0; i < KILLS; i++) {
        end_t *end = join_child(f, XOI_SHM_RING_BYTES_MIN << rand() % 3, false);
        uint64_t sent = 1;
        uint64_t last = 1 + (uint64_t)(rand() % 300);
        while (end->received < last) {
            while (sent < end->received + 50) {
                xo_msg_t *msg = make_msg(++sent, (size_t)(rand() % 6000));
                assert_int_equal(xo_lane_send(end->lane, &msg), 0);
            }
            xo_loop_once(f->rig.loop, 100);
        }
        for (int spin = rand() % 20000; spin > 0; spin--)
            __asm__ volatile("");
        fixture_end_child(f);
        RUN_UNTIL(&f->rig, end->closed);
        assert_false(end->out_of_order); /* nothing but whole messages */
        assert_int_equal(end->why, ECONNRESET);
        end_destroy(end);
    }
}

#define SETTLED 200 /* more than is published one by one, and less than the ring holds */

static void send_and_die(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)msg;
    (void)arg;
    for (uint64_t seq = 2; seq <= SETTLED; seq++)
        send_seq(lane, seq);
    if (xo_lane_settle(lane))
        raise(SIGKILL);
    _exit(1);
}

static const xo_lane_events_t dying_events = {.message = send_and_die, .closed = note_closed};

static void dial_and_die(fixture_t *f, void *arg)
{
    int closed = 0;
    (void)arg;
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    xo_loop_t *loop = xo_loop_create(NULL);
    xo_lane_t *lane = xo_dial(ctx, loop, f->endpoint, &dying_events, &closed, NULL);
    send_seq(lane, 1);
    xo_loop_run(loop);
}

/* A child has sent all, and been killed; nothing but its first message has been read. */
static end_t *join_dead(fixture_t *f)
{
    int status;
    end_t *end = fixture_join(f, dial_and_die, NULL);
    send_seq(end->lane, 1);
    assert_int_equal(waitpid(f->child, &status, 0), f->child);
    f->child = 0;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(end->received, 1);
    return end;
}

/* Though it dies within a pass of its loop; and what it left is there without ours. */
static void what_has_settled_outlives_who_sent_it(void **state)
{
    fixture_t *f = *state;
    end_t *end = join_dead(f);
    xo_lane_drain(end->lane);
    assert_int_equal(end->received, SETTLED);
    assert_false(end->out_of_order);
    assert_int_equal(end->closed, 0);
    RUN_UNTIL(&f->rig, end->closed);
    assert_int_equal(end->received, SETTLED);
}

static void what_waits_for_room_has_not_settled(void **state)
{
    fixture_t *f = *state;
    int closed;
    rig_listen(&f->rig, f->endpoint);
    xo_lane_t *lane = dial_small(f, &closed);
    assert_true(xo_lane_settle(lane));
    send_sizes(lane, 1);
    assert_false(xo_lane_settle(lane));
    assert_true(xo_lane_is_awaited(lane));
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == MANY);
    RUN_UNTIL(&f->rig, !xo_lane_is_awaited(lane)); /* it sleeps again */
    assert_true(xo_lane_settle(lane));
    xo_lane_destroy(lane);
}

/* It destroys the lane while it is drained. */
static void drained_into_its_end(void **state)
{
    fixture_t *f = *state;
    f->rig.destroy_at = SETTLED / 2;
    end_t *end = join_dead(f);
    xo_lane_drain(end->lane);
    assert_null(end->lane);
    assert_int_equal(end->received, SETTLED / 2);
}

static void a_fork_does_not_end_the_lane(void **state)
{
    fixture_t *f = *state;
    end_t *end = join_child(f, XOI_SHM_RING_BYTES, false);
    pid_t fork_of_us = fork_at_rest();
    int status;

    if (fork_of_us == 0) {
        xo_lane_destroy(end->lane);
        _exit(0);
    }
    assert_int_equal(waitpid(fork_of_us, &status, 0), fork_of_us);
    assert_int_equal(status, 0);
    send_seq(end->lane, 2);
    RUN_UNTIL(&f->rig, end->received == 2);
    assert_int_equal(end->closed, 0);
}

/* ---- without memory ---- */

static void no_memory_is_an_error_and_no_signal(void **state)
{
    fixture_t *f = *state;
    struct rlimit before, small;
    xo_error_t err = {0};
    int closed;

    rig_listen(&f->rig, f->endpoint);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 65536, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    assert_null(xo_dial(f->rig.ctx, f->rig.loop, f->endpoint, &plain_events, NULL, &err));
    assert_int_equal(err.errnum, EFBIG);
    xo_lane_t *lane = dial_small(f, &closed); /* fits; what is left at its end does not */
    send_sizes(lane, 1);
    xo_lane_destroy(lane);
    setrlimit(RLIMIT_FSIZE, &before);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].closed);
    assert_false(f->rig.accepted[0].out_of_order);
}

static void the_socket_is_private(void **state)
{
    fixture_t *f = *state;
    struct stat st;

    rig_listen(&f->rig, f->endpoint);
    assert_int_equal(stat(path_of(f), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

#define SHM_TEST(test)                                                                             \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "shm"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(more_than_the_ring_holds_arrives_in_order),
        SHM_TEST(what_a_pass_sends_leaves_at_its_end),
        SHM_TEST(what_a_pass_sends_leaves_before_it_waits),
        SHM_TEST(what_a_pass_sends_leaves_before_the_lane_does),
        SHM_TEST(what_is_left_is_delivered_after_the_end),
        SHM_TEST(destroyed_while_the_rest_is_read),
        SHM_TEST(no_bell_is_lost),
        SHM_TEST(no_bell_is_lost_on_one_core),
        SHM_TEST(no_bell_is_lost_by_a_driven_loop),
        SHM_TEST(a_full_ring_goes_both_ways),
        SHM_TEST(a_stopped_peer_holds_nobody_up),
        SHM_TEST(a_killed_peer_closes_the_lane_and_no_more),
        SHM_TEST(what_has_settled_outlives_who_sent_it),
        SHM_TEST(what_waits_for_room_has_not_settled),
        SHM_TEST(drained_into_its_end),
        SHM_TEST(a_fork_does_not_end_the_lane),
        SHM_TEST(no_memory_is_an_error_and_no_signal),
        SHM_TEST(the_socket_is_private),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
