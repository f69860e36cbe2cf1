/* msg_impl.h - the inside of a message, shared by msg.c and msg_frames.c; and what lanes that carry
 * bytes rather than frames use.
 */
#ifndef XO_MSG_IMPL_H
#define XO_MSG_IMPL_H

#include <stddef.h>

#include "libxo/bytes.h"
#include "libxo/header.h"
#include "libxo/msg.h"

/* Bodies up to this size lie in the message itself: copying one costs less than a frame does. */
#define XOI_INLINE_BODY_BYTES 512

typedef enum {
    XOI_MSG_INLINE, /* header and body are in `text`; encoded when a lane wants frames */
    XOI_MSG_FRAME,  /* header and body are in frame 0, encoded */
    XOI_MSG_LOCAL   /* a payload; the header's slices are in `text` */
} xoi_msg_form_t;

struct xo_msg {
    xo_msg_t *next; /* in an xo_msgq_t */
    size_t bytes;   /* see xo_msg_bytes; 0: not counted yet */
    xoi_msg_form_t form : 8;
    xoi_layout_t layout; /* of frame 0 */
    uint32_t buffer_count;
    uint32_t buffer_capacity;
    zmq_msg_t *buffers;
    size_t memory; /* size of all this, with what follows it; 0: it is somebody else's */
    /* A small message is all zero until here. */
    xo_header_t header;
    xo_slice_t body;
    char rest[]; /* inline: text; framed: the frame; local: payload and text */
};

typedef struct xoi_local {
    void *payload;
    void (*payload_free)(void *payload);
    char text[];
} xoi_local_t;

/* A message with what was written to `body`; NULL also if memory for that ran out. */
static inline xo_msg_t *xoi_msg_of(const xo_header_t *header, const xo_buf_t *body)
{
    return xo_buf_ok(body) == 0 ? xo_msg_create(header, xo_buf_slice(body)) : NULL;
}

static inline zmq_msg_t *xoi_msg_frame(const xo_msg_t *msg)
{
    return (zmq_msg_t *)(void *)msg->rest;
}

static inline xoi_local_t *xoi_msg_local(const xo_msg_t *msg)
{
    return (xoi_local_t *)(void *)msg->rest;
}

/* msg.c: zeroed but for what follows the struct. NULL: ENOMEM. */
xo_msg_t *xoi_msg_alloc(xoi_msg_form_t form, size_t rest_bytes);
int xoi_msg_reserve_buffers(xo_msg_t *msg, size_t capacity);
void xoi_move_frames(zmq_msg_t *to, zmq_msg_t *from, size_t count);
void xoi_msg_add_flag(xo_msg_t *msg, uint16_t flag); /* in place, as xo_msg_set_seq */
/* Makes frame 0 of `header` and `body` in one piece. -1: ENOMEM. */
int xoi_msg_build_frame(xo_msg_t *msg, const xo_header_t *header, xo_slice_t body);

static inline char *xoi_msg_text(char *at, xo_slice_t *slice)
{
    xoi_copy(at, slice->data, slice->size);
    slice->data = at;
    return at + slice->size;
}

/* For who keeps a small message in memory of its own, with room for the sender's uid, the trace and
 * the body behind it. `header` is right but for these, and its target_uid and method stay where
 * they are, which is for longer than the message is there; the others are copied. The body, where
 * it is now: at most XOI_INLINE_BODY_BYTES. The message is never destroyed, nor gets buffers. */
static inline __attribute__((always_inline)) const char *
xoi_msg_place(xo_msg_t *msg, const xo_header_t *header, xo_slice_t sender_uid, xo_slice_t trace,
              xo_slice_t body)
{
    _Static_assert(XOI_MSG_INLINE == 0, "it is all zero");
    memset(msg, 0, offsetof(xo_msg_t, header));
    msg->header = *header;
    char *end = xoi_msg_text(msg->rest, &sender_uid);
    msg->header.sender_uid = sender_uid;
    if (trace.size)
        end = xoi_msg_text(end, &trace);
    msg->header.trace = trace;
    xoi_msg_text(end, &body);
    msg->body = body;
    return body.data;
}

/* msg_frames.c */

/* xo_msg_to_frames in two steps, of which the second cannot fail. Who does not go on closes
 * `frame`. Not for a local message. */
int xoi_msg_begin_frames(const xo_msg_t *msg, zmq_msg_t *frame); /* -1: ENOMEM, nothing to close */
void xoi_msg_end_frames(xo_msg_t **msg, zmq_msg_t *frames);      /* frames[0] is that one */

/* A message whose buffers are the frames of `msg`, which stays as it was: both share the memory.
 * Buffers of `apart` bytes and more are empty in it. NULL: ENOMEM. */
xo_msg_t *xoi_msg_wrap(const xo_header_t *header, xo_slice_t body, const xo_msg_t *msg,
                       size_t apart);
/* The message that was wrapped. Takes *wrapper over; as xo_msg_from_frames. */
xo_msg_t *xoi_msg_unwrap(xo_msg_t **wrapper, xo_error_t *err);

/* The size of frame 0, if the message is one small frame that is not encoded yet; else 0. */
size_t xoi_msg_inline_size(const xo_msg_t *msg);
/* Encodes it into out[xoi_msg_inline_size]. */
void xoi_msg_encode(const xo_msg_t *msg, uint8_t *out);
/* Copies the one frame of a message out of memory that others write to, and only then looks at it.
 * As xo_msg_from_frames. */
xo_msg_t *xoi_msg_from_bytes(const void *bytes, size_t size, xo_error_t *err);

#endif
