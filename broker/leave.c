/* leave.c - actors with the placement "any" that leave this node for another one. The registry is
 * told that they are nobody's until it has heard; what is in there is the same for all who take
 * such actors (moves.c).
 */
#include <stdio.h>

#include "broker/broker_impl.h"

#define COMPONENT "moves"

/* What its record says while nobody has it. */
typedef struct xo_leaving {
    xo_slice_t uid;
    uint64_t pool; /* where it was */
    xo_slice_t address, class_name, language;
    uint64_t incarnation, epoch;
    const xo_actor_spec_t *spec; /* NULL: only the registry has it */
} xo_leaving_t;

/* The name goes first: whoever finds the actor to be had takes both. */
static void give_away(xo_broker_t *broker, const xo_leaving_t *leaving, const char *reason)
{
    char id[XO_RECORD_ID_BYTES], pool[XO_ID_TEXT_BYTES], uid[XO_RECORD_ID_BYTES];
    xo_rec_t rec = {0};
    xo_field_t fields[XO_RECORD_FIELDS];
    xo_record_t record = {.id = id, .fields = fields};
    xo_id_format(leaving->pool, pool);
    if (xo_registry_actor_id(leaving->uid, pool, id, sizeof(id)) < 0 ||
        xo_registry_name_id(leaving->uid, uid, sizeof(uid)) < 0)
        return;
    xo_rec_text(&rec, "uid", uid);
    xo_rec_text(&rec, "pool", pool);
    xo_rec_text(&rec, "node", XO_REG_NOBODY);
    xo_rec_slice(&rec, "address", leaving->address);
    xo_rec_slice(&rec, "class", leaving->class_name);
    xo_rec_int(&rec, "incarnation", (int64_t)leaving->incarnation);
    xo_rec_text(&rec, "state", "waiting");
    xo_rec_text(&rec, "reason", reason);
    xo_rec_text(&rec, "restart", "permanent");
    xo_rec_text(&rec, "placement", "any");
    xo_rec_slice(&rec, "language", leaving->language);
    if (leaving->epoch > 0)
        xo_rec_int(&rec, "epoch", (int64_t)leaving->epoch);
    record.count = xo_rec_fields(&rec, fields);
    xo_insist_name(broker, leaving->uid);
    xo_insist_actor(broker, &record, leaving->spec);
}

bool xo_leave_may(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    return xo_actor_spec_is_anywhere(entry->spec) && xo_publish_is_shared(broker->publish);
}

bool xo_leave_may_now(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    return xo_leave_may(broker, entry) && xo_publish_why_down(broker->publish) == NULL;
}

void xo_leave_actor(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason)
{
    const xo_member_t *member = entry->member;
    xo_leaving_t leaving = {.uid = xo_actor_entry_uid(entry),
                            .pool = member->id,
                            .address = xo_slice_str(member->address),
                            .class_name = xo_slice_str(entry->class_name),
                            .language = xo_slice_str(member->language),
                            .incarnation = entry->incarnation,
                            .epoch = entry->epoch,
                            .spec = entry->spec};
    xo_broker_note_actor(broker, "actor.waiting", entry, reason);
    xo_publish_spec(broker->publish, &broker->directory, entry);
    xo_slots_free(&broker->slots, member, leaving.uid);
    xo_names_drop(broker, member, leaving.uid);
    give_away(broker, &leaving, reason);
    xo_directory_remove(&broker->directory, entry);
}

/* It does nothing more from now on; its process may end whenever it wants. */
void xo_broker_leave(xo_broker_t *broker)
{
    static const char why[] = "the process that owned its node is gone";
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        for (xo_actor_entry_t *entry = m->entries, *next; entry != NULL; entry = next) {
            next = entry->next;
            if (!xo_leave_may_now(broker, entry))
                continue;
            xo_names_fence(broker, entry);
            xo_leave_actor(broker, entry, why);
        }
    }
}

void xo_leave_stray(xo_broker_t *broker, const xo_record_t *record)
{
    static const char why[] = "the registry says that it is on a node that does not have it";
    char uid[XO_UID_BYTES_MAX];
    xo_leaving_t leaving = {.uid = xo_slice(uid, 0),
                            .address = xo_rec_find(record, "address"),
                            .class_name = xo_rec_find(record, "class"),
                            .language = xo_rec_find(record, "language")};
    if (xo_registry_actor_uid(record->id, uid, sizeof(uid), &leaving.uid.size) < 0 ||
        xo_rec_find(record, "placement").size == 0 ||
        xo_id_parse(xo_rec_find(record, "pool"), &leaving.pool) < 0)
        return;
    const xo_member_t *member = xo_pools_find(&broker->pools, leaving.pool);
    if (member != NULL && xo_directory_get(&broker->directory, member, leaving.uid) != NULL)
        return;
    if (xo_names_has(broker, leaving.uid)) { /* it is in another pool */
        xo_registry_del(xo_publish_registry(broker->publish), XO_REG_ACTOR, record->id,
                        xo_publish_owner(broker->publish), NULL, NULL);
        return;
    }
    xo_rec_number(record, "incarnation", &leaving.incarnation);
    xo_rec_number(record, "epoch", &leaving.epoch);
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT, "actor \"%.*s\" is to be had: %s",
           (int)leaving.uid.size, uid, why);
    give_away(broker, &leaving, why);
}
