/* nodes.c - xo nodes. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"NODE", "id", NULL, false, NULL, false},
    {"HOST", "host", NULL, false, NULL, false},
    {"PID", "pid", NULL, true, NULL, false},
    {"STATE", "state", NULL, false, NULL, false},
    {"POOLS", "pools", xoi_cell_count, true, NULL, false},
    {"ACTORS", "actors", xoi_cell_count, true, NULL, false},
    {"UP", "started", xoi_cell_age, true, NULL, false},
    {"VERSION", "version", NULL, false, NULL, false},
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
