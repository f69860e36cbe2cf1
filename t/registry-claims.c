/* registry-claims.c - how an actor whose node is gone, and its name, become another node's: in
 * Redis alone, since nobody shares a registry in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "t/registry-support.h"
#include "t/unit.h"

#define LEASE_MS 60000
#define ACTOR "xo:x@p0" /* of the node "dead", which has no record */

static int setup(void **state)
{
    if (probe_set_up(state) < 0)
        return -1;
    probe_t *probe = *state;
    probe_open_on(probe, (const char *const[]){NULL});
    assert_int_equal(put(probe, XO_REG_NODE, "a", "a", LEASE_MS, FIELDS("n", "1")), 0);
    assert_int_equal(put(probe, XO_REG_NODE, "b", "b", LEASE_MS, FIELDS("n", "1")), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, ACTOR, "dead", 0, FIELDS("placement", "any")), 0);
    assert_int_equal(put_spec(probe, ACTOR, xo_slice_str("spec")), 0);
    return 0;
}

static void claim_from(probe_t *probe, const char *from, const char *node, const char *to,
                       uint64_t epoch, outcome_t *outcome)
{
    const xo_field_t actor_fields[] = {{"placement", xo_slice_str("any")}};
    const xo_field_t name_fields[] = {{"node", xo_slice_str(node)}};
    const xo_record_t actor = {to, actor_fields, 1}, name = {"xo:x", name_fields, 1};
    xo_claim_t claim = {.from = from,
                        .actor = &actor,
                        .name = &name,
                        .owner = node,
                        .ttl_ms = LEASE_MS,
                        .epoch = epoch};
    outcome_free(outcome);
    *outcome = (outcome_t){0};
    xo_registry_claim(probe->registry, &claim, on_records, outcome);
}

static void begin_claim(probe_t *probe, const char *node, const char *to, uint64_t epoch,
                        outcome_t *outcome)
{
    claim_from(probe, ACTOR, node, to, epoch, outcome);
}

static uint64_t epoch_of(const outcome_t *outcome)
{
    return strtoull(outcome_field(outcome, 0, "epoch"), NULL, 10);
}

static int put_name(probe_t *probe, const char *node, const char *epoch)
{
    return put(probe, XO_REG_NAME, "xo:x", node, LEASE_MS, FIELDS("n", "1", "epoch", epoch));
}

static void of_two_one_gets_it(void **state)
{
    probe_t *probe = *state;
    outcome_t one = {0}, two = {0}, found = {0};
    begin_claim(probe, "a", "xo:x@pa", 0, &one);
    begin_claim(probe, "b", "xo:x@pb", 0, &two);
    assert_int_equal(outcome_wait(probe, &one), 0);
    assert_int_equal(outcome_wait(probe, &two), ENOENT); /* there is no such actor any more */
    assert_string_equal(outcome_field(&one, 0, "spec"), "spec");
    assert_true(epoch_of(&one) > 0);
    assert_int_equal(get(probe, XO_REG_NAME, "xo:x", &found), 0);
    assert_string_equal(outcome_field(&found, 0, "owner"), "a");
    assert_int_equal(put_name(probe, "b", "1"), EPERM);
    outcome_free(&one);
    outcome_free(&two);
    outcome_free(&found);
}

static void one_whose_answer_was_lost_is_not_given_twice(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0}, found = {0};
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), 0);
    begin_claim(probe, "a", "xo:x@pa", 0, &claim); /* it has not heard of that */
    assert_int_equal(outcome_wait(probe, &claim), ENOENT);
    assert_int_equal(get(probe, XO_REG_ACTOR, "xo:x@pa", &found), 0);
    assert_string_equal(outcome_field(&found, 0, "owner"), "a");
    outcome_free(&claim);
    outcome_free(&found);
}

static void a_name_that_somebody_has_is_not_given(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0};
    assert_int_equal(put_name(probe, "b", "7"), 0);
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), EPERM);
    outcome_free(&claim);
}

static void who_has_no_lease_gets_nothing(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0};
    begin_claim(probe, "c", "xo:x@pc", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), EPERM);
    outcome_free(&claim);
}

