/* lane_zmq_peer.c - a connection of a ZeroMQ listener, and the lane it carries. */
#include "libxo/lane_zmq_listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_unused(xoi_peer_t *peer)
{
    if (peer->listener || !peer->released)
        return;
    xoi_inbox_stop(&peer->inbox);
    free(peer);
}

xoi_peer_t *xoi_peer_find(xoi_listener_t *listener, zmq_msg_t *id)
{
    xoi_peer_t *peer;

    HASH_FIND(hh, listener->peers, zmq_msg_data(id), zmq_msg_size(id), peer);
    return peer;
}

static xo_slice_t id_of(const xoi_peer_t *peer)
{
    return xo_slice(peer->id, peer->id_size);
}

/* -1: there is nobody any more. */
static int send_frame(xoi_peer_t *peer, const char *frame)
{
    int rc = xoi_send_id(peer->listener->socket, id_of(peer));

    if (rc == 0)
        rc = xoi_send_frame(peer->listener->socket, frame);
    xo_zmq_touch(&peer->listener->in);
    return rc;
}

bool xoi_peer_reachable(xoi_peer_t *peer)
{
    return send_frame(peer, XOI_FRAME_NOTHING) == 0;
}

void xoi_peer_set_end(xoi_peer_t *peer, xoi_end_t end)
{
    if (peer->end == XOI_ALIVE && end != XOI_ALIVE)
        DL_APPEND(peer->listener->ending, peer);
    else if (peer->end != XOI_ALIVE && end == XOI_ALIVE)
        DL_DELETE(peer->listener->ending, peer);
    peer->end = end;
    peer->parted = peer->parted && end != XOI_ALIVE;
}

void xoi_peer_forget(xoi_peer_t *peer)
{
    if (peer->fd >= 0 && !peer->parted) /* its end will be told when nobody knows it any more */
        peer->listener->greeted++;
    xoi_peer_set_end(peer, XOI_ALIVE);
    HASH_DEL(peer->listener->peers, peer);
    xoi_silence_stop(&peer->silence);
    xoi_parting_release(peer->parting);
    peer->parting = NULL;
    peer->listener = NULL;
    free_unused(peer);
}

static void say_goodbye(xoi_peer_t *peer)
{
    if (!peer->shut && !peer->left && peer->listener) {
        xoi_zmq_lane_flush(&peer->lane);
        send_frame(peer, "");
    }
    xoi_zmq_lane_stop(&peer->lane);
    peer->shut = true;
}

void xoi_peer_shut(xoi_peer_t *peer, int errnum, const char *format, ...)
{
    char text[XO_ERROR_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say_goodbye(peer);
    if (!peer->released)
        xoi_inbox_close(&peer->inbox, errnum, "%s", text);
}

static int peer_send(xo_lane_t *lane, xo_msg_t **msg)
{
    xoi_peer_t *peer = (xoi_peer_t *)lane;
    size_t bytes = xo_msg_bytes(*msg);

    if (!peer->listener || peer->shut || peer->left) {
        errno = EPIPE;
        return -1;
    }
    int rc = xoi_send_msg(peer->listener->ctx, peer->listener->socket, id_of(peer), msg);
    if (rc < 0 && *msg && errno == ENOMEM)
        return -1;
    if (rc < 0 && *msg) {
        xoi_peer_set_end(peer, XOI_UNREACHABLE);
        xoi_listener_probe(peer->listener);
        errno = EPIPE;
        return -1;
    }
    /* Once the id went, what the socket says is nothing to act upon. */
    xo_zmq_touch(&peer->listener->in);
    lane->stats.messages_out++;
    lane->stats.bytes_out += bytes;
    xoi_silence_sent(&peer->silence);
    return 0;
}

static void peer_pause(xo_lane_t *lane, bool paused)
{
    xoi_inbox_pause(&((xoi_peer_t *)lane)->inbox, paused);
}

static void peer_destroy(xo_lane_t *lane)
{
    xoi_peer_t *peer = (xoi_peer_t *)lane;

    say_goodbye(peer);
    xoi_inbox_stop(&peer->inbox);
    peer->released = true;
    free_unused(peer);
}

static void note_from(xoi_peer_t *peer)
{
    const char *from = xoi_listener_from(peer->listener, peer->fd);

    if (!from)
        return;
    snprintf(peer->from, sizeof peer->from, "%s", from);
    peer->lane.base.from = peer->from;
}

static const xoi_lane_side_t side = {peer_send, peer_pause, peer_destroy};

xoi_peer_t *xoi_peer_create(xoi_listener_t *listener, zmq_msg_t *id)
{
    size_t size = zmq_msg_size(id);
    xoi_peer_t *peer = calloc(1, sizeof *peer + size);

    if (!peer)
        return NULL;
    xoi_zmq_lane_init(&peer->lane, &side, listener->scheme, listener->base.loop);
    peer->listener = listener;
    peer->released = true;
    peer->fd = listener->monitor ? xoi_frames_fd(&listener->frames) : -1;
    note_from(peer);
    xoi_frames_user(&listener->frames, peer->key, sizeof peer->key);
    peer->id_size = size;
    memcpy(peer->id, zmq_msg_data(id), size);
    xoi_silence_init(&peer->silence, listener->base.loop);
    xoi_inbox_init(&peer->inbox, &peer->lane.base);
    HASH_ADD_KEYPTR(hh, listener->peers, peer->id, peer->id_size, peer);
    if (!XOI_HASHED(hh, peer)) {
        free(peer);
        return NULL;
    }
    if (listener->scheme == XOI_TCP)
        xoi_silence_watch(&peer->silence, peer->fd);
    if (xoi_listener_stray(listener, peer->fd)) {
        xoi_peer_set_end(peer, XOI_SUSPECT);
        xoi_listener_probe(listener);
    }
    return peer;
}
