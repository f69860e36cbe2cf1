/* lane_zmq_dial.c - the dialling side of the ZeroMQ lanes: one DEALER for each lane.
 *
 * How a lane ends, as the socket's monitor tells it (inproc has none; there the peer's goodbye is
 * all that is needed, since both live and die together):
 *
 *   nobody there       CONNECT_RETRIED without a connection before
 *   refused by CURVE   HANDSHAKE_FAILED_*, DISCONNECTED
 *   peer gone          DISCONNECTED, then CONNECT_RETRIED
 *
 * DISCONNECTED comes before the I/O thread has handed over the last messages; CONNECT_RETRIED
 * comes after (stream_engine_base_t::error, session_base_t::reconnect in libzmq 4.3). So the lane
 * waits for the latter, receives until there is no more, and closes. Where libzmq does not retry,
 * after a breach of its protocol, a timer ends the wait.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "libxo/bridge.h"
#include "libxo/ctx_internal.h"
#include "libxo/lane_inbox.h"
#include "libxo/lane_probe.h"
#include "libxo/lane_silence.h"
#include "libxo/lane_zmq.h"
#include "libxo/tsan.h"

#define EVENTS                                                                                     \
    (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED |                    \
     ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                         \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
#define NO_RETRY_MS 100

typedef struct dialled {
    xoi_zmq_lane_t lane; /* first */
    xo_ctx_t *ctx;
    void *socket;  /* NULL: closed */
    void *monitor; /* NULL: inproc, or closed */
    xo_zmq_t in;
    xo_zmq_t events;
    xo_timer_t no_retry;
    xoi_probe_t probe;
    xoi_bridge_t bridge; /* of scheme port */
    xoi_silence_t silence;
    xoi_inbox_t inbox;
    xoi_scheme_t scheme;
    int64_t dialled_ns;
    int fd; /* of its tcp connection; -1: none, or not yet */
    bool connected;
    bool handshaken;
    bool denied; /* the handshake failed for a reason */
    bool ending; /* nothing comes any more but what has been received */
    xoi_frames_t frames;
    char endpoint[]; /* for sentences */
} dialled_t;

static void close_sockets(dialled_t *dialled, int linger_ms)
{
    xo_zmq_stop(&dialled->in);
    xo_timer_stop(&dialled->no_retry);
    xoi_silence_stop(&dialled->silence);
    xoi_zmq_lane_stop(&dialled->lane);
    if (dialled->monitor)
        xo_zmq_stop(&dialled->events);
    xoi_monitor_close(dialled->socket, &dialled->monitor);
    xoi_lane_socket_close(&dialled->socket, linger_ms);
    xoi_bridge_finish(&dialled->bridge, linger_ms);
}

/* Has the connection ended, which the loop has not looked at yet? */
static bool is_cut(dialled_t *dialled)
{
    int event, value;

    while (dialled->monitor && xoi_monitor_read(dialled->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CONNECT_RETRIED)
            return true;
    }
    return false;
}

/* Leaves a peer that is still there, or that has said that it goes, or is gone: to these we need
 * only hang up, and what they have not taken must not keep the context from ending. */
static void leave(dialled_t *dialled)
{
    bool left = dialled->lane.base.peer_left && dialled->scheme != XOI_INPROC;
    if (!dialled->socket)
        return;
    struct xoi_parting *parting = dialled->fd >= 0 && !left ? xoi_parting_hold(dialled->fd) : NULL;
    left = left || is_cut(dialled);
    if (!left) {
        xoi_zmq_lane_flush(&dialled->lane);
        xoi_send_frame(dialled->socket, "");
    }
    if (parting && !left)
        xoi_part(dialled->ctx, parting);
    else
        xoi_parting_release(parting);
    close_sockets(dialled, left ? 0 : XOI_LINGER_MS);
}

static void close_denied(dialled_t *dialled)
{
    xoi_inbox_close(&dialled->inbox, EACCES,
                    "%s refused the encrypted handshake: is it of the same cluster, and this "
                    "machine's key in its xo keys list?",
                    dialled->endpoint);
}

static void close_reset(dialled_t *dialled)
{
    xoi_inbox_close(&dialled->inbox, ECONNRESET, "the connection to %s is gone", dialled->endpoint);
}

static void on_probed(xoi_probe_t *probe, int errnum, void *arg)
{
    (void)probe;
    if (errnum == 0)
        close_denied(arg);
    else
        close_reset(arg);
}

/* libzmq hangs up on a peer that does not answer in time, and has no event that says so. */
static bool has_waited(const dialled_t *dialled)
{
    int64_t ns = xo_loop_now(dialled->lane.base.loop) - dialled->dialled_ns;
    return ns >= XOI_ZMQ_HANDSHAKE_MS * XO_MS;
}

/* Who does not know the key hangs up without a word, and so does who dies: the latter listens no
 * more. */
