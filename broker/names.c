/* names.c - which pool of this node has which name: a uid that one actor of the cluster has alone
 * (XO_NAME_PREFIX). The registry decides who gets it: it is this node's for as long as the node's
 * lease lasts. When that may have lapsed, or the registry may have lost something, each name is in
 * doubt until it has been written again.
 *
 * A pool takes it before it creates the actor. It goes with the actor, or if that does not come
 * about. Who finds that another node has got it meanwhile, because this one was cut off from the
 * registry for longer than its leases last, ends its own actor. Pools hear until when all their
 * names are theirs, counted from before the lease was asked for: actors with the placement "any"
 * do nothing afterwards (pool/lease.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "names"
/* For how long who wants one waits while the registry is refilling; pools wait for the answer a
 * second longer (pool/name.c). */
#define REFILL_WAIT_NS (5000 * XO_MS)

struct xo_name {
    xo_broker_t *broker;
    uint64_t pool;
    xo_ask_t *ask;    /* who waits for it; NULL: nobody */
    unsigned asking;  /* answers of the registry that will come */
    int64_t since_ns; /* somebody waits, by the loop's clock */
    bool sent;        /* the registry was up when it was put: it may have it, whatever it says */
    bool held;        /* the registry has said so, or an actor has it */
    bool sure;        /* and nothing has put that into doubt since */
    unsigned doubts;  /* how often something had when it was last put */
    bool dropped;     /* out of the table: the last answer frees it */
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

bool xo_names_has(const xo_broker_t *broker, xo_slice_t uid)
{
    const xo_name_t *name = find(broker, uid);
    return name != NULL && name->held;
}

static xo_actor_entry_t *entry_of(const xo_name_t *name)
{
    const xo_member_t *member = xo_pools_find(&name->broker->pools, name->pool);
    return member ? xo_directory_get(&name->broker->directory, member, uid_of(name)) : NULL;
}

bool xo_names_has_lost(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    const xo_name_t *name = find(broker, uid);
    return xo_uid_is_name(uid) && (name == NULL || name->pool != entry->member->id);
}

/* Of the actor's record. */
static int record_id(const xo_member_t *member, xo_slice_t uid, char id[XO_RECORD_ID_BYTES])
{
    char pool[XO_ID_TEXT_BYTES];
    xo_id_format(member->id, pool);
    return xo_registry_actor_id(uid, pool, id, XO_RECORD_ID_BYTES);
}

/* What is remembered of where it was is over. */
static xo_name_t *add(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid)
{
    char id[XO_RECORD_ID_BYTES];
    xo_known_forget(broker->known, uid);
    xo_insist_keep_name(broker, uid);
    if (broker->astray != NULL && record_id(member, uid, id) == 0)
        xo_astray_forget(broker, id);
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

/* ---- what pools are told ---- */

static void tell_lease(xo_broker_t *broker, xo_member_t *member, int64_t until_ns)
{
    xo_rec_t rec = {0};
    if (member->link == NULL || until_ns <= member->lease_ns)
        return;
    member->lease_ns = until_ns;
    xo_rec_int(&rec, "until", until_ns);
    xo_broker_send_event(broker, member->link, "lease", &rec);
}

/* The node's; what only its own registry decides nobody else can get. While one of them is in doubt
 * the pool hears nothing. */
static void tell_pool(xo_broker_t *broker, xo_member_t *member)
{
    bool is_shared = xo_publish_is_shared(broker->publish);
    bool any = false;
    for (xo_name_t *name = broker->names; name != NULL; name = name->hh.next) {
        if (name->pool != member->id || !name->held)
            continue;
        if (!name->sure)
            return;
        any = true;
    }
    if (any)
        tell_lease(broker, member, is_shared ? xo_publish_lease_until(broker->publish) : INT64_MAX);
}

static void tell_pools(xo_broker_t *broker)
{
    if (broker->names == NULL)
        return;
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m))
        tell_pool(broker, m);
}

/* Its first name, or the first for long: its actor is about to be created. */
static void tell_early(xo_name_t *name)
{
    xo_member_t *member = xo_pools_find(&name->broker->pools, name->pool);
    if (member != NULL && member->lease_ns <= xo_boot_ns())
        tell_pool(name->broker, member);
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
    if (entry_of(name) != NULL && entry_of(name)->epoch > 0)
        xo_rec_int(&rec, "epoch", (int64_t)entry_of(name)->epoch);
    name->sent = name->sent || xo_publish_why_down(broker->publish) == NULL;
    name->asking++;
    name->broker->names_asked++;
    name->doubts = broker->name_doubts;
    xo_publish_name(broker->publish, uid_of(name), &rec, !name->held, on_put, name);
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

/* It does nothing more, not even what has come for it already. */
void xo_names_fence(xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    xo_rec_t rec = {0};
    if (entry->member->link == NULL)
        return;
    xo_rec_bytes(&rec, "uid", xo_actor_entry_uid(entry));
    xo_rec_int(&rec, "incarnation", (int64_t)entry->incarnation);
    xo_broker_send_event(broker, entry->member->link, "actor.fenced", &rec);
}

/* And is created again when there is the next one. */
static bool is_without_process(const xo_actor_entry_t *entry)
{
    return entry->member->away && entry->member->link == NULL;
}

/* What its pool holds for it would wait for ever. */
static void give_up_actor(xo_broker_t *broker, xo_actor_entry_t *entry, const char *why)
{
    xo_broker_say_gone(broker, entry->member, xo_actor_entry_uid(entry), why);
    xo_broker_actor_down(broker, entry, why);
}

static void lose_actor(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    static const char *const why = "another actor has got its name";
    char id[XO_RECORD_ID_BYTES];
    xo_slice_t uid = xo_actor_entry_uid(entry);
    if (xo_actor_spec_is_anywhere(entry->spec)) {
        xo_names_fence(broker, entry);
        if (record_id(entry->member, uid, id) == 0)
            xo_astray_add(broker, id);
    }
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT, "actor '%.*s' in the pool at %s ends: %s",
           (int)uid.size, uid.data, entry->member->address, why);
    xo_broker_note_actor(broker, "name.lost", entry, why);
    if (entry->state == XO_ACTOR_FAILED || is_without_process(entry) ||
        xo_broker_creation_waits(broker, entry))
        give_up_actor(broker, entry, why);
    else
        end_actor(broker, entry, why);
}

