/* bulk_take.c - large buffers coming in, and the messages that wait for them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/bulk_impl.h"

/* Of arrays that arrive; no machine's vectors are longer. */
#define ALIGNMENT_BYTES 64

/* ---- what comes ---- */

static void drop_parts(xoi_incoming_t *incoming)
{
    for (size_t i = 0; i < incoming->count; i++) {
        free(incoming->parts[i].data);
        incoming->parts[i].data = NULL;
    }
}

static void incoming_free(xoi_bulk_t *bulk, xoi_incoming_t *incoming)
{
    HASH_DEL(bulk->in, incoming);
    if (incoming->call)
        incoming->call->arriving = NULL;
    if (incoming->stray)
        bulk->strays -= incoming->count;
    xo_msg_destroy(&incoming->answer);
    drop_parts(incoming);
    free(incoming);
}

void xoi_bulk_unwanted(xoi_incoming_t *incoming)
{
    incoming->call->arriving = NULL;
    incoming->call = NULL;
    xo_msg_destroy(&incoming->answer);
    drop_parts(incoming);
}

static bool is_wanted(const xoi_incoming_t *incoming)
{
    return incoming->held || incoming->answer;
}

void xoi_incoming_free(xoi_bulk_t *bulk)
{
    xoi_incoming_t *incoming, *next_incoming;
    xoi_pair_t *pair, *next_pair;
    HASH_ITER(hh, bulk->pairs, pair, next_pair)
    {
        while (pair->queue) {
            xo_msg_t *msg = xoi_bulk_unqueue(pair->queue);
            xo_endpoint_drop(bulk->link->endpoint, XO_DROP_CLOSED, msg);
            xo_msg_destroy(&msg);
        }
        HASH_DEL(bulk->pairs, pair);
        free(pair);
    }
    HASH_ITER(hh, bulk->in, incoming, next_incoming)
    incoming_free(bulk, incoming);
    xo_msgq_clear(&bulk->early);
}

/* ---- announcements ---- */

static int read_part(xo_reader_t *reader, const xo_msg_t *msg, xoi_part_t *part, uint64_t next)
{
    uint64_t index;
    uint64_t size;
    if (xo_read_uint(reader, &index) < 0 || xo_read_uint(reader, &size) < 0 || index < next ||
        index >= msg->buffer_count || zmq_msg_size(&msg->buffers[index]) > 0 || size == 0 ||
        size > XO_LANE_FRAME_BYTES_MAX || size > XO_MESSAGE_BYTES_MAX - xo_msg_bytes(msg))
        return -1;
    *part = (xoi_part_t){.index = (uint32_t)index, .size = (size_t)size};
    return 0;
}

/* What `body` says is missing in msg, which is counted as if it were there. NULL: EBADMSG or
 * ENOMEM. */
static xoi_incoming_t *incoming_create(xo_slice_t body, xo_msg_t *msg)
{
    xo_reader_t reader = xo_reader(body);
    uint32_t numbers;
    xoi_incoming_t *incoming = NULL;
    if (xo_read_array(&reader, &numbers) < 0 || numbers == 0 || numbers % 2 != 0 ||
        numbers / 2 > msg->buffer_count) {
        errno = EBADMSG;
        return NULL;
    }
    incoming = calloc(1, sizeof *incoming + numbers / 2 * sizeof *incoming->parts);
    if (!incoming)
        return NULL;
    uint64_t next = 0;
    for (; incoming->count < numbers / 2; incoming->count++) {
        xoi_part_t *part = &incoming->parts[incoming->count];
        if (read_part(&reader, msg, part, next) < 0) {
            free(incoming);
            errno = EBADMSG;
            return NULL;
        }
        msg->bytes += part->size;
        next = (uint64_t)part->index + 1;
    }
    return incoming;
}

static int place_request(xo_link_t *link, xoi_incoming_t *incoming, xo_msg_t **msg)
{
    if (!xoi_request_admit(link, *msg, true))
        return -1;
    incoming->held = xoi_bulk_queue(link->bulk, msg);
    if (!incoming->held) {
        xoi_bulk_out_of_memory(link, sizeof(xoi_held_t));
        return -1;
    }
    incoming->held->incoming = incoming;
    return 0;
}

