/* runtime.c - see runtime.h.
 */
#include "_xo/runtime.h"

#include "_xo/failure.h"
#include "_xo/future.h"
#include "_xo/pool.h"

/* Passes of the xo loop in one callback of asyncio's, before the others of asyncio get their turn.
 */
#define PASSES_MAX 16

/* ---- the client that a process without a pool is ---- */

/* Nobody knows where a client listens, since it does not; what is asked of it all the same is
 * refused. */
static void client_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)arg;
    const xo_header_t *header = xo_msg_header(*msg);
    if (xo_kind_is_request(header->kind)) {
        if (header->kind != XO_TELL && !(header->flags & XO_F_NO_ANSWER)) {
            xo_return_t to = xo_return_of(from, *msg);
            xo_msg_t *answer = xo_failure_msg(header->seq, XO_CODE_ACTOR_NOT_EXIST, "no", NULL,
                                              "a client has no actors");
            xo_endpoint_answer(endpoint, &to, &answer);
        }
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    }
    xo_msg_destroy(msg);
}

/* A broker that was asked where an actor is can be asked again when it is not there any more. */
static void client_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    (void)arg;
    if (!xo_endpoint_broker(endpoint) && xo_link_peer(link)->role == XO_ROLE_BROKER)
        xo_endpoint_set_broker(endpoint, link);
}

static int make_client(xopy_runtime_t *runtime)
{
    static const xo_endpoint_ops_t ops = {.request = client_request, .linked = client_linked};
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    xo_error_t err;
    xo_ctx_t *ctx = xopy_ctx(xopy_state());
    if (!ctx)
        return -1;
    runtime->client = xo_endpoint_create(ctx, runtime->xo, &self, &ops, NULL, NULL, &err);
    if (runtime->client)
        return 0;
    xopy_raise(&err);
    return -1;
}

xo_endpoint_t *xopy_runtime_sender(xopy_runtime_t *runtime)
{
    if (!runtime->sender && runtime->pools)
        runtime->sender = xo_pool_endpoint(runtime->pools->xo);
    if (!runtime->sender) {
        if (!runtime->client && make_client(runtime) < 0)
            return NULL;
        runtime->sender = runtime->client;
    }
    return runtime->sender;
}

void xopy_runtime_join(xopy_runtime_t *runtime, const char *broker)
{
    xo_error_t err;
    if (runtime->client && broker && !xo_endpoint_broker(runtime->client))
        xo_endpoint_link(runtime->client, broker, &err); /* client_linked does the rest */
}

xopy_pool_t *xopy_runtime_local(xopy_runtime_t *runtime, PyObject *address)
{
    xopy_pool_t *pool = runtime->pools;
    while (pool && pool->address != address && PyUnicode_Compare(pool->address, address) != 0)
        pool = pool->next;
    return pool;
}

PyObject *xopy_find_local(xopy_ref_t *ref)
{
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    PyErr_Clear();
    xopy_pool_t *pool = runtime ? xopy_runtime_local(runtime, ref->address) : NULL;
    xo_actor_t *actor = pool ? xo_pool_find(pool->xo, xopy_ref_uid_slice(ref)) : NULL;
    return actor ? xopy_actor_object(actor) : NULL;
}

/* ---- life ---- */

static void on_pins(xo_io_t *io, int revents, void *arg)
{
    (void)io;
    (void)revents;
    (void)arg;
    xopy_pins_collect(xopy_state()->pins);
}

