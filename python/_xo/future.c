/* future.c - see future.h.
 */
#include "_xo/future.h"

#include "_xo/runtime.h"

static xopy_call_t *call_of(PyObject *self)
{
    return (xopy_call_t *)self;
}

static bool is_done(const xopy_call_t *call)
{
    return call->state > XOPY_CALL_PENDING;
}

/* ---- callbacks ---- */

/* The task or whoever waits runs in its own context (PEP 567). */
static int run_in(PyObject *context, PyObject *callback, PyObject *self)
{
    if (PyContext_Enter(context) < 0)
        return -1;
    PyObject *result = PyObject_CallOneArg(callback, self);
    Py_XDECREF(result);
    PyObject *exception = result ? NULL : xopy_take_exception();
    int failed = PyContext_Exit(context);
    if (!exception)
        return failed;
    xopy_set_exception(exception);
    Py_DECREF(exception);
    return -1;
}

/* -1: the exception must end the loop; others are the loop's handler's. */
static int run_one(xopy_call_t *call, PyObject *context, PyObject *callback)
{
    if (run_in(context, callback, (PyObject *)call) == 0)
        return 0;
    PyObject *exception = xopy_take_exception();
    bool fatal = xopy_is_fatal(exception);
    xopy_set_exception(exception);
    Py_DECREF(exception);
    if (fatal)
        return -1;
    xopy_report(call->runtime, "a callback of a call failed");
    return 0;
}

static int run_more(xopy_call_t *call, PyObject *more)
{
    int failed = 0;
    for (Py_ssize_t i = 0; failed == 0 && i < PyList_GET_SIZE(more); i++) {
        PyObject *entry = PyList_GET_ITEM(more, i);
        failed = run_one(call, PyTuple_GET_ITEM(entry, 1), PyTuple_GET_ITEM(entry, 0));
    }
    return failed;
}

int xopy_call_run_callbacks(xopy_call_t *call)
{
    PyObject *callback = call->callback, *context = call->context, *more = call->more;
    call->callback = call->context = call->more = NULL;
    int failed = callback ? run_one(call, context, callback) : 0;
    if (more && failed == 0)
        failed = run_more(call, more);
    Py_XDECREF(callback);
    Py_XDECREF(context);
    Py_XDECREF(more);
    return failed;
}

static int call_soon(xopy_call_t *call, PyObject *callback, PyObject *context)
{
    xopy_state_t *state = xopy_state();
    PyObject *args[] = {call->runtime->loop, callback, (PyObject *)call, context};
    PyObject *handle =
        PyObject_VectorcallMethod(state->str_call_soon, args, 3, state->context_kwnames);
    Py_XDECREF(handle);
    return handle ? 0 : -1;
}

static int keep_more(xopy_call_t *call, PyObject *callback, PyObject *context)
{
    if (!call->more && !(call->more = PyList_New(0)))
        return -1;
    PyObject *entry = PyTuple_Pack(2, callback, context);
    int failed = entry ? PyList_Append(call->more, entry) : -1;
    Py_XDECREF(entry);
    return failed;
}

/* A call that no loop has is only a coroutine: nobody asks it for callbacks but by mistake. */
static int check_started(const xopy_call_t *call)
{
    if (call->runtime)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the call has not been sent: await it in a running loop");
    return -1;
}

static int add_callback(xopy_call_t *call, PyObject *callback, PyObject *context)
{
    if (is_done(call))
        return call_soon(call, callback, context);
    if (call->callback || call->more)
        return keep_more(call, callback, context);
    call->callback = Py_NewRef(callback);
    call->context = Py_NewRef(context);
    return 0;
}

PyObject *xopy_future_add_done(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *kwnames)
{
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (count != 1 || named > 1) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback(callback, *, context=None)");
        return NULL;
    }
    if (check_started(call_of(self)) < 0)
        return NULL;
    bool given = named == 1 && args[1] != Py_None;
    PyObject *context = given ? Py_NewRef(args[1]) : PyContext_CopyCurrent();
    int failed = context ? add_callback(call_of(self), args[0], context) : -1;
    Py_XDECREF(context);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

/* A callback's own __eq__ may run here, and add, remove or run callbacks. */
static int equals(PyObject *one, PyObject *callback)
{
    Py_INCREF(one);
    int equal = PyObject_RichCompareBool(one, callback, Py_EQ);
    Py_DECREF(one);
    return equal;
}

static Py_ssize_t remove_more(PyObject *more, PyObject *callback)
{
    Py_ssize_t removed = 0;
    for (Py_ssize_t i = PyList_GET_SIZE(more) - 1; i >= 0; i--) {
        if (i >= PyList_GET_SIZE(more))
            continue;
        PyObject *entry = Py_NewRef(PyList_GET_ITEM(more, i));
        int equal = equals(PyTuple_GET_ITEM(entry, 0), callback);
        if (equal > 0 && i < PyList_GET_SIZE(more) && PyList_GET_ITEM(more, i) == entry)
            removed += PySequence_DelItem(more, i) == 0;
        Py_DECREF(entry);
        if (equal < 0 || PyErr_Occurred())
            return -1;
    }
    return removed;
}

static int remove_first(xopy_call_t *call, PyObject *callback)
{
    PyObject *first = call->callback;
    int equal = first ? equals(first, callback) : 0;
    if (equal <= 0 || call->callback != first)
        return equal < 0 ? -1 : 0;
    Py_CLEAR(call->callback);
    Py_CLEAR(call->context);
    return 1;
}

