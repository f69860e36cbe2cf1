/* outbox.c - credit, and what waits for it: requests in the outbox, the rest in `urgent`. */
#include <errno.h>
#include <stdlib.h>

#include "libxo/cache.h"
#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

/* The part of a link's credit that a message of `bytes` bytes is counted in. */
static int64_t *account(const xo_link_t *link, xoi_credit_t *credit, size_t bytes)
{
    return link->bulk_window && bytes >= XO_INLINE_BYTES_MAX ? &credit->large : &credit->bytes;
}

static bool fits(int64_t credit, const xo_link_t *link, size_t bytes)
{
    return credit >= (int64_t)bytes || credit == link->window.bytes;
}

/* `bulk`: it goes in chunks, which use up credit when they go. */
static bool has_credit(xo_link_t *link, size_t bytes, bool bulk)
{
    if (link->credit.messages < 1)
        return false;
    return bulk ? xoi_bulk_has_room(link, bytes)
                : fits(*account(link, &link->credit, bytes), link, bytes);
}

static bool may_send(xo_link_t *link, const xo_msg_t *msg)
{
    return has_credit(link, xo_msg_bytes(msg), xoi_bulk_wants(link, msg));
}

bool xoi_credit_use_large(xo_link_t *link, size_t bytes)
{
    if (!fits(link->credit.large, link, bytes))
        return false;
    link->credit.large -= (int64_t)bytes;
    return true;
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
    bool news = xoi_is_news(xo_msg_header(*msg)->kind);
    bool bulk = xoi_bulk_wants(link, *msg);
    bool is_tell = xoi_is_tell(*msg);
    if (!link->lane)
        return -1;
    if ((bulk ? xoi_bulk_send(link, msg) : xo_lane_send(link->lane, msg)) < 0)
        return -1;
    link->credit.news -= news;
    if (counts) {
        xoi_left_add(&link->left, is_tell);
        link->credit.messages--;
        if (!bulk)
            *account(link, &link->credit, bytes) -= (int64_t)bytes;
    }
    return 0;
}

/* What waits is sent when the lane has room again; no memory is nothing that it would say. */
int xoi_send_or_break(xo_link_t *link, xo_msg_t **msg)
{
    if (lane_send(link, msg) == 0)
        return 0;
    if (errno == ENOMEM)
        xoi_link_break(link);
    return -1;
}

/* The peer gives credit back in portions, which always leaves three quarters of the window free in
 * the end. A message that needs more asks for all of it: a credit without a body. */
void xoi_credit_ask(xo_link_t *link, size_t bytes)
{
    if (link->state != XOI_LINK_UP || (int64_t)bytes <= link->window.bytes / 2)
        return;
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_CREDIT}, xo_slice(NULL, 0));
    if (msg)
        xoi_send_urgent(link, &msg);
    else
        xoi_link_break(link);
}

/* Where it waits, and where it is counted. */
static xoi_outgoing_t **outbox_of(xo_link_t *link, xoi_muted_t *muted)
{
    return muted ? &muted->outbox : &link->outbox;
}

static int enqueue(xo_link_t *link, xoi_muted_t *muted, xo_msg_t **msg, xo_call_t *call,
                   xoi_notice_t *notice, xo_error_t *err)
{
    xoi_outgoing_t *outgoing = xoi_cache_alloc(sizeof *outgoing);
    if (!outgoing)
        return xo_error_set(err, ENOMEM, "out of memory for a message that waits");
    *outgoing = (xoi_outgoing_t){
        .msg = *msg, .bytes = xo_msg_bytes(*msg), .call = call, .notice = notice, .muted = muted};
    *msg = NULL;
    if (call)
        call->outgoing = outgoing;
    xoi_outgoing_t **outbox = outbox_of(link, muted);
    DL_APPEND(*outbox, outgoing);
    link->outbox_count++;
    link->outbox_bytes += outgoing->bytes;
    if (link->outbox == outgoing)
        xoi_credit_ask(link, outgoing->bytes);
    return 0;
}

