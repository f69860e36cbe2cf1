/* turn.c - mailboxes, the actor's lock, and fair turns.
 *
 * Actors that have something to do stand in a queue, pool->ready. The one at its head handles at
 * most `batch` messages and goes to the end if it has more; a pass of the loop ends after a bounded
 * number of messages and a bounded time, in the middle of a turn too, which then goes on in the
 * next pass. This is the scheme of Pony's scheduler (ponyc, src/libponyrt/actor/actor.c), for one
 * thread.
 */
#include <errno.h>
#include <time.h>

#include "libxo/cache.h"
#include "pool/mailbox.h"

/* ---- mailboxes ---- */

__attribute__((noinline)) bool xoi_bypasses(const xo_actor_t *actor, const xo_request_t *request)
{
    const xo_host_ops_t *ops = actor->pool->ops;
    const xo_header_t *header = xo_msg_header(request->msg);
    bool made = actor->state == XOI_ACTOR_RUNNING || actor->state == XOI_ACTOR_DESTROYING ||
                actor->hook_waits;
    if (!made || header->kind == XO_CREATE)
        return false;
    if (header->kind == XO_DESTROY)
        return !request->from && xo_slice_eq(header->sender_uid, xo_actor_uid(actor));
    if (actor->stateless)
        return false;
    if (request->method)
        return request->no_lock;
    return ops->bypass && ops->bypass(actor->pool->host, (xo_actor_t *)actor, header->method);
}

void xoi_mailbox_put(xo_actor_t *actor, xo_request_t *request)
{
    xoi_mailbox_add(actor, request);
    if (request->from)
        xoi_keep(request);
    else if ((request->boxed = xoi_request_is_tell(request)))
        xoi_progress_box(&actor->pool->progress.page->boxed, 1);
    xoi_actor_wake(actor);
}

void xoi_room_waiters_call(xo_actor_t *actor)
{
    xoi_turn_waiter_t *waiters = actor->room_waiters;
    actor->room_waiters = NULL; /* who does not find enough room waits anew, behind the others */
    while (waiters && (actor->state == XOI_ACTOR_GONE || !xoi_is_full(actor, 1))) {
        xoi_turn_waiter_t *waiter = waiters;
        DL_DELETE(waiters, waiter);
        waiter->call(actor, waiter->arg);
        xoi_cache_free(waiter, sizeof *waiter);
    }
    DL_CONCAT(waiters, actor->room_waiters);
    actor->room_waiters = waiters;
}

static inline void unbox(xo_request_t *request)
{
    request->boxed = false;
    if (request->from)
        xo_link_unbox(request->from);
    else
        xoi_progress_box(&request->pool->progress.page->boxed, -1);
}

static inline __attribute__((always_inline)) void take_out(xo_actor_t *actor, xo_request_t *request)
{
    xo_pool_stats_t *stats = &actor->pool->stats;
    if (request->boxed)
        unbox(request);
    xoi_requests_remove(request->express ? &actor->express : &actor->mailbox, request);
    actor->waiting_messages--;
    actor->waiting_bytes -= request->bytes;
    stats->waiting_messages--;
    stats->waiting_bytes -= request->bytes;
    if (actor->room_waiters && actor->state != XOI_ACTOR_GONE && !xoi_is_full(actor, 2))
        xoi_room_waiters_call(actor);
}

void xoi_mailbox_remove(xo_actor_t *actor, xo_request_t *request)
{
    take_out(actor, request);
}

/* The actor has been made: only now can the host tell which methods bypass the lock. */
void xoi_mailbox_sort(xo_actor_t *actor)
{
    xo_request_t *queue = actor->mailbox;
    actor->mailbox = NULL;
    while (queue) {
        xo_request_t *request = queue;
        xoi_requests_remove(&queue, request);
        xoi_mailbox_insert(actor, request);
    }
}

void xoi_hook_waits(xo_actor_t *actor)
{
    actor->hook_waits = true;
    xoi_mailbox_sort(actor);
}

