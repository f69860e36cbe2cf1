/* redis-moves.c - actors whose node is gone, and how another one gets them: redis-scripts.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/redis.h"

static redis_t *self(xo_registry_t *registry)
{
    return (redis_t *)registry;
}

void xoi_redis_lapsed(xo_registry_t *registry, size_t max, uint64_t epoch, xo_reg_records_f done,
                      void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, XO_SCRIPT_LAPSED, xoi_redis_on_records,
                                         xoi_sink_records(done, arg));
    if (!op)
        return;
    op->order = XO_AS_THEY_COME;
    xoi_redis_op_number(op, 2);
    xoi_redis_op_key(redis, op, "movable", "");
    xoi_redis_op_key(redis, op, "fence", "");
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_number(op, (int64_t)max);
    xoi_redis_op_number(op, (int64_t)epoch);
    xoi_redis_submit(redis, op);
}

/* Actors and groups at a time: with their specs they hold up Redis for some 3 ms. */
#define REAP_MAX 100

void xoi_redis_reap(xo_registry_t *registry, const xo_reap_t *reap, xo_reg_records_f done,
                    void *arg)
{
    static const char *const keys[] = {"alive", "dead", "reaper", "events", "hosts"};
    const size_t count = sizeof(keys) / sizeof(*keys);
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, XO_SCRIPT_REAP, xoi_redis_on_records,
                                         xoi_sink_records(done, arg));
    if (!op)
        return;
    op->order = XO_AS_THEY_COME;
    xoi_redis_op_number(op, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        xoi_redis_op_key(redis, op, keys[i], "");
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_text(op, reap->owner);
    xoi_redis_op_number(op, reap->lease_ms);
    xoi_redis_op_number(op, reap->keep_ms);
    xoi_redis_op_text(op, reap->after);
    xoi_redis_op_number(op, REAP_MAX);
    xoi_redis_op_number(op, XO_EVENTS_MAX);
    xoi_redis_submit(redis, op);
}

/* {id, {'epoch', token, 'spec', bytes}}; 0; or who has it. */
static void on_claimed(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_STRING)
        xoi_redis_end_about(redis, op, EPERM, "belongs to another owner, %.100s", reply->str);
    else if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)
        xoi_redis_end_about(redis, op, ENOENT, "is not in the registry%s", "");
    else if (xoi_redis_has_records(op) && xoi_redis_add_record(op->records, reply) < 0)
        xoi_redis_malformed(redis, op);
    else
        xoi_redis_end(redis, op, 0, "");
}

static void add_keys(redis_t *redis, redis_op_t *op, const xo_claim_t *claim)
{
    char uid[XO_RECORD_ID_BYTES];
    const char *from = claim->from, *to = claim->actor->id;
    snprintf(uid, sizeof(uid), "%.*s", (int)(xoi_actor_pool(from) - from), from);
    xoi_redis_op_number(op, 11);
    xoi_redis_op_key(redis, op, "actor:", from);
    xoi_redis_op_key(redis, op, "epoch", "");
    xoi_redis_op_key(redis, op, "actors", "");
    xoi_redis_op_key(redis, op, "uid:", uid);
    xoi_redis_op_key(redis, op, "actor:", to);
    xoi_redis_op_key(redis, op, "name:", claim->name->id);
    xoi_redis_op_key(redis, op, "names", "");
    xoi_redis_op_key(redis, op, "spec:", from);
    xoi_redis_op_key(redis, op, "spec:", to);
    xoi_redis_op_key(redis, op, "fence", "");
    xoi_redis_op_key(redis, op, "movable", "");
}

static void add_fields(redis_op_t *op, const xo_record_t *record)
{
    for (size_t i = 0; i < record->count; i++) {
        xoi_redis_op_text(op, record->fields[i].name);
        xoi_redis_op_encoded(op, record->fields[i].value);
    }
}

void xoi_redis_claim(xo_registry_t *registry, const xo_claim_t *claim, xo_reg_records_f done,
                     void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op =
        xoi_redis_op_create(redis, XO_SCRIPT_CLAIM, on_claimed, xoi_sink_records(done, arg));
    if (!op)
        return;
    op->what = strdup(claim->from);
    add_keys(redis, op, claim);
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_text(op, claim->from);
    xoi_redis_op_text(op, xoi_actor_pool(claim->from) + 1);
    xoi_redis_op_text(op, claim->actor->id);
    xoi_redis_op_text(op, xoi_actor_pool(claim->actor->id) + 1);
    xoi_redis_op_text(op, claim->name->id);
    xoi_redis_op_text(op, claim->owner);
    xoi_redis_op_number(op, claim->ttl_ms);
    xoi_redis_op_number(op, (int64_t)claim->epoch);
    xoi_redis_op_number(op, 2 * (int64_t)claim->actor->count);
    add_fields(op, claim->actor);
    add_fields(op, claim->name);
    xoi_redis_submit(redis, op);
}

static void on_waiting(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool done = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    xoi_redis_end(redis, op, done ? 0 : ENOENT, done ? "" : "it is not lapsed, or waits already");
}

void xoi_redis_wait(xo_registry_t *registry, const char *id, const char *reason, xo_reg_done_f done,
                    void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op =
        xoi_redis_op_create(redis, XO_SCRIPT_WAIT, on_waiting, xoi_sink_done(done, arg));
    if (!op)
        return;
    xoi_redis_op_number(op, 1);
    xoi_redis_op_key(redis, op, "actor:", id);
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_encoded(op, xo_slice_str(reason));
    xoi_redis_submit(redis, op);
}
