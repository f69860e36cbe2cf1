/* future.c - the answer of one call, to be waited for or called back with. */
#include <stdlib.h>

#include "libxo/cache.h"
#include "libxo/future.h"
#include "libxo/pack_arguments.h"

static void call_back(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_future_t *future = arg;
    future->then(future, future->arg);
}

void xoi_future_init(xo_future_t *future, xo_endpoint_t *endpoint, size_t memory)
{
    future->memory = (uint32_t)memory;
    future->holders = 1;
    future->endpoint = endpoint;
}

xo_future_t *xoi_future_create_with(xo_endpoint_t *endpoint, size_t extra_bytes)
{
    size_t memory = sizeof(xo_future_t) + extra_bytes;
    xo_future_t *future = xoi_cache_calloc(memory);
    if (future)
        xoi_future_init(future, endpoint, memory);
    return future;
}

xo_future_t *xoi_future_create(xo_endpoint_t *endpoint)
{
    return xoi_future_create_with(endpoint, 0);
}

void *xoi_future_extra(xo_future_t *future)
{
    return future + 1;
}

void xoi_future_set_call(xo_future_t *future, xo_call_t *call)
{
    future->call = call;
}

void xoi_future_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_future_t *future = arg;
    future->call = NULL;
    if (*answer)
        future->result = xo_msg_body(*answer);
    future->answer = *answer;
    *answer = NULL;
    future->done = true;
    if (future->then)
        future->then(future, future->arg);
}

void xo_future_then(xo_future_t *future, xo_future_f done, void *arg)
{
    future->then = done;
    future->arg = arg;
    if (!future->done)
        return;
    if (!future->deferred)
        xo_defer_init(&future->defer, xo_endpoint_loop(future->endpoint), call_back, future);
    future->deferred = true;
    xo_defer_start(&future->defer);
}

bool xo_future_done(const xo_future_t *future)
{
    return future->done;
}

int xoi_wait(xo_loop_t *loop, bool (*done)(void *arg), void *arg, int timeout_ms)
{
    int64_t until = xo_loop_now(loop) + timeout_ms * XO_MS;
    while (!done(arg)) {
        int64_t left_ms = timeout_ms < 0 ? -1 : (until - xo_loop_now(loop)) / XO_MS;
        if (timeout_ms >= 0 && left_ms <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        xo_loop_once(loop, (int)left_ms);
        xo_loop_update(loop);
    }
    return 0;
}

static bool future_is_done(void *arg)
{
    return xo_future_done(arg);
}

int xo_future_wait(xo_future_t *future, int timeout_ms, xo_error_t *err)
{
    xo_loop_t *loop = xo_endpoint_loop(future->endpoint);
    xo_loop_update(loop);
    if (xoi_wait(loop, future_is_done, future, timeout_ms) < 0)
        return xo_error_set(err, ETIMEDOUT, "no answer within %d ms", timeout_ms);
    return 0;
}

static int read_failure(const xo_future_t *future, xo_error_t *err)
{
    xo_failure_t failure;
    if (xo_failure_read(future->result, &failure) < 0)
        return xo_error_set(err, EBADMSG, "the call failed with an error that does not decode");
    return xo_failure_set_error(&failure, err);
}

static __attribute__((noinline)) int get(const xo_future_t *future, xo_error_t *err,
                                         const char *format, va_list values)
{
    if (!future->done)
        return xo_error_set(err, EINPROGRESS, "the answer has not come yet");
    if (future->answer && xo_msg_header(future->answer)->kind == XO_ERROR)
        return read_failure(future, err);
    if (!future->answer && !future->result.data)
        return xo_error_set(err, ENOMEM, "out of memory for the answer");
    return format ? xo_vunpack(future->result, err, format, values) : 0;
}

int xo_future_get(xo_future_t *future, xo_error_t *err, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    bool kept = future->done && !future->answer && future->result.data;
    int rc = kept && xoi_unpack_small_value(future->result, format, values)
                 ? 0
                 : get(future, err, format, values);
    va_end(values);
    return rc;
}

bool xoi_future_kept(const xo_future_t *future, xo_slice_t *result)
{
    *result = future->result;
    return future->done && !future->answer && result->data;
}

/* What was kept without a message becomes one when somebody wants it. */
const xo_msg_t *xo_future_answer(const xo_future_t *future)
{
    xo_slice_t result;
    if (xoi_future_kept(future, &result))
        ((xo_future_t *)future)->answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, result);
    return future->answer;
}

void xo_future_cancel(xo_future_t *future)
{
    if (future->call)
        xo_call_cancel(future->call);
}

void xoi_future_release(xo_future_t *future)
{
    if (--future->holders == 0)
        xoi_cache_free(future, future->memory);
}

void xo_future_destroy(xo_future_t *future)
{
    if (!future)
        return;
    int saved = errno;
    if (future->call)
        xo_call_abandon(future->call);
    if (future->deferred)
        xo_defer_stop(&future->defer);
    if (future->answer)
        xo_msg_destroy(&future->answer);
    xoi_future_release(future);
    errno = saved;
}
