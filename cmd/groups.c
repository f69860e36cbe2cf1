/* groups.c - xo groups. */
#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {.title = "NAME", .key = "name"},
    {.title = "NODE", .key = "node"},
    {.title = "PARENT", .key = "parent", .usual = ""},
    {.title = "STRATEGY", .key = "strategy"},
    {.title = "MEMBERS", .key = "members", .right = true},
    {.title = "STATE", .key = "state"},
    {.title = "RESTARTS", .key = "restarts", .right = true},
    {.title = "REASON", .key = "reason", .usual = ""},
};

static int run(const xoi_args_t *args)
{
    return xoi_list(args, "groups", NULL, columns, sizeof(columns) / sizeof(columns[0]),
                    "no groups");
}

const xoi_command_t xoi_command_groups = {
    .name = "groups",
    .operands = "",
    .summary = "Lists the groups of actors that are restarted together",
    .options = "jwtNc",
    .text = "STRATEGY: when a member fails, which are restarted? one_for_one: that one;\n"
            "one_for_all: all; rest_for_one: it, and those after it. RESTARTS counts them.\n"
            "A group that has more of them than are fine has failed; REASON says why, and\n"
            "'xo revive NAME' brings it back.\n"
            "A group that is lost is of a node that is gone.\n"
            "\n"
            "examples:\n"
            "  xo groups\n"
            "  xo groups --json | jq -r '.[] | select(.state == \"failed\") | .name'\n",
    .run = run,
};
