/* pools.c - xo pools. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"ADDRESS", "address", NULL, false, false},
    {"LABEL", "label", NULL, false, false},
    {"PID", "pid", NULL, true, false},
    {"GEN", "generation", NULL, true, false},
    {"STATE", "state", NULL, false, false},
    {"RESTART", "restart", NULL, false, false},
    {"LANG", "language", NULL, false, false},
    {"ACTORS", "actors", xoi_cell_count, true, false},
    {"WAITING", "waiting", xoi_cell_count, true, false},
    {"HANDLED", "handled", xoi_cell_count, true, false},
    {"UP", "started", xoi_cell_age, true, false},
    {"METHOD", "busy_method", NULL, false, true},
    {"ACTOR", "busy_actor", NULL, false, true},
    {"FOR", "busy_since", xoi_cell_age, true, true},
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
            "RESTART: is it started again when its process ends? permanent: always;\n"
            "transient: unless it ended with status 0; temporary: never.\n"
            "WAITING are messages in mailboxes, HANDLED those that were handled.\n"
            "A pool is suspect while its loop stands still. METHOD, ACTOR and FOR tell what a\n"
            "pool is in at this moment, and for how long, where one is in a method.\n"
            "\n"
            "examples:\n"
            "  xo pools\n"
            "  xo pools --json | jq '.[] | select(.state != \"ready\")'\n",
    .run = run,
};
