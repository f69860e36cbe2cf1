/* pool.h - a pool: hosts actors on one endpoint, with mailboxes, locks and fair turns.
 *
 * The pool knows nothing of languages: a *host* (a table of operations) makes the objects and runs
 * the methods. host_c.h hosts C modules; the Python extension has a host of its own.
 *
 * An actor handles one message at a time (its lock), in the order of arrival, unless its class is
 * stateless or the host says that a method bypasses the lock: such a message starts at once when
 * all that is ahead of it waits for the lock. Ready actors take turns of at most `batch` messages.
 *
 * Mailboxes are bounded by mailbox_messages and mailbox_bytes per actor, and by $XO_POOL_BYTES for
 * all. Within the pool, senders respect that with xo_actor_has_room and xo_actor_on_room. Links are
 * asked to bring no more for an actor whose mailbox is half full; beyond the bounds what they bring
 * holds their credit until it has been handled. Nothing is ever dropped for want of room.
 *
 * An actor is there from the moment its creation begins: `has` and `ref` see it (so that it can
 * hand itself out while it is made), a second `create` is refused with ActorAlreadyExist, and calls
 * wait. If its creation fails, what waits is answered with ActorNotExist, executed "no". Destroying
 * takes its turn like any message, so what was sent before is handled before; what waits behind it
 * gets ActorNotExist, executed "no". An actor that destroys itself does not wait for its own lock.
 * post_create and pre_destroy have the lock until they wait for something, which may be a message
 * to this very actor: from then on it handles messages while they go on.
 *
 * Incarnations are generation << 32 | counter, so they grow over restarts of the pool; a pool
 * without a generation (nobody restarts it) counts from the time it began, in seconds.
 *
 * Everything belongs to the loop's thread. xo_pool_destroy may be called from anywhere but inside
 * a host's operation other than `stop`.
 */
#ifndef XO_POOL_H
#define XO_POOL_H

#include "libxo/xo.h"

/* Methods of any actor, whatever its language, that its pool answers: XO_METHOD_WATCH,
 * XO_METHOD_LINK and XO_METHOD_UNLINK (libxo/client.h), and this one, which nobody else may send.
 * It is told to an actor whose class has it, and which is not destroyed then, when one that it is
 * linked to has ended: (address str, uid bin, reason str). */
#define XO_METHOD_EXIT "__xo_exit"

/* A method of the pool itself (no uid), with (max uint, payload bool): its last dead letters, as
 * xo_endpoint_letters has them. */
#define XO_METHOD_LETTERS "letters"

typedef struct xo_pool xo_pool_t;
typedef struct xo_actor xo_actor_t;
typedef struct xo_request xo_request_t;
typedef struct xoi_tie xo_monitor_t;

/* ---- the host ---- */

typedef struct xo_host_ops {
    const char *language; /* "c", "python" */
    /* So many messages of senders of the pool itself wait for an actor at most: see
     * xo_actor_has_room. 0: as many as its mailbox may hold. */
    size_t near_messages;
    /* Makes the actor's object from a create message (method: class name; body [args, kwargs] or
     * the host's own) and runs its post_create. Ends with xo_request_respond (any body: the pool
     * replaces it by the actor's reference) or xo_request_fail, now or later; until then, or until
     * the host gives the lock up because post_create waits, messages to the actor wait. */
    void (*create)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Runs a call, tell or batch; ends as create does. */
    void (*handle)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Runs pre_destroy, which holds the lock until it waits; the actor goes, whatever the answer
     * is. */
    void (*destroy)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Frees the object: once for each create, also for one that failed, after the last request
     * ended. */
    void (*release)(void *host, xo_actor_t *actor);
    /* Somebody wants `request`, which runs, cancelled; perhaps again. Ending it is still the
     * host's. NULL allowed. */
    void (*cancel)(void *host, xo_actor_t *actor, xo_request_t *request);
    /* Does the method run without the actor's lock? NULL: never. */
    bool (*bypass)(void *host, xo_actor_t *actor, xo_slice_t method);
    /* Has the actor, which the host has made, a method XO_METHOD_EXIT? NULL: no. */
    bool (*traps)(void *host, xo_actor_t *actor);
    /* An event of the cluster, such as "pool.down". NULL allowed. */
    void (*event)(void *host, const xo_msg_t *event);
    /* The create request whose payload the host has been given or will be, as a message that can be
     * sent. NULL with the reason, or without one if the actor is not to be created again; NULL
     * allowed. */
    xo_msg_t *(*spec)(void *host, xo_request_t *request, xo_error_t *why);
    /* The broker asks the pool to end (SIGTERM does the same). Must lead to xo_pool_destroy. */
    void (*stop)(void *host);
    /* The last link to this endpoint is gone, or it died: it will not ask for anything again. NULL
     * allowed. */
    void (*peer_gone)(void *host, uint64_t endpoint);
    /* A sentence for the log: whose frame or handshake was refused, and why. NULL: nobody logs. */
    void (*log)(void *host, const char *text);
} xo_host_ops_t;

