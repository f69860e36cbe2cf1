/* sweep.h - ends what pools have started and that has left their process groups.
 */
#ifndef XO_BROKER_SWEEP_H
#define XO_BROKER_SWEEP_H

#include <stddef.h>
#include <stdint.h>

/* A process that ended. */
typedef struct xo_swept {
    uint64_t pool_id;
    uint32_t generation;
} xo_swept_t;

/* Sends SIGKILL to all processes in whose environment are XO_NODE_ID and the XO_POOL_ID and
 * XO_POOL_GENERATION of one of `dead` (NULL: of any pool of the node): whoever starts a process
 * passes its environment on, unless it takes care not to. Returns how many there were. Reads all of
 * /proc, some 10 µs for each process of the machine. */
size_t xo_sweep(uint64_t node_id, const xo_swept_t *dead, size_t count);

#endif
