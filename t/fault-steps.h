/* fault-steps.h - what t/faults.c runs again and again: a program that opens a pool, connects to it
 * and calls its actor in every way, step by step.
 */
#ifndef T_FAULT_STEPS_H
#define T_FAULT_STEPS_H

#include "pool/host_c.h"

typedef struct world {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    xo_host_c_t *host;
    xo_pool_t *pool;
    xo_endpoint_t *broker; /* answers lookups only */
    xo_client_t *client;   /* NULL: in the pool's process, `own` */
    xo_endpoint_t *own;
    xo_endpoint_t *endpoint; /* that of either */
    xo_ref_t *ref;
} world_t;

/* -1: `err` says why, and it may be tried again. */
typedef struct step {
    const char *name;
    int (*run)(world_t *world, xo_error_t *err);
} step_t;

/* How it is reached, and then what is done with it. */
extern const step_t steps_to_others[];     /* with another process' context */
extern const step_t steps_to_neighbours[]; /* by inproc */
extern const step_t steps_of_all[];

void close_world(world_t *world);

#endif
