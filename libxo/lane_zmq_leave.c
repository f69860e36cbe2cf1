/* lane_zmq_leave.c - a ZeroMQ listener closes: everybody gets a goodbye, and what was sent before.
 */
#include "libxo/lane_zmq_listen.h"

#include <stdlib.h>
#include <unistd.h>

#include "libxo/tsan.h"

#define CLOSE_MS 1000            /* how long at most an address may take to be free again */
#define DRAIN_MESSAGES_MAX 65536 /* read to find who has just come */

static void close_sockets(xoi_listener_t *listener)
{
    xo_timer_stop(&listener->probe);
    xo_timer_stop(&listener->look);
    xo_timer_stop(&listener->openings);
    xo_zmq_stop(&listener->in);
    if (listener->monitor)
        xo_zmq_stop(&listener->events);
    xoi_monitor_close(listener->socket, &listener->monitor);
    xoi_lane_socket_close(&listener->socket, XOI_LINGER_MS);
}

void xoi_listener_free(xoi_listener_t *listener)
{
    close_sockets(listener);
    xoi_frames_free(&listener->frames);
    xoi_listener_drop_denials(listener);
    free(listener->strays);
    free(listener->froms);
    free(listener);
}

/* Finds who has connected and was not heard yet, so that it gets a goodbye too. */
static void find_newcomers(xoi_listener_t *listener)
{
    zmq_msg_t id;

    for (int n = 0; n < DRAIN_MESSAGES_MAX; n++) {
        zmq_msg_init(&id);
        if (zmq_msg_recv(&id, listener->socket, ZMQ_DONTWAIT) < 0)
            break;
        if (xoi_frames_recv(&listener->frames, listener->socket) == 0 &&
            !xoi_peer_find(listener, &id))
            xoi_peer_create(listener, &id);
        XOI_ORDER_RECEIVED(&listener->ctx->sync);
        xoi_frames_close(&listener->frames);
        zmq_msg_close(&id);
    }
}

/* ZeroMQ's thread closes what was bound: who stops may listen there again at once. What else the
 * monitor tells is of connections that end now in any case. */
static void unbind(xoi_listener_t *listener)
{
    zmq_pollitem_t item = {.socket = listener->monitor, .events = ZMQ_POLLIN};
    int event = 0, value;

    xoi_zmq_unbind(listener->ctx, listener->socket, listener->base.endpoint, listener->inode);
    while (listener->monitor && event != ZMQ_EVENT_CLOSED && zmq_poll(&item, 1, CLOSE_MS) > 0) {
        while (event != ZMQ_EVENT_CLOSED && xoi_monitor_read(listener->monitor, &event, &value)) {
        }
    }
}

static void shut_all(xoi_listener_t *listener)
{
    xoi_peer_t *peer, *next;

    HASH_ITER(hh, listener->peers, peer, next)
    xoi_peer_shut(peer, ECONNRESET, "the listener at %s is closed", listener->base.endpoint);
}

/* libzmq's thread closes it: who stops may listen there again at once. */
static void await_closed(int fd, uint64_t inode)
{
    for (int ms = 0; ms < CLOSE_MS && inode != 0 && xoi_fd_inode(fd) == inode; ms++)
        usleep(1000);
}

/* Closes it with its connections, when what is on its way has left: if it were unbound first,
 * libzmq would drop that. */
static void part(xoi_listener_t *listener)
{
    xoi_peer_t *peer, *next;

    xoi_listener_read_monitor(listener);
    uint64_t inode = xoi_fd_inode(listener->door);
    find_newcomers(listener);
    HASH_ITER(hh, listener->peers, peer, next)
    if (peer->fd >= 0 && !peer->parted && !peer->left)
        peer->parting = xoi_parting_hold(peer->fd);
    xoi_listener_read_monitor(listener); /* forgets who is gone */
    HASH_ITER(hh, listener->peers, peer, next)
    {
        if (peer->parting && !peer->parted)
            xoi_part(listener->ctx, peer->parting);
        else
            xoi_parting_release(peer->parting);
        peer->parting = NULL;
    }
    shut_all(listener);
    close_sockets(listener);
    await_closed(listener->door, inode);
}

void xoi_zmq_listener_destroy(xo_listener_t *base)
{
    xoi_listener_t *listener = (xoi_listener_t *)base;
    xoi_peer_t *peer, *next;

    if (listener->scheme == XOI_TCP) {
        part(listener);
    } else {
        unbind(listener);
        find_newcomers(listener);
        shut_all(listener);
    }
    HASH_ITER(hh, listener->peers, peer, next)
    xoi_peer_forget(peer);
    close_sockets(listener);
    listener->dead = true;
    if (listener->busy == 0)
        xoi_listener_free(listener);
}
