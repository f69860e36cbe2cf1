/* endpoint_impl.h - what the files of the endpoint share; nobody else includes it.
 *
 * endpoint.c   identity, counters, the end        listen.c     where others reach it
 * link.c       life of a link                     handshake.c  hello and welcome as bytes, pure
 * greet.c      what hello and welcome do          outbox.c     credit and what waits for it
 * mute.c       what waits for one actor           news.c       heartbeats and events
 * call.c       calls, tells, answers              own_call.c   calls to the endpoint itself
 * route.c      where an incoming message goes
 * way.c        which lane leads to an address     refusal.c    what is told of those refused
 * again.c      idempotent calls that are sent again
 * bulk*.c      large buffers, on a lane of their own: bulk.h
 */
#ifndef XO_ENDPOINT_IMPL_H
#define XO_ENDPOINT_IMPL_H

#include <utlist.h>

#include "libxo/bulk.h"
#include "libxo/endpoint.h"
#include "libxo/hash.h"
#include "libxo/letters.h"
#include "libxo/lost.h"
#include "libxo/own_call.h"
#include "libxo/table.h"

#define XOI_MACHINE_BYTES 96
/* An answer within the pool runs its caller's callback at once, which may answer in turn: a long
 * chain goes on in the deferred pass, so it does not use up the stack. */
#define XOI_NESTED_MAX 32
#define XOI_LINK_ADDRESS_BYTES 384 /* "host:port" or a lane endpoint */
#define XOI_LANE_ENDPOINT_BYTES 640
#define XOI_HANDSHAKE_MS 5000
/* How long at most a lane that broke waits for the word on why the peer died: on a busy machine a
 * process may be a while between the end of its sockets and its own. */
#define XOI_POST_MORTEM_MS 1000
/* How long who found nobody at an address waits for the broker's word on that. */
#define XOI_WHY_MS 1000
/* How long a lane may still deliver what a dead process had sent. */
#define XOI_DRAIN_MS 50

/* The word that a tell was accepted, or not: made with the tell, so that it cannot fail to come. */
typedef struct xoi_notice {
    xo_accepted_f accepted;
    void *arg;
    xo_link_t *closed; /* NULL: it was accepted */
    struct xoi_notice *prev, *next;
} xoi_notice_t;

/* Something that waits in a link's outbox for credit, or for the handshake. */
typedef struct xoi_outgoing {
    xo_msg_t *msg;
    size_t bytes;            /* the message's */
    xo_call_t *call;         /* NULL: a tell */
    xoi_notice_t *notice;    /* NULL: nobody wants to know */
    struct xoi_muted *muted; /* in whose outbox it is; NULL: the link's */
    struct xoi_outgoing *prev, *next;
} xoi_outgoing_t;

typedef struct xoi_waiter {
    xo_room_f room;
    void *arg;
    struct xoi_waiter *prev, *next;
} xoi_waiter_t;

/* An actor of the peer's that has enough for now. */
typedef struct xoi_muted {
    xoi_outgoing_t *outbox;
    xoi_waiter_t *waiters;
    UT_hash_handle hh;
    char uid[];
} xoi_muted_t;

typedef enum {
    XOI_LINK_DIALING,  /* hello sent, welcome expected */
    XOI_LINK_ACCEPTED, /* hello expected */
    XOI_LINK_UP,
    XOI_LINK_DYING, /* lane gone, calls not answered yet: the reason may come */
    XOI_LINK_CLOSED
} xoi_link_state_t;

#define XOI_NEWS_WINDOW 64 /* heartbeats and events */

typedef struct xoi_credit {
    int64_t messages;
    int64_t bytes;
    int64_t large; /* bytes of messages of XO_INLINE_BYTES_MAX and more, on links with chunks: they
                      would keep the small ones waiting */
    int64_t answers; /* bytes of answers to requests of the one who grants them */
    int64_t news;    /* heartbeats and events */
} xoi_credit_t;

/* The ways to an address of this machine, the nearest first. */
typedef enum { XOI_BY_SHM, XOI_BY_IPC, XOI_BY_TCP } xoi_way_t;

