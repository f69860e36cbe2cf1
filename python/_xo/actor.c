/* actor.c - see actor.h.
 */
#include "_xo/actor.h"

#include "_xo/ref.h"
#include "_xo/watch.h"

static PyObject *actor_ref(PyObject *self, PyObject *unused)
{
    xopy_actor_t *actor = (xopy_actor_t *)self;
    (void)unused;
    if (actor->uid)
        return xopy_ref_create(xopy_own_ref_type(xopy_state()), actor->address, actor->uid);
    PyErr_SetString(PyExc_RuntimeError, "the actor was not created with create_actor");
    return NULL;
}

static int actor_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((xopy_actor_t *)self)->extras);
    return 0;
}

static int actor_clear(PyObject *self)
{
    Py_CLEAR(((xopy_actor_t *)self)->extras);
    return 0;
}

static void actor_dealloc(PyObject *self)
{
    xopy_actor_t *actor = (xopy_actor_t *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    actor_clear(self);
    Py_XDECREF(actor->uid);
    Py_XDECREF(actor->address);
    type->tp_free(self);
    Py_DECREF(type);
}

static void take_identity(xopy_actor_t *actor, PyObject *identity)
{
    if (!identity)
        return;
    actor->uid = Py_NewRef(PyTuple_GET_ITEM(identity, 0));
    actor->address = Py_NewRef(PyTuple_GET_ITEM(identity, 1));
}

/* Arguments are __init__'s. object's __new__ refuses classes that are abstract. */
static PyObject *actor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    xopy_state_t *state = xopy_state();
    (void)args;
    (void)kwargs;
    PyObject *none = PyTuple_New(0);
    PyObject *self = none ? PyBaseObject_Type.tp_new(type, none, NULL) : NULL;
    Py_XDECREF(none);
    if (!self)
        return NULL;
    take_identity((xopy_actor_t *)self, state->identity);
    Py_CLEAR(state->identity);
    return self;
}

/* Is it the object that took the identity, or one that has none yet? */
static int check_made(PyObject *class, PyObject *self, PyObject *identity)
{
    xopy_actor_t *actor = (xopy_actor_t *)self;
    if (!PyObject_TypeCheck(self, xopy_state()->actor_type)) {
        PyErr_Format(PyExc_TypeError, "%R made %R, which is no actor", class, self);
        return -1;
    }
    if (!actor->uid)
        take_identity(actor, identity);
    if (actor->uid == PyTuple_GET_ITEM(identity, 0))
        return 0;
    PyErr_Format(PyExc_TypeError, "%R gave an object that is another actor already", class);
    return -1;
}

PyObject *xopy_actor_make(PyObject *class, PyObject *args, PyObject *kwargs,
                          const xopy_identity_t *identity)
{
    xopy_state_t *state = xopy_state();
    PyObject *pair = Py_BuildValue("(y#s)", identity->uid.data, (Py_ssize_t)identity->uid.size,
                                   identity->address);
    if (!pair)
        return NULL;
    state->identity = Py_NewRef(pair);
    PyObject *self = PyObject_Call(class, args, kwargs);
    Py_CLEAR(state->identity);
    if (self && check_made(class, self, pair) < 0)
        Py_CLEAR(self);
    Py_DECREF(pair);
    return self;
}

static int actor_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    (void)args;
    (void)kwargs;
    return 0;
}

static const char ref_doc[] = "ref()\n"
                              "--\n"
                              "\n"
                              "Make a reference to this actor, for others and for itself.\n"
                              "\n"
                              "Returns\n"
                              "-------\n"
                              "LocalActorRef";

static PyMethodDef actor_methods[] = {
    {"ref", actor_ref, METH_NOARGS, ref_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef actor_members[] = {
    {"uid", T_OBJECT, offsetof(xopy_actor_t, uid), READONLY, "The actor's uid, bytes."},
    {"address", T_OBJECT, offsetof(xopy_actor_t, address), READONLY,
     "The address of its pool, \"host:port\"."},
    {"_xo_extras", T_OBJECT, offsetof(xopy_actor_t, extras), 0, "The package's own."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot actor_slots[] = {
    {Py_tp_doc, "What an object has that lives in a pool: uid, address, ref()."},
    {Py_tp_new, actor_new},
    {Py_tp_init, actor_init},
    {Py_tp_traverse, actor_traverse},
    {Py_tp_clear, actor_clear},
    {Py_tp_dealloc, actor_dealloc},
    {Py_tp_methods, actor_methods},
    {Py_tp_members, actor_members},
    {0, NULL},
};

static PyType_Spec actor_spec = {
    .name = "_xo.BaseActor",
    .basicsize = sizeof(xopy_actor_t),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = actor_slots,
};

int xopy_actor_setup(PyObject *module, xopy_state_t *state)
{
    return xopy_add_type(module, &actor_spec, NULL, &state->actor_type);
}
