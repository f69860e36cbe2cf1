/* pools.c - xo pools. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"ADDRESS", "address", NULL, false, NULL, false},
    {"LABEL", "label", NULL, false, NULL, false},
    {"PID", "pid", NULL, true, NULL, false},
    {"GEN", "generation", NULL, true, NULL, false},
    {"STATE", "state", NULL, false, NULL, false},
    {"RESTART", "restart", NULL, false, "permanent", false},
    {"LANG", "language", NULL, false, NULL, false},
    {"ACTORS", "actors", xoi_cell_count, true, NULL, false},
    {"WAITING", "waiting", xoi_cell_count, true, NULL, false},
    {"HANDLED", "handled", xoi_cell_count, true, NULL, false},
    {"UP", "started", xoi_cell_age, true, NULL, false},
    {"METHOD", "busy_method", NULL, false, "", false},
    {"ACTOR", "busy_actor", NULL, false, "", false},
    {"FOR", "busy_since", xoi_cell_age, true, "", false},
    {"REASON", "reason", NULL, false, "", true},
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
