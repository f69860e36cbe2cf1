/* recover.c - actors that are created again with their pool (contract 13).
 *
 * The specs are in the directory, with the actors. When the next process of a pool has joined, all
 * create requests leave at once, in the order in which the actors had been created, and after them
 * a `has` of the pool itself, which says that these were all: until then the pool holds what
 * arrives for actors that it lacks. Their answers come as they come. The event "pool.recovered" is
 * sent when all are there and the pool has told of what it has (the barrier, another `has`).
 */
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
    size_t created, failed;
};

/* A create request under way. */
typedef struct xo_creation {
    xo_recovery_t *recovery;
    size_t size;
    char uid[];
} xo_creation_t;

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
    xo_actor_entry_t *entry, *next;
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        if (entry->state == XO_ACTOR_RECOVERING)
            xo_broker_actor_down(broker, entry, "it was not there when its pool was back");
    }
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
           recovery->created, recovery->created + recovery->failed);
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

static void one_less(xo_recovery_t *recovery)
{
    if (--recovery->left == 0)
        send_barrier(recovery);
}

/* ---- specs ---- */

/* In a registry of this process they would be there twice, for nobody. */
void xo_broker_save_specs(xo_broker_t *broker)
{
    if (strcmp(broker->options.registry, "memory:") != 0)
        xo_publish_specs(broker->publish, &broker->directory);
}

static void set_spec(xo_broker_t *broker, xo_actor_entry_t *entry, xo_actor_spec_t *spec)
{
    xo_directory_set_spec(entry, spec);
    xo_directory_set_unsaved(&broker->directory, entry, true);
    xo_broker_save_specs(broker);
}

/* ---- one actor ---- */

static void actor_failed(xo_recovery_t *recovery, const xo_creation_t *creation, const char *text)
{
    xo_broker_t *broker = recovery->broker;
    xo_actor_entry_t *entry = xo_directory_get(&broker->directory, recovery->member,
                                               xo_slice(creation->uid, creation->size));
    recovery->failed++;
    xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT,
           "actor \"%.*s\" of the pool at %s could not be created again: %s", (int)creation->size,
           creation->uid, recovery->member->address, text);
    if (entry == NULL || entry->state != XO_ACTOR_RECOVERING)
        return;
    xo_directory_set_failed(entry, text);
    set_spec(broker, entry, NULL);
    xo_broker_note_actor(broker, "actor.failed", entry, text);
    xo_publish_actor(broker->publish, entry);
}

static void on_failure(xo_recovery_t *recovery, const xo_creation_t *creation,
                       const xo_msg_t *answer)
{
    xo_failure_t failure;
    char text[XO_ERROR_TEXT_BYTES];
    if (answer == NULL || xo_failure_read(xo_msg_body(answer), &failure) < 0)
        failure = (xo_failure_t){.message = xo_slice_str("out of memory")};
    if (xo_slice_eq_str(failure.code, XO_CODE_SERVER_CLOSED))
        return; /* the link or the process is gone, which has consequences of its own */
    snprintf(text, sizeof(text), "%.*s%s%.*s", (int)failure.type.size,
             failure.type.size ? failure.type.data : "", failure.type.size ? ": " : "",
             (int)failure.message.size, failure.message.size ? failure.message.data : "");
    actor_failed(recovery, creation, text);
}

static void on_created(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_recovery_t *recovery = creation->recovery;
    (void)call;
    bool made = *answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT;
    if (made)
        recovery->created++;
    else if (recovery->member != NULL)
        on_failure(recovery, creation, *answer);
    free(creation);
    one_less(recovery);
}

static void create_again(xo_recovery_t *recovery, const xo_actor_entry_t *entry)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_creation_t *creation = malloc(sizeof(*creation) + uid.size);
    xo_msg_t *msg = creation ? xo_actor_spec_msg(entry->spec, uid, entry->class_name) : NULL;
    if (creation != NULL) {
        *creation = (xo_creation_t){.recovery = recovery, .size = uid.size};
        memcpy(creation->uid, uid.data, uid.size);
    }
    recovery->left++;
    if (msg != NULL && xo_endpoint_call(recovery->broker->endpoint, recovery->member->link, &msg,
                                        XO_SEND_QUEUE, 0, on_created, creation, NULL) != NULL)
        return;
    recovery->left--;
    xo_msg_destroy(&msg);
    if (creation != NULL)
        actor_failed(recovery, creation, "the broker is out of memory");
    free(creation);
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

void xo_broker_recover(xo_broker_t *broker, xo_member_t *member)
{
    xo_actor_entry_t *entry, *next;
    xo_broker_recovery_detach(member);
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
    *recovery = (xo_recovery_t){.broker = broker, .member = member, .left = 1};
    member->recovery = recovery;
    DL_SORT(member->entries, by_incarnation);
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        if (entry->state == XO_ACTOR_RUNNING)
            entry->state = XO_ACTOR_RECOVERING;
        if (member->away && entry->spec != NULL)
            create_again(recovery, entry);
    }
    if (recovery->left > 1)
        send_mark(recovery);
    one_less(recovery);
}

void xo_broker_actors_away(xo_broker_t *broker, xo_member_t *member, const char *reason)
{
    xo_actor_entry_t *entry, *next;
    xo_broker_recovery_detach(member);
    DL_FOREACH_SAFE(member->entries, entry, next)
    {
        if (entry->state == XO_ACTOR_FAILED)
            continue; /* that stays so until somebody creates it, or its pool is gone */
        if (entry->spec == NULL) {
            xo_broker_actor_down(broker, entry, reason);
            continue;
        }
        entry->state = XO_ACTOR_RECOVERING;
        xo_publish_actor(broker->publish, entry);
    }
}

/* ---- specs that pools tell ---- */

static void do_without(xo_broker_t *broker, xo_actor_entry_t *entry, const char *why)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
           "actor \"%.*s\" of class %s at %s will not be created again if its pool dies: %s",
           (int)uid.size, uid.data, entry->class_name, entry->member->address, why);
    set_spec(broker, entry, NULL);
    xo_broker_note_actor(broker, "actor.nospec", entry, why);
}

static void keep(xo_broker_t *broker, xo_actor_entry_t *entry, xo_slice_t body,
                 const xo_msg_t *from)
{
    xo_actor_spec_t *spec = xo_actor_spec_create(body, from);
    size_t others = entry->member->spec_bytes - xo_actor_spec_bytes(entry->spec);
    if (spec == NULL) {
        do_without(broker, entry, "the broker is out of memory");
    } else if (others + xo_actor_spec_bytes(spec) > XO_POOL_SPECS_BYTES_MAX) {
        xo_actor_spec_destroy(spec);
        do_without(broker, entry, "the arguments of its pool's actors take more than 512 MiB");
    } else {
        set_spec(broker, entry, spec);
    }
}

int xo_broker_take_spec(xo_broker_t *broker, xo_actor_entry_t *entry, xo_slice_t told,
                        const xo_msg_t *from, xo_error_t *err)
{
    xo_slice_t body;
    char why[XO_ERROR_TEXT_BYTES];
    xo_reader_t reader = xo_reader(told);
    xo_type_t type = xo_read_type(&reader);
    if (type == XO_T_NIL || !entry->member->recovers)
        return 0;
    if (type == XO_T_STR) {
        xo_read_str(&reader, &body);
        snprintf(why, sizeof(why), "%.*s", (int)body.size, body.size ? body.data : "");
        do_without(broker, entry, why);
        return 0;
    }
    if (xo_unpack(told, err, "[B]", &body) < 0)
        return -1;
    keep(broker, entry, body, from);
    return 0;
}
