/* Targets: an actor and a method, looked up once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/module-probe.h"
#include "t/module-world.h"

#define MAILBOX_MESSAGES 100
#define DEADLINE_MS 500 /* within which the call has arrived, under a sanitizer too */

/* ---- Archer: aims at an actor, then calls it. Log: notes what comes. Mirror: answers in any
 * length ---- */

static const char light[1024] = {1, 2, 3, [40] = 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, [1023] = 15};

typedef struct archer {
    xo_target_t *target;
    xo_request_t *request;
    int left, refused;
} archer_t;

static int archer_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    (void)err;
    *self = calloc(1, sizeof(archer_t));
    return 0;
}

/* aim(ADDRESS, UID, METHOD) */
static void archer_aim(void *self, xo_request_t *request)
{
    archer_t *archer = self;
    char text[3][64];
    xo_slice_t arg[3];
    xo_error_t err;
    if (xo_request_unpack(request, "s s s", &arg[0], &arg[1], &arg[2]) < 0)
        return;
    for (int i = 0; i < 3; i++)
        snprintf(text[i], sizeof text[i], "%.*s", (int)arg[i].size, arg[i].data);
    xo_target_destroy(archer->target);
    archer->target = xo_target_create(xo_request_actor(request), text[0][0] ? text[0] : NULL,
                                      text[1], text[2], &err);
    if (archer->target)
        xo_request_reply(request, "n");
    else
        xo_request_fail(request, XO_CODE_REFUSED, "%s", err.text);
}

static void pass_on(xo_future_t *future, void *arg)
{
    futures_unanswered += !xo_future_done(future);
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

/* fire(): what the target answers to 1. */
static void archer_fire(void *self, xo_request_t *request)
{
    xo_error_t err;
    archer_t *archer = self;
    if (xo_target_call(archer->target, request, &err, pass_on, request, "i", 1) < 0)
        xo_request_fail(request, XO_CODE_REFUSED, "%s", err.text);
}

static void volley_on(void *arg)
{
    xo_error_t err;
    archer_t *archer = arg;
    for (; archer->left; archer->left--)
        if (xo_target_tell(archer->target, archer->request, &err, "i", 1) < 0) {
            assert_int_equal(errno, EAGAIN);
            archer->refused++;
            assert_int_equal(xo_target_on_room(archer->target, archer->request, volley_on, archer),
                             0);
            return;
        }
    xo_request_reply(archer->request, "i", archer->refused);
}

/* volley(N): tells the target 1 so many times; answers how often it had to wait for room. */
static void archer_volley(void *self, xo_request_t *request)
{
    archer_t *archer = self;
    archer->request = request;
    archer->refused = 0;
    if (xo_request_unpack(request, "i", &archer->left) == 0)
        volley_on(archer);
}

/* mix(N): notes 1 to N in "log", in all ways in turn. */
static void archer_mix(void *self, xo_request_t *request)
{
    int count;
    xo_error_t err;
    archer_t *archer = self;
    if (xo_request_unpack(request, "i", &count) < 0)
        return;
    for (int i = 1; i < count; i++) {
        int rc = i % 2 ? xo_target_tell(archer->target, request, &err, "i", i)
                       : xo_request_tell(request, &err, NULL, "log", "note", "i", i);
        assert_int_equal(rc, 0);
    }
    assert_int_equal(xo_target_call(archer->target, request, &err, pass_on, request, "i", count),
                     0);
}

/* However it is looked at, and again. */
static void check_answer(xo_future_t *future, void *arg)
{
    xo_slice_t value;
    xo_error_t err;
    for (int i = 0; i < 2; i++) {
        const xo_msg_t *answer = xo_future_answer(future);
        assert_int_equal(xo_future_get(future, &err, "V", &value), 0);
        assert_non_null(answer);
        assert_int_equal(xo_msg_header(answer)->kind, XO_RESULT);
        assert_true(xo_slice_eq(xo_msg_body(answer), value));
    }
    pass_on(future, arg);
}

/* reflect(N): passes on what the target answers to N. check(N): looks at it before. */
static void archer_reflect(void *self, xo_request_t *request)
{
    int n;
    xo_error_t err;
    archer_t *archer = self;
    if (xo_request_unpack(request, "i", &n) == 0)
        assert_int_equal(xo_target_call(archer->target, request, &err, pass_on, request, "i", n),
                         0);
}

static void archer_check(void *self, xo_request_t *request)
{
    int n;
    xo_error_t err;
    archer_t *archer = self;
    if (xo_request_unpack(request, "i", &n) == 0)
        assert_int_equal(
            xo_target_call(archer->target, request, &err, check_answer, request, "i", n), 0);
}

static void archer_drop(void *self, xo_request_t *request)
{
    archer_t *archer = self;
    xo_target_destroy(archer->target);
    archer->target = NULL;
    xo_request_reply(request, "n");
}

static const xo_method_t archer_methods[] = {{"aim", archer_aim, XO_METHOD_NO_LOCK, NULL},
                                             {"fire", archer_fire, XO_METHOD_NO_LOCK, NULL},
                                             {"volley", archer_volley, 0, NULL},
                                             {"mix", archer_mix, 0, NULL},
                                             {"reflect", archer_reflect, 0, NULL},
                                             {"check", archer_check, 0, NULL},
                                             {"drop", archer_drop, XO_METHOD_NO_LOCK, NULL},
                                             {0}};
static const xo_class_t archer_class = {
    .name = "Archer", .create = archer_create, .destroy = free, .methods = archer_methods};

static int log_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    (void)err;
    *self = calloc(1, sizeof(int));
    return 0;
}

