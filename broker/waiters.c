/* waiters.c - those who wait for a pool to be ready, or to be gone. */
#include <stdlib.h>
#include <utlist.h>

#include "broker/supervisor_impl.h"

int xo_member_await(xo_member_t *member, bool for_stop, xo_supervisor_done_f done, void *arg)
{
    if (done == NULL)
        return 0;
    xo_waiter_t *waiter = calloc(1, sizeof(*waiter));
    if (waiter == NULL)
        return -1;
    *waiter = (xo_waiter_t){.done = done, .arg = arg, .for_stop = for_stop};
    DL_APPEND(member->waiters, waiter);
    return 0;
}

void xo_member_wake(xo_member_t *member, bool for_stop, const xo_error_t *why)
{
    xo_waiter_t *waiter, *next;
    DL_FOREACH_SAFE(member->waiters, waiter, next)
    {
        if (waiter->for_stop != for_stop)
            continue;
        DL_DELETE(member->waiters, waiter);
        waiter->done(member, why, waiter->arg);
        free(waiter);
    }
}

void xo_member_forget(xo_member_t *member, const void *arg)
{
    xo_waiter_t *waiter, *next;
    DL_FOREACH_SAFE(member->waiters, waiter, next)
    {
        if (arg != NULL && waiter->arg != arg)
            continue;
        DL_DELETE(member->waiters, waiter);
        free(waiter);
    }
}

void xo_supervisor_forget(xo_supervisor_t *supervisor, const void *arg)
{
    for (xo_member_t *m = xo_pools_first(supervisor->pools); m != NULL; m = xo_pools_next(m))
        xo_member_forget(m, arg);
}
