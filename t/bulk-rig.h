/* bulk-rig.h - nodes a and b with a link over the in-memory transport or over tcp, and messages
 * with large buffers.
 */
#ifndef T_BULK_RIG_H
#define T_BULK_RIG_H

#include "libxo/bulk_impl.h"
#include "libxo/lane_fake.h"
#include "t/node.h"

/* a, a client, and b, a pool that listens at `door`; as link_ab. */
xo_link_t *bulk_link(fixture_t *f, const char *door, const xo_endpoint_options_t *options_b);
/* Where b accepted the link. */
xo_link_t *bulk_far_link(fixture_t *f);
/* Waits until both ends have the second lane. */
void bulk_open(fixture_t *f, xo_link_t *link);

/* A request for `uid` with `value` as its argument and a buffer of each size (0 ends them). */
xo_msg_t *bulk_make(xo_kind_t kind, const char *uid, int64_t value, const size_t *sizes);
/* Are the buffers of `msg` as bulk_make made them? */
void bulk_check(const xo_msg_t *msg, const size_t *sizes);

xo_call_t *bulk_call(fixture_t *f, xo_link_t *link, const char *uid, int64_t value, size_t size,
                     int64_t deadline_ns, outcome_t *outcome);
void bulk_tell(fixture_t *f, xo_link_t *link, const char *uid, int64_t value, size_t size);
/* The argument of b's i-th request. */
int64_t bulk_argument(const fixture_t *f, size_t i);

#endif
