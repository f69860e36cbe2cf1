/* stop.c - xo stop: asks a node to stop, and waits until it is gone. */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/node.h"
#include "cmd/text.h"

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

static int run(const xoi_args_t *args)
{
    int status;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (!node)
        return status;
    int64_t pid = xoi_node_pid(node);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
    status = ask(args, node);
    bool connected = status == XOI_OK && xoi_node_wait(node, args->timeout_ms);
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
    .text = "examples:\n"
            "  xo stop\n"
            "  xo stop --cluster staging --timeout 5\n",
    .run = run,
};
