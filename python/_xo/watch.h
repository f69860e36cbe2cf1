/* watch.h - what xoscar.debug sees of calls and methods. While nobody watches, it costs a look at
 * one pointer.
 */
#ifndef XOPY_WATCH_H
#define XOPY_WATCH_H

#include "_xo/call.h"
#include "_xo/state.h"

static inline bool xopy_is_watched(void)
{
    return xopy_state()->watcher != NULL;
}

/* What an actor's reference to itself is. */
static inline PyTypeObject *xopy_own_ref_type(const xopy_state_t *state)
{
    return state->plain_refs ? state->ref_type : state->local_ref_type;
}

/* A request that wants an answer is about to be sent: gives it a trace, which the object returned
 * keeps; NULL without an exception if it has none. */
PyObject *xopy_watch_sending(PyObject *address, xo_header_t *header);
/* It was sent. */
void xopy_watch_sent(xopy_call_t *call, PyObject *address, const xo_header_t *header);

/* A method is about to begin. */
void xopy_watch_begin(void);
/* It has returned or raised (NULL, with the exception set). What is to be awaited, or to be
 * answered, instead of `result`, which is stolen. */
PyObject *xopy_watch_handled(xo_actor_t *actor, const xo_request_t *request, PyObject *result,
                             bool holds_lock);

/* For Python: watch(watcher, plain_refs). */
PyObject *xopy_watch_set(PyObject *module, PyObject *args);

#endif
