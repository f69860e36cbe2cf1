/* Which members of a group are restarted when one has failed. */
#include <errno.h>
#include <string.h>

#include "broker/strategy.h"
#include "t/unit.h"

static void expect(xo_strategy_t strategy, const char *taken)
{
    for (uint64_t order = 1; order <= 5; order++)
        assert_int_equal(xo_strategy_takes(strategy, 3, order), taken[order - 1] == 'x');
}

static void each_takes_its_own(void **unused)
{
    (void)unused;
    expect(XO_ONE_FOR_ONE, "--x--");
    expect(XO_REST_FOR_ONE, "--xxx");
    expect(XO_ONE_FOR_ALL, "xxxxx");
}

static void names_go_both_ways(void **unused)
{
    xo_error_t err;
    xo_strategy_t strategy;
    (void)unused;
    for (xo_strategy_t each = XO_ONE_FOR_ONE; each <= XO_REST_FOR_ONE; each++) {
        assert_int_equal(xo_strategy_parse(xo_strategy_name(each), &strategy, &err), 0);
        assert_int_equal(strategy, each);
    }
    assert_int_equal(xo_strategy_parse("all_for_one", &strategy, &err), -1);
    assert_int_equal(err.errnum, EINVAL);
    assert_non_null(strstr(err.text, "'all_for_one'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_takes_its_own),
        cmocka_unit_test(names_go_both_ways),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
