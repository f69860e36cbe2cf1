/* sim-world.c - see sim-world.h. */
#include "t/sim-world.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "broker/broker_impl.h"
#include "libxo/lane.h"

#define STEP_MS 10
#define SECOND_NS (1000 * XO_MS)
#define BEGIN_NS (1000 * SECOND_NS)
#define UNIX_MS INT64_C(1700000000000)
#define CLASS "sim.Actor"

/* ---- what would differ from run to run ---- */

static uint64_t drawn;      /* --wrap leaves no other way */
static uint64_t heartbeats; /* that were sent */
static xo_loop_t *the_loop; /* its clock is everybody's */

uint64_t __wrap_xo_random_id(void);
int64_t __wrap_xo_boot_ns(void);
int64_t __wrap_xo_unix_ms(void);
pid_t __wrap_getpid(void);
time_t __wrap_time(time_t *out);
int __wrap_gethostname(char *name, size_t size);
int __wrap_xo_members_watch(const char *cluster, xo_error_t *err);
int __real_xo_lane_send(xo_lane_t *lane, xo_msg_t **msg);
int __wrap_xo_lane_send(xo_lane_t *lane, xo_msg_t **msg);

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t next_random(void)
{
    uint64_t z = drawn += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t __wrap_xo_random_id(void)
{
    return next_random() | UINT64_C(1) << 63; /* of the same size on the wire each time */
}

/* By which leases lapse. */
int64_t __wrap_xo_boot_ns(void)
{
    return XO_MS + (the_loop ? xo_loop_now(the_loop) : 0);
}

int64_t __wrap_xo_unix_ms(void)
{
    return UNIX_MS + (the_loop ? xo_loop_now(the_loop) / XO_MS : 0);
}

time_t __wrap_time(time_t *out)
{
    time_t now = (time_t)(__wrap_xo_unix_ms() / 1000);
    if (out)
        *out = now;
    return now;
}

pid_t __wrap_getpid(void)
{
    return 10000;
}

int __wrap_gethostname(char *name, size_t size)
{
    snprintf(name, size, "machine");
    return 0;
}

/* A user has 128 of them for all processes of the machine (inotify(7)); one who has none looks at
 * the list by itself. */
int __wrap_xo_members_watch(const char *cluster, xo_error_t *err)
{
    (void)cluster;
    return xo_error_set(err, EMFILE, "not in a simulation");
}

int __wrap_xo_lane_send(xo_lane_t *lane, xo_msg_t **msg)
{
    heartbeats += xo_msg_header(*msg)->kind == XO_HEARTBEAT;
    return __real_xo_lane_send(lane, msg);
}

uint64_t sim_draw(sim_world_t *world, uint64_t below)
{
    (void)world;
    return next_random() % below;
}

/* ---- pools ---- */

static xo_slice_t nothing(void)
{
    return xo_slice("\xc0", 1);
}

static void tell_broker(sim_pool_t *pool, const char *method, xo_buf_t *body)
{
    xo_error_t err;
    xo_header_t header = {
        .kind = XO_TELL, .target_uid = xo_slice_str(XO_BROKER_UID), .method = xo_slice_str(method)};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(body));
    xo_buf_free(body);
    if (xo_endpoint_tell(pool->endpoint, xo_endpoint_broker(pool->endpoint), &msg, XO_SEND_QUEUE,
                         NULL, NULL, &err) < 0)
        xo_msg_destroy(&msg);
}

static void say_up(sim_pool_t *pool, const char *uid)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[[B U s ?] {}]", xo_slice_str(uid), (uint64_t)1, CLASS, 0);
    tell_broker(pool, "actor.up", &body);
}

static void say_down(sim_pool_t *pool, const char *uid)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[[B U s] {}]", xo_slice_str(uid), (uint64_t)1, "it ended");
    tell_broker(pool, "actor.down", &body);
}

static void actor_uid(const sim_pool_t *pool, size_t actor, char *uid, size_t size)
{
    snprintf(uid, size, "actor-%03zu-%02d-%04zu", pool->node->number, pool->index, actor);
}

static void beat(xo_timer_t *timer, void *arg)
{
    sim_pool_t *pool = arg;
    xo_header_t header = {.kind = XO_HEARTBEAT};
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "{s s}", "language", "c");
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    if (xo_endpoint_tell(pool->endpoint, xo_endpoint_broker(pool->endpoint), &msg, 0, NULL, NULL,
                         NULL) < 0)
        xo_msg_destroy(&msg);
    xo_timer_start(timer, SECOND_NS);
}

