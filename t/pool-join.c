/* A pool and its broker: joining, naming actors, heartbeats, looking uids up, linking again. The
 * broker is an endpoint of the test's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libxo/endpoint_impl.h"
#include "libxo/future.h"
#include "t/pool-world.h"

#define NODE_ID 0xabc

typedef struct broker {
    world_t *world;
    xo_endpoint_t *endpoint;
    char where[128];
    char told[1024]; /* "actor.up:a " ... */
    char class_name[32];
    uint64_t incarnation;
    int heartbeats, lookups;
    int64_t beat_drops;
    uint64_t beat_actors;
    xo_buf_t records; /* what lookup answers */
    bool refuse;
    int joined;
    xo_error_t why;
} broker_t;

static void take_tell(broker_t *broker, const xo_msg_t *msg)
{
    xo_slice_t uid, class_name;
    size_t used = strlen(broker->told);
    assert_true(broker->heartbeats > 0); /* the first says what the pool is, before all else */
    xo_slice_t method = xo_msg_header(msg)->method;
    assert_int_equal(
        xo_unpack(xo_msg_body(msg), NULL, "[[B U S *] _]", &uid, &broker->incarnation, &class_name),
        0);
    snprintf(broker->told + used, sizeof broker->told - used, "%.*s:%.*s ", (int)method.size,
             method.data, (int)uid.size, uid.data);
    snprintf(broker->class_name, sizeof broker->class_name, "%.*s", (int)class_name.size,
             class_name.data);
}

static void broker_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    broker_t *broker = arg;
    const xo_header_t *header = xo_msg_header(*msg);
    xo_return_t to = xo_return_of(from, *msg);
    assert_true(xo_slice_eq_str(header->target_uid, XO_BROKER_UID));
    if (header->kind == XO_TELL)
        take_tell(broker, *msg);
    xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    if (header->kind == XO_CALL) {
        broker->lookups++;
        assert_true(xo_slice_eq_str(header->method, "lookup"));
        xo_msg_t *answer =
            broker->refuse
                ? xo_failure_msg(0, XO_CODE_UNAVAILABLE, "no", NULL, "the registry is away")
                : xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&broker->records));
        xo_endpoint_answer(endpoint, &to, &answer);
    }
    xo_msg_destroy(msg);
}

static void broker_event(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg)
{
    (void)endpoint, (void)link;
    int64_t actors;
    broker_t *broker = arg;
    assert_int_equal(xo_msg_header(msg)->kind, XO_HEARTBEAT);
    assert_int_equal(xo_map_get_int(xo_msg_body(msg), "actors", &actors), 0);
    broker->beat_actors = (uint64_t)actors;
    xo_slice_t drops;
    assert_int_equal(xo_map_get(xo_msg_body(msg), "drops", &drops), 0);
    assert_int_equal(xo_map_get_int(drops, "no-actor", &broker->beat_drops), 0);
    broker->heartbeats++;
}

static const xo_endpoint_ops_t broker_ops = {.request = broker_request, .event = broker_event};

static void broker_start(broker_t *broker)
{
    xo_error_t err = {0};
    world_t *world = broker->world;
    xo_identity_t self = {.role = XO_ROLE_BROKER, .index = -1, .node_id = NODE_ID};
    broker->endpoint =
        xo_endpoint_create(world->ctx, world->loop, &self, &broker_ops, broker, NULL, &err);
    if (!broker->endpoint || xo_endpoint_listen_on(broker->endpoint, broker->where, &err) < 0)
        fail_msg("%s", err.text);
}

static void broker_stop(broker_t *broker)
{
    xo_endpoint_destroy(broker->endpoint);
    broker->endpoint = NULL;
}

static void on_joined(xo_pool_t *pool, const xo_error_t *why, void *arg)
{
    (void)pool;
    broker_t *broker = arg;
    broker->joined++;
    if (why)
        broker->why = *why;
}

static bool has_joined(void *arg)
{
    return ((broker_t *)arg)->joined > 0;
}

static bool has_beaten(void *arg)
{
    return ((broker_t *)arg)->heartbeats > 0;
}

static void join(broker_t *broker)
{
    xo_error_t err;
    if (xo_pool_join(broker->world->pool, on_joined, broker, &err) < 0)
        fail_msg("%s", err.text);
    run_until(broker->world, has_joined, broker);
}

