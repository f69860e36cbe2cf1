/* stream.c - messages as a stream of bytes. */
#include "libxo/stream.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/lane.h"
#include "libxo/msg_impl.h"

static void store_le64(unsigned char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint64_t load_le64(const unsigned char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

/* ---- writing ---- */

static bool take_small(xoi_writer_t *writer, xo_msg_t **msg)
{
    size_t size = xoi_stream_small(*msg);

    if (size == 0 || size > sizeof writer->small)
        return false;
    xoi_stream_put_small(*msg, writer->small);
    xo_msg_destroy(msg);
    writer->small_bytes = size;
    writer->done = 0;
    return true;
}

int xoi_writer_begin(xoi_writer_t *writer, xo_msg_t **msg)
{
    if (take_small(writer, msg))
        return 0;
    size_t count = xo_msg_frame_count(*msg);

    writer->frames =
        count <= XOI_STREAM_FRAMES_FIRST ? writer->first : malloc(count * sizeof *writer->frames);
    if (!writer->frames)
        return -1;
    if (xo_msg_to_frames(msg, writer->frames) < 0) {
        if (count > XOI_STREAM_FRAMES_FIRST)
            free(writer->frames);
        return -1;
    }
    writer->count = count;
    writer->index = writer->done = writer->size = 0;
    return 0;
}

bool xoi_writer_busy(const xoi_writer_t *writer)
{
    return writer->count > 0 || writer->small_bytes > 0;
}

void xoi_writer_free(xoi_writer_t *writer)
{
    for (size_t i = 0; i < writer->count; i++)
        zmq_msg_close(&writer->frames[i]);
    if (writer->count > XOI_STREAM_FRAMES_FIRST)
        free(writer->frames);
    writer->count = writer->small_bytes = 0;
}

/* Lends the frame that comes next, if that pays. It is closed early: whoever waits for its memory
 * need not wait until the peer has read what was written before. */
static bool lend(xoi_writer_t *writer, zmq_msg_t *frame)
{
    uint64_t where;

    if (!writer->lend || writer->index == 0 || zmq_msg_size(frame) < XO_INLINE_BYTES_MAX ||
        writer->lend(writer->lend_arg, frame, &where) < 0)
        return false;
    store_le64(writer->head + XOI_STREAM_HEAD_BYTES, where);
    zmq_msg_close(frame);
    zmq_msg_init(frame);
    return true;
}

static void make_head(xoi_writer_t *writer)
{
    zmq_msg_t *frame = &writer->frames[writer->index];
    size_t size = zmq_msg_size(frame);
    uint64_t head = (uint64_t)size << 1 | (writer->index + 1 < writer->count);
    bool lent = lend(writer, frame);

    store_le64(writer->head, lent ? head | XOI_STREAM_LENT : head);
    writer->head_bytes = lent ? 2 * XOI_STREAM_HEAD_BYTES : XOI_STREAM_HEAD_BYTES;
    writer->size = writer->head_bytes + (lent ? 0 : size);
}

/* The part of the frame's head, or of its bytes, that comes next. */
static ssize_t put_part(xoi_writer_t *writer, xoi_put_f put, void *to)
{
    size_t done = writer->done;

    if (done < writer->head_bytes)
        return put(to, writer->head + done, writer->head_bytes - done);
    return put(
        to, (const char *)zmq_msg_data(&writer->frames[writer->index]) + done - writer->head_bytes,
        writer->size - done);
}

int xoi_writer_go_on(xoi_writer_t *writer, xoi_put_f put, void *to)
{
    while (writer->done < writer->small_bytes) {
        ssize_t n = put(to, writer->small + writer->done, writer->small_bytes - writer->done);
        if (n <= 0)
            return (int)n;
        writer->done += (size_t)n;
    }
    while (writer->index < writer->count) {
        if (writer->size == 0)
            make_head(writer);
        while (writer->done < writer->size) {
            ssize_t n = put_part(writer, put, to);
            if (n <= 0)
                return (int)n;
            writer->done += (size_t)n;
        }
        writer->index++;
        writer->done = writer->size = 0;
    }
    xoi_writer_free(writer);
    return 1;
}

size_t xoi_stream_small(const xo_msg_t *msg)
{
    size_t size = xoi_msg_inline_size(msg);

    return size > 0 ? XOI_STREAM_HEAD_BYTES + size : 0;
}

void xoi_stream_put_small(const xo_msg_t *msg, uint8_t *out)
{
    store_le64(out, (uint64_t)xoi_msg_inline_size(msg) << 1);
    xoi_msg_encode(msg, out + XOI_STREAM_HEAD_BYTES);
}

/* ---- reading ---- */

static void forget(xoi_stream_reader_t *reader)
{
    reader->count = reader->head_bytes = reader->frame_bytes = 0;
    reader->bytes = 0;
    reader->small_bytes = 0;
    reader->in_frame = reader->more = false;
}

void xoi_stream_reader_init(xoi_stream_reader_t *reader)
{
    reader->frames = reader->first;
    reader->capacity = XOI_STREAM_FRAMES_FIRST;
    forget(reader);
}

void xoi_stream_reader_free(xoi_stream_reader_t *reader)
{
    while (reader->count > 0)
        zmq_msg_close(&reader->frames[--reader->count]);
    if (reader->frames != reader->first)
        free(reader->frames);
    xoi_stream_reader_init(reader);
}

static int grow(xoi_stream_reader_t *reader)
{
    size_t capacity = reader->capacity * 2;
    zmq_msg_t *more;

    if (reader->count < reader->capacity)
        return 0;
    more = malloc(capacity * sizeof *more);
    if (!more)
        return -1;
    for (size_t i = 0; i < reader->count; i++) {
        zmq_msg_init(&more[i]);
        zmq_msg_move(&more[i], &reader->frames[i]);
    }
    if (reader->frames != reader->first)
        free(reader->frames);
    reader->frames = more;
    reader->capacity = capacity;
    return 0;
}

static bool is_lent(const xoi_stream_reader_t *reader)
{
    return reader->head_bytes >= XOI_STREAM_HEAD_BYTES && load_le64(reader->head) & XOI_STREAM_LENT;
}

static int make_frame(xoi_stream_reader_t *reader, size_t size, xo_error_t *err)
{
    zmq_msg_t *frame = &reader->frames[reader->count];

    if (is_lent(reader))
        return reader->borrow(reader->borrow_arg, load_le64(reader->head + XOI_STREAM_HEAD_BYTES),
                              size, frame, err);
    return zmq_msg_init_size(frame, size) < 0
               ? xo_error_set(err, ENOMEM, "no memory for a frame of %zu bytes", size)
               : 0;
}

/* A message of one small frame, which comes in pieces, needs no frame. */
static bool begin_small(xoi_stream_reader_t *reader)
{
    uint64_t head = load_le64(reader->head);

    if (reader->count > 0 || head & (XOI_STREAM_LENT | 1) || head >> 1 > XOI_STREAM_SMALL_BYTES)
        return false;
    reader->small_bytes = (size_t)(head >> 1);
    return reader->small_bytes > 0;
}

/* The head says how much follows: within the limits, it is believed. Memory that is not written to
 * costs nothing, so a lie costs its sender's lane and no more. */
static int begin_frame(xoi_stream_reader_t *reader, xo_error_t *err)
{
    uint64_t head = load_le64(reader->head);
    uint64_t size = (head & ~XOI_STREAM_LENT) >> 1;

    if (size > (uint64_t)XO_LANE_FRAME_BYTES_MAX || size > XO_MESSAGE_BYTES_MAX - reader->bytes)
        return xo_error_set(err, EBADMSG, "a frame of %llu bytes", (unsigned long long)size);
    if (reader->count > XO_BUFFERS_MAX)
        return xo_error_set(err, EBADMSG, "more than %d buffers", XO_BUFFERS_MAX);
    if (grow(reader) < 0)
        return xo_error_set(err, ENOMEM, "no memory for a frame");
    if (make_frame(reader, (size_t)size, err) < 0)
        return -1;
    reader->count++;
    reader->bytes += size;
    reader->more = head & 1;
    reader->in_frame = true;
    reader->frame_bytes = is_lent(reader) ? (size_t)size : 0; /* it is all there */
    return 0;
}

/* Copies from the front of *bytes until `size` bytes are at `to`, of which *done were. */
static bool fill(void *to, size_t *done, size_t size, xo_slice_t *bytes)
{
    size_t n = size - *done < bytes->size ? size - *done : bytes->size;

    if (n > 0)
        memcpy((char *)to + *done, bytes->data, n);
    *done += n;
    *bytes = xo_slice(bytes->data + n, bytes->size - n);
    return *done == size;
}

static bool fill_frame(xoi_stream_reader_t *reader, xo_slice_t *bytes)
{
    zmq_msg_t *frame = &reader->frames[reader->count - 1];

    if (!fill(zmq_msg_data(frame), &reader->frame_bytes, zmq_msg_size(frame), bytes))
        return false;
    reader->in_frame = false;
    reader->head_bytes = 0;
    return true;
}

/* 1: the message is complete; 0: all bytes are read; -1: it is none. */
static int fill_small(xoi_stream_reader_t *reader, xo_slice_t *bytes, xo_msg_t **msg,
                      xo_error_t *err)
{
    size_t size = reader->small_bytes;

    if (!fill(reader->small, &reader->frame_bytes, size, bytes))
        return 0;
    *msg = xoi_msg_from_bytes(reader->small, size, err);
    forget(reader);
    return *msg ? 1 : -1;
}

static int end_msg(xoi_stream_reader_t *reader, xo_msg_t **msg, xo_error_t *err)
{
    *msg = xo_msg_from_frames(reader->frames, reader->count, err);
    forget(reader);
    return *msg ? 1 : -1;
}

/* The size of the message that *bytes begin with, if it is one small frame that is all there. The
 * bytes may change while they are looked at: the head is read once. */
static size_t small_size(const xoi_stream_reader_t *reader, xo_slice_t bytes)
{
    unsigned char copy[XOI_STREAM_HEAD_BYTES];
    uint64_t head;

    if (reader->in_frame || reader->head_bytes > 0 || reader->count > 0 || bytes.size < sizeof copy)
        return 0;
    memcpy(copy, bytes.data, sizeof copy);
    head = load_le64(copy);
    __asm__ volatile("" : "+r"(head)); /* and not again */
    return !(head & 1) && head >> 1 <= XOI_STREAM_SMALL_BYTES &&
                   head >> 1 <= bytes.size - sizeof copy
               ? (size_t)(head >> 1)
               : 0;
}

/* 1: it is there; 0: all bytes are read. */
static int read_head(xoi_stream_reader_t *reader, xo_slice_t *bytes, xo_error_t *err)
{
    size_t *have = &reader->head_bytes;

    if (*have < XOI_STREAM_HEAD_BYTES && !fill(reader->head, have, XOI_STREAM_HEAD_BYTES, bytes))
        return 0;
    if (!is_lent(reader))
        return 1;
    if (reader->count == 0 || !reader->borrow)
        return xo_error_set(err, EBADMSG, "a frame that may not be lent");
    return fill(reader->head, have, 2 * XOI_STREAM_HEAD_BYTES, bytes);
}

int xoi_stream_read(xoi_stream_reader_t *reader, xo_slice_t *bytes, xo_msg_t **msg, xo_error_t *err)
{
    size_t small = small_size(reader, *bytes);

    if (small > 0) {
        *msg = xoi_msg_from_bytes(bytes->data + XOI_STREAM_HEAD_BYTES, small, err);
        small += XOI_STREAM_HEAD_BYTES;
        *bytes = xo_slice(bytes->data + small, bytes->size - small);
        return *msg ? 1 : -1;
    }
    for (;;) {
        if (!reader->in_frame && reader->small_bytes == 0) {
            int rc = read_head(reader, bytes, err);
            if (rc <= 0)
                return rc;
            if (!begin_small(reader) && begin_frame(reader, err) < 0)
                return -1;
        }
        if (reader->small_bytes > 0)
            return fill_small(reader, bytes, msg, err);
        if (!fill_frame(reader, bytes))
            return 0;
        if (!reader->more)
            return end_msg(reader, msg, err);
    }
}