static void on_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    char uid[64];
    sim_pool_t *pool = arg;
    if (pool->joined || link != xo_endpoint_broker(endpoint))
        return;
    pool->joined = true;
    beat(&pool->beat, pool);
    for (size_t i = 0; i < pool->node->world->options.actors; i++) {
        actor_uid(pool, i, uid, sizeof(uid));
        say_up(pool, uid);
    }
    xo_timer_start(&pool->beat, (int64_t)sim_draw(pool->node->world, SECOND_NS));
}

/* Each call is answered with nil, and the broker's barrier (`has`) with true. */
static void on_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    xo_kind_t kind = xo_msg_header(*msg)->kind;
    xo_header_t header = {.kind = XO_RESULT};
    xo_return_t to = xo_return_of(from, *msg);
    (void)arg;
    if (kind != XO_CANCEL)
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    if (kind == XO_CALL || kind == XO_HAS) {
        xo_msg_t *answer = xo_msg_create(&header, kind == XO_HAS ? xo_slice("\xc3", 1) : nothing());
        xo_endpoint_answer(endpoint, &to, &answer);
    }
    xo_msg_destroy(msg);
}

void sim_pool_start(sim_pool_t *pool)
{
    static const xo_endpoint_ops_t ops = {.request = on_request, .linked = on_linked};
    xo_error_t err = {0};
    char door[XO_ADDRESS_BYTES + 8];
    sim_world_t *world = pool->node->world;
    pool->id =
        (pool->node->number + 1) << 32 | (uint64_t)(pool->index + 1) << 16 | ++pool->generation;
    snprintf(pool->address, sizeof(pool->address), "10.0.%zu.%d:%u", pool->node->number,
             pool->index, 10000 + pool->generation);
    xo_identity_t self = {.role = XO_ROLE_POOL,
                          .node_id = pool->node->number + 1,
                          .pool_id = pool->id,
                          .generation = 1,
                          .index = pool->index,
                          .label = "main"};
    snprintf(self.address, sizeof(self.address), "%s", pool->address);
    snprintf(door, sizeof(door), "mem://%s", pool->address);
    pool->joined = false;
    xo_timer_init(&pool->beat, world->loop, beat, pool);
    pool->endpoint = xo_endpoint_create(world->ctx, world->loop, &self, &ops, pool, NULL, &err);
    if (!pool->endpoint || xo_endpoint_listen_on(pool->endpoint, door, &err) < 0) {
        fprintf(stderr, "# %s\n", err.text);
        abort();
    }
    xo_endpoint_set_broker(pool->endpoint,
                           xo_endpoint_link(pool->endpoint, pool->node->door, NULL));
}

/* What it has sent: so each message counts once. */
static void add_totals(const xo_endpoint_t *endpoint, uint64_t *messages, uint64_t *bytes)
{
    xo_lane_total_t rows[8];
    size_t count = xo_endpoint_lane_totals(endpoint, rows, 8);
    for (size_t i = 0; i < count; i++) {
        *messages += rows[i].stats.messages_out;
        *bytes += rows[i].stats.bytes_out;
    }
}

void sim_pool_kill(sim_pool_t *pool)
{
    sim_world_t *world = pool->node->world;
    if (!pool->endpoint)
        return;
    xo_timer_stop(&pool->beat);
    add_totals(pool->endpoint, &world->gone_messages, &world->gone_bytes);
    xo_endpoint_destroy(pool->endpoint);
    pool->endpoint = NULL;
}

/* ---- nodes ---- */

static void on_stopped(xo_broker_t *broker, void *arg)
{
    (void)broker, (void)arg;
}

static void on_churn(xo_timer_t *timer, void *arg)
{
    char uid[64];
    sim_node_t *node = arg;
    sim_pool_t *pool = &node->pools[node->churned / 2 % node->world->options.pools];
    if (pool->endpoint) {
        snprintf(uid, sizeof(uid), "short-lived-%03zu", node->number);
        if (node->churned % 2)
            say_down(pool, uid);
        else
            say_up(pool, uid);
    }
    node->churned++;
    xo_timer_start(timer, SECOND_NS / 2);
}

