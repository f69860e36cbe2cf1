/* unpack_format.c - values read by a format string. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "libxo/pack_arguments.h"
#include "libxo/pack_format.h"

#define FIXARRAY_MASK 0xf0

typedef struct unpack {
    xo_reader_t reader;
    xo_error_t *err;
    unsigned depth;
    uint32_t index[XO_DEPTH_MAX + 1]; /* of the value that comes next, per open array */
    uint32_t left[XO_DEPTH_MAX + 1];  /* values of the array that are still to come */
    xoi_values_t args;
} unpack_t;

static inline int read_i(xo_reader_t *reader, int *value)
{
    xo_reader_t ahead = *reader;
    int64_t wide;
    if (ahead.at != ahead.end && *ahead.at <= XOI_FIXINT_MAX) {
        *value = *reader->at++;
        return 0;
    }
    if (xo_read_int(&ahead, &wide) < 0 || wide < INT_MIN || wide > INT_MAX)
        return -1;
    *value = (int)wide;
    *reader = ahead;
    return 0;
}

static int read_u(xo_reader_t *reader, unsigned *value)
{
    xo_reader_t ahead = *reader;
    uint64_t wide;
    if (xo_read_uint(&ahead, &wide) < 0 || wide > UINT_MAX)
        return -1;
    *value = (unsigned)wide;
    *reader = ahead;
    return 0;
}

static inline int read_letter(xo_reader_t *reader, char letter, xoi_values_t *args)
{
    switch (letter) {
    case 'i':
        return read_i(reader, va_arg(args->list, int *));
    case 'I':
        return xo_read_int(reader, va_arg(args->list, int64_t *));
    case 'u':
        return read_u(reader, va_arg(args->list, unsigned *));
    case 'U':
        return xo_read_uint(reader, va_arg(args->list, uint64_t *));
    case 'f':
        return xo_read_double(reader, va_arg(args->list, double *));
    case '?':
        return xo_read_bool(reader, va_arg(args->list, bool *));
    case 'n':
        return xo_read_nil(reader);
    case 's':
        return xo_read_bytes(reader, va_arg(args->list, xo_slice_t *));
    case 'S':
        return xo_read_str(reader, va_arg(args->list, xo_slice_t *));
    case 'B':
        return xo_read_bin(reader, va_arg(args->list, xo_slice_t *));
    case 'V':
        return xo_read_raw(reader, va_arg(args->list, xo_slice_t *));
    default:
        return xo_read_skip(reader);
    }
}

static const char *wanted(char letter)
{
    switch (letter) {
    case 'i':
    case 'I':
        return "an integer";
    case 'u':
    case 'U':
        return "an integer from 0 up";
    case 'f':
        return "a number";
    case '?':
        return "a bool";
    case 'n':
        return "nil";
    case 's':
        return "a str or bin";
    case 'S':
        return "a str";
    case 'B':
        return "a bin";
    case '[':
        return "an array";
    default:
        return "a value";
    }
}

static const char *found(const xo_reader_t *reader, char letter)
{
    static const char *const names[] = {
        [XO_T_NIL] = "nil",         [XO_T_BOOL] = "a bool",    [XO_T_INT] = "an integer",
        [XO_T_UINT] = "an integer", [XO_T_DOUBLE] = "a float", [XO_T_STR] = "a str",
        [XO_T_BIN] = "a bin",       [XO_T_ARRAY] = "an array", [XO_T_MAP] = "a map",
        [XO_T_EXT] = "an ext",
    };
    xo_type_t type = xo_read_type(reader);
    if (xo_reader_done(reader))
        return "missing";
    if (type == XO_T_NONE || strchr("V_", letter))
        return "malformed";
    if ((type == XO_T_INT || type == XO_T_UINT) && strchr("iIuU", letter))
        return "out of range";
    return names[type];
}

#define PLACE_BYTES 128

/* "value [0][2]": where in the arrays the next value is; cut where nothing more fits. */
static const char *place(const unpack_t *u, char *text)
{
    size_t used = (size_t)snprintf(text, PLACE_BYTES, "value ");
    if (u->depth == 0)
        used += (size_t)snprintf(text + used, PLACE_BYTES - used, "%u", u->index[0] + 1);
    for (unsigned i = 1; i <= u->depth && used < PLACE_BYTES; i++)
        used += (size_t)snprintf(text + used, PLACE_BYTES - used, "[%u]", u->index[i]);
    return text;
}

static int mismatch(unpack_t *u, char letter)
{
    char where[PLACE_BYTES];
    return xo_error_set(u->err, EBADMSG, "%s is %s, expected %s", place(u, where),
                        found(&u->reader, letter), wanted(letter));
}

static int miscount(unpack_t *u, uint32_t count, uint32_t want, bool star)
{
    char where[PLACE_BYTES];
    return xo_error_set(u->err, EBADMSG, "%s is an array of %u, expected %s%u", place(u, where),
                        count, star ? "at least " : "", want);
}

static int unpack_open(unpack_t *u, uint32_t want, bool star)
{
    uint32_t count;
    if (xo_read_array(&u->reader, &count) < 0)
        return mismatch(u, '[');
    if (count < want || (count > want && !star))
        return miscount(u, count, want, star);
    u->depth++;
    u->index[u->depth] = 0;
    u->left[u->depth] = count;
    return 0;
}

