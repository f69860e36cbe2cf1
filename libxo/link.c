/* link.c - the life of a link: dialled or accepted, up, closed, its calls answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

xo_link_t *xo_link_incref(xo_link_t *link)
{
    link->refs++;
    return link;
}

void xo_link_decref(xo_link_t *link)
{
    if (!link || --link->refs > 0)
        return;
    xo_msgq_clear(&link->urgent);
    xo_msgq_clear(&link->news);
    xo_msg_destroy(&link->heartbeat);
    free(link);
}

bool xo_link_up(const xo_link_t *link)
{
    return link->state == XOI_LINK_UP;
}

const xo_identity_t *xo_link_peer(const xo_link_t *link)
{
    return &link->peer;
}

const char *xo_link_scheme(const xo_link_t *link)
{
    return link->scheme;
}

int xo_link_buffer(xo_link_t *link, size_t size, zmq_msg_t *out)
{
    return link && link->lane ? xo_lane_buffer(link->lane, size, out)
                              : zmq_msg_init_size(out, size);
}

const xo_lane_stats_t *xo_link_stats(const xo_link_t *link)
{
    return link->lane ? xo_lane_stats(link->lane) : &link->last_stats;
}

bool xo_link_settle(xo_link_t *link)
{
    return link->state == XOI_LINK_UP && link->lane && !link->outbox && !link->urgent.head &&
           xo_lane_settle(link->lane);
}

bool xo_link_is_awaited(const xo_link_t *link)
{
    return link->lane && xo_lane_is_awaited(link->lane);
}

void xo_link_drain(xo_link_t *link)
{
    if (link->lane)
        xo_lane_drain(link->lane);
}

/* ---- tables ---- */

int xoi_link_table_add(xo_link_t *link)
{
    xo_endpoint_t *endpoint = link->endpoint;
    xo_link_t *other = NULL;
    if (link->address[0] && !link->in_address_table)
        HASH_FIND(hh_address, endpoint->by_address, link->address, strlen(link->address), other);
    if (link->address[0] && !link->in_address_table && !other) {
        HASH_ADD_KEYPTR(hh_address, endpoint->by_address, link->address, strlen(link->address),
                        link);
        link->in_address_table = XOI_HASHED(hh_address, link);
        if (!link->in_address_table)
            return -1;
    }
    other = NULL;
    if (link->peer.id && !link->in_id_table)
        HASH_FIND(hh_id, endpoint->by_id, &link->peer.id, sizeof link->peer.id, other);
    if (link->peer.id && !link->in_id_table && !other) {
        HASH_ADD(hh_id, endpoint->by_id, peer.id, sizeof link->peer.id, link);
        link->in_id_table = XOI_HASHED(hh_id, link);
        if (!link->in_id_table)
            return -1;
    }
    return 0;
}

/* Another link to the same peer or address takes the place. */
void xoi_link_table_remove(xo_link_t *link)
{
    xo_endpoint_t *endpoint = link->endpoint;
    bool was_listed = link->in_address_table || link->in_id_table;
    if (link->in_address_table)
        HASH_DELETE(hh_address, endpoint->by_address, link);
    if (link->in_id_table)
        HASH_DELETE(hh_id, endpoint->by_id, link);
    link->in_address_table = link->in_id_table = false;
    xo_link_t *other;
    if (!was_listed)
        return;
    DL_FOREACH(endpoint->links, other)
    if (other != link && other->state == XOI_LINK_UP && other->peer.id == link->peer.id)
        xoi_link_table_add(other);
}

/* ---- the end ---- */

void xoi_link_finish(xo_link_t *link)
{
    xo_endpoint_t *endpoint = link->endpoint;
    link->state = XOI_LINK_CLOSED;
    xo_timer_stop(&link->timer);
    xo_defer_stop(&link->credit_defer);
    xoi_calls_of_link_fail(link);
    xoi_outbox_fail(link);
    xoi_left_lost(link);
    xoi_bulk_free(link);
    if (endpoint->broker == link)
        xo_endpoint_set_broker(endpoint, NULL);
    DL_DELETE(endpoint->links, link);
    if (endpoint->ops.unlinked && !endpoint->closing)
        endpoint->ops.unlinked(endpoint, link, &link->why, endpoint->arg);
    xo_link_decref(link);
}

static void drop_lane(xo_link_t *link)
{
    xo_timer_stop(&link->timer);
    if (link->pidfd.active) {
        xo_io_stop(&link->pidfd);
        close(link->pidfd.fd);
    }
    xoi_bulk_drop_lane(link);
    if (!link->lane)
        return;
    link->last_stats = *xo_lane_stats(link->lane);
    xoi_totals_add(link->endpoint, link->scheme, &link->last_stats);
    xo_lane_destroy(link->lane);
    link->lane = NULL;
}

