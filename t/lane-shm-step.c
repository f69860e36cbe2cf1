/* lane-shm-step.c - a peer that dies in the middle of something leaves the other side of a lane in
 * shared memory with whole messages, in order, and then a closed lane; and its memory is given
 * back. The peer is a child that is stepped through what it does, instruction by instruction, and
 * killed after any number of them. $XO_TEST_SEED chooses which. Or it lives on and says nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/lane_shm.h"
#include "libxo/unix_socket.h"
#include "t/lane-rig.h"

#define RING_BYTES XOI_SHM_RING_BYTES_MIN
#define STEPS_MAX 6000 /* of all kills of one kind together: a tenth of a second */
#define KILLS_MAX 25

/* Small ones, one that goes as a frame, and one that the ring does not hold. */
static const size_t sizes[] = {20, 300, 1000, 40, 5000, 60};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static xo_msg_t *make(uint64_t seq)
{
    char bytes[5000];
    size_t size = sizes[seq % SIZES];
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL, .seq = seq};
    memset(bytes, (int)(seq & 0x7f) + 1, size); /* never 0, as fresh memory is */
    xo_pack_bin(&body, bytes, size);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    return msg;
}

static bool is_whole(const xo_msg_t *msg)
{
    xo_msg_t *wanted = make(xo_msg_header(msg)->seq);
    bool whole = xo_slice_eq(xo_msg_body(msg), xo_msg_body(wanted));
    xo_msg_destroy(&wanted);
    return whole;
}

/* ---- the child ---- */

/* What the child is stepped through. `kind` below SIZES: one message of that size; else all. */
typedef struct plan {
    bool receives; /* and answers; else it sends */
    int kind;
} plan_t;

static uint64_t first_of(const plan_t *plan)
{
    return plan->kind < SIZES ? (uint64_t)plan->kind : 0;
}

static uint64_t end_of(const plan_t *plan)
{
    return plan->kind < SIZES ? first_of(plan) + 1 : SIZES;
}

typedef struct peer {
    xo_loop_t *loop;
    bool came;
} peer_t;

/* The first message says that the lane is there; what comes then is echoed. */
static void peer_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    peer_t *peer = arg;
    if (peer->came)
        xo_lane_send(lane, msg);
    peer->came = true;
    xo_msg_destroy(msg);
}

static void peer_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    (void)arg;
    _exit(1);
}

static const xo_lane_events_t peer_events = {.message = peer_message, .closed = peer_closed};

/* Stops before and after what it is stepped through. */
static void peer_run(fixture_t *f, void *arg)
{
    const plan_t *plan = arg;
    xo_msg_t *msgs[SIZES];
    peer_t peer = {.loop = xo_loop_create(NULL)};
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(1);
    xo_lane_t *lane =
        xoi_shm_dial_sized(ctx, peer.loop, f->endpoint, &peer_events, &peer, RING_BYTES, NULL);
    for (uint64_t seq = first_of(plan); seq < end_of(plan); seq++)
        msgs[seq] = make(seq);
    send_seq(lane, 1);
    while (!peer.came)
        xo_loop_once(peer.loop, -1);
    raise(SIGSTOP);
    for (uint64_t seq = first_of(plan); !plan->receives && seq < end_of(plan); seq++)
        xo_lane_send(lane, &msgs[seq]);
    xo_loop_once(peer.loop, 0);
    raise(SIGSTOP);
}

/* ---- this side ---- */

typedef struct seen {
    uint64_t next_seq;
    bool broken; /* something came that is no whole message, or not the next one */
    int closed, why;
} seen_t;

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    seen_t *seen = arg;
    (void)lane;
    if (xo_msg_header(*msg)->seq != seen->next_seq++ || !is_whole(*msg) || seen->closed)
        seen->broken = true;
    xo_msg_destroy(msg);
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    seen_t *seen = arg;
    (void)lane;
    seen->closed++;
    seen->why = why->errnum;
}

static const xo_lane_events_t events = {.message = on_message, .closed = on_closed};

static void wait_for_stop(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

/* Steps until it stops itself, or has made so many steps. Returns their number. */
static int step(pid_t child, int most)
{
    int steps = 0;
    for (; steps < most; steps++) {
        int status;
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSTOPPED(status));
        if (WSTOPSIG(status) != SIGTRAP)
            break;
    }
    return steps;
}

static int count_segments(void)
{
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "/memfd:xo") != NULL;
    fclose(maps);
    return count;
}

static void send_planned(xo_lane_t *lane, const plan_t *plan)
{
    for (uint64_t seq = first_of(plan); seq < end_of(plan); seq++) {
        xo_msg_t *msg = make(seq);
        assert_int_equal(xo_lane_send(lane, &msg), 0);
    }
}

