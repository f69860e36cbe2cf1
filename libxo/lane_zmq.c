/* lane_zmq.c - what both sides of the ZeroMQ lanes share: frames, sockets, monitors. */
#include "libxo/lane_zmq.h"
#include "libxo/msg_impl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/bundle.h"
#include "libxo/ctx_internal.h"
#include "libxo/lane_inbox.h"
#include "libxo/tsan.h"

/* A reconnected lane would be another lane, perhaps to another process, so none may reconnect. But
 * with ZMQ_RECONNECT_IVL -1 ("never") libzmq 4.3 drops what it received and the user has not read
 * (socket_base_t::term_endpoint), and says nothing when a dial fails. So the interval is the
 * longest there is, 24 days, and the lane is closed as soon as libzmq begins to wait for it. */
#define RECONNECT_NEVER_MS INT_MAX

/* Contract 3: a node that falls silent is noticed within 3 heartbeats of 1 s. TCP asks an idle peer
 * (tcp(7), TCP_KEEPALIVE), lane_silence.c looks after the others. Not ZMTP's own heartbeats: their
 * timer can end the process (t/lane-linger.c), and a process that is stopped does not answer. */
#define SILENCE_ASK_S 1
#define SILENCE_ASK_TIMES 2

#define BACKLOG 4096 /* of listen(2); a full one refuses unix sockets at once */

static const char *const schemes[] = {[XOI_INPROC] = "inproc",
                                      [XOI_IPC] = "ipc",
                                      [XOI_TCP] = "tcp",
                                      [XOI_PORT] = "port",
                                      [XOI_SCHEMES] = NULL};

xoi_scheme_t xoi_scheme_of(const char *endpoint)
{
    for (xoi_scheme_t scheme = XOI_INPROC; scheme < XOI_SCHEMES; scheme++)
        if (strncmp(endpoint, schemes[scheme], strlen(schemes[scheme])) == 0)
            return scheme;
    return XOI_SCHEMES;
}

const char *xoi_scheme_name(xoi_scheme_t scheme)
{
    return schemes[scheme];
}

bool xoi_scheme_is_far(xoi_scheme_t scheme)
{
    return scheme == XOI_TCP || scheme == XOI_PORT;
}

/* ---- frames ---- */

void xoi_frames_begin(xoi_frames_t *frames)
{
    frames->received = 0;
    frames->messages = 0;
}

bool xoi_frames_enough(const xoi_frames_t *frames)
{
    return frames->messages >= XOI_LANE_BATCH || frames->received >= XOI_RECEIVE_BYTES;
}

void xoi_frames_init(xoi_frames_t *frames)
{
    frames->frames = frames->first;
    frames->count = 0;
    xoi_frames_begin(frames);
    frames->capacity = XOI_FRAMES_FIRST;
    frames->dropped_fd = -1;
}

void xoi_frames_free(xoi_frames_t *frames)
{
    xoi_frames_close(frames);
    if (frames->frames != frames->first)
        free(frames->frames);
}

void xoi_frames_close(xoi_frames_t *frames)
{
    while (frames->count > 0)
        zmq_msg_close(&frames->frames[--frames->count]);
}

/* The frame that a ROUTER puts in front knows it only sometimes (router_t::xhas_in in libzmq 4.3).
 */
int xoi_frames_fd(const xoi_frames_t *frames)
{
    return frames->count > 0 ? zmq_msg_get(&frames->frames[0], ZMQ_SRCFD) : frames->dropped_fd;
}

void xoi_frames_user(const xoi_frames_t *frames, char *user, size_t size)
{
    const char *text = frames->count > 0 ? zmq_msg_gets(&frames->frames[0], "User-Id") : NULL;

    snprintf(user, size, "%s", text ? text : "");
}

static int grow(xoi_frames_t *frames)
{
    size_t capacity = frames->capacity * 2;
    zmq_msg_t *more;

    if (frames->count < frames->capacity)
        return 0;
    more = malloc(capacity * sizeof *more);
    if (!more)
        return -1;
    for (size_t i = 0; i < frames->count; i++) {
        zmq_msg_init(&more[i]);
        zmq_msg_move(&more[i], &frames->frames[i]);
        zmq_msg_close(&frames->frames[i]);
    }
    if (frames->frames != frames->first)
        free(frames->frames);
    frames->frames = more;
    frames->capacity = capacity;
    return 0;
}

