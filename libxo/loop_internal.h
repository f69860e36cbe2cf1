/* loop_internal.h - the inside of xo_loop_t, shared by loop.c, loop_timer.c, loop_drive.c,
 * loop_peek.c and loop_zmq.c.
 */
#ifndef XO_LOOP_INTERNAL_H
#define XO_LOOP_INTERNAL_H

#include <stddef.h>

#include <ev.h>

#include "libxo/loop.h"

/* What the loop keeps for each active xo_io_t (its `impl`). */
typedef struct xoi_io {
    struct ev_io ev; /* first: libev hands it to the callback */
    xo_io_t *io;
    struct xoi_io *next;
    struct xoi_io *prev;
} xoi_io_t;

typedef struct xoi_timers {
    xo_timer_t *first; /* the earliest; the rest lies below it */
    uint64_t order;    /* of the next timer that starts */
} xoi_timers_t;

/* How many watchers want a descriptor; epoll knows each descriptor once only. */
typedef struct xoi_wants {
    unsigned readers;
    unsigned writers;
} xoi_wants_t;

/* What stands behind xo_loop_fd; nothing of it exists before that is called. */
typedef struct xoi_drive {
    int epoll_fd; /* -1: not in use */
    int timer_fd;
    int event_fd;
    bool signalled;     /* event_fd is readable */
    int64_t armed_ns;   /* what timer_fd is set to; INT64_MAX: not at all */
    xoi_wants_t *wants; /* by descriptor */
    size_t wants_count;
} xoi_drive_t;

/* What is looked at in each pass, and whether looking on before sleeping pays. */
typedef struct xoi_peeks {
    xo_peek_t *list;
    size_t count;
    int trust;         /* how many more times to look on in vain; 0: do not */
    int short_sleeps;  /* in a row, that looking on would have saved */
    int needed;        /* of them, before it is tried again */
    int64_t asleep_ns; /* since when; 0: awake */
    int64_t idle_ns; /* of a loop that is driven: since when it looks on in vain; 0: it does not */
    bool seen;       /* something, in this pass */
} xoi_peeks_t;

struct xo_loop {
    struct ev_loop *ev;
    struct ev_timer sleeper; /* bounds libev's sleep */
    int64_t now_ns;
    bool frozen;
    bool stopped;
    bool waits; /* the poll under way, and not within a callback's pass */
    xo_sleep_t *sleeps;
    uint64_t span;       /* grows when a pass begins and ends */
    int depth;           /* passes under way (a callback may run a pass of its own) */
    xo_defer_t deferred; /* sentinel of a ring */
    xo_defer_t ending;   /* the same, of what runs at the end of the pass */
    xoi_io_t *ios;
    xoi_timers_t timers;
    xoi_drive_t drive;
    xoi_peeks_t peeks;
};

int64_t xoi_clock_ns(void); /* that of xo_loop_now, also while the loop's stands still */

/* loop_peek.c */
void xoi_peeks_init(void); /* for each loop that is made, before its thread is bound to a core */
void xoi_peeks_run(xo_loop_t *loop);
/* Before a sleep of at most `wait_ns` (-1: any): looks on, then has all told to use their
 * descriptors. False: there is something to do instead. */
bool xoi_peeks_sleep(xo_loop_t *loop, int64_t wait_ns);
/* The same where somebody else does the sleeping, after the pass. */
typedef enum { XOI_AWAKE, XOI_LOOKING_ON, XOI_ASLEEP } xoi_leave_t;
xoi_leave_t xoi_peeks_leave(xo_loop_t *loop);

/* loop_timer.c */
int64_t xoi_timers_next(const xo_loop_t *loop); /* when the earliest is due; INT64_MAX: none */
void xoi_timers_run(xo_loop_t *loop);           /* those due by now that ran before this call */
void xoi_timers_free(xo_loop_t *loop);

/* loop_drive.c. Each does nothing while xo_loop_fd was not called. */
void xoi_drive_init(xoi_drive_t *drive);
void xoi_drive_free(xoi_drive_t *drive);
int xoi_drive_want(xo_loop_t *loop, int fd, int events);
void xoi_drive_unwant(xo_loop_t *loop, int fd, int events);
/* Makes the descriptor say whether there is something to do; not needed within a pass. */
void xoi_drive_sync(xo_loop_t *loop);

#endif
