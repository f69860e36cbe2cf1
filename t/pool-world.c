/* pool-world.c - what the tests of the pool share. */
#include "t/pool-world.h"

#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the host ---- */

static void note(fake_host_t *host, const xo_actor_t *actor, const char *what, size_t size)
{
    size_t used = strlen(host->log);
    xo_slice_t uid = xo_actor_uid(actor);
    snprintf(host->log + used, sizeof host->log - used, "%.*s.%.*s ", (int)uid.size, uid.data,
             (int)size, what);
}

static void hold(fake_host_t *host, xo_request_t *request)
{
    assert_true(host->held_count < HELD_MAX);
    host->held[host->held_count++] = request;
}

static void echo(xo_request_t *request)
{
    int value = 0;
    xo_unpack(xo_msg_body(xo_request_msg(request)), NULL, "[[i] _]", &value);
    xo_buf_t out = XO_BUF_INIT;
    xo_pack_int(&out, value);
    xo_request_respond(request, xo_buf_slice(&out));
    xo_buf_free(&out);
}

static void fake_create(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    fake_host_t *host = arg;
    note(host, actor, "create", 6);
    host->created++;
    xo_actor_set_object(actor, host);
    xo_actor_set_stateless(actor, host->stateless);
    if (host->hold_create)
        hold(host, request);
    else if (host->fail_create)
        xo_request_fail(request, XO_CODE_METHOD, "the test says no");
    else
        xo_request_respond(request, xo_slice("\xc0", 1));
}

static void fake_handle(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    fake_host_t *host = arg;
    xo_slice_t method = xo_msg_header(xo_request_msg(request))->method;
    note(host, actor, method.data, method.size);
    if (xo_slice_eq_str(method, "echo") || xo_slice_eq_str(method, "look")) {
        echo(request);
    } else if (xo_slice_eq_str(method, "fail")) {
        xo_request_fail(request, XO_CODE_METHOD, "the test says no");
    } else {
        if (xo_slice_eq_str(method, "free"))
            xo_request_unlock(request);
        hold(host, request);
    }
}

static void fake_destroy(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    fake_host_t *host = arg;
    note(host, actor, "destroy", 7);
    host->destroyed++;
    if (host->hold_destroy)
        hold(host, request);
    else
        xo_request_respond(request, xo_slice("\xc0", 1));
}

static void fake_release(void *arg, xo_actor_t *actor)
{
    fake_host_t *host = arg;
    (void)actor;
    host->released++;
}

static void forget(fake_host_t *host, size_t index)
{
    memmove(host->held + index, host->held + index + 1,
            (--host->held_count - index) * sizeof *host->held);
}

static void fake_cancel(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    (void)actor;
    fake_host_t *host = arg;
    host->cancelled++;
    assert_true(xo_request_is_cancelled(request));
    for (size_t i = 0; host->run_cancelled && i < host->held_count; i++)
        if (host->held[i] == request) {
            forget(host, i);
            xo_request_fail(request, XO_CODE_CANCELLED, "cancelled while it ran");
            return;
        }
}

static bool fake_bypass(void *arg, xo_actor_t *actor, xo_slice_t method)
{
    (void)arg;
    (void)actor;
    return xo_slice_eq_str(method, "look") || xo_slice_eq_str(method, "peek");
}

static void fake_stop(void *arg)
{
    fake_host_t *host = arg;
    host->stopped++;
}

const xo_host_ops_t fake_ops = {.language = "test",
                                .create = fake_create,
                                .handle = fake_handle,
                                .destroy = fake_destroy,
                                .release = fake_release,
                                .cancel = fake_cancel,
                                .bypass = fake_bypass,
                                .stop = fake_stop};

void host_fail_one(world_t *world, size_t index)
{
    xo_request_t *request = world->host.held[index];
    forget(&world->host, index);
    xo_request_fail(request, XO_CODE_METHOD, "the test says no");
}

void host_release_one(world_t *world, size_t index)
{
    assert_true(index < world->host.held_count);
    xo_request_t *request = world->host.held[index];
    forget(&world->host, index);
    xo_request_respond(request, xo_slice("\x01", 1));
}

