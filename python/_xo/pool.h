/* pool.h - a pool that hosts Python actors on a running asyncio loop.
 */
#ifndef XOPY_POOL_H
#define XOPY_POOL_H

#include "_xo/runtime.h"

struct xopy_run;

typedef struct xopy_pool {
    PyObject_HEAD xo_pool_t *xo; /* NULL once closed */
    xopy_runtime_t *runtime;
    PyObject *address;  /* str */
    PyObject *on_stop;  /* called without arguments when the broker wants it to end */
    PyObject *on_event; /* called with an event's type and its fields (a dict); or NULL */
    xopy_call_t *joining, *stopping; /* those who wait for join and stop */
    PyObject *weakrefs;
    bool is_sub;            /* the process is there for this pool: xoscar.pool */
    struct xopy_pool *next; /* in runtime->pools */
} xopy_pool_t;

/* An actor, as the host knows it: xo_actor_object. */
typedef struct xopy_hosted {
    PyObject *self;        /* the user's object; NULL while it is made */
    PyObject *no_lock;     /* set of the names of methods that bypass the lock, or NULL */
    bool on_receive;       /* __on_receive__ is the user's */
    bool on_exit;          /* __on_exit__ is */
    struct xopy_run *runs; /* requests under way */
} xopy_hosted_t;

extern const xo_host_ops_t xopy_host_ops;

/* The user's object; borrowed, NULL while it is made. */
PyObject *xopy_actor_object(xo_actor_t *actor);
/* args and kwargs (NULL if there are none) of a call, as new references. */
int xopy_read_arguments(xo_request_t *request, PyObject **args, PyObject **kwargs);
/* Does the method run without the actor's lock? */
bool xopy_bypasses(const xopy_hosted_t *hosted, xo_slice_t method);
/* Ends it without ceremony. Not from within a callback of xo's. */
void xopy_pool_close(xopy_pool_t *pool);

#endif
