/* module_call.c - what the methods of C actors use: arguments and answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/future.h"
#include "libxo/pack_arguments.h"
#include "pool/host_impl.h"

/* ---- arguments ---- */

/* As msgpack. The low bits of EMPTY_ARRAY's are the count of one that has up to 15 values. */
#define PAIR 0x92
#define EMPTY_ARRAY 0x90
#define EMPTY_MAP 0x80

bool xoi_is_empty(xo_slice_t container)
{
    xo_reader_t reader = xo_reader(container);
    if (container.size == 1 && (*reader.at == EMPTY_MAP || *reader.at == EMPTY_ARRAY))
        return true;
    uint32_t count;
    return !container.size ||
           ((xo_read_array(&reader, &count) == 0 || xo_read_map(&reader, &count) == 0) && !count);
}

/* Of most calls: few arguments, no keywords. False: look closer. */
static bool plain_arguments(xo_slice_t pair, xo_slice_t *args, xo_slice_t *kwargs)
{
    xo_reader_t reader = xo_reader(pair);
    const uint8_t *head = reader.at;
    if (pair.size < 3 || head[0] != PAIR || (head[1] & 0xf0) != EMPTY_ARRAY)
        return false;
    reader.at += 2;
    for (unsigned left = head[1] & 0x0f; left > 0; left--)
        if (xo_read_skip(&reader) < 0)
            return false;
    if (reader.at + 1 != reader.end || *reader.at != EMPTY_MAP)
        return false;
    *args = xo_slice(pair.data + 1, pair.size - 2);
    *kwargs = xo_slice(reader.at, 1);
    return true;
}

/* `more`: values that follow the pair. */
static void read_arguments(xo_slice_t pair, uint32_t more, xo_slice_t *args, xo_slice_t *kwargs)
{
    uint32_t count;
    xo_reader_t reader = xo_reader(pair);
    if (xo_read_array(&reader, &count) == 0 && count == 2 + more &&
        xo_read_type(&reader) == XO_T_ARRAY && xo_read_raw(&reader, args) == 0 &&
        xo_read_type(&reader) == XO_T_MAP && xo_read_raw(&reader, kwargs) == 0)
        return;
    *args = *kwargs = xo_slice(NULL, 0);
}

void xoi_arguments(xo_slice_t pair, xo_slice_t *args, xo_slice_t *kwargs)
{
    if (!plain_arguments(pair, args, kwargs))
        read_arguments(pair, 0, args, kwargs);
}

static bool has_options(const xo_request_t *request)
{
    return xo_msg_header(request->msg)->kind == XO_CREATE &&
           xo_create_options(xo_msg_body(request->msg)).size > 0;
}

static __attribute__((noinline)) void parse(xo_request_t *request)
{
    request->parsed = true;
    if (has_options(request))
        read_arguments(xo_msg_body(request->msg), 1, &request->args, &request->kwargs);
    else
        xoi_arguments(xo_msg_body(request->msg), &request->args, &request->kwargs);
}

xo_slice_t xo_request_args(xo_request_t *request)
{
    if (!request->parsed)
        parse(request);
    return request->args;
}

xo_slice_t xo_request_kwargs(xo_request_t *request)
{
    if (!request->parsed)
        parse(request);
    return request->kwargs;
}

static void refuse_args(xo_request_t *request, const char *why)
{
    char text[XOI_TEXT_BYTES];
    xo_slice_t method = xo_msg_header(request->msg)->method;
    xo_request_fail(request, XO_CODE_REFUSED, "the arguments of %s.%s: %s",
                    xo_actor_class(request->actor), xoi_text(method, text), why);
}

static __attribute__((noinline)) int unpack(xo_request_t *request, const char *format,
                                            va_list values)
{
    xo_error_t err;
    xo_slice_t args = request->args;
    if (!args.size) {
        refuse_args(request, "they must be plain values (numbers, text, bytes, lists, dicts), not "
                             "a Python pickle");
        return -1;
    }
    int rc = xoi_unpack_arguments(args, &err, format, values);
    if (rc < 0)
        refuse_args(request, err.text);
    return rc;
}

int xo_request_unpack(xo_request_t *request, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int rc = xoi_unpack_small(xo_request_args(request), format, values)
                 ? 0
                 : unpack(request, format, values);
    va_end(values);
    return rc;
}

int xo_request_bytes(const xo_request_t *request, xo_slice_t value, xo_slice_t *bytes)
{
    int type;
    uint64_t index;
    xo_slice_t payload;
    xo_reader_t reader = xo_reader(value);
    if (xo_read_bytes(&reader, bytes) == 0)
        return 0;
    if (xo_read_ext(&reader, &type, &payload) == 0 && type == XO_EXT_BUFFER) {
        reader = xo_reader(payload);
        if (xo_read_uint(&reader, &index) == 0 && index < xo_msg_buffer_count(request->msg)) {
            *bytes = xo_msg_buffer(request->msg, index);
            return 0;
        }
    }
    errno = EBADMSG;
    return -1;
}

xo_loop_t *xo_request_loop(const xo_request_t *request)
{
    return request->pool->loop;
}

/* ---- answers ---- */

static __attribute__((noinline)) void reply(xo_request_t *request, const char *format,
                                            va_list values)
{
    xo_buf_t *out = &request->pool->scratch;
    xo_buf_clear(out);
    int rc = xo_pack_vformat(out, format, values);
    if (rc < 0 || xo_buf_ok(out) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "the answer cannot be written: %s",
                        strerror(errno));
    else
        xo_request_respond(request, xo_buf_slice(out));
}

void xo_request_reply(xo_request_t *request, const char *format, ...)
{
    char small;
    va_list values;
    xo_msg_t *none = NULL;
    if (!request->wants_answer) {
        xoi_request_end(request, &none);
        return;
    }
    va_start(values, format);
    if (xoi_pack_small_value(&small, format, values)) {
        xo_request_respond(request, xo_slice(&small, 1));
    } else {
        va_end(values);
        va_start(values, format);
        reply(request, format, values);
    }
    va_end(values);
}

static xo_msg_t *copy_answer(const xo_msg_t *from)
{
    zmq_msg_t buffer;
    xo_msg_t *msg =
        xo_msg_create(&(xo_header_t){.kind = xo_msg_header(from)->kind}, xo_msg_body(from));
    for (size_t i = 0; msg && i < xo_msg_buffer_count(from); i++)
        if (xo_msg_copy_buffer((xo_msg_t *)from, i, &buffer) < 0 ||
            xo_msg_add_buffer(msg, &buffer) < 0)
            xo_msg_destroy(&msg);
    return msg;
}

void xo_request_reply_future(xo_request_t *request, xo_future_t *future)
{
    xo_slice_t result;
    if (xoi_future_kept(future, &result)) {
        xo_request_respond(request, result);
        return;
    }
    const xo_msg_t *from = xo_future_answer(future);
    if (!from) {
        xo_request_fail(request, XO_CODE_SERVER_CLOSED, "the pool ended before the answer came");
        return;
    }
    xo_msg_t *answer = copy_answer(from);
    if (answer)
        xoi_request_end(request, &answer);
    else
        xo_request_fail(request, XO_CODE_SEND_FAILED, "out of memory for the answer");
}
