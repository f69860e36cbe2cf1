/* options.c - xo-pool's command line, by getopt_long. */
#include "pool/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "pool/pool.h"

static const char usage[] =
    "Usage: xo-pool [OPTION]... --module FILE...\n"
    "Hosts actors written in C, from modules.\n"
    "\n"
    "  -m, --module FILE         load a module: a path, or a name that is looked up in\n"
    "                            $XO_MODULE_PATH and the installation (repeatable)\n"
    "  -l, --list                list the modules' classes and methods, and exit\n"
    "  -c, --create CLASS[:UID[:JSON]]\n"
    "                            create an actor at the start; JSON is the array of its\n"
    "                            arguments (repeatable)\n"
    "      --restart-policy WORD[,KEY=VALUE]...\n"
    "                            of the actors of each --create that follows: permanent,\n"
    "                            transient or temporary; intensity, period_ms, backoff_ms,\n"
    "                            backoff_max_ms, create_timeout_ms\n"
    "                            [permanent, and as the pool's own]\n"
    "  -a, --address HOST:PORT   the address to advertise; port 0 is any  [127.0.0.1:0]\n"
    "      --bind-address HOST:PORT\n"
    "                            the address to bind, where it is another one\n"
    "  -b, --broker ENDPOINT     the broker to join; \"none\": stand alone\n"
    "                            [$XO_BROKER, else this user's node]\n"
    "      --label TEXT          the pool's label\n"
    "  -n, --pools N             run N pools, each on a thread  [1]\n"
    "      --bind core|numa|none bind each pool to a core or a NUMA node  [none]\n"
    "      --ready-fd N          write the addresses to this descriptor when ready\n"
    "  -h, --help                show this and exit\n"
    "  -V, --version             show the version and exit\n"
    "\n"
    "Exit status: 0 stopped in order, 1 could not start or failed, 2 wrong usage.\n"
    "xo-pool(1) has the details.\n";

enum { OPT_BIND_ADDRESS = 256, OPT_LABEL, OPT_BIND, OPT_READY_FD, OPT_POLICY };

static const struct option options[] = {{"module", required_argument, NULL, 'm'},
                                        {"list", no_argument, NULL, 'l'},
                                        {"create", required_argument, NULL, 'c'},
                                        {"restart-policy", required_argument, NULL, OPT_POLICY},
                                        {"address", required_argument, NULL, 'a'},
                                        {"bind-address", required_argument, NULL, OPT_BIND_ADDRESS},
                                        {"broker", required_argument, NULL, 'b'},
                                        {"label", required_argument, NULL, OPT_LABEL},
                                        {"pools", required_argument, NULL, 'n'},
                                        {"bind", required_argument, NULL, OPT_BIND},
                                        {"ready-fd", required_argument, NULL, OPT_READY_FD},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {NULL, 0, NULL, 0}};

static int mistake(const char *option, const char *text, const char *what)
{
    xo_error_t err;
    xo_error_set(&err, EINVAL, "%s %s: %s", option, text, what);
    fprintf(stderr, "xo-pool: %s\nTry 'xo-pool --help'.\n", err.text);
    xo_pool_say_why(err.text);
    return -1;
}

/* What getopt_long does not know what to do with. */
static int bad_option(int option, char **argv)
{
    char letter[] = {'-', (char)optopt, 0};
    bool has_letter = optopt > 0 && optopt < OPT_BIND_ADDRESS;
    return mistake("option", has_letter ? letter : argv[optind - 1],
                   option == ':' ? "needs an argument" : "not known, or takes no argument");
}

static int add(const char **list, int *count, const char *option, const char *text)
{
    char full[32];
    if (*count == XO_CLI_LIST_MAX) {
        snprintf(full, sizeof full, "too many, %d can be", XO_CLI_LIST_MAX);
        return mistake(option, text, full);
    }
    list[(*count)++] = text;
    return 0;
}

static int add_create(xo_pool_cli_t *cli, const char *text)
{
    if (add(cli->creates, &cli->create_count, "--create", text) < 0)
        return -1;
    cli->policies[cli->create_count - 1] = cli->policy;
    cli->policy_used = true;
    return 0;
}

/* It would be for nothing. */
static int check_policy_used(const xo_pool_cli_t *cli)
{
    return !cli->policy || cli->policy_used
               ? 0
               : mistake("--restart-policy", cli->policy, "no --create follows");
}

static int set_policy(xo_pool_cli_t *cli, const char *text)
{
    if (check_policy_used(cli) < 0)
        return -1;
    cli->policy = text;
    cli->policy_used = false;
    return 0;
}

static int number(const char *option, const char *text, int min, int max, int *value)
{
    char *end;
    errno = 0;
    long parsed = strtol(text, &end, 10);
    if (errno || end == text || *end || parsed < min || parsed > max) {
        char what[64];
        snprintf(what, sizeof what, "not a number from %d to %d", min, max);
        return mistake(option, text, what);
    }
    *value = (int)parsed;
    return 0;
}

static int bind_mode(const char *text, xo_bind_mode_t *mode)
{
    static const char *const names[] = {"none", "core", "numa"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) {
            *mode = (xo_bind_mode_t)i;
            return 0;
        }
    return mistake("--bind", text, "must be core, numa or none");
}

static int check_label(const char *text, xo_pool_cli_t *cli)
{
    cli->label = text;
    return strlen(text) < 48 ? 0 : mistake("--label", text, "longer than 47 bytes");
}

/* One option. 0: go on; 1: done; -1: a mistake. */
static int take(xo_pool_cli_t *cli, int option)
{
    switch (option) {
    case 'm':
        return add(cli->modules, &cli->module_count, "--module", optarg);
    case 'c':
        return add_create(cli, optarg);
    case OPT_POLICY:
        return set_policy(cli, optarg);
    case 'l':
        cli->list = true;
        return 0;
    case 'a':
        cli->address = optarg;
        return 0;
    case OPT_BIND_ADDRESS:
        cli->bind_address = optarg;
        return 0;
    case 'b':
        cli->broker = optarg;
        return 0;
    case OPT_LABEL:
        return check_label(optarg, cli);
    case 'n':
        return number("--pools", optarg, 1, XO_CLI_POOLS_MAX, &cli->pools);
    case OPT_BIND:
        return bind_mode(optarg, &cli->bind);
    case OPT_READY_FD:
        return number("--ready-fd", optarg, 0, INT_MAX, &cli->ready_fd);
    case 'h':
        fputs(usage, stdout);
        return 1;
    case 'V':
        puts("xo-pool (xo) " PACKAGE_VERSION);
        return 1;
    default:
        return 0;
    }
}

int xo_pool_cli_parse(xo_pool_cli_t *cli, int argc, char **argv)
{
    int option;
    *cli = (xo_pool_cli_t){.pools = 1, .ready_fd = -1};
    opterr = 0; /* what is wrong is said by us */
    while ((option = getopt_long(argc, argv, ":m:lc:a:b:n:hV", options, NULL)) != -1) {
        int rc = option == '?' || option == ':' ? bad_option(option, argv) : take(cli, option);
        if (rc)
            return rc;
    }
    if (optind < argc)
        return mistake("argument", argv[optind], "not expected");
    if (check_policy_used(cli) < 0)
        return -1;
    if (!cli->module_count)
        return mistake("option", "--module", "needed at least once");
    return 0;
}
