/* pack_format.h - format strings, for the files that write and read by them: pack_format.c and
 * unpack_format.c.
 */
#ifndef XO_PACK_FORMAT_H
#define XO_PACK_FORMAT_H

#include "libxo/pack.h"

/* What a letter is good for. FLAT: it is one value, without brackets. */
enum { XOI_PACKS = 1, XOI_UNPACKS = 2, XOI_FLAT = 4 };
extern const uint8_t xoi_letters[256];

/* Heads of one byte, and how many values, or up to which number, they have. */
#define XOI_FEW 15
#define XOI_LEAD_FIXARRAY 0x90
#define XOI_LEAD_FIXMAP 0x80
#define XOI_FIXINT_MAX 127

/* What a format says as a whole. */
typedef struct xoi_shape {
    uint32_t count; /* values at the top, '*' not among them */
    bool star;      /* '*' at the top */
} xoi_shape_t;

/* Is `format` made of letters that are good for `use`, with brackets that match? Asked before
 * anything is written or read. */
bool xoi_is_format(const char *format, unsigned use, xoi_shape_t *shape);
/* Counts the values of the container that `at` is inside of, up to its end; '*' is none. */
uint32_t xoi_count_values(const char *at, bool *star);

/* One value that needs no more than its letter. */
static inline bool xoi_is_single(const char *format)
{
    return (xoi_letters[(unsigned char)format[0]] & XOI_FLAT) && !format[1];
}

static inline bool xoi_is_blank(char c)
{
    return c == ' ' || c == ',';
}

typedef struct xoi_values {
    va_list list; /* in a struct, so that its address can be given on */
} xoi_values_t;

#endif
