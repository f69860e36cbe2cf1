/* reload.c - what the registry knows of this node's actors, for a broker that takes over from one
 * that was killed: which there are, and what creates them again.
 *
 * It is read before anybody is let in. Then the pools name their actors, as after each lost link,
 * and what they do not name is dropped as ever.
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
    void (*done)(xo_broker_t *broker);
    xo_member_t *member; /* the next spec to ask for is of its entry `entry` */
    xo_actor_entry_t *entry;
    size_t asked;
    size_t specs;
} xo_reload_t;

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
    void (*done)(xo_broker_t * broker) = reload->done;
    free(reload);
    xo_groups_reloaded(broker);
    done(broker);
}

static void on_spec(int errnum, const char *text, const xo_record_t *records, size_t count,
                    void *arg)
{
    xo_reload_t *reload = arg;
    if (errnum == ECANCELED) { /* the broker ends */
        if (--reload->asked == 0)
            free(reload);
        return;
    }
    xo_broker_t *broker = reload->broker;
    xo_actor_entry_t *entry = count == 1 ? find_entry(broker, records[0].id) : NULL;
    xo_actor_spec_t *spec =
        entry != NULL ? xo_actor_spec_unpack(xo_rec_find(&records[0], "spec")) : NULL;
    if (spec != NULL) {
        xo_broker_set_spec(broker, entry, spec);
        xo_group_rejoin(broker, entry);
        reload->specs++;
    } else if (errnum != ENOENT) {
        xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT,
               "what creates an actor again could not be read: %s", text);
    }
    reload->asked--;
    ask_more(reload);
}

/* The next actor that may have a spec. NULL: there is none. */
static xo_actor_entry_t *next_entry(xo_reload_t *reload)
{
    while (reload->entry == NULL && reload->member != NULL) {
        bool keeps = reload->member->recovers || reload->member->run == NULL;
        reload->entry = keeps ? reload->member->entries : NULL;
        reload->member = xo_pools_next(reload->member);
    }
    xo_actor_entry_t *entry = reload->entry;
    if (entry != NULL)
        reload->entry = entry->next;
    return entry;
}

static void ask(xo_reload_t *reload, const xo_actor_entry_t *entry)
{
    char id[XO_RECORD_ID_BYTES], pool[XO_ID_TEXT_BYTES];
    xo_id_format(entry->member->id, pool);
    if (xo_registry_actor_id(xo_actor_entry_uid(entry), pool, id, sizeof(id)) < 0)
        return;
    reload->asked++;
    xo_registry_get_spec(xo_publish_registry(reload->broker->publish), id, on_spec, reload);
}

static void ask_more(xo_reload_t *reload)
{
    const xo_actor_entry_t *entry = NULL;
    while (reload->asked < ASKED_MAX && (entry = next_entry(reload)) != NULL)
        ask(reload, entry);
    if (reload->asked == 0)
        finish(reload);
}

/* False: nobody asks any more. */
static bool is_answered(xo_reload_t *reload, int errnum, const char *text, const char *trouble)
{
    if (errnum == ECANCELED) {
        free(reload);
        return false;
    }
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
    if (!is_answered(reload, errnum, text,
                     "which actors there were is not known, so they will not be created again"))
        return;
    for (size_t i = 0; errnum == 0 && i < count; i++)
        expect_pool_of_member(broker, &records[i]);
    for (size_t i = 0; errnum == 0 && i < count; i++)
        add_actor(broker, &records[i]);
    reload->member = xo_pools_first(&broker->pools);
    ask_more(reload);
}

static void on_groups(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_reload_t *reload = arg;
    xo_broker_t *broker = reload->broker;
    if (!is_answered(reload, errnum, text, "which groups there were"))
        return;
    xo_groups_reload(broker, records, errnum == 0 ? count : 0);
    list_own(broker, XO_REG_ACTOR, on_actors, reload);
}

int xo_broker_reload(xo_broker_t *broker, void (*done)(xo_broker_t *broker), xo_error_t *err)
{
    xo_reload_t *reload = calloc(1, sizeof(*reload));
    if (reload == NULL)
        return xo_error_set(err, ENOMEM, "out of memory");
    *reload = (xo_reload_t){.broker = broker, .done = done};
    list_own(broker, XO_REG_GROUP, on_groups, reload);
    return 0;
}
