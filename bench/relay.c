/* relay.c - what it costs that a broker passes messages on: calls of a C actor over a direct link,
 * and by way of xo-broker, from the same caller with the same messages.
 *
 * Prints one JSON object (out.h). `relay one-core` has all three processes on one core, where a
 * wake-up costs the same wherever it goes. $XO_LANES says which lanes the links may take. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/out.h"
#include "bench/station.h"

#define WARM_UP 500
#define ROUND_TRIPS 10000
#define PIPELINED 100000
#define WINDOW 256

/* ---- the broker ---- */

typedef struct broker {
    pid_t pid;
    char endpoint[XO_PATH_BYTES + 16];
} broker_t;

static void broker_start(broker_t *broker)
{
    int fds[2];
    char fd[16];
    if (pipe(fds) < 0)
        xob_die("pipe", strerror(errno));
    broker->pid = fork();
    if (broker->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(fd, sizeof fd, "%d", fds[1]);
        execlp("xo-broker", "xo-broker", "--cluster", "bench", "--registry", "memory:", "--log",
               "error", "--ready-fd", fd, NULL);
        xob_die("xo-broker", strerror(errno));
    }
    close(fds[1]);
    FILE *ready = fdopen(fds[0], "r");
    if (!ready || !fgets(broker->endpoint, sizeof broker->endpoint, ready))
        xob_die("xo-broker", "does not start");
    broker->endpoint[strcspn(broker->endpoint, "\n")] = '\0';
    fclose(ready);
}

static void broker_stop(broker_t *broker)
{
    kill(broker->pid, SIGTERM);
    waitpid(broker->pid, NULL, 0);
}

/* ---- the caller ---- */

typedef struct caller {
    xo_loop_t *loop;
    xo_endpoint_t *endpoint;
    xo_link_t *link;
    uint64_t target_id; /* 0: whoever is at the link's other end */
    int left, under_way;
    int64_t call_ns;
    xob_hist_t times;
} caller_t;

static void answered(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    caller_t *caller = arg;
    xob_hist_record(&caller->times, xob_now_ns() - caller->call_ns);
    caller->under_way--;
    if (!*answer || xo_msg_header(*answer)->kind != XO_RESULT)
        xob_die("relay", "a call failed");
}

static void call_once(caller_t *caller)
{
    xo_error_t err;
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL,
                          .target_id = caller->target_id,
                          .target_uid = xo_slice_str("echo"),
                          .method = xo_slice_str("echo")};
    xo_pack_format(&body, "[[i] {}]", 1);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    caller->call_ns = xob_now_ns();
    if (!msg || !xo_endpoint_call(caller->endpoint, caller->link, &msg, XO_SEND_QUEUE, 0, answered,
                                  caller, &err))
        xob_die("relay", "a call cannot be sent");
    xo_buf_free(&body);
    caller->under_way++;
}

static double run(caller_t *caller, int count, int window)
{
    int64_t start = xob_now_ns();
    xob_hist_clear(&caller->times);
    for (int left = count; left || caller->under_way;) {
        for (; left && caller->under_way < window; left--)
            call_once(caller);
        xo_loop_once(caller->loop, -1);
    }
    return (double)(xob_now_ns() - start) / 1e9;
}

static void bench(caller_t *caller, const char *name, const char *address, uint64_t target_id)
{
    xo_error_t err;
    caller->target_id = target_id;
    caller->link = xo_endpoint_link(caller->endpoint, address, &err);
    if (!caller->link)
        xob_die(address, err.text);
    run(caller, WARM_UP, 1);
    run(caller, ROUND_TRIPS, 1);
    xob_hist(&caller->times, "%s_call_us", name);
    double calls_per_s = PIPELINED / run(caller, PIPELINED, WINDOW);
    xob_number(calls_per_s, "%s_calls_per_s", name);
    xob_number(2 * calls_per_s, "%s_messages_per_s", name); /* there and back */
}

static void ignore(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)endpoint;
    (void)from;
    (void)arg;
    xo_msg_destroy(msg);
}

int main(int argc, char **argv)
{
    xo_error_t err;
    child_t child;
    broker_t broker;
    static caller_t caller;
    bool one_core = argc == 2 && strcmp(argv[1], "one-core") == 0;
    char folder[sizeof XOB_FOLDER];
    const xo_endpoint_ops_t ops = {.request = ignore};
    const xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    if (argc > 1 && !one_core)
        xob_die("usage", "relay, or relay one-core");
    if (one_core)
        xob_bind(0, 0);
    xob_scratch_enter(folder);
    broker_start(&broker);
    child_start(&child, NULL, broker.endpoint);
    xo_ctx_t *ctx = xo_ctx_create("bench", &err);
    caller.loop = xo_loop_create(&err);
    caller.endpoint =
        ctx ? xo_endpoint_create(ctx, caller.loop, &self, &ops, NULL, NULL, &err) : NULL;
    if (!caller.endpoint)
        xob_die("relay", err.text);
    xob_open();
    bench(&caller, one_core ? "core_direct" : "direct", child.address, 0);
    bench(&caller, one_core ? "core_relay" : "relay", broker.endpoint, child.endpoint_id);
    xob_close();
    xo_endpoint_destroy(caller.endpoint);
    xo_loop_destroy(caller.loop);
    xo_ctx_destroy(ctx);
    child_stop(&child);
    broker_stop(&broker);
    xob_scratch_leave(folder);
    return 0;
}
