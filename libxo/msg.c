/* msg.c - messages: making, looking at, changing, queueing. The header's slices and the body of a
 * small message lie behind the struct; those of others point into frame 0. */

#include "libxo/msg_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/bytes.h"
#include "libxo/cache.h"

/* ---- making and destroying ---- */

xo_msg_t *xoi_msg_alloc(xoi_msg_form_t form, size_t rest_bytes)
{
    size_t memory = sizeof(xo_msg_t) + rest_bytes;
    xo_msg_t *msg = xoi_cache_alloc(memory);
    if (!msg)
        return NULL;
    memset(msg, 0, sizeof *msg);
    msg->form = form;
    msg->memory = memory;
    if (form == XOI_MSG_FRAME)
        zmq_msg_init(xoi_msg_frame(msg));
    return msg;
}

int xoi_msg_build_frame(xo_msg_t *msg, const xo_header_t *header, xo_slice_t body)
{
    zmq_msg_t *frame = xoi_msg_frame(msg);
    size_t head = xoi_header_size(header);
    if (zmq_msg_init_size(frame, head + body.size) < 0) {
        zmq_msg_init(frame);
        errno = ENOMEM;
        return -1;
    }
    uint8_t *data = zmq_msg_data(frame);
    xo_header_t placed;
    xoi_header_write(data, header, &placed, &msg->layout);
    if (body.size > 0)
        memcpy(data + head, body.data, body.size);
    msg->header = placed;
    msg->body = xo_slice(data + head, body.size);
    return 0;
}

static xo_msg_t *create_framed(const xo_header_t *header, xo_slice_t body)
{
    xo_msg_t *msg = xoi_msg_alloc(XOI_MSG_FRAME, sizeof(zmq_msg_t));
    if (!msg)
        return NULL;
    if (xoi_msg_build_frame(msg, header, body) < 0)
        xo_msg_destroy(&msg);
    else
        msg->bytes = zmq_msg_size(xoi_msg_frame(msg));
    return msg;
}

static size_t text_size(const xo_header_t *header)
{
    return header->target_uid.size + header->sender_uid.size + header->method.size +
           header->trace.size;
}

static char *place_texts(char *at, xo_header_t *header)
{
    at = xoi_msg_text(at, &header->target_uid);
    at = xoi_msg_text(at, &header->sender_uid);
    at = xoi_msg_text(at, &header->method);
    return xoi_msg_text(at, &header->trace);
}

static xo_msg_t *create_inline(const xo_header_t *header, xo_slice_t body)
{
    size_t texts = text_size(header);
    size_t memory = sizeof(xo_msg_t) + texts + body.size;
    xo_msg_t *msg = xoi_cache_alloc(memory);
    if (!msg)
        return NULL;
    memset(msg, 0, offsetof(xo_msg_t, header));
    msg->memory = memory;
    msg->header = *header;
    msg->body = body;
    xoi_msg_text(texts ? place_texts(msg->rest, &msg->header) : msg->rest, &msg->body);
    return msg;
}

xo_msg_t *xo_msg_create(const xo_header_t *header, xo_slice_t body)
{
    if (xoi_header_check(header) < 0)
        return NULL;
    if (body.size <= XOI_INLINE_BODY_BYTES)
        return create_inline(header, body);
    if (body.size > XO_MESSAGE_BYTES_MAX - xoi_header_size(header)) {
        errno = EMSGSIZE;
        return NULL;
    }
    return create_framed(header, body);
}

xo_msg_t *xo_msg_create_local(const xo_header_t *header, void *payload,
                              void (*payload_free)(void *payload), size_t bytes)
{
    if (xoi_header_check(header) < 0)
        return NULL;
    xo_msg_t *msg = xoi_msg_alloc(XOI_MSG_LOCAL, sizeof(xoi_local_t) + text_size(header));
    if (!msg)
        return NULL;
    xoi_local_t *local = xoi_msg_local(msg);
    msg->header = *header;
    place_texts(local->text, &msg->header);
    local->payload = payload;
    local->payload_free = payload_free;
    msg->bytes = bytes;
    return msg;
}

static void free_payload(xoi_local_t *local)
{
    if (local->payload && local->payload_free)
        local->payload_free(local->payload);
}

