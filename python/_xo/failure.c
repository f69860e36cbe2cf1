/* failure.c - see failure.h.
 */
#include "_xo/failure.h"

#include <unistd.h>

/* ---- from the wire ---- */

/* Text that comes from elsewhere: what is no UTF-8 must not hide the error that it is about. */
static PyObject *text_of(xo_slice_t text)
{
    return PyUnicode_DecodeUTF8(text.data, (Py_ssize_t)text.size, "replace");
}

static int add_text(PyObject *dict, const char *name, xo_slice_t text)
{
    PyObject *value = text_of(text);
    int failed = value ? PyDict_SetItemString(dict, name, value) : -1;
    Py_XDECREF(value);
    return failed;
}

static int add_rest(PyObject *dict, const xo_failure_t *failure)
{
    PyObject *pid = PyLong_FromLongLong(failure->pid);
    PyObject *bytes =
        PyBytes_FromStringAndSize(failure->exception.data, (Py_ssize_t)failure->exception.size);
    int failed = pid && bytes ? PyDict_SetItemString(dict, "pid", pid) : -1;
    if (!failed)
        failed = PyDict_SetItemString(dict, "exception", bytes);
    Py_XDECREF(pid);
    Py_XDECREF(bytes);
    return failed;
}

static PyObject *failure_dict(const xo_failure_t *failure)
{
    PyObject *dict = PyDict_New();
    if (dict && add_text(dict, "code", failure->code) == 0 &&
        add_text(dict, "message", failure->message) == 0 &&
        add_text(dict, "executed", failure->executed) == 0 &&
        add_text(dict, "reason", failure->reason) == 0 &&
        add_text(dict, "address", failure->address) == 0 &&
        add_text(dict, "type", failure->type) == 0 &&
        add_text(dict, "traceback", failure->traceback) == 0 && add_rest(dict, failure) == 0)
        return dict;
    Py_XDECREF(dict);
    return NULL;
}

PyObject *xopy_failure_of(const xo_failure_t *failure)
{
    PyObject *dict = failure_dict(failure);
    PyObject *exception = dict ? xopy_glue("failure", "(O)", dict) : NULL;
    Py_XDECREF(dict);
    return exception;
}

PyObject *xopy_failure_exception(xo_slice_t body)
{
    xo_failure_t failure;
    if (xo_failure_read(body, &failure) < 0) {
        PyErr_SetString(PyExc_ValueError, "malformed error from the peer");
        return NULL;
    }
    return xopy_failure_of(&failure);
}

/* ---- to the wire ---- */

static xo_slice_t slice_of(PyObject *text)
{
    Py_ssize_t size;
    const char *data = PyUnicode_AsUTF8AndSize(text, &size);
    if (data)
        return xo_slice(data, (size_t)size);
    PyErr_Clear();
    return xo_slice_str("(not UTF-8)");
}

static xo_msg_t *pack(const xo_failure_t *failure)
{
    xo_header_t header = {.kind = XO_ERROR};
    xo_buf_t body = XO_BUF_INIT;
    xo_failure_pack(failure, &body);
    xo_msg_t *msg = xo_buf_ok(&body) == 0 ? xo_msg_create(&header, xo_buf_slice(&body)) : NULL;
    xo_buf_free(&body);
    return msg ? msg : (xo_msg_t *)PyErr_NoMemory();
}

/* Whom a creation did not reach, as a new str; empty: it failed for another reason. */
static PyObject *missed_by(PyObject *exception)
{
    PyObject *missed = xopy_glue("missed", "(O)", exception);
    if (!missed)
        PyErr_Clear();
    return missed;
}

xo_msg_t *xopy_failure_message(const char *code, PyObject *exception, const char *address,
                               bool creates)
{
    PyObject *message, *type, *traceback, *bytes;
    PyObject *parts = xopy_glue("describe", "(O)", exception);
    if (!parts || !PyArg_ParseTuple(parts, "UUUS", &message, &type, &traceback, &bytes)) {
        Py_XDECREF(parts);
        return NULL;
    }
    PyObject *missed = creates ? missed_by(exception) : NULL;
    xo_failure_t failure = {
        .code = xo_slice_str(code),
        .message = slice_of(message),
        .executed = xo_slice_str("ran"),
        .address = xo_slice_str(address),
        .type = slice_of(type),
        .traceback = slice_of(traceback),
        .missed = missed ? slice_of(missed) : xo_slice(NULL, 0),
        .pid = getpid(),
        .exception = xo_slice(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)),
    };
    xo_msg_t *msg = pack(&failure);
    Py_XDECREF(missed);
    Py_DECREF(parts);
    return msg;
}
