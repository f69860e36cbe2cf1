/* endpoint.h - one participant of the cluster: its identity, listeners, links and calls under way.
 *
 * A pool, a broker and a client are each an endpoint with another table of operations. A *link* is
 * the relation with one peer endpoint; it is carried by one lane, chosen when the pair first talks
 * (in the order inproc, ipc, tcp), so order never changes. A link is made by the handshake (hello,
 * welcome), which tells both sides who the other is.
 *
 * Requests use up credit that the receiver grants in messages and bytes, and gives back with
 * xo_endpoint_consumed when it has room for more: so both sides' memory is bounded (contract 8). It
 * can mute one of its actors, whose requests wait in their sender then (xo_link_mute). Answers are
 * sent without credit, but who has none for them should begin no more of that peer's requests
 * (xo_link_takes_answers).
 *
 * Relaying (contract 2): a message whose target_id is another endpoint's is passed on if `relay`
 * is set. A request for the actor XO_BROKER_UID that reaches a pool goes on to the pool's broker.
 *
 * Everything belongs to the loop's thread.
 */
#ifndef XO_ENDPOINT_H
#define XO_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libxo/address.h"
#include "libxo/ctx.h"
#include "libxo/failure.h"
#include "libxo/lane.h"
#include "libxo/loop.h"
#include "libxo/msg.h"

/* The uid under which every broker answers: lookups, lists, starting and stopping. doc/wire.md. */
#define XO_BROKER_UID "xo.broker"

typedef enum { XO_ROLE_CLIENT = 1, XO_ROLE_POOL = 2, XO_ROLE_BROKER = 3 } xo_role_t;

#define XO_LABEL_BYTES 64

/* Who an endpoint is (contract 1). Goes over the wire in hello and welcome as a map. */
typedef struct xo_identity {
    xo_role_t role;
    uint64_t id;         /* of the endpoint: random, new for each process that takes the role */
    uint64_t node_id;    /* of its node; 0: none (a client) */
    uint64_t pool_id;    /* stays the same over restarts; 0: no pool */
    uint32_t generation; /* of the pool, from 1; grows at each restart */
    int32_t index;       /* of the pool on its node, from 0; -1: none */
    int64_t pid;
    char cluster[XO_CLUSTER_BYTES];
    char label[XO_LABEL_BYTES];
    char address[XO_ADDRESS_BYTES]; /* advertised "host:port"; "" for a client */
} xo_identity_t;

typedef struct xo_endpoint xo_endpoint_t;
typedef struct xo_link xo_link_t;

/* What pool.why says of a pool that is reached through its node's port, which it names then. */
#define XO_IS_BEHIND "is behind"

/* What a participant does. NULL entries are allowed where noted. */
typedef struct xo_endpoint_ops {
    /* A request (call, tell, batch, create, destroy, ref, has) for this endpoint, or a cancel.
     * Takes *msg over. `from` is NULL when it was sent by this endpoint itself. Every request but
     * tell and cancel must be answered exactly once with xo_endpoint_answer; each request (not
     * cancel) must be handed back once with xo_endpoint_consumed, sooner or later. */
    void (*request)(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg);
    /* May the peer join? 0, or -1 with a sentence that it is told. NULL: everybody of the cluster.
     */
    int (*admit)(xo_endpoint_t *endpoint, const xo_identity_t *peer, xo_error_t *why, void *arg);
    /* The handshake is done. NULL allowed. */
    void (*linked)(xo_endpoint_t *endpoint, xo_link_t *link, void *arg);
    /* The link is gone; calls over it have been answered. Also for one that never came up. NULL
     * allowed. */
    void (*unlinked)(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg);
    /* Whether the owner will call xo_endpoint_peer_down once the peer's process has ended: a link
     * that breaks waits for that reason. NULL: it won't, and the broker's word is waited for. */
    bool (*watches)(xo_endpoint_t *endpoint, xo_link_t *link, void *arg);
    /* Nobody answers at the address that a link was dialled to. True: xo_link_go_by is called soon.
     * NULL: the broker is asked instead, if there is one. */
    bool (*absent)(xo_endpoint_t *endpoint, xo_link_t *link, const char *address, void *arg);
    /* xo_link_takes_answers is true again. NULL allowed. */
    void (*answers_taken)(xo_endpoint_t *endpoint, xo_link_t *link, void *arg);
    /* A heartbeat or an event, for example "pool.down". NULL allowed. */
    void (*event)(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg);
    /* A frame or a handshake was refused, and its lane is closed: a sentence for the log that says
     * whose and why (contract 17). At most once a minute for each source; the next says how many
     * there were meanwhile. NULL: nobody logs. */
    void (*refused)(xo_endpoint_t *endpoint, const char *text, void *arg);
} xo_endpoint_ops_t;

