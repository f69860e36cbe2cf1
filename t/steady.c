/* steady.c - once a pool has run for a while, a message allocates nothing: whatever it needs was
 * freed by one before it. Counted is what the whole process allocates, libraries included.
 *
 * The messages are those that actors and a client send to an actor of their pool and to one of
 * another pool of this process, which is reached through shared memory. */
#include <stdio.h>
#include <stdlib.h>

#include "pool/host_c.h"
#include "t/scratch.h"
#include "t/unit.h"

#define WAIT_MS 30000 /* never waited for in a test that passes */
#define WINDOW 64     /* calls under way at a time */
#define ROUNDS_MAX 20 /* until one allocates nothing: how many wait in a row differs */

/* ---- the allocator ---- */

static size_t allocations;

/* The sanitizers have an allocator of their own, and libxo keeps no blocks under them (cache.h). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED false
#define MESSAGES 500 /* of a round */
#else
#define COUNTED true
#define MESSAGES 20000
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    allocations++;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
#endif

/* ---- Echo, and Sender, which sends to it in one of these ways ---- */

static const char *const ways[] = {"target call", "target tell", "call", "tell"};
enum { TARGET_CALL, TARGET_TELL, CALL, TELL, WAYS };

typedef struct sender {
    xo_request_t *request; /* the run under way; it is answered when that ends */
    char address[XO_ADDRESS_BYTES];
    xo_target_t *echo;
    int way, left, under_way;
} sender_t;

static void echo_echo(void *self, xo_request_t *request)
{
    int value;
    (void)self;
    if (xo_request_unpack(request, "i", &value) == 0)
        xo_request_reply(request, "i", value);
}

static int sender_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    (void)err;
    *self = calloc(1, sizeof(sender_t));
    return 0;
}

static void go_on(void *arg);

