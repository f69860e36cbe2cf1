/* batch.c - see batch.h.
 */
#include "_xo/batch.h"

#include "_xo/run.h"

/* The first result that has to be awaited: the calls after it wait for that, too, as they would if
 * they had come one by one. Steals `results`, whose first `done` are set, and `result`. */
static PyObject *call_rest(PyObject *results, Py_ssize_t done, PyObject *result, PyObject *method,
                           PyObject *pairs)
{
    if (PyList_SetSlice(results, done, PyList_GET_SIZE(results), NULL) == 0)
        return xopy_glue("settle_rest", "(NNOO)", results, result, method, pairs);
    Py_DECREF(results);
    Py_DECREF(result);
    return NULL;
}

static PyObject *call_one(PyObject *method, PyObject *pair)
{
    PyObject *args = PyTuple_GET_ITEM(pair, 0), *kwargs = PyTuple_GET_ITEM(pair, 1);
    if (kwargs != Py_None)
        return PyObject_Call(method, args, kwargs);
    return PyObject_Vectorcall(method, ((PyTupleObject *)args)->ob_item,
                               (size_t)PyTuple_GET_SIZE(args), NULL);
}

static PyObject *call_singles(PyObject *method, PyObject *pairs)
{
    Py_ssize_t count = PyList_GET_SIZE(pairs);
    PyObject *results = PyList_New(count);
    for (Py_ssize_t i = 0; results && i < count; i++) {
        PyObject *result = call_one(method, PyList_GET_ITEM(pairs, i));
        if (result && xopy_is_pending(result))
            return call_rest(results, i, result, method, pairs);
        if (result)
            PyList_SET_ITEM(results, i, result);
        else
            Py_CLEAR(results);
    }
    return results;
}

/* What an extensible method calls for a single call, as a bound method; NULL: itself. */
static PyObject *single_of(PyObject *method)
{
    PyObject *single = PyObject_GetAttrString(method, "_xo_single");
    PyErr_Clear();
    return single;
}

PyObject *xopy_call_batch(PyObject *method, PyObject *pairs)
{
    if (PyMethod_Check(method))
        return call_singles(method, pairs);
    PyObject *many = PyObject_GetAttrString(method, "_xo_many");
    PyObject *result;
    if (many && many != Py_None) {
        result = PyObject_CallOneArg(many, pairs);
    } else {
        PyErr_Clear();
        PyObject *single = single_of(method);
        result = call_singles(single ? single : method, pairs);
        Py_XDECREF(single);
    }
    Py_XDECREF(many);
    return result;
}
