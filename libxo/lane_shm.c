/* lane_shm.c - lanes in shared memory: sending, receiving, the end. */
#include "libxo/lane_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxo/ctx_internal.h"

#define REST_READ_BYTES (64 << 10) /* at a time */
#define ALONE 8                    /* messages of a pass that are published one by one */
#define PORTION_BYTES (4 << 10)    /* published together: some fifty small messages */

/* ---- the end ---- */

static void close_socket(xoi_shm_lane_t *lane)
{
    if (lane->socket.fd < 0)
        return;
    xo_io_stop(&lane->socket);
    close(lane->socket.fd);
    lane->socket.fd = -1;
}

void xoi_shm_hang_up(xoi_shm_lane_t *lane)
{
    /* In a fork of the process that made it, the lane goes on without this copy of it. */
    if (lane->socket.fd >= 0 && lane->ctx->pid == getpid())
        shutdown(lane->socket.fd, SHUT_RDWR);
    close_socket(lane);
    xo_peek_stop(&lane->peek);
    xo_defer_stop(&lane->publish);
    xo_timer_stop(&lane->tick);
}

static void fail(xoi_shm_lane_t *lane, int errnum, const char *what)
{
    xoi_shm_hang_up(lane);
    xoi_inbox_close(&lane->inbox, errnum, "%s", what);
}

/* ---- sending ---- */

/* The socket's buffer may be full of bells, which is as good; or the peer gone, which on_socket
 * notices. Where the kernel has no memory for a bell, nobody would ever ring again. */
static void ring_bell(xoi_shm_lane_t *lane)
{
    if (lane->socket.fd >= 0 && xoi_fd_send(lane->socket.fd, XOI_SHM_BELL, -1) < 0 &&
        (errno == ENOBUFS || errno == ENOMEM))
        fail(lane, errno, "no memory to wake the peer");
}

static ssize_t put_ring(void *to, const void *bytes, size_t size)
{
    return xoi_ring_put(to, bytes, size);
}

/* 1: nothing waits any more; 0: the ring is full; -1: it is broken. */
static int write_messages(xoi_shm_lane_t *lane)
{
    for (;;) {
        int rc = xoi_writer_go_on(&lane->writer, put_ring, &lane->out);
        if (rc <= 0 || lane->backlog.count == 0)
            return rc;
        xo_msg_t *msg = xo_msgq_pop(&lane->backlog);
        if (xoi_writer_begin(&lane->writer, &msg) < 0) {
            xo_msg_destroy(&msg);
            return -1;
        }
    }
}

static void flush(xoi_shm_lane_t *lane)
{
    int rc, why;

    do {
        rc = write_messages(lane);
        why = errno; /* the bell sets another one */
        if (xoi_ring_publish(&lane->out))
            ring_bell(lane);
    } while (rc == 0 && xoi_ring_wait_for_room(&lane->out));
    if (rc < 0)
        fail(lane, why,
             why == EBADMSG ? "the peer broke the ring of shared memory"
                            : "no memory for a message that waited");
}

static void publish(xoi_shm_lane_t *lane)
{
    if (xoi_ring_publish(&lane->out))
        ring_bell(lane);
}

static void pass_ends(xo_defer_t *defer, void *arg)
{
    xoi_shm_lane_t *lane = arg;

    (void)defer;
    lane->alone = 0;
    publish(lane);
}

/* Publishing costs both sides a cache line that goes from one core to the other: more than a
 * message. So the first few of a pass are published one by one, since somebody may wait for them,
 * and what follows goes in portions, the last of which leaves when the pass ends. */
static void publish_soon(xoi_shm_lane_t *lane)
{
    if (xo_defer_to_end(&lane->publish) < 0 || lane->alone++ < ALONE ||
        xoi_ring_unpublished(&lane->out) >= PORTION_BYTES)
        publish(lane);
}

/* Into the ring at once, if it is small and there is room. */
static bool send_small(xoi_shm_lane_t *lane, xo_msg_t **msg)
{
    size_t size = xoi_stream_small(*msg);
    uint8_t *at = size > 0 ? xoi_ring_reserve(&lane->out, size) : NULL;

    if (!at)
        return false;
    xoi_stream_put_small(*msg, at);
    xoi_ring_commit(&lane->out, size);
    xo_msg_destroy(msg);
    publish_soon(lane);
    return true;
}

