#include "broker/node.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/command.h"
#include "broker/node_dir.h"
#include "broker/node_guard.h"
#include "broker/notify.h"
#include "broker/own_registry.h"
#include "libxo/ctx.h"
#include "registry/proc.h"
#include "registry/url.h"

#define COMPONENT "node"
#define MEMORY "memory:"
/* What a stop takes once groups have ended (contract 15), and as much again on a busy machine. */
#define AFTER_GROUPS_MS 4000
#define LANE_ENDPOINT_BYTES (XO_PATH_BYTES + 16)

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
#define STOP_SIGNALS (sizeof(stop_signals) / sizeof(*stop_signals))

typedef struct xo_node {
    const xo_node_options_t *options;
    uint64_t id;
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    xo_node_dir_t *dir;
    xo_own_registry_t *own_registry; /* NULL: one was given */
    pid_t guard;                     /* 0: none, or the private redis-server's */
    xo_broker_t *broker;
    xo_notify_t notify;
    xo_signal_t signals[STOP_SIGNALS];
    xo_io_t owner;
    int owner_fd;
    bool told_to_stop;
    bool takes_over; /* what the node's last broker left */
    char *claim;
    xo_error_t failure; /* of one that takes over; errnum 0: none */
    char endpoint[LANE_ENDPOINT_BYTES];
    char run_dir[XO_PATH_BYTES]; /* without the cluster */
} xo_node_t;

/* ---- what ends it ---- */

static void on_stopped(xo_broker_t *broker, void *arg)
{
    xo_node_t *node = arg;
    (void)broker;
    xo_loop_stop(node->loop);
}

/* Told a second time, it does not wait for anybody any more. */
static void on_signal(xo_signal_t *watcher, int signum, void *arg)
{
    xo_node_t *node = arg;
    (void)watcher;
    if (node->told_to_stop) {
        xo_log(node->options->log, XO_LOG_WARN, COMPONENT, "told again to stop: at once");
        xo_loop_stop(node->loop);
        return;
    }
    node->told_to_stop = true;
    xo_notify_stopping(&node->notify, node->options->stop_ms + AFTER_GROUPS_MS);
    xo_broker_stop(node->broker, strsignal(signum));
}

static void on_owner_gone(xo_io_t *io, int revents, void *arg)
{
    xo_node_t *node = arg;
    (void)revents;
    xo_io_stop(io);
    xo_broker_leave(node->broker);
    xo_broker_stop_soon(node->broker, "the process that owns this node is gone");
}

