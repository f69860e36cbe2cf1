/* call.c - calls under way and their one answer; tells; the answers to others' requests.
 *
 * A call is in endpoint->calls (by sequence) and in its link's list until its answer is there (one
 * of own_call.h in neither: its request knows it), and then in endpoint->done until the callback
 * has run. Answers that arrive on a lane are delivered at once; those made here wait for the
 * deferred pass, so that no callback runs inside the function that caused it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/cache.h"
#include "libxo/codec_impl.h"
#include "libxo/endpoint_impl.h"
#include "libxo/future.h"

static uint64_t hash_of(uint64_t seq)
{
    return xoi_hash_mix(seq, 0);
}

static bool has_seq(const void *call, const void *seq)
{
    return ((const xo_call_t *)call)->seq == *(const uint64_t *)seq;
}

/* Where the calls to the same peer are. */
static xo_call_t **list_of(xo_call_t *call)
{
    return call->link ? &call->link->calls : &call->endpoint->own_calls;
}

/* Could its request be handled? */
static bool has_left(const xo_call_t *call)
{
    return !call->outgoing && !call->transfer;
}

bool xoi_call_may_have_run(const xo_call_t *call)
{
    return xoi_again_has_left(call->again) || (has_left(call) && !xoi_again_waits(call->again));
}

static const char *executed(const xo_call_t *call)
{
    return xoi_call_may_have_run(call) ? "maybe" : "no";
}

static inline void leave_list(xo_call_t *call)
{
    xo_call_t **list = list_of(call);
    DL_DELETE(*list, call);
    if (call->outgoing)
        xoi_outgoing_drop(call->link, call->outgoing);
    if (call->transfer)
        xoi_bulk_give_up(call->transfer);
    if (call->arriving)
        xoi_bulk_unwanted(call->arriving);
}

void xoi_call_move(xo_call_t *call, xo_link_t *link)
{
    leave_list(call);
    xo_link_decref(call->link);
    call->link = link ? xo_link_incref(link) : NULL;
    xo_call_t **list = list_of(call);
    DL_APPEND(*list, call);
}

static void unlist(xo_call_t *call)
{
    if (call->own_cancel) {
        xoi_own_call_part(call);
    } else {
        xoi_table_remove(&call->endpoint->calls, hash_of(call->seq), call);
        leave_list(call);
    }
    if (call->limited)
        xo_timer_stop(&call->timer);
    if (call->again)
        xoi_again_forget(call);
    call->answered = true;
}

static void deliver(xo_call_t *call, xo_msg_t *reply)
{
    xo_endpoint_t *endpoint = call->endpoint;
    xo_link_t *link = call->link;
    endpoint->nested++;
    if (call->answer)
        call->answer(call, &reply, call->arg);
    endpoint->nested--;
    if (reply)
        xo_msg_destroy(&reply);
    if (call->own_cancel)
        xoi_future_release(call->arg);
    else
        xoi_cache_free(call, sizeof *call);
    xo_link_decref(link);
}

/* Ends a call with *reply, in the deferred pass. */
void xoi_call_finish(xo_call_t *call, xo_msg_t **reply)
{
    unlist(call);
    call->reply = *reply;
    *reply = NULL;
    DL_APPEND2(call->endpoint->done, call, prev_done, next_done);
    xo_defer_start(&call->endpoint->defer);
}

/* Where its peer is; "" if that is nowhere that others could go to. */
static const char *address_of(const xo_link_t *link)
{
    if (link->peer.address[0])
        return link->peer.address;
    return strstr(link->address, "://") ? "" : link->address;
}

static const char *address_of_call(const xo_call_t *call)
{
    if (!call->link)
        return call->again ? xoi_again_address(call->again) : "";
    return address_of(call->link);
}

xo_msg_t *xoi_call_failure(const xo_call_t *call, const char *code, const char *executed,
                           const char *reason, const char *message)
{
    xo_failure_t failure = {.code = xo_slice_str(code),
                            .message = xo_slice_str(message),
                            .executed = xo_slice_str(executed),
                            .reason = xo_slice_str(reason),
                            .address = xo_slice_str(address_of_call(call))};
    return xo_failure_answer(call->seq, &failure);
}

