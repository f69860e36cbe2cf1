/* run.c - see run.h.
 */
#include "_xo/run.h"

#include "_xo/future.h"
#include "_xo/own.h"

static xopy_run_t *run_of(PyObject *self)
{
    return (xopy_run_t *)self;
}

/* ---- the end of a request ---- */

static void unlink_run(xopy_run_t *run)
{
    if (run->prev)
        run->prev->next = run->next;
    else
        run->hosted->runs = run->next;
    if (run->next)
        run->next->prev = run->prev;
    run->prev = run->next = NULL;
}

/* Is there still somebody to answer, and a lock? */
static bool is_alive(const xopy_run_t *run)
{
    return run->request && !run->pool->runtime->closed;
}

/* Does a method end because its task was cancelled? So do all when a loop ends. */
static bool is_cancellation(const PyObject *value)
{
    return !value && PyErr_ExceptionMatches(xopy_state()->cancelled_error);
}

/* `value`: stolen; NULL: the exception that is set. */
static void answer(xopy_run_t *run, PyObject *value)
{
    bool alive = is_alive(run);
    xo_request_t *request = run->request;
    run->request = NULL;
    if (!alive) { /* the pool has answered for us, or this is the child of a fork */
        if (run->pool->runtime->forgotten && !is_cancellation(value))
            xopy_end_child();
        Py_XDECREF(value);
        PyErr_Clear();
        return;
    }
    unlink_run(run);
    xo_request_set_data(request, NULL);
    if (run->relocked)
        xo_actor_unlock(run->actor);
    xopy_respond(run->pool, request, run->purpose, value);
    Py_CLEAR(run->task);
    Py_DECREF(run); /* the reference of the list */
}

static void give_lock_up(xopy_run_t *run)
{
    if (run->relocked)
        xo_actor_unlock(run->actor);
    else
        xo_request_unlock(run->request);
    run->relocked = false;
}

/* The method returned a value. true: it has to be awaited, outside the lock, and the run goes on
 * with that. */
static bool goes_on(xopy_run_t *run, PyObject *value)
{
    if (!is_alive(run) || run->purpose != XOPY_FOR_CALL || !xopy_is_pending(value))
        return false;
    PyObject *next = xopy_settle(value);
    if (!next)
        return false; /* with the exception set: see finish */
    give_lock_up(run);
    run->lockless = true;
    Py_XSETREF(run->coroutine, next);
    return true;
}

/* One step. PYGEN_RETURN: the request is answered. */
static PySendResult finish(xopy_run_t *run, PyObject *value)
{
    Py_CLEAR(run->coroutine);
    if (value && PyErr_Occurred())
        Py_CLEAR(value);
    xopy_runtime_t *runtime = run->pool->runtime;
    answer(run, value);
    if (!runtime->fatal || runtime->inside)
        return PYGEN_RETURN;
    xopy_set_exception(runtime->fatal);
    Py_CLEAR(runtime->fatal);
    return PYGEN_ERROR;
}

/* The method's own code can ask whose step it is: _xo.current_run. So can the broker. */
static xopy_run_t *enter(xopy_run_t *run)
{
    xopy_state_t *state = xopy_state();
    xopy_run_t *outer = state->current_run;
    state->current_run = run;
    if (is_alive(run))
        xo_request_enter(run->request);
    return outer;
}

static void leave(const xopy_run_t *run, xopy_run_t *outer)
{
    xopy_state()->current_run = outer;
    if (run->pool->xo && !run->pool->runtime->forgotten)
        xo_pool_left(run->pool->xo);
}

static PySendResult step(xopy_run_t *run, PyObject *arg, PyObject **result)
{
    PyObject *coroutine = Py_NewRef(run->coroutine);
    xopy_run_t *outer = enter(run);
    PySendResult what = PyIter_Send(coroutine, arg, result);
    leave(run, outer);
    Py_DECREF(coroutine);
    return what;
}

