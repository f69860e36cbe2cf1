/* Specs of actors: what is kept of a creation, and which record of the directory holds it. */
#include <errno.h>

#include "broker/directory.h"
#include "t/unit.h"

static const char body[] = "\x92\x91\x01\x80"; /* [[1], {}] */
#define BODY xo_slice(body, 4)

static xo_msg_t *make_source(void)
{
    xo_header_t header = {.kind = XO_TELL, .method = xo_slice_str("actor.up")};
    xo_msg_t *msg = xo_msg_create(&header, BODY);
    assert_int_equal(xo_msg_add_buffer_copy(msg, "first", 5), 0);
    assert_int_equal(xo_msg_add_buffer_copy(msg, "", 0), 0);
    assert_int_equal(xo_msg_add_buffer_copy(msg, "third", 5), 0);
    return msg;
}

static xo_actor_spec_t *make(void)
{
    xo_msg_t *source = make_source();
    xo_actor_spec_t *spec = xo_actor_spec_create(BODY, source);
    xo_msg_destroy(&source);
    assert_non_null(spec);
    return spec;
}

static void it_makes_the_create_message_again(void **unused)
{
    (void)unused;
    xo_actor_spec_t *spec = make();
    for (int i = 0; i < 2; i++) { /* each time the same */
        xo_msg_t *msg = xo_actor_spec_msg(spec, xo_slice_str("alice"), "module:Class", 1, 7);
        const xo_header_t *header = xo_msg_header(msg);
        assert_int_equal(header->kind, XO_CREATE);
        assert_true(xo_slice_eq_str(header->target_uid, "alice"));
        assert_true(xo_slice_eq_str(header->method, "module:Class"));
        assert_true(xo_slice_eq(xo_msg_body(msg), BODY));
        assert_int_equal(xo_msg_buffer_count(msg), 3);
        assert_true(xo_slice_eq_str(xo_msg_buffer(msg, 0), "first"));
        assert_int_equal(xo_msg_buffer(msg, 1).size, 0);
        assert_true(xo_slice_eq_str(xo_msg_buffer(msg, 2), "third"));
        xo_msg_destroy(&msg);
    }
    assert_true(xo_actor_spec_bytes(spec) >= 4 + 10);
    xo_actor_spec_destroy(spec);
    xo_actor_spec_destroy(NULL);
    assert_int_equal(xo_actor_spec_bytes(NULL), 0);
}

static void the_registry_keeps_it(void **unused)
{
    xo_error_t err;
    xo_policy_t policy = xo_policy_default();
    (void)unused;
    xo_actor_spec_t *spec = make();
    policy.create_timeout_ns = 7 * XO_MS;
    assert_int_equal(xo_actor_spec_inherit(spec, &policy, &err), 0);
    xo_buf_t bytes = XO_BUF_INIT;
    xo_actor_spec_pack(spec, &bytes);
    xo_actor_spec_t *read = xo_actor_spec_unpack(xo_buf_slice(&bytes));
    xo_msg_t *msg = xo_actor_spec_msg(read, xo_slice_str("alice"), "module:Class", 1, 7);
    assert_true(xo_slice_eq(xo_msg_body(msg), BODY));
    assert_int_equal(xo_msg_buffer_count(msg), 3);
    assert_true(xo_slice_eq_str(xo_msg_buffer(msg, 2), "third"));
    assert_int_equal(xo_actor_spec_policy(read)->restart, xo_actor_spec_policy(spec)->restart);
    assert_int_equal(xo_actor_spec_policy(read)->period_ns, xo_actor_spec_policy(spec)->period_ns);
    assert_int_equal(xo_actor_spec_policy(read)->create_timeout_ns, 7 * XO_MS);
    xo_msg_destroy(&msg);
    xo_actor_spec_destroy(read);
    for (size_t size = 0; size < bytes.size; size++) { /* what somebody has cut short */
        assert_null(xo_actor_spec_unpack(xo_slice(bytes.data, size)));
        assert_int_equal(errno, EBADMSG);
    }
    assert_null(xo_actor_spec_unpack(xo_slice("\x94\x02\xc4\x00\x90\x80", 6))); /* another layout */
    xo_actor_spec_destroy(spec);
    xo_buf_free(&bytes);
}

/* ---- policy ---- */

/* A spec whose create message's body is what `format` writes. */
static xo_actor_spec_t *make_with(const char *format, ...)
{
    va_list args;
    xo_buf_t out = XO_BUF_INIT;
    xo_msg_t *source = make_source();
    va_start(args, format);
    assert_int_equal(xo_pack_vformat(&out, format, args), 0);
    va_end(args);
    xo_actor_spec_t *spec = xo_actor_spec_create(xo_buf_slice(&out), source);
    xo_buf_free(&out);
    xo_msg_destroy(&source);
    assert_non_null(spec);
    return spec;
}

