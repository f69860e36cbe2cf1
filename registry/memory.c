/* memory.c - the registry within one process: for a node without Redis, and for tests.
 * What is asked for happens at once and is answered in the loop's next pass. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "registry/base.h"
#include "registry/blobs.h"
#include "registry/fields.h"
#include "registry/text.h"
#include "registry/watches.h"

typedef struct memory memory_t;
typedef struct entry entry_t;

/* The actors that share a uid. */
typedef struct name {
    char *uid;
    entry_t *actors;
    UT_hash_handle hh;
} name_t;

struct entry {
    memory_t *memory;
    xo_reg_kind_t kind;
    char *id;
    char *owner;      /* NULL: none */
    int64_t lease_ms; /* 0: no lease */
    xo_timer_t lapse;
    xo_field_t *fields; /* names and values are copies */
    size_t count;
    name_t *name; /* of an actor */
    entry_t *prev, *next;
    UT_hash_handle hh;
};

typedef struct event {
    uint64_t ms, sequence;
    xo_field_t *fields;
    size_t count;
} event_t;

struct memory {
    xo_registry_t base;
    entry_t *entries[XO_REG_KINDS];
    name_t *names;
    xo_blobs_t specs; /* what creates the actors again */
    xo_watches_t watches;
    event_t *ring; /* XO_EVENTS_MAX, made by the first event */
    size_t begun;  /* events ever; the oldest still there is begun - XO_EVENTS_MAX */
    uint64_t last_ms, last_sequence;
    xo_defer_t greet;
};

static memory_t *self(xo_registry_t *registry)
{
    return (memory_t *)registry;
}

/* ---- entries ---- */

static entry_t *find(memory_t *memory, xo_reg_kind_t kind, const char *id)
{
    entry_t *entry;
    HASH_FIND_STR(memory->entries[kind], id, entry);
    return entry;
}

static name_t *find_name(memory_t *memory, const char *uid)
{
    name_t *name;
    HASH_FIND_STR(memory->names, uid, name);
    return name;
}

static void leave_name(entry_t *entry)
{
    name_t *name = entry->name;
    if (!name)
        return;
    DL_DELETE(name->actors, entry);
    if (name->actors)
        return;
    HASH_DEL(entry->memory->names, name);
    free(name->uid);
    free(name);
}

static int join_name(entry_t *entry)
{
    char uid[XO_RECORD_ID_BYTES];
    snprintf(uid, sizeof(uid), "%.*s", (int)(xoi_actor_pool(entry->id) - entry->id), entry->id);
    name_t *name = find_name(entry->memory, uid);
    if (!name) {
        name = calloc(1, sizeof(*name));
        if (!name || !(name->uid = strdup(uid))) {
            free(name);
            return -1;
        }
        HASH_ADD_KEYPTR(hh, entry->memory->names, name->uid, strlen(name->uid), name);
    }
    DL_APPEND(name->actors, entry);
    entry->name = name;
    return 0;
}

static void entry_destroy(entry_t *entry)
{
    if (!entry)
        return;
    xo_timer_stop(&entry->lapse);
    if (entry->hh.tbl)
        HASH_DEL(entry->memory->entries[entry->kind], entry);
    leave_name(entry);
    xoi_fields_free(entry->fields, entry->count);
    free(entry->id);
    free(entry->owner);
    free(entry);
}

static void lapse(xo_timer_t *timer, void *arg)
{
    (void)timer;
    entry_destroy(arg);
}

static entry_t *entry_create(memory_t *memory, xo_reg_kind_t kind, const xo_record_t *record,
                             const char *owner)
{
    entry_t *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    entry->memory = memory;
    entry->kind = kind;
    xo_timer_init(&entry->lapse, memory->base.loop, lapse, entry);
    entry->id = strdup(record->id);
    entry->owner = owner ? strdup(owner) : NULL;
    entry->fields = xoi_fields_copy(record->fields, record->count);
    entry->count = entry->fields ? record->count : 0;
    if (!entry->id || (owner && !entry->owner) || !entry->fields ||
        (kind == XO_REG_ACTOR && join_name(entry) < 0)) {
        entry_destroy(entry);
        return NULL;
    }
    return entry;
}

