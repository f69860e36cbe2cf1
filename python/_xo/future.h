/* future.h - the future that a Call is: the part of asyncio.Future's interface that asyncio and
 * programs use.
 */
#ifndef XOPY_FUTURE_H
#define XOPY_FUTURE_H

#include "_xo/call.h"

/* The result, or the exception raised. For one that is done. */
PyObject *xopy_future_result(xopy_call_t *call);
PyObject *xopy_future_repr(PyObject *self);
/* StopIteration(value) is set, whatever value is. */
void xopy_stop_iteration(PyObject *value);

extern PyGetSetDef xopy_future_getset[];

PyObject *xopy_future_add_done(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *xopy_future_remove_done(PyObject *, PyObject *);
PyObject *xopy_future_done(PyObject *, PyObject *);
PyObject *xopy_future_get_result(PyObject *, PyObject *);
PyObject *xopy_future_get_exception(PyObject *, PyObject *);
PyObject *xopy_future_cancel(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
PyObject *xopy_future_cancelled(PyObject *, PyObject *);
PyObject *xopy_future_abandon(PyObject *, PyObject *);
PyObject *xopy_future_get_loop(PyObject *, PyObject *);
PyObject *xopy_future_make_cancelled(PyObject *, PyObject *);

#define XOPY_FAST(function) (PyCFunction)(void (*)(void))(function)
#define XOPY_FUTURE_METHODS                                                                        \
    {"add_done_callback", XOPY_FAST(xopy_future_add_done), METH_FASTCALL | METH_KEYWORDS,          \
     "As asyncio.Future's."},                                                                      \
        {"remove_done_callback", xopy_future_remove_done, METH_O, "As asyncio.Future's."},         \
        {"done", xopy_future_done, METH_NOARGS, "As asyncio.Future's."},                           \
        {"result", xopy_future_get_result, METH_NOARGS, "As asyncio.Future's."},                   \
        {"exception", xopy_future_get_exception, METH_NOARGS, "As asyncio.Future's."},             \
        {"cancel", XOPY_FAST(xopy_future_cancel), METH_FASTCALL | METH_KEYWORDS,                   \
         "cancel(msg=None)\n--\n\nAsks the method to stop, with CancelledError inside it. The "    \
         "call is done when the "                                                                  \
         "method has ended; its result or error counts."},                                         \
        {"cancelled", xopy_future_cancelled, METH_NOARGS, "As asyncio.Future's."},                 \
        {"abandon", xopy_future_abandon, METH_NOARGS,                                              \
         "Cancels without waiting for what the method does about it."},                            \
        {"get_loop", xopy_future_get_loop, METH_NOARGS, "As asyncio.Future's."},                   \
        {"_make_cancelled_error", xopy_future_make_cancelled, METH_NOARGS, NULL},

#endif
