/* pack_format.c - values by a format string, both ways. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "libxo/pack_arguments.h"

#define FIXINT_MAX 127 /* integers up to this are one byte */
#define FEW 15         /* so many values have a head of one byte */
#define LEAD_FIXARRAY 0x90
#define FIXARRAY_MASK 0xf0

/* ---- the format string ---- */

enum { PACKS = 1, UNPACKS = 2, FLAT = 4, BOTH = PACKS | UNPACKS };

/* What each letter is good for. */
static const uint8_t letters[UCHAR_MAX + 1] = {
    ['i'] = BOTH | FLAT, ['I'] = BOTH | FLAT, ['u'] = BOTH | FLAT, ['U'] = BOTH | FLAT,
    ['f'] = BOTH | FLAT, ['?'] = BOTH | FLAT, ['n'] = BOTH | FLAT, ['s'] = BOTH | FLAT,
    ['S'] = BOTH | FLAT, ['B'] = BOTH | FLAT, ['V'] = BOTH | FLAT, ['['] = BOTH,
    [']'] = BOTH,        ['{'] = PACKS,       ['}'] = PACKS,       ['_'] = UNPACKS,
    ['*'] = UNPACKS,
};

static bool is_blank(char c)
{
    return c == ' ' || c == ',';
}

static bool is_open(char c)
{
    return c == '[' || c == '{';
}

static bool is_close(char c)
{
    return c == ']' || c == '}';
}

/* Counts the values of the container that `at` is inside of, up to its end; '*' is none. */
static uint32_t count_values(const char *at, bool *star)
{
    uint32_t count = 0;
    unsigned depth = 0;
    *star = false;
    for (; *at; at++) {
        if (is_close(*at) && depth-- == 0)
            break;
        if (depth == 0 && *at == '*')
            *star = true;
        else if (depth == 0 && !is_blank(*at) && !is_close(*at))
            count++;
        depth += is_open(*at);
    }
    return count;
}

static bool ends_container(const char *at)
{
    while (is_blank(*at))
        at++;
    return *at == '\0' || is_close(*at);
}

static bool pairs_up(const char *open)
{
    bool star;
    return *open == '[' || count_values(open + 1, &star) % 2 == 0;
}

/* What a format says as a whole. */
typedef struct shape {
    uint32_t count; /* values at the top, '*' not among them */
    bool star;      /* '*' at the top */
} shape_t;

/* Is `format` made of letters that are good for `use`, with brackets that match? Asked before
 * anything is written or read. */
static bool is_format(const char *format, unsigned use, shape_t *shape)
{
    char open[XO_DEPTH_MAX];
    unsigned depth = 0;
    *shape = (shape_t){0, false};
    for (const char *at = format; *at; at++) {
        if (is_blank(*at))
            continue;
        if (!(letters[(unsigned char)*at] & use) || (*at == '*' && !ends_container(at + 1)))
            return false;
        if (depth == 0 && *at == '*')
            shape->star = true;
        else if (depth == 0 && !is_close(*at))
            shape->count++;
        if (is_open(*at)) {
            if (depth == XO_DEPTH_MAX || !pairs_up(at))
                return false;
            open[depth++] = *at;
        } else if (is_close(*at)) {
            if (depth == 0 || open[--depth] != (*at == ']' ? '[' : '{'))
                return false;
        }
    }
    return depth == 0;
}

/* ---- writing ---- */

static void pack_open(xo_buf_t *buf, const char *open)
{
    bool star;
    uint32_t count = count_values(open + 1, &star);
    if (*open == '[')
        xo_pack_array(buf, count);
    else
        xo_pack_map(buf, count / 2);
}

static void pack_slice(xo_buf_t *buf, char letter, xo_slice_t slice)
{
    if (letter == 'S')
        xo_pack_str(buf, slice.data, slice.size);
    else if (letter == 'B')
        xo_pack_bin(buf, slice.data, slice.size);
    else
        xo_pack_raw(buf, slice);
}

typedef struct arguments {
    va_list list; /* in a struct, so that its address can be given on */
} arguments_t;

static void pack_value(xo_buf_t *buf, const char *at, arguments_t *args)
{
    switch (*at) {
    case 'i':
        return xo_pack_int(buf, va_arg(args->list, int));
    case 'I':
        return xo_pack_int(buf, va_arg(args->list, int64_t));
    case 'u':
        return xo_pack_uint(buf, va_arg(args->list, unsigned));
    case 'U':
        return xo_pack_uint(buf, va_arg(args->list, uint64_t));
    case 'f':
        return xo_pack_double(buf, va_arg(args->list, double));
    case '?':
        return xo_pack_bool(buf, va_arg(args->list, int) != 0);
    case 'n':
        return xo_pack_nil(buf);
    case 's':
        return xo_pack_cstr(buf, va_arg(args->list, const char *));
    case 'S':
    case 'B':
    case 'V':
        return pack_slice(buf, *at, va_arg(args->list, xo_slice_t));
    case '[':
    case '{':
        return pack_open(buf, at);
    }
}

static int wrong_format(void)
{
    errno = EINVAL;
    return -1;
}

static void pack_values(xo_buf_t *buf, const char *format, va_list list)
{
    arguments_t args;
    va_copy(args.list, list);
    for (const char *at = format; *at; at++)
        pack_value(buf, at, &args);
    va_end(args.list);
}

int xo_pack_vformat(xo_buf_t *buf, const char *format, va_list list)
{
    shape_t shape;
    if (!is_format(format, PACKS, &shape))
        return wrong_format();
    pack_values(buf, format, list);
    return xo_buf_ok(buf);
}

