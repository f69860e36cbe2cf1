/* list.c - what nodes, pools and actors have in common. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/table.h"
#include "cmd/text.h"

void xoi_print_records(json_object *records)
{
    size_t count = json_object_array_length(records);
    putchar('[');
    for (size_t i = 0; i < count; i++) {
        char *text = xoi_json_text(json_object_array_get_idx(records, i));
        printf("%s\n %s", i ? "," : "", text);
        free(text);
    }
    puts(count ? "\n]" : "]");
}

static json_object *filter(json_object *records, xoi_keep_f keep, const xoi_args_t *args)
{
    json_object *kept = xoi_need(json_object_new_array());
    for (size_t i = 0; i < json_object_array_length(records); i++) {
        json_object *record = json_object_array_get_idx(records, i);
        if (!keep || keep(record, args))
            json_object_array_add(kept, json_object_get(record));
    }
    return kept;
}

static void print(const xoi_args_t *args, json_object *records, const xoi_column_t *columns,
                  size_t count, const char *empty)
{
    if (args->json)
        xoi_print_records(records);
    else if (json_object_array_length(records))
        xoi_table_print(columns, count, records, args->wide ? 0 : xoi_text_columns());
    else
        fprintf(stderr, "%s\n", empty);
}

/* Of the other nodes only the registry tells. */
static void say_what_lacks(const xoi_args_t *args, xoi_node_t *node, const char *method)
{
    json_object *record = xoi_node_look(node, "status", args->timeout_ms);
    json_object *state = xoi_json_get(record, "registry_state");
    if (state && strcmp(json_object_get_string(state), "up") != 0) {
        char *why = xoi_cell_text(state);
        xoi_complain(XOI_OK, "%s: only those of one node, which does not reach its registry: %s",
                     method, why);
        free(why);
    }
    json_object_put(record);
}

int xoi_list(const xoi_args_t *args, const char *method, xoi_keep_f keep,
             const xoi_column_t *columns, size_t count, const char *empty)
{
    int status;
    json_object *records = NULL;
    xoi_node_t *node = xoi_node_open(args, &status);
    if (node)
        status = xoi_node_records(node, method, xo_slice(NULL, 0), args->timeout_ms, &records);
    if (status == XOI_OK && !json_object_is_type(records, json_type_array))
        status = xoi_complain(XOI_FAILED, "%s: the answer is not a list", method);
    if (status == XOI_OK) {
        json_object *kept = filter(records, keep, args);
        print(args, kept, columns, count, empty);
        json_object_put(kept);
        say_what_lacks(args, node, method);
    }
    json_object_put(records);
    xoi_node_close(node);
    return status;
}
