/* broker_impl.h - what the files of the broker share; nobody else includes it.
 *
 * broker.c    the wiring: endpoint, supervisor, registry
 * facts.c     what happens to pools and actors, told to the registry, the links and the log
 * methods.c   the table of xo.broker's methods, and short ones
 * lists.c     nodes, pools, actors                lookup.c   where an actor lives
 * events.c    the stream                          letters.c  dead letters
 * starts.c    pool.start, pool.stop               relay.c    calls passed on
 * recover.c   actors created again with their pool again.c     each of them
 * reload.c    what the registry knows of the actors, for a broker that takes over
 * wait.c      pool.wait, pool.kill                 places.c   place.take, place.free
 * revive.c    revive                               group_methods.c  group.create, ...
 * barrier.c   waits until what pools have told has arrived
 * names.c     which pool has which name           drain.c    node.drain
 * moves.c     actors that come from other nodes   placement.c  which pool takes one
 * entrance.c  the node's port                     outlet.c   a node behind another's
 * doors.c     other ways to pools whose own port is shut
 * twins.c     other nodes at the same address
 * insist.c    what the registry is told until it has heard
 * stop.c      how the node stops
 * leave.c     actors that leave for other nodes  depends.c  whom an actor's creation waits for
 */
#ifndef XO_BROKER_BROKER_IMPL_H
#define XO_BROKER_BROKER_IMPL_H

#include "broker/ask.h"
#include "broker/broker.h"
#include "broker/directory.h"
#include "broker/groups.h"
#include "broker/known.h"
#include "broker/publish.h"
#include "broker/revocations.h"
#include "broker/slots.h"
#include "broker/supervisor.h"
#include "libxo/port.h"

typedef struct xo_event_wait xo_event_wait_t; /* events.c */
typedef struct xo_pool_wait xo_pool_wait_t;   /* wait.c */
typedef struct xo_name xo_name_t;             /* names.c */
typedef struct xo_drain_wait xo_drain_wait_t; /* drain.c */
typedef struct xo_outlet xo_outlet_t;         /* outlet.c */
typedef struct xo_moves xo_moves_t;           /* moves.c */
typedef struct xo_astray xo_astray_t;         /* astray.c */
typedef struct xo_insist xo_insist_t;         /* insist.c */

/* reap.c */
typedef struct xo_reap_state {
    bool asking;
    char after[24];   /* as the registry counts them: the last one that has been told */
    xo_timer_t timer; /* until more of them is removed */
} xo_reap_state_t;

/* twins.c */
typedef struct xo_twins {
    char address[XO_ADDRESS_BYTES]; /* that others are, or were, looked for; "": none yet */
    xo_timer_t timer;
} xo_twins_t;

/* stop.c */
typedef struct xo_stop_state {
    xo_timer_t groups; /* while it runs, groups are stopped before the pools */
    bool keeps_pools;  /* they go on until the node is told to stop once more */
    bool soon;         /* nobody is left to wait for it */
    xo_ask_t *ask;     /* who waits for the groups' end; NULL: nobody */
    xo_defer_t end;
    char why[64];
    char awaited[XO_ERROR_TEXT_BYTES]; /* for a record: whose end it waits for */
} xo_stop_state_t;

typedef enum { XO_DRAIN_NOT, XO_DRAIN_UNDER_WAY, XO_DRAIN_DONE } xo_drain_t;