static void close_unshaken(dialled_t *dialled)
{
    if (dialled->denied)
        close_denied(dialled);
    else if (has_waited(dialled))
        xoi_inbox_close(&dialled->inbox, ETIMEDOUT, "%s did not answer the handshake",
                        dialled->endpoint);
    else if (dialled->scheme == XOI_PORT) /* who said that it is there is the broker */
        close_denied(dialled);
    else if (dialled->scheme != XOI_TCP || xoi_probe_start(&dialled->probe, dialled->endpoint) < 0)
        close_reset(dialled);
}

static void close_ended(dialled_t *dialled)
{
    close_sockets(dialled, 0);
    if (!dialled->connected)
        xoi_inbox_close(&dialled->inbox, ECONNREFUSED, "nobody answers at %s", dialled->endpoint);
    else if (!dialled->handshaken)
        close_unshaken(dialled);
    else
        close_reset(dialled);
}

/* Handles the received frames. False: there is nothing left to receive from, or the lane's memory
 * is gone. */
static bool take_frames(dialled_t *dialled)
{
    xo_error_t err = {0};
    xo_msgq_t msgs = {0};

    if (xoi_frames_goodbye(&dialled->frames)) {
        xoi_frames_close(&dialled->frames);
        leave(dialled);
        xoi_inbox_close(&dialled->inbox, ECONNRESET, "%s closed the lane", dialled->endpoint);
        return false;
    }
    if (xoi_frames_read(&dialled->frames, &msgs, &err) == 0)
        return xoi_inbox_push_all(&dialled->inbox, &msgs) && dialled->socket;
    leave(dialled);
    xoi_inbox_close(&dialled->inbox, EBADMSG, "%s sent what is no message: %s", dialled->endpoint,
                    err.text);
    return false;
}

static void receive(dialled_t *dialled)
{
    xoi_frames_begin(&dialled->frames);
    while (!xoi_frames_enough(&dialled->frames)) {
        if (xoi_frames_recv(&dialled->frames, dialled->socket) == 0) {
            XOI_ORDER_RECEIVED(&dialled->ctx->sync);
            if (!take_frames(dialled))
                return;
        } else if (errno == EAGAIN) {
            xo_zmq_drained(&dialled->in);
            if (dialled->ending)
                close_ended(dialled);
            return;
        } else {
            leave(dialled);
            xoi_inbox_close(&dialled->inbox, EBADMSG, "%s sent a message of too many frames",
                            dialled->endpoint);
            return;
        }
    }
    xo_zmq_touch(&dialled->in);
}

static void on_readable(xo_zmq_t *zmq, int revents, void *arg)
{
    (void)zmq;
    (void)revents;
    receive(arg);
}

/* True: the lane ends with this event. */
static bool note_event(dialled_t *dialled, int event, int value)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        dialled->connected = true;
        if (dialled->scheme == XOI_TCP) {
            dialled->fd = value;
            xoi_silence_watch(&dialled->silence, value);
        }
        return false;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        dialled->handshaken = true;
        return false;
    case ZMQ_EVENT_DISCONNECTED:
        dialled->connected = true;
        dialled->fd = -1;
        xoi_silence_stop(&dialled->silence);
        xo_timer_start(&dialled->no_retry, NO_RETRY_MS * XO_MS);
        return !dialled->handshaken;
    case ZMQ_EVENT_CONNECT_RETRIED:
        return true;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        dialled->denied = true; /* DISCONNECTED follows */
        return false;
    default:
        return false;
    }
}

static void on_monitor(xo_zmq_t *zmq, int revents, void *arg)
{
    dialled_t *dialled = arg;
    int event, value;

    (void)zmq;
    (void)revents;
    while (!dialled->ending && xoi_monitor_read(dialled->monitor, &event, &value))
        dialled->ending = note_event(dialled, event, value);
    if (dialled->ending)
        receive(dialled); /* may free it */
}

static void on_bridge_failed(xoi_bridge_t *bridge, const xo_error_t *why, void *arg)
{
    dialled_t *dialled = arg;

    (void)bridge;
    close_sockets(dialled, 0);
    dialled->connected = false;
    xoi_inbox_close(&dialled->inbox, why->errnum, "%s", why->text);
}

static void on_no_retry(xo_timer_t *timer, void *arg)
{
    dialled_t *dialled = arg;

    (void)timer;
    dialled->ending = true;
    receive(dialled);
}

static int dialled_send(xo_lane_t *lane, xo_msg_t **msg)
{
    dialled_t *dialled = (dialled_t *)lane;
    size_t bytes = xo_msg_bytes(*msg);

    if (!dialled->socket && !dialled->connected && !dialled->inbox.closed) {
        xo_msg_destroy(msg); /* as what was sent before it was known that nobody is there */
        return 0;
    }
    if (!dialled->socket) {
        errno = EPIPE;
        return -1;
    }
    if (xoi_send_msg(dialled->ctx, dialled->socket, xo_slice(NULL, 0), msg) < 0) {
        if (*msg)
            return -1; /* ENOMEM */
        /* libzmq has let go of the connection. */
        xo_timer_start(&dialled->no_retry, 0);
    } else {
        lane->stats.messages_out++;
        lane->stats.bytes_out += bytes;
        xoi_silence_sent(&dialled->silence);
    }
    xo_zmq_touch(&dialled->in);
    return 0;
}

