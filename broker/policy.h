/* policy.h - what to do when a pool's process ended: a pure function of settings, history and time.
 *
 * The first restart in a row is at once. The next ones wait for a backoff that doubles with each,
 * with jitter so that many do not come back at the same instant ("Exponential Backoff And Jitter",
 * AWS Architecture Blog, "equal jitter": between half of it and all of it). Intensity and period
 * are those of Erlang's supervisors (OTP Design Principles, "Maximum Restart Intensity"): more
 * restarts than `intensity` within `period_ns` give up.
 */
#ifndef XO_BROKER_POLICY_H
#define XO_BROKER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "libxo/error.h"

typedef enum {
    XO_RESTART_PERMANENT, /* always */
    XO_RESTART_TRANSIENT, /* unless it ended with exit status 0 */
    XO_RESTART_TEMPORARY  /* never */
} xo_restart_t;

#define XO_INTENSITY_MAX 64

typedef struct xo_policy {
    xo_restart_t restart;
    unsigned intensity; /* restarts within period_ns that are fine; at most XO_INTENSITY_MAX */
    int64_t period_ns;
    int64_t backoff_ns;     /* before the second restart in a row; the first is at once */
    int64_t backoff_max_ns; /* where doubling ends */
} xo_policy_t;

/* What the policy remembers of one pool. Zero-initialise. */
typedef struct xo_policy_state {
    int64_t restarts_ns[XO_INTENSITY_MAX]; /* a ring: when the latest restarts were decided */
    unsigned next;                         /* where in the ring the next one goes */
    unsigned count;                        /* how many are in it */
    unsigned streak;                       /* restarts in a row, without a quiet period between */
} xo_policy_state_t;

typedef enum {
    XO_DECIDE_REMOVE,  /* it is gone for good, as it should be */
    XO_DECIDE_RESTART, /* after delay_ns */
    XO_DECIDE_FAIL     /* give up */
} xo_decide_t;

typedef struct xo_decision {
    xo_decide_t action;
    int64_t delay_ns;
} xo_decision_t;

/* 5 restarts in 60 s, 20 ms doubling to 5 s, permanent. */
xo_policy_t xo_policy_default(void);
/* "permanent", "transient", "temporary"; EINVAL names the text. */
int xo_restart_parse(const char *text, xo_restart_t *restart, xo_error_t *err);
const char *xo_restart_name(xo_restart_t restart);

/* The process ended at now_ns; `normal`: with exit status 0. `random`: any 32 bits, for the jitter.
 */
xo_decision_t xo_policy_ended(const xo_policy_t *policy, xo_policy_state_t *state, bool normal,
                              int64_t now_ns, uint32_t random);

#endif
