/* call.h - Call: what sending gives, a coroutine and a future in one.
 *
 * asyncio takes it for a coroutine (create_task, run) and for a future (await, gather,
 * wait_for, shield), so that awaiting it costs no Task. A Call made while a loop runs has been
 * sent already and goes on whether it is awaited or not; an exception that nobody has seen when it
 * is dropped is told to the loop's exception handler, as a future's is. One made where no loop runs
 * is sent when a loop starts it; until then it is a coroutine only. One that is asked whether it is
 * a future before anybody has awaited it is no coroutine any more: asyncio.wait takes what
 * ensure_future gave, but no coroutine.
 *
 * Unlike those of asyncio's futures, its callbacks do not wait for another round of the loop when
 * an answer arrives: they run as soon as the round's messages have been taken in.
 */
#ifndef XOPY_CALL_H
#define XOPY_CALL_H

#include "_xo/state.h"

typedef enum {
    XOPY_CALL_LAZY, /* not sent: made where no loop runs */
    XOPY_CALL_PENDING,
    XOPY_CALL_RESULT,
    XOPY_CALL_EXCEPTION,
    XOPY_CALL_CANCELLED
} xopy_call_state_t;

/* What the answer's value becomes. */
typedef enum {
    XOPY_AS_IS,
    XOPY_AS_REF, /* [address, uid, incarnation]: a reference */
    XOPY_AS_NONE
} xopy_convert_t;

struct xopy_runtime;

typedef struct xopy_call {
    PyObject_HEAD struct xopy_runtime *runtime; /* NULL while lazy */
    PyObject *value; /* result or exception; while lazy, what sends: (method, args...) */
    PyObject *callback, *context; /* the first, which for most is the only one */
    PyObject *more;               /* list of (callback, context) */
    PyObject *cancel_message;
    PyObject *weakrefs;
    xo_call_t *under_way;
    struct xopy_call *next_ready;
    unsigned char state;
    unsigned char convert;
    bool blocking;   /* what asyncio calls _asyncio_future_blocking */
    bool queued;     /* in runtime's list of those whose callbacks are due */
    bool started;    /* somebody awaits it, or runs it as a coroutine */
    bool cancelling; /* asked to; the answer is under way */
    bool retrieved;  /* somebody has seen the exception */
} xopy_call_t;

/* A pending one of `runtime`. */
xopy_call_t *xopy_call_create(struct xopy_runtime *runtime);
/* One that `send` (called without arguments, gives the real one) starts. */
xopy_call_t *xopy_call_create_lazy(PyObject *send);

/* Each ends a pending call; the value is stolen, except when it is NULL: then the exception that is
 * set is taken. */
void xopy_call_set_result(xopy_call_t *call, PyObject *value);
void xopy_call_set_exception(xopy_call_t *call, PyObject *exception);
void xopy_call_set_cancelled(xopy_call_t *call);
/* With what the method raised (stolen), which may be CancelledError. */
void xopy_call_fail(xopy_call_t *call, PyObject *exception);

/* From now on it is a future only, unless somebody has begun to run it as a coroutine. */
void xopy_call_be_future(xopy_call_t *call);

/* Takes the callbacks off and runs them. -1: an exception that must end the loop is set. */
int xopy_call_run_callbacks(xopy_call_t *call);

/* For xo_endpoint_call; `arg` is a Call, with a reference of its own. */
void xopy_call_answered(xo_call_t *under_way, xo_msg_t **answer, void *arg);
/* For xo_endpoint_tell. */
void xopy_call_accepted(const xo_failure_t *why, void *arg);

#endif
