/* pools.c - xo pools. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {.title = "ADDRESS", .key = "address"},
    {.title = "LABEL", .key = "label"},
    {.title = "PID", .key = "pid", .right = true},
    {.title = "GEN", .key = "generation", .right = true},
    {.title = "STATE", .key = "state"},
    {.title = "RESTART", .key = "restart", .usual = "permanent"},
    {.title = "LANG", .key = "language"},
    {.title = "ACTORS", .key = "actors", .cell = xoi_cell_count, .right = true},
    {.title = "WAITING", .key = "waiting", .cell = xoi_cell_count, .right = true},
    {.title = "HANDLED", .key = "handled", .cell = xoi_cell_count, .right = true},
    {.title = "UP", .key = "started", .cell = xoi_cell_age, .right = true},
    {.title = "METHOD", .key = "busy_method", .usual = ""},
    {.title = "ACTOR", .key = "busy_actor", .usual = ""},
    {.title = "FOR", .key = "busy_since", .cell = xoi_cell_age, .right = true, .usual = ""},
    {.title = "REASON", .key = "reason", .usual = "", .spare = true},
};

static int run(const xoi_args_t *args)
{
    return xoi_list(args, "pools", NULL, columns, sizeof(columns) / sizeof(columns[0]), "no pools");
}

const xoi_command_t xoi_command_pools = {
    .name = "pools",
    .operands = "",
    .summary = "Lists the pools of the cluster",
    .options = "jwtNc",
    .text = "GEN counts the processes that the pool has had: above 1 it was restarted.\n"
            "RESTART, where it is not permanent for all: is a pool started again when its\n"
            "process ends? permanent: always; transient: unless it ended with status 0;\n"
            "temporary: never.\n"
            "WAITING are messages in mailboxes, HANDLED those that were handled.\n"
            "A pool is suspect while its loop stands still. METHOD, ACTOR and FOR tell what a\n"
            "pool is in at this moment, and for how long, where one is in a method. REASON,\n"
            "where one is not well and the line has room, says why; --wide shows it whole.\n"
            "\n"
            "examples:\n"
            "  xo pools\n"
            "  xo pools --json | jq '.[] | select(.state != \"ready\")'\n",
    .run = run,
};