static int recv_frame(zmq_msg_t *frame, void *socket)
{
    int n;

    do
        n = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/* Reads what is left of a message that is too much, and drops it all. */
static int drop_rest(xoi_frames_t *frames, void *socket, int errnum)
{
    zmq_msg_t frame;
    int more = 1;

    frames->dropped_fd = xoi_frames_fd(frames);
    xoi_frames_close(frames);
    zmq_msg_init(&frame);
    while (more && recv_frame(&frame, socket) == 0)
        more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
    errno = errnum;
    return -1;
}

int xoi_frames_recv(xoi_frames_t *frames, void *socket)
{
    int more = 1;

    frames->messages++;
    while (more) {
        zmq_msg_t *frame;
        if (frames->count > XO_BUFFERS_MAX)
            return drop_rest(frames, socket, EMSGSIZE);
        if (grow(frames) < 0)
            return drop_rest(frames, socket, ENOMEM);
        frame = &frames->frames[frames->count];
        zmq_msg_init(frame);
        if (recv_frame(frame, socket) < 0) {
            xoi_frames_close(frames);
            return -1;
        }
        frames->count++;
        frames->received += zmq_msg_size(frame);
        more = zmq_msg_more(frame);
    }
    return 0;
}

bool xoi_frames_goodbye(const xoi_frames_t *frames)
{
    return frames->count == 1 && zmq_msg_size(&frames->frames[0]) == 0;
}

static int read_bundle(xoi_frames_t *frames, xo_slice_t bytes, xo_msgq_t *msgs, xo_error_t *err)
{
    int rc = xoi_bundle_read(bytes, msgs, err);

    frames->messages += msgs->count;
    xoi_frames_close(frames);
    return rc;
}

int xoi_frames_read(xoi_frames_t *frames, xo_msgq_t *msgs, xo_error_t *err)
{
    xo_slice_t first = xo_slice(zmq_msg_data(frames->frames), zmq_msg_size(frames->frames));
    xo_msg_t *msg;

    if (frames->count == 1 && xoi_is_bundle(first))
        return read_bundle(frames, first, msgs, err);
    msg = xo_msg_from_frames(frames->frames, frames->count, err);
    frames->count = 0;
    if (!msg)
        return -1;
    xo_msgq_push(msgs, &msg);
    return 0;
}

static int send_zmq(void *socket, zmq_msg_t *frame, int flags)
{
    int n;

    do
        n = zmq_msg_send(frame, socket, ZMQ_DONTWAIT | flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

static int send_frames(void *socket, zmq_msg_t *frames, size_t count)
{
    int rc = 0;

    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = send_zmq(socket, &frames[i], i + 1 < count ? ZMQ_SNDMORE : 0);
        if (rc < 0)
            zmq_msg_close(&frames[i]); /* a frame that was sent is libzmq's */
    }
    return rc;
}

int xoi_send_id(void *socket, xo_slice_t id)
{
    int n;

    do
        n = zmq_send(socket, id.data, id.size, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/* Once the id went, the socket takes the rest, so all that may fail is done before. */
static int send_behind(xo_ctx_t *ctx, void *socket, xo_slice_t id, xo_msg_t **msg,
                       zmq_msg_t *frames)
{
    size_t count = xo_msg_frame_count(*msg);

    if (xoi_msg_begin_frames(*msg, frames) < 0)
        return -1;
    if (ctx)
        XOI_ORDER_SENT(&ctx->sync);
    if (id.size > 0 && xoi_send_id(socket, id) < 0) {
        zmq_msg_close(frames);
        return -1;
    }
    xoi_msg_end_frames(msg, frames);
    return send_frames(socket, frames, count);
}

int xoi_send_msg(xo_ctx_t *ctx, void *socket, xo_slice_t id, xo_msg_t **msg)
{
    size_t count = xo_msg_frame_count(*msg);
    zmq_msg_t first[XOI_FRAMES_FIRST];
    zmq_msg_t *frames = count <= XOI_FRAMES_FIRST ? first : malloc(count * sizeof *frames);
    int rc;

    if (!frames)
        return -1;
    rc = send_behind(ctx, socket, id, msg, frames);
    if (frames != first) {
        int saved = errno;
        free(frames);
        errno = saved;
    }
    return rc;
}

int xoi_send_frame(void *socket, const char *frame)
{
    return zmq_send(socket, frame, strlen(frame), ZMQ_DONTWAIT) < 0 ? -1 : 0;
}

/* ---- sockets ---- */

int xoi_set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Who is closed lingers (xoi_lane_socket_close). A connection that is lost before must not: what is
 * left for its peer has nowhere to go, and the end of the context would wait for it. */
static int set_common(void *socket, const char *endpoint)
{
    int64_t max = XO_LANE_FRAME_BYTES_MAX;

    if (xoi_set_int(socket, ZMQ_SNDHWM, 0) < 0 || xoi_set_int(socket, ZMQ_RCVHWM, 0) < 0 ||
        xoi_set_int(socket, ZMQ_LINGER, 0) < 0 || xoi_set_int(socket, ZMQ_BACKLOG, BACKLOG) < 0 ||
        xoi_set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_NEVER_MS) < 0 ||
        xoi_set_int(socket, ZMQ_HANDSHAKE_IVL, XOI_ZMQ_HANDSHAKE_MS) < 0 ||
        xoi_set_int(socket, ZMQ_IPV6, strchr(endpoint, '[') != NULL) < 0)
        return -1;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
}

static int set_far(void *socket, const xo_keys_t *keys, int type)
{
    bool is_server = type != ZMQ_DEALER;
    const char *public_text = is_server ? keys->public_text : keys->own_public;
    const char *secret_text = is_server ? keys->secret_text : keys->own_secret;

    if (xoi_set_int(socket, ZMQ_CONNECT_TIMEOUT, XOI_ZMQ_HANDSHAKE_MS) < 0 ||
        xoi_set_int(socket, ZMQ_TCP_KEEPALIVE, 1) < 0 ||
        xoi_set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, SILENCE_ASK_S) < 0 ||
        xoi_set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, SILENCE_ASK_S) < 0 ||
        xoi_set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, SILENCE_ASK_TIMES) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public_text, XO_KEY_TEXT_BYTES) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret_text, XO_KEY_TEXT_BYTES) < 0)
        return -1;
    if (!is_server)
        return zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->public_text, XO_KEY_TEXT_BYTES);
    return xoi_set_int(socket, ZMQ_CURVE_SERVER, 1) < 0 ||
                   zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "xo", 2) < 0
               ? -1
               : 0;
}