/* What one side of a handshake says about chunks (bulk.h). */
typedef struct xoi_bulk_offer {
    uint64_t window; /* bytes of them that it takes ahead; 0: it knows nothing of them */
    uint64_t token;  /* of a welcome: who knows it may attach a lane to the link */
} xoi_bulk_offer_t;

/* What its broker says of a pool at an address where nobody is; or it names the node's port
 * instead. */
typedef enum { XOI_POOL_UNKNOWN, XOI_POOL_COMES_BACK, XOI_POOL_FAILED } xoi_pool_state_t;

struct xo_link {
    xo_endpoint_t *endpoint;
    int refs;
    xoi_link_state_t state;
    xo_lane_t *lane; /* NULL once closed */
    const char *scheme;
    xo_identity_t peer;
    char address[XOI_LINK_ADDRESS_BYTES];        /* key in by_address; "" : in no table */
    char lane_endpoint[XOI_LANE_ENDPOINT_BYTES]; /* what was dialled */
    bool dialled;
    xoi_way_t way;               /* the nearest that is left to try */
    char door[XO_ADDRESS_BYTES]; /* the node's port, since nobody answered at the address; "" */
    bool same_machine;
    xo_error_t why;
    char reason[160]; /* who died and why, in a few words; "" : by why.errnum */
    xoi_pool_state_t pool_state;
    xo_timer_t timer; /* handshake, later draining and post-mortem */
    xo_io_t pidfd;

    xoi_credit_t window; /* what the peer granted altogether */
    xoi_credit_t credit; /* what is left of it */
    xoi_left_t left;     /* on it */
    xoi_outgoing_t *outbox;
    size_t outbox_count, outbox_bytes; /* of the muted, too */
    xoi_muted_t *muted;                /* by uid */
    size_t refused_bytes;              /* the message last refused with EAGAIN */
    bool refused_bulk;                 /* it would have gone in chunks */
    xo_msgq_t urgent;    /* answers and control, when the lane is full or the link not up yet */
    xo_msg_t *heartbeat; /* that waits, as the rest here: see news.c. NULL: none */
    xo_msgq_t news;
    uint64_t news_lost; /* before these */
    xoi_waiter_t *waiters;

    xoi_credit_t held;    /* requests received whose credit has not gone back */
    xoi_credit_t handled; /* of these, handled: to go back next */
    xoi_boxed_t boxed;
    bool can_mute;       /* the peer understands that an actor has enough */
    bool counts_answers; /* the peer says how much of them it has taken */
    bool counts_news;    /* ... and of heartbeats and events */
    bool eager;          /* the peer asked for all: goes back at the end of each pass */
    bool broken;         /* no memory for what has to be sent: closes in the deferred pass */
    xo_defer_t credit_defer;

    uint64_t bulk_window; /* that the peer grants; 0: it gets all over the lane */
    uint64_t bulk_token;
    struct xoi_bulk *bulk; /* NULL: not needed yet */
    bool ending;           /* one lane is gone, for `why`; what the other brings still counts */

    xo_call_t *calls; /* under way over this link */
    xo_lane_stats_t last_stats;
    struct xo_link *prev, *next;
    bool in_address_table, in_id_table;
    UT_hash_handle hh_address;
    UT_hash_handle hh_id; /* by peer.id; of two links to one peer, the first */
};

struct xo_call {
    xo_endpoint_t *endpoint;
    uint64_t seq;
    uint64_t target_id;
    xo_link_t *link; /* NULL: to this endpoint itself */
    xo_answer_f answer;
    void *arg;
    xoi_outgoing_t *outgoing;      /* while it has not left */
    struct xoi_transfer *transfer; /* while buffers of its request have not left */
    struct xoi_incoming *arriving; /* its answer, while chunks of it come */
    struct xoi_again *again;       /* NULL: it is not sent again */
    bool in_flight_local;          /* its request, or its cancel, is being delivered right now */
    bool answered;                 /* out of the table; its answer waits to be delivered */
    bool limited;                  /* it has a deadline: `timer` is set */
    bool there;                    /* XO_SEND_THERE */
    xoi_own_cancel_f own_cancel;   /* of own_call.h: it is in no table and list */
    xo_call_t **asked;             /* in its request, while that is there */
    xo_msg_t *reply;
    /* From here on written before it is read: of own_call.h's it is not cleared. */
    struct xo_call *prev, *next;           /* in link->calls, or endpoint->own_calls */
    struct xo_call *prev_done, *next_done; /* in endpoint->done */
    xo_timer_t timer;
};

