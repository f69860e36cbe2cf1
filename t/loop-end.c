/* loop-end.c - what is done at the end of a pass of the loop (xo_defer_to_end). */
#include "libxo/loop.h"
#include "t/unit.h"

typedef struct gatherer {
    xo_defer_t first, last;
    int order, first_as, last_as;
    bool nests; /* runs a pass within its own */
} gatherer_t;

static void gather(xo_defer_t *defer, void *arg)
{
    gatherer_t *gatherer = arg;

    assert_int_equal(xo_defer_to_end(&gatherer->last), 0);
    assert_int_equal(xo_defer_to_end(&gatherer->last), 0); /* idempotent */
    if (gatherer->nests)
        xo_loop_once(defer->loop, 0);
    gatherer->first_as = ++gatherer->order;
}

static void at_end(xo_defer_t *defer, void *arg)
{
    gatherer_t *gatherer = arg;

    (void)defer;
    gatherer->last_as = ++gatherer->order;
}

static void what_a_pass_gathers_is_dealt_with_at_its_end(void **state)
{
    xo_loop_t *loop = xo_loop_create(NULL);
    (void)state;
    for (int nests = 0; nests < 2; nests++) {
        gatherer_t gatherer = {.nests = nests};

        xo_defer_init(&gatherer.first, loop, gather, &gatherer);
        xo_defer_init(&gatherer.last, loop, at_end, &gatherer);
        assert_int_equal(xo_defer_to_end(&gatherer.last), -1); /* in no pass */
        xo_defer_start(&gatherer.first);
        assert_int_equal(xo_loop_once(loop, -1), 0);
        assert_int_equal(gatherer.first_as, nests ? 2 : 1);
        assert_int_equal(gatherer.last_as, nests ? 1 : 2);
        assert_int_equal(gatherer.order, 2);
    }
    xo_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_pass_gathers_is_dealt_with_at_its_end),
    };

    return run_tap(tests);
}
