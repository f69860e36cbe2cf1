/* respond.c - how hosts end requests. */
#include <string.h>

#include "libxo/own_call.h"
#include "pool/pool_impl.h"

/* Most results have no flags: for them there is a header that need not be made first. */
static xo_msg_t *result_msg(uint16_t flags, xo_slice_t result)
{
    static const xo_header_t plain = {.kind = XO_RESULT};
    if (!flags)
        return xo_msg_create(&plain, result);
    return xo_msg_create(&(xo_header_t){.kind = XO_RESULT, .flags = flags}, result);
}

/* For a call of this pool, so that there need be no message. */
static bool keep_result(const xo_request_t *request, xo_slice_t result)
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
