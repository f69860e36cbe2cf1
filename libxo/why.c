/* why.c - why a pool of this machine is not there (any more), in its broker's words: that sees how
 * the process ended, and tells all who are linked to it. Where we are not, it is asked.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

/* ---- asking ---- */

/* `answered` gets the link, with a reference. false: it cannot be asked. */
static bool ask(xo_link_t *link, xo_link_t *broker, xo_buf_t *body, xo_answer_f answered)
{
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("pool.why")};
    xo_msg_t *msg = xoi_msg_of(&header, body);
    xo_buf_free(body);
    xo_call_t *call = msg ? xo_endpoint_call(link->endpoint, broker, &msg, XO_SEND_QUEUE,
                                             XOI_WHY_MS * XO_MS, answered, link, NULL)
                          : NULL;
    xo_msg_destroy(&msg);
    if (call)
        xo_link_incref(link);
    return call;
}

static bool was_told(const xo_msg_t *answer, xo_slice_t *what, xo_slice_t *reason)
{
    return answer && xo_msg_header(answer)->kind == XO_RESULT &&
           xo_unpack(xo_msg_body(answer), NULL, "[s s]", what, reason) == 0;
}

/* ---- nobody at an address ---- */

static bool is_absent(const xo_link_t *link)
{
    int errnum = link->why.errnum;
    return link->state == XOI_LINK_DIALING && !strstr(link->address, "://") && !link->door[0] &&
           (errnum == ECONNREFUSED || errnum == ETIMEDOUT || errnum == EHOSTUNREACH);
}

/* A pool of the broker's node may have been there, or one of another's is behind a firewall. */
static bool broker_may_know(const xo_link_t *link)
{
    const xo_endpoint_t *endpoint = link->endpoint;
    return endpoint->broker && endpoint->broker != link && xo_link_up(endpoint->broker);
}

static void on_absence(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_link_t *link = arg;
    xo_slice_t what;
    xo_slice_t reason;
    char door[XO_ADDRESS_BYTES] = "";
    if (link->state != XOI_LINK_DYING || !was_told(*answer, &what, &reason)) {
        xo_link_go_by(link, door);
    } else if (xo_slice_eq_str(what, XO_IS_BEHIND)) {
        snprintf(door, sizeof door, "%.*s", (int)reason.size, reason.data);
        xo_link_go_by(link, door);
    } else {
        snprintf(link->reason, sizeof link->reason, "%.*s", (int)reason.size, reason.data);
        link->pool_state =
            xo_slice_eq_str(what, "has failed") ? XOI_POOL_FAILED : XOI_POOL_COMES_BACK;
        xo_error_set(&link->why, ECONNREFUSED, "the pool at %s %.*s", link->address, (int)what.size,
                     what.data);
        xoi_link_finish(link);
    }
    xo_link_decref(link);
}

static bool ask_about_address(xo_link_t *link)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[[s] {}]", link->address);
    return ask(link, link->endpoint->broker, &body, on_absence);
}

/* ---- a process that died ---- */

/* Our broker is the pool's, as far as one knows: a pool that has joined by itself may not have
 * known its node when it said who it is. */
static bool has_its_broker(const xo_link_t *link)
{
    const xo_link_t *broker = link->endpoint->broker;
    return broker && broker != link && xo_link_up(broker) &&
           (!link->peer.node_id || link->peer.node_id == broker->peer.node_id);
}

/* A pool that stands alone would join by it. To one of its own node a link means that the pool has
 * joined and named its actors: when its link is away, only joining anew may dial. */
static bool may_ask_its_broker(const xo_link_t *link)
{
    const xo_identity_t *self = &link->endpoint->self;
    return link->peer.node_id &&
           (self->role != XO_ROLE_POOL || (self->node_id && self->node_id != link->peer.node_id));
}

/* That it knows of no end yet (nil) means that it tells us when it does: we are linked to it. */
static void on_death(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_link_t *link = arg;
    char text[XO_ERROR_TEXT_BYTES];
    xo_slice_t what;
    xo_slice_t reason;
    bool knows_it = *answer && xo_msg_header(*answer)->kind == XO_RESULT;
    if (link->state == XOI_LINK_DYING && was_told(*answer, &what, &reason)) {
        snprintf(text, sizeof text, "%.*s", (int)reason.size, reason.data);
        xo_endpoint_peer_down(link->endpoint, link->peer.id, text);
    } else if (link->state == XOI_LINK_DYING && !knows_it) {
        xoi_link_finish(link);
    }
    xo_link_decref(link);
}

static bool ask_its_broker(xo_link_t *link)
{
    xo_endpoint_t *endpoint = link->endpoint;
    char address[XOI_LINK_ADDRESS_BYTES];
    char pool[17];
    xo_buf_t body = XO_BUF_INIT;
    int size = snprintf(address, sizeof address, "ipc://%s/n-%016" PRIx64 "/broker.sock",
                        xo_ctx_run_dir(endpoint->ctx), link->peer.node_id);
    if ((size_t)size >= sizeof address || access(address + strlen("ipc://"), F_OK) < 0)
        return false;
    xo_link_t *broker = xo_endpoint_link(endpoint, address, NULL);
    if (!broker)
        return false;
    snprintf(pool, sizeof pool, "%016" PRIx64, link->peer.pool_id);
    xo_pack_format(&body, "[[s U] {}]", pool, link->peer.id);
    return ask(link, broker, &body, on_death);
}

/* A process of this machine died: its broker knows more in a moment. */
static bool reason_may_come(xo_link_t *link)
{
    xo_endpoint_t *endpoint = link->endpoint;
    if (link->state != XOI_LINK_UP || link->why.errnum != ECONNRESET || !link->same_machine ||
        link->peer.role != XO_ROLE_POOL)
        return false;
    if (endpoint->ops.watches)
        return endpoint->ops.watches(endpoint, link, endpoint->arg);
    return has_its_broker(link) || (may_ask_its_broker(link) && ask_its_broker(link));
}

bool xoi_why_comes(xo_link_t *link)
{
    if (link->endpoint->closing)
        return false;
    if (!is_absent(link))
        return reason_may_come(link);
    if (link->endpoint->ops.absent)
        return link->endpoint->ops.absent(link->endpoint, link, link->address, link->endpoint->arg);
    return broker_may_know(link) && ask_about_address(link);
}
