#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker_impl.h"

/* A list that waits for the registry. */
typedef struct xo_listing {
    xo_broker_t *broker;
    xo_ask_t *ask; /* NULL: ended before */
    xo_reg_kind_t kind;
} xo_listing_t;

/* ---- our own ---- */

static size_t count_groups(const xo_broker_t *broker)
{
    size_t count = 0;
    for (const xo_group_t *group = broker->groups; group != NULL; group = group->next)
        count++;
    return count;
}

static size_t count_own(const xo_broker_t *broker, xo_reg_kind_t kind)
{
    if (kind == XO_REG_NODE)
        return 1;
    if (kind == XO_REG_GROUP)
        return count_groups(broker);
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

/* With what it is in at this moment. */
static void pack_own_pool(xo_member_t *member, xo_buf_t *out)
{
    xo_rec_t rec = {0};
    xo_member_look(member);
    xo_member_record(member, &rec);
    xo_rec_pack(&rec, 0, out);
    if (member->state != XO_POOL_SUSPECT)
        xo_member_look_away(member);
}

static void pack_own_groups(const xo_broker_t *broker, xo_buf_t *out)
{
    for (const xo_group_t *group = broker->groups; group != NULL; group = group->next) {
        xo_rec_t rec = {0};
        xo_group_record(group, &rec);
        xo_rec_pack(&rec, 0, out);
    }
}

static void pack_own(xo_broker_t *broker, xo_reg_kind_t kind, xo_buf_t *out)
{
    if (kind == XO_REG_NODE) {
        xo_rec_t rec = {0};
        xo_broker_node_record(broker, &rec);
        xo_rec_pack(&rec, 0, out);
        return;
    }
    if (kind == XO_REG_GROUP) {
        pack_own_groups(broker, out);
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

static void answer(xo_broker_t *broker, xo_ask_t *ask, xo_reg_kind_t kind,
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
            xo_rec_pack_registry(&records[i], kind == XO_REG_NODE || kind == XO_REG_POOL, &out);
    }
    xo_ask_reply_value(ask, &out);
}

static void on_records(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    xo_listing_t *listing = arg;
    xo_ask_t *ask = listing->ask;
    xo_broker_t *broker = listing->broker;
    if (ask != NULL && errnum != 0 && xo_registry_is_up(xo_publish_registry(broker->publish)))
        xo_ask_fail(ask, XO_CODE_UNAVAILABLE, "%s", text);
    else if (ask != NULL)
        answer(broker, ask, listing->kind, records, errnum == 0 ? count : 0);
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

void xo_broker_list_groups(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    (void)args;
    list(broker, ask, XO_REG_GROUP);
}
