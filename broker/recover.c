/* recover.c - actors that are created again with their pool (contract 13).
 *
 * The specs are in the directory, with the actors. When the next process of a pool has joined, all
 * create requests leave at once, in the order in which the actors had been created, and after them
 * a `has` of the pool itself, which says that these were all: until then the pool holds what
 * arrives for actors that it lacks. Their answers come as they come. The event "pool.recovered" is
 * sent when all are there and the pool has told of what it has (the barrier, another `has`).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"

#define COMPONENT "recovery"

/* One pool's way back. It outlives the member if the member goes: answers are still to come. */
struct xo_recovery {
    xo_broker_t *broker;
    xo_member_t *member; /* NULL: it went, or another recovery took over */
    size_t left;         /* answers under way */
    size_t all, created;
    int64_t moved_ns; /* when the last one came */
    bool late;        /* it was put off: what runs is the next process' already */
};

/* ---- the end ---- */

void xo_broker_recovery_detach(xo_member_t *member)
{
    if (member->recovery == NULL)
        return;
    member->recovery->member = NULL;
    member->recovery = NULL;
}

/* What has not been named anew is not there any more. */
static void sweep(xo_broker_t *broker, xo_member_t *member)
{
    static const char *const not_there = "it was not there when its pool was back";
    xo_actor_entry_t *entry, *next;
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        if (entry->state != XO_ACTOR_RECOVERING || entry->alone || (entry->seat && member->away))
            continue;
        if (entry->seat != NULL)
            xo_seat_is_lost(entry->seat);
        else
            xo_broker_actor_down(broker, entry, not_there);
    }
    xo_groups_decide(broker, XO_END_ASKED, not_there);
    xo_groups_wake_pool(member);
}

static void finish(xo_recovery_t *recovery)
{
    xo_broker_t *broker = recovery->broker;
    xo_member_t *member = recovery->member;
    xo_broker_recovery_detach(member);
    sweep(broker, member);
    if (!member->away)
        return;
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT,
           "pool %d at %s: %zu of %zu actors created again", member->index, member->address,
           recovery->created, recovery->all);
    xo_supervisor_recovered(broker->supervisor, member);
}

static void on_barrier(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_recovery_t *recovery = arg;
    (void)call;
    /* Without the link: when it is back, or the next process is, all of this begins anew. */
    bool passed = *answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT;
    if (recovery->member != NULL && passed)
        finish(recovery);
    else if (recovery->member != NULL)
        xo_broker_recovery_detach(recovery->member);
    free(recovery);
}

static void send_barrier(xo_recovery_t *recovery)
{
    xo_header_t header = {.kind = XO_HAS};
    xo_link_t *link = recovery->member ? recovery->member->link : NULL;
    xo_msg_t *msg = link ? xo_msg_create(&header, xo_slice(NULL, 0)) : NULL;
    if (msg != NULL && xo_endpoint_call(recovery->broker->endpoint, link, &msg, XO_SEND_QUEUE, 0,
                                        on_barrier, recovery, NULL) != NULL)
        return;
    xo_msg_destroy(&msg);
    if (recovery->member != NULL)
        xo_broker_recovery_detach(recovery->member);
    free(recovery);
}

bool xo_broker_recovery_is_current(const xo_recovery_t *recovery)
{
    return recovery->member != NULL;
}

int64_t xo_broker_recovery_moved(const xo_recovery_t *recovery)
{
    return recovery->moved_ns;
}

void xo_broker_recovery_one_less(xo_recovery_t *recovery, bool made)
{
    recovery->created += made;
    recovery->moved_ns = xo_loop_now(recovery->broker->loop);
    if (--recovery->left == 0)
        send_barrier(recovery);
}

