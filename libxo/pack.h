/* pack.h - msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md): write and read values.
 *
 * Writing goes through msgpack-c into a growing xo_buf_t. Reading is a pull parser that allocates
 * nothing and checks every length against what is left: the bytes come off a wire. Nothing here
 * does I/O. Whether a str is UTF-8 is not checked here: who makes text of it does that.
 */
#ifndef XO_PACK_H
#define XO_PACK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libxo/error.h"

/* Bytes that belong to somebody else. */
typedef struct xo_slice {
    const char *data;
    size_t size;
} xo_slice_t;

static inline xo_slice_t xo_slice(const void *data, size_t size)
{
    return (xo_slice_t){(const char *)data, size};
}

xo_slice_t xo_slice_str(const char *text); /* NULL gives an empty slice */
bool xo_slice_eq(xo_slice_t a, xo_slice_t b);
bool xo_slice_eq_str(xo_slice_t a, const char *text);
bool xo_slice_starts(xo_slice_t a, const char *prefix);

/* What msgpack has no word for, as ext types. doc/wire.md describes the payload of each. */
typedef enum {
    XO_EXT_TUPLE = 1,     /* msgpack array */
    XO_EXT_SET = 2,       /* msgpack array */
    XO_EXT_FROZENSET = 3, /* msgpack array */
    XO_EXT_BIGINT = 4,    /* two's complement, little-endian, shortest */
    XO_EXT_COMPLEX = 5,   /* two big-endian doubles */
    XO_EXT_REF = 6,       /* msgpack array [address str, uid bin] */
    XO_EXT_PICKLE = 7, /* a pickle of protocol 5; its buffers are the message's buffers in order */
    XO_EXT_BUFFER = 8, /* msgpack uint: index of one of the message's buffers, read as bin */
    XO_EXT_SHM = 9,    /* reserved: a shared-memory buffer */
    XO_EXT_CUDA = 10   /* reserved: a CUDA buffer */
} xo_ext_t;

/* Containers nested deeper than this are refused (EBADMSG): a reader may recurse. */
#define XO_DEPTH_MAX 64

/* ---- writing ---- */

/* A growing buffer. Zero-initialise (XO_BUF_INIT); xo_buf_free when done. Writers never fail
 * halfway: an allocation failure (or a value above 4 GiB, msgpack's limit) sets `failed`, later
 * writes do nothing, xo_buf_ok tells. */
typedef struct xo_buf {
    char *data;
    size_t size; /* bytes written */
    size_t capacity;
    bool failed;
} xo_buf_t;

#define XO_BUF_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }

void xo_buf_free(xo_buf_t *buf);                      /* leaves an empty, usable buffer */
void xo_buf_clear(xo_buf_t *buf);                     /* keeps the capacity, forgets a failure */
int xo_buf_ok(const xo_buf_t *buf);                   /* 0, or -1 with ENOMEM */
int xo_buf_reserve(xo_buf_t *buf, size_t more_bytes); /* 0, or -1 with ENOMEM */
int xo_buf_append(xo_buf_t *buf, const void *data, size_t size); /* raw bytes, no msgpack framing */
xo_slice_t xo_buf_slice(const xo_buf_t *buf);

void xo_pack_nil(xo_buf_t *buf);
void xo_pack_bool(xo_buf_t *buf, bool value);
void xo_pack_int(xo_buf_t *buf, int64_t value);
void xo_pack_uint(xo_buf_t *buf, uint64_t value);
void xo_pack_double(xo_buf_t *buf, double value);
void xo_pack_str(xo_buf_t *buf, const char *text, size_t size);
void xo_pack_cstr(xo_buf_t *buf, const char *text);
void xo_pack_bin(xo_buf_t *buf, const void *data, size_t size);
void xo_pack_array(xo_buf_t *buf, uint32_t count); /* `count` values follow */
void xo_pack_map(xo_buf_t *buf, uint32_t count);   /* `count` pairs follow */
void xo_pack_ext(xo_buf_t *buf, xo_ext_t type, const void *data, size_t size);
void xo_pack_ext_header(xo_buf_t *buf, xo_ext_t type,
                        size_t size); /* append `size` bytes after it */
/* One value that is msgpack already; it is not checked. An empty slice writes nil. */
void xo_pack_raw(xo_buf_t *buf, xo_slice_t value);

/* Writes values as `format` says, one letter each; blanks and commas are ignored.
 *
 *   i int   I int64_t   u unsigned   U uint64_t   f double   ? bool (int)   n nil, no argument
 *   s const char * (NULL writes nil)   S xo_slice_t, as str   B xo_slice_t, as bin
 *   V xo_slice_t, one value that is msgpack already (an empty slice writes nil)
 *   [ ... ] an array   { ... } a map: key value key value ...
 *
 * A bad format is EINVAL, and nothing is written. Example: xo_pack_format(&buf, "[s i] {s f}", "a",
 * 1, "rate", 0.5). */
