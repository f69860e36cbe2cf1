/* call.c - a Call's life: made, sent, answered; and the coroutine that it is.
 */
#include "_xo/call.h"

#include "_xo/failure.h"
#include "_xo/future.h"
#include "_xo/runtime.h"
#include "_xo/send.h"
#include "_xo/values.h"
#include "_xo/watch.h"

static xopy_call_t *new_call(xopy_state_t *state)
{
    return (xopy_call_t *)state->coroutine_type->tp_alloc(state->coroutine_type, 0);
}

xopy_call_t *xopy_call_create(xopy_runtime_t *runtime)
{
    xopy_call_t *call = new_call(xopy_state());
    if (!call)
        return NULL;
    call->runtime = (xopy_runtime_t *)Py_NewRef(runtime);
    call->state = XOPY_CALL_PENDING;
    return call;
}

xopy_call_t *xopy_call_create_lazy(PyObject *send)
{
    xopy_call_t *call = new_call(xopy_state());
    if (!call)
        return NULL;
    call->value = Py_NewRef(send);
    call->state = XOPY_CALL_LAZY;
    return call;
}

void xopy_call_be_future(xopy_call_t *call)
{
    PyTypeObject *type = Py_TYPE(call), *future = xopy_state()->call_type;
    if (call->started || type == future)
        return;
    Py_INCREF(future);
    Py_SET_TYPE(call, future);
    Py_DECREF(type);
}

/* ---- ends ---- */

static void finish(xopy_call_t *call, xopy_call_state_t state, PyObject *value)
{
    if (call->state != XOPY_CALL_PENDING) {
        Py_XDECREF(value);
        return;
    }
    call->state = state;
    Py_XSETREF(call->value, value);
    if (call->callback || call->more) /* the first may have been removed */
        xopy_runtime_ready(call->runtime, call);
}

/* Raised out of an await, a StopIteration would be a return. Its text begins with where it was
 * raised. */
static PyObject *wrap_stop(PyObject *exception)
{
    if (!PyErr_GivenExceptionMatches(exception, PyExc_StopIteration))
        return exception;
    PyObject *where = PyObject_GetAttrString(exception, "_xo_where");
    PyErr_Clear();
    if (where)
        PyErr_Format(PyExc_RuntimeError, "%S the method raised StopIteration", where);
    else
        PyErr_SetString(PyExc_RuntimeError, "the method raised StopIteration");
    Py_XDECREF(where);
    PyObject *wrapper = xopy_take_exception();
    PyException_SetCause(wrapper, exception);
    return wrapper;
}

void xopy_call_set_exception(xopy_call_t *call, PyObject *exception)
{
    finish(call, XOPY_CALL_EXCEPTION, wrap_stop(exception ? exception : xopy_take_exception()));
}

void xopy_call_set_result(xopy_call_t *call, PyObject *value)
{
    if (value)
        finish(call, XOPY_CALL_RESULT, value);
    else
        xopy_call_set_exception(call, NULL);
}

void xopy_call_set_cancelled(xopy_call_t *call)
{
    finish(call, XOPY_CALL_CANCELLED, NULL);
}

void xopy_call_fail(xopy_call_t *call, PyObject *exception)
{
    if (PyErr_GivenExceptionMatches(exception, xopy_state()->cancelled_error)) {
        Py_DECREF(exception);
        xopy_call_set_cancelled(call);
    } else {
        xopy_call_set_exception(call, exception);
    }
}

/* ---- answers ---- */

/* To an actor in a pool of this loop, a LocalActorRef. */
static PyObject *ref_of(xopy_runtime_t *runtime, PyObject *value)
{
    xopy_state_t *state = xopy_state();
    PyObject *address, *uid, *incarnation;
    if (!PyList_CheckExact(value) || PyList_GET_SIZE(value) != 3) {
        PyErr_SetString(PyExc_ValueError, "malformed value: reference");
        return NULL;
    }
    address = PyList_GET_ITEM(value, 0);
    uid = PyList_GET_ITEM(value, 1);
    incarnation = PyList_GET_ITEM(value, 2);
    if (!PyUnicode_Check(address) || !PyBytes_Check(uid) || !PyLong_Check(incarnation)) {
        PyErr_SetString(PyExc_ValueError, "malformed value: reference");
        return NULL;
    }
    bool local = xopy_runtime_local(runtime, address) != NULL;
    return xopy_ref_create(local ? xopy_own_ref_type(state) : state->ref_type, address, uid);
}

