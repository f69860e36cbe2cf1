/* Actors in C: loading modules, the example modules, and what methods use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/module-probe.h"
#include "t/module-world.h"

#define MAILBOX_MESSAGES 100

/* ---- set-up ---- */

static int setup(void **state)
{
    xo_error_t err;
    probes_destroyed = probes_asked = futures_unanswered = 0;
    if (module_setup_bare(state) < 0)
        return -1;
    assert_int_equal(xo_host_c_add(host_of(*state), &probe_module, "probe", &err), 0);
    ((world_t *)*state)->options.mailbox_messages = MAILBOX_MESSAGES;
    world_open(*state);
    return 0;
}

static xo_future_t *call_kwargs(world_t *world, const char *uid, const char *method,
                                const char *args_format, const char *kwargs_format)
{
    xo_error_t err;
    xo_buf_t args = XO_BUF_INIT;
    xo_buf_t kwargs = XO_BUF_INIT;
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), uid, &err);
    xo_pack_format(&args, args_format, 5);
    xo_pack_format(&kwargs, kwargs_format, "value", 6);
    xo_future_t *future =
        xo_ref_call_packed(ref, &err, method, xo_buf_slice(&args), xo_buf_slice(&kwargs));
    xo_ref_destroy(ref);
    xo_buf_free(&args);
    xo_buf_free(&kwargs);
    return future;
}

static xo_future_t *ask(world_t *world, const char *uid, const char *address, const char *target,
                        const char *method)
{
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), uid, &err);
    xo_future_t *future = xo_ref_call(ref, &err, "ask", "s s s", address, target, method);
    xo_ref_destroy(ref);
    return future;
}

/* ---- loading ---- */

static void expect_no_load(xo_host_c_t *host, const char *file, int errnum, const char *text)
{
    xo_error_t err = {0};
    assert_int_equal(xo_host_c_load(host, file, &err), -1);
    if (err.errnum != errnum || !strstr(err.text, text) || !strstr(err.text, file))
        fail_msg("%d '%s' is not %d with '%s'", err.errnum, err.text, errnum, text);
}

static void test_modules_that_do_not_load(void **state)
{
    char text[128];
    world_t *world = *state;
    xo_host_c_t *host = host_of(world);
    snprintf(text, sizeof text, "%s/text.so", world->dir);
    FILE *file = fopen(text, "w");
    fputs("no shared object\n", file);
    fclose(file);
    expect_no_load(host, text, ELIBBAD, "text.so");
    expect_no_load(host, "/nowhere/none.so", ENOENT, "no such file");
    expect_no_load(host, "no-such-module", ENOENT, "XO_MODULE_PATH");
    expect_no_load(host, built("t/.libs/module-abi.so"), ENOEXEC, "version 99");
    expect_no_load(host, built("t/.libs/module-empty.so"), ENOEXEC, "xo_module");
    expect_no_load(host, built("examples/.libs/counter.so"), EEXIST, "Counter");
}

static void test_module_path(void **state)
{
    (void)state;
    char path[600];
    xo_error_t err;
    xo_host_c_t *other = xo_host_c_create(NULL, NULL, &err);
    snprintf(path, sizeof path, "/nowhere::%s", built("examples/.libs"));
    setenv("XO_MODULE_PATH", path, 1);
    if (xo_host_c_load(other, "wordmerge", &err) < 0 ||
        xo_host_c_load(other, "counter.so", &err) < 0)
        fail_msg("%s", err.text);
    unsetenv("XO_MODULE_PATH");
    xo_host_c_destroy(other);
}

