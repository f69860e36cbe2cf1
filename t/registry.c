/* registry.c - what every implementation of the registry does: each test runs against the one in
 * memory and against a redis-server that it starts.
 */

#include <stdio.h>
#include <stdlib.h>

#include "t/registry-checks.h"

/* ---- records ---- */

static void up_says_empty(void **state)
{
    probe_t *probe = *state;
    probe_wait_up(probe, 1);
    assert_int_equal(probe->empties, 1);
    assert_int_equal(probe->downs, 0);
    assert_true(xo_registry_is_up(probe->registry));
}

static void put_and_get(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put(probe, XO_REG_NODE, "ab12", "me", 60000,
                         FIELDS("host", "büro 7", "pid", "4%", "note", "", "junk", "\x01\xff")),
                     0);
    assert_int_equal(get(probe, XO_REG_NODE, "ab12", &found), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.list[0].id, "ab12");
    assert_string_equal(outcome_field(&found, 0, "host"), "büro 7");
    assert_string_equal(outcome_field(&found, 0, "pid"), "4%");
    assert_string_equal(outcome_field(&found, 0, "junk"), "%01%FF");
    assert_string_equal(outcome_field(&found, 0, "owner"), "me");
    assert_string_equal(outcome_field(&found, 0, "lease_ms"), "60000");
    assert_int_equal(found.list[0].count, 6);
    assert_int_equal(get(probe, XO_REG_POOL, "ab12", &found), ENOENT);
    assert_int_equal(found.count, 0);
    assert_non_null(strstr(found.text, "ab12"));
    outcome_free(&found);
}

static void put_replaces_all(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put(probe, XO_REG_POOL, "p", "me", 60000, FIELDS("a", "1", "b", "2")), 0);
    assert_int_equal(put(probe, XO_REG_POOL, "p", "me", 0, FIELDS("b", "3", "c", "4")), 0);
    assert_int_equal(get(probe, XO_REG_POOL, "p", &found), 0);
    assert_int_equal(found.list[0].count, 3);
    assert_string_equal(outcome_field(&found, 0, "b"), "3");
    assert_string_equal(outcome_field(&found, 0, "c"), "4");
    assert_string_equal(outcome_field(&found, 0, "owner"), "me");
    assert_int_equal(list(probe, XO_REG_POOL, &found), 0);
    assert_int_equal(found.count, 1);
    outcome_free(&found);
}

static void a_lease_has_one_owner(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put(probe, XO_REG_POOL, "p", "me", 60000, FIELDS("n", "1")), 0);
    assert_int_equal(put(probe, XO_REG_POOL, "p", "you", 60000, FIELDS("n", "2")), EPERM);
    assert_int_equal(put(probe, XO_REG_POOL, "p", NULL, 0, FIELDS("n", "2")), EPERM);
    assert_int_equal(renew(probe, XO_REG_POOL, "p", "you", 60000), EPERM);
    assert_int_equal(del(probe, XO_REG_POOL, "p", "you"), EPERM);
    assert_int_equal(get(probe, XO_REG_POOL, "p", &found), 0);
    assert_string_equal(outcome_field(&found, 0, "n"), "1");
    assert_int_equal(renew(probe, XO_REG_POOL, "p", "me", 70000), 0);
    assert_int_equal(get(probe, XO_REG_POOL, "p", &found), 0);
    assert_string_equal(outcome_field(&found, 0, "lease_ms"), "70000");
    assert_int_equal(del(probe, XO_REG_POOL, "p", "me"), 0);
    assert_int_equal(put(probe, XO_REG_POOL, "p", "you", 60000, FIELDS("n", "3")), 0);
    outcome_free(&found);
}

static void what_is_no_lease_may_be_overwritten(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(put(probe, XO_REG_ACTOR, "a@p", "me", 0, FIELDS("n", "1")), 0);
    assert_int_equal(del(probe, XO_REG_ACTOR, "a@p", "you"), EPERM);
    assert_int_equal(put(probe, XO_REG_ACTOR, "a@p", "you", 0, FIELDS("n", "2")), 0);
    assert_int_equal(del(probe, XO_REG_ACTOR, "a@p", "you"), 0);
}

