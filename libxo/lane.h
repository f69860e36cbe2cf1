/* lane.h - transports: one ordered, bidirectional stream of messages between two endpoints.
 *
 * A transport is a table of operations (xo_transport_t). libxo has zmq (schemes inproc, ipc, tcp;
 * one implementation), shm (shared memory) and fake (scheme mem, driven by the test's loop).
 * t/lane.c is the conformance suite that all of them pass.
 *
 * A lane carries whole messages: what does not decode closes it (EBADMSG) and is counted, and no
 * other lane notices. A lane knows nothing of handshakes, credit or answers: that is endpoint.h.
 *
 * Threads: a lane and its listener belong to their loop's thread. Nothing here blocks.
 */
#ifndef XO_LANE_H
#define XO_LANE_H

#include <stdint.h>

#include "libxo/ctx.h"
#include "libxo/error.h"
#include "libxo/loop.h"
#include "libxo/msg.h"

typedef struct xo_lane xo_lane_t;
typedef struct xo_listener xo_listener_t;

typedef struct xo_lane_events {
    /* A message arrived. Takes *msg over. */
    void (*message)(xo_lane_t *lane, xo_msg_t **msg, void *arg);
    /* After xo_lane_send said EAGAIN: there is room again. */
    void (*writable)(xo_lane_t *lane, void *arg);
    /* The lane is closed: exactly once, after the last message, never from within a call of the
     * user's. ECONNREFUSED: nobody there; EACCES: refused by the handshake of CURVE; ETIMEDOUT: the
     * peer did not answer it; ECONNRESET: the peer is gone; EBADMSG: it sent what does not decode.
     * Sends fail with EPIPE from now on; destroying it here is fine. Not called once the user has
     * called xo_lane_destroy. */
    void (*closed)(xo_lane_t *lane, const xo_error_t *why, void *arg);
} xo_lane_events_t;

typedef struct xo_lane_stats {
    uint64_t messages_in, messages_out;
    uint64_t bytes_in, bytes_out;
} xo_lane_stats_t;

typedef struct xo_listener_events {
    /* A peer came: its first message is delivered to the lane's handlers right after this returns.
     * The handler must call xo_lane_set_events and owns the lane. */
    void (*accepted)(xo_listener_t *listener, xo_lane_t *lane, void *arg);
    /* A frame from nobody's lane was not a message, or a peer's handshake failed (EACCES); `why`
     * names the reason, `from` the host it came from, as far as that is known (else NULL). */
    void (*refused)(xo_listener_t *listener, const char *from, const xo_error_t *why, void *arg);
} xo_listener_events_t;

/* The longest message a peer may send; longer ones close its lane. */
#define XO_LANE_FRAME_BYTES_MAX ((int64_t)8 << 30)

/* Endpoints: "inproc://NAME", "shm:///PATH", "ipc:///PATH", "tcp://HOST:PORT", "mem://NAME". Port 0
 * binds any. EADDRINUSE with a sentence that names it. */
xo_listener_t *xo_listen(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                         const xo_listener_events_t *events, void *arg, xo_error_t *err);
/* What it is bound to, with the real port. */
const char *xo_listener_endpoint(const xo_listener_t *listener);
/* Lanes that it accepted are closed (their `closed` is called). Removes the socket's file of ipc
 * and shm. Takes NULL. */
void xo_listener_destroy(xo_listener_t *listener);

/* Starts to connect; messages may be sent at once and are kept until the peer is there. A peer
 * that is not there closes the lane (no retry: who dials decides about that). */
xo_lane_t *xo_dial(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                   const xo_lane_events_t *events, void *arg, xo_error_t *err);
void xo_lane_set_events(xo_lane_t *lane, const xo_lane_events_t *events, void *arg);

/* 0: the lane took *msg over (NULLed) and delivers it in order or closes. -1 and *msg untouched:
 * EAGAIN (full; `writable` follows), EPIPE (closed), ENOMEM. */
