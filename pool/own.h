/* own.h - calls and tells that stay in their pool, as most of C actors do: made, and put into a
 * mailbox; inline. Internal. */
#ifndef XO_OWN_H
#define XO_OWN_H

#include "libxo/cache.h"
#include "libxo/msg_impl.h"
#include "libxo/own_call.h"
#include "pool/mailbox.h"

#define XOI_OWN_CLEARED_FROM offsetof(xo_request_t, memory)
#define XOI_OWN_BYTES offsetof(xo_request_t, spec)

/* The memory of the next one, which will be written from beginning to end, comes into the
 * processor's cache meanwhile: hundreds of them do not fit its first level. */
static inline __attribute__((always_inline)) void xoi_own_fetch(const char *next)
{
    _Static_assert((XOI_OWN_BYTES + sizeof(xo_msg_t)) / XOI_CACHE_CLASS_BYTES == 5, "lines below");
    __builtin_prefetch(next, 1);
    __builtin_prefetch(next + XOI_CACHE_CLASS_BYTES, 1);
    __builtin_prefetch(next + 2 * XOI_CACHE_CLASS_BYTES, 1);
    __builtin_prefetch(next + 3 * XOI_CACHE_CLASS_BYTES, 1);
    __builtin_prefetch(next + 4 * XOI_CACHE_CLASS_BYTES, 1);
    __builtin_prefetch(next + 5 * XOI_CACHE_CLASS_BYTES, 1);
}

/* A call or tell of this pool for `actor`, with a method of the actor's. `header` is the message's,
 * but for who sends it and on whose behalf; its target_uid and method stay where they are, which is
 * for longer than the message is there. `body` was written by xoi_pack_arguments and has at most
 * XOI_INLINE_BODY_BYTES. NULL: ENOMEM.
 * It counts for what it takes: nobody else has to come to the same number. */
static inline __attribute__((always_inline)) xo_request_t *
xoi_request_own(xo_actor_t *actor, const struct xo_method *method, const xo_header_t *header,
                xo_slice_t sender_uid, xo_slice_t trace, xo_slice_t body)
{
    size_t memory = XOI_OWN_BYTES + sizeof(xo_msg_t) + sender_uid.size + trace.size + body.size;
    xo_request_t *request = xoi_cache_alloc(memory);
    if (!request)
        return NULL;
    xoi_own_fetch(xoi_cache_next(request));
    xo_msg_t *msg = (xo_msg_t *)(void *)((char *)request + XOI_OWN_BYTES);
    const char *args = xoi_msg_place(msg, header, sender_uid, trace, body);
    memset((char *)request + XOI_OWN_CLEARED_FROM, 0, XOI_OWN_BYTES - XOI_OWN_CLEARED_FROM);
    request->pool = actor->pool;
    request->memory = (uint16_t)memory;
    request->bytes = memory;
    request->msg = msg;
    request->method = method;
    request->parsed = true;
    request->args = xo_slice(args + 1, body.size - 2); /* of an array of two, the last empty */
    request->to.to_id = header->sender_id;
    return request;
}

/* Straight into the mailbox. A call has its place in the request (xoi_own_call). */
static inline __attribute__((always_inline)) void xoi_post(xo_actor_t *actor, xo_request_t *request,
                                                           bool is_call)
{
    xoi_own_message(actor->pool->endpoint, request->bytes);
    xoi_mailbox_add(actor, request);
    request->wants_answer = is_call;
    request->boxed = !is_call;
    if (!is_call)
        xoi_progress_box(&actor->pool->progress.page->boxed, 1);
    xoi_actor_wake(actor);
}

#endif
