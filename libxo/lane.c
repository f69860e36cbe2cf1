/* lane.c - finds the transport of an endpoint's scheme. */
#include "libxo/lane.h"

#include <errno.h>
#include <string.h>

static const xo_transport_t *const transports[] = {&xo_transport_zmq, &xo_transport_shm,
                                                   &xo_transport_fake};

static bool has_scheme(const xo_transport_t *transport, const char *endpoint)
{
    for (const char *const *scheme = transport->schemes; *scheme; scheme++) {
        size_t size = strlen(*scheme);
        if (strncmp(endpoint, *scheme, size) == 0 && strncmp(endpoint + size, "://", 3) == 0)
            return true;
    }
    return false;
}

static const xo_transport_t *find(const char *endpoint, xo_error_t *err)
{
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
        if (has_scheme(transports[i], endpoint))
            return transports[i];
    return xo_error_null(err, EINVAL,
                         "'%s' is no lane: inproc://NAME, shm:///PATH, ipc:///PATH, "
                         "tcp://HOST:PORT and port://HOST:PORT/ADDRESS are",
                         endpoint);
}

xo_listener_t *xo_listen(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                         const xo_listener_events_t *events, void *arg, xo_error_t *err)
{
    const xo_transport_t *transport = find(endpoint, err);

    return transport ? transport->listen(ctx, loop, endpoint, events, arg, err) : NULL;
}

const char *xo_listener_endpoint(const xo_listener_t *listener)
{
    return listener->endpoint;
}

void xo_listener_destroy(xo_listener_t *listener)
{
    int saved = errno;

    if (listener)
        listener->transport->listener_destroy(listener);
    errno = saved;
}

xo_lane_t *xo_dial(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                   const xo_lane_events_t *events, void *arg, xo_error_t *err)
{
    const xo_transport_t *transport = find(endpoint, err);

    return transport ? transport->dial(ctx, loop, endpoint, events, arg, err) : NULL;
}

void xo_lane_set_events(xo_lane_t *lane, const xo_lane_events_t *events, void *arg)
{
    lane->events = *events;
    lane->arg = arg;
}

int xo_lane_send(xo_lane_t *lane, xo_msg_t **msg)
{
    return lane->transport->send(lane, msg);
}

int xo_lane_buffer(xo_lane_t *lane, size_t size, zmq_msg_t *out)
{
    if (size >= XO_INLINE_BYTES_MAX && lane->transport->buffer &&
        lane->transport->buffer(lane, size, out) == 0)
        return 0;
    return zmq_msg_init_size(out, size);
}

size_t xo_lane_lent_bytes(const xo_lane_t *lane)
{
    return lane->transport->lent_bytes ? lane->transport->lent_bytes(lane) : 0;
}

bool xo_lane_settle(xo_lane_t *lane)
{
    return lane->transport->settle && lane->transport->settle(lane);
}

bool xo_lane_is_awaited(const xo_lane_t *lane)
{
    return lane->transport->is_awaited && lane->transport->is_awaited(lane);
}

void xo_lane_drain(xo_lane_t *lane)
{
    if (lane->transport->drain)
        lane->transport->drain(lane);
}

void xo_lane_pause(xo_lane_t *lane, bool paused)
{
    lane->transport->pause(lane, paused);
}

void xo_lane_destroy(xo_lane_t *lane)
{
    int saved = errno;

    if (lane)
        lane->transport->destroy(lane);
    errno = saved;
}

void xo_lane_set_peer_left(xo_lane_t *lane)
{
    lane->peer_left = true;
}

void xo_lane_set_bundles(xo_lane_t *lane)
{
    lane->bundles = true;
}

const char *xo_lane_scheme(const xo_lane_t *lane)
{
    return lane->scheme;
}

const char *xo_lane_from(const xo_lane_t *lane)
{
    return lane->from;
}

/* The transport of tests stands in for tcp. */
bool xo_lane_is_far(const xo_lane_t *lane)
{
    return strcmp(lane->scheme, "tcp") == 0 || strcmp(lane->scheme, "port") == 0 ||
           strcmp(lane->scheme, "mem") == 0;
}

const xo_lane_stats_t *xo_lane_stats(const xo_lane_t *lane)
{
    return &lane->stats;
}
