/* redis-connection.c - connecting, again and again, and the greeting.
 *
 * What has to be known of hiredis 0.14:
 * - When connecting fails, or the connection breaks, hiredis frees the context after it has called
 * back. A context that we give up is freed with redisAsyncFree, which waits for the end of a
 * callback under way. Either way the callbacks of what is in flight come with a NULL reply;
 * ac->data, NULL since then, keeps them from us.
 * - An answer for which there is no callback aborts the process by an assertion, so a server that
 * talks out of turn could kill us. A callback more than there are commands (`xoi_redis_add_spare`)
 * makes it ours to handle.
 * - There are no timeouts; redis-queue.c has them.
 * - Names are resolved while the caller waits; resolve.c does it in a thread.
 * - The socket is inherited by children unless we say otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/adapters/libev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "registry/redis.h"

/* ---- backoff ---- */

/* Full jitter (Brooker, "Exponential Backoff And Jitter", 2015) above a minimum. */
int64_t xoi_redis_backoff_ms(unsigned tries, bool local, unsigned random)
{
    if (local && tries < REDIS_QUICK_TRIES)
        return REDIS_QUICK_MS;
    if (local)
        tries -= REDIS_QUICK_TRIES;
    int64_t most = tries < 6 ? (int64_t)REDIS_RETRY_MIN_MS << tries : REDIS_RETRY_MAX_MS;
    return REDIS_RETRY_MIN_MS + random % (most - REDIS_RETRY_MIN_MS + 1);
}

static unsigned random_number(void)
{
    unsigned random = 0;
    return getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0 ? 0 : random;
}

void xoi_redis_retry_later(redis_t *redis)
{
    bool local = redis->url.path[0] != 0;
    int64_t ms = xoi_redis_backoff_ms(redis->tries++, local, random_number());
    xo_timer_start(&redis->retry, ms * XO_MS);
}

/* ---- the greeting ---- */

enum {
    STEP_AUTH,
    STEP_SELECT,
    STEP_NAME,
    STEP_CLAIM,
    STEP_BEGIN,
    STEP_SCHEMA,
    STEP_EPOCH,
    STEP_SCRIPT
};

/* The first refusal is the one that tells. */
static void greeting_refused(redis_t *redis, int errnum, const char *text)
{
    redis_greeting_t *greeting = &redis->greeting;
    if (greeting->errnum)
        return;
    greeting->errnum = errnum;
    snprintf(greeting->text, sizeof(greeting->text), "%s", text);
}

static void keep_digest(redis_t *redis, int script, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len != 40)
        greeting_refused(redis, EBADMSG, "");
    else
        snprintf(redis->sha[script], sizeof(redis->sha[script]), "%s", reply->str);
}

static void check_schema(redis_t *redis, const redisReply *reply)
{
    char text[256];
    if (reply->type == REDIS_REPLY_STRING && strcmp(reply->str, REDIS_SCHEMA) != 0) {
        snprintf(
            text, sizeof(text),
            "holds schema %.40s of cluster %s, this xo writes %s; use the matching xo, another "
            "cluster name or another database",
            reply->str, redis->base.cluster, REDIS_SCHEMA);
        redis->greeting.errnum = 0;
        greeting_refused(redis, EPROTO, text);
    } else if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        greeting_refused(redis, EBADMSG, "");
    }
}

static void keep_epoch(redis_t *redis, const redisReply *reply)
{
    char *epoch = redis->greeting.epoch;
    if (reply->type == REDIS_REPLY_STRING)
        snprintf(epoch, sizeof(redis->greeting.epoch), "%s", reply->str);
    else if (reply->type != REDIS_REPLY_NIL)
        greeting_refused(redis, EBADMSG, "");
}

/* Has all of ours gone since we last looked? Another may have noticed first, and begun a new epoch.
 */
static bool begin_epoch(redis_t *redis)
{
    bool known = redis->epoch[0] != 0;
    bool changed = strcmp(redis->epoch, redis->greeting.epoch) != 0;
    memcpy(redis->epoch, redis->greeting.epoch, sizeof(redis->epoch));
    return redis->greeting.created || (known && changed);
}

/* All steps are answered. */
static void greeted(redis_t *redis)
{
    redis_greeting_t *greeting = &redis->greeting;
    int errnum = greeting->errnum;
    char text[XO_ERROR_TEXT_BYTES];
    greeting->under_way = false;
    if (errnum == EBADMSG)
        snprintf(text, sizeof(text), "does not answer as Redis does");
    else
        snprintf(text, sizeof(text), "%s", greeting->text);
    if (errnum == 0)
        xoi_redis_up(redis, begin_epoch(redis));
    else if (errnum == EROFS || errnum == ENOSPC || errnum == EIO)
        xoi_redis_limited(redis, errnum, text);
    else
        xoi_redis_lost(redis, errnum, text);
}

