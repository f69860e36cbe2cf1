/* reload.c - what the registry knows of this node's actors, for a broker that takes over from one
 * that was killed: which there are, and what creates them again.
 *
 * It is read before anybody is let in. Then the pools name their actors, as after each lost link,
 * and what they do not name is dropped as ever. Where the registry was away, all that is read when
 * it is there, and until then what it says of them is left alone: it says more than is known here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "recovery"
#define ASKED_MAX 64 /* specs on their way: each may have 16 MiB */

typedef struct xo_reload {
    xo_broker_t *broker;
    void (*done)(xo_broker_t *broker, bool failed);
    xo_buf_t ids; /* of the actors whose specs are to be asked for, each ends with a 0 */
    size_t at;    /* the next one */
    size_t asked;
    size_t specs;
    bool failed; /* the registry has not answered all */
} xo_reload_t;

static void destroy(xo_reload_t *reload)
{
    xo_buf_free(&reload->ids);
    free(reload);
}

/* ---- records ---- */

static xo_member_t *find_pool(const xo_broker_t *broker, const char *id)
{
    uint64_t pool;
    const char *at = strrchr(id, '@');
    if (at == NULL || xo_id_parse(xo_slice_str(at + 1), &pool) < 0)
        return NULL;
    return xo_pools_find(&broker->pools, pool);
}

static xo_actor_entry_t *find_entry(const xo_broker_t *broker, const char *id)
{
    char uid[XO_UID_BYTES_MAX];
    size_t size;
    xo_member_t *member = find_pool(broker, id);
    if (member == NULL || xo_registry_actor_uid(id, uid, sizeof(uid), &size) < 0)
        return NULL;
    return xo_directory_get(&broker->directory, member, xo_slice(uid, size));
}

static void set_recent(xo_actor_entry_t *entry, const xo_record_t *record)
{
    char text[XO_POLICY_TEXT_BYTES];
    xo_slice_t recent = xo_rec_find(record, "recent");
    snprintf(text, sizeof(text), "%.*s", (int)recent.size, recent.size > 0 ? recent.data : "");
    xo_directory_set_recent(entry, text);
}

static void set_state(xo_actor_entry_t *entry, const xo_record_t *record)
{
    xo_slice_t state = xo_rec_find(record, "state");
    xo_slice_t reason = xo_rec_find(record, "reason");
    if (xo_slice_eq_str(state, xo_actor_state_name(XO_ACTOR_RECOVERING)))
        entry->state = XO_ACTOR_RECOVERING;
    if (!xo_slice_eq_str(state, xo_actor_state_name(XO_ACTOR_FAILED)))
        return;
    char *text = strndup(reason.size > 0 ? reason.data : "", reason.size);
    xo_directory_set_failed(entry, text != NULL ? text : "");
    free(text);
}

/* A group's member may live in a pool that the broker does not start, and nobody has written down:
 * the group has to know of it before it links again. */
static void expect_pool_of_member(xo_broker_t *broker, const xo_record_t *record)
{
    uint64_t node, pool;
    const char *at = strrchr(record->id, '@');
    if (xo_rec_find(record, "group").size > 0 &&
        xo_id_parse(xo_rec_find(record, "node"), &node) == 0 && node == broker->options.node_id &&
        at != NULL && xo_id_parse(xo_slice_str(at + 1), &pool) == 0 &&
        xo_pools_find(&broker->pools, pool) == NULL)
        xo_supervisor_expect(broker->supervisor, pool, xo_rec_find(record, "address"));
}

static void add_actor(xo_broker_t *broker, const xo_record_t *record)
{
    char uid[XO_UID_BYTES_MAX];
    size_t size;
    uint64_t incarnation = 0;
    xo_member_t *member = find_pool(broker, record->id);
    if (member == NULL || xo_registry_actor_uid(record->id, uid, sizeof(uid), &size) < 0)
        return;
    xo_rec_number(record, "incarnation", &incarnation);
    xo_actor_entry_t *entry = xo_directory_put(&broker->directory, member, xo_slice(uid, size),
                                               incarnation, xo_rec_find(record, "class"), false);
    if (entry == NULL)
        return;
    xo_rec_number(record, "epoch", &entry->epoch);
    set_state(entry, record);
    set_recent(entry, record);
    xo_names_keep(broker, entry); /* its pool may link later than another one that wants it */
}

