/* bundle.c - several messages in one frame: a mark, and each message as a msgpack bin. */
#include "libxo/bundle.h"

#include <errno.h>
#include <string.h>

#include "libxo/msg_impl.h"

#define BIN16 0xc5
#define BIN16_BYTES 3 /* before the bytes themselves */

/* ---- making ---- */

static size_t head_bytes(const xo_msg_t *msg)
{
    return msg->form == XOI_MSG_FRAME ? zmq_msg_size(xoi_msg_frame(msg)) : xo_msg_bytes(msg);
}

bool xoi_bundle_takes(const xo_msg_t *msg)
{
    return msg->form != XOI_MSG_LOCAL && msg->buffer_count == 0 &&
           head_bytes(msg) <= XOI_BUNDLED_BYTES_MAX;
}

static uint8_t *write_record(uint8_t *at, const xo_msg_t *msg)
{
    size_t size = head_bytes(msg);
    *at++ = BIN16;
    *at++ = (uint8_t)(size >> 8);
    *at++ = (uint8_t)size;
    if (msg->form == XOI_MSG_FRAME)
        memcpy(at, zmq_msg_data(xoi_msg_frame(msg)), size);
    else
        xoi_msg_encode(msg, at);
    return at + size;
}

xo_msg_t *xoi_bundle_make(xo_msgq_t *queue)
{
    size_t size = 1;
    for (const xo_msg_t *msg = queue->head; msg; msg = msg->next)
        size += BIN16_BYTES + head_bytes(msg);
    xo_msg_t *bundle = xoi_msg_alloc(XOI_MSG_FRAME, sizeof(zmq_msg_t));
    if (bundle && zmq_msg_init_size(xoi_msg_frame(bundle), size) < 0) {
        zmq_msg_init(xoi_msg_frame(bundle));
        xo_msg_destroy(&bundle);
    }
    if (!bundle) {
        errno = ENOMEM;
        return NULL;
    }
    uint8_t *at = zmq_msg_data(xoi_msg_frame(bundle));
    *at++ = XOI_BUNDLE_MARK;
    for (const xo_msg_t *msg = queue->head; msg; msg = msg->next)
        at = write_record(at, msg);
    bundle->bytes = queue->bytes;
    xo_msgq_clear(queue);
    return bundle;
}

/* ---- reading ---- */

bool xoi_is_bundle(xo_slice_t frame)
{
    return frame.size > 0 && (uint8_t)frame.data[0] == XOI_BUNDLE_MARK;
}

static int read_all(xo_reader_t *reader, xo_msgq_t *queue, xo_error_t *err)
{
    while (!xo_reader_done(reader)) {
        xo_slice_t bytes;
        if (xo_read_bin(reader, &bytes) < 0)
            return xo_error_set(err, EBADMSG, "a bundle: malformed");
        xo_msg_t *msg = xoi_msg_from_bytes(bytes.data, bytes.size, err);
        if (!msg)
            return -1;
        xo_msgq_push(queue, &msg);
    }
    return 0;
}

int xoi_bundle_read(xo_slice_t frame, xo_msgq_t *queue, xo_error_t *err)
{
    if (frame.size > XOI_BUNDLE_BYTES_MAX)
        return xo_error_set(err, EBADMSG, "a bundle of %zu bytes", frame.size);
    xo_reader_t reader = xo_reader(xo_slice(frame.data + 1, frame.size - 1));
    if (read_all(&reader, queue, err) == 0)
        return 0;
    int saved = errno;
    xo_msgq_clear(queue);
    errno = saved;
    return -1;
}
