/* broker.c - the broker as an actor: lookups, liveness, what it refuses. Its pools are endpoints of
 * this process over the in-memory transport, its registry is in memory; processes are tested by
 * t/0301-broker-pools.t. */
#include "t/broker-rig.h"

typedef struct world {
    fixture_t *f;
    xo_broker_t *broker;
    xo_link_t *link; /* of the client, f->a */
    bool stopped;
} world_t;

static void on_stopped(xo_broker_t *broker, void *arg)
{
    (void)broker;
    ((world_t *)arg)->stopped = true;
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    fixture_setup((void **)&w->f);
    fixture_t *f = w->f;
    w->broker = rig_broker(f, 100, on_stopped, w);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    w->link = xo_endpoint_link(f->a->endpoint, RIG_DOOR, NULL);
    UNTIL(f->a->linked);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_broker_destroy(w->broker);
    fixture_teardown((void **)&w->f);
    free(w);
    return 0;
}

/* ---- what is sent ---- */

typedef struct answer {
    int count;
    xo_msg_t *msg;
} answer_t;

static void on_answer(xo_call_t *call, xo_msg_t **msg, void *arg)
{
    answer_t *answer = arg;
    (void)call;
    answer->count++;
    answer->msg = *msg;
    *msg = NULL;
}

static xo_msg_t *make(xo_kind_t kind, const char *uid, const char *method, xo_slice_t body)
{
    xo_header_t header = {
        .kind = kind, .target_uid = xo_slice_str(uid), .method = xo_slice_str(method)};
    return xo_msg_create(&header, body);
}

static xo_call_t *send_body(world_t *w, xo_kind_t kind, const char *uid, const char *method,
                            xo_slice_t body, answer_t *answer)
{
    xo_msg_t *msg = make(kind, uid, method, body);
    return xo_endpoint_call(w->f->a->endpoint, w->link, &msg, 0, 0, on_answer, answer, NULL);
}

/* Calls a method with one argument that is a str, or without any. */
static xo_call_t *call(world_t *w, const char *method, const char *arg, answer_t *answer)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, arg ? "[[s] {}]" : "[[] {}]", arg);
    xo_call_t *made = send_body(w, XO_CALL, "xo.broker", method, xo_buf_slice(&body), answer);
    xo_buf_free(&body);
    return made;
}

static char *text_of(answer_t *answer)
{
    static char text[4096];
    xo_buf_t out = XO_BUF_INIT;
    xo_pack_dump(xo_msg_body(answer->msg), &out, sizeof text - 4);
    snprintf(text, sizeof text, "%.*s", (int)out.size, out.data);
    xo_buf_free(&out);
    return text;
}

/* Waits for the answer; its text must hold `words`. */
static void expect(world_t *w, answer_t *answer, xo_kind_t kind, const char *words)
{
    fixture_t *f = w->f;
    UNTIL(answer->count == 1);
    if (xo_msg_header(answer->msg)->kind != kind || strstr(text_of(answer), words) == NULL)
        fail_msg("'%s' is not a %s with '%s'", text_of(answer), xo_kind_name(kind), words);
    xo_msg_destroy(&answer->msg);
    *answer = (answer_t){0};
}

/* Whether what the method answers holds `words`. */
static bool shows(world_t *w, const char *method, const char *words)
{
    fixture_t *f = w->f;
    answer_t answer = {0};
    call(w, method, NULL, &answer);
    UNTIL(answer.count == 1);
    bool found = strstr(text_of(&answer), words) != NULL;
    xo_msg_destroy(&answer.msg);
    return found;
}

static node_t *join(world_t *w, uint64_t pool_id, uint32_t generation)
{
    node_t *pool = node_pool(w->f, RIG_DOOR, pool_id, generation);
    if (pool->linked > 0)
        node_beat(pool);
    return pool;
}

