/* A pool that has an owner asks to be ended when that has gone. */
#include <sys/wait.h>
#include <unistd.h>

#include "t/pool-world.h"

static bool was_stopped(void *arg)
{
    const world_t *world = arg;
    return world->host.stopped > 0;
}

static void test_owner_goes(void **state)
{
    int hold[2];
    world_t *world = *state;
    assert_int_equal(pipe(hold), 0);
    pid_t owner = fork();
    if (owner == 0) { /* lives until the pipe closes */
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) < 0);
    }
    close(hold[0]);
    world->options.owner = owner;
    world_open(world);
    create(world, "a");
    assert_int_equal(world->host.stopped, 0);
    close(hold[1]);
    run_until(world, was_stopped, world);
    assert_int_equal(waitpid(owner, NULL, 0), owner);
}

static void test_owner_gone_before(void **state)
{
    world_t *world = *state;
    pid_t owner = fork();
    if (owner == 0)
        _exit(0);
    assert_int_equal(waitpid(owner, NULL, 0), owner);
    world->options.owner = owner;
    world_open(world);
    run_until(world, was_stopped, world);
}

#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_bare, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BARE_TEST(test_owner_goes),
        BARE_TEST(test_owner_gone_before),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
