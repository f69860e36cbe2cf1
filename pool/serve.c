/* serve.c - where an incoming message goes: into a mailbox, or answered here. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "pool/mailbox.h"

static void reject_exists(xo_request_t *request, const xo_actor_t *actor)
{
    char text[XOI_TEXT_BYTES];
    xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_ACTOR_EXISTS, NULL,
                       "actor \"%s\" exists already in the pool at %s",
                       xoi_text(xo_actor_uid(actor), text), xo_pool_address(actor->pool));
}

static void reject_memory(xo_request_t *request)
{
    xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_REFUSED, "out of memory",
                       "the pool at %s is out of memory", xo_pool_address(request->pool));
}

static void reject_drained(xo_request_t *request)
{
    xoi_request_reject(request, XO_DROP_CLOSED, XO_CODE_SERVER_CLOSED, "the node is being drained",
                       "the pool at %s takes no new actors: its node is being drained",
                       xo_pool_address(request->pool));
}

/* A uid that this pool does not have yet, into text[17]. */
static xo_slice_t draw_uid(xo_pool_t *pool, char *text)
{
    xo_slice_t uid;
    do {
        snprintf(text, 17, "%016llx", (unsigned long long)xo_random_id());
        uid = xo_slice_str(text);
    } while (xo_pool_find(pool, uid));
    return uid;
}

/* Others find it by its name when it has moved. */
static bool lacks_name(const xo_request_t *request)
{
    const xo_msg_t *msg = request->msg;
    return !xo_msg_payload(msg) && !xo_uid_is_name(xo_msg_header(msg)->target_uid) &&
           xo_create_is_anywhere(xo_msg_body(msg));
}

static void reject_nameless(xo_request_t *request)
{
    char text[XOI_TEXT_BYTES];
    xoi_request_reject(request, XO_DROP_ERROR, XO_CODE_REFUSED, NULL,
                       "an actor with the placement 'any' needs a name, a uid that begins with "
                       "\"%s\", not \"%s\"",
                       XO_NAME_PREFIX, xoi_text(xo_msg_header(request->msg)->target_uid, text));
}

static void create_new(xo_request_t *request, xo_slice_t uid)
{
    xo_pool_t *pool = request->pool;
    uint64_t before = xoi_again(request).size ? xo_msg_header(request->msg)->incarnation : 0;
    if (before > pool->last_incarnation) /* of another pool, which it was in */
        pool->last_incarnation = before;
    xo_actor_t *actor = xoi_actor_create(pool, uid, xo_msg_header(request->msg)->method);
    if (!actor) {
        xoi_announce_none(pool, uid);
        reject_memory(request);
        return;
    }
    xoi_mailbox_put(actor, request);
    xoi_held_release(pool, xo_actor_uid(actor));
}

static void create(xo_request_t *request)
{
    char drawn[17];
    xo_pool_t *pool = request->pool;
    const xo_header_t *header = xo_msg_header(request->msg);
    xo_slice_t uid = header->target_uid.size ? header->target_uid : draw_uid(pool, drawn);
    xo_actor_t *actor = xo_pool_find(pool, uid);
    if (pool->stopping) {
        xoi_request_absent(request, NULL);
    } else if (actor && xoi_adopts(request)) {
        request->adopts = true;
        xoi_mailbox_put(actor, request);
    } else if (actor) {
        reject_exists(request, actor);
    } else if (pool->drained && !xoi_again(request).size) {
        reject_drained(request);
    } else if (lacks_name(request)) {
        reject_nameless(request);
    } else if (xoi_needs_name(request)) {
        xoi_name_take(request);
    } else {
        create_new(request, uid);
    }
}

void xoi_create_named(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    if (!pool->stopping) {
        create_new(request, uid);
        return;
    }
    xoi_announce_none(pool, uid);
    xoi_request_absent(request, NULL);
}

static void reject_stale(xo_request_t *request, const xo_actor_t *actor)
{
    char text[XOI_TEXT_BYTES];
    xoi_request_reject(request, XO_DROP_STALE, XO_CODE_ACTOR_NOT_EXIST, "stale incarnation",
                       "actor \"%s\" in the pool at %s was created again since",
                       xoi_text(xo_actor_uid(actor), text), xo_pool_address(actor->pool));
}

