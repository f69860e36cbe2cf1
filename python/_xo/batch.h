/* batch.h - one message, many calls of one method.
 */
#ifndef XOPY_BATCH_H
#define XOPY_BATCH_H

#include "_xo/state.h"

/* What a batch version gives for all of `pairs`, a list of (args, kwargs or None); without one, a
 * list of what each call gives, or a coroutine for it. */
PyObject *xopy_call_batch(PyObject *method, PyObject *pairs);

#endif
