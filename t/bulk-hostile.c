/* bulk-hostile.c - chunks that are early, late, wrong or never come, over the in-memory transport.
 */
#include "t/bulk-rig.h"

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

static xo_link_t *open_link(fixture_t *f)
{
    xo_link_t *link = bulk_link(f, "mem://b", NULL);
    bulk_open(f, link);
    return link;
}

static void forge(xo_lane_t *lane, const xo_header_t *header, xo_buf_t *body, const size_t *sizes)
{
    xo_msg_t *msg = xo_msg_create(header, xo_buf_slice(body));
    char *zeros = calloc(1, 2 * MIB);
    for (; sizes && *sizes; sizes++)
        assert_int_equal(xo_msg_add_buffer_copy(msg, zeros, *sizes), 0);
    assert_int_equal(xo_lane_send(lane, &msg), 0);
    xo_buf_free(body);
    free(zeros);
}

static void forge_chunk(xo_link_t *link, uint64_t id, uint64_t offset, size_t size)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_uint(&body, offset);
    forge(xoi_bulk_lane(link), &(xo_header_t){.kind = XO_CHUNK, .seq = id}, &body,
          (size_t[]){size, 0});
}

/* An announcement of `msg`, which has one buffer; `format` and what follows is its body. */
static void forge_announcement(xo_link_t *link, uint64_t id, xo_kind_t kind, const char *format,
                               uint64_t index, uint64_t size)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, format, index, size, index, size);
    xo_msg_t *msg = bulk_make(kind, "actor", 1, (size_t[]){64 * KIB, 0});
    xo_msg_set_sender_id(msg, xo_endpoint_self(link->endpoint)->id);
    xo_msg_t *head = xoi_msg_wrap(&(xo_header_t){.kind = XO_BULK, .seq = id}, xo_buf_slice(&body),
                                  msg, 64 * KIB);
    assert_int_equal(xo_lane_send(link->lane, &head), 0);
    xo_msg_destroy(&msg);
    xo_buf_free(&body);
}

static void expect_refusal(fixture_t *f)
{
    UNTIL(f->b->unlinked == 1 && f->a->unlinked == 1);
    assert_int_equal(f->b->why.errnum, EPROTO);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_MALFORMED], 1);
    assert_int_equal(f->b->count, 0);
}

/* ---- what is wrong with chunks ---- */

static void test_chunks_that_are_not_the_next(void **state)
{
    fixture_t *f = *state;
    const struct {
        uint64_t id, offset;
        size_t size;
    } second[] = {
        {1, 0, 1000},         /* a duplicate */
        {1, 1001, 1000},      /* a gap */
        {1, 1000, 64 * KIB},  /* too long */
        {0, 0, 1000},         /* of nothing */
        {1, UINT64_MAX, 1000} /* from nowhere */
    };
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        xo_link_t *link = open_link(f);
        forge_announcement(link, 1, XO_CALL, "[U U]", 0, 64 * KIB);
        forge_chunk(link, 1, 0, 1000);
        forge_chunk(link, second[i].id, second[i].offset, second[i].size);
        expect_refusal(f);
        node_destroy(f->a);
        node_destroy(f->b);
        f->a = f->b = NULL;
    }
}

/* As much as there is credit for may come before its message, or one message alone. */
static void test_chunks_of_what_never_comes_are_bounded(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = bulk_link(f, "mem://b", &(xo_endpoint_options_t){.window_bytes = 200 * KIB});
    bulk_open(f, link);
    forge_chunk(link, 9, 0, 2 * MIB);
    UNTIL(bulk_far_link(f)->bulk->early.count == 1);
    forge_chunk(link, 10, 0, 1000);
    expect_refusal(f);
}

static void test_chunks_after_the_last(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    forge_announcement(link, 1, XO_TELL, "[U U]", 0, 64 * KIB);
    forge_chunk(link, 1, 0, 64 * KIB);
    UNTIL(f->b->count == 1);
    forge_chunk(link, 1, 64 * KIB, 1);
    UNTIL(f->b->unlinked == 1);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_MALFORMED], 1);
}