/* These were all. What the pool answers does not matter. */
static void send_mark(xo_recovery_t *recovery)
{
    xo_header_t header = {.kind = XO_HAS};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    if (msg != NULL)
        xo_endpoint_call(recovery->broker->endpoint, recovery->member->link, &msg, XO_SEND_QUEUE, 0,
                         NULL, NULL, NULL);
    xo_msg_destroy(&msg);
}

/* ---- a pool ---- */

/* Incarnations grow with each creation, whenever it ended. */
static int by_incarnation(const xo_actor_entry_t *a, const xo_actor_entry_t *b)
{
    return (a->incarnation > b->incarnation) - (a->incarnation < b->incarnation);
}

static void begin_one(xo_recovery_t *recovery, xo_actor_entry_t *entry)
{
    recovery->left++;
    recovery->all++;
    if (xo_broker_create_again(recovery->broker, recovery, entry) < 0)
        recovery->left--;
}

/* Of a last broker, which was killed meanwhile: this one's own are `alone`. */
static bool waits_for_a_try(const xo_actor_entry_t *entry)
{
    return entry->state == XO_ACTOR_RECOVERING && !entry->alone;
}

static void begin_all(xo_recovery_t *recovery)
{
    xo_actor_entry_t *entry, *next;
    xo_member_t *member = recovery->member;
    DL_SORT(member->entries, by_incarnation);
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        bool waits = waits_for_a_try(entry);
        if (entry->state == XO_ACTOR_RUNNING && recovery->late)
            continue;
        if (entry->state == XO_ACTOR_RUNNING)
            entry->state = XO_ACTOR_RECOVERING;
        if (member->away && entry->seat != NULL && entry->seat->phase == XO_SEAT_UP)
            xo_seat_is_lost(entry->seat); /* it was when there was no broker */
        if (entry->state == XO_ACTOR_FAILED)
            xo_broker_say_failed(recovery->broker, entry);
        else if (entry->seat != NULL && entry->seat->phase != XO_SEAT_UP)
            xo_broker_say_waiting(recovery->broker, entry);
        else if (entry->seat == NULL && (member->away || waits) && entry->spec != NULL)
            begin_one(recovery, entry);
    }
    if (recovery->left > 1)
        send_mark(recovery);
    xo_groups_decide(recovery->broker, XO_END_ASKED, "it was lost with its pool");
    xo_groups_wake_pool(member);
    xo_broker_recovery_one_less(recovery, false);
}

static void recover(xo_broker_t *broker, xo_member_t *member, bool late)
{
    xo_groups_tell_turns(broker, member);
    if (member->entries == NULL) {
        if (member->away)
            xo_supervisor_recovered(broker->supervisor, member);
        return;
    }
    xo_recovery_t *recovery = calloc(1, sizeof(*recovery));
    if (recovery == NULL) {
        xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT,
               "out of memory: the actors of pool %d are not created again", member->index);
        if (member->away)
            xo_supervisor_recovered(broker->supervisor, member);
        return;
    }
    *recovery = (xo_recovery_t){.broker = broker, .member = member, .left = 1, .late = late};
    member->recovery = recovery;
    begin_all(recovery);
}

void xo_broker_recover(xo_broker_t *broker, xo_member_t *member)
{
    xo_broker_recovery_detach(member);
    if (!member->undecided) /* else xo_broker_decide_away comes back to it */
        recover(broker, member, false);
}

/* Of a group's policies only `restart` is a member's own. */
static void seat_away(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason)
{
    const xo_member_t *member = entry->member;
    xo_restart_t restart = xo_actor_spec_policy(entry->spec)->restart;
    if (restart == XO_RESTART_TEMPORARY || member->state == XO_POOL_STOPPING ||
        !member->recovers || /* nobody starts its process again */
        (restart == XO_RESTART_TRANSIENT && member->end == XO_END_NORMAL)) {
        xo_broker_actor_down(broker, entry, reason);
        return;
    }
    entry->state = XO_ACTOR_RECOVERING;
    xo_publish_actor(broker->publish, entry);
    xo_seat_is_lost(entry->seat);
}

