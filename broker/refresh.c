/* refresh.c - what the registry gets told once more when it is back: all actors of the node, and
 * which of those that it has are no more.
 *
 * A node may have very many, and each node does this at the same time. So each has only a few
 * records on their way: leases, which are renewed meanwhile, do not wait behind the rest until they
 * have lapsed, and nothing waits for longer than what is written may take.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/publish_impl.h"

/* On their way at a time: of 100 nodes together they take Redis less than a second. */
#define RECORDS_UNDER_WAY 256

static xo_actor_entry_t *find_actor(const xo_publish_t *publish, const char *id)
{
    char uid[XO_UID_BYTES_MAX];
    size_t size;
    uint64_t pool;
    const char *at = strrchr(id, '@');
    if (at == NULL || xo_id_parse(xo_slice_str(at + 1), &pool) < 0 ||
        xo_registry_actor_uid(id, uid, sizeof(uid), &size) < 0)
        return NULL;
    const xo_member_t *member = xo_pools_find(&publish->broker->pools, pool);
    return member ? xo_directory_get(&publish->broker->directory, member, xo_slice(uid, size))
                  : NULL;
}

/* ---- what must be there ---- */

/* A record on its way. */
typedef struct xo_refresh {
    xo_publish_t *publish;
    char id[];
} xo_refresh_t;

static void refresh_more(xo_publish_t *publish);

/* One that could not be written is tried again at the next heartbeat. */
static void on_refreshed(int errnum, const char *text, void *arg)
{
    xo_refresh_t *refresh = arg;
    xo_publish_t *publish = refresh->publish;
    publish->refreshing--;
    if (errnum != 0 && errnum != ECANCELED) {
        xo_actor_entry_t *entry = find_actor(publish, refresh->id);
        if (entry != NULL)
            xo_directory_set_stale(&publish->broker->directory, entry, true);
        xo_publish_written(errnum, text, publish);
    }
    free(refresh);
    if (errnum == 0)
        refresh_more(publish);
}

static void refresh_one(xo_publish_t *publish, xo_actor_entry_t *entry)
{
    char id[XO_RECORD_ID_BYTES];
    bool has_id = xo_publish_actor_id(entry, id) == 0;
    size_t size = has_id ? strlen(id) + 1 : 0;
    xo_refresh_t *refresh = has_id ? malloc(sizeof(*refresh) + size) : NULL;
    xo_directory_set_stale(&publish->broker->directory, entry, false);
    if (refresh == NULL) { /* then without looking after it */
        xo_publish_actor(publish, entry);
        return;
    }
    refresh->publish = publish;
    memcpy(refresh->id, id, size);
    publish->refreshing++;
    xo_publish_put_actor(publish, entry, on_refreshed, refresh);
}

static void refresh_more(xo_publish_t *publish)
{
    if (xo_broker_awaits_specs(publish->broker))
        return;
    while (publish->is_up && publish->broker->directory.stale != NULL &&
           publish->refreshing < RECORDS_UNDER_WAY)
        refresh_one(publish, publish->broker->directory.stale);
}

static bool is_behind(const xo_publish_t *publish)
{
    return publish->refreshing > 0 || publish->saving > 0 ||
           publish->broker->directory.stale != NULL || publish->broker->directory.unsaved != NULL;
}

void xo_publish_refresh(xo_publish_t *publish, xo_broker_t *broker)
{
    publish->broker = broker;
    if (publish->options.shared && publish->is_up && is_behind(publish))
        xo_registry_refill(publish->registry);
    refresh_more(publish);
}

static void set_unwritten(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_directory_set_stale(&broker->directory, entry, true);
    if ((entry->member->recovers && !xo_broker_awaits_specs(broker)) || entry->spec != NULL)
        xo_directory_set_unsaved(&broker->directory, entry, true);
}

void xo_publish_all(xo_publish_t *publish, xo_broker_t *broker)
{
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        for (xo_actor_entry_t *entry = m->entries; entry != NULL; entry = entry->next)
            set_unwritten(broker, entry);
    }
    for (xo_group_t *group = broker->groups; group != NULL; group = group->next)
        xo_publish_group(publish, group);
    xo_publish_refresh(publish, broker);
    xo_broker_save_specs(broker);
}

/* ---- what must not be there any more ----
 * A pool's record is a lease, which lapses. */

static bool is_ours(const xo_publish_t *publish, const xo_record_t *record)
{
    return xo_slice_eq_str(xo_rec_find(record, "node"), publish->owner);
}

/* One that has ended here while the registry was away; or, if it may move, one that only the last
 * broker knew of, since the registry gave it to this node: that must not be lost with it. */
static void drop_actor(xo_publish_t *publish, const xo_record_t *record)
{
    if (publish->broker->inherits && xo_rec_find(record, "placement").size > 0)
        xo_astray_inherit(publish->broker, record->id);
    else
        xo_registry_del(publish->registry, XO_REG_ACTOR, record->id, publish->owner,
                        xo_publish_written, publish);
}

static void on_actors(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_publish_t *publish = arg;
    (void)text;
    if (errnum != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (is_ours(publish, &records[i]) && find_actor(publish, records[i].id) == NULL &&
            !xo_astray_has(publish->broker, records[i].id) &&
            !xo_insist_has_actor(publish->broker, records[i].id))
            drop_actor(publish, &records[i]);
    }
    publish->broker->inherits = false;
}

static void on_groups(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_publish_t *publish = arg;
    (void)text;
    for (size_t i = 0; errnum == 0 && i < count; i++) {
        if (is_ours(publish, &records[i]) &&
            xo_group_find(publish->broker, xo_rec_find(&records[i], "name")) == NULL)
            xo_registry_del(publish->registry, XO_REG_GROUP, records[i].id, publish->owner,
                            xo_publish_written, publish);
    }
}

void xo_publish_reconcile(xo_publish_t *publish, xo_broker_t *broker)
{
    if (!publish->was_up || xo_broker_awaits_specs(broker))
        return; /* nothing of this node is in it, or not all of it is known, yet */
    if (xo_timer_active(&broker->reconcile)) /* it does this then */
        return;
    publish->broker = broker;
    xo_registry_list_of(publish->registry, XO_REG_ACTOR, publish->owner, on_actors, publish);
    xo_registry_list_of(publish->registry, XO_REG_GROUP, publish->owner, on_groups, publish);
}
