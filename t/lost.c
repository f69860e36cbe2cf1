/* lost.c - tells that had left when their link ended: counted, unless their credit has come back.
 */
#include "t/node.h"

static void tell(fixture_t *f, xo_link_t *link, int count)
{
    for (int i = 0; i < count; i++) {
        xo_msg_t *msg = node_make(XO_TELL, 0, i, 0);
        assert_int_equal(xo_endpoint_tell(f->a->endpoint, link, &msg, 0, NULL, NULL, NULL), 0);
    }
}

/* What b has sent to a so far has come. */
static void settle(fixture_t *f)
{
    xo_link_t *back = xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
    xo_msg_t *event = xo_msg_create(&(xo_header_t){.kind = XO_EVENT}, xo_slice(NULL, 0));
    int before = f->a->events;
    assert_int_equal(xo_endpoint_tell(f->b->endpoint, back, &event, 0, NULL, NULL, NULL), 0);
    UNTIL(f->a->events > before);
}

static void b_dies(fixture_t *f)
{
    xo_endpoint_peer_down(f->a->endpoint, xo_endpoint_self(f->b->endpoint)->id, "killed");
    assert_int_equal(f->a->unlinked, 1);
}

static uint64_t lost(const fixture_t *f)
{
    return xo_endpoint_drops(f->a->endpoint)[XO_DROP_LOST];
}

static void test_all_that_had_left(void **state)
{
    fixture_t *f = *state;
    tell(f, link_ab(f, NULL), 50);
    b_dies(f);
    assert_int_equal(lost(f), 50);
}

static void test_one_letter_for_all(void **state)
{
    fixture_t *f = *state;
    xo_buf_t letters = XO_BUF_INIT;
    uint32_t count;
    char text[64];
    int64_t number;
    tell(f, link_ab(f, NULL), 100); /* of these there is room for more than one */
    b_dies(f);
    xo_endpoint_letters(f->a->endpoint, 10, true, &letters);
    xo_reader_t reader = xo_reader(xo_buf_slice(&letters));
    assert_int_equal(xo_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    const uint8_t *end = (const uint8_t *)letters.data + letters.size;
    xo_slice_t letter = xo_slice(reader.at, (size_t)(end - reader.at));
    assert_int_equal(xo_map_get_int(letter, "count", &number), 0);
    assert_int_equal(number, 100);
    assert_int_equal(xo_map_get_str(letter, "reason", text, sizeof text), 0);
    assert_string_equal(text, "lost");
    assert_int_equal(xo_map_get_str(letter, "to", text, sizeof text), 0);
    assert_string_equal(text, "mem://b");
    xo_buf_free(&letters);
}

static void test_not_those_whose_credit_came_back(void **state)
{
    fixture_t *f = *state;
    tell(f, link_ab(f, &(xo_endpoint_options_t){.window_messages = 200}), 150);
    UNTIL(f->b->count == 150);
    for (int i = 0; i < 120; i++) /* in portions of 50 */
        node_swallow(f->b);
    settle(f);
    b_dies(f);
    assert_int_equal(lost(f), 50);
}

static void test_not_calls(void **state)
{
    fixture_t *f = *state;
    outcome_t outcomes[3] = {0};
    xo_link_t *link = link_ab(f, NULL);
    for (int i = 0; i < 3; i++) {
        node_call(f->a, link, i, 0, 0, &outcomes[i]);
        tell(f, link, 1);
    }
    b_dies(f);
    UNTIL(outcomes[2].answers);
    assert_string_equal(outcomes[2].executed, "maybe");
    assert_int_equal(lost(f), 3);
}

static void test_nothing_by_who_closes_in_order(void **state)
{
    fixture_t *f = *state;
    tell(f, link_ab(f, NULL), 10);
    UNTIL(f->b->count == 10);
    for (int i = 0; i < 10; i++)
        node_swallow(f->b);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(f->a->unlinked == 1);
    assert_int_equal(lost(f), 0);
}

static void test_what_came_in_vain_before_the_end(void **state)
{
    fixture_t *f = *state;
    tell(f, link_ab(f, NULL), 10);
    UNTIL(f->b->count == 10);
    xo_link_t *back = xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
    for (int i = 0; i < 9; i++)
        node_swallow(f->b);
    for (int i = 0; i < 4; i++)
        xo_link_undelivered(back);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(f->a->unlinked == 1);
    assert_int_equal(lost(f), 4 + 1);
}

static void test_no_more_than_there_were(void **state)
{
    fixture_t *f = *state;
    tell(f, link_ab(f, NULL), 1);
    UNTIL(f->b->count == 1);
    xo_link_t *back = xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
    node_swallow(f->b);
    for (int i = 0; i < 1000; i++)
        xo_link_undelivered(back);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(f->a->unlinked == 1);
    assert_int_equal(lost(f), 0);
}

static void test_what_a_closed_link_had_not_taken(void **state)
{
    fixture_t *f = *state;
    tell(f, link_ab(f, NULL), 10);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(f->a->unlinked == 1);
    assert_int_equal(lost(f), 10);
}

/* b keeps those of the tells that have come, but for the first `begun`, in mailboxes. */
static int64_t boxed_after(fixture_t *f, int count, int begun)
{
    _Atomic uint64_t boxed = 0;
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 200});
    xo_endpoint_show_boxed(f->b->endpoint, &boxed);
    tell(f, link, count);
    UNTIL(f->b->count == (size_t)count);
    xo_link_t *back = xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
    for (int i = 0; i < count; i++) { /* the credit goes back in portions of 50 */
        xo_link_box(back);
        node_swallow(f->b);
    }
    for (int i = 0; i < begun; i++)
        xo_link_unbox(back);
    settle(f);
    xo_endpoint_show_boxed(f->b->endpoint, NULL);
    b_dies(f);
    return (int64_t)boxed;
}

static void test_what_was_in_mailboxes_is_counted_once(void **state)
{
    fixture_t *f = *state;
    int64_t boxed = boxed_after(f, 170, 30);
    assert_int_equal(lost(f), 20);
    assert_int_equal(boxed, 120);
}

/* Its sender cannot know that it has begun. */
static void test_what_had_begun_and_is_counted_all_the_same(void **state)
{
    fixture_t *f = *state;
    int64_t boxed = boxed_after(f, 170, 160);
    assert_int_equal(lost(f), 20);
    assert_int_equal(boxed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(all_that_had_left),
        T(one_letter_for_all),
        T(not_those_whose_credit_came_back),
        T(not_calls),
        T(nothing_by_who_closes_in_order),
        T(what_came_in_vain_before_the_end),
        T(no_more_than_there_were),
        T(what_a_closed_link_had_not_taken),
        T(what_was_in_mailboxes_is_counted_once),
        T(what_had_begun_and_is_counted_all_the_same),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("lost", tests, NULL, NULL);
}