/* What its own policy makes of the end of its process. How long to wait is up to the pool's. */
static void away(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason)
{
    char why[XO_ERROR_TEXT_BYTES];
    entry->alone = false;
    if (entry->spec == NULL || xo_names_has_lost(broker, entry)) {
        xo_broker_actor_down(broker, entry, reason);
        return;
    }
    if (entry->seat != NULL) {
        seat_away(broker, entry, reason);
        return;
    }
    switch (xo_broker_actor_ended(broker, entry, entry->member->end, 0).action) {
    case XO_DECIDE_REMOVE:
        xo_broker_actor_down(broker, entry, reason);
        break;
    case XO_DECIDE_FAIL:
        xo_policy_explain(xo_actor_spec_policy(entry->spec), reason, why, sizeof(why));
        xo_broker_give_up(broker, entry, why, xo_slice(NULL, 0));
        break;
    case XO_DECIDE_RESTART:
        entry->state = XO_ACTOR_RECOVERING;
        xo_publish_actor(broker->publish, entry);
        break;
    }
}

/* What creates some of them may be known soon. True: what becomes of all waits for that. */
static bool put_off(xo_broker_t *broker, xo_member_t *member)
{
    xo_actor_entry_t *entry = member->entries;
    while (entry != NULL && !xo_broker_asks_spec(broker, entry))
        entry = entry->next;
    member->undecided = entry != NULL;
    if (!member->undecided)
        return false;
    DL_FOREACH(member->entries, entry)
    {
        if (entry->state == XO_ACTOR_RUNNING)
            entry->state = XO_ACTOR_RECOVERING;
    }
    return true;
}

void xo_broker_actors_away(xo_broker_t *broker, xo_member_t *member, const char *reason)
{
    xo_actor_entry_t *entry, *next;
    xo_broker_recovery_detach(member);
    if (put_off(broker, member))
        return;
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        if (entry->state != XO_ACTOR_FAILED) /* that stays so until it is revived or created */
            away(broker, entry, reason);
    }
    xo_groups_decide(broker, member->end, reason);
}

void xo_broker_decide_away(xo_broker_t *broker, xo_member_t *member)
{
    xo_actor_entry_t *entry, *next;
    if (!member->undecided)
        return;
    member->undecided = false;
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        if (entry->state == XO_ACTOR_RECOVERING) /* else it is the next process' already */
            away(broker, entry, member->last_reason);
    }
    xo_groups_decide(broker, member->end, member->last_reason);
    bool is_back = member->state == XO_POOL_RECOVERING || member->state == XO_POOL_SUSPECT;
    if (is_back && member->link != NULL)
        recover(broker, member, true);
}

/* ---- what is remembered ---- */

xo_decision_t xo_broker_actor_ended(xo_broker_t *broker, xo_actor_entry_t *entry, xo_end_t end,
                                    int64_t took_ns)
{
    char recent[XO_POLICY_TEXT_BYTES];
    int64_t now = xo_loop_now(broker->loop);
    xo_decision_t decision = xo_actor_spec_ended(entry->spec, end, now, took_ns);
    xo_actor_spec_write_history(entry->spec, now, xo_unix_ms(), recent);
    xo_directory_set_recent(entry, recent);
    return decision;
}

void xo_broker_forgive_actor(xo_actor_entry_t *entry)
{
    xo_actor_spec_forgive(entry->spec);
    xo_directory_set_recent(entry, "");
    xo_depends_forget(entry);
}

void xo_broker_set_spec(const xo_broker_t *broker, xo_actor_entry_t *entry, xo_actor_spec_t *spec)
{
    bool is_first = entry->spec == NULL;
    xo_directory_set_spec(entry, spec);
    if (!is_first)
        xo_directory_set_recent(entry, "");
    else if (entry->recent != NULL)
        xo_actor_spec_read_history(spec, xo_loop_now(broker->loop), xo_unix_ms(), entry->recent);
}

