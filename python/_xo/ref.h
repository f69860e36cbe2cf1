/* ref.h - references: ActorRef, LocalActorRef; and what hangs on them: Method, Delay.
 *
 * ref.name gives a Method, whatever the name; calling it sends. References are equal when address
 * and uid are, and pickle as these two.
 */
#ifndef XOPY_REF_H
#define XOPY_REF_H

#include "_xo/state.h"

typedef struct xopy_ref {
    PyObject_HEAD PyObject *address; /* str */
    PyObject *uid;                   /* bytes */
    PyObject *weakrefs;
} xopy_ref_t;

typedef struct xopy_method {
    PyObject_HEAD vectorcallfunc vectorcall;
    xopy_ref_t *ref;
    PyObject *name;     /* str */
    int64_t timeout_ns; /* 0: none */
    unsigned flags;     /* XO_F_IDEMPOTENT */
} xopy_method_t;

/* A call that waits for Method.batch. */
typedef struct xopy_delay {
    PyObject_HEAD xopy_ref_t *ref;
    PyObject *name; /* of the method, str */
    PyObject *pair; /* (args, kwargs or None) */
} xopy_delay_t;

bool xopy_ref_check_exact(PyObject *object); /* ActorRef or LocalActorRef, no subclass of theirs */
bool xopy_ref_check(PyObject *object);
/* Steals nothing. */
PyObject *xopy_ref_create(PyTypeObject *type, PyObject *address, PyObject *uid);
PyObject *xopy_ref_from_slices(xopy_state_t *state, xo_slice_t address, xo_slice_t uid);
/* "host:port", or a lane's endpoint. 0, or -1 with ValueError. */
int xopy_check_address(PyObject *address);
/* A str or bytes as bytes of 1 to 255; ValueError for anything else. */
PyObject *xopy_uid_bytes(PyObject *uid);
PyObject *xopy_method_create(xopy_state_t *state, xopy_ref_t *ref, PyObject *name);

static inline xo_slice_t xopy_ref_uid_slice(const xopy_ref_t *ref)
{
    return xo_slice(PyBytes_AS_STRING(ref->uid), (size_t)PyBytes_GET_SIZE(ref->uid));
}

#endif
