/* registry.c - checks what comes in and hands it to the implementation that the URL's scheme names.
 */
#include "registry/registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/base.h"
#include "registry/text.h"

#define FIELDS_MAX 1000 /* what Lua's unpack and a person can take */

static const xo_registry_ops_t *find_ops(const char *scheme)
{
    static const xo_registry_ops_t *const all[] = {&xoi_redis_ops, &xoi_memory_ops, NULL};
    for (size_t i = 0; all[i]; i++)
        for (const char *const *known = all[i]->schemes; *known; known++)
            if (strcmp(*known, scheme) == 0)
                return all[i];
    return NULL;
}

static bool is_cluster(const char *cluster)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return cluster && *cluster && strlen(cluster) < sizeof(((xo_registry_t *)0)->cluster) &&
           cluster[strspn(cluster, allowed)] == 0;
}

xo_registry_t *xo_registry_open(xo_loop_t *loop, const char *url, const char *cluster,
                                const xo_registry_events_t *events, void *arg, xo_error_t *err)
{
    xo_url_t parsed;
    if (xo_url_parse(url, &parsed, err) < 0)
        return NULL;
    if (!is_cluster(cluster))
        return xo_error_null(err, EINVAL, "bad cluster name '%s': use A-Z a-z 0-9 _ . -",
                             cluster ? cluster : "");
    return find_ops(parsed.scheme)->open(loop, &parsed, cluster, events, arg, err);
}

void xo_registry_close(xo_registry_t *registry)
{
    if (!registry || registry->closed)
        return;
    int saved = errno;
    xoi_registry_hold(registry);
    registry->closed = true;
    registry->ops->close(registry);
    xoi_registry_cancel(registry);
    xoi_registry_unhold(registry);
    errno = saved;
}

bool xo_registry_is_up(const xo_registry_t *registry)
{
    return registry->ops->is_up(registry);
}

const char *xo_registry_url(const xo_registry_t *registry)
{
    return registry->url;
}

void xo_registry_get_stats(const xo_registry_t *registry, xo_registry_stats_t *stats)
{
    *stats = registry->stats;
}

/* `pool` NULL: none. */
static int encode_id(xo_slice_t uid, const char *pool, char *id, size_t size)
{
    xo_buf_t buf = XO_BUF_INIT;
    if (uid.size == 0)
        return errno = EINVAL, -1;
    xoi_encode(&buf, uid, true);
    if (pool) {
        xo_buf_append(&buf, "@", 1);
        xo_buf_append(&buf, pool, strlen(pool));
    }
    xo_buf_append(&buf, "", 1);
    int rc = xo_buf_ok(&buf);
    if (rc == 0 && buf.size > size)
        rc = (errno = ENOBUFS, -1);
    if (rc == 0)
        memcpy(id, buf.data, buf.size);
    xo_buf_free(&buf);
    return rc;
}

int xo_registry_actor_id(xo_slice_t uid, const char *pool, char *id, size_t size)
{
    if (!xoi_is_key(pool))
        return errno = EINVAL, -1;
    return encode_id(uid, pool, id, size);
}

int xo_registry_name_id(xo_slice_t uid, char *id, size_t size)
{
    return encode_id(uid, NULL, id, size);
}

int xo_registry_actor_uid(const char *id, char *uid, size_t size, size_t *uid_size)
{
    const char *at = xoi_actor_pool(id);
    return xoi_decode(xo_slice(id, at ? (size_t)(at - id) : strlen(id)), uid, size, uid_size);
}

/* Ends an operation that was wrong from the start. */
static void refuse(xo_registry_t *registry, xo_sink_t sink, const char *why)
{
    int errnum = registry->closed ? ECANCELED : EINVAL;
    xoi_registry_end_later(registry, &sink, errnum, why, NULL, XO_SORTED);
}

/* What is wrong with an id, or NULL. */
static const char *check_id(const xo_registry_t *registry, xo_reg_kind_t kind, const char *id)
{
    const char *at = id ? xoi_actor_pool(id) : NULL;
    if (registry->closed)
        return "the registry was closed before";
    if ((unsigned)kind >= XO_REG_KINDS)
        return "no such kind of record";
    if (!xoi_is_key(id) || strlen(id) >= XO_RECORD_ID_BYTES)
        return "a record's id must be text without blanks, at most 1023 bytes";
    if (kind == XO_REG_ACTOR && (!at || at == id || at[1] == 0))
        return "an actor's id must be UID@POOL";
    if (kind == XO_REG_GROUP && (!at || at == id || at[1] == 0))
        return "a group's id must be NAME@NODE";
    return NULL;
}

static const char *check_lease(const char *owner, int64_t ttl_ms)
{
    if (ttl_ms < 0)
        return "a lease's time must not be negative";
    if (ttl_ms > 0 && !owner)
        return "a lease needs an owner";
    return owner && !xoi_is_key(owner) ? "an owner must be text without blanks" : NULL;
}

