/* moves.c - actors with the placement "any" that come from another node, since that is gone or is
 * being drained (contract 14).
 *
 * The registry decides: it gives an actor to one node, in one script, when the lease of the actor's
 * node is over and no other that lives has its name. With each heartbeat each broker asks for some
 * of those that are to be had; it takes those that one of its pools may be able to create, and
 * creates them as any other that is created again. One that no pool of this node can create is
 * given back, so that others try, and remembered for as long as these processes live.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"
#include "broker/placement.h"

#define COMPONENT "moves"
#define UNDER_WAY_MAX 16 /* each may bring a spec of 16 MiB */
/* That nobody takes an actor is said by one in so many who see it: the others may be about to. */
#define NOTE_ONE_IN 4

struct xo_moves {
    xo_broker_t *broker;
    bool asking;
    size_t under_way; /* claims */
    uint64_t epoch;   /* the highest that has been seen */
    xo_unfits_t unfits;
};

/* A claim on its way. */
typedef struct xo_move {
    xo_moves_t *moves;
    uint64_t pool;
    uint64_t incarnation;
    char from[XO_ID_TEXT_BYTES];
    char id[XO_RECORD_ID_BYTES]; /* the new one */
    char language[XO_LANGUAGE_BYTES];
    char *class_name;
} xo_move_t;

static void move_destroy(xo_move_t *move)
{
    xo_member_t *member = xo_pools_find(&move->moves->broker->pools, move->pool);
    if (member != NULL)
        member->coming--;
    move->moves->under_way--;
    free(move->class_name);
    free(move);
}

static char *text_of(xo_slice_t value)
{
    return value.size > 0 ? strndup(value.data, value.size) : strdup("");
}

/* ---- an actor that has come ---- */

static void note_moved(xo_broker_t *broker, const xo_actor_entry_t *entry, const char *from)
{
    char reason[96];
    xo_slice_t uid = xo_actor_entry_uid(entry);
    if (strcmp(from, XO_REG_NOBODY) == 0)
        snprintf(reason, sizeof(reason), "it was to be had");
    else
        snprintf(reason, sizeof(reason), "its node %s is gone", from);
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT,
           "actor \"%.*s\" moves to the pool at %s under epoch %" PRIu64 ": %s", (int)uid.size,
           uid.data, entry->member->address, entry->epoch, reason);
    xo_broker_note_actor(broker, "actor.moved", entry, reason);
}

/* NULL: ENOMEM. */
static xo_actor_entry_t *add_entry(xo_move_t *move, xo_member_t *member, uint64_t epoch)
{
    char uid[XO_UID_BYTES_MAX];
    size_t size;
    xo_broker_t *broker = move->moves->broker;
    if (xo_registry_actor_uid(move->id, uid, sizeof(uid), &size) < 0)
        return NULL;
    xo_slice_t slice = xo_slice(uid, size);
    xo_actor_entry_t *entry = xo_directory_put(&broker->directory, member, slice, move->incarnation,
                                               xo_slice_str(move->class_name), false);
    if (entry == NULL)
        return NULL;
    entry->state = XO_ACTOR_RECOVERING;
    entry->alone = true;
    entry->epoch = epoch;
    if (xo_names_claimed(broker, member, slice) == 0)
        return entry;
    xo_directory_remove(&broker->directory, entry);
    return NULL;
}

static void create(xo_move_t *move, xo_member_t *member, const xo_record_t *record)
{
    static const char *const lost = "what creates it is not in the registry";
    uint64_t epoch = 0;
    xo_error_t why = {0};
    xo_broker_t *broker = move->moves->broker;
    xo_rec_number(record, "epoch", &epoch);
    if (epoch > move->moves->epoch)
        move->moves->epoch = epoch;
    xo_actor_entry_t *entry = add_entry(move, member, epoch);
    if (entry == NULL) {
        xo_astray_add(broker, move->id);
        xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT, "out of memory: %s is not moved",
               move->id);
        return;
    }
    xo_actor_spec_t *spec = xo_actor_spec_unpack(xo_rec_find(record, "spec"));
    if (spec != NULL && xo_actor_spec_inherit(spec, member->policy, &why) == 0)
        xo_broker_set_spec(broker, entry, spec);
    else
        xo_actor_spec_destroy(spec);
    note_moved(broker, entry, move->from);
    xo_broker_say_waiting(broker, entry);
    if (entry->spec != NULL)
        xo_broker_create_moved(broker, entry);
    else
        xo_broker_give_up(broker, entry, why.errnum ? why.text : lost, xo_slice(NULL, 0));
}

