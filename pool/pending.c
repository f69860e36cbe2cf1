/* pending.c - calls that methods of C actors made and that are not answered.
 */
#include "libxo/future.h"
#include "libxo/own_call.h"
#include "pool/host_impl.h"
#include "pool/mailbox.h"

static void on_answer(xo_future_t *future, void *arg)
{
    xoi_pending_t *pending = arg;
    xo_actor_t *actor = pending->actor;
    xo_pool_t *pool = actor->pool;
    DL_DELETE(xoi_c_actor(actor)->pending, pending);
    xoi_progress_enter(&pool->progress, actor, xo_actor_uid(actor), NULL, xo_slice(NULL, 0),
                       xo_loop_now(pool->loop));
    pending->done(future, pending->arg);
    xoi_progress_leave(&pool->progress);
}

xoi_pending_t *xoi_pending_create(const xo_request_t *request, bool own, xo_future_f done,
                                  void *arg)
{
    xo_endpoint_t *endpoint = request->pool->endpoint;
    size_t extra = sizeof(xoi_pending_t);
    xo_future_t *future =
        own ? xoi_own_future(endpoint, extra) : xoi_future_create_with(endpoint, extra);
    if (!future)
        return NULL;
    xoi_pending_t *pending = xoi_future_extra(future);
    pending->actor = request->actor;
    pending->key = xoi_request_key(request->parent ? request->parent : request);
    pending->future = future;
    pending->done = done;
    pending->arg = arg;
    pending->cancelled = false;
    DL_APPEND(xoi_c_actor(request->actor)->pending, pending);
    return pending;
}

void xoi_pending_await(xoi_pending_t *pending)
{
    xo_future_then(pending->future, on_answer, pending);
}

void xoi_pending_drop(xoi_pending_t *pending)
{
    DL_DELETE(xoi_c_actor(pending->actor)->pending, pending);
    xo_future_destroy(pending->future);
}

/* ---- the ends of requests and actors ---- */

static bool is_behalf(const xoi_pending_t *pending, const xoi_request_key_t *key)
{
    return pending->key.seq == key->seq && pending->key.sender_id == key->sender_id;
}

/* An answer may come within xo_future_cancel and change the list, so each round begins anew. */
void xoi_pending_cancel(xo_actor_t *actor, const xo_request_t *request)
{
    xoi_request_key_t key = xoi_request_key(request); /* the request may end within */
    xoi_pending_t *pending;
    do {
        DL_FOREACH(xoi_c_actor(actor)->pending, pending)
        if (!pending->cancelled && is_behalf(pending, &key))
            break;
        if (!pending)
            return;
        pending->cancelled = true;
        xo_future_cancel(pending->future);
    } while (xoi_c_actor(actor));
}

/* The actor goes: those who wait for answers hear that none will come. */
void xoi_pending_end(xo_actor_t *actor)
{
    while (xoi_c_actor(actor)->pending) {
        xoi_pending_t *pending = xoi_c_actor(actor)->pending;
        xo_future_t *future = pending->future;
        on_answer(future, pending);
    }
    xoi_rooms_end(actor);
}
