/* pools.c - xo pools. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"ADDRESS", "address", NULL, false, NULL},
    {"LABEL", "label", NULL, false, NULL},
    {"PID", "pid", NULL, true, NULL},
    {"GEN", "generation", NULL, true, NULL},
    {"STATE", "state", NULL, false, NULL},
    {"RESTART", "restart", NULL, false, "permanent"},
    {"LANG", "language", NULL, false, NULL},
    {"ACTORS", "actors", xoi_cell_count, true, NULL},
    {"WAITING", "waiting", xoi_cell_count, true, NULL},
    {"HANDLED", "handled", xoi_cell_count, true, NULL},
    {"UP", "started", xoi_cell_age, true, NULL},
    {"METHOD", "busy_method", NULL, false, ""},
    {"ACTOR", "busy_actor", NULL, false, ""},
    {"FOR", "busy_since", xoi_cell_age, true, ""},
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
            "pool is in at this moment, and for how long, where one is in a method.\n"
            "\n"
            "examples:\n"
            "  xo pools\n"
            "  xo pools --json | jq '.[] | select(.state != \"ready\")'\n",
    .run = run,
};
