/* revive.c - xo revive: gives a pool, a group or an actor that has failed another chance. */
#include <string.h>

#include "cmd/node.h"
#include "cmd/text.h"

/* "HOST:PORT/UID" is an actor at an address; with --at the uid may hold anything. */
static int read_target(const xoi_args_t *args, xo_slice_t *what, xo_slice_t *at)
{
    const char *target = args->operands[0], *slash = strchr(target, '/');
    char address[XO_ADDRESS_BYTES];
    xo_address_t parsed;
    *what = xo_slice_str(target);
    *at = xo_slice_str(args->at);
    size_t size = slash ? (size_t)(slash - target) : 0;
    if (!args->at && size > 0 && size < sizeof(address)) {
        memcpy(address, target, size);
        address[size] = '\0';
        if (xo_address_parse(address, &parsed, NULL) == 0 && parsed.port > 0) {
            *at = xo_slice(target, size);
            *what = xo_slice_str(slash + 1);
        }
    }
    if (what->size == 0 || what->size > XO_UID_BYTES_MAX)
        return xoi_complain(XOI_USAGE, "revive: a uid has 1 to %d bytes, not %zu", XO_UID_BYTES_MAX,
                            what->size);
    return XOI_OK;
}

static int run(const xoi_args_t *args)
{
    xo_slice_t what, at;
    xo_future_t *future;
    xo_buf_t request = XO_BUF_INIT;
    int status = read_target(args, &what, &at);
    if (status != XOI_OK)
        return status;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (!node)
        return status;
    xo_pack_format(&request, "[B B]", what, at);
    xoi_node_cancel_on_interrupt(node);
    status =
        xoi_node_ask(node, "revive", "revive", xo_buf_slice(&request), args->timeout_ms, &future);
    xo_future_destroy(future);
    xo_buf_free(&request);
    xoi_node_close(node);
    return status;
}

const xoi_command_t xoi_command_revive = {
    .name = "revive",
    .operands = "POOL | GROUP | [HOST:PORT/]UID",
    .summary = "Brings back a pool, a group or an actor that has failed",
    .options = "atNc",
    .text = "A pool of the node, named by its address or id, is started again, and its failed\n"
            "actors are created again with it. The members of a group, named by its name,\n"
            "are created again in their order. An actor is tried once, and what it raises is\n"
            "shown. Restarts from before do not count any more.\n"
            "\n"
            "examples:\n"
            "  xo revive 127.0.0.1:40001\n"
            "  xo revive counter\n"
            "  xo revive 127.0.0.1:40001/counter\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
