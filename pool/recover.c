/* recover.c - a pool whose actors are created again with it: what it tells its broker of each, and
 * what it holds back until they are there.
 *
 * From its start until its broker has requested all creations, the next process of such a pool
 * holds what comes for actors that it lacks: to who has a reference, an actor that is being created
 * again is slow, not gone. It does not hold for longer: an actor's creation may ask for one that
 * never was. What could not be created again is held until the broker has tried it once more, or
 * has said that it will not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/mailbox.h"

/* What is held for one uid, in the order of arrival. */
struct xoi_held {
    xo_request_t *requests;
    bool leaving; /* out of the table: let_go frees it */
    UT_hash_handle hh;
    size_t uid_size;
    char uid[];
};

/* ---- holding ---- */

static xoi_held_t *find_held(xo_pool_t *pool, xo_slice_t uid)
{
    xoi_held_t *held = NULL;
    HASH_FIND(hh, pool->held, uid.data, uid.size, held);
    return held;
}

static xoi_held_t *need_held(xo_pool_t *pool, xo_slice_t uid)
{
    xoi_held_t *held = find_held(pool, uid);
    if (held)
        return held;
    held = calloc(1, sizeof *held + uid.size);
    if (!held)
        return NULL;
    held->uid_size = uid.size;
    memcpy(held->uid, uid.data, uid.size);
    HASH_ADD_KEYPTR(hh, pool->held, held->uid, held->uid_size, held);
    if (XOI_HASHED(hh, held))
        return held;
    free(held);
    return NULL;
}

static void drop_held(xo_pool_t *pool, xoi_held_t *held)
{
    HASH_DEL(pool->held, held);
    free(held);
}

static bool may_come(const xo_pool_t *pool, xo_slice_t uid)
{
    if (xoi_failed_why(pool, uid))
        return xoi_failed_waits(pool, uid);
    return pool->holding || xoi_is_being_named(pool, uid);
}

/* What it is for comes after who sent it; or it is what ends an actor before it comes again. */
static bool is_in_vain(const xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    if (header->kind == XO_DESTROY && xoi_asked_by_broker(request))
        return true;
    return request->pool->group_turns && xoi_failed_in_group(request->pool, header->target_uid) &&
           xoi_group_has_turn(request);
}

bool xoi_hold(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    if (is_in_vain(request))
        return false;
    xoi_held_t *held = may_come(pool, uid) ? need_held(pool, uid) : NULL;
    if (!held)
        return false;
    if (xoi_is_own(request) && !(request = xoi_request_apart(request))) {
        if (!held->requests)
            drop_held(pool, held);
        return false;
    }
    request->actor = NULL;
    request->held = held;
    DL_APPEND(held->requests, request);
    return true;
}

/* Those that it holds go where they would have gone. One may be answered at once, and its caller
 * cancel another. */
static void let_go(xo_pool_t *pool, xoi_held_t *held)
{
    HASH_DEL(pool->held, held);
    held->leaving = true;
    while (held->requests) {
        xo_request_t *request = held->requests;
        DL_DELETE(held->requests, request);
        request->held = NULL;
        xoi_request_route(request);
    }
    free(held);
}

void xoi_held_release(xo_pool_t *pool, xo_slice_t uid)
{
    xoi_held_t *held = pool->held ? find_held(pool, uid) : NULL;
    if (held)
        let_go(pool, held);
}

/* They are answered last: one may be heard at once, and its caller cancel another. */
void xoi_held_review(xo_pool_t *pool)
{
    xo_request_t *request, *next, *vain = NULL;
    for (xoi_held_t *held = pool->held, *after; held; held = after) {
        after = held->hh.next;
        DL_FOREACH_SAFE(held->requests, request, next)
        if (is_in_vain(request)) {
            DL_DELETE(held->requests, request);
            request->held = NULL;
            DL_APPEND(vain, request);
        }
        if (!held->requests && !held->leaving)
            drop_held(pool, held);
    }
    while (vain) {
        request = vain;
        DL_DELETE(vain, request);
        xoi_request_absent(request, NULL);
    }
}