static void tell_actor(node_t *pool, const char *event, const char *uid)
{
    xo_buf_t body = XO_BUF_INIT;
    bool up = strcmp(event, "actor.up") == 0;
    xo_pack_format(&body, up ? "[[B U s ?] {}]" : "[[B U s] {}]", xo_slice_str(uid), (uint64_t)7,
                   up ? "Class" : "it ended", 0);
    xo_msg_t *msg = make(XO_TELL, "xo.broker", event, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_tell(pool->endpoint, xo_endpoint_broker(pool->endpoint), &msg, 0, NULL, NULL, NULL);
}

static void answer_barrier(node_t *pool)
{
    xo_return_t to = xo_return_of(pool->inbox[pool->first].from, pool->inbox[pool->first].msg);
    xo_header_t header = {.kind = XO_RESULT};
    assert_int_equal(xo_msg_header(pool->inbox[pool->first].msg)->kind, XO_HAS);
    xo_msg_t *answer = xo_msg_create(&header, xo_slice("\xc3", 1));
    xo_endpoint_answer(pool->endpoint, &to, &answer);
    node_swallow(pool);
}

/* ---- lookups ---- */

/* The broker has heard of it: a lookup that finds it asks its pool alone. */
static void up_and_known(world_t *w, node_t *pool, const char *uid)
{
    tell_actor(pool, "actor.up", uid);
    while (!shows(w, "actors", uid)) {
    }
}

static void lookup_of_a_known_actor_asks_its_pool_alone(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    f->c = join(w, 12, 1);
    up_and_known(w, f->b, "alice");
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    assert_int_equal(answer.count, 0);
    answer_barrier(f->b);
    expect(w, &answer, XO_RESULT, "\"address\": \"127.0.0.1:11\"");
    assert_int_equal(f->c->count, 0);
}

static void lookup_sees_an_end_that_is_being_told(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    f->c = join(w, 12, 1);
    up_and_known(w, f->b, "alice");
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    tell_actor(f->b, "actor.down", "alice");
    answer_barrier(f->b);
    UNTIL(f->b->count == 2 && f->c->count == 1); /* nowhere: all are asked */
    answer_barrier(f->b);
    tell_actor(f->c, "actor.up", "alice");
    answer_barrier(f->c);
    expect(w, &answer, XO_RESULT, "\"address\": \"127.0.0.1:12\"");
}

/* While the broker stands still, a pool that has lost its link links again, and loses that too:
 * which of them it then looks at first is chance. */
static void a_pool_with_two_links_has_one_when_the_other_ends(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    f->b = join(w, 11, 1);
    xo_endpoint_t *twin = xo_endpoint_create(f->ctx, f->loop, xo_endpoint_self(f->b->endpoint),
                                             &(xo_endpoint_ops_t){0}, NULL, NULL, NULL);
    const xo_link_t *link = xo_endpoint_link(twin, RIG_DOOR, NULL);
    UNTIL(xo_link_up(link));
    up_and_known(w, f->b, "alice");
    xo_endpoint_destroy(twin);
    up_and_known(w, f->b, "bob");
    assert_true(shows(w, "actors", "alice"));
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(!shows(w, "actors", "bob"));
}

static void lookup_of_a_busy_pool_s_actor_does_not_wait_for_long(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    up_and_known(w, f->b, "alice");
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    assert_int_equal(answer.count, 0);
    xo_loop_advance(f->loop, 101 * XO_MS);
    expect(w, &answer, XO_RESULT, "\"address\": \"127.0.0.1:11\"");
}

static void lookup_waits_for_what_pools_are_telling(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    f->c = join(w, 12, 1);
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1 && f->c->count == 1);
    answer_barrier(f->b);
    tell_actor(f->c, "actor.up", "alice");
    for (int i = 0; i < 20; i++)
        xo_loop_once(f->loop, 0);
    assert_int_equal(answer.count, 0);
    answer_barrier(f->c);
    expect(w, &answer, XO_RESULT, "\"pool\": \"000000000000000c\"");
}

static void lookup_of_nobody_is_empty(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    call(w, "lookup", "alice", &answer);
    expect(w, &answer, XO_RESULT, "[]");
    f->b = join(w, 11, 1);
    tell_actor(f->b, "actor.up", "alice");
    tell_actor(f->b, "actor.down", "alice");
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    answer_barrier(f->b);
    expect(w, &answer, XO_RESULT, "[]");
}

static void lookup_does_not_wait_for_a_hung_pool(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    assert_int_equal(answer.count, 0);
    xo_loop_advance(f->loop, 1001 * XO_MS);
    expect(w, &answer, XO_RESULT, "[]");
    UNTIL(f->b->count == 2); /* the cancel */
}

