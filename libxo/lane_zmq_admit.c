/* lane_zmq_admit.c - lets go of the peers of a listener whose keys are revoked while they are
 * there. Only lanes over tcp have keys. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libxo/lane_zmq_listen.h"

#define REVOKED "its key was revoked"

bool xoi_peer_admitted(const xoi_peer_t *peer)
{
    return peer->listener->scheme != XOI_TCP || !peer->key[0] ||
           xoi_admission_has(&peer->listener->ctx->admission, peer->key);
}

void xoi_peer_revoke(xoi_peer_t *peer)
{
    xoi_listener_t *listener = peer->listener;
    xo_error_t why = {0};

    xo_error_set(&why, EACCES, REVOKED);
    xoi_peer_shut(peer, EACCES, REVOKED);
    atomic_fetch_add_explicit(&listener->ctx->refused, 1, memory_order_relaxed);
    if (listener->base.events.refused)
        listener->base.events.refused(&listener->base, &why, listener->base.arg);
}

static void on_changed(xo_io_t *io, int revents, void *arg)
{
    xoi_listener_t *listener = arg;
    xoi_peer_t *peer, *next;
    eventfd_t count;

    (void)revents;
    eventfd_read(io->fd, &count);
    xoi_listener_hold(listener);
    HASH_ITER(hh, listener->peers, peer, next)
    {
        if (!peer->shut && !peer->left && !xoi_peer_admitted(peer))
            xoi_peer_revoke(peer);
    }
    xoi_listener_leave(listener);
}

int xoi_listener_watch_admission(xoi_listener_t *listener)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -1;
    xo_io_init(&listener->admission, listener->base.loop, fd, XO_READ, on_changed, listener);
    listener->admission_open = true;
    if (xo_io_start(&listener->admission) < 0)
        return -1;
    return xoi_admission_tell(&listener->ctx->admission, fd);
}

void xoi_listener_end_admission(xoi_listener_t *listener)
{
    if (!listener->admission_open)
        return;
    xoi_admission_forget(&listener->ctx->admission, listener->admission.fd);
    xo_io_stop(&listener->admission);
    close(listener->admission.fd);
    listener->admission_open = false;
}
