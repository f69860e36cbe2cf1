/* supervisor_impl.h - what the files of the supervisor share; nobody else includes it.
 *
 * supervisor.c   processes: started, ended, started again, stopped
 * membership.c   links: who may join, who is there, who is silent
 * ends.c         how a process ended, and what it left behind
 * restart.c      what its policy makes of the end of a process
 * spare.c        processes that have started already, for the next pools that need one
 * stall.c        what a loop does that stands still
 * waiters.c      those who wait for a pool
 * runs.c         what a next broker must know
 * takeover.c     what the last one left
 */
#ifndef XO_BROKER_SUPERVISOR_IMPL_H
#define XO_BROKER_SUPERVISOR_IMPL_H

#include "broker/cgroup.h"
#include "broker/gpu.h"
#include "broker/oom_killer.h"
#include "broker/process.h"
#include "broker/supervisor.h"
#include "broker/sweep.h"

struct xo_waiter {
    xo_supervisor_done_f done;
    void *arg;
    bool for_stop; /* waits for its end, otherwise for it to be ready */
    struct xo_waiter *prev, *next;
};

/* A process may run more pools than the one that it was started as. They join by themselves, are
 * known by their id, which is that of the first plus 1, 2, ... (xo-pool's crew gives them so), and
 * share its fate. */
#define XO_SIBLINGS_MAX 255

/* How the process of a pool that we started is run. */
struct xo_run {
    xo_member_t *member; /* the first of its pools */
    xo_pool_spec_t *spec;
    xo_process_t *process; /* NULL: none now */
    pid_t left_pid;        /* of the process that the last broker left; 0: none, or taken over */
    int64_t left_started;  /* xo_proc_started of that */
    pid_t dead_pid;        /* of the last one that ended; 0: none has */
    uint64_t spare_id;     /* what its process was marked with as a spare; 0: it was none */
    xo_gpu_wait_t *gpu;    /* its memory is waited for; NULL: it is not */
    xo_policy_state_t history;
    bool keep;
    bool unsaved;                    /* its file does not say what is the case (runs.h) */
    bool was_ready;                  /* in any generation */
    bool asked_to_die;               /* by xo_supervisor_kill */
    char cause[XO_ERROR_TEXT_BYTES]; /* why we are killing it; "": we are not */
    off_t output_start;
};

/* A process that waits to become a pool, with all that a pool imports: to start an interpreter
 * takes most of the time in which a pool comes back. It waits for the environment of the pool on
 * its standard input, as "NAME=VALUE" texts with a NUL behind each, up to the end of what it reads;
 * nothing at all is the broker's end, and its own. Until then it is no pool to anybody. What it
 * starts is marked with its own id, then with the pool's, and its cgroup has its own. */
#define XO_SPARE_GENERATION 0 /* pools have theirs from 1 */

typedef struct xo_spare {
    xo_process_t *process;
    xo_pool_spec_t *spec; /* what it was started as */
    uint64_t id;
    int input; /* where it waits for what we write */
} xo_spare_t;

/* One takes longer to start than a pool to come back with one. So with two, who dies twice in a row
 * is back as soon each time; who dies once more waits for the backoff meanwhile. */
#define XO_SPARES 2

typedef struct xo_spares {
    xo_spare_t list[XO_SPARES]; /* the oldest first */
    size_t count;
    xo_timer_t timer;
    uint64_t pool_id; /* the pool for which they are to be started */
} xo_spares_t;

struct xo_supervisor {
    xo_loop_t *loop;
    xo_pools_t *pools;
    xo_supervisor_options_t options;
    xo_supervisor_events_t events;
    void *arg;
    bool closed; /* it starts nothing any more */
    bool stopping;
    size_t processes;
    xo_timer_t tick;
    xo_timer_t limit;
    xo_oom_killer_t oom_killer;
    xo_cgroup_t cgroup;
    xo_spares_t spares;
    xo_timer_t sweep;
    xo_swept_t *dead; /* whose leavings are to be ended */
    size_t dead_count;
};

/* Starts its process; what if that fails, its policy says. */
void xo_run_launch(xo_run_t *run);
/* The same once the memory of GPUs that the last process had is free. */
void xo_run_relaunch(xo_run_t *run);
/* Its process is gone: tells it of all its pools, and does what the policy says. The run may be
 * gone when this returns. */
void xo_run_ended(xo_run_t *run, xo_end_t end, const char *reason);
void xo_run_on_ended(xo_process_t *process, int status, void *arg); /* of a run's process */

