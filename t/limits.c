/* limits.c - the bounds of links and mailboxes, from the environment. */
#include "libxo/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "t/pool-world.h"

static const char *const names[] = {"XO_WINDOW_MESSAGES", "XO_WINDOW_BYTES", "XO_MAILBOX_MESSAGES",
                                    "XO_MAILBOX_BYTES", "XO_POOL_BYTES"};
enum { NAMES = sizeof names / sizeof *names };

static int teardown(void **state)
{
    for (size_t i = 0; i < NAMES; i++)
        unsetenv(names[i]);
    return world_teardown(state);
}

/* A pool and a client in a process with this variable. */
static void open_with(world_t *world, const char *name, const char *value)
{
    xo_ctx_destroy(world->ctx);
    setenv(name, value, 1);
    world->ctx = xo_ctx_create("test", NULL);
    assert_non_null(world->ctx);
    world_open(world);
    create(world, "a");
    tell(world, "a", "hold", 0);
    run_until_held(world, 1);
}

static int tell_bytes(world_t *world, size_t bytes)
{
    xo_error_t err;
    char *text = calloc(1, bytes + 1);
    memset(text, 'x', bytes);
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "a", &err);
    int rc = xo_ref_tell(ref, &err, "echo", "s", text);
    int saved = errno;
    xo_ref_destroy(ref);
    free(text);
    errno = saved;
    return rc;
}

static void test_what_is_not_set(void **state)
{
    (void)state;
    xoi_limits_t limits;
    xo_error_t err;
    assert_int_equal(xoi_limits_read(&limits, &err), 0);
    assert_true(limits.window_messages == 8192 && limits.window_bytes == 64 << 20);
    assert_true(limits.mailbox_messages == 8192 && limits.mailbox_bytes == 256 << 20);
    assert_true(limits.pool_bytes == 1 << 30);
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    xo_error_t err;
    const char *const bad[] = {"", "0", "-1", " 1", "4M", "99999999999999999999"};
    for (size_t i = 0; i < NAMES; i++)
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            setenv(names[i], bad[k], 1);
            if (xo_ctx_create("test", &err))
                fail_msg("%s='%s' is taken", names[i], bad[k]);
            assert_int_equal(err.errnum, EINVAL);
            assert_non_null(strstr(err.text, names[i]));
            unsetenv(names[i]);
        }
}

static void test_window_messages(void **state)
{
    world_t *world = *state;
    open_with(world, "XO_WINDOW_MESSAGES", "4");
    run_settled(world); /* what has arrived costs none */
    for (int i = 0; i < 4; i++)
        assert_int_equal(tell_bytes(world, 1), 0);
    assert_int_equal(tell_bytes(world, 1), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_window_bytes(void **state)
{
    world_t *world = *state;
    open_with(world, "XO_WINDOW_BYTES", "5000");
    assert_int_equal(tell_bytes(world, 2000), 0);
    assert_int_equal(tell_bytes(world, 2000), 0);
    assert_int_equal(tell_bytes(world, 2000), -1);
    assert_int_equal(errno, EAGAIN);
}

static bool has_room(world_t *world)
{
    run_settled(world);
    return xo_actor_has_room(xo_pool_find(world->pool, xo_slice_str("a")));
}

static void test_mailbox_messages(void **state)
{
    world_t *world = *state;
    open_with(world, "XO_MAILBOX_MESSAGES", "3");
    assert_int_equal(tell_bytes(world, 1), 0);
    assert_true(has_room(world));
    for (int i = 0; i < 2; i++)
        assert_int_equal(tell_bytes(world, 1), 0);
    assert_false(has_room(world));
    assert_int_equal(tell_bytes(world, 1),
                     -1); /* muted, as three are there with the one that runs */
    assert_int_equal(errno, EAGAIN);
}

static void test_mailbox_bytes(void **state)
{
    world_t *world = *state;
    open_with(world, "XO_MAILBOX_BYTES", "5000");
    assert_int_equal(tell_bytes(world, 4000), 0);
    assert_true(has_room(world));
    assert_int_equal(tell_bytes(world, 4000), 0);
    assert_false(has_room(world));
}

#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_bare, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BARE_TEST(test_what_is_not_set),  BARE_TEST(test_what_cannot_be),
        BARE_TEST(test_window_messages),  BARE_TEST(test_window_bytes),
        BARE_TEST(test_mailbox_messages), BARE_TEST(test_mailbox_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
