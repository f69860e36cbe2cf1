/* borrow.c - the shelves that the other side of a lane owns. */
#include "libxo/borrow.h"

#include <errno.h>
#include <stdlib.h>

void xoi_borrow_free(xoi_borrow_t *borrow)
{
    for (size_t i = 0; i < borrow->count; i++)
        xoi_shelf_decref(borrow->shelves[i].shelf);
    free(borrow->shelves);
    *borrow = (xoi_borrow_t){0};
}

void xoi_borrow_sweep(xoi_borrow_t *borrow)
{
    size_t kept = 0;

    for (size_t i = 0; i < borrow->count; i++) {
        xoi_lender_t lender = borrow->shelves[i];
        if (xoi_shelf_is_retired(lender.shelf)) {
            borrow->bytes -= lender.shelf->segment.size;
            xoi_shelf_decref(lender.shelf);
        } else {
            borrow->shelves[kept++] = lender;
        }
    }
    borrow->count = kept;
}

static int grow(xoi_borrow_t *borrow)
{
    size_t capacity = borrow->capacity ? 2 * borrow->capacity : 8;
    xoi_lender_t *more;

    if (borrow->count < borrow->capacity)
        return 0;
    more = realloc(borrow->shelves, capacity * sizeof *more);
    if (!more)
        return -1;
    borrow->shelves = more;
    borrow->capacity = capacity;
    return 0;
}

int xoi_borrow_add(xoi_borrow_t *borrow, int fd, xo_error_t *err)
{
    xoi_borrow_sweep(borrow);
    if (borrow->count >= XOI_STORE_SHELVES_MAX || borrow->arrived == UINT32_MAX)
        return xo_error_set(err, EBADMSG, "more than %d pieces of shared memory",
                            XOI_STORE_SHELVES_MAX);
    if (grow(borrow) < 0)
        return xo_error_set(err, ENOMEM, "no memory for shared memory");
    /* What is too much is not even filled. */
    xoi_shelf_t *shelf = xoi_shelf_attach(fd, XOI_BORROW_BYTES_MAX - borrow->bytes, err);
    if (!shelf)
        return -1;
    borrow->bytes += shelf->segment.size;
    borrow->shelves[borrow->count++] = (xoi_lender_t){shelf, borrow->arrived++};
    return 0;
}

static xoi_shelf_t *find(const xoi_borrow_t *borrow, uint32_t id)
{
    size_t low = 0;
    size_t high = borrow->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (borrow->shelves[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < borrow->count && borrow->shelves[low].id == id ? borrow->shelves[low].shelf : NULL;
}

int xoi_borrow_frame(const xoi_borrow_t *borrow, xoi_place_t place, size_t size, zmq_msg_t *frame,
                     xo_error_t *err)
{
    xoi_shelf_t *shelf = find(borrow, place.shelf);

    if (!shelf || place.place >= shelf->count || size > shelf->place_bytes ||
        xoi_shelf_in_use(shelf, place.place))
        return xo_error_set(err, EBADMSG, "a buffer that was not lent: place %u of shelf %u",
                            place.place, place.shelf);
    if (xoi_shelf_frame(shelf, place.place, size, frame) < 0)
        return xo_error_set(err, ENOMEM, "no memory for a buffer");
    return 0;
}
