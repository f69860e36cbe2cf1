/* dead-letters.c - xo dead-letters: the last messages that could not be delivered. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/table.h"
#include "cmd/text.h"

#define LETTERS_DEFAULT 20
#define TIME_BYTES 32

/* Today's with the time to the millisecond, others with the date. */
static char *cell_time(json_object *value)
{
    double seconds = value ? json_object_get_double(value) : 0;
    time_t then = (time_t)seconds;
    time_t now = (time_t)xoi_text_now();
    struct tm parts, today;
    char text[TIME_BYTES] = "-";
    if (seconds <= 0 || !localtime_r(&then, &parts) || !localtime_r(&now, &today))
        return xoi_text_printf("-");
    bool is_today = parts.tm_yday == today.tm_yday && parts.tm_year == today.tm_year;
    strftime(text, sizeof(text), is_today ? "%H:%M:%S" : "%m-%d %H:%M", &parts);
    return is_today ? xoi_text_printf("%s.%03d", text, (int)((seconds - (double)then) * 1000))
                    : xoi_text_printf("%s", text);
}

static const xoi_column_t columns[] = {
    {.title = "TIME", .key = "time", .cell = cell_time, .right = true},
    {.title = "REASON", .key = "reason"},
    {.title = "KIND", .key = "kind"},
    {.title = "UID", .key = "uid"},
    {.title = "METHOD", .key = "method"},
    {.title = "AT", .key = "address"},
    {.title = "FROM", .key = "from"},
    {.title = "BYTES", .key = "bytes", .right = true},
    {.title = "PAYLOAD", .key = "payload", .usual = ""},
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static double time_of(const void *letter)
{
    json_object *value = NULL;
    json_object_object_get_ex(*(json_object *const *)letter, "time", &value);
    return value ? json_object_get_double(value) : 0;
}

static int compare(const void *a, const void *b)
{
    return (time_of(a) > time_of(b)) - (time_of(a) < time_of(b));
}

/* Of those that a link's end took nobody knows whom they were for: how many, and where they went.
 */
static void name_lost(json_object *letters)
{
    for (size_t i = 0; i < json_object_array_length(letters); i++) {
        json_object *letter = json_object_array_get_idx(letters, i);
        json_object *to, *count;
        if (!json_object_object_get_ex(letter, "to", &to) ||
            !json_object_object_get_ex(letter, "count", &count))
            continue;
        char *text = xoi_text_printf("%lld to %s", (long long)json_object_get_int64(count),
                                     json_object_get_string(to));
        json_object_object_add(letter, "uid", json_object_new_string(text));
        free(text);
    }
}

static void print(const xoi_args_t *args, json_object *letters)
{
    size_t count = json_object_array_length(letters);
    size_t last = args->count < 0 ? LETTERS_DEFAULT : (size_t)args->count;
    json_object_array_sort(letters, compare);
    if (count > last)
        json_object_array_del_idx(letters, 0, count - last);
    if (args->json)
        xoi_print_records(letters);
    else if (json_object_array_length(letters)) {
        name_lost(letters);
        xoi_table_print(columns, COLUMNS, letters, args->wide ? 0 : xoi_text_columns());
    } else
        fprintf(stderr, "no dead letters\n");
}

/* They are no error: what the others say is worth printing. */
static void name_silent(json_object *silent)
{
    for (size_t i = 0; i < json_object_array_length(silent); i++) {
        char *address = xoi_cell_text(json_object_array_get_idx(silent, i));
        xoi_complain(0, "dead-letters: the pool at %s did not answer; its letters are missing",
                     address);
        free(address);
    }
}

static int run(const xoi_args_t *args)
{
    int status;
    xo_buf_t question = XO_BUF_INIT;
    json_object *answer = NULL, *letters = NULL, *silent = NULL;
    xoi_node_t *node = xoi_node_open(args, &status);
    unsigned max = args->count < 0 ? LETTERS_DEFAULT : (unsigned)args->count;
    xo_pack_format(&question, "[u ?]", max, args->payload);
    if (node)
        status =
            xoi_node_records(node, "letters", xo_buf_slice(&question), args->timeout_ms, &answer);
    if (status == XOI_OK && json_object_object_get_ex(answer, "letters", &letters) &&
        json_object_object_get_ex(answer, "silent", &silent)) {
        print(args, letters);
        name_silent(silent);
    } else if (status == XOI_OK) {
        status = xoi_complain(XOI_FAILED, "dead-letters: the answer is no record");
    }
    json_object_put(answer);
    xo_buf_free(&question);
    xoi_node_close(node);
    return status;
}

const xoi_command_t xoi_command_dead_letters = {
    .name = "dead-letters",
    .operands = "",
    .summary = "Shows the last messages of the node that could not be delivered",
    .options = "nPjwtNc",
    .text = "It shows the last 20, or N; each process keeps its last 128. REASON is what\n"
            "`xo pools --json` counts as drops_REASON; AT is where it was dropped, FROM whose\n"
            "it was. Contents are kept only by processes with XO_LETTER_BYTES in their\n"
            "environment, and shown only with --payload.\n"
            "\n"
            "examples:\n"
            "  xo dead-letters -n 50\n"
            "  xo dead-letters --json | jq -r '.[] | select(.reason == \"no-actor\") | .uid'\n",
    .run = run,
};
