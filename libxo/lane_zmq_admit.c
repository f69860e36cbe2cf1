/* lane_zmq_admit.c - whom a listener refuses, and where they come from; lets go of the peers whose
 * keys are revoked while they are there. Only lanes over tcp have keys. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxo/lane_zmq_listen.h"

#define REVOKED "its key was revoked"

void xoi_listener_note_from(xoi_listener_t *listener, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    size_t count = (size_t)fd + 64;
    xoi_from_t *froms;

    if (listener->scheme != XOI_TCP || fd < 0)
        return;
    if ((size_t)fd >= listener->from_count) {
        froms = realloc(listener->froms, count * sizeof *froms);
        if (!froms)
            return;
        memset(froms + listener->from_count, 0, (count - listener->from_count) * sizeof *froms);
        listener->froms = froms;
        listener->from_count = count;
    }
    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0 ||
        getnameinfo((struct sockaddr *)&address, size, listener->froms[fd].host, XOI_HOST_BYTES,
                    NULL, 0, NI_NUMERICHOST) != 0)
        listener->froms[fd].host[0] = 0;
}

const char *xoi_listener_from(const xoi_listener_t *listener, int fd)
{
    return fd >= 0 && (size_t)fd < listener->from_count && listener->froms[fd].host[0]
               ? listener->froms[fd].host
               : NULL;
}

void xoi_listener_refuse(xoi_listener_t *listener, const char *from, const xo_error_t *why)
{
    if (listener->base.events.refused)
        listener->base.events.refused(&listener->base, from, why, listener->base.arg);
}

/* The key by the digits that xo keys list shows. */
static void say_key(const char *key, bool revoked, xo_error_t *why)
{
    char digits[XO_FINGERPRINT_BYTES];

    xo_key_fingerprint(key, digits);
    xo_error_set(why, EACCES, revoked ? "its key %.*s was revoked" : "its key %.*s is no member's",
                 XO_FINGERPRINT_SHOWN, digits);
}

void xoi_listener_refuse_key(xoi_listener_t *listener)
{
    xoi_refused_t refused;
    xo_error_t why = {0};

    if (xoi_admission_take_refused(&listener->ctx->admission, &refused)) {
        say_key(refused.key, refused.revoked, &why);
        xoi_listener_refuse(listener, refused.host[0] ? refused.host : NULL, &why);
        return;
    }
    xo_error_set(&why, EACCES, "its key is no member's");
    xoi_listener_refuse(listener, NULL, &why);
}

bool xoi_peer_admitted(const xoi_peer_t *peer)
{
    return peer->listener->scheme != XOI_TCP || !peer->key[0] ||
           xoi_admission_has(&peer->listener->ctx->admission, peer->key);
}

void xoi_peer_revoke(xoi_peer_t *peer)
{
    xoi_listener_t *listener = peer->listener;
    xo_error_t why = {0};

    say_key(peer->key, true, &why);
    xoi_peer_shut(peer, EACCES, REVOKED);
    atomic_fetch_add_explicit(&listener->ctx->refused, 1, memory_order_relaxed);
    xoi_listener_refuse(listener, xoi_listener_from(listener, peer->fd), &why);
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
