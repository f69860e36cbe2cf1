/* limits.h - how much may be on its way to an endpoint, and wait in a mailbox. */
#ifndef XO_LIMITS_H
#define XO_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "libxo/ctx.h"

#define XOI_MAILBOX_MESSAGES 8192 /* as many as a link has under way */
#define XOI_MAILBOX_BYTES ((size_t)256 << 20)
#define XOI_POOL_BYTES ((size_t)1 << 30)

typedef struct xoi_limits {
    uint32_t window_messages; /* XO_WINDOW_MESSAGES: the credit that each peer gets */
    uint64_t window_bytes;    /* XO_WINDOW_BYTES */
    size_t mailbox_messages;  /* XO_MAILBOX_MESSAGES, per actor */
    size_t mailbox_bytes;     /* XO_MAILBOX_BYTES */
    size_t pool_bytes;        /* XO_POOL_BYTES: of all its actors together */
} xoi_limits_t;

/* From the environment, else the defaults. EINVAL names the variable and what it may be. */
int xoi_limits_read(xoi_limits_t *limits, xo_error_t *err);
const xoi_limits_t *xoi_ctx_limits(const xo_ctx_t *ctx);

#endif