struct xo_broker {
    xo_loop_t *loop;
    xo_broker_options_t options;
    xo_broker_stopped_f stopped;
    void *arg;
    xo_endpoint_t *endpoint;
    xo_port_t *port;       /* NULL: the node has none */
    struct xo_loan *loans; /* of places behind it */
    xo_outlet_t *outlet;   /* NULL: the node is not behind another one's port */
    xo_supervisor_t *supervisor;
    xo_publish_t *publish;
    xo_revocations_t *revocations;
    xo_pools_t pools;
    xo_directory_t directory;
    xo_slots_t slots;
    xo_asks_t asks;
    xo_pool_wait_t *waits;
    xo_event_wait_t *event_waits;
    xo_creation_t *creations; /* that wait for their time */
    xo_name_t *names;
    unsigned names_asked; /* answers of the registry about them that will come */
    unsigned name_doubts; /* how often they were put into doubt */
    xo_insist_t *insists_names, *insists_actors;
    xo_moves_t *moves;
    xo_reap_state_t reap;
    xo_twins_t twins;
    xo_astray_t *astray;
    xo_known_t *known;
    xo_group_t *groups; /* in the order in which they came */
    uint64_t steps;     /* how many they have taken */
    xo_timer_t tick;    /* renews leases */
    int64_t started;    /* Unix seconds */
    char host[XO_HOST_BYTES];
    char registry_lost[XO_ERROR_TEXT_BYTES]; /* to be told when it is there; "": nothing */
    bool reloading; /* what the last broker left has been found, and not been taken over */
    bool inherits;  /* the registry may say that there is more here, of which only that one knew */
    void (*reloaded)(xo_broker_t *broker);
    bool lacks_specs;     /* the registry was away: what creates actors again is to be asked for */
    bool asks_specs;      /* that is under way */
    xo_timer_t reconcile; /* when all that it left has had time to come back */
    bool isolated;        /* its lease has lapsed, since it cannot reach the registry */
    xo_drain_t drain;
    size_t drain_ending; /* actors that have been asked to end */
    xo_drain_wait_t *drain_waits;
    bool stopping;
    xo_stop_state_t stop;
    uint64_t handled; /* asks */
};

/* ---- broker.c ---- */
/* An event about the node; `reason` may be NULL. */
void xo_broker_note_node(xo_broker_t *broker, const char *event, const char *reason);

/* ---- stop.c ---- */
void xo_stop_init(xo_broker_t *broker);
void xo_stop_end(xo_broker_t *broker);
void xo_stop_on_stopped(xo_supervisor_t *supervisor, void *arg); /* for the supervisor */
void xo_broker_groups_gone(xo_broker_t *broker);                 /* the last one is */
/* Begins to stop, and answers once the groups have ended, or have had their time; the pools go on
 * until xo_broker_stop, which waits for no group then. */
void xo_broker_stop_groups(xo_broker_t *broker, xo_ask_t *ask);

/* ---- drain.c ---- */
/* True: the node is being drained, and the ask has been failed. */
bool xo_drain_refuses(const xo_broker_t *broker, xo_ask_t *ask);
void xo_drain_go_on(xo_broker_t *broker); /* something has ended, or may be ended now */
/* Was the broker that left this node draining it? Then this one goes on, once it has taken over. */
void xo_drain_find(xo_broker_t *broker);
void xo_drain_take_over(xo_broker_t *broker);
/* A pool has linked: it creates nothing if the node is being drained. */
void xo_drain_tell_pool(xo_broker_t *broker, const xo_member_t *member);

/* ---- facts.c ---- */
void xo_broker_on_fact(xo_supervisor_t *supervisor, xo_member_t *member, xo_fact_t fact,
                       const char *reason, void *arg);
/* Adds what a pool told to the directory; the registry and the stream are told by xo_broker_say_up,
 * which comes after what creates it again, since that has its policy. NULL: ENOMEM, which has been
 * logged. */
xo_actor_entry_t *xo_broker_actor_up(xo_broker_t *broker, xo_member_t *member, xo_slice_t uid,
                                     uint64_t incarnation, xo_slice_t class_name, bool stateless);
/* `again`: its pool has linked anew. `ask`, unless NULL, is answered: a call when the registry has
 * been told. */