/* __post_create__ and __pre_destroy__ may wait for a message to their own actor. */
static void hook_waits(xopy_run_t *run)
{
    if (run->lockless || run->purpose == XOPY_FOR_CALL || !is_alive(run))
        return;
    run->lockless = true;
    xo_request_unlock(run->request);
}

static PySendResult run_send(PyObject *self, PyObject *arg, PyObject **result)
{
    xopy_run_t *run = run_of(self);
    PySendResult what = PYGEN_ERROR;
    *result = NULL;
    Py_INCREF(self);
    while (run->coroutine) {
        what = step(run, arg, result);
        if (what != PYGEN_RETURN || !goes_on(run, *result))
            break;
        Py_CLEAR(*result);
        arg = Py_None;
    }
    if (what == PYGEN_NEXT) {
        hook_waits(run);
    } else {
        PyObject *value = what == PYGEN_RETURN ? *result : NULL;
        what = finish(run, value);
        *result = what == PYGEN_RETURN ? Py_NewRef(Py_None) : NULL;
    }
    Py_DECREF(self);
    return what;
}

/* ---- the coroutine that the task sees ---- */

static PyObject *as_method(PySendResult what, PyObject *result)
{
    if (what == PYGEN_NEXT)
        return result;
    Py_XDECREF(result);
    if (what == PYGEN_RETURN)
        PyErr_SetNone(PyExc_StopIteration);
    return NULL;
}

static PyObject *run_send_method(PyObject *self, PyObject *arg)
{
    PyObject *result;
    PySendResult what = run_send(self, arg, &result);
    return as_method(what, result);
}

static PyObject *run_next(PyObject *self)
{
    return run_send_method(self, Py_None);
}

static PyObject *throw_inner(xopy_run_t *run, PyObject *args)
{
    PyObject *throw = PyObject_GetAttr(run->coroutine, xopy_state()->str_throw);
    xopy_run_t *outer = enter(run);
    PyObject *yielded = throw ? PyObject_CallObject(throw, args) : NULL;
    leave(run, outer);
    Py_XDECREF(throw);
    return yielded;
}

static PyObject *run_throw(PyObject *self, PyObject *args)
{
    xopy_run_t *run = run_of(self);
    PyObject *value = NULL;
    if (!run->coroutine) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    PyObject *yielded = throw_inner(run, args);
    if (yielded) {
        hook_waits(run);
        return yielded;
    }
    if (xopy_stop_value(&value) == 0 && goes_on(run, value)) {
        Py_DECREF(value);
        return run_send_method(self, Py_None);
    }
    Py_INCREF(self);
    PySendResult what = finish(run, value);
    Py_DECREF(self);
    return as_method(what, NULL);
}

static PyObject *run_close(PyObject *self, PyObject *unused)
{
    xopy_run_t *run = run_of(self);
    (void)unused;
    PyObject *coroutine = run->coroutine;
    run->coroutine = NULL;
    PyObject *result =
        coroutine ? PyObject_CallMethod(coroutine, "close", NULL) : Py_NewRef(Py_None);
    Py_XDECREF(coroutine);
    return result;
}

/* ---- the lock, for methods that yield ---- */

static PyObject *run_unlock(PyObject *self, PyObject *unused)
{
    xopy_run_t *run = run_of(self);
    (void)unused;
    if (is_alive(run) && !run->lockless)
        give_lock_up(run);
    Py_RETURN_NONE;
}

/* `arg`: the run, with a reference of its own. */
static void on_lock(xo_actor_t *actor, void *arg)
{
    xopy_run_t *run = arg;
    xopy_call_t *locking = run->locking;
    run->locking = NULL;
    if (locking && run->request) {
        run->relocked = true;
        xopy_call_set_result(locking, Py_NewRef(Py_None));
    } else {
        xo_actor_unlock(actor);
    }
    Py_XDECREF(locking);
    Py_DECREF(run);
}

