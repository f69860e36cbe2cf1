/* run.h - a request whose method goes on after its first step: the coroutine, the task that drives
 * it, and the answer at its end.
 *
 * A Run is the coroutine that asyncio's Task gets. It passes everything on to the method's own
 * coroutine, and answers the request in the very step in which that ends.
 */
#ifndef XOPY_RUN_H
#define XOPY_RUN_H

#include "_xo/pool.h"

typedef enum { XOPY_FOR_CALL, XOPY_FOR_CREATE, XOPY_FOR_DESTROY } xopy_purpose_t;

typedef struct xopy_run {
    PyObject_HEAD xopy_pool_t *pool;
    xo_actor_t *actor;
    xopy_hosted_t *hosted;
    xo_request_t *request; /* NULL once it has been answered, here or by a pool that goes away */
    PyObject *coroutine;   /* what runs now */
    PyObject *task;
    xopy_call_t *locking; /* who waits for the lock */
    unsigned char purpose;
    bool lockless;                /* it has no lock to give up and take again */
    bool relocked;                /* the lock was given up and taken again */
    struct xopy_run *prev, *next; /* in hosted->runs */
} xopy_run_t;

/* Does the value have to be awaited before it can be an answer? A coroutine, a future, an async
 * generator, or a tuple that holds one of these. */
bool xopy_is_pending(PyObject *value);
/* A coroutine that gives what `value` comes to. */
PyObject *xopy_settle(PyObject *value);

/* Starts `coroutine` (stolen; NULL: the exception that is set is the answer) for the request. It
 * keeps the actor's lock if `hold`. */
void xopy_run_start(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                    xopy_purpose_t purpose, PyObject *coroutine, bool hold);
/* CancelledError in the method. */
void xopy_run_cancel(xopy_run_t *run);
/* The actor goes: the request is answered already. */
void xopy_run_drop(xopy_run_t *run);

/* If the exception must end the program, and not only a method: the loop's pump will raise it. */
void xopy_keep_fatal(xopy_pool_t *pool, PyObject *exception);
/* What the caller in this process gets for the exception (stolen): it keeps its traceback, and has
 * address and pid in its text. */
PyObject *xopy_local_exception(const xopy_pool_t *pool, PyObject *exception);
/* Ends the request with a value (stolen) or, for NULL, with the exception that is set. */
void xopy_respond(xopy_pool_t *pool, xo_request_t *request, xopy_purpose_t purpose,
                  PyObject *value);

#endif
