/* here.c - see here.h.
 */
#include "_xo/here.h"

#include "_xo/home.h"
#include "_xo/mark.h"
#include "_xo/pool.h"
#include "_xo/run.h"
#include "_xo/watch.h"

#include <time.h>

/* As a pass of the pool's turns: this many, and none begins after this time. */
#define ROW_MAX 1024
#define ROW_NS (5 * XO_MS)

#define NS_PER_S 1000000000

/* ---- contexts ---- */

/* Each request has a context of its own, an empty one: what a method sets is seen by nobody else,
 * nor what the caller has set, wherever it is. */
PyObject *xopy_enter_context(xopy_pool_t *pool, xo_slice_t trace)
{
    PyObject *context = PyContext_New();
    if (context && PyContext_Enter(context) < 0)
        Py_CLEAR(context);
    if (!context) {
        PyErr_WriteUnraisable(NULL); /* out of memory: it runs in the loop's, then */
        return NULL;
    }
    xopy_mark_enter(trace);
    xopy_home_enter(pool);
    return context;
}

void xopy_leave_context(PyObject *context)
{
    if (context && PyContext_Exit(context) < 0)
        PyErr_WriteUnraisable(context);
    Py_XDECREF(context);
}

/* ---- may it run here? ---- */

/* Coarse is good enough, and costs a few nanoseconds. */
static int64_t coarse_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static bool row_is_over(xopy_runtime_t *runtime)
{
    runtime->here_now_ns = coarse_ns();
    if (runtime->here_count == 0)
        runtime->here_end_ns = runtime->here_now_ns + ROW_NS;
    return ++runtime->here_count > ROW_MAX || runtime->here_now_ns >= runtime->here_end_ns;
}

#define NOT_PLAIN (CO_COROUTINE | CO_ASYNC_GENERATOR | CO_GENERATOR | CO_ITERABLE_COROUTINE)

/* One that wraps another may have that keep the lock. */
static bool is_plain(PyObject *function)
{
    if (!function || !PyFunction_Check(function))
        return false;
    PyObject *attributes = ((PyFunctionObject *)function)->func_dict;
    if (attributes && PyDict_GET_SIZE(attributes) > 0)
        return false;
    return !(((PyCodeObject *)PyFunction_GET_CODE(function))->co_flags & NOT_PLAIN);
}

/* The bound method, if getting and calling it is all there is to do; NULL without an exception. */
static PyObject *plain_method(PyObject *self, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(self);
    if (type->tp_getattro != PyObject_GenericGetAttr || PyUnicode_READ_CHAR(name, 0) == '_')
        return NULL;
    PyObject *function = _PyType_Lookup(type, name);
    if (!is_plain(function))
        return NULL;
    PyObject *method = PyObject_GenericGetAttr(self, name);
    if (method && (!PyMethod_Check(method) || PyMethod_GET_FUNCTION(method) != function))
        Py_CLEAR(method);
    PyErr_Clear();
    return method;
}

static PyObject *find_method(xopy_runtime_t *runtime, const xopy_here_t *here)
{
    const xopy_hosted_t *hosted = xo_actor_object(here->actor);
    bool own = hosted && hosted->self && !hosted->on_receive && PyUnicode_GET_LENGTH(here->name);
    if (runtime->inside || xopy_is_watched() || !own || row_is_over(runtime))
        return NULL;
    return plain_method(hosted->self, here->name);
}

/* ---- running it ---- */

static xopy_pool_t *pool_of(xopy_runtime_t *runtime, const xo_actor_t *actor)
{
    xopy_pool_t *pool = runtime->pools;
    while (pool && pool->xo != xo_actor_pool(actor))
        pool = pool->next;
    return pool;
}

static PyObject *run(xopy_runtime_t *runtime, PyObject *method, const xopy_here_t *here)
{
    xopy_state_t *state = xopy_state();
    xopy_run_t *outer = state->current_run;
    xo_header_t sent = {0};
    PyObject *mark = xopy_mark_sending(&sent);
    PyObject *context = xopy_enter_context(pool_of(runtime, here->actor), sent.trace);
    Py_XDECREF(mark);
    state->current_run = NULL;
    runtime->inside++;
    PyObject *result = PyObject_Vectorcall(method, here->args, here->count, here->kwnames);
    runtime->inside--;
    state->current_run = outer;
    if (runtime->forgotten)
        xopy_end_child();
    xopy_leave_context(context);
    return result;
}

static void fail(xopy_call_t *call, const xo_actor_t *actor)
{
    PyObject *exception = xopy_take_exception();
    xopy_pool_t *pool = pool_of(call->runtime, actor);
    if (pool) {
        xopy_keep_fatal(pool, exception);
        exception = xopy_local_exception(pool, exception);
    }
    if (call->runtime->fatal)
        xopy_runtime_schedule(call->runtime);
    xopy_call_fail(call, exception);
}

static bool enter(const xopy_runtime_t *runtime, const xopy_here_t *here)
{
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(here->name, &size);
    if (!name) { /* no text that could be sent */
        PyErr_Clear();
        return false;
    }
    return xo_actor_enter(here->actor, xo_slice(name, (size_t)size), runtime->here_now_ns);
}

bool xopy_call_here(xopy_call_t *call, const xopy_here_t *here, PyObject **rest)
{
    *rest = NULL;
    PyObject *method = find_method(call->runtime, here);
    if (!method || !enter(call->runtime, here)) {
        Py_XDECREF(method);
        return false;
    }
    PyObject *result = run(call->runtime, method, here);
    Py_DECREF(method);
    if (!result)
        fail(call, here->actor);
    else if (xopy_is_pending(result))
        *rest = result;
    else
        xopy_call_set_result(call, result);
    xo_actor_leave(here->actor, !result);
    return true;
}
