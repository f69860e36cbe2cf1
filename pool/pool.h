/* pool.h - a pool: hosts actors on one endpoint, with mailboxes, locks and fair turns.
 *
 * The pool knows nothing of languages: a *host* (a table of operations) makes the objects and runs the methods. host_c.h
 * hosts C modules; the Python extension has a host of its own.
 *
 * An actor handles one message at a time (its lock), in the order of arrival, unless its class is
 * stateless or the host says that a method bypasses the lock. Ready actors take turns of at most
 * `batch` messages. Mailboxes are bounded by the links' credit (a message's credit goes back when its
 * handling ends) and, per actor, by mailbox_messages and mailbox_bytes: what is above that stays in the pool's
 * overflow without giving credit back, so senders are pushed back and never lose a message.
 *
 * Everything belongs to the loop's thread.
 */
#ifndef XO_POOL_H
#define XO_POOL_H

#include "libxo/xo.h"

typedef struct xo_pool xo_pool_t;
typedef struct xo_actor xo_actor_t;
typedef struct xo_request xo_request_t;

/* ---- the host ---- */

typedef struct xo_host_ops {
    const char *language; /* "c", "python" */
    /* Makes the actor's object from a create message (method: class name; body [args, kwargs] or
     * the host's own) and runs its post_create. Ends with xo_request_respond (any body: the pool replaces it by the actor's
     * reference) or xo_request_fail, now or later; until then calls to the actor wait. */
    void (*create)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Runs a call, tell or batch; ends as create does. */
    void (*handle)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Runs pre_destroy, holding the lock; the actor goes, whatever the answer is. */
    void (*destroy)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Frees the object: once for each create, also for one that failed, after the last request ended. */
    void (*release)(void *host, xo_actor_t *actor);
    /* Somebody wants `request`, which runs, cancelled; ending it is still the host's. NULL allowed. */
    void (*cancel)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Does the method run without the actor's lock? NULL: never. */
    bool (*bypass)(void *host, xo_actor_t *actor, xo_slice_t method);
    /* An event of the cluster, such as "pool.down". NULL allowed. */
    void (*event)(void *host, const xo_msg_t *event);
    /* The broker asks the pool to end (SIGTERM does the same). Must lead to xo_pool_destroy. */
    void (*stop)(void *host);
} xo_host_ops_t;

typedef struct xo_pool_options {
    xo_identity_t self;      /* role is set; address: advertised, port 0 any */
    const char *bind;        /* "host:port"; NULL: as advertised */
    const char *broker;      /* lane endpoint of the broker; NULL: none */
    size_t batch;            /* messages per turn; 0: 64 */
    size_t mailbox_messages; /* per actor; 0: 65536 */
    size_t mailbox_bytes;    /* per actor; 0: 256 MiB */
    uint32_t heartbeat_ms;   /* 0: 1000 */
    pid_t owner;             /* ends (ops->stop) when this process is gone; 0: nobody's */
    xo_endpoint_options_t endpoint;
} xo_pool_options_t;

/* Fills `options` from what the broker put into the environment of a pool that it starts:
 * XO_BROKER, XO_NODE_ID, XO_POOL_ID, XO_POOL_INDEX, XO_POOL_GENERATION, XO_POOL_LABEL,
 * XO_POOL_ADDRESS, XO_POOL_BIND, XO_OWNER_PID, XO_HEARTBEAT_MS (XO_CLUSTER is read by xo_ctx_create). What is
 * not set stays as it is; what does not parse is EINVAL and named. Strings point into the environment. */
int xo_pool_options_from_env(xo_pool_options_t *options, xo_error_t *err);

/* Makes the endpoint and listens. The broker hears of the pool (and may consider it ready) only by
 * xo_pool_join. */
xo_pool_t *xo_pool_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_pool_options_t *options,
                          const xo_host_ops_t *ops, void *host, xo_error_t *err);
/* Links to the broker, which makes the pool *ready*; sends heartbeats; links again when the broker comes back and
 * then names all its actors. `joined` (may be NULL) is called once, with NULL or the reason. */
int xo_pool_join(xo_pool_t *pool, void (*joined)(xo_pool_t *pool, const xo_error_t *why, void *arg),
                 void *arg, xo_error_t *err);
/* Answers what waits with ServerClosed, releases all actors, says goodbye. Requests that run are ended by the pool; the host must not touch them
 * after release. Takes NULL. */
void xo_pool_destroy(xo_pool_t *pool);

xo_endpoint_t *xo_pool_endpoint(xo_pool_t *pool);
const char *xo_pool_address(const xo_pool_t *pool);

typedef struct xo_pool_stats {
    uint64_t actors, created, destroyed, handled, failed;
    uint64_t waiting_messages, waiting_bytes; /* in mailboxes now */
    uint64_t running;                         /* requests that have begun and not ended */
} xo_pool_stats_t;
void xo_pool_get_stats(const xo_pool_t *pool, xo_pool_stats_t *stats);

/* ---- actors ---- */
xo_actor_t *xo_pool_find(xo_pool_t *pool, xo_slice_t uid); /* or NULL */
xo_slice_t xo_actor_uid(const xo_actor_t *actor);
uint64_t xo_actor_incarnation(const xo_actor_t *actor);
xo_pool_t *xo_actor_pool(const xo_actor_t *actor);
void *xo_actor_object(const xo_actor_t *actor);
void xo_actor_set_object(xo_actor_t *actor, void *object);
/* Any number of messages at the same time. In create only. */
void xo_actor_set_stateless(xo_actor_t *actor, bool stateless);
/* Takes the lock when the actor is idle, in turn with its messages (ahead of those that wait), and calls back; xo_actor_unlock
 * gives it up. For methods that gave up the lock while they wait (xo_request_unlock). */
int xo_actor_lock(xo_actor_t *actor, void (*locked)(xo_actor_t *actor, void *arg), void *arg);
void xo_actor_unlock(xo_actor_t *actor);

/* ---- requests ---- */
const xo_msg_t *xo_request_msg(const xo_request_t *request);
xo_msg_t *xo_request_msg_mut(xo_request_t *request); /* to take a local payload or share buffers */
xo_actor_t *xo_request_actor(const xo_request_t *request);
bool xo_request_is_local(const xo_request_t *request);  /* sent by an actor of this pool */
bool xo_request_wants_answer(const xo_request_t *request);
void *xo_request_data(const xo_request_t *request);     /* the host's own */
void xo_request_set_data(xo_request_t *request, void *data);
/* End a request, exactly once; it and the lock (if still held) are gone afterwards. `result` is one
 * msgpack value; _msg takes over an XO_RESULT or XO_ERROR message (a local payload is fine for a local caller). */
void xo_request_respond(xo_request_t *request, xo_slice_t result);
void xo_request_respond_msg(xo_request_t *request, xo_msg_t **answer);
void xo_request_fail(xo_request_t *request, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Gives the actor's lock up while the request goes on. */
void xo_request_unlock(xo_request_t *request);

#endif
