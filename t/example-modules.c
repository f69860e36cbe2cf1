/* The example modules: Counter, Adder, WordMerge, Keeper. */
#include <stdio.h>
#include <string.h>

#include "t/module-world.h"

static void test_counter(void **state)
{
    xo_error_t err;
    world_t *world = *state;
    expect_ok(make(world, "Counter", "a", "i", 40));
    expect_ok(make(world, "Counter", "b", ""));
    expect_text(make(world, "Counter", "x", "s", "one"), EINVAL, "Counter");
    expect_int(start(world, "a", "add", 2), 42);
    xo_ref_t *a = xo_ref_create(world->client, xo_pool_address(world->pool), "a", &err);
    xo_ref_t *b = xo_ref_create(world->client, xo_pool_address(world->pool), "b", &err);
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    xo_future_t *slow = xo_ref_call(a, &err, "slow_add", "i i", 8, 100);
    xo_future_t *get = xo_ref_call(a, &err, "get", "");
    expect_int(xo_ref_call(a, &err, "peek", ""), 42);
    assert_false(xo_future_done(get));
    xo_loop_advance(world->loop, 100 * XO_MS);
    expect_int(slow, 50);
    expect_int(get, 50);
    xo_future_t *sum_a = xo_ref_call(a, &err, "sum_with", "s s", "", "b");
    xo_future_t *sum_b = xo_ref_call(b, &err, "sum_with", "s s", xo_pool_address(world->pool), "a");
    expect_int(sum_a, 50);
    expect_int(sum_b, 50);
    expect_ok(xo_ref_call(a, &err, "reset", ""));
    expect_error(xo_ref_call(a, &err, "sum_with", "s s", "", "c"), XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_int(xo_ref_call(a, &err, "get", ""), 0);
    expect_error(xo_ref_call(a, &err, "slow_add", "i i", 8, -1), XO_CODE_REFUSED, "no");
    slow = xo_ref_call(a, &err, "slow_add", "i i", 8, 100); /* the pool ends in the middle */
    run_settled(world);
    xo_ref_destroy(a);
    xo_ref_destroy(b);
    xo_future_destroy(slow);
}

static void test_adder(void **state)
{
    xo_error_t err;
    double sum;
    world_t *world = *state;
    expect_ok(make(world, "Adder", "plus", ""));
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "plus", &err);
    xo_future_t *future = xo_ref_call(ref, &err, "add", "f i", 1.5, 2);
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, "f", &sum), 0);
    assert_true(sum == 3.5);
    xo_future_destroy(future);
    xo_ref_destroy(ref);
}

static void test_wordmerge(void **state)
{
    xo_error_t err;
    xo_slice_t word[3];
    int count[3];
    world_t *world = *state;
    expect_ok(make(world, "WordMerge", "w", ""));
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "w", &err);
    expect_int(xo_ref_call(ref, &err, "merge", "{s i s i}", "the", 2, "a", 1), 2);
    expect_int(xo_ref_call(ref, &err, "merge", "{s i s i}", "the", 3, "b", 1), 3);
    expect_int(xo_ref_call(ref, &err, "total", ""), 7);
    expect_error(xo_ref_call(ref, &err, "merge", "{s i s s}", "the", 1, "a", "x"), XO_CODE_REFUSED,
                 "no");
    expect_error(xo_ref_call(ref, &err, "merge", "{s i}", "the", -1), XO_CODE_REFUSED, "no");
    expect_error(xo_ref_call(ref, &err, "merge", "i", 1), XO_CODE_REFUSED, "no");
    expect_int(xo_ref_call(ref, &err, "total", ""), 7);
    expect_int(xo_ref_call(ref, &err, "merge_part", "i {s i}", 5, "b", 1), 3);
    expect_int(xo_ref_call(ref, &err, "merge_part", "i {s i}", 5, "b", 1), 3);
    expect_int(xo_ref_call(ref, &err, "merge_part", "i {s i}", 6, "b", 1), 3);
    expect_error(xo_ref_call(ref, &err, "merge_part", "i {s i}", 7, "b", -1), XO_CODE_REFUSED,
                 "no");
    expect_int(xo_ref_call(ref, &err, "merge_part", "i {s i}", 7, "a", 1), 3);
    expect_int(xo_ref_call(ref, &err, "total", ""), 10);
    expect_int(xo_ref_call(ref, &err, "size", ""), 3);
    xo_future_t *future = xo_ref_call(ref, &err, "counts", "");
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, "[[S i] [S i] [S i]]", &word[0], &count[0],
                                   &word[1], &count[1], &word[2], &count[2]),
                     0);
    assert_true(xo_slice_eq_str(word[0], "the") && count[0] == 5);
    assert_true(xo_slice_eq_str(word[1], "b") && count[1] == 3);
    assert_true(xo_slice_eq_str(word[2], "a") && count[2] == 2);
    xo_future_destroy(future);
    future = xo_ref_call(ref, &err, "top", "i", 1);
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, "[[S i]]", &word[0], &count[0]), 0);
    xo_future_destroy(future);
    expect_ok(xo_ref_call(ref, &err, "reset", ""));
    expect_int(xo_ref_call(ref, &err, "size", ""), 0);
    expect_int(xo_ref_call(ref, &err, "merge_part", "i {s i}", 5, "b", 1), 1);
    xo_ref_destroy(ref);
}

