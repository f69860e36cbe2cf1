/* bulk_send.c - large buffers going out: announced on the link's lane, cut into chunks, by turns.
 */
#include <errno.h>
#include <stdlib.h>

#include "libxo/bulk_impl.h"

/* ---- what is sent ---- */

/* Run by ZeroMQ's thread, too. The last to let go has seen all that the others did. */
static void let_go(void *data, void *arg)
{
    (void)data;
    xoi_load_t *load = arg;
    if (atomic_fetch_sub_explicit(&load->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < load->count; i++)
        zmq_msg_close(&load->buffers[i]);
    free(load);
}

static bool is_large(const zmq_msg_t *buffer)
{
    return zmq_msg_size(buffer) >= XO_INLINE_BYTES_MAX;
}

static size_t count_large(const xo_msg_t *msg)
{
    size_t count = 0;
    for (size_t i = 0; i < msg->buffer_count; i++)
        count += is_large(&msg->buffers[i]);
    return count;
}

bool xoi_bulk_wants(const xo_link_t *link, const xo_msg_t *msg)
{
    if (msg->buffer_count == 0 || msg->buffer_count >= XO_BUFFERS_MAX || !link->bulk_window)
        return false;
    xo_kind_t kind = msg->header.kind;
    return (xo_kind_is_request(kind) || xoi_is_answer(kind)) && count_large(msg) > 0;
}

bool xoi_bulk_has_room(const xo_link_t *link, size_t bytes)
{
    const xoi_bulk_t *bulk = link->bulk;
    return !bulk || bulk->waiting_bytes == 0 ||
           bulk->waiting_bytes + bytes <= (uint64_t)link->window.bytes;
}

static xoi_transfer_t *transfer_create(xoi_bulk_t *bulk, const xo_msg_t *msg)
{
    xoi_transfer_t *transfer = calloc(1, sizeof *transfer);
    size_t count = count_large(msg);
    if (!transfer)
        return NULL;
    transfer->load = malloc(sizeof *transfer->load + count * sizeof(zmq_msg_t));
    if (!transfer->load) {
        free(transfer);
        return NULL;
    }
    transfer->bulk = bulk;
    transfer->id = bulk->last_out + 1;
    atomic_init(&transfer->load->refs, 1);
    transfer->load->count = 0;
    return transfer;
}

static void transfer_free(xoi_transfer_t *transfer)
{
    int saved = errno;
    if (transfer->call)
        transfer->call->transfer = NULL;
    if (transfer->load)
        let_go(NULL, transfer->load);
    free(transfer);
    errno = saved;
}

static void load_up(xoi_load_t *load, xo_msg_t *msg)
{
    for (size_t i = 0; i < msg->buffer_count; i++)
        if (is_large(&msg->buffers[i]))
            xoi_move_frames(&load->buffers[load->count++], &msg->buffers[i], 1);
}

/* The message, and where its large buffers are missing: [index, size, ...]. */
static xo_msg_t *announcement(const xoi_transfer_t *transfer, const xo_msg_t *msg)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_array(&body, (uint32_t)(2 * count_large(msg)));
    for (size_t i = 0; i < msg->buffer_count; i++)
        if (is_large(&msg->buffers[i])) {
            xo_pack_uint(&body, i);
            xo_pack_uint(&body, zmq_msg_size(&msg->buffers[i]));
        }
    xo_header_t header = {.kind = XO_BULK, .seq = transfer->id};
    xo_msg_t *made = NULL;
    if (xo_buf_ok(&body) == 0)
        made = xoi_msg_wrap(&header, xo_buf_slice(&body), msg, XO_INLINE_BYTES_MAX);
    xo_buf_free(&body);
    return made;
}