/* Steals value. */
static PyObject *convert(xopy_call_t *call, PyObject *value)
{
    if (!value || call->convert == XOPY_AS_IS)
        return value;
    PyObject *converted =
        call->convert == XOPY_AS_REF ? ref_of(call->runtime, value) : Py_NewRef(Py_None);
    Py_DECREF(value);
    return converted;
}

/* What a method makes of a cancellation that reaches it is the outcome. A result that was on its
 * way already is none of that: whoever cancelled must see it, or a task told to end goes on. */
static void take_result(xopy_call_t *call, xo_msg_t *answer)
{
    if (call->cancelling && !(xo_msg_header(answer)->flags & XO_F_CANCELLED)) {
        xopy_call_set_cancelled(call);
        return;
    }
    PyObject *value = xo_msg_take_payload(answer);
    if (!value)
        value = xopy_read_all(answer, xo_msg_body(answer));
    xopy_call_set_result(call, convert(call, value));
}

static void take_failure(xopy_call_t *call, xo_msg_t *answer)
{
    PyObject *exception = xo_msg_take_payload(answer);
    if (!exception)
        exception = xopy_failure_exception(xo_msg_body(answer));
    xopy_call_fail(call, exception ? exception : xopy_take_exception());
}

void xopy_call_answered(xo_call_t *under_way, xo_msg_t **answer, void *arg)
{
    xopy_call_t *call = arg;
    (void)under_way;
    call->under_way = NULL;
    if (!*answer) {
        PyErr_NoMemory();
        xopy_call_set_exception(call, NULL);
    } else if (xo_msg_header(*answer)->kind == XO_RESULT) {
        take_result(call, *answer);
    } else {
        take_failure(call, *answer);
    }
    Py_DECREF(call);
}

void xopy_call_accepted(const xo_failure_t *why, void *arg)
{
    xopy_call_t *call = arg;
    if (!why)
        xopy_call_set_result(call, Py_NewRef(Py_None));
    else
        xopy_call_set_exception(call, xopy_failure_of(why));
    Py_DECREF(call);
}

/* ---- the coroutine ---- */

static int start(xopy_call_t *call)
{
    xopy_state_t *state = xopy_state();
    xopy_runtime_t *runtime = xopy_runtime_current(state);
    if (!runtime) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "no running event loop");
        return -1;
    }
    PyObject *send = call->value;
    call->value = NULL;
    call->runtime = (xopy_runtime_t *)Py_NewRef(runtime);
    call->state = XOPY_CALL_PENDING;
    xopy_send_lazy(call, send);
    Py_DECREF(send);
    return 0;
}

static PySendResult call_send(PyObject *self, PyObject *arg, PyObject **result)
{
    xopy_call_t *call = (xopy_call_t *)self;
    (void)arg;
    *result = NULL;
    call->started = true;
    if (call->state == XOPY_CALL_LAZY && start(call) < 0)
        return PYGEN_ERROR;
    if (call->state == XOPY_CALL_PENDING) {
        call->blocking = true;
        *result = Py_NewRef(self);
        return PYGEN_NEXT;
    }
    *result = xopy_future_result(call);
    return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

void xopy_stop_iteration(PyObject *value)
{
    if (!PyTuple_Check(value) && !PyExceptionInstance_Check(value)) {
        PyErr_SetObject(PyExc_StopIteration, value);
        return;
    }
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop)
        PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
}

static PyObject *call_next(PyObject *self)
{
    PyObject *result;
    PySendResult what = call_send(self, Py_None, &result);
    if (what != PYGEN_RETURN)
        return result;
    xopy_stop_iteration(result);
    Py_DECREF(result);
    return NULL;
}

static PyObject *call_send_method(PyObject *self, PyObject *arg)
{
    (void)arg;
    return call_next(self);
}

/* What asyncio throws in is a cancellation that came before the call was waited for, or the user's
 * own: it goes up to who awaits; the call goes on. */
