/* request.c - the life of a request: made when a message arrives, kept in a mailbox, begun, ended.
 *
 * Each gives its credit back exactly once and, if its sender wants one, gets exactly one answer:
 * all ends go through close_request.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/cache.h"
#include "libxo/msg_impl.h"
#include "libxo/own_call.h"
#include "pool/mailbox.h"

/* ---- making and freeing ---- */

static uint64_t hash_of(const xoi_request_key_t *key)
{
    return xoi_hash_mix(key->sender_id, key->seq);
}

static bool has_key(const void *item, const void *key)
{
    xoi_request_key_t mine = xoi_request_key(item);
    const xoi_request_key_t *wanted = key;
    return mine.seq == wanted->seq && mine.sender_id == wanted->sender_id;
}

/* So that a cancel finds it. */
static void request_index(xo_request_t *request)
{
    xoi_request_key_t key = xoi_request_key(request);
    request->indexed = xoi_table_add(&request->pool->requests, hash_of(&key), request) == 0;
}

static void request_unindex(xo_request_t *request)
{
    xoi_request_key_t key = xoi_request_key(request);
    if (request->indexed)
        xoi_table_remove(&request->pool->requests, hash_of(&key), request);
    request->indexed = false;
}

xo_request_t *xoi_request_find(xo_pool_t *pool, const xo_header_t *header)
{
    xoi_request_key_t key = {header->sender_id, header->seq};
    return xoi_table_find(&pool->requests, hash_of(&key), has_key, &key);
}

/* Longer than anybody waits; what is left is far from an overflow. */
#define DEADLINE_MS_MAX ((uint64_t)INT64_MAX / XO_MS / 2)

static int64_t due(const xo_pool_t *pool, uint64_t deadline_ms)
{
    if (!deadline_ms || deadline_ms > DEADLINE_MS_MAX)
        return 0;
    return xo_loop_now(pool->loop) + (int64_t)deadline_ms * XO_MS;
}

static void request_fill(xo_request_t *request, xo_pool_t *pool, xo_link_t *from)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    request->pool = pool;
    request->bytes = xo_msg_bytes(request->msg);
    request->to = (xo_return_t){from, header->sender_id, header->seq};
    request->due_ns = due(pool, header->deadline_ms);
    request->wants_answer =
        header->seq && header->kind != XO_TELL && !(header->flags & XO_F_NO_ANSWER);
    if (request->wants_answer)
        request_index(request);
}

/* Takes *msg over. NULL: ENOMEM, *msg untouched. */
xo_request_t *xoi_request_create(xo_pool_t *pool, xo_link_t *from, xo_msg_t **msg)
{
    xo_request_t *request = xoi_cache_calloc(sizeof *request);
    if (!request)
        return NULL;
    request->msg = *msg;
    *msg = NULL;
    request->from = from ? xo_link_incref(from) : NULL;
    if (from)
        xo_link_incref(from); /* request->to.link */
    request_fill(request, pool, from);
    return request;
}

/* One of xoi_request_own's leaves the actor that its message points to. Takes it over. NULL:
 * ENOMEM, it is as it was. */
xo_request_t *xoi_request_apart(xo_request_t *own)
{
    xo_msg_t *msg = xo_msg_create(&own->msg->header, own->msg->body);
    xo_request_t *request = msg ? xoi_request_create(own->pool, NULL, &msg) : NULL;
    xo_msg_destroy(&msg);
    if (!request)
        return NULL;
    request->due_ns = own->due_ns;
    if (own->call)
        xoi_own_call_move(own->call, &request->call);
    xoi_cache_free(own, own->memory);
    return request;
}

static void free_parts(xo_request_t *request)
{
    request_unindex(request);
    xo_msg_destroy(&request->msg);
    xo_msg_destroy(&request->spec);
    free(request->no_spec);
    xo_link_decref(request->from);
    xo_link_decref(request->to.link);
}

void xoi_request_free(xo_request_t *request)
{
    if (xoi_is_own(request)) {
        xoi_cache_free(request, request->memory);
        return;
    }
    free_parts(request);
    xoi_cache_free(request, sizeof *request);
}