void sim_node_start(sim_world_t *world, size_t number)
{
    xo_error_t err;
    sim_node_t *node = &world->nodes[number];
    assert(!node->broker);
    node->world = world;
    node->number = number;
    snprintf(node->door, sizeof(node->door), "mem://broker-%zu", number);
    snprintf(node->registry, sizeof(node->registry), "redis://sim/%zu", number);
    const xo_broker_options_t options = {.node_id = number + 1,
                                         .listen = node->door,
                                         .registry = node->registry,
                                         .shared_registry = true,
                                         .run_dir = "/nonexistent",
                                         .version = "0"};
    node->broker = xo_broker_create(world->ctx, world->loop, &options, on_stopped, NULL, &err);
    if (!node->broker) {
        fprintf(stderr, "# %s\n", err.text);
        abort();
    }
    world->alive++;
    xo_timer_init(&node->churn, world->loop, on_churn, node);
    if (!node->pools)
        node->pools = calloc(world->options.pools, sizeof(*node->pools));
    for (size_t i = 0; i < world->options.pools; i++) {
        node->pools[i].node = node;
        node->pools[i].index = (int)i;
        sim_pool_start(&node->pools[i]);
    }
}

void sim_node_kill(sim_world_t *world, size_t number)
{
    sim_node_t *node = &world->nodes[number];
    if (!node->broker)
        return;
    xo_timer_stop(&node->churn);
    add_totals(node->broker->endpoint, &world->gone_messages, &world->gone_bytes);
    xo_broker_destroy(node->broker);
    node->broker = NULL;
    world->alive--;
    for (size_t i = 0; i < world->options.pools; i++)
        sim_pool_kill(&node->pools[i]);
}

void sim_churn(sim_world_t *world)
{
    for (size_t i = 0; i < world->count; i++)
        if (world->nodes[i].broker)
            xo_timer_start(&world->nodes[i].churn, (int64_t)sim_draw(world, SECOND_NS));
}

/* ---- pairs ---- */

static void aim(sim_pair_t *pair)
{
    sim_world_t *world = pair->world;
    size_t own = pair->from->node->number;
    size_t other = (own + 1 + sim_draw(world, world->options.nodes - 1)) % world->options.nodes;
    const sim_pool_t *pool = &world->nodes[other].pools[sim_draw(world, world->options.pools)];
    actor_uid(pool, sim_draw(world, world->options.actors), pair->uid, sizeof(pair->uid));
}

static bool is_result(const xo_msg_t *answer)
{
    return answer && xo_msg_header(answer)->kind == XO_RESULT;
}

static void on_called(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    sim_pair_t *pair = arg;
    (void)call;
    pair->busy = false;
    pair->refused = !is_result(*answer);
    if (pair->refused)
        pair->world->failed++;
    else
        pair->world->answered++;
}

static void send(sim_pair_t *pair, xo_link_t *link, const char *uid, const char *method,
                 xo_buf_t *body, xo_answer_f answer)
{
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(uid), .method = xo_slice_str(method)};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(body));
    xo_buf_free(body);
    pair->busy = xo_endpoint_call(pair->from->endpoint, link, &msg, XO_SEND_QUEUE, 0, answer, pair,
                                  NULL) != NULL;
    if (!pair->busy)
        xo_msg_destroy(&msg);
}

static void on_found(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    sim_pair_t *pair = arg;
    xo_slice_t record;
    char address[XO_ADDRESS_BYTES] = "", door[XO_ADDRESS_BYTES + 8];
    xo_buf_t body = XO_BUF_INIT;
    (void)call;
    pair->busy = false;
    if (!pair->from->endpoint)
        return;
    if (!is_result(*answer) || xo_unpack(xo_msg_body(*answer), NULL, "[V *]", &record) < 0 ||
        xo_map_get_str(record, "address", address, sizeof(address)) < 0) {
        pair->world->failed++;
        aim(pair); /* that actor is gone */
        return;
    }
    snprintf(door, sizeof(door), "mem://%s", address);
    xo_link_t *link = xo_endpoint_link(pair->from->endpoint, door, NULL);
    xo_pack_format(&body, "[[] {}]");
    send(pair, link, pair->uid, "method", &body, on_called);
}

static void on_pair(xo_timer_t *timer, void *arg)
{
    sim_pair_t *pair = arg;
    xo_buf_t body = XO_BUF_INIT;
    xo_timer_start(timer, SECOND_NS);
    if (!pair->from->endpoint || pair->busy)
        return;
    xo_pack_format(&body, "[[B ?] {}]", xo_slice_str(pair->uid), pair->refused);
    pair->refused = false;
    pair->world->lookups++;
    send(pair, xo_endpoint_broker(pair->from->endpoint), XO_BROKER_UID, "lookup", &body, on_found);
}

