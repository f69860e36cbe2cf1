/* watch.c - see watch.h. What there is to say, and when, is Python: xoscar._watch.
 */
#include "_xo/watch.h"

#include "_xo/pool.h"

#include <time.h>

#define NS_PER_S 1e9

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / NS_PER_S;
}

/* Whoever watches must not change what is watched: its errors go to stderr. NULL, and no
 * exception, also if nobody watches any more: what a message holds can switch that off while it is
 * written. */
static PyObject *tell(const char *method, const char *format, ...)
{
    PyObject *watcher = Py_XNewRef(xopy_state()->watcher);
    va_list values;
    if (!watcher)
        return NULL;
    va_start(values, format);
    PyObject *args = Py_VaBuildValue(format, values);
    va_end(values);
    PyObject *function = args ? PyObject_GetAttrString(watcher, method) : NULL;
    PyObject *result = function ? PyObject_CallObject(function, args) : NULL;
    if (!result)
        PyErr_WriteUnraisable(watcher);
    Py_XDECREF(function);
    Py_XDECREF(args);
    Py_DECREF(watcher);
    return result;
}

PyObject *xopy_watch_sending(PyObject *address, xo_header_t *header)
{
    xo_slice_t uid = header->target_uid, method = header->method;
    PyObject *trace = tell("sending", "(Oy#s#)", address, uid.data, (Py_ssize_t)uid.size,
                           method.data, (Py_ssize_t)method.size);
    if (!trace || !PyBytes_Check(trace) || PyBytes_GET_SIZE(trace) > XO_TRACE_BYTES_MAX) {
        Py_XDECREF(trace);
        return NULL;
    }
    header->trace = xo_slice(PyBytes_AS_STRING(trace), (size_t)PyBytes_GET_SIZE(trace));
    return trace;
}

void xopy_watch_sent(xopy_call_t *call, PyObject *address, const xo_header_t *header)
{
    xo_slice_t uid = header->target_uid, method = header->method;
    PyObject *done = tell("sent", "(OOy#s#)", call, address, uid.data, (Py_ssize_t)uid.size,
                          method.data, (Py_ssize_t)method.size);
    Py_XDECREF(done);
}

void xopy_watch_begin(void)
{
    xopy_state_t *state = xopy_state();
    if (state->watcher)
        state->handling_since = now_s();
}

static PyObject *ended(PyObject *actor, const xo_header_t *header, PyObject *result,
                       PyObject *exception, bool holds_lock)
{
    double took = now_s() - xopy_state()->handling_since;
    return tell("handled", "(Os#y#dOOO)", actor, header->method.data,
                (Py_ssize_t)header->method.size, header->trace.size ? header->trace.data : "",
                (Py_ssize_t)header->trace.size, took, holds_lock ? Py_True : Py_False,
                result ? result : Py_None, exception ? exception : Py_None);
}

PyObject *xopy_watch_handled(xo_actor_t *actor, const xo_request_t *request, PyObject *result,
                             bool holds_lock)
{
    PyObject *self = xopy_actor_object(actor);
    PyObject *exception = result ? NULL : xopy_take_exception();
    const xo_header_t *header = xo_msg_header(xo_request_msg(request));
    PyObject *instead = self ? ended(self, header, result, exception, holds_lock) : NULL;
    if (exception) {
        xopy_set_exception(exception);
        Py_DECREF(exception);
        Py_XDECREF(instead);
        return NULL;
    }
    if (!instead)
        return result;
    Py_DECREF(result);
    return instead;
}

PyObject *xopy_watch_set(PyObject *module, PyObject *args)
{
    xopy_state_t *state = PyModule_GetState(module);
    PyObject *watcher;
    int plain_refs;
    if (!PyArg_ParseTuple(args, "Op", &watcher, &plain_refs))
        return NULL;
    Py_XSETREF(state->watcher, watcher == Py_None ? NULL : Py_NewRef(watcher));
    state->plain_refs = plain_refs;
    Py_RETURN_NONE;
}
