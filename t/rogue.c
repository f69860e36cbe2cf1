/* rogue.c - peers that break the protocol: a bare lane in the place of an endpoint. */
#include "libxo/endpoint_impl.h"
#include "t/node.h"

typedef struct rogue {
    xo_lane_t *lane;
    int closed;
    xo_kind_t last;
} rogue_t;

static void rogue_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    ((rogue_t *)arg)->last = xo_msg_header(*msg)->kind;
    xo_msg_destroy(msg);
}

static void rogue_writable(xo_lane_t *lane, void *arg)
{
    (void)lane;
    (void)arg;
}

static void rogue_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    ((rogue_t *)arg)->closed++;
}

static const xo_lane_events_t rogue_events = {rogue_message, rogue_writable, rogue_closed};

static void rogue_dial_at(fixture_t *f, rogue_t *rogue, const char *door)
{
    *rogue = (rogue_t){0};
    rogue->lane = xo_dial(f->ctx, f->loop, door, &rogue_events, rogue, NULL);
    assert_non_null(rogue->lane);
}

static void rogue_dial(fixture_t *f, rogue_t *rogue)
{
    rogue_dial_at(f, rogue, "mem://b");
}

#define ROGUE_ID 77

static void rogue_send_as(rogue_t *rogue, xo_header_t header, xo_slice_t body)
{
    xo_msg_t *msg = xo_msg_create(&header, body);
    if (xo_lane_send(rogue->lane, &msg) < 0)
        xo_msg_destroy(&msg);
}

static void rogue_send(rogue_t *rogue, xo_kind_t kind, const char *format, ...)
{
    xo_buf_t body = XO_BUF_INIT;
    va_list args;
    va_start(args, format);
    if (format)
        xo_pack_vformat(&body, format, args);
    va_end(args);
    rogue_send_as(rogue, (xo_header_t){.kind = kind, .sender_id = ROGUE_ID}, xo_buf_slice(&body));
    xo_buf_free(&body);
}

static void rogue_hello_of(rogue_t *rogue, const char *cluster, uint64_t id, int pid,
                           const char *address)
{
    rogue_send(rogue, XO_HELLO, "{s s s s s s s s s s s s s U s i s i s i s i s i s [i i]}", "role",
               "client", "cluster", cluster, "machine", "m", "label", "", "address", address,
               "expect", "", "id", id, "node", 0, "pool", 0, "generation", 0, "pid", pid, "index",
               -1, "window", 10, 10000);
}

static void rogue_hello_as(rogue_t *rogue, const char *cluster, uint64_t id)
{
    rogue_hello_of(rogue, cluster, id, 0, "");
}

static void rogue_hello(rogue_t *rogue, const char *cluster)
{
    rogue_hello_as(rogue, cluster, ROGUE_ID);
}

static void test_first_message_must_be_hello(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    rogue_dial(f, &rogue);
    rogue_send(&rogue, XO_CALL, "[[]{}]");
    UNTIL(rogue.closed);
    assert_int_equal(f->b->count, 0);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_MALFORMED], 1);
    assert_string_equal(f->b->refusal, "refused somebody who came by mem: "
                                       "its first message is not the handshake's");
    xo_lane_destroy(rogue.lane);
}

static void test_hello_that_does_not_read_is_refused(void **state)
{
    fixture_t *f = *state;
    const char *const bodies[] = {NULL, "n", "[]", "{}", "{s s}"};
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        rogue_t rogue;
        rogue_dial(f, &rogue);
        rogue_send(&rogue, XO_HELLO, bodies[i], "role", "client");
        UNTIL(rogue.closed);
        xo_lane_destroy(rogue.lane);
    }
    assert_int_equal(f->b->linked, 0);
}

static void test_other_cluster_is_refused(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    rogue_dial(f, &rogue);
    rogue_hello(&rogue, "another");
    UNTIL(rogue.closed);
    assert_int_equal(rogue.last, XO_ERROR);
    assert_string_equal(
        f->b->refusal, "refused process 0, who came by mem: this is cluster 'test', not 'another'");
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_REFUSED], 1);
    xo_lane_destroy(rogue.lane);
}

static void test_sending_without_credit_closes_the_lane(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", &(xo_endpoint_options_t){.window_messages = 3});
    rogue_dial(f, &rogue);
    rogue_hello(&rogue, "test");
    for (int i = 0; i < 4; i++)
        rogue_send(&rogue, XO_TELL, "[[]{}]");
    UNTIL(rogue.closed);
    assert_int_equal(f->b->count, 3);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_OVERRUN], 1);
    xo_lane_destroy(rogue.lane);
}