void *xoi_lane_socket(xo_ctx_t *ctx, int type, xoi_scheme_t scheme, const char *endpoint,
                      xo_error_t *err)
{
    void *zmq = xo_ctx_zmq(ctx, err);
    void *socket = zmq ? zmq_socket(zmq, type) : NULL;

    if (!zmq)
        return NULL;
    if (!socket)
        return xo_error_null(err, errno, "cannot make a socket for %s: %s", endpoint,
                             zmq_strerror(errno));
    if (set_common(socket, endpoint) < 0 ||
        (xoi_scheme_is_far(scheme) && set_far(socket, xo_ctx_keys(ctx), type) < 0)) {
        int saved = errno;
        xoi_lane_socket_close(&socket, 0);
        return xo_error_null(err, saved, "cannot set up a socket for %s: %s", endpoint,
                             zmq_strerror(saved));
    }
    return socket;
}

void xoi_lane_socket_close(void **socket, int linger_ms)
{
    if (!*socket)
        return;
    xoi_set_int(*socket, ZMQ_LINGER, linger_ms);
    zmq_close(*socket);
    *socket = NULL;
}

/* ---- monitors ---- */

void *xoi_monitor_open(xo_ctx_t *ctx, void *socket, int events, xo_error_t *err)
{
    char name[64];
    void *monitor;
    int saved;

    snprintf(name, sizeof name, "inproc://xo-monitor-%u",
             atomic_fetch_add_explicit(&ctx->serial, 1, memory_order_relaxed));
    monitor = zmq_socket(xo_ctx_zmq(ctx, NULL), ZMQ_PAIR);
    if (monitor && xoi_set_int(monitor, ZMQ_RCVHWM, 0) == 0 &&
        zmq_socket_monitor(socket, name, events) == 0 && zmq_connect(monitor, name) == 0)
        return monitor;
    saved = errno;
    if (monitor)
        zmq_close(monitor);
    return xo_error_null(err, saved, "cannot watch a socket's connections: %s",
                         zmq_strerror(saved));
}