PyObject *xopy_future_remove_done(PyObject *self, PyObject *callback)
{
    xopy_call_t *call = call_of(self);
    PyObject *more = Py_XNewRef(call->more);
    Py_ssize_t removed = more ? remove_more(more, callback) : 0;
    int first = removed < 0 ? -1 : remove_first(call, callback);
    Py_XDECREF(more);
    return first < 0 ? NULL : PyLong_FromSsize_t(removed + first);
}

/* ---- results ---- */

static void raise_cancelled(const xopy_call_t *call)
{
    PyObject *type = xopy_state()->cancelled_error;
    if (!type) /* closed before it was sent: asyncio was never needed */
        PyErr_SetString(PyExc_RuntimeError, "the call was closed before it was sent");
    else if (call->cancel_message)
        PyErr_SetObject(type, call->cancel_message);
    else
        PyErr_SetNone(type);
}

static void raise_kept(xopy_call_t *call)
{
    call->retrieved = true;
    xopy_set_exception(call->value);
}

PyObject *xopy_future_result(xopy_call_t *call)
{
    if (call->state == XOPY_CALL_RESULT)
        return Py_NewRef(call->value);
    if (call->state == XOPY_CALL_EXCEPTION)
        raise_kept(call);
    else
        raise_cancelled(call);
    return NULL;
}

static int check_done(const xopy_call_t *call)
{
    if (is_done(call))
        return 0;
    if (xopy_need_asyncio(xopy_state()) == 0)
        PyErr_SetString(xopy_state()->invalid_state_error, "Result is not ready.");
    return -1;
}

PyObject *xopy_future_get_result(PyObject *self, PyObject *unused)
{
    (void)unused;
    return check_done(call_of(self)) < 0 ? NULL : xopy_future_result(call_of(self));
}

PyObject *xopy_future_get_exception(PyObject *self, PyObject *unused)
{
    xopy_call_t *call = call_of(self);
    (void)unused;
    if (check_done(call) < 0)
        return NULL;
    if (call->state == XOPY_CALL_EXCEPTION) {
        call->retrieved = true;
        return Py_NewRef(call->value);
    }
    if (call->state == XOPY_CALL_RESULT)
        Py_RETURN_NONE;
    raise_cancelled(call);
    return NULL;
}

PyObject *xopy_future_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_done(call_of(self)));
}

/* ---- cancelling ---- */

static PyObject *cancel_message(PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    bool given = count == 1 || (kwnames && PyTuple_GET_SIZE(kwnames) == 1);
    return given && args[0] != Py_None ? args[0] : NULL;
}

static void cancel_pending(xopy_call_t *call)
{
    if (!call->under_way || call->runtime->closed) {
        xopy_call_set_cancelled(call);
        return;
    }
    call->cancelling = true;
    xo_call_cancel(call->under_way);
}

PyObject *xopy_future_cancel(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *kwnames)
{
    xopy_call_t *call = call_of(self);
    if (is_done(call))
        Py_RETURN_FALSE;
    Py_XSETREF(call->cancel_message, Py_XNewRef(cancel_message(args, count, kwnames)));
    if (call->state == XOPY_CALL_PENDING)
        cancel_pending(call);
    else if (call->state == XOPY_CALL_LAZY)
        call->state = XOPY_CALL_CANCELLED;
    Py_RETURN_TRUE;
}

PyObject *xopy_future_abandon(PyObject *self, PyObject *unused)
{
    xopy_call_t *call = call_of(self);
    (void)unused;
    if (call->state == XOPY_CALL_PENDING) {
        xo_call_t *under_way = call->under_way;
        call->under_way = NULL;
        xopy_call_set_cancelled(call);
        if (under_way && !call->runtime->closed) {
            xo_call_abandon(under_way);
            Py_DECREF(call); /* the reference of the call under way; the caller has another */
        }
    }
    Py_RETURN_NONE;
}

PyObject *xopy_future_cancelled(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(call_of(self)->state == XOPY_CALL_CANCELLED);
}

PyObject *xopy_future_make_cancelled(PyObject *self, PyObject *unused)
{
    (void)unused;
    raise_cancelled(call_of(self));
    return xopy_take_exception();
}

/* ---- the rest ---- */

PyObject *xopy_future_get_loop(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (check_started(call_of(self)) < 0)
        return NULL;
    return Py_NewRef(call_of(self)->runtime->loop);
}

PyObject *xopy_future_repr(PyObject *self)
{
    static const char *const names[] = {"not sent", "pending", "result", "exception", "cancelled"};
    return PyUnicode_FromFormat("<Call %s at %p>", names[call_of(self)->state], self);
}

static PyObject *get_blocking(PyObject *self, void *unused)
{
    (void)unused;
    if (!call_of(self)->runtime) /* asyncio.isfuture: no */
        Py_RETURN_NONE;
    if (!call_of(self)->blocking)
        xopy_call_be_future(call_of(self));
    return PyBool_FromLong(call_of(self)->blocking);
}

static int set_blocking(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    int truth = value ? PyObject_IsTrue(value) : 0;
    if (truth < 0)
        return -1;
    call_of(self)->blocking = truth;
    return 0;
}

static PyObject *get_loop(PyObject *self, void *unused)
{
    (void)unused;
    return xopy_future_get_loop(self, NULL);
}

PyGetSetDef xopy_future_getset[] = {
    {"_asyncio_future_blocking", get_blocking, set_blocking, NULL, NULL},
    {"_loop", get_loop, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