static void lookup_survives_the_death_of_a_pool(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    node_destroy(f->b);
    f->b = NULL;
    expect(w, &answer, XO_RESULT, "[]");
}

static void lookup_can_be_cancelled(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    xo_call_t *made = call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    xo_call_cancel(made);
    expect(w, &answer, XO_ERROR, "Cancelled");
    answer_barrier(f->b); /* too late, and no harm */
    call(w, "ping", NULL, &answer);
    expect(w, &answer, XO_RESULT, "pong");
}

/* ---- pools ---- */

static void a_pool_that_leaves_is_told_to_all(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 3);
    UNTIL(f->a->events == 1); /* pool.up */
    call(w, "pools", NULL, &answer);
    expect(w, &answer, XO_RESULT, "\"generation\": 3, \"state\": \"ready\"");
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(f->a->events == 2); /* pool.down */
    call(w, "pools", NULL, &answer);
    expect(w, &answer, XO_RESULT, "[]");
}

static void ask_events(world_t *w, const char *after, int wait_ms, answer_t *answer)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[[s i i] {}]", after, 10, wait_ms);
    send_body(w, XO_CALL, "xo.broker", "events", xo_buf_slice(&body), answer);
    xo_buf_free(&body);
}

static void who_waits_for_an_event_hears_of_the_next(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0}, pong = {0};
    char id[64];
    ask_events(w, "$-1", 0, &answer);
    UNTIL(answer.count == 1);
    xo_reader_t reader = xo_reader(xo_msg_body(answer.msg));
    uint32_t count;
    xo_slice_t last;
    assert_true(xo_read_array(&reader, &count) == 0 && xo_read_raw(&reader, &last) == 0);
    assert_int_equal(xo_map_get_str(last, "id", id, sizeof id), 0);
    expect(w, &answer, XO_RESULT, "\"registry.up\"");
    ask_events(w, id, 0, &answer);
    expect(w, &answer, XO_RESULT, "[]");
    ask_events(w, id, 60000, &answer);
    call(w, "ping", NULL, &pong);
    expect(w, &pong, XO_RESULT, "pong");
    assert_int_equal(answer.count, 0);
    f->b = join(w, 11, 3);
    expect(w, &answer, XO_RESULT, "\"pool.up\"");
    ask_events(w, "0", 60001, &answer);
    expect(w, &answer, XO_ERROR, "at most 60000");
}

static void a_pool_needs_an_id_of_its_own(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    f->b = join(w, 0, 1);
    assert_int_equal(f->b->unlinked, 1);
    assert_non_null(strstr(f->b->why.text, "needs an id"));
    node_destroy(f->b);
    f->b = join(w, 11, 1);
    f->c = join(w, 11, 2);
    assert_int_equal(f->c->unlinked, 1);
    assert_non_null(strstr(f->c->why.text, "generation 1, not 2"));
}

static void a_pool_is_ready_when_it_has_said_what_it_is(void **state)
{
    world_t *w = *state;
    w->f->b = node_pool(w->f, RIG_DOOR, 11, 1);
    assert_true(shows(w, "pools", "\"starting\""));
    assert_int_equal(w->f->a->events, 0);
    node_beat(w->f->b);
    up_and_known(w, w->f->b, "alice");
    assert_int_equal(w->f->a->events, 1); /* pool.up */
    assert_true(shows(w, "pools", "\"ready\""));
    assert_true(shows(w, "actors", "\"running\""));
}

static void silence_makes_a_pool_suspect(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    f->b = join(w, 11, 1);
    UNTIL(f->a->events == 1); /* pool.up */
    xo_loop_advance(f->loop, 250 * XO_MS);
    assert_true(shows(w, "pools", "\"ready\""));
    xo_loop_advance(f->loop, 250 * XO_MS);
    assert_true(shows(w, "pools", "\"suspect\""));
    node_beat(f->b);
    UNTIL(shows(w, "pools", "\"ready\""));
}

/* ---- what it refuses ---- */

