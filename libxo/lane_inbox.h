/* lane_inbox.h - the receiving half of every lane, whatever the transport: hands messages to the
 * user, holds them while the lane is paused, and says `closed` once, after the last of them.
 */
#ifndef XO_LANE_INBOX_H
#define XO_LANE_INBOX_H

#include <stdbool.h>

#include "libxo/lane.h"

/* Messages handed over in one go, before others get their turn. */
#define XOI_LANE_BATCH 256

typedef struct xoi_inbox {
    xo_lane_t *lane;
    xo_msgq_t queue; /* waits: the lane is paused, or was */
    xo_defer_t defer;
    bool paused;
    bool closing; /* `why` is set; nothing comes in any more */
    bool closed;  /* the user knows */
    bool *gone;   /* where to note that the lane was destroyed in a callback */
    xo_error_t why;
    void (*taken)(xo_lane_t *lane); /* a message left the queue; NULL: nobody cares */
} xoi_inbox_t;

/* The lane's loop must be set. */
void xoi_inbox_init(xoi_inbox_t *inbox, xo_lane_t *lane);
/* The user destroys the lane: no more callbacks; what waits is dropped. */
void xoi_inbox_stop(xoi_inbox_t *inbox);

/* A message came: counts it and hands it to the user, at once if nothing waits before it. Takes
 * *msg over. False: the user's handler destroyed the lane, so its memory is gone. */
bool xoi_inbox_push(xoi_inbox_t *inbox, xo_msg_t **msg);
/* The same with all of a queue, which came as one. */
bool xoi_inbox_push_all(xoi_inbox_t *inbox, xo_msgq_t *msgs);
/* The same, but later, from the loop. */
void xoi_inbox_queue(xoi_inbox_t *inbox, xo_msg_t **msg);
void xoi_inbox_pause(xoi_inbox_t *inbox, bool paused);
/* No more messages: `closed` follows, from the loop. The first reason counts. */
void xoi_inbox_close(xoi_inbox_t *inbox, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
