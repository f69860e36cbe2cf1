/* policy.h - what to do when a pool's process ended, or an actor with it, or could not be created
 * again, and how long it may take to create it: a pure function of settings, history and time.
 *
 * The first restart in a row is at once. The next ones wait for a backoff that grows eightfold with
 * each, with jitter so that many do not come back at the same instant ("Exponential Backoff And
 * Jitter", AWS Architecture Blog, "equal jitter": between half of it and all of it). Intensity and
 * period are those of Erlang's supervisors (OTP Design Principles, "Maximum Restart Intensity"):
 * more restarts than `intensity` within `period_ns` give up.
 */
#ifndef XO_BROKER_POLICY_H
#define XO_BROKER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "libxo/pack.h"

typedef enum {
    XO_RESTART_PERMANENT, /* always */
    XO_RESTART_TRANSIENT, /* unless it ended with exit status 0 */
    XO_RESTART_TEMPORARY  /* never */
} xo_restart_t;

#define XO_INTENSITY_MAX 64
#define XO_POLICY_MS_MAX INT32_MAX /* period and backoffs */
#define XO_POLICY_TEXT_BYTES ((size_t)XO_INTENSITY_MAX * 21 + 1)

typedef struct xo_policy {
    xo_restart_t restart;
    unsigned intensity; /* restarts within period_ns that are fine; at most XO_INTENSITY_MAX */
    int64_t period_ns;
    int64_t backoff_ns;        /* before the second restart in a row; the first is at once */
    int64_t backoff_max_ns;    /* where growing ends */
    int64_t create_timeout_ns; /* how long it may take to create an actor again; 0: without limit */
} xo_policy_t;

/* What the policy remembers of one pool or actor. Zero-initialise. Who keeps very many may allocate
 * xo_policy_state_bytes of it only. */
typedef struct xo_policy_state {
    unsigned next;                         /* where in the ring the next one goes */
    unsigned count;                        /* how many are in it */
    unsigned streak;                       /* restarts in a row, without a quiet period between */
    int64_t restarts_ns[XO_INTENSITY_MAX]; /* a ring of `intensity`: when the latest were decided */
} xo_policy_state_t;

/* How a process ended. */
typedef enum {
    XO_END_FAILED,
    XO_END_NORMAL, /* with exit status 0 */
    XO_END_ASKED   /* somebody wanted it killed, and it is no fault of its own */
} xo_end_t;

typedef enum {
    XO_DECIDE_REMOVE,  /* it is gone for good, as it should be */
    XO_DECIDE_RESTART, /* after delay_ns */
    XO_DECIDE_FAIL     /* give up */
} xo_decide_t;

typedef struct xo_decision {
    xo_decide_t action;
    int64_t delay_ns;
} xo_decision_t;

/* 5 restarts in 60 s, 1 ms growing to 5 s, permanent, 5 min to create an actor. */
xo_policy_t xo_policy_default(void);
/* "permanent", "transient", "temporary"; EINVAL names the text. */
int xo_restart_parse(const char *text, xo_restart_t *restart, xo_error_t *err);
const char *xo_restart_name(xo_restart_t restart);

/* Sets one of restart, intensity, period_ms, backoff_ms, backoff_max_ms, create_timeout_ms from a
 * msgpack value. 0; -1: EINVAL, the value cannot be (the sentence names it); ENOENT: there is no
 * such key. */
int xo_policy_set(xo_policy_t *policy, xo_slice_t key, xo_reader_t *value, xo_error_t *err);
size_t xo_policy_state_bytes(const xo_policy_t *policy);

/* It ended at now_ns, or could not be created (XO_END_FAILED). What was asked for is no failure: it
 * is restarted at once, whatever the intensity, and not remembered. `random`: any 32 bits, for the
 * jitter. */
xo_decision_t xo_policy_ended(const xo_policy_t *policy, xo_policy_state_t *state, xo_end_t end,
                              int64_t now_ns, uint32_t random);
/* How long to wait before a try, after `streak` in a row: 0 for the first. */
int64_t xo_policy_backoff(const xo_policy_t *policy, unsigned streak, uint32_t random);
/* A try to create or to start it took that long, and failed: that time is no part of a period.
 * Tries that take as long as a period would have nothing before them otherwise, and never be given
 * up. */
void xo_policy_leave_out(xo_policy_state_t *state, int64_t took_ns);
/* How long this try to create it may take: create_timeout_ns, and up to an eighth more at random,
 * so that of two that wait for each other one is first. 0: without limit. */
int64_t xo_policy_create_limit(const xo_policy_t *policy, uint32_t random);
/* What is remembered, for whoever goes on with it by another clock: when the restarts were, the
 * oldest first, as milliseconds since 1970 with spaces between. now_ms: the same, at now_ns. */
void xo_policy_write(const xo_policy_t *policy, const xo_policy_state_t *state, int64_t now_ns,
                     int64_t now_ms, char text[XO_POLICY_TEXT_BYTES]);
/* Takes it from there; what is no such text is none. */
void xo_policy_read(const xo_policy_t *policy, xo_policy_state_t *state, int64_t now_ns,
                    int64_t now_ms, const char *text);
/* "REASON; given up after N restarts within S s" into text[size]. */
void xo_policy_explain(const xo_policy_t *policy, const char *reason, char *text, size_t size);

#endif