static void epochs_grow(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0};
    const uint64_t ahead = UINT64_C(4000000000000); /* of any clock */
    assert_int_equal(put_name(probe, "b", "4000000000000"), 0);
    assert_int_equal(del(probe, XO_REG_NODE, "b", "b"), 0);
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), 0);
    assert_true(epoch_of(&claim) > ahead);
    /* Who had it under a smaller one does not get it back, even if nobody lives. */
    assert_int_equal(del(probe, XO_REG_NODE, "a", "a"), 0);
    assert_int_equal(put_name(probe, "b", "4000000000000"), EPERM);
    outcome_free(&claim);
}

static void who_gives_it_away_again_is_too_late(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0}, found = {0};
    begin_claim(probe, "a", ACTOR, 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, ACTOR, XO_REG_NOBODY, 0, FIELDS("epoch", "5")),
                     EPERM);
    assert_int_equal(get(probe, XO_REG_ACTOR, ACTOR, &found), 0);
    assert_string_equal(outcome_field(&found, 0, "owner"), "a");
    assert_int_equal(put(probe, XO_REG_ACTOR, ACTOR, XO_REG_NOBODY, 0,
                         FIELDS("epoch", outcome_field(&claim, 0, "epoch"))),
                     0);
    outcome_free(&claim);
    outcome_free(&found);
}

/* Whose record was written once more, or is one that Redis had saved: its own end was lost. */
static void what_another_has_got_since_is_forgotten(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0}, found = {0};
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, ACTOR, "b", 0, FIELDS("placement", "any")), 0);
    assert_int_equal(put_spec(probe, ACTOR, xo_slice_str("spec")), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, ACTOR, XO_REG_NOBODY, 0, FIELDS("n", "1")), EPERM);
    assert_int_equal(get(probe, XO_REG_ACTOR, ACTOR, &found), ENOENT);
    assert_int_equal(lookup(probe, "xo:x", 4, &found), 0);
    assert_int_equal(found.count, 1);
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "EXISTS xo:{test}:spec:" ACTOR), "0");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:movable:b"), "");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:actors:b"), "");
    redisFree(c);
    outcome_free(&claim);
    outcome_free(&found);
}

/* Not if that one is gone, too: whoever claims it decides. */
static void what_nobody_who_lives_has_is_not_forgotten(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put_name(probe, "gone", "7"), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, ACTOR, XO_REG_NOBODY, 0, FIELDS("n", "1")), EPERM);
    assert_int_equal(get(probe, XO_REG_ACTOR, ACTOR, &found), 0);
    outcome_free(&found);
}

static void what_a_dead_node_had_goes_unless_it_is_taken(void **state)
{
    probe_t *probe = *state;
    outcome_t lapsed = {0}, claim = {0};
    redisContext *c = server_open(&probe->server);
    assert_int_equal(put_name(probe, "b", "7"), 0);
    assert_int_equal(put(probe, XO_REG_PORT, "h:1", "b", 0, FIELDS("address", "h:2")), 0);
    assert_int_equal(put(probe, XO_REG_PORT, "h:3", "a", 0, FIELDS("address", "h:4")), 0);
    assert_int_equal(del(probe, XO_REG_NODE, "b", "b"), 0);
    xo_registry_lapsed(probe->registry, 1, 0, on_records, &lapsed);
    assert_int_equal(outcome_wait(probe, &lapsed), 0);
    assert_true(atoi(server_ask(c, "PTTL xo:{test}:name:xo:x")) > 0);
    assert_true(atoi(server_ask(c, "PTTL xo:{test}:port:h:1")) > 0);
    assert_string_equal(server_ask(c, "PTTL xo:{test}:port:h:3"), "-1"); /* a lives */
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), 0);
    assert_string_equal(server_ask(c, "PTTL xo:{test}:name:xo:x"), "-1");
    server_ask(c, "DEL xo:{test}:port:h:1"); /* as when its time has come */
    outcome_free(&lapsed);
    lapsed = (outcome_t){0};
    xo_registry_lapsed(probe->registry, 1, 0, on_records, &lapsed);
    assert_int_equal(outcome_wait(probe, &lapsed), 0);
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:ports"), "h:3");
    redisFree(c);
    outcome_free(&lapsed);
    outcome_free(&claim);
}

