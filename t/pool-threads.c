/* Three pools in one process, a thread each, whose actors call each other by inproc: for
 * ThreadSanitizer, and that nothing is lost or hangs. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pool/host_c.h"
#include "t/pool-world.h"

enum { POOLS = 3, RINGS = 60, HOPS = 30, TELLS = 500 };

/* ---- the actors ---- */

typedef struct ring {
    int64_t passed;
} ring_t;

static int ring_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    *self = calloc(1, sizeof(ring_t));
    return *self ? 0 : xo_error_set(err, ENOMEM, "out of memory");
}

static void pass_on(xo_future_t *future, void *arg)
{
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

/* pass(HOPS, [ADDRESS ...]): goes to the actor at each address in turn, so often; answers with 7.
 */
static void ring_pass(void *self, xo_request_t *request)
{
    int hops;
    xo_slice_t address[POOLS];
    char next[XO_ADDRESS_BYTES];
    xo_error_t err;
    if (xo_request_unpack(request, "i [S S S]", &hops, &address[0], &address[1], &address[2]) < 0)
        return;
    ((ring_t *)self)->passed++;
    if (!hops) {
        xo_request_reply(request, "i", 7);
        return;
    }
    xo_slice_t to = address[hops % POOLS];
    snprintf(next, sizeof next, "%.*s", (int)to.size, to.data);
    xo_request_unlock(request); /* the ring comes by here again */
    if (xo_request_call(request, &err, next, "ring", pass_on, request, "pass", "i [S S S]",
                        hops - 1, address[0], address[1], address[2]) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "%s", err.text);
}

static void ring_count(void *self, xo_request_t *request)
{
    ((ring_t *)self)->passed++;
    xo_request_reply(request, "n");
}

static void ring_passed(void *self, xo_request_t *request)
{
    xo_request_reply(request, "I", ((ring_t *)self)->passed);
}

static const xo_method_t methods[] = {{"pass", ring_pass, 0, NULL},
                                      {"count", ring_count, 0, NULL},
                                      {"passed", ring_passed, 0, NULL},
                                      {0}};
static const xo_class_t ring_class = {
    .name = "Ring", .create = ring_create, .destroy = free, .methods = methods};
static const xo_class_t *const classes[] = {&ring_class, NULL};
static const xo_module_t module = {XO_MODULE_ABI, "ring", classes};

/* ---- the threads ---- */

typedef struct member {
    xo_ctx_t *ctx;
    pthread_t thread;
    int stop_fd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char address[XO_ADDRESS_BYTES]; /* under the lock */
    bool failed;                    /* under the lock */
    xo_loop_t *loop;
    xo_pool_t *pool;
} member_t;

static void on_stopped(xo_pool_t *pool, void *arg)
{
    (void)pool;
    xo_loop_stop(((member_t *)arg)->loop);
}

static void on_stop(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    member_t *member = arg;
    xo_io_stop(io);
    xo_pool_stop(member->pool, WAIT_MS, on_stopped, member);
}

static void publish(member_t *member, const char *address)
{
    pthread_mutex_lock(&member->lock);
    if (address)
        strcpy(member->address, address);
    member->failed = !address;
    pthread_cond_signal(&member->changed);
    pthread_mutex_unlock(&member->lock);
}

static void *member_main(void *arg)
{
    xo_error_t err;
    member_t *member = arg;
    xo_io_t stop;
    xo_pool_options_t options = {.self.index = -1};
    xo_host_c_t *host = xo_host_c_create(NULL, NULL, &err);
    member->loop = xo_loop_create(&err);
    xo_host_c_add(host, &module, "ring", &err);
    member->pool = xo_pool_create(member->ctx, member->loop, &options, xo_host_c_ops(), host, &err);
    publish(member, member->pool ? xo_pool_address(member->pool) : NULL);
    if (member->pool) {
        xo_io_init(&stop, member->loop, member->stop_fd, XO_READ, on_stop, member);
        xo_io_start(&stop);
        xo_loop_run(member->loop);
    }
    xo_pool_destroy(member->pool);
    xo_host_c_destroy(host);
    xo_loop_destroy(member->loop);
    return NULL;
}

static void member_start(member_t *member, xo_ctx_t *ctx)
{
    member->ctx = ctx;
    member->stop_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&member->lock, NULL);
    pthread_cond_init(&member->changed, NULL);
    assert_int_equal(pthread_create(&member->thread, NULL, member_main, member), 0);
    pthread_mutex_lock(&member->lock);
    while (!member->address[0] && !member->failed)
        pthread_cond_wait(&member->changed, &member->lock);
    pthread_mutex_unlock(&member->lock);
    assert_false(member->failed);
}

static void member_stop(member_t *member)
{
    uint64_t one = 1;
    assert_int_equal(write(member->stop_fd, &one, sizeof one), sizeof one);
    pthread_join(member->thread, NULL);
    close(member->stop_fd);
    pthread_cond_destroy(&member->changed);
    pthread_mutex_destroy(&member->lock);
}

/* ---- the test ---- */

static void client_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)endpoint;
    (void)from;
    (void)arg;
    xo_msg_destroy(msg);
}

static const xo_endpoint_ops_t client_ops = {.request = client_request};

static int64_t passed(world_t *world, const char *address)
{
    int64_t count;
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(world->client, address, "ring", &err);
    xo_future_t *future = xo_ref_call(ref, &err, "passed", "");
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, "I", &count), 0);
    xo_future_destroy(future);
    xo_ref_destroy(ref);
    return count;
}

static void run_rings(world_t *world, member_t *members)
{
    xo_error_t err;
    xo_future_t *futures[RINGS];
    for (int i = 0; i < RINGS; i++) {
        xo_ref_t *ref = xo_ref_create(world->client, members[i % POOLS].address, "ring", &err);
        futures[i] = xo_ref_call(ref, &err, "pass", "i [s s s]", HOPS, members[0].address,
                                 members[1].address, members[2].address);
        xo_ref_destroy(ref);
    }
    for (int i = 0; i < RINGS; i++)
        expect_int(futures[i], 7);
}

static void tell_all(world_t *world, const char *address)
{
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(world->client, address, "ring", &err);
    for (int i = 0; i < TELLS; i++)
        assert_int_equal(xo_ref_tell(ref, &err, "count", ""), 0);
    xo_ref_destroy(ref);
}

static void test_rings_over_three_threads(void **state)
{
    xo_error_t err;
    world_t *world = *state;
    member_t members[POOLS] = {0};
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    int64_t all = 0;
    for (int i = 0; i < POOLS; i++)
        member_start(&members[i], world->ctx);
    world->client =
        xo_endpoint_create(world->ctx, world->loop, &self, &client_ops, world, NULL, &err);
    for (int i = 0; i < POOLS; i++)
        expect_ok(xo_create_actor(world->client, &err, members[i].address, "Ring", "ring", ""));
    run_rings(world, members);
    for (int i = 0; i < POOLS; i++)
        tell_all(world, members[i].address);
    for (int i = 0; i < POOLS; i++)
        all += passed(world, members[i].address);
    assert_true(all == RINGS * (HOPS + 1) + POOLS * TELLS);
    xo_link_t *link = xo_endpoint_link(world->client, members[0].address, &err);
    assert_string_equal(xo_link_scheme(link), "inproc");
    for (int i = 0; i < POOLS; i++)
        member_stop(&members[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rings_over_three_threads, world_setup_bare,
                                        world_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