/* Most calls have a few small arguments: one walk over the format. False: nothing was written, and
 * something needs a closer look. */
static bool pack_few(xo_buf_t *buf, const char *format, va_list list)
{
    arguments_t args;
    const char *at = format;
    size_t before = buf->size;
    va_copy(args.list, list);
    xo_pack_array(buf, 2);
    xo_pack_array(buf, 0);
    for (; (letters[(unsigned char)*at] & FLAT) && at - format < FEW; at++)
        pack_value(buf, at, &args);
    va_end(args.list);
    xo_pack_map(buf, 0);
    if (*at || buf->failed) {
        buf->size = buf->failed ? buf->size : before;
        return false;
    }
    buf->data[before + 1] = (char)(buf->data[before + 1] | (at - format)); /* the count */
    return true;
}

int xoi_pack_arguments(xo_buf_t *buf, const char *format, va_list list)
{
    shape_t shape;
    format = format ? format : "";
    if (pack_few(buf, format, list))
        return 0;
    if (!is_format(format, PACKS, &shape))
        return wrong_format();
    xo_pack_array(buf, 2);
    xo_pack_array(buf, shape.count);
    pack_values(buf, format, list);
    xo_pack_map(buf, 0);
    return xo_buf_ok(buf);
}

int xo_pack_format(xo_buf_t *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = xo_pack_vformat(buf, format, args);
    va_end(args);
    return rc;
}

/* ---- reading ---- */

typedef struct unpack {
    xo_reader_t reader;
    xo_error_t *err;
    unsigned depth;
    uint32_t index[XO_DEPTH_MAX + 1]; /* of the value that comes next, per open array */
    uint32_t left[XO_DEPTH_MAX + 1];  /* values of the array that are still to come */
    arguments_t args;
} unpack_t;

static int read_i(xo_reader_t *reader, int *value)
{
    xo_reader_t ahead = *reader;
    int64_t wide;
    if (ahead.at != ahead.end && *ahead.at <= FIXINT_MAX) {
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

static int read_letter(unpack_t *u, char letter)
{
    switch (letter) {
    case 'i':
        return read_i(&u->reader, va_arg(u->args.list, int *));
    case 'I':
        return xo_read_int(&u->reader, va_arg(u->args.list, int64_t *));
    case 'u':
        return read_u(&u->reader, va_arg(u->args.list, unsigned *));
    case 'U':
        return xo_read_uint(&u->reader, va_arg(u->args.list, uint64_t *));
    case 'f':
        return xo_read_double(&u->reader, va_arg(u->args.list, double *));
    case '?':
        return xo_read_bool(&u->reader, va_arg(u->args.list, bool *));
    case 'n':
        return xo_read_nil(&u->reader);
    case 's':
        return xo_read_bytes(&u->reader, va_arg(u->args.list, xo_slice_t *));
    case 'S':
        return xo_read_str(&u->reader, va_arg(u->args.list, xo_slice_t *));
    case 'B':
        return xo_read_bin(&u->reader, va_arg(u->args.list, xo_slice_t *));
    case 'V':
        return xo_read_raw(&u->reader, va_arg(u->args.list, xo_slice_t *));
    default:
        return xo_read_skip(&u->reader);
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
    if (is_blank(*at))
        return 0;
    if (*at == '[') {
        bool star;
        uint32_t want = count_values(at + 1, &star);
        return unpack_open(u, want, star);
    }
    if (*at == '*')
        return unpack_rest(u);
    if (*at == ']')
        u->depth--;
    else if (read_letter(u, *at) < 0)
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

int xo_vunpack(xo_slice_t bytes, xo_error_t *err, const char *format, va_list list)
{
    unpack_t u;
    shape_t shape;
    if (!is_format(format, UNPACKS, &shape))
        return xo_error_set(err, EINVAL, "bad format \"%s\"", format);
    unpack_begin(&u, bytes, err);
    va_copy(u.args.list, list);
    int rc = unpack_values(&u, format) < 0 ? -1 : unpack_end(&u);
    va_end(u.args.list);
    return rc;
}

/* As pack_few: what does not fit is read again from the beginning, for the sentence that says so.
 */
static bool unpack_few(xo_slice_t args, const char *format, va_list list)
{
    unpack_t u;
    const char *at = format;
    u.reader = xo_reader(args);
    if (args.size == 0 || (*u.reader.at & FIXARRAY_MASK) != LEAD_FIXARRAY)
        return false;
    unsigned left = *u.reader.at++ & FEW;
    va_copy(u.args.list, list);
    for (; left > 0 && (letters[(unsigned char)*at] & FLAT) && read_letter(&u, *at) == 0; at++)
        left--;
    va_end(u.args.list);
    return left == 0 && !*at && xo_reader_done(&u.reader);
}

int xoi_unpack_arguments(xo_slice_t args, xo_error_t *err, const char *format, va_list list)
{
    unpack_t u;
    shape_t shape;
    format = format ? format : "";
    if (unpack_few(args, format, list))
        return 0;
    if (!is_format(format, UNPACKS, &shape))
        return xo_error_set(err, EINVAL, "bad format \"%s\"", format);
    unpack_begin(&u, args, err);
    va_copy(u.args.list, list);
    int rc = unpack_open(&u, shape.count, shape.star);
    if (rc == 0)
        rc = unpack_values(&u, format);
    va_end(u.args.list);
    return rc < 0 ? -1 : unpack_end(&u);
}

int xo_unpack(xo_slice_t bytes, xo_error_t *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = xo_vunpack(bytes, err, format, args);
    va_end(args);
    return rc;
}
