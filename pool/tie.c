/* tie.c - what an actor of this pool has with another one, anywhere: a monitor, or its side of a
 * link (link.c). Both are a watch (watch.c) of the other. When it is answered the tie goes, and its
 * owner hears of that: so it hears of it once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

/* How soon that is tried again for which there was no memory. */
#define AGAIN_NS (100 * XO_MS)

/* ---- who is tied to whom ---- */

uint64_t xoi_tie_hash(const xo_actor_t *actor, xo_slice_t uid)
{
    return xoi_hash_mix((uintptr_t)actor, xoi_hash_bytes(uid.data, uid.size));
}

static xoi_tie_t *alloc_tie(xo_actor_t *actor, const xoi_other_t *other)
{
    size_t address = strlen(other->address) + 1;
    xoi_tie_t *tie = calloc(1, sizeof *tie + address + other->uid.size + 1);
    if (!tie)
        return NULL;
    memcpy(tie->address, other->address, address);
    memcpy(tie->address + address, other->uid.data, other->uid.size);
    tie->uid = xo_slice(tie->address + address, other->uid.size);
    tie->actor = actor;
    tie->peer = other->peer;
    tie->incarnation = other->incarnation;
    DL_APPEND(actor->ties, tie);
    return tie;
}

xoi_tie_t *xoi_tie_create(xo_actor_t *actor, const xoi_other_t *other)
{
    xoi_tie_t *tie = alloc_tie(actor, other);
    if (!tie || xoi_table_add(&actor->pool->links, xoi_tie_hash(actor, tie->uid), tie) == 0)
        return tie;
    DL_DELETE(actor->ties, tie);
    free(tie);
    return NULL;
}

static void abandon(xoi_tie_t *tie)
{
    xo_call_t *call = tie->call;
    tie->call = NULL;
    if (call)
        xo_call_abandon(call);
}

void xoi_tie_free(xoi_tie_t *tie)
{
    xo_actor_t *actor = tie->actor;
    abandon(tie);
    if (!tie->told)
        xoi_table_remove(&actor->pool->links, xoi_tie_hash(actor, tie->uid), tie);
    DL_DELETE(actor->ties, tie);
    free(tie);
}

/* ---- reaching the other ---- */

int xoi_tie_way(const xoi_tie_t *tie, xo_link_t **link, xo_error_t *err)
{
    const xo_pool_t *pool = tie->actor->pool;
    *link = NULL;
    if (tie->peer == pool->id || xo_endpoint_is_self(pool->endpoint, tie->address))
        return 0;
    if (tie->peer)
        *link = xo_endpoint_link_by_id(pool->endpoint, tie->peer);
    if (!*link)
        *link = xo_endpoint_link(pool->endpoint, tie->address, err);
    return *link ? 0 : -1;
}

xo_msg_t *xoi_tie_message(const xoi_tie_t *tie, xo_kind_t kind, const char *method)
{
    xo_actor_t *actor = tie->actor;
    xo_header_t header = {.kind = kind,
                          .target_uid = tie->uid,
                          .incarnation = tie->incarnation,
                          .sender_uid = xo_actor_uid(actor),
                          .method = xo_slice_str(method)};
    return xo_msg_create(&header,
                         xoi_pack_scratch(actor->pool, "[[s B U] {}]", xo_pool_address(actor->pool),
                                          xo_actor_uid(actor), actor->incarnation));
}

int xoi_tie_call(xoi_tie_t *tie, const char *method, xo_answer_f answer, xo_error_t *err)
{
    xo_link_t *link;
    if (xoi_tie_way(tie, &link, err) < 0)
        return -1;
    xo_msg_t *msg = xoi_tie_message(tie, XO_CALL, method);
    if (!msg)
        return xo_error_set(err, errno, "no call can be made of that: %m");
    tie->call = xo_endpoint_call(tie->actor->pool->endpoint, link, &msg, XO_SEND_QUEUE, 0, answer,
                                 tie, err);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    return tie->call ? 0 : -1;
}

/* ---- the other has ended ---- */

bool xoi_traps(xo_actor_t *actor)
{
    const xo_pool_t *pool = actor->pool;
    return actor->state != XOI_ACTOR_NEW && pool->ops->traps && pool->ops->traps(pool->host, actor);
}

static int post_exit(const xoi_tie_t *tie, const char *reason)
{
    xo_actor_t *actor = tie->actor;
    xo_header_t header = {
        .kind = XO_TELL, .target_uid = xo_actor_uid(actor), .method = xo_slice_str(XO_METHOD_EXIT)};
    xo_msg_t *msg = xo_msg_create(
        &header, xoi_pack_scratch(actor->pool, "[[s B s] {}]", tie->address, tie->uid, reason));
    xo_request_t *request = msg ? xoi_request_create(actor->pool, NULL, &msg) : NULL;
    xo_msg_destroy(&msg);
    if (request)
        xoi_mailbox_put(actor, request);
    return request ? 0 : -1;
}

static int post_end(const xoi_tie_t *tie, const char *reason)
{
    char uid[XOI_TEXT_BYTES];
    char why[XO_ERROR_TEXT_BYTES];
    snprintf(why, sizeof why, "\"%s\" at %s, to which it was linked: %s", xoi_text(tie->uid, uid),
             tie->address, reason);
    xoi_text_trim(why);
    return xoi_post_destroy(tie->actor, why);
}

/* Where there is no memory for it the other is watched again, which is told again that it ended. */
void xoi_tie_fire(xoi_tie_t *tie, const char *reason)
{
    xo_actor_t *actor = tie->actor;
    if ((xoi_traps(actor) ? post_exit(tie, reason) : post_end(tie, reason)) == 0)
        xoi_tie_free(tie);
    else
        xo_timer_start(&actor->pool->tie_again, AGAIN_NS);
}

