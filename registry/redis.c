/* redis.c - the registry on Redis: its life, and what the outside is told.
 */
#include "registry/redis.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define DRAIN_MS 500 /* what closing may take: a stop has 2 s in all */

static redis_t *self(xo_registry_t *registry)
{
    return (redis_t *)registry;
}

bool xoi_redis_is_refusal(int errnum)
{
    return errnum == EACCES || errnum == EROFS || errnum == ENOSPC || errnum == EPROTO ||
           errnum == EBADMSG || errnum == EINVAL || errnum == EIO;
}

/* A server of ours on a unix socket takes a moment to start; nobody wants to read about it. */
static bool is_starting(const redis_t *redis)
{
    int errnum = redis->why.errnum;
    return !redis->was_up && redis->url.path[0] && redis->tries < REDIS_QUICK_TRIES &&
           (errnum == ENOENT || errnum == ECONNREFUSED || errnum == EBUSY);
}

/* Scripts and commands word the same refusal differently, and so do sentinels, asked in turn. */
static bool is_same(const redis_t *redis, int errnum, const char *text)
{
    bool limit = errnum == EROFS || errnum == ENOSPC || errnum == EIO || redis->url.master[0];
    return redis->why.errnum == errnum && (limit || strcmp(redis->why.text, text) == 0);
}

/* Remembers what is wrong and tells it, once. */
static void tell(redis_t *redis, int errnum, const char *text)
{
    xo_registry_t *base = &redis->base;
    if (!is_same(redis, errnum, text))
        redis->told = false;
    redis->why.errnum = errnum;
    snprintf(redis->why.text, sizeof(redis->why.text), "%s", text);
    if (redis->told || is_starting(redis))
        return;
    redis->told = true;
    xo_error_t why = redis->why;
    if (base->events.down && !base->closed)
        base->events.down(base, &why, base->arg);
}

static void be_up(redis_t *redis)
{
    redis->state = REDIS_READY;
    redis->was_up = true;
    redis->told = false;
    memset(&redis->why, 0, sizeof(redis->why));
    redis->up_since_ns = xo_loop_now(redis->base.loop);
    xo_timer_stop(&redis->retry);
}

void xoi_redis_up(redis_t *redis, bool empty)
{
    xo_registry_t *base = &redis->base;
    if (redis->state == REDIS_READY && !empty)
        return;
    base->stats.connections += redis->state == REDIS_GREETING;
    be_up(redis);
    xoi_registry_hold(base);
    if (base->events.up)
        base->events.up(base, empty, base->arg);
    xoi_redis_flush(redis);
    xoi_registry_unhold(base);
}

/* What was refused is said by who refused it. */
static bool is_whole(int errnum, const char *text)
{
    return strncmp(text, "Redis at ", 9) == 0 ||
           (errnum == EACCES && strncmp(text, "the sentinel ", 13) == 0);
}

/* How errno and sentence of a lost connection look to people. */
static void describe(const redis_t *redis, int errnum, const char *text, xo_error_t *why)
{
    const char *url = redis->base.url;
    why->errnum = errnum;
    if (is_whole(errnum, text))
        snprintf(why->text, sizeof(why->text), "%s", text);
    else if (errnum == EBADMSG)
        snprintf(why->text, sizeof(why->text),
                 "what listens at %.256s is no Redis (%.120s); correct the registry's URL", url,
                 text);
    else if (errnum == EPROTO)
        snprintf(why->text, sizeof(why->text), "Redis at %.200s %.256s", url, text);
    else
        snprintf(why->text, sizeof(why->text),
                 "cannot reach Redis at %.256s: %.120s; start it there or correct the registry's "
                 "URL",
                 url, text);
}

/* What can wait for Redis to be there for the first time; what cannot ends now. */
static void end_what_cannot_wait(redis_t *redis, const xo_error_t *why)
{
    bool refused = xoi_redis_is_refusal(why->errnum);
    if (refused)
        xoi_redis_end_all(redis, &redis->unsent, why->errnum, why->text);
    else if (redis->was_up)
        xoi_redis_end_all(redis, &redis->unsent, ENOTCONN, why->text);
}

void xoi_redis_lost(redis_t *redis, int errnum, const char *text)
{
    xo_error_t why;
    int64_t up_ns = xo_loop_now(redis->base.loop) - redis->up_since_ns;
    if (redis->base.closed)
        return;
    xoi_registry_hold(&redis->base);
    describe(redis, errnum, text, &why);
    if (redis->state == REDIS_READY && up_ns > REDIS_STEADY_MS * XO_MS)
        redis->tries = 0;
    redis->state = REDIS_AWAY;
    xoi_redis_detach(redis);
    redis->inflight_count = redis->inflight_bytes = 0;
    redis_op_t *inflight = redis->inflight, *redo = redis->redo;
    redis->inflight = redis->redo = NULL;
    xoi_redis_retry_later(redis);
    tell(redis, why.errnum, why.text);
    xoi_redis_end_all(redis, &inflight, errnum == ETIMEDOUT ? ETIMEDOUT : ENOTCONN, why.text);
    xoi_redis_end_all(redis, &redo, ENOTCONN, why.text);
    end_what_cannot_wait(redis, &why);
    xoi_registry_unhold(&redis->base);
}

