/* lane_shm_connect.c - how two ends of a lane in shared memory meet.
 *
 * The dialler connects to the listener's unix socket, makes the segment, and sends it: one byte,
 * the version, with the descriptor. It writes messages into the ring at once. There is no answer: a
 * listener that cannot map it hangs up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "libxo/ctx_internal.h"
#include "libxo/lane_shm.h"
#include "libxo/unix_socket.h"

#define ACCEPT_BATCH 64
#define NO_FD_RETRY_MS 100
/* Who came in and has sent no message by then is no lane. Not in one go: when this loop has stood
 * still, what it waits for may have come. */
#define SILENT_MS 1000
#define SILENT_TIMES 5

typedef struct xoi_shm_listener {
    xo_listener_t base; /* first */
    xo_ctx_t *ctx;
    xo_io_t socket;
    xo_timer_t retry; /* there was no descriptor for who came */
    uint64_t inode;
    xoi_shm_lane_t *lanes;
} xoi_shm_listener_t;

static const char *path_of(const char *endpoint)
{
    return strstr(endpoint, "://") + 3;
}

void xoi_shm_leave_listener(xoi_shm_lane_t *lane)
{
    if (!lane->listener)
        return;
    xo_timer_stop(&lane->wait);
    DL_DELETE(lane->listener->lanes, lane);
    lane->listener = NULL;
}

/* ---- the segment ---- */

static size_t segment_bytes(uint64_t ring_bytes)
{
    return XOI_SHM_DATA_AT + 2 * (size_t)ring_bytes;
}

static void attach_rings(xoi_shm_lane_t *lane, uint64_t ring_bytes, bool dialler)
{
    xoi_shm_head_t *head = lane->segment.memory;
    char *data = (char *)lane->segment.memory + XOI_SHM_DATA_AT;

    xoi_ring_attach(dialler ? &lane->out : &lane->in, &head->to_listener, data, ring_bytes);
    xoi_ring_attach(dialler ? &lane->in : &lane->out, &head->to_dialler, data + ring_bytes,
                    ring_bytes);
}

static int make_segment(xoi_shm_lane_t *lane, uint64_t ring_bytes, int *fd, xo_error_t *err)
{
    if (xoi_segment_create(&lane->segment, segment_bytes(ring_bytes), fd, err) < 0)
        return -1;
    xoi_shm_head_t *head = lane->segment.memory;
    head->magic = XOI_SHM_MAGIC;
    head->ring_bytes = ring_bytes;
    xoi_ring_init(&head->to_listener);
    xoi_ring_init(&head->to_dialler);
    attach_rings(lane, ring_bytes, true);
    return 0;
}

static int take_segment(xoi_shm_lane_t *lane, int fd, xo_error_t *err)
{
    if (xoi_segment_attach(&lane->segment, fd, XOI_SHM_BYTES_MAX, err) < 0)
        return -1;
    const volatile xoi_shm_head_t *head = lane->segment.memory;
    uint64_t ring_bytes = lane->segment.size < XOI_SHM_DATA_AT ? 0 : head->ring_bytes;
    if (ring_bytes < XOI_SHM_RING_BYTES_MIN || ring_bytes > XOI_SHM_RING_BYTES_MAX ||
        (ring_bytes & (ring_bytes - 1)) != 0 || head->magic != XOI_SHM_MAGIC ||
        lane->segment.size != segment_bytes(ring_bytes))
        return xo_error_set(err, EBADMSG, "shared memory that is not laid out as a lane's");
    attach_rings(lane, ring_bytes, false);
    return 0;
}

/* Contract 16. The directory is ours alone as well. */
static bool is_ours(int socket)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

/* ---- dialling ---- */