typedef struct xo_endpoint_options {
    bool relay;               /* pass on what is for others */
    uint32_t window_messages; /* credit that each peer gets; 0: the context's */
    uint64_t window_bytes;    /* 0: the context's. One message above it is let through alone */
    uint32_t handshake_ms;    /* 0: 5000 */
    const char *door;         /* where it is reached besides its address: a node's port; NULL */
} xo_endpoint_options_t;

/* The context's, unless the environment says otherwise (ctx.h). */
#define XO_WINDOW_MESSAGES 8192
#define XO_WINDOW_BYTES ((uint64_t)64 << 20)

/* `self->id` 0: drawn. pid and cluster are filled in. `options` NULL: the defaults. */
xo_endpoint_t *xo_endpoint_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_identity_t *self,
                                  const xo_endpoint_ops_t *ops, void *arg,
                                  const xo_endpoint_options_t *options, xo_error_t *err);
/* Says goodbye, answers what is still under way with ServerClosed, closes all. Not from within a
 * callback of this endpoint: defer it. Takes NULL. */
void xo_endpoint_destroy(xo_endpoint_t *endpoint);

const xo_identity_t *xo_endpoint_self(const xo_endpoint_t *endpoint);
/* Why other processes of its machine reach it by tcp only: there was no room for the file of a
 * socket when it began to listen. NULL: they do not. */
const char *xo_endpoint_tcp_only(const xo_endpoint_t *endpoint);
/* Replaces what is advertised from now on (label, address, node, pool, index, generation). */
void xo_endpoint_set_self(xo_endpoint_t *endpoint, const xo_identity_t *self);
xo_ctx_t *xo_endpoint_ctx(xo_endpoint_t *endpoint);
xo_loop_t *xo_endpoint_loop(xo_endpoint_t *endpoint);

/* ---- listening ---- */

/* Listens the way a pool does: on tcp at `bind` (NULL: the advertised host; port 0: any), and on
 * ipc and inproc under the advertised address, which becomes `advertise` with the real port.
 * `advertise` 0.0.0.0 or :: is EINVAL unless it can be replaced: "0.0.0.0:P" binds all and
 * advertises the host name's address, else 127.0.0.1. EADDRINUSE names the address.
 *
 * Where $XO_PORT names the node's port, who says neither a port nor `bind`, or that port, listens
 * on no tcp socket but behind it, at a place of its own that becomes its address (address.h); who
 * listens on tcp can be reached through that port as well. */
int xo_endpoint_listen(xo_endpoint_t *endpoint, const char *advertise, const char *bind,
                       xo_error_t *err);
/* Listens on one more lane endpoint, for example a broker's "ipc:///...", and through shared memory
 * beside an ipc socket. */
int xo_endpoint_listen_on(xo_endpoint_t *endpoint, const char *lane_endpoint, xo_error_t *err);

/* ---- links ---- */

/* The link to the endpoint at `address` ("host:port", or a lane endpoint with "://"); dials if
 * there is none. Messages may be sent at once. Valid until unlinked; xo_link_incref to keep it
 * longer. */