/* note(N): answers how many came in order, from 1 on. */
static void log_note(void *self, xo_request_t *request)
{
    int *last = self;
    int value;
    if (xo_request_unpack(request, "i", &value) < 0)
        return;
    if (value == *last + 1)
        *last = value;
    xo_request_reply(request, "i", *last);
}

static const xo_method_t log_methods[] = {{"note", log_note, 0, NULL}, {0}};
static const xo_class_t log_class = {
    .name = "Log", .create = log_create, .destroy = free, .methods = log_methods};
/* shine(N): that many bytes. */
static void mirror_shine(void *self, xo_request_t *request)
{
    int n;
    (void)self;
    if (xo_request_unpack(request, "i", &n) == 0)
        xo_request_reply(request, "B", xo_slice(light, (size_t)n));
}

static const xo_method_t mirror_methods[] = {{"shine", mirror_shine, 0, NULL}, {0}};
static const xo_class_t mirror_class = {.name = "Mirror", .methods = mirror_methods};
static const xo_class_t *const archer_classes[] = {&archer_class, &log_class, &mirror_class, NULL};
static const xo_module_t archer_module = {XO_MODULE_ABI, "archer", archer_classes};

/* ---- the world ---- */

static int open_archery(void **state, size_t mailbox_messages)
{
    xo_error_t err;
    probes_destroyed = probes_asked = futures_unanswered = 0;
    if (module_setup_bare(state) < 0)
        return -1;
    world_t *world = *state;
    assert_int_equal(xo_host_c_add(host_of(world), &probe_module, "probe", &err), 0);
    assert_int_equal(xo_host_c_add(host_of(world), &archer_module, "archer", &err), 0);
    world->options.mailbox_messages = mailbox_messages;
    world_open(world);
    expect_ok(make(world, "Archer", "a", ""));
    return 0;
}

static int setup(void **state)
{
    return open_archery(state, MAILBOX_MESSAGES);
}

static int setup_usual(void **state)
{
    return open_archery(state, 0);
}

static xo_future_t *order(world_t *world, int64_t deadline_ms, const char *method)
{
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "a", &err);
    xo_ref_set_deadline(ref, deadline_ms);
    xo_future_t *future = xo_ref_call(ref, &err, method, "");
    xo_ref_destroy(ref);
    return future;
}

static xo_future_t *fire(world_t *world)
{
    return order(world, 0, "fire");
}

static xo_future_t *aim(world_t *world, const char *address, const char *uid, const char *method)
{
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "a", &err);
    xo_future_t *future = xo_ref_call(ref, &err, "aim", "s s s", address, uid, method);
    xo_ref_destroy(ref);
    return future;
}

static bool is_held(void *arg)
{
    return ((const probe_t *)xo_actor_object(arg))->held != NULL;
}

/* An actor whose method runs until the test ends it, and the archer's call of it, under way. */
static xo_request_t *hold(world_t *world, xo_future_t **fired, int64_t deadline_ms)
{
    expect_ok(make(world, "Probe", "q", "s", ""));
    expect_ok(aim(world, "", "q", "hold"));
    *fired = order(world, deadline_ms, "fire");
    xo_actor_t *q = xo_pool_find(world->pool, xo_slice_str("q"));
    run_until(world, is_held, q);
    return ((probe_t *)xo_actor_object(q))->held;
}

