/* knock.h - asks at a node's port (port.h) for who is behind it: connects, and says a name.
 *
 * libzmq could do that (ZMQ_SOCKS_PROXY), but 4.3 ends the process when such a connection cannot
 * be made.
 */
#ifndef XO_KNOCK_H
#define XO_KNOCK_H

#include <stdint.h>

#include "libxo/address.h"
#include "libxo/loop.h"
#include "libxo/socks.h"

typedef struct xoi_knock xoi_knock_t;

/* `fd` leads to who was asked for, and is the caller's; or it is -1, and `why` says so:
 * ECONNREFUSED (nobody listens there, or who does knows of nobody by the name), ETIMEDOUT, and
 * more. */
typedef void (*xoi_knock_f)(xoi_knock_t *knock, int fd, const xo_error_t *why, void *arg);

struct xoi_knock {
    int fd; /* -1: nothing is under way */
    xo_io_t io;
    xo_timer_t limit;
    xoi_knock_f done;
    void *arg;
    char door[XO_ADDRESS_BYTES];
    char name[XOI_SOCKS_BYTES];
    enum { XOI_KNOCK_CONNECTING, XOI_KNOCK_GREETED, XOI_KNOCK_ASKED } state;
    uint8_t bytes[XOI_SOCKS_REPLY_BYTES];
    size_t size;
};

void xoi_knock_init(xoi_knock_t *knock, xo_loop_t *loop, xoi_knock_f done, void *arg);
/* `name`: at most 255 bytes. A host's name is looked up at once. -1: it cannot even be tried, and
 * `done` is not called. */
int xoi_knock_start(xoi_knock_t *knock, const xo_address_t *door, const char *name,
                    int64_t limit_ms, xo_error_t *err);
void xoi_knock_stop(xoi_knock_t *knock);

#endif
