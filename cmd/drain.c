/* drain.c - xo drain: a node that is to leave ends its actors in order. */
#include <stdio.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/text.h"

#define COUNT_MS 5000 /* for how many actors are left */

/* Of the node itself, not of the cluster; -1: it does not say. */
static int64_t count_left(xoi_node_t *node)
{
    json_object *status = NULL, *actors = NULL;
    int64_t count = -1;
    if (xoi_node_records(node, "status", xo_slice(NULL, 0), COUNT_MS, &status) == XOI_OK &&
        xoi_node_records(node, "actors", xo_slice(NULL, 0), COUNT_MS, &actors) == XOI_OK &&
        json_object_is_type(actors, json_type_array))
        count = 0;
    for (size_t i = 0; count >= 0 && i < json_object_array_length(actors); i++)
        count += strcmp(xoi_json_get_text(json_object_array_get_idx(actors, i), "node"),
                        xoi_json_get_text(status, "id")) == 0;
    json_object_put(actors);
    json_object_put(status);
    return count;
}

static void tell_rest(xoi_node_t *node)
{
    int64_t count = count_left(node);
    char number[32] = "its";
    if (count >= 0)
        snprintf(number, sizeof(number), "%lld", (long long)count);
    xoi_complain(0,
                 "drain: the node goes on draining, with %s actors left: xo actors shows them, "
                 "xo drain waits again, xo stop ends them in any case",
                 number);
}

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
    if (status == XOI_TIMEOUT)
        tell_rest(node);
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
