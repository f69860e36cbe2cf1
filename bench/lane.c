/* lane.c - what the lanes between two processes of a node cost by themselves, without links, credit
 * and actors: a round trip, and messages one way.
 *
 * `lane SCHEME` measures that one only. Prints one JSON object (out.h). The peer is a child
 * process; it echoes, or counts what comes one way and answers the last message. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/out.h"
#include "libxo/lane.h"

#define WARM_UP 1000
#define ROUND_TRIPS 20000
#define ONE_WAY 1000000
#define BODY_BYTES 24 /* with its header a message of about 64 bytes */
#define BATCH 256     /* sent in one pass, as an actor's turn does */

static void send_one(xo_lane_t *lane, uint64_t seq)
{
    char bytes[BODY_BYTES] = {0};
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_bin(&body, bytes, sizeof bytes - 2);
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_TELL, .seq = seq}, xo_buf_slice(&body));
    xo_buf_free(&body);
    if (!msg || xo_lane_send(lane, &msg) < 0)
        xob_die("lane", "cannot send");
}

/* ---- the child: answers round trips, and the last message of one way ---- */

static void child_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)arg;
    uint64_t seq = xo_msg_header(*msg)->seq;
    if (seq <= WARM_UP + ROUND_TRIPS || seq == WARM_UP + ROUND_TRIPS + ONE_WAY)
        xo_lane_send(lane, msg);
}

static void closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    xo_loop_stop(arg);
}

static const xo_lane_events_t child_events = {.message = child_message, .closed = closed};

static void child(const char *endpoint)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    xo_ctx_t *ctx = xo_ctx_create("bench", NULL);
    xo_loop_t *loop = xo_loop_create(NULL);
    xo_lane_t *lane = xo_dial(ctx, loop, endpoint, &child_events, loop, NULL);
    if (!lane)
        xob_die(endpoint, "cannot be used");
    send_one(lane, 0);
    xo_loop_run(loop);
    _exit(0);
}

/* ---- the parent ---- */

typedef struct parent {
    xo_loop_t *loop;
    xo_lane_t *lane;
    uint64_t received;
    xob_hist_t times;
} parent_t;

static void parent_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    parent_t *parent = arg;
    (void)lane;
    parent->received = xo_msg_header(*msg)->seq;
}

static const xo_lane_events_t parent_events = {.message = parent_message, .closed = closed};

static void accepted(xo_listener_t *listener, xo_lane_t *lane, void *arg)
{
    parent_t *parent = arg;
    (void)listener;
    xo_lane_set_events(lane, &parent_events, parent->loop);
    lane->arg = parent;
    parent->lane = lane;
}

static void round_trip(parent_t *parent, uint64_t seq)
{
    send_one(parent->lane, seq);
    while (parent->received < seq)
        xo_loop_once(parent->loop, -1);
}

static void measure(parent_t *parent, const char *name)
{
    uint64_t seq = 0;
    while (seq < WARM_UP)
        round_trip(parent, ++seq);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        int64_t start = xob_now_ns();
        round_trip(parent, ++seq);
        xob_hist_record(&parent->times, xob_now_ns() - start);
    }
    xob_hist(&parent->times, "lane_%s_us", name);
    int64_t start = xob_now_ns();
    for (int i = 0; i < ONE_WAY; i++) {
        send_one(parent->lane, ++seq);
        if (i % BATCH == 0)
            xo_loop_once(parent->loop, 0);
    }
    while (parent->received < seq)
        xo_loop_once(parent->loop, -1);
    xob_number(ONE_WAY / ((double)(xob_now_ns() - start) / 1e9), "lane_%s_one_way_per_s", name);
}

static void bench(const char *name, const char *folder)
{
    static parent_t parent;
    char endpoint[256];
    const xo_listener_events_t events = {.accepted = accepted};
    int ready[2];
    char byte = 0;
    snprintf(endpoint, sizeof endpoint, "%s://%s/%s", name, folder, name);
    fflush(stdout);
    pid_t pid = pipe(ready) == 0 ? fork() : -1;
    if (pid < 0)
        xob_die("lane", "cannot fork");
    if (pid == 0) {
        if (read(ready[0], &byte, 1) == 1)
            child(endpoint);
        _exit(1);
    }
    parent = (parent_t){.loop = xo_loop_create(NULL)};
    xo_ctx_t *ctx = xo_ctx_create("bench", NULL);
    xo_listener_t *listener = xo_listen(ctx, parent.loop, endpoint, &events, &parent, NULL);
    if (!listener || write(ready[1], &byte, 1) != 1)
        xob_die(endpoint, "cannot be used");
    while (!parent.lane)
        xo_loop_once(parent.loop, -1);
    measure(&parent, name);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    xo_lane_destroy(parent.lane);
    xo_listener_destroy(listener);
    xo_ctx_destroy(ctx);
    xo_loop_destroy(parent.loop);
    close(ready[0]);
    close(ready[1]);
}

int main(int argc, char **argv)
{
    char folder[sizeof XOB_FOLDER];
    xob_scratch_enter(folder);
    xob_open();
    if (argc > 1) {
        bench(argv[1], folder);
    } else {
        bench("shm", folder);
        bench("ipc", folder);
    }
    xob_close();
    xob_scratch_leave(folder);
    return 0;
}