/* Before the handshake: as much as this end grants, since what the peer does is not known. */
static bool may_wait(const xo_link_t *link, const xo_msg_t *msg)
{
    const xo_endpoint_options_t *options = &link->endpoint->options;
    return !link->outbox || (link->outbox_count < options->window_messages &&
                             link->outbox_bytes + xo_msg_bytes(msg) <= options->window_bytes);
}

int xoi_submit(xo_link_t *link, xo_msg_t **msg, unsigned flags, xo_call_t *call,
               xoi_notice_t *notice, xo_error_t *err)
{
    bool up = link->state == XOI_LINK_UP;
    bool gone =
        false; /* the lane is, and says so in a moment: what waits until then fails with it */
    xoi_muted_t *muted = link->muted ? xoi_muted_for(link, *msg) : NULL;
    if (up && !muted && !link->outbox && may_send(link, *msg)) {
        if (lane_send(link, msg) == 0) {
            xoi_notify(link->endpoint, notice, NULL);
            return 0;
        }
        gone = errno == EPIPE;
        if (errno == ENOMEM) /* nothing would say when to try again */
            return xo_error_set(err, ENOMEM, "out of memory for a message to %s", link->address);
    }
    if (link->state > XOI_LINK_UP)
        return xo_error_set(err, EPIPE, "the link to %s is closed: %s", link->address,
                            link->why.text);
    bool waits = muted || (!gone && (up || !may_wait(link, *msg)));
    if (waits && !(flags & XO_SEND_QUEUE)) {
        link->refused_bytes = xo_msg_bytes(*msg);
        link->refused_bulk = xoi_bulk_wants(link, *msg);
        return xo_error_set(err, EAGAIN, "no credit for %s: it has requests to handle first",
                            link->address);
    }
    return enqueue(link, muted, msg, call, notice, err);
}

void xoi_send_urgent(xo_link_t *link, xo_msg_t **msg)
{
    if (link->state > XOI_LINK_UP) {
        xo_endpoint_drop(link->endpoint, XO_DROP_CLOSED, *msg);
        xo_msg_destroy(msg);
        return;
    }
    if (xoi_is_answer(xo_msg_header(*msg)->kind))
        link->credit.answers -= (int64_t)xo_msg_bytes(*msg);
    if (link->state != XOI_LINK_UP || link->urgent.head || xoi_send_or_break(link, msg) < 0)
        xo_msgq_push(&link->urgent, msg);
}

/* Takes `outgoing` out of the outbox and frees it; its message too, if it is still there. */
void xoi_outgoing_drop(xo_link_t *link, xoi_outgoing_t *outgoing)
{
    xoi_outgoing_t **outbox = outbox_of(link, outgoing->muted);
    DL_DELETE(*outbox, outgoing);
    link->outbox_count--;
    link->outbox_bytes -= outgoing->bytes;
    if (outgoing->call)
        outgoing->call->outgoing = NULL;
    xo_msg_destroy(&outgoing->msg);
    xoi_cache_free(outgoing, sizeof *outgoing);
}

static int flush_urgent(xo_link_t *link)
{
    while (link->urgent.head) {
        xo_msg_t *msg = xo_msgq_pop(&link->urgent);
        if (xoi_send_or_break(link, &msg) == 0)
            continue;
        xo_msgq_push_front(&link->urgent, &msg);
        return -1;
    }
    return 0;
}

static void tell_waiters(xo_link_t *link)
{
    while (link->waiters && link->state == XOI_LINK_UP && !link->outbox &&
           has_credit(link, link->refused_bytes, link->refused_bulk)) {
        xoi_waiter_t *waiter = link->waiters;
        DL_DELETE(link->waiters, waiter);
        waiter->room(link, waiter->arg);
        xoi_cache_free(waiter, sizeof *waiter);
    }
}

