/* own_call.h - for who handles an endpoint's requests and sends some to itself: what
 * xo_endpoint_call and xo_endpoint_tell do for them, less the delivery. Internal.
 */
#ifndef XO_OWN_CALL_H
#define XO_OWN_CALL_H

#include "libxo/endpoint.h"

/* Cancels the request that `place` is part of. */
typedef void (*xoi_own_cancel_f)(xo_call_t **place);

/* Notes a call of this endpoint to itself. The caller then makes a request with the call's
 * sequence, and says where in it the call is: while both are there they know each other, and
 * nothing is looked up. NULL: ENOMEM. */
xo_call_t *xoi_own_call(xo_endpoint_t *endpoint, int64_t deadline_ns, xo_answer_f answer, void *arg,
                        xoi_own_cancel_f cancel, xo_error_t *err);
void xoi_own_call_made(xo_call_t *call, xo_call_t **place);
void xoi_own_call_forget(xo_call_t *call); /* there is no request */
/* The request goes, and the call, if it was not answered meanwhile, is answered before anything
 * else is done. *place becomes NULL. */
xo_call_t *xoi_own_call_take(xo_call_t **place);
void xoi_own_call_answer(xo_call_t *call, xo_msg_t **answer); /* as xo_endpoint_answer */
void xoi_own_message(xo_endpoint_t *endpoint, size_t bytes);  /* counts one that was */

#endif
