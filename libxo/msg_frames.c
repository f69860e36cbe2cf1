/* msg_frames.c - messages as frames and back. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/msg_impl.h"

/* ---- to frames ---- */

size_t xo_msg_frame_count(const xo_msg_t *msg)
{
    return msg->form == XOI_MSG_LOCAL ? 0 : 1 + msg->buffer_count;
}

size_t xoi_msg_inline_size(const xo_msg_t *msg)
{
    return msg->form == XOI_MSG_INLINE && msg->buffer_count == 0 ? xo_msg_bytes(msg) : 0;
}

void xoi_msg_encode(const xo_msg_t *msg, uint8_t *out)
{
    xo_header_t placed;
    xoi_layout_t layout;
    uint8_t *end = xoi_header_write(out, &msg->header, &placed, &layout);
    if (msg->body.size > 0)
        memcpy(end, msg->body.data, msg->body.size);
}

int xoi_msg_begin_frames(const xo_msg_t *msg, zmq_msg_t *frame)
{
    zmq_msg_init(frame);
    if (msg->form != XOI_MSG_INLINE)
        return 0;
    if (zmq_msg_init_size(frame, xoi_header_size(&msg->header) + msg->body.size) < 0) {
        zmq_msg_init(frame);
        errno = ENOMEM;
        return -1;
    }
    xoi_msg_encode(msg, zmq_msg_data(frame));
    return 0;
}

void xoi_msg_end_frames(xo_msg_t **msg, zmq_msg_t *frames)
{
    if ((*msg)->form == XOI_MSG_FRAME)
        zmq_msg_move(frames, xoi_msg_frame(*msg));
    xoi_move_frames(frames + 1, (*msg)->buffers, (*msg)->buffer_count);
    xo_msg_destroy(msg);
}

int xo_msg_to_frames(xo_msg_t **msg, zmq_msg_t *frames)
{
    if ((*msg)->form == XOI_MSG_LOCAL)
        return 0;
    if (xoi_msg_begin_frames(*msg, frames) < 0)
        return -1;
    xoi_msg_end_frames(msg, frames);
    return 0;
}

/* ---- from frames ---- */

/* The body is nothing, or one well-formed value and nothing after it. */
static int check_body(xo_slice_t body, xo_error_t *err)
{
    xo_reader_t reader = xo_reader(body);
    if (body.size == 0)
        return 0;
    if (xo_read_skip(&reader) < 0)
        return xo_error_set(err, EBADMSG, "body: malformed");
    if (!xo_reader_done(&reader))
        return xo_error_set(err, EBADMSG, "body: more than one value");
    return 0;
}

/* Writes anew what came from an encoder that writes numbers short, so that they can be set. */
static int widen(xo_msg_t *msg, xo_error_t *err)
{
    zmq_msg_t narrow;
    xo_header_t header;
    xo_slice_t body;
    xoi_move_frames(&narrow, xoi_msg_frame(msg),
                    1); /* a few bytes lie in the zmq_msg_t itself, and move */
    xo_slice_t frame = xo_slice(zmq_msg_data(&narrow), zmq_msg_size(&narrow));
    int rc = xo_header_decode(frame, &header, &body, err);
    if (rc == 0 && xoi_msg_build_frame(msg, &header, body) < 0)
        rc = xo_error_set(err, ENOMEM, "no memory for a message");
    zmq_msg_close(&narrow);
    return rc;
}

static int take_head(xo_msg_t *msg, zmq_msg_t *frame, xo_error_t *err)
{
    zmq_msg_t *mine = xoi_msg_frame(msg);
    zmq_msg_move(mine, frame);
    xo_slice_t bytes = xo_slice(zmq_msg_data(mine), zmq_msg_size(mine));
    if (xoi_header_read(bytes, &msg->header, &msg->layout, &msg->body, err) < 0 ||
        check_body(msg->body, err) < 0)
        return -1;
    return xoi_layout_full(&msg->layout) ? 0 : widen(msg, err);
}

static int take_buffers(xo_msg_t *msg, zmq_msg_t *frames, size_t count, xo_error_t *err)
{
    if (count == 0)
        return 0;
    if (xoi_msg_reserve_buffers(msg, count) < 0)
        return xo_error_set(err, ENOMEM, "no memory for a message of %zu buffers", count);
    xoi_move_frames(msg->buffers, frames, count);
    msg->buffer_count = (uint32_t)count;
    return 0;
}

