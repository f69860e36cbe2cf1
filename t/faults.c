/* faults.c - whatever the system refuses, the callers of libxo hear of it: a program that opens a
 * pool, connects to it and calls its actor in every way is run with the first, second, third ...
 * call into the system failing, until it runs through. So are others that do what else there is.
 *
 * Each time, all that fails says so, with an errno and a sentence; every call gets its answer; who
 * tries again succeeds; and in the end no memory and no descriptor is left over.
 */
#include <limits.h>
#include <stdlib.h>

#include "libxo/cache.h"
#include "t/fault-points.h"
#include "t/fault-steps.h"
#include "t/scratch.h"
#include "t/unit.h"

#define FAULTS_MAX 2000

#define RUNS_MAX 4 /* of one fault */

/* A time limit passed in the run under way, as where nobody ran for seconds. Such a run is made
 * again: what the fault makes late is late each time. */
static bool is_late;

static int try_step(const step_t *step, world_t *world, xo_error_t *err)
{
    errno = 0;
    if (step->run(world, err) == 0)
        return 0;
    is_late = errno == ETIMEDOUT;
    return -1;
}

/* false: nothing more can be tried. */
static bool run_step(const step_t *step, world_t *world, fault_kind_t kind)
{
    xo_error_t err = {0};
    if (try_step(step, world, &err) == 0)
        return true;
    int errnum = errno;
    if (is_late || !fault_check(fault_disarm(), "%s fails of itself: %s", step->name, err.text))
        return false;
    fault_check(errnum && err.errnum == errnum && err.text[0],
                "%s fails with errno %d, %d and '%s'", step->name, errnum, err.errnum, err.text);
    for (int passes = 0; world->loop && passes < 5; passes++)
        xo_loop_once(world->loop, 0); /* what is lost says so */
    fault_check(kind != FAULT_AGAIN, "%s does not try again: %s", step->name, err.text);
    return fault_check(try_step(step, world, &err) == 0 || is_late, "%s fails again: %s",
                       step->name, err.text) &&
           !is_late;
}

/* Runs all steps; one that failed is tried again once. */
static bool run_steps(const step_t *steps, world_t *world, fault_kind_t kind)
{
    while (steps->name && run_step(steps, world, kind))
        steps++;
    return steps->name == NULL;
}

/* What is walked: `steps`, once the world is opened; with `opens`, its opening, too. */
typedef struct route {
    const char *name;
    const step_t *opening, *steps;
    bool opens;
} route_t;

/* false: it was late. */
static bool run_all(const route_t *route, const char *config, fault_kind_t kind, int nth)
{
    world_t world = {.run = nth, .config = config};
    is_late = false;
    fault_arm(kind, route->opens ? nth : INT_MAX);
    bool is_open = run_steps(route->opening, &world, kind);
    if (!route->opens)
        fault_arm(kind, nth);
    if (is_open)
        run_steps(route->steps, &world, kind);
    close_world(&world);
    return !is_late;
}

static void walk(const route_t *route, const char *lanes, fault_kind_t kind)
{
    scratch_t scratch;
    scratch_enter(&scratch);
    char *config = strdup(getenv("XO_CONFIG_DIR"));
    setenv("XO_LANES", lanes, 1);
    int faults = 0;
    int complaints = fault_complaints();
    fault_place(route->name, lanes);
    for (bool struck = true; struck; faults++) {
        assert_in_range(faults, 0, FAULTS_MAX);
        xoi_cache_drop();
        int live = fault_live_blocks();
        int descriptors = count_descriptors();
        int runs = 1;
        while (!run_all(route, config, kind, faults) && runs < RUNS_MAX)
            runs++;
        fault_check(!is_late, "it is late each time");
        struck = fault_disarm();
        xoi_cache_drop();
        fault_check(fault_live_blocks() == live, "%d blocks of memory left",
                    fault_live_blocks() - live);
        fault_check(count_descriptors() == descriptors, "%d descriptors left",
                    count_descriptors() - descriptors);
    }
    print_message("# %s: %d faults over %s\n", route->name, faults - 1, lanes);
    free(config);
    scratch_leave(&scratch);
    if (fault_complaints() > complaints)
        fault_repeat_complaints();
    assert_int_equal(fault_complaints(), complaints);
}

static void walk_all(fault_kind_t kind)
{
    static const step_t none[] = {{NULL, NULL}};
    static const route_t far = {"calls", steps_to_others, steps_of_all, true};
    static const route_t near = {"calls", steps_to_neighbours, steps_of_all, true};
    static const route_t far_ties = {"ties", steps_to_others, steps_of_ties, false};
    static const route_t near_ties = {"ties", steps_to_neighbours, steps_of_ties, false};
    static const route_t node = {"node", steps_to_others, steps_of_node, false};
    static const route_t client = {"client", steps_to_others, steps_of_client, false};
    static const route_t parts = {"parts", none, steps_of_parts, true};
    static const route_t keys = {"keys", none, steps_of_keys, true};
    walk(&far, "shm", kind);
    walk(&far, "ipc", kind);
    walk(&far, "tcp", kind);
    walk(&near, "shm,ipc,tcp", kind);
    walk(&far_ties, "shm", kind);
    walk(&far_ties, "tcp", kind);
    walk(&near_ties, "shm,ipc,tcp", kind);
    walk(&node, "ipc", kind);
    walk(&client, "shm", kind);
    walk(&client, "tcp", kind);
    walk(&parts, "shm,ipc,tcp", kind);
    walk(&keys, "ipc", kind);
}

static void memory_runs_out(void **state)
{
    (void)state;
    walk_all(FAULT_MEMORY);
}

static void descriptors_run_out(void **state)
{
    (void)state;
    walk_all(FAULT_DESCRIPTORS);
}

static void the_system_refuses(void **state)
{
    (void)state;
    walk_all(FAULT_SYSTEM);
}

static void calls_are_interrupted(void **state)
{
    (void)state;
    walk_all(FAULT_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(the_system_refuses),
        cmocka_unit_test(calls_are_interrupted),
    };
    xoi_cache_free(xoi_cache_alloc(1), 1); /* there from now on */
    return run_tap(tests);
}