static void answered(xo_future_t *future, void *arg)
{
    sender_t *sender = arg;
    int value = 0;
    xo_error_t err;
    if (xo_future_get(future, &err, "i", &value) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(value, 7);
    xo_future_destroy(future);
    sender->under_way--;
    go_on(sender);
}

static int send_one(sender_t *sender, int way, xo_error_t *err)
{
    xo_request_t *request = sender->request;
    if (way == TARGET_CALL)
        return xo_target_call(sender->echo, request, err, answered, sender, "i", 7);
    if (way == TARGET_TELL)
        return xo_target_tell(sender->echo, request, err, "i", 7);
    if (way == CALL)
        return xo_request_call(request, err, sender->address, "echo", answered, sender, "echo", "i",
                               7);
    return xo_request_tell(request, err, sender->address, "echo", "echo", "i", 7);
}

static bool is_call(int way)
{
    return way == TARGET_CALL || way == CALL;
}

/* The last message is a call: when that is answered, all before have been handled. */
static void go_on(void *arg)
{
    sender_t *sender = arg;
    xo_error_t err;
    for (; sender->left && sender->under_way < WINDOW; sender->left--) {
        int way = sender->left == 1 ? CALL : sender->way;
        if (send_one(sender, way, &err) < 0) {
            assert_int_equal(errno, EAGAIN);
            if (!sender->under_way) /* else an answer goes on */
                assert_int_equal(xo_target_on_room(sender->echo, sender->request, go_on, sender),
                                 0);
            return;
        }
        sender->under_way += is_call(way);
    }
    if (!sender->left && !sender->under_way)
        xo_request_reply(sender->request, "n");
}

/* run(ADDRESS, WAY, COUNT): always the same address */
static void sender_run(void *self, xo_request_t *request)
{
    sender_t *sender = self;
    xo_slice_t address;
    if (xo_request_unpack(request, "s i i", &address, &sender->way, &sender->left) < 0)
        return;
    snprintf(sender->address, sizeof sender->address, "%.*s", (int)address.size, address.data);
    if (!sender->echo)
        sender->echo =
            xo_target_create(xo_request_actor(request), sender->address, "echo", "echo", NULL);
    assert_non_null(sender->echo);
    sender->request = request;
    go_on(sender);
}

static const xo_method_t echo_methods[] = {{"echo", echo_echo, 0, NULL}, {0}};
static const xo_class_t echo_class = {.name = "Echo", .methods = echo_methods};
static const xo_method_t sender_methods[] = {{"run", sender_run, 0, NULL}, {0}};
static const xo_class_t sender_class = {
    .name = "Sender", .create = sender_create, .destroy = free, .methods = sender_methods};
static const xo_class_t *const classes[] = {&echo_class, &sender_class, NULL};
static const xo_module_t module = {XO_MODULE_ABI, "steady", classes};

/* ---- two pools ---- */

typedef struct side {
    xo_ctx_t *ctx; /* each its own: so they are as two processes to each other */
    xo_host_c_t *host;
    xo_pool_t *pool;
} side_t;

typedef struct world {
    scratch_t scratch;
    xo_loop_t *loop;
    side_t near, far;
} world_t;

static void finish(xo_future_t *future)
{
    xo_error_t err;
    assert_non_null(future);
    if (xo_future_wait(future, WAIT_MS, &err) < 0 || xo_future_get(future, &err, NULL) < 0)
        fail_msg("%s", err.text);
    xo_future_destroy(future);
}

static void create(side_t *side, const char *class_name, const char *uid)
{
    finish(xo_create_actor(xo_pool_endpoint(side->pool), NULL, xo_pool_address(side->pool),
                           class_name, uid, ""));
}

static void open_side(world_t *world, side_t *side)
{
    xo_error_t err;
    xo_pool_options_t options = {.self.index = -1};
    side->ctx = xo_ctx_create("steady", &err);
    side->host = xo_host_c_create(NULL, NULL, &err);
    assert_non_null(side->host);
    assert_int_equal(xo_host_c_add(side->host, &module, "here", &err), 0);
    side->pool =
        xo_pool_create(side->ctx, world->loop, &options, xo_host_c_ops(), side->host, &err);
    if (!side->pool)
        fail_msg("%s", err.text);
    create(side, "Echo", "echo");
    create(side, "Sender", "sender");
}

static void close_side(side_t *side)
{
    xo_pool_destroy(side->pool);
    xo_host_c_destroy(side->host);
    xo_ctx_destroy(side->ctx);
}

static int setup(void **state)
{
    xo_error_t err;
    world_t *world = calloc(1, sizeof *world);
    setenv("XO_LANES", "shm,ipc", 1);
    scratch_enter(&world->scratch);
    world->loop = xo_loop_create(&err);
    open_side(world, &world->near);
    open_side(world, &world->far);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_t *world = *state;
    close_side(&world->far);
    close_side(&world->near);
    xo_loop_destroy(world->loop);
    scratch_leave(&world->scratch);
    free(world);
    return 0;
}

/* ---- tests ---- */

/* Sends MESSAGES of a kind to the actor "echo" of `to`. */
typedef void (*round_f)(xo_ref_t *ref, const side_t *to, int kind);

static void actor_sends(xo_ref_t *sender, const side_t *to, int way)
{
    xo_error_t err;
    finish(xo_ref_call(sender, &err, "run", "s i i", xo_pool_address(to->pool), way, MESSAGES));
}

static void client_sends(xo_ref_t *echo, const side_t *to, int way)
{
    xo_error_t err;
    (void)to;
    for (int i = 1; i <= MESSAGES; i++) {
        if (is_call(way) || i % WINDOW == 0) /* a call waits until the tells have been handled */
            finish(xo_ref_call(echo, &err, "echo", "i", 7));
        else
            assert_int_equal(xo_ref_tell(echo, &err, "echo", "i", 7), 0);
    }
}

static void expect_a_round_without(round_f round, xo_ref_t *ref, const side_t *to, int way)
{
    size_t made = 1;
    for (int i = 0; i < ROUNDS_MAX && made > 0; i++) {
        size_t before = allocations;
        round(ref, to, way);
        made = allocations - before;
    }
    if (made > 0)
        fail_msg("%s: %zu allocations for %d messages", ways[way], made, MESSAGES);
}

static void actors_send(const world_t *world, const side_t *to)
{
    xo_error_t err;
    xo_ref_t *sender = xo_ref_create(xo_pool_endpoint(world->near.pool),
                                     xo_pool_address(world->near.pool), "sender", &err);
    for (int way = 0; way < WAYS; way++)
        expect_a_round_without(actor_sends, sender, to, way);
    xo_ref_destroy(sender);
}

static void a_client_sends(const world_t *world, const side_t *to)
{
    xo_error_t err;
    xo_ref_t *echo =
        xo_ref_create(xo_pool_endpoint(world->near.pool), xo_pool_address(to->pool), "echo", &err);
    expect_a_round_without(client_sends, echo, to, CALL);
    expect_a_round_without(client_sends, echo, to, TELL);
    xo_ref_destroy(echo);
}

static void expect_shared_memory(const world_t *world)
{
    xo_link_t *link = xo_endpoint_link(xo_pool_endpoint(world->near.pool),
                                       xo_pool_address(world->far.pool), NULL);
    assert_string_equal(xo_link_scheme(link), "shm");
}

static void actors_of_a_pool(void **state)
{
    world_t *world = *state;
    actors_send(world, &world->near);
}

static void actors_by_shared_memory(void **state)
{
    world_t *world = *state;
    actors_send(world, &world->far);
    expect_shared_memory(world);
}

static void a_client_of_a_pool(void **state)
{
    world_t *world = *state;
    a_client_sends(world, &world->near);
}

static void a_client_by_shared_memory(void **state)
{
    world_t *world = *state;
    a_client_sends(world, &world->far);
    expect_shared_memory(world);
}

/* What counts, does. */
static void allocations_are_counted(void **state)
{
    (void)state;
    size_t before = allocations;
    xo_loop_t *loop = xo_loop_create(NULL); /* libev allocates */
    xo_loop_destroy(loop);
    assert_true(!COUNTED || allocations - before > 1); /* ours is one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test_setup_teardown(actors_of_a_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(actors_by_shared_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_of_a_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_by_shared_memory, setup, teardown),
    };
    return run_tap(tests);
}
