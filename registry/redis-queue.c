/* redis-queue.c - operations: waiting, sent, answered, out of time.
 *
 * Answers come in the order in which commands were sent, so hiredis' callbacks all are the same
 * function and the operation is the first one in flight.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "registry/redis.h"

/* ---- one operation ---- */

redis_op_t *xoi_redis_op_create(redis_t *redis, int script, redis_reply_f reply, xo_sink_t sink)
{
    redis_op_t *op = calloc(1, sizeof(*op));
    if (!op) {
        xoi_registry_end_later(&redis->base, &sink, ENOMEM, "out of memory", NULL, XO_SORTED);
        return NULL;
    }
    op->script = script;
    op->reply = reply;
    op->sink = sink;
    return op;
}

void xoi_redis_op_destroy(redis_op_t *op)
{
    if (!op)
        return;
    xo_buf_free(&op->args);
    xoi_records_destroy(op->records);
    free(op->what);
    free(op);
}

static void add_bulk(xo_buf_t *buf, const void *data, size_t size)
{
    char head[24];
    int length = snprintf(head, sizeof(head), "$%zu\r\n", size);
    xo_buf_append(buf, head, (size_t)length);
    xo_buf_append(buf, data, size);
    xo_buf_append(buf, "\r\n", 2);
}

void xoi_redis_op_bytes(redis_op_t *op, const void *data, size_t size)
{
    add_bulk(&op->args, data, size);
    op->argc++;
}

void xoi_redis_op_text(redis_op_t *op, const char *text)
{
    xoi_redis_op_bytes(op, text, strlen(text));
}

void xoi_redis_op_number(redis_op_t *op, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, number);
    xoi_redis_op_text(op, text);
}

void xoi_redis_op_key(redis_t *redis, redis_op_t *op, const char *first, const char *second)
{
    char key[XO_RECORD_ID_BYTES + 128];
    int length = snprintf(key, sizeof(key), "xo:{%s}:%s%s", redis->base.cluster, first, second);
    xoi_redis_op_bytes(op, key, (size_t)length);
}

/* ---- the end ---- */

/* It no longer waits; what is left to do is to call back. */
static void uncount(redis_t *redis, redis_op_t *op, int errnum)
{
    redis->base.stats.dropped_events += op->event && errnum;
    if (!op->counted)
        return;
    op->counted = false;
    redis->base.stats.waiting--;
    redis->base.stats.waiting_bytes -= op->args.size;
}

void xoi_redis_end(redis_t *redis, redis_op_t *op, int errnum, const char *text)
{
    uncount(redis, op, errnum);
    xoi_registry_end(&redis->base, &op->sink, errnum, text, op->records, op->order);
    op->records = NULL;
    xoi_redis_op_destroy(op);
}

static void end_later(redis_t *redis, redis_op_t *op, int errnum, const char *text)
{
    uncount(redis, op, errnum);
    xoi_registry_end_later(&redis->base, &op->sink, errnum, text, NULL, op->order);
    xoi_redis_op_destroy(op);
}

void xoi_redis_end_all(redis_t *redis, redis_op_t **list, int errnum, const char *text)
{
    redis_op_t *all = *list, *op;
    *list = NULL;
    while ((op = all)) {
        DL_DELETE(all, op);
        xoi_redis_end(redis, op, errnum, text);
    }
}

/* ---- sending ---- */

/* The whole command: the script by its digest, or by its text for a server that has forgotten it,
 * and the epoch behind its arguments. hiredis looks for the command's name with strchr, hence the
 * NUL. */
static xo_slice_t format(redis_t *redis, const redis_op_t *op)
{
    xo_buf_t *buf = &redis->scratch;
    char head[32];
    unsigned argc = op->argc + (op->script >= 0 ? 3 : 0);
    xo_buf_clear(buf);
    int length = snprintf(head, sizeof(head), "*%u\r\n", argc);
    xo_buf_append(buf, head, (size_t)length);
    if (op->script >= 0) {
        const char *script = op->eval ? xoi_redis_scripts[op->script] : redis->sha[op->script];
        const char *command = op->eval ? "EVAL" : "EVALSHA";
        add_bulk(buf, command, strlen(command));
        add_bulk(buf, script, strlen(script));
    }
    xo_buf_append(buf, op->args.data, op->args.size);
    if (op->script >= 0)
        add_bulk(buf, redis->epoch, strlen(redis->epoch));
    xo_buf_append(buf, "", 1);
    bool ok = xo_buf_ok(buf) == 0 && xo_buf_ok(&op->args) == 0;
    return ok ? xo_slice(buf->data, buf->size - 1) : xo_slice(NULL, 0);
}