static void test_credit_never_used_and_second_hello_close_the_lane(void **state)
{
    fixture_t *f = *state;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    for (int i = 0; i < 3; i++) {
        rogue_t rogue;
        rogue_dial(f, &rogue);
        rogue_hello(&rogue, "test");
        if (i == 2)
            rogue_hello(&rogue, "test");
        else
            rogue_send(&rogue, XO_CREDIT, "[i i]", i == 0 ? 1 : -1, 1);
        UNTIL(rogue.closed);
        xo_lane_destroy(rogue.lane);
    }
}

static void test_answer_that_nobody_waits_for_is_counted(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    rogue_dial(f, &rogue);
    rogue_hello(&rogue, "test");
    rogue_send(&rogue, XO_RESULT, "i", 5);
    UNTIL(xo_endpoint_drops(f->b->endpoint)[XO_DROP_NO_CALLER] == 1);
    assert_int_equal(rogue.closed, 0);
    xo_lane_destroy(rogue.lane);
}

/* It did not get the request, so it cannot answer it. */
static void test_answer_to_a_call_to_somebody_else_is_dropped(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    outcome_t outcome = {0};
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    f->c = node_create(f, XO_ROLE_POOL, "mem://c", NULL);
    xo_link_t *link = xo_endpoint_link(f->b->endpoint, "mem://c", NULL);
    UNTIL(f->c->linked);
    xo_msg_t *msg = node_make(XO_CALL, 0, 7, 0);
    xo_call_t *call =
        xo_endpoint_call(f->b->endpoint, link, &msg, 0, 0, outcome_answer, &outcome, NULL);
    UNTIL(f->c->count == 1);
    rogue_dial(f, &rogue);
    rogue_hello(&rogue, "test");
    rogue_send_as(&rogue,
                  (xo_header_t){.kind = XO_RESULT, .seq = xo_call_seq(call), .sender_id = ROGUE_ID},
                  xo_slice("\x05", 1));
    UNTIL(xo_endpoint_drops(f->b->endpoint)[XO_DROP_NO_CALLER] == 1);
    assert_int_equal(outcome.answers, 0);
    node_answer(f->c);
    UNTIL(outcome.answers == 1);
    assert_int_equal(outcome.value, 7);
    xo_lane_destroy(rogue.lane);
}

static void test_request_in_anothers_name_closes_the_lane(void **state)
{
    fixture_t *f = *state;
    const xo_kind_t kinds[] = {XO_CALL, XO_TELL, XO_CANCEL};
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        rogue_t rogue;
        rogue_dial(f, &rogue);
        rogue_hello(&rogue, "test");
        rogue_send_as(&rogue, (xo_header_t){.kind = kinds[i], .seq = 1, .sender_id = ROGUE_ID + 1},
                      xo_slice("\x92\x90\x80", 3));
        UNTIL(rogue.closed);
        xo_lane_destroy(rogue.lane);
    }
    assert_int_equal(f->b->count, 0);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_MALFORMED], 3);
}

/* Not even by one that says it is the caller. */
static void test_cancel_of_what_another_had_passed_on_is_ignored(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.relay = true});
    uint64_t caller_id = xo_endpoint_self(f->a->endpoint)->id;
    f->c = node_create(f, XO_ROLE_POOL, "mem://c", NULL);
    xo_endpoint_link(f->b->endpoint, "mem://c", NULL);
    UNTIL(f->c->linked);
    xo_msg_t *msg = node_make(XO_CALL, xo_endpoint_self(f->c->endpoint)->id, 7, 0);
    xo_call_t *call =
        xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, outcome_answer, &outcome, NULL);
    UNTIL(f->c->count == 1);
    rogue_dial(f, &rogue);
    rogue_hello_as(&rogue, "test", caller_id);
    xo_header_t header = {.kind = XO_CANCEL, .seq = xo_call_seq(call), .sender_id = caller_id};
    rogue_send_as(&rogue, header, xo_slice(NULL, 0));
    header.kind = XO_TELL; /* which arrives behind it */
    rogue_send_as(&rogue, header, xo_slice("\x92\x90\x80", 3));
    UNTIL(f->b->count == 1);
    xo_call_cancel(call);
    UNTIL(f->c->count == 2);
    node_answer(f->c);
    UNTIL(outcome.answers == 1);
    assert_int_equal(f->c->count, 2); /* the call, and one cancel */
    xo_lane_destroy(rogue.lane);
}

static void rogue_breaks_in(fixture_t *f)
{
    rogue_t rogue;
    rogue_dial(f, &rogue);
    rogue_send(&rogue, XO_CALL, "[[]{}]");
    UNTIL(rogue.closed);
    xo_lane_destroy(rogue.lane);
}

static void test_who_is_refused_again_and_again_is_logged_once_a_minute(void **state)
{
    fixture_t *f = *state;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    xo_loop_freeze(f->loop, XO_MS);
    for (int i = 0; i < 4; i++)
        rogue_breaks_in(f);
    assert_int_equal(f->b->refusals, 1);
    xo_loop_advance(f->loop, 60000 * XO_MS);
    rogue_breaks_in(f);
    assert_int_equal(f->b->refusals, 2);
    assert_non_null(strstr(f->b->refusal, "(and 3 times more since the last such line)"));
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_MALFORMED], 5);
}

