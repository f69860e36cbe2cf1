/* pack_arguments.h - the arguments of a call by a format string. Internal: the formats are those of
 * pack.h, with one letter per positional argument; NULL is none.
 */
#ifndef XO_PACK_ARGUMENTS_H
#define XO_PACK_ARGUMENTS_H

#include <endian.h>
#include <string.h>

#include "libxo/pack_format.h"

/* Writes [[positional arguments] {}]: a message's body. As xo_pack_vformat. */
int xoi_pack_arguments(xo_buf_t *buf, const char *format, va_list list);
/* Reads positional arguments, an array. As xo_vunpack. */
int xoi_unpack_arguments(xo_slice_t args, xo_error_t *err, const char *format, va_list list);

/* Many have nothing but a few integers from 0 to 127: those are written, and read, here, where
 * nothing is called, so that there is nothing to save and restore. The list is read where it is:
 * copied so soon after it was made, it would be waited for until it is in the cache. */

/* xoi_pack_arguments of those, into a buffer that is empty. False: they are not of that kind, or
 * there is too little room; nothing is written, but the list is used up. All is written at once,
 * since who reads several bytes that were just written one by one waits for them, too. */
static inline bool xoi_pack_small(xo_buf_t *buf, const char *format, va_list list)
{
    uint64_t bytes = XOI_LEAD_FIXARRAY | 2 | XOI_LEAD_FIXARRAY << 8;
    unsigned count = 0;
    if (!format || buf->capacity < sizeof bytes)
        return false;
    for (; format[count] == 'i' && count < sizeof bytes - 3; count++) {
        unsigned value = va_arg(list, unsigned);
        if (value > XOI_FIXINT_MAX)
            return false;
        bytes |= (uint64_t)value << (16 + 8 * count);
    }
    if (format[count])
        return false;
    bytes |= (uint64_t)XOI_LEAD_FIXMAP << (16 + 8 * count);
    bytes = htole64(bytes + (count << 8));
    memcpy(buf->data, &bytes, sizeof bytes);
    buf->size = count + 3;
    buf->failed = false;
    return true;
}

/* One of them by itself, as a result is. False: it is none, and the list is used up. */
static inline bool xoi_pack_small_value(char *at, const char *format, va_list list)
{
    if (format[0] != 'i' || format[1])
        return false;
    unsigned value = va_arg(list, unsigned);
    *at = (char)value;
    return value <= XOI_FIXINT_MAX;
}

/* False: it is none, and the list is as it was. */
static inline bool xoi_unpack_small_value(xo_slice_t bytes, const char *format, va_list list)
{
    const uint8_t *at = (const uint8_t *)bytes.data;
    if (bytes.size != 1 || *at > XOI_FIXINT_MAX || !format || format[0] != 'i' || format[1])
        return false;
    *va_arg(list, int *) = *at;
    return true;
}

/* One of them, as an argument. False: it is none, and the list is as it was. */
static inline bool xoi_unpack_small(xo_slice_t args, const char *format, va_list list)
{
    const uint8_t *head = (const uint8_t *)args.data;
    if (args.size != 2 || head[0] != (XOI_LEAD_FIXARRAY | 1) || head[1] > XOI_FIXINT_MAX ||
        !format || format[0] != 'i' || format[1])
        return false;
    *va_arg(list, int *) = head[1];
    return true;
}

#endif
