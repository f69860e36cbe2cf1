/* shelf.c - memory for large buffers that two processes share. */
#include "libxo/shelf.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define MAGIC UINT64_C(0x31464c4548534f58)
#define DATA_AT 4096
#define PLACE_BYTES_UNIT 4096

enum { FREE, LENT, KEPT /* given back, but a fork may still read it */ };

/* What lies at the beginning of the segment. */
struct xoi_shelf_head {
    uint64_t magic;
    uint64_t place_bytes;
    uint64_t count;
    _Atomic uint8_t retired;
    _Atomic uint8_t lent[XOI_SHELF_PLACES_MAX];
};

/* ---- forks ---- */

/* How often this process forked, itself included: the one thing here that is the process's. */
static atomic_uint forks;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void count_forks(void)
{
    pthread_atfork(before_fork, NULL, NULL);
}

/* ---- making and freeing ---- */

static xoi_shelf_t *shelf_alloc(bool owner, xo_error_t *err)
{
    xoi_shelf_t *shelf = calloc(1, sizeof *shelf);

    pthread_once(&forks_once, count_forks);
    if (!shelf)
        return xo_error_null(err, ENOMEM, "no memory for a shelf");
    shelf->owner = owner;
    atomic_init(&shelf->refs, 1);
    return shelf;
}

static void take_geometry(xoi_shelf_t *shelf, uint64_t place_bytes, uint64_t count)
{
    shelf->head = shelf->segment.memory;
    shelf->place_bytes = (size_t)place_bytes;
    shelf->count = (uint32_t)count;
}

xoi_shelf_t *xoi_shelf_create(size_t place_bytes, uint32_t count, int *fd, xo_error_t *err)
{
    xoi_shelf_t *shelf = shelf_alloc(true, err);

    if (!shelf)
        return NULL;
    if (xoi_segment_create(&shelf->segment, DATA_AT + count * place_bytes, fd, err) < 0) {
        xoi_shelf_decref(shelf);
        return NULL;
    }
    take_geometry(shelf, place_bytes, count);
    shelf->head->place_bytes = place_bytes;
    shelf->head->count = count;
    shelf->head->magic = MAGIC;
    return shelf;
}

/* Read once: it may change meanwhile. */
static int check_head(xoi_shelf_t *shelf, xo_error_t *err)
{
    const volatile xoi_shelf_head_t *head = shelf->segment.memory;
    bool whole = shelf->segment.size >= DATA_AT;
    uint64_t magic = whole ? head->magic : 0;
    uint64_t place_bytes = whole ? head->place_bytes : 0;
    uint64_t count = whole ? head->count : 0;

    if (magic != MAGIC || count < 1 || count > XOI_SHELF_PLACES_MAX || place_bytes < 1 ||
        place_bytes % PLACE_BYTES_UNIT != 0 || place_bytes > XOI_SHELF_BYTES_MAX ||
        shelf->segment.size != DATA_AT + count * place_bytes)
        return xo_error_set(err, EBADMSG, "shared memory that is not laid out for buffers");
    take_geometry(shelf, place_bytes, count);
    return 0;
}

xoi_shelf_t *xoi_shelf_attach(int fd, size_t max, xo_error_t *err)
{
    xoi_shelf_t *shelf = shelf_alloc(false, err);

    if (shelf &&
        (xoi_segment_attach(&shelf->segment, fd, max, err) < 0 || check_head(shelf, err) < 0)) {
        xoi_shelf_decref(shelf);
        shelf = NULL;
    }
    return shelf;
}

void xoi_shelf_decref(xoi_shelf_t *shelf)
{
    int saved = errno;

    /* Acquire: what others did to it comes before its end; release: what we did. */
    if (atomic_fetch_sub_explicit(&shelf->refs, 1, memory_order_acq_rel) == 1) {
        xoi_segment_close(&shelf->segment);
        free(shelf);
    }
    errno = saved;
}

void *xoi_shelf_at(const xoi_shelf_t *shelf, uint32_t place)
{
    return (char *)shelf->segment.memory + DATA_AT + place * shelf->place_bytes;
}

/* ---- frames ---- */

typedef struct hold {
    xoi_shelf_t *shelf;
    uint32_t place;
    unsigned forks; /* before it was made */
} hold_t;

/* Release: all that was done with the bytes comes before. That it is not in use comes before the
 * owner may lend it anew. */
static void let_go(void *data, void *hint)
{
    hold_t *hold = hint;
    xoi_shelf_t *shelf = hold->shelf;
    bool forked = hold->forks != atomic_load_explicit(&forks, memory_order_relaxed);

    (void)data;
    atomic_store_explicit(&shelf->used[hold->place], false, memory_order_release);
    if (!shelf->owner)
        atomic_store_explicit(&shelf->head->lent[hold->place], forked ? KEPT : FREE,
                              memory_order_release);
    xoi_shelf_decref(shelf);
    free(hold);
}

int xoi_shelf_frame(xoi_shelf_t *shelf, uint32_t place, size_t size, zmq_msg_t *frame)
{
    hold_t *hold = malloc(sizeof *hold);

    if (!hold)
        return -1;
    *hold = (hold_t){shelf, place, atomic_load_explicit(&forks, memory_order_relaxed)};
    if (zmq_msg_init_data(frame, xoi_shelf_at(shelf, place), size, let_go, hold) < 0) {
        free(hold);
        return -1;
    }
    atomic_store_explicit(&shelf->used[place], true, memory_order_relaxed);
    atomic_fetch_add_explicit(&shelf->refs, 1, memory_order_relaxed);
    return 0;
}

bool xoi_shelf_in_use(const xoi_shelf_t *shelf, uint32_t place)
{
    return atomic_load_explicit(&shelf->used[place], memory_order_acquire);
}

/* ---- lending ---- */

/* The ring's index, which is published after it, orders it. */
void xoi_shelf_lend(xoi_shelf_t *shelf, uint32_t place)
{
    atomic_store_explicit(&shelf->head->lent[place], LENT, memory_order_relaxed);
}

static int state_of(const xoi_shelf_t *shelf, uint32_t place)
{
    return atomic_load_explicit(&shelf->head->lent[place], memory_order_acquire);
}

bool xoi_shelf_is_lent(const xoi_shelf_t *shelf, uint32_t place)
{
    return state_of(shelf, place) == LENT;
}

bool xoi_shelf_may_lend(const xoi_shelf_t *shelf, uint32_t place)
{
    return state_of(shelf, place) == FREE && xoi_shelf_in_use(shelf, place);
}

bool xoi_shelf_is_free(const xoi_shelf_t *shelf, uint32_t place)
{
    return state_of(shelf, place) == FREE && !xoi_shelf_in_use(shelf, place);
}

bool xoi_shelf_is_idle(const xoi_shelf_t *shelf)
{
    for (uint32_t place = 0; place < shelf->count; place++)
        if (xoi_shelf_is_lent(shelf, place) || xoi_shelf_in_use(shelf, place))
            return false;
    return true;
}

void xoi_shelf_retire(xoi_shelf_t *shelf)
{
    atomic_store_explicit(&shelf->head->retired, 1, memory_order_release);
}

bool xoi_shelf_is_retired(const xoi_shelf_t *shelf)
{
    return atomic_load_explicit(&shelf->head->retired, memory_order_acquire) != 0;
}
