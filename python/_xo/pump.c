/* pump.c - what asyncio calls when the xo loop's descriptor is readable: messages are taken in,
 * which runs actors' methods, and those who waited for answers go on.
 */
#include "_xo/runtime.h"

/* Passes of the xo loop in one callback of asyncio's, before the others of asyncio get their turn.
 */
#define PASSES_MAX 16

void xopy_report(xopy_runtime_t *runtime, const char *what)
{
    PyObject *exception = xopy_take_exception();
    PyObject *result = xopy_glue("report", "(OsO)", runtime->loop, what, exception);
    if (!result)
        PyErr_WriteUnraisable(exception);
    Py_XDECREF(result);
    Py_DECREF(exception);
}

void xopy_runtime_schedule(xopy_runtime_t *runtime)
{
    if (runtime->pump_scheduled)
        return;
    PyObject *args[] = {runtime->loop, runtime->pump};
    PyObject *handle = PyObject_VectorcallMethod(xopy_state()->str_call_soon, args, 2, NULL);
    runtime->pump_scheduled = handle != NULL;
    Py_XDECREF(handle);
    if (!handle) /* the loop is closed: nobody waits any more */
        PyErr_Clear();
}

void xopy_runtime_ready(xopy_runtime_t *runtime, xopy_call_t *call)
{
    if (call->queued)
        return;
    call->queued = true;
    call->next_ready = NULL;
    Py_INCREF(call);
    if (runtime->ready_tail)
        runtime->ready_tail->next_ready = call;
    else
        runtime->ready_head = call;
    runtime->ready_tail = call;
    if (!runtime->pumping)
        xopy_runtime_schedule(runtime);
}

static xopy_call_t *next_ready(xopy_runtime_t *runtime)
{
    xopy_call_t *call = runtime->ready_head;
    if (call) {
        runtime->ready_head = call->next_ready;
        if (!runtime->ready_head)
            runtime->ready_tail = NULL;
        call->queued = false;
    }
    return call;
}

static int run_ready(xopy_runtime_t *runtime)
{
    xopy_call_t *call;
    int failed = 0;
    while (failed == 0 && (call = next_ready(runtime))) {
        failed = xopy_call_run_callbacks(call);
        Py_DECREF(call);
    }
    return failed;
}

/* One pass of the xo loop, and what xo_loop_once says; -1 with an exception that must end
 * asyncio's.
 */
static int take_in(xopy_runtime_t *runtime)
{
    runtime->inside++;
    int more = xo_loop_once(runtime->xo, 0);
    runtime->inside--;
    if (!runtime->fatal)
        return more;
    xopy_set_exception(runtime->fatal);
    Py_CLEAR(runtime->fatal);
    return -1;
}

/* Once tasks have been woken, asyncio's own callbacks come first: what a task started before it
 * waited has begun when it goes on, as with any other future. */
static int pump_passes(xopy_runtime_t *runtime)
{
    int more = 1;
    for (int i = 0; i < PASSES_MAX && more == 1 && !runtime->ready_head && !runtime->closed; i++)
        more = take_in(runtime);
    return more >= 0 && run_ready(runtime) < 0 ? -1 : more;
}

/* Keeps the exception that may be set. */
static void schedule_rest(xopy_runtime_t *runtime)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    xopy_runtime_schedule(runtime);
    PyErr_Restore(type, value, traceback);
}

PyObject *xopy_runtime_pump(PyObject *self, PyObject *unused)
{
    xopy_runtime_t *runtime = (xopy_runtime_t *)self;
    (void)unused;
    runtime->pump_scheduled = false;
    runtime->here_count = 0;
    if (runtime->forgotten)
        xopy_end_child();
    if (runtime->pumping)
        Py_RETURN_NONE;
    Py_INCREF(self);
    runtime->pumping = true;
    int more = pump_passes(runtime);
    runtime->pumping = false;
    if (!runtime->closed && (more != 0 || runtime->ready_head))
        schedule_rest(runtime);
    Py_DECREF(self);
    if (more < 0)
        return NULL;
    Py_RETURN_NONE;
}