static void be_patient(redis_t *redis, redis_op_t *op)
{
    op->due_ns = xo_loop_now(redis->base.loop) + REDIS_PATIENCE_MS * XO_MS;
    if (!xo_timer_active(&redis->patience))
        xo_timer_start(&redis->patience, REDIS_PATIENCE_MS * XO_MS);
}

void xoi_redis_send(redis_t *redis, redis_op_t *op)
{
    xo_slice_t command = format(redis, op);
    if (!command.data || redisAsyncFormattedCommand(redis->ac, xoi_redis_on_reply, NULL,
                                                    command.data, command.size) != REDIS_OK) {
        xo_buf_free(&redis->scratch);
        end_later(redis, op, ENOMEM, "out of memory");
        return;
    }
    be_patient(redis, op);
    DL_APPEND(redis->inflight, op);
    redis->inflight_count++;
    redis->inflight_bytes += op->args.size;
}

/* What is to be sent again goes first, and alone: only so does the order stay. */
static void take_redo(redis_t *redis)
{
    DL_CONCAT(redis->redo, redis->unsent);
    redis->unsent = redis->redo;
    redis->redo = NULL;
}

void xoi_redis_flush(redis_t *redis)
{
    if (!redis->ac || (redis->state != REDIS_READY && redis->state != REDIS_LIMITED))
        return;
    if (redis->redo && redis->inflight)
        return;
    xo_timer_stop(&redis->gather);
    take_redo(redis);
    while (redis->unsent && redis->inflight_count < REDIS_INFLIGHT_MAX &&
           redis->inflight_bytes < REDIS_INFLIGHT_BYTES) {
        redis_op_t *op = redis->unsent;
        DL_DELETE(redis->unsent, op);
        xoi_redis_send(redis, op);
    }
}

/* ---- submission ---- */

void xoi_redis_gathered(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xoi_redis_flush(arg);
}

/* A write and its answer cost both sides a wake-up, so those of a moment share them. */
static void gather(redis_t *redis)
{
    if (!xo_timer_active(&redis->gather))
        xo_timer_start(&redis->gather, REDIS_GATHER_MS * XO_MS);
}

/* Why it cannot even wait; 0: it can. */
static int refusal(redis_t *redis, const redis_op_t *op, const char **text)
{
    const xo_registry_stats_t *stats = &redis->base.stats;
    bool connected = redis->state == REDIS_READY || redis->state == REDIS_LIMITED;
    *text = redis->why.text;
    if (redis->base.closed)
        return ECANCELED;
    if (!connected && xoi_redis_is_refusal(redis->why.errnum))
        return redis->why.errnum;
    if (!connected && redis->was_up)
        return ENOTCONN;
    if (stats->waiting < REDIS_WAITING_MAX &&
        stats->waiting_bytes + op->args.size <= REDIS_WAITING_BYTES)
        return 0;
    *text = "too much waits for Redis already (65536 operations or 64 MiB)";
    return ENOBUFS;
}

void xoi_redis_submit(redis_t *redis, redis_op_t *op)
{
    const char *text;
    int errnum = refusal(redis, op, &text);
    if (errnum) {
        end_later(redis, op, errnum, text);
        return;
    }
    op->counted = true;
    redis->base.stats.waiting++;
    redis->base.stats.waiting_bytes += op->args.size;
    be_patient(redis, op);
    DL_APPEND(redis->unsent, op);
    if (op->write)
        gather(redis);
    else
        xoi_redis_flush(redis);
}

/* ---- answers ---- */

/* Is it reading alone that goes on? */
static bool is_limit(int errnum, const char *said)
{
    return errnum == EROFS || errnum == ENOSPC ||
           (errnum == EIO && (strstr(said, "MISCONF") || strstr(said, "NOREPLICAS")));
}