/* One that nobody waits for is dropped as it comes. */
static int place_stray(xo_link_t *link, xoi_incoming_t *incoming, const xo_msg_t *msg)
{
    xo_endpoint_drop(link->endpoint, XO_DROP_NO_CALLER, msg);
    incoming->stray = true;
    link->bulk->strays += incoming->count;
    if (link->bulk->strays <= XO_BUFFERS_MAX)
        return 0;
    xoi_link_protocol_error(link, "too many answers to nobody");
    return -1;
}

static int place_answer(xo_link_t *link, xoi_incoming_t *incoming, xo_msg_t **msg)
{
    xo_call_t *call = xoi_call_awaited(link->endpoint, link, xo_msg_header(*msg)->seq);
    if (!call || call->arriving)
        return place_stray(link, incoming, *msg);
    call->arriving = incoming;
    incoming->call = call;
    incoming->answer = *msg;
    *msg = NULL;
    return 0;
}

/* Gives *msg its place. -1: the link is closed. */
static int place(xo_link_t *link, xoi_incoming_t *incoming, xo_msg_t **msg)
{
    xo_kind_t kind = xo_msg_header(*msg)->kind;
    if (xo_kind_is_request(kind))
        return place_request(link, incoming, msg);
    if (xoi_is_answer(kind))
        return place_answer(link, incoming, msg);
    xoi_link_protocol_error(link, "a message of this kind does not come in chunks");
    return -1;
}

/* Those that have come, of any message that is announced by now. Each may end the link. */
static void take_early(xo_link_t *link)
{
    xo_msgq_t chunks = link->bulk->early;
    xo_msg_t *msg;
    link->bulk->early = (xo_msgq_t){0};
    link->bulk->early_cost = 0;
    while ((msg = xo_msgq_pop(&chunks))) {
        if (link->bulk)
            xoi_bulk_chunk(link, &msg);
        xo_msg_destroy(&msg);
    }
}

static void announced(xo_link_t *link, uint64_t id, xo_slice_t body, xo_msg_t **msg)
{
    xoi_bulk_t *bulk = link->bulk;
    xoi_incoming_t *incoming = incoming_create(body, *msg);
    if (!incoming && errno == ENOMEM) {
        xoi_bulk_out_of_memory(link, body.size);
        return;
    }
    if (!incoming) {
        xoi_link_protocol_error(link, "it announces buffers that cannot be");
        return;
    }
    incoming->id = id;
    if (xoi_is_answer(xo_msg_header(*msg)->kind))
        incoming->bytes = xo_msg_bytes(*msg);
    HASH_ADD(hh, bulk->in, id, sizeof incoming->id, incoming);
    if (!XOI_HASHED(hh, incoming)) {
        free(incoming);
        xoi_bulk_out_of_memory(link, sizeof *incoming);
        return;
    }
    if (place(link, incoming, msg) < 0) /* and what was in the link's tables is gone */
        return;
    xoi_bulk_open(bulk);
    if (bulk->early.count)
        take_early(link);
}

void xoi_bulk_announced(xo_link_t *link, xo_msg_t **msg)
{
    xoi_bulk_t *bulk = link->bulk_window ? xoi_bulk_of(link) : NULL;
    uint64_t id = xo_msg_header(*msg)->seq;
    xo_error_t err;
    if (!bulk || id != bulk->last_in + 1) {
        xoi_link_protocol_error(link, "a message in chunks out of turn");
        return;
    }
    bulk->last_in = id;
    xo_buf_t body = XO_BUF_INIT;
    xo_buf_append(&body, xo_msg_body(*msg).data, xo_msg_body(*msg).size);
    xo_msg_t *inner = xoi_msg_unwrap(msg, &err);
    if (!inner)
        xoi_link_protocol_error(link, err.text);
    else
        announced(link, id, xo_buf_slice(&body), &inner);
    xo_msg_destroy(&inner);
    xo_buf_free(&body);
}

/* ---- chunks ---- */

