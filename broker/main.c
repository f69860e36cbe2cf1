/* xo-broker: one node of a cluster. doc/man/xo-broker.1 describes the options.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/node.h"
#include "broker/record.h"
#include "config.h"

#define GPU_FREE_MS 10000
/* Less than the 30 s that Kubernetes, Slurm and xo stop give by themselves. */
#define STOP_MS 20000
#define STOP_VARIABLE "XO_STOP_TIMEOUT_MS"

enum { EXIT_USAGE = 2 };

typedef struct xo_arguments {
    const char *config, *cluster, *log, *port, *bind, *codec;
    char *registry; /* a copy */
    int64_t owner;
    uint64_t adopt;
    int64_t ready_fd;
} xo_arguments_t;

static void print_help(void)
{
    puts("Usage: xo-broker [OPTION]...\n"
         "Runs one node: routes messages, resolves actors, starts and supervises pools.\n"
         "\n"
         "      --config FILE    settings and pools (INI); see xo-broker(1)\n"
         "      --cluster NAME   the cluster [$XO_CLUSTER, else default]\n"
         "      --registry URL   redis://[user:password@]host[:port][/db], unix:///path,\n"
         "                       redis+sentinel://host[:port],.../name[/db], memory:\n"
         "                       [$XO_REGISTRY, else a private redis-server]\n"
         "      --port HOST:PORT the one port by which others reach this node and its\n"
         "                       pools [$XO_PORT]\n"
         "      --bind HOST:PORT what to listen on for it\n"
         "                       [$XO_PORT_BIND, else as --port says]\n"
         "      --codec CODEC    pickle, or msgpack: nothing in this node is unpickled\n"
         "                       [$XO_CODEC, else pickle]\n"
         "      --owner PID      stop when this process is gone, and take the pools along\n"
         "      --adopt ID       take over this node, whose broker was killed\n"
         "      --ready-fd N     write the broker's endpoint to descriptor N when\n"
         "                       it listens\n"
         "      --log LEVEL      error, warn, info or debug\n"
         "                       [$XO_LOG, else info, or warn with --owner]\n"
         "      --help           this text\n"
         "      --version        the version\n"
         "\n"
         "SIGTERM or SIGINT stops the node, its groups first; a second one at once.\n"
         "Exit status: 0 stopped in order, 1 it could not start, 2 wrong usage.");
}

static int usage_error(const char *format, const char *what)
{
    fprintf(stderr, "xo-broker: ");
    fprintf(stderr, format, what);
    fprintf(stderr, "\nTry 'xo-broker --help'.\n");
    return -1;
}

static int read_number(const char *option, const char *text, int64_t max, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == 0 && value >= 0 && value <= max) {
        *number = value;
        return 0;
    }
    fprintf(stderr, "xo-broker: --%s: '%s' is not a number from 0 to %lld\n", option, text,
            (long long)max);
    return -1;
}

enum {
    OPT_CONFIG = 256,
    OPT_CLUSTER,
    OPT_REGISTRY,
    OPT_PORT,
    OPT_BIND,
    OPT_CODEC,
    OPT_OWNER,
    OPT_ADOPT,
    OPT_READY_FD,
    OPT_LOG,
    OPT_HELP,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"cluster", required_argument, NULL, OPT_CLUSTER},
    {"registry", required_argument, NULL, OPT_REGISTRY},
    {"port", required_argument, NULL, OPT_PORT},
    {"bind", required_argument, NULL, OPT_BIND},
    {"codec", required_argument, NULL, OPT_CODEC},
    {"owner", required_argument, NULL, OPT_OWNER},
    {"adopt", required_argument, NULL, OPT_ADOPT},
    {"ready-fd", required_argument, NULL, OPT_READY_FD},
    {"log", required_argument, NULL, OPT_LOG},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

/* Everybody on the machine can read the command line, so user and password do not stay there. NULL:
 * out of memory. */
static char *take_url(char *text)
{
    char *copy = strdup(text);
    char *at = strrchr(text, '@');
    char *scheme = strstr(text, "://");
    char *user = scheme != NULL && scheme < at ? scheme + 3 : text;
    if (at != NULL)
        memset(user, '*', (size_t)(at - user));
    return copy;
}

static int set_registry(xo_arguments_t *arguments, char *text)
{
    free(arguments->registry);
    arguments->registry = take_url(text);
    return arguments->registry != NULL ? 0 : usage_error("--registry: %s", "out of memory");
}

static int set_option(xo_arguments_t *arguments, int option)
{
    switch (option) {
    case OPT_CONFIG:
        arguments->config = optarg;
        return 0;
    case OPT_CLUSTER:
        arguments->cluster = optarg;
        return 0;
    case OPT_REGISTRY:
        return set_registry(arguments, optarg);
    case OPT_PORT:
        arguments->port = optarg;
        return 0;
    case OPT_BIND:
        arguments->bind = optarg;
        return 0;
    case OPT_CODEC:
        arguments->codec = optarg;
        return 0;
    case OPT_OWNER:
        return read_number("owner", optarg, INT32_MAX, &arguments->owner);
    case OPT_ADOPT:
        return xo_id_parse(xo_slice_str(optarg), &arguments->adopt) == 0
                   ? 0
                   : usage_error("--adopt: '%s' is not the id of a node", optarg);
    case OPT_READY_FD:
        return read_number("ready-fd", optarg, INT32_MAX, &arguments->ready_fd);
    case OPT_LOG:
        arguments->log = optarg;
        return 0;
    case OPT_HELP:
        print_help();
        exit(0);
    case OPT_VERSION:
        puts("xo-broker " PACKAGE_VERSION);
        exit(0);
    default:
        return usage_error("%s", "wrong usage");
    }
}

