/* mark.c - see mark.h.
 */
#include "_xo/mark.h"

#define PREFIX_BYTES (sizeof XO_TRACE_AGAIN - 1)

static PyObject *variable(xopy_state_t *state)
{
    if (!state->mark)
        state->mark = PyContextVar_New("xo.mark", NULL);
    return state->mark;
}

void xopy_mark_enter(xo_slice_t trace)
{
    if (trace.size <= PREFIX_BYTES || memcmp(trace.data, XO_TRACE_AGAIN, PREFIX_BYTES) != 0)
        return;
    PyObject *mark = variable(xopy_state());
    PyObject *value = mark ? PyBytes_FromStringAndSize(trace.data, (Py_ssize_t)trace.size) : NULL;
    PyObject *token = value ? PyContextVar_Set(mark, value) : NULL;
    if (!token)
        PyErr_WriteUnraisable(NULL); /* out of memory: its calls of that actor wait, then */
    Py_XDECREF(token);
    Py_XDECREF(value);
}

PyObject *xopy_mark_sending(xo_header_t *header)
{
    PyObject *value = NULL, *mark = xopy_state()->mark;
    if (!mark)
        return NULL;
    if (PyContextVar_Get(mark, NULL, &value) < 0)
        PyErr_Clear();
    if (value)
        header->trace = xo_slice(PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    return value;
}