int xoi_shm_send(xo_lane_t *base, xo_msg_t **msg)
{
    xoi_shm_lane_t *lane = (xoi_shm_lane_t *)base;
    size_t bytes = xo_msg_bytes(*msg);

    if (!lane->segment.memory && !lane->inbox.closed) {
        xo_msg_destroy(msg); /* as the other transports do until they know */
        return 0;
    }
    if (lane->socket.fd < 0) {
        errno = EPIPE;
        return -1;
    }
    if (xoi_writer_busy(&lane->writer)) {
        xo_msgq_push(&lane->backlog, msg);
    } else if (!send_small(lane, msg)) {
        if (xoi_writer_begin(&lane->writer, msg) < 0)
            return -1;
        flush(lane);
    }
    base->stats.messages_out++;
    base->stats.bytes_out += bytes;
    return 0;
}

/* What is in the ring stays there, since the peer has that memory, too; when this pass ends it is
 * published. */
bool xoi_shm_settle(xo_lane_t *base)
{
    xoi_shm_lane_t *lane = (xoi_shm_lane_t *)base;

    if (!lane->segment.memory || lane->socket.fd < 0)
        return false;
    xoi_ring_expose(&lane->out);
    return !xoi_writer_busy(&lane->writer);
}

bool xoi_shm_is_awaited(const xo_lane_t *base)
{
    const xoi_shm_lane_t *lane = (const xoi_shm_lane_t *)base;
    return lane->segment.memory && xoi_ring_reader_is_up(&lane->out);
}

typedef struct rest {
    int fd;
    size_t size;
} rest_t;

static ssize_t put_rest(void *to, const void *bytes, size_t size)
{
    rest_t *rest = to;
    ssize_t n = xoi_file_may_have(rest->size + size) ? write(rest->fd, bytes, size) : -1;

    rest->size += n > 0 ? (size_t)n : 0;
    return n;
}

/* What found no room in the ring goes into a file of its own. Where there is no memory for that it
 * is lost, as what a killed process had not sent. */
static void send_rest(xoi_shm_lane_t *lane)
{
    rest_t rest = {.fd = memfd_create("xo-rest", MFD_CLOEXEC)};
    int rc = 1;

    lane->writer.lend = NULL;
    if (rest.fd < 0)
        return;
    while (rc > 0 && xoi_writer_busy(&lane->writer)) {
        rc = xoi_writer_go_on(&lane->writer, put_rest, &rest);
        xo_msg_t *msg = rc > 0 ? xo_msgq_pop(&lane->backlog) : NULL;
        if (msg && xoi_writer_begin(&lane->writer, &msg) < 0)
            xo_msg_destroy(&msg);
    }
    xoi_fd_send(lane->socket.fd, XOI_SHM_REST, rest.fd);
    close(rest.fd);
}

static void send_what_is_left(xoi_shm_lane_t *lane)
{
    if (lane->segment.memory)
        publish(lane);
    if (xoi_writer_busy(&lane->writer))
        send_rest(lane);
}

void xoi_shm_destroy(xo_lane_t *base)
{
    xoi_shm_lane_t *lane = (xoi_shm_lane_t *)base;

    xoi_shm_leave_listener(lane);
    if (lane->socket.fd >= 0 && lane->ctx->pid == getpid())
        send_what_is_left(lane);
    xoi_shm_hang_up(lane);
    xoi_inbox_stop(&lane->inbox);
    xoi_writer_free(&lane->writer);
    xo_msgq_clear(&lane->backlog);
    xoi_stream_reader_free(&lane->reader);
    xoi_store_free(&lane->store);
    xoi_borrow_free(&lane->borrow);
    xoi_segment_close(&lane->segment);
    if (lane->rest_fd >= 0)
        close(lane->rest_fd);
    lane->rest_fd = -1;
    lane->dead = true;
    if (!lane->accepting)
        free(lane);
}

void xoi_shm_pause(xo_lane_t *base, bool paused)
{
    xoi_inbox_pause(&((xoi_shm_lane_t *)base)->inbox, paused);
}

/* ---- receiving ---- */

/* Takes a message from *bytes, if one is complete, and hands it over. False: the lane is failed or
 * its memory is gone. `*bytes` is not to be used after a message. */
