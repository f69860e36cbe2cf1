/* msg.c - messages: frame 0 is built or taken over as a whole, and the header's slices and the
 * body point into it. */

#include "libxo/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/bytes.h"
#include "libxo/header.h"

struct xo_msg {
    xo_msg_t *next; /* in an xo_msgq_t */
    xo_header_t header;
    xo_slice_t body;
    size_t bytes; /* see xo_msg_bytes */
    xoi_layout_t layout;
    bool local;
    size_t buffer_count;
    size_t buffer_capacity;
    zmq_msg_t *buffers;
    zmq_msg_t frame; /* frame 0; an empty one where local */
    void *payload;
    void (*payload_free)(void *payload);
    char text[]; /* of a local one: what the header's slices point to */
};

/* ---- making and destroying ---- */

static xo_msg_t *msg_alloc(size_t text_bytes)
{
    xo_msg_t *msg = malloc(sizeof *msg + text_bytes);
    if (!msg)
        return NULL;
    memset(msg, 0, sizeof *msg);
    zmq_msg_init(&msg->frame);
    return msg;
}

/* Makes frame 0 of `header` and `body` in one piece; msg->frame must be empty. */
static int build_frame(xo_msg_t *msg, const xo_header_t *header, xo_slice_t body)
{
    size_t head = xoi_header_size(header);
    if (zmq_msg_init_size(&msg->frame, head + body.size) < 0) {
        zmq_msg_init(&msg->frame);
        errno = ENOMEM;
        return -1;
    }
    uint8_t *data = zmq_msg_data(&msg->frame);
    xo_header_t placed;
    xoi_header_write(data, header, &placed, &msg->layout);
    if (body.size > 0)
        memcpy(data + head, body.data, body.size);
    msg->header = placed;
    msg->body = xo_slice(data + head, body.size);
    return 0;
}

xo_msg_t *xo_msg_create(const xo_header_t *header, xo_slice_t body)
{
    if (xoi_header_check(header) < 0)
        return NULL;
    if (body.size > XO_MESSAGE_BYTES_MAX - xoi_header_size(header)) {
        errno = EMSGSIZE;
        return NULL;
    }
    xo_msg_t *msg = msg_alloc(0);
    if (!msg)
        return NULL;
    if (build_frame(msg, header, body) < 0) {
        xo_msg_destroy(&msg);
        return NULL;
    }
    msg->bytes = zmq_msg_size(&msg->frame);
    return msg;
}

static char *place(char *at, xo_slice_t *slice)
{
    if (slice->size > 0)
        memcpy(at, slice->data, slice->size);
    slice->data = at;
    return at + slice->size;
}

xo_msg_t *xo_msg_create_local(const xo_header_t *header, void *payload,
                              void (*payload_free)(void *payload), size_t bytes)
{
    if (xoi_header_check(header) < 0)
        return NULL;
    xo_msg_t *msg = msg_alloc(header->target_uid.size + header->sender_uid.size +
                              header->method.size + header->trace.size);
    if (!msg)
        return NULL;
    msg->header = *header;
    char *at = place(msg->text, &msg->header.target_uid);
    at = place(at, &msg->header.sender_uid);
    at = place(at, &msg->header.method);
    place(at, &msg->header.trace);
    msg->local = true;
    msg->payload = payload;
    msg->payload_free = payload_free;
    msg->bytes = bytes;
    return msg;
}

void xo_msg_destroy(xo_msg_t **msg)
{
    if (!msg || !*msg)
        return;
    int saved = errno;
    xo_msg_t *gone = *msg;
    *msg = NULL;
    zmq_msg_close(&gone->frame);
    for (size_t i = 0; i < gone->buffer_count; i++)
        zmq_msg_close(&gone->buffers[i]);
    free(gone->buffers);
    if (gone->payload && gone->payload_free)
        gone->payload_free(gone->payload);
    free(gone);
    errno = saved;
}

/* ---- looking at it ---- */

const xo_header_t *xo_msg_header(const xo_msg_t *msg)
{
    return &msg->header;
}