static void while_it_is_refilling_nobody_gets_it(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0}, taken = {0}, found = {0};
    const xo_field_t field = {"n", xo_slice_str("1")};
    const xo_record_t name = {"xo:new", &field, 1};
    redisContext *c = server_open(&probe->server);
    server_ask(c, "SET xo:{test}:refill 1");
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), EAGAIN);
    xo_registry_take(probe->registry, &name, "a", LEASE_MS, on_done, &taken);
    assert_int_equal(outcome_wait(probe, &taken), EAGAIN);
    assert_int_equal(lookup(probe, "nobody", 6, &found), EAGAIN);
    server_ask(c, "DEL xo:{test}:refill");
    taken = (outcome_t){0};
    xo_registry_take(probe->registry, &name, "a", LEASE_MS, on_done, &taken);
    assert_int_equal(outcome_wait(probe, &taken), 0);
    redisFree(c);
    outcome_free(&claim);
    outcome_free(&found);
}

static void a_name_keeps_its_epoch(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    assert_int_equal(put_name(probe, "a", "7"), 0);
    assert_int_equal(put(probe, XO_REG_NAME, "xo:x", "a", LEASE_MS, FIELDS("m", "1")), 0);
    assert_int_equal(get(probe, XO_REG_NAME, "xo:x", &found), 0);
    assert_string_equal(outcome_field(&found, 0, "epoch"), "7");
    assert_string_equal(outcome_field(&found, 0, "n"), "");
    outcome_free(&found);
}

/* ---- what is listed is what there is ---- */

static void only_who_has_such_actors_is_listed(void **state)
{
    probe_t *probe = *state;
    outcome_t claim = {0};
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:movable"), "dead");
    begin_claim(probe, "a", "xo:x@pa", 0, &claim);
    assert_int_equal(outcome_wait(probe, &claim), 0);
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:movable"), "a");
    assert_int_equal(put(probe, XO_REG_ACTOR, "xo:x@pa", "b", 0, FIELDS("placement", "any")), 0);
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:movable"), "b");
    assert_int_equal(put(probe, XO_REG_ACTOR, "xo:x@pa", "b", 0, FIELDS("n", "1")), 0);
    assert_string_equal(server_ask(c, "EXISTS xo:{test}:movable xo:{test}:movable:b"), "0");
    redisFree(c);
    outcome_free(&claim);
}

/* Compares each set with what the records say, and each spec's key. */
static const char differences[] =
    "local p, want, wrong = 'xo:{test}:', {}, {}\n"
    "local function list(set, id)\n"
    "  want[set] = want[set] or {}\n"
    "  want[set][id] = true\n"
    "end\n"
    "local function keys(of) return redis.call('KEYS', p .. of) end\n"
    "for _, key in ipairs(keys('actor:*')) do\n"
    "  local id = key:sub(#p + 7)\n"
    "  local held = redis.call('HMGET', key, 'owner', 'placement')\n"
    "  local uid, pool = id:match('^(.*)@(.*)$')\n"
    "  list('actors', id)\n"
    "  list('actors:' .. held[1], id)\n"
    "  list('uid:' .. uid, pool)\n"
    "  if held[2] then\n"
    "    list('movable', held[1])\n"
    "    list('movable:' .. held[1], id)\n"
    "  end\n"
    "end\n"
    "for _, of in ipairs({'actors*', 'uid:*', 'movable*'}) do\n"
    "  for _, key in ipairs(keys(of)) do\n"
    "    local set = key:sub(#p + 1)\n"
    "    for _, id in ipairs(redis.call('SMEMBERS', key)) do\n"
    "      if want[set] and want[set][id] then want[set][id] = nil\n"
    "      else wrong[#wrong + 1] = set .. ' has ' .. id end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "for set, ids in pairs(want) do\n"
    "  for id in pairs(ids) do wrong[#wrong + 1] = set .. ' lacks ' .. id end\n"
    "end\n"
    "for _, key in ipairs(keys('spec:*')) do\n"
    "  if redis.call('EXISTS', p .. 'actor:' .. key:sub(#p + 6)) == 0 then\n"
    "    wrong[#wrong + 1] = key\n"
    "  end\n"
    "end\n"
    "return table.concat(wrong, ', ')\n";