void xo_moves_unfit(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT,
           "actor \"%.*s\" cannot be created in the pool at %s: %s", (int)uid.size, uid.data,
           entry->member->address, reason);
    xo_unfits_add(&broker->moves->unfits, entry->member, xo_slice_str(entry->class_name));
    xo_directory_set_failed(entry, reason);
    xo_broker_say_failed(broker, entry); /* to who has waited for it there */
    xo_leave_actor(broker, entry, reason);
}

/* ---- claims ---- */

static void on_claimed(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    xo_move_t *move = arg;
    xo_broker_t *broker = move->moves->broker;
    xo_member_t *member = xo_pools_find(&broker->pools, move->pool);
    if (errnum != 0 && errnum != ECANCELED && errnum != EPERM && errnum != ENOENT) {
        xo_log(broker->options.log, XO_LOG_WARN, COMPONENT, "%s", text);
        xo_astray_add(broker, move->id); /* it may be ours all the same */
    }
    if (errnum == 0 && count == 1 && member != NULL)
        create(move, member, &records[0]);
    else if (errnum == 0 && count == 1)
        xo_astray_add(broker, move->id); /* its pool has gone meanwhile */
    move_destroy(move);
}

static void set(xo_record_t *record, xo_field_t *fields, const char *name, const char *value)
{
    fields[record->count++] = (xo_field_t){name, xo_slice_str(value)};
}

