/* pool-env.c - what a broker tells a pool through the environment. */
#include <stdlib.h>

#include "pool/pool.h"
#include "t/unit.h"

static void test_options_from_env(void **state)
{
    (void)state;
    xo_error_t err;
    xo_pool_options_t options = {.self.index = -1};
    setenv("XO_BROKER", "ipc:///x", 1);
    setenv("XO_NODE_ID", "00000000000000ff", 1);
    setenv("XO_POOL_ID", "ffffffffffffffff", 1);
    setenv("XO_POOL_INDEX", "3", 1);
    setenv("XO_POOL_GENERATION", "2", 1);
    setenv("XO_POOL_LABEL", "gpu", 1);
    setenv("XO_POOL_ADDRESS", "127.0.0.1:0", 1);
    setenv("XO_POOL_BIND", "0.0.0.0:0", 1);
    setenv("XO_OWNER_PID", "42", 1);
    setenv("XO_HEARTBEAT_MS", "250", 1);
    assert_int_equal(xo_pool_options_from_env(&options, &err), 0);
    assert_string_equal(options.broker, "ipc:///x");
    assert_true(options.self.node_id == 255 && options.self.pool_id == UINT64_MAX);
    assert_true(options.self.index == 3 && options.self.generation == 2);
    assert_string_equal(options.self.label, "gpu");
    assert_string_equal(options.self.address, "127.0.0.1:0");
    assert_string_equal(options.bind, "0.0.0.0:0");
    assert_true(options.owner == 42 && options.heartbeat_ms == 250);
}

static void test_options_that_do_not_parse(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"XO_NODE_ID", "xyz"},      {"XO_POOL_ID", "1ffffffffffffffff"},
        {"XO_POOL_INDEX", "-1"},    {"XO_POOL_GENERATION", "4294967296"},
        {"XO_POOL_ADDRESS", "a b"}, {"XO_POOL_BIND", "127.0.0.1:99999"},
        {"XO_OWNER_PID", "self"},   {"XO_HEARTBEAT_MS", ""},
        {"XO_POOL_SIBLINGS", "1,2"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        xo_error_t err;
        xo_pool_options_t options = {.self.index = -1};
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++)
            unsetenv(bad[j][0]);
        setenv(bad[i][0], bad[i][1], 1);
        if (xo_pool_options_from_env(&options, &err) == 0)
            fail_msg("%s=%s is taken", bad[i][0], bad[i][1]);
        assert_int_equal(err.errnum, EINVAL);
        assert_non_null(strstr(err.text, bad[i][0]));
        unsetenv(bad[i][0]);
    }
}

static void test_siblings_from_env(void **state)
{
    (void)state;
    xo_error_t err;
    xo_identity_t self = {.index = -1};
    unsetenv("XO_POOL_SIBLINGS");
    assert_int_equal(xo_pool_sibling_from_env(1, &self, &err), 0);
    setenv("XO_POOL_SIBLINGS", "", 1);
    assert_int_equal(xo_pool_sibling_from_env(1, &self, &err), 0);
    setenv("XO_POOL_SIBLINGS", "2,7,[::1]:4002;1,3,127.0.0.1:4001", 1);
    assert_int_equal(xo_pool_sibling_from_env(3, &self, &err), 0);
    assert_true(self.index == -1 && self.address[0] == 0);
    assert_int_equal(xo_pool_sibling_from_env(1, &self, &err), 1);
    assert_int_equal(self.index, 3);
    assert_string_equal(self.address, "127.0.0.1:4001");
    assert_int_equal(xo_pool_sibling_from_env(2, &self, &err), 1);
    assert_int_equal(self.index, 7);
    assert_string_equal(self.address, "[::1]:4002");
    unsetenv("XO_POOL_SIBLINGS");
}

static void test_siblings_that_do_not_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "1",     ",",     "1,2",     "0,2,a:1",   "256,2,a:1", "1,-2,a:1",
        "1,2,a", "1,2,:", "1,2,a:0", "1,2,a:1;;", "1,2,a:1;3", "1,2147483648,a:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        xo_error_t err;
        xo_identity_t self = {.index = -1};
        setenv("XO_POOL_SIBLINGS", bad[i], 1);
        if (xo_pool_sibling_from_env(1, &self, &err) >= 0)
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(err.errnum, EINVAL);
        assert_non_null(strstr(err.text, "XO_POOL_SIBLINGS"));
        assert_true(self.index == -1 && self.address[0] == 0);
    }
    unsetenv("XO_POOL_SIBLINGS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_from_env),
        cmocka_unit_test(test_options_that_do_not_parse),
        cmocka_unit_test(test_siblings_from_env),
        cmocka_unit_test(test_siblings_that_do_not_parse),
    };
    return run_tap(tests);
}
