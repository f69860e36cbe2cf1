/* options.c - one table of all options; each command names those that it takes by letter. */
#include "cmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/text.h"

#define TIMEOUT_DEFAULT_MS 30000
#define TIMEOUT_MAX_S 1e9

typedef enum { FLAG, TEXT, SECONDS, COUNT } value_t;

typedef struct option_row {
    char letter; /* also the short option, unless `only_long` */
    bool only_long;
    const char *name;
    const char *value_name;
    value_t type;
    size_t offset; /* in xoi_args_t */
    const char *text;
} option_row_t;

#define AT(field) offsetof(xoi_args_t, field)

static const option_row_t rows[] = {
    {'a', true, "at", "HOST:PORT", TEXT, AT(at), "the pool that UID is in; UID is taken as it is"},
    {'p', false, "pool", "POOL", TEXT, AT(pool), "only the pool with this address or id"},
    {'f', false, "follow", NULL, FLAG, AT(follow), "go on and print events as they happen"},
    {'s', false, "since", "ID", TEXT, AT(since), "events after this one (see --json for ids)"},
    {'n', false, "lines", "N", COUNT, AT(count), "only the last N"},
    {'P', true, "payload", NULL, FLAG, AT(payload), "with what was kept of their contents"},
    {'T', true, "tell", NULL, FLAG, AT(tell), "send without waiting for an answer"},
    {'t', false, "timeout", "SECONDS", SECONDS, AT(timeout_ms), "give up after that (default 30)"},
    {'j', false, "json", NULL, FLAG, AT(json), "print JSON instead of a table"},
    {'w', false, "wide", NULL, FLAG, AT(wide), "cut nothing, however wide the lines get"},
    {'N', true, "node", "WHERE", TEXT, AT(node), "\"host:port\" of a pool or a broker's socket"},
    {'r', true, "registry", "URL", TEXT, AT(registry), "its registry (default: $XO_REGISTRY)"},
    {'o', true, "peer", "HOST:PORT", TEXT, AT(peer), "try to reach another node by its port"},
    {'c', false, "cluster", "NAME", TEXT, AT(cluster), "the cluster's name (default: $XO_CLUSTER)"},
    {'h', false, "help", NULL, FLAG, AT(help), "show this help"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const char *xoi_args_cluster(const xoi_args_t *args)
{
    const char *name = args->cluster ? args->cluster : getenv("XO_CLUSTER");

    return name && *name ? name : "default";
}

static const option_row_t *find_row(int letter)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

static bool takes(const xoi_command_t *command, const option_row_t *row)
{
    return row->letter == 'h' || strchr(command->options, row->letter);
}

/* What getopt_long wants to know: the options of `command` only. */
static void describe(const xoi_command_t *command, char *letters, struct option *longs)
{
    if (command->operands_max < 0)
        *letters++ = '+'; /* the first operand ends the options */
    *letters++ = ':';
    for (size_t i = 0; i < ROWS; i++) {
        const option_row_t *row = &rows[i];
        if (!takes(command, row))
            continue;
        *longs++ = (struct option){row->name, row->value_name ? required_argument : no_argument,
                                   NULL, row->letter};
        if (row->only_long)
            continue;
        *letters++ = row->letter;
        if (row->value_name)
            *letters++ = ':';
    }
    *letters = '\0';
    *longs = (struct option){0};
}

static int set_seconds(int64_t *out_ms, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end || !(seconds > 0) || seconds > TIMEOUT_MAX_S)
        return -1;
    *out_ms = (int64_t)(seconds * 1000 + 0.999);
    return 0;
}

static int set_count(int64_t *out, const char *value)
{
    char *end;
    errno = 0;
    long long count = strtoll(value, &end, 10);
    if (errno || end == value || *end || count < 0)
        return -1;
    *out = count;
    return 0;
}

static int set_value(const option_row_t *row, xoi_args_t *args, const char *value)
{
    void *field = (char *)args + row->offset;
    switch (row->type) {
    case FLAG:
        *(bool *)field = true;
        return 0;
    case TEXT:
        *(const char **)field = value;
        return *value ? 0 : -1;
    case SECONDS:
        return set_seconds(field, value);
    case COUNT:
        return set_count(field, value);
    }
    return -1;
}

static int usage(const xoi_command_t *command, const char *what, const char *name)
{
    return xoi_complain(XOI_USAGE, "%s: %s '%s'; see: xo %s --help", command->name, what, name,
                        command->name);
}

/* Complains about the option at which getopt_long stopped. */
static int bad_option(const xoi_command_t *command, int code, char **argv)
{
    const char *what = code == ':' ? "a value must follow" : "no such option:";
    const char *last = argv[optind - 1];
    char letter[] = {'-', (char)optopt, '\0'};
    bool is_long = strncmp(last, "--", 2) == 0 || optopt == 0;
    return usage(command, what, is_long ? last : letter);
}

static int check_operands(const xoi_command_t *command, const xoi_args_t *args)
{
    if (args->operand_count < command->operands_min)
        return xoi_complain(XOI_USAGE, "%s: it needs %s; see: xo %s --help", command->name,
                            command->operands, command->name);
    if (command->operands_max >= 0 && args->operand_count > command->operands_max)
        return usage(command, "one argument too many:", args->operands[command->operands_max]);
    return XOI_OK;
}

int xoi_options_read(const xoi_command_t *command, int argc, char **argv, xoi_args_t *args)
{
    char letters[2 * ROWS + 3];
    struct option longs[ROWS + 1];
    describe(command, letters, longs);
    *args = (xoi_args_t){.timeout_ms = TIMEOUT_DEFAULT_MS, .count = -1};
    opterr = 0;
    optind = 1;
    int code;
    while ((code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const option_row_t *row = find_row(code);
        if (!row)
            return bad_option(command, code, argv);
        if (set_value(row, args, optarg) < 0)
            return xoi_complain(XOI_USAGE, "%s: --%s needs %s, not '%s'; see: xo %s --help",
                                command->name, row->name, row->value_name, optarg, command->name);
    }
    args->operands = argv + optind;
    args->operand_count = argc - optind;
    return args->help ? XOI_OK : check_operands(command, args);
}

static void help_row(const option_row_t *row, FILE *out)
{
    char left[40];
    char letter[5] = "    ";
    if (!row->only_long)
        memcpy(letter, (char[]){'-', row->letter, ',', ' '}, 4);
    snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name, row->value_name ? " " : "",
             row->value_name ? row->value_name : "");
    fprintf(out, "  %-25s %s\n", left, row->text);
}

void xoi_options_help(const xoi_command_t *command, FILE *out)
{
    fprintf(out, "usage: xo %s [OPTIONS]%s%s\n\n%s.\n\n", command->name,
            *command->operands ? " " : "", command->operands, command->summary);
    if (!command->passes_on) {
        fprintf(out, "options:\n");
        for (size_t i = 0; i < ROWS; i++)
            if (takes(command, &rows[i]))
                help_row(&rows[i], out);
        fputc('\n', out);
    }
    fputs(command->text, out);
}
