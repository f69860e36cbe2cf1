/* supervisor_impl.h - what the files of the supervisor share; nobody else includes it.
 *
 * supervisor.c   processes: started, ended, started again, stopped
 * membership.c   links: who may join, who is there, who is silent
 */
#ifndef XO_BROKER_SUPERVISOR_IMPL_H
#define XO_BROKER_SUPERVISOR_IMPL_H

#include "broker/process.h"
#include "broker/supervisor.h"

struct xo_waiter {
    xo_supervisor_done_f done;
    void *arg;
    bool for_stop; /* waits for its end, otherwise for it to be ready */
    struct xo_waiter *prev, *next;
};

/* How a pool that we started is run. */
struct xo_run {
    xo_member_t *member;
    xo_pool_spec_t *spec;
    xo_process_t *process; /* NULL: none now */
    xo_policy_state_t history;
    bool keep;
    bool was_ready;                  /* in any generation */
    bool asked_to_die;               /* by xo_supervisor_kill */
    char cause[XO_ERROR_TEXT_BYTES]; /* why we are killing it; "": we are not */
    off_t output_start;
};

struct xo_supervisor {
    xo_loop_t *loop;
    xo_pools_t *pools;
    xo_supervisor_options_t options;
    xo_supervisor_events_t events;
    void *arg;
    bool stopping;
    size_t processes;
    xo_timer_t tick;
    xo_timer_t limit;
};

void xo_supervisor_tell(xo_supervisor_t *supervisor, xo_member_t *member, xo_fact_t fact,
                        const char *reason);
/* The process is gone: forgets its link and tells. */
void xo_supervisor_mark_down(xo_supervisor_t *supervisor, xo_member_t *member, const char *reason);
/* For good; frees the member. */
void xo_supervisor_remove(xo_supervisor_t *supervisor, xo_member_t *member, const char *reason);
/* Calls those who wait for the pool to be ready, or to stop. */
void xo_member_wake(xo_member_t *member, bool for_stop, const xo_error_t *why);
/* Adds one of ours to the table. NULL: ENOMEM. */
xo_member_t *xo_supervisor_add(xo_supervisor_t *supervisor, uint64_t id);
void xo_supervisor_tick(xo_timer_t *timer, void *arg); /* each heartbeat: who is silent? */

#endif