static void test_announcements_that_cannot_be(void **state)
{
    fixture_t *f = *state;
    const struct {
        uint64_t id;
        xo_kind_t kind;
        const char *format;
        uint64_t index, size;
    } bad[] = {
        {2, XO_CALL, "[U U]", 0, 64 * KIB},      /* out of turn */
        {1, XO_CALL, "[U U]", 1, 64 * KIB},      /* no such buffer */
        {1, XO_CALL, "[U U]", 0, 0},             /* nothing */
        {1, XO_CALL, "[U U]", 0, UINT64_MAX},    /* too much */
        {1, XO_CALL, "[U U U]", 0, 64 * KIB},    /* half a pair */
        {1, XO_CALL, "{U U}", 0, 64 * KIB},      /* no list */
        {1, XO_CANCEL, "[U U]", 0, 64 * KIB},    /* of a kind without buffers */
        {1, XO_BULK, "[U U]", 0, 64 * KIB},      /* an announcement of one */
        {1, XO_HELLO, "[U U]", 0, 64 * KIB},     /* a second handshake */
        {1, XO_TELL, "[U U U U]", 0, 64 * KIB},  /* two of the same */
        {1, XO_CALL, "[U U]", 0, 9 * KIB * MIB}, /* more than a frame may be */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        xo_link_t *link = open_link(f);
        forge_announcement(link, bad[i].id, bad[i].kind, bad[i].format, bad[i].index, bad[i].size);
        expect_refusal(f);
        node_destroy(f->a);
        node_destroy(f->b);
        f->a = f->b = NULL;
    }
}

static void test_buffers_need_credit(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    forge_announcement(link, 1, XO_TELL, "[U U]", 0, XO_WINDOW_BYTES);
    forge_announcement(link, 2, XO_TELL, "[U U]", 0, 64 * KIB);
    forge_chunk(link, 1, 0, 1000);
    for (int i = 0; i < 5; i++)
        xo_loop_once(f->loop, 0);
    assert_int_equal(f->b->unlinked, 0);
    forge_chunk(link, 2, 0, 1000);
    UNTIL(f->b->unlinked == 1);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_OVERRUN], 1);
}

static void test_words_out_of_turn(void **state)
{
    fixture_t *f = *state;
    const xo_kind_t kinds[] = {XO_TAKEN, XO_ATTACH, XO_BULK, XO_CHUNK};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        xo_link_t *link = open_link(f);
        xo_buf_t body = XO_BUF_INIT;
        xo_pack_uint(&body, 1);
        forge(link->lane, &(xo_header_t){.kind = kinds[i]}, &body, NULL);
        expect_refusal(f);
        node_destroy(f->a);
        node_destroy(f->b);
        f->a = f->b = NULL;
    }
}

static void test_only_chunks_come_on_their_lane(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    xo_msg_t *msg = node_make(XO_CALL, 0, 1, 0);
    assert_int_equal(xo_lane_send(xoi_bulk_lane(link), &msg), 0);
    expect_refusal(f);
}

/* An answer that nobody waits for costs no memory, and one call gets one answer. */
static void test_answers_to_nobody_are_dropped(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = open_link(f);
    xo_link_t *far = bulk_far_link(f);
    xo_call_t *call = node_call(f->a, link, 1, 0, 0, &outcome);
    uint64_t seq = xo_call_seq(call);
    for (uint64_t i = 0; i < 2; i++) {
        xo_return_t to = {far, xo_endpoint_self(f->a->endpoint)->id, i ? seq : seq + 1};
        xo_msg_t *msg = bulk_make(XO_RESULT, "", 1, (size_t[]){MIB, 0});
        xo_endpoint_answer(f->b->endpoint, &to, &msg);
    }
    UNTIL(outcome.answers == 1);
    UNTIL(!link->bulk->in);
    assert_int_equal(xo_endpoint_drops(f->a->endpoint)[XO_DROP_NO_CALLER], 1);
    assert_int_equal(f->a->unlinked, 0);
}

static void test_answers_to_nobody_are_bounded(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    xo_msg_t *msg = bulk_make(XO_RESULT, "", 1, (size_t[]){64 * KIB, 0});
    for (uint64_t id = 1; id <= XO_BUFFERS_MAX + 1; id++) {
        xo_buf_t body = XO_BUF_INIT;
        xo_pack_format(&body, "[i U]", 0, 64 * KIB);
        xo_msg_t *head = xoi_msg_wrap(&(xo_header_t){.kind = XO_BULK, .seq = id},
                                      xo_buf_slice(&body), msg, 64 * KIB);
        assert_int_equal(xo_lane_send(link->lane, &head), 0);
        xo_buf_free(&body);
    }
    xo_msg_destroy(&msg);
    expect_refusal(f);
}