int xo_lane_send(xo_lane_t *lane, xo_msg_t **msg);
/* Memory for a buffer of a message that is to be sent over this lane: where the peer will read it,
 * if that can be, so that nothing need be copied any more. After the message was sent it is the
 * peer's; until then it is any other frame. -1: ENOMEM. */
int xo_lane_buffer(xo_lane_t *lane, size_t size, zmq_msg_t *out);
/* Does the peer get all that was sent, even if this process is killed now? False: not yet, or the
 * transport cannot know. */
bool xo_lane_settle(xo_lane_t *lane);
/* Was the peer woken up for what was sent, and has it not gone to sleep again since? False: the
 * transport cannot know. */
bool xo_lane_is_awaited(const xo_lane_t *lane);
/* The peer's process has ended: delivers what it has left here before this returns, as far as the
 * transport has such; the rest comes as always. The user may destroy the lane meanwhile. */
void xo_lane_drain(xo_lane_t *lane);
/* Stops or resumes the delivery of messages to the user, for pushing back. */
void xo_lane_pause(xo_lane_t *lane, bool paused);
/* What was sent before still leaves, as far as the peer takes it. Takes NULL. */
void xo_lane_destroy(xo_lane_t *lane);
/* The peer has said that it goes: to destroy the lane need not wait until it has taken the rest. */
void xo_lane_set_peer_left(xo_lane_t *lane);

/* The peer has said that it understands bundles (doc/wire.md), which some transports make of small
 * messages: but for the first few, what is sent in one go leaves when the loop goes on. */
void xo_lane_set_bundles(xo_lane_t *lane);

const char *xo_lane_scheme(const xo_lane_t *lane); /* "inproc", "shm", ... */
/* The host that it came from, in digits. NULL: it was dialled, or is not from another machine, or
 * nobody knows. Valid as long as the lane. */
const char *xo_lane_from(const xo_lane_t *lane);
/* Does it lead to another machine, as far as anybody knows? Only such lanes are slow. */
bool xo_lane_is_far(const xo_lane_t *lane);
const xo_lane_stats_t *xo_lane_stats(const xo_lane_t *lane);
/* Of shared memory that holds buffers which were sent, as long as the peer has them. */
size_t xo_lane_lent_bytes(const xo_lane_t *lane);

/* ---- for transports ---- */

typedef struct xo_transport {
    const char *const *schemes; /* NULL at the end */
    xo_listener_t *(*listen)(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                             const xo_listener_events_t *events, void *arg, xo_error_t *err);
    void (*listener_destroy)(xo_listener_t *listener);
    xo_lane_t *(*dial)(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                       const xo_lane_events_t *events, void *arg, xo_error_t *err);
    int (*send)(xo_lane_t *lane, xo_msg_t **msg);
    int (*buffer)(xo_lane_t *lane, size_t size, zmq_msg_t *out); /* NULL, and -1: no such memory */
    size_t (*lent_bytes)(const xo_lane_t *lane);                 /* NULL: never any */
    bool (*settle)(xo_lane_t *lane);                             /* NULL: false */
    bool (*is_awaited)(const xo_lane_t *lane);                   /* NULL: false */
    void (*drain)(xo_lane_t *lane);                              /* NULL: nothing */
    void (*pause)(xo_lane_t *lane, bool paused);
    void (*destroy)(xo_lane_t *lane);
} xo_transport_t;

extern const xo_transport_t xo_transport_zmq;
extern const xo_transport_t xo_transport_shm;
extern const xo_transport_t xo_transport_fake;

/* What every transport's lane and listener begin with. */
struct xo_lane {
    const xo_transport_t *transport;
    const char *scheme;
    const char *from; /* see xo_lane_from */
    xo_loop_t *loop;
    xo_lane_events_t events;
    void *arg;
    xo_lane_stats_t stats;
    bool peer_left;
    bool bundles;
};
struct xo_listener {
    const xo_transport_t *transport;
    xo_loop_t *loop;
    xo_listener_events_t events;
    void *arg;
    char endpoint[320];
};

#endif
