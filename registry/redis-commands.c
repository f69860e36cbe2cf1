/* redis-commands.c - the registry's operations as commands and scripts, and what their answers
 * mean.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/redis.h"
#include "registry/text.h"

static redis_t *self(xo_registry_t *registry)
{
    return (redis_t *)registry;
}

static const char *kind_name(xo_reg_kind_t kind)
{
    static const char *const names[] = {"node", "pool", "actor", "group", "key", "name", "port"};
    return names[kind];
}

static const char *kind_key(xo_reg_kind_t kind)
{
    static const char *const keys[] = {
        "node:", "pool:", "actor:", "group:", "key:", "name:", "port:"};
    return keys[kind];
}

static const char *kind_index(xo_reg_kind_t kind)
{
    static const char *const indexes[] = {"nodes", "pools", "actors", "groups",
                                          "keys",  "names", "ports"};
    return indexes[kind];
}

/* ---- what the answers mean ---- */

void xoi_redis_malformed(redis_t *redis, redis_op_t *op)
{
    char text[XO_ERROR_TEXT_BYTES];
    snprintf(text, sizeof(text), "Redis at %.256s gave an answer that xo does not understand",
             redis->base.url);
    xoi_redis_end(redis, op, EBADMSG, text);
}

void xoi_redis_end_about(redis_t *redis, redis_op_t *op, int errnum, const char *format,
                         const char *detail)
{
    char text[XO_RECORD_ID_BYTES + 256];
    int length = snprintf(text, sizeof(text), "%s ", op->what ? op->what : "");
    snprintf(text + length, sizeof(text) - (size_t)length, format, detail);
    xoi_redis_end(redis, op, errnum, text);
}

/* Of put, renew and del: see redis-scripts.c. */
static void on_written(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool number = reply->type == REDIS_REPLY_INTEGER;
    bool emptied = number && (reply->integer == -1 || reply->integer == 2);
    if (reply->type == REDIS_REPLY_STRING)
        xoi_redis_end_about(redis, op, EPERM, "belongs to another owner, %.100s", reply->str);
    else if (!number)
        xoi_redis_malformed(redis, op);
    else if (reply->integer > 0)
        xoi_redis_end(redis, op, 0, "");
    else
        xoi_redis_end_about(redis, op, ENOENT, "has no lease any more%s", "");
    if (emptied && redis->ac)
        xoi_redis_probe(redis);
}

bool xoi_redis_has_records(redis_op_t *op)
{
    if (!op->records)
        op->records = xoi_records_create();
    return op->records != NULL;
}

/* One record, or false. */
static void on_record(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL)
        xoi_redis_end_about(redis, op, ENOENT, "is not in the registry%s", "");
    else if (xoi_redis_has_records(op) && xoi_redis_add_record(op->records, reply) < 0)
        xoi_redis_malformed(redis, op);
    else
        xoi_redis_end(redis, op, 0, "");
}

void xoi_redis_on_records(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    if (xoi_redis_has_records(op) && xoi_redis_add_records(op->records, reply) < 0)
        xoi_redis_malformed(redis, op);
    else
        xoi_redis_end(redis, op, 0, "");
}

static void ask_for_page(redis_t *redis, redis_op_t *op, xo_reg_kind_t kind, const char *cursor);
static void on_page(redis_t *redis, redis_op_t *op, const redisReply *reply);

/* Asks for the page after this one in the same one's name. */
static void next_page(redis_t *redis, redis_op_t *op, const char *cursor)
{
    redis_op_t *next = xoi_redis_op_create(redis, XO_SCRIPT_LIST, on_page, op->sink);
    if (next) {
        next->records = op->records;
        op->records = NULL;
        next->what = op->what;
        op->what = NULL;
        ask_for_page(redis, next, (xo_reg_kind_t)op->step, cursor);
    }
    op->sink = (xo_sink_t){NULL, NULL, NULL};
    xoi_redis_end(redis, op, 0, "");
}