static bool is_lost(memory_t *memory, const entry_t *entry)
{
    xo_reg_kind_t home = entry->kind == XO_REG_ACTOR ? XO_REG_POOL : XO_REG_NODE;
    bool has_home = entry->kind == XO_REG_ACTOR || entry->kind == XO_REG_GROUP;
    return has_home && !find(memory, home, xoi_actor_pool(entry->id) + 1);
}

static void add_field(xo_records_t *records, const char *name, xo_slice_t value)
{
    xoi_records_field(records, xo_slice_str(name), value);
}

static void add_record(memory_t *memory, xo_records_t *records, const entry_t *entry)
{
    bool lost = is_lost(memory, entry);
    char lease[24];
    xoi_records_begin(records, xo_slice_str(entry->id));
    for (size_t i = 0; i < entry->count; i++)
        if (!lost || strcmp(entry->fields[i].name, "state") != 0)
            add_field(records, entry->fields[i].name, entry->fields[i].value);
    if (lost)
        add_field(records, "state", xo_slice_str(XO_STATE_LOST));
    if (entry->owner)
        add_field(records, "owner", xo_slice_str(entry->owner));
    snprintf(lease, sizeof(lease), "%" PRId64, entry->lease_ms);
    if (entry->lease_ms)
        add_field(records, "lease_ms", xo_slice_str(lease));
}

static bool is_owner(const entry_t *entry, const char *owner)
{
    return !entry->owner || (owner && strcmp(entry->owner, owner) == 0);
}

/* ---- operations ---- */

static void note(memory_t *memory, xo_reg_kind_t kind, const char *id)
{
    if (kind == XO_REG_ACTOR)
        xoi_watches_note(&memory->watches, id, (size_t)(xoi_actor_pool(id) - id));
}

static void end_records(memory_t *memory, xo_reg_records_f done, void *arg, xo_records_t *records,
                        xo_order_t order)
{
    xo_sink_t sink = xoi_sink_records(done, arg);
    xoi_registry_end_later(&memory->base, &sink, 0, "", records, order);
}

static void end(memory_t *memory, xo_sink_t sink, int errnum, const char *format, const char *id)
{
    char text[XO_RECORD_ID_BYTES + 128];
    snprintf(text, sizeof(text), format, id);
    xoi_registry_end_later(&memory->base, &sink, errnum, text, NULL, XO_SORTED);
}

static void memory_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                       const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    memory_t *memory = self(registry);
    xo_sink_t sink = xoi_sink_done(done, arg);
    entry_t *old = find(memory, kind, record->id);
    if (old && old->lease_ms && !is_owner(old, owner)) {
        end(memory, sink, EPERM, "%s is leased by another owner", record->id);
        return;
    }
    entry_t *entry = entry_create(memory, kind, record, owner);
    if (!entry) {
        end(memory, sink, ENOMEM, "out of memory for %s", record->id);
        return;
    }
    entry_destroy(old);
    HASH_ADD_KEYPTR(hh, memory->entries[kind], entry->id, strlen(entry->id), entry);
    entry->lease_ms = ttl_ms;
    if (ttl_ms && kind != XO_REG_NAME)
        xo_timer_start(&entry->lapse, ttl_ms * XO_MS);
    note(memory, kind, entry->id);
    end(memory, sink, 0, "", "");
}

static void memory_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                         const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    memory_t *memory = self(registry);
    entry_t *entry = find(memory, kind, id);
    if (!entry || !entry->owner) {
        end(memory, xoi_sink_done(done, arg), ENOENT, "the lease on %s has lapsed", id);
        return;
    }
    if (!is_owner(entry, owner)) {
        end(memory, xoi_sink_done(done, arg), EPERM, "%s is leased by another owner", id);
        return;
    }
    entry->lease_ms = ttl_ms;
    xo_timer_start(&entry->lapse, ttl_ms * XO_MS);
    end(memory, xoi_sink_done(done, arg), 0, "", "");
}

static void memory_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                       const char *owner, xo_reg_done_f done, void *arg)
{
    memory_t *memory = self(registry);
    entry_t *entry = find(memory, kind, id);
    if (entry && owner && !is_owner(entry, owner)) {
        end(memory, xoi_sink_done(done, arg), EPERM, "%s belongs to another owner", id);
        return;
    }
    entry_destroy(entry);
    note(memory, kind, id);
    if (kind == XO_REG_ACTOR)
        xoi_blobs_put(&memory->specs, id, xo_slice(NULL, 0));
    end(memory, xoi_sink_done(done, arg), 0, "", "");
}

