/* relay.c - messages that are passed on: a - b - c, where b relays. */
#include "t/node.h"

static xo_link_t *relay_setup(fixture_t *f)
{
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.relay = true});
    f->c = node_create(f, XO_ROLE_POOL, NULL, NULL);
    xo_endpoint_link(f->c->endpoint, "mem://b", NULL);
    UNTIL(f->c->linked);
    return link;
}

static xo_call_t *call_via(fixture_t *f, xo_link_t *link, uint64_t target, int64_t value,
                           outcome_t *outcome)
{
    xo_msg_t *msg = node_make(XO_CALL, target, value, 0);
    return xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, outcome_answer, outcome, NULL);
}

static void test_relay_passes_calls_and_answers(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = relay_setup(f);
    f->c->echo = true;
    call_via(f, link, xo_endpoint_self(f->c->endpoint)->id, 5, &outcome);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 5);
}

static void test_relay_cancels_by_the_callers_name(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = relay_setup(f);
    xo_call_t *made = call_via(f, link, xo_endpoint_self(f->c->endpoint)->id, 5, &outcome);
    UNTIL(f->c->count == 1);
    xo_call_cancel(made);
    UNTIL(f->c->count == 2);
    assert_int_equal(xo_msg_header(f->c->inbox[1].msg)->kind, XO_CANCEL);
    assert_int_equal(xo_msg_header(f->c->inbox[1].msg)->seq,
                     xo_msg_header(f->c->inbox[0].msg)->seq);
    node_answer(f->c);
    UNTIL(outcome.answers);
}

static void test_relay_to_nobody(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    call_via(f, relay_setup(f), 12345, 5, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_NO_ROUTE], 1);
}

static void test_relayed_call_is_answered_when_its_target_ends(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = relay_setup(f);
    call_via(f, link, xo_endpoint_self(f->c->endpoint)->id, 5, &outcome);
    UNTIL(f->c->count == 1);
    node_destroy(f->c);
    f->c = NULL;
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "maybe");
}

static void test_relay_outlives_the_caller(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = relay_setup(f);
    call_via(f, link, xo_endpoint_self(f->c->endpoint)->id, 5, &outcome);
    UNTIL(f->c->count == 1);
    node_destroy(f->a);
    f->a = NULL;
    node_answer(f->c);
    UNTIL(f->b->unlinked == 1 && xo_endpoint_drops(f->b->endpoint)[XO_DROP_CLOSED] == 1);
}

static void test_pool_passes_on_what_is_for_its_broker(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    f->c = node_create(f, XO_ROLE_BROKER, "mem://c", NULL);
    f->c->echo = true;
    xo_endpoint_set_broker(f->b->endpoint, xo_endpoint_link(f->b->endpoint, "mem://c", NULL));
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(XO_BROKER_UID), .method = xo_slice_str("ping")};
    xo_pack_format(&body, "[[i]{}]", 9);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, outcome_answer, &outcome, NULL);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 9);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(relay_passes_calls_and_answers),
        T(relay_cancels_by_the_callers_name),
        T(relay_to_nobody),
        T(relayed_call_is_answered_when_its_target_ends),
        T(relay_outlives_the_caller),
        T(pool_passes_on_what_is_for_its_broker),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
