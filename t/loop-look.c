/* t/loop-look.c - a loop that looks on rather than sleeps (libxo/loop.h). */
#include "t/unit.h"

#include <sched.h>

#include "libxo/loop.h"

static int set_up(void **state)
{
    *state = xo_loop_create(NULL);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    xo_loop_destroy(*state);
    return 0;
}

typedef struct shelf {
    xo_peek_t peek;
    bool full;
    int taken, sleeps;
} shelf_t;

static bool shelf_ready(void *arg)
{
    return ((shelf_t *)arg)->full;
}

static void shelf_handle(void *arg)
{
    shelf_t *shelf = arg;

    shelf->full = false;
    shelf->taken++;
}

static bool shelf_sleep(void *arg)
{
    ((shelf_t *)arg)->sleeps++;
    return true;
}

/* Where waking up again and again would have come sooner by looking on, its passes say so; and they
 * end by themselves when nothing comes. */
static void looks_on_where_that_pays(xo_loop_t *loop)
{
    static const xo_peek_ops_t ops = {shelf_ready, shelf_handle, shelf_sleep};
    shelf_t shelf = {0};

    xo_peek_init(&shelf.peek, loop, &ops, &shelf);
    assert_true(xo_loop_fd(loop, NULL) >= 0);
    xo_peek_start(&shelf.peek);
    assert_int_equal(xo_loop_once(loop, 0), 0);
    assert_int_equal(shelf.sleeps, 1);
    int tries = 0;
    do {
        assert_true(tries++ < 10000);
        xo_peek_start(&shelf.peek);
    } while (xo_loop_once(loop, 0) != XO_LOOKING_ON);
    shelf.sleeps = 0;
    shelf.full = true;
    while (shelf.taken == 0)
        assert_int_equal(xo_loop_once(loop, 0), XO_LOOKING_ON);
    assert_int_equal(shelf.sleeps, 0);
    while (xo_loop_once(loop, 0) == XO_LOOKING_ON)
        continue;
    assert_int_equal(shelf.sleeps, 1);
    assert_false(shelf.peek.active);
    xo_peek_stop(&shelf.peek);
}

/* The cores of this thread; fewer than two: nobody looks on. */
static cpu_set_t need_cores(void)
{
    cpu_set_t cores;

    if (sched_getaffinity(0, sizeof cores, &cores) < 0 || CPU_COUNT(&cores) < 2)
        skip();
    return cores;
}

static void a_driven_loop_looks_on_where_that_pays(void **state)
{
    need_cores();
    looks_on_where_that_pays(*state);
}

/* Bound to a core of its own, the others are free for who is to answer. */
static void a_bound_thread_looks_on_too(void **state)
{
    cpu_set_t before = need_cores(), one;
    int core = 0;

    while (!CPU_ISSET(core, &before))
        core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    looks_on_where_that_pays(*state);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_driven_loop_looks_on_where_that_pays),
        LOOP_TEST(a_bound_thread_looks_on_too),
    };

    return run_tap(tests);
}