static void it_is_an_actor_and_hosts_none(void **state)
{
    world_t *w = *state;
    answer_t answer = {0};
    send_body(w, XO_HAS, "xo.broker", NULL, xo_slice(NULL, 0), &answer);
    expect(w, &answer, XO_RESULT, "true");
    send_body(w, XO_HAS, "alice", NULL, xo_slice(NULL, 0), &answer);
    expect(w, &answer, XO_RESULT, "false");
    send_body(w, XO_CALL, "alice", "add", xo_slice("\x92\x90\x80", 3), &answer);
    expect(w, &answer, XO_ERROR, "ActorNotExist");
    send_body(w, XO_CREATE, "alice", "Counter", xo_slice("\x92\x90\x80", 3), &answer);
    expect(w, &answer, XO_ERROR, "hosts no actors");
    send_body(w, XO_BATCH, "xo.broker", "ping", xo_slice("\x91\x92\x90\x80", 4), &answer);
    expect(w, &answer, XO_ERROR, "a batch is not possible");
    send_body(w, XO_DESTROY, "xo.broker", NULL, xo_slice(NULL, 0), &answer);
    expect(w, &answer, XO_ERROR, "a destroy is not possible");
}

static void arguments_are_plain_and_positional(void **state)
{
    world_t *w = *state;
    answer_t answer = {0};
    static const struct {
        const char *bytes;
        size_t size;
    } wrong[] = {{"\xc7\x01\x07.", 4}, {"\x90", 1}, {"\x91\x90", 2}, {"\x92\x01\x80", 3}, {"", 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        send_body(w, XO_CALL, "xo.broker", "ping", xo_slice(wrong[i].bytes, wrong[i].size),
                  &answer);
        expect(w, &answer, XO_ERROR, "ping: arguments must be plain values");
    }
    send_body(w, XO_CALL, "xo.broker", "ping", xo_slice("\x92\x90\x81\xa1x\x01", 6), &answer);
    expect(w, &answer, XO_ERROR, "ping: takes no keyword arguments");
}

static void a_tell_that_fails_is_counted(void **state)
{
    world_t *w = *state;
    answer_t answer = {0};
    xo_msg_t *msg = make(XO_TELL, "xo.broker", "nonsense", xo_slice("\x92\x90\x80", 3));
    xo_endpoint_tell(w->f->a->endpoint, w->link, &msg, 0, NULL, NULL, NULL);
    call(w, "status", NULL, &answer);
    expect(w, &answer, XO_RESULT, "\"error\": 1");
}

/* ---- the end ---- */

static void it_stops_and_answers_what_waits(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0}, stop = {0};
    f->b = join(w, 11, 1);
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    call(w, "node.stop", NULL, &stop);
    expect(w, &stop, XO_RESULT, "null");
    expect(w, &answer, XO_ERROR, "ServerClosed");
    UNTIL(w->stopped);
    node_t *late = join(w, 12, 1);
    assert_non_null(strstr(late->why.text, "stopping"));
    node_destroy(late);
}

static void it_can_be_destroyed_at_any_time(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    answer_t answer = {0};
    f->b = join(w, 11, 1);
    call(w, "lookup", "alice", &answer);
    UNTIL(f->b->count == 1);
    xo_broker_destroy(w->broker);
    w->broker = NULL;
    expect(w, &answer, XO_ERROR, "ServerClosed");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lookup_of_a_known_actor_asks_its_pool_alone),
        TEST(lookup_sees_an_end_that_is_being_told),
        TEST(a_pool_with_two_links_has_one_when_the_other_ends),
        TEST(lookup_of_a_busy_pool_s_actor_does_not_wait_for_long),
        TEST(lookup_waits_for_what_pools_are_telling),
        TEST(lookup_of_nobody_is_empty),
        TEST(lookup_does_not_wait_for_a_hung_pool),
        TEST(lookup_survives_the_death_of_a_pool),
        TEST(lookup_can_be_cancelled),
        TEST(a_pool_that_leaves_is_told_to_all),
        TEST(who_waits_for_an_event_hears_of_the_next),
        TEST(a_pool_needs_an_id_of_its_own),
        TEST(a_pool_is_ready_when_it_has_said_what_it_is),
        TEST(silence_makes_a_pool_suspect),
        TEST(it_is_an_actor_and_hosts_none),
        TEST(arguments_are_plain_and_positional),
        TEST(a_tell_that_fails_is_counted),
        TEST(it_stops_and_answers_what_waits),
        TEST(it_can_be_destroyed_at_any_time),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
