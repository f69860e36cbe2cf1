/* room.h - requests to actors of this process that wait until the mailbox has room.
 */
#ifndef XOPY_ROOM_H
#define XOPY_ROOM_H

#include "_xo/call.h"

/* A request on its way to an actor of the pool that `endpoint` is of. */
typedef struct xopy_local_request {
    xo_endpoint_t *endpoint;
    xo_actor_t *actor; /* NULL: there is none, which the pool answers */
    xopy_call_t *call;
    int64_t timeout_ns; /* 0: none */
} xopy_local_request_t;

/* Sends *msg, at once or when those before it have found room; takes it over. The call is done when
 * a tell is in the mailbox, or a request is answered. -1: out of memory, *msg is still the
 * caller's. */
int xopy_send_local(const xopy_local_request_t *request, xo_msg_t **msg);

#endif
