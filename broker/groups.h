/* groups.h - groups of actors that are restarted together, in an order (doc/design.md, section 7).
 *
 * A group is a name on this node. Its members have *seats*, in the order in which they came: an
 * actor's, or that of another group. A restart stops seats from the last to the first and starts
 * them from the first to the last, one at a time. Where a seat is in that is its *phase*; nothing
 * else is remembered of a restart, so whatever happens meanwhile only changes phases.
 */
#ifndef XO_BROKER_GROUPS_H
#define XO_BROKER_GROUPS_H

#include "broker/ask.h"
#include "broker/directory.h"
#include "broker/log.h"
#include "broker/strategy.h"
#include "libxo/loop.h"

#define XO_GROUP_NAME_BYTES_MAX 64

typedef struct xo_broker xo_broker_t;
typedef struct xo_creation xo_creation_t; /* again.c */

typedef enum {
    XO_SEAT_UP,   /* its member runs, as it should */
    XO_SEAT_STOP, /* its member is to be stopped */
    XO_SEAT_DOWN  /* its member does not run, and is to be started */
} xo_phase_t;

struct xo_seat {
    xo_group_t *group;
    uint64_t order;
    xo_actor_entry_t *entry; /* the actor; NULL: a group */
    xo_group_t *child;
    xo_phase_t phase;
    bool failed; /* and its group has not decided yet what to do */
    xo_seat_t *prev, *next;
};

typedef enum {
    XO_GROUP_RUNNING,
    XO_GROUP_RESTARTING,
    XO_GROUP_FAILED,  /* given up: its members are stopped, and stay so */
    XO_GROUP_STOPPING /* it goes, with its members */
} xo_group_state_t;

struct xo_group {
    xo_broker_t *broker;
    char name[XO_GROUP_NAME_BYTES_MAX + 1];
    xo_strategy_t strategy;
    xo_policy_t policy;
    xo_policy_state_t history;
    int64_t decided_ns;                /* when its policy was last asked; 0: not yet */
    char recent[XO_POLICY_TEXT_BYTES]; /* the same, as its record has it */
    xo_seat_t *seat;                   /* its own, in its parent; NULL: it has none */
    xo_seat_t *seats;                  /* in their order */
    size_t count;
    uint64_t last_order;
    xo_group_state_t state;
    bool held; /* its parent wants it down */
    char reason[XO_ERROR_TEXT_BYTES];
    uint64_t restarts;
    int64_t failed_since; /* Unix seconds; 0: it has not failed */
    uint64_t step;        /* the request under way, to `stepping`; 0: none */
    xo_seat_t *stepping;
    bool awaits_link;        /* of the pool of `stepping`, or what it says then */
    uint64_t mark;           /* of what is caused by the creation under way; 0: none is */
    xo_creation_t *creation; /* that is the step under way; NULL: it is none */
    bool turn;               /* somebody has been told to have it */
    xo_timer_t pause;        /* while it runs nothing is started */
    xo_timer_t limit;        /* when it ends, what did not stop in time is killed */
    xo_defer_t wake;         /* looks what is to be done next */
    xo_ask_t *ask;           /* who waits for it to be up, or gone; NULL: nobody */
    xo_group_t *prev, *next;
};

const char *xo_group_state_name(xo_group_state_t state);

/* ---- groups.c: which there are ---- */
xo_group_t *xo_group_find(const xo_broker_t *broker, xo_slice_t name);
/* NULL: EINVAL, the name cannot be; ENOMEM. */
xo_group_t *xo_group_create(xo_broker_t *broker, xo_slice_t name, xo_error_t *err);
/* It takes a seat in `parent`; `order` 0: the last one. -1: ENOMEM. */
int xo_group_attach(xo_group_t *group, xo_group_t *parent, uint64_t order);
/* Without its members, which must be gone; it leaves its parent. */
void xo_group_destroy(xo_group_t *group);
void xo_groups_end(xo_broker_t *broker);
xo_group_t *xo_group_root(xo_group_t *group);
/* A pool of its actors, and of those of the groups in it, that has failed. NULL: none has. */
const xo_member_t *xo_group_failed_pool(const xo_group_t *group);
/* The actor takes a seat in the group that its spec names, if that names one. -1: ENOENT, no such
 * group; EBUSY, it has failed, or is being stopped; ENOMEM. */
int xo_group_join(xo_broker_t *broker, xo_actor_entry_t *entry, xo_error_t *err);
/* The same, whatever state the group is in: it was there before. */
void xo_group_rejoin(xo_broker_t *broker, xo_actor_entry_t *entry);
void xo_seat_leave(xo_seat_t *seat);
/* The group's record (doc/wire.md). Valid as long as the group does not change. */
void xo_group_record(const xo_group_t *group, xo_rec_t *rec);