static void test_many_sources_do_not_flood_the_log(void **state)
{
    fixture_t *f = *state;
    char cluster[16];
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    xo_loop_freeze(f->loop, XO_MS);
    for (int i = 0; i < 100; i++) {
        rogue_t rogue;
        rogue_dial(f, &rogue);
        snprintf(cluster, sizeof cluster, "c\n\xff%d", i);
        rogue_hello_of(&rogue, cluster, ROGUE_ID, i + 1, "");
        UNTIL(rogue.closed);
        xo_lane_destroy(rogue.lane);
    }
    assert_in_range(f->b->refusals, 2, 20);
    assert_null(strchr(f->b->refusal, '\n'));
    assert_null(strchr(f->b->refusal, '\xff'));
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_REFUSED], 100);
}

static void test_a_pool_is_named_by_its_address(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    rogue_dial(f, &rogue);
    rogue_hello_of(&rogue, "another", ROGUE_ID, 7, "127.0.0.1:7100");
    UNTIL(rogue.closed);
    assert_string_equal(f->b->refusal, "refused process 7 of 127.0.0.1:7100, who came by mem: "
                                       "this is cluster 'test', not 'another'");
    xo_lane_destroy(rogue.lane);
}

/* Of another machine a pid alone says nothing, and each of its processes has another one. */
static void test_who_comes_from_elsewhere_is_named_by_the_host(void **state)
{
    fixture_t *f = *state;
    f->b = node_create(f, XO_ROLE_POOL, "tcp://127.0.0.1:0", NULL);
    const char *door = xo_listener_endpoint(f->b->endpoint->doors->listener);
    for (int pid = 1; pid <= 3; pid++) {
        rogue_t rogue;
        rogue_dial_at(f, &rogue, door);
        rogue_hello_of(&rogue, "another", ROGUE_ID, pid, "far:7100");
        UNTIL(rogue.closed);
        xo_lane_destroy(rogue.lane);
    }
    assert_int_equal(f->b->refusals, 1);
    assert_string_equal(f->b->refusal,
                        "refused 127.0.0.1, who came by tcp: this is cluster 'test', not 'another' "
                        "(process 1 of far:7100)");
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_REFUSED], 3);
}

/* Bundles go to who has said that it understands them. */
static void test_a_peer_that_says_nothing_of_bundles_gets_none(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    link_ab(f, NULL);
    UNTIL(f->b->linked == 1);
    assert_true(xo_endpoint_next_link(f->a->endpoint, NULL)->lane->bundles);
    assert_true(xo_endpoint_next_link(f->b->endpoint, NULL)->lane->bundles);
    rogue_dial(f, &rogue);
    rogue_hello(&rogue, "test");
    UNTIL(f->b->linked == 2);
    assert_false(xo_endpoint_link_by_id(f->b->endpoint, ROGUE_ID)->lane->bundles);
    xo_lane_destroy(rogue.lane);
}

static void test_bundles_are_true_or_false(void **state)
{
    fixture_t *f = *state;
    rogue_t rogue;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    rogue_dial(f, &rogue);
    rogue_send(&rogue, XO_HELLO, "{s s s s s s s s s s s s s i s i s i s i s i s i s [i i] s i}",
               "role", "client", "cluster", "test", "machine", "m", "label", "", "address", "",
               "expect", "", "id", ROGUE_ID, "node", 0, "pool", 0, "generation", 0, "pid", 0,
               "index", -1, "window", 10, 10000, "bundles", 1);
    UNTIL(rogue.closed);
    assert_string_equal(f->b->refusal, "refused somebody who came by mem: "
                                       "handshake: bundles are neither true nor false");
    xo_lane_destroy(rogue.lane);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_message_must_be_hello),
        T(hello_that_does_not_read_is_refused),
        T(other_cluster_is_refused),
        T(a_peer_that_says_nothing_of_bundles_gets_none),
        T(bundles_are_true_or_false),
        T(who_is_refused_again_and_again_is_logged_once_a_minute),
        T(many_sources_do_not_flood_the_log),
        T(a_pool_is_named_by_its_address),
        T(who_comes_from_elsewhere_is_named_by_the_host),
        T(sending_without_credit_closes_the_lane),
        T(credit_never_used_and_second_hello_close_the_lane),
        T(answer_that_nobody_waits_for_is_counted),
        T(answer_to_a_call_to_somebody_else_is_dropped),
        T(request_in_anothers_name_closes_the_lane),
        T(cancel_of_what_another_had_passed_on_is_ignored),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("rogue", tests, NULL, NULL);
}