xo_link_t *xo_endpoint_link(xo_endpoint_t *endpoint, const char *address, xo_error_t *err);
/* Where an actor is that has the uid: at `address`, or, if that is a name, and calls have found it
 * elsewhere, there. Valid until this grows: xo_endpoint_moves. */
const char *xo_endpoint_where(const xo_endpoint_t *endpoint, const char *address, xo_slice_t uid);
uint64_t xo_endpoint_moves(const xo_endpoint_t *endpoint);
/* Is it this endpoint's own advertised address? Then `link` is NULL in the calls below. */
bool xo_endpoint_is_self(const xo_endpoint_t *endpoint, const char *address);
xo_link_t *xo_endpoint_link_by_id(xo_endpoint_t *endpoint, uint64_t peer_id); /* or NULL */
/* Makes `link` the one that requests for XO_BROKER_UID go to. NULL: none. */
void xo_endpoint_set_broker(xo_endpoint_t *endpoint, xo_link_t *link);
xo_link_t *xo_endpoint_broker(xo_endpoint_t *endpoint);
/* Walks the links: NULL gives the first. */
xo_link_t *xo_endpoint_next_link(xo_endpoint_t *endpoint, xo_link_t *after);

/* After `absent`: it is reached through its node's port as well ("host:port"); or "": it is not. */
void xo_link_go_by(xo_link_t *link, const char *door);
xo_link_t *xo_link_incref(xo_link_t *link);
void xo_link_decref(xo_link_t *link);                     /* takes NULL */
bool xo_link_up(const xo_link_t *link);                   /* handshake done and not closed */
const xo_identity_t *xo_link_peer(const xo_link_t *link); /* role 0 before the handshake */
const char *xo_link_scheme(const xo_link_t *link);        /* the lane's: "inproc", "shm", "tcp" */
/* Memory for a buffer of a message that is to be sent over this link (NULL: any), see
 * xo_lane_buffer. */
int xo_link_buffer(xo_link_t *link, size_t size, zmq_msg_t *out);
const xo_lane_stats_t *xo_link_stats(const xo_link_t *link);
/* Does the peer get all that was sent over it, even if this process is killed now? Only through
 * shared memory can that be known without asking. */
bool xo_link_settle(xo_link_t *link);
/* Was the peer woken up for what was sent, and has it not gone to sleep again since? False: unless
 * it is shared memory, nobody knows. */
bool xo_link_is_awaited(const xo_link_t *link);
/* The peer's process has ended: what it has left in shared memory is delivered before this returns.
 * Not from within a callback of the link. */
void xo_link_drain(xo_link_t *link);
/* Closes it as if the peer had died for the reason given: calls over it are answered with it. */
void xo_link_close(xo_link_t *link, const xo_error_t *why);

/* ---- sending ---- */

typedef struct xo_call xo_call_t;

/* Gets exactly one answer: an XO_RESULT or XO_ERROR, remote or made here. Takes *answer over if it
 * sets it NULL. NULL itself: out of memory for an error made here. The call is gone after this
 * returns. Never called from within the function that made the call. */
typedef void (*xo_answer_f)(xo_call_t *call, xo_msg_t **answer, void *arg);

enum {
    XO_SEND_QUEUE = 1 << 0, /* without credit, wait in the link's queue instead of EAGAIN. The
                               caller bounds how much it has waiting. */
    XO_SEND_NEWS = 1 << 1,  /* an event that may be lost, if the peer takes nothing for long */
    XO_SEND_THERE = 1 << 2  /* a call of a name goes where it is sent, wherever its actor is */
};

/* A call of an actor by its name alone, or its end, or whether it is there: those reach it in their
 * order, wherever it is (line.c). */
bool xo_joins_line(const xo_header_t *header);
bool xo_kind_joins_line(xo_kind_t kind); /* may it be such a one? */

