/* gpu.h - is the memory that a dead process had of a GPU free again? The driver takes it back after
 * the process has ended, and who starts meanwhile finds too little.
 *
 * nvidia-smi(1) is asked, as a process of its own: the driver's library may stand still for
 * seconds, or for good. It lists the processes that have memory of a GPU, by their pids.
 */
#ifndef XO_BROKER_GPU_H
#define XO_BROKER_GPU_H

#include <stdbool.h>
#include <sys/types.h>

#include "libxo/loop.h"

typedef struct xo_gpu_wait xo_gpu_wait_t;

typedef enum {
    XO_GPU_FREE,  /* the process is not in the list, or nobody knows */
    XO_GPU_BUSY,  /* it was, as far as nvidia-smi has answered before the limit */
    XO_GPU_SILENT /* nvidia-smi has not answered at all before the limit */
} xo_gpu_answer_t;

typedef struct xo_gpu_events {
    /* The process is still in the list: once. */
    void (*busy)(void *arg);
    /* Once, and the last; destroying the wait here is fine. */
    void (*done)(xo_gpu_answer_t answer, void *arg);
} xo_gpu_events_t;

/* Does a pool with these "NAME=VALUE" (ends with NULL; may be NULL) besides our environment have
 * GPUs of its own: is CUDA_VISIBLE_DEVICES set, and not to none? */
bool xo_gpu_is_wanted(char *const *env);
/* Asks until process `pid` is not in the list, at most for limit_ms: a nvidia-smi that has not
 * answered by then is killed. NULL: there is nobody to ask
 * (ENOENT: no nvidia-smi on PATH), or ENOMEM. */
xo_gpu_wait_t *xo_gpu_wait(xo_loop_t *loop, pid_t pid, int64_t limit_ms,
                           const xo_gpu_events_t *events, void *arg, xo_error_t *err);
void xo_gpu_wait_destroy(xo_gpu_wait_t *wait); /* takes NULL */

#endif