void xoi_held_cancel(xo_request_t *request)
{
    xoi_held_t *held = request->held;
    DL_DELETE(held->requests, request);
    if (!held->requests && !held->leaving)
        drop_held(request->pool, held);
    xoi_request_reject(request, XO_DROP_CLOSED, XO_CODE_CANCELLED, "cancelled",
                       "cancelled while it waited for the actor to come back");
}

static xoi_held_t *first_in_vain(const xo_pool_t *pool)
{
    xoi_held_t *held = pool->held;
    while (held && may_come(pool, xo_slice(held->uid, held->uid_size)))
        held = held->hh.next;
    return held;
}

static void let_go_in_vain(xo_pool_t *pool)
{
    xoi_held_t *held;
    while ((held = first_in_vain(pool)))
        let_go(pool, held);
}

void xoi_all_requested(xo_pool_t *pool)
{
    pool->holding = false;
    let_go_in_vain(pool);
}

void xoi_no_more_tries(xo_pool_t *pool)
{
    xoi_failed_settle(pool);
    let_go_in_vain(pool);
}

void xoi_recovered(xo_pool_t *pool)
{
    pool->recovering = false;
    xoi_all_requested(pool);
}

void xoi_recovered_event(xo_pool_t *pool, const xo_msg_t *event)
{
    char mine[17];
    char id[32];
    snprintf(mine, sizeof mine, "%016" PRIx64, xo_endpoint_self(pool->endpoint)->pool_id);
    if (xo_map_get_str(xo_msg_body(event), "pool", id, sizeof id) == 0 && !strcmp(id, mine))
        xoi_recovered(pool);
}

bool xo_pool_comes_back(const xo_pool_t *pool)
{
    return pool->keep_specs && xo_endpoint_self(pool->endpoint)->generation > 1;
}

/* Its broker creates this one again, or would: an actor that was created together with it, by one
 * that creates it in its own creation, is there for both. */
bool xoi_adopts(const xo_request_t *request)
{
    return request->pool->recovering && (!request->from || xoi_asked_by_broker(request));
}

bool xoi_is_of_creation(const xo_request_t *request)
{
    const size_t size = sizeof XO_TRACE_AGAIN - 1;
    xo_slice_t trace = xo_msg_header(request->msg)->trace;
    return trace.size > size && memcmp(trace.data, XO_TRACE_AGAIN, size) == 0;
}

xo_slice_t xoi_again(const xo_request_t *request)
{
    bool again = xoi_is_of_creation(request) && xoi_asked_by_broker(request);
    return again ? xo_msg_header(request->msg)->trace : xo_slice(NULL, 0);
}

/* ---- specs ---- */

static size_t spec_bytes(const xo_msg_t *msg)
{
    size_t bytes = xo_msg_body(msg).size;
    for (size_t i = 0; i < xo_msg_buffer_count(msg); i++)
        bytes += xo_msg_buffer(msg, i).size;
    return bytes;
}

/* The actor may write to what came in buffers. */
static xo_msg_t *copy(const xo_msg_t *msg)
{
    xo_msg_t *made = xo_msg_create(xo_msg_header(msg), xo_msg_body(msg));
    for (size_t i = 0; made && i < xo_msg_buffer_count(msg); i++) {
        xo_slice_t buffer = xo_msg_buffer(msg, i);
        if (xo_msg_add_buffer_copy(made, buffer.data, buffer.size) < 0)
            xo_msg_destroy(&made);
    }
    return made;
}

static void set_none(xo_request_t *request, const char *why)
{
    xo_msg_destroy(&request->spec);
    request->no_spec = strdup(why);
}