/* Sends a request that gets an answer (call, batch, create, destroy, ref, has). Takes *msg over
 * when it succeeds. `link` NULL: to this endpoint itself. deadline_ns: 0 none, else from now: the
 * answer then is DeadlineExceeded and the peer gets a cancel. -1: EAGAIN (no credit, or the actor
 * is muted; use xo_link_on_room_for), ENOMEM. A link that is closed is answered with ServerClosed,
 * not refused. */
xo_call_t *xo_endpoint_call(xo_endpoint_t *endpoint, xo_link_t *link, xo_msg_t **msg,
                            unsigned flags, int64_t deadline_ns, xo_answer_f answer, void *arg,
                            xo_error_t *err);
uint64_t xo_call_seq(const xo_call_t *call);
/* Asks the peer to cancel; the answer still comes, exactly once. If the message has not left yet or
 * the link is gone, it comes (Cancelled, executed "no") without the peer. */
void xo_call_cancel(xo_call_t *call);
/* Gives up the interest: the callback will not be called; the peer gets a cancel. */
void xo_call_abandon(xo_call_t *call);

/* Instead of news that were lost: {count uint}. */
#define XO_EVENT_LOST "news.lost"

/* Sends what gets no answer (tell, event, heartbeat). For a peer that takes nothing one heartbeat
 * waits, the last, and of events with XO_SEND_NEWS the last few hundred; other events all wait.
 * `accepted` (may be NULL) is called once: with NULL when the lane took it, or with why it became a
 * dead letter, as it is said of calls (never from within). Takes *msg over when it succeeds. -1:
 * EAGAIN, EPIPE (closed: counted as a dead letter), ENOMEM. */
typedef void (*xo_accepted_f)(const xo_failure_t *why, void *arg);
int xo_endpoint_tell(xo_endpoint_t *endpoint, xo_link_t *link, xo_msg_t **msg, unsigned flags,
                     xo_accepted_f accepted, void *arg, xo_error_t *err);

/* Calls back once when `link` has credit again. */
typedef void (*xo_room_f)(xo_link_t *link, void *arg);
int xo_link_on_room(xo_link_t *link, xo_room_f room, void *arg);
/* The same for who would send to the actor `uid`, which may have enough for now (xo_link_mute). */
int xo_link_on_room_for(xo_link_t *link, xo_slice_t uid, xo_room_f room, void *arg);

/* ---- answering ---- */

/* Where an answer goes; copy it out of the request. Hold a reference on `link` while you keep it.
 */
typedef struct xo_return {
    xo_link_t *link; /* NULL: this endpoint */
    uint64_t to_id;
    uint64_t seq;
} xo_return_t;

xo_return_t xo_return_of(xo_link_t *from, const xo_msg_t *request);
/* Sends *answer (XO_RESULT or XO_ERROR; its seq and target are set here) back. A caller that is
 * gone makes it a dead letter; that is counted, not an error. Always takes it over. */
void xo_endpoint_answer(xo_endpoint_t *endpoint, const xo_return_t *to, xo_msg_t **answer);
/* Gives credit back to the link for one request of `bytes` bytes. NULL link: nothing to do. */
void xo_endpoint_consumed(xo_endpoint_t *endpoint, xo_link_t *link, size_t bytes);
/* A tell whose credit the next xo_endpoint_consumed gives back has come to wait in a mailbox, or
 * waits there no more. If this process dies its sender counts those whose credit it has not got
 * yet; how many others there are stands in *boxed, which whoever sees it die can read: it is the
 * caller's, and outlives the endpoint. */
void xo_endpoint_show_boxed(xo_endpoint_t *endpoint, _Atomic uint64_t *boxed);
void xo_link_box(xo_link_t *link);
void xo_link_unbox(xo_link_t *link);
/* A tell of the peer's is dropped since this endpoint is about to end, and its dead letter with it:
 * the peer hears how many there were, and counts them as lost. NULL link: it is our own. */
