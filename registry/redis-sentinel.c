/* redis-sentinel.c - where the master is that Redis Sentinel knows under a name: asked of one of
 * the sentinels at each try to connect, and of the next one at the next.
 *
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/redis.h"

/* What one of them may take to answer, before another is asked. */
#define ANSWER_MS 1000

void xoi_sentinel_detach(redis_t *redis)
{
    redisAsyncContext *ac = redis->sentinel;
    redis->sentinel = NULL;
    xo_timer_stop(&redis->asking);
    if (!ac)
        return;
    ac->data = NULL;
    redisAsyncFree(ac);
}

static void fail(redis_t *redis, int errnum, const char *why)
{
    char text[XO_ERROR_TEXT_BYTES];
    snprintf(text, sizeof(text), "the sentinel %.256s: %.200s", redis->asked, why);
    xoi_redis_lost(redis, errnum, text);
}

static void on_time(xo_timer_t *timer, void *arg)
{
    (void)timer;
    fail(arg, ETIMEDOUT, "it does not answer");
}

void xoi_sentinel_init(redis_t *redis)
{
    xo_timer_init(&redis->asking, redis->base.loop, on_time, redis);
}

/* ---- the answer ---- */

static void on_login(redisAsyncContext *ac, void *answer, void *arg)
{
    (void)arg;
    redis_t *redis = ac->data;
    const redisReply *reply = answer;
    char why[XO_ERROR_TEXT_BYTES];
    if (!redis || !reply || reply->type != REDIS_REPLY_ERROR)
        return;
    snprintf(why, sizeof(why), "it refuses user and password of %.256s: %.120s",
             redis->url.sentinel_login.file, reply->str);
    fail(redis, EACCES, why);
}

static void log_in(redis_t *redis, redisAsyncContext *ac)
{
    xo_login_t *login = &redis->url.sentinel_login;
    xo_login_read(login, NULL); /* it may be another one since */
    if (login->user[0])
        redisAsyncCommand(ac, on_login, NULL, "AUTH %s %s", login->user, login->password);
    else if (login->password[0])
        redisAsyncCommand(ac, on_login, NULL, "AUTH %s", login->password);
}

static bool is_address(const redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING)
        return false;
    long port = strtol(reply->element[1]->str, NULL, 10);
    return port > 0 && port <= UINT16_MAX;
}

static void on_master(redisAsyncContext *ac, void *answer, void *arg)
{
    (void)arg;
    redis_t *redis = ac->data;
    const redisReply *reply = answer;
    char host[256];
    if (!redis || !reply)
        return; /* given up; or the connection ends, which is told */
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOAUTH", 6) == 0) {
        fail(redis, EACCES,
             "it wants a password: add ?sentinel_password_file=PATH to the registry's URL");
    } else if (reply->type == REDIS_REPLY_ERROR) {
        fail(redis, EACCES, reply->str);
    } else if (!is_address(reply)) {
        fail(redis, ENOENT, "it knows no master of this name");
    } else {
        snprintf(host, sizeof(host), "%s", reply->element[0]->str);
        int port = atoi(reply->element[1]->str);
        xoi_sentinel_detach(redis);
        xoi_redis_connect_to(redis, host, port);
    }
}

/* ---- the connection: see the top of redis-connection.c ---- */

static void on_end(const redisAsyncContext *ac)
{
    int errnum = errno;
    redis_t *redis = ac->data;
    char why[160];
    if (!redis)
        return;
    snprintf(why, sizeof(why), "%.150s", ac->c.errstr[0] ? ac->c.errstr : "it hung up");
    ((redisAsyncContext *)ac)->data = NULL; /* hiredis frees it */
    redis->sentinel = NULL;
    xo_timer_stop(&redis->asking);
    fail(redis, errnum ? errnum : ECONNRESET, why);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    if (status != REDIS_OK)
        on_end(ac);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    (void)status;
    errno = 0;
    on_end(ac);
}

static void on_resolved(const char *address, const char *why, void *arg)
{
    redis_t *redis = arg;
    xo_error_t err;
    redis->resolve = NULL;
    if (!address) {
        fail(redis, EHOSTUNREACH, why);
        return;
    }
    errno = 0;
    redisAsyncContext *ac = redisAsyncConnect(address, redis->asked_port);
    if (xoi_redis_take(redis, ac, on_connect, on_disconnect, &err) < 0) {
        fail(redis, err.errnum, err.text);
        return;
    }
    redis->sentinel = ac;
    log_in(redis, ac);
    redisAsyncCommand(ac, on_master, NULL, "SENTINEL get-master-addr-by-name %s",
                      redis->url.master);
    xoi_redis_add_spare(ac);
}

void xoi_sentinel_ask(redis_t *redis)
{
    char host[256];
    xo_url_sentinel(&redis->url, redis->sentinel_turn++, host, &redis->asked_port);
    snprintf(redis->asked, sizeof(redis->asked), "%s:%d", host, redis->asked_port);
    xo_timer_start(&redis->asking, ANSWER_MS * XO_MS);
    redis->resolve = xoi_resolve(redis->base.loop, host, redis->turn, on_resolved, redis);
    if (!redis->resolve)
        fail(redis, errno, "cannot resolve its name");
}