static int check_frames(const zmq_msg_t *frames, size_t count, size_t *bytes, xo_error_t *err)
{
    *bytes = 0;
    if (count == 0 || count - 1 > XO_BUFFERS_MAX)
        return xo_error_set(err, EBADMSG, "a message of %zu frames", count);
    for (size_t i = 0; i < count; i++) {
        size_t size = zmq_msg_size(&frames[i]);
        if (size > XO_MESSAGE_BYTES_MAX - *bytes)
            return xo_error_set(err, EBADMSG, "a message of more than %zu bytes",
                                XO_MESSAGE_BYTES_MAX);
        *bytes += size;
    }
    return 0;
}

static int take_frames(xo_msg_t *msg, zmq_msg_t *frames, size_t count, xo_error_t *err)
{
    if (!msg)
        return xo_error_set(err, ENOMEM, "no memory for a message");
    if (check_frames(frames, count, &msg->bytes, err) < 0)
        return -1;
    msg->bytes -= zmq_msg_size(frames);
    if (take_head(msg, frames, err) < 0)
        return -1;
    msg->bytes += xoi_header_size(&msg->header) + msg->body.size;
    return take_buffers(msg, frames + 1, count - 1, err);
}

xo_msg_t *xo_msg_from_frames(zmq_msg_t *frames, size_t count, xo_error_t *err)
{
    xo_msg_t *msg = xoi_msg_alloc(XOI_MSG_FRAME, sizeof(zmq_msg_t));
    if (take_frames(msg, frames, count, err) == 0)
        return msg;
    int saved = errno;
    for (size_t i = 0; i < count; i++) /* those taken are empty by now */
        zmq_msg_close(&frames[i]);
    xo_msg_destroy(&msg);
    errno = saved;
    return NULL;
}

/* What came out of shared memory in one piece: the message's own copy, so it can be set without
 * being encoded again. */
static int take_bytes(xo_msg_t *msg, const void *bytes, size_t size, xo_error_t *err)
{
    if (!msg)
        return xo_error_set(err, ENOMEM, "no memory for a message");
    memcpy(msg->rest, bytes, size);
    if (xoi_header_read(xo_slice(msg->rest, size), &msg->header, &msg->layout, &msg->body, err) <
            0 ||
        check_body(msg->body, err) < 0)
        return -1;
    msg->bytes = xoi_header_size(&msg->header) + msg->body.size;
    return 0;
}

xo_msg_t *xoi_msg_from_bytes(const void *bytes, size_t size, xo_error_t *err)
{
    xo_msg_t *msg = xoi_msg_alloc(XOI_MSG_INLINE, size);
    if (take_bytes(msg, bytes, size, err) < 0)
        xo_msg_destroy(&msg);
    return msg;
}

/* ---- a message within a message ---- */

static int share(zmq_msg_t *to, zmq_msg_t *from)
{
    zmq_msg_init(to);
    return zmq_msg_copy(to, from);
}

static int wrap_head(xo_msg_t *wrapper, const xo_msg_t *msg)
{
    zmq_msg_t *frame = &wrapper->buffers[wrapper->buffer_count++];
    if (msg->form == XOI_MSG_FRAME)
        return share(frame, xoi_msg_frame(msg));
    return xoi_msg_begin_frames(msg, frame);
}

static int wrap_frames(xo_msg_t *wrapper, const xo_msg_t *msg, size_t apart)
{
    if (!wrapper || xoi_msg_reserve_buffers(wrapper, 1 + msg->buffer_count) < 0 ||
        wrap_head(wrapper, msg) < 0)
        return -1;
    for (size_t i = 0; i < msg->buffer_count; i++) {
        zmq_msg_t *frame = &wrapper->buffers[wrapper->buffer_count++];
        if (zmq_msg_size(&msg->buffers[i]) >= apart)
            zmq_msg_init(frame);
        else if (share(frame, &msg->buffers[i]) < 0)
            return -1;
    }
    wrapper->bytes = xo_msg_bytes(wrapper);
    for (size_t i = 0; i < wrapper->buffer_count; i++)
        wrapper->bytes += zmq_msg_size(&wrapper->buffers[i]);
    return 0;
}

xo_msg_t *xoi_msg_wrap(const xo_header_t *header, xo_slice_t body, const xo_msg_t *msg,
                       size_t apart)
{
    xo_msg_t *wrapper = xo_msg_create(header, body);
    if (wrap_frames(wrapper, msg, apart) < 0)
        xo_msg_destroy(&wrapper);
    return wrapper;
}

xo_msg_t *xoi_msg_unwrap(xo_msg_t **wrapper, xo_error_t *err)
{
    size_t count = (*wrapper)->buffer_count;
    (*wrapper)->buffer_count = 0;
    xo_msg_t *msg = xo_msg_from_frames((*wrapper)->buffers, count, err);
    xo_msg_destroy(wrapper);
    return msg;
}