/* The pool may have it soon. */
static bool is_being_created(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    return entry->state == XO_ACTOR_RECOVERING && !xo_broker_creation_waits(broker, entry);
}

/* Our actor has no right to it any more. One that is being created again ends when it is there. */
static void lose(xo_name_t *name)
{
    xo_broker_t *broker = name->broker;
    xo_actor_entry_t *entry = entry_of(name);
    bool is_dead = entry != NULL && is_without_process(entry);
    if (entry != NULL && !is_dead &&
        (entry->member->link == NULL || is_being_created(broker, entry)))
        return; /* the next tick comes back to it */
    drop(name);
    if (entry != NULL)
        lose_actor(broker, entry);
}

static void answer_put(xo_name_t *name, int errnum, const char *text)
{
    xo_ask_t *ask = xo_ask_take(&name->ask);
    if (errnum == 0) {
        name->held = true;
        name->sure = name->doubts == name->broker->name_doubts;
        tell_early(name);
        if (ask != NULL)
            xo_ask_reply(ask, "n");
        return;
    }
    if (ask != NULL)
        xo_ask_fail(ask, XO_CODE_UNAVAILABLE,
                    "who has the name \"%.*s\" only the registry knows, which %s: %s",
                    (int)name->size, name->uid, errnum == EAGAIN ? "is being refilled" : "is away",
                    text);
    if (name->held) /* the next tick tries again */
        return;
    if (name->sent && errnum != ECANCELED)
        xo_insist_name(name->broker, uid_of(name));
    drop(name);
}

/* The next tick asks once more. */
static bool waits(const xo_name_t *name, int errnum)
{
    return errnum == EAGAIN && name->ask != NULL &&
           xo_loop_now(name->broker->loop) - name->since_ns < REFILL_WAIT_NS;
}

static void take_put(xo_name_t *name, int errnum, const char *text)
{
    if (name->dropped) {
        if (name->asking == 0)
            free(name);
    } else if (errnum == EPERM && name->held) {
        lose(name);
    } else if (errnum == EPERM) {
        ask_who(name);
    } else if (!waits(name, errnum)) {
        answer_put(name, errnum, text);
    }
}

static void on_put(int errnum, const char *text, void *arg)
{
    xo_name_t *name = arg;
    xo_broker_t *broker = name->broker;
    name->asking--;
    broker->names_asked--;
    take_put(name, errnum, text);
    if (broker->names_asked == 0 && broker->publish != NULL)
        tell_pools(broker);
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
    name->since_ns = xo_loop_now(broker->loop);
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

/* It is here: nobody else may have it. */
static void keep_actor(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid)
{
    char id[XO_RECORD_ID_BYTES];
    if (broker->insists_actors != NULL && record_id(member, uid, id) == 0)
        xo_insist_keep_actor(broker, id);
}

void xo_names_keep(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_name_t *name = xo_uid_is_name(uid) ? find(broker, uid) : NULL;
    if (!xo_uid_is_name(uid))
        return;
    keep_actor(broker, entry->member, uid);
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
    xo_insist_name(broker, uid_of(name));
    drop(name);
}

void xo_names_review(xo_broker_t *broker, xo_member_t *member)
{
    xo_name_t *name, *next;
    HASH_ITER(hh, broker->names, name, next)
    if (name->pool == member->id && entry_of(name) == NULL)
        xo_names_drop(broker, member, uid_of(name));
    member->lease_ns = 0; /* to this process */
    if (member->link != NULL)
        tell_pool(broker, member);
}

/* The registry has given it to this node. */
int xo_names_claimed(xo_broker_t *broker, xo_member_t *member, xo_slice_t uid)
{
    xo_name_t *name = find(broker, uid);
    if (name == NULL && (name = add(broker, member, uid)) == NULL)
        return -1;
    keep_actor(broker, member, uid);
    name->pool = member->id;
    name->held = name->sure = true;
    tell_early(name);
    return 0;
}

void xo_names_publish(xo_broker_t *broker)
{
    xo_name_t *name, *next;
    HASH_ITER(hh, broker->names, name, next)
    if (!name->sure && (name->held || name->ask != NULL) && name->asking == 0)
        put(name);
}

void xo_names_doubt(xo_broker_t *broker)
{
    broker->name_doubts++;
    for (xo_name_t *name = broker->names; name != NULL; name = name->hh.next)
        name->sure = false;
    xo_names_publish(broker);
}

void xo_names_leased(xo_broker_t *broker)
{
    tell_pools(broker);
}

void xo_names_destroy(xo_broker_t *broker)
{
    xo_name_t *name, *next;
    HASH_ITER(hh, broker->names, name, next)
    drop(name);
}