/* ---- tests ---- */

static void test_calls(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", "i", 10));
    expect_ok(aim(world, "", "c", "add"));
    expect_int(fire(world), 11);
    expect_int(fire(world), 12);
    expect_ok(aim(world, xo_pool_address(world->pool), "c", "add"));
    expect_int(fire(world), 13);
    expect_ok(aim(world, "", "c", "nothing"));
    expect_error(fire(world), XO_CODE_NO_METHOD, "no");
    expect_text(aim(world, "", "", "add"), EINVAL, "uid");
}

/* It is the uid that is aimed at: who has it when the call is made gets it. */
static void test_actors_come_and_go(void **state)
{
    world_t *world = *state;
    expect_ok(aim(world, "", "c", "add"));
    expect_error(fire(world), XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_ok(make(world, "Counter", "c", "i", 10));
    expect_int(fire(world), 11);
    expect_ok(start_destroy(world, "c"));
    expect_error(fire(world), XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_ok(make(world, "Counter", "c", "i", 20));
    expect_int(fire(world), 21);
    expect_ok(start_destroy(world, "c"));
    expect_ok(make(world, "Probe", "c", "s", ""));
    expect_error(fire(world), XO_CODE_NO_METHOD, "no");
}

static void test_order_with_other_calls(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Log", "log", ""));
    expect_ok(aim(world, "", "log", "note"));
    expect_int(start(world, "a", "mix", MAILBOX_MESSAGES), MAILBOX_MESSAGES);
}

/* Small ones need no message, large ones have one; nobody sees a difference. */
static void test_answers_of_all_sizes(void **state)
{
    world_t *world = *state;
    static const char *const ways[] = {"reflect", "check"};
    expect_ok(make(world, "Mirror", "m", ""));
    expect_ok(aim(world, "", "m", "shine"));
    for (int size = 0; size <= (int)sizeof light; size += size < 64 ? 1 : 240)
        for (int way = 0; way < 2; way++) {
            xo_slice_t got;
            xo_error_t err;
            xo_future_t *future = start(world, "a", ways[way], size);
            assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
            assert_int_equal(xo_future_get(future, &err, "B", &got), 0);
            assert_true(xo_slice_eq(got, xo_slice(light, (size_t)size)));
            xo_future_destroy(future);
        }
}

static void test_a_full_mailbox_pushes_back(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", ""));
    expect_ok(aim(world, "", "c", "add"));
    expect_int(start(world, "a", "volley", MAILBOX_MESSAGES), 0);
    expect_int(start(world, "c", "add", 0), MAILBOX_MESSAGES);
    expect_int(start(world, "a", "volley", 2 * MAILBOX_MESSAGES), 2);
    expect_int(start(world, "c", "add", 0), 3 * MAILBOX_MESSAGES);
}

/* So that what waits stays in the processor's cache. */
static void test_less_than_a_mailbox_pushes_back(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", ""));
    expect_ok(aim(world, "", "c", "add"));
    expect_int(start(world, "a", "volley", 256), 0);
    expect_int(start(world, "a", "volley", 512), 2);
    expect_int(start(world, "c", "add", 0), 768);
}

/* Those for whom there is no room yet go on waiting, before who comes later. */
static void test_many_wait_for_room(void **state)
{
    enum { ARCHERS = 20 };
    char uid[ARCHERS][16];
    xo_error_t err;
    world_t *world = *state;
    xo_future_t *volleys[ARCHERS];
    expect_ok(make(world, "Counter", "c", ""));
    for (int i = 0; i < ARCHERS; i++) {
        snprintf(uid[i], sizeof uid[i], "b%d", i);
        expect_ok(make(world, "Archer", uid[i], ""));
        xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), uid[i], &err);
        expect_ok(xo_ref_call(ref, &err, "aim", "s s s", "", "c", "add"));
        xo_ref_destroy(ref);
    }
    for (int i = 0; i < ARCHERS; i++)
        volleys[i] = start(world, uid[i], "volley", MAILBOX_MESSAGES);
    for (int i = 0; i < ARCHERS; i++) {
        int refused;
        assert_int_equal(xo_future_wait(volleys[i], WAIT_MS, &err), 0);
        assert_int_equal(xo_future_get(volleys[i], &err, "i", &refused), 0);
        assert_in_range(refused, 0, ARCHERS / 2); /* not each time that there is some */
        xo_future_destroy(volleys[i]);
    }
    expect_int(start(world, "c", "add", 0), ARCHERS * MAILBOX_MESSAGES);
}

