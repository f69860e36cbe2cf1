/* host.c - the pool's host table: makes Python objects and runs their methods.
 *
 * A plain method runs here, in the callback that brings the message; it costs no Task. What has to
 * be awaited becomes a Run (run.h).
 */
#include "_xo/actor.h"
#include "_xo/batch.h"
#include "_xo/here.h"
#include "_xo/internal.h"
#include "_xo/run.h"
#include "_xo/values.h"
#include "_xo/watch.h"

static xopy_hosted_t *hosted_of(const xo_actor_t *actor)
{
    return xo_actor_object(actor);
}

PyObject *xopy_actor_object(xo_actor_t *actor)
{
    xopy_hosted_t *hosted = hosted_of(actor);
    return hosted ? hosted->self : NULL;
}

bool xopy_bypasses(const xopy_hosted_t *hosted, xo_slice_t method)
{
    if (xopy_is_internal_without_lock(method))
        return true;
    if (!hosted || !hosted->no_lock)
        return false;
    PyObject *name = PyUnicode_DecodeUTF8(method.data, (Py_ssize_t)method.size, NULL);
    int found = name ? PySet_Contains(hosted->no_lock, name) : 0;
    Py_XDECREF(name);
    PyErr_Clear();
    return found > 0;
}

/* ---- what a message says ---- */

static xo_slice_t trace_of(const xo_request_t *request)
{
    return xo_msg_header(xo_request_msg(request))->trace;
}

int xopy_read_arguments(xo_request_t *request, PyObject **args, PyObject **kwargs)
{
    xo_msg_t *msg = xo_request_msg_mut(request);
    PyObject *pair = xo_msg_payload(msg);
    if (pair) {
        *args = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        *kwargs =
            PyTuple_GET_ITEM(pair, 1) == Py_None ? NULL : Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        return 0;
    }
    xopy_reader_t reader;
    xopy_reader_init(&reader, msg, xo_msg_body(msg));
    return xopy_read_pair(&reader, args, kwargs);
}

static PyObject *method_name(xo_slice_t method)
{
    PyObject *name = PyUnicode_DecodeUTF8(method.data, (Py_ssize_t)method.size, NULL);
    if (name)
        PyUnicode_InternInPlace(&name); /* the type's cache of attributes goes by pointer */
    return name;
}

/* Names with a leading underscore are the actor's own affair. */
static PyObject *find_method(xopy_hosted_t *hosted, PyObject *name)
{
    if (PyUnicode_GET_LENGTH(name) > 0 && PyUnicode_READ_CHAR(name, 0) != '_')
        return PyObject_GetAttr(hosted->self, name);
    PyErr_Format(PyExc_AttributeError, "%.200s has no method %.200R for others",
                 Py_TYPE(hosted->self)->tp_name, name);
    return NULL;
}

/* An `async def` keeps the lock while it waits. What a plain method returns to be awaited does not.
 * NULL: __on_receive__, which sees to it itself. */
static bool holds_lock(PyObject *method)
{
    if (!method)
        return true;
    PyObject *function = PyMethod_Check(method) ? PyMethod_GET_FUNCTION(method) : method;
    if (PyFunction_Check(function)) {
        PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(function);
        if (code->co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))
            return true;
        PyObject *attributes = ((PyFunctionObject *)function)->func_dict;
        if (!attributes || PyDict_GET_SIZE(attributes) == 0) /* nothing that it could wrap */
            return false;
    }
    PyObject *holds = xopy_glue("holds_lock", "(O)", method);
    bool truth = holds == Py_True;
    Py_XDECREF(holds);
    PyErr_Clear();
    return truth;
}

/* ---- calls ---- */

/* The method's result (stolen) is the answer, or becomes it once it has been awaited. */
static void answer(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request, PyObject *method,
                   PyObject *result)
{
    if (xopy_is_watched())
        result = xopy_watch_handled(actor, request, result, result && holds_lock(method));
    if (!result || !xopy_is_pending(result)) {
        xopy_respond(pool, request, XOPY_FOR_CALL, result);
        return;
    }
    PyObject *coroutine = xopy_settle(result);
    Py_DECREF(result);
    xopy_run_start(pool, actor, request, XOPY_FOR_CALL, coroutine, holds_lock(method));
}

