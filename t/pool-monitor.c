/* pool-monitor.c - the monitors of actors, of one pool and of two. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "t/pool-two.h"

typedef struct told {
    int count;
    char reason[XO_ERROR_TEXT_BYTES];
} told_t;

static void note_told(const char *reason, void *arg)
{
    told_t *told = arg;
    told->count++;
    snprintf(told->reason, sizeof told->reason, "%s", reason);
}

static bool is_told(void *arg)
{
    return ((told_t *)arg)->count > 0;
}

static xo_monitor_t *monitor(const two_t *two, const char *uid, int other_pool, const char *other,
                             told_t *told)
{
    xo_error_t err;
    xo_actor_t *actor = xo_pool_find(two->pools[0], xo_slice_str(uid));
    xo_monitor_t *made = xo_actor_monitor(actor, other_pool ? at(two, 1) : NULL,
                                          xo_slice_str(other), note_told, told, &err);
    if (!made)
        fail_msg("%s", err.text);
    return made;
}

static void test_a_monitor(void **state)
{
    two_t *two = *state;
    make(two, 0, "a");
    for (int pool = 0; pool < 2; pool++) {
        told_t told = {0}, again = {0}, before = {0}, none = {0};
        make(two, pool, "b");
        monitor(two, "a", pool, "b", &told);
        monitor(two, "a", pool, "b", &again);
        xo_monitor_destroy(monitor(two, "a", pool, "b", &none));
        xo_monitor_destroy(NULL);
        settle(two);
        end(two, pool, "b");
        run_until(two->world, is_told, &told);
        monitor(two, "a", pool, "b", &before);
        run_until(two->world, is_told, &before);
        assert_string_equal(told.reason, "destroyed");
        assert_string_equal(again.reason, "destroyed");
        assert_non_null(strstr(before.reason, "does not exist"));
        make(two, pool, "b");
        end(two, pool, "b");
        settle(two);
        assert_int_equal(told.count + again.count + before.count, 3);
        assert_int_equal(none.count, 0);
    }
    assert_true(has_uid(two, 0, "a"));
}

static void test_a_monitor_of_a_pool_that_ends(void **state)
{
    two_t *two = *state;
    told_t told = {0};
    make(two, 0, "a");
    make(two, 1, "b");
    monitor(two, "a", 1, "b", &told);
    settle(two);
    xo_pool_destroy(two->pools[1]);
    two->pools[1] = NULL;
    run_until(two->world, is_told, &told);
    assert_int_equal(told.count, 1);
}

static void test_nobody_is_told_after_its_own_end(void **state)
{
    two_t *two = *state;
    told_t told = {0};
    make(two, 0, "a");
    make(two, 0, "c");
    make(two, 1, "b");
    monitor(two, "a", 1, "b", &told);
    monitor(two, "a", 0, "c", &told);
    settle(two);
    end(two, 0, "a");
    end(two, 1, "b");
    end(two, 0, "c");
    settle(two);
    assert_int_equal(told.count, 0);
}

static void test_what_cannot_be_monitored(void **state)
{
    xo_error_t err;
    two_t *two = *state;
    make(two, 0, "a");
    xo_actor_t *actor = xo_pool_find(two->pools[0], xo_slice_str("a"));
    assert_null(xo_actor_monitor(actor, "no address", xo_slice_str("b"), note_told, NULL, &err));
    assert_int_equal(errno, EINVAL);
    assert_null(xo_actor_monitor(actor, NULL, xo_slice_str(""), note_told, NULL, &err));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(err.text, "a uid has"));
}

#define MONITOR_TEST(name) cmocka_unit_test_setup_teardown(name, two_setup, two_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MONITOR_TEST(test_a_monitor),
        MONITOR_TEST(test_a_monitor_of_a_pool_that_ends),
        MONITOR_TEST(test_nobody_is_told_after_its_own_end),
        MONITOR_TEST(test_what_cannot_be_monitored),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