static void test_tables_in_disorder(void **state)
{
    xo_error_t err;
    xo_host_c_t *host = host_of(*state);
    const xo_method_t no_function[] = {{"go", NULL, 0, NULL}, {0}};
    const xo_class_t nameless = {.name = ""};
    const xo_class_t methodless = {.name = "Odd", .methods = no_function};
    const xo_class_t *const one[] = {&nameless, NULL};
    const xo_class_t *const two[] = {&methodless, NULL};
    const xo_module_t modules[] = {{XO_MODULE_ABI, "m", one},
                                   {XO_MODULE_ABI, "m", two},
                                   {XO_MODULE_ABI, NULL, two},
                                   {XO_MODULE_ABI, "m", NULL}};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        assert_int_equal(xo_host_c_add(host, &modules[i], "disorder", &err), -1);
        assert_int_equal(err.errnum, EINVAL);
        assert_non_null(strstr(err.text, "disorder"));
    }
}

/* ---- classes ---- */

static void test_create(void **state)
{
    world_t *world = *state;
    expect_text(make(world, "Nothing", "a", ""), ENOENT, "it has: Counter Adder WordMerge");
    expect_text(make(world, "Probe", "a", "s", "refuse"), EINVAL, "the probe refuses");
    expect_text(make(world, "Probe", "a", "i", 1), EINVAL, "Probe");
    expect_text(make(world, "Bare", "a", "i", 1), EINVAL, "no arguments");
    expect_text(make(world, "Probe", "a", "s", "fail"), EREMOTEIO, "post_create fails");
    assert_int_equal(probes_destroyed, 1);
    expect_ok(make(world, "Probe", "a", "s", "fine"));
    expect_ok(start_destroy(world, "a"));
    assert_int_equal(probes_destroyed, 2);
    expect_ok(make(world, "Probe", "a", "s", "stubborn"));
    expect_text(start_destroy(world, "a"), EREMOTEIO, "pre_destroy fails");
    assert_int_equal(probes_destroyed, 3);
    assert_null(xo_pool_find(world->pool, xo_slice_str("a")));
}

static void test_hooks_that_call_their_own_actor(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Probe", "a", "s", "asks"));
    assert_int_equal(probes_asked, 1);
    expect_ok(start_destroy(world, "a"));
    assert_int_equal(probes_asked, 2);
    assert_null(xo_pool_find(world->pool, xo_slice_str("a")));
}

/* Python sends what is no plain value as a pickle, which C cannot read. */
static void test_pickled_arguments_are_refused(void **state)
{
    peer_t peer;
    world_t *world = *state;
    xo_buf_t pickle = XO_BUF_INIT;
    xo_pack_ext(&pickle, XO_EXT_PICKLE, "x", 1);
    expect_ok(make(world, "Counter", "c", ""));
    peer_open(&peer, world, "client", 77);
    xo_header_t header = {.kind = XO_CREATE,
                          .seq = 2,
                          .target_uid = xo_slice_str("p"),
                          .method = xo_slice_str("Counter")};
    peer_send(&peer, header, "V", xo_buf_slice(&pickle));
    peer_expect_error(&peer, 2, XO_CODE_REFUSED, "no", NULL);
    header = (xo_header_t){
        .kind = XO_CALL, .seq = 3, .target_uid = xo_slice_str("c"), .method = xo_slice_str("add")};
    peer_send(&peer, header, "V", xo_buf_slice(&pickle));
    peer_expect_error(&peer, 3, XO_CODE_REFUSED, "no", NULL);
    header.kind = XO_BATCH;
    header.seq = 4;
    peer_send(&peer, header, "V", xo_buf_slice(&pickle));
    peer_expect_error(&peer, 4, XO_CODE_REFUSED, "no", NULL);
    peer_close(&peer);
    xo_buf_free(&pickle);
}

static void test_arguments(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", ""));
    expect_ok(make(world, "Probe", "p", "s", ""));
    expect_text(start(world, "c", "no\xffthing", 1), ENOSYS, "no method \"no\\xffthing\"");
    expect_text(call_kwargs(world, "c", "add", "[]", "{}"), EINVAL, "Counter.add");
    expect_text(call_kwargs(world, "c", "add", "[i]", "{s i}"), EINVAL, "no keyword arguments");
    expect_int(call_kwargs(world, "c", "add", "[i]", "{}"), 5);
    expect_int(call_kwargs(world, "p", "kwargs", "[]", "{s i}"), 6);
    expect_int(call_kwargs(world, "p", "kwargs", "[]", "{}"), -1);
}

