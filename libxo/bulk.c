/* bulk.c - the second lane of a link: dialled, attached, gone. */
#include <errno.h>
#include <stdlib.h>

#include "libxo/bulk_impl.h"

static void retry(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xoi_bulk_pump(arg);
}

xoi_bulk_t *xoi_bulk_of(xo_link_t *link)
{
    if (link->bulk)
        return link->bulk;
    xoi_bulk_t *bulk = calloc(1, sizeof *bulk);
    if (!bulk)
        return NULL;
    bulk->link = link;
    xo_defer_init(&bulk->retry, link->endpoint->loop, retry, link);
    return link->bulk = bulk;
}

xo_lane_t *xoi_bulk_lane(const xo_link_t *link)
{
    return link->bulk ? link->bulk->lane : NULL;
}

void xoi_bulk_drop_lane(xo_link_t *link)
{
    xo_lane_t *lane = xoi_bulk_lane(link);
    if (!lane)
        return;
    xoi_totals_add(link->endpoint, link->scheme, xo_lane_stats(lane));
    xo_lane_destroy(lane);
    link->bulk->lane = NULL;
}

bool xoi_bulk_awaited(const xo_link_t *link)
{
    return xoi_bulk_lane(link) && link->bulk->in;
}

void xoi_bulk_free(xo_link_t *link)
{
    xoi_bulk_t *bulk = link->bulk;
    if (!bulk)
        return;
    xo_defer_stop(&bulk->retry);
    xoi_transfers_free(bulk);
    xoi_incoming_free(bulk);
    link->bulk = NULL;
    free(bulk);
}

/* ---- the lane's events ---- */

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    xo_link_t *link = xo_link_incref(arg);
    xoi_bulk_t *bulk = link->bulk;
    xo_kind_t kind = xo_msg_header(*msg)->kind;
    if (kind == XO_CHUNK) {
        xoi_bulk_chunk(link, msg);
    } else if (kind == XO_ATTACH && bulk->state == XOI_BULK_OPENING) {
        bulk->state = XOI_BULK_APART;
        xoi_bulk_pump(link);
    } else {
        xoi_link_protocol_error(link, "what is no chunk came on the lane for chunks");
    }
    xo_msg_destroy(msg);
    xo_link_decref(link);
}

static void on_writable(xo_lane_t *lane, void *arg)
{
    (void)lane;
    xoi_bulk_pump(arg);
}

static int send_attach(xo_link_t *link, xo_lane_t *lane)
{
    xo_header_t header = {.kind = XO_ATTACH,
                          .seq = link->bulk_token,
                          .target_id = link->peer.id,
                          .sender_id = link->endpoint->self.id};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    int rc = msg ? xo_lane_send(lane, &msg) : -1;
    xo_msg_destroy(&msg);
    return rc;
}

/* No chunk has been sent yet, so they all can go the other way. */
static void fall_back(xoi_bulk_t *bulk)
{
    bulk->state = XOI_BULK_MAIN;
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_ATTACH}, xo_slice(NULL, 0));
    if (msg)
        xoi_send_urgent(bulk->link, &msg);
    xoi_bulk_pump(bulk->link);
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    xo_link_t *link = arg;
    xo_error_t reason = *why;
    bool opening = link->bulk->state == XOI_BULK_OPENING;
    if (why->errnum == EBADMSG)
        xoi_link_refused(link, &link->peer, XO_DROP_MALFORMED, why->text);
    xoi_bulk_drop_lane(link);
    if (opening && !link->ending)
        fall_back(link->bulk);
    else
        xoi_link_end(link, link->ending ? &link->why : &reason, !link->ending);
}

static const xo_lane_events_t lane_events = {on_message, on_writable, on_closed};

/* ---- opening ---- */

void xoi_bulk_open(xoi_bulk_t *bulk)
{
    xo_link_t *link = bulk->link;
    xo_endpoint_t *endpoint = link->endpoint;
    if (bulk->state != XOI_BULK_NONE || !link->dialled)
        return;
    bulk->lane =
        xo_dial(endpoint->ctx, endpoint->loop, link->lane_endpoint, &lane_events, link, NULL);
    if (bulk->lane && send_attach(link, bulk->lane) == 0) {
        bulk->state = XOI_BULK_OPENING;
        return;
    }
    xoi_bulk_drop_lane(link);
    fall_back(bulk);
}

/* ---- the other end ---- */

/* The link that `msg` names, if its sender knows what it was told in the welcome. */
static xo_link_t *find(xo_endpoint_t *endpoint, const xo_header_t *header)
{
    xo_link_t *link;
    DL_FOREACH(endpoint->links, link)
    if (link->state == XOI_LINK_UP && !link->dialled && link->bulk_window &&
        header->sender_id == link->peer.id && header->target_id == endpoint->self.id &&
        header->seq == link->bulk_token && (!link->bulk || link->bulk->state == XOI_BULK_NONE))
        return link;
    return NULL;
}

static void refuse(xo_link_t *door)
{
    xo_error_t why;
    xo_error_set(&why, EACCES, "a lane for chunks that belongs to no link");
    xoi_link_refused(door, &door->peer, XO_DROP_REFUSED, why.text);
    xo_link_close(door, &why);
}

void xoi_bulk_attach(xo_link_t *door, const xo_msg_t *msg)
{
    xo_link_t *link = find(door->endpoint, xo_msg_header(msg));
    xoi_bulk_t *bulk = link ? xoi_bulk_of(link) : NULL;
    if (!bulk || send_attach(link, door->lane) < 0) {
        refuse(door);
        return;
    }
    bulk->lane = door->lane;
    bulk->state = XOI_BULK_APART;
    xo_lane_set_events(bulk->lane, &lane_events, link);
    door->lane = NULL;
    xoi_link_forget(door);
    xoi_bulk_pump(link);
}

void xoi_bulk_attach_main(xo_link_t *link)
{
    xoi_bulk_t *bulk = link->bulk_window && !link->dialled ? xoi_bulk_of(link) : NULL;
    if (!bulk || bulk->state != XOI_BULK_NONE) {
        xoi_link_protocol_error(link, "it attaches a lane out of turn");
        return;
    }
    bulk->state = XOI_BULK_MAIN;
    xoi_bulk_pump(link);
}
