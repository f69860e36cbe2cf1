/* header.h - a message's header at the front of frame 0. Internal to the codec; the public part is
 * xo_header_encode and xo_header_decode in msg.h, the specification is doc/wire.md.
 */
#ifndef XO_HEADER_H
#define XO_HEADER_H

#include "libxo/msg.h"

/* Where in the frame the fields are that are set in place: offsets of 8 bytes, big-endian.
 * 0: not there in full width, so it cannot be set. */
typedef struct xoi_layout {
    uint16_t seq;
    uint16_t target_id;
    uint16_t sender_id;
} xoi_layout_t;

static inline bool xoi_layout_full(const xoi_layout_t *layout)
{
    return layout->seq && layout->target_id && layout->sender_id;
}

/* 0, or -1 with EINVAL: kind unknown, or a uid, method or trace that is too long. */
int xoi_header_check(const xo_header_t *header);
/* The exact size of the encoded header. */
size_t xoi_header_size(const xo_header_t *header);
/* Writes a checked header to out[xoi_header_size]; *placed is the same with slices into `out`.
 * Returns where it ends. */
uint8_t *xoi_header_write(uint8_t *out, const xo_header_t *header, xo_header_t *placed,
                          xoi_layout_t *layout);
/* As xo_header_decode. */
int xoi_header_read(xo_slice_t frame, xo_header_t *header, xoi_layout_t *layout, xo_slice_t *body,
                    xo_error_t *err);

#endif
