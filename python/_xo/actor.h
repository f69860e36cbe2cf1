/* actor.h - BaseActor: what the classes Actor and StatelessActor of the package derive from. It
 * knows its uid and its address before __init__ runs.
 */
#ifndef XOPY_ACTOR_H
#define XOPY_ACTOR_H

#include "_xo/state.h"

typedef struct xopy_actor {
    PyObject_HEAD PyObject *uid; /* bytes; NULL outside of a pool, as is address */
    PyObject *address;           /* str */
} xopy_actor_t;

#endif
