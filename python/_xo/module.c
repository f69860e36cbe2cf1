/* module.c - the module _xo: its functions and its state.
 */
#include "_xo/failure.h"
#include "_xo/home.h"
#include "_xo/pool.h"
#include "_xo/run.h"
#include "_xo/send.h"
#include "_xo/state.h"
#include "_xo/values.h"
#include "_xo/watch.h"

/* Where xo's programs were installed, for whom PATH does not lead there. */
#ifndef XOPY_BINDIR
#define XOPY_BINDIR "/usr/local/bin"
#endif

/* ---- what all files use ---- */

PyObject *xopy_glue(const char *name, const char *format, ...)
{
    xopy_state_t *state = xopy_state();
    if (!state->glue && !(state->glue = PyImport_ImportModule("xoscar._glue")))
        return NULL;
    va_list values;
    va_start(values, format);
    PyObject *args = Py_VaBuildValue(format, values);
    va_end(values);
    PyObject *function = args ? PyObject_GetAttrString(state->glue, name) : NULL;
    PyObject *result = function ? PyObject_CallObject(function, args) : NULL;
    Py_XDECREF(args);
    Py_XDECREF(function);
    return result;
}

static int import_name(const char *module, const char *name, PyObject **out)
{
    PyObject *imported = PyImport_ImportModule(module);
    if (imported)
        *out = PyObject_GetAttrString(imported, name);
    Py_XDECREF(imported);
    return *out ? 0 : -1;
}

int xopy_need_asyncio(xopy_state_t *state)
{
    if (state->get_running_loop)
        return 0;
    if (import_name("asyncio.exceptions", "CancelledError", &state->cancelled_error) < 0 ||
        import_name("asyncio.exceptions", "InvalidStateError", &state->invalid_state_error) < 0 ||
        import_name("asyncio", "Task", (PyObject **)&state->task_type) < 0)
        return -1;
    return import_name("asyncio", "_get_running_loop", &state->get_running_loop);
}

xo_ctx_t *xopy_ctx(xopy_state_t *state)
{
    xo_error_t err;
    if (!state->pins && !(state->pins = xopy_pins_create()))
        return NULL;
    if (!state->ctx && !(state->ctx = xo_ctx_create(NULL, &err)))
        xopy_raise(&err);
    return state->ctx;
}

int xopy_refuses_pickle(void)
{
    xo_error_t err;
    xopy_state_t *state = xopy_state();
    if (!state->codec && xo_codec_from_env(&state->codec, &err) < 0) {
        state->codec = 0;
        xopy_raise(&err);
        return -1;
    }
    return state->codec == XO_CODEC_MSGPACK;
}

PyObject *xopy_raise(const xo_error_t *err)
{
    if (err->errnum == ENOMEM)
        return PyErr_NoMemory();
    PyObject *exception = xopy_glue("local_error", "(is)", err->errnum, err->text);
    if (exception)
        xopy_set_exception(exception);
    Py_XDECREF(exception);
    return NULL;
}

int xopy_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base, PyTypeObject **type)
{
    PyObject *bases = base ? PyTuple_Pack(1, base) : NULL;
    if (base && !bases)
        return -1;
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, bases);
    Py_XDECREF(bases);
    return *type ? PyModule_AddType(module, *type) : -1;
}

/* ---- functions ---- */

static PyObject *control(PyObject *args, xo_kind_t kind, xopy_convert_t convert)
{
    PyObject *address, *uid, *name = NULL, *payload = Py_None;
    if (!PyArg_ParseTuple(args, "UO|UO!", &address, &uid, &name, &PyTuple_Type, &payload))
        return NULL;
    PyObject *bytes = PyBytes_CheckExact(uid) ? Py_NewRef(uid) : xopy_uid_bytes(uid);
    PyObject *text = name ? Py_NewRef(name) : PyUnicode_FromString("");
    PyObject *call = NULL;
    if (bytes && text)
        call = xopy_send_control(kind, address, bytes, text, payload, convert);
    Py_XDECREF(bytes);
    Py_XDECREF(text);
    return call;
}

static PyObject *module_create(PyObject *module, PyObject *args)
{
    (void)module;
    return control(args, XO_CREATE, XOPY_AS_REF);
}

