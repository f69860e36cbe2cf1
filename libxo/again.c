/* again.c - idempotent calls whose link ends before their answer are sent again (contract 4), and
 * calls of names that cannot have run (seek.c).
 *
 * The caller's endpoint keeps the request. When the link ends, or the pool refuses it because it is
 * about to end, it dials the address anew, ever less often, and sends the request under its old
 * sequence, so that a receiver that had it already knows it. It goes on until the deadline, while
 * the broker says that the pool there is being started again or somebody listens there; else
 * XOI_AGAIN_NS after the last sign of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/cache.h"
#include "libxo/endpoint_impl.h"

/* What a pool's next process needs that nobody has announced: its broker is slow, or unknown. */
#define XOI_AGAIN_NS (5000 * XO_MS)

static void send_again(xo_timer_t *timer, void *arg);

/* Shares the buffers. NULL: ENOMEM. */
static xo_msg_t *copy(const xo_msg_t *msg, const xo_header_t *header)
{
    zmq_msg_t buffer;
    xo_msg_t *made = xo_msg_create(header, xo_msg_body(msg));
    for (size_t i = 0; made && i < xo_msg_buffer_count(msg); i++) {
        if (xo_msg_copy_buffer((xo_msg_t *)msg, i, &buffer) < 0)
            xo_msg_destroy(&made);
        else if (xo_msg_add_buffer(made, &buffer) < 0) {
            zmq_msg_close(&buffer);
            xo_msg_destroy(&made);
        }
    }
    return made;
}

/* Where it can be dialled anew; "": nowhere. */
static const char *address_of(const xo_link_t *link)
{
    return link->address[0] ? link->address : link->peer.address;
}

static bool joins_line(const xo_call_t *call, const xo_header_t *header)
{
    return !call->there && xo_joins_line(header);
}

/* What is for another endpoint is its sender's to send again. What goes to this endpoint itself
 * need not be, but that its actor may have moved; objects of this process cannot follow it. */
bool xoi_again_wants(const xo_call_t *call, const xo_msg_t *msg)
{
    const xo_link_t *link = call->link;
    const xo_header_t *header = xo_msg_header(msg);
    if (!link)
        return call->endpoint->self.address[0] && joins_line(call, header) && !xo_msg_payload(msg);
    bool wants = (header->flags & XO_F_IDEMPOTENT) || joins_line(call, header);
    return wants && xoi_wants_answer(header) && !header->target_id && address_of(link)[0];
}

int xoi_again_keep(xo_call_t *call, const xo_msg_t *msg)
{
    xo_header_t header = *xo_msg_header(msg);
    xoi_again_t *again = xoi_cache_calloc(sizeof *again);
    if (!again)
        return -1;
    header.incarnation = 0; /* the next one is another */
    again->msg = copy(msg, &header);
    if (!again->msg) {
        xoi_cache_free(again, sizeof *again);
        return -1;
    }
    again->call = call;
    again->idempotent = header.flags & XO_F_IDEMPOTENT;
    again->asks = header.kind == XO_REF;
    again->begun_ns = again->hope_ns = xo_loop_now(call->endpoint->loop);
    again->backoff_ns = XOI_AGAIN_FIRST_NS;
    snprintf(again->address, sizeof again->address, "%s",
             call->link ? address_of(call->link) : call->endpoint->self.address);
    xo_timer_init(&again->timer, call->endpoint->loop, send_again, again);
    if (joins_line(call, &header) && xoi_line_join(again) < 0) {
        xo_msg_destroy(&again->msg);
        xoi_cache_free(again, sizeof *again);
        return -1;
    }
    call->again = again;
    return 0;
}

void xoi_again_forget(xo_call_t *call)
{
    xoi_again_t *again = call->again;
    call->again = NULL;
    xo_timer_stop(&again->timer);
    if (again->line)
        xoi_line_leave(again);
    xo_msg_destroy(&again->msg);
    xo_msg_destroy(&again->refusal);
    xoi_cache_free(again, sizeof *again);
}

/* That of a name's call is still needed, in case it arrives where its actor is not any more. */
void xoi_again_cancel(xo_call_t *call)
{
    if (call->again->line)
        call->again->cancelled = true;
    else
        xoi_again_forget(call);
}

bool xoi_again_waits(const xoi_again_t *again)
{
    return again && again->waits;
}

bool xoi_again_seeks(const xoi_again_t *again)
{
    return again->waits && again->seeks;
}

bool xoi_again_has_left(const xoi_again_t *again)
{
    return again && again->has_left;
}

const char *xoi_again_address(const xoi_again_t *again)
{
    return again->address;
}

/* Was somebody there? One who does not answer the handshake may be busy with its own beginning. */
static bool is_sign(const xo_link_t *link)
{
    return link->peer.id || link->why.errnum == ETIMEDOUT ||
           link->pool_state == XOI_POOL_COMES_BACK;
}

