/* header.c - the header codec. The writer knows the exact size beforehand and writes bytes at
 * their places; the reader goes through the pull reader and allocates nothing. */

#include "libxo/header.h"

#include <errno.h>
#include <string.h>

#include "libxo/bytes.h"

#define FIELDS 9
#define TARGET_FIELDS 3
#define SENDER_FIELDS 2

#define LEAD_MAP 0x80 /* the first that is not an integer of one byte */
#define LEAD_ARRAY 0x90
#define LEAD_NIL 0xc0
#define LEAD_BIN8 0xc4
#define LEAD_UINT8 0xcc
#define LEAD_UINT16 0xcd
#define LEAD_UINT32 0xce
#define LEAD_UINT64 0xcf
#define LEAD_FIXSTR 0xa0
#define FIXSTR_MAX 31
#define LEAD_STR8 0xd9
#define LEAD_STR16 0xda

static const char *const kind_names[] = {
    [XO_HELLO] = "hello",     [XO_WELCOME] = "welcome", [XO_CALL] = "call",
    [XO_TELL] = "tell",       [XO_BATCH] = "batch",     [XO_RESULT] = "result",
    [XO_ERROR] = "error",     [XO_CANCEL] = "cancel",   [XO_CREDIT] = "credit",
    [XO_CREATE] = "create",   [XO_DESTROY] = "destroy", [XO_REF] = "ref",
    [XO_HAS] = "has",         [XO_EVENT] = "event",     [XO_HEARTBEAT] = "heartbeat",
    [XO_GOODBYE] = "goodbye", [XO_ATTACH] = "attach",   [XO_BULK] = "bulk",
    [XO_CHUNK] = "chunk",     [XO_TAKEN] = "taken",
};

static inline bool is_kind(uint64_t kind)
{
    return kind >= XO_HELLO && kind <= XO_TAKEN;
}

const char *xo_kind_name(xo_kind_t kind)
{
    return is_kind(kind) ? kind_names[kind] : "?";
}

bool xo_kind_is_request(xo_kind_t kind)
{
    const unsigned requests = 1u << XO_CALL | 1u << XO_TELL | 1u << XO_BATCH | 1u << XO_CREATE |
                              1u << XO_DESTROY | 1u << XO_REF | 1u << XO_HAS;
    return is_kind(kind) && (requests >> kind & 1);
}

/* ---- writing ---- */

int xoi_header_check(const xo_header_t *header)
{
    if (is_kind(header->kind) && header->target_uid.size <= XO_UID_BYTES_MAX &&
        header->sender_uid.size <= XO_UID_BYTES_MAX && header->method.size <= XO_METHOD_BYTES_MAX &&
        header->trace.size <= XO_TRACE_BYTES_MAX)
        return 0;
    errno = EINVAL;
    return -1;
}

static inline size_t uint_size(uint64_t value)
{
    if (value < 0x80)
        return 1;
    return value <= UINT8_MAX ? 2 : value <= UINT16_MAX ? 3 : value <= UINT32_MAX ? 5 : 9;
}

static inline size_t method_size(size_t size)
{
    return size + (size < 32 ? 1 : size <= UINT8_MAX ? 2 : 3); /* nil where empty: 1 as well */
}

static inline size_t trace_size(size_t size)
{
    return size ? 2 + size : 1;
}

size_t xoi_header_size(const xo_header_t *header)
{
    size_t start = 1 + uint_size(XO_WIRE_VERSION) + uint_size(header->kind);
    size_t target = 1 + 9 + 2 + header->target_uid.size + uint_size(header->incarnation);
    size_t sender = 1 + 9 + 2 + header->sender_uid.size;
    return start + uint_size(header->flags) + 9 + target + sender +
           method_size(header->method.size) + uint_size(header->deadline_ms) +
           trace_size(header->trace.size);
}

/* The low `width` bytes of `value`, big-endian. */
static inline uint8_t *put_number(uint8_t *at, uint8_t lead, uint64_t value, unsigned width)
{
    *at++ = lead;
    while (width-- > 0)
        *at++ = (uint8_t)(value >> 8 * width);
    return at;
}

static inline uint8_t *put_uint(uint8_t *at, uint64_t value)
{
    switch (uint_size(value)) {
    case 1:
        *at = (uint8_t)value;
        return at + 1;
    case 2:
        return put_number(at, LEAD_UINT8, value, 1);
    case 3:
        return put_number(at, LEAD_UINT16, value, 2);
    case 5:
        return put_number(at, LEAD_UINT32, value, 4);
    default:
        return put_number(at, LEAD_UINT64, value, 8);
    }
}

/* In full width whatever the value, and says where. */
static inline uint8_t *put_id(uint8_t *at, const uint8_t *base, uint64_t value, uint16_t *offset)
{
    *at++ = LEAD_UINT64;
    *offset = (uint16_t)(at - base);
    xoi_store_be64(at, value);
    return at + 8;
}

