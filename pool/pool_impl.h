/* pool_impl.h - what the files of the pool share; nobody else includes it.
 *
 * pool.c      life of a pool, its endpoint     serve.c      where an incoming message goes
 * actor.c     life of an actor, its lock       turn.c       mailboxes and fair turns
 * request.c   life of a request                duplicate.c  idempotent requests that come again
 * lookup.c    asking the broker for a uid      join.c       the link to the broker, heartbeats
 * stop.c      orderly stop, the owner's end    bootstrap.c  options from the environment
 * text.c      sentences, failures         recover.c    actors that are created again
 * watch.c     who wants to know when an actor ends          whereabouts.c  GPUs, NUMA node
 * tie.c       what actors have with others: monitors       link.c         links
 * failed.c    actors that could not be created again       guard.c        ends what outlives it
 * group.c     whose turn it is in a group that is restarted
 * told.c      what was told of actors just created         behind.c     what one refused leaves
 * respond.c   what hosts see of requests, and how they end them
 * mute.c      what links bring for an actor, and when they shall not
 * name.c      uids that are names: one actor of the cluster has each
 */
#ifndef XO_POOL_IMPL_H
#define XO_POOL_IMPL_H

#include <utlist.h>

#include "libxo/hash.h"
#include "libxo/progress.h"
#include "libxo/table.h"
#include "pool/guard.h"
#include "pool/pool.h"

#define XOI_BATCH 64
#define XOI_POOL_SIBLINGS_MAX 255 /* besides the first; as many as a broker takes for such */
#define XOI_POOL_HEARTBEAT_MS 1000
#define XOI_REASON_MEMORY "out of memory" /* why a pool refused a request before it was one */
/* Larger arguments of one actor are not kept by the broker. */
#define XOI_SPEC_BYTES_MAX ((size_t)16 << 20)
/* A pass of the loop handles at most this many messages, and begins none after this time, so
 * that sockets and timers get their turn. */
#define XOI_PASS_MESSAGES 1024
#define XOI_PASS_NS (5 * XO_MS)

typedef enum {
    XOI_ACTOR_NEW,      /* its create request waits for its turn */
    XOI_ACTOR_CREATING, /* the host makes it, then post_create runs */
    XOI_ACTOR_RUNNING,
    XOI_ACTOR_DESTROYING, /* pre_destroy runs */
    XOI_ACTOR_GONE        /* out of the table; freed when the last request has ended */
} xoi_actor_state_t;

/* What a pool's process has, and where it runs. */
typedef struct xoi_whereabouts {
    char gpus[256]; /* as in CUDA_VISIBLE_DEVICES; "": not said */
    int numa;       /* the NUMA node that it is bound to; -1: not to one */
} xoi_whereabouts_t;

typedef struct xoi_backlog xoi_backlog_t;

/* Somebody who waits for an actor's lock, or for room in its mailbox. */
typedef struct xoi_turn_waiter {
    void (*call)(xo_actor_t *actor, void *arg);
    void *arg;
    struct xoi_turn_waiter *prev, *next;
} xoi_turn_waiter_t;

/* What an actor has with another one, anywhere: a link, or a monitor. */
typedef struct xoi_tie {
    xo_actor_t *actor;
    /* The watch of the other; before that, the one that asks it for the link. NULL: no watch yet,
     * or the actor has ended. */
    xo_call_t *call;
    xo_request_t *asker;                         /* who waits for the link; NULL: it is there */
    void (*told)(const char *reason, void *arg); /* of a monitor; NULL: a link */
    void *arg;
    uint64_t peer;               /* the other's endpoint; 0: not known */
    uint64_t incarnation;        /* the other's; 0: not known */
    struct xoi_tie *prev, *next; /* in actor->ties */
    xo_slice_t uid;              /* the other's, with a NUL, as is its address */
    char address[];
} xoi_tie_t;

/* With whom `actor` has one. */
typedef struct xoi_other {
    const xo_actor_t *actor;
    char address[XO_ADDRESS_BYTES];
    xo_slice_t uid;
    uint64_t peer;        /* as above */
    uint64_t incarnation; /* as above */
} xoi_other_t;