static void what_it_leaves_open_is_its_pools(void **unused)
{
    xo_policy_t pools = xo_policy_default();
    xo_error_t err;
    (void)unused;
    pools.restart = XO_RESTART_TRANSIENT;
    pools.intensity = 9;
    xo_actor_spec_t *spec = make();
    assert_int_equal(xo_actor_spec_inherit(spec, &pools, &err), 0);
    assert_int_equal(xo_actor_spec_policy(spec)->intensity, 9);
    assert_int_equal(xo_actor_spec_policy(spec)->restart, XO_RESTART_PERMANENT);
    assert_int_equal(xo_actor_spec_inherit(spec, NULL, &err), 0);
    assert_int_equal(xo_actor_spec_policy(spec)->intensity, xo_policy_default().intensity);
    xo_actor_spec_destroy(spec);
    spec = make_with("[[] {} {s s s i}]", "restart", "transient", "period_ms", 7);
    assert_int_equal(xo_actor_spec_inherit(spec, &pools, &err), 0);
    assert_int_equal(xo_actor_spec_policy(spec)->restart, XO_RESTART_TRANSIENT);
    assert_int_equal(xo_actor_spec_policy(spec)->period_ns, 7000000);
    assert_int_equal(xo_actor_spec_policy(spec)->intensity, 9);
    xo_actor_spec_destroy(spec);
}

/* Of a pickle, and what the registry kept. */
static void options_are_stored_with_it(void **unused)
{
    xo_buf_t body = XO_BUF_INIT, kept = XO_BUF_INIT;
    xo_error_t err;
    (void)unused;
    xo_pack_array(&body, 3);
    xo_pack_ext(&body, XO_EXT_PICKLE, "no pickle", 9);
    xo_pack_format(&body, "n {s i}", "intensity", 2);
    xo_msg_t *source = make_source();
    xo_actor_spec_t *spec = xo_actor_spec_create(xo_buf_slice(&body), source);
    xo_actor_spec_pack(spec, &kept);
    xo_actor_spec_destroy(spec);
    spec = xo_actor_spec_unpack(xo_buf_slice(&kept));
    assert_int_equal(xo_actor_spec_inherit(spec, NULL, &err), 0);
    assert_int_equal(xo_actor_spec_policy(spec)->intensity, 2);
    xo_actor_spec_destroy(spec);
    xo_msg_destroy(&source);
    xo_buf_free(&body);
    xo_buf_free(&kept);
}

static void options_that_cannot_be_are_told(void **unused)
{
    xo_error_t err;
    xo_actor_spec_t *specs[] = {
        make_with("[[] {} {s s}]", "restart", "sometimes"),
        make_with("[[] {} {s i}]", "intensity", 65),
        make_with("[[] {} {s i s i}]", "period_ms", 5, "colour", 1),
        make_with("[[] {} {i i}]", 1, 1),
    };
    (void)unused;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        assert_int_equal(xo_actor_spec_inherit(specs[i], NULL, &err), -1);
        assert_non_null(strstr(err.text, "its restart policy: "));
        assert_int_equal(xo_actor_spec_policy(specs[i])->period_ns, xo_policy_default().period_ns);
        xo_actor_spec_destroy(specs[i]);
    }
}

