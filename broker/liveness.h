/* liveness.h - is a pool alive? A pure function of when its loop was last known to move.
 */
#ifndef XO_BROKER_LIVENESS_H
#define XO_BROKER_LIVENESS_H

#include <stdint.h>

/* Heartbeats that may be missing before a pool is suspect (contract 3). */
#define XO_MISSED_HEARTBEATS 3

typedef enum { XO_ALIVE, XO_SUSPECT, XO_HUNG } xo_liveness_t;

/* `moved_ns`: when its loop was last known to move: by a heartbeat, the handshake, or its progress
 * page (libxo/progress.h); all times of one monotonic clock. `checks`: how often this was asked
 * since then, once each heartbeat. Who asks may have stood still itself (a suspended machine, a
 * starved process), and finds what was sent meanwhile only later: time that passed without its
 * checks is not the pool's silence. `hang_ns`: a pool that is suspect and has not moved for so long
 * is hung; 0: none is. */
xo_liveness_t xo_liveness(int64_t moved_ns, int64_t now_ns, int64_t heartbeat_ns, unsigned checks,
                          int64_t hang_ns);

#endif