static void want_lock(xopy_run_t *run)
{
    Py_INCREF(run->locking);
    Py_INCREF(run);
    if (xo_actor_lock(run->actor, on_lock, run) == 0)
        return;
    PyErr_NoMemory();
    xopy_call_set_exception(run->locking, NULL);
    Py_CLEAR(run->locking);
    Py_DECREF(run);
}

static PyObject *run_lock(PyObject *self, PyObject *unused)
{
    xopy_run_t *run = run_of(self);
    (void)unused;
    xopy_call_t *call = xopy_call_create(run->pool->runtime);
    if (!call)
        return NULL;
    if (!is_alive(run) || run->lockless) {
        xopy_call_set_result(call, Py_NewRef(Py_None));
    } else {
        run->locking = call;
        want_lock(run);
    }
    return (PyObject *)call;
}

/* ---- start, cancel, drop ---- */

static PyObject *make_task(xopy_run_t *run)
{
    xopy_state_t *state = xopy_state();
    PyObject *args[] = {(PyObject *)run, run->pool->runtime->loop, Py_True};
    return PyObject_Vectorcall((PyObject *)state->task_type, args, 1, state->task_kwnames);
}

static xopy_run_t *new_run(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                           xopy_purpose_t purpose)
{
    xopy_state_t *state = xopy_state();
    xopy_run_t *run = (xopy_run_t *)state->run_type->tp_alloc(state->run_type, 0);
    if (!run)
        return NULL;
    run->pool = (xopy_pool_t *)Py_NewRef(pool);
    run->actor = actor;
    run->hosted = xo_actor_object(actor);
    run->request = request;
    run->purpose = (unsigned char)purpose;
    run->next = run->hosted->runs;
    if (run->next)
        run->next->prev = run;
    run->hosted->runs = run;
    Py_INCREF(run); /* the list's */
    xo_request_set_data(request, run);
    return run;
}

/* Where Python has eager tasks, the first step is over when the task is made, and perhaps the last.
 */
static void drive(xopy_run_t *run)
{
    PyObject *task = make_task(run);
    if (!task)
        answer(run, NULL);
    else if (run->request)
        run->task = Py_NewRef(task);
    Py_XDECREF(task);
}

static bool is_lockless(const xopy_hosted_t *hosted, const xo_request_t *request)
{
    xo_slice_t method = xo_msg_header(xo_request_msg(request))->method;
    return xopy_bypasses(hosted, method);
}

void xopy_run_start(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                    xopy_purpose_t purpose, PyObject *coroutine, bool hold)
{
    xopy_run_t *run = coroutine ? new_run(pool, actor, request, purpose) : NULL;
    if (!run) {
        Py_XDECREF(coroutine);
        xopy_respond(pool, request, purpose, NULL);
        return;
    }
    run->coroutine = coroutine;
    bool bypasses = purpose == XOPY_FOR_CALL && is_lockless(run->hosted, request);
    if (!hold && !bypasses)
        xo_request_unlock(request);
    run->lockless = !hold || bypasses;
    if (!run->lockless)
        xopy_own_enter(run);
    drive(run);
    Py_DECREF(run);
}

void xopy_run_cancel(xopy_run_t *run)
{
    if (!run->task)
        return;
    PyObject *task = Py_NewRef(run->task); /* to be cancelled can end both */
    Py_INCREF(run);
    PyObject *result = PyObject_CallMethodNoArgs(task, xopy_state()->str_cancel);
    if (!result)
        xopy_report(run->pool->runtime, "a method could not be cancelled");
    Py_XDECREF(result);
    Py_DECREF(task);
    Py_DECREF(run);
}

