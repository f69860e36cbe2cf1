/* compat.c - exceptions, the same on all versions.
 */
#include "_xo/state.h"

int xopy_stop_value(PyObject **value)
{
    *value = NULL;
    if (!PyErr_Occurred()) {
        *value = Py_NewRef(Py_None);
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration))
        return -1;
    PyObject *stop = xopy_take_exception();
    *value = Py_XNewRef(((PyStopIterationObject *)stop)->value);
    if (!*value)
        *value = Py_NewRef(Py_None);
    Py_DECREF(stop);
    return 0;
}

PyObject *xopy_take_exception(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (!type) {
        PyErr_SetString(PyExc_SystemError, "an error without an exception");
        PyErr_Fetch(&type, &value, &traceback);
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

void xopy_set_exception(PyObject *exception)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), Py_NewRef(exception),
                  PyException_GetTraceback(exception));
}

bool xopy_is_fatal(PyObject *exception)
{
    return PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt) ||
           PyErr_GivenExceptionMatches(exception, PyExc_SystemExit);
}
