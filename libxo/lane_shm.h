/* lane_shm.h - lanes in shared memory, between two processes of a machine.
 *
 * A lane is a unix socket and a segment of shared memory, which the dialler makes and sends over
 * it: a ring for each direction, in which messages lie as a stream. The socket carries no messages.
 * A byte on it is the doorbell, rung only when the other side sleeps, and its end is the lane's:
 * the kernel closes it however a process ends. Who leaves while the peer's ring is full sends what
 * is left in a memory file of its own, since it cannot stay to wait for room.
 *
 * Large buffers lie in memory of their own, which each side makes for what it sends (store.h) and
 * passes over the socket; the ring only says where. Where there is none they go through the ring.
 *
 * lane_shm.c         sending, receiving, the end
 * lane_shm_lend.c    large buffers
 * lane_shm_connect.c dialling, listening: who meets whom, and the segment
 */
#ifndef XO_LANE_SHM_H
#define XO_LANE_SHM_H

#include "libxo/borrow.h"
#include "libxo/lane_inbox.h"
#include "libxo/ring.h"
#include "libxo/segment.h"
#include "libxo/store.h"
#include "libxo/stream.h"

#define XOI_SHM_VERSION 2
#define XOI_SHM_RING_BYTES ((uint64_t)128 << 10) /* each direction: a thousand small messages */
#define XOI_SHM_RING_BYTES_MIN ((uint64_t)4 << 10)
#define XOI_SHM_RING_BYTES_MAX ((uint64_t)64 << 20)
#define XOI_SHM_BYTES_MAX ((size_t)256 << 20)

/* Bytes on the socket. */
#define XOI_SHM_BELL 'b'
#define XOI_SHM_REST 'r'    /* comes with a descriptor */
#define XOI_SHM_SHELF 's'   /* this too */
#define XOI_SHM_RETIRED 't' /* a shelf is */
/* Reads in a row, for what has been sent: more than a socket holds, even if it goes on coming. */
#define XOI_SHM_READS_MAX 4096

typedef struct xoi_shm_lane {
    xo_lane_t base; /* first */
    xo_ctx_t *ctx;
    xo_io_t socket; /* fd -1: closed */
    xo_peek_t peek;
    xoi_inbox_t inbox;
    xoi_segment_t segment; /* none: nobody there, or the peer's has not come */
    xoi_ring_t in;
    xoi_ring_t out;
    xoi_stream_reader_t reader;
    xoi_writer_t writer;
    xo_msgq_t backlog;   /* the ring is full */
    xo_defer_t publish;  /* what this pass has put into the ring */
    unsigned alone;      /* how many messages of this pass were published at once */
    xoi_store_t store;   /* large buffers that go out */
    xoi_borrow_t borrow; /* and that come in */
    xo_timer_t tick;     /* the store's */
    xo_timer_t wait;     /* for the first message of who came in, so many times so far: */
    int waits;
    bool retired;   /* a shelf is, and the peer has not been told */
    int rest_fd;    /* what the peer could not put into the ring before it left; -1: none */
    bool hung_up;   /* the peer; what it has sent may still be there */
    bool ending;    /* the rest is being read */
    bool accepting; /* the listener's user is being told: freed afterwards */
    bool dead;      /* destroyed */
    struct xoi_shm_listener *listener; /* that it came by; NULL: gone, or it was dialled */
    struct xoi_shm_lane *next;         /* of the listener's */
    struct xoi_shm_lane *prev;
} xoi_shm_lane_t;

/* lane_shm.c */
xoi_shm_lane_t *xoi_shm_lane(xo_ctx_t *ctx, xo_loop_t *loop, const xo_lane_events_t *events,
                             void *arg);
/* Both ends are attached: watches the socket. -1: ENOMEM. */
int xoi_shm_open(xoi_shm_lane_t *lane);
void xoi_shm_receive(xoi_shm_lane_t *lane); /* may destroy it */
/* The peer is told by the end of the socket; what it has sent is dropped. */
void xoi_shm_hang_up(xoi_shm_lane_t *lane);
int xoi_shm_send(xo_lane_t *base, xo_msg_t **msg);
bool xoi_shm_settle(xo_lane_t *base);
bool xoi_shm_is_awaited(const xo_lane_t *base);
void xoi_shm_drain(xo_lane_t *base);
void xoi_shm_pause(xo_lane_t *base, bool paused);
void xoi_shm_destroy(xo_lane_t *base);
/* Reads the socket. 1: something came; 0: nothing, or the peer has hung up; -1: EBADMSG, ENOMEM,
 * EMFILE with a sentence. */
int xoi_shm_take_bells(xoi_shm_lane_t *lane, xo_error_t *err);

/* lane_shm_lend.c */
void xoi_shm_lend_init(xoi_shm_lane_t *lane);
int xoi_shm_buffer(xo_lane_t *base, size_t size, zmq_msg_t *out);
size_t xoi_shm_lent_bytes(const xo_lane_t *base);

/* lane_shm_connect.c */
xo_lane_t *xoi_shm_dial_sized(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                              const xo_lane_events_t *events, void *arg, uint64_t ring_bytes,
                              xo_error_t *err);
void xoi_shm_leave_listener(xoi_shm_lane_t *lane);

/* What lies at the beginning of the segment; the rings' bytes follow at XOI_SHM_DATA_AT. */
#define XOI_SHM_MAGIC UINT64_C(0x314d485358584f58)
#define XOI_SHM_DATA_AT 4096
typedef struct xoi_shm_head {
    uint64_t magic;
    uint64_t ring_bytes;
    xoi_ring_shared_t to_listener;
    xoi_ring_shared_t to_dialler;
} xoi_shm_head_t;

#endif
