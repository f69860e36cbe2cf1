/* stop.c - xo stop: asks a node to stop, and waits until it is gone. */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/node.h"
#include "cmd/text.h"

#define POLL_MS 20 /* how often to look whether the connection is gone */

/* Waits for the process behind `pidfd` to end. */
static bool process_ended(int pidfd, int64_t timeout_ms)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    int ms = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    return poll(&poll_fd, 1, ms) == 1;
}

/* For a broker whose process cannot be watched from here. */
static bool connection_ended(xoi_node_t *node, int64_t timeout_ms)
{
    for (int64_t waited = 0; xoi_node_connected(node) && waited < timeout_ms; waited += POLL_MS)
        xoi_node_wait(node, POLL_MS);
    return !xoi_node_connected(node);
}

static int stop(const xoi_args_t *args, xoi_node_t *node, int pidfd)
{
    xo_future_t *future;
    int status =
        xoi_node_ask(node, "stop", "node.stop", xo_slice(NULL, 0), args->timeout_ms, &future);
    xo_future_destroy(future);
    if (status != XOI_OK)
        return status;
    bool ended = pidfd >= 0 ? process_ended(pidfd, args->timeout_ms)
                            : connection_ended(node, args->timeout_ms);
    if (!ended)
        return xoi_complain(XOI_TIMEOUT, "stop: the node is stopping, but is not gone yet");
    return XOI_OK;
}

static int run(const xoi_args_t *args)
{
    int status;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (!node)
        return status;
    int64_t pid = xoi_node_pid(node);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
    status = stop(args, node, pidfd);
    if (pidfd >= 0)
        close(pidfd);
    xoi_node_close(node);
    return status;
}

const xoi_command_t xoi_command_stop = {
    .name = "stop",
    .operands = "",
    .summary = "Stops a node and its pools, and waits until it is gone",
    .options = "tNc",
    .text = "examples:\n"
            "  xo stop\n"
            "  xo stop --cluster staging --timeout 5\n",
    .run = run,
};