static PyObject *call_by_name(xopy_hosted_t *hosted, xo_request_t *request, PyObject *name,
                              PyObject **method)
{
    PyObject *args, *kwargs, *result = NULL;
    if (xopy_read_arguments(request, &args, &kwargs) < 0)
        return NULL;
    *method = find_method(hosted, name);
    if (*method)
        result = PyObject_Call(*method, args, kwargs);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    return result;
}

static void handle_call(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request, PyObject *name)
{
    PyObject *method = NULL;
    PyObject *result = call_by_name(hosted_of(actor), request, name, &method);
    answer(pool, actor, request, method, result);
    Py_XDECREF(method);
}

/* ---- batches ---- */

static PyObject *read_pairs(xo_request_t *request)
{
    xo_msg_t *msg = xo_request_msg_mut(request);
    PyObject *pairs = xo_msg_payload(msg);
    if (pairs)
        return Py_NewRef(pairs);
    return xopy_read_batch(msg, xo_msg_body(msg));
}

static void handle_batch(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                         PyObject *name)
{
    PyObject *result = NULL;
    PyObject *pairs = read_pairs(request);
    PyObject *method = pairs ? find_method(hosted_of(actor), name) : NULL;
    if (method)
        result = xopy_call_batch(method, pairs);
    answer(pool, actor, request, method, result);
    Py_XDECREF(pairs);
    Py_XDECREF(method);
}

/* ---- __on_receive__ ---- */

/* What the message is: (method, kind, args, kwargs), or of a batch (method, kind, (list of args,
 * list of kwargs), None). */
static PyObject *received(xo_request_t *request, PyObject *name, bool batch)
{
    PyObject *args, *kwargs;
    if (batch) {
        PyObject *pairs = read_pairs(request);
        PyObject *columns = pairs ? xopy_glue("columns", "(O)", pairs) : NULL;
        Py_XDECREF(pairs);
        return columns ? Py_BuildValue("((OiNO))", name, 1, columns, Py_None) : NULL;
    }
    if (xopy_read_arguments(request, &args, &kwargs) < 0)
        return NULL;
    PyObject *message = kwargs ? Py_BuildValue("((OiNN))", name, 0, args, kwargs)
                               : Py_BuildValue("((OiN{}))", name, 0, args);
    return message;
}

static void handle_receive(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                           PyObject *name, bool batch)
{
    PyObject *result = NULL;
    PyObject *message = received(request, name, batch);
    PyObject *method = PyObject_GetAttrString(hosted_of(actor)->self, "__on_receive__");
    if (message && method)
        result = PyObject_Call(method, message, NULL);
    answer(pool, actor, request, NULL, result);
    Py_XDECREF(message);
    Py_XDECREF(method);
}

static void handle(xopy_pool_t *host, xo_actor_t *actor, xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(xo_request_msg(request));
    bool batch = header->kind == XO_BATCH;
    PyObject *name = method_name(header->method);
    if (!name)
        xopy_respond(host, request, XOPY_FOR_CALL, NULL);
    else if (!batch && xopy_is_internal(header->method))
        xopy_handle_internal(host, actor, request, name);
    else if (hosted_of(actor)->on_receive)
        handle_receive(host, actor, request, name, batch);
    else if (batch)
        handle_batch(host, actor, request, name);
    else
        handle_call(host, actor, request, name);
    Py_XDECREF(name);
}

static void host_handle(void *host, xo_actor_t *actor, xo_request_t *request)
{
    PyObject *context = xopy_enter_context(host, trace_of(request));
    xopy_watch_begin();
    handle(host, actor, request);
    xopy_leave_context(context);
}

/* ---- creating ---- */

/* (class, args, kwargs or None) as one tuple. */
static PyObject *read_create(xo_request_t *request)
{
    xo_msg_t *msg = xo_request_msg_mut(request);
    PyObject *what = xo_msg_payload(msg);
    if (what)
        return Py_NewRef(what);
    xo_slice_t body = xo_msg_body(msg), name = xo_msg_header(msg)->method;
    PyObject *value = xopy_read_all(msg, body);
    what = value ? xopy_glue("create_request", "(Os#)", value, name.data, (Py_ssize_t)name.size)
                 : NULL;
    Py_XDECREF(value);
    return what;
}

/* What the host has to know of the class: (stateless, names without lock or None, __on_receive__ is
 * the user's, __on_exit__ is). */