static const char *check_fields(const xo_record_t *record)
{
    if (record->count == 0 || record->count > FIELDS_MAX)
        return "a record needs 1 to 1000 fields";
    for (size_t i = 0; i < record->count; i++) {
        const xo_field_t *field = &record->fields[i];
        if (!xoi_is_key(field->name) || strcmp(field->name, "owner") == 0 ||
            strcmp(field->name, "lease_ms") == 0)
            return "a field's name must be text without blanks, and not owner or lease_ms";
    }
    return NULL;
}

void xo_registry_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                     const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    const char *why = check_id(registry, kind, record->id);
    registry->stats.operations++;
    if (!why)
        why = check_lease(owner, ttl_ms);
    if (!why)
        why = check_fields(record);
    if (why)
        refuse(registry, xoi_sink_done(done, arg), why);
    else
        registry->ops->put(registry, kind, record, owner, ttl_ms, done, arg);
}

void xo_registry_take(xo_registry_t *registry, const xo_record_t *name, const char *owner,
                      int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    const char *why = check_id(registry, XO_REG_NAME, name->id);
    if (!registry->ops->take) {
        xo_registry_put(registry, XO_REG_NAME, name, owner, ttl_ms, done, arg);
        return;
    }
    registry->stats.operations++;
    if (!why)
        why = ttl_ms == 0 ? "a lease needs a time" : check_lease(owner, ttl_ms);
    if (!why)
        why = check_fields(name);
    if (why)
        refuse(registry, xoi_sink_done(done, arg), why);
    else
        registry->ops->take(registry, name, owner, ttl_ms, done, arg);
}

void xo_registry_refill(xo_registry_t *registry)
{
    if (registry->ops->refill && !registry->closed)
        registry->ops->refill(registry);
}

void xo_registry_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                       const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    const char *why = check_id(registry, kind, id);
    registry->stats.operations++;
    if (!why)
        why = ttl_ms == 0 ? "a lease needs a time" : check_lease(owner, ttl_ms);
    if (why)
        refuse(registry, xoi_sink_done(done, arg), why);
    else
        registry->ops->renew(registry, kind, id, owner, ttl_ms, done, arg);
}

void xo_registry_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                     xo_reg_done_f done, void *arg)
{
    const char *why = check_id(registry, kind, id);
    registry->stats.operations++;
    if (why)
        refuse(registry, xoi_sink_done(done, arg), why);
    else
        registry->ops->del(registry, kind, id, owner, done, arg);
}

void xo_registry_put_spec(xo_registry_t *registry, const char *id, xo_slice_t bytes,
                          xo_reg_done_f done, void *arg)
{
    const char *why = check_id(registry, XO_REG_ACTOR, id);
    registry->stats.operations++;
    if (!why && bytes.size > XO_SPEC_BYTES_MAX)
        why = "a spec has at most 32 MiB";
    if (why)
        refuse(registry, xoi_sink_done(done, arg), why);
    else
        registry->ops->put_spec(registry, id, bytes, done, arg);
}

void xo_registry_get_spec(xo_registry_t *registry, const char *id, xo_reg_records_f done, void *arg)
{
    const char *why = check_id(registry, XO_REG_ACTOR, id);
    registry->stats.operations++;
    if (why)
        refuse(registry, xoi_sink_records(done, arg), why);
    else
        registry->ops->get_spec(registry, id, done, arg);
}

void xo_registry_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                     xo_reg_records_f done, void *arg)
{
    const char *why = check_id(registry, kind, id);
    registry->stats.operations++;
    if (why)
        refuse(registry, xoi_sink_records(done, arg), why);
    else
        registry->ops->get(registry, kind, id, done, arg);
}

void xo_registry_list(xo_registry_t *registry, xo_reg_kind_t kind, xo_reg_records_f done, void *arg)
{
    const char *why = check_id(registry, kind, "any@any");
    registry->stats.operations++;
    if (why)
        refuse(registry, xoi_sink_records(done, arg), why);
    else
        registry->ops->list(registry, kind, NULL, done, arg);
}

void xo_registry_list_of(xo_registry_t *registry, xo_reg_kind_t kind, const char *owner,
                         xo_reg_records_f done, void *arg)
{
    const char *why = check_id(registry, kind, "any@any");
    registry->stats.operations++;
    if (!why && kind != XO_REG_ACTOR && kind != XO_REG_GROUP)
        why = "only actors and groups are listed by their owner";
    if (!why && !xoi_is_key(owner))
        why = "an owner must be text without blanks";
    if (why)
        refuse(registry, xoi_sink_records(done, arg), why);
    else
        registry->ops->list(registry, kind, owner, done, arg);
}

