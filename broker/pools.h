/* pools.h - the pools of this node, as its broker sees them.
 */
#ifndef XO_BROKER_POOLS_H
#define XO_BROKER_POOLS_H

#include <uthash.h>

#include "broker/policy.h"
#include "broker/record.h"
#include "libxo/endpoint.h"
#include "libxo/progress.h"

typedef enum {
    XO_POOL_STARTING,   /* its process runs and has not said hello */
    XO_POOL_RECOVERING, /* it was started again, and its actors are being created again */
    XO_POOL_READY,
    XO_POOL_SUSPECT,    /* silent for too long, or its link is lost while its process lives */
    XO_POOL_RESTARTING, /* its process ended; the next one waits for the backoff */
    XO_POOL_STOPPING,
    XO_POOL_FAILED /* given up */
} xo_pool_state_t;

#define XO_LANGUAGE_BYTES 16
#define XO_GPUS_BYTES 256
#define XO_POOL_LANES_BYTES_MAX 1024

typedef struct xo_actor_entry xo_actor_entry_t; /* directory.h */
typedef struct xo_run xo_run_t;                 /* supervisor_impl.h: how its process is run */
typedef struct xo_waiter xo_waiter_t;           /* supervisor_impl.h */
typedef struct xo_supervisor xo_supervisor_t;
typedef struct xo_recovery xo_recovery_t; /* recover.c */

typedef struct xo_member {
    uint64_t id; /* of the pool, over restarts */
    uint64_t node_id;
    uint64_t endpoint; /* of its process; 0: none now */
    uint32_t generation;
    int index;
    char label[XO_LABEL_BYTES];
    char address[XO_ADDRESS_BYTES]; /* advertised; "host:0" before the first hello */
    xo_pool_state_t state;
    char reason[XO_ERROR_TEXT_BYTES]; /* why it is not as it should be; "": it is */
    int64_t pid;                      /* 0: no process */
    xo_end_t end;                     /* how its last process ended */
    uint64_t last_endpoint;           /* of the last process that was ready and ended; 0: none */
    char last_reason[XO_ERROR_TEXT_BYTES]; /* how it ended */
    int64_t started;                       /* Unix seconds, this generation */
    int64_t starting_ns; /* since when it starts, by the clock of all this machine's brokers; 0: it
                            has been ready */
    uint64_t restarts;
    xo_link_t *link;  /* a reference; NULL: none */
    int64_t moved_ns; /* when its loop was last known to move, by the broker's clock */
    unsigned checks;  /* of its liveness since then */
    unsigned rested;  /* of those that found it asleep since it was last awake */
    bool changed;     /* since it was last published */
    bool ending;      /* it has said that it ends, which the broker need not have asked for */

    /* What its last heartbeat said. */
    char language[XO_LANGUAGE_BYTES];
    char gpus[XO_GPUS_BYTES];
    int64_t numa;
    int64_t waiting, handled;
    int64_t drops[XO_DROP_REASONS];
    xo_buf_t lanes;  /* a msgpack map or empty */
    int64_t page_at; /* the descriptor of its progress page there; -1: none */

    /* stall.c's: what its loop does, as far as its progress page tells. */
    int page;           /* a descriptor; -1: none */
    int64_t page_of;    /* the page_at that it was opened for, or could not be; -1: none */
    int state_fd;       /* with it, for xo_proc_state; -1: none */
    bool looked;        /* since it was last heard, and then it had... */
    uint64_t count;     /* ...so much progress */
    uint64_t lost;      /* tells that were in its last process' mailboxes when it died */
    int64_t busy_since; /* Unix seconds; of `seen`, if that is in a method */
    xo_progress_seen_t seen;

    xo_actor_entry_t *entries; /* the directory's */
    size_t entry_count;
    size_t coming;     /* actors that the registry has been asked for, for it */
    size_t spec_bytes; /* of the entries' specs */

    int64_t lease_ns; /* names.c's: until when it may use them, as it was told; 0: it was not */

    /* recover.c's. */
    bool recovers;           /* its actors are to be created again */
    bool away;               /* since its process ended, until all is as it was */
    bool undecided;          /* its actors' end: what creates them is being read (reload.c) */
    xo_recovery_t *recovery; /* under way; NULL: none */

    /* The supervisor's. */
    xo_supervisor_t *supervisor;
    const xo_policy_t *policy; /* of its process; NULL: it joined by itself */
    xo_run_t *run;             /* shared by the pools of a process; NULL: it joined by itself */
    xo_timer_t timer;          /* what for follows from the state */
    xo_waiter_t *waiters;      /* for it to be ready, or gone */
    UT_hash_handle hh;
} xo_member_t;

