/* barrier.c - waits until what pools have told before has arrived. */
#include <stdlib.h>

#include "broker/broker_impl.h"

typedef struct xo_barrier {
    size_t pings; /* under way */
    void (*done)(void *arg);
    void *arg;
} xo_barrier_t;

static void on_pong(xo_call_t *call, xo_msg_t **reply, void *arg)
{
    xo_barrier_t *barrier = arg;
    (void)call, (void)reply;
    if (--barrier->pings > 0)
        return;
    barrier->done(barrier->arg);
    free(barrier);
}

/* `has` of the pool itself comes back after all that it told (pool/join.c). */
static void ping(xo_broker_t *broker, xo_member_t *member, uint32_t bound_ms, xo_barrier_t *barrier)
{
    xo_header_t header = {.kind = XO_HAS};
    xo_msg_t *msg = member->link != NULL ? xo_msg_create(&header, (xo_slice_t){NULL, 0}) : NULL;
    if (msg != NULL && xo_endpoint_call(broker->endpoint, member->link, &msg, XO_SEND_QUEUE,
                                        bound_ms * XO_MS, on_pong, barrier, NULL) != NULL)
        barrier->pings++;
    xo_msg_destroy(&msg);
}

static bool is_of(const xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid)
{
    return uid.size == 0 || xo_directory_get(&broker->directory, member, uid) != NULL;
}

bool xo_broker_barrier(xo_broker_t *broker, xo_slice_t uid, uint32_t bound_ms,
                       void (*done)(void *arg), void *arg)
{
    xo_barrier_t *barrier = calloc(1, sizeof(*barrier));
    if (barrier == NULL)
        return false;
    *barrier = (xo_barrier_t){.done = done, .arg = arg};
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (is_of(broker, m, uid))
            ping(broker, m, bound_ms, barrier);
    }
    if (barrier->pings > 0)
        return true;
    free(barrier);
    return false;
}
