/* nodes.c - xo nodes. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {.title = "NODE", .key = "id"},
    {.title = "HOST", .key = "host"},
    {.title = "PID", .key = "pid", .right = true},
    {.title = "STATE", .key = "state"},
    {.title = "POOLS", .key = "pools", .cell = xoi_cell_count, .right = true},
    {.title = "ACTORS", .key = "actors", .cell = xoi_cell_count, .right = true},
    {.title = "UP", .key = "started", .cell = xoi_cell_age, .right = true},
    {.title = "VERSION", .key = "version"},
    {.title = "REASON", .key = "reason", .usual = "", .spare = true},
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
