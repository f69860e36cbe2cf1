/* main.c - xo-pool: hosts actors written in C. xo-pool(1) describes it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/bind.h"
#include "pool/create.h"
#include "pool/crew.h"
#include "pool/host_c.h"
#include "pool/options.h"

enum { EXIT_USAGE = 2 };
#define IO_CPUS_MAX 1024

typedef struct program {
    xo_pool_cli_t cli;
    xo_creation_t creations[XO_CLI_LIST_MAX];
    char broker[XO_ADDRESS_BYTES + XO_PATH_BYTES];
    xo_pool_options_t options;
    xo_ctx_t *ctx;
    xo_bind_t *bind;
    xo_crew_t *crew;
    xo_signal_t sigterm;
    xo_signal_t sigint;
    int creations_left;
} program_t;

/* ---- --list ---- */

static void list_class(const xo_module_t *module, const xo_class_t *class_, void *arg)
{
    const xo_module_t **last = arg;
    if (*last != module)
        printf("%s\n", module->name);
    *last = module;
    printf("  %s%s%s%s\n", class_->name, class_->flags & XO_CLASS_STATELESS ? " (stateless)" : "",
           class_->doc ? ": " : "", class_->doc ? class_->doc : "");
    for (const xo_method_t *method = class_->methods; method && method->name; method++)
        printf("    %-16s%s%s\n", method->name, method->doc ? method->doc : "",
               method->flags & XO_METHOD_NO_LOCK ? " (does not wait for the lock)" : "");
}

/* Modules are loaded before anything else, so that a bad one is told of before the pool joins. */
static int check_modules(const xo_pool_cli_t *cli, xo_error_t *err)
{
    const xo_module_t *last = NULL;
    xo_host_c_t *host = xo_host_c_create(NULL, NULL, err);
    int rc = host ? 0 : -1;
    for (int i = 0; rc == 0 && i < cli->module_count; i++)
        rc = xo_host_c_load(host, cli->modules[i], err);
    if (rc == 0 && cli->list)
        xo_host_c_list(host, list_class, &last);
    xo_host_c_destroy(host);
    return rc;
}

/* ---- ready ---- */

/* Not for a broker, which has asked and shares its standard output with us. */
static void print_pools(program_t *program)
{
    if (getenv("XO_POOL_ID"))
        return;
    char place[128];
    int count = xo_crew_count(program->crew);
    unsigned places = xo_bind_places(program->bind);
    for (int i = 0; i < count; i++) {
        xo_bind_describe(program->bind, (unsigned)i, place, sizeof place);
        printf("pool %d %s%s%s\n", i, xo_crew_address(program->crew, i), place[0] ? " " : "",
               place);
    }
    if (places && (unsigned)count > places)
        printf("%d pools share %u %s%s\n", count, places,
               program->cli.bind == XO_BIND_NUMA ? "NUMA node" : "core", places > 1 ? "s" : "");
    fflush(stdout);
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno != EINTR)
            return -1;
        text += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static int write_ready(program_t *program, xo_error_t *err)
{
    char line[XO_ADDRESS_BYTES + 2];
    int fd = program->cli.ready_fd;
    if (fd < 0)
        return 0;
    for (int i = 0; i < xo_crew_count(program->crew); i++) {
        int size = snprintf(line, sizeof line, "%s\n", xo_crew_address(program->crew, i));
        if (write_all(fd, line, (size_t)size) < 0)
            return xo_error_set(err, errno, "--ready-fd %d: %s", fd, strerror(errno));
    }
    if (fd > STDERR_FILENO)
        close(fd);
    return 0;
}

/* The standard output of a pool that a broker started may be that of a program which embeds the
 * node: there it says only what was asked for, which is to bind. */
static int announce(program_t *program, xo_error_t *err)
{
    if (!getenv("XO_POOL_ID") || xo_bind_places(program->bind))
        print_pools(program);
    return write_ready(program, err);
}

static void on_created(const xo_error_t *why, void *arg)
{
    xo_error_t err;
    program_t *program = arg;
    program->creations_left--;
    if (why)
        xo_crew_fail(program->crew, why);
    else if (!program->creations_left && announce(program, &err) < 0)
        xo_crew_fail(program->crew, &err);
}

/* All pools are there: the actors of --create come next, and then the word that all is ready. */
static int on_ready(xo_crew_t *crew, void *arg, xo_error_t *err)
{
    program_t *program = arg;
    program->creations_left = program->cli.create_count;
    if (!program->creations_left)
        return announce(program, err);
    for (int i = 0; i < program->cli.create_count; i++)
        if (xo_creation_start(&program->creations[i], xo_crew_first(crew), on_created, program,
                              err) < 0)
            return -1;
    return 0;
}

