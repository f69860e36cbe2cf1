/* future.h - futures, for the files that make them; users see client.h. */
#ifndef XO_FUTURE_H
#define XO_FUTURE_H

#include "libxo/client.h"

struct xo_future {
    xo_endpoint_t *endpoint;
    xo_call_t *call;   /* NULL once it is answered */
    xo_msg_t *answer;  /* NULL: none yet, or its result is all there is of it (own_call.h) */
    xo_slice_t result; /* the answer's body */
    bool done;
    bool deferred;   /* `defer` is set */
    uint8_t holders; /* of the memory: the user, and a call that lies in it */
    uint32_t memory; /* size of this, with what follows it */
    xo_future_f then;
    void *arg;
    xo_defer_t defer; /* of own_call.h's it is not cleared */
};

/* A future for the call that is to be made with xoi_future_answer and the future as its argument.
 * Owned by the user once xoi_future_set_call was called. */
xo_future_t *xoi_future_create(xo_endpoint_t *endpoint);
/* The same with memory for who makes it, all zero: it is there as long as the future. */
xo_future_t *xoi_future_create_with(xo_endpoint_t *endpoint, size_t extra_bytes);
void *xoi_future_extra(xo_future_t *future);
/* Of `memory` bytes that are all zero; and one that holds its memory goes. */
void xoi_future_init(xo_future_t *future, xo_endpoint_t *endpoint, size_t memory);
void xoi_future_release(xo_future_t *future);
void xoi_future_set_call(xo_future_t *future, xo_call_t *call);
void xoi_future_answer(xo_call_t *call, xo_msg_t **answer, void *arg);
/* Has it a result without a message? */
bool xoi_future_kept(const xo_future_t *future, xo_slice_t *result);
/* Asks for the identity of the actor. */
xo_future_t *xoi_ref_ask(xo_ref_t *ref, xo_error_t *err);
/* Runs the loop until `done(arg)`: 0, or -1 with ETIMEDOUT. timeout_ms -1: no limit. */
int xoi_wait(xo_loop_t *loop, bool (*done)(void *arg), void *arg, int timeout_ms);

#endif
