/* The directory: which actors live where; and how records are written. */
#include <stdio.h>
#include <unistd.h>

#include "broker/directory.h"
#include "broker/log.h"
#include "t/unit.h"

typedef struct {
    xo_pools_t pools;
    xo_directory_t directory;
    xo_member_t *one, *two;
} world_t;

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    w->pools.node_id = 0xabc;
    w->one = xo_pools_add(&w->pools, 1);
    w->two = xo_pools_add(&w->pools, 2);
    strcpy(w->one->address, "127.0.0.1:1");
    strcpy(w->two->address, "127.0.0.1:2");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    for (xo_member_t *m; (m = xo_pools_first(&w->pools)) != NULL;) {
        xo_directory_remove_pool(&w->directory, m);
        xo_pools_remove(&w->pools, m);
    }
    assert_int_equal(w->directory.count, 0);
    assert_null(w->directory.names);
    free(w);
    return 0;
}

static xo_actor_entry_t *put(world_t *w, xo_member_t *member, const char *uid, uint64_t incarnation)
{
    return xo_directory_put(&w->directory, member, xo_slice_str(uid), incarnation,
                            xo_slice_str("Class"), false);
}

static int count(world_t *w, const char *uid)
{
    int found = 0;
    for (xo_actor_entry_t *entry = xo_directory_find(&w->directory, xo_slice_str(uid)); entry;
         entry = entry->next_in_name)
        found++;
    return found;
}

static void a_uid_may_live_in_several_pools(void **state)
{
    world_t *w = *state;
    put(w, w->one, "alice", 1);
    xo_actor_entry_t *second = put(w, w->two, "alice", 1);
    put(w, w->one, "bob", 1);
    assert_int_equal(count(w, "alice"), 2);
    assert_int_equal(count(w, "bob"), 1);
    assert_int_equal(count(w, "ali"), 0);
    assert_ptr_equal(xo_directory_get(&w->directory, w->two, xo_slice_str("alice")), second);
    assert_null(xo_directory_get(&w->directory, w->two, xo_slice_str("bob")));
    xo_directory_remove(&w->directory, second);
    assert_int_equal(count(w, "alice"), 1);
    assert_int_equal(w->one->entry_count, 2);
    assert_int_equal(w->two->entry_count, 0);
}

static void what_is_told_again_replaces(void **state)
{
    world_t *w = *state;
    put(w, w->one, "alice", 1);
    put(w, w->one, "alice", 2);
    assert_int_equal(count(w, "alice"), 1);
    assert_int_equal(w->directory.count, 1);
    assert_int_equal(xo_directory_find(&w->directory, xo_slice_str("alice"))->incarnation, 2);
}

static void uids_are_bytes(void **state)
{
    world_t *w = *state;
    xo_slice_t uid = xo_slice("a\0b", 3);
    xo_directory_put(&w->directory, w->one, uid, 1, xo_slice_str("C"), true);
    assert_non_null(xo_directory_find(&w->directory, uid));
    assert_null(xo_directory_find(&w->directory, xo_slice("a", 1)));
}

static void many_come_and_go(void **state)
{
    world_t *w = *state;
    char uid[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(uid, sizeof uid, "actor-%d", i);
        put(w, i % 2 ? w->one : w->two, uid, 1);
    }
    xo_directory_remove_pool(&w->directory, w->one);
    assert_int_equal(w->directory.count, 5000);
    assert_int_equal(count(w, "actor-4998"), 1);
    assert_int_equal(count(w, "actor-4999"), 0);
}

/* ---- records ---- */

static void dump(const xo_rec_t *rec, char *text, size_t size)
{
    xo_buf_t packed = XO_BUF_INIT, out = XO_BUF_INIT;
    xo_rec_pack(rec, 0, &packed);
    assert_int_equal(xo_pack_dump(xo_buf_slice(&packed), &out, size - 4), 0);
    snprintf(text, size, "%.*s", (int)out.size, out.data);
    xo_buf_free(&packed);
    xo_buf_free(&out);
}

static void an_actors_record(void **state)
{
    world_t *w = *state;
    xo_rec_t rec = {0};
    char text[512];
    xo_actor_record(put(w, w->one, "alice", 5), 0xabc, &rec);
    dump(&rec, text, sizeof text);
    assert_string_equal(text, "{\"uid\": \"alice\", \"pool\": \"0000000000000001\", "
                              "\"node\": \"0000000000000abc\", \"address\": \"127.0.0.1:1\", "
                              "\"class\": \"Class\", \"incarnation\": 5, \"state\": \"running\", "
                              "\"restart\": \"temporary\"}");
}

static void uids_that_are_no_text_are_bin(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        bool text;
    } uids[] = {{"plain", 5, true},
                {"gr\xc3\xbc\xc3\x9f", 6, true},
                {"\xe2\x82\xac", 3, true},
                {"\xf0\x9f\x98\x80", 4, true},
                {"a\nb", 3, false},
                {"\xff", 1, false},
                {"\xc3", 1, false},
                {"\xc0\x80", 2, false},
                {"\xe0\x80\x80", 3, false},
                {"\xed\xa0\x80", 3, false},
                {"\xf4\x90\x80\x80", 4, false}};
    (void)state;
    for (size_t i = 0; i < sizeof uids / sizeof *uids; i++) {
        xo_rec_t rec = {0};
        xo_buf_t out = XO_BUF_INIT;
        xo_slice_t value;
        xo_rec_bytes(&rec, "uid", xo_slice(uids[i].bytes, uids[i].size));
        xo_rec_pack(&rec, 0, &out);
        assert_int_equal(xo_map_get(xo_buf_slice(&out), "uid", &value), 0);
        xo_reader_t reader = xo_reader(value);
        assert_int_equal(xo_read_type(&reader), uids[i].text ? XO_T_STR : XO_T_BIN);
        xo_buf_free(&out);
    }
}

