/* pending.c - what has to be awaited before it can be an answer: see run.h.
 */
#include "_xo/run.h"

/* A generator that types.coroutine has marked. */
static bool is_iterable_coroutine(PyObject *generator)
{
    PyObject *code = PyObject_GetAttrString(generator, "gi_code");
    bool marked = code && ((PyCodeObject *)code)->co_flags & CO_ITERABLE_COROUTINE;
    Py_XDECREF(code);
    PyErr_Clear();
    return marked;
}

static bool is_awaitable(PyObject *value)
{
    PyAsyncMethods *methods = Py_TYPE(value)->tp_as_async;
    if (methods && methods->am_await)
        return true;
    if (PyAsyncGen_CheckExact(value))
        return true;
    return PyGen_CheckExact(value) && is_iterable_coroutine(value);
}

bool xopy_is_pending(PyObject *value)
{
    if (!PyTuple_CheckExact(value))
        return is_awaitable(value);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); i++) {
        if (is_awaitable(PyTuple_GET_ITEM(value, i)))
            return true;
    }
    return false;
}

PyObject *xopy_settle(PyObject *value)
{
    if (PyCoro_CheckExact(value))
        return Py_NewRef(value);
    return xopy_glue("settle", "(O)", value);
}
