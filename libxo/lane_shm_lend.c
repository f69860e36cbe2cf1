/* lane_shm_lend.c - large buffers of lanes in shared memory, which the ring only names. */
#include <errno.h>
#include <string.h>

#include "libxo/ctx_internal.h"
#include "libxo/lane_shm.h"

#define TICK_MS 1000

/* ---- lending ---- */

static int pass_shelf(void *arg, int fd)
{
    xoi_shm_lane_t *lane = arg;

    return xoi_fd_send(lane->socket.fd, XOI_SHM_SHELF, fd);
}

/* After something was asked of the store. */
static void watch_store(xoi_shm_lane_t *lane)
{
    if (lane->store.refused)
        xoi_ctx_warn(lane->ctx, "large buffers go in pieces, for there is no shared memory: %s",
                     strerror(errno));
    if ((lane->store.count > 0 || lane->store.refused) && !xo_timer_active(&lane->tick))
        xo_timer_start(&lane->tick, TICK_MS * XO_MS);
}

static int lend(void *arg, zmq_msg_t *frame, uint64_t *where)
{
    xoi_shm_lane_t *lane = arg;
    xoi_place_t place;
    int rc = lane->socket.fd < 0 ? -1 : xoi_store_lend(&lane->store, frame, &place);

    if (rc == 0)
        *where = (uint64_t)place.place << 32 | place.shelf;
    watch_store(lane);
    return rc;
}

int xoi_shm_buffer(xo_lane_t *base, size_t size, zmq_msg_t *out)
{
    xoi_shm_lane_t *lane = (xoi_shm_lane_t *)base;
    int rc = lane->socket.fd < 0 ? -1 : xoi_store_frame(&lane->store, size, out);

    watch_store(lane);
    return rc;
}

size_t xoi_shm_lent_bytes(const xo_lane_t *base)
{
    return xoi_store_lent_bytes(&((const xoi_shm_lane_t *)base)->store);
}

/* The socket may be full, and the other side stopped: then it is told later. */
static void on_tick(xo_timer_t *timer, void *arg)
{
    xoi_shm_lane_t *lane = arg;

    if (xoi_store_tick(&lane->store))
        lane->retired = true;
    if (lane->retired && xoi_fd_send(lane->socket.fd, XOI_SHM_RETIRED, -1) == 0)
        lane->retired = false;
    if (lane->store.count > 0 || lane->store.refused || lane->retired)
        xo_timer_start(timer, TICK_MS * XO_MS);
}

/* ---- borrowing ---- */

/* What is named in the ring was passed over the socket before. */
static int borrow(void *arg, uint64_t where, size_t size, zmq_msg_t *frame, xo_error_t *err)
{
    xoi_shm_lane_t *lane = arg;
    xoi_place_t place = {.shelf = (uint32_t)where, .place = (uint32_t)(where >> 32)};
    int rc = 1;

    for (int n = 0; n < XOI_SHM_READS_MAX && rc > 0 && place.shelf >= lane->borrow.arrived; n++)
        rc = xoi_shm_take_bells(lane, err);
    return rc < 0 ? -1 : xoi_borrow_frame(&lane->borrow, place, size, frame, err);
}

void xoi_shm_lend_init(xoi_shm_lane_t *lane)
{
    xoi_store_init(&lane->store, pass_shelf, lane);
    xo_timer_init(&lane->tick, lane->base.loop, on_tick, lane);
    lane->writer.lend = lend;
    lane->writer.lend_arg = lane;
    lane->reader.borrow = borrow;
    lane->reader.borrow_arg = lane;
}
