/* transcode.c - values and messages written again, and as text. */

#include "t/transcode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX (2 * XO_DEPTH_MAX) /* an ext and the array in it are two */

static int transcode_value(xo_reader_t *reader, xo_buf_t *out, int depth);

static int malformed(void)
{
    errno = EBADMSG;
    return -1;
}

static int transcode_values(xo_reader_t *reader, xo_buf_t *out, uint64_t count, int depth)
{
    for (uint64_t i = 0; i < count; i++) {
        if (transcode_value(reader, out, depth) < 0)
            return -1;
    }
    return 0;
}

static int transcode_payload(xo_slice_t payload, xo_buf_t *out, int depth)
{
    xo_reader_t reader = xo_reader(payload);
    if (xo_read_type(&reader) != XO_T_ARRAY || transcode_value(&reader, out, depth) < 0)
        return -1;
    return xo_reader_done(&reader) ? 0 : malformed();
}

static int transcode_ext(xo_reader_t *reader, xo_buf_t *out, int depth)
{
    xo_buf_t inner = XO_BUF_INIT;
    xo_slice_t payload;
    int type;
    if (xo_read_ext(reader, &type, &payload) < 0)
        return -1;
    if (type < XO_EXT_TUPLE || type > XO_EXT_FROZENSET) {
        xo_pack_ext(out, (xo_ext_t)type, payload.data, payload.size);
        return 0;
    }
    int rc = transcode_payload(payload, &inner, depth);
    xo_pack_ext(out, (xo_ext_t)type, inner.data, inner.size);
    xo_buf_free(&inner);
    return rc;
}

static int transcode_number(xo_reader_t *reader, xo_buf_t *out, xo_type_t type)
{
    int64_t number;
    uint64_t large;
    double real;
    if (type == XO_T_UINT && xo_read_uint(reader, &large) == 0)
        xo_pack_uint(out, large);
    else if (type == XO_T_INT && xo_read_int(reader, &number) == 0)
        xo_pack_int(out, number);
    else if (type == XO_T_DOUBLE && xo_read_double(reader, &real) == 0)
        xo_pack_double(out, real);
    else
        return malformed();
    return 0;
}

static int transcode_plain(xo_reader_t *reader, xo_buf_t *out, xo_type_t type)
{
    xo_slice_t bytes;
    bool truth;
    if (type == XO_T_NIL && xo_read_nil(reader) == 0)
        xo_pack_nil(out);
    else if (type == XO_T_BOOL && xo_read_bool(reader, &truth) == 0)
        xo_pack_bool(out, truth);
    else if (type == XO_T_STR && xo_read_str(reader, &bytes) == 0)
        xo_pack_str(out, bytes.data, bytes.size);
    else if (type == XO_T_BIN && xo_read_bin(reader, &bytes) == 0)
        xo_pack_bin(out, bytes.data, bytes.size);
    else
        return transcode_number(reader, out, type);
    return 0;
}

static int transcode_value(xo_reader_t *reader, xo_buf_t *out, int depth)
{
    xo_type_t type = xo_read_type(reader);
    uint32_t count;
    if (depth > DEPTH_MAX)
        return malformed();
    if (type == XO_T_EXT)
        return transcode_ext(reader, out, depth + 1);
    if (type == XO_T_ARRAY && xo_read_array(reader, &count) == 0) {
        xo_pack_array(out, count);
        return transcode_values(reader, out, count, depth + 1);
    }
    if (type == XO_T_MAP && xo_read_map(reader, &count) == 0) {
        xo_pack_map(out, count);
        return transcode_values(reader, out, 2 * (uint64_t)count, depth + 1);
    }
    return transcode_plain(reader, out, type);
}

int transcode(xo_reader_t *reader, xo_buf_t *out)
{
    return transcode_value(reader, out, 0) < 0 ? -1 : xo_buf_ok(out);
}

/* ---- messages as text ---- */

static void __attribute__((format(printf, 2, 3))) add(xo_buf_t *out, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    xo_buf_append(out, text, strlen(text));
}

/* Bytes as a str is dumped. */
static void add_text(xo_buf_t *out, xo_slice_t text)
{
    xo_buf_t packed = XO_BUF_INIT;
    xo_pack_str(&packed, text.data, text.size);
    xo_pack_dump(xo_buf_slice(&packed), out, SIZE_MAX);
    xo_buf_free(&packed);
}

static void add_number(xo_buf_t *out, const char *name, uint64_t number)
{
    if (number)
        add(out, " %s=%" PRIu64, name, number);
}

static void add_actor(xo_buf_t *out, const char *name, uint64_t id, xo_slice_t uid)
{
    if (id == 0 && uid.size == 0)
        return;
    add(out, " %s=%" PRIu64 ":", name, id);
    add_text(out, uid);
}

static void add_buffers(xo_buf_t *out, const xo_msg_t *msg)
{
    size_t count = xo_msg_buffer_count(msg);
    if (count == 0)
        return;
    add(out, " buffers=");
    for (size_t i = 0; i < count; i++)
        add(out, "%s%zu", i ? ", " : "[", xo_msg_buffer(msg, i).size);
    add(out, "]");
}

int describe(const xo_msg_t *msg, xo_buf_t *out)
{
    const xo_header_t *header = xo_msg_header(msg);
    xo_slice_t body = xo_msg_body(msg);
    add(out, "%s", xo_kind_name(header->kind));
    add_number(out, "flags", header->flags);
    add_number(out, "seq", header->seq);
    add_actor(out, "target", header->target_id, header->target_uid);
    if (header->incarnation)
        add(out, "#%" PRIu64, header->incarnation);
    add_actor(out, "sender", header->sender_id, header->sender_uid);
    if (header->method.size > 0) {
        add(out, " method=");
        add_text(out, header->method);
    }
    add_number(out, "deadline", header->deadline_ms);
    if (header->trace.size > 0)
        add(out, " trace=<%zu bytes>", header->trace.size);
    if (body.size > 0)
        add(out, " body=");
    if (body.size > 0 && xo_pack_dump(body, out, SIZE_MAX) < 0)
        return -1;
    add_buffers(out, msg);
    return xo_buf_ok(out);
}
