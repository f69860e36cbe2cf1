/* Liveness: when silence makes a pool suspect. */

#include "broker/liveness.h"
#include "t/unit.h"

#define SECOND ((int64_t)1000000000)
#define OFTEN 100

static void a_heartbeat_in_time_is_alive(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(10 * SECOND, 10 * SECOND, SECOND, OFTEN, 0), XO_ALIVE);
    assert_int_equal(xo_liveness(10 * SECOND, 11 * SECOND, SECOND, OFTEN, 0), XO_ALIVE);
}

static void three_may_be_missing(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(10 * SECOND, 13 * SECOND, SECOND, OFTEN, 0), XO_ALIVE);
    assert_int_equal(xo_liveness(10 * SECOND, 13 * SECOND + 1, SECOND, OFTEN, 0), XO_SUSPECT);
}

static void the_bound_follows_the_heartbeat(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(0, SECOND, SECOND / 10, OFTEN, 0), XO_SUSPECT);
    assert_int_equal(xo_liveness(0, 30 * SECOND, 10 * SECOND, OFTEN, 0), XO_ALIVE);
}

static void who_stood_still_blames_nobody(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(0, 60 * SECOND, SECOND, 1, 0), XO_ALIVE);
    assert_int_equal(xo_liveness(0, 60 * SECOND, SECOND, XO_MISSED_HEARTBEATS, 0), XO_SUSPECT);
}

static void hung_is_who_stands_still_for_as_long_as_was_said(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(0, 9 * SECOND, SECOND, OFTEN, 10 * SECOND), XO_SUSPECT);
    assert_int_equal(xo_liveness(0, 10 * SECOND, SECOND, OFTEN, 10 * SECOND), XO_HUNG);
    assert_int_equal(xo_liveness(0, 10000 * SECOND, SECOND, OFTEN, 0), XO_SUSPECT);
}

static void nobody_is_hung_before_it_is_suspect(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(0, 3 * SECOND, SECOND, OFTEN, SECOND), XO_ALIVE);
    assert_int_equal(xo_liveness(0, 3 * SECOND + 1, SECOND, OFTEN, SECOND), XO_HUNG);
}

static void who_stood_still_itself_ends_nobody(void **unused)
{
    (void)unused;
    assert_int_equal(xo_liveness(0, 600 * SECOND, SECOND, 9, 10 * SECOND), XO_SUSPECT);
    assert_int_equal(xo_liveness(0, 600 * SECOND, SECOND, 10, 10 * SECOND), XO_HUNG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heartbeat_in_time_is_alive),
        cmocka_unit_test(three_may_be_missing),
        cmocka_unit_test(the_bound_follows_the_heartbeat),
        cmocka_unit_test(who_stood_still_blames_nobody),
        cmocka_unit_test(hung_is_who_stands_still_for_as_long_as_was_said),
        cmocka_unit_test(nobody_is_hung_before_it_is_suspect),
        cmocka_unit_test(who_stood_still_itself_ends_nobody),
    };
    return run_tap(tests);
}
