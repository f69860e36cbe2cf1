/* blobs.h - bytes by their id, in memory.
 */
#ifndef XO_REGISTRY_BLOBS_H
#define XO_REGISTRY_BLOBS_H

#include "libxo/pack.h"

typedef struct xo_blob xo_blob_t;

/* Zero-initialise. */
typedef struct xo_blobs {
    xo_blob_t *table;
} xo_blobs_t;

/* Copies the bytes in place of what was there; none: removes that. -1: ENOMEM, and nothing is
 * there. */
int xoi_blobs_put(xo_blobs_t *blobs, const char *id, xo_slice_t bytes);
/* Valid until the next put; size 0: there are none. */
xo_slice_t xoi_blobs_get(const xo_blobs_t *blobs, const char *id);
void xoi_blobs_free(xo_blobs_t *blobs);

#endif