#define STEPS 1000

/* Knuth's MMIX: The Art of Computer Programming, vol. 2, 3.3.4. */
static unsigned draw(unsigned below)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % below);
}

static void look_after_all(probe_t *probe)
{
    const xo_reap_t reap = {.owner = "a", .lease_ms = LEASE_MS, .after = "0"};
    outcome_t outcome = {0};
    xo_registry_reap(probe->registry, &reap, on_records, &outcome);
    outcome_wait(probe, &outcome);
    outcome_free(&outcome);
    outcome = (outcome_t){0};
    xo_registry_lapsed(probe->registry, 4, 0, on_records, &outcome);
    outcome_wait(probe, &outcome);
    outcome_free(&outcome);
}

/* What a node does, says too late, or says once more, at any time. */
static void take_a_step(probe_t *probe, const char *node, const char *id, const char *other)
{
    char epoch[2] = {(char)('0' + draw(10)), 0};
    const char *const *record =
        draw(3) ? FIELDS("placement", "any", "epoch", epoch) : FIELDS("n", "1");
    outcome_t outcome = {0};
    switch (draw(16)) {
    case 0:
        put(probe, XO_REG_NODE, node, node, LEASE_MS, FIELDS("n", "1"));
        break;
    case 1: /* it stops, or its lease lapses */
        if (draw(2))
            del(probe, XO_REG_NODE, node, node);
        else
            put(probe, XO_REG_NODE, node, node, 1, FIELDS("n", "1"));
        break;
    case 2:
        put_name(probe, node, epoch);
        break;
    case 3 ... 5: /* else few are to be had */
        del(probe, XO_REG_NAME, "xo:x", node);
        break;
    case 6:
        del(probe, XO_REG_ACTOR, id, node);
        break;
    case 7 ... 9:
        put(probe, XO_REG_ACTOR, id, node, 0, record);
        break;
    case 10 ... 11:
        if (draw(2))
            put_spec(probe, id, xo_slice_str("spec"));
        put(probe, XO_REG_ACTOR, id, XO_REG_NOBODY, 0, FIELDS("placement", "any", "epoch", epoch));
        break;
    case 12 ... 14:
        claim_from(probe, other, node, id, 0, &outcome);
        outcome_wait(probe, &outcome);
        break;
    default:
        look_after_all(probe);
    }
    outcome_free(&outcome);
}

static void sets_say_what_records_say(void **state)
{
    static const char *const nodes[] = {"a", "b", "c"};
    static const char *const ids[] = {"xo:x@pa", "xo:x@pb", "xo:x@pc", ACTOR};
    probe_t *probe = *state;
    redisContext *c = server_open(&probe->server);
    for (int i = 0; i < STEPS; i++) {
        unsigned node = draw(3);
        take_a_step(probe, nodes[node], ids[node], ids[draw(4)]);
        assert_string_equal(server_ask(c, "EVAL %s 0", differences), "");
    }
    redisFree(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, probe_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_two_one_gets_it),
        TEST(one_whose_answer_was_lost_is_not_given_twice),
        TEST(a_name_that_somebody_has_is_not_given),
        TEST(who_has_no_lease_gets_nothing),
        TEST(epochs_grow),
        TEST(who_gives_it_away_again_is_too_late),
        TEST(what_another_has_got_since_is_forgotten),
        TEST(what_nobody_who_lives_has_is_not_forgotten),
        TEST(what_a_dead_node_had_goes_unless_it_is_taken),
        TEST(while_it_is_refilling_nobody_gets_it),
        TEST(a_name_keeps_its_epoch),
        TEST(only_who_has_such_actors_is_listed),
        TEST(sets_say_what_records_say),
    };
    if (!server_installed()) {
        printf("1..0 # SKIP redis-server is not installed\n");
        return 0;
    }
    return run_tap(tests);
}