/* ---- specs ---- */

static void ask_more(xo_reload_t *reload);

static void finish(xo_reload_t *reload)
{
    xo_broker_t *broker = reload->broker;
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT,
           "the registry knows %zu actors of this node's pools, %zu can be created again",
           broker->directory.count, reload->specs);
    void (*done)(xo_broker_t *, bool) = reload->done;
    bool failed = reload->failed;
    destroy(reload);
    done(broker, failed);
}

static void on_spec(int errnum, const char *text, const xo_record_t *records, size_t count,
                    void *arg)
{
    xo_reload_t *reload = arg;
    if (errnum == ECANCELED) { /* the broker ends */
        if (--reload->asked == 0)
            destroy(reload);
        return;
    }
    xo_broker_t *broker = reload->broker;
    xo_actor_entry_t *entry = count == 1 ? find_entry(broker, records[0].id) : NULL;
    xo_actor_spec_t *spec = entry != NULL && entry->spec == NULL
                                ? xo_actor_spec_unpack(xo_rec_find(&records[0], "spec"))
                                : NULL;
    if (spec != NULL) {
        xo_broker_set_spec(broker, entry, spec);
        xo_group_rejoin(broker, entry);
        reload->specs++;
    } else if (errnum != 0 && errnum != ENOENT) {
        reload->failed = true;
        xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT,
               "what creates an actor again could not be read: %s", text);
    }
    reload->asked--;
    ask_more(reload);
}

static bool keeps_specs(const xo_member_t *member)
{
    return member->recovers || member->run == NULL;
}

/* They may be gone by the time that they are asked for. */
static void collect(xo_reload_t *reload)
{
    char id[XO_RECORD_ID_BYTES], pool[XO_ID_TEXT_BYTES];
    const xo_pools_t *pools = &reload->broker->pools;
    for (xo_member_t *m = xo_pools_first(pools); m != NULL; m = xo_pools_next(m)) {
        xo_id_format(m->id, pool);
        for (xo_actor_entry_t *e = keeps_specs(m) ? m->entries : NULL; e != NULL; e = e->next) {
            if (e->spec == NULL &&
                xo_registry_actor_id(xo_actor_entry_uid(e), pool, id, sizeof(id)) == 0)
                xo_buf_append(&reload->ids, id, strlen(id) + 1);
        }
    }
    if (xo_buf_ok(&reload->ids) < 0)
        reload->failed = true;
}

static void ask_more(xo_reload_t *reload)
{
    xo_registry_t *registry = xo_publish_registry(reload->broker->publish);
    while (reload->asked < ASKED_MAX && reload->at < reload->ids.size) {
        const char *id = (const char *)reload->ids.data + reload->at;
        reload->at += strlen(id) + 1;
        reload->asked++;
        xo_registry_get_spec(registry, id, on_spec, reload);
    }
    if (reload->asked == 0)
        finish(reload);
}

/* False: nobody asks any more. */
static bool is_answered(xo_reload_t *reload, int errnum, const char *text, const char *trouble)
{
    if (errnum == ECANCELED) {
        destroy(reload);
        return false;
    }
    reload->failed |= errnum != 0;
    if (errnum != 0)
        xo_log(reload->broker->options.log, XO_LOG_ERROR, COMPONENT, "%s: %s", trouble, text);
    return true;
}

static void list_own(const xo_broker_t *broker, xo_reg_kind_t kind, xo_reg_records_f done,
                     xo_reload_t *reload)
{
    char owner[XO_ID_TEXT_BYTES];
    xo_id_format(broker->options.node_id, owner);
    xo_registry_list_of(xo_publish_registry(broker->publish), kind, owner, done, reload);
}