/* ---- specs that pools tell ---- */

/* In a registry of this process they would be there twice, for nobody. */
void xo_broker_save_specs(xo_broker_t *broker)
{
    if (strcmp(broker->options.registry, "memory:") != 0)
        xo_publish_specs(broker->publish, &broker->directory);
}

static void save_spec(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_directory_set_unsaved(&broker->directory, entry, true);
    xo_broker_save_specs(broker);
}

static void do_without(xo_broker_t *broker, xo_actor_entry_t *entry, const char *why)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
           "actor \"%.*s\" of class %s at %s will not be created again if its pool dies: %s",
           (int)uid.size, uid.data, entry->class_name, entry->member->address, why);
    xo_directory_set_spec(entry, NULL);
    save_spec(broker, entry);
    xo_broker_note_actor(broker, "actor.nospec", entry, why);
}

void xo_broker_check_spec(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    if (entry->spec == NULL && entry->member->recovers && broker->options.take_over &&
        !xo_broker_awaits_specs(broker))
        do_without(broker, entry, "what creates it was lost with its node's last broker");
}

/* What it wants takes a spec: to be in a group, or on any node. */
static bool needs_spec(xo_slice_t body)
{
    xo_slice_t group, options = xo_create_options(body);
    return options.size > 0 &&
           (xo_map_get(options, "group", &group) == 0 || xo_create_is_anywhere(body));
}

/* -1: it cannot be what it wants to be. */
static int keep(xo_broker_t *broker, xo_actor_entry_t *entry, xo_slice_t body, const xo_msg_t *from,
                xo_error_t *err)
{
    xo_error_t why;
    xo_actor_spec_t *spec = xo_actor_spec_create(body, from);
    size_t others = entry->member->spec_bytes - xo_actor_spec_bytes(entry->spec);
    if (spec == NULL)
        xo_error_set(&why, ENOMEM, "the broker is out of memory");
    else if (others + xo_actor_spec_bytes(spec) > XO_POOL_SPECS_BYTES_MAX)
        xo_error_set(&why, ENOSPC, "the arguments of its pool's actors take more than 512 MiB");
    else if (xo_actor_spec_inherit(spec, entry->member->policy, &why) == 0) {
        xo_broker_set_spec(broker, entry, spec);
        int rc = xo_group_join(broker, entry, err); /* which numbers it */
        save_spec(broker, entry);
        return rc;
    }
    xo_actor_spec_destroy(spec);
    do_without(broker, entry, why.text);
    if (!needs_spec(body))
        return 0;
    return xo_error_set(err, why.errnum, "it can %s: %.400s",
                        xo_create_is_anywhere(body) ? "not move to another node" : "be in no group",
                        why.text);
}

int xo_broker_take_spec(xo_broker_t *broker, xo_actor_entry_t *entry, xo_slice_t told,
                        const xo_msg_t *from, xo_error_t *err)
{
    xo_slice_t body;
    char why[XO_ERROR_TEXT_BYTES];
    xo_reader_t reader = xo_reader(told);
    xo_type_t type = xo_read_type(&reader);
    if (!entry->member->recovers && type != XO_T_ARRAY)
        return 0;
    if (type == XO_T_NIL) {
        xo_broker_check_spec(broker, entry);
        return 0;
    }
    if (type == XO_T_STR) {
        xo_read_str(&reader, &body);
        snprintf(why, sizeof(why), "%.*s", (int)body.size, body.size ? body.data : "");
        do_without(broker, entry, why);
        return 0;
    }
    if (xo_unpack(told, err, "[B]", &body) < 0)
        return -1;
    if (!entry->member->recovers && !needs_spec(body))
        return 0;
    if (xo_actor_spec_is(entry->spec, body, from)) /* pools tell it once more to the next broker */
        return 0;
    return keep(broker, entry, body, from, err);
}
