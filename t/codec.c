/* codec.c - tests of libxo/codec.h: pickles are found, and refused, over the in-memory transport.
 */
#include "libxo/codec.h"
#include "t/node.h"

#define BYTES(text) xo_slice(text, sizeof(text) - 1)
#define PICKLE "\xd6\x07\x80\x05N." /* ext 7 of 4 bytes */

static void names_are_read(void **state)
{
    (void)state;
    xo_error_t err;
    xo_codec_t codec;
    assert_int_equal(xo_codec_parse("pickle", &codec, &err), 0);
    assert_int_equal(codec, XO_CODEC_PICKLE);
    assert_int_equal(xo_codec_parse("msgpack", &codec, &err), 0);
    assert_int_equal(codec, XO_CODEC_MSGPACK);
    assert_int_equal(xo_codec_parse("json", &codec, &err), -1);
    assert_non_null(strstr(err.text, "'json'"));
    setenv(XO_CODEC_VARIABLE, "json", 1);
    assert_int_equal(xo_codec_from_env(&codec, &err), -1);
    assert_non_null(strstr(err.text, "XO_CODEC: 'json' is not one of pickle, msgpack"));
    setenv(XO_CODEC_VARIABLE, "", 1);
    assert_int_equal(xo_codec_from_env(&codec, &err), 0);
    assert_int_equal(codec, XO_CODEC_PICKLE);
    unsetenv(XO_CODEC_VARIABLE);
}

static void pickles_are_found(void **state)
{
    (void)state;
    assert_true(xo_codec_finds_pickle(BYTES(PICKLE)));
    assert_true(xo_codec_finds_pickle(BYTES("\x93" PICKLE "\xc0\x80")));          /* a create's */
    assert_true(xo_codec_finds_pickle(BYTES("\x92\x91\x81\xa1k" PICKLE "\x80"))); /* [[{k: it}]] */
    assert_true(xo_codec_finds_pickle(BYTES("\xc7\x07\x01\x91" PICKLE)));         /* in a tuple */
    assert_true(xo_codec_finds_pickle(BYTES("\xc7\x0b\x01\x91\xc7\x07\x02\x91" PICKLE)));
    assert_true(xo_codec_finds_pickle(BYTES("\x01\x02" PICKLE)));
}

static void nothing_else_is_found(void **state)
{
    (void)state;
    assert_false(xo_codec_finds_pickle(BYTES("")));
    assert_false(xo_codec_finds_pickle(BYTES("\x92\x91\x01\x80")));
    assert_false(xo_codec_finds_pickle(BYTES("\xc4\x06" PICKLE))); /* bytes that look like one */
    assert_false(xo_codec_finds_pickle(BYTES("\xa6" PICKLE)));     /* text that does */
    assert_false(xo_codec_finds_pickle(BYTES("\xc7\x06\x04" PICKLE))); /* digits of an int */
    assert_false(
        xo_codec_finds_pickle(BYTES("\xdd\xff\xff\xff\xff" PICKLE))); /* malformed before */
    assert_false(xo_codec_finds_pickle(BYTES("\xd6\x07\x80")));       /* cut off */
}

/* ---- an endpoint ---- */

static int setup(void **state)
{
    setenv(XO_CODEC_VARIABLE, "msgpack", 1);
    int rc = fixture_setup(state);
    unsetenv(XO_CODEC_VARIABLE);
    return rc;
}

static xo_msg_t *make_pickle(xo_kind_t kind, uint64_t target)
{
    xo_header_t header = {
        .kind = kind, .target_id = target, .target_uid = xo_slice_str("x"), .method = BYTES("m")};
    xo_msg_t *msg = xo_msg_create(&header, BYTES(PICKLE));
    assert_non_null(msg);
    return msg;
}

static void call_with_pickle(fixture_t *f, xo_link_t *link, uint64_t target, outcome_t *outcome)
{
    xo_msg_t *msg = make_pickle(XO_CALL, target);
    assert_non_null(
        xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, outcome_answer, outcome, NULL));
}

static uint64_t refused(const node_t *node)
{
    return xo_endpoint_drops(node->endpoint)[XO_DROP_REFUSED];
}

static void test_requests_are_refused(void **state)
{
    fixture_t *f = *state;
    enum { N = 9 }; /* more than there is credit */
    outcome_t outcomes[N] = {0}, plain = {0};
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 3});
    f->b->echo = true;
    for (int i = 0; i < N; i++) {
        call_with_pickle(f, link, 0, &outcomes[i]);
        UNTIL(outcomes[i].answers);
        assert_string_equal(outcomes[i].code, XO_CODE_PICKLE);
        assert_string_equal(outcomes[i].executed, "no");
        assert_non_null(strstr(outcomes[i].text, "codec = msgpack"));
    }
    assert_int_equal(refused(f->b), N);
    assert_int_equal(f->b->refusals, 1); /* a minute */
    assert_non_null(strstr(f->b->refusal, "pickle"));
    assert_int_equal(f->b->count, 0);
    node_call(f->a, link, 42, 0, 0, &plain);
    UNTIL(plain.answers);
    assert_int_equal(plain.value, 42);
    for (int i = 0; i < N; i++)
        assert_int_equal(outcomes[i].answers, 1);
}

static void test_tells_become_dead_letters(void **state)
{
    fixture_t *f = *state;
    xo_buf_t letters = XO_BUF_INIT;
    xo_link_t *link = link_ab(f, NULL);
    xo_msg_t *msg = make_pickle(XO_TELL, 0);
    uint32_t count;
    assert_int_equal(xo_endpoint_tell(f->a->endpoint, link, &msg, 0, NULL, NULL, NULL), 0);
    UNTIL(refused(f->b) == 1);
    xo_endpoint_letters(f->b->endpoint, 10, false, &letters);
    xo_reader_t reader = xo_reader(xo_buf_slice(&letters));
    assert_int_equal(xo_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(f->b->count, 0);
    xo_buf_free(&letters);
}

static void test_results_are_refused(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    node_call(f->a, link, 1, 0, 0, &outcome);
    UNTIL(f->b->count == 1);
    xo_return_t back = xo_return_of(f->b->inbox[0].from, f->b->inbox[0].msg);
    xo_msg_t *answer = make_pickle(XO_RESULT, 0);
    xo_endpoint_answer(f->b->endpoint, &back, &answer);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_PICKLE);
    assert_string_equal(outcome.executed, "ran");
    assert_int_equal(refused(f->a), 1);
    assert_int_equal(outcome.answers, 1);
    node_swallow(f->b);
}

static void test_what_is_passed_on_is_not_looked_at(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.relay = true});
    f->c = node_create(f, XO_ROLE_POOL, NULL, NULL);
    xo_endpoint_link(f->c->endpoint, "mem://b", NULL);
    UNTIL(f->c->linked);
    call_with_pickle(f, link, xo_endpoint_self(f->c->endpoint)->id, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_PICKLE);
    assert_int_equal(refused(f->b), 0);
    assert_int_equal(refused(f->c), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(pickles_are_found),
        cmocka_unit_test(nothing_else_is_found),
        T(requests_are_refused),
        T(tells_become_dead_letters),
        T(results_are_refused),
        T(what_is_passed_on_is_not_looked_at),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
