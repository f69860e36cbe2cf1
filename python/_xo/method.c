/* method.c - ref.name: what is called, told, delayed and batched. See ref.h.
 */
#include "_xo/send.h"
#include "_xo/values.h"

static PyObject *method_call(PyObject *self, PyObject *const *args, size_t count, PyObject *kwnames)
{
    return xopy_send((xopy_method_t *)self, XO_CALL, args, PyVectorcall_NARGS(count), kwnames);
}

PyObject *xopy_method_create(xopy_state_t *state, xopy_ref_t *ref, PyObject *name)
{
    xopy_method_t *self = PyObject_GC_New(xopy_method_t, state->method_type);
    if (!self)
        return NULL;
    self->vectorcall = method_call;
    self->ref = (xopy_ref_t *)Py_NewRef(ref);
    self->name = Py_NewRef(name);
    self->timeout_ns = 0;
    self->flags = 0;
    if (!xopy_ref_check_exact((PyObject *)ref)) /* one of a subclass may have attributes */
        PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* ---- Delay ---- */

static PyObject *delay_create(xopy_method_t *method, PyObject *pair)
{
    xopy_delay_t *self = PyObject_GC_New(xopy_delay_t, xopy_state()->delay_type);
    if (!self)
        return NULL;
    self->ref = (xopy_ref_t *)Py_NewRef(method->ref);
    self->name = Py_NewRef(method->name);
    self->pair = Py_NewRef(pair);
    if (PyObject_GC_IsTracked(pair) || !xopy_ref_check_exact((PyObject *)self->ref))
        PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int delay_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((xopy_delay_t *)self)->ref);
    Py_VISIT(((xopy_delay_t *)self)->pair);
    return 0;
}

static int delay_clear(PyObject *self)
{
    Py_CLEAR(((xopy_delay_t *)self)->pair);
    return 0;
}

static void delay_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_DECREF(((xopy_delay_t *)self)->ref);
    Py_DECREF(((xopy_delay_t *)self)->name);
    delay_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *delay_repr(PyObject *self)
{
    xopy_delay_t *delay = (xopy_delay_t *)self;
    return PyUnicode_FromFormat("<delayed call of %R>", delay->name);
}

static PyType_Slot delay_slots[] = {
    {Py_tp_doc, "A call that waits for its method's batch(...)."},
    {Py_tp_traverse, delay_traverse},
    {Py_tp_clear, delay_clear},
    {Py_tp_dealloc, delay_dealloc},
    {Py_tp_repr, delay_repr},
    {0, NULL},
};

static PyType_Spec delay_spec = {
    .name = "_xo.Delay",
    .basicsize = sizeof(xopy_delay_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | XOPY_IMMUTABLE | XOPY_NO_NEW,
    .slots = delay_slots,
};

/* ---- Method's methods ---- */

static PyObject *method_send(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *kwnames)
{
    return xopy_send((xopy_method_t *)self, XO_CALL, args, count, kwnames);
}

static PyObject *method_tell(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *kwnames)
{
    return xopy_send((xopy_method_t *)self, XO_TELL, args, count, kwnames);
}

static PyObject *method_delay(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *kwnames)
{
    PyObject *tuple, *dict;
    if (xopy_args_to_objects(args, count, kwnames, &tuple, &dict) < 0)
        return NULL;
    PyObject *pair = xopy_pair(tuple, dict);
    PyObject *delay = pair ? delay_create((xopy_method_t *)self, pair) : NULL;
    Py_XDECREF(pair);
    return delay;
}

/* ValueError if not; -1. */
static int check_same(const xopy_method_t *a, const xopy_delay_t *b)
{
    if (a->name != b->name && PyUnicode_Compare(a->name, b->name) != 0) {
        PyErr_Format(PyExc_ValueError,
                     "all calls of a batch are of one method of one actor: %R is not of %R", b,
                     a->name);
        return -1;
    }
    int same = a->ref == b->ref;
    if (!same)
        same = PyObject_RichCompareBool((PyObject *)a->ref, (PyObject *)b->ref, Py_EQ);
    if (same == 0)
        PyErr_Format(PyExc_ValueError,
                     "all calls of a batch are of one method of one actor: %R is of %R, not of %R",
                     b, b->ref, a->ref);
    return same > 0 ? 0 : -1;
}

static PyObject *pair_of(xopy_method_t *method, PyObject *delay)
{
    if (!Py_IS_TYPE(delay, xopy_state()->delay_type)) {
        PyErr_Format(PyExc_ValueError, "batch() takes delayed calls, not %.200R", delay);
        return NULL;
    }
    if (check_same(method, (xopy_delay_t *)delay) < 0)
        return NULL;
    return Py_NewRef(((xopy_delay_t *)delay)->pair);
}

static PyObject *collect(xopy_method_t *method, PyObject *const *delays, Py_ssize_t count)
{
    PyObject *pairs = PyList_New(count);
    for (Py_ssize_t i = 0; pairs && i < count; i++) {
        PyObject *pair = pair_of(method, delays[i]);
        if (pair)
            PyList_SET_ITEM(pairs, i, pair);
        else
            Py_CLEAR(pairs);
    }
    return pairs;
}

/* batch(..., send=True): -1 for any other keyword. */
static int wants_answer(PyObject *const *values, PyObject *kwnames)
{
    if (!kwnames || PyTuple_GET_SIZE(kwnames) == 0)
        return 1;
    if (PyTuple_GET_SIZE(kwnames) == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "send") == 0)
        return PyObject_IsTrue(values[0]);
    PyErr_SetString(PyExc_TypeError, "batch(*delays, send=True)");
    return -1;
}