/* There may be a million: what a pool's actors cost is mostly this. */
struct xo_actor {
    xo_pool_t *pool;
    uint64_t incarnation;
    const xo_request_t *anew; /* the request that creates it again, while that runs */
    uint64_t arrivals;
    xo_request_t *mailbox; /* in order of arrival */
    xo_request_t *express; /* those that bypass the lock, in order of arrival */
    xo_request_t *running;
    xo_request_t *watchers; /* answered when the actor ends */
    xoi_tie_t *ties;
    size_t waiting_bytes;
    xoi_backlog_t *backlog; /* what links have brought; NULL: nothing */
    xoi_turn_waiter_t *lock_waiters;
    xoi_turn_waiter_t *room_waiters;
    void *object;
    void *host_data;           /* host_c's own */
    xo_actor_t *prev, *next;   /* in pool->ready or pool->parked */
    xo_actor_t *older, *newer; /* in pool->actors or pool->gone */
    uint32_t waiting_messages; /* more would not fit any memory */
    uint32_t turn_left;
    uint32_t pins; /* functions that work on it right now */
    xoi_actor_state_t state : 4;
    bool stateless : 1;
    bool locked : 1;
    bool hook_waits : 1;  /* post_create or pre_destroy does, and messages are handled meanwhile */
    bool up : 1;          /* created, and not destroyed */
    bool ready : 1;       /* in pool->ready */
    bool parked : 1;      /* in pool->parked */
    bool anywhere : 1;    /* its placement is "any": it works while its name's lease lasts */
    bool late : 1;        /* its creation was cancelled by who creates it again */
    bool fenced : 1;      /* another one has its name: it does nothing any more */
    bool spec_told : 1;   /* or why there is none */
    bool host_made : 1;   /* the host's create was called, so its release is due */
    bool object_made : 1; /* host_c's: there is an object */
    uint8_t uid_size;
    char uid[]; /* then a NUL and the class's name */
};
/* With its names, the entry in the table and what malloc adds, one in C takes less than 300 bytes
 * (bench/pool); there may be a million. */
_Static_assert(sizeof(xo_actor_t) <= 168, "an actor has become larger");

typedef struct xoi_request_key {
    uint64_t sender_id;
    uint64_t seq;
} xoi_request_key_t;

typedef struct xoi_duplicate xoi_duplicate_t;
typedef struct xoi_held xoi_held_t;
typedef struct xoi_confirmation xoi_confirmation_t;
typedef struct xoi_failed xoi_failed_t;
typedef struct xoi_turn xoi_turn_t;
typedef struct xoi_told xoi_told_t;

/* What each message needs comes first. xoi_request_own's do without the end. */
struct xo_request {
    xo_request_t *prev, *next; /* in a mailbox or one of the actor's lists */
    xo_pool_t *pool;
    xo_actor_t *actor; /* NULL until known, and for ref and has */
    xo_msg_t *msg;
    size_t bytes;
    uint64_t arrival;
    const struct xo_method *method; /* host_c's, where it is known already */
    xo_slice_t args;

    /* From here on xoi_request_own clears it. */
    uint16_t memory; /* size of this, and of msg that lies in it; 0: msg has its own */
    bool wants_answer;
    bool no_lock; /* where `method` is known: it bypasses the lock */
    bool express; /* does not take the lock */
    bool running;
    bool kept;   /* counts in the actor's backlog */
    bool paid;   /* its link has got the credit back */
    bool boxed;  /* a tell in a mailbox, which only who sees this process die can count */
    bool locked; /* holds the actor's lock */

    bool cancelled;
    bool watches; /* in actor->watchers */
    bool links;   /* waits for the tie in `data` */
    bool ended;   /* by the pool that goes away; what the host does with it is ignored */
    bool adopts;  /* a create for an actor that came back: it gets a reference */
    bool once;    /* a create: the actor is not to be created again */
    bool indexed; /* in pool->requests */
    bool parsed;  /* host_c's: args and kwargs are set */
    xo_slice_t kwargs;
    int64_t due_ns;  /* 0: no deadline */
    xo_call_t *call; /* of this pool, that it is; NULL: looked for by `to` */
    void *data;
    xo_request_t *parent; /* host_c's: the batch that this is one call of */
    xo_link_t *from;      /* who gets the credit back; a reference */
    xo_return_t to;       /* to.link: a reference */

