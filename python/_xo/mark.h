/* mark.h - the marks of actors that are created again (XO_TRACE_AGAIN): whatever such a creation
 * causes carries its mark, from method to method and process to process, so that the actor's pool
 * knows what the creation may be waiting for. Until the first one comes it costs a look at a bool.
 */
#ifndef XOPY_MARK_H
#define XOPY_MARK_H

#include "_xo/state.h"

/* A request is about to be handled, in a context of its own. */
void xopy_mark_enter(xo_slice_t trace);
/* One is about to be sent: gives it the mark of this context. The object returned keeps it; NULL
 * without an exception: there is none. */
PyObject *xopy_mark_sending(xo_header_t *header);

#endif
