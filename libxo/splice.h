/* splice.h - two connected stream sockets made one: what comes in by one leaves by the other.
 *
 * What the next has no room for waits here, at most one buffer for each direction, and meanwhile
 * nothing more is read: so who is slow slows the other end, as it would without us. A socket of
 * tcp whose machine falls silent ends both, as a lane's does (lane_silence.h), and so does who
 * goes on sending while the other end is silent (opening.h).
 */
#ifndef XO_SPLICE_H
#define XO_SPLICE_H

#include "libxo/loop.h"

/* Read in one turn of the loop: others wait so long. */
#define XOI_SPLICE_BYTES ((size_t)128 << 10)

typedef struct xoi_splice xoi_splice_t;

/* Both sockets are closed; it is gone after this returns. */
typedef void (*xoi_splice_ended_f)(xoi_splice_t *splice, void *arg);

/* Takes both sockets over; NULL with them closed: ENOMEM, and what the loop has against them.
 * `buffer` has XOI_SPLICE_BYTES, and may be shared by all splices of the loop. */
xoi_splice_t *xoi_splice_create(xo_loop_t *loop, int one, int other, char *buffer,
                                xoi_splice_ended_f ended, void *arg);
/* Options of a tcp socket that is to be spliced: without delay, and with keepalive. */
void xoi_splice_set_tcp(int fd);
/* Waits until all that comes by `other` until its end has left by `one`, at most so long. For who
 * destroys it next. */
void xoi_splice_drain(xoi_splice_t *splice, int limit_ms);
/* Without calling `ended`. Takes NULL. */
void xoi_splice_destroy(xoi_splice_t *splice);

#endif
