/* sim.c - how what a node costs grows with the number of nodes (doc/scale.md). Without arguments a
 * test with few of them; by hand: t/sim --nodes 100 --pools 10 --actors 1000 --seed 1 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <getopt.h>
#include <math.h>

#include "broker/record.h"
#include "t/sim-world.h"

#define SECONDS 60
#define RECORDS_STAY_SECONDS 300 /* of a node that has died (broker/reap.c) */

typedef enum {
    IDLE,
    TALK,
    CHURN,
    POOLS_DIE,
    NODE_JOINS,
    NODE_DIES,
    REAPED,
    EMPTIED,
    PHASES
} phase_t;

static const char *const phase_names[] = {"idle",           "pairs talk",   "actors come and go",
                                          "pools die",      "a node joins", "a node dies",
                                          "its records go", "Redis emptied"};

/* Of one node and second. */
typedef struct figures {
    double links, messages, bytes, heartbeats, commands, sent, received;
    double late, failed; /* of all nodes, in all */
    double redis;        /* how much of its time it worked */
} figures_t;

typedef struct result {
    figures_t phases[PHASES];
    size_t lost;    /* actors that have died with their node, before their records go */
    size_t left;    /* and after */
    size_t missing; /* actors that it lacks then */
} result_t;

/* ---- what is done ---- */

static void pools_die(sim_world_t *world)
{
    for (size_t i = 0; i < world->options.nodes; i++) {
        sim_pool_t *pool = &world->nodes[i].pools[sim_draw(world, world->options.pools)];
        sim_pool_kill(pool);
        sim_world_run(world, 20);
        sim_pool_start(pool);
        sim_world_run(world, 20);
    }
}

static void begin_phase(sim_world_t *world, phase_t phase)
{
    switch (phase) {
    case TALK:
        sim_talk(world);
        sim_world_run(world, 5000); /* links are made */
        break;
    case CHURN:
        sim_churn(world);
        break;
    case POOLS_DIE:
        pools_die(world);
        break;
    case NODE_JOINS:
        sim_node_start(world, world->options.nodes);
        break;
    case NODE_DIES:
        sim_node_kill(world, world->options.nodes);
        break;
    case EMPTIED:
        sim_redis_flush(world->redis);
        break;
    default:
        break;
    }
}

static void measure(sim_world_t *world, phase_t phase, figures_t *figures)
{
    sim_sample_t before, after;
    int64_t busy_ns = sim_redis_busy_ns(world->redis);
    int64_t begin_ns = xo_loop_now(world->loop);
    sim_world_sample(world, &before);
    begin_phase(world, phase);
    sim_world_run(world, SECONDS * 1000);
    sim_world_sample(world, &after);
    double seconds = (double)(xo_loop_now(world->loop) - begin_ns) / 1e9;
    double share = 1 / ((double)world->options.nodes * seconds);
    *figures = (figures_t){
        .links = (double)after.links / (double)world->options.nodes,
        .messages = (double)(after.messages - before.messages) * share,
        .bytes = (double)(after.bytes - before.bytes) * share,
        .heartbeats = (double)(after.heartbeats - before.heartbeats) * share,
        .commands = (double)(after.commands - before.commands) * share,
        .sent = (double)(after.sent - before.sent) * share,
        .received = (double)(after.received - before.received) * share,
        .late = (double)(after.late - before.late),
        .failed = (double)(after.failed - before.failed),
        .redis = (double)(sim_redis_busy_ns(world->redis) - busy_ns) / 1e9 / seconds,
    };
}

static size_t of_the_dead(sim_world_t *world)
{
    char id[XO_ID_TEXT_BYTES];
    xo_id_format(world->options.nodes + 1, id);
    return sim_redis_count(world->redis, XO_REG_ACTOR, id);
}

/* Until just before that. */
static size_t wait_for_reaper(sim_world_t *world)
{
    sim_world_run(world, (RECORDS_STAY_SECONDS - SECONDS) * 1000);
    return of_the_dead(world);
}

static void simulate(const sim_options_t *options, phase_t phases, result_t *result)
{
    sim_world_t *world = sim_world_create(options);
    *result = (result_t){0};
    for (phase_t phase = 0; phase < phases; phase++) {
        if (phase == REAPED)
            result->lost = wait_for_reaper(world);
        measure(world, phase, &result->phases[phase]);
        if (phase == REAPED)
            result->left = of_the_dead(world);
    }
    size_t actors = options->nodes * options->pools * options->actors;
    size_t found = sim_redis_count(world->redis, XO_REG_ACTOR, NULL);
    result->missing = found < actors ? actors - found : 0;
    sim_world_destroy(world);
}

/* ---- by hand ---- */

static void print_phase(size_t nodes, const char *name, const figures_t *f)
{
    printf(
        "| %zu | %s | %.1f | %.1f | %.0f | %.1f | %.1f | %.0f | %.0f | %.1f %% | %.0f | %.0f |\n",
        nodes, name, f->links, f->messages, f->bytes, f->heartbeats, f->commands, f->sent,
        f->received, f->redis * 100, f->late, f->failed);
    fflush(stdout);
}