static int connect_lane(xoi_shm_lane_t *lane, const char *path, uint64_t ring_bytes,
                        xo_error_t *err)
{
    int fd = -1;

    lane->socket.fd = xoi_unix_connect(path, err);
    if (lane->socket.fd < 0)
        return -1;
    if (!is_ours(lane->socket.fd))
        return xo_error_set(err, EPERM, "%s is another user's", path);
    if (make_segment(lane, ring_bytes, &fd, err) < 0)
        return -1;
    int rc = xoi_fd_send(lane->socket.fd, XOI_SHM_VERSION, fd);
    if (rc < 0)
        xo_error_set(err, errno, "cannot send shared memory to %s: %s", path, strerror(errno));
    else if ((rc = xoi_shm_open(lane)) < 0)
        xo_error_set(err, ENOMEM, "no memory for a lane to %s", path);
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

xo_lane_t *xoi_shm_dial_sized(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                              const xo_lane_events_t *events, void *arg, uint64_t ring_bytes,
                              xo_error_t *err)
{
    xo_error_t why = {0};
    xoi_shm_lane_t *lane = xoi_shm_lane(ctx, loop, events, arg);

    if (!lane)
        return xo_error_null(err, ENOMEM, "no memory for a lane to %s", endpoint);
    if (connect_lane(lane, path_of(endpoint), ring_bytes, &why) == 0)
        return &lane->base;
    if (why.errnum == ECONNREFUSED || why.errnum == EPIPE || why.errnum == ECONNRESET) {
        xoi_segment_close(&lane->segment);
        xoi_shm_hang_up(lane);
        xoi_inbox_close(&lane->inbox, ECONNREFUSED, "nobody listens on %s", endpoint);
        return &lane->base;
    }
    xoi_shm_destroy(&lane->base);
    return xo_error_null(err, why.errnum, "%s", why.text);
}

static xo_lane_t *shm_dial(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                           const xo_lane_events_t *events, void *arg, xo_error_t *err)
{
    return xoi_shm_dial_sized(ctx, loop, endpoint, events, arg, XOI_SHM_RING_BYTES, err);
}

/* ---- a lane that came in ---- */

/* Until the user has it, these stand in for the user's handlers. */
static void first_message(xo_lane_t *base, xo_msg_t **msg, void *arg)
{
    xoi_shm_lane_t *lane = (xoi_shm_lane_t *)base;
    xo_listener_t *listener = &lane->listener->base;

    (void)arg;
    xo_timer_stop(&lane->wait);
    lane->accepting = true;
    listener->events.accepted(listener, base, listener->arg);
    lane->accepting = false;
    if (lane->dead)
        free(lane);
    else if (base->events.message)
        base->events.message(base, msg, base->arg);
}

static void first_closed(xo_lane_t *base, const xo_error_t *why, void *arg)
{
    xo_listener_t *listener = &((xoi_shm_lane_t *)base)->listener->base;

    (void)arg;
    if (why->errnum != ECONNRESET && listener->events.refused)
        listener->events.refused(listener, NULL, why, listener->arg);
    xoi_shm_destroy(base);
}

static const xo_lane_events_t first_events = {.message = first_message, .closed = first_closed};

static int welcome(xoi_shm_lane_t *lane, ssize_t n, char version, int fd, xo_error_t *err)
{
    if (n <= 0)
        return xo_error_set(err, ECONNRESET, "it hung up");
    if (version != XOI_SHM_VERSION || fd < 0)
        return xo_error_set(err, EBADMSG, "what came first was no shared memory");
    if (take_segment(lane, fd, err) < 0)
        return -1;
    return xoi_shm_open(lane) < 0 ? xo_error_set(err, ENOMEM, "no memory for a lane") : 0;
}

static void on_greeting(xo_io_t *io, int revents, void *arg)
{
    xoi_shm_lane_t *lane = arg;
    xo_error_t err = {0};
    char version = 0;
    int fd;
    ssize_t n = xoi_fd_recv(io->fd, &version, 1, &fd);

    (void)revents;
    if (n < 0 && errno == EAGAIN)
        return;
    int rc = welcome(lane, n, version, fd, &err);
    if (fd >= 0)
        close(fd);
    if (rc < 0) {
        if (err.errnum != EBADMSG && err.errnum != ECONNRESET)
            xoi_ctx_warn(lane->ctx, "no shared memory lane, ipc is used instead: %s", err.text);
        first_closed(&lane->base, &err, NULL);
        return;
    }
    xo_peek_start(&lane->peek);
    xoi_shm_receive(lane);
}

static void on_silence(xo_timer_t *timer, void *arg)
{
    xoi_shm_lane_t *lane = arg;
    xo_error_t why = {0};

    if (++lane->waits < SILENT_TIMES) {
        xo_timer_start(timer, SILENT_MS * XO_MS);
        return;
    }
    xo_error_set(&why, ETIMEDOUT, "it has sent no message for %d ms", SILENT_TIMES * SILENT_MS);
    first_closed(&lane->base, &why, NULL);
}

static void take_in(xoi_shm_listener_t *listener, int fd)
{
    xoi_shm_lane_t *lane =
        is_ours(fd) ? xoi_shm_lane(listener->ctx, listener->base.loop, &first_events, NULL) : NULL;

    if (!lane) {
        close(fd);
        return;
    }
    lane->listener = listener;
    DL_APPEND(listener->lanes, lane);
    xo_timer_init(&lane->wait, listener->base.loop, on_silence, lane);
    xo_io_init(&lane->socket, listener->base.loop, fd, XO_READ, on_greeting, lane);
    if (xo_io_start(&lane->socket) < 0) {
        xoi_shm_destroy(&lane->base);
        return;
    }
    xo_timer_start(&lane->wait, SILENT_MS * XO_MS);
}

/* ---- listening ---- */

static void on_caller(xo_io_t *io, int revents, void *arg)
{
    xoi_shm_listener_t *listener = arg;

    (void)revents;
    for (int n = 0; n < ACCEPT_BATCH; n++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take_in(listener, fd);
        } else if (errno != ECONNABORTED && errno != EINTR) {
            if (errno == EAGAIN)
                return;
            /* EMFILE and the like: the caller waits, and the loop does not turn meanwhile. */
            xo_io_stop(io);
            xo_timer_start(&listener->retry, NO_FD_RETRY_MS * XO_MS);
            return;
        }
    }
}