/* ---- ending ---- */

static bool is_error(const xo_msg_t *answer)
{
    return answer && xo_msg_header(answer)->kind == XO_ERROR;
}

static void send_answer(xo_pool_t *pool, xo_call_t *call, const xo_return_t *to, xo_msg_t **answer)
{
    if (call)
        xoi_own_call_answer(call, answer);
    else
        xo_endpoint_answer(pool->endpoint, to, answer);
    if (*answer)
        xo_msg_destroy(answer);
}

static void settle(xo_request_t *request, const xo_msg_t *answer)
{
    request->to.link = NULL;
    if (request->kept)
        xoi_keep_no_more(request);
    if (request->duplicate)
        xoi_duplicate_answered(request, answer);
    if (is_error(answer))
        xoi_behind_failed(request, answer);
    if (!request->paid)
        xo_endpoint_consumed(request->pool->endpoint, request->from, request->bytes);
}

/* Of one that is not the pool's own; apart, so that those have little to save and restore. */
static __attribute__((noinline)) void close_other(xo_request_t *request, xo_msg_t **answer,
                                                  xo_drop_t drop)
{
    xo_pool_t *pool = request->pool;
    xo_return_t to = request->to;
    xo_call_t *call = xoi_own_call_take(&request->call);
    bool wants_answer = request->wants_answer;
    xoi_confirmation_t *confirmation = request->confirmation;
    /* A destroy without an answer is our own, at the pool's stop: nobody's message is lost. */
    bool counts = xo_msg_header(request->msg)->kind != XO_DESTROY;
    if (!confirmation && !wants_answer && counts && is_error(*answer))
        xo_endpoint_drop(pool->endpoint, drop, request->msg);
    settle(request, *answer);
    xoi_request_free(request);
    if (confirmation)
        xoi_confirm_first(confirmation, &to, answer);
    else if (wants_answer)
        send_answer(pool, call, &to, answer);
    if (*answer)
        xo_msg_destroy(answer);
    xo_link_decref(to.link);
}

/* Its call was given up. */
static __attribute__((noinline)) void answer_nobody(xo_request_t *request, xo_msg_t **answer)
{
    xo_pool_t *pool = request->pool;
    xo_return_t to = request->to;
    xoi_cache_free(request, request->memory);
    send_answer(pool, NULL, &to, answer);
}

static inline void answer_own(xo_request_t *request, xo_msg_t **answer)
{
    xo_call_t *call = xoi_own_call_take(&request->call);
    if (!call) {
        answer_nobody(request, answer);
        return;
    }
    xoi_cache_free(request, request->memory);
    xoi_own_call_answer(call, answer);
    if (*answer)
        xo_msg_destroy(answer);
}

/* A tell that was answered all the same. */
static __attribute__((noinline)) void drop_answer(xo_request_t *request, xo_msg_t **answer,
                                                  xo_drop_t drop)
{
    if (is_error(*answer))
        xo_endpoint_drop(request->pool->endpoint, drop, request->msg);
    xo_msg_destroy(answer);
}

static inline void close_own(xo_request_t *request, xo_msg_t **answer, xo_drop_t drop)
{
    if (request->wants_answer) {
        answer_own(request, answer);
        return;
    }
    if (*answer)
        drop_answer(request, answer, drop);
    xoi_cache_free(request, request->memory);
}

/* The answer goes last: a caller in this pool hears of it at once, within this function. */
static void close_request(xo_request_t *request, xo_msg_t **answer, xo_drop_t drop)
{
    if (xoi_is_own(request))
        close_own(request, answer, drop);
    else
        close_other(request, answer, drop);
}

void xoi_request_close(xo_request_t *request, xo_msg_t **answer)
{
    close_request(request, answer, XO_DROP_ERROR);
}

void xoi_request_close_value(xo_request_t *request, xo_slice_t value)
{
    xo_msg_t *answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, value);
    xoi_request_close(request, &answer);
}

