/* lane_probe.h - does anybody listen at a tcp address? Without waiting, and without a word sent.
 */
#ifndef XO_LANE_PROBE_H
#define XO_LANE_PROBE_H

#include "libxo/loop.h"

typedef struct xoi_probe xoi_probe_t;
/* 0: somebody listens; else connect(2)'s errno, or ETIMEDOUT. */
typedef void (*xoi_probe_f)(xoi_probe_t *probe, int errnum, void *arg);
struct xoi_probe {
    xo_io_t io;
    xo_timer_t timeout;
    int fd; /* -1: not running */
    xoi_probe_f done;
    void *arg;
};

void xoi_probe_init(xoi_probe_t *probe, xo_loop_t *loop, xoi_probe_f done, void *arg);
/* `endpoint`: "tcp://HOST:PORT" with a numeric host; EINVAL for another. `done` is called from the
 * loop, once. */
int xoi_probe_start(xoi_probe_t *probe, const char *endpoint);
void xoi_probe_stop(xoi_probe_t *probe);

#endif
