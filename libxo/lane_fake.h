/* lane_fake.h - the in-memory transport (scheme mem) and what tests can do with it. Both ends live
 * on one loop, and everything is delivered by its deferred work: seeing what happens next takes one
 * xo_loop_once.
 */
#ifndef XO_LANE_FAKE_H
#define XO_LANE_FAKE_H

#include "libxo/lane.h"

/* Closes both ends for `errnum`, as if the connection broke; what was not delivered is lost. */
void xoi_fake_cut(xo_lane_t *lane, int errnum);
/* How many messages sent on `lane` may wait for delivery; more are EAGAIN. 0: any number (the
 * default). */
void xoi_fake_set_room(xo_lane_t *lane, size_t messages);
/* Holds what is sent on `lane` back, or lets it go. */
void xoi_fake_hold(xo_lane_t *lane, bool hold);
/* Makes bytes arrive at the other end as if they had been sent on `lane`. */
void xoi_fake_inject(xo_lane_t *lane, const void *data, size_t size);
/* The other end; NULL once it is destroyed. */
xo_lane_t *xoi_fake_peer(xo_lane_t *lane);

#endif
