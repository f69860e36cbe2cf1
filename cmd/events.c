/* events.c - xo events: what happened, and with --follow what happens. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/table.h"
#include "cmd/text.h"

#define LINES_DEFAULT 10
#define PAGE_EVENTS 1000 /* what one question to the broker asks for at most */
#define WAIT_MS 30000    /* how long the broker may wait for the next event */
#define GONE_MS 1000     /* a node that refuses may be about to go */
#define AGAIN_MS 200     /* between tries to find the next broker */
#define TIME_BYTES 32
#define TYPE_COLS 16   /* of the longest type that a broker of this version writes */
#define BEFORE_TEXT 32 /* columns that the time and such a type take */

typedef struct reader {
    const xoi_args_t *args;
    xoi_node_t *node;
    char *after;  /* the id of the last event seen */
    int64_t left; /* to be printed; -1: no limit */
    int wait_ms;  /* for an event, where there is none */
    bool silent;  /* only to find the end */
    bool any;     /* something was printed */
} reader_t;

/* An id is "MILLISECONDS-N" (Redis, "Streams"): when the event was written. Today's get the time to
 * the millisecond, others the date. */
static void print_time(json_object *event)
{
    json_object *id;
    long long ms = 0;
    if (json_object_object_get_ex(event, "id", &id))
        ms = strtoll(json_object_get_string(id), NULL, 10);
    time_t then = (time_t)(ms / 1000);
    time_t now = (time_t)xoi_text_now();
    struct tm parts, today;
    char text[TIME_BYTES] = "-";
    bool known = ms > 0 && localtime_r(&then, &parts) && localtime_r(&now, &today);
    bool is_today = known && parts.tm_yday == today.tm_yday && parts.tm_year == today.tm_year;
    if (known)
        strftime(text, sizeof(text), is_today ? "%H:%M:%S" : "%m-%d %H:%M", &parts);
    if (is_today)
        printf("%s.%03d", text, (int)(ms % 1000));
    else
        printf("%-12s", text);
}

static char *add_detail(char *text, const char *key, json_object *value)
{
    char *name = xoi_text_escape(key, strlen(key), 0);
    char *cell = xoi_cell_text(value);
    char *longer = xoi_text_printf("%s%s%s=%s", text, *text ? " " : "", name, cell);
    free(cell);
    free(name);
    free(text);
    return longer;
}

/* What is told of an event, in this order; --wide tells the rest, too. */
static const char *const told[] = {"uid",    "class",      "name", "parent", "address", "label",
                                   "reason", "generation", "pid",  "host",   "registry"};
#define TOLD (sizeof(told) / sizeof(told[0]))

static bool is_told(const char *key)
{
    bool found = strcmp(key, "id") == 0 || strcmp(key, "type") == 0;
    for (size_t i = 0; i < TOLD && !found; i++)
        found = strcmp(key, told[i]) == 0;
    return found;
}

/* "key=value key=value ..." */
static char *details(json_object *event, bool all)
{
    char *text = xoi_text_printf("%s", "");
    for (size_t i = 0; i < TOLD; i++) {
        json_object *value;
        if (json_object_object_get_ex(event, told[i], &value))
            text = add_detail(text, told[i], value);
    }
    json_object_object_foreach(event, key, value)
    {
        if (all && !is_told(key))
            text = add_detail(text, key, value);
    }
    return text;
}

/* A longer type is not cut: where lines have an end, what is told of it begins in the next one. */
static void print_type(json_object *event, bool wrap)
{
    char *name = xoi_cell_text(xoi_json_get(event, "type"));
    int pad = TYPE_COLS - xoi_text_width(name);
    if (pad < 0 && wrap)
        printf("  %s\n%*s", name, BEFORE_TEXT, "");
    else
        printf("  %s%*s  ", name, pad > 0 ? pad : 0, "");
    free(name);
}

static void print_event(reader_t *reader, json_object *event)
{
    if (reader->args->json) {
        char *text = xoi_json_text(event);
        const char *before = reader->args->follow ? "" : reader->any ? ",\n " : "\n ";
        printf("%s%s%s", before, text, reader->args->follow ? "\n" : "");
        free(text);
    } else {
        char *text = details(event, reader->args->wide);
        bool wrap = !reader->args->wide && xoi_text_has_columns();
        print_time(event);
        print_type(event, wrap);
        xoi_text_wrap(text, wrap ? xoi_text_columns() - BEFORE_TEXT : INT_MAX, BEFORE_TEXT);
        free(text);
    }
    reader->any = true;
}

static void take_event(reader_t *reader, json_object *event)
{
    json_object *id;
    if (json_object_object_get_ex(event, "id", &id)) {
        free(reader->after);
        reader->after = xoi_text_printf("%s", json_object_get_string(id));
    }
    if (reader->silent || reader->left == 0)
        return;
    if (reader->left > 0)
        reader->left--;
    print_event(reader, event);
}