static void print_result(const sim_options_t *options, const result_t *result)
{
    for (phase_t phase = 0; phase < PHASES; phase++)
        print_phase(options->nodes, phase_names[phase], &result->phases[phase]);
}

static int by_hand(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"nodes", required_argument, NULL, 'n'},  {"pools", required_argument, NULL, 'p'},
        {"actors", required_argument, NULL, 'a'}, {"pairs", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},   {NULL, 0, NULL, 0}};
    sim_options_t options = {.nodes = 100, .pools = 10, .actors = 1000, .pairs = 10, .seed = 1};
    size_t *const numbers[] = {['n'] = &options.nodes,
                               ['p'] = &options.pools,
                               ['a'] = &options.actors,
                               ['r'] = &options.pairs};
    result_t result;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) >= 0;) {
        if (option == '?')
            return 2;
        if (option == 's')
            options.seed = strtoull(optarg, NULL, 10);
        else
            *numbers[option] = strtoull(optarg, NULL, 10);
    }
    simulate(&options, PHASES, &result);
    print_result(&options, &result);
    printf("# missing: %zu\n", result.missing);
    return 0;
}

/* ---- the test ---- */

#define FEW 4
#define MANY 16
#define POOLS 3
#define ACTORS 20
#define PAIRS 3

typedef struct results {
    result_t few, many;
} results_t;

static sim_options_t of_nodes(size_t nodes)
{
    return (sim_options_t){
        .nodes = nodes, .pools = POOLS, .actors = ACTORS, .pairs = PAIRS, .seed = 7};
}

static int setup(void **state)
{
    results_t *results = calloc(1, sizeof(*results));
    sim_options_t few = of_nodes(FEW), many = of_nodes(MANY);
    simulate(&few, PHASES, &results->few);
    simulate(&many, PHASES, &results->many);
    *state = results;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* Four times as many nodes: the logarithm is twice as large. */
static void check_growth(phase_t phase, const char *what, double few, double many)
{
    double most = few * log(MANY) / log(FEW);
    if (many > most)
        fail_msg("%s, %s of a node: %.1f with %d nodes, %.1f with %d", phase_names[phase], what,
                 few, FEW, many, MANY);
}

static void what_a_node_costs_grows_with_the_logarithm_at_most(void **state)
{
    const results_t *results = *state;
    for (phase_t phase = 0; phase < PHASES; phase++) {
        const figures_t *few = &results->few.phases[phase], *many = &results->many.phases[phase];
        check_growth(phase, "links", few->links, many->links);
        check_growth(phase, "messages", few->messages, many->messages);
        check_growth(phase, "bytes", few->bytes, many->bytes);
        check_growth(phase, "heartbeats", few->heartbeats, many->heartbeats);
        check_growth(phase, "commands", few->commands, many->commands);
        check_growth(phase, "bytes to Redis", few->sent, many->sent);
        check_growth(phase, "bytes from Redis", few->received, many->received);
    }
}

static void only_pairs_that_talk_are_linked(void **state)
{
    const results_t *results = *state;
    assert_true(results->many.phases[IDLE].links == 2 * POOLS);
    assert_true(results->many.phases[TALK].links <= 2 * POOLS + 2 * PAIRS);
}

static void a_redis_that_was_emptied_is_filled_again(void **state)
{
    const results_t *results = *state;
    assert_int_equal(results->few.missing, 0);
    assert_int_equal(results->many.missing, 0);
}

static void what_a_dead_node_has_left_is_removed(void **state)
{
    const results_t *results = *state;
    assert_int_equal(results->many.lost, POOLS * ACTORS);
    assert_int_equal(results->many.left, 0);
}

/* What all write then takes Redis longer than a lease lasts, and than a command may wait. */
static void a_slow_redis_is_filled_again_without_a_lapse(void **state)
{
    sim_options_t options = {.nodes = 4, .pools = 3, .actors = 500, .pairs = 1, .seed = 7};
    figures_t figures;
    sim_world_t *world = sim_world_create(&options);
    (void)state;
    sim_redis_set_command_ns(world->redis, 2 * XO_MS);
    measure(world, EMPTIED, &figures);
    assert_int_equal(sim_redis_waiting(world->redis), 0);
    assert_int_equal(sim_redis_count(world->redis, XO_REG_ACTOR, NULL), 4 * 3 * 500);
    assert_int_equal(sim_redis_count(world->redis, XO_REG_POOL, NULL), 4 * 3);
    assert_true(figures.late == 0);
    sim_world_destroy(world);
}

static void the_same_seed_gives_the_same(void **state)
{
    const results_t *results = *state;
    result_t again;
    sim_options_t few = of_nodes(FEW);
    simulate(&few, PHASES, &again);
    assert_memory_equal(&again, &results->few, sizeof(again));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_node_costs_grows_with_the_logarithm_at_most),
        cmocka_unit_test(only_pairs_that_talk_are_linked),
        cmocka_unit_test(what_a_dead_node_has_left_is_removed),
        cmocka_unit_test(a_redis_that_was_emptied_is_filled_again),
        cmocka_unit_test(a_slow_redis_is_filled_again_without_a_lapse),
        cmocka_unit_test(the_same_seed_gives_the_same),
    };
    if (argc > 1)
        return by_hand(argc, argv);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
