/* failure.h - exceptions as XO_ERROR messages and back (doc/wire.md, "Errors").
 */
#ifndef XOPY_FAILURE_H
#define XOPY_FAILURE_H

#include "_xo/state.h"

/* The exception that an error's body stands for; NULL with another one set when it cannot be made.
 */
PyObject *xopy_failure_exception(xo_slice_t body);
PyObject *xopy_failure_of(const xo_failure_t *failure); /* read already */
/* What a method raised. `code`: XO_CODE_*; `address`: of the pool it ran in; `creates`: it was a
 * creation, of which is told whom it did not reach. NULL with an exception. */
xo_msg_t *xopy_failure_message(const char *code, PyObject *exception, const char *address,
                               bool creates);

#endif