static int read_arguments(int argc, char **argv, xo_arguments_t *arguments)
{
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (set_option(arguments, option) < 0)
            return -1;
    }
    if (optind < argc)
        return usage_error("unexpected argument '%s'", argv[optind]);
    if (arguments->ready_fd >= 0 && fcntl((int)arguments->ready_fd, F_SETFD, FD_CLOEXEC) < 0)
        return usage_error("--ready-fd: %s", strerror(errno));
    return 0;
}

/* An option comes before the environment, and that before the file. */
static const char *choose(const char *option, const char *variable, const char *setting)
{
    const char *value = variable ? getenv(variable) : NULL;
    if (option != NULL)
        return option;
    return value != NULL && value[0] != 0 ? value : setting;
}

static int choose_log(const xo_arguments_t *arguments, const xo_settings_t *settings, xo_log_t *log,
                      xo_error_t *err)
{
    log->fd = STDERR_FILENO;
    log->level = arguments->owner > 0 ? XO_LOG_WARN : XO_LOG_INFO;
    if (settings != NULL && settings->log_is_set)
        log->level = settings->log;
    const char *text = choose(arguments->log, "XO_LOG", NULL);
    return text != NULL ? xo_log_parse(text, &log->level, err) : 0;
}

/* The environment is how it reaches this process's context, and the pools. */
static int choose_codec(const xo_arguments_t *arguments, const xo_settings_t *settings,
                        xo_error_t *err)
{
    xo_codec_t codec;
    const char *setting =
        settings != NULL && settings->codec != 0 ? xo_codec_name(settings->codec) : "pickle";
    const char *text = choose(arguments->codec, XO_CODEC_VARIABLE, setting);
    if (xo_codec_parse(text, &codec, err) < 0)
        return xo_error_prefix(err, arguments->codec != NULL ? "--codec" : XO_CODEC_VARIABLE);
    return setenv(XO_CODEC_VARIABLE, text, 1) < 0 ? xo_error_set(err, ENOMEM, "out of memory") : 0;
}

/* A program that embeds its node has no file of settings. */
static int choose_stop(const xo_settings_t *settings, int64_t *stop_ms, xo_error_t *err)
{
    char *end;
    const char *text = getenv(STOP_VARIABLE);
    *stop_ms = settings != NULL && settings->stop_ms >= 0 ? settings->stop_ms : STOP_MS;
    if (text == NULL || text[0] == 0)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value < 0 || value > INT32_MAX)
        return xo_error_set(err, EINVAL, STOP_VARIABLE " may be 0 to %d, not '%s'", INT32_MAX,
                            text);
    *stop_ms = value;
    return 0;
}

static int run(const xo_arguments_t *arguments, const xo_settings_t *settings, xo_error_t *err)
{
    xo_log_t log;
    int64_t stop_ms;
    if (choose_log(arguments, settings, &log, err) < 0 ||
        choose_codec(arguments, settings, err) < 0 || choose_stop(settings, &stop_ms, err) < 0)
        return EXIT_USAGE;
    if (settings != NULL && settings->run_dir != NULL)
        setenv("XO_RUN_DIR", settings->run_dir, 0);
    xo_node_options_t options = {
        .cluster = choose(arguments->cluster, "XO_CLUSTER", settings ? settings->cluster : NULL),
        .registry =
            choose(arguments->registry, "XO_REGISTRY", settings ? settings->registry : NULL),
        .port = choose(arguments->port, "XO_PORT", settings ? settings->port : NULL),
        .bind = choose(arguments->bind, "XO_PORT_BIND", settings ? settings->bind : NULL),
        .settings = settings,
        .heartbeat_ms = settings ? (uint32_t)settings->heartbeat_ms : 0,
        .hang_ms = settings ? settings->hang_ms : 0,
        .gpu_free_ms = settings && settings->gpu_free_ms >= 0 ? settings->gpu_free_ms : GPU_FREE_MS,
        .stop_ms = stop_ms,
        .config = arguments->config,
        .adopt = arguments->adopt,
        .owner = (pid_t)arguments->owner,
        .ready_fd = (int)arguments->ready_fd,
        .version = PACKAGE_VERSION,
        .log = &log,
    };
    return xo_node_run(&options, err) < 0 ? 1 : 0;
}

static int load_and_run(const xo_arguments_t *arguments)
{
    xo_error_t err = {0};
    xo_settings_t *settings = NULL;
    int rc = EXIT_USAGE;
    if (arguments->config == NULL || (settings = xo_settings_load(arguments->config, &err)) != NULL)
        rc = run(arguments, settings, &err);
    if (rc != 0)
        fprintf(stderr, "xo-broker: %s\n", err.text);
    xo_settings_destroy(settings);
    return rc;
}

int main(int argc, char **argv)
{
    xo_arguments_t arguments = {.ready_fd = -1};
    int rc = EXIT_USAGE;
    if (read_arguments(argc, argv, &arguments) == 0)
        rc = load_and_run(&arguments);
    free(arguments.registry);
    return rc;
}