static PyObject *method_batch(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *kwnames)
{
    xopy_method_t *method = (xopy_method_t *)self;
    int answer = wants_answer(args + count, kwnames);
    PyObject *pairs = answer < 0 ? NULL : collect(method, args, count);
    PyObject *call = pairs ? xopy_send_batch(method, pairs, answer) : NULL;
    Py_XDECREF(pairs);
    return call;
}

static PyObject *method_tell_delay(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return xopy_glue("tell_delay", "(OOO)", self, args, kwargs ? kwargs : Py_None);
}

#define NS_PER_S 1e9

static PyObject *method_options(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", "idempotent", NULL};
    xopy_method_t *method = (xopy_method_t *)self;
    PyObject *timeout = Py_None;
    int idempotent = (method->flags & XO_F_IDEMPOTENT) != 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$Op:options", names, &timeout, &idempotent))
        return NULL;
    double seconds = timeout == Py_None ? 0 : PyFloat_AsDouble(timeout);
    if (PyErr_Occurred())
        return NULL;
    if (timeout != Py_None && !(seconds > 0 && seconds < 1e9)) {
        PyErr_SetString(PyExc_ValueError, "a timeout is a positive number of seconds");
        return NULL;
    }
    PyObject *copy = xopy_method_create(xopy_state(), method->ref, method->name);
    if (!copy)
        return NULL;
    ((xopy_method_t *)copy)->timeout_ns =
        timeout == Py_None ? method->timeout_ns : (int64_t)(seconds * NS_PER_S);
    ((xopy_method_t *)copy)->flags = idempotent ? XO_F_IDEMPOTENT : 0;
    return copy;
}

static PyObject *method_repr(PyObject *self)
{
    xopy_method_t *method = (xopy_method_t *)self;
    return PyUnicode_FromFormat("<method %R of %R>", method->name, method->ref);
}

static int method_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((xopy_method_t *)self)->ref);
    return 0;
}

