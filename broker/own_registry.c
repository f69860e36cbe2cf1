#include "broker/own_registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/node_dir.h"
#include "registry/private.h"

#define COMPONENT "registry"
/* Before the server is started again, doubled each time it ends, until one has been well for long.
 * What kept it from starting may be over at any moment, a full disk for instance. */
#define RESTART_MS 100
#define RESTART_MAX_MS 3000
#define WELL_MS 10000
#define URL_BYTES 256

struct xo_own_registry {
    xo_loop_t *loop;
    const char *directory;
    const xo_log_t *log;
    xo_private_redis_t *redis; /* NULL: memory, or between two servers */
    xo_timer_t restart;
    int64_t restart_ms;
    int64_t started_ns;
    pid_t owner;
    char url[URL_BYTES];
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

static void on_exit_of_server(xo_private_redis_t *redis, const xo_error_t *why, void *arg)
{
    xo_own_registry_t *own = arg;
    xo_log(own->log, XO_LOG_ERROR, COMPONENT,
           "the private redis-server ended and is started again: %s", why->text);
    xo_private_redis_destroy(redis);
    own->redis = NULL;
    restart_later(own);
}

static void on_restart(xo_timer_t *timer, void *arg)
{
    xo_own_registry_t *own = arg;
    xo_error_t err;
    (void)timer;
    if (start(own, &err) == 0)
        return;
    xo_log(own->log, XO_LOG_ERROR, COMPONENT, "%s", err.text);
    restart_later(own);
}

static int start(xo_own_registry_t *own, xo_error_t *err)
{
    xo_private_redis_options_t options = {
        .run_dir = own->directory, .owner = own->owner, .orphaned = xo_node_dir_abandon};
    own->started_ns = xo_loop_now(own->loop);
    own->redis = xo_private_redis_start(own->loop, &options, on_exit_of_server, own, err);
    if (own->redis == NULL)
        return -1;
    snprintf(own->url, sizeof(own->url), "%s", xo_private_redis_url(own->redis));
    return 0;
}

xo_own_registry_t *xo_own_registry_create(xo_loop_t *loop, const char *directory, pid_t owner,
                                          const xo_log_t *log, xo_error_t *err)
{
    xo_own_registry_t *own = calloc(1, sizeof(*own));
    if (own == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    own->loop = loop;
    own->directory = directory;
    own->log = log;
    own->owner = owner;
    own->restart_ms = RESTART_MS;
    xo_timer_init(&own->restart, loop, on_restart, own);
    if (start(own, err) == 0)
        return own;
    if (errno == ENOENT) {
        snprintf(own->url, sizeof(own->url), "memory:");
        xo_log(log, XO_LOG_WARN, COMPONENT,
               "there is no redis-server here, so this node keeps its registry in memory: "
               "redis-cli will not show it, and no other node can join");
        return own;
    }
    free(own);
    return NULL;
}

const char *xo_own_registry_url(const xo_own_registry_t *own)
{
    return own->url;
}

void xo_own_registry_destroy(xo_own_registry_t *own)
{
    if (own == NULL)
        return;
    xo_timer_stop(&own->restart);
    xo_private_redis_destroy(own->redis);
    free(own);
}
