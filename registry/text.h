/* text.h - what may stand in a key or a field of the registry, and how the rest is spelled there.
 */
#ifndef XO_REGISTRY_TEXT_H
#define XO_REGISTRY_TEXT_H

#include <stdbool.h>

#include "libxo/pack.h"

/* UTF-8 without controls and blanks: fit for a key. */
bool xoi_is_key(const char *id);

/* Appends `bytes` with everything that is no text as %XX; in a key (`key`) blanks, % and @ too. */
void xoi_encode(xo_buf_t *out, xo_slice_t bytes, bool key);
/* Undoes %XX. -1 with EINVAL, or ENOBUFS. */
int xoi_decode(xo_slice_t text, char *out, size_t size, size_t *out_size);

#endif
