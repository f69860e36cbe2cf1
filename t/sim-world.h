/* sim-world.h - a cluster in one process: real brokers on lanes in memory, pools that say what
 * pools say (heartbeats, actors that come and go), pairs that talk, one Redis (sim-redis.h), and a
 * clock that moves when told to. All that is drawn is drawn from the seed.
 */
#ifndef T_SIM_WORLD_H
#define T_SIM_WORLD_H

#include "broker/broker.h"
#include "t/scratch.h"
#include "t/sim-redis.h"

typedef struct sim_world sim_world_t;
typedef struct sim_node sim_node_t;
typedef struct sim_pool sim_pool_t;
typedef struct sim_pair sim_pair_t;

struct sim_pool {
    sim_node_t *node;
    int index;
    unsigned generation;
    uint64_t id;
    xo_endpoint_t *endpoint; /* NULL: it is dead */
    char address[XO_ADDRESS_BYTES];
    xo_timer_t beat;
    bool joined;
};

struct sim_node {
    sim_world_t *world;
    size_t number;
    xo_broker_t *broker; /* NULL: it is dead, or has yet to join */
    char door[32], registry[32];
    sim_pool_t *pools;
    xo_timer_t churn;
    uint64_t churned;
};

/* An actor of one node, in a pool, that looks an actor of another node up and calls it, once a
 * second. */
struct sim_pair {
    sim_world_t *world;
    sim_pool_t *from;
    char uid[64];
    bool refused; /* the last call failed: what was looked up may be wrong */
    bool busy;
    xo_timer_t timer;
};

typedef struct sim_options {
    size_t nodes, pools, actors; /* of a node, of a pool */
    size_t pairs;                /* of a node */
    uint64_t seed;
} sim_options_t;

struct sim_world {
    sim_options_t options;
    scratch_t scratch;
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    sim_redis_t *redis;
    sim_node_t *nodes; /* one more than there are at first */
    size_t count, alive;
    sim_pair_t *pairs;
    size_t pair_count;
    uint64_t answered, failed, lookups;
    uint64_t gone_messages, gone_bytes; /* of endpoints that are no more */
};

/* What a cluster does in a while; of all nodes together. */
typedef struct sim_sample {
    uint64_t links; /* ends of them, now */
    uint64_t messages, bytes, heartbeats;
    uint64_t commands, sent, received, late;
    uint64_t answered, failed, lookups;
} sim_sample_t;

sim_world_t *sim_world_create(const sim_options_t *options);
void sim_world_destroy(sim_world_t *world);
void sim_world_run(sim_world_t *world, int64_t ms);
void sim_world_sample(const sim_world_t *world, sim_sample_t *sample);
uint64_t sim_draw(sim_world_t *world, uint64_t below);

/* A node with its pools and their actors joins. */
void sim_node_start(sim_world_t *world, size_t number);
/* Power is cut: nothing of it says anything any more. */
void sim_node_kill(sim_world_t *world, size_t number);
void sim_pool_kill(sim_pool_t *pool);
void sim_pool_start(sim_pool_t *pool);

/* Pairs talk from now on. */
void sim_talk(sim_world_t *world);
/* On each node an actor comes and another goes, every second. */
void sim_churn(sim_world_t *world);

#endif
