/* lane_zmq_listen.c - the listening side of the ZeroMQ lanes: one ROUTER for all lanes of an
 * endpoint.
 *
 * How a lane ends when its peer dies. The socket's monitor tells which descriptor was DISCONNECTED,
 * and each message tells by which one it came. The event comes before the I/O thread has handed
 * over the connection's last messages, so the listener probes: a ROUTER says EHOSTUNREACH (it is
 * MANDATORY) once it knows that the connection ends, which it learns in order, after those
 * messages. Then it receives until there is no more, and the lane closes.
 *
 * Descriptors are used again. libzmq reports the end of a connection before it closes the
 * descriptor, so before a new connection by the same one is accepted; hence the monitor is read
 * before a message from somebody unknown makes a peer. What is left is a connection that ended
 * before any of its messages was read: its descriptor is a *stray*, and who comes by a stray
 * descriptor is a suspect, probed until it is clear whether it ended or is a later one.
 *
 * What is no ZMTP ends without a word: libzmq tells of a handshake that fails by its rules or in
 * CURVE, else only that the connection ended. One that did, of which no handshake succeeded before,
 * is refused. Which connection's handshake succeeded is not told, so they are counted: `greeted`
 * are those of which no message has come yet, and while there are any, one that ends without a
 * message may be one of them. So may one whose peer is forgotten already, as a send can tell of an
 * end (EHOSTUNREACH) before the monitor does.
 *
 * A peer that was closed on our side gets our goodbye and is dropped when it hangs up; ROUTER
 * cannot hang up on it.
 */
#include "libxo/lane_zmq_listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/tsan.h"

#define EVENTS                                                                                     \
    (ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |                                      \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_CLOSED |    \
     ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_LISTENING)
#define PROBE_MS 1
#define SUSPECT_PROBES 12 /* 1 ms, 2 ms, 4 ms ... 4 s altogether */

void xoi_listener_hold(xoi_listener_t *listener)
{
    listener->busy++;
}

void xoi_listener_leave(xoi_listener_t *listener)
{
    if (--listener->busy == 0 && listener->dead)
        xoi_listener_free(listener);
}

/* ---- the ends of connections ---- */

bool xoi_listener_stray(const xoi_listener_t *listener, int fd)
{
    return fd >= 0 && (size_t)fd < listener->stray_count && listener->strays[fd];
}

static void set_stray(xoi_listener_t *listener, int fd, bool stray)
{
    size_t count = (size_t)fd + 64;
    bool *strays;

    if ((size_t)fd >= listener->stray_count) {
        strays = stray ? realloc(listener->strays, count) : NULL;
        if (!strays)
            return;
        memset(strays + listener->stray_count, 0, count - listener->stray_count);
        listener->strays = strays;
        listener->stray_count = count;
    }
    listener->strays[fd] = stray;
}

void xoi_listener_probe(xoi_listener_t *listener)
{
    xo_timer_start(&listener->probe, 0);
}

static void say_refused(xoi_listener_t *listener, const char *from, const char *what)
{
    xo_error_t why = {0};

    xo_error_set(&why, EACCES, "%s", what);
    xoi_listener_refuse(listener, from, &why);
}

static void end_failed(xoi_listener_t *listener, int fd)
{
    listener->failed--;
    say_refused(listener, xoi_listener_from(listener, fd),
                xoi_scheme_is_far(listener->scheme) ? "the encrypted handshake failed"
                                                    : "the handshake failed");
}

/* It ended before any of its messages was read. Who breaks a rule has been told of just before. */
static void note_unknown(xoi_listener_t *listener, int fd)
{
    set_stray(listener, fd, true);
    if (listener->failed > 0)
        end_failed(listener, fd);
    else if (listener->denied > 0)
        xoi_listener_end_denied(listener, fd);
    else if (listener->greeted > 0)
        listener->greeted--;
    else
        say_refused(listener, xoi_listener_from(listener, fd),
                    xoi_listener_why_refused(listener, fd));
}

static void note_disconnected(xoi_listener_t *listener, int fd)
{
    bool known = false;
    xoi_peer_t *peer, *next;

    if (fd < 0)
        return;
    HASH_ITER(hh, listener->peers, peer, next)
    {
        if (peer->fd != fd || peer->parted)
            continue;
        known = peer->parted = true;
        if (peer->end > XOI_SUSPECT) /* a send has told already */
            continue;
        if (peer->left)
            xoi_peer_forget(peer);
        else
            xoi_peer_set_end(peer, XOI_GONE);
    }
    if (!known) {
        note_unknown(listener, fd);
        return;
    }
    if (listener->failed > 0) /* what it sent does not decrypt */
        end_failed(listener, fd);
    xoi_listener_probe(listener);
}