int xoi_bulk_send(xo_link_t *link, xo_msg_t **msg)
{
    xoi_bulk_t *bulk = xoi_bulk_of(link);
    xoi_transfer_t *transfer = bulk ? transfer_create(bulk, *msg) : NULL;
    if (!transfer)
        return -1;
    xo_msg_t *head = announcement(transfer, *msg);
    if (!head || xo_lane_send(link->lane, &head) < 0) {
        int saved = head ? errno : ENOMEM;
        xo_msg_destroy(&head);
        transfer_free(transfer);
        errno = saved;
        return -1;
    }
    bulk->last_out++;
    transfer->call = xoi_call_of(link->endpoint, xo_msg_header(*msg));
    if (transfer->call)
        transfer->call->transfer = transfer;
    if (xo_kind_is_request(xo_msg_header(*msg)->kind))
        transfer->bytes = xo_msg_bytes(*msg);
    transfer->is_tell = xoi_is_tell(*msg);
    load_up(transfer->load, *msg);
    xo_msg_destroy(msg);
    bulk->waiting_bytes += transfer->bytes;
    DL_APPEND(bulk->waiting, transfer);
    xoi_bulk_open(bulk);
    xoi_bulk_pump(link);
    return 0;
}

/* It waits no more: its turns begin. */
static void begin(xoi_transfer_t *transfer)
{
    xoi_bulk_t *bulk = transfer->bulk;
    bulk->waiting_bytes -= transfer->bytes;
    transfer->bytes = 0;
    DL_DELETE(bulk->waiting, transfer);
    DL_APPEND(bulk->out, transfer);
}

/* Answers need no credit, so they wait for nobody. */
static void begin_what_may(xoi_bulk_t *bulk)
{
    xoi_transfer_t *transfer;
    xoi_transfer_t *next;
    bool blocked = false;
    DL_FOREACH_SAFE(bulk->waiting, transfer, next)
    {
        if (transfer->bytes > 0)
            blocked = blocked || !xoi_credit_use_large(bulk->link, transfer->bytes);
        if (transfer->bytes == 0 || !blocked) {
            begin(transfer);
        } else if (!transfer->asked) {
            transfer->asked = true;
            xoi_credit_ask(bulk->link, transfer->bytes);
        }
    }
}

/* ---- chunks ---- */

/* Where the next one goes; NULL: nowhere yet, or no more. */
static xo_lane_t *way_out(const xoi_bulk_t *bulk)
{
    if (bulk->state == XOI_BULK_MAIN || (bulk->out && bulk->out->on_main))
        return bulk->link->lane;
    return bulk->state == XOI_BULK_APART ? bulk->lane : NULL;
}

static size_t next_size(const xoi_transfer_t *transfer)
{
    uint64_t max = transfer->bulk->link->bulk_window / 4;
    if (max > XOI_BULK_CHUNK_BYTES)
        max = XOI_BULK_CHUNK_BYTES;
    if (!transfer->load)
        return 0;
    size_t left = zmq_msg_size(&transfer->load->buffers[transfer->index]) - transfer->offset;
    return left < max ? left : (size_t)max;
}

static int add_bytes(xo_msg_t *msg, const xoi_transfer_t *transfer, size_t size)
{
    zmq_msg_t part;
    xoi_load_t *load = transfer->load;
    char *data = (char *)zmq_msg_data(&load->buffers[transfer->index]) + transfer->offset;
    if (zmq_msg_init_data(&part, data, size, let_go, load) < 0)
        return -1;
    atomic_fetch_add_explicit(&load->refs, 1, memory_order_relaxed);
    int rc = xo_msg_add_buffer(msg, &part);
    zmq_msg_close(&part);
    return rc;
}

/* `size` 0: the transfer is given up. */
static int send_chunk(xo_lane_t *lane, const xoi_transfer_t *transfer, size_t size)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_uint(&body, transfer->sent);
    xo_msg_t *msg = xoi_msg_of(&(xo_header_t){.kind = XO_CHUNK, .seq = transfer->id}, &body);
    xo_buf_free(&body);
    if (!msg)
        return -1;
    int rc = size && add_bytes(msg, transfer, size) < 0 ? -1 : xo_lane_send(lane, &msg);
    xo_msg_destroy(&msg);
    return rc;
}

