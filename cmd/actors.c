/* actors.c - xo actors. */
#include <string.h>

#include "cmd/node.h"
#include "cmd/table.h"
#include "cmd/text.h"

static const xoi_column_t columns[] = {
    {.title = "UID", .key = "uid"},
    {.title = "CLASS", .key = "class"},
    {.title = "ADDRESS", .key = "address"},
    {.title = "INC", .key = "incarnation", .right = true},
    {.title = "STATE", .key = "state"},
    {.title = "RESTART", .key = "restart"},
    {.title = "REASON", .key = "reason", .usual = ""},
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

/* XOI_OK if there is a pool that --pool names: one without actors is not one that does not exist.
 */
static int check_pool(const xoi_args_t *args)
{
    int status;
    bool found = false;
    json_object *pools = NULL;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (node)
        status = xoi_node_records(node, "pools", xo_slice(NULL, 0), args->timeout_ms, &pools);
    if (status == XOI_OK && json_object_is_type(pools, json_type_array))
        for (size_t i = 0; i < json_object_array_length(pools) && !found; i++) {
            json_object *pool = json_object_array_get_idx(pools, i);
            found = equals(pool, "address", args->pool) || equals(pool, "id", args->pool);
        }
    if (status == XOI_OK && !found)
        status = xoi_complain(XOI_NO_ACTOR, "actors: no pool '%s' in cluster '%s'; see: xo pools",
                              args->pool, xoi_node_cluster(node));
    json_object_put(pools);
    xoi_node_close(node);
    return status;
}

static int run(const xoi_args_t *args)
{
    int status = args->pool ? check_pool(args) : XOI_OK;
    if (status != XOI_OK)
        return status;
    return xoi_list(args, "actors", keep, columns, sizeof(columns) / sizeof(columns[0]),
                    args->pool ? "no actors in this pool" : "no actors");
}

const xoi_command_t xoi_command_actors = {
    .name = "actors",
    .operands = "",
    .summary = "Lists the actors of the cluster",
    .options = "pjwtNc",
    .text = "INC is the incarnation, which grows each time the actor is created. RESTART: is\n"
            "it created again when its pool dies? permanent: always; transient: unless the\n"
            "process ended with status 0; temporary: never. REASON, where one does not run,\n"
            "says why; --wide shows it whole. Characters that a terminal would act upon are\n"
            "shown as \\xNN.\n"
            "\n"
            "examples:\n"
            "  xo actors\n"
            "  xo actors --pool 127.0.0.1:40001\n"
            "  xo actors --json | jq -r '.[] | select(.state == \"failed\") | .uid'\n",
    .run = run,
};
