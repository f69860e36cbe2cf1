/* nodes.c - xo nodes. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"NODE", "id", NULL, false, false},
    {"HOST", "host", NULL, false, false},
    {"PID", "pid", NULL, true, false},
    {"STATE", "state", NULL, false, false},
    {"POOLS", "pools", xoi_cell_count, true, false},
    {"ACTORS", "actors", xoi_cell_count, true, false},
    {"UP", "started", xoi_cell_age, true, false},
    {"VERSION", "version", NULL, false, false},
};

static int run(const xoi_args_t *args)
{
    return xoi_list(args, "nodes", NULL, columns, sizeof(columns) / sizeof(columns[0]), "no nodes");
}

const xoi_command_t xoi_command_nodes = {
    .name = "nodes",
    .operands = "",
    .summary = "Lists the nodes of the cluster",
    .options = "jwtNc",
    .text = "examples:\n"
            "  xo nodes\n"
            "  xo nodes --json | jq -r '.[].host'\n",
    .run = run,
};