void xoi_request_reject(xo_request_t *request, xo_drop_t drop, const char *code, const char *reason,
                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xo_msg_t *answer = xoi_failure(request->pool, code, "no", reason, format, args);
    va_end(args);
    close_request(request, &answer, drop);
}

/* There is no such actor (any more); `why` may be NULL. */
void xoi_request_absent(xo_request_t *request, const char *why)
{
    char text[XOI_TEXT_BYTES];
    xo_pool_t *pool = request->pool;
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    if (!why)
        why = xoi_failed_why(pool, uid);
    if ((pool->stopping || pool->closing) && xoi_request_is_tell(request))
        xo_link_undelivered(request->from);
    if (pool->stopping || pool->closing)
        xoi_request_reject(request, XO_DROP_CLOSED, XO_CODE_SERVER_CLOSED, XO_WHY_POOL_STOPPING,
                           "the pool at %s is stopping", xo_pool_address(pool));
    else
        xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_ACTOR_NOT_EXIST, why,
                           "actor \"%s\" does not exist in the pool at %s%s%s", xoi_text(uid, text),
                           xo_pool_address(pool), why ? ": " : "", why ? why : "");
}

/* Its actor handles the next one. */
static inline void stop_running(xo_request_t *request, const xo_msg_t *answer)
{
    xo_actor_t *actor = request->actor;
    xo_pool_stats_t *stats = &actor->pool->stats;
    xoi_requests_remove(&actor->running, request);
    stats->running--;
    stats->handled++;
    stats->failed += is_error(answer);
}

static inline void let_next(xo_request_t *request)
{
    if (request->locked)
        request->actor->locked = false;
    xoi_actor_wake(request->actor);
}

/* Of one that is not the pool's own. */
static __attribute__((noinline)) void end_other(xo_request_t *request, xo_msg_t **answer)
{
    if (request->ended || (request->parent && request->parent->ended)) {
        xo_msg_destroy(answer);
        return;
    }
    if (request->parent) {
        request->part_ended(request, answer);
        return;
    }
    xo_actor_t *actor = request->actor;
    xo_kind_t kind = xo_msg_header(request->msg)->kind;
    xoi_actor_pin(actor);
    if (actor->anywhere)
        xoi_lease_check_answer(request, answer);
    stop_running(request, *answer);
    if (kind == XO_CREATE && !request->adopts)
        xoi_actor_created(actor, request, answer);
    else if (kind == XO_DESTROY)
        xoi_actor_destroyed(actor, request, answer);
    let_next(request);
    close_other(request, answer, XO_DROP_ERROR);
    xoi_actor_unpin(actor);
}

/* The host's end of a request. */
void xoi_request_end(xo_request_t *request, xo_msg_t **answer)
{
    if (!xoi_is_own(request) || request->ended) {
        end_other(request, answer);
        return;
    }
    xo_actor_t *actor = request->actor;
    xoi_actor_pin(actor);
    if (actor->anywhere)
        xoi_lease_check_answer(request, answer);
    stop_running(request, *answer);
    let_next(request);
    close_own(request, answer, XO_DROP_ERROR);
    xoi_actor_unpin(actor);
}

/* The pool ends while the host still holds the request: it is answered now and freed with the
 * pool. */
void xoi_request_force(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    xo_actor_t *actor = request->actor;
    xoi_requests_remove(&actor->running, request);
    if (request->kept)
        xoi_keep_no_more(request);
    DL_APPEND(pool->dead, request);
    pool->stats.running--;
    request->ended = true;
    request_unindex(request);
    if (!xoi_is_own(request) && request->duplicate)
        xoi_duplicate_answered(request, NULL);
    if (!request->paid)
        xo_endpoint_consumed(pool->endpoint, request->from, request->bytes);
    if (!request->wants_answer)
        return;
    xo_msg_t *answer = xoi_failure_of(pool, XO_CODE_SERVER_CLOSED, "maybe", "the pool ended",
                                      "the pool at %s ended", xo_pool_address(pool));
    send_answer(pool, xoi_own_call_take(&request->call), &request->to, &answer);
}

/* ---- beginning ---- */