void xoi_outbox_flush(xo_link_t *link)
{
    if (link->state != XOI_LINK_UP || xoi_news_flush(link) < 0 || flush_urgent(link) < 0 ||
        xoi_news_flush(link) < 0)
        return;
    xo_link_incref(link);
    while (link->outbox && may_send(link, link->outbox->msg)) {
        xoi_outgoing_t *outgoing = link->outbox;
        if (xoi_send_or_break(link, &outgoing->msg) < 0)
            break;
        xoi_notify(link->endpoint, outgoing->notice, NULL);
        xoi_outgoing_drop(link, outgoing);
        if (link->outbox)
            xoi_credit_ask(link, link->outbox->bytes);
    }
    tell_waiters(link);
    xo_link_decref(link);
}

/* The link is closed: what waits never leaves. Calls are answered by xoi_calls_of_link_fail. */
void xoi_outbox_fail(xo_link_t *link)
{
    xoi_mutes_end(link);
    while (link->outbox) {
        xoi_outgoing_t *outgoing = link->outbox;
        if (!outgoing->call) {
            xo_endpoint_drop(link->endpoint, XO_DROP_CLOSED, outgoing->msg);
            xoi_notify(link->endpoint, outgoing->notice, link);
        }
        xoi_outgoing_drop(link, outgoing);
    }
    xoi_news_fail(link);
    while (link->urgent.count) {
        xo_msg_t *msg = xo_msgq_pop(&link->urgent);
        xo_endpoint_drop(link->endpoint, XO_DROP_CLOSED, msg);
        xo_msg_destroy(&msg);
    }
    while (link->waiters) {
        xoi_waiter_t *waiter = link->waiters;
        DL_DELETE(link->waiters, waiter);
        waiter->room(link, waiter->arg);
        xoi_cache_free(waiter, sizeof *waiter);
    }
}

int xoi_wait_for_room(xo_link_t *link, xoi_waiter_t **waiters, xo_room_f room, void *arg)
{
    xoi_waiter_t *waiter = xoi_cache_calloc(sizeof *waiter);
    if (!waiter)
        return -1;
    waiter->room = room;
    waiter->arg = arg;
    DL_APPEND(*waiters, waiter);
    xoi_credit_ask(link, SIZE_MAX / 2);
    return 0;
}

int xo_link_on_room(xo_link_t *link, xo_room_f room, void *arg)
{
    return xoi_wait_for_room(link, &link->waiters, room, arg);
}

/* ---- the receiving side ---- */

/* Of a credit's body: what a peer has no account for is not said. */
static const char *credit_format(const xo_link_t *link)
{
    if (link->counts_news)
        return "[I I I I I]";
    if (link->counts_answers)
        return "[I I I I]";
    return link->bulk_window ? "[I I I]" : "[I I]";
}

static void give_back(xo_link_t *link)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, credit_format(link), link->handled.messages, link->handled.bytes,
                   link->handled.large, link->handled.answers, link->handled.news);
    xo_msg_t *msg = xoi_msg_of(&(xo_header_t){.kind = XO_CREDIT}, &body);
    xo_buf_free(&body);
    if (!msg) {
        xoi_link_break(link);
        return;
    }
    link->held.messages -= link->handled.messages;
    link->held.bytes -= link->handled.bytes;
    link->held.large -= link->handled.large;
    link->handled = (xoi_credit_t){0};
    xoi_boxed_paid(link);
    link->eager = link->eager && link->held.messages > 0;
    xoi_send_urgent(link, &msg);
}

void xoi_credit_settle(xo_link_t *link)
{
    if (link->state == XOI_LINK_UP && link->handled.messages > 0)
        give_back(link);
}

