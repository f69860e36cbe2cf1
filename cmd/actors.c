/* actors.c - xo actors. */
#include <string.h>

#include "cmd/node.h"
#include "cmd/table.h"

static const xoi_column_t columns[] = {
    {"UID", "uid", NULL, false},         {"CLASS", "class", NULL, false},
    {"ADDRESS", "address", NULL, false}, {"INC", "incarnation", NULL, true},
    {"STATE", "state", NULL, false},
};

static bool equals(json_object *record, const char *key, const char *text)
{
    json_object *value;
    return json_object_object_get_ex(record, key, &value) &&
           json_object_is_type(value, json_type_string) &&
           strcmp(json_object_get_string(value), text) == 0;
}

static bool keep(json_object *actor, const xoi_args_t *args)
{
    return !args->pool || equals(actor, "address", args->pool) || equals(actor, "pool", args->pool);
}

static int run(const xoi_args_t *args)
{
    return xoi_list(args, "actors", keep, columns, sizeof(columns) / sizeof(columns[0]),
                    args->pool ? "no actors in this pool" : "no actors");
}

const xoi_command_t xoi_command_actors = {
    .name = "actors",
    .operands = "",
    .summary = "Lists the actors of the cluster",
    .options = "pjwtNc",
    .text = "INC is the incarnation: how many times the actor was created. Characters that a\n"
            "terminal would act upon are shown as \\xNN.\n"
            "\n"
            "examples:\n"
            "  xo actors\n"
            "  xo actors --pool 127.0.0.1:40001\n"
            "  xo actors --json | jq -r '.[] | select(.state == \"failed\") | .uid'\n",
    .run = run,
};