/* Whose end those that stop wait for, for a sentence. */
void xo_groups_awaited(const xo_broker_t *broker, char *text, size_t size);

/* ---- group_reload.c: those that a killed broker has left ---- */
/* Adds the groups of this node among the records. */
void xo_groups_reload(xo_broker_t *broker, const xo_record_t *records, size_t count);
/* Their members are there, too. */
void xo_groups_reloaded(xo_broker_t *broker);

/* ---- group_fail.c: what is to be stopped, and to be started ---- */
/* Why a member has ended, as its pool says it: it comes back; it does not. */
#define XO_GROUP_STOPS "stopped by its group"
#define XO_GROUP_ENDS "its group was stopped"
/* Goes on with the restarts that the last broker has written down; with none. */
void xo_group_remember(xo_group_t *group, xo_slice_t recent);
void xo_group_forget(xo_group_t *group);
/* An event for the stream, and a line in the log. `reason` may be NULL. */
void xo_group_note(const xo_group_t *group, xo_log_level_t level, const char *type,
                   const char *reason);
void xo_group_set_state(xo_group_t *group, xo_group_state_t state, const char *reason);
/* To who waits for it. `why` NULL: it is up, or gone, as wanted. */
void xo_group_answer(xo_group_t *group, const char *why);
bool xo_group_is_held(const xo_group_t *group); /* somebody above wants it down */
/* It is to be stopped, and what is begun in it does not go on. */
void xo_seat_mark(xo_seat_t *seat);
/* What its group stops is started again, unless it is temporary. */
bool xo_seat_comes_back(const xo_seat_t *seat);
/* Has the actor that ended for this reason been stopped by its group, and comes back? */
bool xo_seat_was_stopped(const xo_seat_t *seat, xo_slice_t reason);
/* What happened to an actor: it runs; it does not, as it should be; it has failed. The latter two
 * may remove the seat. */
void xo_seat_is_up(xo_seat_t *seat);
void xo_seat_is_down(xo_seat_t *seat);
void xo_seat_is_lost(xo_seat_t *seat);
/* It did not stop in time, in a process that is not ours to end: without it no restart is whole, so
 * its group fails. The seat may be gone afterwards. */
void xo_seat_is_stuck(xo_seat_t *seat);
/* Has the actor, which has been given up so, ended after all, for this reason? */
bool xo_seat_was_stuck(const xo_seat_t *seat, xo_slice_t reason);
/* Each group with seats that are lost decides, once. */
void xo_groups_decide(xo_broker_t *broker, xo_end_t end, const char *reason);
/* It could not be started. */
void xo_group_start_failed(xo_seat_t *seat, const char *reason);
/* It has failed, with all above and below it. */
void xo_group_fail(xo_group_t *group, const char *reason);
/* Its settings are complete: says that it is there. */
void xo_group_created(xo_group_t *group);
/* Of a root that has failed: all that is in it starts anew. */
void xo_group_revive(xo_group_t *root);
/* It goes, with its members, in their reverse order. */
void xo_group_stop(xo_group_t *group);
void xo_groups_stop(xo_broker_t *broker); /* all, side by side */

/* ---- group_run.c: stops and starts it ---- */
void xo_group_init_run(xo_group_t *group);
void xo_group_end_run(xo_group_t *group);
void xo_group_wake(xo_group_t *group); /* looks what is to be done next */
void xo_groups_wake_pool(const xo_member_t *member);
/* To a pool that has come: whose turn it is. */
void xo_groups_tell_turns(const xo_broker_t *broker, const xo_member_t *to);
/* The seat to which the step of this number is under way. NULL: it has come to nothing. */
xo_seat_t *xo_group_step(const xo_broker_t *broker, uint64_t step);
void xo_group_end_step(xo_seat_t *seat); /* its answer is there, or does not matter any more */
/* A creation under way is not wanted any more, and cancelled. It has as long as it would have had:
 * it may be busy with what it begins with. */
void xo_group_cancel_creation(xo_group_t *group);
/* The same for good: it has as long as its actor would have to stop. */
void xo_group_cut_creation(xo_group_t *group);
void xo_group_try_later(xo_seat_t *seat, int64_t delay_ns); /* 0: after a moment */
/* A pool is there (again), or has failed: members that wait for it are tried at once. */
void xo_groups_hurry(xo_broker_t *broker, const xo_member_t *member);

#endif
