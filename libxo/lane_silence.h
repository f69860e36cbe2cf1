/* lane_silence.h - has the machine behind a tcp connection fallen silent?
 *
 * A process that stands still is not a machine that is gone: its kernel goes on answering, also
 * when it has no room for more (RFC 9293, 3.8.6.1). TCP_USER_TIMEOUT cannot tell them apart, since
 * it bounds how long a window may be shut, too. So the kernel is asked when it last heard of the
 * peer (TCP_INFO), and has a connection whose peer does not answer broken.
 *
 * Only while something is on its way: a connection on which all has been acknowledged is looked
 * after by the kernel (TCP_KEEPALIVE), and costs nothing here.
 */
#ifndef XO_LANE_SILENCE_H
#define XO_LANE_SILENCE_H

#include <stdint.h>

#include "libxo/loop.h"

/* Within the 3 heartbeats of 1 s of contract 3. */
#define XOI_SILENCE_MS 2600

/* tcp(7), since Linux 6.15: how far apart the kernel may ask. Older ones wait up to 120 s. */
#define XOI_TCP_RTO_MAX_MS 44

struct tcp_info;

typedef struct xoi_silence {
    xo_timer_t look;
    int fd;          /* -1: nothing is watched */
    uint64_t cookie; /* the socket's: the descriptor may be closed and become another's */
    bool sent;       /* since the last look */
} xoi_silence_t;

void xoi_silence_init(xoi_silence_t *silence, xo_loop_t *loop);
/* From now on; `fd` is libzmq's, and may be closed by its thread at any time. What is no tcp socket
 * is not watched. */
void xoi_silence_watch(xoi_silence_t *silence, int fd);
/* Something was sent. */
void xoi_silence_sent(xoi_silence_t *silence);
void xoi_silence_stop(xoi_silence_t *silence);

/* Is the peer gone, as far as the kernel knows: not heard for XOI_SILENCE_MS, though asked? */
bool xoi_is_silent(const struct tcp_info *info);

#endif