/* Memory is not kept for an answer that comes too late. */
static void test_a_call_that_ends_frees_its_answer(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = open_link(f);
    xo_link_t *far = bulk_far_link(f);
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    uint64_t seq = xo_call_seq(node_call(f->a, link, 1, 0, 500 * XO_MS, &outcome));
    xo_return_t to = {far, xo_endpoint_self(f->a->endpoint)->id, seq};
    xo_msg_t *msg = bulk_make(XO_RESULT, "", 1, (size_t[]){MIB, 0});
    xo_endpoint_answer(f->b->endpoint, &to, &msg);
    UNTIL(link->bulk->in && link->bulk->in->parts[0].data);
    xoi_fake_hold(xoi_bulk_lane(far), true);
    xo_loop_advance(f->loop, 501 * XO_MS);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_DEADLINE);
    assert_null(link->bulk->in->parts[0].data);
    xoi_fake_hold(xoi_bulk_lane(far), false);
    UNTIL(!link->bulk->in);
    assert_int_equal(f->a->unlinked, 0);
}

/* ---- time ---- */

static void test_chunks_may_be_faster_than_their_message(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    xoi_fake_hold(link->lane, true);
    bulk_tell(f, link, "actor", 1, 3 * MIB);
    bulk_tell(f, link, "other", 2, 100 * KIB);
    xo_link_t *far = bulk_far_link(f);
    UNTIL(far->bulk && far->bulk->early.count > 3);
    xoi_fake_hold(link->lane, false);
    UNTIL(f->b->count == 2);
    bulk_check(f->b->inbox[1].msg, (size_t[]){3 * MIB, 0});
    assert_int_equal(far->bulk->early.count, 0);
}

/* All of it has left, so the peer ends it. */
static void test_cancelled_on_the_way(void **state)
{
    fixture_t *f = *state;
    outcome_t cancelled = {0};
    outcome_t behind = {0};
    outcome_t next = {0};
    xo_link_t *link = open_link(f);
    f->b->echo = true;
    xoi_fake_hold(xoi_bulk_lane(link), true);
    xo_call_t *first = bulk_call(f, link, "actor", 1, 100 * KIB, 0, &cancelled);
    xo_call_t *second = node_call(f->a, link, 2, 0, 0, &behind);
    node_call(f->a, link, 3, 0, 0, &next);
    xo_call_cancel(second);
    UNTIL(behind.answers);
    assert_string_equal(behind.code, XO_CODE_CANCELLED);
    assert_string_equal(behind.executed, "no");
    assert_int_equal(next.answers, 0);
    xo_call_cancel(first);
    UNTIL(cancelled.answers && next.answers);
    assert_string_equal(cancelled.code, XO_CODE_CANCELLED);
    assert_string_equal(cancelled.executed, "no");
    assert_int_equal(next.value, 3);
    xoi_fake_hold(xoi_bulk_lane(link), false);
    UNTIL(!bulk_far_link(f)->bulk->in);
    UNTIL(link->bulk->ahead < XOI_BULK_WINDOW_BYTES / 4);
    assert_int_equal(cancelled.answers, 1);
    assert_int_equal(f->b->count, 0);
}

static void test_the_window_is_kept(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    xoi_fake_hold(xoi_bulk_lane(link), true);
    bulk_tell(f, link, "actor", 1, 20 * MIB);
    bulk_tell(f, link, "other", 2, 20 * MIB);
    for (int i = 0; i < 10; i++)
        xo_loop_once(f->loop, 0);
    assert_true(xo_lane_stats(xoi_bulk_lane(link))->bytes_out <= XOI_BULK_WINDOW_BYTES);
    node_call(f->a, link, 3, 0, 0, &(outcome_t){0}); /* its pair waits, and so must it */
    assert_int_equal(f->b->count, 0);
    xoi_fake_hold(xoi_bulk_lane(link), false);
    UNTIL(f->b->count == 3);
    assert_int_equal(bulk_argument(f, 1), 3);
    node_answer(f->b);
    node_answer(f->b);
    node_answer(f->b);
    xo_loop_once(f->loop, 0);
}

