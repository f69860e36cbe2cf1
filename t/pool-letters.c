/* pool-letters.c - dead letters: what a pool keeps of messages that it could not deliver, and says
 * when it is asked.
 */
#include <stdlib.h>
#include <string.h>

#include "t/pool-world.h"

#define KEPT 128
#define ME 77 /* the peer's id */

typedef struct asker {
    peer_t peer;
    uint64_t seq;
    xo_msg_t *answer;
} asker_t;

static void open_asker(asker_t *asker, world_t *world)
{
    *asker = (asker_t){.seq = 100};
    peer_open(&asker->peer, world, "client", ME);
}

static void close_asker(asker_t *asker)
{
    xo_msg_destroy(&asker->answer);
    peer_close(&asker->peer);
}

static xo_header_t letters_header(asker_t *asker)
{
    return (xo_header_t){
        .kind = XO_CALL, .seq = ++asker->seq, .method = xo_slice_str(XO_METHOD_LETTERS)};
}

/* The letters, an array of `count`. */
static xo_reader_t ask(asker_t *asker, unsigned max, bool payload, uint32_t count)
{
    uint32_t found;
    peer_send(&asker->peer, letters_header(asker), "[[u ?] {}]", max, payload);
    xo_msg_destroy(&asker->answer);
    asker->answer = peer_answer(&asker->peer, asker->seq);
    assert_int_equal(xo_msg_header(asker->answer)->kind, XO_RESULT);
    xo_reader_t reader = xo_reader(xo_msg_body(asker->answer));
    assert_int_equal(xo_read_array(&reader, &found), 0);
    assert_int_equal(found, count);
    return reader;
}

static xo_slice_t next(xo_reader_t *reader)
{
    xo_slice_t letter;
    assert_int_equal(xo_read_raw(reader, &letter), 0);
    return letter;
}

static xo_slice_t get(xo_slice_t letter, const char *key)
{
    xo_slice_t value, text;
    assert_int_equal(xo_map_get(letter, key, &value), 0);
    xo_reader_t reader = xo_reader(value);
    assert_int_equal(xo_read_bytes(&reader, &text), 0);
    return text;
}

static void expect(xo_slice_t letter, const char *key, const char *text)
{
    xo_slice_t value = get(letter, key);
    if (!xo_slice_eq_str(value, text))
        fail_msg("%s is '%.*s', not '%s'", key, (int)value.size, value.data, text);
}

static bool has(xo_slice_t letter, const char *key)
{
    xo_slice_t value;
    return xo_map_get(letter, key, &value) == 0;
}

static xo_header_t tell_header(const char *uid, const char *method)
{
    return (xo_header_t){.kind = XO_TELL,
                         .target_uid = xo_slice_str(uid),
                         .sender_uid = xo_slice_str("me"),
                         .method = xo_slice_str(method)};
}

static void test_who_and_why(void **state)
{
    int64_t bytes;
    asker_t asker;
    world_t *world = *state;
    create(world, "a");
    open_asker(&asker, world);
    ask(&asker, 10, false, 0);
    peer_send(&asker.peer, tell_header("nobody", "greet"), "[[i] {}]", 5);
    peer_send(&asker.peer, tell_header("a", "fail"), "[[] {}]");
    run_until_log(world, "a.fail ");
    xo_reader_t reader = ask(&asker, 10, false, 2);
    xo_slice_t letter = next(&reader);
    expect(letter, "reason", "no-actor");
    expect(letter, "kind", "tell");
    expect(letter, "uid", "nobody");
    expect(letter, "method", "greet");
    expect(letter, "sender", "me");
    expect(letter, "address", xo_pool_address(world->pool));
    assert_int_equal(strncmp(get(letter, "from").data, "process ", 8), 0);
    assert_int_equal(xo_map_get_int(letter, "bytes", &bytes), 0);
    assert_true(bytes > 20 && bytes < 200);
    assert_true(has(letter, "time") && !has(letter, "payload"));
    letter = next(&reader);
    expect(letter, "reason", "error");
    expect(letter, "uid", "a");
    close_asker(&asker);
}

