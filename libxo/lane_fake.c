/* lane_fake.c - lanes in memory, for tests. What is sent goes through the codec and waits in the
 * other end's inbox. */
#include "libxo/lane_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "libxo/ctx_internal.h"
#include "libxo/lane_inbox.h"

typedef struct fake_lane {
    xo_lane_t base; /* first */
    xoi_inbox_t inbox;
    struct fake_lane *peer;             /* NULL: gone, or there never was one */
    struct xoi_fake_listener *listener; /* that it came by; NULL: gone, or it was dialled */
    xo_defer_t writable;
    size_t room;    /* in the peer's inbox; 0: any number */
    bool full;      /* the user was told EAGAIN */
    bool paused;    /* by the user */
    bool held;      /* by the test */
    bool cut;       /* nothing goes out any more */
    bool refused;   /* there never was a peer */
    bool accepting; /* it is freed when that ends */
    bool dead;
    struct fake_lane *next; /* of the listener's */
    struct fake_lane *prev;
} fake_lane_t;

struct xoi_fake_listener {
    xo_listener_t base; /* first */
    xo_ctx_t *ctx;
    fake_lane_t *lanes;
    struct xoi_fake_listener *next; /* of the context's */
    struct xoi_fake_listener *prev;
};

static void leave_listener(fake_lane_t *lane)
{
    if (lane->listener)
        DL_DELETE(lane->listener->lanes, lane);
    lane->listener = NULL;
}

static void fake_destroy(xo_lane_t *base)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    leave_listener(lane);
    if (lane->peer) {
        xoi_inbox_close(&lane->peer->inbox, ECONNRESET, "the peer closed the lane");
        lane->peer->cut = true;
        lane->peer->peer = NULL;
        lane->peer = NULL;
    }
    xo_defer_stop(&lane->writable);
    xoi_inbox_stop(&lane->inbox);
    lane->dead = true;
    if (!lane->accepting)
        free(lane);
}

/* ---- sending ---- */

static void say_writable(xo_defer_t *defer, void *arg)
{
    fake_lane_t *lane = arg;

    (void)defer;
    if (lane->base.events.writable)
        lane->base.events.writable(&lane->base, lane->base.arg);
}

static void offer_room(fake_lane_t *lane)
{
    if (!lane->full || !lane->peer ||
        (lane->room > 0 && lane->peer->inbox.queue.count >= lane->room))
        return;
    lane->full = false;
    xo_defer_start(&lane->writable);
}

static void on_taken(xo_lane_t *base)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    if (lane->peer)
        offer_room(lane->peer);
}

/* Frames arrive at a lane; takes them over. */
static void arrive(fake_lane_t *lane, zmq_msg_t *frames, size_t count)
{
    xo_error_t err = {0};
    xo_msg_t *msg = xo_msg_from_frames(frames, count, &err);

    if (msg) {
        xoi_inbox_queue(&lane->inbox, &msg);
        return;
    }
    xoi_inbox_close(&lane->inbox, EBADMSG, "the peer sent what is no message: %s", err.text);
    lane->cut = true;
    if (lane->peer)
        xoi_inbox_close(&lane->peer->inbox, ECONNRESET, "the peer closed the lane");
}

static int fake_send(xo_lane_t *base, xo_msg_t **msg)
{
    fake_lane_t *lane = (fake_lane_t *)base;
    size_t count = xo_msg_frame_count(*msg);
    size_t bytes = xo_msg_bytes(*msg);
    zmq_msg_t *frames;

    if (lane->refused && !lane->inbox.closed) {
        xo_msg_destroy(msg); /* as the other transports do until they know */
        return 0;
    }
    if (lane->cut || lane->inbox.closing || !lane->peer) {
        errno = EPIPE;
        return -1;
    }
    if (lane->room > 0 && lane->peer->inbox.queue.count >= lane->room) {
        lane->full = true;
        errno = EAGAIN;
        return -1;
    }
    frames = malloc(count * sizeof *frames);
    if (!frames)
        return -1;
    if (xo_msg_to_frames(msg, frames) < 0) {
        free(frames);
        return -1;
    }
    base->stats.messages_out++;
    base->stats.bytes_out += bytes;
    arrive(lane->peer, frames, count);
    free(frames);
    return 0;
}

static void set_pause(fake_lane_t *lane)
{
    xoi_inbox_pause(&lane->inbox, lane->paused || lane->held);
}

static void fake_pause(xo_lane_t *base, bool paused)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    lane->paused = paused;
    set_pause(lane);
}

/* ---- making lanes ---- */

static fake_lane_t *new_lane(xo_loop_t *loop, const xo_lane_events_t *events, void *arg)
{
    fake_lane_t *lane = calloc(1, sizeof *lane);

    if (!lane)
        return NULL;
    lane->base = (xo_lane_t){.transport = &xo_transport_fake,
                             .scheme = xo_transport_fake.schemes[0],
                             .loop = loop,
                             .events = *events,
                             .arg = arg};
    xoi_inbox_init(&lane->inbox, &lane->base);
    lane->inbox.taken = on_taken;
    xo_defer_init(&lane->writable, loop, say_writable, lane);
    return lane;
}