static void test_a_lane_without_room_goes_on_later(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    xoi_fake_set_room(xoi_bulk_lane(link), 1);
    xoi_fake_set_room(link->lane, 1);
    for (int i = 0; i < 4; i++)
        bulk_tell(f, link, "actor", i, MIB);
    UNTIL(f->b->count == 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(bulk_argument(f, i), (int64_t)i);
}

/* ---- ends ---- */

static void cut_lane(fixture_t *f, bool second)
{
    outcome_t sent = {0};
    outcome_t held = {0};
    outcome_t unsent = {0};
    xo_link_t *link = open_link(f);
    xoi_fake_hold(xoi_bulk_lane(link), true);
    bulk_call(f, link, "actor", 1, 100 * KIB, 0, &sent);
    node_call(f->a, link, 2, 0, 0, &held);
    bulk_call(f, link, "actor", 3, 20 * MIB, 0, &unsent);
    UNTIL(bulk_far_link(f)->bulk->in);
    for (int i = 0; i < 5; i++)
        xo_loop_once(f->loop, 0);
    xoi_fake_cut(second ? xoi_bulk_lane(link) : link->lane, ECONNRESET);
    UNTIL(sent.answers && held.answers && unsent.answers);
    assert_string_equal(sent.executed, "maybe");
    assert_string_equal(held.executed, "maybe");
    assert_string_equal(unsent.executed, "no");
    UNTIL(f->b->unlinked == 1);
    assert_int_equal(f->b->count, 0);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_CLOSED], 3);
}

static void test_cut_off_lane_for_chunks_ends_the_link(void **state)
{
    cut_lane(*state, true);
}

/* One letter for all of them: only what announced them had left. */
static void test_tells_that_had_not_left_whole_leave_a_letter(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = open_link(f);
    xo_buf_t letters = XO_BUF_INIT;
    uint32_t size;
    char reason[16] = "";
    int64_t count = 0;
    xoi_fake_hold(xoi_bulk_lane(link), true);
    for (int i = 0; i < 2; i++)
        bulk_tell(f, link, "actor", i, 20 * MIB);
    UNTIL(bulk_far_link(f)->bulk->in);
    xoi_fake_cut(link->lane, ECONNRESET);
    UNTIL(f->a->unlinked == 1);
    assert_int_equal(xo_endpoint_drops(f->a->endpoint)[XO_DROP_CLOSED], 2);
    xo_endpoint_letters(f->a->endpoint, 10, false, &letters);
    xo_reader_t reader = xo_reader(xo_buf_slice(&letters));
    assert_int_equal(xo_read_array(&reader, &size), 0);
    assert_int_equal(size, 1);
    const uint8_t *end = (const uint8_t *)letters.data + letters.size;
    xo_slice_t letter = xo_slice(reader.at, (size_t)(end - reader.at));
    xo_map_get_int(letter, "count", &count);
    xo_map_get_str(letter, "reason", reason, sizeof reason);
    assert_int_equal(count, 2);
    assert_string_equal(reason, "closed");
    xo_buf_free(&letters);
}

static void test_cut_off_main_lane_ends_the_link(void **state)
{
    cut_lane(*state, false);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(chunks_that_are_not_the_next),
        T(chunks_of_what_never_comes_are_bounded),
        T(chunks_after_the_last),
        T(announcements_that_cannot_be),
        T(buffers_need_credit),
        T(words_out_of_turn),
        T(only_chunks_come_on_their_lane),
        T(answers_to_nobody_are_dropped),
        T(answers_to_nobody_are_bounded),
        T(a_call_that_ends_frees_its_answer),
        T(chunks_may_be_faster_than_their_message),
        T(cancelled_on_the_way),
        T(the_window_is_kept),
        T(a_lane_without_room_goes_on_later),
        T(cut_off_lane_for_chunks_ends_the_link),
        T(cut_off_main_lane_ends_the_link),
        T(tells_that_had_not_left_whole_leave_a_letter),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("bulk-hostile", tests, NULL, NULL);
}