static void check_size(xo_request_t *request, const xo_msg_t *spec)
{
    char why[128];
    size_t bytes = spec_bytes(spec);
    if (bytes <= XOI_SPEC_BYTES_MAX)
        return;
    snprintf(why, sizeof why, "its arguments take %zu bytes, and at most %zu are kept", bytes,
             XOI_SPEC_BYTES_MAX);
    set_none(request, why);
}

/* What a local creator passes are objects, which only the host can write down. */
static void take_local(xo_request_t *request)
{
    xo_error_t why = {0};
    xo_pool_t *pool = request->pool;
    if (!pool->ops->spec)
        return;
    request->spec = pool->ops->spec(pool->host, request, &why);
    if (request->spec)
        check_size(request, request->spec);
    else if (!why.errnum)
        request->once = true;
    else
        set_none(request, why.text);
}

static bool wants_group(xo_slice_t body)
{
    xo_slice_t group, options = xo_create_options(body);
    return options.size && xo_map_get(options, "group", &group) == 0;
}

/* Its broker has to know of it, whatever becomes of the pool: it stops it in its group's turn, or
 * another node's creates it again. */
static bool is_for_others(xo_slice_t body)
{
    return wants_group(body) || xo_create_is_anywhere(body);
}

static bool is_temporary(xo_slice_t body)
{
    char restart[16];
    xo_slice_t options = xo_create_options(body);
    return options.size && !is_for_others(body) &&
           xo_map_get_str(options, "restart", restart, sizeof restart) == 0 &&
           !strcmp(restart, "temporary");
}

void xoi_spec_take(xo_request_t *request)
{
    if (!xoi_spec_is_new(request))
        return;
    if (xo_msg_payload(request->msg)) {
        take_local(request);
        return;
    }
    xo_slice_t body = xo_msg_body(request->msg);
    request->once = is_temporary(body) || !(request->pool->keep_specs || is_for_others(body));
    if (request->once)
        return;
    check_size(request, request->msg);
    if (request->no_spec || !xo_msg_buffer_count(request->msg))
        return;
    request->spec = copy(request->msg);
    if (!request->spec)
        set_none(request, "its pool is out of memory");
}

const char *xo_request_no_spec(const xo_request_t *request)
{
    const xo_pool_t *pool = request->pool;
    bool keeps = pool->keep_specs || pool->keep_grouped;
    return keeps ? request->no_spec : "its pool's actors are not created again";
}

static xo_slice_t body_of(const xo_request_t *request)
{
    const xo_msg_t *spec = request->spec ? request->spec : request->msg;
    return xo_msg_payload(spec) ? xo_slice(NULL, 0) : xo_msg_body(spec);
}

bool xoi_spec_is_for_others(const xo_request_t *request)
{
    return is_for_others(body_of(request));
}

bool xoi_spec_is_anywhere(const xo_request_t *request)
{
    return xo_create_is_anywhere(body_of(request));
}

const char *xoi_spec_missing(const xo_request_t *request)
{
    bool is_needed = !xoi_again(request).size && xoi_spec_is_for_others(request);
    return is_needed ? xo_request_no_spec(request) : NULL;
}

static bool is_tried_again(const xo_request_t *request)
{
    return xoi_again(request).size > 0 &&
           xoi_failed_why(request->pool, xo_msg_header(request->msg)->target_uid);
}

bool xoi_spec_is_new(const xo_request_t *request)
{
    const xo_pool_t *pool = request->pool;
    bool recovers = pool->recovering && xoi_asked_by_broker(request);
    bool keeps = pool->keep_specs || pool->keep_grouped;
    return keeps && !request->once && !recovers && !is_tried_again(request);
}

void xoi_spec_pack(const xo_request_t *request, xo_buf_t *out)
{
    const xo_msg_t *spec = request->spec ? request->spec : request->msg;
    if (!xoi_spec_is_new(request))
        xo_pack_nil(out);
    else if (request->no_spec || xo_msg_payload(spec))
        xo_pack_cstr(out, request->no_spec ? request->no_spec : "its host keeps none");
    else
        xo_pack_format(out, "[B]", xo_msg_body(spec));
}

