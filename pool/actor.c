/* actor.c - the life of an actor: in the table from its create message until it is destroyed, then
 * kept until its last request has ended, because methods that gave up the lock may still use it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

static xo_actor_t *actor_alloc(xo_slice_t uid, xo_slice_t class_name)
{
    size_t bytes = offsetof(xo_actor_t, uid) + uid.size + class_name.size + 2;
    xo_actor_t *actor = calloc(1, bytes > sizeof *actor ? bytes : sizeof *actor);
    if (!actor)
        return NULL;
    memcpy(actor->uid, uid.data, uid.size);
    actor->uid_size = (uint8_t)uid.size;
    if (class_name.size)
        memcpy(actor->uid + uid.size + 1, class_name.data, class_name.size);
    return actor;
}

static uint64_t hash_of(xo_slice_t uid)
{
    return xoi_hash_bytes(uid.data, uid.size);
}

static bool has_uid(const void *actor, const void *uid)
{
    return xo_slice_eq(xo_actor_uid(actor), *(const xo_slice_t *)uid);
}

/* Makes an entry in the table for an actor that the host has not made yet. NULL: ENOMEM. */
xo_actor_t *xoi_actor_create(xo_pool_t *pool, xo_slice_t uid, xo_slice_t class_name)
{
    xo_actor_t *actor = actor_alloc(uid, class_name);
    if (!actor)
        return NULL;
    actor->pool = pool;
    pool->changes++;
    actor->incarnation = ++pool->last_incarnation;
    if (xoi_table_add(&pool->by_uid, hash_of(uid), actor) < 0) {
        free(actor);
        errno = ENOMEM;
        return NULL;
    }
    DL_APPEND2(pool->actors, actor, older, newer);
    return actor;
}

static void actor_free(xo_actor_t *actor)
{
    xo_pool_t *pool = actor->pool;
    DL_DELETE2(pool->gone, actor, older, newer);
    xoi_actor_unready(actor);
    if (actor->host_made)
        pool->ops->release(pool->host, actor);
    xoi_ties_free(actor);
    xoi_lock_waiters_drop(actor);
    xoi_progress_forget(&pool->progress, actor);
    free(actor);
    xoi_stop_progress(pool);
}

void xoi_actor_pin(xo_actor_t *actor)
{
    actor->pins++;
}

void xoi_actor_unpin(xo_actor_t *actor)
{
    /* The count by itself: read together with the bits beside it, what was just written is waited
     * for. */
    if (--actor->pins == 0 && !actor->running && actor->state == XOI_ACTOR_GONE)
        actor_free(actor);
}

static xo_request_t *first_waiting(const xo_actor_t *actor)
{
    xo_request_t *first = actor->mailbox;
    xo_request_t *other = actor->express;
    if (!first || !other)
        return first ? first : other;
    return first->arrival < other->arrival ? first : other;
}

/* What a creation causes that may be what this one waited for: the two would wait for each other in
 * their next tries as well. */
static bool may_be_waited_for(const xo_actor_t *actor, const xo_request_t *request)
{
    return actor->late && xoi_is_of_creation(request);
}

/* If it will be tried once more, they wait for that. */
static void end_waiting(xo_actor_t *actor, const char *why)
{
    xo_request_t *request;
    bool comes = xoi_failed_waits(actor->pool, xo_actor_uid(actor));
    while ((request = first_waiting(actor))) {
        xoi_mailbox_remove(actor, request);
        if (request->kept)
            xoi_keep_no_more(request);
        if (!comes || may_be_waited_for(actor, request) || !xoi_hold(request))
            xoi_request_absent(request, why);
    }
    if (comes && !actor->up) /* else this end is what they want to know of */
        xoi_watchers_hold(actor);
    else
        xoi_watchers_tell(actor, why);
}

/* Takes the actor out of the table; what waits is answered. The caller has it pinned. */
static void actor_leave(xo_actor_t *actor, const char *why)
{
    xo_pool_t *pool = actor->pool;
    actor->state = XOI_ACTOR_GONE;
    pool->changes++;
    if (pool->last_found == actor)
        pool->last_found = NULL;
    xoi_table_remove(&pool->by_uid, hash_of(xo_actor_uid(actor)), actor);
    DL_DELETE2(pool->actors, actor, older, newer);
    DL_APPEND2(pool->gone, actor, older, newer);
    if (actor->ties)
        xoi_ties_end(actor, why);
    if (!actor->up)
        xoi_announce_none(pool, xo_actor_uid(actor));
    end_waiting(actor, why);
    xoi_unmute(actor);
    xoi_room_waiters_call(actor);
}

/* [address, uid, incarnation], in the pool's scratch buffer. */
xo_slice_t xoi_reference(const xo_actor_t *actor)
{
    return xoi_pack_scratch(actor->pool, "[s B U]", xo_pool_address(actor->pool),
                            xo_actor_uid(actor), actor->incarnation);
}