/* The end of a pass in which requests of an eager peer were handled, or memory ran out. */
void xoi_credit_deferred(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_link_t *link = arg;
    xo_error_t why;
    if (link->broken) {
        xo_error_set(&why, ENOMEM, "out of memory for a message to %s",
                     link->address[0] ? link->address : "a client");
        xoi_link_closed(link, &why);
    } else
        xoi_credit_settle(link);
}

void xo_endpoint_consumed(xo_endpoint_t *endpoint, xo_link_t *link, size_t bytes)
{
    if (!link || link->state != XOI_LINK_UP)
        return;
    const xo_endpoint_options_t *options = &endpoint->options;
    link->handled.messages++;
    int64_t *handled = account(link, &link->handled, bytes);
    *handled += (int64_t)bytes;
    if (link->handled.messages >= (int64_t)options->window_messages / 4 ||
        *handled >= (int64_t)(options->window_bytes / 4))
        give_back(link);
    else if (link->eager)
        xo_defer_start(&link->credit_defer);
}

void xoi_credit_answered(xo_link_t *link, size_t bytes)
{
    if (!link->counts_answers)
        return;
    link->handled.answers += (int64_t)bytes;
    if (link->handled.answers >= (int64_t)(link->endpoint->options.window_bytes / 4))
        give_back(link);
}

void xoi_credit_news(xo_link_t *link)
{
    if (link->counts_news && ++link->handled.news >= XOI_NEWS_WINDOW / 4)
        give_back(link);
}

bool xo_link_takes_answers(const xo_link_t *link)
{
    return link->credit.answers > 0 || !link->counts_answers || link->state != XOI_LINK_UP;
}

int xoi_credit_take_message(xo_link_t *link)
{
    return ++link->held.messages > (int64_t)link->endpoint->options.window_messages ? -1 : 0;
}

int xoi_credit_take_bytes(xo_link_t *link, size_t bytes)
{
    int64_t *held = account(link, &link->held, bytes);
    bool first = *held == 0;
    *held += (int64_t)bytes;
    return *held > (int64_t)link->endpoint->options.window_bytes && !first ? -1 : 0;
}

static int read_credit(const xo_link_t *link, const xo_msg_t *msg, xoi_credit_t *credit)
{
    *credit = (xoi_credit_t){0};
    return xo_unpack(xo_msg_body(msg), NULL, credit_format(link), &credit->messages, &credit->bytes,
                     &credit->large, &credit->answers, &credit->news);
}

static bool was_used(int64_t given, int64_t window, int64_t credit)
{
    return given >= 0 && given <= window - credit;
}

void xoi_credit_arrived(xo_link_t *link, const xo_msg_t *msg)
{
    xoi_credit_t given;
    if (xo_msg_header(msg)->target_uid.size) {
        xoi_mute_arrived(link, msg);
        return;
    }
    if (xo_msg_body(msg).size == 0) {
        link->eager = true;
        give_back(link);
        return;
    }
    if (read_credit(link, msg, &given) < 0 ||
        !was_used(given.messages, link->window.messages, link->credit.messages) ||
        !was_used(given.bytes, link->window.bytes, link->credit.bytes) ||
        !was_used(given.large, link->window.large, link->credit.large) ||
        !was_used(given.answers, link->window.answers, link->credit.answers) ||
        !was_used(given.news, link->window.news, link->credit.news)) {
        xoi_link_protocol_error(link, "credit that was never used");
        return;
    }
    bool took_answers = xo_link_takes_answers(link);
    xoi_left_taken(&link->left, given.messages);
    link->credit.messages += given.messages;
    link->credit.bytes += given.bytes;
    link->credit.large += given.large;
    link->credit.answers += given.answers;
    link->credit.news += given.news;
    xoi_bulk_pump(link);
    xoi_outbox_flush(link);
    if (!took_answers && xo_link_takes_answers(link) && link->endpoint->ops.answers_taken)
        link->endpoint->ops.answers_taken(link->endpoint, link, link->endpoint->arg);
}
