/* fault-steps.h - what t/faults.c runs again and again: a program that opens a pool, connects to it
 * and calls its actor in every way, step by step.
 */
#ifndef T_FAULT_STEPS_H
#define T_FAULT_STEPS_H

#include "pool/host_c.h"
#include "pool/module.h"

typedef struct world {
    xo_ctx_t *ctx, *other_ctx;
    xo_loop_t *loop;
    xo_host_c_t *host, *other_host;
    xo_pool_t *pool, *other;
    xo_endpoint_t *broker; /* answers lookups only */
    xo_client_t *client;   /* NULL: in the pool's process, `own` */
    xo_endpoint_t *own;
    xo_endpoint_t *endpoint; /* that of either */
    xo_ref_t *ref;
    int run;            /* which one it is */
    const char *config; /* the folder of its keys */
    char member[16];    /* who got some of them last */
    int members;
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
extern const step_t steps_of_ties[];   /* of actors: fault-ties.c */
extern const step_t steps_of_client[]; /* fault-client.c */
extern const step_t
    steps_of_node[]; /* what a pool and a client have with the broker: fault-node.c */
extern const step_t steps_of_keys[];  /* without any of that */
extern const step_t steps_of_parts[]; /* the same: fault-parts.c */

void close_world(world_t *world);

/* ---- for steps ---- */

#define FAULT_WAIT_MS 30000 /* never waited for in a test that passes */
#define FAULT_MAILBOX 8     /* messages */

/* Waits for the answer, which must come, and reads it. */
int finish_call(xo_future_t *future, xo_error_t *err, const char *format, void *value);
/* Makes *host, unless there is one, and *pool. */
int fault_open_pool(world_t *world, xo_ctx_t *ctx, const char *broker, xo_host_c_t **host,
                    xo_pool_t **pool, xo_error_t *err);
/* Where the broker listens. */
void fault_door(const world_t *world, char *door, size_t size);
/* Done before, they are no error. */
int fault_create(world_t *world, const char *address, const char *class_name, const char *uid,
                 xo_error_t *err);
int fault_end(world_t *world, const char *address, const char *uid, xo_error_t *err);
extern const xo_class_t fault_tied;

#endif
