/* link.c - links between actors, of which at least one is in this pool.
 *
 * A link is two ties (tie.c), one in each pool. The pool of the one that asks for it calls
 * XO_METHOD_LINK of the other, with a third argument: the incarnation of its own. The other's pool
 * watches that from then on and answers with the other's incarnation, which the first pool watches
 * in turn: so nobody is linked to a successor. XO_METHOD_UNLINK is the same, but nobody waits: with
 * a third argument it comes from the other's pool.
 */
#include <errno.h>
#include <string.h>

#include "pool/pool_impl.h"

static bool is_named(const void *item, const void *key)
{
    const xoi_tie_t *tie = item;
    const xoi_other_t *other = key;
    return tie->actor == other->actor && xo_slice_eq(tie->uid, other->uid) &&
           !strcmp(tie->address, other->address);
}

static bool is_linked(const void *item, const void *key)
{
    return is_named(item, key) && !((const xoi_tie_t *)item)->asker;
}

/* Whatever address it was reached by. */
static bool is_known(const void *item, const void *key)
{
    const xoi_tie_t *tie = item;
    const xoi_other_t *other = key;
    return tie->actor == other->actor && xo_slice_eq(tie->uid, other->uid) &&
           tie->peer == other->peer && tie->incarnation == other->incarnation;
}

static xoi_tie_t *find(const xoi_other_t *other, xoi_is_f is)
{
    return xoi_table_find(&other->actor->pool->links, xoi_tie_hash(other->actor, other->uid), is,
                          other);
}

/* ---- linking ---- */

static void reject_error(xo_request_t *request, const xo_error_t *err)
{
    xoi_request_reject(request, XO_DROP_ERROR, XO_CODE_REFUSED, NULL, "linking: %s", err->text);
}

static void reject_memory(xo_request_t *request)
{
    xo_error_t err;
    xo_error_set(&err, ENOMEM, "the pool at %s is out of memory", xo_pool_address(request->pool));
    reject_error(request, &err);
}

/* Of XO_METHOD_LINK or _UNLINK. -1: the request has been refused. */
static int read_other(xo_actor_t *actor, xo_request_t *request, xoi_other_t *other)
{
    xo_error_t err;
    xo_slice_t address;
    xo_slice_t body = xo_msg_body(request->msg);
    *other = (xoi_other_t){.actor = actor};
    if ((xo_unpack(body, NULL, "[[s s] _]", &address, &other->uid) == 0 ||
         xo_unpack(body, &err, "[[s s U] _]", &address, &other->uid, &other->incarnation) == 0) &&
        xoi_other_check(other, address, &err) == 0) {
        memcpy(other->address, address.data, address.size);
        other->peer = other->incarnation ? xo_msg_header(request->msg)->sender_id : 0;
        return 0;
    }
    reject_error(request, &err);
    return -1;
}

/* The other one asks for it, and has begun: it is answered with the actor's incarnation. */
static void take_link(xo_actor_t *actor, xo_request_t *request, const xoi_other_t *other)
{
    if (!find(other, is_known)) {
        xoi_tie_t *tie = xoi_tie_create(actor, other);
        if (!tie) {
            reject_memory(request);
            return;
        }
        xoi_tie_watch(tie);
    }
    xoi_request_close_value(request, xoi_pack_scratch(actor->pool, "U", actor->incarnation));
}

/* Is it an answer that says that the other is not there? */
static bool has_ended(const xo_msg_t *answer)
{
    xo_failure_t failure;
    return answer && xo_failure_read(xo_msg_body(answer), &failure) == 0 &&
           (xo_slice_eq_str(failure.code, XO_CODE_ACTOR_NOT_EXIST) ||
            xo_slice_eq_str(failure.code, XO_CODE_SERVER_CLOSED));
}

/* The other side has linked itself; unless it has done so of its own accord meanwhile, which this
 * side knows. */
static void begin_link(xoi_tie_t *tie, const xo_header_t *header, uint64_t incarnation)
{
    xoi_other_t other = {.actor = tie->actor, .uid = tie->uid, .incarnation = incarnation};
    other.peer = header->sender_id ? header->sender_id : tie->actor->pool->id;
    if (find(&other, is_known)) {
        xoi_tie_free(tie);
        return;
    }
    tie->peer = other.peer;
    tie->incarnation = incarnation;
    xoi_tie_watch(tie);
}

