#include "broker/own_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/node_dir.h"
#include "registry/private.h"

#define COMPONENT "registry"
/* Before the server is started again, doubled each time it ends, until one has been well for long.
 * What kept it from starting may be over at any moment, a full disk for instance. */
#define RESTART_MS 100
#define RESTART_MAX_MS 3000
#define WELL_MS 10000

/* A server that fails for want of room has nothing against what the last one kept; one that fails
 * so often in a row though there is room cannot read it. */
#define FAILURES_MAX 3
#define ROOM_FILES 8
#define ROOM_BYTES 4096

struct xo_own_registry {
    xo_loop_t *loop;
    xo_own_registry_options_t options;
    xo_private_redis_t *redis; /* NULL: memory, or between two servers */
    xo_timer_t restart;
    int64_t restart_ms;
    int64_t started_ns;
    unsigned failures;
    char url[XO_PRIVATE_REDIS_URL_BYTES];
};

static int start(xo_own_registry_t *own, xo_error_t *err);

static void restart_later(xo_own_registry_t *own)
{
    if (xo_loop_now(own->loop) - own->started_ns > WELL_MS * XO_MS)
        own->restart_ms = RESTART_MS;
    xo_timer_start(&own->restart, own->restart_ms * XO_MS);
    own->restart_ms *= 2;
    if (own->restart_ms > RESTART_MAX_MS)
        own->restart_ms = RESTART_MAX_MS;
}

static bool try_file(const char *path)
{
    static const char zeros[ROOM_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, zeros, sizeof(zeros)) == (ssize_t)sizeof(zeros);
    if (fd >= 0)
        close(fd);
    return written;
}

/* For the files that a server makes. */
static bool has_room(const char *directory)
{
    char path[PATH_MAX];
    bool has = true;
    for (int i = 0; has && i < ROOM_FILES; i++) {
        snprintf(path, sizeof(path), "%.4000s/room-%d", directory, i);
        has = try_file(path);
    }
    for (int i = 0; i < ROOM_FILES; i++) {
        snprintf(path, sizeof(path), "%.4000s/room-%d", directory, i);
        unlink(path);
    }
    return has;
}

static void count_failure(xo_own_registry_t *own, xo_private_redis_t *redis, const xo_error_t *why)
{
    xo_error_t lost;
    if (!xo_private_redis_has_failed(redis)) {
        own->failures = 0;
        return;
    }
    own->failures += has_room(own->options.directory);
    if (own->failures < FAILURES_MAX)
        return;
    xo_error_set(&lost, 0, "what the registry held cannot be read and is lost: %s", why->text);
    xo_log(own->options.log, XO_LOG_ERROR, COMPONENT, "%s", lost.text);
    own->options.events.lost(lost.text, own->options.arg);
    xo_private_redis_forget(redis);
    own->failures = 0;
    own->restart_ms = RESTART_MS;
}

static void on_exit_of_server(xo_private_redis_t *redis, const xo_error_t *why, void *arg)
{
    xo_own_registry_t *own = arg;
    xo_log(own->options.log, XO_LOG_ERROR, COMPONENT,
           "the private redis-server ended and is started again: %s", why->text);
    count_failure(own, redis, why);
    xo_private_redis_destroy(redis);
    own->redis = NULL;
    restart_later(own);
}

static void cannot_start(xo_own_registry_t *own, const xo_error_t *why)
{
    xo_error_t text;
    xo_error_set(&text, why->errnum,
                 "the private redis-server cannot be started, and is tried again: %s", why->text);
    xo_log(own->options.log, XO_LOG_ERROR, COMPONENT, "%s", text.text);
    own->options.events.away(text.text, own->options.arg);
    restart_later(own);
}

static void on_restart(xo_timer_t *timer, void *arg)
{
    xo_own_registry_t *own = arg;
    xo_error_t err;
    (void)timer;
    if (start(own, &err) < 0)
        cannot_start(own, &err);
}

static int start(xo_own_registry_t *own, xo_error_t *err)
{
    xo_private_redis_options_t options = {.run_dir = own->options.directory,
                                          .owner = own->options.owner,
                                          .orphaned = xo_node_dir_abandon};
    own->started_ns = xo_loop_now(own->loop);
    own->redis = xo_private_redis_start(own->loop, &options, on_exit_of_server, own, err);
    return own->redis != NULL ? 0 : -1;
}

/* Pools and actors live, so the node must not fail: what is wrong is said once there is who hears
 * it. Had the last broker no server, nor has this one. */
static bool can_wait(const xo_own_registry_t *own)
{
    return own->options.takes_over && xo_private_redis_has_kept(own->options.directory);
}

static int begin(xo_own_registry_t *own, xo_error_t *err)
{
    if (xo_private_redis_locate(own->options.directory, own->url, err) < 0)
        return -1;
    if (start(own, err) == 0)
        return 0;
    if (can_wait(own)) {
        restart_later(own);
        return 0;
    }
    if (err->errnum != ENOENT)
        return -1;
    snprintf(own->url, sizeof(own->url), "memory:");
    xo_log(own->options.log, XO_LOG_WARN, COMPONENT,
           "there is no redis-server here, so this node keeps its registry in memory: "
           "redis-cli will not show it, and no other node can join");
    return 0;
}

xo_own_registry_t *xo_own_registry_create(xo_loop_t *loop, const xo_own_registry_options_t *options,
                                          xo_error_t *err)
{
    xo_own_registry_t *own = calloc(1, sizeof(*own));
    if (own == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    own->loop = loop;
    own->options = *options;
    own->restart_ms = RESTART_MS;
    xo_timer_init(&own->restart, loop, on_restart, own);
    if (begin(own, err) == 0)
        return own;
    free(own);
    return NULL;
}

const char *xo_own_registry_url(const xo_own_registry_t *own)
{
    return own->url;
}

bool xo_own_registry_has_server(const xo_own_registry_t *own)
{
    return own->redis != NULL;
}

void xo_own_registry_destroy(xo_own_registry_t *own)
{
    if (own == NULL)
        return;
    xo_timer_stop(&own->restart);
    xo_private_redis_destroy(own->redis);
    free(own);
}