static PyObject *call_throw(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    if (count < 1 || count > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes 1 to 3 arguments");
        return NULL;
    }
    PyObject *exception = count > 1 && args[1] != Py_None ? args[1] : args[0];
    if (PyExceptionInstance_Check(exception))
        xopy_set_exception(exception);
    else if (PyExceptionClass_Check(exception))
        PyErr_SetNone(exception);
    else
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    return NULL;
}

static PyObject *call_close(PyObject *self, PyObject *unused)
{
    xopy_call_t *call = (xopy_call_t *)self;
    (void)unused;
    if (call->state == XOPY_CALL_LAZY) {
        call->state = XOPY_CALL_CANCELLED;
        Py_CLEAR(call->value);
    }
    Py_RETURN_NONE;
}

static PyObject *call_self(PyObject *self)
{
    return Py_NewRef(self);
}

/* ---- the type ---- */

static int call_traverse(PyObject *self, visitproc visit, void *arg)
{
    xopy_call_t *call = (xopy_call_t *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(call->runtime);
    Py_VISIT(call->value);
    Py_VISIT(call->callback);
    Py_VISIT(call->context);
    Py_VISIT(call->more);
    Py_VISIT(call->cancel_message);
    return 0;
}

static int call_clear(PyObject *self)
{
    xopy_call_t *call = (xopy_call_t *)self;
    Py_CLEAR(call->runtime);
    Py_CLEAR(call->value);
    Py_CLEAR(call->callback);
    Py_CLEAR(call->context);
    Py_CLEAR(call->more);
    Py_CLEAR(call->cancel_message);
    return 0;
}

/* The garbage collector clears the runtime before the call is freed. */
static bool is_lost(const xopy_call_t *call)
{
    return call->state == XOPY_CALL_EXCEPTION && !call->retrieved && call->runtime &&
           !call->runtime->closed;
}

/* Nobody will see the exception: the loop's handler is told. */
static void call_finalize(PyObject *self)
{
    xopy_call_t *call = (xopy_call_t *)self;
    PyObject *type, *value, *traceback;
    if (!is_lost(call))
        return;
    call->retrieved = true;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *result = xopy_glue("report_lost", "(OOO)", call->runtime->loop, self, call->value);
    if (!result)
        PyErr_WriteUnraisable(self);
    Py_XDECREF(result);
    PyErr_Restore(type, value, traceback);
}

/* A call under way holds a reference to itself, so none is under way here. */
static void call_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (is_lost((xopy_call_t *)self) && PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    if (((xopy_call_t *)self)->weakrefs)
        PyObject_ClearWeakRefs(self);
    call_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    XOPY_FUTURE_METHODS{NULL, NULL, 0, NULL},
};

static PyMethodDef coroutine_methods[] = {
    {"send", call_send_method, METH_O, "As a coroutine's."},
    {"throw", XOPY_FAST(call_throw), METH_FASTCALL, "As a coroutine's."},
    {"close", call_close, METH_NOARGS, "As a coroutine's."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef call_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(xopy_call_t, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, "A request that has been sent: await it for the answer."},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_finalize, call_finalize},
    {Py_tp_repr, xopy_future_repr},
    {Py_tp_iter, call_self},
    {Py_tp_iternext, call_next},
    {Py_am_await, call_self},
    XOPY_AM_SEND(call_send){Py_tp_methods, call_methods},
    {Py_tp_members, call_members},
    {Py_tp_getset, xopy_future_getset},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "_xo.Call",
    .basicsize = sizeof(xopy_call_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | XOPY_IMMUTABLE |
             XOPY_NO_NEW,
    .slots = call_slots,
};

/* What a type made from a spec does not inherit, and the methods that make it a coroutine. */
static PyType_Slot coroutine_slots[] = {
    {Py_tp_doc, "A Call that create_task takes, too: a coroutine and a future in one."},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_methods, coroutine_methods},
    {0, NULL},
};

static PyType_Spec coroutine_spec = {
    .name = "_xo.CallCoroutine",
    .basicsize = sizeof(xopy_call_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | XOPY_IMMUTABLE | XOPY_NO_NEW,
    .slots = coroutine_slots,
};

int xopy_call_setup(PyObject *module, xopy_state_t *state)
{
    if (xopy_add_type(module, &call_spec, NULL, &state->call_type) < 0)
        return -1;
    return xopy_add_type(module, &coroutine_spec, state->call_type, &state->coroutine_type);
}