void xoi_call_fail(xo_call_t *call, const char *code, const char *executed, const char *reason,
                   const char *message)
{
    xo_msg_t *reply = xoi_call_failure(call, code, executed, reason, message);
    xoi_call_finish(call, &reply);
}

void xoi_calls_of_link_fail(xo_link_t *link)
{
    xo_call_t *call;
    xo_call_t *next;
    DL_FOREACH_SAFE(link->calls, call, next)
    if (!xoi_again_later(call))
        xoi_call_fail(call, XO_CODE_SERVER_CLOSED, executed(call), xoi_link_reason(link),
                      link->why.text);
}

void xoi_notify(xo_endpoint_t *endpoint, xoi_notice_t *notice, xo_link_t *closed)
{
    if (!notice)
        return;
    notice->closed = closed ? xo_link_incref(closed) : NULL;
    DL_APPEND(endpoint->notices, notice);
    xo_defer_start(&endpoint->defer);
}

static void run_notice(xoi_notice_t *notice)
{
    xo_link_t *link = notice->closed;
    if (!link) {
        notice->accepted(NULL, notice->arg);
    } else {
        xo_failure_t why = {.code = xo_slice_str(XO_CODE_SERVER_CLOSED),
                            .message = xo_slice_str(link->why.text),
                            .executed = xo_slice_str("no"),
                            .reason = xo_slice_str(xoi_link_reason(link)),
                            .address = xo_slice_str(address_of(link))};
        notice->accepted(&why, notice->arg);
        xo_link_decref(link);
    }
    free(notice);
}

void xoi_run_deferred(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_endpoint_t *endpoint = arg;
    while (endpoint->notices) {
        xoi_notice_t *notice = endpoint->notices;
        DL_DELETE(endpoint->notices, notice);
        run_notice(notice);
    }
    while (endpoint->done) {
        xo_call_t *call = endpoint->done;
        DL_DELETE2(endpoint->done, call, prev_done, next_done);
        deliver(call, call->reply);
    }
}

xo_call_t *xoi_call_of(xo_endpoint_t *endpoint, const xo_header_t *header)
{
    if (!xoi_wants_answer(header))
        return NULL;
    return xoi_table_find(&endpoint->calls, hash_of(header->seq), has_seq, &header->seq);
}

xo_call_t *xoi_call_awaited(xo_endpoint_t *endpoint, const xo_link_t *from, uint64_t seq)
{
    xo_call_t *call = xoi_table_find(&endpoint->calls, hash_of(seq), has_seq, &seq);
    return call && has_left(call) && call->link == from ? call : NULL;
}

void xoi_call_answer(xo_call_t *call, xo_msg_t **msg)
{
    if (call->in_flight_local || call->endpoint->nested >= XOI_NESTED_MAX) {
        xoi_call_finish(call, msg);
    } else {
        unlist(call);
        xo_msg_t *reply = *msg;
        *msg = NULL;
        deliver(call, reply);
    }
}

/* An answer from a link, or (`from` NULL) from a request of our own that we handled ourselves. Only
 * who got the request can answer it. */
void xoi_answer_arrived(xo_endpoint_t *endpoint, const xo_link_t *from, xo_msg_t **msg)
{
    uint64_t seq = xo_msg_header(*msg)->seq;
    xo_call_t *call = xoi_table_find(&endpoint->calls, hash_of(seq), has_seq, &seq);
    if (call && has_left(call) && call->link == from) {
        if (!xoi_codec_passes(call))
            xoi_codec_check_answer(call->link, msg);
        if (xoi_again_refused(call, msg))
            xo_msg_destroy(msg);
        else
            xoi_call_answer(call, msg);
    } else {
        xo_endpoint_drop(endpoint, XO_DROP_NO_CALLER, *msg);
        xo_msg_destroy(msg);
    }
}

/* Asks who handles the request to cancel it. `asked`: of an own call, if it is still there. */
static void send_cancel(const xo_call_t *call, xo_call_t **asked)
{
    if (!call->own_cancel)
        xoi_cancel_send(call->endpoint, call->link, call->target_id, call->seq);
    else if (asked)
        call->own_cancel(asked);
}

static void deadline_passed(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xo_call_t *call = arg;
    xo_call_t **asked = call->asked;
    bool sent = has_left(call) && !xoi_again_waits(call->again);
    /* Failed first, which leaves it alive until the deferred pass: the cancel of a local request
     * may be answered at once. */
    xoi_call_fail(call, XO_CODE_DEADLINE, executed(call), "deadline",
                  "the deadline passed before the answer came");
    if (sent)
        send_cancel(call, asked);
}

