/* What an actor in C has asked of another one of its pool, which is stopped to come again. The
 * broker is an endpoint of the test's own. */
#include "pool/host_c.h"
#include "pool/module.h"
#include "t/pool-broker.h"

static xo_request_t *held;
static int ended;

/* ---- the actors ---- */

static void done(xo_future_t *future, void *arg)
{
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

static void pass_on(void *self, xo_request_t *request)
{
    (void)self;
    int value;
    xo_error_t err;
    if (xo_request_unpack(request, "i", &value) == 0 &&
        xo_request_call(request, &err, NULL, "a", done, request, "echo", "i", value) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "%s", err.text);
}

static void echo(void *self, xo_request_t *request)
{
    (void)self;
    int value;
    if (xo_request_unpack(request, "i", &value) == 0)
        xo_request_reply(request, "i", value);
}

static void hold(void *self, xo_request_t *request)
{
    (void)self;
    held = request;
}

static int make(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor, (void)args, (void)err;
    *self = NULL;
    return 0;
}

static void end(void *self)
{
    (void)self;
    ended++;
}

static const xo_method_t methods[] = {
    {"pass_on", pass_on, 0, NULL}, {"echo", echo, 0, NULL}, {"hold", hold, 0, NULL}, {0}};
static const xo_class_t class_ = {
    .name = "Class", .create = make, .destroy = end, .methods = methods};
static const xo_class_t *const classes[] = {&class_, NULL};
static const xo_module_t module = {XO_MODULE_ABI, "test", classes};

/* ---- tests ---- */

static xo_host_c_t *host;

static int setup(void **state)
{
    xo_error_t err;
    held = NULL;
    ended = 0;
    host = xo_host_c_create(NULL, NULL, &err);
    if (!host || xo_host_c_add(host, &module, "test", &err) < 0)
        return -1;
    return broker_setup_with(state, xo_host_c_ops(), host);
}

static int teardown(void **state)
{
    int rc = broker_teardown(state);
    xo_host_c_destroy(host);
    return rc;
}

static bool is_held(void *arg)
{
    (void)arg;
    return held;
}

static bool has_ended(void *arg)
{
    (void)arg;
    return ended == 1;
}

/* "a" has been stopped, with a call of "b" behind that: the answer to come. */
static xo_future_t *stop_with_a_call(broker_t *broker)
{
    world_t *world = broker->world;
    expect_ok(
        xo_create_actor(world->client, NULL, xo_pool_address(world->pool), "Class", "b", NULL));
    expect_ok(
        xo_create_actor(world->client, NULL, xo_pool_address(world->pool), "Class", "a", NULL));
    xo_future_t *running = start(world, "a", "hold", 1);
    run_until(world, is_held, broker);
    stop_by_group(broker, "a");
    xo_future_t *waiting = start(world, "b", "pass_on", 2);
    settle(broker);
    xo_request_reply(held, "i", 1);
    expect_int(running, 1);
    run_until(world, has_ended, broker);
    settle(broker);
    assert_false(xo_future_done(waiting));
    return waiting;
}

static void test_waits_until_it_has_come(void **state)
{
    broker_t *broker = *state;
    xo_future_t *waiting = stop_with_a_call(broker);
    create_again(broker, "a");
    expect_int(waiting, 2);
}

static void test_is_cancelled_meanwhile(void **state)
{
    broker_t *broker = *state;
    xo_future_t *waiting = stop_with_a_call(broker);
    xo_future_cancel(waiting);
    expect_error(waiting, XO_CODE_CANCELLED, "no");
    create_again(broker, "a");
    run_until(broker->world, one_created, broker);
    expect_int(start(broker->world, "b", "pass_on", 3), 3);
}

/* The pool answers it. */
static void test_the_pool_ends_meanwhile(void **state)
{
    broker_t *broker = *state;
    xo_future_t *waiting = stop_with_a_call(broker);
    xo_pool_destroy(broker->world->pool);
    broker->world->pool = NULL;
    expect_error(waiting, XO_CODE_SERVER_CLOSED, "no");
}

#define AGAIN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGAIN_TEST(test_waits_until_it_has_come),
        AGAIN_TEST(test_is_cancelled_meanwhile),
        AGAIN_TEST(test_the_pool_ends_meanwhile),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
