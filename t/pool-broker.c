/* pool-broker.c - a pool whose actors are created again, and its broker. */
#include "t/pool-broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take_up(broker_t *broker, const xo_msg_t *msg)
{
    xo_slice_t uid, spec, body = {"", 0};
    size_t used = strlen(broker->told);
    assert_int_equal(xo_unpack(xo_msg_body(msg), NULL, "[[B _ _ _ V] _]", &uid, &spec), 0);
    char *at = broker->told + used;
    size_t size = sizeof broker->told - used;
    if (xo_unpack(spec, NULL, "[B]", &body) == 0)
        snprintf(at, size, "%.*s=%zu+%zu ", (int)uid.size, uid.data, body.size,
                 xo_msg_buffer(msg, 0).size);
    else if (xo_unpack(spec, NULL, "S", &body) == 0)
        snprintf(at, size, "%.*s=%.*s ", (int)uid.size, uid.data, (int)body.size, body.data);
    else
        snprintf(at, size, "%.*s ", (int)uid.size, uid.data);
}

void broker_answer(broker_t *broker, const xo_return_t *to)
{
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_slice("\xc0", 1));
    xo_endpoint_answer(broker->endpoint, to, &msg);
}

static void broker_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    broker_t *broker = arg;
    xo_return_t to = xo_return_of(from, *msg);
    if (xo_slice_eq_str(xo_msg_header(*msg)->method, "actor.up"))
        take_up(broker, *msg);
    if (xo_msg_header(*msg)->kind == XO_CALL && broker->withholds)
        broker->withheld = to;
    else if (xo_msg_header(*msg)->kind == XO_CALL)
        broker_answer(broker, &to);
    xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    xo_msg_destroy(msg);
}

static void broker_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    (void)endpoint;
    ((broker_t *)arg)->link = link;
}

static void on_joined(xo_pool_t *pool, const xo_error_t *why, void *arg)
{
    (void)pool;
    assert_null(why);
    ((broker_t *)arg)->joined++;
}

static bool has_joined(void *arg)
{
    return ((broker_t *)arg)->joined && ((broker_t *)arg)->link;
}

/* By an actor of the pool, so without a round trip. */
static void create_locally(world_t *world, const char *uid)
{
    xo_header_t header = {
        .kind = XO_CREATE, .target_uid = xo_slice_str(uid), .method = xo_slice_str("Class")};
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    assert_non_null(
        xo_endpoint_call(xo_pool_endpoint(world->pool), NULL, &msg, 0, 0, NULL, NULL, NULL));
}

/* `host_ops`: NULL: the fake host's. */
static int setup_host(void **state, uint32_t generation, const char *early,
                      const xo_host_ops_t *host_ops, void *host)
{
    static const xo_endpoint_ops_t ops = {.request = broker_request, .linked = broker_linked};
    static broker_t broker;
    xo_error_t err = {0};
    if (world_setup_bare(state) < 0)
        return -1;
    broker = (broker_t){.world = *state};
    world_t *world = broker.world;
    snprintf(broker.where, sizeof broker.where, "ipc://%s/broker.sock", world->dir);
    world->ops = host_ops;
    world->ops_arg = host;
    world->options.broker = broker.where;
    world->options.keep_specs = true;
    world->options.self.generation = generation;
    world->options.self.pool_id = POOL_ID;
    xo_identity_t self = {.role = XO_ROLE_BROKER, .index = -1, .node_id = 1};
    broker.endpoint = xo_endpoint_create(world->ctx, world->loop, &self, &ops, &broker, NULL, &err);
    if (!broker.endpoint || xo_endpoint_listen_on(broker.endpoint, broker.where, &err) < 0)
        fail_msg("%s", err.text);
    world_open(world);
    if (xo_pool_join(world->pool, on_joined, &broker, &err) < 0)
        fail_msg("%s", err.text);
    if (early)
        create_locally(world, early);
    run_until(world, has_joined, &broker);
    *state = &broker;
    return 0;
}

static int setup_generation(void **state, uint32_t generation, const char *early)
{
    return setup_host(state, generation, early, NULL, NULL);
}

int broker_setup_with(void **state, const xo_host_ops_t *ops, void *host)
{
    return setup_host(state, 1, NULL, ops, host);
}

int broker_setup_first(void **state)
{
    return setup_generation(state, 1, NULL);
}

static int setup_over(const char *lanes, void **state)
{
    const char *usual = getenv("XO_LANES");
    char before[64];
    snprintf(before, sizeof before, "%s", usual ? usual : "");
    setenv("XO_LANES", lanes, 1);
    int rc = setup_generation(state, 1, NULL);
    if (usual)
        setenv("XO_LANES", before, 1);
    else
        unsetenv("XO_LANES");
    return rc;
}