/* The broker is where all know that it is. */
static int setup(void **state)
{
    static broker_t broker;
    char path[sizeof broker.where - 32];
    if (world_setup_bare(state) < 0)
        return -1;
    broker = (broker_t){.world = *state};
    snprintf(path, sizeof path, "%s/n-%016x", xo_ctx_run_dir(broker.world->ctx), NODE_ID);
    mkdir(path, 0700);
    snprintf(broker.where, sizeof broker.where, "ipc://%s/broker.sock", path);
    broker.world->options.broker = broker.where;
    *state = &broker;
    broker_start(&broker);
    world_open(broker.world);
    return 0;
}

static int teardown(void **state)
{
    broker_t *broker = *state;
    void *world = broker->world;
    xo_buf_free(&broker->records);
    broker_stop(broker);
    return world_teardown(&world);
}

/* ---- joining ---- */

static bool has_told_of_an_end(void *arg)
{
    broker_t *broker = arg;
    return strstr(broker->told, "actor.down:") != NULL;
}

static void test_join_names_actors(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "early");
    join(broker);
    assert_int_equal(broker->why.errnum, 0);
    assert_true(xo_endpoint_self(xo_pool_endpoint(world->pool))->node_id == NODE_ID);
    uint64_t incarnation =
        expect_reference(start_create(world, "late"), xo_pool_address(world->pool), "late");
    expect_ok(start_destroy(world, "early"));
    run_until(world, has_told_of_an_end, broker);
    assert_string_equal(broker->told, "actor.up:early actor.up:late actor.down:early ");
    assert_true(broker->incarnation + 1 == incarnation);
    assert_string_equal(broker->class_name, "destroyed"); /* of the last: the reason */
}

static void test_join_without_a_broker(void **state)
{
    broker_t *broker = *state;
    broker_stop(broker);
    join(broker);
    assert_int_not_equal(broker->why.errnum, 0);
    assert_non_null(strstr(broker->why.text, "broker.sock"));
    broker->joined = 0;
    broker->why.errnum = 0;
    broker_start(broker);
    join(broker); /* again is fine */
    assert_int_equal(broker->why.errnum, 0);
}

static bool told_of_a(void *arg)
{
    return !strcmp(((broker_t *)arg)->told, "actor.up:a ");
}

static void test_heartbeats(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a");
    join(broker);
    run_until(world, told_of_a, broker);
    assert_int_equal(broker->beat_actors, 1);
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    for (int i = 0; i < 3; i++) {
        broker->heartbeats = 0;
        run_settled(world);
        assert_int_equal(broker->heartbeats, 0);
        xo_loop_advance(world->loop, 1000 * XO_MS);
        run_until(world, has_beaten, broker);
        assert_int_equal(broker->beat_drops, i);
        xo_endpoint_count_drop(xo_pool_endpoint(world->pool), XO_DROP_NO_ACTOR);
    }
}

static bool told_again(void *arg)
{
    return !strcmp(((broker_t *)arg)->told, "actor.up:a actor.up:b ");
}

/* A broker that dies takes nothing with it; a new one is told everything. */
static void test_link_again(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    join(broker);
    create(world, "a");
    broker_stop(broker);
    create(world, "b");
    expect_int(start(world, "a", "echo", 3), 3);
    broker->told[0] = '\0';
    broker->heartbeats = 0;
    broker_start(broker);
    run_until(world, told_again, broker);
    assert_int_equal(broker->joined, 1);
}

/* ---- the pool's answer to `has` of itself comes after all that it tells ---- */

static bool barrier_done(void *arg)
{
    return xo_future_done(arg);
}

static bool has_no_broker(void *arg)
{
    return xo_endpoint_broker(xo_pool_endpoint(((world_t *)arg)->pool)) == NULL;
}

/* Another broker in its place, which the pool has not dialled yet. */
static void replace(broker_t *broker)
{
    world_t *world = broker->world;
    xo_loop_freeze(world->loop, xo_loop_now(world->loop));
    broker_stop(broker);
    run_until(world, has_no_broker, world);
    broker_start(broker);
    broker->told[0] = '\0';
    broker->heartbeats = 0;
}

/* Who asks why a peer died dials the broker, too. */
static void link_otherwise(broker_t *broker)
{
    xo_error_t err;
    world_t *world = broker->world;
    join(broker);
    create(world, "a");
    create(world, "b");
    replace(broker);
    xo_link_t *link = xo_endpoint_link(xo_pool_endpoint(world->pool), broker->where, &err);
    if (!link)
        fail_msg("%s", err.text);
    while (!xo_link_up(link))
        xo_loop_once(world->loop, 10);
}

