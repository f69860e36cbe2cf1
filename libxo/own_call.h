/* own_call.h - for who handles an endpoint's requests and sends some to itself: what
 * xo_endpoint_call and xo_endpoint_tell do for them, less the delivery. Internal.
 */
#ifndef XO_OWN_CALL_H
#define XO_OWN_CALL_H

#include "libxo/client.h"

/* Cancels the request that `place` is part of. */
typedef void (*xoi_own_cancel_f)(xo_call_t **place);

/* As xoi_future_create_with, with room for one call of the endpoint to itself, and for its result.
 * The extra memory is not cleared. */
xo_future_t *xoi_own_future(xo_endpoint_t *endpoint, size_t extra_bytes);
/* Makes that call. `place` is in its request: while both are there they know each other, and
 * nothing is looked up. */
xo_call_t *xoi_own_call(xo_future_t *future, int64_t deadline_ns, xo_call_t **place,
                        xoi_own_cancel_f cancel);
void xoi_own_call_part(xo_call_t *call);                    /* they forget each other */
void xoi_own_call_move(xo_call_t *call, xo_call_t **place); /* to another request */
/* The request goes, and the call, if it was not answered meanwhile, is answered before anything
 * else is done. *place becomes NULL. */
xo_call_t *xoi_own_call_take(xo_call_t **place);
/* Keeps a small result, so that it is answered without a message. False: it needs one. */
bool xoi_own_call_keep(xo_call_t *call, xo_slice_t result);
/* As xo_endpoint_answer. *answer NULL: what was kept, if anything was. */
void xoi_own_call_answer(xo_call_t *call, xo_msg_t **answer);
void xoi_own_message(xo_endpoint_t *endpoint, size_t bytes); /* counts one that was */

#endif