void xo_msg_destroy(xo_msg_t **msg)
{
    if (!msg || !*msg)
        return;
    xo_msg_t *gone = *msg;
    *msg = NULL;
    if (gone->form == XOI_MSG_INLINE && !gone->buffers) { /* most are */
        xoi_cache_free(gone, gone->memory);
        return;
    }
    int saved = errno;
    if (gone->form == XOI_MSG_FRAME)
        zmq_msg_close(xoi_msg_frame(gone));
    else if (gone->form == XOI_MSG_LOCAL)
        free_payload(xoi_msg_local(gone));
    for (size_t i = 0; i < gone->buffer_count; i++)
        zmq_msg_close(&gone->buffers[i]);
    if (gone->buffers)
        free(gone->buffers);
    xoi_cache_free(gone, gone->memory);
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
    return msg->form == XOI_MSG_LOCAL ? xoi_msg_local(msg)->payload : NULL;
}

void *xo_msg_take_payload(xo_msg_t *msg)
{
    void *payload = xo_msg_payload(msg);
    if (payload)
        xoi_msg_local(msg)->payload = NULL;
    return payload;
}

/* Of a small message they are counted when somebody wants to know. */
size_t xo_msg_bytes(const xo_msg_t *msg)
{
    if (!msg->bytes && msg->form == XOI_MSG_INLINE)
        ((xo_msg_t *)msg)->bytes = xoi_header_size(&msg->header) + msg->body.size;
    return msg->bytes;
}

/* ---- setting in place ---- */

/* Every frame has its numbers in full width: xoi_msg_build_frame writes them so, and take_head sees
 * to it for messages of other encoders. */
static inline void patch(xo_msg_t *msg, uint16_t offset, uint64_t value)
{
    if (msg->form == XOI_MSG_FRAME)
        xoi_store_be64((uint8_t *)zmq_msg_data(xoi_msg_frame(msg)) + offset, value);
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

#define FLAGS_AT 3      /* in the frame: after an array's lead, the version and the kind */
#define FLAGS_MAX 0x7fu /* of a byte; XO_F_* are below it */

void xoi_msg_add_flag(xo_msg_t *msg, uint16_t flag)
{
    msg->header.flags |= flag;
    if (msg->form == XOI_MSG_FRAME)
        ((uint8_t *)zmq_msg_data(xoi_msg_frame(msg)))[FLAGS_AT] |= flag & FLAGS_MAX;
}

/* ---- buffers ---- */

void xoi_move_frames(zmq_msg_t *to, zmq_msg_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&to[i]);
        zmq_msg_move(&to[i], &from[i]);
    }
}

int xoi_msg_reserve_buffers(xo_msg_t *msg, size_t capacity)
{
    zmq_msg_t *buffers = malloc(capacity * sizeof *buffers);
    if (!buffers)
        return -1;
    xoi_move_frames(buffers, msg->buffers, msg->buffer_count);
    free(msg->buffers);
    msg->buffers = buffers;
    msg->buffer_capacity = (uint32_t)capacity;
    return 0;
}

int xo_msg_add_buffer(xo_msg_t *msg, zmq_msg_t *buffer)
{
    size_t size = zmq_msg_size(buffer);
    if (msg->buffer_count >= XO_BUFFERS_MAX || size > XO_MESSAGE_BYTES_MAX ||
        xo_msg_bytes(msg) > XO_MESSAGE_BYTES_MAX - size) {
        errno = EMSGSIZE;
        return -1;
    }
    if (msg->buffer_count == msg->buffer_capacity &&
        xoi_msg_reserve_buffers(msg, msg->buffer_count ? 2 * msg->buffer_count : 1) < 0)
        return -1;
    xoi_move_frames(&msg->buffers[msg->buffer_count++], buffer, 1);
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
    queue->bytes += xo_msg_bytes(last);
}

void xo_msgq_push_front(xo_msgq_t *queue, xo_msg_t **msg)
{
    xo_msg_t *first = *msg;
    *msg = NULL;
    first->next = queue->head;
    queue->head = first;
    if (!queue->tail)
        queue->tail = first;
    queue->count++;
    queue->bytes += xo_msg_bytes(first);
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