bool log_is(const world_t *world, const char *text)
{
    return !strcmp(world->host.log, text);
}

/* ---- set-up ---- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

int world_setup_bare(void **state)
{
    xo_error_t err;
    world_t *world = calloc(1, sizeof *world);
    strcpy(world->dir, "/tmp/xo-t-pool-XXXXXX");
    if (!mkdtemp(world->dir))
        return -1;
    setenv("XO_RUN_DIR", world->dir, 1);
    setenv("XO_CONFIG_DIR", world->dir, 1);
    world->loop = xo_loop_create(&err);
    world->ctx = xo_ctx_create("test", &err);
    if (!world->ctx)
        print_error("%s\n", err.text);
    *state = world;
    return world->loop && world->ctx ? 0 : -1;
}

static void client_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)endpoint;
    (void)from;
    (void)arg;
    xo_msg_destroy(msg);
}

static const xo_endpoint_ops_t client_ops = {.request = client_request};

void world_open(world_t *world)
{
    xo_error_t err = {0};
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    if (!world->ops) {
        world->ops = &fake_ops;
        world->ops_arg = &world->host;
    }
    world->pool =
        xo_pool_create(world->ctx, world->loop, &world->options, world->ops, world->ops_arg, &err);
    if (!world->pool)
        fail_msg("%s", err.text);
    world->client =
        xo_endpoint_create(world->ctx, world->loop, &self, &client_ops, world, NULL, &err);
    if (!world->client)
        fail_msg("%s", err.text);
}

int world_setup(void **state)
{
    if (world_setup_bare(state) < 0)
        return -1;
    world_open(*state);
    return 0;
}

int world_teardown(void **state)
{
    world_t *world = *state;
    xo_endpoint_destroy(world->client);
    xo_pool_destroy(world->pool);
    xo_loop_destroy(world->loop);
    xo_ctx_destroy(world->ctx);
    nftw(world->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

/* ---- running ---- */

static int64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void run_until(world_t *world, bool (*done)(void *arg), void *arg)
{
    int64_t end = real_ms() + WAIT_MS;
    while (!done(arg)) {
        if (real_ms() > end)
            fail_msg("nothing happened within %d ms; the log is '%s'", WAIT_MS, world->host.log);
        xo_loop_once(world->loop, 100);
    }
}

typedef struct wanted {
    world_t *world;
    const char *log;
    size_t held;
} wanted_t;

static bool log_reached(void *arg)
{
    const wanted_t *wanted = arg;
    return log_is(wanted->world, wanted->log);
}

void run_until_log(world_t *world, const char *text)
{
    wanted_t wanted = {.world = world, .log = text};
    run_until(world, log_reached, &wanted);
}

static bool held_reached(void *arg)
{
    const wanted_t *wanted = arg;
    return wanted->world->host.held_count == wanted->held;
}

void run_until_held(world_t *world, size_t count)
{
    wanted_t wanted = {.world = world, .held = count};
    run_until(world, held_reached, &wanted);
}

static bool future_done(void *arg)
{
    return xo_future_done(arg);
}

static xo_ref_t *ref(world_t *world, const char *uid)
{
    xo_error_t err;
    xo_ref_t *made = xo_ref_create(world->client, xo_pool_address(world->pool), uid, &err);
    if (!made)
        fail_msg("%s", err.text);
    return made;
}

/* Messages that the pool has sent and got. */
static uint64_t traffic(const world_t *world)
{
    enum { SCHEMES_MAX = 8 };
    xo_lane_total_t rows[SCHEMES_MAX];
    uint64_t messages = 0;
    size_t count = xo_endpoint_lane_totals(xo_pool_endpoint(world->pool), rows, SCHEMES_MAX);
    for (size_t i = 0; i < count; i++)
        messages += rows[i].stats.messages_in + rows[i].stats.messages_out;
    return messages;
}

/* Messages of one link arrive in order, so an answered one says that those before have arrived.
 * Those of another one lie in the same process: what a pass sends the next one finds, and a second
 * pass without any brings nobody more. */