static void dialled_pause(xo_lane_t *lane, bool paused)
{
    xoi_inbox_pause(&((dialled_t *)lane)->inbox, paused);
}

static void dialled_destroy(xo_lane_t *lane)
{
    dialled_t *dialled = (dialled_t *)lane;

    leave(dialled);
    xoi_probe_stop(&dialled->probe);
    xoi_inbox_stop(&dialled->inbox);
    xoi_frames_free(&dialled->frames);
    free(dialled);
}

static const xoi_lane_side_t side = {dialled_send, dialled_pause, dialled_destroy};

static dialled_t *new_lane(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                           const xo_lane_events_t *events, void *arg)
{
    dialled_t *dialled = calloc(1, sizeof *dialled + strlen(endpoint) + 1);

    if (!dialled)
        return NULL;
    dialled->ctx = ctx;
    dialled->fd = -1;
    dialled->scheme = xoi_scheme_of(endpoint);
    dialled->dialled_ns = xo_loop_now(loop);
    xoi_zmq_lane_init(&dialled->lane, &side, dialled->scheme, loop);
    xo_lane_set_events(&dialled->lane.base, events, arg);
    strcpy(dialled->endpoint, endpoint);
    xoi_frames_init(&dialled->frames);
    xoi_inbox_init(&dialled->inbox, &dialled->lane.base);
    xo_timer_init(&dialled->no_retry, loop, on_no_retry, dialled);
    xoi_silence_init(&dialled->silence, loop);
    xoi_probe_init(&dialled->probe, loop, on_probed, dialled);
    xoi_bridge_init(&dialled->bridge, loop, on_bridge_failed, dialled);
    return dialled;
}

/* Before connecting, so that no event is missed. */
static int watch(dialled_t *dialled, xo_error_t *err)
{
    xo_loop_t *loop = dialled->lane.base.loop;

    xo_zmq_init(&dialled->in, loop, dialled->socket, XO_READ, on_readable, dialled);
    if (dialled->scheme != XOI_INPROC) {
        dialled->monitor = xoi_monitor_open(dialled->ctx, dialled->socket, EVENTS, err);
        if (!dialled->monitor)
            return -1;
        xo_zmq_init(&dialled->events, loop, dialled->monitor, XO_READ, on_monitor, dialled);
        if (xo_zmq_start(&dialled->events) < 0)
            return xo_error_set(err, errno, "cannot watch the lane to %s", dialled->endpoint);
    }
    if (xo_zmq_start(&dialled->in) < 0)
        return xo_error_set(err, errno, "cannot watch the lane to %s", dialled->endpoint);
    return 0;
}

static int connect_inproc(dialled_t *dialled, xo_error_t *err)
{
    xo_error_t why = {0};

    dialled->connected =
        xoi_ctx_connect_inproc(dialled->ctx, dialled->socket, dialled->endpoint, &why) == 0;
    if (dialled->connected)
        return 0;
    if (why.errnum != ECONNREFUSED)
        return xo_error_set(err, why.errnum, "%s", why.text);
    close_sockets(dialled, 0);
    xoi_inbox_close(&dialled->inbox, why.errnum, "%s", why.text);
    return 0;
}

static int connect_any(dialled_t *dialled, xo_error_t *err)
{
    const char *endpoint = dialled->endpoint;

    if (dialled->scheme == XOI_INPROC)
        return connect_inproc(dialled, err);
    if (dialled->scheme == XOI_PORT) {
        if (xoi_bridge_start(&dialled->bridge, endpoint, err) < 0)
            return -1;
        endpoint = xoi_bridge_endpoint(&dialled->bridge);
    }
    if (dialled->scheme == XOI_IPC &&
        strlen(endpoint) - strlen("ipc://") >= sizeof((struct sockaddr_un *)0)->sun_path)
        return xo_error_set(err, ENAMETOOLONG, "the socket's path in %s is too long", endpoint);
    if (zmq_connect(dialled->socket, endpoint) < 0 ||
        xoi_send_frame(dialled->socket, XOI_FRAME_NOTHING) < 0)
        return xo_error_set(err, errno, "cannot dial %s: %s", dialled->endpoint,
                            zmq_strerror(errno));
    return 0;
}

xo_lane_t *xoi_zmq_dial(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                        const xo_lane_events_t *events, void *arg, xo_error_t *err)
{
    dialled_t *dialled = new_lane(ctx, loop, endpoint, events, arg);

    if (!dialled)
        return xo_error_null(err, ENOMEM, "no memory for a lane to %s", endpoint);
    dialled->socket = xoi_lane_socket(ctx, ZMQ_DEALER, dialled->scheme, endpoint, err);
    if (dialled->socket && watch(dialled, err) == 0 && connect_any(dialled, err) == 0)
        return &dialled->lane.base;
    int saved = errno;
    close_sockets(dialled, 0);
    xoi_inbox_stop(&dialled->inbox);
    free(dialled);
    errno = saved;
    return NULL;
}
