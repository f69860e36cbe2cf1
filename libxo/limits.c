/* limits.c - see limits.h. */
#include "libxo/limits.h"

#include <errno.h>
#include <stdlib.h>

#include "libxo/endpoint.h"

/* More would not fit where credit is counted, on either side of a link. */
#define BYTES_MAX ((uint64_t)INT64_MAX / 4)

static int read_limit(const char *name, uint64_t max, uint64_t *limit, xo_error_t *err)
{
    char *end;
    const char *text = getenv(name);

    if (!text)
        return 0;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || text[0] < '0' || text[0] > '9' || *end || number == 0 || number > max)
        return xo_error_set(err, EINVAL, "%s may be 1 to %llu, not '%s'", name,
                            (unsigned long long)max, text);
    *limit = number;
    return 0;
}

int xoi_limits_read(xoi_limits_t *limits, xo_error_t *err)
{
    uint64_t window_messages = XO_WINDOW_MESSAGES;
    uint64_t window_bytes = XO_WINDOW_BYTES;
    uint64_t mailbox_messages = XOI_MAILBOX_MESSAGES;
    uint64_t mailbox_bytes = XOI_MAILBOX_BYTES;
    uint64_t pool_bytes = XOI_POOL_BYTES;

    if (read_limit("XO_WINDOW_MESSAGES", UINT32_MAX, &window_messages, err) < 0 ||
        read_limit("XO_WINDOW_BYTES", BYTES_MAX, &window_bytes, err) < 0 ||
        read_limit("XO_MAILBOX_MESSAGES", BYTES_MAX, &mailbox_messages, err) < 0 ||
        read_limit("XO_MAILBOX_BYTES", BYTES_MAX, &mailbox_bytes, err) < 0 ||
        read_limit("XO_POOL_BYTES", BYTES_MAX, &pool_bytes, err) < 0)
        return -1;
    *limits = (xoi_limits_t){(uint32_t)window_messages, window_bytes, mailbox_messages,
                             mailbox_bytes, pool_bytes};
    return 0;
}
