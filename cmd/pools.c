/* pools.c - xo pools. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"ADDRESS", "address", NULL, false},
    {"LABEL", "label", NULL, false},
    {"PID", "pid", NULL, true},
    {"GEN", "generation", NULL, true},
    {"STATE", "state", NULL, false},
    {"LANG", "language", NULL, false},
    {"ACTORS", "actors", xoi_cell_count, true},
    {"WAITING", "waiting", xoi_cell_count, true},
    {"HANDLED", "handled", xoi_cell_count, true},
    {"UP", "started", xoi_cell_age, true},
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
            "WAITING are messages in mailboxes, HANDLED those that were handled.\n"
            "\n"
            "examples:\n"
            "  xo pools\n"
            "  xo pools --json | jq '.[] | select(.state != \"ready\")'\n",
    .run = run,
};
