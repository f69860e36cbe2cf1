/* shelf.h - memory for large buffers that two processes share: one, its owner, writes a buffer into
 * a place of it, and the other reads it where it lies.
 *
 * A shelf is a segment (segment.h) of places of one size. A byte of shared memory says for each
 * place whether it is lent; the owner sets it before it tells the other side, who clears it when
 * the last frame over the place is closed, on whichever thread. No message is needed for that, and
 * nobody waits: the owner looks when it needs a place. What the other side writes there can harm
 * only what it reads itself.
 *
 * A shelf is freed when both who has it in a table (store.h, borrow.h) and all frames over it have
 * let go, so what was received stays when the lane is gone. After fork(2) a child has the frames
 * of its parent, and nobody sees when it is done with them: what was lent before is never written
 * to again.
 */
#ifndef XO_SHELF_H
#define XO_SHELF_H

#include <stdatomic.h>
#include <zmq.h>

#include "libxo/segment.h"

#define XOI_SHELF_PLACES_MAX 32
#define XOI_SHELF_BYTES_MAX ((size_t)8 << 30)

typedef struct xoi_shelf_head xoi_shelf_head_t;

typedef struct xoi_shelf {
    xoi_segment_t segment;
    xoi_shelf_head_t *head;
    size_t place_bytes;
    uint32_t count;
    bool owner;
    atomic_uint refs;
    atomic_bool used[XOI_SHELF_PLACES_MAX]; /* there is a frame over it on this side */
} xoi_shelf_t;

/* Both have one reference. *fd, `max` and errors are those of segment.h; EBADMSG: it is no shelf.
 */
xoi_shelf_t *xoi_shelf_create(size_t place_bytes, uint32_t count, int *fd, xo_error_t *err);
xoi_shelf_t *xoi_shelf_attach(int fd, size_t max, xo_error_t *err);
void xoi_shelf_decref(xoi_shelf_t *shelf);
void *xoi_shelf_at(const xoi_shelf_t *shelf, uint32_t place);

/* Makes `frame` refer to the place, which must not be in use here; it is until the frame and all
 * its copies are closed. -1: ENOMEM. */
int xoi_shelf_frame(xoi_shelf_t *shelf, uint32_t place, size_t size, zmq_msg_t *frame);
bool xoi_shelf_in_use(const xoi_shelf_t *shelf, uint32_t place);

/* ---- the owner ---- */

void xoi_shelf_lend(xoi_shelf_t *shelf, uint32_t place);
bool xoi_shelf_is_lent(const xoi_shelf_t *shelf, uint32_t place);
/* There is a frame over it on this side, and it is not lent. */
bool xoi_shelf_may_lend(const xoi_shelf_t *shelf, uint32_t place);
/* Neither lent nor in use, and may be written to. */
bool xoi_shelf_is_free(const xoi_shelf_t *shelf, uint32_t place);
/* No place is lent or in use. Some may never be free again all the same. */
bool xoi_shelf_is_idle(const xoi_shelf_t *shelf);
/* Asks the other side to let go of it. */
void xoi_shelf_retire(xoi_shelf_t *shelf);

/* ---- the other side ---- */

bool xoi_shelf_is_retired(const xoi_shelf_t *shelf);

#endif