/* A request passed on for somebody else, so that it can be cancelled by its original name. */
typedef struct xoi_proxy {
    struct {
        uint64_t sender_id;
        uint64_t seq;
    } key;
    xo_endpoint_t *endpoint;
    xo_return_t to;
    size_t bytes;
    xo_call_t *call;
    UT_hash_handle hh;
} xoi_proxy_t;

typedef struct xoi_door {
    xo_listener_t *listener;
    struct xoi_door *next;
} xoi_door_t;

#define XOI_REFUSAL_WHO_BYTES 128
#define XOI_REFUSAL_SOURCES 8 /* told apart within a minute; more share one place */

typedef struct xoi_refusals {
    char who[XOI_REFUSAL_WHO_BYTES]; /* "": free */
    int64_t told_ns;
    uint64_t untold; /* since then */
} xoi_refusals_t;

struct xo_endpoint {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    xo_identity_t self;
    xo_endpoint_options_t options;
    xo_endpoint_ops_t ops;
    void *arg;
    char machine[XOI_MACHINE_BYTES];
    char local_address[XO_ADDRESS_BYTES]; /* registered with the ctx; "" : not */
    char tcp_only[XO_ERROR_TEXT_BYTES];   /* see xo_endpoint_tcp_only; "": not */
    bool closing;
    int post_mortem_ms; /* XOI_POST_MORTEM_MS, shorter in tests */

    xoi_door_t *doors;
    xo_link_t *links;
    xo_link_t *by_address;
    xo_link_t *by_id;
    xo_link_t *broker;
    bool has_had_broker;

    struct xoi_line *lines;  /* line.c */
    struct xoi_moved *moved; /* moved.c; NULL: none, as it mostly is */
    uint64_t moves;          /* how often it has changed */

    uint64_t next_seq;
    xoi_table_t calls;    /* by seq */
    xo_call_t *own_calls; /* those to this endpoint itself */
    xo_call_t *done;      /* answered, callback to come */
    int nested;           /* answers being delivered inside one another */
    xoi_proxy_t *proxies;
    xoi_notice_t *notices;
    xo_defer_t defer;

    uint64_t drops[XO_DROP_REASONS];
    _Atomic uint64_t *boxed; /* NULL: nobody looks */
    xoi_letters_t letters;
    xoi_refusals_t refusals[XOI_REFUSAL_SOURCES];
    uint64_t own_messages, own_bytes; /* from this endpoint to itself */
    xo_lane_total_t totals[8];
    size_t totals_count;
};

/* handshake.c: pure */
void xoi_machine_id(char *text, size_t size);
typedef struct xoi_hello {
    xo_identity_t peer;
    char machine[XOI_MACHINE_BYTES];
    char expect[XO_ADDRESS_BYTES];
    xoi_credit_t window;
    xoi_bulk_offer_t bulk;
    bool bundles; /* it understands them */
    bool mutes;   /* it understands that an actor has enough */
    bool answers; /* it says how much of them it has taken */
    bool news;    /* and of these */
} xoi_hello_t;
/* `bulk` NULL: nothing is said of it. */
void xoi_hello_pack(const xo_endpoint_t *endpoint, const char *expect, const xoi_bulk_offer_t *bulk,
                    xo_buf_t *out);
int xoi_hello_read(xo_slice_t body, xoi_hello_t *hello, xo_error_t *err);

