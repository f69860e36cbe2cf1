/* names.c - which pool of this node has which name: a uid that one actor of the cluster has alone
 * (XO_NAME_PREFIX). Each name is a lease in the registry, which so decides who gets it.
 *
 * A pool takes it before it creates the actor. It goes with the actor, or if that does not come
 * about. Who finds that another node has got it meanwhile, because this one was cut off from the
 * registry for longer than its leases last, ends its own actor.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "names"

struct xo_name {
    xo_broker_t *broker;
    uint64_t pool;
    xo_ask_t *ask;   /* who waits for it; NULL: nobody */
    unsigned asking; /* answers of the registry that will come */
    bool held;       /* the registry has said so, or an actor has it */
    bool dropped;    /* out of the table: the last answer frees it */
    UT_hash_handle hh;
    size_t size;
    char uid[];
};

static xo_slice_t uid_of(const xo_name_t *name)
{
    return xo_slice(name->uid, name->size);
}

static xo_name_t *find(const xo_broker_t *broker, xo_slice_t uid)
{
    xo_name_t *name;
    HASH_FIND(hh, broker->names, uid.data, uid.size, name);
    return name;
}

static xo_actor_entry_t *entry_of(const xo_name_t *name)
{
    const xo_member_t *member = xo_pools_find(&name->broker->pools, name->pool);
    return member ? xo_directory_get(&name->broker->directory, member, uid_of(name)) : NULL;
}

static xo_name_t *add(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid)
{
    xo_name_t *name = calloc(1, sizeof(*name) + uid.size);
    if (name == NULL)
        return NULL;
    name->broker = broker;
    name->pool = member->id;
    name->size = uid.size;
    memcpy(name->uid, uid.data, uid.size);
    HASH_ADD_KEYPTR(hh, broker->names, name->uid, name->size, name);
    return name;
}

/* Out of the table; whether the registry forgets it is up to the caller. */
static void drop(xo_name_t *name)
{
    xo_ask_t *ask = xo_ask_take(&name->ask);
    if (ask != NULL)
        xo_ask_fail(ask, XO_CODE_CANCELLED, "the name was given back meanwhile");
    HASH_DEL(name->broker->names, name);
    name->dropped = true;
    if (name->asking == 0)
        free(name);
}

/* ---- the registry ---- */

static void on_put(int errnum, const char *text, void *arg);

static void put(xo_name_t *name)
{
    xo_rec_t rec = {0};
    const xo_broker_t *broker = name->broker;
    const xo_member_t *member = xo_pools_find(&broker->pools, name->pool);
    xo_rec_bytes(&rec, "uid", uid_of(name));
    xo_rec_id(&rec, "pool", name->pool);
    xo_rec_id(&rec, "node", broker->options.node_id);
    xo_rec_text(&rec, "address", member ? member->address : "");
    name->asking++;
    xo_publish_name(broker->publish, uid_of(name), &rec, on_put, name);
}

static void forget(xo_name_t *name)
{
    xo_publish_remove_name(name->broker->publish, uid_of(name));
}

/* ---- another has it ---- */

static void refuse_taken(xo_ask_t *ask, xo_slice_t uid, xo_slice_t address, const char *why)
{
    xo_ask_fail(ask, XO_CODE_ACTOR_EXISTS, "actor \"%.*s\" exists already in the cluster, %s%.*s",
                (int)uid.size, uid.data, address.size > 0 ? "in the pool at " : why,
                (int)address.size, address.data);
}

/* For the sentence only. */
static void on_holder(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_name_t *name = arg;
    bool found = errnum == 0 && count == 1;
    xo_slice_t address = found ? xo_rec_find(&records[0], "address") : xo_slice(NULL, 0);
    (void)text;
    name->asking--;
    xo_ask_t *ask = xo_ask_take(&name->ask);
    if (ask != NULL)
        refuse_taken(ask, uid_of(name), address, "on another node");
    if (!name->dropped)
        drop(name);
    else if (name->asking == 0)
        free(name);
}

static void ask_who(xo_name_t *name)
{
    name->asking++;
    xo_publish_find_name(name->broker->publish, uid_of(name), on_holder, name);
}