void sim_talk(sim_world_t *world)
{
    world->pair_count = world->options.nodes * world->options.pairs;
    world->pairs = calloc(world->pair_count + 1, sizeof(*world->pairs));
    for (size_t i = 0; i < world->pair_count; i++) {
        sim_pair_t *pair = &world->pairs[i];
        sim_node_t *node = &world->nodes[i / world->options.pairs];
        pair->world = world;
        pair->from = &node->pools[sim_draw(world, world->options.pools)];
        aim(pair);
        xo_timer_init(&pair->timer, world->loop, on_pair, pair);
        xo_timer_start(&pair->timer, (int64_t)sim_draw(world, SECOND_NS));
    }
}

/* ---- the world ---- */

static void settle(sim_world_t *world)
{
    while (xo_loop_once(world->loop, 0) == 1)
        continue;
}

void sim_world_run(sim_world_t *world, int64_t ms)
{
    for (int64_t left = ms; left > 0; left -= STEP_MS) {
        xo_loop_advance(world->loop, STEP_MS * XO_MS);
        settle(world);
    }
}

static uint64_t count_links(xo_endpoint_t *endpoint)
{
    uint64_t count = 0;
    for (xo_link_t *link = NULL; (link = xo_endpoint_next_link(endpoint, link)) != NULL;)
        count += xo_link_up(link);
    return count;
}

static void add_endpoint(sim_sample_t *sample, xo_endpoint_t *endpoint)
{
    if (!endpoint)
        return;
    sample->links += count_links(endpoint);
    add_totals(endpoint, &sample->messages, &sample->bytes);
}

void sim_world_sample(const sim_world_t *world, sim_sample_t *sample)
{
    *sample = (sim_sample_t){.messages = world->gone_messages,
                             .bytes = world->gone_bytes,
                             .heartbeats = heartbeats,
                             .answered = world->answered,
                             .failed = world->failed,
                             .lookups = world->lookups};
    for (size_t i = 0; i < world->count; i++) {
        const sim_node_t *node = &world->nodes[i];
        const sim_traffic_t *traffic = sim_redis_traffic(world->redis, i);
        sample->commands += traffic->commands;
        sample->sent += traffic->sent;
        sample->received += traffic->received;
        sample->late += traffic->failed;
        if (node->broker)
            add_endpoint(sample, node->broker->endpoint);
        for (size_t j = 0; node->pools && j < world->options.pools; j++)
            add_endpoint(sample, node->pools[j].endpoint);
    }
}

sim_world_t *sim_world_create(const sim_options_t *options)
{
    xo_error_t err = {0};
    sim_world_t *world = calloc(1, sizeof(*world));
    world->options = *options;
    world->count = options->nodes + 1;
    drawn = options->seed;
    scratch_enter(&world->scratch);
    world->ctx = xo_ctx_create("sim", &err);
    world->loop = xo_loop_create(&err);
    if (!world->ctx || !world->loop) {
        fprintf(stderr, "# %s\n", err.text);
        abort();
    }
    the_loop = world->loop;
    xo_loop_freeze(world->loop, BEGIN_NS);
    world->redis = sim_redis_create(world->loop, world->count);
    world->nodes = calloc(world->count, sizeof(*world->nodes));
    sim_redis_set_free(world->redis, true);
    for (size_t i = 0; i < options->nodes; i++) {
        sim_node_start(world, i);
        sim_world_run(world, (int64_t)sim_draw(world, 100)); /* their ticks are not in step */
    }
    sim_world_run(world, 5000);
    sim_redis_set_free(world->redis, false);
    return world;
}

void sim_world_destroy(sim_world_t *world)
{
    for (size_t i = 0; i < world->pair_count; i++)
        xo_timer_stop(&world->pairs[i].timer);
    for (size_t i = 0; i < world->count; i++) {
        sim_node_kill(world, i);
        free(world->nodes[i].pools);
    }
    settle(world);
    sim_redis_destroy(world->redis);
    free(world->pairs);
    free(world->nodes);
    xo_loop_destroy(world->loop);
    the_loop = NULL;
    xo_ctx_destroy(world->ctx);
    scratch_leave(&world->scratch);
    free(world);
}