void xo_link_undelivered(xo_link_t *link);
/* So many tells died with the process at `address`: counted as lost, with one letter for all. */
void xo_endpoint_drop_boxed(xo_endpoint_t *endpoint, const char *address, uint64_t count);
/* Has the peer taken the answers that it got, but for less than its window? Who begins a request of
 * a peer that has not keeps what it is answered with until then: better to let it wait for
 * ops->answers_taken. True for a link that is not up, whose answers go nowhere. */
bool xo_link_takes_answers(const xo_link_t *link);
/* Asks the peer to keep what it has for the actor `uid` of ours, until it is asked for it again
 * (`muted` false); what is under way still comes. So one actor's messages need not take up all the
 * credit of the link. Peers of older versions cannot do that. */
bool xo_link_can_mute(const xo_link_t *link);
void xo_link_mute(xo_link_t *link, xo_slice_t uid, bool muted);

/* An endpoint died (the broker's "pool.down" said so): closes its link, answers calls to it,
 * relayed ones too. */
void xo_endpoint_peer_down(xo_endpoint_t *endpoint, uint64_t peer_id, const char *reason);

/* ---- counters ---- */
typedef enum {
    XO_DROP_NO_ACTOR,  /* a tell to an actor that does not exist */
    XO_DROP_STALE,     /* to another incarnation */
    XO_DROP_DEADLINE,  /* its deadline had passed */
    XO_DROP_CLOSED,    /* its link closed before it left */
    XO_DROP_NO_CALLER, /* an answer whose caller is gone */
    XO_DROP_NO_ROUTE,  /* to be relayed, but to nobody known */
    XO_DROP_MALFORMED, /* a frame that does not decode */
    XO_DROP_REFUSED,   /* a handshake, or a pickle (codec.h) */
    XO_DROP_OVERRUN,   /* a peer sent more than its credit */
    XO_DROP_ERROR,     /* a tell whose method failed */
    XO_DROP_STALLED,   /* news for a peer that took nothing */
    XO_DROP_LOST,      /* a tell that had left when its link ended: it may have run */
    XO_DROP_REASONS
} xo_drop_t;
const char *xo_drop_name(xo_drop_t reason); /* "no-actor", ... */
void xo_endpoint_count_drop(xo_endpoint_t *endpoint, xo_drop_t reason);
/* Somebody (`who`) was refused before there was a lane: counts it, and has ops->refused told. */
void xo_endpoint_refused(xo_endpoint_t *endpoint, xo_drop_t reason, const char *who,
                         const char *why);
/* A message is dropped: counts it, and keeps its names and size among the last 128 such dead
 * letters; of its body the first $XO_LETTER_BYTES bytes (none by default). It stays the caller's.
 */
void xo_endpoint_drop(xo_endpoint_t *endpoint, xo_drop_t reason, const xo_msg_t *msg);
/* Appends the last `max` dead letters to `out`, the oldest first, as an array of maps
 * (doc/wire.md), with what was kept of their bodies if `payload`. */
void xo_endpoint_letters(const xo_endpoint_t *endpoint, size_t max, bool payload, xo_buf_t *out);
const uint64_t *xo_endpoint_drops(const xo_endpoint_t *endpoint); /* XO_DROP_REASONS of them */

/* Messages and bytes in and out per lane scheme since the start, closed links included. `local` is
 * what stayed in the endpoint. Fills at most `max` rows; returns how many. */
typedef struct xo_lane_total {
    const char *scheme;
    xo_lane_stats_t stats;
} xo_lane_total_t;
size_t xo_endpoint_lane_totals(const xo_endpoint_t *endpoint, xo_lane_total_t *rows, size_t max);
size_t xo_endpoint_lent_bytes(const xo_endpoint_t *endpoint); /* see xo_lane_lent_bytes */

#endif
