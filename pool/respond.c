/* respond.c - what hosts see of requests, and how they end them. */
#include <string.h>

#include "libxo/own_call.h"
#include "pool/mailbox.h"

/* ---- what hosts see ---- */

const xo_msg_t *xo_request_msg(const xo_request_t *request)
{
    return request->msg;
}

xo_msg_t *xo_request_msg_mut(xo_request_t *request)
{
    return request->msg;
}

xo_actor_t *xo_request_actor(const xo_request_t *request)
{
    return request->actor;
}

xo_link_t *xo_request_link(const xo_request_t *request)
{
    return request->parent ? request->parent->from : request->from;
}

bool xo_request_is_local(const xo_request_t *request)
{
    return !xo_request_link(request);
}

bool xo_request_wants_answer(const xo_request_t *request)
{
    return request->wants_answer;
}

bool xo_request_is_cancelled(const xo_request_t *request)
{
    return request->parent ? request->parent->cancelled : request->cancelled;
}

int64_t xo_request_left(const xo_request_t *request)
{
    const xo_request_t *whole = request->parent ? request->parent : request;
    int64_t left = whole->due_ns - xo_loop_now(whole->pool->loop);
    return whole->due_ns ? (left > 0 ? left : 1) : 0;
}

uint16_t xo_request_flags(const xo_request_t *request)
{
    return xo_request_is_cancelled(request) ? XO_F_CANCELLED : 0;
}

void *xo_request_data(const xo_request_t *request)
{
    return request->data;
}

void xo_request_set_data(xo_request_t *request, void *data)
{
    request->data = data;
}

void xo_request_unlock(xo_request_t *request)
{
    if (request->parent)
        request = request->parent;
    xo_actor_t *actor = request->actor;
    if (request->ended)
        return;
    if (request->locked)
        actor->locked = false;
    request->locked = false;
    if (xoi_is_lifecycle(request))
        xoi_hook_waits(actor);
    xoi_actor_wake(actor);
}

/* ---- ending them ---- */

/* Most results have no flags: for them there is a header that need not be made first. */
static __attribute__((noinline)) xo_msg_t *result_msg(uint16_t flags, xo_slice_t result)
{
    static const xo_header_t plain = {.kind = XO_RESULT};
    if (!flags)
        return xo_msg_create(&plain, result);
    return xo_msg_create(&(xo_header_t){.kind = XO_RESULT, .flags = flags}, result);
}

/* For a call of this pool, so that there need be no message. */
static inline bool keep_result(const xo_request_t *request, xo_slice_t result)
{
    return request->call && !request->cancelled && xoi_own_call_keep(request->call, result);
}

void xo_request_respond(xo_request_t *request, xo_slice_t result)
{
    xo_msg_t *answer = NULL;
    if (request->wants_answer && !keep_result(request, result))
        answer = result_msg(xo_request_flags(request), result);
    xoi_request_end(request, &answer);
}

void xo_request_respond_msg(xo_request_t *request, xo_msg_t **answer)
{
    xoi_request_end(request, answer);
}

static const char *executed_of(const char *code)
{
    static const char *const not_run[] = {XO_CODE_REFUSED, XO_CODE_NO_METHOD, XO_CODE_NO_CLASS,
                                          XO_CODE_ACTOR_EXISTS};
    for (size_t i = 0; i < sizeof not_run / sizeof *not_run; i++)
        if (!strcmp(code, not_run[i]))
            return "no";
    return "ran";
}

void xo_request_fail(xo_request_t *request, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xo_msg_t *answer = xoi_failure(request->pool, code, executed_of(code), NULL, format, args);
    va_end(args);
    xoi_request_end(request, &answer);
}