xo_slice_t xo_msg_body(const xo_msg_t *msg)
{
    return msg->body;
}

void *xo_msg_payload(const xo_msg_t *msg)
{
    return msg->payload;
}

void *xo_msg_take_payload(xo_msg_t *msg)
{
    void *payload = msg->payload;
    msg->payload = NULL;
    return payload;
}

size_t xo_msg_bytes(const xo_msg_t *msg)
{
    return msg->bytes;
}

/* ---- setting in place ---- */

/* Every message with a frame has its numbers in full width: build_frame writes them so, and
 * take_head sees to it for messages of other encoders. Offset 0: a local message. */
static void patch(xo_msg_t *msg, uint16_t offset, uint64_t value)
{
    if (offset)
        xoi_store_be64((uint8_t *)zmq_msg_data(&msg->frame) + offset, value);
}

void xo_msg_set_seq(xo_msg_t *msg, uint64_t seq)
{
    msg->header.seq = seq;
    patch(msg, msg->layout.seq, seq);
}

void xo_msg_set_sender_id(xo_msg_t *msg, uint64_t sender_id)
{
    msg->header.sender_id = sender_id;
    patch(msg, msg->layout.sender_id, sender_id);
}

void xo_msg_set_target_id(xo_msg_t *msg, uint64_t target_id)
{
    msg->header.target_id = target_id;
    patch(msg, msg->layout.target_id, target_id);
}

/* ---- buffers ---- */

static void move_frames(zmq_msg_t *to, zmq_msg_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&to[i]);
        zmq_msg_move(&to[i], &from[i]);
    }
}

static int reserve_buffers(xo_msg_t *msg, size_t capacity)
{
    zmq_msg_t *buffers = malloc(capacity * sizeof *buffers);
    if (!buffers)
        return -1;
    move_frames(buffers, msg->buffers, msg->buffer_count);
    free(msg->buffers);
    msg->buffers = buffers;
    msg->buffer_capacity = capacity;
    return 0;
}

int xo_msg_add_buffer(xo_msg_t *msg, zmq_msg_t *buffer)
{
    size_t size = zmq_msg_size(buffer);
    if (msg->buffer_count >= XO_BUFFERS_MAX || size > XO_MESSAGE_BYTES_MAX ||
        msg->bytes > XO_MESSAGE_BYTES_MAX - size) {
        errno = EMSGSIZE;
        return -1;
    }
    if (msg->buffer_count == msg->buffer_capacity &&
        reserve_buffers(msg, msg->buffer_count ? 2 * msg->buffer_count : 1) < 0)
        return -1;
    move_frames(&msg->buffers[msg->buffer_count++], buffer, 1);
    msg->bytes += size;
    return 0;
}

int xo_msg_add_buffer_copy(xo_msg_t *msg, const void *data, size_t size)
{
    zmq_msg_t buffer;
    if (size > XO_MESSAGE_BYTES_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (zmq_msg_init_size(&buffer, size) < 0)
        return -1;
    if (size > 0)
        memcpy(zmq_msg_data(&buffer), data, size);
    int rc = xo_msg_add_buffer(msg, &buffer);
    int saved = errno;
    zmq_msg_close(&buffer);
    errno = saved;
    return rc;
}

size_t xo_msg_buffer_count(const xo_msg_t *msg)
{
    return msg->buffer_count;
}

xo_slice_t xo_msg_buffer(const xo_msg_t *msg, size_t index)
{
    if (index >= msg->buffer_count)
        return xo_slice(NULL, 0);
    zmq_msg_t *buffer = &msg->buffers[index];
    return xo_slice(zmq_msg_data(buffer), zmq_msg_size(buffer));
}

int xo_msg_copy_buffer(xo_msg_t *msg, size_t index, zmq_msg_t *out)
{
    if (index >= msg->buffer_count) {
        errno = ENOENT;
        return -1;
    }
    zmq_msg_init(out);
    return zmq_msg_copy(out, &msg->buffers[index]);
}

/* ---- frames ---- */

size_t xo_msg_frame_count(const xo_msg_t *msg)
{
    return msg->local ? 0 : 1 + msg->buffer_count;
}

void xo_msg_to_frames(xo_msg_t **msg, zmq_msg_t *frames)
{
    if ((*msg)->local)
        return;
    move_frames(frames, &(*msg)->frame, 1);
    move_frames(frames + 1, (*msg)->buffers, (*msg)->buffer_count);
    xo_msg_destroy(msg);
}

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
    move_frames(&narrow, &msg->frame, 1); /* a few bytes lie in the zmq_msg_t itself, and move */
    xo_slice_t frame = xo_slice(zmq_msg_data(&narrow), zmq_msg_size(&narrow));
    int rc = xo_header_decode(frame, &header, &body, err);
    if (rc == 0 && build_frame(msg, &header, body) < 0)
        rc = xo_error_set(err, ENOMEM, "no memory for a message");
    zmq_msg_close(&narrow);
    return rc;
}