static int add_reader(xopy_runtime_t *runtime)
{
    PyObject *result =
        PyObject_CallMethod(runtime->loop, "add_reader", "iO", runtime->fd, runtime->pump);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static int open_loop(xopy_runtime_t *runtime)
{
    xo_error_t err;
    runtime->xo = xo_loop_create(&err);
    runtime->fd = runtime->xo ? xo_loop_fd(runtime->xo, &err) : -1;
    if (runtime->fd < 0) {
        xopy_raise(&err);
        return -1;
    }
    xo_io_init(&runtime->pins_io, runtime->xo, xopy_pins_fd(xopy_state()->pins), XO_READ, on_pins,
               NULL);
    if (xo_io_start(&runtime->pins_io) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

static int guard(xopy_runtime_t *runtime)
{
    PyObject *result = xopy_glue("guard", "(O)", runtime);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static void enlist(xopy_state_t *state, xopy_runtime_t *runtime)
{
    runtime->next = state->runtimes;
    if (runtime->next)
        runtime->next->prev = runtime;
    state->runtimes = runtime;
}

static void delist(xopy_state_t *state, xopy_runtime_t *runtime)
{
    if (runtime->prev)
        runtime->prev->next = runtime->next;
    else if (state->runtimes == runtime)
        state->runtimes = runtime->next;
    if (runtime->next)
        runtime->next->prev = runtime->prev;
    runtime->prev = runtime->next = NULL;
    if (state->last == runtime)
        state->last = NULL;
}

static bool loop_is_closed(xopy_runtime_t *runtime)
{
    PyObject *closed = PyObject_CallMethod(runtime->loop, "is_closed", NULL);
    bool truth = !closed || closed == Py_True;
    Py_XDECREF(closed);
    PyErr_Clear();
    return truth;
}

/* Loops that ended without a chance for us to notice. */
static void sweep(xopy_state_t *state)
{
    xopy_runtime_t *runtime = state->runtimes;
    while (runtime) {
        xopy_runtime_t *next = runtime->next;
        if (loop_is_closed(runtime))
            xopy_runtime_close(runtime);
        runtime = next;
    }
}

static xopy_runtime_t *create(xopy_state_t *state, PyObject *loop)
{
    sweep(state);
    if (!xopy_ctx(state))
        return NULL;
    xopy_runtime_t *self = (xopy_runtime_t *)state->runtime_type->tp_alloc(state->runtime_type, 0);
    if (!self)
        return NULL;
    self->fd = self->epoll_fd = -1;
    pthread_mutex_init(&self->sleep, NULL);
    self->loop = Py_NewRef(loop);
    self->pump = PyObject_GetAttrString((PyObject *)self, "_pump");
    if (!self->pump || open_loop(self) < 0 || add_reader(self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    enlist(state, self);
    int failed = guard(self);
    Py_DECREF(self); /* asyncio's loop holds it through its reader */
    return failed ? NULL : self;
}

xopy_runtime_t *xopy_runtime_current(xopy_state_t *state)
{
    if (!state->get_running_loop && xopy_need_asyncio(state) < 0)
        return NULL;
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
    if (!loop)
        return NULL;
    xopy_runtime_t *found = state->last;
    if (loop == Py_None) {
        found = NULL;
    } else if (!found || found->loop != loop) {
        found = state->runtimes;
        while (found && found->loop != loop)
            found = found->next;
        if (!found)
            found = create(state, loop);
        state->last = found;
    }
    Py_DECREF(loop);
    return found;
}

static void remove_reader(xopy_runtime_t *runtime)
{
    if (loop_is_closed(runtime))
        return;
    PyObject *result = PyObject_CallMethod(runtime->loop, "remove_reader", "i", runtime->fd);
    Py_XDECREF(result);
    if (!result)
        PyErr_Clear();
}

static void close_xo(xopy_runtime_t *runtime)
{
    xopy_runtime_end_sleep(runtime);
    while (runtime->pools)
        xopy_pool_close(runtime->pools);
    runtime->sender = NULL;
    xo_endpoint_destroy(runtime->client);
    runtime->client = NULL;
    if (runtime->fd >= 0)
        xo_io_stop(&runtime->pins_io);
    xo_loop_destroy(runtime->xo);
    runtime->xo = NULL;
    runtime->fd = -1;
}

/* With the last runtime go the context's threads and the process's share in the run directory; what
 * was told leaves before. */
static void close_ctx(xopy_state_t *state)
{
    xo_ctx_t *ctx = state->ctx;
    if (state->runtimes)
        return;
    state->ctx = NULL;
    xo_ctx_destroy(ctx);
}

/* Callbacks of calls that the end has answered run in asyncio's next round, if it has one. */
void xopy_runtime_close(xopy_runtime_t *runtime)
{
    if (runtime->closed)
        return;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    Py_INCREF(runtime);
    runtime->closed = true;
    delist(xopy_state(), runtime);
    if (runtime->fd >= 0)
        remove_reader(runtime);
    close_xo(runtime);
    close_ctx(xopy_state());
    if (runtime->ready_head)
        xopy_runtime_schedule(runtime);
    Py_DECREF(runtime);
    PyErr_Restore(type, value, traceback);
}

/* ---- forks ---- */

void xopy_runtime_forget(xopy_runtime_t *runtime)
{
    for (xopy_pool_t *pool = runtime->pools; pool; pool = pool->next)
        pool->xo = NULL;
    runtime->pools = NULL;
    runtime->client = runtime->sender = NULL;
    runtime->xo = NULL;
    runtime->fd = -1;
    runtime->prev = runtime->next = NULL;
    runtime->closed = runtime->forgotten = true;
}

void xopy_end_child(void)
{
    if (PyErr_Occurred())
        PyErr_Print(); /* SystemExit ends the process here */
    else
        PySys_WriteStderr("xoscar: the child of a fork goes on where its parent waits for "
                          "messages: it ends here. Let it call os._exit() when it is done.\n");
    Py_Exit(1);
}

/* ---- counters ---- */

#define LANES_MAX 8

static int add_lane(PyObject *dict, const xo_lane_total_t *row)
{
    PyObject *old = PyDict_GetItemString(dict, row->scheme);
    unsigned long long sums[4] = {0};
    if (old && !PyArg_ParseTuple(old, "KKKK", &sums[0], &sums[1], &sums[2], &sums[3]))
        return -1;
    PyObject *sum =
        Py_BuildValue("(KKKK)", sums[0] + row->stats.messages_in, sums[1] + row->stats.messages_out,
                      sums[2] + row->stats.bytes_in, sums[3] + row->stats.bytes_out);
    int failed = sum ? PyDict_SetItemString(dict, row->scheme, sum) : -1;
    Py_XDECREF(sum);
    return failed;
}

static int add_lanes(PyObject *dict, const xo_endpoint_t *endpoint)
{
    xo_lane_total_t rows[LANES_MAX];
    size_t count = xo_endpoint_lane_totals(endpoint, rows, LANES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (add_lane(dict, &rows[i]) < 0)
            return -1;
    }
    return 0;
}

PyObject *xopy_runtime_lanes(xopy_runtime_t *runtime)
{
    PyObject *dict = PyDict_New();
    int failed = dict ? 0 : -1;
    if (!failed && runtime && runtime->client)
        failed = add_lanes(dict, runtime->client);
    for (xopy_pool_t *pool = runtime ? runtime->pools : NULL; !failed && pool; pool = pool->next)
        failed = add_lanes(dict, xo_pool_endpoint(pool->xo));
    if (failed)
        Py_CLEAR(dict);
    return dict;
}

unsigned long long xopy_runtime_lent(const xopy_runtime_t *runtime)
{
    unsigned long long bytes =
        runtime && runtime->client ? xo_endpoint_lent_bytes(runtime->client) : 0;
    for (xopy_pool_t *pool = runtime ? runtime->pools : NULL; pool; pool = pool->next)
        bytes += xo_endpoint_lent_bytes(xo_pool_endpoint(pool->xo));
    return bytes;
}

/* ---- the type ---- */

static PyObject *runtime_close(PyObject *self, PyObject *unused)
{
    xopy_runtime_t *runtime = (xopy_runtime_t *)self;
    (void)unused;
    if (runtime->inside && !runtime->closed) {
        PyErr_SetString(PyExc_RuntimeError, "not from within an actor's method");
        return NULL;
    }
    xopy_runtime_close(runtime);
    Py_RETURN_NONE;
}

static int runtime_traverse(PyObject *self, visitproc visit, void *arg)
{
    xopy_runtime_t *runtime = (xopy_runtime_t *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(runtime->loop);
    Py_VISIT(runtime->pump);
    Py_VISIT(runtime->guardian);
    Py_VISIT(runtime->fatal);
    return 0;
}

static int runtime_clear(PyObject *self)
{
    xopy_runtime_t *runtime = (xopy_runtime_t *)self;
    Py_CLEAR(runtime->loop);
    Py_CLEAR(runtime->pump);
    Py_CLEAR(runtime->guardian);
    Py_CLEAR(runtime->fatal);
    return 0;
}

static void runtime_finalize(PyObject *self)
{
    xopy_runtime_close((xopy_runtime_t *)self);
}

static void runtime_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0)
        return;
    PyObject_GC_UnTrack(self);
    runtime_clear(self);
    pthread_mutex_destroy(&((xopy_runtime_t *)self)->sleep);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef runtime_methods[] = {
    {"_pump", xopy_runtime_pump, METH_NOARGS, NULL},
    {"poll", XOPY_FAST(xopy_runtime_poll), METH_FASTCALL,
     "poll(timeout, maxevents)\n--\n\nAs select.epoll's, of epoll_fd."},
    {"close", runtime_close, METH_NOARGS,
     "close()\n--\n\nEnds its pools and its client; calls under way get ServerClosed."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef runtime_members[] = {
    {"loop", T_OBJECT, offsetof(xopy_runtime_t, loop), READONLY, "asyncio's loop."},
    {"guardian", T_OBJECT, offsetof(xopy_runtime_t, guardian), 0,
     "What notices the end of asyncio's loop."},
    {"epoll_fd", T_INT, offsetof(xopy_runtime_t, epoll_fd), 0,
     "That of asyncio's selector, for poll."},
    {"closed", T_BOOL, offsetof(xopy_runtime_t, closed), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot runtime_slots[] = {
    {Py_tp_doc, "What one asyncio loop has of xo."},
    {Py_tp_traverse, runtime_traverse},
    {Py_tp_clear, runtime_clear},
    {Py_tp_finalize, runtime_finalize},
    {Py_tp_dealloc, runtime_dealloc},
    {Py_tp_methods, runtime_methods},
    {Py_tp_members, runtime_members},
    {0, NULL},
};

static PyType_Spec runtime_spec = {
    .name = "_xo.Runtime",
    .basicsize = sizeof(xopy_runtime_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | XOPY_IMMUTABLE | XOPY_NO_NEW,
    .slots = runtime_slots,
};

int xopy_runtime_setup(PyObject *module, xopy_state_t *state)
{
    return xopy_add_type(module, &runtime_spec, NULL, &state->runtime_type);
}