/* It ended itself in its own post_create: there is nothing to refer to. */
static void destroyed_meanwhile(const xo_actor_t *actor, xo_msg_t **answer)
{
    char text[XOI_TEXT_BYTES];
    if (*answer && xo_msg_header(*answer)->kind != XO_RESULT)
        return;
    xo_msg_destroy(answer);
    *answer = xoi_failure_of(actor->pool, XO_CODE_ACTOR_NOT_EXIST, "ran", "destroyed",
                             "actor \"%s\" destroyed itself while it was created",
                             xoi_text(xo_actor_uid(actor), text));
}

/* The host has answered the create request: *answer becomes the reference, or stays the error. */
void xoi_actor_created(xo_actor_t *actor, xo_request_t *request, xo_msg_t **answer)
{
    xo_pool_t *pool = actor->pool;
    bool again = actor->anew;
    actor->anew = NULL;
    if (actor->state != XOI_ACTOR_CREATING) {
        destroyed_meanwhile(actor, answer);
        return;
    }
    if (*answer && xo_msg_header(*answer)->kind != XO_RESULT) {
        if (again)
            xoi_failed_add(actor, *answer);
        actor->late = again && request->cancelled;
        const char *why = again ? xoi_failed_why(pool, xo_actor_uid(actor)) : NULL;
        actor_leave(actor, why ? why : "its creation failed");
        return;
    }
    xo_msg_destroy(answer);
    *answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xoi_reference(actor));
    actor->state = XOI_ACTOR_RUNNING;
    actor->hook_waits = false;
    actor->up = true;
    pool->stats.created++;
    pool->stats.actors++;
    xoi_mailbox_sort(actor);
    if (actor->ties)
        xoi_ties_begin(actor);
    xoi_announce_up(actor, request);
    xoi_failed_remove(pool, xo_actor_uid(actor));
}

/* The reason is in the place of a method's name: who destroys may say why. */
static void say_why(const xo_request_t *request, char text[XO_ERROR_TEXT_BYTES])
{
    xo_slice_t given = xo_msg_header(request->msg)->method;
    const char *usual = request->pool->stopping ? XO_WHY_POOL_STOPPED : "destroyed";
    xo_slice_t why = given.size ? given : xo_slice_str(usual);
    snprintf(text, XO_ERROR_TEXT_BYTES, "%.*s", (int)why.size, why.data);
    xoi_text_trim(text);
}

static bool comes_again(const xo_request_t *request)
{
    return (xo_msg_header(request->msg)->flags & XO_F_AGAIN) && xoi_asked_by_broker(request);
}

/* pre_destroy is over; *answer becomes nil, or stays its error. The actor goes either way. */
void xoi_actor_destroyed(xo_actor_t *actor, const xo_request_t *request, xo_msg_t **answer)
{
    char why[XO_ERROR_TEXT_BYTES];
    xo_pool_t *pool = actor->pool;
    say_why(request, why);
    if (*answer && xo_msg_header(*answer)->kind == XO_RESULT) {
        xo_msg_destroy(answer);
        *answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_slice("\xc0", 1));
    }
    if (actor->up) {
        pool->stats.destroyed++;
        pool->stats.actors--;
        xoi_announce_down(actor, why);
    }
    if (comes_again(request))
        xoi_failed_expect(pool, xo_actor_uid(actor));
    actor_leave(actor, why);
}

/* Its create request was dropped before the host saw it. */
void xoi_actor_abort(xo_actor_t *actor)
{
    xoi_actor_pin(actor);
    actor_leave(actor, "its creation was given up");
    xoi_actor_unpin(actor);
}

/* The pool ends: answers all that waits and runs, and frees the actor. */
void xoi_actor_end(xo_actor_t *actor)
{
    xoi_actor_pin(actor);
    if (actor->state != XOI_ACTOR_GONE)
        actor_leave(actor, "the pool ends");
    while (actor->running)
        xoi_request_force(actor->running);
    xoi_actor_unpin(actor);
}

xo_actor_t *xo_pool_find(xo_pool_t *pool, xo_slice_t uid)
{
    xo_actor_t *last = pool->last_found;
    if (last && last->uid_size == uid.size && memcmp(last->uid, uid.data, uid.size) == 0)
        return last;
    xo_actor_t *actor = xoi_table_find(&pool->by_uid, hash_of(uid), has_uid, &uid);
    if (actor)
        pool->last_found = actor;
    return actor;
}

xo_slice_t xo_actor_uid(const xo_actor_t *actor)
{
    return xo_slice(actor->uid, actor->uid_size);
}

uint64_t xo_actor_incarnation(const xo_actor_t *actor)
{
    return actor->incarnation;
}

const char *xo_actor_class(const xo_actor_t *actor)
{
    return actor->uid + actor->uid_size + 1;
}

xo_pool_t *xo_actor_pool(const xo_actor_t *actor)
{
    return actor->pool;
}

void *xo_actor_object(const xo_actor_t *actor)
{
    return actor->object;
}

void xo_actor_set_object(xo_actor_t *actor, void *object)
{
    actor->object = object;
}

void xo_actor_set_stateless(xo_actor_t *actor, bool stateless)
{
    actor->stateless = stateless;
}