/* Why it is closed, in a few words, for the failures of its calls. */
const char *xoi_link_reason(const xo_link_t *link)
{
    if (link->reason[0])
        return link->reason;
    switch (link->why.errnum) {
    case ECONNREFUSED:
        return "nobody there";
    case ECONNRESET:
        return "connection lost";
    case ESHUTDOWN:
        return "closed in order";
    case ETIMEDOUT:
        return "no answer";
    case EACCES:
        return "refused";
    default:
        return "link closed";
    }
}

void xoi_link_closed(xo_link_t *link, const xo_error_t *why)
{
    if (link->state > XOI_LINK_UP)
        return;
    link->why = *why;
    bool waits = xoi_why_comes(link);
    drop_lane(link);
    xoi_link_table_remove(link);
    if (!waits) {
        xoi_link_finish(link);
        return;
    }
    link->state = XOI_LINK_DYING;
    xo_timer_start(&link->timer, link->endpoint->post_mortem_ms * XO_MS);
}

void xo_link_close(xo_link_t *link, const xo_error_t *why)
{
    if (link->state == XOI_LINK_CLOSED)
        return;
    link->why = *why;
    drop_lane(link);
    xoi_link_table_remove(link);
    xoi_link_finish(link);
}

void xo_endpoint_peer_down(xo_endpoint_t *endpoint, uint64_t peer_id, const char *reason)
{
    xo_link_t *link;
    xo_link_t *next;
    DL_FOREACH_SAFE(endpoint->links, link, next)
    if (link->peer.id == peer_id) {
        xo_error_t why;
        snprintf(link->reason, sizeof link->reason, "%s", reason);
        xo_error_set(&why, ECONNRESET, "%s died",
                     link->peer.address[0] ? link->peer.address : "the peer");
        xo_link_close(link, &why);
    }
}

void xoi_link_break(xo_link_t *link)
{
    if (link->state > XOI_LINK_UP)
        return;
    link->broken = true;
    xo_defer_start(&link->credit_defer);
}

void xoi_link_forget(xo_link_t *link)
{
    link->state = XOI_LINK_CLOSED;
    xo_timer_stop(&link->timer);
    DL_DELETE(link->endpoint->links, link);
    xo_link_decref(link);
}

void xoi_link_end(xo_link_t *link, const xo_error_t *why, bool wait)
{
    if (link->state != XOI_LINK_UP || !wait) {
        xoi_link_closed(link, why);
        return;
    }
    if (link->ending)
        return;
    link->ending = true;
    link->why = *why;
    xoi_link_goes_on(link);
}

void xoi_link_goes_on(xo_link_t *link)
{
    if (link->ending && link->state == XOI_LINK_UP)
        xo_timer_start(&link->timer, XOI_BULK_DRAIN_MS * XO_MS);
}

void xoi_link_protocol_error(xo_link_t *link, const char *what)
{
    xo_error_t why;
    xo_error_set(&why, EPROTO, "%s broke the protocol: %s",
                 link->address[0] ? link->address : "the peer", what);
    xoi_link_refused(link, &link->peer, XO_DROP_MALFORMED, what);
    xo_link_close(link, &why);
}

static void timed_out(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xo_link_t *link = arg;
    xo_error_t why;
    if (link->state == XOI_LINK_DYING) {
        xoi_link_finish(link);
        return;
    }
    if (link->ending)
        why = link->why;
    else if (link->state == XOI_LINK_UP)
        xo_error_set(&why, ECONNRESET, "process %lld of %s is gone", (long long)link->peer.pid,
                     link->address[0] ? link->address : "a client");
    else
        xo_error_set(&why, ETIMEDOUT, "%s did not answer the handshake",
                     link->lane_endpoint[0] ? link->lane_endpoint : "a peer");
    xoi_link_closed(link, &why);
}

/* ---- lane events ---- */

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    xo_link_t *link = xo_link_incref(arg);
    xoi_link_goes_on(link);
    xoi_route(link, msg);
    xo_msg_destroy(msg);
    xo_link_decref(link);
}

static void on_writable(xo_lane_t *lane, void *arg)
{
    (void)lane;
    xo_link_t *link = arg;
    xoi_outbox_flush(link);
    xoi_bulk_pump(link);
}

/* Nothing but the hello was sent, so another lane may still be the first. */
static bool try_next_way(xo_link_t *link, const xo_error_t *why)
{
    if (link->state != XOI_LINK_DIALING || !xoi_way_next(link, why->errnum))
        return false;
    drop_lane(link);
    return xoi_link_dial(link, NULL) == 0;
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    xo_link_t *link = arg;
    if (why->errnum == EBADMSG)
        xoi_link_refused(link, &link->peer, XO_DROP_MALFORMED, why->text);
    if (!try_next_way(link, why))
        xoi_link_end(link, why, xoi_bulk_awaited(link));
}