static void method_dealloc(PyObject *self)
{
    xopy_method_t *method = (xopy_method_t *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_DECREF(method->ref);
    Py_DECREF(method->name);
    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static const char send_doc[] = "send(*args, **kwargs)\n"
                               "--\n"
                               "\n"
                               "Call the method.\n"
                               "\n"
                               "Parameters\n"
                               "----------\n"
                               "*args, **kwargs\n"
                               "    The method's arguments.\n"
                               "\n"
                               "Returns\n"
                               "-------\n"
                               "Call\n"
                               "    Await it for the result, or what the method raises.";

static const char tell_doc[] = "tell(*args, **kwargs)\n"
                               "--\n"
                               "\n"
                               "Send a message without asking for an answer.\n"
                               "\n"
                               "Parameters\n"
                               "----------\n"
                               "*args, **kwargs\n"
                               "    The method's arguments.\n"
                               "\n"
                               "Returns\n"
                               "-------\n"
                               "Call\n"
                               "    Await it for the acceptance.";

static const char delay_doc[] = "delay(*args, **kwargs)\n"
                                "--\n"
                                "\n"
                                "Make a call that batch sends.\n"
                                "\n"
                                "Parameters\n"
                                "----------\n"
                                "*args, **kwargs\n"
                                "    The method's arguments.\n"
                                "\n"
                                "Returns\n"
                                "-------\n"
                                "Delay";

static const char batch_doc[] = "batch(*delays, send=True)\n"
                                "--\n"
                                "\n"
                                "Send delayed calls of this method as one message.\n"
                                "\n"
                                "Parameters\n"
                                "----------\n"
                                "*delays\n"
                                "    What delay gave.\n"
                                "send : bool\n"
                                "    False: without an answer, as tell.\n"
                                "\n"
                                "Returns\n"
                                "-------\n"
                                "Call\n"
                                "    Await it for the list of results.\n"
                                "\n"
                                "Raises\n"
                                "------\n"
                                "ValueError\n"
                                "    If one is of another method.";

static const char tell_delay_doc[] = "tell_delay(*args, delay=None, **kwargs)\n"
                                     "--\n"
                                     "\n"
                                     "Tell later.\n"
                                     "\n"
                                     "Parameters\n"
                                     "----------\n"
                                     "*args, **kwargs\n"
                                     "    The method's arguments.\n"
                                     "delay : float\n"
                                     "    Seconds.\n"
                                     "\n"
                                     "Returns\n"
                                     "-------\n"
                                     "awaitable\n"
                                     "    It is done when the message has been accepted.";

static const char options_doc[] =
    "options(*, timeout=None, idempotent=False)\n"
    "--\n"
    "\n"
    "Give the same method, with options for its calls.\n"
    "\n"
    "Parameters\n"
    "----------\n"
    "timeout : float, optional\n"
    "    Seconds after which a call is given up, an asyncio.TimeoutError.\n"
    "idempotent : bool\n"
    "    A call may be sent again, should it get lost.\n"
    "\n"
    "Returns\n"
    "-------\n"
    "Method";

static PyMethodDef method_methods[] = {
    {"send", FAST(method_send), METH_FASTCALL | METH_KEYWORDS, send_doc},
    {"tell", FAST(method_tell), METH_FASTCALL | METH_KEYWORDS, tell_doc},
    {"delay", FAST(method_delay), METH_FASTCALL | METH_KEYWORDS, delay_doc},
    {"batch", FAST(method_batch), METH_FASTCALL | METH_KEYWORDS, batch_doc},
    {"tell_delay", FAST(method_tell_delay), METH_VARARGS | METH_KEYWORDS, tell_delay_doc},
    {"options", FAST(method_options), METH_VARARGS | METH_KEYWORDS, options_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef method_members[] = {
    {"__name__", T_OBJECT, offsetof(xopy_method_t, name), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(xopy_method_t, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot method_slots[] = {
    {Py_tp_doc, "A method of an actor, on the caller's side."},
    {Py_tp_traverse, method_traverse},
    {Py_tp_dealloc, method_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_repr, method_repr},
    {Py_tp_methods, method_methods},
    {Py_tp_members, method_members},
    {0, NULL},
};

static PyType_Spec method_spec = {
    .name = "_xo.Method",
    .basicsize = sizeof(xopy_method_t),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | XOPY_VECTORCALL | XOPY_IMMUTABLE | XOPY_NO_NEW,
    .slots = method_slots,
};

int xopy_method_setup(PyObject *module, xopy_state_t *state)
{
    if (xopy_add_type(module, &delay_spec, NULL, &state->delay_type) < 0)
        return -1;
    return xopy_add_type(module, &method_spec, NULL, &state->method_type);
}
