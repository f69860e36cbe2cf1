/* drain.c - xo drain: a node that is to leave ends its actors in order. */
#include "cmd/node.h"

static int run(const xoi_args_t *args)
{
    int status;
    xo_future_t *future;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (!node)
        return status;
    status =
        xoi_node_ask(node, "drain", "node.drain", xo_slice(NULL, 0), args->timeout_ms, &future);
    xo_future_destroy(future);
    xoi_node_close(node);
    return status;
}

const xoi_command_t xoi_command_drain = {
    .name = "drain",
    .operands = "",
    .summary = "Ends the actors of a node that is to leave, in order, and waits",
    .options = "tNc",
    .text = "The node takes no new actors and pools from then on. After the timeout it goes\n"
            "on without being waited for. Nothing is killed; xo stop does that.\n"
            "\n"
            "examples:\n"
            "  xo drain && xo stop\n"
            "  xo drain --timeout 300 || xo actors\n",
    .run = run,
};
