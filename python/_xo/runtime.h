/* runtime.h - what one asyncio loop has of xo: an xo loop that it drives through one descriptor,
 * the endpoint from which its code sends, the pools that live in it.
 */
#ifndef XOPY_RUNTIME_H
#define XOPY_RUNTIME_H

#include "_xo/buffer.h"
#include "_xo/call.h"
#include "_xo/ref.h"
#include "_xo/state.h"

#include <pthread.h>

struct xopy_pool;

typedef struct xopy_runtime {
    PyObject_HEAD PyObject *loop; /* asyncio's */
    PyObject *pump;               /* bound method, what asyncio calls */
    xo_loop_t *xo;
    int fd;
    xo_io_t pins_io;
    struct xopy_pool *pools; /* alive, oldest first */
    xo_endpoint_t *client;   /* from which code outside of pools sends; NULL until needed */
    xo_endpoint_t
        *sender; /* client or a pool's: the first there was, so that order never changes */
    xopy_call_t *ready_head, *ready_tail; /* done, callbacks due; references */
    PyObject *guardian;  /* notices the end of asyncio's loop (xoscar._glue.guard) */
    PyObject *fatal;     /* SystemExit or KeyboardInterrupt out of an actor's method */
    unsigned inside;     /* > 0: xo's callbacks are running */
    unsigned here_count; /* calls run where they were made (here.h) since the pump last ran */
    int64_t here_end_ns; /* when the row of them ends */
    int64_t here_now_ns;
    int epoll_fd;          /* on which it waits for asyncio's loop (poll.c) */
    pthread_mutex_t sleep; /* guards `asleep`, which is read without the GIL */
    bool asleep;
    bool pumping, pump_scheduled, closed;
    bool forgotten; /* this is the child of a fork, and the runtime its parent's */
    struct xopy_runtime *prev, *next; /* in state->runtimes */
} xopy_runtime_t;

/* The running loop's runtime, made when needed. NULL without an exception: no loop is running; NULL
 * with: it could not be made. Borrowed. */
xopy_runtime_t *xopy_runtime_current(xopy_state_t *state);
/* The endpoint from which code of this loop sends; a client is made when there is none. NULL with
 * an exception. */
xo_endpoint_t *xopy_runtime_sender(xopy_runtime_t *runtime);
/* There is a pool with this broker (NULL: none): a client from before goes on sending, and asks it
 * where actors are that have moved. Without success it does not. */
void xopy_runtime_join(xopy_runtime_t *runtime, const char *broker);
/* Its callbacks are to run in this pass or soon. */
void xopy_runtime_ready(xopy_runtime_t *runtime, xopy_call_t *call);
/* Has asyncio call the pump in its next round. */
void xopy_runtime_schedule(xopy_runtime_t *runtime);
PyObject *xopy_runtime_pump(PyObject *self, PyObject *unused);
/* poll(timeout, maxevents), as select.epoll's: how asyncio's loop waits (poll.c). */
PyObject *xopy_runtime_poll(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
/* Nobody is told any more when the loop under way wakes up. */
void xopy_runtime_end_sleep(xopy_runtime_t *runtime);
/* Ends everything of it that is left. */
void xopy_runtime_close(xopy_runtime_t *runtime);
/* In the child of a fork: as closed, but nothing is freed or sent: that is the parent's. */
void xopy_runtime_forget(xopy_runtime_t *runtime);
/* Ends the child of a fork that goes on in its parent's loop, which can only do harm: with the
 * exception that is set, as the interpreter's main program does, or with a message. */
void xopy_end_child(void);

/* The pool of this runtime that has `address`, or NULL. */
struct xopy_pool *xopy_runtime_local(xopy_runtime_t *runtime, PyObject *address);
/* The actor's object, if it lives in a pool of the running loop; borrowed, NULL without an
 * exception. */
PyObject *xopy_find_local(xopy_ref_t *ref);

/* scheme -> (messages in, messages out, bytes in, bytes out) of its endpoints; NULL runtime: {}. */
PyObject *xopy_runtime_lanes(xopy_runtime_t *runtime);
unsigned long long xopy_runtime_lent(const xopy_runtime_t *runtime);

/* Calls loop.call_exception_handler for the exception that is set. */
void xopy_report(xopy_runtime_t *runtime, const char *what);

#endif
