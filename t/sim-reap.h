/* sim-reap.h - what the Redis of a simulation knows of nodes that live and that have died, and how
 * it removes what these have left: as the script `reap` does it (registry/redis-scripts.c). Groups,
 * and actors with a placement, no node has here.
 */
#ifndef T_SIM_REAP_H
#define T_SIM_REAP_H

#include "t/sim-command.h"

typedef struct sim_reap sim_reap_t;

/* `store` has the records, and is closed before it is destroyed. */
sim_reap_t *sim_reap_create(xo_registry_t *store);
void sim_reap_destroy(sim_reap_t *reap);
/* A command is about to be executed: it may be about a node's lease. */
void sim_reap_note(sim_reap_t *reap, const sim_command_t *command);
/* A SIM_REAP: `done` gets the answer and the command, now or in one of the loop's next passes. */
void sim_reap_execute(sim_reap_t *reap, sim_command_t *command, bool refilling,
                      xo_reg_records_f done);
/* What that has taken in nanoseconds, beyond what any command takes, since this was last asked. */
int64_t sim_reap_take_work(sim_reap_t *reap);

#endif