static xo_call_t *call_create(xo_endpoint_t *endpoint, xo_link_t *link, xo_answer_f answer,
                              void *arg)
{
    xo_call_t *call = xoi_cache_calloc(sizeof *call);
    if (!call)
        return NULL;
    call->endpoint = endpoint;
    call->seq = ++endpoint->next_seq;
    call->link = link ? xo_link_incref(link) : NULL;
    call->answer = answer;
    call->arg = arg;
    return call;
}

/* One that nobody has heard of. */
static void call_free(xo_call_t *call)
{
    xo_link_decref(call->link);
    xoi_cache_free(call, sizeof *call);
}

void xoi_call_limit(xo_call_t *call, int64_t deadline_ns)
{
    if (deadline_ns <= 0)
        return;
    call->limited = true;
    xo_timer_init(&call->timer, call->endpoint->loop, deadline_passed, call);
    xo_timer_start(&call->timer, deadline_ns);
}

static xo_call_t *call_begin(xo_endpoint_t *endpoint, xo_link_t *link, int64_t deadline_ns,
                             xo_answer_f answer, void *arg, xo_error_t *err)
{
    xo_call_t *call = call_create(endpoint, link, answer, arg);
    if (!call || xoi_table_add(&endpoint->calls, hash_of(call->seq), call) < 0) {
        if (call)
            call_free(call);
        return xo_error_null(err, ENOMEM, "out of memory for a call");
    }
    xo_call_t **list = list_of(call);
    DL_APPEND(*list, call);
    xoi_call_limit(call, deadline_ns);
    return call;
}

/* It could not be made. */
static void call_forget(xo_call_t *call)
{
    unlist(call);
    call_free(call);
}

/* A request from this endpoint to itself: straight to the handler, no lane, no credit. */
void xoi_deliver_local(xo_endpoint_t *endpoint, xo_call_t *call, xo_msg_t **msg)
{
    xoi_own_message(endpoint, xo_msg_bytes(*msg));
    if (call)
        call->in_flight_local = true;
    endpoint->ops.request(endpoint, NULL, msg, endpoint->arg);
    xo_msg_destroy(msg);
    if (call)
        call->in_flight_local = false;
}

xo_call_t *xo_endpoint_call(xo_endpoint_t *endpoint, xo_link_t *link, xo_msg_t **msg,
                            unsigned flags, int64_t deadline_ns, xo_answer_f answer, void *arg,
                            xo_error_t *err)
{
    xo_call_t *call = call_begin(endpoint, link, deadline_ns, answer, arg, err);
    if (!call)
        return NULL;
    call->target_id = xo_msg_header(*msg)->target_id;
    call->there = flags & XO_SEND_THERE;
    xo_msg_set_seq(*msg, call->seq);
    xo_msg_set_sender_id(*msg, endpoint->self.id);
    if (xoi_again_wants(call, *msg) && xoi_again_keep(call, *msg) < 0) {
        call_forget(call);
        return xo_error_null(err, ENOMEM, "out of memory for a call");
    }
    if (xoi_again_stays(call)) {
        xo_msg_destroy(msg);
        return call;
    }
    if (!link) {
        xoi_deliver_local(endpoint, call, msg);
        return call;
    }
    if (call->again && call->again->line)
        xoi_line_stamp(call->again->line, *msg);
    if (link->state <= XOI_LINK_UP && xoi_submit(link, msg, flags, call, NULL, err) < 0) {
        call_forget(call);
        return NULL;
    }
    if (*msg) {
        xo_msg_destroy(msg);
        xoi_call_fail(call, XO_CODE_SERVER_CLOSED, "no", xoi_link_reason(link), link->why.text);
    }
    return call;
}

uint64_t xo_call_seq(const xo_call_t *call)
{
    return call->seq;
}

void xoi_cancel_send(xo_endpoint_t *endpoint, xo_link_t *link, uint64_t target_id, uint64_t seq)
{
    xo_header_t header = {
        .kind = XO_CANCEL, .seq = seq, .target_id = target_id, .sender_id = endpoint->self.id};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    if (!msg)
        return;
    if (link)
        xoi_send_urgent(link, &msg);
    else
        endpoint->ops.request(endpoint, NULL, &msg, endpoint->arg);
    xo_msg_destroy(&msg);
}

