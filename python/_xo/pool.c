/* pool.c - see pool.h.
 */
#include "_xo/pool.h"

typedef struct xopy_pool_args {
    int from_env;
    const char *address, *bind, *broker, *label;
    int index;
    unsigned long long generation;
    unsigned long owner;
    PyObject *on_stop, *on_event;
} xopy_pool_args_t;

static xopy_pool_t *pool_of(PyObject *self)
{
    return (xopy_pool_t *)self;
}

static int set_text(char *to, size_t size, const char *from, const char *what)
{
    if (strlen(from) < size) {
        strcpy(to, from);
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s is longer than %zu bytes", what, size - 1);
    return -1;
}

static int fill_options(const xopy_pool_args_t *args, xo_pool_options_t *options)
{
    xo_error_t err;
    *options = (xo_pool_options_t){.self = {.role = XO_ROLE_POOL, .index = args->index},
                                   .bind = args->bind,
                                   .broker = args->broker,
                                   .keep_grouped = !args->from_env,
                                   .owner = (pid_t)args->owner};
    options->self.generation = (uint32_t)args->generation;
    if (args->from_env && xo_pool_options_from_env(options, &err) < 0) {
        xopy_raise(&err);
        return -1;
    }
    if (args->address &&
        set_text(options->self.address, XO_ADDRESS_BYTES, args->address, "the address") < 0)
        return -1;
    return args->label ? set_text(options->self.label, XO_LABEL_BYTES, args->label, "the label")
                       : 0;
}

static int parse(PyObject *args, PyObject *kwargs, xopy_pool_args_t *out)
{
    static char *names[] = {"on_stop", "from_env",   "address", "bind",     "broker", "label",
                            "index",   "generation", "owner",   "on_event", NULL};
    *out = (xopy_pool_args_t){.index = -1, .on_event = Py_None};
    return PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pzzzziKkO:Pool", names, &out->on_stop,
                                       &out->from_env, &out->address, &out->bind, &out->broker,
                                       &out->label, &out->index, &out->generation, &out->owner,
                                       &out->on_event)
               ? 0
               : -1;
}

static void enlist(xopy_runtime_t *runtime, xopy_pool_t *pool)
{
    xopy_pool_t **end = &runtime->pools;
    while (*end)
        end = &(*end)->next;
    *end = pool;
}

static void delist(xopy_runtime_t *runtime, xopy_pool_t *pool)
{
    xopy_pool_t **at = &runtime->pools;
    while (*at && *at != pool)
        at = &(*at)->next;
    if (*at)
        *at = pool->next;
    pool->next = NULL;
}

static int open_pool(xopy_pool_t *self, const xo_pool_options_t *options)
{
    xo_error_t err;
    xo_ctx_t *ctx = xopy_ctx(xopy_state());
    if (!ctx)
        return -1;
    self->xo = xo_pool_create(ctx, self->runtime->xo, options, &xopy_host_ops, self, &err);
    if (!self->xo) {
        xopy_raise(&err);
        return -1;
    }
    enlist(self->runtime, self);
    xopy_runtime_join(self->runtime, options->broker);
    Py_INCREF(self); /* it lives until it is closed */
    self->address = PyUnicode_FromString(xo_pool_address(self->xo));
    return self->address ? 0 : -1;
}

static int watch_sleep(xopy_runtime_t *runtime)
{
    PyObject *result = xopy_glue("watch_sleep", "(O)", runtime);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static PyObject *make(PyTypeObject *type, const xo_pool_options_t *options,
                      const xopy_pool_args_t *args)
{
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (!runtime) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "no running event loop");
        return NULL;
    }
    xopy_pool_t *self = watch_sleep(runtime) < 0 ? NULL : (xopy_pool_t *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->runtime = (xopy_runtime_t *)Py_NewRef(runtime);
    self->is_sub = args->from_env;
    self->on_stop = Py_NewRef(args->on_stop);
    self->on_event = args->on_event == Py_None ? NULL : Py_NewRef(args->on_event);
    if (open_pool(self, options) == 0)
        return (PyObject *)self;
    xopy_pool_close(self);
    Py_DECREF(self);
    return NULL;
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    xopy_pool_args_t values;
    xo_pool_options_t options;
    if (parse(args, kwargs, &values) < 0 || fill_options(&values, &options) < 0)
        return NULL;
    return make(type, &options, &values);
}

/* Ends a call that join or stop gave, if it is still waited for. */
static void settle(xopy_call_t **slot, const xo_error_t *why)
{
    xopy_call_t *call = *slot;
    *slot = NULL;
    if (!call)
        return;
    if (why)
        xopy_raise(why);
    xopy_call_set_result(call, why ? NULL : Py_NewRef(Py_None));
    Py_DECREF(call);
}

void xopy_pool_close(xopy_pool_t *pool)
{
    static const xo_error_t closed = {ENOTCONN, "the pool was closed"};
    xo_pool_t *xo = pool->xo;
    if (!xo)
        return;
    xopy_runtime_t *runtime = pool->runtime;
    if (runtime->sender == xo_pool_endpoint(xo))
        runtime->sender = NULL;
    pool->xo = NULL;
    delist(runtime, pool);
    xo_pool_destroy(xo);
    settle(&pool->joining, &closed);
    settle(&pool->stopping, NULL);
    Py_DECREF(pool);
}

/* ---- methods ---- */