void run_settled(world_t *world)
{
    uint64_t seen = 0;
    int quiet = 0;
    xo_future_t *future = start(world, "nobody-has-this-uid", "echo", 0);
    run_until(world, future_done, future);
    xo_future_destroy(future);
    while (quiet < 2) {
        bool more = xo_loop_once(world->loop, 0);
        uint64_t now = traffic(world);
        quiet = !more && now == seen ? quiet + 1 : 0;
        seen = now;
    }
}

/* ---- the client ---- */

xo_future_t *start(world_t *world, const char *uid, const char *method, int arg)
{
    xo_error_t err;
    xo_ref_t *to = ref(world, uid);
    xo_future_t *future = xo_ref_call(to, &err, method, "i", arg);
    xo_ref_destroy(to);
    if (!future)
        fail_msg("%s", err.text);
    return future;
}

void tell(world_t *world, const char *uid, const char *method, int arg)
{
    xo_error_t err;
    xo_ref_t *to = ref(world, uid);
    int rc = xo_ref_tell(to, &err, method, "i", arg);
    xo_ref_destroy(to);
    if (rc < 0)
        fail_msg("%s", err.text);
}

xo_future_t *start_create(world_t *world, const char *uid)
{
    xo_error_t err;
    xo_future_t *future =
        xo_create_actor(world->client, &err, xo_pool_address(world->pool), "Fake", uid, "");
    if (!future)
        fail_msg("%s", err.text);
    return future;
}

void create(world_t *world, const char *uid)
{
    expect_ok(start_create(world, uid));
    world->host.log[0] = '\0';
}

xo_future_t *start_destroy(world_t *world, const char *uid)
{
    xo_error_t err;
    xo_ref_t *to = ref(world, uid);
    xo_future_t *future = xo_ref_destroy_actor(to, &err);
    xo_ref_destroy(to);
    if (!future)
        fail_msg("%s", err.text);
    return future;
}

static void settle(xo_future_t *future)
{
    xo_error_t err;
    if (xo_future_wait(future, WAIT_MS, &err) < 0)
        fail_msg("%s", err.text);
}

void expect_int(xo_future_t *future, int value)
{
    int got;
    xo_error_t err;
    settle(future);
    if (xo_future_get(future, &err, "i", &got) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(got, value);
    xo_future_destroy(future);
}

void expect_ok(xo_future_t *future)
{
    xo_error_t err;
    settle(future);
    if (xo_future_get(future, &err, NULL) < 0)
        fail_msg("%s", err.text);
    xo_future_destroy(future);
}

static void check_failure(const xo_msg_t *answer, const char *code, const char *executed,
                          const char *reason)
{
    xo_failure_t failure;
    assert_int_equal(xo_msg_header(answer)->kind, XO_ERROR);
    assert_int_equal(xo_failure_read(xo_msg_body(answer), &failure), 0);
    if (!xo_slice_eq_str(failure.code, code))
        fail_msg("code %.*s, not %s: %.*s", (int)failure.code.size, failure.code.data, code,
                 (int)failure.message.size, failure.message.data);
    if (!xo_slice_eq_str(failure.executed, executed))
        fail_msg("executed %.*s, not %s", (int)failure.executed.size, failure.executed.data,
                 executed);
    if (reason && !xo_slice_eq_str(failure.reason, reason))
        fail_msg("reason %.*s, not %s", (int)failure.reason.size, failure.reason.data, reason);
}

void expect_error(xo_future_t *future, const char *code, const char *executed)
{
    settle(future);
    check_failure(xo_future_answer(future), code, executed, NULL);
    xo_future_destroy(future);
}

uint64_t expect_reference(xo_future_t *future, const char *address, const char *uid)
{
    xo_slice_t got_address;
    xo_slice_t got_uid;
    uint64_t incarnation;
    xo_error_t err;
    settle(future);
    if (xo_future_get(future, &err, "[S B U]", &got_address, &got_uid, &incarnation) < 0)
        fail_msg("%s", err.text);
    assert_true(xo_slice_eq_str(got_address, address));
    assert_true(!uid || xo_slice_eq_str(got_uid, uid));
    xo_future_destroy(future);
    return incarnation;
}
