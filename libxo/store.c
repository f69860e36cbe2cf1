/* store.c - the shelves that one side of a lane owns. */
#include "libxo/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHELF_BYTES ((size_t)2 << 20) /* of small places */
#define PLACE_BYTES_MIN ((size_t)64 << 10)
#define LOOK_AT_MAX 64 /* shelves, before a new one is made */

void xoi_store_init(xoi_store_t *store, xoi_store_pass_f pass, void *arg)
{
    *store = (xoi_store_t){.bytes_max = XOI_STORE_BYTES,
                           .idle_bytes_max = XOI_STORE_IDLE_BYTES,
                           .pass = pass,
                           .arg = arg};
}

void xoi_store_free(xoi_store_t *store)
{
    for (size_t i = 0; i < store->count; i++)
        xoi_shelf_decref(store->shelves[i].shelf);
    free(store->shelves);
    store->shelves = NULL;
    store->count = store->capacity = store->bytes = 0;
}

/* ---- shelves ---- */

/* The next of four steps to each doubling, which are multiples of a page. */
static size_t place_bytes_for(size_t size)
{
    size_t doubling = PLACE_BYTES_MIN;

    while (doubling <= size / 2)
        doubling *= 2;
    size_t step = doubling / 4;
    return size <= PLACE_BYTES_MIN ? PLACE_BYTES_MIN : (size + step - 1) / step * step;
}

static uint32_t places_for(size_t place_bytes)
{
    size_t count = SHELF_BYTES / place_bytes;

    return count < 1 ? 1 : (uint32_t)count;
}

static void retire(xoi_store_t *store, size_t i)
{
    xoi_shelf_t *shelf = store->shelves[i].shelf;

    store->bytes -= shelf->segment.size;
    store->shelves[i] = store->shelves[--store->count];
    xoi_shelf_retire(shelf);
    xoi_shelf_decref(shelf);
    store->retired = true;
}

/* Makes room for `bytes` by what is idle. */
static bool make_room(xoi_store_t *store, size_t bytes)
{
    for (size_t i = store->count; i > 0 && store->bytes + bytes > store->bytes_max; i--)
        if (xoi_shelf_is_idle(store->shelves[i - 1].shelf))
            retire(store, i - 1);
    return store->bytes + bytes <= store->bytes_max && store->count < XOI_STORE_SHELVES_MAX;
}

static int grow(xoi_store_t *store)
{
    size_t capacity = store->capacity ? 2 * store->capacity : 8;
    xoi_owned_t *more;

    if (store->count < store->capacity)
        return 0;
    more = realloc(store->shelves, capacity * sizeof *more);
    if (!more)
        return -1;
    store->shelves = more;
    store->capacity = capacity;
    return 0;
}

static xoi_owned_t *add(xoi_store_t *store, size_t place_bytes)
{
    uint32_t count = places_for(place_bytes);
    int fd;

    if (store->refused || grow(store) < 0 || !make_room(store, count * place_bytes))
        return NULL;
    xoi_shelf_t *shelf = xoi_shelf_create(place_bytes, count, &fd, NULL);
    int passed = shelf ? store->pass(store->arg, fd) : -1;
    if (shelf)
        close(fd);
    if (shelf && passed < 0)
        xoi_shelf_decref(shelf);
    if (passed < 0) {
        store->refused = true;
        return NULL;
    }
    store->bytes += shelf->segment.size;
    store->shelves[store->count] = (xoi_owned_t){.shelf = shelf, .id = store->passed++};
    return &store->shelves[store->count++];
}

/* ---- places ---- */

static bool find_place(const xoi_shelf_t *shelf, uint32_t *place)
{
    for (uint32_t i = 0; i < shelf->count; i++) {
        if (xoi_shelf_is_free(shelf, i)) {
            *place = i;
            return true;
        }
    }
    return false;
}

/* A warm place, else one of a new shelf. */
static xoi_owned_t *take(xoi_store_t *store, size_t size, uint32_t *place)
{
    size_t place_bytes = place_bytes_for(size);
    int looks = LOOK_AT_MAX;

    for (size_t n = 0; n < store->count && looks > 0; n++) {
        size_t i = (store->next + n) % store->count;
        xoi_owned_t *owned = &store->shelves[i];
        if (owned->shelf->place_bytes != place_bytes)
            continue;
        looks--;
        if (find_place(owned->shelf, place)) {
            store->next = i;
            owned->idle_ticks = 0;
            return owned;
        }
    }
    *place = 0;
    return add(store, place_bytes);
}

int xoi_store_frame(xoi_store_t *store, size_t size, zmq_msg_t *frame)
{
    uint32_t place;
    xoi_owned_t *owned = size > XOI_SHELF_BYTES_MAX / 2 ? NULL : take(store, size, &place);

    return owned ? xoi_shelf_frame(owned->shelf, place, size, frame) : -1;
}

/* The shelf and place that a frame lies in, unless it is lent already: who has it may write to it.
 */
static xoi_owned_t *find_frame(const xoi_store_t *store, zmq_msg_t *frame, xoi_place_t *place)
{
    const char *data = zmq_msg_data(frame);

    for (size_t i = 0; i < store->count; i++) {
        const xoi_shelf_t *shelf = store->shelves[i].shelf;
        const char *first = xoi_shelf_at(shelf, 0);
        if (data < first || data >= first + shelf->count * shelf->place_bytes)
            continue;
        place->shelf = store->shelves[i].id;
        place->place = (uint32_t)((size_t)(data - first) / shelf->place_bytes);
        return xoi_shelf_may_lend(shelf, place->place) ? &store->shelves[i] : NULL;
    }
    return NULL;
}

int xoi_store_lend(xoi_store_t *store, zmq_msg_t *frame, xoi_place_t *place)
{
    size_t size = zmq_msg_size(frame);
    xoi_owned_t *owned;

    owned = find_frame(store, frame, place);
    if (!owned) {
        owned = size > XOI_SHELF_BYTES_MAX / 2 ? NULL : take(store, size, &place->place);
        if (!owned)
            return -1;
        memcpy(xoi_shelf_at(owned->shelf, place->place), zmq_msg_data(frame), size);
        place->shelf = owned->id;
    }
    xoi_shelf_lend(owned->shelf, place->place);
    return 0;
}

/* ---- what is idle ---- */

bool xoi_store_tick(xoi_store_t *store)
{
    size_t idle_bytes = 0;

    store->refused = false;
    for (size_t i = store->count; i > 0; i--) {
        xoi_owned_t *owned = &store->shelves[i - 1];
        if (!xoi_shelf_is_idle(owned->shelf)) {
            owned->idle_ticks = 0;
            continue;
        }
        idle_bytes += owned->shelf->segment.size;
        if (++owned->idle_ticks > XOI_STORE_IDLE_TICKS || idle_bytes > store->idle_bytes_max) {
            idle_bytes -= owned->shelf->segment.size;
            retire(store, i - 1);
        }
    }
    bool retired = store->retired;
    store->retired = false;
    return retired;
}

size_t xoi_store_lent_bytes(const xoi_store_t *store)
{
    size_t bytes = 0;

    for (size_t i = 0; i < store->count; i++) {
        const xoi_shelf_t *shelf = store->shelves[i].shelf;
        for (uint32_t place = 0; place < shelf->count; place++)
            bytes += xoi_shelf_is_lent(shelf, place) ? shelf->place_bytes : 0;
    }
    return bytes;
}
