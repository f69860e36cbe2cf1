/* borrow.h - the shelves that the other side of a lane owns, from which large buffers come. Whoever
 * reads them must bear that the other side changes them meanwhile. Of its loop's thread, but for
 * the frames.
 */
#ifndef XO_BORROW_H
#define XO_BORROW_H

#include "libxo/shelf.h"
#include "libxo/store.h"

/* Who retires a shelf has room for another before we have let go of it. */
#define XOI_BORROW_BYTES_MAX (2 * XOI_STORE_BYTES)

typedef struct xoi_lender {
    xoi_shelf_t *shelf;
    uint32_t id;
} xoi_lender_t;

/* Zero-initialise. */
typedef struct xoi_borrow {
    xoi_lender_t *shelves; /* by id */
    size_t count;
    size_t capacity;
    uint32_t arrived;
    size_t bytes;
} xoi_borrow_t;

void xoi_borrow_free(xoi_borrow_t *borrow); /* frames stay as long as they are used */
/* The next shelf has come; `fd` stays the caller's. -1: EBADMSG, or there is no memory. */
int xoi_borrow_add(xoi_borrow_t *borrow, int fd, xo_error_t *err);
/* Makes `frame` refer to what was lent. -1: EBADMSG, ENOMEM. */
int xoi_borrow_frame(const xoi_borrow_t *borrow, xoi_place_t place, size_t size, zmq_msg_t *frame,
                     xo_error_t *err);
/* Lets go of what the owner has retired. */
void xoi_borrow_sweep(xoi_borrow_t *borrow);

#endif