static void tell(xoi_tie_t *tie, const char *reason)
{
    xo_actor_t *actor = tie->actor;
    xo_pool_t *pool = actor->pool;
    void (*told)(const char *, void *) = tie->told;
    void *arg = tie->arg;
    xoi_tie_free(tie);
    xoi_progress_enter(&pool->progress, actor, xo_actor_uid(actor), NULL, xo_slice(NULL, 0),
                       xo_loop_now(pool->loop));
    told(reason, arg);
    xoi_progress_leave(&pool->progress);
}

static void hear(xoi_tie_t *tie, const char *reason)
{
    if (tie->told)
        tell(tie, reason);
    else
        xoi_tie_fire(tie, reason);
}

/* The other's pool had no memory to watch it, which says nothing of the other. */
static bool lacked_memory(const xo_msg_t *answer)
{
    xo_failure_t failure;
    return answer && xo_msg_header(answer)->kind == XO_ERROR &&
           xo_failure_read(xo_msg_body(answer), &failure) == 0 &&
           xo_slice_eq_str(failure.code, XO_CODE_REFUSED) &&
           xo_slice_eq_str(failure.reason, XOI_REASON_MEMORY);
}

static void on_ended(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    char reason[XO_ERROR_TEXT_BYTES];
    xoi_tie_t *tie = arg;
    tie->call = NULL;
    if (tie->actor->pool->closing)
        xoi_tie_free(tie);
    else if (lacked_memory(*answer))
        xo_timer_start(&tie->actor->pool->tie_again, AGAIN_NS);
    else
        hear(tie, xo_answer_reason(*answer, reason));
}

/* An actor that is not made yet cannot be told: its links are watched once it is. */
void xoi_tie_watch(xoi_tie_t *tie)
{
    xo_error_t err;
    if (tie->actor->state == XOI_ACTOR_NEW ||
        xoi_tie_call(tie, XO_METHOD_WATCH, on_ended, &err) == 0)
        return;
    if (err.errnum != EINVAL)
        xo_timer_start(&tie->actor->pool->tie_again, AGAIN_NS);
    else
        hear(tie, err.text);
}

void xoi_ties_begin(xo_actor_t *actor)
{
    xoi_tie_t *tie;
    xoi_tie_t *next;
    DL_FOREACH_SAFE(actor->ties, tie, next)
    if (!tie->call && actor->state != XOI_ACTOR_GONE)
        xoi_tie_watch(tie);
}

static void begin_again(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xo_actor_t *actor;
    xo_pool_t *pool = arg;
    DL_FOREACH2(pool->actors, actor, newer)
    xoi_ties_begin(actor);
}

void xoi_ties_init(xo_pool_t *pool)
{
    xo_timer_init(&pool->tie_again, pool->loop, begin_again, pool);
}

/* ---- monitors ---- */

int xoi_other_check(const xoi_other_t *other, xo_slice_t address, xo_error_t *err)
{
    if (address.size >= XO_ADDRESS_BYTES)
        return xo_error_set(err, EINVAL, "an address of %zu bytes is too long", address.size);
    if (other->uid.size - 1 >= XO_UID_BYTES_MAX)
        return xo_error_set(err, EINVAL, "a uid has 1 to %d bytes, not %zu", XO_UID_BYTES_MAX,
                            other->uid.size);
    return 0;
}

xo_monitor_t *xo_actor_monitor(xo_actor_t *actor, const char *address, xo_slice_t uid,
                               void (*told)(const char *reason, void *arg), void *arg,
                               xo_error_t *err)
{
    xoi_other_t other = {.actor = actor, .uid = uid};
    xo_slice_t place = xo_slice_str(address ? address : xo_pool_address(actor->pool));
    if (xoi_other_check(&other, place, err) < 0)
        return NULL;
    memcpy(other.address, place.data, place.size);
    if (actor->state == XOI_ACTOR_GONE)
        return xo_error_null(err, ENOENT, "the actor that would be told has ended");
    xoi_tie_t *tie = alloc_tie(actor, &other);
    if (!tie)
        return xo_error_null(err, ENOMEM, "out of memory for a monitor");
    tie->told = told;
    tie->arg = arg;
    if (xoi_tie_call(tie, XO_METHOD_WATCH, on_ended, err) == 0)
        return tie;
    int saved = errno;
    xoi_tie_free(tie);
    errno = saved;
    return NULL;
}

void xo_monitor_destroy(xo_monitor_t *monitor)
{
    int saved = errno;
    if (monitor)
        xoi_tie_free(monitor);
    errno = saved;
}

/* ---- the actor's own end, which the others hear of by their watches ---- */

void xoi_ties_end(xo_actor_t *actor, const char *why)
{
    xoi_tie_t *tie;
    xoi_tie_t *next;
    xo_request_t *askers = NULL;
    DL_FOREACH_SAFE(actor->ties, tie, next)
    {
        if (tie->asker) {
            tie->asker->actor = NULL; /* no longer to be cancelled */
            DL_APPEND(askers, tie->asker);
        }
        if (tie->told)
            abandon(tie);
        else
            xoi_tie_free(tie);
    }
    while (askers) {
        xo_request_t *request = askers;
        DL_DELETE(askers, request);
        xoi_request_absent(request, why);
    }
}

void xoi_ties_free(xo_actor_t *actor)
{
    while (actor->ties)
        xoi_tie_free(actor->ties);
}
