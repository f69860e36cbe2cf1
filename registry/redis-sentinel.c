/* redis-sentinel.c - where the master is that Redis Sentinel knows under a name: asked of one of
 * the sentinels at each try to connect, and of the next one at the next. Then it is asked again
 * each second, because a master that the sentinels do not reach goes on answering those who do,
 * and what they write there is lost. A sentinel that fails meanwhile is followed by the next one,
 * and Redis is used until one names another master.
 *
 * Subscribing to +switch-master would save the questions, but what hiredis 0.14 does not expect in
 * a message to subscribers ends the process by an assertion. All answers come to one callback, so
 * that one too many is ours to handle; see the top of redis-connection.c.
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
/* How long after an answer, or after one of them failed, they are asked again. */
#define AGAIN_MS 1000

/* Lets go of the connection to the sentinel. */
static void hang_up(redis_t *redis)
{
    redisAsyncContext *ac = redis->sentinel;
    redis->sentinel = NULL;
    redis->awaited = AWAITS_NOTHING;
    xo_timer_stop(&redis->asking);
    if (!ac)
        return;
    ac->data = NULL;
    redisAsyncFree(ac);
}

void xoi_sentinel_detach(redis_t *redis)
{
    redis->master[0] = '\0';
    hang_up(redis);
}

static void fail(redis_t *redis, int errnum, const char *why)
{
    char text[XO_ERROR_TEXT_BYTES];
    if (redis->master[0]) { /* it was asked only whether there is another one */
        hang_up(redis);
        xo_timer_start(&redis->asking, AGAIN_MS * XO_MS);
        return;
    }
    snprintf(text, sizeof(text), "the sentinel %.200s: %.290s", redis->asked, why);
    xoi_redis_lost(redis, errnum, text);
}

/* ---- the answers ---- */

static void on_login(redis_t *redis, const redisReply *reply)
{
    char why[XO_ERROR_TEXT_BYTES];
    redis->awaited = AWAITS_MASTER;
    if (reply->type != REDIS_REPLY_ERROR)
        return;
    snprintf(why, sizeof(why), "it refuses user and password of %.256s: %.180s",
             redis->url.sentinel_login.file, reply->str);
    fail(redis, EACCES, why);
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

/* The first answer is connected to; one that names another master later ends that. */
static void go_to(redis_t *redis, const char *host, int port)
{
    char master[sizeof(redis->master)];
    char text[XO_ERROR_TEXT_BYTES];
    snprintf(master, sizeof(master), "%.255s:%d", host, port);
    bool is_first = !redis->master[0];
    if (!is_first && strcmp(master, redis->master) != 0) {
        snprintf(text, sizeof(text), "the sentinel %.200s names another master, %.200s",
                 redis->asked, master);
        xoi_redis_lost(redis, ECONNRESET, text);
        return;
    }
    xo_timer_start(&redis->asking, AGAIN_MS * XO_MS);
    memcpy(redis->master, master, sizeof(master));
    if (is_first)
        xoi_redis_connect_to(redis, host, port);
}

static void on_master(redis_t *redis, const redisReply *reply)
{
    char host[256];
    redis->awaited = AWAITS_NOTHING;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOAUTH", 6) == 0) {
        fail(redis, EACCES,
             "it wants a password: add ?sentinel_password_file=PATH to the registry's URL");
    } else if (reply->type == REDIS_REPLY_ERROR) {
        fail(redis, EACCES, reply->str);
    } else if (!is_address(reply)) {
        fail(redis, ENOENT, "it knows no master of this name");
    } else {
        snprintf(host, sizeof(host), "%s", reply->element[0]->str);
        go_to(redis, host, atoi(reply->element[1]->str));
    }
}

static void on_answer(redisAsyncContext *ac, void *answer, void *arg)
{
    (void)arg;
    redis_t *redis = ac->data;
    if (!redis || !answer)
        return; /* given up; or the connection ends, which is told */
    switch (redis->awaited) {
    case AWAITS_LOGIN:
        on_login(redis, answer);
        break;
    case AWAITS_MASTER:
        on_master(redis, answer);
        break;
    case AWAITS_NOTHING:
        fail(redis, EBADMSG, "it sent an answer that nobody asked for");
        break;
    }
}

/* ---- the questions ---- */

static void log_in(redis_t *redis)
{
    xo_login_t *login = &redis->url.sentinel_login;
    xo_login_read(login, NULL); /* it may be another one since */
    if (!login->password[0] && !login->user[0])
        return;
    redis->awaited = AWAITS_LOGIN;
    if (login->user[0])
        redisAsyncCommand(redis->sentinel, on_answer, NULL, "AUTH %s %s", login->user,
                          login->password);
    else
        redisAsyncCommand(redis->sentinel, on_answer, NULL, "AUTH %s", login->password);
}

static void ask_for_master(redis_t *redis)
{
    if (redis->awaited == AWAITS_NOTHING)
        redis->awaited = AWAITS_MASTER;
    redisAsyncCommand(redis->sentinel, on_answer, NULL, "SENTINEL get-master-addr-by-name %s",
                      redis->url.master);
}

static void on_time(xo_timer_t *timer, void *arg)
{
    redis_t *redis = arg;
    if (!redis->master[0] || redis->awaited != AWAITS_NOTHING) {
        fail(redis, ETIMEDOUT, "it does not answer");
    } else if (redis->sentinel) {
        xo_timer_start(timer, ANSWER_MS * XO_MS);
        ask_for_master(redis);
    } else if (redis->resolve) { /* the master's name */
        xo_timer_start(timer, AGAIN_MS * XO_MS);
    } else {
        xoi_sentinel_ask(redis);
    }
}

void xoi_sentinel_init(redis_t *redis)
{
    xo_timer_init(&redis->asking, redis->base.loop, on_time, redis);
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
    log_in(redis);
    ask_for_master(redis);
    xoi_redis_add_spare(ac, on_answer);
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