static void on_actors(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_reload_t *reload = arg;
    xo_broker_t *broker = reload->broker;
    if (!is_answered(reload, errnum, text, "which actors there were is not known yet"))
        return;
    for (size_t i = 0; errnum == 0 && i < count; i++)
        expect_pool_of_member(broker, &records[i]);
    for (size_t i = 0; errnum == 0 && i < count; i++)
        add_actor(broker, &records[i]);
    collect(reload);
    ask_more(reload);
}

static void on_groups(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_reload_t *reload = arg;
    xo_broker_t *broker = reload->broker;
    if (!is_answered(reload, errnum, text, "which groups there were is not known"))
        return;
    if (errnum != 0) { /* it has been waited for long enough */
        on_actors(errnum, text, NULL, 0, reload);
        return;
    }
    xo_groups_reload(broker, records, count);
    list_own(broker, XO_REG_ACTOR, on_actors, reload);
}

static void on_first(xo_broker_t *broker, bool failed)
{
    broker->lacks_specs = failed;
    xo_groups_reloaded(broker);
    broker->reloaded(broker);
}

int xo_broker_reload(xo_broker_t *broker, void (*done)(xo_broker_t *broker), xo_error_t *err)
{
    xo_reload_t *reload = calloc(1, sizeof(*reload));
    if (reload == NULL)
        return xo_error_set(err, ENOMEM, "out of memory");
    *reload = (xo_reload_t){.broker = broker, .done = on_first, .ids = XO_BUF_INIT};
    broker->reloaded = done;
    list_own(broker, XO_REG_GROUP, on_groups, reload);
    return 0;
}

/* ---- later ---- */

bool xo_broker_awaits_specs(const xo_broker_t *broker)
{
    return broker->reloading || broker->lacks_specs;
}

bool xo_broker_awaits_spec(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    return xo_broker_awaits_specs(broker) && entry->spec == NULL && keeps_specs(entry->member);
}

bool xo_broker_asks_spec(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    return broker->asks_specs && xo_broker_awaits_spec(broker, entry);
}

static void on_later(xo_broker_t *broker, bool failed)
{
    broker->asks_specs = false;
    broker->lacks_specs = failed;
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m))
        xo_broker_decide_away(broker, m);
    if (failed)
        return; /* the next tick tries again */
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        for (xo_actor_entry_t *entry = m->entries; entry != NULL; entry = entry->next)
            xo_broker_check_spec(broker, entry);
    }
    xo_publish_refresh(broker->publish, broker);
    xo_publish_reconcile(broker->publish, broker);
    xo_drain_go_on(broker);
}

/* Of an actor whose pool has named it: what that does not say. Of one whose pool lives, and has yet
 * to link: all. */
static void learn(xo_broker_t *broker, const xo_record_t *record)
{
    uint64_t incarnation = 0;
    xo_actor_entry_t *entry = find_entry(broker, record->id);
    const xo_member_t *member = find_pool(broker, record->id);
    if (entry == NULL && member != NULL && member->link == NULL && !member->away)
        add_actor(broker, record);
    xo_rec_number(record, "incarnation", &incarnation);
    if (entry == NULL || entry->incarnation != incarnation)
        return;
    if (entry->epoch == 0)
        xo_rec_number(record, "epoch", &entry->epoch);
    if (entry->recent == NULL)
        set_recent(entry, record);
}

static void on_known(int errnum, const char *text, const xo_record_t *records, size_t count,
                     void *arg)
{
    xo_reload_t *reload = arg;
    if (!is_answered(reload, errnum, text, "what was said of actors is not known yet"))
        return;
    for (size_t i = 0; errnum == 0 && i < count; i++)
        learn(reload->broker, &records[i]);
    if (errnum == 0)
        collect(reload);
    ask_more(reload);
}

void xo_broker_reload_specs(xo_broker_t *broker)
{
    if (!broker->lacks_specs || broker->asks_specs || xo_publish_why_down(broker->publish) != NULL)
        return;
    xo_reload_t *reload = calloc(1, sizeof(*reload));
    if (reload == NULL)
        return; /* the next tick tries again */
    *reload = (xo_reload_t){.broker = broker, .done = on_later, .ids = XO_BUF_INIT};
    broker->asks_specs = true;
    list_own(broker, XO_REG_ACTOR, on_known, reload);
}
