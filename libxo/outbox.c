/* outbox.c - credit, and what waits for it: requests in the outbox, the rest in `urgent`. */
#include <errno.h>
#include <stdlib.h>

#include "libxo/cache.h"
#include "libxo/endpoint_impl.h"

static bool has_credit(const xo_link_t *link, size_t bytes)
{
    if (link->credit.messages < 1)
        return false;
    return link->credit.bytes >= (int64_t)bytes || link->credit.bytes == link->window.bytes;
}

/* Only requests use up credit; a message that is passed on may be an answer. */
static bool needs_credit(const xo_msg_t *msg)
{
    return xo_kind_is_request(xo_msg_header(msg)->kind);
}

static int lane_send(xo_link_t *link, xo_msg_t **msg)
{
    size_t bytes = xo_msg_bytes(*msg);
    bool counts = needs_credit(*msg);
    if (!link->lane || xo_lane_send(link->lane, msg) < 0)
        return -1;
    if (counts) {
        link->credit.messages--;
        link->credit.bytes -= (int64_t)bytes;
    }
    return 0;
}

/* The peer gives credit back in portions, which always leaves three quarters of the window free in
 * the end. A message that needs more asks for all of it: a credit without a body. */
static void ask_for_credit(xo_link_t *link, size_t bytes)
{
    if (link->state != XOI_LINK_UP || (int64_t)bytes <= link->window.bytes / 2)
        return;
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_CREDIT}, xo_slice(NULL, 0));
    if (msg)
        xoi_send_urgent(link, &msg);
}

static int enqueue(xo_link_t *link, xo_msg_t **msg, xo_call_t *call, xoi_notice_t *notice,
                   xo_error_t *err)
{
    xoi_outgoing_t *outgoing = xoi_cache_alloc(sizeof *outgoing);
    if (!outgoing)
        return xo_error_set(err, ENOMEM, "out of memory for a message that waits");
    *outgoing = (xoi_outgoing_t){.msg = *msg, .call = call, .notice = notice};
    *msg = NULL;
    if (call)
        call->outgoing = outgoing;
    DL_APPEND(link->outbox, outgoing);
    if (link->outbox_count++ == 0)
        ask_for_credit(link, xo_msg_bytes(outgoing->msg));
    return 0;
}

int xoi_submit(xo_link_t *link, xo_msg_t **msg, unsigned flags, xo_call_t *call,
               xoi_notice_t *notice, xo_error_t *err)
{
    bool up = link->state == XOI_LINK_UP;
    if (up && !link->outbox && has_credit(link, xo_msg_bytes(*msg))) {
        if (lane_send(link, msg) == 0) {
            xoi_notify(link->endpoint, notice, 0);
            return 0;
        }
        if (errno == ENOMEM) /* nothing would say when to try again */
            return xo_error_set(err, ENOMEM, "out of memory for a message to %s", link->address);
    }
    if (link->state > XOI_LINK_UP)
        return xo_error_set(err, EPIPE, "the link to %s is closed: %s", link->address,
                            link->why.text);
    bool may_wait = (flags & XO_SEND_QUEUE) || (!up && link->outbox_count < XO_WINDOW_MESSAGES);
    if (!may_wait) {
        link->refused_bytes = xo_msg_bytes(*msg);
        return xo_error_set(err, EAGAIN, "no credit for %s: it has requests to handle first",
                            link->address);
    }
    return enqueue(link, msg, call, notice, err);
}

void xoi_send_urgent(xo_link_t *link, xo_msg_t **msg)
{
    if (link->state > XOI_LINK_UP) {
        xo_endpoint_count_drop(link->endpoint, XO_DROP_CLOSED);
        xo_msg_destroy(msg);
        return;
    }
    if (link->state != XOI_LINK_UP || link->urgent.head || lane_send(link, msg) < 0)
        xo_msgq_push(&link->urgent, msg);
}

/* Takes `outgoing` out of the outbox and frees it; its message too, if it is still there. */
void xoi_outgoing_drop(xo_link_t *link, xoi_outgoing_t *outgoing)
{
    DL_DELETE(link->outbox, outgoing);
    link->outbox_count--;
    if (outgoing->call)
        outgoing->call->outgoing = NULL;
    xo_msg_destroy(&outgoing->msg);
    xoi_cache_free(outgoing, sizeof *outgoing);
}

static int flush_urgent(xo_link_t *link)
{
    while (link->urgent.head) {
        xo_msg_t *msg = xo_msgq_pop(&link->urgent);
        if (lane_send(link, &msg) == 0)
            continue;
        /* Back to the front: push the rest behind it. */
        xo_msgq_t rest = link->urgent;
        link->urgent = (xo_msgq_t){0};
        xo_msgq_push(&link->urgent, &msg);
        while ((msg = xo_msgq_pop(&rest)))
            xo_msgq_push(&link->urgent, &msg);
        return -1;
    }
    return 0;
}

