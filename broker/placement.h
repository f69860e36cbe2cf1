/* placement.h - which pool of this node takes over an actor whose node is gone. Pure: pools, the
 * actor, and what could not be created before decide.
 */
#ifndef XO_BROKER_PLACEMENT_H
#define XO_BROKER_PLACEMENT_H

#include "broker/pools.h"

#define XO_UNFIT_MAX 64

/* A class that a process cannot create. */
typedef struct xo_unfit {
    uint64_t pool;
    uint32_t generation;
    uint64_t class_hash;
} xo_unfit_t;

/* The last ones. Zero-initialise. */
typedef struct xo_unfits {
    xo_unfit_t ring[XO_UNFIT_MAX];
    unsigned next;
} xo_unfits_t;

void xo_unfits_add(xo_unfits_t *unfits, const xo_member_t *member, xo_slice_t class_name);

/* The ready pool of this language that has the fewest actors, with those on their way to it, of the
 * pools that keep them (their processes are started again) and of which it is not known that they
 * cannot. NULL: none. */
xo_member_t *xo_placement_choose(const xo_pools_t *pools, const xo_unfits_t *unfits,
                                 xo_slice_t language, xo_slice_t class_name);
/* Does a creation that failed so say that the process does not know the class, or takes no pickles?
 * Any other failure is the actor's own, and would be the same elsewhere. */
bool xo_placement_is_unfit(xo_slice_t code, xo_slice_t type, xo_slice_t message);

#endif