typedef struct xo_pools {
    uint64_t node_id;
    xo_member_t *table; /* by id; in the order in which they came */
} xo_pools_t;

const char *xo_pool_state_name(xo_pool_state_t state);
const char *xo_member_state_name(const xo_member_t *member); /* as its record has it */

/* NULL: ENOMEM. */
xo_member_t *xo_pools_add(xo_pools_t *pools, uint64_t id);
/* Frees it; its run and entries must be gone. */
void xo_pools_remove(xo_pools_t *pools, xo_member_t *member);
xo_member_t *xo_pools_first(const xo_pools_t *pools);
xo_member_t *xo_pools_last(const xo_pools_t *pools);
xo_member_t *xo_pools_next(const xo_member_t *member);
xo_member_t *xo_pools_previous(const xo_member_t *member);
size_t xo_pools_count(const xo_pools_t *pools);

xo_member_t *xo_pools_find(const xo_pools_t *pools, uint64_t id);
/* By any of its links: who links again may do so before the end of the first one is seen. */
xo_member_t *xo_pools_by_link(const xo_pools_t *pools, const xo_link_t *link);
xo_member_t *xo_pools_by_index(const xo_pools_t *pools, int index);
/* By address or by id in hex. */
xo_member_t *xo_pools_by_name(const xo_pools_t *pools, xo_slice_t name);
int xo_pools_free_index(const xo_pools_t *pools); /* the smallest */

void xo_member_set_state(xo_member_t *member, xo_pool_state_t state);
/* Replaces the link; NULL: none. */
void xo_member_set_link(xo_member_t *member, xo_link_t *link);
/* Takes in what a heartbeat says: language, waiting, handled, drops, lanes, ... */
void xo_member_heartbeat(xo_member_t *member, xo_slice_t body);
/* "pool 2 (label) at host:port" for people, into text[size]. */
void xo_member_describe(const xo_member_t *member, char *text, size_t size);
/* What is the matter with a pool whose process is not there, as in "the pool at ADDRESS ...".
 * NULL: it is there. */
const char *xo_member_absence(const xo_member_t *member);
/* Lets go of its progress page, and of what was seen on it. */
void xo_member_unwatch(xo_member_t *member);
/* Looks at its progress page, which leaves what its loop is in in `seen`. -1: it has none. */
int xo_member_look(xo_member_t *member);
/* How many tells waited in it, and are nobody else's to count, if its process has ended. */
uint64_t xo_member_lost(xo_member_t *member);
/* What was seen was for the moment. */
void xo_member_look_away(xo_member_t *member);
/* What was seen of what its loop is in, if something was. */
void xo_member_record_busy(const xo_member_t *member, xo_rec_t *rec);
/* The pool's record (doc/wire.md). Valid as long as the member does not change. */
void xo_member_record(const xo_member_t *member, xo_rec_t *rec);

#define XO_NAME_SHOWN_BYTES 128
/* A name that somebody else chose, for a sentence: text as it is, other bytes as \xNN, cut to fit.
 */
void xo_member_show_name(xo_slice_t name, char text[XO_NAME_SHOWN_BYTES]);

#endif