static inline uint8_t *put_bytes(uint8_t *at, xo_slice_t *slice)
{
    if (slice->size > 0)
        memcpy(at, slice->data, slice->size);
    slice->data = (const char *)at;
    return at + slice->size;
}

static inline uint8_t *put_bin(uint8_t *at, xo_slice_t *slice)
{
    *at++ = LEAD_BIN8;
    *at++ = (uint8_t)slice->size;
    return put_bytes(at, slice);
}

static inline uint8_t *put_method(uint8_t *at, xo_slice_t *method)
{
    size_t size = method->size;
    if (size == 0)
        *at++ = LEAD_NIL;
    else if (size < 32)
        *at++ = (uint8_t)(LEAD_FIXSTR | size);
    else
        at = put_number(at, size <= UINT8_MAX ? LEAD_STR8 : LEAD_STR16, size,
                        size <= UINT8_MAX ? 1 : 2);
    return put_bytes(at, method);
}

static inline uint8_t *put_trace(uint8_t *at, xo_slice_t *trace)
{
    if (trace->size > 0)
        return put_bin(at, trace);
    *at++ = LEAD_NIL;
    return put_bytes(at, trace);
}

uint8_t *xoi_header_write(uint8_t *out, const xo_header_t *header, xo_header_t *placed,
                          xoi_layout_t *layout)
{
    uint8_t *at = out;
    *placed = *header;
    *at++ = LEAD_ARRAY | FIELDS;
    at = put_uint(at, XO_WIRE_VERSION);
    at = put_uint(at, header->kind);
    at = put_uint(at, header->flags);
    at = put_id(at, out, header->seq, &layout->seq);
    *at++ = LEAD_ARRAY | TARGET_FIELDS;
    at = put_id(at, out, header->target_id, &layout->target_id);
    at = put_bin(at, &placed->target_uid);
    at = put_uint(at, header->incarnation);
    *at++ = LEAD_ARRAY | SENDER_FIELDS;
    at = put_id(at, out, header->sender_id, &layout->sender_id);
    at = put_bin(at, &placed->sender_uid);
    at = put_method(at, &placed->method);
    at = put_uint(at, header->deadline_ms);
    return put_trace(at, &placed->trace);
}

int xo_header_encode(const xo_header_t *header, xo_buf_t *out)
{
    if (xoi_header_check(header) < 0)
        return -1;
    size_t size = xoi_header_size(header);
    if (xo_buf_reserve(out, size) < 0)
        return -1;
    xo_header_t placed;
    xoi_layout_t layout;
    xoi_header_write((uint8_t *)out->data + out->size, header, &placed, &layout);
    out->size += size;
    return 0;
}

/* ---- reading ---- */

typedef struct parse {
    xo_reader_t reader;
    const uint8_t *base;
    xo_header_t *header;
    xoi_layout_t *layout;
    xo_error_t *err;
} parse_t;

static int wrong(parse_t *p, const char *what)
{
    return xo_error_set(p->err, EBADMSG, "header: %s", what);
}

/* What the encoder writes most often is read here in a few instructions; everything else, and
 * whatever does not fit, by the pull reader. */

static inline int read_uint(xo_reader_t *reader, uint64_t *value)
{
    if (reader->at == reader->end || *reader->at >= LEAD_MAP)
        return xo_read_uint(reader, value);
    *value = *reader->at++;
    return 0;
}

static inline int read_limited(xo_reader_t *reader, uint64_t max, uint64_t *value)
{
    return read_uint(reader, value) < 0 || *value > max ? -1 : 0;
}

static inline int read_id(parse_t *p, uint64_t *value, uint16_t *offset)
{
    xo_reader_t *reader = &p->reader;
    if (reader->end - reader->at < 9 || *reader->at != LEAD_UINT64)
        return xo_read_uint(reader, value);
    *offset = (uint16_t)(reader->at + 1 - p->base);
    *value = xoi_load_be64(reader->at + 1);
    reader->at += 9;
    return 0;
}

static inline int read_bin(xo_reader_t *reader, size_t max, xo_slice_t *value)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (left < 2 || *reader->at != LEAD_BIN8 || reader->at[1] > left - 2)
        return xo_read_bin(reader, value) < 0 || value->size > max ? -1 : 0;
    *value = xo_slice(reader->at + 2, reader->at[1]);
    reader->at += 2 + value->size;
    return value->size > max ? -1 : 0;
}

static inline int read_str(xo_reader_t *reader, xo_slice_t *value)
{
    size_t left = (size_t)(reader->end - reader->at);
    size_t size = left ? (size_t)*reader->at - LEAD_FIXSTR : left;
    if (size > FIXSTR_MAX || size >= left)
        return xo_read_str(reader, value);
    *value = xo_slice(reader->at + 1, size);
    reader->at += 1 + size;
    return 0;
}