/* ---- what the broker has taken ---- */

/* A broker that does not answer keeps nobody waiting for longer. */
#define CONFIRM_NS (3000 * XO_MS)

/* Where a creation's answer goes once the broker has what creates the actor again: it would be lost
 * if the pool died before, and who was told that an actor is there may rely on its coming back. */
struct xoi_confirmation {
    xo_pool_t *pool;
    xo_call_t *call;
    xo_return_t to;
    xo_msg_t *answer;
    xoi_confirmation_t *prev, *next;
};

static void confirmation_end(xoi_confirmation_t *confirmation)
{
    xo_pool_t *pool = confirmation->pool;
    DL_DELETE(pool->confirmations, confirmation);
    xo_endpoint_answer(pool->endpoint, &confirmation->to, &confirmation->answer);
    xo_msg_destroy(&confirmation->answer);
    xo_link_decref(confirmation->to.link);
    free(confirmation);
}

static bool is_refusal(const xo_msg_t *answer)
{
    xo_failure_t failure;
    return answer && xo_msg_header(answer)->kind == XO_ERROR &&
           xo_failure_read(xo_msg_body(answer), &failure) == 0 &&
           xo_slice_eq_str(failure.code, XO_CODE_REFUSED);
}

static void on_taken_back(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    (void)answer;
    confirmation_end(arg);
}

/* The actor cannot be as its creator wants it, who hears why when it is gone. True: it goes. */
static bool take_back(xoi_confirmation_t *confirmation, xo_msg_t **refusal)
{
    xo_header_t header = {.kind = XO_DESTROY};
    xo_endpoint_t *endpoint = confirmation->pool->endpoint;
    if (!confirmation->answer ||
        xo_unpack(xo_msg_body(confirmation->answer), NULL, "[_ s _]", &header.target_uid) < 0)
        return false;
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    xo_call_t *call =
        msg ? xo_endpoint_call(endpoint, NULL, &msg, 0, 0, on_taken_back, confirmation, NULL)
            : NULL;
    xo_msg_destroy(&msg);
    xo_msg_destroy(&confirmation->answer);
    confirmation->answer = *refusal;
    confirmation->call = call;
    *refusal = NULL;
    return call;
}

/* Also when the broker went away meanwhile: its next link is told of all actors. */
static void on_confirmed(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xoi_confirmation_t *confirmation = arg;
    xo_pool_t *pool = confirmation->pool;
    if (!is_refusal(*answer) || !take_back(confirmation, answer))
        confirmation_end(confirmation);
    xoi_announced(pool);
}

int xoi_confirm(xo_request_t *request, xo_msg_t **msg)
{
    xo_pool_t *pool = request->pool;
    xoi_confirmation_t *confirmation = calloc(1, sizeof *confirmation);
    if (!confirmation)
        return -1;
    confirmation->pool = pool;
    confirmation->call = xo_endpoint_call(pool->endpoint, pool->broker_link, msg, XO_SEND_QUEUE,
                                          CONFIRM_NS, on_confirmed, confirmation, NULL);
    if (!confirmation->call) {
        free(confirmation);
        return -1;
    }
    DL_APPEND(pool->confirmations, confirmation);
    request->confirmation = confirmation;
    return 0;
}

void xoi_confirm_first(xoi_confirmation_t *confirmation, xo_return_t *to, xo_msg_t **answer)
{
    confirmation->to = *to;
    confirmation->answer = *answer;
    to->link = NULL;
    *answer = NULL;
}

void xoi_confirmations_end(xo_pool_t *pool)
{
    while (pool->confirmations) {
        xo_call_abandon(pool->confirmations->call);
        confirmation_end(pool->confirmations);
    }
}