/* {next cursor, {thing, ...}} */
static void on_page(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool page = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                reply->element[0]->type == REDIS_REPLY_STRING;
    if (!page ||
        (xoi_redis_has_records(op) && xoi_redis_add_records(op->records, reply->element[1]) < 0))
        xoi_redis_malformed(redis, op);
    else if (strcmp(reply->element[0]->str, "0") != 0 && op->records)
        next_page(redis, op, reply->element[0]->str);
    else
        xoi_redis_end(redis, op, 0, "");
}

/* XREAD: nil, or {{stream, {event, ...}}}. */
static void on_events(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool none = reply->type == REDIS_REPLY_NIL;
    bool one = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
               reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements == 2;
    if (xoi_redis_has_records(op) && !none &&
        (!one || xoi_redis_add_records(op->records, reply->element[0]->element[1]) < 0))
        xoi_redis_malformed(redis, op);
    else
        xoi_redis_end(redis, op, 0, "");
}

/* XREVRANGE: {event, ...}, the newest first. */
static void on_last_events(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    bool good = reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_NIL;
    size_t left = op->max;
    if (!xoi_redis_has_records(op))
        left = 0;
    for (size_t i = reply->elements; good && i > 0 && left; i--, left--)
        good = xoi_redis_add_record(op->records, reply->element[i - 1]) == 0;
    if (good)
        xoi_redis_end(redis, op, 0, "");
    else
        xoi_redis_malformed(redis, op);
}

/* Its bytes as a field; nil: there is none. */
static void on_spec(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL) {
        xoi_redis_end_about(redis, op, ENOENT, "has no spec in the registry%s", "");
    } else if (reply->type != REDIS_REPLY_STRING) {
        xoi_redis_malformed(redis, op);
    } else {
        if (xoi_redis_has_records(op)) {
            xoi_records_begin(op->records, xo_slice_str(op->what ? op->what : ""));
            xoi_records_field(op->records, xo_slice_str(XO_SPEC_FIELD),
                              xo_slice(reply->str, reply->len));
        }
        xoi_redis_end(redis, op, 0, "");
    }
}

static void on_ignored(redis_t *redis, redis_op_t *op, const redisReply *reply)
{
    (void)reply;
    xoi_redis_end(redis, op, 0, "");
}

/* ---- the commands ---- */

/* The uid's set of the actor `id`. */
static void add_uid_key(redis_t *redis, redis_op_t *op, const char *id)
{
    char uid[XO_RECORD_ID_BYTES];
    snprintf(uid, sizeof(uid), "%.*s", (int)(xoi_actor_pool(id) - id), id);
    xoi_redis_op_key(redis, op, "uid:", uid);
}

/* KEYS thing, epoch, index, [uid's set] of what writes, and `more`. */
static void add_keys(redis_t *redis, redis_op_t *op, xo_reg_kind_t kind, const char *id, int more)
{
    xoi_redis_op_number(op, (kind == XO_REG_ACTOR ? 4 : 3) + more);
    xoi_redis_op_key(redis, op, kind_key(kind), id);
    xoi_redis_op_key(redis, op, "epoch", "");
    xoi_redis_op_key(redis, op, kind_index(kind), "");
    if (kind == XO_REG_ACTOR)
        add_uid_key(redis, op, id);
}

/* A value: what is no text as %XX. */
void xoi_redis_op_encoded(redis_op_t *op, xo_slice_t value)
{
    xo_buf_t text = XO_BUF_INIT;
    xoi_encode(&text, value, false);
    xoi_redis_op_bytes(op, text.data, text.size);
    op->args.failed |= text.failed;
    xo_buf_free(&text);
}

static const char *pool_of(xo_reg_kind_t kind, const char *id)
{
    return kind == XO_REG_ACTOR ? xoi_actor_pool(id) + 1 : "";
}

static redis_op_t *create_write(redis_t *redis, int script, const char *id, xo_reg_done_f done,
                                void *arg)
{
    redis_op_t *op = xoi_redis_op_create(redis, script, on_written, xoi_sink_done(done, arg));
    if (!op)
        return NULL;
    op->what = strdup(id);
    op->write = true;
    return op;
}

