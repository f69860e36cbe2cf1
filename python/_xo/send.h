/* send.h - requests on their way out: where they go, what they hold, who waits for the answer.
 */
#ifndef XOPY_SEND_H
#define XOPY_SEND_H

#include "_xo/call.h"
#include "_xo/ref.h"

/* Calls, tells (kind XO_CALL or XO_TELL) with the arguments as vectorcall passes them. Gives a
 * Call, which is done with the exception if the arguments cannot be sent. NULL only for lack of
 * memory. */
PyObject *xopy_send(xopy_method_t *method, xo_kind_t kind, PyObject *const *args, Py_ssize_t count,
                    PyObject *kwnames);
/* One message for many calls. pairs: a list of (args, kwargs or None). */
PyObject *xopy_send_batch(xopy_method_t *method, PyObject *pairs, bool answer);
/* Sends what a lazy call holds. */
void xopy_send_lazy(xopy_call_t *call, PyObject *spec);
/* create, destroy, ref, has: `name` is the class's or "", payload (class, args, kwargs) or None. */
PyObject *xopy_send_control(xo_kind_t kind, PyObject *address, PyObject *uid, PyObject *name,
                            PyObject *payload, xopy_convert_t convert);

#endif