static int describe_class(xo_actor_t *actor, xopy_hosted_t *hosted, PyObject *class)
{
    int stateless, on_receive, on_exit;
    PyObject *no_lock;
    PyObject *traits = xopy_glue("actor_traits", "(O)", class);
    if (!traits)
        return -1;
    int failed = !PyArg_ParseTuple(traits, "pOpp", &stateless, &no_lock, &on_receive, &on_exit);
    if (!failed) {
        xo_actor_set_stateless(actor, stateless);
        hosted->no_lock = no_lock == Py_None ? NULL : Py_NewRef(no_lock);
        hosted->on_receive = on_receive;
        hosted->on_exit = on_exit;
    }
    Py_DECREF(traits);
    return failed ? -1 : 0;
}

/* An option of a create request of this process; what comes by message the pool looks at. NULL: it
 * has none. */
static PyObject *option(PyObject *what, const char *name)
{
    PyObject *options = PyTuple_GET_SIZE(what) > 3 ? PyTuple_GET_ITEM(what, 3) : NULL;
    return options ? PyDict_GetItemString(options, name) : NULL;
}

/* Its broker has to know of it, whatever becomes of the pool. */
static bool is_for_others(PyObject *what)
{
    PyObject *placement = option(what, "placement");
    return option(what, "group") ||
           (placement && PyUnicode_CompareWithASCIIString(placement, "any") == 0);
}

static int construct(xo_actor_t *actor, xo_request_t *request, PyObject *what)
{
    xopy_hosted_t *hosted = hosted_of(actor);
    const char *why = is_for_others(what) ? xo_request_no_spec(request) : NULL;
    PyObject *class = PyTuple_GET_ITEM(what, 0), *kwargs = PyTuple_GET_ITEM(what, 2);
    if (why) {
        PyErr_Format(PyExc_ValueError, "it can %s: %s",
                     option(what, "group") ? "be in no group" : "not move to another node", why);
        return -1;
    }
    if (!PyType_Check(class) ||
        !PyType_IsSubtype((PyTypeObject *)class, xopy_state()->actor_type)) {
        PyErr_Format(PyExc_TypeError, "%.200R is no subclass of Actor", class);
        return -1;
    }
    if (describe_class(actor, hosted, class) < 0)
        return -1;
    xopy_identity_t identity = {xo_actor_uid(actor), xo_pool_address(xo_actor_pool(actor))};
    hosted->self = xopy_actor_make(class, PyTuple_GET_ITEM(what, 1),
                                   kwargs == Py_None ? NULL : kwargs, &identity);
    return hosted->self ? 0 : -1;
}

/* Runs __post_create__ or __pre_destroy__, if it is the user's. */
static void run_hook(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request, const char *name,
                     xopy_purpose_t purpose)
{
    PyObject *self = hosted_of(actor)->self;
    PyObject *result = self ? xopy_glue("hook", "(Os)", self, name) : Py_NewRef(Py_None);
    if (result && xopy_is_pending(result))
        xopy_run_start(pool, actor, request, purpose, result, true);
    else
        xopy_respond(pool, request, purpose, result);
}

/* Is __post_create__ Actor's own, which does nothing? */
static bool is_created(xopy_hosted_t *hosted)
{
    xopy_state_t *state = xopy_state();
    if (!state->no_post_create) /* the traits have imported it */
        state->no_post_create = PyObject_GetAttrString(state->glue, "no_post_create");
    PyErr_Clear();
    return state->no_post_create &&
           _PyType_Lookup(Py_TYPE(hosted->self), state->str_post_create) == state->no_post_create;
}

static void create(xopy_pool_t *host, xo_actor_t *actor, xo_request_t *request)
{
    xopy_hosted_t *hosted = calloc(1, sizeof *hosted);
    xo_actor_set_object(actor, hosted);
    PyObject *what = hosted ? read_create(request) : PyErr_NoMemory();
    int failed = what ? construct(actor, request, what) : -1;
    Py_XDECREF(what);
    if (failed)
        xopy_respond(host, request, XOPY_FOR_CREATE, NULL);
    else if (is_created(hosted))
        xopy_respond(host, request, XOPY_FOR_CREATE, Py_NewRef(Py_None));
    else
        run_hook(host, actor, request, "__post_create__", XOPY_FOR_CREATE);
}

static void host_create(void *host, xo_actor_t *actor, xo_request_t *request)
{
    PyObject *context = xopy_enter_context(host, trace_of(request));
    create(host, actor, request);
    xopy_leave_context(context);
}

