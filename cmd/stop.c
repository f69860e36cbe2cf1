/* stop.c - xo stop: asks a node to stop, and waits until it is gone. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/text.h"

#define LOOK_MS 500 /* how often it is asked what it waits for */

static int ask(const xoi_args_t *args, xoi_node_t *node)
{
    xo_future_t *future;
    int status =
        xoi_node_ask(node, "stop", "node.stop", xo_slice(NULL, 0), args->timeout_ms, &future);
    xo_future_destroy(future);
    return status;
}

/* Waits for the process behind `pidfd` to end, if there is one to watch. */
static bool process_ended(int pidfd, int64_t timeout_ms)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    int ms = timeout_ms > INT32_MAX ? -1 : (int)timeout_ms;
    return pidfd < 0 || poll(&poll_fd, 1, ms) == 1;
}

/* Says whose end the node waits for, if that is another's than before, which it frees. */
static char *tell_awaited(xoi_node_t *node, char *before)
{
    json_object *record = xoi_node_look(node, "status", LOOK_MS);
    bool stops = strcmp(xoi_json_get_text(record, "state"), "stopping") == 0;
    char *awaited = xoi_text_printf("%s", stops ? xoi_json_get_text(record, "reason") : "");
    if (awaited[0] && strcmp(awaited, before) != 0)
        xoi_complain(0, "stop: waiting for %s to end", awaited);
    json_object_put(record);
    free(before);
    return awaited;
}

/* False: it is gone. */
static bool outlasts(xoi_node_t *node, int64_t timeout_ms)
{
    char *told = xoi_text_printf("%s", "");
    int64_t end = xo_boot_ns() + timeout_ms * XO_MS;
    int64_t left = timeout_ms;
    bool is_there = true;
    while (is_there && left > 0) {
        is_there = xoi_node_wait(node, left < LOOK_MS ? left : LOOK_MS);
        if (is_there)
            told = tell_awaited(node, told);
        left = (end - xo_boot_ns()) / XO_MS;
    }
    free(told);
    return is_there;
}

static int run(const xoi_args_t *args)
{
    int status;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (!node)
        return status;
    int64_t pid = xoi_node_pid(node);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
    status = ask(args, node);
    bool connected = status == XOI_OK && outlasts(node, args->timeout_ms);
    xoi_node_close(node);
    if (status == XOI_OK && (connected || !process_ended(pidfd, args->timeout_ms)))
        status = xoi_complain(XOI_TIMEOUT, "stop: the node is stopping, but is not gone yet");
    if (pidfd >= 0)
        close(pidfd);
    return status;
}

const xoi_command_t xoi_command_stop = {
    .name = "stop",
    .operands = "",
    .summary = "Stops a node and its pools, and waits until it is gone",
    .options = "tNc",
    .text = "Its groups end first, each member within its own limit, all within the node's\n"
            "stop_timeout_ms (20 s); whom it waits for is said. SIGTERM, twice, ends the node\n"
            "at once.\n"
            "\n"
            "examples:\n"
            "  xo stop\n"
            "  xo stop --cluster staging --timeout 5\n",
    .run = run,
};