static PyObject *module_destroy(PyObject *module, PyObject *args)
{
    (void)module;
    return control(args, XO_DESTROY, XOPY_AS_NONE);
}

static PyObject *module_ref(PyObject *module, PyObject *args)
{
    (void)module;
    return control(args, XO_REF, XOPY_AS_REF);
}

static PyObject *module_has(PyObject *module, PyObject *args)
{
    (void)module;
    return control(args, XO_HAS, XOPY_AS_IS);
}

static PyObject *module_runtime(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *runtime = (PyObject *)xopy_runtime_current(xopy_state());
    if (!runtime && !PyErr_Occurred())
        Py_RETURN_NONE;
    return Py_XNewRef(runtime);
}

/* The oldest pool of the running loop. */
static PyObject *module_pool(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (PyErr_Occurred())
        return NULL;
    PyObject *pool = runtime ? (PyObject *)runtime->pools : NULL;
    return Py_NewRef(pool ? pool : Py_None);
}

/* The pool of the actor whose code this is, or else the oldest of the running loop. */
static PyObject *module_home(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (PyErr_Occurred())
        return NULL;
    PyObject *pool = runtime ? (PyObject *)xopy_home(runtime) : NULL;
    return Py_NewRef(pool ? pool : Py_None);
}

/* The pool of the running loop that has this address. */
static PyObject *module_pool_at(PyObject *module, PyObject *address)
{
    (void)module;
    if (!PyUnicode_Check(address))
        Py_RETURN_NONE;
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (PyErr_Occurred())
        return NULL;
    PyObject *pool = runtime ? (PyObject *)xopy_runtime_local(runtime, address) : NULL;
    return Py_NewRef(pool ? pool : Py_None);
}

static PyObject *module_lane_totals(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    return PyErr_Occurred() ? NULL : xopy_runtime_lanes(runtime);
}

static PyObject *module_lent_bytes(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(xopy_runtime_lent(runtime));
}

static PyObject *module_current_run(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *run = (PyObject *)xopy_state()->current_run;
    return Py_NewRef(run ? run : Py_None);
}

/* A method that ref.name would not give: one of the package's own. */
static PyObject *module_method(PyObject *module, PyObject *args)
{
    PyObject *ref, *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!U", xopy_state()->ref_type, &ref, &name))
        return NULL;
    return xopy_method_create(xopy_state(), (xopy_ref_t *)ref, name);
}

static PyObject *module_find_actor(PyObject *module, PyObject *ref)
{
    (void)module;
    PyObject *actor = xopy_ref_check(ref) ? xopy_find_local((xopy_ref_t *)ref) : NULL;
    return Py_NewRef(actor ? actor : Py_None);
}

/* Where this user's node on this machine is reached. */
static PyObject *module_find_node(PyObject *module, PyObject *unused)
{
    char endpoint[XO_PATH_BYTES + 16];
    xo_error_t err;
    (void)module;
    (void)unused;
    xo_ctx_t *ctx = xopy_ctx(xopy_state());
    if (!ctx)
        return NULL;
    if (xo_find_node(ctx, endpoint, sizeof endpoint, &err) < 0)
        return xopy_raise(&err);
    return PyUnicode_FromString(endpoint);
}

/* Ends all runtimes, and the context with the last. */
static PyObject *module_close(PyObject *module, PyObject *unused)
{
    xopy_state_t *state = PyModule_GetState(module);
    (void)unused;
    while (state->runtimes)
        xopy_runtime_close(state->runtimes);
    Py_RETURN_NONE;
}

/* In the child of a fork: what the parent has is the parent's. Nothing is freed, since threads are
 * not there and sockets are shared. */
static PyObject *module_forget(PyObject *module, PyObject *unused)
{
    xopy_state_t *state = PyModule_GetState(module);
    PyObject *loops = PyList_New(0);
    (void)unused;
    for (xopy_runtime_t *next, *runtime = state->runtimes; runtime; runtime = next) {
        next = runtime->next;
        xopy_runtime_forget(runtime);
        if (loops && PyList_Append(loops, runtime->loop) < 0)
            Py_CLEAR(loops);
    }
    state->runtimes = state->last = NULL;
    state->ctx = NULL;
    state->pins = NULL;
    return loops;
}