void xo_broker_say_up(xo_broker_t *broker, xo_actor_entry_t *entry, bool again, xo_ask_t *ask);
/* Removes it from all three. */
void xo_broker_actor_down(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason);
/* An event about an actor, for the stream only: a node may have very many. `reason` may be NULL. */
void xo_broker_note_actor(xo_broker_t *broker, const char *type, const xo_actor_entry_t *entry,
                          const char *reason);
/* The same for one that could not be created; `traceback` may be empty. */
void xo_broker_note_failure(xo_broker_t *broker, const char *type, const xo_actor_entry_t *entry,
                            const char *reason, xo_slice_t traceback);
/* Tells its pool, whose callers wait for it, that it will not be created again. */
void xo_broker_say_failed(xo_broker_t *broker, const xo_actor_entry_t *entry);
/* The same of one that this broker does not know any more. */
void xo_broker_say_gone(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid,
                        const char *reason);
/* Tells its pool that it will be, so that who calls it waits. */
void xo_broker_say_waiting(xo_broker_t *broker, const xo_actor_entry_t *entry);
/* It is *failed*; says so to all. */
void xo_broker_give_up(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason,
                       xo_slice_t traceback);
/* An event for all links, and for the stream. */
void xo_broker_broadcast(xo_broker_t *broker, const char *type, const xo_rec_t *rec);
void xo_broker_send_event(xo_broker_t *broker, xo_link_t *link, const char *type,
                          const xo_rec_t *rec);
/* The node's record. Valid until the next one is made. */
void xo_broker_node_record(xo_broker_t *broker, xo_rec_t *rec);
void xo_broker_publish_node(xo_broker_t *broker);
/* The registry came, or went (an xo_publish_events_t). */
void xo_broker_on_registry(xo_publish_t *publish, bool up, const char *reason, void *arg);
void xo_broker_publish_pool(xo_broker_t *broker, xo_member_t *member);

/* ---- entrance.c ---- */
/* Listens on the node's port, if it has one; or sees to it that another node's leads to it. */
int xo_broker_open_port(xo_broker_t *broker, xo_error_t *err);
void xo_broker_close_port(xo_broker_t *broker);
/* Where the inner socket of a pool of this machine lies; false: nobody has this address. */
bool xo_broker_find_inner(const xo_broker_t *broker, const char *address, char path[XO_PATH_BYTES]);
/* What was lent over this link is free again. */
void xo_broker_loan_unlinked(xo_broker_t *broker, const xo_link_t *link, const xo_error_t *why);

/* ---- doors.c ---- */
/* The pool's record is written, or removed: with it the way through the node's port, if it has a
 * port of its own besides. */
void xo_doors_publish(xo_broker_t *broker, const xo_member_t *member);
void xo_doors_remove(xo_broker_t *broker, const xo_member_t *member);
/* Answers pool.why about the address of a pool of another node. */
void xo_doors_tell(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t address);
/* For the endpoint. */
bool xo_doors_absent(xo_endpoint_t *endpoint, xo_link_t *link, const char *address, void *arg);

/* ---- outlet.c ---- */
/* `first` of the node's places behind another node's port. */
xo_outlet_t *xo_outlet_create(xo_broker_t *broker, const xo_address_t *first, xo_error_t *err);
void xo_outlet_destroy(xo_outlet_t *outlet); /* takes NULL */
void xo_outlet_unlinked(xo_outlet_t *outlet, const xo_link_t *link, const xo_error_t *why);

/* ---- events.c ---- */
void xo_broker_event_written(xo_broker_t *broker); /* who waits for one looks */

/* ---- recover.c ---- */
/* A pool's process has ended: those of its actors that have a spec recover, the others are gone. */
void xo_broker_actors_away(xo_broker_t *broker, xo_member_t *member, const char *reason);
/* The same where that was put off, until it was known what creates them. */
void xo_broker_decide_away(xo_broker_t *broker, xo_member_t *member);
/* A pool has joined (again): creates its actors again if it was away, and drops those that are not
 * there when that is done. */