static bool is_late(const xo_request_t *request)
{
    return request->due_ns && xo_loop_now(request->pool->loop) >= request->due_ns;
}

static __attribute__((noinline)) void reject_late(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    bool creates = xo_msg_header(request->msg)->kind == XO_CREATE && !request->adopts;
    xoi_request_reject(request, XO_DROP_DEADLINE, XO_CODE_DEADLINE, "deadline",
                       "the deadline passed before the actor's turn came");
    if (creates)
        xoi_actor_abort(actor);
}

/* What runs, for who looks from outside. */
static inline void show_as(const xo_request_t *request, const void *what, xo_slice_t name,
                           int64_t now_ns)
{
    const xo_actor_t *actor = request->actor;
    xoi_progress_enter(&request->pool->progress, actor, xo_slice(actor->uid, actor->uid_size), what,
                       name, now_ns);
}

static __attribute__((noinline)) void show(const xo_request_t *request, xo_slice_t name,
                                           int64_t now_ns)
{
    show_as(request, NULL, name, now_ns);
}

static void run_create(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    xo_pool_t *pool = request->pool;
    xoi_spec_take(request);
    actor->state = XOI_ACTOR_CREATING;
    actor->anywhere = xoi_spec_is_anywhere(request);
    const char *why = xoi_spec_missing(request);
    if (why) {
        xo_request_fail(request, XO_CODE_REFUSED, "it can %s: %s",
                        actor->anywhere ? "not move to another node" : "be in no group", why);
        return;
    }
    why = actor->anywhere ? xoi_lease_why(actor) : NULL;
    if (why) {
        xo_request_fail(request, XO_CODE_SERVER_CLOSED, "the pool at %s cannot create it: %s",
                        xo_pool_address(pool), why);
        return;
    }
    actor->anew = xoi_again(request).size > 0 ? request : NULL;
    actor->host_made = true;
    pool->ops->create(pool->host, actor, request);
}

static __attribute__((noinline)) void run_other(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    xo_pool_t *pool = request->pool;
    const xo_header_t *header = xo_msg_header(request->msg);
    switch (header->kind) {
    case XO_CREATE:
        show(request, xo_slice("create", 6), pool->turn_ns);
        if (request->adopts)
            xo_request_respond(request, xoi_reference(actor));
        else
            run_create(request);
        break;
    case XO_DESTROY:
        show(request, xo_slice("destroy", 7), pool->turn_ns);
        actor->state = XOI_ACTOR_DESTROYING;
        actor->hook_waits = false;
        pool->ops->destroy(pool->host, actor, request);
        break;
    default:
        show(request, header->method, pool->turn_ns);
        pool->ops->handle(pool->host, actor, request);
    }
}

static inline void run(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    if (!request->method) {
        run_other(request);
        return;
    }
    show_as(request, request->method, request->msg->header.method, pool->turn_ns);
    pool->ops->handle(pool->host, request->actor, request);
}

/* Its turn has come; it is out of the mailbox. */
void xoi_request_begin(xo_request_t *request)
{
    xo_actor_t *actor = request->actor;
    if (is_late(request)) {
        reject_late(request);
        return;
    }
    if (actor->anywhere && xoi_lease_rejects(request, actor))
        return;
    xo_pool_t *pool = request->pool;
    request->running = true;
    xoi_requests_add(&actor->running, request);
    pool->stats.running++;
    if (!actor->stateless && !request->express)
        request->locked = actor->locked = true;
    run(request);
    xoi_progress_leave(&pool->progress);
}

void xo_request_enter(const xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    bool lifecycle = xoi_is_lifecycle(request);
    show(request, lifecycle ? xo_slice_str(xo_kind_name(header->kind)) : header->method,
         xoi_coarse_ns());
}

void xo_pool_left(xo_pool_t *pool)
{
    xoi_progress_leave(&pool->progress);
}

xo_slice_t xoi_pack_scratch(xo_pool_t *pool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xo_buf_clear(&pool->scratch);
    xo_pack_vformat(&pool->scratch, format, args);
    va_end(args);
    return xo_buf_slice(&pool->scratch);
}