static void renew_needs_a_lease(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(put(probe, XO_REG_NODE, "other", "me", 60000, FIELDS("n", "1")), 0);
    assert_int_equal(renew(probe, XO_REG_NODE, "none", "me", 60000), ENOENT);
    assert_int_equal(del(probe, XO_REG_NODE, "none", "me"), 0);
    assert_int_equal(probe->ups, 1);
}

static void a_lease_lapses(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put(probe, XO_REG_POOL, "brief", "me", 30, FIELDS("n", "1")), 0);
    assert_int_equal(put(probe, XO_REG_POOL, "long", "me", 60000, FIELDS("n", "1")), 0);
    do /* each answer is an event; the server's clock decides how many it takes */
        assert_int_equal(list(probe, XO_REG_POOL, &found), 0);
    while (found.count == 2);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.list[0].id, "long");
    assert_int_equal(get(probe, XO_REG_POOL, "brief", &found), ENOENT);
    assert_int_equal(renew(probe, XO_REG_POOL, "brief", "me", 60000), ENOENT);
    assert_int_equal(put(probe, XO_REG_POOL, "brief", "you", 60000, FIELDS("n", "2")), 0);
    outcome_free(&found);
}

static void lists_are_sorted(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(list(probe, XO_REG_NODE, &found), 0);
    assert_int_equal(found.count, 0);
    for (char id[] = "c"; *id >= 'a'; --*id)
        assert_int_equal(put(probe, XO_REG_NODE, id, NULL, 0, FIELDS("n", id)), 0);
    assert_int_equal(put(probe, XO_REG_POOL, "d", NULL, 0, FIELDS("n", "4")), 0);
    assert_int_equal(put(probe, XO_REG_KEY, "e", "me", 0, FIELDS("n", "5")), 0);
    assert_int_equal(put(probe, XO_REG_KEY, "f", "you", 0, FIELDS("n", "6")), 0);
    assert_int_equal(list(probe, XO_REG_KEY, &found), 0);
    assert_true(found.count == 2 && !strcmp(found.list[0].id, "e"));
    assert_string_equal(outcome_field(&found, 0, "state"), ""); /* it has no home to lose */
    assert_int_equal(del(probe, XO_REG_NODE, "b", NULL), 0);
    assert_int_equal(list(probe, XO_REG_NODE, &found), 0);
    assert_true(found.count == 2 && !strcmp(found.list[0].id, "a"));
    assert_string_equal(outcome_field(&found, 0, "n"), "a");
    assert_string_equal(found.list[1].id, "c");
    assert_int_equal(found.list[0].count, 1); /* no owner, no lease */
    outcome_free(&found);
}

/* ---- specs ---- */

static void a_spec_is_any_bytes(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    size_t size = (size_t)3 << 20;
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 >> (i % 7));
    assert_int_equal(get_spec(probe, "a@p", &found), ENOENT);
    assert_non_null(strstr(found.text, "a@p"));
    assert_int_equal(put_spec(probe, "a@p", xo_slice("\0%\xff", 3)), 0);
    assert_int_equal(put_spec(probe, "b@p", xo_slice(bytes, size)), 0);
    assert_int_equal(get_spec(probe, "a@p", &found), 0);
    assert_int_equal(found.count, 1);
    assert_true(xo_slice_eq(found.list[0].fields[0].value, xo_slice("\0%\xff", 3)));
    assert_int_equal(get_spec(probe, "b@p", &found), 0);
    assert_true(xo_slice_eq(found.list[0].fields[0].value, xo_slice(bytes, size)));
    assert_int_equal(put_spec(probe, "b@p", xo_slice(bytes, XO_SPEC_BYTES_MAX + 1)), EINVAL);
    outcome_free(&found);
    free(bytes);
}

