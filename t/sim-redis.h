/* sim-redis.h - one Redis for all brokers of a simulation: a registry in memory, behind a server
 * that does one command after the other, takes the time for it that Redis takes, and counts what
 * goes over each client's connection.
 *
 * Brokers open it by "redis://sim/N", N being the client's number. A command that has waited for
 * 5 s ends with ETIMEDOUT, as with the real one (registry/redis-queue.c).
 */
#ifndef T_SIM_REDIS_H
#define T_SIM_REDIS_H

#include "registry/registry.h"

typedef struct sim_redis sim_redis_t;

typedef struct sim_traffic {
    uint64_t commands;
    uint64_t sent, received; /* bytes, as Redis' protocol has them */
    uint64_t failed;         /* commands that were not answered in time */
} sim_traffic_t;

/* There is one at a time: xo_registry_open finds it. At most `clients` of them. */
sim_redis_t *sim_redis_create(xo_loop_t *loop, size_t clients);
void sim_redis_destroy(sim_redis_t *redis); /* after its clients were closed */
/* Of a client, over all its connections. */
const sim_traffic_t *sim_redis_traffic(const sim_redis_t *redis, size_t client);
/* How long the server has worked. */
int64_t sim_redis_busy_ns(const sim_redis_t *redis);
size_t sim_redis_waiting(const sim_redis_t *redis); /* commands, now */
/* What is asked for takes no time; from the start on it does. */
void sim_redis_set_free(sim_redis_t *redis, bool free_of_charge);
/* How long a command takes; unless this is called, as long as with the real one. */
void sim_redis_set_command_ns(sim_redis_t *redis, int64_t command_ns);
/* Forgets all, as FLUSHALL does. Clients notice it by the epoch. */
void sim_redis_flush(sim_redis_t *redis);
/* How many of a kind there are; NULL: of all owners. */
size_t sim_redis_count(const sim_redis_t *redis, xo_reg_kind_t kind, const char *owner);

#endif