static bool advance(xoi_transfer_t *transfer, size_t size)
{
    transfer->sent += size;
    transfer->offset += size;
    if (!transfer->load)
        return false;
    if (transfer->offset == zmq_msg_size(&transfer->load->buffers[transfer->index])) {
        transfer->index++;
        transfer->offset = 0;
    }
    return transfer->index < transfer->load->count;
}

/* 1: sent; 0: no room for now; -1: errno. */
static int send_next(xoi_bulk_t *bulk, xo_lane_t *lane)
{
    xoi_transfer_t *transfer = bulk->out;
    size_t size = next_size(transfer);
    uint64_t cost = size + XOI_BULK_CHUNK_COST;
    if (!bulk->flushing && bulk->ahead + cost > bulk->link->bulk_window)
        return 0;
    if (send_chunk(lane, transfer, size) < 0)
        return -1;
    bulk->ahead += cost;
    DL_DELETE(bulk->out, transfer);
    if (advance(transfer, size))
        DL_APPEND(bulk->out, transfer);
    else
        transfer_free(transfer);
    return 1;
}

void xoi_bulk_pump(xo_link_t *link)
{
    xoi_bulk_t *bulk = link->bulk;
    xo_lane_t *lane;
    int rc = 1;
    if (!bulk)
        return;
    if (way_out(bulk) && !bulk->flushing)
        begin_what_may(bulk);
    while (rc > 0 && bulk->out && (lane = way_out(bulk)))
        rc = send_next(bulk, lane);
    if (rc < 0 && errno == ENOMEM) /* nothing else would say when to try again */
        xo_defer_start(&bulk->retry);
}

void xoi_bulk_flush(xo_link_t *link)
{
    xoi_bulk_t *bulk = link->bulk;
    if (!bulk)
        return;
    begin_what_may(bulk);
    xoi_transfer_t *transfer;
    DL_FOREACH(bulk->out, transfer)
    transfer->on_main = transfer->sent == 0;
    if (bulk->out && bulk->state != XOI_BULK_APART)
        bulk->state = XOI_BULK_MAIN;
    bulk->flushing = true;
    xoi_bulk_pump(link);
}

void xoi_bulk_taken(xo_link_t *link, const xo_msg_t *msg)
{
    uint64_t bytes;
    xoi_bulk_t *bulk = link->bulk;
    if (!bulk || xo_unpack(xo_msg_body(msg), NULL, "U", &bytes) < 0 || bytes > bulk->ahead) {
        xoi_link_protocol_error(link, "it has taken chunks that were never sent");
        return;
    }
    bulk->ahead -= bytes;
    xoi_bulk_pump(link);
}

/* ---- the end ---- */

void xoi_bulk_give_up(xoi_transfer_t *transfer)
{
    transfer->call->transfer = NULL;
    transfer->call = NULL;
    let_go(NULL, transfer->load);
    transfer->load = NULL;
    if (transfer->bytes > 0) /* of credit that it waits for */
        begin(transfer);
    xoi_bulk_pump(transfer->bulk->link);
}

static size_t count_tells(const xoi_transfer_t *transfers)
{
    size_t count = 0;
    const xoi_transfer_t *transfer;
    DL_FOREACH(transfers, transfer)
    count += transfer->is_tell && transfer->load;
    return count;
}

size_t xoi_bulk_unsent_tells(const xo_link_t *link)
{
    const xoi_bulk_t *bulk = link->bulk;
    return bulk ? count_tells(bulk->out) + count_tells(bulk->waiting) : 0;
}

void xoi_transfers_free(xoi_bulk_t *bulk)
{
    DL_CONCAT(bulk->out, bulk->waiting);
    while (bulk->out) {
        xoi_transfer_t *transfer = bulk->out;
        DL_DELETE(bulk->out, transfer);
        if (transfer->load)
            xo_endpoint_count_drop(bulk->link->endpoint, XO_DROP_CLOSED);
        transfer_free(transfer);
    }
}