/* Of its old record what does not change. */
static void keep(xo_record_t *record, xo_field_t *fields, const xo_record_t *old)
{
    static const char *const names[] = {"uid", "class", "restart", "placement", "language"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        fields[record->count++] = (xo_field_t){names[i], xo_rec_find(old, names[i])};
}

/* -1: it cannot be. */
static int name_move(xo_move_t *move, const xo_record_t *old, const xo_member_t *member,
                     char uid[XO_RECORD_ID_BYTES], char pool[XO_ID_TEXT_BYTES])
{
    char raw[XO_UID_BYTES_MAX];
    size_t size;
    xo_id_format(member->id, pool);
    if (xo_registry_actor_uid(old->id, raw, sizeof(raw), &size) < 0 ||
        xo_registry_name_id(xo_slice(raw, size), uid, XO_RECORD_ID_BYTES) < 0)
        return -1;
    return xo_registry_actor_id(xo_slice(raw, size), pool, move->id, sizeof(move->id));
}

static void submit(xo_move_t *move, const xo_record_t *old, const xo_member_t *member)
{
    char pool[XO_ID_TEXT_BYTES], uid[XO_RECORD_ID_BYTES], incarnation[24];
    xo_field_t fields[XO_RECORD_FIELDS], name_fields[4];
    xo_record_t actor = {.id = move->id, .fields = fields};
    xo_record_t name = {.id = uid, .fields = name_fields};
    xo_broker_t *broker = move->moves->broker;
    const char *owner = xo_publish_owner(broker->publish);
    if (name_move(move, old, member, uid, pool) < 0) {
        move_destroy(move);
        return;
    }
    snprintf(incarnation, sizeof(incarnation), "%" PRIu64, move->incarnation);
    keep(&actor, fields, old);
    set(&actor, fields, "pool", pool);
    set(&actor, fields, "node", owner);
    set(&actor, fields, "address", member->address);
    set(&actor, fields, "incarnation", incarnation);
    set(&actor, fields, "state", xo_actor_state_name(XO_ACTOR_RECOVERING));
    set(&name, name_fields, "uid", uid);
    set(&name, name_fields, "pool", pool);
    set(&name, name_fields, "node", owner);
    set(&name, name_fields, "address", member->address);
    xo_claim_t claim = {.from = old->id,
                        .actor = &actor,
                        .name = &name,
                        .owner = owner,
                        .ttl_ms = xo_publish_lease_ms(broker->publish),
                        .epoch = move->moves->epoch};
    xo_registry_claim(xo_publish_registry(broker->publish), &claim, on_claimed, move);
}

static void take(xo_moves_t *moves, const xo_record_t *old, xo_member_t *member)
{
    xo_slice_t node = xo_rec_find(old, "owner");
    xo_move_t *move = calloc(1, sizeof(*move));
    char *class_name = text_of(xo_rec_find(old, "class"));
    if (move == NULL || class_name == NULL) { /* the next heartbeat comes back to it */
        free(move);
        free(class_name);
        return;
    }
    *move = (xo_move_t){.moves = moves, .pool = member->id, .class_name = class_name};
    strcpy(move->language, member->language);
    snprintf(move->from, sizeof(move->from), "%.*s", (int)node.size,
             node.size > 0 ? node.data : "");
    xo_rec_number(old, "incarnation", &move->incarnation);
    move->incarnation++;
    moves->under_way++;
    member->coming++;
    submit(move, old, member);
}

/* ---- those that are to be had ---- */

typedef struct xo_noted {
    xo_broker_t *broker;
    char *uid, *class_name, *reason;
} xo_noted_t;

static void on_noted(int errnum, const char *text, void *arg)
{
    xo_noted_t *noted = arg;
    xo_rec_t rec = {0};
    (void)text;
    if (errnum == 0) {
        xo_rec_text(&rec, "uid", noted->uid);
        xo_rec_text(&rec, "class", noted->class_name);
        xo_rec_text(&rec, "state", "waiting");
        xo_rec_text(&rec, "reason", noted->reason);
        xo_log(noted->broker->options.log, XO_LOG_WARN, COMPONENT, "actor \"%s\" waits: %s",
               noted->uid, noted->reason);
        xo_publish_event(noted->broker->publish, "actor.waiting", &rec);
        xo_broker_event_written(noted->broker);
    }
    free(noted->uid);
    free(noted->class_name);
    free(noted->reason);
    free(noted);
}

/* Nobody may be able to take it. */
static void note(xo_broker_t *broker, const xo_record_t *record)
{
    xo_slice_t language = xo_rec_find(record, "language");
    xo_slice_t class_name = xo_rec_find(record, "class");
    if (xo_slice_eq_str(xo_rec_find(record, "state"), "waiting") ||
        xo_random_id() % NOTE_ONE_IN != 0)
        return;
    xo_noted_t *noted = calloc(1, sizeof(*noted));
    if (noted == NULL)
        return;
    noted->broker = broker;
    noted->uid = text_of(xo_rec_find(record, "uid"));
    noted->class_name = text_of(class_name);
    if (noted->uid == NULL || noted->class_name == NULL ||
        asprintf(&noted->reason,
                 "its node is gone, and no other has a %.*s pool that can create class %.*s",
                 (int)language.size, language.size > 0 ? language.data : "", (int)class_name.size,
                 class_name.size > 0 ? class_name.data : "") < 0) {
        noted->reason = NULL;
        on_noted(ENOMEM, "", noted);
        return;
    }
    xo_registry_wait(xo_publish_registry(broker->publish), record->id, noted->reason, on_noted,
                     noted);
}

static void consider(xo_moves_t *moves, const xo_record_t *record)
{
    uint64_t epoch = 0;
    xo_broker_t *broker = moves->broker;
    xo_rec_number(record, "epoch", &epoch);
    if (epoch > moves->epoch)
        moves->epoch = epoch;
    if (xo_slice_eq_str(xo_rec_find(record, "owner"), xo_publish_owner(broker->publish)))
        return; /* our own lease had lapsed */
    xo_member_t *member =
        xo_placement_choose(&broker->pools, &moves->unfits, xo_rec_find(record, "language"),
                            xo_rec_find(record, "class"));
    if (member == NULL)
        note(broker, record);
    else if (moves->under_way < UNDER_WAY_MAX)
        take(moves, record, member);
}

static void on_lapsed(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_moves_t *moves = arg;
    (void)text;
    if (errnum == ECANCELED)
        return;
    moves->asking = false;
    for (size_t i = 0; errnum == 0 && i < count; i++)
        consider(moves, &records[i]);
}

void xo_moves_tick(xo_broker_t *broker)
{
    xo_moves_t *moves = broker->moves;
    if (!xo_publish_is_shared(broker->publish) ||
        !xo_registry_is_up(xo_publish_registry(broker->publish)))
        return;
    xo_astray_tick(broker);
    if (broker->drain != XO_DRAIN_NOT || broker->stopping || broker->reloading || moves->asking ||
        moves->under_way >= UNDER_WAY_MAX || xo_publish_has_just_come_up(broker->publish) ||
        xo_revocations_has_own(broker->revocations))
        return;
    moves->asking = true;
    xo_registry_lapsed(xo_publish_registry(broker->publish), UNDER_WAY_MAX - moves->under_way,
                       moves->epoch, on_lapsed, moves);
}

/* ---- life ---- */

xo_moves_t *xo_moves_create(xo_broker_t *broker)
{
    xo_moves_t *moves = calloc(1, sizeof(*moves));
    if (moves != NULL)
        moves->broker = broker;
    return moves;
}

void xo_moves_destroy(xo_moves_t *moves)
{
    if (moves != NULL)
        xo_astray_destroy(moves->broker);
    free(moves); /* its claims have ended with the registry */
}
