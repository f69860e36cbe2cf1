/* pack_dump.c - a msgpack value as text for people. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "libxo/bytes.h"
#include "libxo/pack.h"
#include "libxo/utf8.h"

typedef struct dump {
    xo_buf_t *out;
    size_t limit; /* out->size may grow up to this */
    bool full;    /* the limit was reached: the rest is dropped */
    unsigned depth;
} dump_t;

static int dump_value(dump_t *d, xo_reader_t *reader);

/* Puts a piece, or where it does not fit the mark that the text was cut there. */
static void put(dump_t *d, const char *data, size_t size)
{
    if (d->full)
        return;
    d->full = size > d->limit - d->out->size;
    if (d->full)
        xo_buf_append(d->out, "...", 3);
    else
        xo_buf_append(d->out, data, size);
}

static void puts_to(dump_t *d, const char *text)
{
    put(d, text, strlen(text));
}

static void __attribute__((format(printf, 2, 3))) putf(dump_t *d, const char *format, ...)
{
    char text[96];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    puts_to(d, text);
}

static int malformed(dump_t *d)
{
    puts_to(d, "<malformed>");
    errno = EBADMSG;
    return -1;
}

/* ---- strings ---- */

/* One character, escaped where it would end the string or steer a terminal. */
static size_t put_char(dump_t *d, const uint8_t *at, size_t left)
{
    size_t length = xo_utf8_length((const char *)at, left);
    if (length == 0) {
        puts_to(d, "\\ufffd");
        return 1;
    }
    if (*at == '"' || *at == '\\')
        putf(d, "\\%c", *at);
    else if (*at == '\n')
        puts_to(d, "\\n");
    else if (*at < 0x20 || *at == 0x7f)
        putf(d, "\\u%04x", *at);
    else if (*at == 0xc2 && at[1] < 0xa0)
        putf(d, "\\u%04x", at[1]);
    else
        put(d, (const char *)at, length);
    return length;
}

static void put_text(dump_t *d, xo_slice_t text)
{
    const uint8_t *at = (const uint8_t *)text.data;
    puts_to(d, "\"");
    for (size_t i = 0; i < text.size && !d->full;)
        i += put_char(d, at + i, text.size - i);
    puts_to(d, "\"");
}

/* ---- numbers ---- */

static void put_double(dump_t *d, double value)
{
    char text[40];
    if (isnan(value))
        return puts_to(d, "NaN");
    if (isinf(value))
        return puts_to(d, value < 0 ? "-Infinity" : "Infinity");
    for (int digits = 15; digits <= 17; digits += 2) { /* 17 always read back as the same */
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = 0;
        if (sscanf(text, "%lf", &back) == 1 && back == value)
            break;
    }
    puts_to(d, text);
    if (!strpbrk(text, ".e"))
        puts_to(d, ".0");
}

/* ---- containers ---- */

static int dump_items(dump_t *d, xo_reader_t *reader, uint32_t count)
{
    puts_to(d, "[");
    for (uint32_t i = 0; i < count && !d->full; i++) {
        if (i > 0)
            puts_to(d, ", ");
        if (dump_value(d, reader) < 0)
            return -1;
    }
    puts_to(d, "]");
    return 0;
}

static int dump_pairs(dump_t *d, xo_reader_t *reader, uint32_t count)
{
    puts_to(d, "{");
    for (uint32_t i = 0; i < count && !d->full; i++) {
        if (i > 0)
            puts_to(d, ", ");
        if (dump_value(d, reader) < 0)
            return -1;
        puts_to(d, ": ");
        if (dump_value(d, reader) < 0)
            return -1;
    }
    puts_to(d, "}");
    return 0;
}

/* ---- ext types ---- */

static int dump_payload_array(dump_t *d, xo_slice_t payload)
{
    xo_reader_t reader = xo_reader(payload);
    if (xo_read_type(&reader) != XO_T_ARRAY)
        return malformed(d);
    if (dump_value(d, &reader) < 0)
        return -1;
    return d->full || xo_reader_done(&reader) ? 0 : malformed(d);
}

static int dump_set(dump_t *d, const char *name, xo_slice_t payload)
{
    putf(d, "<%s ", name);
    if (dump_payload_array(d, payload) < 0)
        return -1;
    puts_to(d, ">");
    return 0;
}

static int dump_complex(dump_t *d, xo_slice_t payload)
{
    double part[2];
    if (payload.size != sizeof part)
        return malformed(d);
    for (int i = 0; i < 2; i++) {
        uint64_t bits = xoi_load_be64((const uint8_t *)payload.data + 8 * i);
        memcpy(&part[i], &bits, sizeof bits);
    }
    putf(d, "<complex %g%+gj>", part[0], part[1]);
    return 0;
}

