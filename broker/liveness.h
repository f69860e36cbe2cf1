/* liveness.h - is a pool that sends heartbeats alive? A pure function of when it was last heard.
 */
#ifndef XO_BROKER_LIVENESS_H
#define XO_BROKER_LIVENESS_H

#include <stdint.h>

/* Heartbeats that may be missing before a pool is suspect (contract 3). */
#define XO_MISSED_HEARTBEATS 3

typedef enum { XO_ALIVE, XO_SUSPECT } xo_liveness_t;

/* `heard_ns`: when the last heartbeat (or the handshake) came; all times of one monotonic clock.
 * `checks`: how often this was asked since then, once each heartbeat. Who asks may have stood still
 * itself (a suspended machine, a starved process), and finds what was sent meanwhile only later:
 * time that passed without its checks is not the pool's silence. */
xo_liveness_t xo_liveness(int64_t heard_ns, int64_t now_ns, int64_t heartbeat_ns, unsigned checks);

#endif