void xo_supervisor_tell(xo_supervisor_t *supervisor, xo_member_t *member, xo_fact_t fact,
                        const char *reason);
/* The process is gone: forgets its link and tells. */
void xo_supervisor_mark_down(xo_supervisor_t *supervisor, xo_member_t *member, const char *reason);
/* For good; frees the member. Siblings go before the first of their process. */
void xo_supervisor_remove(xo_supervisor_t *supervisor, xo_member_t *member, const char *reason);
/* All pools of the process; the run is gone when this returns. */
void xo_run_remove_pools(xo_run_t *run, const char *reason);
/* Its process ended by itself, or could not be started. The run may be gone when this returns. */
void xo_run_follow_policy(xo_run_t *run, xo_end_t end, const char *reason);
/* Is it the first pool of a process of ours? */
bool xo_member_leads(const xo_member_t *member);
/* The next of its process's pools, in the order in which they came; from the first. NULL: none. */
xo_member_t *xo_member_sibling(const xo_member_t *member);
/* The process of ours to which a pool with this id belongs, or would. NULL: none. */
xo_run_t *xo_supervisor_run_of(const xo_supervisor_t *supervisor, uint64_t pool_id);
/* Calls `done` (NULL: nobody waits) once, by xo_member_wake, when the pool is ready, or has
 * stopped. -1: ENOMEM. */
int xo_member_await(xo_member_t *member, bool for_stop, xo_supervisor_done_f done, void *arg);
void xo_member_forget(xo_member_t *member, const void *arg); /* who waits with it; NULL: all */
/* Calls those who wait for the pool to be ready, or to stop. */
void xo_member_wake(xo_member_t *member, bool for_stop, const xo_error_t *why);
/* Adds one of ours to the table. NULL: ENOMEM. */
xo_member_t *xo_supervisor_add(xo_supervisor_t *supervisor, uint64_t id);
/* It is to be ready in time, which counts from starting_ns; 0: from now. */
void xo_member_limit_start(xo_member_t *member);
/* Warns of a hang_timeout_ms that is shorter than a loop can be known to stand still. */
void xo_member_check_hang_timeout(const xo_member_t *member);
/* Kills its process, for this trouble of the pool. */
void xo_member_kill_because(xo_member_t *member, const char *trouble);

/* ---- ends.c ---- */
/* waitpid's, or what its first pool had said that it would be; before it is marked as down. */
int xo_run_exit_status(const xo_run_t *run, int status);
/* What it said as it ended before it was ready, to us or to its file of output; "" if nothing, or
 * asked before. */
void xo_run_last_words(const xo_run_t *run, char text[XO_ERROR_TEXT_BYTES]);
/* Why it ended, for people; before it is marked as down. */
void xo_run_explain_end(const xo_run_t *run, int status, char *text, size_t size);
/* What this process of ours had started and that left its group is ended, now or soon. */
void xo_run_sweep(const xo_run_t *run);
void xo_supervisor_sweep(xo_timer_t *timer, void *arg);
/* The same at once for all processes of the node. */
void xo_supervisor_sweep_all(xo_supervisor_t *supervisor);

/* ---- spare.c ---- */
void xo_spare_init(xo_supervisor_t *supervisor);
/* A spare, told to become this run's process with these "NAME=VALUE" (ends with NULL). NULL: there
 * is none that is what the spec starts. */
xo_process_t *xo_spare_take(xo_run_t *run, const char *const *env);
/* A process of the run has started: spares for the next ones follow. */
void xo_spare_prepare(const xo_run_t *run);
/* A run is gone: so are the spares that were for nobody else. */
void xo_spare_review(xo_supervisor_t *supervisor);
void xo_spare_end(xo_supervisor_t *supervisor); /* all, and starts none any more */

/* ---- stall.c ---- */
/* A heartbeat has said where its progress page is. */
void xo_member_watch(xo_member_t *member);
/* Has its loop moved, also without a heartbeat? Then moved_ns is set anew. */
void xo_member_check_progress(xo_member_t *member, int64_t now_ns);
/* Its process lives, and its loop is busy or stopped, as far as can be seen: one that could link
 * again would sleep between two tries. Of what was looked at last. */
bool xo_member_is_held_up(const xo_member_t *member);
/* What the loop is in, for a sentence: `, in method "a" of actor "b"`; "": not known. */
void xo_member_describe_stall(const xo_member_t *member, char *text, size_t size);

void xo_supervisor_tick(xo_timer_t *timer, void *arg); /* each heartbeat: who is silent? */

#endif
