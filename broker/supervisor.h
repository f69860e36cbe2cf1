/* supervisor.h - starts the node's pools, waits until each has said that it is ready, restarts
 * those that die as their policy says, and stops them.
 *
 * A pool that the broker did not start joins by its hello and goes with its link. So does one more
 * pool of a process that it did start, but that one stays with the process: they go down together,
 * for the same reason, and come back together, each with its id, index and address.
 */
#ifndef XO_BROKER_SUPERVISOR_H
#define XO_BROKER_SUPERVISOR_H

#include <sys/types.h>

#include "broker/log.h"
#include "broker/pools.h"
#include "broker/spec.h"

/* What happened to a pool. */
typedef enum {
    XO_FACT_START,     /* its process was started */
    XO_FACT_UP,        /* it is there: ready, or recovering if it is `away` */
    XO_FACT_RECOVERED, /* ready again */
    XO_FACT_TCP_ONLY,  /* it is there, but near ones reach it by tcp only */
    XO_FACT_SUSPECT,   /* it is silent: its loop stands still, or its link is lost */
    XO_FACT_ALIVE,     /* it was suspect, and is not any more */
    XO_FACT_STATE,     /* its state changed, no more */
    XO_FACT_DOWN, /* its process (member->endpoint, if it ever was ready) ended; `reason` says how
                   */
    XO_FACT_RESTART,  /* it will be started again */
    XO_FACT_GPU_BUSY, /* but waits for memory of its GPUs, or has waited in vain */
    XO_FACT_FAILED,   /* given up */
    XO_FACT_GONE      /* for good: the member is freed when this returns */
} xo_fact_t;

typedef struct xo_supervisor_events {
    void (*fact)(xo_supervisor_t *supervisor, xo_member_t *member, xo_fact_t fact,
                 const char *reason, void *arg);
    /* Asks a pool that is not ours to end. */
    void (*ask_to_end)(xo_supervisor_t *supervisor, xo_member_t *member, void *arg);
    /* After xo_supervisor_stop: no process of ours is left. Once; may be called from within it. */
    void (*stopped)(xo_supervisor_t *supervisor, void *arg);
} xo_supervisor_events_t;

typedef struct xo_supervisor_options {
    const char *cluster;
    const char *run_dir; /* $XO_RUN_DIR for the pools */
    const char *broker;  /* the lane endpoint that they dial */
    const char *port;    /* $XO_PORT for the pools; NULL: none */
    const char *dir;     /* where a next broker finds them; NULL: nowhere */
    pid_t owner;         /* whose end they do not survive; 0: nobody's */
    uint32_t heartbeat_ms;
    int64_t hang_ms;     /* of pools whose spec says nothing; 0: they are left alone */
    int64_t gpu_free_ms; /* how long a restart waits for memory of GPUs; 0: not at all */
    const xo_log_t *log;
} xo_supervisor_options_t;

/* `pools`, and what the options point to, must outlive it. */
xo_supervisor_t *xo_supervisor_create(xo_loop_t *loop, xo_pools_t *pools,
                                      const xo_supervisor_options_t *options,
                                      const xo_supervisor_events_t *events, void *arg,
                                      xo_error_t *err);
/* Kills what is left. Waiters are not called. Takes NULL. */
void xo_supervisor_destroy(xo_supervisor_t *supervisor);

/* `why` NULL: it is ready, or gone, as was wanted; else that did not happen, and why. */
typedef void (*xo_supervisor_done_f)(xo_member_t *member, const xo_error_t *why, void *arg);

/* Adds the pools that the last broker left in the directory; nothing happens to them yet. */
void xo_supervisor_find(xo_supervisor_t *supervisor);
/* Goes on with them: watches those that live, which link by themselves, and does with the others
 * what their policy says. */
void xo_supervisor_take_over(xo_supervisor_t *supervisor);
/* Adds a pool that the last broker had not started, and which may link again by itself; if it does
 * not for some time, it goes. NULL: ENOMEM. */
xo_member_t *xo_supervisor_expect(xo_supervisor_t *supervisor, uint64_t id, xo_slice_t address);
/* Starts a pool. *spec is taken over when it succeeds. `keep`: its policy holds for the first start
 * too; otherwise a pool that has never been ready goes when its process ends. `done` (may be NULL)
 * is called once, when it is ready or has failed. -1: it could not be started (not if `keep`), the
 * index is taken, or the node stops (ESHUTDOWN). */
int xo_supervisor_start(xo_supervisor_t *supervisor, xo_pool_spec_t **spec, bool keep,
                        xo_supervisor_done_f done, void *arg, xo_error_t *err);
/* Stops a pool for good, and with it all pools of its process: SIGTERM, after timeout_ms SIGKILL
 * for its group. One that the broker did not start is asked, and not killed: ETIMEDOUT. */
void xo_supervisor_stop_pool(xo_supervisor_t *supervisor, xo_member_t *member, int64_t timeout_ms,
                             xo_supervisor_done_f done, void *arg);
/* Kills the process of a pool that it started, and with it all its pools, as if it had died by
 * itself, because of `cause`; what is asked for does not count against the pool's intensity. */
void xo_supervisor_kill(xo_member_t *member, const char *cause);
/* Starts a pool that has failed once more, and with it all pools of its process, as if it never had
 * died. False: it has not failed. */
bool xo_supervisor_revive(xo_member_t *member);
/* A pool that was started again (member->away) has its actors again. */
void xo_supervisor_recovered(xo_supervisor_t *supervisor, xo_member_t *member);
/* Forgets every waiter with this arg. */
void xo_supervisor_forget(xo_supervisor_t *supervisor, const void *arg);
/* Starts nothing any more, nor again what ends from now on. */
void xo_supervisor_close(xo_supervisor_t *supervisor);
/* Stops all that it started, the youngest first, within limit_ms; starts nothing any more. */
void xo_supervisor_stop(xo_supervisor_t *supervisor, int64_t limit_ms);

/* ---- what the endpoint hears ---- */
/* May this pool join? -1 with the sentence that it is told. */
int xo_supervisor_admit(xo_supervisor_t *supervisor, const xo_identity_t *peer, xo_error_t *why);
void xo_supervisor_linked(xo_supervisor_t *supervisor, xo_link_t *link);
/* `other`: another one to the same pool; NULL: there is none. */
void xo_supervisor_unlinked(xo_supervisor_t *supervisor, xo_link_t *link, xo_link_t *other,
                            const xo_error_t *why);
void xo_supervisor_heartbeat(xo_supervisor_t *supervisor, xo_member_t *member, xo_slice_t body);

#endif