static void on_retry(xo_timer_t *timer, void *arg)
{
    xoi_shm_listener_t *listener = arg;

    if (xo_io_start(&listener->socket) < 0)
        xo_timer_start(timer, NO_FD_RETRY_MS * XO_MS);
}

static void shut(xoi_shm_listener_t *listener)
{
    const char *path = path_of(listener->base.endpoint);

    xo_timer_stop(&listener->retry);
    xo_io_stop(&listener->socket);
    if (xoi_unix_inode(path) == listener->inode)
        unlink(path);
    close(listener->socket.fd);
    free(listener);
}

static xo_listener_t *shm_listen(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                                 const xo_listener_events_t *events, void *arg, xo_error_t *err)
{
    xoi_shm_listener_t *listener = calloc(1, sizeof *listener);
    int fd;

    if (!listener || strlen(endpoint) >= sizeof listener->base.endpoint) {
        free(listener);
        return xo_error_null(err, listener ? ENAMETOOLONG : ENOMEM, "cannot listen on %s",
                             endpoint);
    }
    listener->base = (xo_listener_t){
        .transport = &xo_transport_shm, .loop = loop, .events = *events, .arg = arg};
    strcpy(listener->base.endpoint, endpoint);
    listener->ctx = ctx;
    fd = xoi_unix_listen(path_of(endpoint), err);
    if (fd < 0) {
        int saved = errno;
        free(listener);
        errno = saved;
        return NULL;
    }
    listener->inode = xoi_unix_inode(path_of(endpoint));
    xo_timer_init(&listener->retry, loop, on_retry, listener);
    xo_io_init(&listener->socket, loop, fd, XO_READ, on_caller, listener);
    if (xo_io_start(&listener->socket) == 0)
        return &listener->base;
    shut(listener);
    return xo_error_null(err, ENOMEM, "no memory to listen on %s", endpoint);
}

static void shm_listener_destroy(xo_listener_t *base)
{
    xoi_shm_listener_t *listener = (xoi_shm_listener_t *)base;
    xoi_shm_lane_t *lane, *next;

    DL_FOREACH_SAFE(listener->lanes, lane, next)
    {
        bool taken = lane->base.events.message != first_message;
        xoi_shm_leave_listener(lane);
        if (taken) {
            xoi_shm_hang_up(lane);
            xoi_inbox_close(&lane->inbox, ECONNRESET, "%s is closed", base->endpoint);
        } else {
            xoi_shm_destroy(&lane->base);
        }
    }
    shut(listener);
}

static const char *const schemes[] = {"shm", NULL};

const xo_transport_t xo_transport_shm = {
    .schemes = schemes,
    .listen = shm_listen,
    .listener_destroy = shm_listener_destroy,
    .dial = shm_dial,
    .send = xoi_shm_send,
    .buffer = xoi_shm_buffer,
    .lent_bytes = xoi_shm_lent_bytes,
    .settle = xoi_shm_settle,
    .is_awaited = xoi_shm_is_awaited,
    .drain = xoi_shm_drain,
    .pause = xoi_shm_pause,
    .destroy = xoi_shm_destroy,
};