static void test_link_that_another_dialled(void **state)
{
    broker_t *broker = *state;
    link_otherwise(broker);
    xo_loop_advance(broker->world->loop, 1000 * XO_MS);
    run_until(broker->world, told_again, broker);
    assert_int_equal(broker->heartbeats, 1);
}

static xo_future_t *begin(xo_endpoint_t *endpoint, xo_link_t *link, xo_kind_t kind, const char *uid)
{
    xo_error_t err;
    xo_header_t header = {.kind = kind, .target_uid = xo_slice_str(uid)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    xo_future_t *future = xoi_future_create(endpoint);
    xo_call_t *call = xo_endpoint_call(endpoint, link, &msg, 0, 0, xoi_future_answer, future, &err);
    assert_non_null(call);
    xoi_future_set_call(future, call);
    return future;
}

/* `has`, from the broker: with a uid, of that actor. */
static xo_future_t *ask_has(broker_t *broker, const char *uid)
{
    xo_link_t *link = xo_endpoint_next_link(broker->endpoint, NULL);
    return begin(broker->endpoint, link, XO_HAS, uid);
}

static void test_barrier(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    join(broker);
    create(world, "a");
    xo_future_t *created = start_create(world, "b");
    while (!xo_pool_find(world->pool, xo_slice_str("b")))
        xo_loop_once(world->loop, 10);
    xo_future_t *future = ask_has(broker, "");
    run_until(world, barrier_done, future);
    assert_string_equal(broker->told, "actor.up:a actor.up:b ");
    xo_future_destroy(future);
    expect_ok(created);
}

/* It has not joined over that link yet, so it has told nothing. */
static void test_barrier_before_joining(void **state)
{
    broker_t *broker = *state;
    link_otherwise(broker);
    xo_future_t *barrier = ask_has(broker, "");
    xo_future_t *after = ask_has(broker, "a");
    run_until(broker->world, barrier_done, after);
    assert_false(xo_future_done(barrier));
    xo_loop_advance(broker->world->loop, 1000 * XO_MS);
    run_until(broker->world, barrier_done, barrier);
    assert_string_equal(broker->told, "actor.up:a actor.up:b ");
    xo_future_destroy(barrier);
    xo_future_destroy(after);
}

/* Whose link away means that it has not joined: why a peer of the same node died it does not ask
 * the broker anew. */
static void test_only_joining_dials_its_broker(void **state)
{
    peer_t peer;
    char machine[XOI_MACHINE_BYTES];
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_endpoint_t *endpoint = xo_pool_endpoint(world->pool);
    join(broker);
    create(world, "a");
    replace(broker);
    xoi_machine_id(machine, sizeof machine);
    peer_open_near(&peer, world, 99, NODE_ID, machine);
    xo_link_t *link = xo_endpoint_link_by_id(endpoint, 99);
    assert_non_null(link);
    xo_future_t *future = begin(endpoint, link, XO_CALL, "far");
    peer_close(&peer);
    expect_error(future, XO_CODE_SERVER_CLOSED, "maybe");
    assert_null(xo_endpoint_next_link(broker->endpoint, NULL));
    xo_loop_advance(world->loop, 1000 * XO_MS);
    run_until(world, has_beaten, broker);
}

/* ---- lookups ---- */

static xo_future_t *ask(world_t *world, xo_kind_t kind, const char *uid)
{
    xo_error_t err;
    xo_link_t *link = xo_endpoint_link(world->client, xo_pool_address(world->pool), &err);
    return begin(world->client, link, kind, uid);
}

static void expect_bool(xo_future_t *future, bool value)
{
    bool got;
    xo_error_t err;
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    if (xo_future_get(future, &err, "?", &got) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(got, value);
    xo_future_destroy(future);
}

#define RECORD "{s s s s s U s s}"
#define RECORD_OF(node, address, state)                                                            \
    "node", node, "address", address, "incarnation", (uint64_t)5, "state", state

static void test_lookup_finds_another_pool(void **state)
{
    broker_t *broker = *state;
    join(broker);
    xo_pack_format(&broker->records, "[" RECORD RECORD RECORD "]",
                   RECORD_OF("0000000000000def", "10.0.0.1:1", "running"),
                   RECORD_OF("0000000000000abc", "127.0.0.1:2", "failed"),
                   RECORD_OF("0000000000000abc", "127.0.0.1:3", "running"));
    expect_bool(ask(broker->world, XO_HAS, "x"), true);
    assert_true(expect_reference(ask(broker->world, XO_REF, "x"), "127.0.0.1:3", "x") == 5);
    assert_int_equal(broker->lookups, 2);
}

static void test_lookup_misses(void **state)
{
    broker_t *broker = *state;
    join(broker);
    xo_pack_format(&broker->records, "[]");
    expect_bool(ask(broker->world, XO_HAS, "x"), false);
    expect_error(ask(broker->world, XO_REF, "x"), XO_CODE_ACTOR_NOT_EXIST, "no");
}

static void test_lookup_is_ambiguous(void **state)
{
    broker_t *broker = *state;
    join(broker);
    xo_pack_format(&broker->records, "[" RECORD RECORD "]",
                   RECORD_OF("0000000000000abc", "127.0.0.1:2", "running"),
                   RECORD_OF("0000000000000abc", "127.0.0.1:3", "running"));
    expect_bool(ask(broker->world, XO_HAS, "x"), true);
    expect_error(ask(broker->world, XO_REF, "x"), XO_CODE_AMBIGUOUS, "no");
}

static void test_lookup_fails(void **state)
{
    broker_t *broker = *state;
    join(broker);
    broker->refuse = true;
    expect_error(ask(broker->world, XO_REF, "x"), XO_CODE_UNAVAILABLE, "no");
    broker->refuse = false;
    xo_pack_format(&broker->records, "s", "no list at all");
    expect_error(ask(broker->world, XO_HAS, "x"), XO_CODE_UNAVAILABLE, "no");
}

/* What comes between the hello and the welcome waits for the welcome: to the broker, the pool is
 * ready by then. */
static void test_lookup_waits_for_the_broker(void **state)
{
    xo_error_t err;
    broker_t *broker = *state;
    expect_error(ask(broker->world, XO_HAS, "x"), XO_CODE_UNAVAILABLE, "no");
    xo_pack_format(&broker->records, "[]");
    assert_int_equal(xo_pool_join(broker->world->pool, on_joined, broker, &err), 0);
    expect_bool(ask(broker->world, XO_HAS, "x"), false);
    assert_int_equal(broker->lookups, 1);
}

/* A broker that asks for a uid is not asked back. */
static void test_lookup_by_the_broker(void **state)
{
    peer_t peer;
    broker_t *broker = *state;
    join(broker);
    peer_open(&peer, broker->world, "broker", 99);
    peer_send(&peer, (xo_header_t){.kind = XO_REF, .seq = 2, .target_uid = xo_slice_str("x")},
              NULL);
    peer_expect_error(&peer, 2, XO_CODE_ACTOR_NOT_EXIST, "no", NULL);
    assert_int_equal(broker->lookups, 0);
    peer_close(&peer);
}

/* ---- the end ---- */

static bool was_stopped(void *arg)
{
    return ((world_t *)arg)->host.stopped > 0;
}

static void test_stop_event(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    join(broker);
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str("stop")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x80", 1));
    xo_link_t *link = xo_endpoint_next_link(broker->endpoint, NULL);
    assert_int_equal(xo_endpoint_tell(broker->endpoint, link, &msg, 0, NULL, NULL, NULL), 0);
    run_until(world, was_stopped, world);
}

#define JOIN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOIN_TEST(test_join_names_actors),
        JOIN_TEST(test_join_without_a_broker),
        JOIN_TEST(test_heartbeats),
        JOIN_TEST(test_link_again),
        JOIN_TEST(test_link_that_another_dialled),
        JOIN_TEST(test_barrier),
        JOIN_TEST(test_barrier_before_joining),
        JOIN_TEST(test_only_joining_dials_its_broker),
        JOIN_TEST(test_lookup_finds_another_pool),
        JOIN_TEST(test_lookup_misses),
        JOIN_TEST(test_lookup_is_ambiguous),
        JOIN_TEST(test_lookup_fails),
        JOIN_TEST(test_lookup_waits_for_the_broker),
        JOIN_TEST(test_lookup_by_the_broker),
        JOIN_TEST(test_stop_event),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