static bool is_stale(const xo_header_t *header, const xo_actor_t *actor)
{
    return header->incarnation && header->incarnation != actor->incarnation;
}

/* In its pre_destroy it would wait for itself. */
static bool ends_itself_twice(const xo_request_t *request, const xo_actor_t *actor)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    return header->kind == XO_DESTROY && actor->state == XOI_ACTOR_DESTROYING && !request->from &&
           xo_slice_eq(header->sender_uid, xo_actor_uid(actor));
}

static void reject_own(xo_request_t *request)
{
    char text[XOI_TEXT_BYTES];
    const xo_header_t *header = xo_msg_header(request->msg);
    xoi_request_reject(request, XO_DROP_ERROR, XO_CODE_REFUSED, NULL,
                       "a %s of %s: only pools send that", xo_kind_name(header->kind),
                       xoi_text(header->method, text));
}

/* Of the methods that the pool answers. */
static void serve_own(xo_actor_t *actor, xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    bool call = header->kind == XO_CALL;
    if (call && xo_slice_eq_str(header->method, XO_METHOD_WATCH))
        xoi_watch(actor, request);
    else if (call && xo_slice_eq_str(header->method, XO_METHOD_LINK))
        xoi_tie_link(actor, request);
    else if ((call || header->kind == XO_TELL) && xo_slice_eq_str(header->method, XO_METHOD_UNLINK))
        xoi_tie_unlink(actor, request);
    else
        reject_own(request);
}

/* The pool ends when what had come has been handled. Its own actors may need one another for that.
 */
static bool is_too_late(const xo_request_t *request)
{
    return request->pool->stopping && request->from &&
           xo_msg_header(request->msg)->kind != XO_DESTROY;
}

/* A message for an actor, destroy included. */
static void deliver(xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    xo_actor_t *actor = xo_pool_find(request->pool, header->target_uid);
    if (is_too_late(request))
        xoi_request_absent(request, NULL);
    else if (!actor && !xoi_hold(request))
        xoi_request_absent(request, NULL);
    else if (!actor)
        return;
    else if (is_stale(header, actor))
        reject_stale(request, actor);
    else if (actor->anywhere && xoi_lease_rejects(request, actor))
        return;
    else if (ends_itself_twice(request, actor))
        xoi_request_absent(request, "it is being destroyed");
    else if (header->kind != XO_DESTROY && xo_pool_answers(header->method))
        serve_own(actor, request);
    else
        xoi_mailbox_put(actor, request);
}

/* ref and has */
static void identify(xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    xo_actor_t *actor = xo_pool_find(request->pool, header->target_uid);
    if (!actor && !xoi_asked_by_broker(request) && xoi_hold(request))
        return;
    if (!actor || is_stale(header, actor))
        xoi_lookup(request);
    else if (header->kind == XO_HAS)
        xoi_request_close_value(request, xoi_pack_scratch(request->pool, "?", 1));
    else
        xoi_request_close_value(request, xoi_reference(actor));
}

/* The pool's own method XO_METHOD_LETTERS. */
static void tell_letters(xo_request_t *request)
{
    xo_error_t err;
    unsigned max;
    bool payload;
    xo_buf_t letters = XO_BUF_INIT;
    if (xo_unpack(xo_msg_body(request->msg), &err, "[[u ?] _]", &max, &payload) < 0) {
        xoi_request_reject(request, XO_DROP_ERROR, XO_CODE_REFUSED, NULL, "%s: %s",
                           XO_METHOD_LETTERS, err.text);
        return;
    }
    xo_endpoint_letters(request->pool->endpoint, max, payload, &letters);
    if (xo_buf_ok(&letters) == 0)
        xoi_request_close_value(request, xo_buf_slice(&letters));
    else
        reject_memory(request);
    xo_buf_free(&letters);
}

