/* bundle.h - several small messages in one frame (doc/wire.md, "Lanes"): a frame has a price of its
 * own, which is most of what a small message costs where each is encrypted. Pure. Internal.
 */
#ifndef XO_BUNDLE_H
#define XO_BUNDLE_H

#include "libxo/msg.h"

/* The first byte of a bundle, which no message has: msgpack never uses it. */
#define XOI_BUNDLE_MARK 0xc1
/* A frame is encrypted and decrypted as a whole, so one that is not large leaves while the next is
 * being written; what fits is a hundred small messages and more. */
#define XOI_BUNDLE_BYTES ((size_t)8 << 10)
#define XOI_BUNDLED_BYTES_MAX ((size_t)2 << 10) /* a larger message is worth a frame of its own */
/* Taken from others: no more messages at once than these bytes can be. */
#define XOI_BUNDLE_BYTES_MAX ((size_t)64 << 10)

/* Is it one that goes into bundles? */
bool xoi_bundle_takes(const xo_msg_t *msg);
/* One frame of all that is in the queue, as a message for a lane; it counts for the bytes of all of
 * them. The queue is empty after it. NULL, and the queue as it was: ENOMEM. */
xo_msg_t *xoi_bundle_make(xo_msgq_t *queue);

bool xoi_is_bundle(xo_slice_t frame);
/* The messages of a bundle, into an empty queue. -1 and none of them: EBADMSG, ENOMEM. */
int xoi_bundle_read(xo_slice_t frame, xo_msgq_t *queue, xo_error_t *err);

#endif
