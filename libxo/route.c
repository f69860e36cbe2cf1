/* route.c - where a message that arrived on a link goes: here, to somebody else, or nowhere.
 *
 * A request for somebody else is passed on as a call of our own (a *proxy*), so that its caller
 * gets exactly one answer whatever happens behind us, and its credit goes back when it has left.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libxo/codec_impl.h"
#include "libxo/endpoint_impl.h"

bool xoi_wants_answer(const xo_header_t *header)
{
    return xo_kind_is_request(header->kind) && header->kind != XO_TELL &&
           !(header->flags & XO_F_NO_ANSWER);
}

static void answer_error(xo_endpoint_t *endpoint, const xo_return_t *to, const char *code,
                         const char *reason, const char *message)
{
    xo_msg_t *answer = xo_failure_msg(to->seq, code, "no", reason, "%s", message);
    xo_endpoint_answer(endpoint, to, &answer);
}

/* ---- passing on ---- */

static void proxy_free(xoi_proxy_t *proxy)
{
    HASH_DEL(proxy->endpoint->proxies, proxy);
    xo_link_decref(proxy->to.link);
    free(proxy);
}

static void proxy_answered(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xoi_proxy_t *proxy = arg;
    xo_endpoint_consumed(proxy->endpoint, proxy->to.link, proxy->bytes);
    xo_endpoint_answer(proxy->endpoint, &proxy->to, answer);
    proxy_free(proxy);
}

bool xoi_codec_passes(const xo_call_t *call)
{
    return call->answer == proxy_answered;
}

static xoi_proxy_t *proxy_create(xo_endpoint_t *endpoint, xo_link_t *from, const xo_msg_t *msg)
{
    xoi_proxy_t *proxy = calloc(1, sizeof *proxy);
    if (!proxy)
        return NULL;
    proxy->endpoint = endpoint;
    proxy->to = xo_return_of(xo_link_incref(from), msg);
    proxy->key.sender_id = proxy->to.to_id;
    proxy->key.seq = proxy->to.seq;
    proxy->bytes = xo_msg_bytes(msg);
    HASH_ADD(hh, endpoint->proxies, key, sizeof proxy->key, proxy);
    if (XOI_HASHED(hh, proxy))
        return proxy;
    xo_link_decref(proxy->to.link);
    free(proxy);
    return NULL;
}

static void pass_on_call(xo_endpoint_t *endpoint, xo_link_t *from, xo_link_t *to, xo_msg_t **msg)
{
    xo_return_t back = xo_return_of(from, *msg);
    size_t bytes = xo_msg_bytes(*msg);
    xoi_proxy_t *proxy = proxy_create(endpoint, from, *msg);
    if (proxy)
        proxy->call =
            xo_endpoint_call(endpoint, to, msg, XO_SEND_QUEUE, 0, proxy_answered, proxy, NULL);
    if (proxy && proxy->call)
        return;
    if (proxy)
        proxy_free(proxy);
    xo_endpoint_consumed(endpoint, from, bytes);
    answer_error(endpoint, &back, XO_CODE_SERVER_CLOSED, "relay", "out of memory for relaying");
}

typedef struct xoi_passed_tell {
    xo_link_t *from;
    size_t bytes;
} xoi_passed_tell_t;

static void tell_left(const xo_failure_t *why, void *arg)
{
    (void)why; /* counted as a dead letter already */
    xoi_passed_tell_t *tell = arg;
    xo_endpoint_consumed(tell->from->endpoint, tell->from, tell->bytes);
    xo_link_decref(tell->from);
    free(tell);
}

static void pass_on_tell(xo_endpoint_t *endpoint, xo_link_t *from, xo_link_t *to, xo_msg_t **msg)
{
    xoi_passed_tell_t *tell = calloc(1, sizeof *tell);
    size_t bytes = xo_msg_bytes(*msg);
    if (tell) {
        *tell = (xoi_passed_tell_t){xo_link_incref(from), bytes};
        if (xo_endpoint_tell(endpoint, to, msg, XO_SEND_QUEUE, tell_left, tell, NULL) == 0)
            return;
        xo_link_decref(from);
        free(tell);
    } else {
        xo_endpoint_drop(endpoint, XO_DROP_CLOSED, *msg);
    }
    xo_endpoint_consumed(endpoint, from, bytes);
}

static void no_route(xo_endpoint_t *endpoint, xo_link_t *from, const xo_msg_t *msg,
                     const char *message)
{
    xo_return_t back = xo_return_of(from, msg);
    xo_endpoint_drop(endpoint, XO_DROP_NO_ROUTE, msg);
    if (xo_kind_is_request(xo_msg_header(msg)->kind))
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(msg));
    if (xoi_wants_answer(xo_msg_header(msg)))
        answer_error(endpoint, &back, XO_CODE_SERVER_CLOSED, "no route", message);
}

/* Cancels by the caller's name what was passed on under ours. */
static bool cancel_proxy(xo_endpoint_t *endpoint, const xo_link_t *from, const xo_header_t *header)
{
    xoi_proxy_t key = {.key = {header->sender_id, header->seq}};
    xoi_proxy_t *proxy = NULL;
    HASH_FIND(hh, endpoint->proxies, &key.key, sizeof key.key, proxy);
    if (proxy && proxy->to.link == from)
        xo_call_cancel(proxy->call);
    return proxy != NULL;
}

static void pass_on(xo_endpoint_t *endpoint, xo_link_t *from, xo_link_t *to, xo_msg_t **msg)
{
    const xo_header_t *header = xo_msg_header(*msg);
    if (!to)
        no_route(endpoint, from, *msg, "nobody here knows the endpoint that it is for");
    else if (xoi_wants_answer(header))
        pass_on_call(endpoint, from, to, msg);
    else if (xo_kind_is_request(header->kind))
        pass_on_tell(endpoint, from, to, msg);
}