/* `how`: its pool, or "take". */
static void put(redis_t *redis, xo_reg_kind_t kind, const xo_record_t *record, const char *owner,
                int64_t ttl_ms, const char *how, xo_sink_t sink)
{
    redis_op_t *op = create_write(redis, XO_SCRIPT_PUT, record->id, sink.done, sink.arg);
    if (!op)
        return;
    add_keys(redis, op, kind, record->id, 0);
    xoi_redis_op_text(op, record->id);
    xoi_redis_op_text(op, owner ? owner : "");
    xoi_redis_op_number(op, ttl_ms);
    xoi_redis_op_text(op, how);
    for (size_t i = 0; i < record->count; i++) {
        xoi_redis_op_text(op, record->fields[i].name);
        xoi_redis_op_encoded(op, record->fields[i].value);
    }
    if (owner) {
        xoi_redis_op_text(op, "owner");
        xoi_redis_op_text(op, owner);
    }
    if (ttl_ms) {
        xoi_redis_op_text(op, "lease_ms");
        xoi_redis_op_number(op, ttl_ms);
    }
    xoi_redis_submit(redis, op);
}

void xoi_redis_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                   const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    put(self(registry), kind, record, owner, ttl_ms, pool_of(kind, record->id),
        xoi_sink_done(done, arg));
}

void xoi_redis_take_name(xo_registry_t *registry, const xo_record_t *name, const char *owner,
                         int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    put(self(registry), XO_REG_NAME, name, owner, ttl_ms, "take", xoi_sink_done(done, arg));
}

void xoi_redis_refill(xo_registry_t *registry)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, -1, on_ignored, xoi_sink_done(NULL, NULL));
    if (!op)
        return;
    op->write = true;
    xoi_redis_op_text(op, "PEXPIRE");
    xoi_redis_op_key(redis, op, "refill", "");
    xoi_redis_op_number(op, registry->events.refill_ms);
    xoi_redis_submit(redis, op);
}

void xoi_redis_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                     int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = create_write(redis, XO_SCRIPT_RENEW, id, done, arg);
    if (!op)
        return;
    xoi_redis_op_number(op, 2);
    xoi_redis_op_key(redis, op, kind_key(kind), id);
    xoi_redis_op_key(redis, op, "epoch", "");
    xoi_redis_op_text(op, owner);
    xoi_redis_op_number(op, ttl_ms);
    xoi_redis_submit(redis, op);
}

void xoi_redis_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                   xo_reg_done_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = create_write(redis, XO_SCRIPT_DEL, id, done, arg);
    if (!op)
        return;
    add_keys(redis, op, kind, id, kind == XO_REG_ACTOR);
    if (kind == XO_REG_ACTOR)
        xoi_redis_op_key(redis, op, "spec:", id);
    xoi_redis_op_text(op, id);
    xoi_redis_op_text(op, owner ? owner : "");
    xoi_redis_op_text(op, pool_of(kind, id));
    xoi_redis_submit(redis, op);
}

void xoi_redis_put_spec(xo_registry_t *registry, const char *id, xo_slice_t bytes,
                        xo_reg_done_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, -1, on_ignored, xoi_sink_done(done, arg));
    if (!op)
        return;
    op->write = true;
    xoi_redis_op_text(op, bytes.size > 0 ? "SET" : "DEL");
    xoi_redis_op_key(redis, op, "spec:", id);
    if (bytes.size > 0)
        xoi_redis_op_bytes(op, bytes.data, bytes.size);
    xoi_redis_submit(redis, op);
}

void xoi_redis_get_spec(xo_registry_t *registry, const char *id, xo_reg_records_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, -1, on_spec, xoi_sink_records(done, arg));
    if (!op)
        return;
    op->what = strdup(id);
    op->order = XO_AS_THEY_COME;
    xoi_redis_op_text(op, "GET");
    xoi_redis_op_key(redis, op, "spec:", id);
    xoi_redis_submit(redis, op);
}

void xoi_redis_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                   xo_reg_records_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op =
        xoi_redis_op_create(redis, XO_SCRIPT_GET, on_record, xoi_sink_records(done, arg));
    if (!op)
        return;
    op->what = strdup(id);
    xoi_redis_op_number(op, 1);
    xoi_redis_op_key(redis, op, kind_key(kind), id);
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_text(op, kind_name(kind));
    xoi_redis_op_text(op, id);
    xoi_redis_submit(redis, op);
}