typedef struct xo_pool_options {
    xo_identity_t self;      /* role is set; address: advertised, port 0 any */
    const char *bind;        /* "host:port"; NULL: as advertised */
    const char *broker;      /* lane endpoint of the broker; NULL: none */
    size_t batch;            /* messages per turn; 0: 64 */
    size_t mailbox_messages; /* per actor; 0: the context's (libxo/ctx.h), by default 8192 */
    size_t mailbox_bytes;    /* per actor; 0: the context's, by default 256 MiB */
    uint32_t heartbeat_ms;   /* 0: 1000 */
    bool keep_specs; /* the broker is told what creates each actor again, and does that in the next
                      * generation; until it has, what comes for those actors waits */
    bool keep_grouped; /* of members of groups it is told all the same: their group ends them, in a
                        * process that lives */
    pid_t owner;       /* ends (ops->stop) when this process is gone; 0: nobody's */
    xo_endpoint_options_t endpoint;
} xo_pool_options_t;

/* Fills `options` from what the broker put into the environment of a pool that it starts:
 * XO_BROKER, XO_NODE_ID, XO_POOL_ID, XO_POOL_INDEX, XO_POOL_GENERATION, XO_POOL_LABEL,
 * XO_POOL_ADDRESS, XO_POOL_BIND, XO_POOL_RECOVER, XO_OWNER_PID, XO_HEARTBEAT_MS (XO_CLUSTER is read
 * by xo_ctx_create). What is not set stays as it is; what does not parse is EINVAL and named.
 * Strings point into the environment. */
int xo_pool_options_from_env(xo_pool_options_t *options, xo_error_t *err);
/* The same for one of the other pools of a process that runs several: `number` from 1, the first is
 * 0. XO_POOL_SIBLINGS has the places of those that an earlier generation had, to come back at:
 * "NUMBER,INDEX,ADDRESS;..." in any order. Sets self's index and address and returns 1 if it is
 * among them, else 0. A broker knows it by its pool_id, which is that of the first plus `number`.
 */
int xo_pool_sibling_from_env(int number, xo_identity_t *self, xo_error_t *err);

/* Why the process ends before it is ready, in a sentence: for the reason that the broker gives,
 * which looks for it in the file $XO_POOL_WHY. If that is not set, nothing. */
void xo_pool_say_why(const char *text);

/* Makes the endpoint and listens. The broker hears of the pool (and may consider it ready) only by
 * xo_pool_join. */
xo_pool_t *xo_pool_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_pool_options_t *options,
                          const xo_host_ops_t *ops, void *host, xo_error_t *err);
/* Links to the broker, which makes the pool *ready*; sends heartbeats; links again when the broker
 * comes back and then names all its actors. `joined` (may be NULL) is called once, with NULL or the
 * reason. */
int xo_pool_join(xo_pool_t *pool, void (*joined)(xo_pool_t *pool, const xo_error_t *why, void *arg),
                 void *arg, xo_error_t *err);
/* Orderly stop: tells the broker, refuses new actors and what comes over links from now on,
 * destroys all actors (pre_destroy runs, after what their mailboxes hold) and calls `done` once,
 * when none is left or after timeout_ms; then xo_pool_destroy. */
void xo_pool_stop(xo_pool_t *pool, uint32_t timeout_ms, void (*done)(xo_pool_t *pool, void *arg),
                  void *arg);
/* With what its process exits after xo_pool_destroy, for a broker that is not its parent. */
void xo_pool_set_exit_status(xo_pool_t *pool, int status);
/* Answers what waits with ServerClosed, releases all actors, says goodbye. Requests that run are
 * answered by the pool; ending them does nothing from then on, and the host must not touch them
 * once release has returned. Takes NULL. */
void xo_pool_destroy(xo_pool_t *pool);

xo_endpoint_t *xo_pool_endpoint(xo_pool_t *pool);
const char *xo_pool_address(const xo_pool_t *pool);

typedef struct xo_pool_stats {
    uint64_t actors, created, destroyed, handled, failed;
    uint64_t waiting_messages, waiting_bytes; /* in mailboxes now */
    uint64_t running;                         /* requests that have begun and not ended */
    uint64_t duplicates;                      /* idempotent requests that came again */
} xo_pool_stats_t;
void xo_pool_get_stats(const xo_pool_t *pool, xo_pool_stats_t *stats);

/* Is this process not its first, and does its broker create again what the last one had? */
bool xo_pool_comes_back(const xo_pool_t *pool);