/* A message for the pool itself. */
static void serve_self(xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    if (header->kind == XO_CALL && xo_slice_eq_str(header->method, XO_METHOD_LETTERS)) {
        tell_letters(request);
        return;
    }
    if (header->kind == XO_HAS && xoi_asked_by_broker(request))
        xoi_all_requested(request->pool);
    if (header->kind == XO_HAS)
        xoi_barrier(request);
    else
        xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_REFUSED, NULL,
                           "%s without a uid: the pool at %s has no such method of its own",
                           xo_kind_name(header->kind), xo_pool_address(request->pool));
}

void xoi_request_route(xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    if (header->kind == XO_CREATE)
        create(request);
    else if (!header->target_uid.size)
        serve_self(request);
    else if (header->kind == XO_REF || header->kind == XO_HAS)
        identify(request);
    else
        deliver(request);
}

static void cancel_waiting(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    bool creates = xo_msg_header(request->msg)->kind == XO_CREATE && !request->adopts;
    xoi_mailbox_remove(actor, request);
    if (creates && xoi_again(request).size)
        xoi_failed_unbegun(actor->pool, xo_actor_uid(actor));
    xoi_request_reject(request, XO_DROP_CLOSED, XO_CODE_CANCELLED, "cancelled",
                       "cancelled while it waited for the actor");
    if (creates)
        xoi_actor_abort(actor);
}

static void cancel_known(xo_pool_t *pool, xo_request_t *request)
{
    if (request->watches) {
        xoi_watch_cancel(request);
        return;
    }
    if (request->links) {
        xoi_tie_cancel(request);
        return;
    }
    if (!request->running) {
        cancel_waiting(request);
        return;
    }
    xo_actor_t *actor = request->actor;
    xoi_actor_pin(actor);
    request->cancelled = true;
    if (pool->ops->cancel)
        pool->ops->cancel(pool->host, actor, request);
    xoi_actor_unpin(actor);
}

static void cancel_any(xo_pool_t *pool, xo_request_t *request)
{
    if (!xoi_is_own(request) && request->held)
        xoi_held_cancel(request);
    else if (request->actor)
        cancel_known(pool, request);
}

/* Only over the link on which the answer is waited for. */
static void cancel(xo_pool_t *pool, const xo_link_t *from, const xo_header_t *header)
{
    xo_request_t *request = xoi_request_find(pool, header);
    if (request && request->to.link == from)
        cancel_any(pool, request);
}

void xoi_own_cancel(xo_call_t **place)
{
    xo_request_t *request = (xo_request_t *)((char *)place - offsetof(xo_request_t, call));
    if (!request->pool->closing)
        cancel_any(request->pool, request);
}

/* No memory for the request object. */
static void refuse_bare(xo_pool_t *pool, xo_link_t *from, const xo_msg_t *msg)
{
    const xo_header_t *header = xo_msg_header(msg);
    xo_return_t to = xo_return_of(from, msg);
    xo_endpoint_consumed(pool->endpoint, from, xo_msg_bytes(msg));
    if (!header->seq || header->kind == XO_TELL || (header->flags & XO_F_NO_ANSWER)) {
        xo_endpoint_drop(pool->endpoint, XO_DROP_ERROR, msg);
        return;
    }
    xo_msg_t *answer = xo_failure_msg(header->seq, XO_CODE_REFUSED, "no", XOI_REASON_MEMORY,
                                      "the pool at %s is out of memory", xo_pool_address(pool));
    xo_endpoint_answer(pool->endpoint, &to, &answer);
}

/* The endpoint's request operation. */
void xoi_serve(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)endpoint;
    xo_pool_t *pool = arg;
    const xo_header_t *header = xo_msg_header(*msg);
    if (header->kind == XO_CANCEL) {
        if (!pool->closing)
            cancel(pool, from, header);
        xo_msg_destroy(msg);
        return;
    }
    bool idempotent = from && (header->flags & XO_F_IDEMPOTENT);
    xo_request_t *request = xoi_request_create(pool, from, msg);
    if (!request)
        refuse_bare(pool, from, *msg);
    else if (pool->closing)
        xoi_request_absent(request, NULL);
    else if (!xoi_behind_rejects(request) &&
             (!idempotent || !request->wants_answer || !xoi_duplicate_check(request)))
        xoi_request_route(request);
    xo_msg_destroy(msg);
}