bool xoi_is_lifecycle(const xo_request_t *request)
{
    xo_kind_t kind = xo_msg_header(request->msg)->kind;
    return kind == XO_CREATE || kind == XO_DESTROY;
}

bool xoi_request_is_tell(const xo_request_t *request)
{
    return !request->wants_answer && !xoi_is_lifecycle(request);
}

/* Who creates or destroys the actor waits for its hook to end, but it may end itself in its
 * post_create. While it is created again, for others it is not there yet. */
static bool may_start_in_hook(const xo_actor_t *actor, const xo_request_t *request)
{
    if (xoi_is_lifecycle(request))
        return request->express && actor->state == XOI_ACTOR_CREATING;
    return !actor->anew || xo_slice_eq(xo_msg_header(request->msg)->trace, xoi_again(actor->anew));
}

/* Who does not take its answers would have this process keep them. */
static inline bool may_be_answered(const xo_request_t *request)
{
    return !request->from || xo_link_takes_answers(request->from);
}

static inline xo_request_t *first(const xo_actor_t *actor, xo_request_t *queue)
{
    while (queue &&
           (!may_be_answered(queue) || (actor->hook_waits && !may_start_in_hook(actor, queue))))
        queue = queue->next;
    return queue;
}

/* The message that may start now, or NULL. */
static inline xo_request_t *pick(const xo_actor_t *actor)
{
    if (actor->state == XOI_ACTOR_RUNNING && !actor->hook_waits && !actor->express)
        return actor->locked ? NULL : first(actor, actor->mailbox); /* as it mostly is */
    if (actor->state == XOI_ACTOR_NEW)
        return actor->mailbox;
    if (actor->state != XOI_ACTOR_RUNNING && !actor->hook_waits)
        return NULL;
    xo_request_t *express = first(actor, actor->express);
    xo_request_t *waiting = actor->locked ? NULL : first(actor, actor->mailbox);
    if (waiting && (!express || waiting->arrival < express->arrival))
        return waiting;
    return express;
}

/* ---- turns ---- */

static bool may_lock(const xo_actor_t *actor)
{
    return actor->lock_waiters && (actor->stateless || !actor->locked);
}

static void unpark(xo_actor_t *actor)
{
    if (actor->parked)
        DL_DELETE(actor->pool->parked, actor);
    actor->parked = false;
}

/* Nothing of what waits may start: perhaps because its senders do not take their answers. */
static void park(xo_actor_t *actor)
{
    if (actor->parked || !(actor->express || (actor->mailbox && !actor->locked)))
        return;
    actor->parked = true;
    DL_APPEND(actor->pool->parked, actor);
}

void xoi_actor_wake_up(xo_actor_t *actor)
{
    xo_pool_t *pool = actor->pool;
    if (!may_lock(actor) && !pick(actor)) {
        park(actor);
        return;
    }
    unpark(actor);
    actor->ready = true;
    actor->turn_left = pool->batch;
    DL_APPEND(pool->ready, actor);
    xo_defer_start(&pool->turns);
}

void xoi_parked_wake(xo_pool_t *pool)
{
    xo_actor_t *parked = pool->parked;
    pool->parked = NULL; /* who still has to wait parks anew */
    while (parked) {
        xo_actor_t *actor = parked;
        DL_DELETE(parked, actor);
        actor->parked = false;
        xoi_actor_wake(actor);
    }
}

void xoi_actor_unready(xo_actor_t *actor)
{
    unpark(actor);
    if (!actor->ready)
        return;
    actor->ready = false;
    DL_DELETE(actor->pool->ready, actor);
}

static __attribute__((noinline)) void give_lock(xo_actor_t *actor)
{
    xoi_turn_waiter_t *waiter = actor->lock_waiters;
    DL_DELETE(actor->lock_waiters, waiter);
    actor->locked = !actor->stateless;
    waiter->call(actor, waiter->arg);
    xoi_cache_free(waiter, sizeof *waiter);
}