void xoi_redis_limited(redis_t *redis, int errnum, const char *text)
{
    if (redis->base.closed)
        return;
    if (errnum == EROFS && redis->url.master[0]) { /* the sentinels know who is not, or will */
        xoi_redis_lost(redis, ECONNRESET, "it is a replica now");
        return;
    }
    xoi_registry_hold(&redis->base);
    redis->base.stats.connections += redis->state == REDIS_GREETING;
    redis->state = REDIS_LIMITED;
    if (!xo_timer_active(&redis->retry))
        xoi_redis_retry_later(redis);
    tell(redis, errnum, text);
    xoi_redis_flush(redis);
    xoi_registry_unhold(&redis->base);
}

static void retry(xo_timer_t *timer, void *arg)
{
    (void)timer;
    redis_t *redis = arg;
    if (redis->state == REDIS_LIMITED)
        xoi_redis_probe(redis);
    else
        xoi_redis_connect(redis);
}

/* ---- life ---- */

/* hiredis writes to sockets without MSG_NOSIGNAL. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

static xo_registry_t *redis_open(xo_loop_t *loop, const xo_url_t *url, const char *cluster,
                                 const xo_registry_events_t *events, void *arg, xo_error_t *err)
{
    redis_t *redis = calloc(1, sizeof(*redis));
    if (!redis)
        return xo_error_null(err, ENOMEM, "out of memory for the registry");
    xoi_registry_init(&redis->base, &xoi_redis_ops, loop, url, cluster, events, arg);
    redis->url = *url;
    xo_timer_init(&redis->retry, loop, retry, redis);
    xo_timer_init(&redis->patience, loop, xoi_redis_out_of_patience, redis);
    xo_timer_init(&redis->gather, loop, xoi_redis_gathered, redis);
    xoi_sentinel_init(redis);
    ignore_sigpipe();
    xo_timer_start(&redis->retry, 0); /* from the loop, since a failure calls back */
    return &redis->base;
}

/* Sends what waits, though not by portions: nobody will come back for the rest. */
static void send_rest(redis_t *redis)
{
    redis_op_t *op;
    bool connected = redis->state == REDIS_READY || redis->state == REDIS_LIMITED;
    if (!redis->ac || !connected)
        return;
    while ((op = redis->unsent)) {
        DL_DELETE(redis->unsent, op);
        xoi_redis_send(redis, op);
    }
    xoi_redis_drain(redis, DRAIN_MS);
}

static void redis_close(xo_registry_t *registry)
{
    redis_t *redis = self(registry);
    send_rest(redis);
    redis->state = REDIS_AWAY;
    xo_timer_stop(&redis->retry);
    xo_timer_stop(&redis->patience);
    xo_timer_stop(&redis->gather);
    xoi_redis_detach(redis);
    xoi_redis_end_all(redis, &redis->inflight, ECANCELED, "");
    xoi_redis_end_all(redis, &redis->redo, ECANCELED, "");
    xoi_redis_end_all(redis, &redis->unsent, ECANCELED, "");
}

static void redis_release(xo_registry_t *registry)
{
    redis_t *redis = self(registry);
    xo_buf_free(&redis->scratch);
    explicit_bzero(&redis->url.login, sizeof(redis->url.login));
    explicit_bzero(&redis->url.sentinel_login, sizeof(redis->url.sentinel_login));
    free(redis);
}

static bool redis_is_up(const xo_registry_t *registry)
{
    return ((const redis_t *)registry)->state == REDIS_READY;
}

static const char *const schemes[] = {"redis", "redis+sentinel", "unix", NULL};

const xo_registry_ops_t xoi_redis_ops = {
    .schemes = schemes,
    .open = redis_open,
    .close = redis_close,
    .release = redis_release,
    .is_up = redis_is_up,
    .put = xoi_redis_put,
    .take = xoi_redis_take_name,
    .refill = xoi_redis_refill,
    .renew = xoi_redis_renew,
    .del = xoi_redis_del,
    .put_spec = xoi_redis_put_spec,
    .get_spec = xoi_redis_get_spec,
    .get = xoi_redis_get,
    .list = xoi_redis_list,
    .keys_version = xoi_redis_keys_version,
    .lookup = xoi_redis_lookup,
    .watch = xoi_redis_watch,
    .news = xoi_redis_news,
    .event = xoi_redis_event,
    .events = xoi_redis_events,
    .lapsed = xoi_redis_lapsed,
    .reap = xoi_redis_reap,
    .claim = xoi_redis_claim,
    .wait = xoi_redis_wait,
};