/* link.c */
extern const xo_lane_events_t xoi_link_lane_events;
xo_link_t *xoi_link_create(xo_endpoint_t *endpoint, const char *address);
int xoi_link_dial(xo_link_t *link, xo_error_t *err);
void xoi_link_accept(xo_endpoint_t *endpoint, xo_lane_t *lane);
int xoi_link_table_add(xo_link_t *link); /* -1: no memory to be found */
void xoi_link_table_remove(xo_link_t *link);
void xoi_link_closed(xo_link_t *link, const xo_error_t *why);
void xoi_link_finish(xo_link_t *link); /* its lane is gone: answers its calls */
const char *xoi_link_reason(const xo_link_t *link);
void xoi_link_protocol_error(xo_link_t *link, const char *what);
/* There is no memory for what the peer waits for, and nothing would say when to try again: the link
 * closes in the deferred pass, which answers the peer's calls and ours. */
void xoi_link_break(xo_link_t *link);
void xoi_link_forget(xo_link_t *link); /* an accepted one that turned out to be none */
/* One lane is gone: the link closes for `why`; if `wait`, when the other has brought what was sent
 * before. */
void xoi_link_end(xo_link_t *link, const xo_error_t *why, bool wait);
/* Something came on a link that ends: what is still to come has all its time again. */
void xoi_link_goes_on(xo_link_t *link);

/* way.c: which lane leads to an address */
int xoi_way_choose(xo_link_t *link, xo_error_t *err); /* sets lane_endpoint and way */
bool xoi_way_next(xo_link_t *link, int errnum); /* after that did not work: false: there is none */
/* Where shm and ipc are listened to for an address. */
void xoi_way_endpoint(const xo_ctx_t *ctx, xoi_way_t way, const char *address, char *text,
                      size_t size);

/* why.c: the lane is gone, or nobody was there. true: the reason may come in a moment */
bool xoi_why_comes(xo_link_t *link);

/* greet.c: the handshake's effects */
int xoi_greet_send(xo_link_t *link, xo_kind_t kind);
void xoi_greet(xo_link_t *link, const xo_msg_t *msg);

/* endpoint.c */
void xoi_letters_keep_lost(xo_endpoint_t *endpoint, xo_drop_t reason, const char *to,
                           uint64_t count);
void xoi_totals_add(xo_endpoint_t *endpoint, const char *scheme, const xo_lane_stats_t *stats);

static inline bool xoi_is_answer(xo_kind_t kind)
{
    return kind == XO_RESULT || kind == XO_ERROR;
}

/* outbox.c */
int xoi_submit(xo_link_t *link, xo_msg_t **msg, unsigned flags, xo_call_t *call,
               xoi_notice_t *notice, xo_error_t *err);
void xoi_send_urgent(xo_link_t *link, xo_msg_t **msg);
void xoi_outbox_flush(xo_link_t *link);
void xoi_outbox_fail(xo_link_t *link);
void xoi_outgoing_drop(xo_link_t *link, xoi_outgoing_t *outgoing);
void xoi_credit_arrived(xo_link_t *link, const xo_msg_t *msg);
void xoi_credit_deferred(xo_defer_t *defer, void *arg);
/* Account for a request that arrived. -1: the peer had no credit for it. */
int xoi_credit_take_message(xo_link_t *link);
int xoi_credit_take_bytes(xo_link_t *link, size_t bytes);
/* Uses up credit for the buffers of a message of `bytes` bytes. False: there is not enough. */
bool xoi_credit_use_large(xo_link_t *link, size_t bytes);
void xoi_credit_ask(xo_link_t *link, size_t bytes);
/* An answer has come, `bytes` altogether, or what is left of it is not wanted. */
void xoi_credit_answered(xo_link_t *link, size_t bytes);

/* Waits in `waiters`, the link's or those of one that is muted. -1: ENOMEM. */
int xoi_wait_for_room(xo_link_t *link, xoi_waiter_t **waiters, xo_room_f room, void *arg);

/* A heartbeat or an event has come. */
void xoi_credit_news(xo_link_t *link);
/* -1: the lane has no room, or the link will close for want of memory. */
int xoi_send_or_break(xo_link_t *link, xo_msg_t **msg);

/* Gives back what has been handled, before the link ends: what the peer misses then is lost. */
void xoi_credit_settle(xo_link_t *link);

/* news.c */
bool xoi_is_news(xo_kind_t kind);
/* A heartbeat, or an event that may be lost. Takes *msg over. */
void xoi_news_send(xo_link_t *link, xo_msg_t **msg);
int xoi_news_flush(xo_link_t *link); /* -1: the lane has no room */
void xoi_news_fail(xo_link_t *link); /* the link is closed */