void xoi_monitor_close(void *socket, void **monitor)
{
    if (!*monitor)
        return;
    zmq_socket_monitor(socket, NULL, 0);
    xoi_lane_socket_close(monitor, 0);
}

/* An event is two frames: a number (16 bits) with a value (32 bits), and the endpoint. */
int xoi_monitor_read(void *monitor, int *event, int *value)
{
    unsigned char frame[6];
    char endpoint[1];
    uint16_t number;
    int32_t content;
    int n;

    do
        n = zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < (int)sizeof frame)
        return 0;
    zmq_recv(monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    memcpy(&number, frame, sizeof number);
    memcpy(&content, frame + sizeof number, sizeof content);
    *event = number;
    *value = content;
    return 1;
}

/* ---- the transport ---- */

int xoi_zmq_lane_flush(xoi_zmq_lane_t *lane)
{
    size_t count = lane->gathered.count;
    xo_msg_t *bundle;

    if (count == 0)
        return 0;
    bundle = xoi_bundle_make(&lane->gathered);
    if (!bundle)
        return -1;
    if (lane->side->send(&lane->base, &bundle) == 0)
        lane->base.stats.messages_out += count - 1;
    xo_msg_destroy(&bundle); /* refused: the lane is about to close */
    return 0;
}

static void on_bundle(xo_defer_t *defer, void *arg)
{
    if (xoi_zmq_lane_flush(arg) < 0)
        xo_defer_start(defer);
}

void xoi_zmq_lane_init(xoi_zmq_lane_t *lane, const xoi_lane_side_t *side, xoi_scheme_t scheme,
                       xo_loop_t *loop)
{
    *lane = (xoi_zmq_lane_t){
        .base = {.transport = &xo_transport_zmq, .scheme = xoi_scheme_name(scheme), .loop = loop},
        .side = side,
        .span = UINT64_MAX};
    xo_defer_init(&lane->bundle, loop, on_bundle, lane);
}

void xoi_zmq_lane_stop(xoi_zmq_lane_t *lane)
{
    lane->stopped = true;
    xo_defer_stop(&lane->bundle);
    xo_msgq_clear(&lane->gathered);
}

/* The first few of a span do; what comes after them in the same go leaves together. */
static bool leaves_at_once(xoi_zmq_lane_t *lane)
{
    uint64_t span = xo_loop_span(lane->base.loop);

    if (lane->span != span)
        lane->alone = 0;
    lane->span = span;
    return lane->gathered.count == 0 && lane->alone++ < XOI_ALONE;
}

static int gather(xoi_zmq_lane_t *lane, xo_msg_t **msg)
{
    if (lane->gathered.bytes + xo_msg_bytes(*msg) > XOI_BUNDLE_BYTES &&
        xoi_zmq_lane_flush(lane) < 0)
        return -1;
    if (xo_defer_to_end(&lane->bundle) < 0)
        xo_defer_start(&lane->bundle);
    xo_msgq_push(&lane->gathered, msg);
    return 0;
}

static int zmq_lane_send(xo_lane_t *base, xo_msg_t **msg)
{
    xoi_zmq_lane_t *lane = (xoi_zmq_lane_t *)base;

    if (base->bundles && !lane->stopped && !leaves_at_once(lane) && xoi_bundle_takes(*msg))
        return gather(lane, msg);
    return xoi_zmq_lane_flush(lane) < 0 ? -1 : lane->side->send(base, msg);
}

static void zmq_lane_pause(xo_lane_t *lane, bool paused)
{
    ((xoi_zmq_lane_t *)lane)->side->pause(lane, paused);
}

static void zmq_lane_destroy(xo_lane_t *lane)
{
    ((xoi_zmq_lane_t *)lane)->side->destroy(lane);
}

const xo_transport_t xo_transport_zmq = {
    .schemes = schemes,
    .listen = xoi_zmq_listen,
    .listener_destroy = xoi_zmq_listener_destroy,
    .dial = xoi_zmq_dial,
    .send = zmq_lane_send,
    .pause = zmq_lane_pause,
    .destroy = zmq_lane_destroy,
};
