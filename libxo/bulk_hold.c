/* bulk_hold.c - requests that wait for buffers, and what waits behind them, by pairs of actors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/bulk_impl.h"

static size_t pair_key(char *key, const xo_header_t *header)
{
    char *at = key;
    memcpy(at, &header->target_id, 8);
    at += 8;
    *at++ = (char)header->target_uid.size;
    if (header->target_uid.size)
        memcpy(at, header->target_uid.data, header->target_uid.size);
    at += header->target_uid.size;
    if (header->sender_uid.size)
        memcpy(at, header->sender_uid.data, header->sender_uid.size);
    return (size_t)(at - key) + header->sender_uid.size;
}

static xoi_pair_t *pair_find(const xoi_bulk_t *bulk, const xo_header_t *header)
{
    char key[XOI_PAIR_BYTES];
    xoi_pair_t *pair = NULL;
    size_t size = pair_key(key, header);
    HASH_FIND(hh, bulk->pairs, key, size, pair);
    return pair;
}

static xoi_pair_t *pair_create(xoi_bulk_t *bulk, const xo_header_t *header)
{
    xoi_pair_t *pair = calloc(1, sizeof *pair);
    if (!pair)
        return NULL;
    pair->size = pair_key(pair->key, header);
    HASH_ADD_KEYPTR(hh, bulk->pairs, pair->key, pair->size, pair);
    if (XOI_HASHED(hh, pair))
        return pair;
    free(pair);
    return NULL;
}

xoi_held_t *xoi_bulk_queue(xoi_bulk_t *bulk, xo_msg_t **msg)
{
    xoi_held_t *held = calloc(1, sizeof *held);
    xoi_pair_t *pair = held ? pair_find(bulk, xo_msg_header(*msg)) : NULL;
    if (held && !pair)
        pair = pair_create(bulk, xo_msg_header(*msg));
    if (!pair) {
        free(held);
        return NULL;
    }
    held->msg = *msg;
    *msg = NULL;
    held->pair = pair;
    DL_APPEND(pair->queue, held);
    return held;
}

xo_msg_t *xoi_bulk_unqueue(xoi_held_t *held)
{
    xo_msg_t *msg = held->msg;
    if (held->incoming)
        held->incoming->held = NULL;
    DL_DELETE(held->pair->queue, held);
    free(held);
    return msg;
}

void xoi_bulk_release(xo_link_t *link, xoi_pair_t *pair)
{
    xo_msgq_t ready = {0};
    xo_msg_t *msg;
    while (pair->queue && !pair->queue->incoming) {
        msg = xoi_bulk_unqueue(pair->queue);
        xo_msgq_push(&ready, &msg);
    }
    if (!pair->queue) {
        HASH_DEL(link->bulk->pairs, pair);
        free(pair);
    }
    while ((msg = xo_msgq_pop(&ready))) {
        if (link->state == XOI_LINK_UP)
            xoi_request(link, &msg);
        else
            xo_endpoint_drop(link->endpoint, XO_DROP_CLOSED, msg);
        xo_msg_destroy(&msg);
    }
}

void xoi_bulk_out_of_memory(xo_link_t *link, uint64_t bytes)
{
    xo_error_t why;
    xo_error_set(&why, ENOMEM, "out of memory for a buffer of %llu bytes from %s",
                 (unsigned long long)bytes, link->address[0] ? link->address : "a client");
    xo_link_close(link, &why);
}

bool xoi_bulk_hold(xo_link_t *link, xo_msg_t **msg)
{
    if (!link->bulk || !link->bulk->pairs || !pair_find(link->bulk, xo_msg_header(*msg)))
        return false;
    if (!xoi_bulk_queue(link->bulk, msg))
        xoi_bulk_out_of_memory(link, sizeof(xoi_held_t));
    return true;
}
