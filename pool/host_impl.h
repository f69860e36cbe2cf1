/* host_impl.h - what the files of the host for C share; nobody else includes it.
 *
 * host_c.c     the pool's operations on C actors    module.c       loading modules
 * batch.c      batches, one call after the other    module_call.c  what methods use
 * target.c     calls to other actors             pending.c      those that are not answered
 */
#ifndef XO_HOST_IMPL_H
#define XO_HOST_IMPL_H

#include "pool/host_c.h"
#include "pool/pool_impl.h"

typedef struct xoi_method {
    const xo_method_t *method;
    xo_slice_t name;
} xoi_method_t;

typedef struct xoi_class {
    const xo_module_t *module;
    const xo_class_t *class_;
    struct xoi_method *methods;
    xoi_table_t by_name;           /* of them */
    const struct xoi_method *last; /* found: most messages want the same one */
    bool has_no_lock;              /* any method that bypasses the lock */
    UT_hash_handle hh;             /* by name, in the order of loading */
} xoi_class_t;

typedef struct xoi_library {
    void *handle;
    struct xoi_library *next;
} xoi_library_t;

struct xo_host_c {
    void (*stop)(void *arg);
    void *arg;
    xoi_class_t *classes;
    xoi_library_t *libraries;
};

/* A call that a method made and that is not answered. */
typedef struct xoi_pending {
    xo_actor_t *actor;
    xoi_request_key_t key; /* of the request on whose behalf it is */
    bool cancelled;
    xo_future_t *future; /* this is in its memory */
    xo_future_f done;
    void *arg;
    struct xoi_pending *prev, *next;
} xoi_pending_t;

/* A method that waits for room. */
typedef struct xoi_room {
    xo_actor_t *actor; /* NULL once it is gone: the source still holds this */
    void (*room)(void *arg);
    void *arg;
    struct xoi_room *prev, *next;
} xoi_room_t;

/* What the host keeps for an actor, in actor->host_data. */
typedef struct xoi_c_actor {
    xoi_class_t *kind;
    xoi_pending_t *pending;
    xoi_room_t *rooms;
    struct xoi_batch *batches;
    xo_target_t *targets;
} xoi_c_actor_t;

static inline xoi_c_actor_t *xoi_c_actor(const xo_actor_t *actor)
{
    return actor->host_data;
}

/* module.c */
xoi_class_t *xoi_class_find(const xo_host_c_t *host, xo_slice_t name);
const xoi_method_t *xoi_method_find(xoi_class_t *kind, xo_slice_t name); /* NULL: it has none */
void xoi_modules_free(xo_host_c_t *host);

/* host_c.c */
void xoi_method_run(const xo_method_t *method, xo_request_t *request);

/* module_call.c */
/* Positional and keyword arguments of one [args, kwargs]; both empty for what is none (a pickle).
 */
void xoi_arguments(xo_slice_t pair, xo_slice_t *args, xo_slice_t *kwargs);
bool xoi_is_empty(xo_slice_t container);

/* pending.c */
/* A future for `request`, `own`: with a call in it; `done` is called with the answer once it is
 * awaited. NULL: ENOMEM. */
xoi_pending_t *xoi_pending_create(const xo_request_t *request, bool own, xo_future_f done,
                                  void *arg);
void xoi_pending_await(xoi_pending_t *pending); /* its call has been made */
void xoi_pending_drop(xoi_pending_t *pending);  /* ... or could not be */
void xoi_pending_cancel(xo_actor_t *actor, const xo_request_t *request);
/* The actor goes: those who wait for answers hear that none will come. */
void xoi_pending_end(xo_actor_t *actor);

/* target.c */
void xoi_targets_free(xo_actor_t *actor);
void xoi_rooms_end(xo_actor_t *actor); /* those who wait for room, too */

/* batch.c */
void xoi_batch_run(xo_request_t *request, const xo_method_t *method);
void xoi_batches_free(xo_actor_t *actor);

#endif