static void ask_for_page(redis_t *redis, redis_op_t *op, xo_reg_kind_t kind, const char *cursor)
{
    char index[32];
    op->step = (int)kind;
    snprintf(index, sizeof(index), "%s%s", kind_index(kind), op->what ? ":" : "");
    xoi_redis_op_number(op, 1);
    xoi_redis_op_key(redis, op, index, op->what ? op->what : "");
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_text(op, kind_name(kind));
    xoi_redis_op_text(op, cursor);
    xoi_redis_submit(redis, op);
}

void xoi_redis_list(xo_registry_t *registry, xo_reg_kind_t kind, const char *owner,
                    xo_reg_records_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op =
        xoi_redis_op_create(redis, XO_SCRIPT_LIST, on_page, xoi_sink_records(done, arg));
    if (!op)
        return;
    op->what = owner ? strdup(owner) : NULL;
    op->args.failed |= owner && !op->what;
    ask_for_page(redis, op, kind, "0");
}

void xoi_redis_lookup(xo_registry_t *registry, const char *uid, xo_reg_records_f done, void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, XO_SCRIPT_LOOKUP, xoi_redis_on_records,
                                         xoi_sink_records(done, arg));
    if (!op)
        return;
    op->order = XO_FOUND_FIRST;
    xoi_redis_op_number(op, 1);
    xoi_redis_op_key(redis, op, "uid:", uid);
    xoi_redis_op_key(redis, op, "", "");
    xoi_redis_op_text(op, uid);
    xoi_redis_submit(redis, op);
}

void xoi_redis_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                     size_t count)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, -1, on_ignored, (xo_sink_t){NULL, NULL, NULL});
    if (!op)
        return;
    op->event = op->write = true;
    xoi_redis_op_text(op, "XADD");
    xoi_redis_op_key(redis, op, "events", "");
    xoi_redis_op_text(op, "MAXLEN");
    xoi_redis_op_text(op, "~");
    xoi_redis_op_number(op, XO_EVENTS_MAX);
    xoi_redis_op_text(op, "*");
    xoi_redis_op_text(op, "type");
    xoi_redis_op_text(op, type);
    for (size_t i = 0; i < count; i++) {
        xoi_redis_op_text(op, fields[i].name);
        xoi_redis_op_encoded(op, fields[i].value);
    }
    xoi_redis_submit(redis, op);
}

static void add_last(redis_t *redis, redis_op_t *op, long last)
{
    op->reply = on_last_events;
    xoi_redis_op_text(op, "XREVRANGE");
    xoi_redis_op_key(redis, op, "events", "");
    xoi_redis_op_text(op, "+");
    xoi_redis_op_text(op, "-");
    xoi_redis_op_text(op, "COUNT");
    xoi_redis_op_number(op, last);
}

/* XREAD, because the ranges of XRANGE include their ends. */
static void add_after(redis_t *redis, redis_op_t *op, const char *after)
{
    xoi_redis_op_text(op, "XREAD");
    xoi_redis_op_text(op, "COUNT");
    xoi_redis_op_number(op, (int64_t)op->max);
    xoi_redis_op_text(op, "STREAMS");
    xoi_redis_op_key(redis, op, "events", "");
    xoi_redis_op_text(op, after);
}

void xoi_redis_events(xo_registry_t *registry, const char *after, size_t max, xo_reg_records_f done,
                      void *arg)
{
    redis_t *redis = self(registry);
    redis_op_t *op = xoi_redis_op_create(redis, -1, on_events, xoi_sink_records(done, arg));
    long last;
    if (!op)
        return;
    op->order = XO_AS_THEY_COME;
    op->max = max < XO_EVENTS_MAX * 2 ? max : XO_EVENTS_MAX * 2;
    xoi_parse_after(after, &last);
    if (last >= 0)
        add_last(redis, op, last);
    else
        add_after(redis, op, after);
    xoi_redis_submit(redis, op);
}
