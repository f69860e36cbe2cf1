/* registry-shared.c - what a registry does so that brokers that share it need not read what is
 * others': each test runs against both implementations.
 */
#include "t/registry-checks.h"

static void an_owner_s_own_are_listed(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put(probe, XO_REG_ACTOR, "a@p1", "me", 0, FIELDS("n", "1")), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, "b@p1", "me", 0, FIELDS("n", "2")), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, "c@p1", "me", 0, FIELDS("n", "3")), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, "d@p2", "you", 0, FIELDS("n", "4")), 0);
    assert_int_equal(put(probe, XO_REG_GROUP, "g@me", "me", 0, FIELDS("n", "5")), 0);
    assert_int_equal(list_of(probe, XO_REG_ACTOR, "me", &found), 0);
    assert_true(found.count == 3 && !strcmp(found.list[0].id, "a@p1"));
    assert_int_equal(list_of(probe, XO_REG_GROUP, "me", &found), 0);
    assert_true(found.count == 1 && !strcmp(found.list[0].id, "g@me"));
    assert_int_equal(list_of(probe, XO_REG_GROUP, "you", &found), 0);
    assert_int_equal(found.count, 0);
    assert_int_equal(del(probe, XO_REG_ACTOR, "a@p1", "me"), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, "c@p1", "you", 0, FIELDS("n", "3")), 0);
    assert_int_equal(list_of(probe, XO_REG_ACTOR, "me", &found), 0);
    assert_true(found.count == 1 && !strcmp(found.list[0].id, "b@p1"));
    assert_int_equal(list_of(probe, XO_REG_ACTOR, "you", &found), 0);
    assert_int_equal(found.count, 2);
    assert_int_equal(list_of(probe, XO_REG_POOL, "me", &found), EINVAL);
    outcome_free(&found);
}

static void put_counter(probe_t *probe, const char *id)
{
    assert_int_equal(put(probe, XO_REG_ACTOR, id, "me", 0, FIELDS("n", "1")), 0);
}

static void who_watches_a_uid_hears_of_its_next_change(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    put_counter(probe, "a@p1");
    assert_int_equal(news(probe, "n1", &found), 0);
    assert_int_equal(found.count, 0);
    xo_registry_watch(probe->registry, xo_slice_str("a"), "n1");
    xo_registry_watch(probe->registry, xo_slice_str("a"), "n2");
    xo_registry_watch(probe->registry, xo_slice_str("b c"), "n1");
    put_counter(probe, "x@p1");
    assert_int_equal(news(probe, "n1", &found), 0);
    assert_int_equal(found.count, 0);
    put_counter(probe, "a@p2");
    assert_int_equal(news(probe, "n1", &found), 0);
    assert_true(found.count == 1 && !strcmp(found.list[0].id, "a"));
    put_counter(probe, "b%20c@p1");
    put_counter(probe, "a@p3"); /* that was told */
    assert_int_equal(news(probe, "n1", &found), 0);
    assert_true(found.count == 1 && !strcmp(found.list[0].id, "b%20c"));
    assert_int_equal(news(probe, "n2", &found), 0);
    assert_int_equal(found.count, 1);
    xo_registry_watch(probe->registry, xo_slice_str("a"), "n1");
    assert_int_equal(del(probe, XO_REG_ACTOR, "a@p3", "me"), 0);
    assert_int_equal(news(probe, "n1", &found), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(news(probe, "n1", &found), 0);
    assert_int_equal(found.count, 0);
    outcome_free(&found);
}

int main(void)
{
    static const check_t checks[] = {
        CHECK(an_owner_s_own_are_listed),
        CHECK(who_watches_a_uid_hears_of_its_next_change),
    };
    return registry_run_checks(checks, sizeof(checks) / sizeof(checks[0]));
}