/* A local request may be answered at once: its caller hears of it in the deferred pass. Who does
 * not want it any more does not want it to run again. */
static void cancel_sent(xo_call_t *call)
{
    if (call->again)
        xoi_again_cancel(call);
    call->in_flight_local = true;
    send_cancel(call, call->asked);
    call->in_flight_local = false;
}

void xo_call_cancel(xo_call_t *call)
{
    if (call->answered)
        return;
    if (has_left(call) && !xoi_again_waits(call->again))
        cancel_sent(call);
    else
        xoi_call_fail(call, XO_CODE_CANCELLED, executed(call), "cancelled",
                      "cancelled before it was sent");
}

void xo_call_abandon(xo_call_t *call)
{
    call->answer = NULL;
    xo_call_cancel(call);
}

static int tell(xo_endpoint_t *endpoint, xo_link_t *link, xo_msg_t **msg, unsigned flags,
                xoi_notice_t *notice, xo_error_t *err)
{
    if (link && (xo_kind_is_request(xo_msg_header(*msg)->kind) || link->state > XOI_LINK_UP))
        return xoi_submit(link, msg, flags, NULL, notice, err);
    bool news = xo_msg_header(*msg)->kind == XO_HEARTBEAT || (flags & XO_SEND_NEWS);
    if (link && news)
        xoi_news_send(link, msg);
    else if (link)
        xoi_send_urgent(link, msg);
    else
        xoi_deliver_local(endpoint, NULL, msg);
    xoi_notify(endpoint, notice, NULL);
    return 0;
}

/* The notice is made before anything is sent: who waits for it would never hear of a lack of
 * memory afterwards. */
int xo_endpoint_tell(xo_endpoint_t *endpoint, xo_link_t *link, xo_msg_t **msg, unsigned flags,
                     xo_accepted_f accepted, void *arg, xo_error_t *err)
{
    xoi_notice_t *notice = accepted ? calloc(1, sizeof *notice) : NULL;
    if (accepted && !notice)
        return xo_error_set(err, ENOMEM, "out of memory for a message");
    if (notice)
        *notice = (xoi_notice_t){.accepted = accepted, .arg = arg};
    xo_msg_set_sender_id(*msg, endpoint->self.id);
    if (link && xo_kind_is_request(xo_msg_header(*msg)->kind))
        xoi_line_stamp_tell(endpoint, *msg);
    int rc = tell(endpoint, link, msg, flags, notice, err);
    if (rc == 0)
        return 0;
    int saved = errno;
    if (saved == EPIPE)
        xo_endpoint_drop(endpoint, XO_DROP_CLOSED, *msg);
    free(notice);
    errno = saved;
    return -1;
}

xo_return_t xo_return_of(xo_link_t *from, const xo_msg_t *request)
{
    const xo_header_t *header = xo_msg_header(request);
    return (xo_return_t){from, header->sender_id, header->seq};
}

/* There is no memory even for that: whoever waits hears of it all the same. */
static void answer_lost(xo_endpoint_t *endpoint, const xo_return_t *to)
{
    xo_msg_t *none = NULL;
    xo_call_t *call = to->link ? NULL : xoi_call_awaited(endpoint, NULL, to->seq);
    if (to->link)
        xoi_link_break(to->link);
    else if (call)
        xoi_call_finish(call, &none);
}

bool xoi_has_answer(xo_msg_t **answer, uint64_t seq)
{
    if (!*answer)
        *answer = xo_failure_msg(seq, XO_CODE_METHOD, "ran", NULL, "out of memory for the answer");
    return *answer != NULL;
}

void xo_endpoint_answer(xo_endpoint_t *endpoint, const xo_return_t *to, xo_msg_t **answer)
{
    if (!xoi_has_answer(answer, to->seq)) {
        answer_lost(endpoint, to);
        return;
    }
    xo_msg_set_seq(*answer, to->seq);
    if (!to->link) {
        xoi_answer_arrived(endpoint, NULL, answer);
        return;
    }
    xo_msg_set_target_id(*answer, to->to_id);
    xo_msg_set_sender_id(*answer, endpoint->self.id);
    xoi_send_urgent(to->link, answer);
}
