/* mute.c - what links have brought for an actor, from its arrival until it has been handled.
 *
 * A link's credit is for what is on its way: while the pool has room, it goes back when a message
 * arrives, so that a slow actor does not take it from others. An actor that has what its mailbox
 * may hold asks the links that bring more to keep it, until it is down to half. What is under way
 * then, a window at most for each link, still comes.
 */
#include <stdlib.h>

#include "libxo/cache.h"
#include "pool/pool_impl.h"

/* What a request takes beside the bytes of its message, about. */
#define REQUEST_BYTES 512

/* A link that was asked to bring no more for an actor. */
typedef struct mute {
    xo_link_t *link; /* a reference */
    size_t messages; /* that came since */
    size_t bytes;
    UT_hash_handle hh;
} mute_t;

struct xoi_backlog {
    size_t messages;
    size_t bytes;
    mute_t *mutes; /* by link, in the order in which they were asked */
};

/* Is it at least 1/divisor of what an actor may have? */
static bool is_over(const xo_pool_t *pool, const xoi_backlog_t *backlog, unsigned divisor)
{
    return backlog->messages * divisor >= pool->mailbox_messages ||
           backlog->bytes >= pool->mailbox_bytes / divisor;
}

static void end(xo_actor_t *actor, mute_t *mute)
{
    HASH_DEL(actor->backlog->mutes, mute);
    xo_link_mute(mute->link, xo_actor_uid(actor), false);
    xo_link_decref(mute->link);
    free(mute);
}

/* Or they would gather. */
static void forget_closed_links(xo_actor_t *actor)
{
    mute_t *mute, *next;
    HASH_ITER(hh, actor->backlog->mutes, mute, next)
    if (!xo_link_up(mute->link))
        end(actor, mute);
}

/* NULL: no memory; its credit still bounds it. */
static mute_t *mute_of(xo_actor_t *actor, xo_link_t *link)
{
    mute_t *mute;
    HASH_FIND_PTR(actor->backlog->mutes, &link, mute);
    if (mute)
        return mute;
    forget_closed_links(actor);
    mute = calloc(1, sizeof *mute);
    if (!mute)
        return NULL;
    mute->link = link;
    HASH_ADD_PTR(actor->backlog->mutes, link, mute);
    if (!XOI_HASHED(hh, mute)) {
        free(mute);
        return NULL;
    }
    xo_link_incref(link);
    xo_link_mute(link, xo_actor_uid(actor), true);
    return mute;
}

/* Its link is muted. What a window can have had under way gets its credit back all the same; who
 * goes on beyond that does not. */
static bool was_under_way(const xo_request_t *request)
{
    const xo_pool_t *pool = request->pool;
    mute_t *mute = mute_of(request->actor, request->from);
    if (!mute || mute->messages >= pool->window_messages || mute->bytes >= 2 * pool->window_bytes)
        return false;
    mute->messages++;
    mute->bytes += request->bytes;
    return true;
}

/* What bypasses the lock mutes nobody: who only looks at a busy actor can go on looking. */
static bool is_welcome(const xo_request_t *request)
{
    const xo_pool_t *pool = request->pool;
    const xoi_backlog_t *backlog = request->actor->backlog;
    return !is_over(pool, backlog, 1) || (!request->express && was_under_way(request));
}

/* Apart: see settle in request.c. */
__attribute__((noinline)) void xoi_keep(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    xo_pool_t *pool = actor->pool;
    if (xoi_is_lifecycle(request)) /* each may make another actor, with a mailbox of its own */
        return;
    if (!actor->backlog)
        actor->backlog = xoi_cache_calloc(sizeof *actor->backlog);
    if (!actor->backlog)
        return;
    request->kept = true;
    actor->backlog->messages++;
    actor->backlog->bytes += request->bytes;
    pool->kept_bytes += request->bytes + REQUEST_BYTES;
    if (!xo_link_can_mute(request->from) || !is_welcome(request) || request->paid ||
        pool->kept_bytes > pool->bytes_max)
        return;
    request->paid = true;
    request->boxed = xoi_request_is_tell(request);
    if (request->boxed)
        xo_link_box(request->from);
    xo_endpoint_consumed(pool->endpoint, request->from, request->bytes);
}

size_t xoi_kept_messages(const xoi_backlog_t *backlog)
{
    return backlog->messages;
}

void xoi_unmute(xo_actor_t *actor)
{
    while (actor->backlog && actor->backlog->mutes)
        end(actor, actor->backlog->mutes);
}

/* One at a time is asked for more, so that they do not all send a window at once; all of them when
 * nothing is left that would end. */
void xoi_keep_no_more(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    xoi_backlog_t *backlog = actor->backlog;
    request->kept = false;
    actor->pool->kept_bytes -= request->bytes + REQUEST_BYTES;
    backlog->bytes -= request->bytes;
    if (--backlog->messages == 0) {
        xoi_unmute(actor);
        actor->backlog = NULL;
        xoi_cache_free(backlog, sizeof *backlog);
    } else if (backlog->mutes && !is_over(actor->pool, backlog, 2)) {
        end(actor, backlog->mutes);
    }
}
