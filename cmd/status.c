/* status.c - xo status: the node's own record. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/table.h"
#include "cmd/text.h"

/* "key       value", the value cut to the line's width. */
static void print_line(const xoi_args_t *args, const char *key, char *value)
{
    if (!args->wide)
        value = xoi_text_fit(value, xoi_text_columns() - 11);
    printf("%-10s %s\n", key, value);
    free(value);
}

static void print_field(const xoi_args_t *args, json_object *record, const char *key)
{
    print_line(args, key, xoi_cell_text(xoi_json_get(record, key)));
}

static json_object *lane_row(const char *scheme, json_object *numbers)
{
    static const char *const keys[] = {"messages in", "messages out", "bytes in", "bytes out"};
    json_object *row = xoi_need(json_object_new_object());
    json_object_object_add(row, "lane", json_object_new_string(scheme));
    for (size_t i = 0; i < 4 && i < json_object_array_length(numbers); i++)
        json_object_object_add(row, keys[i],
                               json_object_get(json_object_array_get_idx(numbers, i)));
    return row;
}

static char *cell_bytes(json_object *value)
{
    return value ? xoi_text_bytes(json_object_get_uint64(value)) : xoi_text_printf("-");
}

static void print_lanes(const xoi_args_t *args, json_object *lanes)
{
    static const xoi_column_t columns[] = {
        {.title = "LANE", .key = "lane"},
        {.title = "MESSAGES IN", .key = "messages in", .cell = xoi_cell_count, .right = true},
        {.title = "MESSAGES OUT", .key = "messages out", .cell = xoi_cell_count, .right = true},
        {.title = "BYTES IN", .key = "bytes in", .cell = cell_bytes, .right = true},
        {.title = "BYTES OUT", .key = "bytes out", .cell = cell_bytes, .right = true},
    };
    if (!json_object_is_type(lanes, json_type_object) || json_object_object_length(lanes) == 0)
        return;
    json_object *rows = xoi_need(json_object_new_array());
    json_object_object_foreach(lanes, scheme, numbers)
    {
        if (json_object_is_type(numbers, json_type_array))
            json_object_array_add(rows, lane_row(scheme, numbers));
    }
    putchar('\n');
    xoi_table_print(columns, sizeof(columns) / sizeof(columns[0]), rows,
                    args->wide ? 0 : xoi_text_columns());
    json_object_put(rows);
}

/* "no-actor 3, closed 1", or "none". */
static char *drops_text(json_object *drops)
{
    char *text = xoi_text_printf("%s", "");
    if (json_object_is_type(drops, json_type_object)) {
        json_object_object_foreach(drops, reason, count)
        {
            if (json_object_get_uint64(count) == 0)
                continue;
            char *name = xoi_text_escape(reason, strlen(reason), 0);
            char *longer = xoi_text_printf("%s%s%s %s", text, *text ? ", " : "", name,
                                           json_object_get_string(count));
            free(name);
            free(text);
            text = longer;
        }
    }
    if (*text)
        return text;
    free(text);
    return xoi_text_printf("none");
}

/* "unix:///... (up)" */
static char *registry_text(json_object *record)
{
    json_object *state = xoi_json_get(record, "registry_state");
    char *url = xoi_cell_text(xoi_json_get(record, "registry"));
    if (!state)
        return url;
    char *name = xoi_cell_text(state);
    char *text = xoi_text_printf("%s (%s)", url, name);
    free(name);
    free(url);
    return text;
}

static void print_status(const xoi_args_t *args, const xoi_node_t *node, json_object *record)
{
    print_line(args, "cluster", xoi_text_printf("%s", xoi_node_cluster(node)));
    print_field(args, record, "id");
    print_field(args, record, "state");
    print_field(args, record, "host");
    print_field(args, record, "pid");
    print_line(args, "up", xoi_cell_age(xoi_json_get(record, "started")));
    print_field(args, record, "address");
    print_field(args, record, "version");
    print_line(args, "registry", registry_text(record));
    print_field(args, record, "pools");
    print_field(args, record, "actors");
    print_line(args, "drops", drops_text(xoi_json_get(record, "drops")));
    print_lanes(args, xoi_json_get(record, "lanes"));
}

static int run(const xoi_args_t *args)
{
    int status;
    json_object *record = NULL;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (node)
        status = xoi_node_records(node, "status", xo_slice(NULL, 0), args->timeout_ms, &record);
    if (status == XOI_OK && !json_object_is_type(record, json_type_object))
        status = xoi_complain(XOI_FAILED, "status: the answer is not a record");
    if (status == XOI_OK && args->json) {
        char *text = xoi_json_text(record);
        puts(text);
        free(text);
    } else if (status == XOI_OK) {
        print_status(args, node, record);
    }
    json_object_put(record);
    xoi_node_close(node);
    return status;
}

const xoi_command_t xoi_command_status = {
    .name = "status",
    .operands = "",
    .summary = "Shows one node: its state, registry, traffic and drops",
    .options = "jwtNc",
    .text = "Without --node this is the node of this user on this machine. The table counts\n"
            "what went over the broker's links, by kind of lane; \"drops\" are messages that\n"
            "the node's broker and pools did not deliver, by reason.\n"
            "\n"
            "examples:\n"
            "  xo status\n"
            "  xo status --json | jq .registry\n"
            "  xo status --node 127.0.0.1:40001\n",
    .run = run,
};