void xoi_listener_read_monitor(xoi_listener_t *listener)
{
    int event, value;

    while (listener->monitor && xoi_monitor_read(listener->monitor, &event, &value)) {
        if (event == ZMQ_EVENT_DISCONNECTED)
            note_disconnected(listener, value);
        else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            listener->greeted++;
        else if (event == ZMQ_EVENT_LISTENING)
            listener->door = value;
        else if (event == ZMQ_EVENT_ACCEPTED)
            xoi_listener_note_from(listener, value);
        else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            xoi_listener_deny(listener);
        else if (event != ZMQ_EVENT_CLOSED)
            listener->failed++;
    }
}

static void on_monitor(xo_zmq_t *zmq, int revents, void *arg)
{
    xoi_listener_t *listener = arg;

    (void)zmq;
    (void)revents;
    xoi_listener_hold(listener);
    xoi_listener_read_monitor(listener);
    xoi_listener_leave(listener);
}

/* All that the unreachable ones sent has been received. */
static void finish_unreachable(xoi_listener_t *listener)
{
    xoi_peer_t *peer, *next;

    DL_FOREACH_SAFE(listener->ending, peer, next)
    {
        if (peer->end != XOI_UNREACHABLE)
            continue;
        peer->left = true;
        xoi_peer_shut(peer, ECONNRESET, "the peer's connection to %s is gone",
                      listener->base.endpoint);
        xoi_peer_forget(peer);
    }
}

/* ---- receiving ---- */

static void hand_over(xoi_listener_t *listener, xoi_peer_t *peer, xo_msgq_t *msgs)
{
    if (peer->released) {
        peer->released = false;
        listener->base.events.accepted(&listener->base, &peer->lane.base, listener->base.arg);
    }
    if (listener->dead || peer->shut) /* the user does not want it */
        xo_msgq_clear(msgs);
    else
        xoi_inbox_push_all(&peer->inbox, msgs);
}

/* What came is no message: its sender's lane closes. */
static void refuse(xoi_listener_t *listener, xoi_peer_t *peer, const xo_error_t *why)
{
    bool unknown = peer->released && !peer->shut;

    xoi_peer_shut(peer, EBADMSG, "the peer sent what is no message: %s", why->text);
    if (unknown)
        xoi_listener_refuse(listener, peer->lane.base.from, why);
}

static void take_goodbye(xoi_listener_t *listener, xoi_peer_t *peer)
{
    peer->left = true;
    xoi_peer_shut(peer, ECONNRESET, "the peer closed its lane to %s", listener->base.endpoint);
    if (peer->fd < 0 || peer->end >= XOI_GONE)
        xoi_peer_forget(peer); /* else when its connection ends */
}

/* Handles the received frames. */
static void take_frames(xoi_listener_t *listener, xoi_peer_t *peer)
{
    xoi_frames_t *frames = &listener->frames;
    bool goodbye = xoi_frames_goodbye(frames);
    xo_error_t err = {0};
    xo_msgq_t msgs = {0};

    if (peer->left || peer->shut || goodbye) {
        xoi_frames_close(frames);
        if (goodbye && !peer->left)
            take_goodbye(listener, peer);
        return;
    }
    if (xoi_frames_read(frames, &msgs, &err) < 0)
        refuse(listener, peer, &err);
    else if (msgs.count > 0)
        hand_over(listener, peer, &msgs);
}

/* The sender of a message, a new peer if it is unknown. NULL: no memory, or the listener is dead.
 */
static xoi_peer_t *sender(xoi_listener_t *listener, zmq_msg_t *id)
{
    xoi_peer_t *peer = xoi_peer_find(listener, id);

    if (peer)
        return peer;
    xoi_listener_read_monitor(listener);
    if (listener->greeted > 0)
        listener->greeted--;
    peer = listener->dead ? NULL : xoi_peer_create(listener, id);
    if (peer)
        xoi_listener_admit(listener, peer);
    return peer;
}

