/* lost.h - tells that nobody hears of again, as the two ends of a link count them. Internal.
 */
#ifndef XO_LOST_H
#define XO_LOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libxo/msg.h"

struct xo_link;

/* Requests that have left and whose credit has not come back, a ring. */
typedef struct xoi_left {
    bool *is_tell;
    size_t size, first, count;
    size_t tells; /* among them */
} xoi_left_t;

/* Tells of the peer that wait in mailboxes, or came in vain. */
typedef struct xoi_boxed {
    int64_t inside;
    int64_t owed;  /* that came last, inside or not: their credit has not gone back */
    int64_t shown; /* of those inside, how many have had it, as far as is known: to who looks */
    uint64_t undelivered; /* what is known of them here ends with this endpoint */
} xoi_boxed_t;

bool xoi_is_tell(const xo_msg_t *msg); /* or a batch of them */
void xoi_left_add(xoi_left_t *left, bool is_tell);
void xoi_left_taken(xoi_left_t *left, int64_t messages); /* their credit has come back */
void xoi_left_lost(struct xo_link *link);                /* it has ended */
void xoi_boxed_paid(struct xo_link *link);               /* all credit goes back */

/* The body of a goodbye, which tells the peer what has not been delivered; and what it said. */
void xoi_goodbye_pack(const struct xo_link *link, xo_buf_t *out);
void xoi_goodbye_read(struct xo_link *link, xo_slice_t body, xo_slice_t *why);

#endif