/* One question. *count: how many events came. */
static int read_page(reader_t *reader, size_t *count)
{
    xo_buf_t args = XO_BUF_INIT;
    xo_pack_format(&args, "[s i i]", reader->after, PAGE_EVENTS, reader->wait_ms);
    json_object *events = NULL;
    int status = xoi_node_records(reader->node, "events", xo_buf_slice(&args),
                                  reader->args->timeout_ms + reader->wait_ms, &events);
    xo_buf_free(&args);
    if (status == XOI_OK && !json_object_is_type(events, json_type_array))
        status = xoi_complain(XOI_FAILED, "events: the answer is not a list");
    *count = status == XOI_OK ? json_object_array_length(events) : 0;
    for (size_t i = 0; i < *count; i++)
        take_event(reader, json_object_array_get_idx(events, i));
    json_object_put(events);
    return status;
}

/* Reads what there is, page by page. */
static int read_all(reader_t *reader)
{
    size_t count;
    int status;
    do
        status = read_page(reader, &count);
    while (status == XOI_OK && count >= PAGE_EVENTS && reader->left != 0);
    return status;
}

/* Goes on with the node's next broker, after the last event that was shown. */
static int resume(reader_t *reader)
{
    const struct timespec pause = {.tv_nsec = AGAIN_MS * 1000000L};
    int64_t end = xo_boot_ns() + reader->args->timeout_ms * XO_MS;
    int status = XOI_FAILED;
    size_t count;
    xoi_complain(0, "events: the node went away; looking for it for %g s",
                 (double)reader->args->timeout_ms / 1e3);
    reader->wait_ms = 0;
    while (status != XOI_OK && xo_boot_ns() < end) {
        nanosleep(&pause, NULL);
        xoi_node_close(reader->node);
        reader->node = xoi_node_try(reader->args);
        status = reader->node ? read_page(reader, &count) : XOI_FAILED;
    }
    reader->wait_ms = WAIT_MS;
    if (status == XOI_OK)
        return xoi_complain(XOI_OK, "events: it is back; going on after %s", reader->after);
    return xoi_complain(XOI_FAILED, "events: the node went away, and did not come back");
}

/* Has the broker, or whoever stands between, gone? Not if it is the registry that fails. */
static bool is_lost(const reader_t *reader, int status)
{
    return status == XOI_TIMEOUT || (status == XOI_FAILED && !xoi_node_wait(reader->node, GONE_MS));
}

static int follow(reader_t *reader)
{
    if (reader->after[0] == '$') { /* there was no event yet */
        free(reader->after);
        reader->after = xoi_text_printf("0");
    }
    reader->silent = false;
    reader->left = -1;
    reader->wait_ms = WAIT_MS;
    int status = XOI_OK;
    while (status == XOI_OK) {
        size_t count;
        fflush(stdout);
        status = read_page(reader, &count);
        if (is_lost(reader, status))
            status = resume(reader);
    }
    return status;
}

static void set_start(reader_t *reader)
{
    const xoi_args_t *args = reader->args;
    int64_t last = args->count < 0 ? LINES_DEFAULT : args->count;
    reader->left = args->since ? args->count : -1;
    reader->silent = !args->since && last == 0;
    reader->after = args->since ? xoi_text_printf("%s", args->since)
                                : xoi_text_printf("$-%lld", last ? (long long)last : 1LL);
}

static int run(const xoi_args_t *args)
{
    int status;
    reader_t reader = {.args = args, .node = xoi_node_open(args, &status)};
    if (!reader.node)
        return status;
    set_start(&reader);
    bool array = args->json && !args->follow;
    if (array)
        putchar('[');
    status = read_all(&reader);
    if (array)
        puts(reader.any ? "\n]" : "]");
    if (status == XOI_OK && args->follow)
        status = follow(&reader);
    free(reader.after);
    xoi_node_close(reader.node);
    return status;
}

const xoi_command_t xoi_command_events = {
    .name = "events",
    .operands = "",
    .summary = "Shows what happened in the cluster, with --follow what happens",
    .options = "fsnjwtNc",
    .text = "It shows the last 10, or N; with --since, at most N. With --follow and --json\n"
            "each event is one line. When the broker ends, --follow goes on with the next\n"
            "one, after the last event shown; it ends when it is interrupted, or with status\n"
            "1 when no node is back within --timeout.\n"
            "\n"
            "examples:\n"
            "  xo events -n 50\n"
            "  xo events --follow\n"
            "  xo events --since 1700000000000-0 --json\n",
    .run = run,
};
