/* stream.h - messages as a stream of bytes, for lanes that carry bytes. Pure: no I/O.
 *
 * A frame is 8 bytes, little-endian, that hold its size times two, plus one when another frame of
 * the same message follows; then its bytes. A message may be written and read in any number of
 * pieces, so it may be larger than what carries it.
 *
 * A large buffer can be lent: the highest bit of its head is set, and 8 bytes follow that say where
 * the buffer is. What they mean is no business of the stream. A message's first frame never is: it
 * is checked once and believed from then on, so nobody else may be able to write to it.
 */
#ifndef XO_STREAM_H
#define XO_STREAM_H

#include <sys/types.h>

#include "libxo/msg.h"

#define XOI_STREAM_HEAD_BYTES 8
#define XOI_STREAM_LENT (UINT64_C(1) << 63)
#define XOI_STREAM_FRAMES_FIRST 4  /* without memory from malloc */
#define XOI_STREAM_SMALL_BYTES 768 /* of a message that is copied rather than made of frames */

/* Lends the frame's bytes: *where is written instead. -1: they cannot be lent. */
typedef int (*xoi_lend_f)(void *arg, zmq_msg_t *frame, uint64_t *where);
/* Makes `frame` of what was lent. -1 with a sentence: EBADMSG, ENOMEM. */
typedef int (*xoi_borrow_f)(void *arg, uint64_t where, size_t size, zmq_msg_t *frame,
                            xo_error_t *err);

/* The message that is being written. Zero-initialise. */
typedef struct xoi_writer {
    xoi_lend_f lend; /* NULL: nothing is lent */
    void *lend_arg;
    zmq_msg_t *frames;
    size_t count;       /* 0: none */
    size_t small_bytes; /* or this many of `small`, of which `done` are written */
    size_t index;       /* the frame that comes next */
    size_t done;        /* of its head and its bytes */
    size_t size;        /* of both; 0: its head is not made yet */
    size_t head_bytes;
    unsigned char head[2 * XOI_STREAM_HEAD_BYTES];
    zmq_msg_t first[XOI_STREAM_FRAMES_FIRST];
    uint8_t small[XOI_STREAM_HEAD_BYTES + XOI_STREAM_SMALL_BYTES];
} xoi_writer_t;

/* Takes as many bytes as it can; -1 with errno: it is broken. */
typedef ssize_t (*xoi_put_f)(void *to, const void *bytes, size_t size);

/* Begins with *msg (NULLed); the one before is through. -1 and *msg untouched: ENOMEM. */
int xoi_writer_begin(xoi_writer_t *writer, xo_msg_t **msg);
bool xoi_writer_busy(const xoi_writer_t *writer);
/* 1: the message is through; 0: `to` took no more; -1: it is broken. */
int xoi_writer_go_on(xoi_writer_t *writer, xoi_put_f put, void *to);
void xoi_writer_free(xoi_writer_t *writer);

/* The message that is being read. */
typedef struct xoi_stream_reader {
    xoi_borrow_f borrow; /* NULL: nothing may be lent. To be set after it was initialised */
    void *borrow_arg;
    unsigned char head[2 * XOI_STREAM_HEAD_BYTES];
    size_t head_bytes;  /* of them are there */
    size_t frame_bytes; /* of the last frame are there */
    bool in_frame;      /* head is complete, and frames[count - 1] is being filled */
    size_t small_bytes; /* head is complete, and so many bytes of `small` are being filled; or 0 */
    bool more;
    uint64_t bytes; /* of all frames */
    zmq_msg_t *frames;
    size_t count;
    size_t capacity;
    zmq_msg_t first[XOI_STREAM_FRAMES_FIRST];
    unsigned char small[XOI_STREAM_SMALL_BYTES];
} xoi_stream_reader_t;

void xoi_stream_reader_init(xoi_stream_reader_t *reader);
void xoi_stream_reader_free(xoi_stream_reader_t *reader);
/* A whole small message, written at once: its size as a stream, or 0 where it is not so small. */
size_t xoi_stream_small(const xo_msg_t *msg);
void xoi_stream_put_small(const xo_msg_t *msg, uint8_t *out);

/* Reads from the front of *bytes, which moves on. 1: *msg is complete; 0: all bytes are read;
 * -1: EBADMSG, ENOMEM with a sentence. */
int xoi_stream_read(xoi_stream_reader_t *reader, xo_slice_t *bytes, xo_msg_t **msg,
                    xo_error_t *err);

#endif