int xo_pack_format(xo_buf_t *buf, const char *format, ...);
int xo_pack_vformat(xo_buf_t *buf, const char *format, va_list args);

/* ---- reading ---- */

typedef enum {
    XO_T_NONE, /* at the end, or what follows is malformed */
    XO_T_NIL,
    XO_T_BOOL,
    XO_T_INT,  /* any integer that fits int64_t */
    XO_T_UINT, /* an integer above INT64_MAX */
    XO_T_DOUBLE,
    XO_T_STR,
    XO_T_BIN,
    XO_T_ARRAY,
    XO_T_MAP,
    XO_T_EXT
} xo_type_t;

/* Copy it to remember a position. All xo_read_* return 0 and advance, or return -1 with EBADMSG
 * (malformed, truncated, of another type, out of range) and leave the reader and *value as they
 * were. */
typedef struct xo_reader {
    const uint8_t *at;
    const uint8_t *end;
} xo_reader_t;

xo_reader_t xo_reader(xo_slice_t bytes);
bool xo_reader_done(const xo_reader_t *reader);
xo_type_t xo_read_type(const xo_reader_t *reader); /* peeks; a container's head only */
int xo_read_nil(xo_reader_t *reader);
int xo_read_bool(xo_reader_t *reader, bool *value);
int xo_read_int(xo_reader_t *reader, int64_t *value);
int xo_read_uint(xo_reader_t *reader, uint64_t *value);
int xo_read_double(xo_reader_t *reader, double *value); /* takes float32, float64 and integers */
int xo_read_str(xo_reader_t *reader, xo_slice_t *value);
int xo_read_bin(xo_reader_t *reader, xo_slice_t *value);
int xo_read_bytes(xo_reader_t *reader, xo_slice_t *value); /* str or bin */
/* A container's count is checked against the bytes left (each value takes at least one). */
int xo_read_array(xo_reader_t *reader, uint32_t *count);
int xo_read_map(xo_reader_t *reader, uint32_t *pairs);
int xo_read_ext(xo_reader_t *reader, int *type, xo_slice_t *payload);
/* Skips one whole value. It is checked on the way: containers nested deeper than XO_DEPTH_MAX are
 * refused. The payload of an ext is passed over unread. Does not recurse. */
int xo_read_skip(xo_reader_t *reader);
int xo_read_raw(xo_reader_t *reader, xo_slice_t *value); /* the same, and gives its bytes */
/* Finds `key` in the map that `map` holds (one msgpack value). 0: *value is its bytes;
 * -1: ENOENT, or EBADMSG if it is no map. Of a key that is there twice the first counts. */
int xo_map_get(xo_slice_t map, const char *key, xo_slice_t *value);
/* The same for a str value, copied with a NUL into text[size] (ENOBUFS if too long), and for an
 * integer. Nil reads as ENOENT. */
int xo_map_get_str(xo_slice_t map, const char *key, char *text, size_t size);
int xo_map_get_int(xo_slice_t map, const char *key, int64_t *value);

/* Reads values as `format` says, the reverse of xo_pack_format:
 *   i int *   I int64_t *   u unsigned *   U uint64_t *   f double *   ? bool *   n nothing
 *   s xo_slice_t * (str or bin)   S xo_slice_t * (str)   B xo_slice_t * (bin)
 *   V xo_slice_t * (any one value)   _ skips one value, no argument
 *   [ ... ] an array of exactly that many; [ ... *] ignores what follows
 * All of `bytes` is read, unless `format` ends with *. Slices point into `bytes`. -1 with EBADMSG
 * and a sentence that says which value was wrong and what was found instead ("value [2][1] is a
 * bool, expected a str"); EINVAL for a bad format. What came before the error has been stored. */
int xo_unpack(xo_slice_t bytes, xo_error_t *err, const char *format, ...);
int xo_vunpack(xo_slice_t bytes, xo_error_t *err, const char *format, va_list args);

/* Renders one msgpack value for people, as JSON with <bin N bytes>, <pickle N bytes> and the like
 * for what JSON lacks; a tuple is shown as an array, and control characters are escaped. Appends to
 * `out`; cut after `max_bytes` with "..." and not read on. -1: ENOMEM, or EBADMSG with
 * "<malformed>" in the place where it is. */
int xo_pack_dump(xo_slice_t value, xo_buf_t *out, size_t max_bytes);

#endif