/* A value above 64 KiB travels as a buffer beside the message. */
static void test_buffers(void **state)
{
    xo_error_t err;
    world_t *world = *state;
    expect_ok(make(world, "Probe", "p", "s", ""));
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "p", &err);
    expect_int(xo_ref_call(ref, &err, "size", "s", "four"), 4);
    expect_text(xo_ref_call(ref, &err, "size", "i", 4), EINVAL, "takes bytes");
    xo_ref_destroy(ref);
    peer_t peer;
    peer_open(&peer, world, "client", 77);
    xo_header_t header = {.kind = XO_CALL,
                          .seq = 2,
                          .sender_id = 77,
                          .target_uid = xo_slice_str("p"),
                          .method = xo_slice_str("size")};
    for (int index = 0; index < 2; index++) {
        char payload = (char)index;
        xo_buf_t body = XO_BUF_INIT;
        xo_pack_array(&body, 2);
        xo_pack_array(&body, 1);
        xo_pack_ext(&body, XO_EXT_BUFFER, &payload, 1);
        xo_pack_map(&body, 0);
        header.seq = 2 + (uint64_t)index;
        xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
        xo_buf_free(&body);
        assert_int_equal(xo_msg_add_buffer_copy(msg, "hello", 5), 0);
        assert_int_equal(xo_lane_send(peer.lane, &msg), 0);
    }
    peer_expect_int(&peer, 2, 5);
    peer_expect_error(&peer, 3, XO_CODE_REFUSED, "no", NULL);
    peer_close(&peer);
}

/* ---- calling ---- */

static void test_call_another_actor(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", "i", 10));
    expect_ok(make(world, "Probe", "p", "s", ""));
    expect_int(ask(world, "p", "", "c", "add"), 11);
    expect_int(ask(world, "p", xo_pool_address(world->pool), "c", "add"), 12);
    expect_error(ask(world, "p", "", "nobody", "add"), XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_text(ask(world, "p", "no address", "c", "add"), EINVAL, "no address");
    expect_text(ask(world, "p", "", "", "add"), EINVAL, "uid");
    expect_error(ask(world, "p", "127.0.0.1:1", "c", "add"), XO_CODE_SERVER_CLOSED, "no");
}

static bool is_held(void *arg)
{
    const xo_actor_t *actor = arg;
    return ((const probe_t *)xo_actor_object(actor))->held != NULL;
}

/* A full mailbox pushes the sender back, and lets it go on when there is room: nothing is lost. */
static void test_flood_of_a_mailbox(void **state)
{
    xo_error_t err;
    world_t *world = *state;
    expect_ok(make(world, "Probe", "p", "s", ""));
    expect_ok(make(world, "Counter", "c", ""));
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), "p", &err);
    expect_int(xo_ref_call(ref, &err, "flood", "s i", "c", MAILBOX_MESSAGES), 0);
    expect_int(start(world, "c", "add", 0), MAILBOX_MESSAGES);
    expect_int(xo_ref_call(ref, &err, "flood", "s i", "c", 2 * MAILBOX_MESSAGES), 2);
    expect_int(start(world, "c", "add", 0), 3 * MAILBOX_MESSAGES);
    expect_text(xo_ref_call(ref, &err, "flood", "i", 1), EINVAL, "Probe.flood");
    xo_ref_destroy(ref);
}

static void test_cancel_reaches_the_call(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Probe", "p", "s", ""));
    expect_ok(make(world, "Probe", "q", "s", ""));
    xo_actor_t *q = xo_pool_find(world->pool, xo_slice_str("q"));
    xo_future_t *holds = start(world, "q", "hold", 1);
    run_until(world, is_held, q);
    xo_future_t *asks = ask(world, "p", "", "q", "size");
    run_settled(world);
    xo_future_cancel(asks);
    expect_error(asks, XO_CODE_CANCELLED, "no");
    xo_request_reply(((probe_t *)xo_actor_object(q))->held, "i", 3);
    expect_int(holds, 3);
}

