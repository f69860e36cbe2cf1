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

/* Lists of them, as utlist.h has them, less what that checks again at each step. */
static inline void xoi_requests_add(xo_request_t **list, xo_request_t *request)
{
    xo_request_t *first = *list;
    request->next = NULL;
    if (first) {
        request->prev = first->prev;
        first->prev->next = request;
        first->prev = request;
    } else {
        request->prev = request;
        *list = request;
    }
}

static inline void xoi_requests_remove(xo_request_t **list, xo_request_t *request)
{
    xo_request_t *next = request->next;
    if (request == *list) {
        *list = next;
        if (next)
            next->prev = request->prev;
    } else {
        request->prev->next = next;
        (next ? next : *list)->prev = request->prev;
    }
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

/* Does it not wait for the lock? */
static inline void xoi_mailbox_insert(xo_actor_t *actor, xo_request_t *request)
{
    bool known = request->method && actor->state == XOI_ACTOR_RUNNING;
    request->express = known ? request->no_lock && !actor->stateless : xoi_bypasses(actor, request);
    xoi_requests_add(request->express ? &actor->express : &actor->mailbox, request);
}

/* All of xoi_mailbox_put but to tell those who are to know. */
static inline void xoi_mailbox_add(xo_actor_t *actor, xo_request_t *request)
{
    xo_pool_stats_t *stats = &actor->pool->stats;
    request->actor = actor;
    request->arrival = actor->arrivals++;
    xoi_mailbox_insert(actor, request);
    actor->waiting_messages++;
    actor->waiting_bytes += request->bytes;
    stats->waiting_messages++;
    stats->waiting_bytes += request->bytes;
}

#endif
