/* mailbox.h - what is asked of a request, and of an actor's mailbox, at each message; inline.
 * Internal. */
#ifndef XO_MAILBOX_H
#define XO_MAILBOX_H

#include "pool/pool_impl.h"

/* Who sent it, and which one it is. */
static inline xoi_request_key_t xoi_request_key(const xo_request_t *request)
{
    return (xoi_request_key_t){request->to.to_id, request->to.seq};
}

/* One of xoi_request_own's, as most are: it has nothing but its memory, and its call. */
static inline bool xoi_is_own(const xo_request_t *request)
{
    return request->memory > 0;
}

/* Something may have to be done for it: mostly it is known that there is. */
static inline void xoi_actor_wake(xo_actor_t *actor)
{
    if (!actor->ready && !actor->pool->closing)
        xoi_actor_wake_up(actor);
}

/* Messages that wait and that no link has brought. */
static inline size_t xoi_near_messages(const xo_actor_t *actor)
{
    size_t kept = actor->backlog ? xoi_kept_messages(actor->backlog) : 0;
    return actor->waiting_messages > kept ? actor->waiting_messages - kept : 0;
}

/* Links are asked by themselves to bring no more: see mute.c. */
static inline bool xoi_is_full(const xo_actor_t *actor, size_t divisor)
{
    const xo_pool_t *pool = actor->pool;
    return xoi_near_messages(actor) * divisor >= pool->near_messages ||
           actor->waiting_messages * divisor >= pool->mailbox_messages ||
           actor->waiting_bytes * divisor >= pool->mailbox_bytes;
}

static inline bool xoi_has_room(const xo_actor_t *actor)
{
    return !actor->room_waiters && !xoi_is_full(actor, 1);
}

#endif
