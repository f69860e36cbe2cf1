/* client.h - references and futures: what programs use to talk to actors.
 *
 * A reference names an actor by address and uid and goes on working after the actor was created
 * again. Calls give futures; a future is waited for (which runs the loop), or calls back.
 */
#ifndef XO_CLIENT_H
#define XO_CLIENT_H

#include <stdint.h>

#include "libxo/endpoint.h"

typedef struct xo_client xo_client_t;
typedef struct xo_ref xo_ref_t;
typedef struct xo_future xo_future_t;

/* Connects a process that hosts no actors. `where`: "host:port" of any pool; NULL: $XO_NODE, else
 * this user's node on this machine (the one that `xo start` made, or the only one; else ENOENT with
 * a list). Makes a loop of its own unless `loop` is given. Blocks until the handshake is done, at
 * most 5 s. */
xo_client_t *xo_connect(const char *where, xo_loop_t *loop, xo_error_t *err);
/* The same in at most timeout_ms, above 0. ETIMEDOUT: no answer until then. */
xo_client_t *xo_connect_within(const char *where, xo_loop_t *loop, int timeout_ms, xo_error_t *err);
void xo_client_destroy(xo_client_t *client); /* takes NULL; destroy refs and futures first */
xo_endpoint_t *xo_client_endpoint(xo_client_t *client);
xo_loop_t *xo_client_loop(xo_client_t *client);
/* Calls a method of the broker (doc/wire.md, "The broker's methods"). `args`: a msgpack array or
 * empty. */
xo_future_t *xo_client_ask_broker(xo_client_t *client, xo_error_t *err, const char *method,
                                  xo_slice_t args);
/* Where the broker of this user's node listens, as xo_connect(NULL) finds it. */
int xo_find_node(xo_ctx_t *ctx, char *lane_endpoint, size_t size, xo_error_t *err);

/* A reference to the actor `uid` at `address` ("host:port"). Nothing is sent. A uid is text here;
 * bytes that are no text go through xo_ref_create_bytes. EINVAL: bad address, uid empty or above
 * 255 bytes. */
xo_ref_t *xo_ref_create(xo_endpoint_t *endpoint, const char *address, const char *uid,
                        xo_error_t *err);
xo_ref_t *xo_ref_create_bytes(xo_endpoint_t *endpoint, const char *address, xo_slice_t uid,
                              xo_error_t *err);
/* Resolves a uid through the broker and registry, and asks the actor's pool whether it is there:
 * ENOENT; ENOTUNIQ lists the candidates. Blocks (runs the loop), each step at most 5 s, but up to
 * 40 s for an actor that is on its way to another node; not for use inside an actor. */
xo_ref_t *xo_ref_lookup(xo_client_t *client, const char *uid, xo_error_t *err);
void xo_ref_destroy(xo_ref_t *ref);
const char *xo_ref_address(const xo_ref_t *ref);
xo_slice_t xo_ref_uid(const xo_ref_t *ref);

/* Arguments of the next call made through a reference: 0 turns it off. */
void xo_ref_set_deadline(xo_ref_t *ref, int64_t deadline_ms);
/* May the calls that follow be made again if they get lost? They are then sent again to the actor's
 * next incarnation, until the deadline, while its pool comes back (at most 5 s if nobody knows that
 * it does, nor listens there); one that a pool has had already is not run twice there. */
void xo_ref_set_idempotent(xo_ref_t *ref, bool idempotent);
void xo_ref_set_sender(xo_ref_t *ref, xo_slice_t sender_uid);

/* Calls `method` with the positional arguments that `format` (pack.h) writes. NULL: EAGAIN (no
 * credit), EINVAL (format), ENOMEM. */
xo_future_t *xo_ref_call(xo_ref_t *ref, xo_error_t *err, const char *method, const char *format,
                         ...);
/* `args`: a msgpack array; `kwargs`: a msgpack map or empty. */
xo_future_t *xo_ref_call_packed(xo_ref_t *ref, xo_error_t *err, const char *method, xo_slice_t args,
                                xo_slice_t kwargs);
/* No answer. 0: accepted. -1: EAGAIN ... */
int xo_ref_tell(xo_ref_t *ref, xo_error_t *err, const char *method, const char *format, ...);
/* One message with `count` argument lists; its result is an array of as many results. `lists`:
 * msgpack arrays. */
xo_future_t *xo_ref_batch(xo_ref_t *ref, xo_error_t *err, const char *method,
                          const xo_slice_t *lists, size_t count);
/* Creates an actor of class `class_name` at `address`; result: the uid. A uid is unique in its
 * pool; one that begins with XO_NAME_PREFIX is a name, unique in the cluster. */
xo_future_t *xo_create_actor(xo_endpoint_t *endpoint, xo_error_t *err, const char *address,
                             const char *class_name, const char *uid, const char *format, ...);

/* When an actor's pool dies, or it cannot be created again: how often it is, and how soon. Begin
 * with XO_ACTOR_OPTIONS_INIT; what it leaves open is as the pool's own policy says. */