static PyObject *module_parse_address(PyObject *module, PyObject *text)
{
    xo_error_t err;
    xo_address_t address;
    const char *utf8 = PyUnicode_AsUTF8(text);
    (void)module;
    if (!utf8)
        return NULL;
    if (xo_address_parse(utf8, &address, &err) < 0)
        return xopy_raise(&err);
    return Py_BuildValue("(si)", address.host, address.port);
}

static PyObject *module_check_address(PyObject *module, PyObject *address)
{
    (void)module;
    return xopy_check_address(address) < 0 ? NULL : Py_NewRef(address);
}

static PyObject *module_run_dir(PyObject *module, PyObject *unused)
{
    xo_ctx_t *ctx = xopy_ctx(PyModule_GetState(module));
    (void)unused;
    return ctx ? PyUnicode_DecodeFSDefault(xo_ctx_run_dir(ctx)) : NULL;
}

static PyObject *module_refuses_pickle(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    int refuses = xopy_refuses_pickle();
    return refuses < 0 ? NULL : PyBool_FromLong(refuses);
}

static PyObject *module_encode(PyObject *module, PyObject *value)
{
    xopy_body_t body;
    (void)module;
    xopy_body_init(&body, NULL, XOPY_SHARE_NONE, NULL);
    PyObject *parts = NULL, *frames = PyList_New(0);
    if (frames && xopy_put_value(&body, value) == 0)
        parts = Py_BuildValue("(y#O)", body.bytes.data, (Py_ssize_t)body.bytes.size, frames);
    for (size_t i = 0; parts && i < body.frame_count; i++) {
        PyObject *bytes = PyBytes_FromStringAndSize(zmq_msg_data(&body.frames[i]),
                                                    (Py_ssize_t)zmq_msg_size(&body.frames[i]));
        if (!bytes || PyList_Append(frames, bytes) < 0)
            Py_CLEAR(parts);
        Py_XDECREF(bytes);
    }
    Py_XDECREF(frames);
    xopy_body_free(&body);
    return parts;
}

static int add_frames(xo_msg_t *msg, PyObject *frames)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(frames); i++) {
        char *data;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(frames, i), &data, &size) < 0)
            return -1;
        if (xo_msg_add_buffer_copy(msg, data, (size_t)size) < 0) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

static PyObject *module_decode(PyObject *module, PyObject *args)
{
    xo_header_t header = {.kind = XO_RESULT};
    const char *data;
    Py_ssize_t size;
    PyObject *frames, *value = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#O!", &data, &size, &PyList_Type, &frames))
        return NULL;
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(data, (size_t)size));
    if (!msg)
        return PyErr_NoMemory();
    if (add_frames(msg, frames) == 0)
        value = xopy_read_all(msg, xo_msg_body(msg));
    xo_msg_destroy(&msg);
    return value;
}

static const char lane_totals_doc[] =
    "lane_totals()\n"
    "--\n"
    "\n"
    "Tell what the running loop's pools and client have sent and received.\n"
    "\n"
    "Returns\n"
    "-------\n"
    "dict\n"
    "    lane -> (messages in, messages out, bytes in, bytes out).";

static const char lent_bytes_doc[] =
    "lent_bytes()\n"
    "--\n"
    "\n"
    "Tell how much shared memory holds what the running loop's pools and client have sent to\n"
    "other processes, and has not come back: an array that arrived lies there as long as it "
    "lives.\n"
    "\n"
    "Returns\n"
    "-------\n"
    "int\n"
    "    Bytes.";

