/* A pool whose actors are created again: what it tells its broker, and what it holds until they are
 * there. The broker is an endpoint of the test's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/future.h"
#include "t/pool-world.h"

#define POOL_ID 0x77
#define BODY xo_slice("\x92\x91\x05\x80", 4) /* [[5], {}] */

typedef struct broker {
    world_t *world;
    xo_endpoint_t *endpoint;
    char where[128];
    xo_link_t *link; /* to the pool */
    char told[512];  /* of each actor.up: uid=body+buffer or uid=sentence */
    int joined, created;
    bool withholds; /* the answer to an actor.up */
    xo_return_t withheld;
} broker_t;

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

static void answer(broker_t *broker, const xo_return_t *to)
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
        answer(broker, &to);
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

static int setup_generation(void **state, uint32_t generation, const char *early)
{
    static const xo_endpoint_ops_t ops = {.request = broker_request, .linked = broker_linked};
    static broker_t broker;
    xo_error_t err = {0};
    if (world_setup_bare(state) < 0)
        return -1;
    broker = (broker_t){.world = *state};
    world_t *world = broker.world;
    snprintf(broker.where, sizeof broker.where, "ipc://%s/broker.sock", world->dir);
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

static int setup_first(void **state)
{
    return setup_generation(state, 1, NULL);
}

static int setup_early(void **state)
{
    return setup_generation(state, 1, "early");
}

static int setup_second(void **state)
{
    return setup_generation(state, 2, NULL);
}

static int teardown(void **state)
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
    broker->created += xo_msg_header(*answer)->kind == XO_RESULT; /* else the test is over */
}

static void create_again(broker_t *broker, const char *uid)
{
    xo_header_t header = {
        .kind = XO_CREATE, .target_uid = xo_slice_str(uid), .method = xo_slice_str("Class")};
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    assert_non_null(xo_endpoint_call(broker->endpoint, broker->link, &msg, XO_SEND_QUEUE, 0,
                                     on_created, broker, NULL));
}

static void say_all(broker_t *broker)
{
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_HAS}, xo_slice(NULL, 0));
    assert_non_null(
        xo_endpoint_call(broker->endpoint, broker->link, &msg, XO_SEND_QUEUE, 0, NULL, NULL, NULL));
}

static bool one_created(void *arg)
{
    return ((broker_t *)arg)->created == 1;
}

static void say_recovered(broker_t *broker, const char *pool)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str("pool.recovered")};
    xo_pack_format(&body, "{s s}", "pool", pool);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_tell(broker->endpoint, broker->link, &msg, 0, NULL, NULL, NULL);
}

static xo_future_t *post(world_t *world, xo_msg_t *msg)
{
    xo_future_t *future = xoi_future_create(world->client);
    xo_link_t *link = xo_endpoint_link(world->client, xo_pool_address(world->pool), NULL);
    xo_call_t *call = xo_endpoint_call(world->client, link, &msg, XO_SEND_QUEUE, 0,
                                       xoi_future_answer, future, NULL);
    assert_non_null(call);
    xoi_future_set_call(future, call);
    return future;
}

static xo_future_t *ask(broker_t *broker, xo_kind_t kind, const char *uid)
{
    xo_header_t header = {.kind = kind, .target_uid = xo_slice_str(uid)};
    return post(broker->world, xo_msg_create(&header, xo_slice(NULL, 0)));
}

/* All that was sent has arrived: `has` of the pool itself waits for no actor. */
static void settle(broker_t *broker)
{
    expect_ok(ask(broker, XO_HAS, ""));
}

/* ---- tests ---- */

static bool told_all(void *arg)
{
    return strstr(((broker_t *)arg)->told, "large") != NULL;
}

static void test_specs_are_told(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_header_t header = {
        .kind = XO_CREATE, .target_uid = xo_slice_str("buffers"), .method = xo_slice_str("Class")};
    create(world, "plain");
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    xo_msg_add_buffer_copy(msg, "12345678", 8);
    expect_ok(post(world, msg));
    size_t large = ((size_t)16 << 20) + 1;
    char *bytes = calloc(1, large);
    header.target_uid = xo_slice_str("large");
    msg = xo_msg_create(&header, BODY);
    xo_msg_add_buffer_copy(msg, bytes, large);
    free(bytes);
    expect_ok(post(world, msg));
    run_until(world, told_all, broker);
    assert_string_equal(broker->told,
                        "plain=3+0 buffers=4+8 large=its arguments take 16777221 bytes, and at "
                        "most 16777216 are kept ");
}

static bool told_early(void *arg)
{
    return strstr(((broker_t *)arg)->told, "early") != NULL;
}

/* The broker may know the pool, and others through it, before its welcome has arrived. */
static void test_a_spec_before_the_welcome_is_told(void **state)
{
    broker_t *broker = *state;
    run_until(broker->world, told_early, broker);
    settle(broker);
    assert_int_equal(strncmp(broker->told, "early=4+0 ", 10), 0);
}