static void expect_failure(xo_future_t *future)
{
    xo_error_t err;
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, NULL), -1);
    xo_future_destroy(future);
}

/* Over a link, which may go and come back. */
static void test_another_pool(void **state)
{
    xo_error_t err;
    world_t *world = *state;
    char address[XO_ADDRESS_BYTES];
    xo_pool_options_t options = {.self.index = -1};
    for (int round = 0; round < 2; round++) {
        xo_pool_t *far = xo_pool_create(world->ctx, world->loop, &options, xo_host_c_ops(),
                                        host_of(world), &err);
        assert_non_null(far);
        snprintf(address, sizeof address, "%s", xo_pool_address(far));
        snprintf(options.self.address, sizeof options.self.address, "%s", address);
        expect_ok(xo_create_actor(world->client, NULL, address, "Counter", "c", "i", 10));
        if (round == 0)
            expect_ok(aim(world, address, "c", "add"));
        expect_int(fire(world), 11);
        expect_int(start(world, "a", "volley", 2 * MAILBOX_MESSAGES), 0);
        expect_int(fire(world), 12 + 2 * MAILBOX_MESSAGES);
        xo_pool_destroy(far);
        expect_failure(fire(world)); /* sent or not, as the goodbye comes */
    }
}

/* What was called hears of it, waiting or running, and there is one answer. */
static void test_cancel_reaches_the_method(void **state)
{
    xo_future_t *running;
    world_t *world = *state;
    xo_request_t *held = hold(world, &running, 0);
    xo_future_t *waiting = fire(world);
    run_settled(world);
    xo_future_cancel(waiting);
    expect_error(waiting, XO_CODE_CANCELLED, "no");
    assert_false(xo_request_is_cancelled(held));
    xo_future_cancel(running);
    run_settled(world);
    assert_true(xo_request_is_cancelled(held));
    xo_request_reply(held, "i", 3);
    expect_int(running, 3);
}

/* The caller's deadline is that of what it calls; a late answer has nobody left to go to. */
static void test_deadline(void **state)
{
    xo_future_t *fired;
    world_t *world = *state;
    xo_request_t *held = hold(world, &fired, DEADLINE_MS);
    const uint64_t *drops = xo_endpoint_drops(xo_pool_endpoint(world->pool));
    expect_error(fired, XO_CODE_DEADLINE, "maybe");
    run_settled(world);
    assert_true(xo_request_is_cancelled(held));
    uint64_t before = drops[XO_DROP_NO_CALLER];
    xo_request_reply(held, "i", 3);
    assert_int_equal(drops[XO_DROP_NO_CALLER], before + 1);
}

static void test_destroyed_with_a_call_under_way(void **state)
{
    xo_future_t *fired;
    world_t *world = *state;
    xo_request_t *held = hold(world, &fired, 0);
    expect_ok(order(world, 0, "drop"));
    xo_request_reply(held, "i", 3);
    expect_int(fired, 3);
}

static void test_pool_ends_with_a_call_under_way(void **state)
{
    xo_future_t *fired;
    world_t *world = *state;
    hold(world, &fired, 0);
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    expect_error(fired, XO_CODE_SERVER_CLOSED, "maybe");
    assert_int_equal(futures_unanswered, 1);
}

#define TARGET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, module_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TARGET_TEST(test_calls),
        TARGET_TEST(test_actors_come_and_go),
        TARGET_TEST(test_order_with_other_calls),
        TARGET_TEST(test_answers_of_all_sizes),
        TARGET_TEST(test_a_full_mailbox_pushes_back),
        cmocka_unit_test_setup_teardown(test_less_than_a_mailbox_pushes_back, setup_usual,
                                        module_teardown),
        TARGET_TEST(test_many_wait_for_room),
        TARGET_TEST(test_another_pool),
        TARGET_TEST(test_cancel_reaches_the_method),
        TARGET_TEST(test_deadline),
        TARGET_TEST(test_destroyed_with_a_call_under_way),
        TARGET_TEST(test_pool_ends_with_a_call_under_way),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
