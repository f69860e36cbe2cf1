/* bulk.h - large buffers over slow lanes: in chunks, on a second lane, so that small messages pass.
 *
 * A message with buffers of XO_INLINE_BYTES_MAX and more goes over its link's lane in its place, as
 * XO_BULK: without these buffers, but with their sizes. Their bytes follow as XO_CHUNKs on a lane
 * of their own, which who dialled the link dials when there is something to send for the first
 * time; where that does not work they go over the link's lane. Chunks of all messages of a link
 * take turns, and at most a window of bytes is ahead of the receiver's word (XO_TAKEN) that it has
 * taken them. So nothing waits behind more than that, and neither side has more in its sockets.
 *
 * The buffers of a request use up credit when the first of their chunks goes; until then the
 * message waits, but what comes after it does not. They are counted apart from small messages.
 *
 * The receiver holds the message back until its buffers are there, and behind it what comes from
 * the same actor for the same actor (contract 6). All else passes. doc/wire.md, "Chunks".
 *
 * A link ends with either of its lanes. Internal to the endpoint.
 */
#ifndef XO_BULK_H
#define XO_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libxo/msg.h"

/* Bytes of chunks that a peer may be ahead: what a small message waits for grows with it. Less
 * would stop the flow between two words of the receiver. doc/performance.md has what was tried. */
#define XOI_BULK_WINDOW_BYTES ((uint64_t)256 << 10)
#define XOI_BULK_WINDOW_BYTES_MIN ((uint64_t)16 << 10)
/* As long as it takes to encrypt a chunk, a small message waits in ZeroMQ's thread. */
#define XOI_BULK_CHUNK_BYTES ((size_t)32 << 10)
/* What a chunk counts for in the window besides its bytes. */
#define XOI_BULK_CHUNK_COST 64
/* How long a link that has one lane left waits for the next of what is still to come there. */
#define XOI_BULK_DRAIN_MS 1000

struct xo_lane;
struct xo_link;
struct xoi_incoming;
typedef struct xoi_bulk xoi_bulk_t;
typedef struct xoi_transfer xoi_transfer_t; /* one message's large buffers, on their way out */

/* ---- bulk.c: the lane ---- */

/* The hello of a second lane came over `door`, a link that it turns out not to be. */
void xoi_bulk_attach(struct xo_link *door, const xo_msg_t *msg);
void xoi_bulk_attach_main(struct xo_link *link);           /* the peer cannot have one */
struct xo_lane *xoi_bulk_lane(const struct xo_link *link); /* NULL: there is none */
void xoi_bulk_drop_lane(struct xo_link *link);
/* May the second lane still bring the rest of a message? */
bool xoi_bulk_awaited(const struct xo_link *link);
/* The link is closed: what has not left or is not complete is lost, and counted. */
void xoi_bulk_free(struct xo_link *link);

/* ---- bulk_send.c ---- */

bool xoi_bulk_wants(const struct xo_link *link, const xo_msg_t *msg);
/* How many tells have left without all of their buffers. */
size_t xoi_bulk_unsent_tells(const struct xo_link *link);
/* Is there room for one more of `bytes` bytes? As many as fit the window may wait for credit. */
bool xoi_bulk_has_room(const struct xo_link *link, size_t bytes);
/* As xo_lane_send. */
int xoi_bulk_send(struct xo_link *link, xo_msg_t **msg);
/* The call whose request this is has ended. */
void xoi_bulk_give_up(xoi_transfer_t *transfer);
/* Sends what the window and the lane have room for. */
void xoi_bulk_pump(struct xo_link *link);
/* Sends all, since this is the end. */
void xoi_bulk_flush(struct xo_link *link);
void xoi_bulk_taken(struct xo_link *link, const xo_msg_t *msg);

/* ---- bulk_take.c ---- */

void xoi_bulk_announced(struct xo_link *link, xo_msg_t **msg);
void xoi_bulk_chunk(struct xo_link *link, xo_msg_t **msg);
/* The call whose answer it is has ended: its chunks are dropped from now on. */
void xoi_bulk_unwanted(struct xoi_incoming *incoming);
/* Ends the request if it is held: it is answered as cancelled. */
bool xoi_bulk_cancel(struct xo_link *link, uint64_t seq);

/* ---- bulk_hold.c ---- */

/* Does the request wait for one before it? Then takes it over, until it is its turn. */
bool xoi_bulk_hold(struct xo_link *link, xo_msg_t **msg);

#endif