/* mute.c */
xoi_muted_t *xoi_muted_for(const xo_link_t *link, const xo_msg_t *msg); /* NULL: it may be sent */
void xoi_mute_arrived(xo_link_t *link, const xo_msg_t *msg);
void xoi_mutes_end(xo_link_t *link); /* what waited for them is the link's again */

/* call.c */
void xoi_call_limit(xo_call_t *call, int64_t deadline_ns); /* 0: to no time */
void xoi_call_answer(xo_call_t *call, xo_msg_t **msg);
/* Where there is no answer it is that there was no memory for one. False: not even for that. */
bool xoi_has_answer(xo_msg_t **answer, uint64_t seq);
void xoi_call_finish(xo_call_t *call, xo_msg_t **reply);
xo_msg_t *xoi_call_failure(const xo_call_t *call, const char *code, const char *executed,
                           const char *reason, const char *message);
void xoi_call_fail(xo_call_t *call, const char *code, const char *executed, const char *reason,
                   const char *message);
void xoi_calls_of_link_fail(xo_link_t *link);
bool xoi_call_may_have_run(const xo_call_t *call);
/* Takes it off its link, with what has not left, and gives it to another; NULL: none for now. */
void xoi_call_move(xo_call_t *call, xo_link_t *link);
void xoi_answer_arrived(xo_endpoint_t *endpoint, const xo_link_t *from, xo_msg_t **msg);
/* `closed`: the link with which it was lost, or NULL. No notice: to nobody. */
void xoi_notify(xo_endpoint_t *endpoint, xoi_notice_t *notice, xo_link_t *closed);
void xoi_run_deferred(xo_defer_t *defer, void *arg);
void xoi_cancel_send(xo_endpoint_t *endpoint, xo_link_t *link, uint64_t target_id, uint64_t seq);

/* line.c: calls of one name that have no answer yet, in the order in which they were made. It goes
 * with the last of them. None before `first` waits until the actor is found; NULL: none does. */
typedef struct xoi_line {
    UT_hash_handle hh; /* by uid */
    xo_endpoint_t *endpoint;
    struct xoi_again *calls, *first;
    bool asked; /* what is sent next is behind what has no answer yet */
    bool seeks; /* some wait, and so does what comes after them */
    bool held;  /* it stays, though it may be empty */
    xo_timer_t timer;
    int64_t backoff_ns;
    xo_call_t *lookup; /* of where it is; NULL: none is under way */
    size_t size;
    char uid[];
} xoi_line_t;

int xoi_line_join(struct xoi_again *again); /* -1: ENOMEM */
void xoi_line_leave(struct xoi_again *again);
void xoi_line_hold(xoi_line_t *line);
void xoi_line_release(xoi_line_t *line); /* one that is held */
/* Of a call about to be sent: whether it is behind others; and of a tell, for whatever actor. */
void xoi_line_stamp(xoi_line_t *line, xo_msg_t *msg);
void xoi_line_stamp_tell(const xo_endpoint_t *endpoint, xo_msg_t *msg);
void xoi_line_wait(struct xoi_again *again); /* it does from now on, until the actor is found */
struct xoi_again *xoi_line_first_waiting(xoi_line_t *line); /* NULL: none does */
bool xoi_line_is_open(xoi_line_t *line); /* what is behind it has to be answered before it goes */

/* seek.c: where an actor with a name is, if it is not where it was */
/* After its link has ended; after such a failure, which says that it has not run. */
bool xoi_seek_may(struct xoi_again *again, const xo_link_t *link);
bool xoi_seek_may_after(struct xoi_again *again, const xo_failure_t *failure);
void xoi_seek_init(xoi_line_t *line);
void xoi_seek_later(xoi_line_t *line); /* for those of it that wait */
void xoi_seek_stop(xoi_line_t *line);

/* moved.c */
typedef struct xoi_moved xoi_moved_t;
const char *xoi_moved_where(const xo_endpoint_t *endpoint, xo_slice_t uid, const char *address);
void xoi_moved_put(xo_endpoint_t *endpoint, xo_slice_t uid, const char *from, const char *to);
void xoi_moved_free(xo_endpoint_t *endpoint);