static int check_open(xopy_pool_t *pool)
{
    if (pool->xo)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the pool is closed");
    return -1;
}

static void on_joined(xo_pool_t *xo, const xo_error_t *why, void *arg)
{
    (void)xo;
    settle(&((xopy_pool_t *)arg)->joining, why);
}

static void on_stopped(xo_pool_t *xo, void *arg)
{
    xo_pool_set_exit_status(xo, EXIT_SUCCESS); /* of a sub pool, which stops when it is to end */
    settle(&((xopy_pool_t *)arg)->stopping, NULL);
}

/* A Call that one of the pool's callbacks ends. */
static PyObject *waiter(xopy_pool_t *pool, xopy_call_t **slot)
{
    if (check_open(pool) < 0)
        return NULL;
    if (*slot) {
        PyErr_SetString(PyExc_RuntimeError, "already under way");
        return NULL;
    }
    *slot = xopy_call_create(pool->runtime);
    return Py_XNewRef(*slot);
}

static PyObject *pool_join(PyObject *self, PyObject *unused)
{
    xopy_pool_t *pool = pool_of(self);
    xo_error_t err;
    (void)unused;
    PyObject *call = waiter(pool, &pool->joining);
    if (call && xo_pool_join(pool->xo, on_joined, pool, &err) < 0)
        settle(&pool->joining, &err);
    return call;
}

static PyObject *pool_stop(PyObject *self, PyObject *arg)
{
    xopy_pool_t *pool = pool_of(self);
    unsigned long timeout_ms = PyLong_AsUnsignedLong(arg);
    if (PyErr_Occurred())
        return NULL;
    PyObject *call = waiter(pool, &pool->stopping);
    if (call)
        xo_pool_stop(pool->xo, (uint32_t)timeout_ms, on_stopped, pool);
    return call;
}

static PyObject *pool_close(PyObject *self, PyObject *unused)
{
    xopy_pool_t *pool = pool_of(self);
    (void)unused;
    if (pool->runtime->inside) {
        PyErr_SetString(PyExc_RuntimeError, "not from within an actor's method");
        return NULL;
    }
    xopy_pool_close(pool);
    Py_RETURN_NONE;
}

static PyObject *pool_stats(PyObject *self, PyObject *unused)
{
    xo_pool_stats_t stats;
    (void)unused;
    if (check_open(pool_of(self)) < 0)
        return NULL;
    xo_pool_get_stats(pool_of(self)->xo, &stats);
    return Py_BuildValue("{sKsKsKsKsKsKsKsK}", "actors", stats.actors, "created", stats.created,
                         "destroyed", stats.destroyed, "handled", stats.handled, "failed",
                         stats.failed, "waiting_messages", stats.waiting_messages, "waiting_bytes",
                         stats.waiting_bytes, "running", stats.running);
}

/* ---- the type ---- */

static int pool_traverse(PyObject *self, visitproc visit, void *arg)
{
    xopy_pool_t *pool = pool_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(pool->runtime);
    Py_VISIT(pool->address);
    Py_VISIT(pool->on_stop);
    Py_VISIT(pool->on_event);
    Py_VISIT(pool->joining);
    Py_VISIT(pool->stopping);
    return 0;
}

static int pool_clear(PyObject *self)
{
    xopy_pool_t *pool = pool_of(self);
    Py_CLEAR(pool->on_stop);
    Py_CLEAR(pool->on_event);
    Py_CLEAR(pool->joining);
    Py_CLEAR(pool->stopping);
    return 0;
}

static void pool_dealloc(PyObject *self)
{
    xopy_pool_t *pool = pool_of(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (pool->weakrefs)
        PyObject_ClearWeakRefs(self);
    pool_clear(self);
    Py_XDECREF(pool->address);
    Py_XDECREF(pool->runtime);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!pool_of(self)->xo);
}

static PyMethodDef pool_methods[] = {
    {"join", pool_join, METH_NOARGS, "join()\n--\n\nAwait it: links to the broker."},
    {"stop", pool_stop, METH_O,
     "stop(timeout_ms)\n--\n\nAwait it: destroys all actors, in order; then close."},
    {"close", pool_close, METH_NOARGS,
     "close()\n--\n\nEnds it; what waits is answered with ServerClosed."},
    {"stats", pool_stats, METH_NOARGS, "stats()\n--\n\nCounters of actors and messages."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pool_members[] = {
    {"address", T_OBJECT, offsetof(xopy_pool_t, address), READONLY, "Advertised \"host:port\"."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(xopy_pool_t, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef pool_getset[] = {
    {"closed", get_closed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc,
     "Pool(on_stop, *, from_env=False, address=None, bind=None, broker=None, label=None,\n"
     "     index=-1, generation=0, owner=0, on_event=None)\n--\n\n"
     "Hosts actors on the running loop. It listens at once; its node hears of it by join."},
    {Py_tp_new, pool_new},
    {Py_tp_traverse, pool_traverse},
    {Py_tp_clear, pool_clear},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_methods, pool_methods},
    {Py_tp_members, pool_members},
    {Py_tp_getset, pool_getset},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "_xo.Pool",
    .basicsize = sizeof(xopy_pool_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | XOPY_IMMUTABLE,
    .slots = pool_slots,
};

int xopy_pool_setup(PyObject *module, xopy_state_t *state)
{
    return xopy_add_type(module, &pool_spec, NULL, &state->pool_type);
}