static void pass_value(unpack_t *u)
{
    u->index[u->depth]++;
    u->left[u->depth]--;
}

/* '*': what is left of the array, or at the top everything. */
static int unpack_rest(unpack_t *u)
{
    while (u->depth ? u->left[u->depth] > 0 : !xo_reader_done(&u->reader)) {
        if (xo_read_skip(&u->reader) < 0)
            return mismatch(u, '_');
        pass_value(u);
    }
    return 0;
}

static int unpack_step(unpack_t *u, const char *at)
{
    if (xoi_is_blank(*at))
        return 0;
    if (*at == '[') {
        bool star;
        uint32_t want = xoi_count_values(at + 1, &star);
        return unpack_open(u, want, star);
    }
    if (*at == '*')
        return unpack_rest(u);
    if (*at == ']')
        u->depth--;
    else if (read_letter(&u->reader, *at, &u->args) < 0)
        return mismatch(u, *at);
    pass_value(u);
    return 0;
}

static int unpack_values(unpack_t *u, const char *format)
{
    for (const char *at = format; *at; at++) {
        if (unpack_step(u, at) < 0)
            return -1;
    }
    return 0;
}

static int unpack_end(const unpack_t *u)
{
    if (xo_reader_done(&u->reader))
        return 0;
    return xo_error_set(u->err, EBADMSG, "more follows the %u values expected", u->index[0]);
}

static void unpack_begin(unpack_t *u, xo_slice_t bytes, xo_error_t *err)
{
    u->reader = xo_reader(bytes);
    u->err = err;
    u->depth = 0;
    u->index[0] = u->left[0] = 0;
}

/* One value, as most results are. A list is copied only where it must be (see pack_few). */
static inline bool unpack_single(xo_slice_t bytes, char letter, va_list list)
{
    xoi_values_t args;
    xo_reader_t reader = xo_reader(bytes);
    if (letter == 'i' && bytes.size == 1 && *reader.at <= XOI_FIXINT_MAX) {
        *va_arg(list, int *) = *reader.at;
        return true;
    }
    va_copy(args.list, list);
    bool fits = read_letter(&reader, letter, &args) == 0 && xo_reader_done(&reader);
    va_end(args.list);
    return fits;
}

/* Apart, so that the common way has little to save and restore. */
static __attribute__((noinline)) int unpack_any(xo_slice_t bytes, xo_error_t *err,
                                                const char *format, va_list list)
{
    unpack_t u;
    xoi_shape_t shape;
    if (!xoi_is_format(format, XOI_UNPACKS, &shape))
        return xo_error_set(err, EINVAL, "bad format \"%s\"", format);
    unpack_begin(&u, bytes, err);
    va_copy(u.args.list, list);
    int rc = unpack_values(&u, format) < 0 ? -1 : unpack_end(&u);
    va_end(u.args.list);
    return rc;
}

int xo_vunpack(xo_slice_t bytes, xo_error_t *err, const char *format, va_list list)
{
    if (xoi_is_single(format) && unpack_single(bytes, format[0], list))
        return 0;
    return unpack_any(bytes, err, format, list);
}

/* Nothing but small integers, as many as the format has? Each is one byte, as its letter is. */
static inline bool are_small(const uint8_t *values, unsigned count, const char *format)
{
    for (unsigned i = 0; i < count; i++)
        if (format[i] != 'i' || values[i] > XOI_FIXINT_MAX)
            return false;
    return !format[count];
}

/* As pack_few: what does not fit is read again from the beginning, for the sentence that says so.
 */
static inline bool unpack_few(xo_slice_t bytes, const char *format, va_list list)
{
    xoi_values_t args;
    xo_reader_t reader = xo_reader(bytes);
    if (bytes.size == 0 || (*reader.at & FIXARRAY_MASK) != XOI_LEAD_FIXARRAY)
        return false;
    unsigned left = *reader.at++ & XOI_FEW;
    if (bytes.size == left + 1 && are_small(reader.at, left, format)) {
        while (reader.at != reader.end)
            *va_arg(list, int *) = *reader.at++;
        return true;
    }
    va_copy(args.list, list);
    for (; left > 0 && (xoi_letters[(unsigned char)*format] & XOI_FLAT) &&
           read_letter(&reader, *format, &args) == 0;
         format++)
        left--;
    va_end(args.list);
    return left == 0 && !*format && xo_reader_done(&reader);
}

static __attribute__((noinline)) int unpack_arguments(xo_slice_t args, xo_error_t *err,
                                                      const char *format, va_list list)
{
    unpack_t u;
    xoi_shape_t shape;
    if (!xoi_is_format(format, XOI_UNPACKS, &shape))
        return xo_error_set(err, EINVAL, "bad format \"%s\"", format);
    unpack_begin(&u, args, err);
    va_copy(u.args.list, list);
    int rc = unpack_open(&u, shape.count, shape.star);
    if (rc == 0)
        rc = unpack_values(&u, format);
    va_end(u.args.list);
    return rc < 0 ? -1 : unpack_end(&u);
}

int xoi_unpack_arguments(xo_slice_t args, xo_error_t *err, const char *format, va_list list)
{
    format = format ? format : "";
    return unpack_few(args, format, list) ? 0 : unpack_arguments(args, err, format, list);
}

int xo_unpack(xo_slice_t bytes, xo_error_t *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = xo_vunpack(bytes, err, format, args);
    va_end(args);
    return rc;
}
