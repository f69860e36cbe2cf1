/* store.h - the shelves that one side of a lane owns, from which it lends large buffers.
 *
 * Places are of sizes that are at most a quarter apart, and used again as long as they are warm:
 * pages that are touched for the first time cost more than copying into them. What is idle goes:
 * after some ticks, or at once where it is much. Of a store's own loop's thread.
 */
#ifndef XO_STORE_H
#define XO_STORE_H

#include "libxo/shelf.h"

#define XOI_STORE_BYTES ((size_t)4 << 30)        /* at most */
#define XOI_STORE_IDLE_BYTES ((size_t)256 << 20) /* that a tick leaves idle */
#define XOI_STORE_IDLE_TICKS 5
#define XOI_STORE_SHELVES_MAX 4096

/* Gives the other side the descriptor of a new shelf, before anything is lent from it. -1: not now.
 */
typedef int (*xoi_store_pass_f)(void *arg, int fd);

typedef struct xoi_owned {
    xoi_shelf_t *shelf;
    uint32_t id; /* the how manieth that was passed */
    unsigned idle_ticks;
} xoi_owned_t;

typedef struct xoi_store {
    xoi_owned_t *shelves;
    size_t count;
    size_t capacity;
    size_t next; /* where the last place was found */
    uint32_t passed;
    size_t bytes; /* of all shelves */
    size_t bytes_max;
    size_t idle_bytes_max;
    bool refused; /* there was no memory in this tick */
    bool retired; /* shelves were in it */
    xoi_store_pass_f pass;
    void *arg;
} xoi_store_t;

/* What is written to the lane instead of a buffer. */
typedef struct xoi_place {
    uint32_t shelf; /* its id */
    uint32_t place;
} xoi_place_t;

void xoi_store_init(xoi_store_t *store, xoi_store_pass_f pass, void *arg);
void xoi_store_free(xoi_store_t *store); /* what is lent stays as long as it is used */

/* A frame to write a buffer into, which xoi_store_lend then need not copy. Not to be written to
 * after that. -1: the store is full, or there is no memory. */
int xoi_store_frame(xoi_store_t *store, size_t size, zmq_msg_t *frame);
/* Lends the bytes of `frame`, copied into a place unless they lie in one. -1: as above. */
int xoi_store_lend(xoi_store_t *store, zmq_msg_t *frame, xoi_place_t *place);
/* To be called about once a second while `count` or `refused`. True: shelves were retired, and the
 * other side should look. */
bool xoi_store_tick(xoi_store_t *store);
/* Bytes lent and not given back, of whole places. */
size_t xoi_store_lent_bytes(const xoi_store_t *store);

#endif
