/* bulk_impl.h - what the files of bulk.h share; nobody else includes it. */
#ifndef XO_BULK_IMPL_H
#define XO_BULK_IMPL_H

#include <stdatomic.h>

#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

typedef enum {
    XOI_BULK_NONE,    /* who dialled the link has not seen a need */
    XOI_BULK_OPENING, /* dialled; the other end has not said that it is attached */
    XOI_BULK_APART,
    XOI_BULK_MAIN /* over the link's lane: a second one could not be had */
} xoi_bulk_state_t;

/* Large buffers on their way out. Chunks are parts of them, which the I/O thread lets go of. */
typedef struct xoi_load {
    atomic_size_t refs;
    size_t count;
    zmq_msg_t buffers[];
} xoi_load_t;

struct xoi_transfer {
    xoi_bulk_t *bulk;
    uint64_t id;
    xo_call_t *call;  /* NULL: a tell, an answer, or it was given up */
    size_t bytes;     /* of credit that it waits for; 0: none */
    bool is_tell;     /* or a batch of them */
    bool asked;       /* the peer was asked to give it back */
    bool on_main;     /* it goes over the link's lane, behind what announced it */
    xoi_load_t *load; /* NULL: it was given up */
    size_t index;     /* the next chunk: of which buffer */
    size_t offset;    /* in it */
    uint64_t sent;    /* of all buffers */
    struct xoi_transfer *prev, *next;
};

typedef struct xoi_part {
    uint32_t index; /* of the message's buffer */
    size_t size;
    char *data; /* NULL: no chunk of it has come */
} xoi_part_t;

/* A message whose buffers come. */
typedef struct xoi_incoming {
    uint64_t id;
    struct xoi_held *held; /* a request's place; NULL: an answer, or nobody wants it any more */
    xo_msg_t *answer;
    xo_call_t *call; /* that it answers */
    size_t bytes;    /* of an answer: to be given back when all of it has come */
    bool stray;      /* nobody waited for it when it was announced */
    uint64_t received;
    bool counted; /* its buffers have taken their credit */
    size_t count;
    size_t at;     /* the part that comes */
    size_t offset; /* in it */
    UT_hash_handle hh;
    xoi_part_t parts[];
} xoi_incoming_t;

typedef struct xoi_held {
    xo_msg_t *msg;
    struct xoi_pair *pair;
    xoi_incoming_t *incoming; /* NULL: it is complete */
    struct xoi_held *prev, *next;
} xoi_held_t;

#define XOI_PAIR_BYTES (8 + 1 + 2 * XO_UID_BYTES_MAX)

/* From one actor to another: what is held, in order. */
typedef struct xoi_pair {
    xoi_held_t *queue;
    UT_hash_handle hh;
    size_t size;
    char key[XOI_PAIR_BYTES];
} xoi_pair_t;

struct xoi_bulk {
    xo_link_t *link;
    xoi_bulk_state_t state;
    xo_lane_t *lane; /* the second; NULL: none */

    xoi_transfer_t *out;     /* take turns */
    xoi_transfer_t *waiting; /* for credit, one after the other */
    size_t waiting_bytes;
    uint64_t last_out; /* id */
    uint64_t ahead;    /* sent, and not taken as far as we know */
    bool flushing;
    xo_defer_t retry;

    xoi_incoming_t *in; /* by id */
    uint64_t last_in;
    xo_msgq_t early;     /* chunks that were faster than what announces them */
    uint64_t early_cost; /* theirs */
    uint64_t taken;      /* to be told */
    size_t strays;       /* parts of answers to nobody, of which there is no end otherwise */
    xoi_pair_t *pairs;
};

/* bulk.c */
xoi_bulk_t *xoi_bulk_of(xo_link_t *link); /* makes it; NULL: ENOMEM */
/* There is something to send or to come: sees to a lane, if that is this end's part. */
void xoi_bulk_open(xoi_bulk_t *bulk);

/* bulk_send.c */
void xoi_transfers_free(xoi_bulk_t *bulk);

/* bulk_hold.c */

/* Takes *msg over and puts it at the end of its pair's queue. NULL: ENOMEM. */
xoi_held_t *xoi_bulk_queue(xoi_bulk_t *bulk, xo_msg_t **msg);
/* Takes it out of the queue; its message is the caller's. */
xo_msg_t *xoi_bulk_unqueue(xoi_held_t *held);
/* Hands over what waits for nothing any more. A handler may close the link. */
void xoi_bulk_release(xo_link_t *link, xoi_pair_t *pair);
void xoi_bulk_out_of_memory(xo_link_t *link, uint64_t bytes);

/* bulk_take.c */
void xoi_incoming_free(xoi_bulk_t *bulk);

#endif