static void memory_put_spec(xo_registry_t *registry, const char *id, xo_slice_t bytes,
                            xo_reg_done_f done, void *arg)
{
    memory_t *memory = self(registry);
    if (xoi_blobs_put(&memory->specs, id, bytes) < 0)
        end(memory, xoi_sink_done(done, arg), ENOMEM, "out of memory for the spec of %s", id);
    else
        end(memory, xoi_sink_done(done, arg), 0, "", "");
}

static void memory_get_spec(xo_registry_t *registry, const char *id, xo_reg_records_f done,
                            void *arg)
{
    memory_t *memory = self(registry);
    xo_slice_t bytes = xoi_blobs_get(&memory->specs, id);
    if (bytes.size == 0) {
        end(memory, xoi_sink_records(done, arg), ENOENT, "the registry has no spec of %s", id);
        return;
    }
    xo_records_t *records = xoi_records_create();
    if (records) {
        xoi_records_begin(records, xo_slice_str(id));
        add_field(records, XO_SPEC_FIELD, bytes);
    }
    end_records(memory, done, arg, records, XO_AS_THEY_COME);
}

static void memory_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                       xo_reg_records_f done, void *arg)
{
    memory_t *memory = self(registry);
    entry_t *entry = find(memory, kind, id);
    if (!entry) {
        end(memory, xoi_sink_records(done, arg), ENOENT, "the registry has no %s", id);
        return;
    }
    xo_records_t *records = xoi_records_create();
    if (records)
        add_record(memory, records, entry);
    end_records(memory, done, arg, records, XO_SORTED);
}

static void memory_list(xo_registry_t *registry, xo_reg_kind_t kind, const char *owner,
                        xo_reg_records_f done, void *arg)
{
    memory_t *memory = self(registry);
    xo_records_t *records = xoi_records_create();
    for (entry_t *entry = memory->entries[kind]; records && entry; entry = entry->hh.next)
        if (!owner || (entry->owner && strcmp(entry->owner, owner) == 0))
            add_record(memory, records, entry);
    end_records(memory, done, arg, records, XO_SORTED);
}

static void memory_lookup(xo_registry_t *registry, const char *uid, xo_reg_records_f done,
                          void *arg)
{
    memory_t *memory = self(registry);
    name_t *name = find_name(memory, uid);
    xo_records_t *records = xoi_records_create();
    for (entry_t *entry = name ? name->actors : NULL; records && entry; entry = entry->next)
        add_record(memory, records, entry);
    end_records(memory, done, arg, records, XO_FOUND_FIRST);
}

static void memory_watch(xo_registry_t *registry, const char *uid, const char *reader)
{
    if (xoi_watches_add(&self(registry)->watches, uid, reader) < 0)
        registry->stats.failed++;
}

static void memory_news(xo_registry_t *registry, const char *reader, xo_reg_records_f done,
                        void *arg)
{
    memory_t *memory = self(registry);
    xo_records_t *records = xoi_records_create();
    if (records)
        xoi_watches_take(&memory->watches, reader, XO_NEWS_MAX, records);
    end_records(memory, done, arg, records, XO_SORTED);
}

/* ---- events ---- */

static event_t *event_at(memory_t *memory, size_t number)
{
    return &memory->ring[number % XO_EVENTS_MAX];
}

/* Ids are those of a Redis stream: milliseconds of the wall clock and a number, growing even if the
 * clock goes back. */
static void stamp(memory_t *memory, event_t *event)
{
    uint64_t ms = (uint64_t)xo_unix_ms();
    if (ms > memory->last_ms) {
        memory->last_ms = ms;
        memory->last_sequence = 0;
    } else {
        memory->last_sequence++;
    }
    event->ms = memory->last_ms;
    event->sequence = memory->last_sequence;
}

static void memory_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                         size_t count)
{
    memory_t *memory = self(registry);
    xo_field_t all[count + 1];
    all[0] = (xo_field_t){"type", xo_slice_str(type)};
    if (count)
        memcpy(all + 1, fields, count * sizeof(*fields));
    if (!memory->ring)
        memory->ring = calloc(XO_EVENTS_MAX, sizeof(*memory->ring));
    xo_field_t *copy = memory->ring ? xoi_fields_copy(all, count + 1) : NULL;
    if (!copy) {
        registry->stats.dropped_events++;
        return;
    }
    event_t *event = event_at(memory, memory->begun++);
    xoi_fields_free(event->fields, event->count);
    event->fields = copy;
    event->count = count + 1;
    stamp(memory, event);
}