/* Of a lane whose peer is gone, all that it asks for returns. `looks`: also before the peer is
 * gone, in the middle of whatever it does. */
static void kill_after(fixture_t *f, const plan_t *plan, end_t *end, int *steps, bool looks)
{
    seen_t seen = {.next_seq = first_of(plan)};
    xo_lane_set_events(end->lane, &events, &seen);
    send_seq(end->lane, 1);
    wait_for_stop(f->child);
    if (plan->receives)
        send_planned(end->lane, plan);
    *steps = step(f->child, *steps);
    if (looks)
        while (xo_loop_once(f->rig.loop, 0))
            continue;
    assert_int_equal(seen.closed, 0);
    fixture_end_child(f);
    RUN_UNTIL(&f->rig, seen.closed);
    assert_int_equal(seen.closed, 1);
    assert_false(seen.broken);
    assert_int_equal(seen.why, ECONNRESET);
}

/* Returns the steps that were made: at most so many. */
static int one_peer(fixture_t *f, const plan_t *plan, int steps, bool looks)
{
    end_t *end = fixture_join(f, peer_run, (void *)plan);
    kill_after(f, plan, end, &steps, looks);
    end_destroy(end);
    return steps;
}

static bool may_trace(void)
{
    pid_t child = fork();
    int status;
    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0;
}

static void kill_everywhere(fixture_t *f, const plan_t *plan)
{
    int all = one_peer(f, plan, INT32_MAX, false);
    int kills = 1 + 2 * STEPS_MAX / all;
    kills = kills < KILLS_MAX ? kills : KILLS_MAX;
    print_message("# %d bytes: %d kills within %d steps\n",
                  plan->kind < SIZES ? (int)sizes[plan->kind] : -1, kills, all);
    for (int i = 0; i < kills; i++)
        one_peer(f, plan, (int)((i + rand() / (RAND_MAX + 1.0)) * all / kills), i % 2);
}

static void kill_in_all(fixture_t *f, bool receives)
{
    const char *text = getenv("XO_TEST_SEED");
    unsigned seed = text ? (unsigned)atoi(text) : (unsigned)getpid();
    if (!may_trace()) {
        print_message("# ptrace(2) is not permitted\n");
        skip();
    }
    print_message("# XO_TEST_SEED=%u\n", seed);
    srand(seed);
    rig_listen(&f->rig, f->endpoint);
    one_peer(f, &(plan_t){receives, 0}, 0, true); /* what is made once is there now */
    int descriptors = count_descriptors();
    int segments = count_segments();
    for (int kind = 0; kind <= SIZES; kind++)
        kill_everywhere(f, &(plan_t){receives, kind});
    assert_int_equal(count_descriptors(), descriptors);
    assert_int_equal(count_segments(), segments);
}

static void killed_while_it_sends(void **state)
{
    kill_in_all(*state, false);
}

static void killed_while_it_receives_and_answers(void **state)
{
    kill_in_all(*state, true);
}

/* A segment as a dialler makes it. */
static int lane_memory(void)
{
    xoi_segment_t segment;
    int fd;
    assert_int_equal(
        xoi_segment_create(&segment, XOI_SHM_DATA_AT + 2 * (size_t)RING_BYTES, &fd, NULL), 0);
    xoi_shm_head_t *head = segment.memory;
    head->magic = XOI_SHM_MAGIC;
    head->ring_bytes = RING_BYTES;
    xoi_segment_close(&segment);
    return fd;
}

/* Whether it says nothing at all, or brings a lane and no message. */
static void who_says_nothing_is_refused_in_the_end(void **state)
{
    fixture_t *f = *state;
    const char *path = strstr(f->endpoint, "://") + 3;
    char byte;
    end_t good;
    rig_meet(&f->rig, &good, f->endpoint);
    int silent = xoi_unix_connect(path, NULL);
    int empty = xoi_unix_connect(path, NULL);
    int memory = lane_memory();
    assert_int_equal(xoi_fd_send(empty, XOI_SHM_VERSION, memory), 0);
    close(memory);
    RUN_UNTIL(&f->rig, f->rig.refused == 2);
    assert_non_null(strstr(f->rig.refused_why, "no message for"));
    assert_int_equal(recv(silent, &byte, 1, 0), 0); /* it was hung up on */
    assert_int_equal(recv(empty, &byte, 1, 0), 0);
    close(silent);
    close(empty);
    assert_int_equal(f->rig.accepted[0].closed, 0); /* who has said something may be silent */
    end_destroy(&good);
}

#define SHM_TEST(test)                                                                             \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "shm"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(killed_while_it_sends),
        SHM_TEST(killed_while_it_receives_and_answers),
        SHM_TEST(who_says_nothing_is_refused_in_the_end),
    };
    scratch_t scratch;
    scratch_enter(&scratch);
    int rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