static void a_spec_is_apart_from_the_record(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put_spec(probe, "a@p", xo_slice("one", 3)), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, "a@p", "me", 0, FIELDS("n", "1")), 0);
    assert_int_equal(get_spec(probe, "a@p", &found), 0);
    assert_int_equal(get(probe, XO_REG_ACTOR, "a@p", &found), 0);
    assert_int_equal(found.list[0].count, 3); /* n, owner, and a state, since its pool is lost */
    assert_int_equal(put_spec(probe, "a@p", xo_slice(NULL, 0)), 0);
    assert_int_equal(get_spec(probe, "a@p", &found), ENOENT);
    assert_int_equal(put_spec(probe, "a@p", xo_slice("two", 3)), 0);
    assert_int_equal(del(probe, XO_REG_ACTOR, "a@p", "you"), EPERM);
    assert_int_equal(get_spec(probe, "a@p", &found), 0);
    assert_int_equal(del(probe, XO_REG_ACTOR, "a@p", "me"), 0);
    assert_int_equal(get_spec(probe, "a@p", &found), ENOENT);
    outcome_free(&found);
}

/* ---- actors ---- */

static void put_pool(probe_t *probe, const char *id)
{
    assert_int_equal(put(probe, XO_REG_POOL, id, "me", 60000, FIELDS("state", "ready")), 0);
}

static void put_actor(probe_t *probe, const char *id)
{
    assert_int_equal(put(probe, XO_REG_ACTOR, id, "me", 0, FIELDS("state", "running")), 0);
}

