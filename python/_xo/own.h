/* own.h - which code is a method's own: its steps, and the tasks that it started while it had the
 * lock. These inherit its context, so the run is kept there.
 */
#ifndef XOPY_OWN_H
#define XOPY_OWN_H

#include "_xo/run.h"

/* The run's task is about to be made, in the context of its request. */
void xopy_own_enter(xopy_run_t *run);
/* The run that this code belongs to, which may have been answered since. NULL: none. */
const xopy_run_t *xopy_own_run(void);

#endif
