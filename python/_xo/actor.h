/* actor.h - BaseActor: what the classes Actor and StatelessActor of the package derive from. It
 * knows its uid and its address as soon as it is there, before __init__ runs.
 */
#ifndef XOPY_ACTOR_H
#define XOPY_ACTOR_H

#include "_xo/state.h"

typedef struct xopy_actor {
    PyObject_HEAD PyObject *uid; /* bytes; NULL outside of a pool, as is address */
    PyObject *address;           /* str */
    PyObject *extras;            /* what xoscar keeps for it: its streams; or NULL */
} xopy_actor_t;

typedef struct xopy_identity {
    xo_slice_t uid;
    const char *address;
} xopy_identity_t;

/* Calls `class`, whose object gets the identity in BaseActor's __new__. TypeError if that gives
 * something else than a new actor. kwargs may be NULL. */
PyObject *xopy_actor_make(PyObject *class, PyObject *args, PyObject *kwargs,
                          const xopy_identity_t *identity);

#endif