static int take_head(xo_msg_t *msg, zmq_msg_t *frame, xo_error_t *err)
{
    zmq_msg_move(&msg->frame, frame);
    xo_slice_t bytes = xo_slice(zmq_msg_data(&msg->frame), zmq_msg_size(&msg->frame));
    if (xoi_header_read(bytes, &msg->header, &msg->layout, &msg->body, err) < 0 ||
        check_body(msg->body, err) < 0)
        return -1;
    return xoi_layout_full(&msg->layout) ? 0 : widen(msg, err);
}

static int take_buffers(xo_msg_t *msg, zmq_msg_t *frames, size_t count, xo_error_t *err)
{
    if (count == 0)
        return 0;
    if (reserve_buffers(msg, count) < 0)
        return xo_error_set(err, ENOMEM, "no memory for a message of %zu buffers", count);
    move_frames(msg->buffers, frames, count);
    msg->buffer_count = count;
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
    xo_msg_t *msg = msg_alloc(0);
    if (take_frames(msg, frames, count, err) == 0)
        return msg;
    int saved = errno;
    for (size_t i = 0; i < count; i++) /* those taken are empty by now */
        zmq_msg_close(&frames[i]);
    xo_msg_destroy(&msg);
    errno = saved;
    return NULL;
}

/* ---- the queue ---- */

void xo_msgq_push(xo_msgq_t *queue, xo_msg_t **msg)
{
    xo_msg_t *last = *msg;
    *msg = NULL;
    last->next = NULL;
    if (queue->tail)
        queue->tail->next = last;
    else
        queue->head = last;
    queue->tail = last;
    queue->count++;
    queue->bytes += last->bytes;
}

/* Takes out what follows `before` (NULL: the head). */
static xo_msg_t *unlink_after(xo_msgq_t *queue, xo_msg_t *before)
{
    xo_msg_t **link = before ? &before->next : &queue->head;
    xo_msg_t *msg = *link;
    *link = msg->next;
    if (queue->tail == msg)
        queue->tail = before;
    msg->next = NULL;
    queue->count--;
    queue->bytes -= msg->bytes;
    return msg;
}

xo_msg_t *xo_msgq_pop(xo_msgq_t *queue)
{
    return queue->head ? unlink_after(queue, NULL) : NULL;
}

xo_msg_t *xo_msgq_peek(const xo_msgq_t *queue)
{
    return queue->head;
}

xo_msg_t *xo_msgq_next(const xo_msg_t *msg)
{
    return msg->next;
}

bool xo_msgq_remove(xo_msgq_t *queue, xo_msg_t *msg)
{
    xo_msg_t *before = NULL;
    for (xo_msg_t *at = queue->head; at; before = at, at = at->next) {
        if (at == msg) {
            unlink_after(queue, before);
            return true;
        }
    }
    return false;
}

void xo_msgq_clear(xo_msgq_t *queue)
{
    for (xo_msg_t *msg; (msg = xo_msgq_pop(queue));)
        xo_msg_destroy(&msg);
}
