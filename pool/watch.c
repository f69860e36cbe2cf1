/* watch.c - who wants to know when an actor ends: calls of its method XO_METHOD_WATCH, which the
 * pool answers, whatever the actor's language, with the reason, when the actor is gone.
 *
 * A watcher costs no credit while it waits: it may wait for days.
 */
#include <string.h>

#include "pool/pool_impl.h"

bool xo_pool_answers(xo_slice_t method)
{
    static const char *const own[] = {XO_METHOD_WATCH, XO_METHOD_LINK, XO_METHOD_UNLINK,
                                      XO_METHOD_EXIT};
    if (method.size < 2 || memcmp(method.data, "__", 2) != 0)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (xo_slice_eq_str(method, own[i]))
            return true;
    return false;
}

void xoi_request_aside(xo_request_t *request)
{
    xo_endpoint_consumed(request->pool->endpoint, request->from, request->bytes);
    xo_link_decref(request->from);
    request->from = NULL;
}

void xoi_watch(xo_actor_t *actor, xo_request_t *request)
{
    request->actor = actor;
    request->watches = true;
    DL_APPEND(actor->watchers, request);
    xoi_request_aside(request);
}

static void take_out(xo_request_t *request)
{
    DL_DELETE(request->actor->watchers, request);
    request->watches = false;
}

void xoi_watch_cancel(xo_request_t *request)
{
    take_out(request);
    xoi_request_reject(request, XO_DROP_CLOSED, XO_CODE_CANCELLED, "cancelled",
                       "nobody watches any more");
}

/* Those who came over a link that is gone get no answer. */
void xoi_watch_unlinked(xo_pool_t *pool, const xo_link_t *link)
{
    xo_actor_t *actor;
    xo_request_t *request, *next;
    DL_FOREACH2(pool->actors, actor, newer)
    DL_FOREACH_SAFE(actor->watchers, request, next)
    if (request->to.link == link)
        xoi_watch_cancel(request);
}

void xoi_watchers_tell(xo_actor_t *actor, const char *reason)
{
    xo_pool_t *pool = actor->pool;
    while (actor->watchers) {
        xo_request_t *request = actor->watchers;
        take_out(request);
        if (pool->closing)
            xoi_request_absent(request, reason);
        else
            xoi_request_close_value(request, xoi_pack_scratch(pool, "s", reason));
    }
}

void xoi_watchers_hold(xo_actor_t *actor)
{
    while (actor->watchers) {
        xo_request_t *request = actor->watchers;
        take_out(request);
        if (!xoi_hold(request))
            xoi_request_absent(request, NULL);
    }
}