/* ---- actors ---- */
xo_actor_t *xo_pool_find(xo_pool_t *pool, xo_slice_t uid); /* or NULL */
/* Why its broker does not create it again; NULL: it does, it is there, or it never was. */
const char *xo_pool_why_failed(const xo_pool_t *pool, xo_slice_t uid);
xo_slice_t xo_actor_uid(const xo_actor_t *actor);
uint64_t xo_actor_incarnation(const xo_actor_t *actor);
const char *xo_actor_class(const xo_actor_t *actor); /* as named by the create message */
xo_pool_t *xo_actor_pool(const xo_actor_t *actor);
void *xo_actor_object(const xo_actor_t *actor);
void xo_actor_set_object(xo_actor_t *actor, void *object);
/* Any number of messages at the same time. In create only. */
void xo_actor_set_stateless(xo_actor_t *actor, bool stateless);
/* Takes the lock when the actor is idle, in turn with its messages (ahead of those that wait), and
 * calls back; xo_actor_unlock gives it up. For methods that gave up the lock while they wait
 * (xo_request_unlock). */
int xo_actor_lock(xo_actor_t *actor, void (*locked)(xo_actor_t *actor, void *arg), void *arg);
void xo_actor_unlock(xo_actor_t *actor);
/* For a host that runs a method right where a call of this pool is made, without a message. enter
 * takes the lock of an actor that has nothing to do, so that a message would begin now; false: it
 * has, send one. leave ends it, and counts it as handled. `now_ns`: CLOCK_MONOTONIC, coarsely. */
bool xo_actor_enter(xo_actor_t *actor, xo_slice_t method, int64_t now_ns);
void xo_actor_leave(xo_actor_t *actor, bool failed);
/* Is the mailbox below its bounds, and does nobody wait for room? Senders of this pool ask before
 * they send, and where it is not so, wait with on_room: `room` is called once, when half of it is
 * free or the actor goes, in the order of waiting. Who finds no room then waits again. -1: ENOMEM.
 */
bool xo_actor_has_room(const xo_actor_t *actor);
int xo_actor_on_room(xo_actor_t *actor, void (*room)(xo_actor_t *actor, void *arg), void *arg);

/* ---- ties ---- */
/* Is it one of the methods that the pool answers, and so not for the host? */
bool xo_pool_answers(xo_slice_t method);

/* Has `told` called, once, when the actor `uid` at `address` (NULL: this pool's) has ended or has
 * before: `reason` is "destroyed", what was said when it was destroyed, or how its process, pool or
 * node ended; the monitor is gone by then. One that is created again under the uid is another. It
 * belongs to `actor`: once that has ended nobody is told any more, and the monitor is freed with
 * it, after the host's release. For who is told before, xo_monitor_destroy ends it. NULL: EINVAL
 * (address, uid), ENOENT (`actor` has ended), ENOMEM. */
xo_monitor_t *xo_actor_monitor(xo_actor_t *actor, const char *address, xo_slice_t uid,
                               void (*told)(const char *reason, void *arg), void *arg,
                               xo_error_t *err);
void xo_monitor_destroy(xo_monitor_t *monitor); /* takes NULL */

/* ---- requests ---- */
const xo_msg_t *xo_request_msg(const xo_request_t *request);
xo_msg_t *xo_request_msg_mut(xo_request_t *request); /* to take a local payload or share buffers */
xo_actor_t *xo_request_actor(const xo_request_t *request);
bool xo_request_is_local(const xo_request_t *request);   /* sent by an actor of this pool */
xo_link_t *xo_request_link(const xo_request_t *request); /* its answer goes over it; NULL: local */
bool xo_request_wants_answer(const xo_request_t *request);
bool xo_request_is_cancelled(const xo_request_t *request); /* somebody asked; see ops->cancel */
/* Nanoseconds until its deadline, at least 1; 0: it has none. */
int64_t xo_request_left(const xo_request_t *request);
/* Of a create: why its actor will not be created again if its pool dies. NULL: it will be, or need
 * not. */
const char *xo_request_no_spec(const xo_request_t *request);
/* The flags of the header of its result, for who makes that for xo_request_respond_msg. */
uint16_t xo_request_flags(const xo_request_t *request);
void *xo_request_data(const xo_request_t *request); /* the host's own */
void xo_request_set_data(xo_request_t *request, void *data);
/* End a request, exactly once; it and the lock (if still held) are gone afterwards. `result` is one
 * msgpack value; _msg takes over an XO_RESULT or XO_ERROR message (a local payload is fine for a
 * local caller). */
void xo_request_respond(xo_request_t *request, xo_slice_t result);
void xo_request_respond_msg(xo_request_t *request, xo_msg_t **answer);
void xo_request_fail(xo_request_t *request, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Gives the actor's lock up while the request goes on. Of a create or destroy: its hook waits. */
void xo_request_unlock(xo_request_t *request);
/* For a host that goes on with a request outside of its operations (a coroutine's next step): its
 * method runs from now on, until left is called; the request may have ended by then. Only the
 * node's broker looks at that, when the loop stands still. */
void xo_request_enter(const xo_request_t *request);
void xo_pool_left(xo_pool_t *pool);

#endif