static PyMethodDef functions[] = {
    {"create", module_create, METH_VARARGS,
     "create(address, uid, class_name, (class, args, kwargs[, options]))\n--\n\nCreates an actor; "
     "await it "
     "for its reference. uid b\"\": the pool draws one."},
    {"destroy", module_destroy, METH_VARARGS,
     "destroy(address, uid, why=\"\")\n--\n\nDestroys an actor; why: told to who watches it."},
    {"ref", module_ref, METH_VARARGS,
     "ref(address, uid)\n--\n\nAsks for an actor; await it for a reference."},
    {"has", module_has, METH_VARARGS, "has(address, uid)\n--\n\nIs there such an actor?"},
    {"runtime", module_runtime, METH_NOARGS, "The running loop's Runtime, or None."},
    {"pool", module_pool, METH_NOARGS, "The oldest Pool of the running loop, or None."},
    {"home", module_home, METH_NOARGS,
     "The Pool of the actor whose method this is or has started this, else pool()'s."},
    {"pool_at", module_pool_at, METH_O, "The Pool of the running loop at this address, or None."},
    {"lane_totals", module_lane_totals, METH_NOARGS, lane_totals_doc},
    {"lent_bytes", module_lent_bytes, METH_NOARGS, lent_bytes_doc},
    {"current_run", module_current_run, METH_NOARGS, "The Run whose step this is, or None."},
    {"method", module_method, METH_VARARGS,
     "method(ref, name)\n--\n\nThe method, also one whose name begins with an underscore."},
    {"find_actor", module_find_actor, METH_O,
     "The object behind a reference to an actor of the running loop, or None."},
    {"find_node", module_find_node, METH_NOARGS, "The lane endpoint of this user's node here."},
    {"watch", xopy_watch_set, METH_VARARGS,
     "watch(watcher, plain_refs)\n--\n\nHas calls and methods reported to `watcher`; None: to "
     "nobody."},
    {"close", module_close, METH_NOARGS, "Ends everything in this process."},
    {"forget", module_forget, METH_NOARGS,
     "For the child of a fork: begins anew. Gives the loops that had a Runtime."},
    {"parse_address", module_parse_address, METH_O,
     "parse_address(text)\n--\n\n(host, port) of \"host\", \"host:port\", \"[v6]:port\"; port 0: "
     "any, or none is said. ValueError."},
    {"check_address", module_check_address, METH_O,
     "check_address(address)\n--\n\nThe address, if it is one of a pool; else ValueError."},
    {"run_dir", module_run_dir, METH_NOARGS, "The directory of the ipc sockets of pools here."},
    {"refuses_pickle", module_refuses_pickle, METH_NOARGS, "Does $XO_CODEC keep pickles out?"},
    {"encode", module_encode, METH_O,
     "encode(value)\n--\n\nThe value as it goes over the wire: (bytes, list of buffers)."},
    {"decode", module_decode, METH_VARARGS, "decode(bytes, buffers)\n--\n\nThe reverse of encode."},
    {NULL, NULL, 0, NULL},
};

/* ---- the module ---- */

static int make_names(xopy_state_t *state)
{
    static const struct {
        size_t offset;
        const char *text;
    } names[] = {
        {offsetof(xopy_state_t, str_throw), "throw"},
        {offsetof(xopy_state_t, str_call_soon), "call_soon"},
        {offsetof(xopy_state_t, str_cancel), "cancel"},
        {offsetof(xopy_state_t, str_post_create), "__post_create__"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        PyObject **slot = (PyObject **)((char *)state + names[i].offset);
        if (!(*slot = PyUnicode_InternFromString(names[i].text)))
            return -1;
    }
    state->context_kwnames = Py_BuildValue("(s)", "context");
    state->task_kwnames = XOPY_EAGER_TASKS ? Py_BuildValue("(ss)", "loop", "eager_start")
                                           : Py_BuildValue("(s)", "loop");
    return state->context_kwnames && state->task_kwnames ? 0 : -1;
}

static int setup(PyObject *module)
{
    static int (*const steps[])(PyObject *, xopy_state_t *) = {
        xopy_actor_setup, xopy_buffer_setup, xopy_call_setup, xopy_method_setup,
        xopy_pool_setup,  xopy_ref_setup,    xopy_run_setup,  xopy_runtime_setup,
    };
    xopy_state_t *state = PyModule_GetState(module);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i](module, state) < 0)
            return -1;
    }
    return make_names(state);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    xopy_state_t *state = PyModule_GetState(module);
    Py_VISIT(state->glue);
    return 0;
}

struct PyModuleDef xopy_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_xo",
    .m_doc = "The part of the package xoscar that is written in C: messages, calls, hosting.",
    .m_size = sizeof(xopy_state_t),
    .m_methods = functions,
    .m_traverse = module_traverse,
};

PyMODINIT_FUNC PyInit__xo(void)
{
    PyObject *module = PyModule_Create(&xopy_module);
    if (module && (PyState_AddModule(module, &xopy_module) < 0 || setup(module) < 0 ||
                   PyModule_AddStringConstant(module, "BINDIR", XOPY_BINDIR) < 0))
        Py_CLEAR(module);
    return module;
}