    /* From here on xoi_request_own's have their message. */
    xo_msg_t *spec; /* of a create: what creates the actor again, unless msg does */
    char *no_spec;  /* why there is none */
    xoi_confirmation_t *confirmation; /* of a create: the broker is asked to confirm it */
    xoi_held_t *held;
    xoi_duplicate_t *duplicate;
    void (*part_ended)(xo_request_t *part, xo_msg_t **answer);
};

typedef struct xoi_lookup xoi_lookup_t;
typedef struct xoi_naming xoi_naming_t;
typedef void (*xoi_joined_f)(xo_pool_t *pool, const xo_error_t *why, void *arg);

struct xo_pool {
    xo_loop_t *loop;
    xo_endpoint_t *endpoint;
    uint64_t id; /* the endpoint's */
    const xo_host_ops_t *ops;
    void *host;
    size_t batch, mailbox_messages, mailbox_bytes;
    size_t near_messages;                 /* of senders of this pool, in a mailbox */
    size_t window_messages, window_bytes; /* what each link may have under way */
    size_t kept_bytes, bytes_max;         /* what links have brought for all actors */
    bool closing, keep_specs, keep_grouped;
    bool exits; /* its process is about to, with exit_status */
    int exit_status;
    bool drained;     /* its node is to leave: it creates nothing */
    int64_t lease_ns; /* until when its names are its own, by xo_boot_ns */
    bool recovering;  /* its actors are being created again */
    bool holding;     /* not all of that has been requested */
    xoi_held_t *held;
    xoi_confirmation_t *confirmations;
    xoi_failed_t *failed; /* those that could not be created again */
    xoi_turn_t *group_turns;
    xoi_told_t *told; /* of actors created just now */
    size_t told_bytes;
    bool told_asks; /* whether the broker has read them */

    /* actors and their turns */
    xo_actor_t *actors; /* in the order of creation */
    xo_actor_t *gone;
    xo_request_t *dead; /* those that the ending pool has answered */
    xoi_table_t by_uid;
    xo_actor_t *last_found; /* who sends to an actor looks for it twice */
    uint64_t changes;       /* how often an actor came or went */
    uint64_t last_incarnation;
    xo_actor_t *ready;
    xo_actor_t *parked; /* with messages that may not start: see xo_link_takes_answers */
    xo_defer_t turns;
    xoi_progress_t progress;
    int64_t turn_ns; /* when the message began that has its turn, coarsely */

    xoi_table_t links;    /* those of its actors, by actor and the other's uid */
    xo_timer_t tie_again; /* what there was no memory for */

    /* requests */
    xoi_table_t requests; /* those that can be cancelled, by key */
    xo_buf_t scratch;
    xoi_duplicate_t *duplicates; /* by key */
    xoi_duplicate_t *duplicates_oldest;
    size_t duplicates_bytes;
    struct xoi_behind *behind, *behind_oldest;
    xoi_lookup_t *lookups;
    xoi_naming_t *namings; /* creations that wait for their name */
    xo_pool_stats_t stats;

    /* the broker */
    char *broker;
    xo_link_t *broker_link; /* a reference; the link made by join */
    xoi_joined_f joined;
    void *joined_arg;
    xo_error_t joined_why;
    xo_defer_t joined_defer;
    bool has_joined;
    int64_t backoff_ns;
    xo_timer_t relink;
    xo_timer_t heartbeat;
    int64_t heartbeat_ns;
    xo_buf_t said;    /* by the last one */
    bool watched;     /* the broker sees the progress page */
    bool shows_sleep; /* ... whose loop says when it sleeps */
    bool rests;       /* the next heartbeat is far, unless the loop wakes up */
    xo_sleep_t sleep;
    xoi_whereabouts_t whereabouts; /* when it began */
    size_t announcing;             /* actor.up and actor.down that the lane has not taken yet */
    xo_request_t *barriers;        /* `has` of the pool itself, answered when announcing is 0 */

    /* the end */
    bool stopping;
    void (*stopped)(xo_pool_t *pool, void *arg);
    void *stopped_arg;
    xo_timer_t stop_timer;
    xo_defer_t stop_check;
    xo_defer_t stop_wanted;
    xo_io_t owner_io;
    int owner_fd; /* -1: none */
    pid_t owner;
    xo_timer_t owner_timer; /* where there are no pidfds */
    xoi_guard_t guard;      /* where there are */
};