static void tell_waiters(xo_link_t *link)
{
    while (link->waiters && link->state == XOI_LINK_UP && !link->outbox &&
           has_credit(link, link->refused_bytes)) {
        xoi_waiter_t *waiter = link->waiters;
        DL_DELETE(link->waiters, waiter);
        waiter->room(link, waiter->arg);
        free(waiter);
    }
}

void xoi_outbox_flush(xo_link_t *link)
{
    if (link->state != XOI_LINK_UP || flush_urgent(link) < 0)
        return;
    xo_link_incref(link);
    while (link->outbox && has_credit(link, xo_msg_bytes(link->outbox->msg))) {
        xoi_outgoing_t *outgoing = link->outbox;
        if (lane_send(link, &outgoing->msg) < 0)
            break;
        xoi_notify(link->endpoint, outgoing->notice, 0);
        xoi_outgoing_drop(link, outgoing);
        if (link->outbox)
            ask_for_credit(link, xo_msg_bytes(link->outbox->msg));
    }
    tell_waiters(link);
    xo_link_decref(link);
}

/* The link is closed: what waits never leaves. Calls are answered by xoi_calls_of_link_fail. */
void xoi_outbox_fail(xo_link_t *link)
{
    while (link->outbox) {
        xoi_outgoing_t *outgoing = link->outbox;
        if (!outgoing->call) {
            xo_endpoint_count_drop(link->endpoint, XO_DROP_CLOSED);
            xoi_notify(link->endpoint, outgoing->notice, EPIPE);
        }
        xoi_outgoing_drop(link, outgoing);
    }
    for (; link->urgent.count; xo_endpoint_count_drop(link->endpoint, XO_DROP_CLOSED)) {
        xo_msg_t *msg = xo_msgq_pop(&link->urgent);
        xo_msg_destroy(&msg);
    }
    while (link->waiters) {
        xoi_waiter_t *waiter = link->waiters;
        DL_DELETE(link->waiters, waiter);
        waiter->room(link, waiter->arg);
        free(waiter);
    }
}

int xo_link_on_room(xo_link_t *link, xo_room_f room, void *arg)
{
    xoi_waiter_t *waiter = calloc(1, sizeof *waiter);
    if (!waiter)
        return -1;
    waiter->room = room;
    waiter->arg = arg;
    DL_APPEND(link->waiters, waiter);
    ask_for_credit(link, SIZE_MAX / 2);
    return 0;
}

/* ---- the receiving side ---- */

static void give_back(xo_link_t *link)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[I I]", link->handled.messages, link->handled.bytes);
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_CREDIT}, xo_buf_slice(&body));
    xo_buf_free(&body);
    if (!msg)
        return;
    link->held.messages -= link->handled.messages;
    link->held.bytes -= link->handled.bytes;
    link->handled = (xoi_credit_t){0, 0};
    link->eager = link->eager && link->held.messages > 0;
    xoi_send_urgent(link, &msg);
}

/* The end of a pass in which requests of an eager peer were handled. */
void xoi_credit_deferred(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_link_t *link = arg;
    if (link->state == XOI_LINK_UP && link->handled.messages > 0)
        give_back(link);
}

void xo_endpoint_consumed(xo_endpoint_t *endpoint, xo_link_t *link, size_t bytes)
{
    if (!link || link->state != XOI_LINK_UP)
        return;
    const xo_endpoint_options_t *options = &endpoint->options;
    link->handled.messages++;
    link->handled.bytes += (int64_t)bytes;
    if (link->handled.messages >= (int64_t)options->window_messages / 4 ||
        link->handled.bytes >= (int64_t)(options->window_bytes / 4))
        give_back(link);
    else if (link->eager)
        xo_defer_start(&link->credit_defer);
}

/* Accounts for a request that arrived. -1: the peer had no credit for it. */
int xoi_credit_take(xo_link_t *link, size_t bytes)
{
    const xo_endpoint_options_t *options = &link->endpoint->options;
    bool first = link->held.bytes == 0;
    link->held.messages++;
    link->held.bytes += (int64_t)bytes;
    if (link->held.messages > (int64_t)options->window_messages)
        return -1;
    return link->held.bytes > (int64_t)options->window_bytes && !first ? -1 : 0;
}

void xoi_credit_arrived(xo_link_t *link, const xo_msg_t *msg)
{
    int64_t messages;
    int64_t bytes;
    if (xo_msg_body(msg).size == 0) {
        link->eager = true;
        give_back(link);
        return;
    }
    if (xo_unpack(xo_msg_body(msg), NULL, "[I I]", &messages, &bytes) < 0 || messages < 0 ||
        bytes < 0 || messages > link->window.messages - link->credit.messages ||
        bytes > link->window.bytes - link->credit.bytes) {
        xoi_link_protocol_error(link, "credit that was never used");
        return;
    }
    link->credit.messages += messages;
    link->credit.bytes += bytes;
    xoi_outbox_flush(link);
}