static void host_destroy(void *host, xo_actor_t *actor, xo_request_t *request)
{
    PyObject *context = xopy_enter_context(host, trace_of(request));
    run_hook(host, actor, request, "__pre_destroy__", XOPY_FOR_DESTROY);
    xopy_leave_context(context);
}

static void host_release(void *host, xo_actor_t *actor)
{
    xopy_hosted_t *hosted = hosted_of(actor);
    (void)host;
    if (!hosted)
        return;
    xo_actor_set_object(actor, NULL);
    while (hosted->runs)
        xopy_run_drop(hosted->runs);
    Py_XDECREF(hosted->self);
    Py_XDECREF(hosted->no_lock);
    free(hosted);
}

static bool is_temporary(PyObject *what)
{
    PyObject *restart = option(what, "restart");
    return restart && !is_for_others(what) &&
           PyUnicode_CompareWithASCIIString(restart, "temporary") == 0;
}

/* What an actor of this pool created is objects; written down before the new one can change them.
 */
static xo_msg_t *host_spec(void *host, xo_request_t *request, xo_error_t *why)
{
    xopy_body_t body;
    xo_msg_t *msg = NULL;
    const xo_header_t *header = xo_msg_header(xo_request_msg(request));
    PyObject *what = xo_msg_payload(xo_request_msg(request));
    bool outlives = !((xopy_pool_t *)host)->is_sub; /* its process its actors, as a rule */
    if (is_temporary(what) || (outlives && !is_for_others(what)))
        return NULL;
    xopy_body_init(&body, xopy_state()->pins, XOPY_SHARE_NONE, NULL);
    if (xopy_put_create(&body, what) == 0)
        msg = xopy_body_message(&body, header);
    xopy_body_free(&body);
    if (msg)
        return msg;
    PyObject *exception = xopy_take_exception();
    PyObject *text = PyObject_Str(exception);
    const char *said = text ? PyUnicode_AsUTF8(text) : NULL;
    xo_error_set(why, EINVAL, "%s", said ? said : "it cannot be pickled");
    Py_XDECREF(text);
    Py_DECREF(exception);
    PyErr_Clear();
    return NULL;
}

/* ---- the rest ---- */

static void host_cancel(void *host, xo_actor_t *actor, xo_request_t *request)
{
    (void)host;
    (void)actor;
    xopy_run_t *run = xo_request_data(request);
    if (run)
        xopy_run_cancel(run);
}

static bool host_bypass(void *host, xo_actor_t *actor, xo_slice_t method)
{
    (void)host;
    return xopy_bypasses(hosted_of(actor), method);
}

static bool host_traps(void *host, xo_actor_t *actor)
{
    (void)host;
    return hosted_of(actor) && hosted_of(actor)->on_exit;
}

static PyObject *tell_event(xopy_pool_t *pool, const xo_msg_t *event)
{
    xo_slice_t type = xo_msg_header(event)->method;
    PyObject *fields = xopy_read_all(NULL, xo_msg_body(event));
    if (!fields)
        return NULL;
    return PyObject_CallFunction(pool->on_event, "s#N", type.data, (Py_ssize_t)type.size, fields);
}

static void host_event(void *host, const xo_msg_t *event)
{
    xopy_pool_t *pool = host;
    if (!pool->on_event)
        return;
    PyObject *result = tell_event(pool, event);
    if (!result)
        xopy_report(pool->runtime, "an event could not be handled");
    Py_XDECREF(result);
}

static void host_stop(void *host)
{
    xopy_pool_t *pool = host;
    PyObject *result = PyObject_CallNoArgs(pool->on_stop);
    if (!result)
        xopy_report(pool->runtime, "stopping a pool failed");
    Py_XDECREF(result);
}

static void host_log(void *host, const char *text)
{
    const xopy_pool_t *pool = host;
    PyObject *shown = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    PyObject *result = shown ? xopy_glue("log", "(N)", shown) : NULL;
    if (!result)
        xopy_report(pool->runtime, "a warning could not be logged");
    Py_XDECREF(result);
}

const xo_host_ops_t xopy_host_ops = {
    .language = "python",
    .create = host_create,
    .handle = host_handle,
    .destroy = host_destroy,
    .release = host_release,
    .cancel = host_cancel,
    .bypass = host_bypass,
    .traps = host_traps,
    .event = host_event,
    .spec = host_spec,
    .stop = host_stop,
    .peer_gone = xopy_peer_gone,
    .log = host_log,
};