static void lookup_finds_all_of_a_uid(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    put_pool(probe, "p1");
    put_pool(probe, "p2");
    put_actor(probe, "counter@p2");
    put_actor(probe, "counter@p1");
    put_actor(probe, "counter2@p1");
    put_actor(probe, "a%40b@p1");
    assert_int_equal(lookup(probe, "counter", 7, &found), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.list[0].id, "counter@p1");
    assert_string_equal(found.list[1].id, "counter@p2");
    assert_string_equal(outcome_field(&found, 0, "state"), "running");
    assert_int_equal(lookup(probe, "a@b", 3, &found), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(del(probe, XO_REG_ACTOR, "counter@p1", "me"), 0);
    assert_int_equal(lookup(probe, "counter", 7, &found), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(lookup(probe, "nobody", 6, &found), 0);
    assert_int_equal(found.count, 0);
    outcome_free(&found);
}

static void a_uid_may_be_any_bytes(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    char id[XO_RECORD_ID_BYTES], uid[256], all[255];
    size_t size;
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(255 - i);
    put_pool(probe, "p1");
    assert_int_equal(xo_registry_actor_id(xo_slice(all, 255), "p1", id, sizeof(id)), 0);
    put_actor(probe, id);
    assert_int_equal(lookup(probe, all, sizeof(all), &found), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.list[0].id, id);
    assert_int_equal(xo_registry_actor_uid(found.list[0].id, uid, sizeof(uid), &size), 0);
    assert_int_equal(size, 255);
    assert_memory_equal(uid, all, 255);
    assert_int_equal(lookup(probe, all, sizeof(all) - 1, &found), 0);
    assert_int_equal(found.count, 0);
    outcome_free(&found);
}

static void an_actor_without_its_pool_is_lost(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    put_pool(probe, "p1");
    put_pool(probe, "p2");
    put_actor(probe, "x@p1");
    put_actor(probe, "x@p2");
    assert_int_equal(del(probe, XO_REG_POOL, "p1", "me"), 0);
    assert_int_equal(lookup(probe, "x", 1, &found), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.list[0].id, "x@p2");
    assert_int_equal(list(probe, XO_REG_ACTOR, &found), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(outcome_field(&found, 0, "state"), "lost");
    assert_string_equal(outcome_field(&found, 1, "state"), "running");
    assert_int_equal(del(probe, XO_REG_POOL, "p2", "me"), 0);
    assert_int_equal(lookup(probe, "x", 1, &found), 0);
    assert_int_equal(found.count, 2);
    put_pool(probe, "p1");
    assert_int_equal(get(probe, XO_REG_ACTOR, "x@p1", &found), 0);
    assert_string_equal(outcome_field(&found, 0, "state"), "running");
    outcome_free(&found);
}

/* ---- events ---- */

static void events_come_in_order(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    char text[16], third[64];
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof(text), "%d", i);
        xo_field_t fields[] = {{"n", xo_slice_str(text)}, {"uid", xo_slice("a\xff", 2)}};
        xo_registry_event(probe->registry, "pool.up", fields, 2);
    }
    assert_int_equal(events(probe, "0", 100, &found), 0);
    assert_int_equal(found.count, 6);
    assert_string_equal(found.list[0].fields[0].name, "type");
    assert_string_equal(outcome_field(&found, 0, "type"), "pool.up");
    assert_string_equal(outcome_field(&found, 5, "n"), "5");
    assert_string_equal(outcome_field(&found, 5, "uid"), "a%FF");
    snprintf(third, sizeof(third), "%s", found.list[2].id);
    assert_int_equal(events(probe, third, 2, &found), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(outcome_field(&found, 0, "n"), "3");
    assert_string_equal(outcome_field(&found, 1, "n"), "4");
    assert_int_equal(events(probe, "$-2", 100, &found), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(outcome_field(&found, 0, "n"), "4");
    assert_int_equal(events(probe, "$-0", 100, &found), 0);
    assert_int_equal(found.count, 0);
    assert_int_equal(events(probe, "9999999999999-0", 100, &found), 0);
    assert_int_equal(found.count, 0);
    outcome_free(&found);
}

static void events_are_trimmed(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    for (int i = 0; i < 12000; i++)
        xo_registry_event(probe->registry, "actor.up", NULL, 0);
    assert_int_equal(events(probe, "0", 20000, &found), 0);
    assert_in_range(found.count, 10000, 10200);
    assert_int_equal(events(probe, "$-20000", 20000, &found), 0);
    assert_int_equal(found.count, 10000);
    outcome_free(&found);
}

/* ---- rules ---- */

static void nonsense_is_refused(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    const char *const n[] = {"n", "1", NULL};
    assert_int_equal(put(probe, XO_REG_NODE, "", "me", 1, n), EINVAL);
    assert_int_equal(put(probe, XO_REG_NODE, "a b", "me", 1, n), EINVAL);
    assert_int_equal(put(probe, XO_REG_NODE, "a\xff", "me", 1, n), EINVAL);
    assert_int_equal(put(probe, XO_REG_NODE, "a", NULL, 1, n), EINVAL);
    assert_int_equal(put(probe, XO_REG_NODE, "a", "me", -1, n), EINVAL);
    assert_int_equal(put(probe, XO_REG_NODE, "a", "me", 1, n + 2), EINVAL);
    assert_int_equal(put(probe, XO_REG_NODE, "a", "me", 1, FIELDS("owner", "x")), EINVAL);
    assert_int_equal(put(probe, XO_REG_ACTOR, "a", "me", 0, n), EINVAL);
    assert_int_equal(put(probe, XO_REG_ACTOR, "@p", "me", 0, n), EINVAL);
    assert_int_equal(put(probe, (xo_reg_kind_t)7, "a", "me", 0, n), EINVAL);
    assert_int_equal(renew(probe, XO_REG_NODE, "a", "me", 0), EINVAL);
    assert_int_equal(lookup(probe, "", 0, &found), EINVAL);
    assert_int_equal(events(probe, "yesterday", 1, &found), EINVAL);
    assert_int_equal(events(probe, "$-", 1, &found), EINVAL);
    assert_int_equal(events(probe, "1-2x", 1, &found), EINVAL);
    assert_int_equal(list(probe, XO_REG_NODE, &found), 0);
    assert_int_equal(found.count, 0);
    outcome_free(&found);
}

static void what_is_begun_at_once_keeps_its_order(void **state)
{
    probe_t *probe = *state;
    outcome_t out[5] = {0};
    begin_put(probe, XO_REG_NODE, "x", "1", &out[0]);
    xo_registry_get(probe->registry, XO_REG_NODE, "x", on_records, &out[1]);
    begin_put(probe, XO_REG_NODE, "x", "2", &out[2]);
    xo_registry_del(probe->registry, XO_REG_NODE, "x", NULL, on_done, &out[3]);
    xo_registry_get(probe->registry, XO_REG_NODE, "x", on_records, &out[4]);
    assert_int_equal(outcome_wait(probe, &out[4]), ENOENT);
    for (int i = 0; i < 4; i++)
        assert_true(out[i].done);
    assert_int_equal(out[1].errnum, 0);
    assert_string_equal(outcome_field(&out[1], 0, "n"), "1");
    outcome_free(&out[1]);
    outcome_free(&out[4]);
}

static void ten_thousand_actors(void **state)
{
    probe_t *probe = *state;
    outcome_t last = {0}, found = {0};
    char id[32];
    put_pool(probe, "p1");
    for (int i = 0; i < 10000; i++) {
        snprintf(id, sizeof(id), "actor-%05d@p1", i);
        /* Each has 5 s, which is little for all of them under valgrind. */
        begin_put(probe, XO_REG_ACTOR, id, id, i % 1000 == 999 ? &last : NULL);
        if (i % 1000 != 999)
            continue;
        assert_int_equal(outcome_wait(probe, &last), 0);
        last = (outcome_t){0};
    }
    assert_int_equal(list(probe, XO_REG_ACTOR, &found), 0);
    assert_int_equal(found.count, 10000);
    for (size_t i = 0; i < found.count; i += 777) {
        snprintf(id, sizeof(id), "actor-%05zu@p1", i);
        assert_string_equal(found.list[i].id, id);
        assert_string_equal(outcome_field(&found, i, "n"), id);
    }
    outcome_free(&found);
}

static void close_tells_what_waits(void **state)
{
    probe_t *probe = *state;
    outcome_t out[2] = {0};
    probe_wait_up(probe, 1);
    begin_put(probe, XO_REG_NODE, "x", "1", &out[0]);
    xo_registry_list(probe->registry, XO_REG_NODE, on_records, &out[1]);
    xo_registry_close(probe->registry);
    probe->registry = NULL;
    assert_true(out[0].done && out[1].done);
    assert_int_equal(out[0].errnum, ECANCELED);
    assert_int_equal(out[1].errnum, ECANCELED);
    assert_int_equal(out[1].count, 0);
    outcome_free(&out[1]);
}

typedef struct closing {
    probe_t *probe;
    outcome_t *outcome;
} closing_t;

static void close_within(int errnum, const char *text, void *arg)
{
    closing_t *closing = arg;
    on_done(errnum, text, closing->outcome);
    xo_registry_close(closing->probe->registry);
    closing->probe->registry = NULL;
}

static void close_within_a_callback(void **state)
{
    probe_t *probe = *state;
    outcome_t first = {0}, second = {0};
    closing_t closing = {probe, &first};
    xo_registry_del(probe->registry, XO_REG_NODE, "x", NULL, close_within, &closing);
    begin_put(probe, XO_REG_NODE, "x", "1", &second);
    assert_int_equal(outcome_wait(probe, &first), 0);
    assert_int_equal(outcome_wait(probe, &second), ECANCELED);
    assert_null(probe->registry);
}

static void counters(void **state)
{
    probe_t *probe = *state;
    xo_registry_stats_t stats;
    assert_int_equal(del(probe, XO_REG_NODE, "x", NULL), 0);
    assert_int_equal(renew(probe, XO_REG_NODE, "x", "me", 1), ENOENT);
    xo_registry_event(probe->registry, "not one word", NULL, 0);
    xo_registry_get_stats(probe->registry, &stats);
    assert_true(stats.operations == 3 && stats.failed == 1 && stats.dropped_events == 1);
    assert_true(stats.connections == 1 && stats.waiting == 0 && stats.waiting_bytes == 0);
}

static const check_t checks[] = {
    CHECK(up_says_empty),
    CHECK(put_and_get),
    CHECK(a_spec_is_any_bytes),
    CHECK(a_spec_is_apart_from_the_record),
    CHECK(put_replaces_all),
    CHECK(a_lease_has_one_owner),
    CHECK(what_is_no_lease_may_be_overwritten),
    CHECK(renew_needs_a_lease),
    CHECK(a_lease_lapses),
    CHECK(lists_are_sorted),
    CHECK(lookup_finds_all_of_a_uid),
    CHECK(a_uid_may_be_any_bytes),
    CHECK(an_actor_without_its_pool_is_lost),
    CHECK(events_come_in_order),
    CHECK(events_are_trimmed),
    CHECK(nonsense_is_refused),
    CHECK(what_is_begun_at_once_keeps_its_order),
    CHECK(ten_thousand_actors),
    CHECK(close_tells_what_waits),
    CHECK(close_within_a_callback),
    CHECK(counters),
};
int main(void)
{
    return registry_run_checks(checks, sizeof(checks) / sizeof(checks[0]));
}