/* Who reads a str may take it for UTF-8. */
static void texts_that_are_none_are_encoded(void **state)
{
    xo_rec_t rec = {0};
    char text[256];
    (void)state;
    xo_rec_text(&rec, "reason", "actor \"\xff\" did not stop: gr\xc3\xbc\xc3");
    xo_rec_text(&rec, "traceback", "two\n\tlines");
    dump(&rec, text, sizeof text);
    assert_string_equal(text, "{\"reason\": \"actor \\\"%FF\\\" did not stop: gr\xc3\xbc%C3\", "
                              "\"traceback\": \"two\\n\\u0009lines\"}");
}

/* The same of the log. */
static void a_line_of_the_log_is_text(void **state)
{
    char line[128] = {0};
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    const xo_log_t log = {fds[1], XO_LOG_INFO};
    xo_log(&log, XO_LOG_INFO, "test", "actor \"%s\" ends", "\xff gr\xc3\xbc\xc3\n");
    assert_true(read(fds[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, " info test: actor \"? gr\xc3\xbc? \" ends\n"));
    close(fds[0]);
    close(fds[1]);
}

static void what_the_registry_holds_gets_its_types_back(void **state)
{
    static const xo_field_t fields[] = {{"uid", {"a%00b", 5}},
                                        {"incarnation", {"12", 2}},
                                        {"state", {"running", 7}},
                                        {"pid", {"many", 4}},
                                        {"traceback", {"one\n\ttwo\n", 9}}};
    static const xo_record_t record = {"a%00b@01", fields, 5};
    xo_buf_t out = XO_BUF_INIT;
    xo_slice_t value, uid;
    int64_t incarnation;
    char text[32];
    (void)state;
    xo_rec_pack_registry(&record, true, &out);
    xo_slice_t map = xo_buf_slice(&out);
    assert_int_equal(xo_map_get_int(map, "incarnation", &incarnation), 0);
    assert_int_equal(incarnation, 12);
    assert_int_equal(xo_map_get_str(map, "state", text, sizeof text), 0);
    assert_int_equal(xo_map_get_str(map, "id", text, sizeof text), 0);
    assert_string_equal(text, "a%00b@01");
    assert_int_equal(xo_map_get_str(map, "pid", text, sizeof text), 0);
    assert_string_equal(text, "many"); /* better than nothing */
    assert_int_equal(xo_map_get_str(map, "traceback", text, sizeof text), 0);
    assert_string_equal(text, "one\n\ttwo\n");
    assert_int_equal(xo_map_get(map, "uid", &value), 0);
    xo_reader_t reader = xo_reader(value);
    assert_int_equal(xo_read_bin(&reader, &uid), 0);
    assert_true(xo_slice_eq(uid, xo_slice("a\0b", 3)));
    xo_buf_free(&out);
}

static void ids_are_sixteen_digits(void **state)
{
    char text[XO_ID_TEXT_BYTES];
    uint64_t id;
    (void)state;
    xo_id_format(0x1f, text);
    assert_string_equal(text, "000000000000001f");
    assert_int_equal(xo_id_parse(xo_slice_str(text), &id), 0);
    assert_int_equal(id, 0x1f);
    assert_errno(xo_id_parse(xo_slice_str("1f"), &id), EINVAL);
    assert_errno(xo_id_parse(xo_slice_str("000000000000001g"), &id), EINVAL);
    assert_errno(xo_id_parse(xo_slice_str(""), &id), EINVAL);
}

static void pools_are_found_by_name(void **state)
{
    world_t *w = *state;
    assert_ptr_equal(xo_pools_by_name(&w->pools, xo_slice_str("127.0.0.1:2")), w->two);
    assert_ptr_equal(xo_pools_by_name(&w->pools, xo_slice_str("0000000000000001")), w->one);
    assert_null(xo_pools_by_name(&w->pools, xo_slice_str("127.0.0.1:3")));
    w->one->index = 0;
    w->two->index = 2;
    assert_int_equal(xo_pools_free_index(&w->pools), 1);
    assert_ptr_equal(xo_pools_last(&w->pools), w->two);
    assert_ptr_equal(xo_pools_previous(w->two), w->one);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_uid_may_live_in_several_pools),
        TEST(what_is_told_again_replaces),
        TEST(uids_are_bytes),
        TEST(many_come_and_go),
        TEST(an_actors_record),
        TEST(uids_that_are_no_text_are_bin),
        TEST(texts_that_are_none_are_encoded),
        TEST(a_line_of_the_log_is_text),
        TEST(what_the_registry_holds_gets_its_types_back),
        TEST(ids_are_sixteen_digits),
        TEST(pools_are_found_by_name),
    };
    return run_tap(tests);
}
