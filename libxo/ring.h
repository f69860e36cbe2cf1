/* ring.h - a ring of bytes in memory that two processes share: one writes, one reads.
 *
 * What the other side writes into the shared part is never believed: each index is checked against
 * the ring's size whenever it is read, one's own index is kept outside of the shared memory, and
 * bytes are copied out before anybody looks at what they say. So a peer that is hostile, or that
 * died in the middle of something, can make a ring useless (EBADMSG) and do no more.
 *
 * Bytes count from the ring's beginning in 64 bits and never wrap; an index modulo the size is the
 * place. The scheme is Lamport's ("Specifying Concurrent Program Modules", TOPLAS 5(2), 1983). Who
 * finds nothing to do says so in the ring and sleeps; who publishes something for a sleeper is told
 * to wake it up, by a doorbell that is none of the ring's business.
 */
#ifndef XO_RING_H
#define XO_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libxo/pack.h"

#define XOI_CACHE_LINE_BYTES 64

/* The shared part. Each line is written by one side while messages flow; the two flags change only
 * when somebody sleeps or wakes up. */
typedef struct xoi_ring_shared {
    alignas(XOI_CACHE_LINE_BYTES) _Atomic uint64_t tail;          /* written so far; the writer's */
    alignas(XOI_CACHE_LINE_BYTES) _Atomic uint64_t head;          /* read so far; the reader's */
    alignas(XOI_CACHE_LINE_BYTES) _Atomic uint32_t reader_sleeps; /* ring for bytes */
    alignas(XOI_CACHE_LINE_BYTES) _Atomic uint32_t writer_waits;  /* ring for room */
} xoi_ring_shared_t;

/* One side's view of it. */
typedef struct xoi_ring {
    xoi_ring_shared_t *shared;
    uint8_t *data;
    uint64_t size;      /* a power of two */
    uint64_t head;      /* the reader's own; the writer's last look at it */
    uint64_t tail;      /* the writer's own; the reader's last look at it */
    uint64_t published; /* the own index as the other side can see it */
} xoi_ring_t;

/* Of memory that is zero. The reader sleeps at first. */
void xoi_ring_init(xoi_ring_shared_t *shared);
/* `size`: a power of two. Both sides attach before anything is written. */
void xoi_ring_attach(xoi_ring_t *ring, xoi_ring_shared_t *shared, void *data, uint64_t size);

/* ---- the writer ---- */

/* Copies as many of the bytes as there is room for, and returns their number. -1: EBADMSG. Nobody
 * sees them before they are published. */
ssize_t xoi_ring_put(xoi_ring_t *ring, const void *bytes, size_t size);
/* Room for `size` bytes in a row, to be written by the caller; NULL: not at the moment, or not in a
 * row, or the ring is broken: xoi_ring_put tells. Written bytes are then counted with _commit. */
uint8_t *xoi_ring_reserve(xoi_ring_t *ring, size_t size);
void xoi_ring_commit(xoi_ring_t *ring, size_t size);
/* Bytes that the reader cannot see yet. */
size_t xoi_ring_unpublished(const xoi_ring_t *ring);
/* The reader finds all that is written if it looks, and if the writer ends now. It still is to be
 * published, which wakes a reader up. */
void xoi_ring_expose(xoi_ring_t *ring);
/* True: the reader sleeps, wake it up. */
bool xoi_ring_publish(xoi_ring_t *ring);
/* The reader was told to wake up, and has not slept since. */
bool xoi_ring_reader_is_up(const xoi_ring_t *ring);
/* The ring is full. True: there is room after all; false: the reader rings when there is. */
bool xoi_ring_wait_for_room(xoi_ring_t *ring);

/* ---- the reader ---- */

/* The next bytes, as many as lie in a row; an empty slice: none. -1: EBADMSG. */
int xoi_ring_peek(xoi_ring_t *ring, xo_slice_t *bytes);
/* They are read. The writer sees it once they are released. */
void xoi_ring_skip(xoi_ring_t *ring, size_t size);
/* Bytes read that the writer cannot use yet. */
size_t xoi_ring_held(const xoi_ring_t *ring);
/* True: the writer waits for room, wake it up. */
bool xoi_ring_release(xoi_ring_t *ring);
bool xoi_ring_ready(const xoi_ring_t *ring); /* is there something to read? */
/* False: something came meanwhile; true: the writer rings when it does. */
bool xoi_ring_sleep(xoi_ring_t *ring);

#endif