static void on_linked(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    uint64_t incarnation;
    char reason[XO_ERROR_TEXT_BYTES];
    xoi_tie_t *tie = arg;
    xo_request_t *asker = tie->asker;
    xo_reader_t reader = xo_reader(*answer ? xo_msg_body(*answer) : xo_slice(NULL, 0));
    tie->call = NULL;
    tie->asker = NULL;
    if (xo_read_uint(&reader, &incarnation) == 0) {
        begin_link(tie, xo_msg_header(*answer), incarnation);
    } else if (has_ended(*answer) && xoi_traps(tie->actor)) {
        xoi_tie_fire(tie, xo_answer_reason(*answer, reason));
    } else {
        xoi_tie_free(tie);
        xoi_request_close(asker, answer);
        return;
    }
    xoi_request_close_value(asker, xo_slice("\xc0", 1));
}

static void ask_link(xo_actor_t *actor, xo_request_t *request, const xoi_other_t *other)
{
    xo_error_t err = {0};
    xoi_tie_t *tie = xoi_tie_create(actor, other);
    if (!tie) {
        reject_memory(request);
    } else if (xoi_tie_call(tie, XO_METHOD_LINK, on_linked, &err) < 0) {
        xoi_tie_free(tie);
        reject_error(request, &err);
    } else {
        tie->asker = request;
        request->actor = actor;
        request->data = tie;
        request->links = true;
        xoi_request_aside(request);
    }
}

void xoi_tie_link(xo_actor_t *actor, xo_request_t *request)
{
    xoi_other_t other;
    xo_error_t err;
    if (read_other(actor, request, &other) < 0)
        return;
    if (other.incarnation) {
        take_link(actor, request, &other);
    } else if (find(&other, is_linked)) {
        xoi_request_close_value(request, xo_slice("\xc0", 1));
    } else if (xo_slice_eq(other.uid, xo_actor_uid(actor)) &&
               xo_endpoint_is_self(actor->pool->endpoint, other.address)) {
        xo_error_set(&err, EINVAL, "an actor cannot be linked to itself");
        reject_error(request, &err);
    } else {
        ask_link(actor, request, &other);
    }
}

/* ---- unlinking ---- */

static void reject_unlinked(xo_request_t *asker)
{
    xoi_request_reject(asker, XO_DROP_CLOSED, XO_CODE_CANCELLED, "cancelled",
                       "cancelled before it was linked");
}

/* The other's pool, if it is there, drops its link. -1: ENOMEM. */
static int tell_unlinked(const xoi_tie_t *tie, xo_error_t *err)
{
    xo_link_t *link;
    if (xoi_tie_way(tie, &link, err) < 0)
        return errno == ENOMEM ? -1 : 0;
    xo_msg_t *msg = xoi_tie_message(tie, XO_TELL, XO_METHOD_UNLINK);
    if (!msg)
        return xo_error_set(err, ENOMEM, "out of memory for a message");
    int rc =
        xo_endpoint_tell(tie->actor->pool->endpoint, link, &msg, XO_SEND_QUEUE, NULL, NULL, err);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    return rc < 0 && errno == ENOMEM ? -1 : 0;
}

/* The other may have linked itself already, also where this side has not heard of that. */
static int unlink_tie(xoi_tie_t *tie, xo_error_t *err)
{
    xo_request_t *asker = tie->asker;
    if (tell_unlinked(tie, err) < 0)
        return -1;
    xoi_tie_free(tie);
    if (asker)
        reject_unlinked(asker);
    return 0;
}

/* Whoever asked for it does not want it any more. */
void xoi_tie_cancel(xo_request_t *request)
{
    xoi_tie_t *tie = request->data;
    if (unlink_tie(tie, NULL) == 0)
        return;
    xoi_tie_free(tie);
    reject_unlinked(request);
}

void xoi_tie_unlink(xo_actor_t *actor, xo_request_t *request)
{
    xoi_other_t other;
    xoi_tie_t *tie;
    xo_error_t err;
    if (read_other(actor, request, &other) < 0)
        return;
    while ((tie = find(&other, other.incarnation ? is_known : is_named))) {
        if (other.incarnation) {
            xoi_tie_free(tie);
        } else if (unlink_tie(tie, &err) < 0) {
            reject_error(request, &err);
            return;
        }
    }
    xoi_request_close_value(request, xo_slice("\xc0", 1));
}
