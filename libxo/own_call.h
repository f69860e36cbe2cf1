/* own_call.h - for who handles an endpoint's requests and sends some to itself: what
 * xo_endpoint_call and xo_endpoint_tell do for them, less the delivery. Internal.
 */
#ifndef XO_OWN_CALL_H
#define XO_OWN_CALL_H

#include "libxo/endpoint.h"

/* Notes a call of this endpoint to itself. The caller then delivers a message with this sender and
 * the call's sequence, which is answered when that has returned, and not before. NULL: ENOMEM. */
xo_call_t *xoi_own_call(xo_endpoint_t *endpoint, int64_t deadline_ns, xo_answer_f answer, void *arg,
                        xo_error_t *err);
void xoi_own_call_forget(xo_call_t *call);                   /* it was not delivered */
void xoi_own_message(xo_endpoint_t *endpoint, size_t bytes); /* counts one that was */

#endif
