/* here.h - calls that run where they are made: of plain methods of idle actors of this loop.
 *
 * Nothing is encoded or queued, and the call is done when it is handed out. It is as if its message
 * had been handled at once, which is why there must be nothing that it would have waited for. Not
 * within another method, so that chains of actors do not nest; and a row of such calls is bounded,
 * so that who awaits one after the other lets the loop have its turn.
 */
#ifndef XOPY_HERE_H
#define XOPY_HERE_H

#include "_xo/call.h"

/* The package's own method that awaits what a method run here has returned. */
#define XOPY_METHOD_SETTLE "__xo_settle"

typedef struct xopy_here {
    xo_actor_t *actor;
    PyObject *name;
    PyObject *const *args; /* as vectorcall passes them */
    Py_ssize_t count;
    PyObject *kwnames;
} xopy_here_t;

/* false: a message has to be sent. Else the method has run, and the call is done, unless *rest is
 * what is still to be awaited for it, a new reference. */
bool xopy_call_here(xopy_call_t *call, const xopy_here_t *here, PyObject **rest);

struct xopy_pool;

/* A context for a request of `pool` with this trace, entered: empty but for its mark (mark.h) and
 * home (home.h). NULL: the loop's has to do. */
PyObject *xopy_enter_context(struct xopy_pool *pool, xo_slice_t trace);
void xopy_leave_context(PyObject *context);

#endif
