#include "broker/ask.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

struct xo_ask {
    xo_asks_t *asks;
    xo_msg_t *msg;
    xo_link_t *from;
    xo_return_t to;
    size_t bytes;
    xo_ask_stop_f stop;
    void *stop_arg;
    struct xo_ask *prev, *next;
};

static bool wants_answer(const xo_msg_t *msg)
{
    const xo_header_t *header = xo_msg_header(msg);
    return header->kind != XO_TELL && (header->flags & XO_F_NO_ANSWER) == 0;
}

xo_ask_t *xo_ask_create(xo_asks_t *asks, xo_link_t *from, xo_msg_t **msg)
{
    xo_ask_t *ask = calloc(1, sizeof(*ask));
    xo_return_t to = xo_return_of(from, *msg);
    if (ask == NULL) {
        xo_msg_t *answer = xo_failure_msg(0, XO_CODE_REFUSED, "no", NULL, "out of memory");
        if (answer != NULL && wants_answer(*msg))
            xo_endpoint_answer(asks->endpoint, &to, &answer);
        xo_endpoint_consumed(asks->endpoint, from, xo_msg_bytes(*msg));
        xo_msg_destroy(&answer);
        xo_msg_destroy(msg);
        errno = ENOMEM;
        return NULL;
    }
    *ask = (xo_ask_t){.asks = asks, .msg = *msg, .to = to, .bytes = xo_msg_bytes(*msg)};
    ask->from = from ? xo_link_incref(from) : NULL;
    *msg = NULL;
    DL_APPEND(asks->head, ask);
    return ask;
}

const xo_msg_t *xo_ask_msg(const xo_ask_t *ask)
{
    return ask->msg;
}

xo_msg_t *xo_ask_msg_mut(xo_ask_t *ask)
{
    return ask->msg;
}

xo_link_t *xo_ask_from(const xo_ask_t *ask)
{
    return ask->from;
}

static void end(xo_ask_t *ask)
{
    DL_DELETE(ask->asks->head, ask);
    xo_endpoint_consumed(ask->asks->endpoint, ask->from, ask->bytes);
    xo_link_decref(ask->from);
    xo_msg_destroy(&ask->msg);
    free(ask);
}

void xo_ask_reply_msg(xo_ask_t *ask, xo_msg_t **answer)
{
    if (*answer != NULL && wants_answer(ask->msg))
        xo_endpoint_answer(ask->asks->endpoint, &ask->to, answer);
    xo_msg_destroy(answer);
    end(ask);
}

static void fail(xo_ask_t *ask, const char *code, const char *text)
{
    xo_msg_t *answer = xo_failure_msg(ask->to.seq, code, "no", NULL, "%s", text);
    if (!wants_answer(ask->msg))
        xo_endpoint_drop(ask->asks->endpoint, XO_DROP_ERROR, ask->msg);
    xo_ask_reply_msg(ask, &answer);
}

void xo_ask_fail(xo_ask_t *ask, const char *code, const char *format, ...)
{
    char text[XO_ERROR_TEXT_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fail(ask, code, text);
}

void xo_ask_reply_value(xo_ask_t *ask, xo_buf_t *value)
{
    xo_msg_t *answer = NULL;
    xo_header_t header = {.kind = XO_RESULT, .seq = ask->to.seq};
    if (xo_buf_ok(value) == 0)
        answer = xo_msg_create(&header, xo_buf_slice(value));
    xo_buf_free(value);
    if (answer == NULL)
        fail(ask, XO_CODE_REFUSED, "the broker is out of memory");
    else
        xo_ask_reply_msg(ask, &answer);
}

void xo_ask_reply(xo_ask_t *ask, const char *format, ...)
{
    xo_buf_t value = XO_BUF_INIT;
    va_list args;
    va_start(args, format);
    xo_pack_vformat(&value, format, args);
    va_end(args);
    xo_ask_reply_value(ask, &value);
}

/* ---- arguments ---- */

static int refuse(xo_ask_t *ask, const char *mistake)
{
    xo_slice_t method = xo_msg_header(ask->msg)->method;
    xo_ask_fail(ask, XO_CODE_REFUSED, "%.*s: %s", (int)method.size, method.data, mistake);
    return -1;
}

int xo_ask_args(xo_ask_t *ask, xo_slice_t *args)
{
    xo_reader_t reader = xo_reader(xo_msg_body(ask->msg));
    uint32_t count, keywords;
    if (xo_read_array(&reader, &count) < 0 || count != 2 || xo_read_type(&reader) != XO_T_ARRAY ||
        xo_read_raw(&reader, args) < 0)
        return refuse(ask, "arguments must be plain values, [args, kwargs]");
    if (xo_read_map(&reader, &keywords) < 0 || keywords > 0)
        return refuse(ask, "takes no keyword arguments");
    return 0;
}

/* ---- ending early ---- */

void xo_ask_on_stop(xo_ask_t *ask, xo_ask_stop_f stop, void *arg)
{
    ask->stop = stop;
    ask->stop_arg = arg;
}

xo_ask_t *xo_ask_take(xo_ask_t **kept)
{
    xo_ask_t *ask = *kept;
    *kept = NULL;
    if (ask != NULL)
        xo_ask_on_stop(ask, NULL, NULL);
    return ask;
}

static void stop_and_fail(xo_ask_t *ask, const char *code, const char *text)
{
    if (ask->stop != NULL)
        ask->stop(ask, ask->stop_arg);
    fail(ask, code, text);
}

void xo_asks_cancel(xo_asks_t *asks, const xo_link_t *from, const xo_msg_t *cancel)
{
    xo_ask_t *ask;
    const xo_header_t *header = xo_msg_header(cancel);
    DL_FOREACH(asks->head, ask)
    {
        if (ask->to.seq != header->seq || ask->from != from)
            continue;
        if (ask->stop != NULL)
            stop_and_fail(ask, XO_CODE_CANCELLED, "cancelled by the caller");
        return;
    }
}

void xo_asks_fail(xo_asks_t *asks, const char *why)
{
    while (asks->head != NULL)
        stop_and_fail(asks->head, XO_CODE_SERVER_CLOSED, why);
}