/* A str of a record is UTF-8, whatever a peer has called the method, and wherever it is cut. */
static void test_methods_that_are_no_text(void **state)
{
    char name[200];
    asker_t asker;
    world_t *world = *state;
    open_asker(&asker, world);
    memset(name, 'a', sizeof name);
    memcpy(name + 127, "\u00e9", sizeof "\u00e9"); /* one byte is kept */
    peer_send(&asker.peer, tell_header("nobody", "caf\xe9 \u00e9"), "[[] {}]");
    peer_send(&asker.peer, tell_header("nobody", name), "[[] {}]");
    xo_reader_t reader = ask(&asker, 10, false, 2);
    expect(next(&reader), "method", "caf? \u00e9");
    memcpy(name + 127, "?", sizeof "?");
    expect(next(&reader), "method", name);
    close_asker(&asker);
}

static void test_the_last_ones(void **state)
{
    char uid[16];
    asker_t asker;
    world_t *world = *state;
    open_asker(&asker, world);
    for (int i = 0; i < 2 * KEPT + 5; i++) {
        snprintf(uid, sizeof uid, "u%d", i);
        peer_send(&asker.peer, tell_header(uid, "greet"), "[[] {}]");
    }
    xo_reader_t reader = ask(&asker, 2, true, 2);
    expect(next(&reader), "uid", "u259");
    expect(next(&reader), "uid", "u260");
    reader = ask(&asker, 1000, false, KEPT);
    expect(next(&reader), "uid", "u133");
    close_asker(&asker);
}

static void test_answers_are_letters_calls_are_answered(void **state)
{
    asker_t asker;
    world_t *world = *state;
    create(world, "a");
    open_asker(&asker, world);
    xo_future_t *call = start(world, "nobody", "greet", 1);
    expect_error(call, XO_CODE_ACTOR_NOT_EXIST, "no");
    ask(&asker, 10, false, 0);
    xo_header_t answer = {.kind = XO_RESULT, .seq = 5, .target_uid = xo_slice_str("x")};
    peer_send(&asker.peer, answer, "i", 6);
    xo_reader_t reader = ask(&asker, 10, false, 1);
    xo_slice_t letter = next(&reader);
    expect(letter, "reason", "no-caller");
    expect(letter, "kind", "result");
    close_asker(&asker);
}

static void test_bodies_only_where_they_are_asked_for(void **state)
{
    asker_t asker;
    world_t *world = *state;
    assert_int_equal(setenv("XO_LETTER_BYTES", "12", 1), 0);
    xo_ctx_destroy(world->ctx);
    world->ctx = xo_ctx_create("test", NULL);
    unsetenv("XO_LETTER_BYTES");
    assert_non_null(world->ctx);
    world_open(world);
    open_asker(&asker, world);
    peer_send(&asker.peer, tell_header("nobody", "greet"), "[[i s] {}]", 5, "short");
    peer_send(&asker.peer, tell_header("nobody", "greet"), "[[s] {}]", "too long for that");
    xo_reader_t reader = ask(&asker, 10, false, 2);
    assert_false(has(next(&reader), "payload"));
    reader = ask(&asker, 10, true, 2);
    xo_slice_t payload, text;
    int number;
    assert_int_equal(xo_map_get(next(&reader), "payload", &payload), 0);
    assert_int_equal(xo_unpack(payload, NULL, "[[i s] _]", &number, &text), 0);
    assert_int_equal(number, 5);
    assert_true(xo_slice_eq_str(text, "short"));
    assert_int_equal(get(next(&reader), "payload").size, 12);
    close_asker(&asker);
}

static void test_how_much_is_kept_of_a_body(void **state)
{
    (void)state;
    xo_error_t err;
    const char *const bad[] = {"", "-1", "65537", "x", "5x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("XO_LETTER_BYTES", bad[i], 1);
        assert_null(xo_ctx_create("test", &err));
        assert_int_equal(err.errnum, EINVAL);
        assert_non_null(strstr(err.text, "XO_LETTER_BYTES"));
    }
    unsetenv("XO_LETTER_BYTES");
}

static void test_a_question_that_is_none(void **state)
{
    asker_t asker;
    world_t *world = *state;
    open_asker(&asker, world);
    peer_send(&asker.peer, letters_header(&asker), "[[s] {}]", "all");
    peer_expect_error(&asker.peer, asker.seq, XO_CODE_REFUSED, "no", NULL);
    close_asker(&asker);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_bare, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_who_and_why),
        WORLD_TEST(test_methods_that_are_no_text),
        WORLD_TEST(test_the_last_ones),
        WORLD_TEST(test_answers_are_letters_calls_are_answered),
        BARE_TEST(test_bodies_only_where_they_are_asked_for),
        BARE_TEST(test_how_much_is_kept_of_a_body),
        WORLD_TEST(test_a_question_that_is_none),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