void xo_broker_recover(xo_broker_t *broker, xo_member_t *member);
/* Ends what is under way for it; before it is freed. */
void xo_broker_recovery_detach(xo_member_t *member);
/* Is it its pool's still, or has another taken over? */
bool xo_broker_recovery_is_current(const xo_recovery_t *recovery);
/* An actor of it was created, or will not be in the course of it. It may be gone afterwards. */
void xo_broker_recovery_one_less(xo_recovery_t *recovery, bool made);
int64_t xo_broker_recovery_moved(const xo_recovery_t *recovery); /* when that was last */
/* What its policy makes of the end of its process, or of a creation that failed and took this long,
 * and remembers. */
xo_decision_t xo_broker_actor_ended(xo_broker_t *broker, xo_actor_entry_t *entry, xo_end_t end,
                                    int64_t took_ns);
void xo_broker_forgive_actor(xo_actor_entry_t *entry); /* nothing of that counts any more */
/* Takes the spec over. If it is the first that is known of the actor, what a last broker remembered
 * of its restarts counts. */
void xo_broker_set_spec(const xo_broker_t *broker, xo_actor_entry_t *entry, xo_actor_spec_t *spec);
/* Says so if nothing is known of what creates it. */
void xo_broker_check_spec(xo_broker_t *broker, xo_actor_entry_t *entry);
/* Keeps what "actor.up" told in its fifth argument. -1: it is malformed. */
int xo_broker_take_spec(xo_broker_t *broker, xo_actor_entry_t *entry, xo_slice_t told,
                        const xo_msg_t *from, xo_error_t *err);

/* Tells the registry the specs that it does not know yet. */
void xo_broker_save_specs(xo_broker_t *broker);

/* ---- again.c ---- */
/* Creates an actor again that is recovering, in a pool with a link, as a part of `recovery` (NULL:
 * alone). -1: no answer is waited for. Further tries follow by themselves, as its policy says. */
int xo_broker_create_again(xo_broker_t *broker, xo_recovery_t *recovery, xo_actor_entry_t *entry);
/* The same for one that comes from another node: now, or with its pool if that is not there. */
void xo_broker_create_moved(xo_broker_t *broker, xo_actor_entry_t *entry);
/* The same for a group's member, with this mark. What comes of it is told to its group, if that
 * still waits for this step; until then it is as returned. NULL: none has begun. */
xo_creation_t *xo_broker_create_seat(xo_broker_t *broker, const xo_actor_entry_t *entry,
                                     uint64_t step, uint64_t mark);
/* Its group has no use for it any more; `limits`: and limits how long that takes. */
void xo_broker_cancel_seat(xo_creation_t *creation, bool limits);
/* Tries once to create an actor that has failed, in a pool with a link, and answers `ask`. */
void xo_broker_revive_actor(xo_broker_t *broker, xo_ask_t *ask, xo_actor_entry_t *entry);
/* Nothing of it is on its way to its pool. */
bool xo_broker_creation_waits(const xo_broker_t *broker, const xo_actor_entry_t *entry);
void xo_broker_creations_end(xo_broker_t *broker);

/* A pool is there (again), or has failed: those that wait for it are tried at once. */
void xo_broker_creations_hurry(xo_broker_t *broker, const xo_member_t *member);

/* ---- depends.c ---- */
/* It says nothing about the actor: the link or the process is gone, which has consequences for a
 * recovery as a whole, or somebody else is creating it, or nobody has yet. */
bool xo_depends_is_neutral(const xo_actor_entry_t *entry, const xo_failure_t *failure);
/* Did it fail since it did not reach somebody whom it needs, mostly a pool, and may that come
 * (back)? Then says so, once, and the actor is to be tried again after *delay_ns, which does not
 * count. `text`: the failure, for people. */
bool xo_depends_waits(xo_broker_t *broker, xo_actor_entry_t *entry, const xo_failure_t *failure,
                      const char *text, int64_t *delay_ns);