static void add_event(xo_records_t *records, const event_t *event)
{
    char id[48];
    snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, event->ms, event->sequence);
    xoi_records_begin(records, xo_slice_str(id));
    for (size_t i = 0; i < event->count; i++)
        add_field(records, event->fields[i].name, event->fields[i].value);
}

/* The number of the first event that comes after `after`. */
static size_t first_after(memory_t *memory, const char *after)
{
    size_t oldest = memory->begun > XO_EVENTS_MAX ? memory->begun - XO_EVENTS_MAX : 0;
    long last;
    xoi_parse_after(after, &last);
    if (last >= 0)
        return memory->begun - oldest > (size_t)last ? memory->begun - (size_t)last : oldest;
    char *rest;
    uint64_t ms = strtoull(after, &rest, 10);
    uint64_t sequence = *rest == '-' ? strtoull(rest + 1, NULL, 10) : 0;
    while (oldest < memory->begun) {
        const event_t *event = event_at(memory, oldest);
        if (event->ms > ms || (event->ms == ms && event->sequence > sequence))
            break;
        oldest++;
    }
    return oldest;
}

static void memory_events(xo_registry_t *registry, const char *after, size_t max,
                          xo_reg_records_f done, void *arg)
{
    memory_t *memory = self(registry);
    xo_records_t *records = xoi_records_create();
    size_t at = first_after(memory, after);
    for (; records && at < memory->begun && max; at++, max--)
        add_event(records, event_at(memory, at));
    end_records(memory, done, arg, records, XO_AS_THEY_COME);
}

/* ---- life ---- */

static void greet(xo_defer_t *defer, void *arg)
{
    (void)defer;
    memory_t *memory = arg;
    memory->base.stats.connections++;
    xoi_registry_hold(&memory->base);
    if (memory->base.events.up)
        memory->base.events.up(&memory->base, true, memory->base.arg);
    xoi_registry_unhold(&memory->base);
}

static xo_registry_t *memory_open(xo_loop_t *loop, const xo_url_t *url, const char *cluster,
                                  const xo_registry_events_t *events, void *arg, xo_error_t *err)
{
    memory_t *memory = calloc(1, sizeof(*memory));
    if (!memory)
        return xo_error_null(err, ENOMEM, "out of memory for the registry");
    xoi_registry_init(&memory->base, &xoi_memory_ops, loop, url, cluster, events, arg);
    xo_defer_init(&memory->greet, loop, greet, memory);
    xo_defer_start(&memory->greet);
    return &memory->base;
}

static void memory_close(xo_registry_t *registry)
{
    memory_t *memory = self(registry);
    xo_defer_stop(&memory->greet);
    for (size_t kind = 0; kind < XO_REG_KINDS; kind++)
        while (memory->entries[kind])
            entry_destroy(memory->entries[kind]);
    xoi_blobs_free(&memory->specs);
    xoi_watches_free(&memory->watches);
}

static void memory_release(xo_registry_t *registry)
{
    memory_t *memory = self(registry);
    for (size_t i = 0; memory->ring && i < XO_EVENTS_MAX; i++)
        xoi_fields_free(memory->ring[i].fields, memory->ring[i].count);
    free(memory->ring);
    free(memory);
}

static bool memory_is_up(const xo_registry_t *registry)
{
    return !registry->closed && registry->stats.connections > 0;
}

static const char *const schemes[] = {"memory", NULL};

const xo_registry_ops_t xoi_memory_ops = {
    .schemes = schemes,
    .open = memory_open,
    .close = memory_close,
    .release = memory_release,
    .is_up = memory_is_up,
    .put = memory_put,
    .renew = memory_renew,
    .del = memory_del,
    .put_spec = memory_put_spec,
    .get_spec = memory_get_spec,
    .get = memory_get,
    .list = memory_list,
    .lookup = memory_lookup,
    .watch = memory_watch,
    .news = memory_news,
    .event = memory_event,
    .events = memory_events,
};