/* Does one thing for the actor. false: nothing to do. */
static bool step(xo_actor_t *actor)
{
    if (may_lock(actor)) {
        give_lock(actor);
        return true;
    }
    xo_request_t *request = pick(actor);
    if (!request)
        return false;
    take_out(actor, request);
    xoi_request_begin(request);
    return true;
}

int64_t xoi_coarse_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 * XO_MS + now.tv_nsec;
}

typedef struct pass {
    xo_pool_t *pool;
    size_t messages_left;
    int64_t end_ns;
    bool over;
} pass_t;

static void count_message(pass_t *pass)
{
    pass->pool->turn_ns = xoi_coarse_ns();
    pass->over = --pass->messages_left == 0 || pass->pool->turn_ns >= pass->end_ns;
}

/* false: the pass ended within the turn. */
static bool take_turn(xo_actor_t *actor, pass_t *pass)
{
    while (actor->turn_left && step(actor)) {
        actor->turn_left--;
        count_message(pass);
        if (pass->over)
            return false;
    }
    return true;
}

void xoi_turns_run(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_pool_t *pool = arg;
    pool->turn_ns = xoi_coarse_ns();
    pass_t pass = {pool, XOI_PASS_MESSAGES, pool->turn_ns + XOI_PASS_NS, false};
    while (pool->ready && !pass.over) {
        xo_actor_t *actor = pool->ready;
        xoi_actor_pin(actor);
        if (take_turn(actor, &pass) || !actor->turn_left) {
            xoi_actor_unready(actor);
            xoi_actor_wake(actor);
        }
        xoi_actor_unpin(actor);
    }
    if (pool->ready)
        xo_defer_start(&pool->turns);
}

/* ---- the lock, and room ---- */

static int wait_in(xoi_turn_waiter_t **waiters, void (*call)(xo_actor_t *actor, void *arg),
                   void *arg)
{
    xoi_turn_waiter_t *waiter = xoi_cache_calloc(sizeof *waiter);
    if (!waiter)
        return -1;
    waiter->call = call;
    waiter->arg = arg;
    DL_APPEND(*waiters, waiter);
    return 0;
}

void xoi_lock_waiters_drop(xo_actor_t *actor)
{
    while (actor->lock_waiters) {
        xoi_turn_waiter_t *waiter = actor->lock_waiters;
        DL_DELETE(actor->lock_waiters, waiter);
        xoi_cache_free(waiter, sizeof *waiter);
    }
}

int xo_actor_lock(xo_actor_t *actor, void (*locked)(xo_actor_t *actor, void *arg), void *arg)
{
    if (wait_in(&actor->lock_waiters, locked, arg) < 0)
        return -1;
    xoi_actor_wake(actor);
    return 0;
}

void xo_actor_unlock(xo_actor_t *actor)
{
    actor->locked = false;
    xoi_actor_wake(actor);
}

bool xo_actor_enter(xo_actor_t *actor, xo_slice_t method, int64_t now_ns)
{
    bool waited_for =
        actor->mailbox || actor->express || actor->lock_waiters || actor->room_waiters;
    if (actor->state != XOI_ACTOR_RUNNING || actor->locked || waited_for || actor->pool->closing)
        return false;
    if (actor->anywhere && xoi_lease_why(actor))
        return false; /* what comes by message is refused */
    actor->locked = !actor->stateless;
    xoi_actor_pin(actor);
    xoi_progress_enter(&actor->pool->progress, actor, xo_actor_uid(actor), NULL, method, now_ns);
    return true;
}

void xo_actor_leave(xo_actor_t *actor, bool failed)
{
    xo_pool_stats_t *stats = &actor->pool->stats;
    xoi_progress_leave(&actor->pool->progress);
    stats->handled++;
    stats->failed += failed;
    xo_actor_unlock(actor);
    xoi_actor_unpin(actor);
}

bool xo_actor_has_room(const xo_actor_t *actor)
{
    return xoi_has_room(actor);
}

int xo_actor_on_room(xo_actor_t *actor, void (*room)(xo_actor_t *actor, void *arg), void *arg)
{
    return wait_in(&actor->room_waiters, room, arg);
}