/* actor.c */
xo_actor_t *xoi_actor_create(xo_pool_t *pool, xo_slice_t uid, xo_slice_t class_name);
void xoi_actor_created(xo_actor_t *actor, xo_request_t *request, xo_msg_t **answer);
void xoi_actor_destroyed(xo_actor_t *actor, const xo_request_t *request, xo_msg_t **answer);
void xoi_actor_abort(xo_actor_t *actor);
void xoi_actor_end(xo_actor_t *actor);
void xoi_actor_pin(xo_actor_t *actor);
void xoi_actor_unpin(xo_actor_t *actor);
xo_slice_t xoi_reference(const xo_actor_t *actor);

/* turn.c */
void xoi_mailbox_put(xo_actor_t *actor, xo_request_t *request);
void xoi_mailbox_remove(xo_actor_t *actor, xo_request_t *request);
void xoi_mailbox_sort(xo_actor_t *actor);
bool xoi_bypasses(const xo_actor_t *actor, const xo_request_t *request); /* see mailbox.h */
bool xoi_is_lifecycle(const xo_request_t *request);
bool xoi_request_is_tell(const xo_request_t *request); /* or a batch of them */
/* Its post_create or pre_destroy does: it handles messages until that has ended. */
void xoi_hook_waits(xo_actor_t *actor);
void xoi_actor_wake_up(xo_actor_t *actor); /* see mailbox.h */
void xoi_actor_unready(xo_actor_t *actor); /* nor parked */
/* A peer takes its answers again, or is gone. */
void xoi_parked_wake(xo_pool_t *pool);
void xoi_turns_run(xo_defer_t *defer, void *arg);
/* CLOCK_MONOTONIC_COARSE: good enough, and costs a few nanoseconds. */
int64_t xoi_coarse_ns(void);
void xoi_room_waiters_call(xo_actor_t *actor);
void xoi_lock_waiters_drop(xo_actor_t *actor);

/* mute.c: for requests that came over links, with their actor */
void xoi_keep(xo_request_t *request); /* it is in the mailbox */
void xoi_keep_no_more(xo_request_t *request);
void xoi_unmute(xo_actor_t *actor);                     /* whoever was muted */
size_t xoi_kept_messages(const xoi_backlog_t *backlog); /* waiting or running */

