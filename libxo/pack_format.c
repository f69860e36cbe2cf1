/* pack_format.c - format strings, and values written by them. */

#include "libxo/pack_format.h"

#include <errno.h>
#include <limits.h>

#include "libxo/pack_arguments.h"

#define FEW_BYTES 64 /* what they mostly take */

/* ---- the format string ---- */

#define BOTH (XOI_PACKS | XOI_UNPACKS)

/* What each letter is good for. */
const uint8_t xoi_letters[UCHAR_MAX + 1] = {
    ['i'] = BOTH | XOI_FLAT,
    ['I'] = BOTH | XOI_FLAT,
    ['u'] = BOTH | XOI_FLAT,
    ['U'] = BOTH | XOI_FLAT,
    ['f'] = BOTH | XOI_FLAT,
    ['?'] = BOTH | XOI_FLAT,
    ['n'] = BOTH | XOI_FLAT,
    ['s'] = BOTH | XOI_FLAT,
    ['S'] = BOTH | XOI_FLAT,
    ['B'] = BOTH | XOI_FLAT,
    ['V'] = BOTH | XOI_FLAT,
    ['['] = BOTH,
    [']'] = BOTH,
    ['{'] = XOI_PACKS,
    ['}'] = XOI_PACKS,
    ['_'] = XOI_UNPACKS,
    ['*'] = XOI_UNPACKS,
};

static bool is_open(char c)
{
    return c == '[' || c == '{';
}

static bool is_close(char c)
{
    return c == ']' || c == '}';
}

uint32_t xoi_count_values(const char *at, bool *star)
{
    uint32_t count = 0;
    unsigned depth = 0;
    *star = false;
    for (; *at; at++) {
        if (is_close(*at) && depth-- == 0)
            break;
        if (depth == 0 && *at == '*')
            *star = true;
        else if (depth == 0 && !xoi_is_blank(*at) && !is_close(*at))
            count++;
        depth += is_open(*at);
    }
    return count;
}

static bool ends_container(const char *at)
{
    while (xoi_is_blank(*at))
        at++;
    return *at == '\0' || is_close(*at);
}

static bool pairs_up(const char *open)
{
    bool star;
    return *open == '[' || xoi_count_values(open + 1, &star) % 2 == 0;
}

bool xoi_is_format(const char *format, unsigned use, xoi_shape_t *shape)
{
    char open[XO_DEPTH_MAX];
    unsigned depth = 0;
    *shape = (xoi_shape_t){0, false};
    for (const char *at = format; *at; at++) {
        if (xoi_is_blank(*at))
            continue;
        if (!(xoi_letters[(unsigned char)*at] & use) || (*at == '*' && !ends_container(at + 1)))
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
    uint32_t count = xoi_count_values(open + 1, &star);
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

static inline void pack_value(xo_buf_t *buf, const char *at, xoi_values_t *args)
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
    xoi_values_t args;
    va_copy(args.list, list);
    for (const char *at = format; *at; at++)
        pack_value(buf, at, &args);
    va_end(args.list);
}

static __attribute__((noinline)) int pack_any(xo_buf_t *buf, const char *format, va_list list)
{
    xoi_shape_t shape;
    if (!xoi_is_format(format, XOI_PACKS, &shape))
        return wrong_format();
    pack_values(buf, format, list);
    return xo_buf_ok(buf);
}

int xo_pack_vformat(xo_buf_t *buf, const char *format, va_list list)
{
    if (!xoi_is_single(format))
        return pack_any(buf, format, list);
    if (*format == 'i') /* read where it is: see xoi_pack_small */
        xo_pack_int(buf, va_arg(list, int));
    else
        pack_values(buf, format, list);
    return xo_buf_ok(buf);
}

static inline bool has_room(const xo_buf_t *buf, size_t more_bytes)
{
    return buf->capacity - buf->size >= more_bytes;
}

/* How many values a format has, all of them flat; XOI_FEW + 1: more, or something else. */
static inline unsigned count_few(const char *format)
{
    unsigned count = 0;
    while (count <= XOI_FEW && (xoi_letters[(unsigned char)format[count]] & XOI_FLAT))
        count++;
    return format[count > XOI_FEW ? XOI_FEW : count] ? XOI_FEW + 1 : count;
}

/* Most calls have a few small arguments. */
static inline int pack_few(xo_buf_t *buf, const char *format, unsigned count, va_list list)
{
    if (!has_room(buf, FEW_BYTES) && xo_buf_reserve(buf, FEW_BYTES) < 0)
        return -1;
    buf->data[buf->size] = (char)(XOI_LEAD_FIXARRAY | 2);
    buf->data[buf->size + 1] = (char)(XOI_LEAD_FIXARRAY | count);
    buf->size += 2;
    pack_values(buf, format, list);
    if (has_room(buf, 1))
        buf->data[buf->size++] = (char)XOI_LEAD_FIXMAP;
    else
        xo_pack_map(buf, 0);
    return xo_buf_ok(buf);
}

static int pack_arguments(xo_buf_t *buf, const char *format, va_list list)
{
    xoi_shape_t shape;
    if (!xoi_is_format(format, XOI_PACKS, &shape))
        return wrong_format();
    xo_pack_array(buf, 2);
    xo_pack_array(buf, shape.count);
    pack_values(buf, format, list);
    xo_pack_map(buf, 0);
    return xo_buf_ok(buf);
}

int xoi_pack_arguments(xo_buf_t *buf, const char *format, va_list list)
{
    format = format ? format : "";
    unsigned count = count_few(format);
    return count <= XOI_FEW ? pack_few(buf, format, count, list)
                            : pack_arguments(buf, format, list);
}

int xo_pack_format(xo_buf_t *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = xo_pack_vformat(buf, format, args);
    va_end(args);
    return rc;
}
