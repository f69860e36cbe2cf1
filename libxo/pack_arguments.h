/* pack_arguments.h - the arguments of a call by a format string. Internal: the formats are those of
 * pack.h, with one letter per positional argument; NULL is none.
 */
#ifndef XO_PACK_ARGUMENTS_H
#define XO_PACK_ARGUMENTS_H

#include "libxo/pack.h"

/* Writes [[positional arguments] {}]: a message's body. As xo_pack_vformat. */
int xoi_pack_arguments(xo_buf_t *buf, const char *format, va_list list);
/* Reads positional arguments, an array. As xo_vunpack. */
int xoi_unpack_arguments(xo_slice_t args, xo_error_t *err, const char *format, va_list list);

#endif
