/* ref.c - see ref.h.
 */
#include "_xo/ref.h"

#include "_xo/runtime.h"

bool xopy_ref_check_exact(PyObject *object)
{
    xopy_state_t *state = xopy_state();
    return Py_IS_TYPE(object, state->ref_type) || Py_IS_TYPE(object, state->local_ref_type);
}

bool xopy_ref_check(PyObject *object)
{
    return PyObject_TypeCheck(object, xopy_state()->ref_type);
}

PyObject *xopy_ref_create(PyTypeObject *type, PyObject *address, PyObject *uid)
{
    xopy_ref_t *self = (xopy_ref_t *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->address = Py_NewRef(address);
    self->uid = Py_NewRef(uid);
    return (PyObject *)self;
}

PyObject *xopy_ref_from_slices(xopy_state_t *state, xo_slice_t address, xo_slice_t uid)
{
    PyObject *ref = NULL;
    PyObject *text = PyUnicode_DecodeUTF8(address.data, (Py_ssize_t)address.size, NULL);
    PyObject *bytes = PyBytes_FromStringAndSize(uid.data, (Py_ssize_t)uid.size);
    if (text && bytes)
        ref = xopy_ref_create(state->ref_type, text, bytes);
    Py_XDECREF(text);
    Py_XDECREF(bytes);
    return ref;
}

PyObject *xopy_uid_bytes(PyObject *uid)
{
    PyObject *bytes = NULL;
    if (PyUnicode_Check(uid))
        bytes = PyUnicode_AsUTF8String(uid);
    else if (PyBytes_Check(uid))
        bytes = Py_NewRef(uid);
    else
        PyErr_Format(PyExc_ValueError, "a uid is a str or bytes, not %.200R", uid);
    if (!bytes)
        return NULL;
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    if (size > 0 && size <= XO_UID_BYTES_MAX)
        return bytes;
    Py_DECREF(bytes);
    PyErr_Format(PyExc_ValueError, "a uid has 1 to %d bytes, not %zd", XO_UID_BYTES_MAX, size);
    return NULL;
}

int xopy_check_address(PyObject *address)
{
    xo_error_t err;
    xo_address_t parsed;
    const char *text = PyUnicode_Check(address) ? PyUnicode_AsUTF8(address) : NULL;
    if (text && strstr(text, "://"))
        return 0;
    if (text && xo_address_parse(text, &parsed, &err) < 0) {
        xopy_raise(&err);
        return -1;
    }
    if (text && parsed.port > 0)
        return 0;
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "an address is a str, \"host:port\", not %.200R", address);
    return -1;
}

static PyObject *ref_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"address", "uid", NULL};
    PyObject *address, *uid;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UO:ActorRef", names, &address, &uid))
        return NULL;
    PyObject *bytes = xopy_check_address(address) < 0 ? NULL : xopy_uid_bytes(uid);
    PyObject *self = bytes ? xopy_ref_create(type, address, bytes) : NULL;
    Py_XDECREF(bytes);
    return self;
}

static int ref_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void ref_dealloc(PyObject *self)
{
    xopy_ref_t *ref = (xopy_ref_t *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (ref->weakrefs)
        PyObject_ClearWeakRefs(self);
    Py_XDECREF(ref->address);
    Py_XDECREF(ref->uid);
    type->tp_free(self);
    Py_DECREF(type);
}

/* What the type has itself; anything else is a method of the actor. Names with two leading
 * underscores belong to Python's protocols (copy, pickle, ...), so they must not look as if they
 * were there. */
static PyObject *ref_getattro(PyObject *self, PyObject *name)
{
    if (_PyType_Lookup(Py_TYPE(self), name))
        return PyObject_GenericGetAttr(self, name);
    if (PyUnicode_GET_LENGTH(name) >= 1 && PyUnicode_READ_CHAR(name, 0) == '_') {
        PyErr_Format(PyExc_AttributeError, "a reference has no attribute %.200R", name);
        return NULL;
    }
    return xopy_method_create(xopy_state(), (xopy_ref_t *)self, name);
}

/* 0: the actor has no such attribute, with the exception set. What its class has is not evaluated,
 * which for a property would run the user's code. */
static int has_method(PyObject *actor, PyObject *name)
{
    if (_PyType_Lookup(Py_TYPE(actor), name))
        return 1;
    PyObject *found = PyObject_GetAttr(actor, name);
    if (!found && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_AttributeError, "%.200s has no method %.200R", Py_TYPE(actor)->tp_name,
                     name);
        return 0;
    }
    PyErr_Clear(); /* the call will tell */
    Py_XDECREF(found);
    return 1;
}

/* The actor is in this process: a method that it does not have is noticed here. */
static PyObject *local_ref_getattro(PyObject *self, PyObject *name)
{
    PyObject *method = ref_getattro(self, name);
    if (!method || !Py_IS_TYPE(method, xopy_state()->method_type))
        return method;
    PyObject *actor = xopy_find_local((xopy_ref_t *)self);
    Py_XINCREF(actor);
    if (actor && !has_method(actor, name))
        Py_CLEAR(method);
    Py_XDECREF(actor);
    return method;
}