/* Redis does not say which key it was: adds those that it was given, of which most have one. */
static void add_keys(const redis_op_t *op, char *text, size_t size)
{
    const char *before = " (one of these, or of what they list: ";
    for (size_t at = 0; at < op->args.size;) {
        char *end; /* "$LENGTH\r\n", the bytes, "\r\n" */
        size_t length = strtoul(op->args.data + at + 1, &end, 10);
        const char *data = end + 2;
        size_t used = strlen(text);
        if (length > 4 && memcmp(data, "xo:{", 4) == 0) {
            snprintf(text + used, size - used, "%s%.*s", before, (int)length, data);
            before = ", ";
        }
        at = (size_t)(data - op->args.data) + length + 2;
    }
    size_t used = strlen(text);
    if (before[0] == ',')
        snprintf(text + used, size - used, ")");
}

static void refused(redis_t *redis, redis_op_t *op, const char *said)
{
    char text[XO_ERROR_TEXT_BYTES];
    int errnum = xoi_redis_error(redis, said, text, sizeof(text));
    if (strstr(said, "WRONGTYPE"))
        add_keys(op, text, sizeof(text));
    if (is_limit(errnum, said))
        xoi_redis_limited(redis, errnum, text);
    xoi_redis_end(redis, op, errnum, text);
}

static void answer(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool error = reply->type == REDIS_REPLY_ERROR;
    if (error && op->script >= 0 && !op->eval && strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        op->eval = true;
        DL_APPEND(redis->redo, op);
    } else if (error && !op->raw) {
        refused(redis, op, reply->str);
    } else {
        op->reply(redis, op, reply);
    }
}

void xoi_redis_on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
    (void)arg;
    redis_t *redis = ac->data;
    redis_op_t *op = redis ? redis->inflight : NULL;
    if (!redis || !reply) /* let go of, or ended already by what broke the connection */
        return;
    xoi_registry_hold(&redis->base);
    if (op) {
        DL_DELETE(redis->inflight, op);
        redis->inflight_count--;
        redis->inflight_bytes -= op->args.size;
        answer(redis, op, reply);
        if (redis->redo || !xo_timer_active(&redis->gather))
            xoi_redis_flush(redis);
    } else {
        xoi_redis_lost(redis, EBADMSG, "sent an answer that nobody asked for");
    }
    xoi_registry_unhold(&redis->base);
}

/* ---- patience ---- */

static void end_overdue(redis_t *redis, redis_op_t **list, int64_t now)
{
    char text[XO_ERROR_TEXT_BYTES];
    while (*list && (*list)->due_ns <= now) {
        redis_op_t *op = *list;
        DL_DELETE(*list, op);
        snprintf(text, sizeof(text), "Redis did not answer within %d s; %.400s",
                 REDIS_PATIENCE_MS / 1000, redis->why.text);
        xoi_redis_end(redis, op, ETIMEDOUT, text);
    }
}

static int64_t earliest(const redis_t *redis)
{
    const redis_op_t *const heads[] = {redis->inflight, redis->redo, redis->unsent};
    int64_t due_ns = INT64_MAX;
    for (size_t i = 0; i < 3; i++)
        if (heads[i] && heads[i]->due_ns < due_ns)
            due_ns = heads[i]->due_ns;
    return due_ns;
}

/* A connection on which the oldest answer is overdue is stuck; the answers' order is lost with it.
 */
void xoi_redis_out_of_patience(xo_timer_t *timer, void *arg)
{
    redis_t *redis = arg;
    int64_t now = xo_loop_now(redis->base.loop);
    xoi_registry_hold(&redis->base);
    if (redis->inflight && redis->inflight->due_ns <= now)
        xoi_redis_lost(redis, ETIMEDOUT, "does not answer");
    end_overdue(redis, &redis->redo, now);
    end_overdue(redis, &redis->unsent, now);
    int64_t next = earliest(redis);
    if (next < INT64_MAX && !redis->base.closed)
        xo_timer_start(timer, next > now ? next - now : 0);
    xoi_registry_unhold(&redis->base);
}