void xo_depends_forget(xo_actor_entry_t *entry);
/* Does it wait for this pool? */
bool xo_depends_is_for(const xo_actor_entry_t *entry, const xo_member_t *member);

/* ---- reload.c ---- */
/* Adds the actors of all pools to the directory, with their specs, as the registry knows them.
 * Calls `done` once, unless the broker ends before. -1: ENOMEM. */
int xo_broker_reload(xo_broker_t *broker, void (*done)(xo_broker_t *broker), xo_error_t *err);
/* Asks for the specs that the registry could not give before, if it is there. */
void xo_broker_reload_specs(xo_broker_t *broker);
/* Not all specs that the registry has have been read yet. */
bool xo_broker_awaits_specs(const xo_broker_t *broker);
/* The same, and this actor's may be one of them. */
bool xo_broker_awaits_spec(const xo_broker_t *broker, const xo_actor_entry_t *entry);
/* The same, and it is being asked for: within a bound it is known. */
bool xo_broker_asks_spec(const xo_broker_t *broker, const xo_actor_entry_t *entry);

/* ---- barrier.c ---- */
/* What a pool tells is under way for a moment: a pool that does not answer for longer than this is
 * busy, and what it told before has come. */
#define XO_BARRIER_HIT_MS 100
/* That an actor is nowhere is worth a longer wait. */
#define XO_BARRIER_MISS_MS 1000
/* Calls `done` once, when all that the pools with an actor `uid` (empty: all pools) have told by
 * now has arrived; a pool that does not answer holds it up for `bound_ms` at most. False: there is
 * none to wait for, and `done` is not called. */
bool xo_broker_barrier(xo_broker_t *broker, xo_slice_t uid, uint32_t bound_ms,
                       void (*done)(void *arg), void *arg);

/* ---- places.c ---- */
void xo_broker_places_tick(xo_broker_t *broker); /* each heartbeat */

/* ---- names.c ---- */
/* An actor with this uid, which may be a name, is there, or has gone. */
void xo_names_keep(xo_broker_t *broker, xo_actor_entry_t *entry);
void xo_names_drop(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid);
/* The pool has a new process, or a new link, or is gone: it does not create anything now. */
void xo_names_review(xo_broker_t *broker, xo_member_t *member);
/* The registry has given the name to this node, with an actor that moves to this pool. -1: ENOMEM.
 */
int xo_names_claimed(xo_broker_t *broker, xo_member_t *member, xo_slice_t uid);
/* An actor of this node has it, in whichever pool. */
bool xo_names_has(const xo_broker_t *broker, xo_slice_t uid);
/* Another has got its name: it has been told to end. */
bool xo_names_has_lost(const xo_broker_t *broker, const xo_actor_entry_t *entry);
/* An actor with the placement "any" does nothing from now on. */
void xo_names_fence(xo_broker_t *broker, const xo_actor_entry_t *entry);
void xo_names_publish(xo_broker_t *broker); /* those that are in doubt, or waited for */
/* Another node may have got them meanwhile: all are written again. */
void xo_names_doubt(xo_broker_t *broker);
void xo_names_leased(xo_broker_t *broker); /* the node has its lease for longer */
void xo_names_destroy(xo_broker_t *broker);

/* ---- insist.c ---- */
/* The registry is told that this node does not have the name, until it has heard. */
void xo_insist_name(xo_broker_t *broker, xo_slice_t uid);
/* The same that the actor is nobody's, as its record says; and what creates it again, should the
 * registry have lost that (NULL: it is not known here). Both are copied. */
void xo_insist_actor(xo_broker_t *broker, const xo_record_t *record, const xo_actor_spec_t *spec);
/* No more: it is taken again, or here again. */
void xo_insist_keep_name(xo_broker_t *broker, xo_slice_t uid);
void xo_insist_keep_actor(xo_broker_t *broker, const char *id);
bool xo_insist_has_actor(xo_broker_t *broker, const char *id); /* it has not heard yet */
void xo_insist_tick(xo_broker_t *broker);                      /* each heartbeat */
void xo_insist_destroy(xo_broker_t *broker);                   /* after the registry */