const xo_lane_events_t xoi_link_lane_events = {on_message, on_writable, on_closed};

/* ---- the beginning ---- */

xo_link_t *xoi_link_create(xo_endpoint_t *endpoint, const char *address)
{
    xo_link_t *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->endpoint = endpoint;
    link->refs = 1;
    link->scheme = "";
    snprintf(link->address, sizeof link->address, "%s", address);
    xo_timer_init(&link->timer, endpoint->loop, timed_out, link);
    xo_defer_init(&link->credit_defer, endpoint->loop, xoi_credit_deferred, link);
    DL_APPEND(endpoint->links, link);
    return link;
}

void xoi_link_accept(xo_endpoint_t *endpoint, xo_lane_t *lane)
{
    xo_link_t *link = xoi_link_create(endpoint, "");
    if (!link) {
        xo_lane_destroy(lane);
        return;
    }
    link->state = XOI_LINK_ACCEPTED;
    link->lane = lane;
    link->scheme = xo_lane_scheme(lane);
    xo_lane_set_events(lane, &xoi_link_lane_events, link);
    xo_timer_start(&link->timer, endpoint->options.handshake_ms * XO_MS);
}

static int dial(xo_link_t *link, xo_error_t *err)
{
    xo_endpoint_t *endpoint = link->endpoint;
    xo_error_t why = {0};
    do {
        if (xoi_way_choose(link, err) < 0)
            return -1;
        link->lane = xo_dial(endpoint->ctx, endpoint->loop, link->lane_endpoint,
                             &xoi_link_lane_events, link, &why);
    } while (!link->lane && xoi_way_next(link, why.errnum));
    return link->lane ? 0 : xo_error_set(err, why.errnum, "%s", why.text);
}

int xoi_link_dial(xo_link_t *link, xo_error_t *err)
{
    link->state = XOI_LINK_DIALING;
    link->dialled = true;
    if (dial(link, err) < 0)
        return -1;
    link->scheme = xo_lane_scheme(link->lane);
    xo_timer_start(&link->timer, link->endpoint->options.handshake_ms * XO_MS);
    /* A lane that found nobody at once says so in `closed`, as one that finds out later does. */
    return xoi_greet_send(link, XO_HELLO) < 0 && errno != EPIPE
               ? xo_error_set(err, errno, "cannot greet %s", link->lane_endpoint)
               : 0;
}

/* Nothing but the hello was sent, so another lane may still be the first. */
void xo_link_go_by(xo_link_t *link, const char *door)
{
    if (link->state != XOI_LINK_DYING)
        return;
    snprintf(link->door, sizeof link->door, "%s", door);
    if (door[0] && xoi_link_table_add(link) == 0 && xoi_link_dial(link, NULL) == 0)
        return;
    drop_lane(link);
    xoi_link_table_remove(link);
    xoi_link_finish(link);
}

static int normalise(const char *address, char *text, size_t size, xo_error_t *err)
{
    xo_address_t parsed;
    if (strstr(address, "://")) {
        if ((size_t)snprintf(text, size, "%s", address) >= size)
            return xo_error_set(err, EINVAL, "address %.64s... is too long", address);
        return 0;
    }
    return xo_address_parse(address, &parsed, err) < 0 ? -1
                                                       : xo_address_format(&parsed, text, size);
}

xo_link_t *xo_endpoint_link(xo_endpoint_t *endpoint, const char *address, xo_error_t *err)
{
    char key[XOI_LINK_ADDRESS_BYTES];
    xo_link_t *link = NULL;
    /* The common case: the text is the key already. */
    HASH_FIND(hh_address, endpoint->by_address, address, strlen(address), link);
    if (link)
        return link;
    if (normalise(address, key, sizeof key, err) < 0)
        return NULL;
    HASH_FIND(hh_address, endpoint->by_address, key, strlen(key), link);
    if (link)
        return link;
    link = xoi_link_create(endpoint, key);
    if (!link)
        return xo_error_null(err, ENOMEM, "out of memory for a link to %s", address);
    if (xoi_link_table_add(link) < 0)
        xo_error_set(err, ENOMEM, "out of memory for a link to %s", address);
    else if (xoi_link_dial(link, err) == 0)
        return link;
    int saved = errno;
    drop_lane(link);
    xoi_link_table_remove(link);
    xoi_link_forget(link);
    errno = saved;
    return NULL;
}

xo_link_t *xo_endpoint_link_by_id(xo_endpoint_t *endpoint, uint64_t peer_id)
{
    xo_link_t *link = NULL;
    HASH_FIND(hh_id, endpoint->by_id, &peer_id, sizeof peer_id, link);
    return link;
}

xo_link_t *xo_endpoint_next_link(xo_endpoint_t *endpoint, xo_link_t *after)
{
    return after ? after->next : endpoint->links;
}
