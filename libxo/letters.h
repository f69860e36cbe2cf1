/* letters.h - the last messages that an endpoint could not deliver (dead letters).
 *
 * A ring: each new one takes the place of the oldest. Kept are the names in the header, not the
 * contents, unless a number of bytes is asked for.
 */
#ifndef XO_LETTERS_H
#define XO_LETTERS_H

#include "libxo/endpoint.h"

#define XOI_LETTERS_MAX 128
#define XOI_LETTER_METHOD_BYTES 128 /* of a method's name */
#define XOI_LETTER_BYTES_MAX 65536  /* of a body: what XO_LETTER_BYTES may ask for */

typedef struct xoi_letters {
    struct xoi_letter *ring[XOI_LETTERS_MAX];
    uint64_t count; /* so far; the next one's place is the remainder */
} xoi_letters_t;

/* Tells that had left on a link when it ended. */
typedef struct xoi_lost {
    const char *to; /* the address at its other end, or "" */
    uint64_t count;
} xoi_lost_t;

/* `from`: where it came from, as people know it. Of its body the first `body_bytes` are kept.
 * `lost`: the letter stands for so many; or NULL. */
void xoi_letters_keep(xoi_letters_t *letters, xo_drop_t reason, const xo_msg_t *msg,
                      const char *from, const xoi_lost_t *lost, size_t body_bytes);
/* Appends the last `max`, the oldest first, as an array of maps; each with `address`. */
void xoi_letters_pack(const xoi_letters_t *letters, size_t max, const char *address, bool payload,
                      xo_buf_t *out);
void xoi_letters_free(xoi_letters_t *letters);

#endif