static void step_refused(redis_t *redis, int step, const char *said)
{
    char text[XO_ERROR_TEXT_BYTES];
    int errnum = xoi_redis_error(redis, said, text, sizeof(text));
    if (step == STEP_AUTH && errnum == EIO) /* refuses for a reason of its own */
        errnum = EACCES;
    greeting_refused(redis, errnum, text);
}

/* SET ... NX says nil when it is there already. */
static bool is_claim(int step)
{
    return step == STEP_CLAIM || step == STEP_BEGIN;
}

static void step_done(redis_t *redis, int step, const redisReply *reply)
{
    bool status = reply->type == REDIS_REPLY_STATUS;
    if (step >= STEP_SCRIPT)
        keep_digest(redis, step - STEP_SCRIPT, reply);
    else if (step == STEP_SCHEMA)
        check_schema(redis, reply);
    else if (step == STEP_EPOCH)
        keep_epoch(redis, reply);
    else if (!status && (!is_claim(step) || reply->type != REDIS_REPLY_NIL))
        greeting_refused(redis, EBADMSG, "");
    else if (step == STEP_CLAIM)
        redis->greeting.created = status;
}

static void on_step(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    int step = op->step;
    xoi_redis_end(redis, op, 0, "");
    if (reply->type == REDIS_REPLY_ERROR && step != STEP_NAME)
        step_refused(redis, step, reply->str);
    else if (reply->type != REDIS_REPLY_ERROR)
        step_done(redis, step, reply);
    if (step == STEP_EPOCH)
        greeted(redis);
}

/* Stand for the keys of these names, by their addresses. */
static const char schema_key[] = "schema", epoch_key[] = "epoch";

static redis_op_t *create_step(redis_t *redis, int script, int step)
{
    redis_op_t *op = xoi_redis_op_create(redis, script, on_step, (xo_sink_t){NULL, NULL, NULL});
    if (!op)
        return NULL;
    op->raw = op->eval = true; /* its digest is not known yet */
    op->step = step;
    return op;
}

/* NULL is at the end of the words. */
static void say(redis_t *redis, int step, const char *const *words)
{
    redis_op_t *op = create_step(redis, -1, step);
    if (!op)
        return;
    for (; *words; words++) {
        if (*words == schema_key || *words == epoch_key)
            xoi_redis_op_key(redis, op, *words, "");
        else
            xoi_redis_op_text(op, *words);
    }
    xoi_redis_send(redis, op);
}

static void begin(redis_t *redis)
{
    char random[20];
    redis_op_t *op = create_step(redis, XO_SCRIPT_BEGIN, STEP_BEGIN);
    if (!op)
        return;
    snprintf(random, sizeof(random), "%08x%08x", random_number(), random_number());
    xoi_redis_op_number(op, 3);
    xoi_redis_op_key(redis, op, epoch_key, "");
    xoi_redis_op_key(redis, op, "lineage", "");
    xoi_redis_op_key(redis, op, "refill", "");
    xoi_redis_op_text(op, random);
    xoi_redis_op_number(op, redis->base.events.refill_ms);
    xoi_redis_send(redis, op);
}

void xoi_redis_probe(redis_t *redis)
{
    static const char *const claim[] = {"SET", schema_key, REDIS_SCHEMA, "NX", NULL};
    static const char *const schema[] = {"GET", schema_key, NULL};
    static const char *const epoch[] = {"GET", epoch_key, NULL};
    if (redis->greeting.under_way)
        return;
    memset(&redis->greeting, 0, sizeof(redis->greeting));
    redis->greeting.under_way = true;
    say(redis, STEP_CLAIM, claim);
    begin(redis);
    say(redis, STEP_SCHEMA, schema);
    say(redis, STEP_EPOCH, epoch);
}

static void log_in(redis_t *redis)
{
    xo_login_t *login = &redis->url.login;
    xo_login_read(login, NULL); /* it may be another one since */
    bool user = login->user[0] != 0;
    const char *words[] = {"AUTH", user ? login->user : login->password,
                           user ? login->password : NULL, NULL};
    if (login->password[0])
        say(redis, STEP_AUTH, words);
}

static void select_database(redis_t *redis)
{
    char number[16];
    const char *words[] = {"SELECT", number, NULL};
    snprintf(number, sizeof(number), "%d", redis->url.db);
    if (redis->url.db)
        say(redis, STEP_SELECT, words);
}

/* All in one go; what a step refuses shows in the last one's answer. */
static void greet(redis_t *redis)
{
    char name[80];
    const char *const set_name[] = {"CLIENT", "SETNAME", name, NULL};
    snprintf(name, sizeof(name), "xo-%s", redis->base.cluster);
    log_in(redis);
    say(redis, STEP_NAME, set_name);
    select_database(redis);
    for (int script = 0; script < XO_SCRIPTS; script++) {
        const char *const load[] = {"SCRIPT", "LOAD", xoi_redis_scripts[script], NULL};
        say(redis, STEP_SCRIPT + script, load);
    }
    redis->greeting.under_way = false;
    xoi_redis_probe(redis);
}