typedef enum { MORE, MESSAGE, GONE } step_t;

static step_t hand_over(xoi_shm_lane_t *lane, int rc, xo_msg_t **msg, const xo_error_t *err)
{
    if (rc == 0)
        return MORE;
    if (rc < 0) {
        char what[sizeof err->text + 64];
        snprintf(what, sizeof what, "the peer sent what is no message: %s", err->text);
        fail(lane, err->errnum, what);
        return GONE;
    }
    return xoi_inbox_push(&lane->inbox, msg) ? MESSAGE : GONE;
}

/* The bytes are skipped before the handler runs: it may run the loop, which comes here again. */
static step_t read_ring(xoi_shm_lane_t *lane)
{
    xo_error_t err = {0};
    xo_msg_t *msg = NULL;
    xo_slice_t bytes;

    if (xoi_ring_peek(&lane->in, &bytes) < 0) {
        fail(lane, EBADMSG, "the peer broke the ring of shared memory");
        return GONE;
    }
    size_t size = bytes.size;
    if (size == 0)
        return MORE;
    int rc = xoi_stream_read(&lane->reader, &bytes, &msg, &err);
    xoi_ring_skip(&lane->in, size - bytes.size);
    if (xoi_ring_held(&lane->in) >= lane->in.size / 4 && xoi_ring_release(&lane->in))
        ring_bell(lane);
    return hand_over(lane, rc, &msg, &err);
}

static step_t read_piece(xoi_shm_lane_t *lane, xo_slice_t bytes)
{
    step_t step = MORE;

    while (step != GONE && bytes.size > 0) {
        xo_error_t err = {0};
        xo_msg_t *msg = NULL;
        int rc = xoi_stream_read(&lane->reader, &bytes, &msg, &err);
        step = hand_over(lane, rc, &msg, &err);
    }
    return step;
}

/* Of a file in memory: no other is believed to end, nor to be read without waiting. */
static off_t memory_bytes(int fd)
{
    struct stat st;

    return fcntl(fd, F_GET_SEALS) >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
}

static step_t read_rest(xoi_shm_lane_t *lane, int fd)
{
    char *buffer = malloc(REST_READ_BYTES);
    off_t at = 0;
    off_t size = memory_bytes(fd);
    ssize_t n;
    step_t step = MORE;

    while (buffer && step != GONE && at < size &&
           (n = pread(fd, buffer, REST_READ_BYTES, at)) > 0) {
        at += n;
        step = read_piece(lane, xo_slice(buffer, (size_t)n));
    }
    free(buffer);
    return step;
}

/* The ring is empty, and nobody writes to it any more. */
static void end(xoi_shm_lane_t *lane)
{
    int fd = lane->rest_fd;
    step_t step = MORE;

    lane->ending = true;
    xo_peek_stop(&lane->peek);
    lane->rest_fd = -1;
    if (fd >= 0) {
        step = read_rest(lane, fd);
        close(fd);
    }
    if (step != GONE)
        xoi_inbox_close(&lane->inbox, ECONNRESET, "the peer closed the lane");
}

/* Closing: a handler closed the lane, by its listener. False: it has ended or is gone. */
static bool receive(xoi_shm_lane_t *lane)
{
    for (int n = 0; n < XOI_LANE_BATCH && !lane->inbox.closing; n++) {
        step_t step = read_ring(lane);
        if (step == GONE)
            return false;
        if (step == MORE && !xoi_ring_ready(&lane->in))
            break;
    }
    if (lane->inbox.closing)
        return false;
    if (xoi_ring_release(&lane->in))
        ring_bell(lane);
    if (!lane->hung_up || lane->ending || xoi_ring_ready(&lane->in))
        return true;
    end(lane);
    return false;
}

void xoi_shm_receive(xoi_shm_lane_t *lane)
{
    receive(lane);
}

static bool peek_ready(void *arg)
{
    xoi_shm_lane_t *lane = arg;

    return xoi_ring_ready(&lane->in) || lane->hung_up;
}

static void peek_handle(void *arg)
{
    xoi_shm_receive(arg);
}

static bool peek_sleep(void *arg)
{
    xoi_shm_lane_t *lane = arg;

    return !lane->hung_up && xoi_ring_sleep(&lane->in);
}