/* ---- arriving ---- */

static void pool_died(xo_endpoint_t *endpoint, const xo_msg_t *msg)
{
    int64_t id;
    uint64_t peer_id;
    xo_slice_t raw;
    char reason[256];
    xo_slice_t body = xo_msg_body(msg);
    if (!xo_slice_eq_str(xo_msg_header(msg)->method, "pool.down") ||
        xo_map_get(body, "endpoint", &raw) < 0)
        return;
    xo_reader_t reader = xo_reader(raw);
    if (xo_read_uint(&reader, &peer_id) < 0) {
        if (xo_map_get_int(body, "endpoint", &id) < 0)
            return;
        peer_id = (uint64_t)id;
    }
    if (xo_map_get_str(body, "reason", reason, sizeof reason) < 0)
        snprintf(reason, sizeof reason, "unknown");
    xo_endpoint_peer_down(endpoint, peer_id, reason);
}

static void said_goodbye(xo_link_t *link, const xo_msg_t *msg)
{
    xo_slice_t text = {"", 0};
    xo_error_t why;
    xoi_goodbye_read(link, xo_msg_body(msg), &text);
    xo_error_set(&why, ESHUTDOWN, "%s closed the link%s%.*s",
                 link->address[0] ? link->address : "the peer", text.size ? ": " : "",
                 (int)text.size, text.data);
    if (link->lane)
        xo_lane_set_peer_left(link->lane);
    if (xoi_bulk_lane(link))
        xo_lane_set_peer_left(xoi_bulk_lane(link));
    xoi_link_end(link, &why, xoi_bulk_awaited(link));
}

static bool is_in_own_name(xo_link_t *link, const xo_msg_t *msg)
{
    if (xo_msg_header(msg)->sender_id == link->peer.id)
        return true;
    /* Whoever passes a request on sends it as its own. */
    xoi_link_protocol_error(link, "a request in another's name");
    return false;
}

void xoi_credit_overrun(xo_link_t *link)
{
    xo_endpoint_count_drop(link->endpoint, XO_DROP_OVERRUN);
    xoi_link_protocol_error(link, "it sent more than its credit");
}

bool xoi_request_admit(xo_link_t *link, const xo_msg_t *msg, bool in_chunks)
{
    if (!is_in_own_name(link, msg))
        return false;
    if (xoi_credit_take_message(link) == 0 &&
        (in_chunks || xoi_credit_take_bytes(link, xo_msg_bytes(msg)) == 0))
        return true;
    xoi_credit_overrun(link);
    return false;
}

void xoi_request(xo_link_t *link, xo_msg_t **msg)
{
    xo_endpoint_t *endpoint = link->endpoint;
    const xo_header_t *header = xo_msg_header(*msg);
    bool for_other = header->target_id && header->target_id != endpoint->self.id;
    bool for_broker = endpoint->self.role == XO_ROLE_POOL && !for_other && endpoint->broker &&
                      xo_slice_eq_str(header->target_uid, XO_BROKER_UID);
    if (for_broker)
        pass_on(endpoint, link, endpoint->broker, msg);
    else if (for_other && endpoint->options.relay)
        pass_on(endpoint, link, xo_endpoint_link_by_id(endpoint, header->target_id), msg);
    else if (for_other)
        no_route(endpoint, link, *msg, "the endpoint that it is for is not this one");
    else if (!xoi_codec_refuses_request(link, *msg))
        endpoint->ops.request(endpoint, link, msg, endpoint->arg);
}

static void cancel(xo_link_t *link, xo_msg_t **msg)
{
    xo_endpoint_t *endpoint = link->endpoint;
    const xo_header_t *header = xo_msg_header(*msg);
    if (is_in_own_name(link, *msg) && !xoi_bulk_cancel(link, header->seq) &&
        !cancel_proxy(endpoint, link, header))
        endpoint->ops.request(endpoint, link, msg, endpoint->arg);
}

void xoi_route(xo_link_t *link, xo_msg_t **msg)
{
    xo_endpoint_t *endpoint = link->endpoint;
    if (link->state == XOI_LINK_DIALING || link->state == XOI_LINK_ACCEPTED) {
        xoi_greet(link, *msg);
        return;
    }
    switch (xo_msg_header(*msg)->kind) {
    case XO_HELLO:
    case XO_WELCOME:
        xoi_link_protocol_error(link, "a second handshake");
        break;
    case XO_RESULT:
    case XO_ERROR:
        xoi_credit_answered(link, xo_msg_bytes(*msg));
        xoi_answer_arrived(endpoint, link, msg);
        break;
    case XO_CREDIT:
        xoi_credit_arrived(link, *msg);
        break;
    case XO_EVENT:
        pool_died(endpoint, *msg);
        /* fall through */
    case XO_HEARTBEAT:
        xoi_credit_news(link);
        if (endpoint->ops.event)
            endpoint->ops.event(endpoint, link, *msg, endpoint->arg);
        break;
    case XO_GOODBYE:
        said_goodbye(link, *msg);
        break;
    case XO_ATTACH:
        xoi_bulk_attach_main(link);
        break;
    case XO_BULK:
        xoi_bulk_announced(link, msg);
        break;
    case XO_CHUNK:
        xoi_bulk_chunk(link, msg);
        break;
    case XO_TAKEN:
        xoi_bulk_taken(link, *msg);
        break;
    case XO_CANCEL:
        cancel(link, msg);
        break;
    default:
        if (xoi_request_admit(link, *msg, false) && !xoi_bulk_hold(link, msg))
            xoi_request(link, msg);
    }
}
