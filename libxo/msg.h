/* msg.h - messages: the codec between a message and its frames. doc/wire.md is its specification.
 *
 * A message is one or more frames. Frame 0 is the header (a msgpack array of fixed order)
 * followed at once by the body (one msgpack value, or nothing); frames 1..n are buffers that the
 * body refers to by index. Header and body share a frame since each ZeroMQ frame costs an
 * allocation and a queue operation, more than copying a small body does.
 *
 * The codec is pure: bytes in, message out. Decoding checks every length, count and range, and
 * refuses what is not well formed with EBADMSG and a sentence.
 */
#ifndef XO_MSG_H
#define XO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zmq.h>

#include "libxo/error.h"
#include "libxo/pack.h"

#define XO_WIRE_VERSION 1
#define XO_UID_BYTES_MAX 255 /* contract 1 */
/* How a uid begins that is a name: only one actor of the cluster has it. */
#define XO_NAME_PREFIX "xo:"
#define XO_METHOD_BYTES_MAX 1024 /* a method's, or for create a class's, name */
#define XO_TRACE_BYTES_MAX 255
/* How the trace begins of a create request that makes an actor anew, and of all that it causes: the
 * rest is unique. Until the creation is over, its pool handles for the actor only what has the same
 * trace. */
#define XO_TRACE_AGAIN "xo.again:"
#define XO_BUFFERS_MAX 65536 /* frames after the first */
#define XO_MESSAGE_BYTES_MAX ((size_t)16 << 30)
/* Values of this size and more travel as buffers of their own, see DESIGN "bulk data". */
#define XO_INLINE_BYTES_MAX ((size_t)64 << 10)

typedef enum {
    XO_HELLO = 1,
    XO_WELCOME = 2,
    XO_CALL = 3,
    XO_TELL = 4,
    XO_BATCH = 5,  /* one method, many argument lists */
    XO_RESULT = 6, /* answers by sequence */
    XO_ERROR = 7,  /* answers by sequence; body: see failure.h */
    XO_CANCEL = 8, /* cancels the request with the same sender and sequence */
    XO_CREDIT = 9,
    XO_CREATE = 10, /* method: the class's name */
    XO_DESTROY = 11,
    XO_REF = 12, /* asks for an actor's identity */
    XO_HAS = 13,
    XO_HEARTBEAT = 14,
    XO_EVENT = 15,
    XO_GOODBYE = 16,
    XO_ATTACH = 17, /* this and what follows: large buffers on a lane of their own, bulk.h */
    XO_BULK = 18,   /* a message whose large buffers come in chunks */
    XO_CHUNK = 19,
    XO_TAKEN = 20 /* bytes of chunks */
} xo_kind_t;

static inline bool xo_uid_is_name(xo_slice_t uid)
{
    const size_t size = sizeof XO_NAME_PREFIX - 1;
    return uid.size > size && memcmp(uid.data, XO_NAME_PREFIX, size) == 0;
}

const char *xo_kind_name(xo_kind_t kind); /* "call", "tell", ...; "?" for an unknown one */

/* Kinds that a peer answers or acts upon, and which use up credit. */
bool xo_kind_is_request(xo_kind_t kind); /* call tell batch create destroy ref has */

enum {
    XO_F_IDEMPOTENT =
        1 << 0,              /* may be sent again; the receiver drops duplicates by (sender, seq) */
    XO_F_NO_ANSWER = 1 << 1, /* a batch of tells: like TELL, gets no answer */
    XO_F_CANCELLED = 1 << 2, /* of a result: the method was asked to cancel while it ran */
    XO_F_AGAIN = 1 << 3,     /* of a broker's destroy: it creates the actor again afterwards */
    XO_F_BEHIND = 1 << 4     /* of what is for a name: the sender has had no answer to an earlier
                                call of it, and if that was refused, so is this (libxo/line.c) */
};

typedef struct xo_header {
    xo_kind_t kind;
    uint16_t flags;
    uint64_t seq;          /* grows per sender; 0 where no answer is expected */
    uint64_t target_id;    /* endpoint that it is for; 0: whoever is at the lane's other end */
    xo_slice_t target_uid; /* actor; empty where the endpoint itself is meant */
    uint64_t incarnation;  /* of the target actor; 0: any */
    uint64_t sender_id;    /* endpoint that it comes from, and that an answer goes to */
    xo_slice_t sender_uid; /* actor; empty for a client */
    xo_slice_t method;
    uint64_t deadline_ms; /* time left when it was sent; 0: none */
    xo_slice_t trace;     /* opaque, at most XO_TRACE_BYTES_MAX */
} xo_header_t;

typedef struct xo_msg xo_msg_t;

/* Makes a message with `header` and `body` (one msgpack value or empty; it is not checked), both
 * copied. NULL: EINVAL (unknown kind, or a uid, method or trace that is too long), EMSGSIZE,
 * ENOMEM. */