/* ---- moves.c ---- */
xo_moves_t *xo_moves_create(xo_broker_t *broker); /* NULL: ENOMEM */
void xo_moves_destroy(xo_moves_t *moves);         /* after the registry. Takes NULL */
void xo_moves_tick(xo_broker_t *broker);          /* each heartbeat: takes over what is to be had */
/* One that its pool's process cannot create leaves again. */
void xo_moves_unfit(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason);

/* ---- leave.c ---- */
/* May it be left to others? And now, while the registry is there? */
bool xo_leave_may(const xo_broker_t *broker, const xo_actor_entry_t *entry);
bool xo_leave_may_now(const xo_broker_t *broker, const xo_actor_entry_t *entry);
/* It ends here, and is to be had: another node creates it again. The entry is gone afterwards. */
void xo_leave_actor(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason);
/* That of an actor that the registry says is this node's, though it is not here: it is to be had.
 * Not if it is here. */
void xo_leave_stray(xo_broker_t *broker, const xo_record_t *record);

/* ---- reap.c ---- */
void xo_reap_init(xo_broker_t *broker);
void xo_reap_tick(xo_broker_t *broker);
void xo_reap_stop(xo_broker_t *broker);

/* ---- twins.c ---- */
void xo_twins_init(xo_broker_t *broker);
/* The node's record says this address ("": none). If another's does, that is said, a little later.
 */
void xo_twins_published(xo_broker_t *broker, const char *address);
void xo_twins_stop(xo_broker_t *broker);

/* ---- astray.c ---- */
/* Whether the registry goes on saying that the actor with this record ("UID@POOL") is here is
 * looked after. Without memory it is not. */
void xo_astray_add(xo_broker_t *broker, const char *id);
void xo_astray_inherit(xo_broker_t *broker, const char *id);   /* it may be, if a pool says so */
bool xo_astray_has(const xo_broker_t *broker, const char *id); /* then nobody has ended it */
void xo_astray_forget(xo_broker_t *broker, const char *id);    /* it is made anew */
void xo_astray_tick(xo_broker_t *broker);    /* each heartbeat, while there is a registry */
void xo_astray_destroy(xo_broker_t *broker); /* after the registry */

/* ---- wait.c ---- */
/* Answers when the pool is up with its actors, or will not be. */
void xo_broker_await_pool(xo_broker_t *broker, xo_ask_t *ask, xo_member_t *member);
void xo_broker_waits_on_fact(xo_broker_t *broker, const xo_member_t *member, xo_fact_t fact,
                             const char *reason);

/* ---- methods.c ---- */
/* A call or tell for xo.broker. Ends the ask, now or later. */
void xo_broker_dispatch(xo_broker_t *broker, xo_ask_t *ask);

typedef void (*xo_broker_method_f)(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
/* The pool of this node that asks, or the uid in [uid, ...]. NULL, -1: the ask has been refused. */
xo_member_t *xo_broker_need_pool(xo_broker_t *broker, xo_ask_t *ask);
int xo_broker_need_uid(xo_ask_t *ask, xo_slice_t args, xo_slice_t *uid);
void xo_broker_refuse(xo_ask_t *ask, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* names the method */
void xo_broker_list_nodes(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_list_pools(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_list_actors(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_list_events(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_letters(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_lookup(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_pool_start(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_pool_stop(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_pool_wait(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_pool_kill(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_name_take(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_name_free(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_node_drain(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_place_take(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_place_free(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_revive(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_group_create(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_group_stop(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_list_groups(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
/* Brings back a root group that has failed, and answers `ask`. */
void xo_broker_revive_group(xo_ask_t *ask, xo_group_t *group);
void xo_broker_relay(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_port_lend(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);
void xo_broker_port_fetch(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args);

#endif