/* What it has written down: "UID: REASON; " of each. */
static void expect_ended(xo_ref_t *keeper, const char *text)
{
    char got[512] = "";
    xo_error_t err;
    uint32_t count;
    xo_slice_t list, uid, reason;
    xo_future_t *future = xo_ref_call(keeper, &err, "ended", "");
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, "V", &list), 0);
    xo_reader_t reader = xo_reader(list);
    assert_int_equal(xo_read_array(&reader, &count), 0);
    for (; count; count--) {
        xo_slice_t pair;
        assert_int_equal(xo_read_raw(&reader, &pair), 0);
        assert_int_equal(xo_unpack(pair, NULL, "[S S]", &uid, &reason), 0);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s: %.*s; ", (int)uid.size,
                 uid.data, (int)reason.size, reason.data);
    }
    xo_future_destroy(future);
    assert_string_equal(got, text);
}

static void test_keeper(void **state)
{
    static const char *const uids[] = {"a", "b", "c", "d"};
    xo_error_t err;
    world_t *world = *state;
    if (xo_host_c_load(host_of(world), built("examples/.libs/keeper.so"), &err) < 0)
        fail_msg("%s", err.text);
    expect_ok(make(world, "Keeper", "k", ""));
    xo_ref_t *keeper = xo_ref_create(world->client, xo_pool_address(world->pool), "k", &err);
    for (int i = 0; i < 4; i++)
        expect_ok(make(world, "Counter", uids[i], ""));
    expect_ok(xo_ref_call(keeper, &err, "keep", "s s", "", "a"));
    expect_ok(xo_ref_call(keeper, &err, "watch", "s s", xo_pool_address(world->pool), "b"));
    expect_ok(xo_ref_call(keeper, &err, "keep", "s s", xo_pool_address(world->pool), "c"));
    expect_ok(xo_ref_call(keeper, &err, "leave", "s s", xo_pool_address(world->pool), "c"));
    for (int i = 0; i < 3; i++)
        expect_ok(start_destroy(world, uids[i]));
    expect_ended(keeper, "a: destroyed; b: destroyed; ");
    expect_error(xo_ref_call(keeper, &err, "watch", "s s", "", ""), XO_CODE_METHOD, "ran");
    expect_error(xo_ref_call(keeper, &err, "keep", "s s", "", "k"), XO_CODE_REFUSED, "no");
    expect_ok(xo_ref_call(keeper, &err, "keep", "s s", "", "d"));
    expect_ok(xo_ref_call(keeper, &err, "watch", "s s", "", "d"));
    expect_ok(xo_ref_destroy_actor(keeper, &err));
    expect_error(start(world, "d", "add", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
    xo_ref_destroy(keeper);
}

#define MODULE_TEST(name) cmocka_unit_test_setup_teardown(name, module_setup, module_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODULE_TEST(test_counter),
        MODULE_TEST(test_adder),
        MODULE_TEST(test_wordmerge),
        MODULE_TEST(test_keeper),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