/* call.c: a request of ours to ourselves; `call` NULL: a tell */
void xoi_deliver_local(xo_endpoint_t *endpoint, xo_call_t *call, xo_msg_t **msg);

/* again.c: idempotent calls that outlive a link, and calls of names, which find their actor anew */
#define XOI_AGAIN_FIRST_NS (10 * XO_MS)
#define XOI_AGAIN_MAX_NS (500 * XO_MS)

typedef struct xoi_again {
    xo_call_t *call;
    xo_msg_t *msg; /* stays here; copies of it are sent */
    char address[XOI_LINK_ADDRESS_BYTES];
    int64_t begun_ns;
    int64_t hope_ns; /* when there was a sign of it last */
    int64_t backoff_ns;
    bool idempotent;
    bool asks;      /* only whether its actor is there: once more does no harm */
    bool seeks;     /* its actor is looked for before it is sent again */
    bool waits;     /* the call has no link */
    bool has_left;  /* it was sent: it may have run */
    bool cancelled; /* it is not sent again: its answer is waited for */
    xo_timer_t timer;
    xoi_line_t *line; /* its actor has a name, and may be elsewhere; NULL: it has none */
    struct xoi_again *prev, *next; /* in the line */
    int64_t sought_ns;             /* since when it has been looked for; 0: it has not */
    xo_msg_t *refusal;             /* why not where it was sent last; NULL: nothing */
} xoi_again_t;

bool xoi_again_may_do_better(const xo_link_t *link); /* has it ended so that a new one may? */
int64_t xoi_again_backoff(int64_t *backoff_ns);      /* how long to wait now; it grows */
bool xoi_again_send(xoi_again_t *again);             /* false: it waits once more */
void xoi_again_seek(xoi_again_t *again);             /* it waits until its actor is found */
bool xoi_again_wants(const xo_call_t *call, const xo_msg_t *msg);
int xoi_again_keep(xo_call_t *call, const xo_msg_t *msg); /* -1: ENOMEM */
/* Its link has ended: true if it will be sent again. */
bool xoi_again_later(xo_call_t *call);
/* The same, after this answer, which is that of a pool that ends. */
bool xoi_again_refused(xo_call_t *call, xo_msg_t **answer);
void xoi_again_cancel(xo_call_t *call); /* it has left */
/* A new one: others to its actor wait, and so does it. */
bool xoi_again_stays(xo_call_t *call);
bool xoi_again_waits(const xoi_again_t *again);    /* for the next link; takes NULL */
bool xoi_again_seeks(const xoi_again_t *again);    /* waits until its actor is found */
bool xoi_again_has_left(const xoi_again_t *again); /* over an earlier link; takes NULL */
const char *xoi_again_address(const xoi_again_t *again);
void xoi_again_forget(xo_call_t *call); /* one with `again`: it will not be sent again */

/* The call that a request is, unless it gets no answer; and the one that waits for an answer. */
xo_call_t *xoi_call_of(xo_endpoint_t *endpoint, const xo_header_t *header);
xo_call_t *xoi_call_awaited(xo_endpoint_t *endpoint, const xo_link_t *from, uint64_t seq);

/* refusal.c: counts it, and has it logged unless the source was only just told of */
void xoi_refused(xo_endpoint_t *endpoint, xo_drop_t reason, const char *who, const char *why);
void xoi_link_refused(xo_link_t *link, const xo_identity_t *peer, xo_drop_t reason,
                      const char *why);

/* route.c */
void xoi_route(xo_link_t *link, xo_msg_t **msg);
/* May it come over this link? Takes its credit; if its buffers come in chunks, they take theirs
 * later. False: no, and the link is closed. */
bool xoi_request_admit(xo_link_t *link, const xo_msg_t *msg, bool in_chunks);
void xoi_credit_overrun(xo_link_t *link);
void xoi_request(xo_link_t *link, xo_msg_t **msg); /* one that was admitted, in its turn */
bool xoi_wants_answer(const xo_header_t *header);

#endif