/* The pool ends with a call under way: who waits for it hears so, once, and nothing is lost. */
static void test_pool_ends_with_a_call_under_way(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Probe", "p", "s", ""));
    expect_ok(make(world, "Probe", "q", "s", ""));
    xo_actor_t *q = xo_pool_find(world->pool, xo_slice_str("q"));
    xo_future_t *asks = ask(world, "p", "", "q", "hold");
    run_until(world, is_held, q);
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    expect_error(asks, XO_CODE_SERVER_CLOSED, "maybe");
    assert_int_equal(futures_unanswered, 1);
    assert_int_equal(probes_destroyed, 2);
}

/* ---- batches ---- */

static xo_future_t *batch(world_t *world, const char *uid, const char *method, const int *values,
                          size_t count)
{
    xo_error_t err;
    xo_slice_t lists[8];
    xo_buf_t packed[8];
    xo_ref_t *ref = xo_ref_create(world->client, xo_pool_address(world->pool), uid, &err);
    for (size_t i = 0; i < count; i++) {
        packed[i] = (xo_buf_t)XO_BUF_INIT;
        xo_pack_format(&packed[i], values[i] < 0 ? "[s]" : "[i i]", values[i] < 0 ? 0 : values[i],
                       0);
        lists[i] = xo_buf_slice(&packed[i]);
    }
    xo_future_t *future = xo_ref_batch(ref, &err, method, lists, count);
    for (size_t i = 0; i < count; i++)
        xo_buf_free(&packed[i]);
    xo_ref_destroy(ref);
    return future;
}

/* slow_add answers later, so each part begins when the one before has ended. */
static void test_batch(void **state)
{
    xo_error_t err;
    int sums[3];
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", ""));
    xo_future_t *future = batch(world, "c", "slow_add", (int[]){1, 10, 100}, 3);
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    if (xo_future_get(future, &err, "[i i i]", &sums[0], &sums[1], &sums[2]) < 0)
        fail_msg("%s", err.text);
    assert_true(sums[0] == 1 && sums[1] == 11 && sums[2] == 111);
    xo_future_destroy(future);
    future = batch(world, "c", "slow_add", NULL, 0);
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, "[]"), 0);
    xo_future_destroy(future);
}

static void test_batch_ends_at_the_first_error(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Counter", "c", ""));
    expect_error(batch(world, "c", "slow_add", (int[]){1, -1, 100}, 3), XO_CODE_REFUSED, "no");
    expect_int(start(world, "c", "add", 0), 1);
}

static void test_pool_ends_with_a_batch_under_way(void **state)
{
    world_t *world = *state;
    expect_ok(make(world, "Probe", "q", "s", ""));
    xo_future_t *future = batch(world, "q", "hold", (int[]){1, 2}, 2);
    run_until(world, is_held, xo_pool_find(world->pool, xo_slice_str("q")));
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    expect_error(future, XO_CODE_SERVER_CLOSED, "maybe");
}

#define MODULE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, module_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODULE_TEST(test_modules_that_do_not_load),
        MODULE_TEST(test_module_path),
        MODULE_TEST(test_tables_in_disorder),
        MODULE_TEST(test_create),
        MODULE_TEST(test_hooks_that_call_their_own_actor),
        MODULE_TEST(test_pickled_arguments_are_refused),
        MODULE_TEST(test_arguments),
        MODULE_TEST(test_buffers),
        MODULE_TEST(test_call_another_actor),
        MODULE_TEST(test_flood_of_a_mailbox),
        MODULE_TEST(test_cancel_reaches_the_call),
        MODULE_TEST(test_pool_ends_with_a_call_under_way),
        MODULE_TEST(test_batch),
        MODULE_TEST(test_batch_ends_at_the_first_error),
        MODULE_TEST(test_pool_ends_with_a_batch_under_way),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