static int dump_ref(dump_t *d, xo_slice_t payload)
{
    xo_slice_t address, uid;
    if (xo_unpack(payload, NULL, "[S B]", &address, &uid) < 0)
        return malformed(d);
    puts_to(d, "<ref ");
    put_text(d, address);
    puts_to(d, " ");
    put_text(d, uid);
    puts_to(d, ">");
    return 0;
}

static int dump_buffer(dump_t *d, xo_slice_t payload)
{
    uint64_t index;
    if (xo_unpack(payload, NULL, "U", &index) < 0)
        return malformed(d);
    putf(d, "<buffer %" PRIu64 ">", index);
    return 0;
}

static int dump_opaque(dump_t *d, int type, size_t size)
{
    switch (type) {
    case XO_EXT_BIGINT:
        putf(d, "<big int %zu bytes>", size);
        break;
    case XO_EXT_PICKLE:
        putf(d, "<pickle %zu bytes>", size);
        break;
    default:
        putf(d, "<ext %d %zu bytes>", type, size);
    }
    return 0;
}

static int dump_ext(dump_t *d, int type, xo_slice_t payload)
{
    switch (type) {
    case XO_EXT_TUPLE:
        return dump_payload_array(d, payload);
    case XO_EXT_SET:
        return dump_set(d, "set", payload);
    case XO_EXT_FROZENSET:
        return dump_set(d, "frozenset", payload);
    case XO_EXT_COMPLEX:
        return dump_complex(d, payload);
    case XO_EXT_REF:
        return dump_ref(d, payload);
    case XO_EXT_BUFFER:
        return dump_buffer(d, payload);
    default:
        return dump_opaque(d, type, payload.size);
    }
}

/* ---- values ---- */

static int dump_integer(dump_t *d, xo_reader_t *reader, xo_type_t type)
{
    int64_t number;
    uint64_t large;
    if (type == XO_T_UINT) {
        xo_read_uint(reader, &large);
        putf(d, "%" PRIu64, large);
    } else {
        xo_read_int(reader, &number);
        putf(d, "%" PRId64, number);
    }
    return 0;
}

static int dump_scalar(dump_t *d, xo_reader_t *reader, xo_type_t type)
{
    bool truth;
    double number;
    if (type == XO_T_NIL) {
        xo_read_nil(reader);
        puts_to(d, "null");
    } else if (type == XO_T_BOOL) {
        xo_read_bool(reader, &truth);
        puts_to(d, truth ? "true" : "false");
    } else {
        xo_read_double(reader, &number);
        put_double(d, number);
    }
    return 0;
}

static int dump_bytes(dump_t *d, xo_reader_t *reader, xo_type_t type)
{
    xo_slice_t bytes;
    int ext = 0;
    if (type == XO_T_EXT) {
        xo_read_ext(reader, &ext, &bytes);
        return dump_ext(d, ext, bytes);
    }
    xo_read_bytes(reader, &bytes);
    if (type == XO_T_STR)
        put_text(d, bytes);
    else
        putf(d, "<bin %zu bytes>", bytes.size);
    return 0;
}

static int dump_container(dump_t *d, xo_reader_t *reader, xo_type_t type)
{
    uint32_t count;
    if (type == XO_T_ARRAY)
        return xo_read_array(reader, &count) < 0 ? -1 : dump_items(d, reader, count);
    return xo_read_map(reader, &count) < 0 ? -1 : dump_pairs(d, reader, count);
}

static int dump_typed(dump_t *d, xo_reader_t *reader)
{
    xo_type_t type = xo_read_type(reader);
    switch (type) {
    case XO_T_NONE:
        return malformed(d);
    case XO_T_INT:
    case XO_T_UINT:
        return dump_integer(d, reader, type);
    case XO_T_STR:
    case XO_T_BIN:
    case XO_T_EXT:
        return dump_bytes(d, reader, type);
    case XO_T_ARRAY:
    case XO_T_MAP:
        return dump_container(d, reader, type);
    default:
        return dump_scalar(d, reader, type);
    }
}

/* Recurses; an ext that holds an array counts as one level, as the array in it does. */
static int dump_value(dump_t *d, xo_reader_t *reader)
{
    if (d->depth > 2 * XO_DEPTH_MAX)
        return malformed(d);
    d->depth++;
    int rc = dump_typed(d, reader);
    d->depth--;
    return rc;
}

int xo_pack_dump(xo_slice_t value, xo_buf_t *out, size_t max_bytes)
{
    size_t limit = max_bytes > SIZE_MAX - out->size ? SIZE_MAX : out->size + max_bytes;
    dump_t d = {.out = out, .limit = limit};
    xo_reader_t reader = xo_reader(value);
    if (dump_value(&d, &reader) < 0)
        return -1;
    if (!d.full && !xo_reader_done(&reader))
        return malformed(&d);
    return xo_buf_ok(out);
}