static void test_calls_wait_for_what_comes_back(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *first = start(world, "a", "echo", 1);
    xo_future_t *reference = ask(broker, XO_REF, "a");
    xo_future_t *second = start(world, "a", "echo", 2);
    xo_future_t *never = start(world, "never", "echo", 3);
    settle(broker);
    assert_false(xo_future_done(first) || xo_future_done(reference) || xo_future_done(never));
    create_again(broker, "a");
    run_until(world, one_created, broker);
    expect_int(first, 1);
    expect_int(second, 2);
    assert_true(expect_reference(reference, xo_pool_address(world->pool), "a") > 2ull << 32);
    assert_true(log_is(world, "a.create a.echo a.echo "));
    assert_string_equal(broker->told, "a ");   /* the broker has the spec */
    say_recovered(broker, "0000000000000001"); /* of another pool */
    say_recovered(broker, "0000000000000077");
    expect_error(never, XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(start(world, "never", "echo", 4), XO_CODE_ACTOR_NOT_EXIST, "no");
}

static void test_has_waits_too(void **state)
{
    broker_t *broker = *state;
    xo_future_t *has = ask(broker, XO_HAS, "a");
    settle(broker);
    assert_false(xo_future_done(has));
    create_again(broker, "a");
    expect_ok(has);
}

/* One that is being created may ask for one that never was. */
static void test_nothing_waits_once_all_is_requested(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *never = start(world, "never", "echo", 1);
    world->host.hold_create = true;
    create_again(broker, "a");
    say_all(broker);
    expect_error(never, XO_CODE_ACTOR_NOT_EXIST, "no");
    expect_error(start(world, "never", "echo", 2), XO_CODE_ACTOR_NOT_EXIST, "no");
    run_until_held(world, 1);
    host_release_one(world, 0);
    run_until(world, one_created, broker);
    assert_string_equal(broker->told, "a "); /* it is still recovering */
}

static void test_what_waits_can_be_cancelled(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *call = start(world, "a", "echo", 1);
    xo_future_t *other = start(world, "a", "echo", 2);
    settle(broker);
    xo_future_cancel(call);
    expect_error(call, XO_CODE_CANCELLED, "no");
    create_again(broker, "a");
    expect_int(other, 2);
}

typedef struct pair {
    xo_call_t *second;
    int answers;
} pair_t;

static void on_first(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call, (void)answer;
    pair_t *pair = arg;
    pair->answers++;
    xo_call_cancel(pair->second);
}

static void on_second(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call, (void)answer;
    ((pair_t *)arg)->answers++;
}

static bool both_answered(void *arg)
{
    return ((pair_t *)arg)->answers == 2;
}

static xo_call_t *call_locally(world_t *world, const char *uid, xo_answer_f answer, void *arg)
{
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(uid), .method = xo_slice_str("echo")};
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    return xo_endpoint_call(xo_pool_endpoint(world->pool), NULL, &msg, 0, 0, answer, arg, NULL);
}

/* The first one's caller hears at once that there is no such actor, and gives the second up, which
 * was held with it. */
static void test_what_is_let_go_can_be_cancelled_within(void **state)
{
    broker_t *broker = *state;
    pair_t pair = {0};
    call_locally(broker->world, "never", on_first, &pair);
    pair.second = call_locally(broker->world, "never", on_second, &pair);
    say_all(broker);
    run_until(broker->world, both_answered, &pair);
}

static void test_one_that_is_there_is_adopted_by_the_broker(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    create(world, "a"); /* by somebody else, before the broker's request came */
    create_again(broker, "a");
    run_until(world, one_created, broker);
    assert_int_equal(world->host.created, 1);
    expect_error(start_create(world, "a"), XO_CODE_ACTOR_EXISTS, "no");
}

static void test_the_end_answers_what_waits(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    xo_future_t *call = start(world, "a", "echo", 1);
    settle(broker);
    xo_pool_stop(world->pool, 1000, NULL, NULL);
    expect_error(call, XO_CODE_SERVER_CLOSED, "no");
}

static bool has_asked(void *arg)
{
    return ((broker_t *)arg)->withheld.link != NULL;
}

static void test_who_creates_is_answered_when_the_broker_has_the_spec(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = start_create(broker->world, "one");
    run_until(broker->world, has_asked, broker);
    expect_ok(ask(broker, XO_HAS, "one")); /* the creation's answer would have come before */
    assert_false(xo_future_done(created));
    answer(broker, &broker->withheld);
    expect_ok(created);
}

static void test_who_creates_is_answered_when_the_broker_goes(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = start_create(broker->world, "one");
    run_until(broker->world, has_asked, broker);
    xo_link_close(broker->link, &(xo_error_t){.errnum = ECONNRESET});
    expect_ok(created);
}

static void test_the_end_answers_who_creates(void **state)
{
    broker_t *broker = *state;
    broker->withholds = true;
    xo_future_t *created = start_create(broker->world, "one");
    run_until(broker->world, has_asked, broker);
    xo_pool_stop(broker->world->pool, 1000, NULL, NULL);
    expect_ok(created);
}

static void test_the_first_process_holds_nothing(void **state)
{
    broker_t *broker = *state;
    expect_error(start(broker->world, "a", "echo", 1), XO_CODE_ACTOR_NOT_EXIST, "no");
}

#define FIRST(name) cmocka_unit_test_setup_teardown(name, setup_first, teardown)
#define SECOND(name) cmocka_unit_test_setup_teardown(name, setup_second, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIRST(test_specs_are_told),
        FIRST(test_who_creates_is_answered_when_the_broker_has_the_spec),
        FIRST(test_who_creates_is_answered_when_the_broker_goes),
        FIRST(test_the_end_answers_who_creates),
        FIRST(test_the_first_process_holds_nothing),
        cmocka_unit_test_setup_teardown(test_a_spec_before_the_welcome_is_told, setup_early,
                                        teardown),
        SECOND(test_calls_wait_for_what_comes_back),
        SECOND(test_has_waits_too),
        SECOND(test_nothing_waits_once_all_is_requested),
        SECOND(test_what_waits_can_be_cancelled),
        SECOND(test_what_is_let_go_can_be_cancelled_within),
        SECOND(test_one_that_is_there_is_adopted_by_the_broker),
        SECOND(test_the_end_answers_what_waits),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
