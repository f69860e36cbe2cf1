/* own_call.c - calls of an endpoint to itself that are answered without being looked up: see
 * own_call.h. Such a call lies in the memory of its future, which is there until both have ended.
 */
#include "libxo/own_call.h"

#include "libxo/bytes.h"
#include "libxo/cache.h"
#include "libxo/endpoint_impl.h"
#include "libxo/future.h"

#define RESULT_BYTES 48 /* as most have at most; a block of the cache has room for them */

typedef struct own {
    xo_call_t call;
    char result[RESULT_BYTES]; /* not cleared */
} own_t;

/* The last in its future's memory. */
static own_t *own_of(xo_future_t *future)
{
    return (own_t *)(void *)((char *)future + future->memory - sizeof(own_t));
}

xo_future_t *xoi_own_future(xo_endpoint_t *endpoint, size_t extra_bytes)
{
    size_t memory = sizeof(xo_future_t) + extra_bytes + sizeof(own_t);
    xo_future_t *future = xoi_cache_alloc(memory);
    if (!future)
        return NULL;
    memset(future, 0, offsetof(xo_future_t, defer));
    xoi_future_init(future, endpoint, memory);
    memset(&own_of(future)->call, 0, offsetof(xo_call_t, prev));
    return future;
}

xo_call_t *xoi_own_call(xo_future_t *future, int64_t deadline_ns, xo_call_t **place,
                        xoi_own_cancel_f cancel)
{
    xo_call_t *call = &own_of(future)->call;
    call->endpoint = future->endpoint;
    call->seq = ++future->endpoint->next_seq;
    call->answer = xoi_future_answer;
    call->arg = future;
    call->own_cancel = cancel;
    call->asked = place;
    *place = call;
    xoi_call_limit(call, deadline_ns);
    future->call = call;
    future->holders++;
    return call;
}

void xoi_own_call_part(xo_call_t *call)
{
    if (call->asked)
        *call->asked = NULL;
    call->asked = NULL;
}

void xoi_own_call_move(xo_call_t *call, xo_call_t **place)
{
    xoi_own_call_part(call);
    call->asked = place;
    *place = call;
}

xo_call_t *xoi_own_call_take(xo_call_t **place)
{
    xo_call_t *call = *place;
    if (call)
        xoi_own_call_part(call);
    return call;
}

bool xoi_own_call_keep(xo_call_t *call, xo_slice_t result)
{
    xo_future_t *future = call->arg;
    if (result.size > RESULT_BYTES)
        return false;
    char *at = own_of(future)->result;
    future->result = xo_slice(at, result.size);
    xoi_copy(at, result.data, result.size);
    return true;
}

static __attribute__((noinline)) void answer_later(xo_call_t *call, xo_msg_t **answer)
{
    const xo_future_t *future = call->arg;
    bool kept = !*answer && future->result.data;
    if (!kept && !xoi_has_answer(answer, call->seq)) {
        xoi_call_finish(call, answer);
        return;
    }
    if (!kept)
        xo_msg_set_seq(*answer, call->seq);
    xoi_call_answer(call, answer);
}

/* What was kept, as most results are, is delivered with little more than the callback. */
void xoi_own_call_answer(xo_call_t *call, xo_msg_t **answer)
{
    xo_future_t *future = call->arg;
    xo_endpoint_t *endpoint = call->endpoint;
    if (*answer || !future->result.data || !call->answer || call->in_flight_local ||
        call->limited || endpoint->nested >= XOI_NESTED_MAX) {
        answer_later(call, answer);
        return;
    }
    call->answered = true;
    future->call = NULL;
    future->done = true;
    endpoint->nested++;
    if (future->then)
        future->then(future, future->arg);
    endpoint->nested--;
    xoi_future_release(future);
}

void xoi_own_message(xo_endpoint_t *endpoint, size_t bytes)
{
    endpoint->own_messages++;
    endpoint->own_bytes += bytes;
}