static inline int read_array(xo_reader_t *reader, uint32_t *count)
{
    if (reader->at == reader->end || (*reader->at & 0xf0) != LEAD_ARRAY)
        return xo_read_array(reader, count);
    *count = *reader->at++ & 0x0f;
    return 0;
}

static inline bool skip_nil(xo_reader_t *reader)
{
    if (reader->at == reader->end || *reader->at != LEAD_NIL)
        return false;
    reader->at++;
    return true;
}

static int read_start(parse_t *p)
{
    uint32_t count;
    uint64_t version, kind, flags;
    if (read_array(&p->reader, &count) < 0 || count == 0)
        return wrong(p, "not an array");
    if (read_uint(&p->reader, &version) < 0)
        return wrong(p, "the version is not a number");
    if (version != XO_WIRE_VERSION)
        return xo_error_set(p->err, EBADMSG, "header: version %llu, this is version %d",
                            (unsigned long long)version, XO_WIRE_VERSION);
    if (count != FIELDS)
        return wrong(p, "not an array of nine");
    if (read_uint(&p->reader, &kind) < 0 || !is_kind(kind))
        return wrong(p, "the kind is unknown");
    if (read_limited(&p->reader, UINT16_MAX, &flags) < 0)
        return wrong(p, "the flags are not a uint16");
    p->header->kind = (xo_kind_t)kind;
    p->header->flags = (uint16_t)flags;
    return 0;
}

static int read_target(parse_t *p)
{
    uint32_t count;
    xo_header_t *header = p->header;
    if (skip_nil(&p->reader))
        return 0;
    if (read_array(&p->reader, &count) < 0 || count != TARGET_FIELDS)
        return wrong(p, "the target is neither nil nor an array of three");
    if (read_id(p, &header->target_id, &p->layout->target_id) < 0)
        return wrong(p, "the target's id is not a uint64");
    if (read_bin(&p->reader, XO_UID_BYTES_MAX, &header->target_uid) < 0)
        return wrong(p, "the target's uid is not a bin of at most 255 bytes");
    if (read_uint(&p->reader, &header->incarnation) < 0)
        return wrong(p, "the incarnation is not a uint64");
    return 0;
}

static int read_sender(parse_t *p)
{
    uint32_t count;
    xo_header_t *header = p->header;
    if (skip_nil(&p->reader))
        return 0;
    if (read_array(&p->reader, &count) < 0 || count != SENDER_FIELDS)
        return wrong(p, "the sender is neither nil nor an array of two");
    if (read_id(p, &header->sender_id, &p->layout->sender_id) < 0)
        return wrong(p, "the sender's id is not a uint64");
    if (read_bin(&p->reader, XO_UID_BYTES_MAX, &header->sender_uid) < 0)
        return wrong(p, "the sender's uid is not a bin of at most 255 bytes");
    return 0;
}

static int read_method(parse_t *p)
{
    xo_slice_t *method = &p->header->method;
    if (skip_nil(&p->reader))
        return 0;
    if (read_str(&p->reader, method) < 0 || method->size > XO_METHOD_BYTES_MAX)
        return wrong(p, "the method is neither nil nor a str of at most 1024 bytes");
    return 0;
}

static int read_trace(parse_t *p)
{
    if (skip_nil(&p->reader))
        return 0;
    if (read_bin(&p->reader, XO_TRACE_BYTES_MAX, &p->header->trace) < 0)
        return wrong(p, "the trace is neither nil nor a bin of at most 255 bytes");
    return 0;
}

static int read_fields(parse_t *p)
{
    if (read_start(p) < 0)
        return -1;
    if (read_id(p, &p->header->seq, &p->layout->seq) < 0)
        return wrong(p, "the sequence is not a uint64");
    if (read_target(p) < 0 || read_sender(p) < 0 || read_method(p) < 0)
        return -1;
    if (read_uint(&p->reader, &p->header->deadline_ms) < 0)
        return wrong(p, "the deadline is not a uint64");
    return read_trace(p);
}

int xoi_header_read(xo_slice_t frame, xo_header_t *header, xoi_layout_t *layout, xo_slice_t *body,
                    xo_error_t *err)
{
    parse_t p = {xo_reader(frame), NULL, header, layout, err};
    p.base = p.reader.at;
    memset(header, 0, sizeof *header);
    memset(layout, 0, sizeof *layout);
    if (read_fields(&p) < 0)
        return -1;
    *body = xo_slice(p.reader.at, (size_t)(p.reader.end - p.reader.at));
    return 0;
}

int xo_header_decode(xo_slice_t frame, xo_header_t *header, xo_slice_t *body, xo_error_t *err)
{
    xoi_layout_t layout;
    return xoi_header_read(frame, header, &layout, body, err);
}
