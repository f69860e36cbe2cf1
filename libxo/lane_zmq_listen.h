/* lane_zmq_listen.h - the inside of a ZeroMQ listener and of the lanes it accepts, for
 * lane_zmq_listen.c, lane_zmq_peer.c, lane_zmq_admit.c and lane_zmq_leave.c.
 */
#ifndef XO_LANE_ZMQ_LISTEN_H
#define XO_LANE_ZMQ_LISTEN_H

#include <utlist.h>

#include "libxo/ctx_internal.h"
#include "libxo/hash.h"
#include "libxo/lane_inbox.h"
#include "libxo/lane_silence.h"
#include "libxo/lane_zmq.h"

#define XOI_ROUTING_ID_MAX 255

/* What is known of the end of a peer's connection. */
typedef enum {
    XOI_ALIVE,
    XOI_SUSPECT,    /* it has a descriptor whose connection ended before any peer was known by it */
    XOI_GONE,       /* DISCONNECTED: its last messages may still be on the way to the socket */
    XOI_UNREACHABLE /* they have arrived: received until there is no more, it is over */
} xoi_end_t;

/* A connection of the listener's ROUTER; the lane that the user sees is its beginning. It is freed
 * when the listener has forgotten it (`listener` is NULL) and the user has no lane of it
 * (`released`). */
typedef struct xoi_peer {
    xoi_zmq_lane_t lane; /* first */
    struct xoi_listener *listener;
    xoi_inbox_t inbox;
    xoi_silence_t silence;
    xoi_end_t end;
    int fd;     /* -1: none (inproc) */
    int probes; /* of a suspect */
    struct xoi_parting *parting;
    bool released; /* true until it is accepted, and after it is destroyed */
    bool shut;     /* what it sends is dropped; it has our goodbye */
    bool left;     /* it said goodbye */
    bool parted;   /* its connection is known to have ended */
    UT_hash_handle hh;
    struct xoi_peer *next; /* of those whose end is not XOI_ALIVE */
    struct xoi_peer *prev;
    char key[XO_KEY_TEXT_BYTES]; /* by which ZAP admitted it; "": none */
    char from[XOI_HOST_BYTES];   /* the host, which its descriptor may not lead to for ever */
    size_t id_size;
    unsigned char id[];
} xoi_peer_t;

typedef struct xoi_from {
    char host[XOI_HOST_BYTES]; /* "": unknown */
    bool opening;              /* its handshake may not be over (opening.h) */
    bool flooded;              /* and it sent too much before that was */
} xoi_from_t;

/* Somebody whom ZAP refused, and whose host is not known yet. */
typedef struct xoi_denial {
    xoi_refused_t refused;
    struct xoi_denial *prev, *next;
} xoi_denial_t;

typedef struct xoi_listener {
    xo_listener_t base; /* first */
    xo_ctx_t *ctx;
    xoi_scheme_t scheme;
    void *socket;
    void *monitor; /* NULL: inproc */
    xo_zmq_t in;
    xo_zmq_t events;
    xo_timer_t probe;
    xo_timer_t look;     /* at the list of members, while a peer of another machine is there */
    xo_timer_t openings; /* looks at handshakes, while there are any */
    uint64_t inode;      /* of an ipc socket's file */
    int door;            /* the descriptor that listens; -1: not known */
    int busy;            /* its code runs, further up the stack: it is freed when that ends */
    bool dead;           /* the user has destroyed it */
    xoi_peer_t *peers;   /* by routing id */
    xoi_peer_t *ending;  /* list */
    bool *strays;        /* by descriptor: a connection ended that no peer was known by */
    size_t stray_count;
    xoi_from_t *froms; /* by descriptor: the host it leads to; over tcp only */
    size_t from_count;
    unsigned greeted;      /* connections whose handshake succeeded, and that no peer is known by */
    unsigned failed;       /* handshakes that broke a rule, and whose connection has not ended */
    unsigned denied;       /* the same of those that ZAP refused */
    xoi_denial_t *denials; /* of these who have not been told of, in their order */
    xoi_frames_t frames;
} xoi_listener_t;

/* lane_zmq_peer.c */
xoi_peer_t *xoi_peer_find(xoi_listener_t *listener, zmq_msg_t *id);
/* For the sender of the listener's `frames`. */
xoi_peer_t *xoi_peer_create(xoi_listener_t *listener, zmq_msg_t *id);
/* The listener has nothing to do with it any more; frees it if the user has not either. */
void xoi_peer_forget(xoi_peer_t *peer);
/* Closes its lane and tells it, so that it goes. */
void xoi_peer_shut(xoi_peer_t *peer, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void xoi_peer_set_end(xoi_peer_t *peer, xoi_end_t end);
/* Can it still be sent to? Sends a frame that says nothing. */
bool xoi_peer_reachable(xoi_peer_t *peer);

/* lane_zmq_listen.c */
bool xoi_listener_stray(const xoi_listener_t *listener, int fd);
void xoi_listener_probe(xoi_listener_t *listener);        /* soon */
void xoi_listener_hold(xoi_listener_t *listener);         /* code of it runs until it leaves */
void xoi_listener_leave(xoi_listener_t *listener);        /* may free it */
void xoi_listener_read_monitor(xoi_listener_t *listener); /* may forget peers */

/* lane_zmq_leave.c */
void xoi_listener_free(xoi_listener_t *listener);

/* lane_zmq_admit.c */
void xoi_listener_watch_members(xoi_listener_t *listener); /* begins nothing */
/* A peer is new: shuts it, and tells the listener's owner, if it was revoked since its handshake;
 * and later, if it is then. */
void xoi_listener_admit(xoi_listener_t *listener, xoi_peer_t *peer);
/* A connection was accepted. libzmq tells of it later, so it may have ended meanwhile, and the
 * descriptor be another's: what is kept is good enough for a log, and says where to look for who
 * sends too much before its handshake is done (opening.h). */
void xoi_listener_note_from(xoi_listener_t *listener, int fd);
const char *xoi_listener_from(const xoi_listener_t *listener, int fd); /* NULL: nobody knows */
/* Why its connection ended before a handshake of it was done. */
const char *xoi_listener_why_refused(const xoi_listener_t *listener, int fd);
void xoi_listener_refuse(xoi_listener_t *listener, const char *from, const xo_error_t *why);
/* ZAP refused somebody, for a reason that the handler has left. */
void xoi_listener_deny(xoi_listener_t *listener);
/* The connection of the first of them has ended, which says where it came from. */
void xoi_listener_end_denied(xoi_listener_t *listener, int fd);
void xoi_listener_drop_denials(xoi_listener_t *listener);

#endif