static bool is_ignored(int signum)
{
    struct sigaction action;
    return sigaction(signum, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* What was ignored when we were started (nohup, a job in the background of a script) stays so. */
static int watch_signals(xo_node_t *node, xo_error_t *err)
{
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        int signum = stop_signals[i];
        bool owners = signum == SIGINT && node->options->owner > 0;
        if (owners)
            signal(signum, SIG_IGN);
        if (owners || is_ignored(signum))
            continue;
        xo_signal_init(&node->signals[i], node->loop, signum, on_signal, node);
        if (xo_signal_start(&node->signals[i]) < 0)
            return xo_error_set(err, errno, "watching signal %d: %s", signum, strerror(errno));
    }
    return 0;
}

static int watch_owner(xo_node_t *node, xo_error_t *err)
{
    pid_t owner = node->options->owner;
    if (owner == 0)
        return 0;
    node->owner_fd = (int)syscall(SYS_pidfd_open, owner, 0);
    if (node->owner_fd < 0)
        return xo_error_set(err, errno, "--owner %d: %s", (int)owner, strerror(errno));
    xo_io_init(&node->owner, node->loop, node->owner_fd, XO_READ, on_owner_gone, node);
    if (xo_io_start(&node->owner) < 0)
        return xo_error_set(err, errno, "watching process %d: %s", (int)owner, strerror(errno));
    return 0;
}

/* ---- what it is made of ---- */

static int name_places(xo_node_t *node, xo_error_t *err)
{
    const char *run_dir = xo_ctx_run_dir(node->ctx);
    const char *slash = strrchr(run_dir, '/');
    int size = snprintf(node->endpoint, sizeof(node->endpoint),
                        "ipc://%s/n-%016" PRIx64 "/broker.sock", run_dir, node->id);
    snprintf(node->run_dir, sizeof(node->run_dir), "%.*s", (int)(slash - run_dir), run_dir);
    if (size >= (int)sizeof("ipc://") - 1 + XO_PATH_BYTES)
        return xo_error_set(
            err, ENAMETOOLONG,
            "the run directory %s is too long for a socket in it; set XO_RUN_DIR to "
            "a shorter one",
            run_dir);
    return 0;
}

static void on_registry_away(const char *why, void *arg)
{
    const xo_node_t *node = arg;
    xo_broker_registry_away(node->broker, why);
}

static void on_registry_lost(const char *why, void *arg)
{
    const xo_node_t *node = arg;
    xo_broker_registry_lost(node->broker, why);
}

static int make_registry(xo_node_t *node, xo_error_t *err)
{
    xo_own_registry_options_t options = {
        .directory = xo_node_dir_path(node->dir),
        .owner = node->options->owner,
        .takes_over = node->takes_over,
        .log = node->options->log,
        .events = {on_registry_away, on_registry_lost},
        .arg = node,
    };
    if (node->options->registry != NULL)
        return 0;
    node->own_registry = xo_own_registry_create(node->loop, &options, err);
    return node->own_registry ? 0 : -1;
}

/* So that nothing outlives the owner, whatever becomes of this process. */
static int make_guard(xo_node_t *node, xo_error_t *err)
{
    bool has_server = node->own_registry && xo_own_registry_has_server(node->own_registry);
    if (node->options->owner == 0 || has_server)
        return 0;
    node->guard = xo_node_guard_start(xo_node_dir_path(node->dir), node->options->owner, err);
    return node->guard > 0 ? 0 : -1;
}

static void say_ready(xo_node_t *node)
{
    int fd = node->options->ready_fd;
    xo_notify_ready(&node->notify);
    if (fd < 0)
        return;
    if (dprintf(fd, "%s\n", node->endpoint) < 0)
        xo_log(node->options->log, XO_LOG_WARN, COMPONENT, "--ready-fd %d: %s", fd,
               strerror(errno));
    close(fd);
}

static void on_ready(xo_broker_t *broker, const xo_error_t *why, void *arg)
{
    xo_node_t *node = arg;
    (void)broker;
    if (why == NULL) {
        say_ready(node);
        return;
    }
    node->failure = *why;
    xo_loop_stop(node->loop);
}

static int make_broker(xo_node_t *node, xo_error_t *err)
{
    const xo_node_options_t *options = node->options;
    xo_broker_options_t broker = {
        .node_id = node->id,
        .listen = node->endpoint,
        .port = options->port,
        .bind = options->bind,
        .registry = options->registry ? options->registry : xo_own_registry_url(node->own_registry),
        .shared_registry = options->registry && strcmp(options->registry, MEMORY) != 0,
        .far_registry = options->registry && xo_url_is_far(options->registry),
        .run_dir = node->run_dir,
        .dir = xo_node_dir_path(node->dir),
        .take_over = node->takes_over,
        .ready = on_ready,
        .owner = options->owner,
        .heartbeat_ms = options->heartbeat_ms,
        .hang_ms = options->hang_ms,
        .gpu_free_ms = options->gpu_free_ms,
        .stop_ms = options->stop_ms,
        .log = options->log,
        .version = options->version,
    };
    node->broker = xo_broker_create(node->ctx, node->loop, &broker, on_stopped, node, err);
    return node->broker ? 0 : -1;
}

/* Who has the right to take the node over: a line of text. */
static char *make_claim(const xo_node_options_t *options)
{
    char *claim = NULL;
    char *path = options->config ? realpath(options->config, NULL) : NULL;
    int size = options->owner > 0 ? asprintf(&claim, "owner %d %lld\n", (int)options->owner,
                                             (long long)xo_proc_started(options->owner))
                                  : asprintf(&claim, "config %s\n", path ? path : "");
    free(path);
    return size < 0 ? NULL : claim;
}

/* A node of an owner is taken over by its id only: the owner may have several. */
static int find_left(xo_node_t *node, xo_error_t *err)
{
    const xo_node_options_t *options = node->options;
    node->claim = make_claim(options);
    if (node->claim == NULL)
        return xo_error_set(err, ENOMEM, "out of memory");
    if (options->owner > 0 && options->adopt == 0)
        return 0;
    node->dir = xo_node_dir_take_over(xo_ctx_run_dir(node->ctx), options->adopt, node->claim,
                                      options->owner == 0, err);
    if (node->dir == NULL)
        return err->errnum != 0 ? -1 : 0;
    node->takes_over = true;
    node->id = xo_node_dir_id(node->dir);
    return 0;
}

static int make_node(xo_node_t *node, xo_error_t *err)
{
    node->ctx = xo_ctx_create(node->options->cluster, err);
    if (node->ctx == NULL || find_left(node, err) < 0 || name_places(node, err) < 0)
        return -1;
    node->loop = xo_loop_create(err);
    if (node->loop != NULL)
        xo_notify_init(&node->notify, node->loop, node->options->log);
    if (node->loop == NULL || watch_signals(node, err) < 0 || watch_owner(node, err) < 0)
        return -1;
    if (node->dir == NULL)
        node->dir =
            xo_node_dir_create(xo_ctx_run_dir(node->ctx), node->id, node->options->owner == 0, err);
    if (node->dir == NULL || make_registry(node, err) < 0 || make_guard(node, err) < 0)
        return -1;
    return make_broker(node, err);
}

static int start_pools_of(xo_node_t *node, const xo_pool_settings_t *pools, xo_error_t *err)
{
    for (int i = 0; i < pools->count; i++) {
        xo_pool_spec_t *spec = xo_pool_spec_copy(pools->spec);
        int rc = spec ? xo_pool_spec_shift_ports(spec, i * xo_command_pools(spec), err)
                      : xo_error_set(err, ENOMEM, "out of memory");
        if (rc == 0)
            rc = xo_broker_start_pool(node->broker, spec, err);
        xo_pool_spec_destroy(spec);
        if (rc < 0)
            return xo_error_prefix(err, "[pool %s]", pools->name);
    }
    return 0;
}

static int start_pools(xo_node_t *node, xo_error_t *err)
{
    const xo_settings_t *settings = node->options->settings;
    for (size_t i = 0; settings != NULL && i < settings->pool_count; i++) {
        if (start_pools_of(node, &settings->pools[i], err) < 0)
            return -1;
    }
    return 0;
}

static void unmake_node(xo_node_t *node)
{
    xo_broker_destroy(node->broker);
    xo_own_registry_destroy(node->own_registry);
    xo_node_guard_stop(node->guard);
    xo_node_dir_destroy(node->dir);
    xo_notify_end(&node->notify);
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        if (node->signals[i].active)
            xo_signal_stop(&node->signals[i]);
    }
    if (node->owner.active)
        xo_io_stop(&node->owner);
    if (node->owner_fd >= 0)
        close(node->owner_fd);
    xo_loop_destroy(node->loop);
    xo_ctx_destroy(node->ctx);
    free(node->claim);
}

static int begin(xo_node_t *node, xo_error_t *err)
{
    if (node->takes_over)
        return 0;
    if (start_pools(node, err) < 0)
        return -1;
    if (xo_node_dir_claim(node->dir, node->claim) < 0)
        return xo_error_set(err, errno, "cannot write to %s: %s", xo_node_dir_path(node->dir),
                            strerror(errno));
    say_ready(node);
    return 0;
}

int xo_node_run(const xo_node_options_t *options, xo_error_t *err)
{
    xo_node_t node = {.options = options, .id = xo_random_id(), .owner_fd = -1, .notify.fd = -1};
    int rc = make_node(&node, err);
    if (rc == 0)
        rc = begin(&node, err);
    if (rc == 0)
        xo_loop_run(node.loop);
    if (node.failure.errnum != 0) {
        *err = node.failure;
        rc = -1;
    }
    unmake_node(&node);
    return rc;
}
