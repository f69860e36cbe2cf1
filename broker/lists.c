#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker_impl.h"

#define EVENTS_DEFAULT 1000
#define EVENTS_MAX 10000
#define STREAM_ID_BYTES 64

/* A list that waits for the registry. */
typedef struct xo_listing {
    xo_broker_t *broker;
    xo_ask_t *ask; /* NULL: ended before */
    xo_reg_kind_t kind;
} xo_listing_t;

/* ---- our own ---- */

static size_t count_own(const xo_broker_t *broker, xo_reg_kind_t kind)
{
    if (kind == XO_REG_NODE)
        return 1;
    return kind == XO_REG_POOL ? xo_pools_count(&broker->pools) : broker->directory.count;
}

static void pack_own_actors(const xo_broker_t *broker, const xo_member_t *member, xo_buf_t *out)
{
    for (const xo_actor_entry_t *entry = member->entries; entry != NULL; entry = entry->next) {
        xo_rec_t rec = {0};
        xo_actor_record(entry, broker->options.node_id, &rec);
        xo_rec_pack(&rec, 0, out);
    }
}

static void pack_own_pool(const xo_member_t *member, xo_buf_t *out)
{
    xo_rec_t rec = {0};
    xo_member_record(member, &rec);
    xo_rec_pack(&rec, 0, out);
}

static void pack_own(const xo_broker_t *broker, xo_reg_kind_t kind, xo_buf_t *out)
{
    if (kind == XO_REG_NODE) {
        xo_rec_t rec = {0};
        xo_broker_node_record(broker, &rec);
        xo_rec_pack(&rec, 0, out);
        return;
    }
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (kind == XO_REG_POOL)
            pack_own_pool(m, out);
        else
            pack_own_actors(broker, m, out);
    }
}

/* ---- those of other nodes ---- */

static bool is_other(const xo_broker_t *broker, xo_reg_kind_t kind, const xo_record_t *record)
{
    char own[XO_ID_TEXT_BYTES];
    xo_id_format(broker->options.node_id, own);
    xo_slice_t node = kind == XO_REG_NODE ? xo_slice_str(record->id) : xo_rec_find(record, "node");
    return !xo_slice_eq_str(node, own);
}

static void answer(const xo_broker_t *broker, xo_ask_t *ask, xo_reg_kind_t kind,
                   const xo_record_t *records, size_t count)
{
    xo_buf_t out = XO_BUF_INIT;
    size_t others = 0;
    for (size_t i = 0; i < count; i++)
        others += is_other(broker, kind, &records[i]);
    xo_pack_array(&out, (uint32_t)(count_own(broker, kind) + others));
    pack_own(broker, kind, &out);
    for (size_t i = 0; i < count; i++) {
        if (is_other(broker, kind, &records[i]))
            xo_rec_pack_registry(&records[i], kind != XO_REG_ACTOR, &out);
    }
    xo_ask_reply_value(ask, &out);
}

static void on_records(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    xo_listing_t *listing = arg;
    (void)text;
    if (listing->ask != NULL)
        answer(listing->broker, listing->ask, listing->kind, records, errnum == 0 ? count : 0);
    free(listing);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_listing_t *listing = arg;
    (void)ask;
    listing->ask = NULL;
}

static xo_listing_t *create_listing(xo_broker_t *broker, xo_ask_t *ask, xo_reg_kind_t kind)
{
    xo_listing_t *listing = calloc(1, sizeof(*listing));
    if (listing == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return NULL;
    }
    *listing = (xo_listing_t){.broker = broker, .ask = ask, .kind = kind};
    xo_ask_on_stop(ask, let_go, listing);
    return listing;
}

/* Ours, and those of the other nodes as far as the registry is there to tell. */
static void list(xo_broker_t *broker, xo_ask_t *ask, xo_reg_kind_t kind)
{
    xo_registry_t *registry = xo_publish_registry(broker->publish);
    if (!xo_publish_is_shared(broker->publish) || !xo_registry_is_up(registry)) {
        answer(broker, ask, kind, NULL, 0);
        return;
    }
    xo_listing_t *listing = create_listing(broker, ask, kind);
    if (listing != NULL)
        xo_registry_list(registry, kind, on_records, listing);
}

void xo_broker_list_nodes(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    (void)args;
    list(broker, ask, XO_REG_NODE);
}

void xo_broker_list_pools(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    (void)args;
    list(broker, ask, XO_REG_POOL);
}

void xo_broker_list_actors(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    (void)args;
    list(broker, ask, XO_REG_ACTOR);
}

/* ---- events ---- */

static void on_events(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_listing_t *listing = arg;
    xo_ask_t *ask = listing->ask;
    xo_buf_t out = XO_BUF_INIT;
    free(listing);
    if (ask == NULL)
        return;
    if (errnum == EINVAL) {
        xo_broker_refuse(ask, "%s", text);
        return;
    }
    if (errnum != 0) {
        xo_ask_fail(ask, XO_CODE_UNAVAILABLE, "events: %s", text);
        return;
    }
    xo_pack_array(&out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        xo_rec_pack_registry(&records[i], true, &out);
    xo_ask_reply_value(ask, &out);
}

static int read_events_args(xo_ask_t *ask, xo_slice_t args, char after[STREAM_ID_BYTES],
                            unsigned *max)
{
    xo_reader_t reader = xo_reader(args);
    xo_slice_t text = xo_slice_str("0");
    int64_t count = EVENTS_DEFAULT;
    uint32_t given;
    xo_read_array(&reader, &given);
    if ((given > 0 && xo_read_bytes(&reader, &text) < 0) || text.size >= STREAM_ID_BYTES ||
        (given > 1 && xo_read_int(&reader, &count) < 0) || count < 1 || count > EVENTS_MAX) {
        xo_broker_refuse(ask, "takes a stream id, \"0\" or \"$-N\", and a number from 1 to %d",
                         EVENTS_MAX);
        return -1;
    }
    snprintf(after, STREAM_ID_BYTES, "%.*s", (int)text.size, text.data);
    *max = (unsigned)count;
    return 0;
}

void xo_broker_list_events(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    char after[STREAM_ID_BYTES];
    unsigned max;
    if (read_events_args(ask, args, after, &max) < 0)
        return;
    xo_listing_t *listing = create_listing(broker, ask, XO_REG_NODE);
    if (listing != NULL)
        xo_registry_events(xo_publish_registry(broker->publish), after, max, on_events, listing);
}