bool xoi_again_may_do_better(const xo_link_t *link)
{
    switch (link->why.errnum) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ESHUTDOWN:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

static bool may_come_back(xoi_again_t *again, const xo_link_t *link)
{
    int64_t now = xo_loop_now(link->endpoint->loop);
    if (is_sign(link))
        again->hope_ns = now;
    return xoi_again_may_do_better(link) && link->pool_state != XOI_POOL_FAILED &&
           now - again->hope_ns < XOI_AGAIN_NS;
}

int64_t xoi_again_backoff(int64_t *backoff_ns)
{
    int64_t now = *backoff_ns;
    *backoff_ns = now < XOI_AGAIN_MAX_NS / 2 ? 2 * now : XOI_AGAIN_MAX_NS;
    return now;
}

static void begin_wait(xoi_again_t *again, bool seeks)
{
    again->waits = true;
    again->seeks = seeks;
    xoi_call_move(again->call, NULL);
    if (seeks) {
        xoi_line_wait(again);
        xoi_seek_later(again->line);
    } else {
        xo_timer_start(&again->timer, xoi_again_backoff(&again->backoff_ns));
    }
}

void xoi_again_seek(xoi_again_t *again)
{
    begin_wait(again, true);
}

bool xoi_again_stays(xo_call_t *call)
{
    xoi_again_t *again = call->again;
    if (!again || !again->line || !again->line->seeks)
        return false;
    again->sought_ns = again->begun_ns;
    begin_wait(again, true);
    return true;
}

bool xoi_again_later(xo_call_t *call)
{
    xo_link_t *link = call->link;
    xoi_again_t *again = call->again;
    if (!again || again->cancelled || !call->answer || call->endpoint->closing)
        return false;
    bool may_come = may_come_back(again, link);
    bool may_run = xoi_call_may_have_run(call);
    bool harmless = again->idempotent || again->asks || !may_run;
    bool may_seek = again->line && harmless && xoi_seek_may(again, link);
    if (!may_seek && !(again->idempotent && may_come))
        return false;
    if (may_seek) { /* in vain: then that is the answer */
        xo_msg_destroy(&again->refusal);
        again->refusal = xoi_call_failure(call, XO_CODE_SERVER_CLOSED, may_run ? "maybe" : "no",
                                          xoi_link_reason(link), link->why.text);
    }
    again->has_left = may_run;
    begin_wait(again, may_seek);
    return true;
}

/* Nobody looks for its actor any more. */
static bool end_cancelled(xo_call_t *call, const xo_failure_t *failure)
{
    if (!xo_slice_eq_str(failure->code, XO_CODE_ACTOR_NOT_EXIST))
        return false;
    xoi_call_fail(call, XO_CODE_CANCELLED, "no", "cancelled",
                  "cancelled before its actor was found");
    return true;
}

/* It was not begun. Its link may live for a while, and the next one leads to the next process. */
bool xoi_again_refused(xo_call_t *call, xo_msg_t **answer)
{
    xo_failure_t failure;
    xoi_again_t *again = call->again;
    if (!again || xo_msg_header(*answer)->kind != XO_ERROR ||
        xo_failure_read(xo_msg_body(*answer), &failure) < 0 ||
        !xo_slice_eq_str(failure.executed, "no"))
        return false;
    if (again->line)
        again->line->asked = false;
    if (!call->answer || call->endpoint->closing)
        return false;
    if (again->cancelled)
        return end_cancelled(call, &failure);
    bool may_come = again->idempotent && xo_slice_eq_str(failure.reason, XO_WHY_POOL_STOPPING);
    bool may_seek = again->line && xoi_seek_may_after(again, &failure);
    if (!may_come && !may_seek)
        return false;
    xo_msg_destroy(&again->refusal);
    again->refusal = *answer;
    *answer = NULL;
    again->hope_ns = xo_loop_now(call->endpoint->loop);
    begin_wait(again, may_seek);
    return true;
}

static uint64_t deadline_left(const xoi_again_t *again, uint64_t deadline_ms)
{
    uint64_t past_ms =
        (uint64_t)(xo_loop_now(again->call->endpoint->loop) - again->begun_ns) / XO_MS;
    if (!deadline_ms)
        return 0;
    return deadline_ms > past_ms ? deadline_ms - past_ms : 1;
}

static xo_msg_t *next_copy(const xoi_again_t *again)
{
    xo_header_t header = *xo_msg_header(again->msg);
    header.deadline_ms = deadline_left(again, header.deadline_ms);
    xo_msg_t *msg = copy(again->msg, &header);
    if (!msg)
        return NULL;
    xo_msg_set_seq(msg, again->call->seq);
    xo_msg_set_sender_id(msg, again->call->endpoint->self.id);
    return msg;
}

static void fail(xo_call_t *call, const char *why)
{
    xoi_call_fail(call, XO_CODE_SERVER_CLOSED, call->again->has_left ? "maybe" : "no", "no link",
                  why);
}

/* In this endpoint itself. */
static void send_here(xo_call_t *call, xo_msg_t **msg)
{
    call->again->waits = false;
    xoi_deliver_local(call->endpoint, call, msg);
}

static bool submit(xoi_again_t *again, xo_link_t *link, xo_msg_t **msg)
{
    xo_error_t err = {0};
    xo_call_t *call = again->call;
    again->waits = false;
    xoi_call_move(call, link);
    if (again->line)
        xoi_line_stamp(again->line, *msg);
    if (xoi_submit(link, msg, XO_SEND_QUEUE, call, NULL, &err) == 0)
        return true;
    xo_msg_destroy(msg);
    if (xoi_again_later(call))
        return false;
    fail(call, err.text);
    return true;
}

bool xoi_again_send(xoi_again_t *again)
{
    xo_error_t err = {0};
    xo_call_t *call = again->call;
    xo_msg_t *msg = next_copy(again);
    bool here = xo_endpoint_is_self(call->endpoint, again->address);
    xo_link_t *link = msg && !here ? xo_endpoint_link(call->endpoint, again->address, &err) : NULL;
    if (link)
        return submit(again, link, &msg);
    if (msg && here) {
        send_here(call, &msg);
        return true;
    }
    fail(call, msg ? err.text : "out of memory for sending a call again");
    xo_msg_destroy(&msg);
    return true;
}

static void send_again(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xoi_again_send(arg);
}