/* ---- the connection ---- */

static void on_connect(const redisAsyncContext *ac, int status)
{
    int errnum = errno;
    redis_t *redis = ac->data;
    char text[200];
    if (!redis || status == REDIS_OK)
        return;
    snprintf(text, sizeof(text), "%.150s", ac->c.errstr);
    ((redisAsyncContext *)ac)->data = NULL; /* hiredis frees it */
    redis->ac = NULL;
    xoi_redis_lost(redis, errnum ? errnum : EIO, text);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    redis_t *redis = ac->data;
    char text[200];
    (void)status;
    if (!redis)
        return;
    snprintf(text, sizeof(text), "%.150s", ac->c.errstr);
    int errnum = ac->err == REDIS_ERR_PROTOCOL ? EBADMSG : ECONNRESET;
    ((redisAsyncContext *)ac)->data = NULL;
    redis->ac = NULL;
    xoi_redis_lost(redis, errnum, text);
}

void xoi_redis_detach(redis_t *redis)
{
    redisAsyncContext *ac = redis->ac;
    redis->ac = NULL;
    redis->greeting.under_way = false;
    xoi_resolve_cancel(redis->resolve);
    redis->resolve = NULL;
    xoi_sentinel_detach(redis);
    if (!ac)
        return;
    ac->data = NULL;
    redisAsyncFree(ac);
}

/* Registers a callback but sends nothing: see the top of this file. */
int xoi_redis_add_spare(redisAsyncContext *ac, redisCallbackFn *on_reply)
{
    return redisAsyncFormattedCommand(ac, on_reply, NULL, "*1\r\n$4\r\nPING\r\n", 0);
}

int xoi_redis_take(redis_t *redis, redisAsyncContext *ac, redisConnectCallback *on_connected,
                   redisDisconnectCallback *on_disconnected, xo_error_t *err)
{
    int errnum = errno;
    if (!ac || ac->err) {
        xo_error_set(err, errnum ? errnum : EIO, "%.150s", ac ? ac->errstr : "out of memory");
        if (ac)
            redisAsyncFree(ac);
        return -1;
    }
    fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC);
    ac->data = redis;
    redisLibevAttach(xo_loop_ev(redis->base.loop), ac);
    redisAsyncSetConnectCallback(ac, on_connected);
    redisAsyncSetDisconnectCallback(ac, on_disconnected);
    return 0;
}

static void attach(redis_t *redis, redisAsyncContext *ac)
{
    xo_error_t err;
    if (xoi_redis_take(redis, ac, on_connect, on_disconnect, &err) < 0) {
        xoi_redis_lost(redis, err.errnum, err.text);
        return;
    }
    redis->ac = ac;
    greet(redis);
    xoi_redis_add_spare(ac, xoi_redis_on_reply);
}

static void on_resolved(const char *address, const char *why, void *arg)
{
    redis_t *redis = arg;
    redis->resolve = NULL;
    errno = 0;
    if (address)
        attach(redis, redisAsyncConnect(address, redis->port));
    else
        xoi_redis_lost(redis, EHOSTUNREACH, why);
}

void xoi_redis_connect_to(redis_t *redis, const char *host, int port)
{
    redis->port = port;
    redis->resolve = xoi_resolve(redis->base.loop, host, redis->turn++, on_resolved, redis);
    if (!redis->resolve)
        xoi_redis_lost(redis, errno, "cannot resolve its name");
}

void xoi_redis_connect(redis_t *redis)
{
    redis->state = REDIS_GREETING;
    errno = 0;
    if (redis->url.path[0])
        attach(redis, redisAsyncConnectUnix(redis->url.path));
    else if (redis->url.master[0])
        xoi_sentinel_ask(redis);
    else
        xoi_redis_connect_to(redis, redis->url.host, redis->url.port);
}

/* ---- the end ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool ready(int fd, short events, int64_t until_ms)
{
    struct pollfd poll_fd = {fd, events, 0};
    int64_t left = until_ms - now_ms();
    return left > 0 && poll(&poll_fd, 1, (int)left) == 1;
}

/* The server reads all before it sees our end of the stream, and then closes its own. Answers are
 * read, since closing with unread ones would reset the connection and drop what the server has not
 * read. */
void xoi_redis_drain(redis_t *redis, int limit_ms)
{
    int64_t until_ms = now_ms() + limit_ms;
    redisContext *c = &redis->ac->c;
    char scrap[4096];
    int done = 0;
    while (redisBufferWrite(c, &done) == REDIS_OK && !done)
        if (!ready(c->fd, POLLOUT, until_ms))
            return;
    if (!done || shutdown(c->fd, SHUT_WR) < 0)
        return;
    while (ready(c->fd, POLLIN, until_ms))
        if (read(c->fd, scrap, sizeof(scrap)) <= 0)
            return;
}