void xopy_run_drop(xopy_run_t *run)
{
    unlink_run(run);
    run->request = NULL;
    if (run->locking) { /* the pool has forgotten who waits for the lock */
        xopy_call_set_result(run->locking, Py_NewRef(Py_None));
        Py_CLEAR(run->locking);
        Py_DECREF(run);
    }
    xopy_run_cancel(run);
    Py_CLEAR(run->task);
    Py_DECREF(run);
}

/* ---- the type ---- */

static int run_traverse(PyObject *self, visitproc visit, void *arg)
{
    xopy_run_t *run = run_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(run->pool);
    Py_VISIT(run->coroutine);
    Py_VISIT(run->task);
    return 0;
}

static int run_clear(PyObject *self)
{
    xopy_run_t *run = run_of(self);
    Py_CLEAR(run->coroutine);
    Py_CLEAR(run->task);
    return 0;
}

static void run_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    run_clear(self);
    Py_XDECREF(run_of(self)->pool);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *run_self(PyObject *self)
{
    return Py_NewRef(self);
}

/* What debuggers and asyncio's repr ask a coroutine for is the inner one's. */
static PyObject *get_inner(PyObject *self, void *name)
{
    PyObject *coroutine = run_of(self)->coroutine;
    if (!coroutine)
        Py_RETURN_NONE;
    return PyObject_GetAttrString(coroutine, name);
}

/* The user's object whose method it is; None once the actor has gone. */
static PyObject *get_actor(PyObject *self, void *unused)
{
    xopy_run_t *run = run_of(self);
    (void)unused;
    PyObject *actor = run->request ? run->hosted->self : NULL;
    return Py_NewRef(actor ? actor : Py_None);
}

/* Seconds until the deadline of the call; None: it has none, or has been answered. */
static PyObject *get_left(PyObject *self, void *unused)
{
    const xopy_run_t *run = run_of(self);
    (void)unused;
    int64_t left = is_alive(run) ? xo_request_left(run->request) : 0;
    if (!left)
        Py_RETURN_NONE;
    return PyFloat_FromDouble((double)left / 1e9);
}

static PyObject *get_running(PyObject *self, void *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_FALSE;
}

static PyMethodDef run_methods[] = {
    {"send", run_send_method, METH_O, "As a coroutine's."},
    {"throw", run_throw, METH_VARARGS, "As a coroutine's."},
    {"close", run_close, METH_NOARGS, "As a coroutine's."},
    {"unlock", run_unlock, METH_NOARGS, "unlock()\n--\n\nGives the actor's lock up."},
    {"lock", run_lock, METH_NOARGS, "lock()\n--\n\nAwait it: takes the actor's lock again."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef run_getset[] = {
    {"__name__", get_inner, NULL, NULL, "__name__"},
    {"__qualname__", get_inner, NULL, NULL, "__qualname__"},
    {"cr_code", get_inner, NULL, NULL, "cr_code"},
    {"cr_frame", get_inner, NULL, NULL, "cr_frame"},
    {"cr_await", get_inner, NULL, NULL, "cr_await"},
    {"cr_running", get_running, NULL, NULL, NULL},
    {"actor", get_actor, NULL, NULL, NULL},
    {"left", get_left, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot run_slots[] = {
    {Py_tp_doc, "A method under way."},
    {Py_tp_traverse, run_traverse},
    {Py_tp_clear, run_clear},
    {Py_tp_dealloc, run_dealloc},
    {Py_tp_iter, run_self},
    {Py_tp_iternext, run_next},
    {Py_am_await, run_self},
    XOPY_AM_SEND(run_send){Py_tp_methods, run_methods},
    {Py_tp_getset, run_getset},
    {0, NULL},
};

static PyType_Spec run_spec = {
    .name = "_xo.Run",
    .basicsize = sizeof(xopy_run_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | XOPY_IMMUTABLE | XOPY_NO_NEW,
    .slots = run_slots,
};

int xopy_run_setup(PyObject *module, xopy_state_t *state)
{
    return xopy_add_type(module, &run_spec, NULL, &state->run_type);
}