static void end_actor(xo_broker_t *broker, const xo_actor_entry_t *entry, const char *why)
{
    xo_header_t header = {.kind = XO_DESTROY,
                          .target_uid = xo_actor_entry_uid(entry),
                          .incarnation = entry->incarnation,
                          .method = xo_slice_str(why)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    if (msg != NULL)
        xo_endpoint_tell(broker->endpoint, entry->member->link, &msg, XO_SEND_QUEUE, NULL, NULL,
                         NULL);
    xo_msg_destroy(&msg);
}

static void lose_actor(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    static const char *const why = "another actor has got its name";
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT, "actor '%.*s' in the pool at %s ends: %s",
           (int)uid.size, uid.data, entry->member->address, why);
    xo_broker_note_actor(broker, "name.lost", entry, why);
    if (entry->state == XO_ACTOR_FAILED)
        xo_broker_actor_down(broker, entry, why);
    else
        end_actor(broker, entry, why);
}

/* Our actor has no right to it any more. One that is being created again ends when it is there. */
static void lose(xo_name_t *name)
{
    xo_actor_entry_t *entry = entry_of(name);
    if (entry != NULL && (entry->state == XO_ACTOR_RECOVERING || entry->member->link == NULL))
        return; /* the next tick comes back to it */
    xo_broker_t *broker = name->broker;
    drop(name);
    if (entry != NULL)
        lose_actor(broker, entry);
}

static void answer_put(xo_name_t *name, int errnum, const char *text)
{
    xo_ask_t *ask = xo_ask_take(&name->ask);
    if (errnum == 0) {
        name->held = true;
        if (ask != NULL)
            xo_ask_reply(ask, "n");
        return;
    }
    if (ask != NULL)
        xo_ask_fail(ask, XO_CODE_UNAVAILABLE,
                    "who has the name \"%.*s\" only the registry knows, which is away: %s",
                    (int)name->size, name->uid, text);
    if (!name->held) /* else the next tick tries again */
        drop(name);
}

static void on_put(int errnum, const char *text, void *arg)
{
    xo_name_t *name = arg;
    name->asking--;
    if (name->dropped) {
        if (name->asking == 0)
            free(name);
    } else if (errnum == EPERM && name->held) {
        lose(name);
    } else if (errnum == EPERM) {
        ask_who(name);
    } else {
        answer_put(name, errnum, text);
    }
}

/* ---- what pools say ---- */

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_name_t *name = arg;
    (void)ask;
    name->ask = NULL; /* its pool gives it back, or ends */
}

void xo_broker_name_take(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t uid;
    const xo_member_t *member = xo_broker_need_pool(broker, ask);
    if (member == NULL || xo_broker_need_uid(ask, args, &uid) < 0)
        return;
    if (find(broker, uid) != NULL) {
        const xo_member_t *holder = xo_pools_find(&broker->pools, find(broker, uid)->pool);
        refuse_taken(ask, uid, xo_slice_str(holder ? holder->address : ""), "on this node");
        return;
    }
    xo_name_t *name = add(broker, member, uid);
    if (name == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    name->ask = ask;
    xo_ask_on_stop(ask, let_go, name);
    put(name);
}

/* Its actor did not come about. */
void xo_broker_name_free(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t uid;
    const xo_member_t *member = xo_broker_need_pool(broker, ask);
    if (member == NULL || xo_broker_need_uid(ask, args, &uid) < 0)
        return;
    if (xo_directory_get(&broker->directory, member, uid) == NULL)
        xo_names_drop(broker, member, uid);
    xo_ask_reply(ask, "n");
}

/* ---- what happens to actors and pools ---- */

void xo_names_keep(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_name_t *name = xo_uid_is_name(uid) ? find(broker, uid) : NULL;
    if (!xo_uid_is_name(uid))
        return;
    if (name != NULL && name->pool != entry->member->id) {
        if (entry->member->link != NULL)
            lose_actor(broker, entry);
        return;
    }
    if (name != NULL || (name = add(broker, entry->member, uid)) == NULL)
        return;
    name->held = true; /* by an actor that another broker admitted */
    put(name);
}

void xo_names_drop(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid)
{
    xo_name_t *name = xo_uid_is_name(uid) ? find(broker, uid) : NULL;
    if (name == NULL || name->pool != member->id)
        return;
    forget(name);
    drop(name);
}

void xo_names_review(xo_broker_t *broker, const xo_member_t *member)
{
    xo_name_t *name, *next;
    HASH_ITER(hh, broker->names, name, next)
    if (name->pool == member->id && entry_of(name) == NULL)
        xo_names_drop(broker, member, uid_of(name));
}

void xo_names_publish(xo_broker_t *broker)
{
    xo_name_t *name, *next;
    HASH_ITER(hh, broker->names, name, next)
    if (name->held && name->asking == 0)
        put(name);
}

void xo_names_destroy(xo_broker_t *broker)
{
    xo_name_t *name, *next;
    HASH_ITER(hh, broker->names, name, next)
    drop(name);
}