int broker_setup_over_ipc(void **state)
{
    return setup_over("ipc", state);
}

int broker_setup_over_shm(void **state)
{
    return setup_over("shm,ipc", state);
}

int broker_setup_early(void **state)
{
    return setup_generation(state, 1, "early");
}

int broker_setup_second(void **state)
{
    return setup_generation(state, 2, NULL);
}

int broker_teardown(void **state)
{
    broker_t *broker = *state;
    void *world = broker->world;
    xo_endpoint_destroy(broker->endpoint);
    return world_teardown(&world);
}

/* ---- what the broker does ---- */

static void on_created(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    broker_t *broker = arg;
    bool made = xo_msg_header(*answer)->kind == XO_RESULT; /* else it failed, or the test is over */
    broker->created += made;
    broker->failed += !made;
}

xo_call_t *create_again(broker_t *broker, const char *uid)
{
    xo_header_t header = {.kind = XO_CREATE,
                          .target_uid = xo_slice_str(uid),
                          .method = xo_slice_str("Class"),
                          .trace = xo_slice_str(XO_TRACE_AGAIN "0123456789abcdef")};
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    xo_call_t *call = xo_endpoint_call(broker->endpoint, broker->link, &msg, XO_SEND_QUEUE, 0,
                                       on_created, broker, NULL);
    assert_non_null(call);
    return call;
}

void stop_by_group(broker_t *broker, const char *uid)
{
    xo_header_t header = {.kind = XO_DESTROY,
                          .flags = XO_F_AGAIN,
                          .target_uid = xo_slice_str(uid),
                          .method = xo_slice_str("stopped by its group")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    assert_non_null(
        xo_endpoint_call(broker->endpoint, broker->link, &msg, XO_SEND_QUEUE, 0, NULL, NULL, NULL));
    settle(broker);
}

void say_all(broker_t *broker)
{
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_HAS}, xo_slice(NULL, 0));
    assert_non_null(
        xo_endpoint_call(broker->endpoint, broker->link, &msg, XO_SEND_QUEUE, 0, NULL, NULL, NULL));
}

bool one_created(void *arg)
{
    return ((broker_t *)arg)->created == 1;
}

bool one_failed(void *arg)
{
    return ((broker_t *)arg)->failed == 1;
}

void say_failed(broker_t *broker, const char *uid, const char *reason)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str("actor.failed")};
    xo_pack_format(&body, "{s s s s}", "uid", uid, "reason", reason);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_tell(broker->endpoint, broker->link, &msg, 0, NULL, NULL, NULL);
}

void say_recovered(broker_t *broker, const char *pool)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str("pool.recovered")};
    xo_pack_format(&body, "{s s}", "pool", pool);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_tell(broker->endpoint, broker->link, &msg, 0, NULL, NULL, NULL);
}

xo_future_t *post(world_t *world, xo_msg_t *msg)
{
    xo_future_t *future = xoi_future_create(world->client);
    xo_link_t *link = xo_endpoint_link(world->client, xo_pool_address(world->pool), NULL);
    xo_call_t *call = xo_endpoint_call(world->client, link, &msg, XO_SEND_QUEUE, 0,
                                       xoi_future_answer, future, NULL);
    assert_non_null(call);
    xoi_future_set_call(future, call);
    return future;
}

xo_future_t *ask(broker_t *broker, xo_kind_t kind, const char *uid)
{
    xo_header_t header = {.kind = kind, .target_uid = xo_slice_str(uid)};
    return post(broker->world, xo_msg_create(&header, xo_slice(NULL, 0)));
}

static void on_heard(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    (void)answer;
    *(bool *)arg = true;
}

static bool is_heard(void *arg)
{
    return *(bool *)arg;
}

/* What the broker and the pool have sent each other has arrived: links keep the order. */
static void settle_broker(broker_t *broker)
{
    bool heard = false;
    xo_header_t header = {.kind = XO_HAS, .target_uid = xo_slice_str("nobody-has-this-uid")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    assert_non_null(xo_endpoint_call(broker->endpoint, broker->link, &msg, XO_SEND_QUEUE, 0,
                                     on_heard, &heard, NULL));
    run_until(broker->world, is_heard, &heard);
}

/* All that was sent has arrived, and what the pool told of it: `has` of the pool itself waits for
 * no actor. */
void settle(broker_t *broker)
{
    settle_broker(broker);
    expect_ok(ask(broker, XO_HAS, ""));
    settle_broker(broker);
}