static void say_taken(xo_link_t *link, size_t size)
{
    xoi_bulk_t *bulk = link->bulk;
    bulk->taken += size + XOI_BULK_CHUNK_COST;
    if (bulk->taken < XOI_BULK_WINDOW_BYTES / 4)
        return;
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_uint(&body, bulk->taken);
    xo_msg_t *msg = xoi_msg_of(&(xo_header_t){.kind = XO_TAKEN}, &body);
    xo_buf_free(&body);
    if (!msg) {
        xoi_link_break(link); /* the peer would wait for it */
        return;
    }
    bulk->taken = 0;
    xoi_send_urgent(link, &msg);
}

static void free_data(void *data, void *arg)
{
    (void)arg;
    free(data);
}

/* Puts the buffers into the message. -1: ENOMEM. */
static int fill(xoi_incoming_t *incoming, xo_msg_t *msg)
{
    for (size_t i = 0; i < incoming->count; i++) {
        xoi_part_t *part = &incoming->parts[i];
        zmq_msg_t *buffer = &msg->buffers[part->index];
        zmq_msg_close(buffer);
        if (zmq_msg_init_data(buffer, part->data, part->size, free_data, NULL) < 0) {
            zmq_msg_init(buffer);
            return -1;
        }
        part->data = NULL;
    }
    return 0;
}

static void complete(xo_link_t *link, xoi_incoming_t *incoming)
{
    xoi_held_t *held = incoming->held;
    xo_msg_t *answer = incoming->answer;
    incoming->held = NULL;
    incoming->answer = NULL;
    if (incoming->bytes > 0)
        xoi_credit_answered(link, incoming->bytes);
    int rc = held || answer ? fill(incoming, held ? held->msg : answer) : 0;
    incoming_free(link->bulk, incoming);
    if (held)
        held->incoming = NULL;
    if (rc < 0)
        xoi_bulk_out_of_memory(link, sizeof(zmq_msg_t));
    else if (held)
        xoi_bulk_release(link, held->pair);
    else if (answer)
        xoi_answer_arrived(link->endpoint, link, &answer);
    xo_msg_destroy(&answer);
}

/* Its sender gave it up, and has told the caller. */
static void given_up(xo_link_t *link, xoi_incoming_t *incoming)
{
    xoi_held_t *held = incoming->held;
    bool counted = incoming->counted;
    incoming_free(link->bulk, incoming);
    if (!held)
        return;
    xoi_pair_t *pair = held->pair;
    held->incoming = NULL;
    xo_msg_t *msg = xoi_bulk_unqueue(held);
    xo_endpoint_consumed(link->endpoint, link, counted ? xo_msg_bytes(msg) : 0);
    xo_msg_destroy(&msg);
    xoi_bulk_release(link, pair);
}

/* The first chunk of a request, or its end: the buffers take their credit. -1: there was none, and
 * the link is closed. */
static int count(xo_link_t *link, xoi_incoming_t *incoming)
{
    if (incoming->counted || !incoming->held)
        return 0;
    incoming->counted = true;
    if (xoi_credit_take_bytes(link, xo_msg_bytes(incoming->held->msg)) == 0)
        return 0;
    xoi_credit_overrun(link);
    return -1;
}

static int copy(xoi_incoming_t *incoming, xo_slice_t bytes)
{
    xoi_part_t *part = &incoming->parts[incoming->at];
    if (is_wanted(incoming) && !part->data) {
        void *data;
        if (posix_memalign(&data, ALIGNMENT_BYTES, part->size) != 0)
            return -1;
        part->data = data;
    }
    if (is_wanted(incoming))
        memcpy(part->data + incoming->offset, bytes.data, bytes.size);
    incoming->received += bytes.size;
    incoming->offset += bytes.size;
    if (incoming->offset == part->size) {
        incoming->at++;
        incoming->offset = 0;
    }
    return 0;
}

