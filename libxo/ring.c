/* ring.c - a ring of bytes between one writer and one reader. */
#include "libxo/ring.h"

#include <errno.h>
#include <string.h>

void xoi_ring_init(xoi_ring_shared_t *shared)
{
    atomic_store_explicit(&shared->reader_sleeps, 1, memory_order_relaxed);
}

void xoi_ring_attach(xoi_ring_t *ring, xoi_ring_shared_t *shared, void *data, uint64_t size)
{
    *ring = (xoi_ring_t){.shared = shared, .data = data, .size = size};
}

/* How many bytes lie between the indexes; -1: that cannot be. */
static int64_t used(const xoi_ring_t *ring)
{
    uint64_t bytes = ring->tail - ring->head;

    if (bytes <= ring->size)
        return (int64_t)bytes;
    errno = EBADMSG;
    return -1;
}

/* Before a side goes to sleep it says so and looks once more; whoever has something for it
 * publishes that and then asks whether it sleeps. All four are sequentially consistent, the point
 * of it (Dekker's pattern): of two sides that do this at a time, one at least sees what the other
 * wrote, so no doorbell is lost. */
static bool is_said(const _Atomic uint32_t *flag)
{
    return atomic_load_explicit(flag, memory_order_seq_cst) != 0;
}

static void say(_Atomic uint32_t *flag)
{
    atomic_store_explicit(flag, 1, memory_order_seq_cst);
}

/* Only who takes it back rings. */
static bool take_back(_Atomic uint32_t *flag)
{
    return atomic_exchange_explicit(flag, 0, memory_order_relaxed) != 0;
}

/* ---- the writer ---- */

/* The reader has copied what it says it has read (it releases the index after that), so it may be
 * overwritten. An index that went back, or beyond what was written, makes used() fail. */
static void look_at_head(xoi_ring_t *ring)
{
    uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_seq_cst);

    ring->head = head - ring->head <= ring->tail - ring->head ? head : ring->tail + 1;
}

static ssize_t room(xoi_ring_t *ring, size_t wanted)
{
    int64_t bytes = used(ring);

    if (bytes >= 0 && ring->size - (uint64_t)bytes < wanted) {
        look_at_head(ring);
        bytes = used(ring);
    }
    return bytes < 0 ? -1 : (ssize_t)(ring->size - (uint64_t)bytes);
}

ssize_t xoi_ring_put(xoi_ring_t *ring, const void *bytes, size_t size)
{
    ssize_t most = room(ring, size);
    size_t at = ring->tail & (ring->size - 1);
    size_t first;

    if (most < 0)
        return -1;
    if (size > (size_t)most)
        size = (size_t)most;
    first = size < ring->size - at ? size : ring->size - at;
    memcpy(ring->data + at, bytes, first);
    if (first < size)
        memcpy(ring->data, (const uint8_t *)bytes + first, size - first);
    ring->tail += size;
    return (ssize_t)size;
}

uint8_t *xoi_ring_reserve(xoi_ring_t *ring, size_t size)
{
    size_t at = ring->tail & (ring->size - 1);

    return size <= ring->size - at && room(ring, size) >= (ssize_t)size ? ring->data + at : NULL;
}

void xoi_ring_commit(xoi_ring_t *ring, size_t size)
{
    ring->tail += size;
}

size_t xoi_ring_unpublished(const xoi_ring_t *ring)
{
    return ring->tail - ring->published;
}

/* Who sees the index sees the bytes before it. */
void xoi_ring_expose(xoi_ring_t *ring)
{
    atomic_store_explicit(&ring->shared->tail, ring->tail, memory_order_release);
}

bool xoi_ring_publish(xoi_ring_t *ring)
{
    if (ring->tail == ring->published)
        return false;
    ring->published = ring->tail;
    atomic_store_explicit(&ring->shared->tail, ring->tail, memory_order_seq_cst);
    return is_said(&ring->shared->reader_sleeps) && take_back(&ring->shared->reader_sleeps);
}

bool xoi_ring_reader_is_up(const xoi_ring_t *ring)
{
    return !is_said(&ring->shared->reader_sleeps);
}

bool xoi_ring_wait_for_room(xoi_ring_t *ring)
{
    say(&ring->shared->writer_waits);
    look_at_head(ring);
    if (used(ring) == (int64_t)ring->size)
        return false;
    take_back(&ring->shared->writer_waits);
    return true;
}

/* ---- the reader ---- */

int xoi_ring_peek(xoi_ring_t *ring, xo_slice_t *bytes)
{
    size_t at = ring->head & (ring->size - 1);
    int64_t size;

    if (ring->tail == ring->head)
        ring->tail = atomic_load_explicit(&ring->shared->tail, memory_order_acquire);
    size = used(ring);
    if (size < 0)
        return -1;
    if ((uint64_t)size > ring->size - at)
        size = (int64_t)(ring->size - at);
    *bytes = xo_slice(ring->data + at, (size_t)size);
    return 0;
}

void xoi_ring_skip(xoi_ring_t *ring, size_t size)
{
    ring->head += size;
}

size_t xoi_ring_held(const xoi_ring_t *ring)
{
    return ring->head - ring->published;
}

/* A writer that waits is woken when half of the ring is free, rather than for each message that
 * was read. Before a reader sleeps it has read all, so this comes. */
bool xoi_ring_release(xoi_ring_t *ring)
{
    if (ring->head == ring->published)
        return false;
    ring->published = ring->head;
    atomic_store_explicit(&ring->shared->head, ring->head, memory_order_seq_cst);
    return is_said(&ring->shared->writer_waits) && ring->tail - ring->head <= ring->size / 2 &&
           take_back(&ring->shared->writer_waits);
}

bool xoi_ring_ready(const xoi_ring_t *ring)
{
    return atomic_load_explicit(&ring->shared->tail, memory_order_seq_cst) != ring->head;
}

bool xoi_ring_sleep(xoi_ring_t *ring)
{
    say(&ring->shared->reader_sleeps);
    if (!xoi_ring_ready(ring))
        return true;
    take_back(&ring->shared->reader_sleeps);
    return false;
}