static const xo_peek_ops_t peek_ops = {peek_ready, peek_handle, peek_sleep};

static int take_shelf(xoi_shm_lane_t *lane, int fd, xo_error_t *err)
{
    if (fd < 0)
        return xo_error_set(err, EMFILE, "no descriptor is left for shared memory that came");
    int rc = xoi_borrow_add(&lane->borrow, fd, err);
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static void take_rest(xoi_shm_lane_t *lane, int fd)
{
    if (lane->rest_fd < 0)
        lane->rest_fd = fd;
    else
        close(fd);
}

/* Bells themselves say nothing: what there is to do is in the memory, so who hears one looks there
 * from now on, wherever it was heard. A descriptor comes with the last byte of what is read at a
 * time. */
int xoi_shm_take_bells(xoi_shm_lane_t *lane, xo_error_t *err)
{
    char bytes[64];
    int fd;
    ssize_t n = lane->socket.fd < 0 ? 0 : xoi_fd_recv(lane->socket.fd, bytes, sizeof bytes, &fd);

    if (n <= 0) {
        bool over = lane->socket.fd >= 0 && (n == 0 || errno != EAGAIN);
        if (over)
            close_socket(lane);
        lane->hung_up = lane->hung_up || over;
        return 0;
    }
    xo_peek_start(&lane->peek);
    if (memchr(bytes, XOI_SHM_RETIRED, (size_t)n))
        xoi_borrow_sweep(&lane->borrow);
    if (bytes[n - 1] == XOI_SHM_SHELF)
        return take_shelf(lane, fd, err) < 0 ? -1 : 1;
    if (fd >= 0)
        take_rest(lane, fd);
    return 1;
}

/* A ring holds less than its size in messages, and nobody adds to it. */
void xoi_shm_drain(xo_lane_t *base)
{
    xoi_shm_lane_t *lane = (xoi_shm_lane_t *)base;
    xo_error_t err = {0};
    int rc = 1;

    if (!lane->segment.memory || lane->inbox.closing)
        return;
    for (int n = 0; n < XOI_SHM_READS_MAX && rc > 0; n++)
        rc = xoi_shm_take_bells(lane, &err);
    if (rc < 0)
        fail(lane, err.errnum, err.text);
    for (uint64_t n = 0; rc >= 0 && n <= lane->in.size / XOI_LANE_BATCH; n++)
        if (!receive(lane) || !xoi_ring_ready(&lane->in))
            return;
}

static void on_socket(xo_io_t *io, int revents, void *arg)
{
    xoi_shm_lane_t *lane = arg;
    xo_error_t err = {0};

    (void)io;
    (void)revents;
    if (xoi_shm_take_bells(lane, &err) < 0) {
        fail(lane, err.errnum, err.text);
        return;
    }
    if (!lane->hung_up && xoi_writer_busy(&lane->writer))
        flush(lane);
    if (lane->inbox.closing)
        return;
    xo_peek_start(&lane->peek);
    xoi_shm_receive(lane);
}

/* ---- the beginning ---- */

xoi_shm_lane_t *xoi_shm_lane(xo_ctx_t *ctx, xo_loop_t *loop, const xo_lane_events_t *events,
                             void *arg)
{
    xoi_shm_lane_t *lane = calloc(1, sizeof *lane);

    if (!lane)
        return NULL;
    lane->base = (xo_lane_t){.transport = &xo_transport_shm,
                             .scheme = xo_transport_shm.schemes[0],
                             .loop = loop,
                             .events = *events,
                             .arg = arg};
    lane->ctx = ctx;
    lane->rest_fd = -1;
    lane->socket.fd = -1;
    xoi_inbox_init(&lane->inbox, &lane->base);
    xoi_stream_reader_init(&lane->reader);
    xo_defer_init(&lane->publish, loop, pass_ends, lane);
    xo_peek_init(&lane->peek, loop, &peek_ops, lane);
    xoi_shm_lend_init(lane);
    return lane;
}

int xoi_shm_open(xoi_shm_lane_t *lane)
{
    xo_io_stop(&lane->socket);
    xo_io_init(&lane->socket, lane->base.loop, lane->socket.fd, XO_READ, on_socket, lane);
    return xo_io_start(&lane->socket);
}