static PyObject *ref_repr(PyObject *self)
{
    xopy_ref_t *ref = (xopy_ref_t *)self;
    return PyUnicode_FromFormat("ActorRef(uid=%R, address=%R)", ref->uid, ref->address);
}

static Py_hash_t ref_hash(PyObject *self)
{
    xopy_ref_t *ref = (xopy_ref_t *)self;
    Py_hash_t address = PyObject_Hash(ref->address);
    Py_hash_t uid = PyObject_Hash(ref->uid);
    if (address == -1 || uid == -1)
        return -1;
    Py_hash_t hash = (Py_hash_t)((Py_uhash_t)address * 1000003U ^ (Py_uhash_t)uid);
    return hash == -1 ? -2 : hash;
}

static PyObject *ref_compare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !xopy_ref_check(a) || !xopy_ref_check(b))
        Py_RETURN_NOTIMPLEMENTED;
    xopy_ref_t *left = (xopy_ref_t *)a, *right = (xopy_ref_t *)b;
    int equal = PyObject_RichCompareBool(left->uid, right->uid, Py_EQ);
    if (equal > 0)
        equal = PyObject_RichCompareBool(left->address, right->address, Py_EQ);
    if (equal < 0)
        return NULL;
    return PyBool_FromLong(equal == (op == Py_EQ));
}

static PyObject *ref_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    xopy_ref_t *ref = (xopy_ref_t *)self;
    return Py_BuildValue("O(OO)", xopy_state()->ref_type, ref->address, ref->uid);
}

/* References never change, so that a copy is the same. */
static PyObject *ref_copy(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *ref_destroy(PyObject *self, PyObject *unused)
{
    (void)unused;
    return xopy_glue("destroy_actor", "(O)", self);
}

static const char destroy_doc[] = "destroy()\n"
                                  "--\n"
                                  "\n"
                                  "Run the actor's __pre_destroy__ and end it.\n"
                                  "\n"
                                  "Returns\n"
                                  "-------\n"
                                  "awaitable\n"
                                  "    It is done when the actor is gone.\n"
                                  "\n"
                                  "Raises\n"
                                  "------\n"
                                  "ActorNotExist\n"
                                  "    If there is none.\n"
                                  "Exception\n"
                                  "    What __pre_destroy__ raises.";

static PyMethodDef ref_methods[] = {
    {"__reduce__", ref_reduce, METH_NOARGS, NULL},
    {"__copy__", ref_copy, METH_NOARGS, NULL},
    {"__deepcopy__", ref_copy, METH_O, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "For annotations: ActorRefType[MyActor]."},
    {"destroy", ref_destroy, METH_NOARGS, destroy_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef ref_members[] = {
    {"address", T_OBJECT, offsetof(xopy_ref_t, address), READONLY,
     "The address of the actor's pool, \"host:port\"."},
    {"uid", T_OBJECT, offsetof(xopy_ref_t, uid), READONLY, "The actor's uid, bytes."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(xopy_ref_t, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static const char type_doc[] =
    "ActorRef(address, uid)\n"
    "--\n"
    "\n"
    "Names an actor. Nothing is sent by making one.\n"
    "\n"
    "ref.method(...) calls, ref.method.tell(...) tells, ref.method.delay(...) and\n"
    "ref.method.batch(...) send many calls as one message.\n"
    "\n"
    "Parameters\n"
    "----------\n"
    "address : str\n"
    "    \"host:port\" of the actor's pool. An attribute, as the next one is.\n"
    "uid : str or bytes\n"
    "    The actor's; bytes as an attribute.\n"
    "\n"
    "Raises\n"
    "------\n"
    "ValueError\n"
    "    For a uid that is no str or bytes of 1 to 255 bytes.";

static PyType_Slot ref_slots[] = {
    {Py_tp_doc, (char *)type_doc},
    {Py_tp_new, ref_new},
    {Py_tp_traverse, ref_traverse},
    {Py_tp_dealloc, ref_dealloc},
    {Py_tp_getattro, ref_getattro},
    {Py_tp_repr, ref_repr},
    {Py_tp_hash, ref_hash},
    {Py_tp_richcompare, ref_compare},
    {Py_tp_methods, ref_methods},
    {Py_tp_members, ref_members},
    {0, NULL},
};

static PyType_Spec ref_spec = {
    .name = "_xo.ActorRef",
    .basicsize = sizeof(xopy_ref_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = ref_slots,
};

static PyType_Slot local_ref_slots[] = {
    {Py_tp_doc,
     "An ActorRef to an actor in a pool of this process: a method that the actor does not\n"
     "have is an AttributeError at once."},
    {Py_tp_getattro, local_ref_getattro},
    {0, NULL},
};

static PyType_Spec local_ref_spec = {
    .name = "_xo.LocalActorRef",
    .basicsize = sizeof(xopy_ref_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = local_ref_slots,
};

int xopy_ref_setup(PyObject *module, xopy_state_t *state)
{
    if (xopy_add_type(module, &ref_spec, NULL, &state->ref_type) < 0)
        return -1;
    return xopy_add_type(module, &local_ref_spec, state->ref_type, &state->local_ref_type);
}