void xo_registry_lookup(xo_registry_t *registry, xo_slice_t uid, xo_reg_records_f done, void *arg)
{
    char id[XO_RECORD_ID_BYTES];
    registry->stats.operations++;
    if (encode_id(uid, NULL, id, sizeof(id)) < 0 || registry->closed)
        refuse(registry, xoi_sink_records(done, arg), "a uid is 1 to 255 bytes");
    else
        registry->ops->lookup(registry, id, done, arg);
}

void xo_registry_watch(xo_registry_t *registry, xo_slice_t uid, const char *reader)
{
    char id[XO_RECORD_ID_BYTES];
    registry->stats.operations++;
    if (encode_id(uid, NULL, id, sizeof(id)) == 0 && xoi_is_key(reader) && !registry->closed)
        registry->ops->watch(registry, id, reader);
    else
        registry->stats.failed++;
}

void xo_registry_news(xo_registry_t *registry, const char *reader, xo_reg_records_f done, void *arg)
{
    registry->stats.operations++;
    if (!xoi_is_key(reader) || registry->closed)
        refuse(registry, xoi_sink_records(done, arg), "a reader must be text without blanks");
    else
        registry->ops->news(registry, reader, done, arg);
}

static void refuse_alone(xo_registry_t *registry, xo_reg_records_f done, void *arg)
{
    xo_sink_t sink = xoi_sink_records(done, arg);
    xoi_registry_end_later(registry, &sink, registry->closed ? ECANCELED : ENOTSUP,
                           "this registry is one node's, which no other shares", NULL, XO_SORTED);
}

void xo_registry_keys_version(xo_registry_t *registry, xo_reg_records_f done, void *arg)
{
    registry->stats.operations++;
    if (!registry->ops->keys_version || registry->closed)
        refuse_alone(registry, done, arg);
    else
        registry->ops->keys_version(registry, done, arg);
}

void xo_registry_lapsed(xo_registry_t *registry, size_t max, uint64_t epoch, xo_reg_records_f done,
                        void *arg)
{
    registry->stats.operations++;
    if (registry->closed || max == 0)
        refuse(registry, xoi_sink_records(done, arg), "at least one must be asked for");
    else if (!registry->ops->lapsed)
        refuse_alone(registry, done, arg);
    else
        registry->ops->lapsed(registry, max, epoch, done, arg);
}

void xo_registry_reap(xo_registry_t *registry, const xo_reap_t *reap, xo_reg_records_f done,
                      void *arg)
{
    const char *why = check_lease(reap->owner, reap->lease_ms);
    registry->stats.operations++;
    if (registry->closed || why)
        refuse(registry, xoi_sink_records(done, arg), why ? why : "the registry was closed before");
    else if (!registry->ops->reap)
        refuse_alone(registry, done, arg);
    else
        registry->ops->reap(registry, reap, done, arg);
}

static const char *check_claim(const xo_registry_t *registry, const xo_claim_t *claim)
{
    const char *why = check_id(registry, XO_REG_ACTOR, claim->from);
    if (!why)
        why = check_id(registry, XO_REG_ACTOR, claim->actor->id);
    if (!why)
        why = check_id(registry, XO_REG_NAME, claim->name->id);
    if (!why)
        why = check_lease(claim->owner, claim->ttl_ms);
    if (!why)
        why = check_fields(claim->actor);
    return why ? why : check_fields(claim->name);
}

void xo_registry_claim(xo_registry_t *registry, const xo_claim_t *claim, xo_reg_records_f done,
                       void *arg)
{
    const char *why = check_claim(registry, claim);
    registry->stats.operations++;
    if (why)
        refuse(registry, xoi_sink_records(done, arg), why);
    else if (!registry->ops->claim)
        refuse_alone(registry, done, arg);
    else
        registry->ops->claim(registry, claim, done, arg);
}

void xo_registry_wait(xo_registry_t *registry, const char *id, const char *reason,
                      xo_reg_done_f done, void *arg)
{
    const char *why = check_id(registry, XO_REG_ACTOR, id);
    registry->stats.operations++;
    if (!why && !registry->ops->wait)
        why = "this registry is one node's";
    if (why)
        refuse(registry, xoi_sink_done(done, arg), why);
    else
        registry->ops->wait(registry, id, reason, done, arg);
}

void xo_registry_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                       size_t count)
{
    registry->stats.operations++;
    if (registry->closed || !xoi_is_key(type) || count > FIELDS_MAX)
        registry->stats.dropped_events++;
    else
        registry->ops->event(registry, type, fields, count);
}

void xo_registry_events(xo_registry_t *registry, const char *after, size_t max,
                        xo_reg_records_f done, void *arg)
{
    long last;
    registry->stats.operations++;
    if (registry->closed || max == 0 || !after || xoi_parse_after(after, &last) < 0)
        refuse(registry, xoi_sink_records(done, arg),
               "events come after a stream id, \"0\" or \"$-N\", and at least one");
    else
        registry->ops->events(registry, after, max, done, arg);
}