/* request.c */
xo_request_t *xoi_request_create(xo_pool_t *pool, xo_link_t *from, xo_msg_t **msg);
xo_request_t *xoi_request_apart(xo_request_t *own);
xo_request_t *xoi_request_find(xo_pool_t *pool, const xo_header_t *header);
void xoi_request_begin(xo_request_t *request);
void xoi_request_end(xo_request_t *request, xo_msg_t **answer);
void xoi_request_close(xo_request_t *request, xo_msg_t **answer);
void xoi_request_close_value(xo_request_t *request, xo_slice_t value);
/* Ends a request that the host has not seen: an error with executed "no", or a counted drop. */
void xoi_request_reject(xo_request_t *request, xo_drop_t drop, const char *code, const char *reason,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
void xoi_request_absent(xo_request_t *request, const char *why);
void xoi_request_force(xo_request_t *request);
void xoi_request_free(xo_request_t *request);
xo_slice_t xoi_pack_scratch(xo_pool_t *pool, const char *format, ...);

/* text.c */
#define XOI_TEXT_BYTES 128
const char *xoi_text(xo_slice_t uid, char text[XOI_TEXT_BYTES]);
void xoi_text_trim(char *text);
xo_msg_t *xoi_failure(xo_pool_t *pool, const char *code, const char *executed, const char *reason,
                      const char *format, va_list args);
xo_msg_t *xoi_failure_of(xo_pool_t *pool, const char *code, const char *executed,
                         const char *reason, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* duplicate.c, behind.c */
bool xoi_duplicate_check(xo_request_t *request);
void xoi_duplicate_answered(xo_request_t *request, const xo_msg_t *answer);
void xoi_duplicates_free(xo_pool_t *pool);
void xoi_behind_failed(const xo_request_t *request, const xo_msg_t *error);
bool xoi_behind_rejects(xo_request_t *request); /* false: it may go on */
void xoi_behind_free(xo_pool_t *pool);

/* name.c */
bool xoi_needs_name(const xo_request_t *request); /* before it creates */
/* Ends in xoi_create_named, or with an error. */
void xoi_name_take(xo_request_t *request);
bool xoi_is_being_named(const xo_pool_t *pool, xo_slice_t uid);
void xoi_namings_end(xo_pool_t *pool);

/* lease.c */
void xoi_lease_event(xo_pool_t *pool, const xo_msg_t *event);
void xoi_fenced_event(xo_pool_t *pool, const xo_msg_t *event);
/* Why an actor with the placement "any" may do nothing now. NULL: it may. */
const char *xoi_lease_why(const xo_actor_t *actor);
/* True: it may not, and the request, which is out of its mailbox, has been answered. */
bool xoi_lease_rejects(xo_request_t *request, const xo_actor_t *actor);
/* What it has answered is its successor's to say, if its lease has lapsed meanwhile. */
void xoi_lease_check_answer(xo_request_t *request, xo_msg_t **answer);

/* serve.c */
void xoi_create_named(xo_request_t *request); /* the pool has its name */
void xoi_request_route(xo_request_t *request);
void xoi_own_cancel(xo_call_t **place); /* for xoi_own_call */
void xoi_serve(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg);

/* watch.c */
void xoi_request_aside(xo_request_t *request); /* it may wait for days: it gives its credit back */
void xoi_watch(xo_actor_t *actor, xo_request_t *request);
void xoi_watch_cancel(xo_request_t *request);
void xoi_watch_unlinked(xo_pool_t *pool, const xo_link_t *link);
void xoi_watchers_tell(xo_actor_t *actor, const char *reason);
void xoi_watchers_hold(xo_actor_t *actor); /* until it is created after all */

/* link.c */
void xoi_tie_link(xo_actor_t *actor, xo_request_t *request);
void xoi_tie_unlink(xo_actor_t *actor, xo_request_t *request);
void xoi_tie_cancel(xo_request_t *request);

/* tie.c */
void xoi_ties_init(xo_pool_t *pool);
void xoi_ties_begin(xo_actor_t *actor); /* it has been made: its links are watched from now on */
void xoi_ties_end(xo_actor_t *actor, const char *why);
void xoi_ties_free(xo_actor_t *actor);
int xoi_other_check(const xoi_other_t *other, xo_slice_t address, xo_error_t *err);
uint64_t xoi_tie_hash(const xo_actor_t *actor, xo_slice_t uid); /* the other's, in pool->links */
xoi_tie_t *xoi_tie_create(xo_actor_t *actor, const xoi_other_t *other); /* NULL: ENOMEM */
void xoi_tie_watch(xoi_tie_t *tie);
void xoi_tie_free(xoi_tie_t *tie);
int xoi_tie_way(const xoi_tie_t *tie, xo_link_t **link, xo_error_t *err);
/* To the other, with the body [[address, uid, incarnation], {}] of the tie's own actor. */
xo_msg_t *xoi_tie_message(const xoi_tie_t *tie, xo_kind_t kind, const char *method);
int xoi_tie_call(xoi_tie_t *tie, const char *method, xo_answer_f answer, xo_error_t *err);
bool xoi_traps(xo_actor_t *actor); /* is it told, rather than destroyed? */
/* The other of a link has ended: the tie goes, and its actor hears of it. */
void xoi_tie_fire(xoi_tie_t *tie, const char *reason);

/* lookup.c */
void xoi_lookup(xo_request_t *request);
bool xoi_asked_by_broker(const xo_request_t *request);
void xoi_lookups_end(xo_pool_t *pool);

/* join.c */
void xoi_join_init(xo_pool_t *pool, uint32_t heartbeat_ms);
void xoi_find_whereabouts(xoi_whereabouts_t *whereabouts);
void xoi_join_end(xo_pool_t *pool);
void xoi_joined_link(xo_endpoint_t *endpoint, xo_link_t *link, void *arg);
void xoi_joined_unlink(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg);
void xoi_peer_gone(xo_pool_t *pool, uint64_t endpoint);
void xoi_announce_up(xo_actor_t *actor, xo_request_t *request);
void xoi_announced(xo_pool_t *pool);
void xoi_announce_down(const xo_actor_t *actor, const char *reason);
/* The uid may be a name, and an actor with it has not come about. */
void xoi_announce_none(xo_pool_t *pool, xo_slice_t uid);
void xoi_announce_stop(xo_pool_t *pool); /* a heartbeat, at once, that says so */
void xoi_barrier(xo_request_t *request);

/* told.c */
/* The broker was told of its creation with *msg, which also says what creates it again. */
void xoi_told_add(const xo_actor_t *actor, xo_msg_t **msg);
xo_msg_t *xoi_told_find(const xo_actor_t *actor); /* NULL: long ago, or not so */
void xoi_told_age(xo_pool_t *pool);               /* at each heartbeat */
void xoi_told_free(xo_pool_t *pool);

/* recover.c */
/* Keeps the request until its actor is there. false: it is not for that. */
bool xoi_hold(xo_request_t *request);
void xoi_held_release(xo_pool_t *pool, xo_slice_t uid);
void xoi_held_cancel(xo_request_t *request);
/* Whose turn it is in a group has changed, or who is in one: some may wait in vain. */
void xoi_held_review(xo_pool_t *pool);
void xoi_all_requested(xo_pool_t *pool);
void xoi_recovered(xo_pool_t *pool);
void xoi_recovered_event(xo_pool_t *pool, const xo_msg_t *event);
bool xoi_adopts(const xo_request_t *request);
/* Nobody will try again what could not be created: its callers hear so. */
void xoi_no_more_tries(xo_pool_t *pool);
/* The trace that marks what its creation causes; empty: it is not created again. */
xo_slice_t xoi_again(const xo_request_t *request);
bool xoi_is_of_creation(
    const xo_request_t *request); /* such a creation, of whatever pool, causes it */
/* Before the host sees a create; and what "actor.up" says of it then. */
void xoi_spec_take(xo_request_t *request);
void xoi_spec_pack(const xo_request_t *request, xo_buf_t *out);
/* It wants to be in a group, or has the placement "any": its broker may refuse it. */
bool xoi_spec_is_for_others(const xo_request_t *request);
bool xoi_spec_is_anywhere(const xo_request_t *request); /* the latter */
/* Why it can be neither. NULL: it can, or need not. Of what an actor of this pool creates only the
 * host knows. */
const char *xoi_spec_missing(const xo_request_t *request);
bool xoi_spec_is_new(const xo_request_t *request); /* the broker has it not */
/* Calls the broker with *msg; the request's answer then waits for the broker's. -1: it does not. */
int xoi_confirm(xo_request_t *request, xo_msg_t **msg);
/* Takes over where the answer goes, and the answer. */
void xoi_confirm_first(xoi_confirmation_t *confirmation, xo_return_t *to, xo_msg_t **answer);
void xoi_confirmations_end(xo_pool_t *pool);

/* failed.c */
/* It could not be created again: its callers wait, until it is or the broker has given it up. */
void xoi_failed_add(xo_actor_t *actor, const xo_msg_t *answer);
/* The broker will create it again. */
void xoi_failed_expect(xo_pool_t *pool, xo_slice_t uid);
/* Its creation was cancelled before it began: its broker requests it once more. */
void xoi_failed_unbegun(xo_pool_t *pool, xo_slice_t uid);
/* "actor.failed": the broker has given it up. Not settled, "actor.recovering": it has not. */
void xoi_failed_event(xo_pool_t *pool, const xo_msg_t *event, bool settled);
void xoi_failed_remove(xo_pool_t *pool, xo_slice_t uid);
/* What its callers hear. NULL: it could be created, or never was. */
const char *xoi_failed_why(const xo_pool_t *pool, xo_slice_t uid);
bool xoi_failed_waits(const xo_pool_t *pool, xo_slice_t uid);    /* for another try */
bool xoi_failed_in_group(const xo_pool_t *pool, xo_slice_t uid); /* ... which is its group's */
void xoi_failed_settle(xo_pool_t *pool);                         /* none does any more */
void xoi_failed_free(xo_pool_t *pool);

/* group.c */
void xoi_group_turn(xo_pool_t *pool, const xo_msg_t *event);
/* Does it come from a member whose turn it is? */
bool xoi_group_has_turn(const xo_request_t *request);
void xoi_group_turns_free(xo_pool_t *pool);

/* stop.c */
int xoi_stop_init(xo_pool_t *pool, pid_t owner, xo_error_t *err);
void xoi_stop_end(xo_pool_t *pool);
void xoi_stop_wanted(xo_pool_t *pool);
void xoi_stop_progress(xo_pool_t *pool);
/* Destroys an actor in its turn. `why`: empty: as usual. -1: ENOMEM. */
int xoi_post_destroy(xo_actor_t *actor, const char *why);

#endif