/* ---- starting ---- */

static int find_broker(program_t *program, xo_error_t *err)
{
    const char *given = program->cli.broker;
    if (given && !strcmp(given, "none")) {
        program->options.broker = NULL;
        return 0;
    }
    if (given)
        program->options.broker = given;
    if (program->options.broker)
        return 0;
    if (xo_find_node(program->ctx, program->broker, sizeof program->broker, err) < 0)
        return xo_error_prefix(err, "no broker to join (--broker none stands alone)");
    program->options.broker = program->broker;
    return 0;
}

static int take_options(program_t *program, xo_error_t *err)
{
    xo_pool_cli_t *cli = &program->cli;
    xo_identity_t *self = &program->options.self;
    self->index = -1;
    if (xo_pool_options_from_env(&program->options, err) < 0)
        return -1;
    if (cli->label)
        snprintf(self->label, sizeof self->label, "%s", cli->label);
    if (cli->bind_address)
        program->options.bind = cli->bind_address;
    if (cli->address && strlen(cli->address) >= sizeof self->address)
        return xo_error_set(err, EINVAL, "--address %s: too long", cli->address);
    if (cli->address)
        strcpy(self->address, cli->address);
    return 0;
}

static int bind_io(program_t *program, xo_error_t *err)
{
    int cpus[IO_CPUS_MAX];
    unsigned pools = (unsigned)program->cli.pools;
    program->bind = xo_bind_create(program->cli.bind, err);
    if (!program->bind)
        return -1;
    size_t count = xo_bind_io_cpus(program->bind, pools, cpus, IO_CPUS_MAX);
    if (count && xo_ctx_bind_io(program->ctx, cpus, count, err) < 0)
        return -1;
    /* Made here, on one thread, because all members use it. */
    return xo_ctx_zmq(program->ctx, err) ? 0 : -1;
}

static void on_signal(xo_signal_t *signal, int signum, void *arg)
{
    (void)signal;
    (void)signum;
    xo_crew_stop(((program_t *)arg)->crew);
}

static int watch_signals(program_t *program, xo_error_t *err)
{
    xo_loop_t *loop = xo_crew_loop(program->crew);
    signal(SIGPIPE, SIG_IGN);
    xo_signal_init(&program->sigterm, loop, SIGTERM, on_signal, program);
    xo_signal_init(&program->sigint, loop, SIGINT, on_signal, program);
    if (xo_signal_start(&program->sigterm) < 0 || xo_signal_start(&program->sigint) < 0)
        return xo_error_set(err, errno, "cannot watch signals: %s", strerror(errno));
    return 0;
}

static int run(program_t *program, xo_error_t *err)
{
    if (check_modules(&program->cli, err) < 0)
        return -1;
    if (program->cli.list)
        return 0;
    program->ctx = xo_ctx_create(NULL, err);
    if (!program->ctx || take_options(program, err) < 0 || find_broker(program, err) < 0 ||
        bind_io(program, err) < 0)
        return -1;
    program->crew =
        xo_crew_create(program->ctx, &program->cli, program->bind, &program->options, err);
    if (!program->crew || watch_signals(program, err) < 0)
        return -1;
    return xo_crew_run(program->crew, on_ready, program, err);
}

static void cleanup(program_t *program)
{
    if (program->crew) {
        xo_signal_stop(&program->sigterm);
        xo_signal_stop(&program->sigint);
    }
    xo_crew_destroy(program->crew);
    xo_bind_destroy(program->bind);
    xo_ctx_destroy(program->ctx);
    for (int i = 0; i < program->cli.create_count; i++)
        xo_buf_free(&program->creations[i].body);
}

static void complain(const xo_error_t *err)
{
    fprintf(stderr, "xo-pool: %s\n", err->text);
    xo_pool_say_why(err->text);
}

static int parse(program_t *program, int argc, char **argv)
{
    xo_error_t err;
    int rc = xo_pool_cli_parse(&program->cli, argc, argv);
    for (int i = 0; rc == 0 && i < program->cli.create_count; i++)
        if (xo_creation_parse(program->cli.creates[i], program->cli.policies[i],
                              &program->creations[i], &err) < 0) {
            complain(&err);
            rc = -1;
        }
    return rc;
}

int main(int argc, char **argv)
{
    xo_error_t err = {0};
    program_t program = {0};
    int rc = parse(&program, argc, argv);
    if (rc)
        return rc > 0 ? EXIT_SUCCESS : EXIT_USAGE;
    rc = run(&program, &err);
    if (rc < 0)
        complain(&err);
    cleanup(&program);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
