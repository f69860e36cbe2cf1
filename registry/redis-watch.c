/* redis-watch.c - who keeps what a lookup said, and hears of what has changed since. */
#include <errno.h>

#include "registry/redis.h"

static void on_watched(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    (void)reply;
    xoi_redis_end(redis, op, 0, "");
}

/* What becomes of it nobody hears: what is kept is kept for a while only. */
void xoi_redis_watch(xo_registry_t *registry, const char *uid, const char *reader)
{
    redis_t *redis = (redis_t *)registry;
    redis_op_t *op =
        xoi_redis_op_create(redis, XO_SCRIPT_WATCH, on_watched, xoi_sink_done(NULL, NULL));
    if (!op)
        return;
    op->write = true;
    xoi_redis_op_number(op, 1);
    xoi_redis_op_key(redis, op, "watch:", uid);
    xoi_redis_op_text(op, reader);
    xoi_redis_submit(redis, op);
}

/* nil: none was ever put. */
static void on_version(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_NIL;
    op->records = xoi_records_create();
    if (good && op->records)
        xoi_records_begin(op->records, xo_slice_str(reply->str ? reply->str : "0"));
    xoi_redis_end(redis, op, good ? 0 : EBADMSG, "Redis did not answer with a version");
}

void xoi_redis_keys_version(xo_registry_t *registry, xo_reg_records_f done, void *arg)
{
    redis_t *redis = (redis_t *)registry;
    redis_op_t *op = xoi_redis_op_create(redis, -1, on_version, xoi_sink_records(done, arg));
    if (!op)
        return;
    xoi_redis_op_text(op, "GET");
    xoi_redis_op_key(redis, op, "keys:version", "");
    xoi_redis_submit(redis, op);
}

/* {uid, ...} */
static void on_news(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY;
    op->records = xoi_records_create();
    for (size_t i = 0; good && op->records && i < reply->elements; i++) {
        const redisReply *uid = reply->element[i];
        good = uid->type == REDIS_REPLY_STRING;
        if (good)
            xoi_records_begin(op->records, xo_slice(uid->str, uid->len));
    }
    xoi_redis_end(redis, op, good ? 0 : EBADMSG, "Redis did not answer with a list of uids");
}

void xoi_redis_news(xo_registry_t *registry, const char *reader, xo_reg_records_f done, void *arg)
{
    redis_t *redis = (redis_t *)registry;
    redis_op_t *op =
        xoi_redis_op_create(redis, XO_SCRIPT_NEWS, on_news, xoi_sink_records(done, arg));
    if (!op)
        return;
    op->order = XO_AS_THEY_COME; /* as many as there were */
    xoi_redis_op_number(op, 1);
    xoi_redis_op_key(redis, op, "news:", reader);
    xoi_redis_submit(redis, op);
}