typedef struct xo_actor_options {
    const char *restart;    /* "permanent", "transient" (not if the process ended with status 0),
                               "temporary" (never); NULL: permanent */
    int intensity;          /* restarts within period_ms that are fine, 0 to 64; -1: open */
    int64_t period_ms;      /* -1: open, as in the next two; at most INT32_MAX */
    int64_t backoff_ms;     /* before the second try in a row to create it; eightfold with each */
    int64_t backoff_max_ms; /* where that ends */
    const char *group;      /* of its node, xo_client_create_group: it becomes the last member, and
                               of the above only `restart` counts; NULL: none */
    int64_t shutdown_ms;    /* how long it may take to end when its group stops it, before its
                               pool's process is killed, or the group fails where the broker did
                               not start that process; 0 or -1: 5000 */
    const char *placement; /* "node": it is created again on its own node only; "any": if that dies,
                              or is drained, on another one, which takes a name for a uid, a
                              permanent actor, and no group; NULL: "node" */
    int64_t create_timeout_ms; /* how long a try to create it again may take: then it is cancelled,
                                  and has failed; 0: as long as it wants; -1: open */
} xo_actor_options_t;

#define XO_ACTOR_OPTIONS_INIT                                                                      \
    {                                                                                              \
        NULL, -1, -1, -1, -1, NULL, -1, NULL, -1                                                   \
    }

/* The body [args, kwargs] of a create message becomes [args, kwargs, options]. EINVAL: one of them
 * cannot be. */
int xo_create_options_add(xo_buf_t *body, const xo_actor_options_t *options, xo_error_t *err);
/* xo_create_actor with options (NULL: none). EINVAL: one of them cannot be. */
xo_future_t *xo_create_actor_with(xo_endpoint_t *endpoint, xo_error_t *err, const char *address,
                                  const char *class_name, const char *uid,
                                  const xo_actor_options_t *options, const char *format, ...);
/* Its result is nil, or ActorNotExist. As a call it follows an actor that has moved. */
xo_future_t *xo_ref_destroy_actor(xo_ref_t *ref, xo_error_t *err);

/* How the names of methods begin that every actor has; no actor's own do. */
#define XO_METHOD_PREFIX "__xo_"
/* Those of every actor, whatever its language, which its pool answers.
 * Watch: () -> str: why the actor ended, once it has. Its answer, also an error (the actor was gone
 * before, or its pool died), says so by xo_answer_reason. A watch needs no deadline.
 * Link: (address str, uid) -> nil: links the actor to that other one, so that when either ends the
 * other is destroyed, or told if its class wants to be (pool/module.h); fails if the other has
 * ended already, unless the actor is told. Unlink: (address str, uid) -> nil: no longer. */
#define XO_METHOD_WATCH "__xo_watch"
#define XO_METHOD_LINK "__xo_link"
#define XO_METHOD_UNLINK "__xo_unlink"

/* ---- groups ---- */
/* How a group restarts its members. Begin with XO_GROUP_OPTIONS_INIT; -1 is open: 5 restarts in
 * 60 s, and a backoff from 1 ms to 5 s. */
typedef struct xo_group_options {
    const char *strategy; /* which are restarted when one fails: "one_for_one", that one;
                             "one_for_all"; "rest_for_one", it and those after it */
    const char *parent;   /* the group that it becomes the last member of; NULL: none */
    int intensity;        /* restarts of members within period_ms that are fine, 0 to 64; with one
                             more the group has failed, as a member of its parent */
    int64_t period_ms;
    int64_t backoff_ms;
    int64_t backoff_max_ms;
} xo_group_options_t;

#define XO_GROUP_OPTIONS_INIT                                                                      \
    {                                                                                              \
        "one_for_one", NULL, -1, -1, -1, -1                                                        \
    }

/* Makes a group on the node that the client is connected to, unless there is one with these
 * settings (NULL: all open). Its members are the actors that are created with its name in their
 * options, and the groups whose parent it is, in this order: they are stopped from the last to the
 * first, and started from the first to the last. EINVAL, also of the future: it cannot be. */
xo_future_t *xo_client_create_group(xo_client_t *client, xo_error_t *err, const char *name,
                                    const xo_group_options_t *options);
/* Stops its members, the last one first, and removes it; the future is done then. */
xo_future_t *xo_client_stop_group(xo_client_t *client, xo_error_t *err, const char *name);

/* ---- futures ---- */
typedef void (*xo_future_f)(xo_future_t *future, void *arg);
/* Calls back once when it is done, at once if it is already. Without this, wait for it. */
void xo_future_then(xo_future_t *future, xo_future_f done, void *arg);
bool xo_future_done(const xo_future_t *future);
/* Runs the loop until it is done: 0, or -1 ETIMEDOUT after timeout_ms (-1: no limit). Never inside
 * a callback. */
int xo_future_wait(xo_future_t *future, int timeout_ms, xo_error_t *err);
/* The result by format (pack.h; NULL: not read). -1 with the errno of xo_failure_errno and the
 * remote sentence when it failed; EBADMSG when the result does not fit the format; EINPROGRESS. */
int xo_future_get(xo_future_t *future, xo_error_t *err, const char *format, ...);
const xo_msg_t *xo_future_answer(const xo_future_t *future); /* NULL until done, or: ENOMEM */
void xo_future_cancel(xo_future_t *future);                  /* the answer still comes */
void xo_future_destroy(xo_future_t *future); /* of one under way: abandons the call. Takes NULL */

#endif