xo_msg_t *xo_msg_create(const xo_header_t *header, xo_slice_t body);

/* Makes a message that never leaves this thread: `payload` replaces the body and is given to
 * `payload_free` (may be NULL) on destruction, unless taken. `bytes` is what it counts for in a
 * bounded queue. NULL: EINVAL, ENOMEM; the payload then stays the caller's. */
xo_msg_t *xo_msg_create_local(const xo_header_t *header, void *payload,
                              void (*payload_free)(void *payload), size_t bytes);

void xo_msg_destroy(xo_msg_t **msg); /* takes NULL and a pointer to NULL; keeps errno */

/* The header's slices point into the message. */
const xo_header_t *xo_msg_header(const xo_msg_t *msg);
xo_slice_t xo_msg_body(const xo_msg_t *msg);
/* The options in the body of a create message, a msgpack map; empty: it has none. */
xo_slice_t xo_create_options(xo_slice_t body);
bool xo_create_is_anywhere(xo_slice_t body); /* do they have the placement "any"? */
void *xo_msg_payload(const xo_msg_t *msg);   /* NULL unless local */
void *xo_msg_take_payload(xo_msg_t *msg);    /* the caller owns it from now on */
/* What it counts for in queues and credit: the bytes of all frames, the header in the form in which
 * it is encoded here, so that both ends of a lane count the same. */
size_t xo_msg_bytes(const xo_msg_t *msg);

/* Sets what only the sending endpoint knows, in the encoded header too. Cannot fail, also where
 * the header came without a target or a sender. */
void xo_msg_set_seq(xo_msg_t *msg, uint64_t seq);
void xo_msg_set_sender_id(xo_msg_t *msg, uint64_t sender_id);
void xo_msg_set_target_id(xo_msg_t *msg, uint64_t target_id);

/* Buffers. Adding moves `buffer` (a zmq_msg_t as zmq_msg_move does) into the message; slices of
 * buffers got before are then void. -1 and `buffer` untouched: EMSGSIZE (XO_BUFFERS_MAX,
 * XO_MESSAGE_BYTES_MAX), ENOMEM. */
int xo_msg_add_buffer(xo_msg_t *msg, zmq_msg_t *buffer);
int xo_msg_add_buffer_copy(xo_msg_t *msg, const void *data, size_t size);
size_t xo_msg_buffer_count(const xo_msg_t *msg);
xo_slice_t xo_msg_buffer(const xo_msg_t *msg, size_t index); /* {NULL, 0} if out of range */
/* Hands buffer `index` out as a zmq_msg_t of its own (zmq_msg_copy: shares the memory, no copy);
 * the caller closes it. -1: ENOENT if out of range; `out` is then untouched. */
int xo_msg_copy_buffer(xo_msg_t *msg, size_t index, zmq_msg_t *out);

/* To frames: gives 1 + buffer count frames, taking the message apart (*msg becomes NULL).
 * `frames` is an array of at least that many that the caller provides uninitialised. A local
 * message has 0 frames, and is left as it is. -1, with the message as it was: ENOMEM. */
size_t xo_msg_frame_count(const xo_msg_t *msg);
int xo_msg_to_frames(xo_msg_t **msg, zmq_msg_t *frames);

/* From frames: takes all of them over, also when it fails (they are closed then). The body is
 * checked: nothing, or exactly one well-formed value (xo_read_skip). NULL: EBADMSG, ENOMEM. */
xo_msg_t *xo_msg_from_frames(zmq_msg_t *frames, size_t count, xo_error_t *err);

/* The pure core of it: decodes a header from the front of frame 0. *body is what follows it,
 * unchecked. -1 with EBADMSG. Encoding appends to `out`: -1 with EINVAL or ENOMEM. */
int xo_header_decode(xo_slice_t frame, xo_header_t *header, xo_slice_t *body, xo_error_t *err);
int xo_header_encode(const xo_header_t *header, xo_buf_t *out);

/* An intrusive first-in first-out queue of messages: no allocation to push. A message is in one
 * queue at most, and nothing is added to it there. Zero-initialise. Removing walks the queue. */
typedef struct xo_msgq {
    xo_msg_t *head;
    xo_msg_t *tail;
    size_t count;
    size_t bytes;
} xo_msgq_t;

void xo_msgq_push(xo_msgq_t *queue, xo_msg_t **msg);
void xo_msgq_push_front(xo_msgq_t *queue, xo_msg_t **msg);
xo_msg_t *xo_msgq_pop(xo_msgq_t *queue); /* NULL when empty */
xo_msg_t *xo_msgq_peek(const xo_msgq_t *queue);
xo_msg_t *xo_msgq_next(const xo_msg_t *msg);          /* to walk the queue */
bool xo_msgq_remove(xo_msgq_t *queue, xo_msg_t *msg); /* false: was not in it */
void xo_msgq_clear(xo_msgq_t *queue);                 /* destroys all */

#endif