/* Until the user has a lane that came in, these stand in for the user's handlers. */
static void first_message(xo_lane_t *base, xo_msg_t **msg, void *arg)
{
    fake_lane_t *lane = (fake_lane_t *)base;
    struct xoi_fake_listener *listener = lane->listener;

    (void)arg;
    lane->accepting = true;
    listener->base.events.accepted(&listener->base, base, listener->base.arg);
    lane->accepting = false;
    if (lane->dead)
        free(lane);
    else if (base->events.message)
        base->events.message(base, msg, base->arg);
}

static void first_closed(xo_lane_t *base, const xo_error_t *why, void *arg)
{
    fake_lane_t *lane = (fake_lane_t *)base;
    struct xoi_fake_listener *listener = lane->listener;

    (void)arg;
    if (why->errnum == EBADMSG && listener->base.events.refused)
        listener->base.events.refused(&listener->base, NULL, why, listener->base.arg);
    fake_destroy(base);
}

static const xo_lane_events_t first_events = {.message = first_message, .closed = first_closed};

static struct xoi_fake_listener *find(xo_ctx_t *ctx, const char *endpoint)
{
    struct xoi_fake_listener *listener;

    DL_FOREACH(ctx->fakes, listener)
    {
        if (strcmp(listener->base.endpoint, endpoint) == 0)
            return listener;
    }
    return NULL;
}

static int join(fake_lane_t *lane, struct xoi_fake_listener *listener)
{
    fake_lane_t *other = new_lane(listener->base.loop, &first_events, NULL);

    if (!other)
        return -1;
    other->listener = listener;
    DL_APPEND(listener->lanes, other);
    lane->peer = other;
    other->peer = lane;
    return 0;
}

static xo_lane_t *fake_dial(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                            const xo_lane_events_t *events, void *arg, xo_error_t *err)
{
    struct xoi_fake_listener *listener = find(ctx, endpoint);
    fake_lane_t *lane = new_lane(loop, events, arg);

    if (!lane || (listener && join(lane, listener) < 0)) {
        free(lane);
        return xo_error_null(err, ENOMEM, "no memory for a lane to %s", endpoint);
    }
    lane->refused = !listener;
    if (!listener)
        xoi_inbox_close(&lane->inbox, ECONNREFUSED, "nobody listens on %s", endpoint);
    return &lane->base;
}

static xo_listener_t *fake_listen(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                                  const xo_listener_events_t *events, void *arg, xo_error_t *err)
{
    struct xoi_fake_listener *listener;

    if (find(ctx, endpoint))
        return xo_error_null(err, EADDRINUSE, "cannot listen on %s: it is in use", endpoint);
    if (strlen(endpoint) >= sizeof listener->base.endpoint)
        return xo_error_null(err, ENAMETOOLONG, "the endpoint %s is too long", endpoint);
    listener = calloc(1, sizeof *listener);
    if (!listener)
        return xo_error_null(err, ENOMEM, "no memory to listen on %s", endpoint);
    listener->base = (xo_listener_t){
        .transport = &xo_transport_fake, .loop = loop, .events = *events, .arg = arg};
    strcpy(listener->base.endpoint, endpoint);
    listener->ctx = ctx;
    DL_APPEND(ctx->fakes, listener);
    return &listener->base;
}

static void fake_listener_destroy(xo_listener_t *base)
{
    struct xoi_fake_listener *listener = (struct xoi_fake_listener *)base;
    fake_lane_t *lane, *next;

    DL_FOREACH_SAFE(listener->lanes, lane, next)
    {
        if (lane->peer)
            xoi_inbox_close(&lane->peer->inbox, ECONNRESET, "%s is closed", base->endpoint);
        lane->cut = true;
        leave_listener(lane);
        if (lane->base.events.message == first_message)
            fake_destroy(&lane->base);
        else
            xoi_inbox_close(&lane->inbox, ECONNRESET, "%s is closed", base->endpoint);
    }
    DL_DELETE(listener->ctx->fakes, listener);
    free(listener);
}

static const char *const schemes[] = {"mem", NULL};

const xo_transport_t xo_transport_fake = {
    .schemes = schemes,
    .listen = fake_listen,
    .listener_destroy = fake_listener_destroy,
    .dial = fake_dial,
    .send = fake_send,
    .pause = fake_pause,
    .destroy = fake_destroy,
};

/* ---- for tests ---- */

static void cut_end(fake_lane_t *lane, int errnum)
{
    xo_msgq_clear(&lane->inbox.queue);
    xoi_inbox_close(&lane->inbox, errnum, "the test cut the lane");
    lane->cut = true;
}

void xoi_fake_cut(xo_lane_t *base, int errnum)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    if (lane->peer)
        cut_end(lane->peer, errnum);
    cut_end(lane, errnum);
}

void xoi_fake_set_room(xo_lane_t *base, size_t messages)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    lane->room = messages;
    offer_room(lane);
}

void xoi_fake_hold(xo_lane_t *base, bool hold)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    if (!lane->peer)
        return;
    lane->peer->held = hold;
    set_pause(lane->peer);
}

void xoi_fake_inject(xo_lane_t *base, const void *data, size_t size)
{
    fake_lane_t *lane = (fake_lane_t *)base;
    zmq_msg_t frame;

    if (!lane->peer || zmq_msg_init_size(&frame, size) < 0)
        return;
    memcpy(zmq_msg_data(&frame), data, size);
    arrive(lane->peer, &frame, 1);
}

xo_lane_t *xoi_fake_peer(xo_lane_t *base)
{
    fake_lane_t *lane = (fake_lane_t *)base;

    return lane->peer ? &lane->peer->base : NULL;
}
