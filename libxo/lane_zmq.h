/* lane_zmq.h - what the listening and the dialling side of the ZeroMQ lanes share.
 *
 * A listener is one ROUTER for all its lanes, a dialled lane is one DEALER. Besides messages, some
 * frames travel alone (doc/wire.md, "Lanes"): the empty one is the last that its sender sends on a
 * lane; a bundle holds several messages; the one of none, XOI_FRAME_NOTHING, is the first on each
 * dialled lane.
 */
#ifndef XO_LANE_ZMQ_H
#define XO_LANE_ZMQ_H

#include <zmq.h>

#include "libxo/ctx.h"
#include "libxo/lane.h"

#define XOI_FRAME_NOTHING "\xc1" /* XOI_BUNDLE_MARK */

/* How long a closed socket goes on delivering. */
#define XOI_LINGER_MS 1000

/* How long a peer may take to shake hands; also to connect(2), which can take minutes. */
#define XOI_ZMQ_HANDSHAKE_MS 5000

typedef enum { XOI_INPROC, XOI_IPC, XOI_TCP, XOI_PORT, XOI_SCHEMES } xoi_scheme_t;
xoi_scheme_t xoi_scheme_of(const char *endpoint);
const char *xoi_scheme_name(xoi_scheme_t scheme);
bool xoi_scheme_is_far(xoi_scheme_t scheme); /* comes from other machines: encrypted */

/* A message as it comes in. What it holds is initialised zmq_msg_t's, `count` of them. */
#define XOI_FRAMES_FIRST 16
/* A socket looks for new messages of others than the one that it reads from only when there is no
 * more, or after a hundred (inbound_poll_rate in libzmq 4.3), so who has many large ones would keep
 * all others waiting. After so many bytes the loop goes on, and asks it. */
#define XOI_RECEIVE_BYTES ((size_t)64 << 10)
typedef struct xoi_frames {
    zmq_msg_t *frames; /* `first`, or from malloc */
    size_t count;
    size_t capacity;
    size_t received; /* bytes, since xoi_frames_begin */
    size_t messages; /* the same */
    int dropped_fd;  /* the descriptor by which the last message that was dropped came */
    zmq_msg_t first[XOI_FRAMES_FIRST];
} xoi_frames_t;

void xoi_frames_init(xoi_frames_t *frames);
void xoi_frames_free(xoi_frames_t *frames);
void xoi_frames_close(xoi_frames_t *frames); /* empties it */
/* Receives one message, never waiting. EAGAIN; EMSGSIZE: too many frames, all read and dropped. */
int xoi_frames_recv(xoi_frames_t *frames, void *socket);

/* What ZAP calls the sender of the message, its key; "": nothing, or the message was dropped. */
void xoi_frames_user(const xoi_frames_t *frames, char *user, size_t size);

/* The descriptor by which the message came; -1: none. */
int xoi_frames_fd(const xoi_frames_t *frames);

/* The loop's turn begins; it is over once xoi_frames_enough. */
void xoi_frames_begin(xoi_frames_t *frames);
bool xoi_frames_enough(const xoi_frames_t *frames);

bool xoi_frames_goodbye(const xoi_frames_t *frames);
/* What they hold, into an empty queue: a message, or those of a bundle. Empties it. -1: EBADMSG,
 * ENOMEM. */
int xoi_frames_read(xoi_frames_t *frames, xo_msgq_t *msgs, xo_error_t *err);

/* Sends *msg, taking it apart and over, behind the peer's id where that is not empty. -1 and *msg
 * untouched: ENOMEM, or what the socket has against the id; NULLed: it refused the first frame.
 * `ctx`: whose threads may receive it (tsan.h); NULL: none of this process's. */
int xoi_send_msg(xo_ctx_t *ctx, void *socket, xo_slice_t id, xo_msg_t **msg);
int xoi_send_id(void *socket, xo_slice_t id);
/* Sends a frame that travels alone: the empty one, or XOI_FRAME_NOTHING. */
int xoi_send_frame(void *socket, const char *frame);

/* A socket with all options that do not depend on the side, in *socket; NULL after an error. */
void *xoi_lane_socket(xo_ctx_t *ctx, int type, xoi_scheme_t scheme, const char *endpoint,
                      xo_error_t *err);
int xoi_set_int(void *socket, int option, int value);
/* Closes it (takes NULL); what was sent has `linger_ms` to leave. */
void xoi_lane_socket_close(void **socket, int linger_ms);

/* Opens the stream of a socket's events (zmq_socket_monitor(3)). */
void *xoi_monitor_open(xo_ctx_t *ctx, void *socket, int events, xo_error_t *err);
/* Ends the stream (takes NULL), of `socket`, which is open. */
void xoi_monitor_close(void *socket, void **monitor);
/* The next event: 1; 0: none. */
int xoi_monitor_read(void *monitor, int *event, int *value);

/* lane_zmq_dial.c */
xo_lane_t *xoi_zmq_dial(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                        const xo_lane_events_t *events, void *arg, xo_error_t *err);
/* lane_zmq_listen.c */
xo_listener_t *xoi_zmq_listen(xo_ctx_t *ctx, xo_loop_t *loop, const char *endpoint,
                              const xo_listener_events_t *events, void *arg, xo_error_t *err);
void xoi_zmq_listener_destroy(xo_listener_t *listener);
/* lane_zmq_bind.c: binds and writes the endpoint, with the real port, to text[size]. */
int xoi_zmq_bind(xo_ctx_t *ctx, void *socket, const char *endpoint, char *text, size_t size,
                 xo_error_t *err);
/* Undoes it: nobody new comes in; an ipc socket's file goes. `ino` as xoi_socket_inode gave it. */
void xoi_zmq_unbind(xo_ctx_t *ctx, void *socket, const char *endpoint, uint64_t inode);
uint64_t xoi_socket_inode(const char *endpoint); /* 0: none */
uint64_t xoi_fd_inode(int fd);                   /* 0: it is closed */

/* A lane's operations differ by side; both begin with a xo_lane_t and this. */
typedef struct xoi_lane_side {
    int (*send)(xo_lane_t *lane, xo_msg_t **msg);
    void (*pause)(xo_lane_t *lane, bool paused);
    void (*destroy)(xo_lane_t *lane);
} xoi_lane_side_t;

/* Messages of a span that leave at once: somebody may wait for them. */
#define XOI_ALONE 8

typedef struct xoi_zmq_lane {
    xo_lane_t base;
    const xoi_lane_side_t *side;
    uint64_t span;      /* of the loop, in which something was sent last */
    size_t alone;       /* messages of it that left at once */
    xo_msgq_t gathered; /* sent after that: leaves as a bundle */
    xo_defer_t bundle;
    bool stopped;
} xoi_zmq_lane_t;

void xoi_zmq_lane_init(xoi_zmq_lane_t *lane, const xoi_lane_side_t *side, xoi_scheme_t scheme,
                       xo_loop_t *loop);
/* What was gathered leaves now. -1: ENOMEM, and it stays; or the lane is closed, and it is gone. */
int xoi_zmq_lane_flush(xoi_zmq_lane_t *lane);
/* The lane takes no more, and what was gathered does not leave. */
void xoi_zmq_lane_stop(xoi_zmq_lane_t *lane);

#endif