static void take(xo_link_t *link, xoi_incoming_t *incoming, xo_msg_t *msg)
{
    uint64_t offset;
    xo_slice_t bytes = xo_msg_buffer(msg, 0);
    if (xo_unpack(xo_msg_body(msg), NULL, "U", &offset) < 0 || offset != incoming->received ||
        xo_msg_buffer_count(msg) > 1 ||
        bytes.size > incoming->parts[incoming->at].size - incoming->offset) {
        xoi_link_protocol_error(link, "a chunk that is not the next");
        return;
    }
    say_taken(link, bytes.size);
    if (bytes.size == 0) {
        given_up(link, incoming);
    } else if (count(link, incoming) < 0) {
        return;
    } else if (copy(incoming, bytes) < 0) {
        xoi_bulk_out_of_memory(link, incoming->parts[incoming->at].size);
        return;
    } else if (incoming->at == incoming->count) {
        complete(link, incoming);
    }
    xoi_link_goes_on(link);
    /* What the link waited for before it closes has come. */
    if (link->ending && link->state == XOI_LINK_UP && xoi_bulk_lane(link) && !link->bulk->in)
        xoi_link_closed(link, &link->why);
}

/* Who says goodbye sends the rest at once, as far as it has credit, or of one message alone. */
static bool may_be_early(const xo_link_t *link, const xo_msg_t *msg)
{
    const xoi_bulk_t *bulk = link->bulk;
    uint64_t credit = link->endpoint->options.window_bytes;
    return bulk->early_cost <= XOI_BULK_WINDOW_BYTES + credit || !bulk->early.head ||
           xo_msg_header(bulk->early.head)->seq == xo_msg_header(msg)->seq;
}

/* Announced on another lane, so perhaps later. */
static void keep(xo_link_t *link, xo_msg_t **msg)
{
    xoi_bulk_t *bulk = link->bulk;
    bulk->early_cost += xo_msg_buffer(*msg, 0).size + XOI_BULK_CHUNK_COST;
    if (!may_be_early(link, *msg) || bulk->early_cost > XO_MESSAGE_BYTES_MAX)
        xoi_link_protocol_error(link, "more chunks than it may send ahead");
    else
        xo_msgq_push(&bulk->early, msg);
}

void xoi_bulk_chunk(xo_link_t *link, xo_msg_t **msg)
{
    xoi_bulk_t *bulk = link->bulk_window ? xoi_bulk_of(link) : NULL;
    xoi_incoming_t *incoming = NULL;
    uint64_t id = xo_msg_header(*msg)->seq;
    if (bulk)
        HASH_FIND(hh, bulk->in, &id, sizeof id, incoming);
    if (incoming)
        take(link, incoming, *msg);
    else if (bulk && id > bulk->last_in)
        keep(link, msg);
    else
        xoi_link_protocol_error(link, "a chunk of nothing");
}

/* ---- cancelling ---- */

static xoi_held_t *find_held(const xoi_bulk_t *bulk, uint64_t seq)
{
    xoi_pair_t *pair;
    xoi_pair_t *next;
    xoi_held_t *held;
    HASH_ITER(hh, bulk->pairs, pair, next)
    DL_FOREACH(pair->queue, held)
    if (xo_msg_header(held->msg)->seq == seq && xoi_wants_answer(xo_msg_header(held->msg)))
        return held;
    return NULL;
}

bool xoi_bulk_cancel(xo_link_t *link, uint64_t seq)
{
    xoi_held_t *held = link->bulk ? find_held(link->bulk, seq) : NULL;
    if (!held)
        return false;
    xoi_pair_t *pair = held->pair;
    if (held->incoming && count(link, held->incoming) < 0)
        return true;
    if (held->incoming)
        drop_parts(held->incoming);
    xo_msg_t *msg = xoi_bulk_unqueue(held);
    xo_return_t to = xo_return_of(link, msg);
    xo_endpoint_consumed(link->endpoint, link, xo_msg_bytes(msg));
    xo_msg_t *answer = xo_failure_msg(seq, XO_CODE_CANCELLED, "no", "cancelled",
                                      "cancelled before all of it had arrived");
    xo_endpoint_answer(link->endpoint, &to, &answer);
    xo_msg_destroy(&msg);
    xoi_bulk_release(link, pair);
    return true;
}