static int receive_id(xoi_listener_t *listener, zmq_msg_t *id)
{
    int n;

    zmq_msg_init(id);
    do
        n = zmq_msg_recv(id, listener->socket, ZMQ_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/* Receives one message. False: there is none. */
static bool receive_one(xoi_listener_t *listener)
{
    xoi_frames_t *frames = &listener->frames;
    xo_error_t too_much = {EMSGSIZE, "it has too many frames"};
    zmq_msg_t id;
    xoi_peer_t *peer;
    int rc;

    if (receive_id(listener, &id) < 0)
        return false;
    rc = xoi_frames_recv(frames, listener->socket);
    XOI_ORDER_RECEIVED(&listener->ctx->sync);
    peer = sender(listener, &id);
    zmq_msg_close(&id);
    if (peer && rc == 0) {
        take_frames(listener, peer);
        return true;
    }
    if (peer && !peer->shut)
        refuse(listener, peer, &too_much);
    xoi_frames_close(frames);
    return true;
}

static void receive(xoi_listener_t *listener)
{
    bool more = true;

    xoi_listener_hold(listener);
    xoi_frames_begin(&listener->frames);
    while (more && !listener->dead && !xoi_frames_enough(&listener->frames))
        more = receive_one(listener);
    if (!listener->dead && more)
        xo_zmq_touch(&listener->in);
    if (!listener->dead && !more) {
        xo_zmq_drained(&listener->in);
        finish_unreachable(listener);
    }
    xoi_listener_leave(listener);
}

static void on_readable(xo_zmq_t *zmq, int revents, void *arg)
{
    (void)zmq;
    (void)revents;
    receive(arg);
}

/* ---- probing ---- */

/* How long until the peer must be probed again; 0: not at all. */
static int64_t probe_peer(xoi_listener_t *listener, xoi_peer_t *peer)
{
    if (peer->end == XOI_UNREACHABLE)
        return 0;
    if (!xoi_peer_reachable(peer)) {
        if (peer->end == XOI_SUSPECT)
            set_stray(listener, peer->fd, false);
        xoi_peer_set_end(peer, XOI_UNREACHABLE);
        return 0;
    }
    if (peer->end == XOI_GONE)
        return PROBE_MS * XO_MS;
    if (++peer->probes < SUSPECT_PROBES)
        return (PROBE_MS * XO_MS) << peer->probes;
    set_stray(listener, peer->fd, false);
    xoi_peer_set_end(peer, XOI_ALIVE);
    return 0;
}

static void on_probe(xo_timer_t *timer, void *arg)
{
    xoi_listener_t *listener = arg;
    int64_t again_ns = 0;
    xoi_peer_t *peer, *next;

    DL_FOREACH_SAFE(listener->ending, peer, next)
    {
        int64_t ns = probe_peer(listener, peer);
        if (ns > 0 && (again_ns == 0 || ns < again_ns))
            again_ns = ns;
    }
    if (again_ns > 0)
        xo_timer_start(timer, again_ns);
    receive(listener); /* may free it */
}

/* ---- making and destroying ---- */

static int watch(xoi_listener_t *listener, xo_error_t *err)
{
    xo_loop_t *loop = listener->base.loop;

    xo_timer_init(&listener->probe, loop, on_probe, listener);
    xo_zmq_init(&listener->in, loop, listener->socket, XO_READ, on_readable, listener);
    if (listener->monitor)
        xo_zmq_init(&listener->events, loop, listener->monitor, XO_READ, on_monitor, listener);
    if (xo_zmq_start(&listener->in) < 0 ||
        (listener->monitor && xo_zmq_start(&listener->events) < 0))
        return xo_error_set(err, errno, "cannot watch the listener at %s: %s",
                            listener->base.endpoint, strerror(errno));
    return 0;
}

static int open_sockets(xoi_listener_t *listener, const char *endpoint, xo_error_t *err)
{
    listener->socket = xoi_lane_socket(listener->ctx, ZMQ_ROUTER, listener->scheme, endpoint, err);
    if (!listener->socket)
        return -1;
    if (xoi_set_int(listener->socket, ZMQ_ROUTER_MANDATORY, 1) < 0)
        return xo_error_set(err, errno, "cannot set up a socket for %s", endpoint);
    if (listener->scheme != XOI_INPROC) {
        listener->monitor = xoi_monitor_open(listener->ctx, listener->socket, EVENTS, err);
        if (!listener->monitor)
            return -1;
    }
    return xoi_zmq_bind(listener->ctx, listener->socket, endpoint, listener->base.endpoint,
                        sizeof listener->base.endpoint, err);
}

xo_listener_t *xoi_zmq_listen(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                              const xo_listener_events_t *events, void *arg, xo_error_t *err)
{
    xoi_listener_t *listener = calloc(1, sizeof *listener);

    if (!listener)
        return xo_error_null(err, ENOMEM, "no memory to listen on %s", endpoint);
    listener->base = (xo_listener_t){
        .transport = &xo_transport_zmq, .loop = loop, .events = *events, .arg = arg};
    listener->ctx = ctx;
    listener->door = -1;
    listener->scheme = xoi_scheme_of(endpoint);
    xo_timer_init(&listener->probe, loop, on_probe, listener);
    xoi_listener_watch_members(listener);
    xoi_frames_init(&listener->frames);
    if (open_sockets(listener, endpoint, err) == 0) {
        listener->inode = xoi_socket_inode(endpoint);
        if (watch(listener, err) == 0)
            return &listener->base;
        int why = errno;
        xoi_zmq_unbind(ctx, listener->socket, listener->base.endpoint, listener->inode);
        errno = why;
    }
    int saved = errno;
    xoi_listener_free(listener);
    errno = saved;
    return NULL;
}