static void a_call_with_three_values_has_options_only_if_the_last_is_a_map(void **unused)
{
    (void)unused;
    static const struct {
        const char *body;
        size_t size, options;
    } cases[] = {
        {"", 0, 0},         {"\x92\x90\x80", 3, 0},     {"\x93\x90\x80\x90", 4, 0},
        {"\x93\x90", 2, 0}, {"\x93\x90\x80\x80", 4, 1}, {"\x94\x90\x80\x80\x80", 5, 0},
        {"\xc0", 1, 0},     {"\x93\x90\x80\x81", 4, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(xo_create_options(xo_slice(cases[i].body, cases[i].size)).size,
                         cases[i].options);
}

static void history_is_forgotten_when_it_is_forgiven(void **unused)
{
    xo_error_t err;
    (void)unused;
    xo_actor_spec_t *spec = make_with("[[] {} {s i}]", "intensity", 1);
    assert_int_equal(xo_actor_spec_inherit(spec, NULL, &err), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(xo_actor_spec_ended(spec, XO_END_ASKED, 5, 0).action, XO_DECIDE_RESTART);
        assert_int_equal(xo_actor_spec_ended(spec, XO_END_FAILED, 5, 0).action, XO_DECIDE_RESTART);
        assert_int_equal(xo_actor_spec_ended(spec, XO_END_FAILED, 6, 0).action, XO_DECIDE_FAIL);
        xo_actor_spec_forgive(spec);
    }
    xo_actor_spec_destroy(spec);
}

static void history_goes_on_in_another_process(void **unused)
{
    xo_error_t err;
    char text[XO_POLICY_TEXT_BYTES];
    (void)unused;
    xo_actor_spec_t *spec = make_with("[[] {} {s i}]", "intensity", 2);
    assert_int_equal(xo_actor_spec_inherit(spec, NULL, &err), 0);
    xo_actor_spec_write_history(spec, 5 * XO_MS, 1005, text);
    assert_string_equal(text, "");
    xo_actor_spec_ended(spec, XO_END_FAILED, 5 * XO_MS, 0);
    xo_actor_spec_ended(spec, XO_END_FAILED, 7 * XO_MS, 0);
    xo_actor_spec_write_history(spec, 8 * XO_MS, 1008, text);
    assert_string_equal(text, "1005 1007");
    xo_actor_spec_forgive(spec);
    xo_actor_spec_read_history(spec, 20 * XO_MS, 1009, "1005 1007");
    assert_int_equal(xo_actor_spec_ended(spec, XO_END_FAILED, 21 * XO_MS, 0).action,
                     XO_DECIDE_FAIL);
    xo_actor_spec_destroy(spec);
}

/* ---- in the directory ---- */

typedef struct {
    xo_pools_t pools;
    xo_directory_t directory;
    xo_member_t *pool;
} world_t;

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    w->pool = xo_pools_add(&w->pools, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_directory_remove_pool(&w->directory, w->pool);
    assert_int_equal(w->pool->spec_bytes, 0);
    xo_pools_remove(&w->pools, w->pool);
    free(w);
    return 0;
}

static xo_actor_entry_t *put(world_t *w, uint64_t incarnation)
{
    return xo_directory_put(&w->directory, w->pool, xo_slice_str("alice"), incarnation,
                            xo_slice_str("Class"), false);
}

static void a_pools_specs_are_counted(void **state)
{
    world_t *w = *state;
    xo_actor_entry_t *entry = put(w, 1);
    xo_actor_spec_t *spec = make();
    xo_directory_set_spec(entry, spec);
    assert_int_equal(w->pool->spec_bytes, xo_actor_spec_bytes(spec));
    xo_directory_set_spec(entry, make());
    assert_int_equal(w->pool->spec_bytes, xo_actor_spec_bytes(entry->spec));
    xo_directory_set_spec(entry, NULL);
    assert_int_equal(w->pool->spec_bytes, 0);
}

static void an_actor_that_came_back_keeps_its_spec(void **state)
{
    world_t *w = *state;
    xo_actor_spec_t *spec = make();
    xo_actor_entry_t *entry = put(w, 1);
    xo_directory_set_spec(entry, spec);
    xo_directory_set_recent(entry, "1005");
    entry->state = XO_ACTOR_RECOVERING;
    entry = put(w, 2);
    assert_ptr_equal(entry->spec, spec);
    assert_string_equal(entry->recent, "1005");
    assert_int_equal(entry->state, XO_ACTOR_RUNNING);
    assert_ptr_equal(put(w, 2)->spec, spec); /* and when it is named again */
    assert_int_equal(w->pool->spec_bytes, xo_actor_spec_bytes(spec));
}

static void another_actor_of_that_uid_does_not_inherit_it(void **state)
{
    world_t *w = *state;
    xo_actor_entry_t *entry = put(w, 1);
    xo_directory_set_spec(entry, make());
    xo_directory_set_recent(entry, "1005");
    entry = put(w, 2);
    assert_null(entry->spec);
    assert_null(entry->recent);
    assert_int_equal(w->pool->spec_bytes, 0);
}

static void what_the_registry_does_not_know_is_remembered(void **state)
{
    world_t *w = *state;
    xo_actor_entry_t *entry = put(w, 1);
    assert_null(w->directory.unsaved);
    xo_directory_set_spec(entry, make());
    xo_directory_set_unsaved(&w->directory, entry, true);
    entry->state = XO_ACTOR_RECOVERING;
    entry = put(w, 2);
    assert_ptr_equal(w->directory.unsaved, entry); /* it has inherited that */
    xo_directory_set_unsaved(&w->directory, entry, false);
    assert_null(w->directory.unsaved);
    entry = put(w, 3); /* another actor, which has none: the registry's is to go */
    assert_ptr_equal(w->directory.unsaved, entry);
    xo_directory_remove(&w->directory, entry);
    assert_null(w->directory.unsaved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_makes_the_create_message_again),
        cmocka_unit_test(what_it_leaves_open_is_its_pools),
        cmocka_unit_test(options_are_stored_with_it),
        cmocka_unit_test(options_that_cannot_be_are_told),
        cmocka_unit_test(a_call_with_three_values_has_options_only_if_the_last_is_a_map),
        cmocka_unit_test(history_is_forgotten_when_it_is_forgiven),
        cmocka_unit_test(history_goes_on_in_another_process),
        cmocka_unit_test(the_registry_keeps_it),
        TEST(a_pools_specs_are_counted),
        TEST(an_actor_that_came_back_keeps_its_spec),
        TEST(another_actor_of_that_uid_does_not_inherit_it),
        TEST(what_the_registry_does_not_know_is_remembered),
    };
    return run_tap(tests);
}
