/* home.h - the pool in which code runs: its actor's, also in tasks that a method has started. Where
 * a loop has one pool, nothing is kept.
 */
#ifndef XOPY_HOME_H
#define XOPY_HOME_H

#include "_xo/pool.h"

/* A request of `pool` is about to be handled, in a context of its own. */
void xopy_home_enter(xopy_pool_t *pool);
/* Of the pools of this runtime: that of this context, else the oldest. NULL: it has none. Borrowed,
 * without an exception. */
xopy_pool_t *xopy_home(xopy_runtime_t *runtime);

#endif
