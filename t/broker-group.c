/* Groups: what a broker makes of the failures of their members. The pools are endpoints of the
 * test's, which serve at once and write down what they are asked to do; so the broker's own parts
 * are called for the death of a process. Real deaths are in python/tests/test_groups.py. */
#include "broker/broker_impl.h"
#include "broker/supervisor_impl.h"
#include "t/broker-rig.h"

#define DIARY_BYTES 256
#define TRIES_MAX 8

typedef struct world {
    fixture_t *f;
    xo_broker_t *broker;
    char diary[DIARY_BYTES]; /* "-UID" ended, "+UID" created, "!UID" could not be created */
    const char *bad;         /* cannot be created */
    const char *stubborn;    /* does not end */
    uint64_t incarnation;
} world_t;

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    fixture_setup((void **)&w->f);
    fixture_t *f = w->f;
    w->broker = rig_broker(f, 1000, NULL, NULL);
    f->b = node_pool(f, RIG_DOOR, 11, 1);
    f->c = node_pool(f, RIG_DOOR, 12, 1);
    node_beat(f->b);
    node_beat(f->c);
    for (uint64_t id = 11; id <= 12; id++) {
        xo_member_t *member = xo_pools_find(&w->broker->pools, id);
        member->recovers = true;
        UNTIL(member->state == XO_POOL_READY);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_broker_destroy(w->broker);
    fixture_teardown((void **)&w->f);
    free(w);
    return 0;
}

/* ---- the pools ---- */

static xo_member_t *member_of(world_t *w, const node_t *pool)
{
    return xo_pools_find(&w->broker->pools, pool == w->f->b ? 11 : 12);
}

static void tell(node_t *pool, const char *method, xo_buf_t *args)
{
    xo_header_t header = {
        .kind = XO_TELL, .target_uid = xo_slice_str(XO_BROKER_UID), .method = xo_slice_str(method)};
    xo_pack_map(args, 0);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(args));
    xo_buf_free(args);
    xo_endpoint_tell(pool->endpoint, xo_endpoint_broker(pool->endpoint), &msg, 0, NULL, NULL, NULL);
}

/* `group` NULL: it is created again, and its broker knows of what. */
static void up(world_t *w, node_t *pool, xo_slice_t uid, const char *group, const char *restart)
{
    xo_buf_t args = XO_BUF_INIT, body = XO_BUF_INIT;
    if (group != NULL)
        xo_pack_format(&body, "[[] {} {s s s s}]", "group", group, "restart", restart);
    xo_pack_array(&args, 2);
    xo_pack_array(&args, 5);
    xo_pack_format(&args, "B U s ?", uid, ++w->incarnation, "Class", 0);
    if (group != NULL)
        xo_pack_format(&args, "[B]", xo_buf_slice(&body));
    else
        xo_pack_nil(&args);
    xo_buf_free(&body);
    tell(pool, "actor.up", &args);
}

static void down(world_t *w, node_t *pool, xo_slice_t uid, xo_slice_t reason)
{
    xo_buf_t args = XO_BUF_INIT;
    xo_pack_array(&args, 2);
    xo_pack_array(&args, 3);
    xo_pack_format(&args, "B U B", uid, w->incarnation, reason);
    tell(pool, "actor.down", &args);
}

static void note(world_t *w, char what, xo_slice_t uid)
{
    size_t used = strlen(w->diary);
    snprintf(w->diary + used, DIARY_BYTES - used, "%s%c%.*s", used ? " " : "", what, (int)uid.size,
             uid.data);
}

/* Serves the oldest request. */
static void serve_one(world_t *w, node_t *pool)
{
    const xo_msg_t *asked = pool->inbox[pool->first].msg;
    const xo_header_t *header = xo_msg_header(asked);
    if (header->kind == XO_CANCEL) { /* too late */
        node_swallow(pool);
        return;
    }
    xo_slice_t uid = header->target_uid;
    xo_header_t result = {.kind = XO_RESULT};
    xo_return_t to = xo_return_of(pool->inbox[pool->first].from, asked);
    bool bad = header->kind == XO_CREATE && w->bad != NULL && xo_slice_eq_str(uid, w->bad);
    if (header->kind == XO_CREATE)
        note(w, bad ? '!' : '+', uid);
    if (header->kind == XO_CREATE && !bad)
        up(w, pool, uid, NULL, NULL);
    if (header->kind == XO_DESTROY) {
        note(w, '-', uid);
        down(w, pool, uid, header->method);
    }
    xo_msg_t *msg = bad ? xo_failure_msg(0, XO_CODE_METHOD, "ran", NULL, "the test says no")
                        : xo_msg_create(&result, xo_slice("\xc0", 1));
    xo_endpoint_answer(pool->endpoint, &to, &msg);
    node_swallow(pool);
}

static void serve(world_t *w)
{
    node_t *pools[] = {w->f->b, w->f->c};
    for (size_t i = 0; i < 2; i++) {
        while (pools[i]->first < pools[i]->count)
            serve_one(w, pools[i]);
    }
}

static bool serves_until(world_t *w, const xo_group_t *group, xo_group_state_t state)
{
    serve(w);
    return group->state == state;
}

/* Its actors are gone; the next one is there at once. */
static void dies(world_t *w, node_t *pool, xo_end_t end)
{
    xo_member_t *member = member_of(w, pool);
    member->end = end;
    member->generation++;
    xo_broker_actors_away(w->broker, member, "it died");
    member->away = true;
    xo_member_set_state(member, XO_POOL_RECOVERING);
    xo_broker_recover(w->broker, member);
}

/* ---- groups ---- */

static xo_group_t *make(world_t *w, const char *name, xo_strategy_t strategy, xo_group_t *parent)
{
    xo_group_t *group = xo_group_create(w->broker, xo_slice_str(name), NULL);
    if (parent != NULL)
        assert_int_equal(xo_group_attach(group, parent, 0), 0);
    group->strategy = strategy;
    group->policy.backoff_ns = 0;
    xo_group_created(group);
    return group;
}

static xo_actor_entry_t *entry_of(world_t *w, const char *uid)
{
    return xo_directory_find(&w->broker->directory, xo_slice_str(uid));
}

static void add_as(world_t *w, node_t *pool, const char *uid, const char *group,
                   const char *restart)
{
    fixture_t *f = w->f;
    up(w, pool, xo_slice_str(uid), group, restart);
    UNTIL(entry_of(w, uid) != NULL && entry_of(w, uid)->seat != NULL);
}

static void add(world_t *w, node_t *pool, const char *uid, const char *group)
{
    add_as(w, pool, uid, group, "permanent");
}

/* What the pools were asked to do until the group is in this state. */
static void expect(world_t *w, const xo_group_t *group, xo_group_state_t state, const char *diary)
{
    fixture_t *f = w->f;
    UNTIL(serves_until(w, group, state));
    assert_string_equal(w->diary, diary);
    w->diary[0] = 0;
}

/* a and c in one pool, b in the other. */
static xo_group_t *three(world_t *w, xo_strategy_t strategy)
{
    xo_group_t *group = make(w, "g", strategy, NULL);
    add(w, w->f->b, "a", "g");
    add(w, w->f->c, "b", "g");
    add(w, w->f->b, "c", "g");
    return group;
}

static xo_actor_state_t state_of(world_t *w, const char *uid)
{
    return entry_of(w, uid)->state;
}

/* ---- tests ---- */

static void one_for_all_restarts_all_in_their_order(void **state)
{
    world_t *w = *state;
    xo_group_t *group = three(w, XO_ONE_FOR_ALL);
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, group, XO_GROUP_RUNNING, "-c -a +a +b +c");
    assert_int_equal(group->restarts, 1);
}

static void rest_for_one_restarts_those_behind(void **state)
{
    world_t *w = *state;
    xo_group_t *group = three(w, XO_REST_FOR_ONE);
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, group, XO_GROUP_RUNNING, "-c +b +c");
}

static void one_for_one_restarts_who_failed(void **state)
{
    world_t *w = *state;
    xo_group_t *group = three(w, XO_ONE_FOR_ONE);
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, group, XO_GROUP_RUNNING, "+b");
    dies(w, w->f->b, XO_END_FAILED);
    expect(w, group, XO_GROUP_RUNNING, "+a +c");
}

static void a_pool_that_dies_counts_once(void **state)
{
    world_t *w = *state;
    xo_group_t *group = three(w, XO_ONE_FOR_ONE);
    group->policy.intensity = 1;
    dies(w, w->f->b, XO_END_FAILED);
    expect(w, group, XO_GROUP_RUNNING, "+a +c");
    assert_int_equal(group->restarts, 1);
    dies(w, w->f->b, XO_END_ASKED);
    expect(w, group, XO_GROUP_RUNNING, "+a +c");
    dies(w, w->f->b, XO_END_FAILED);
    expect(w, group, XO_GROUP_FAILED, "");
}

static void a_creation_that_fails_counts(void **state)
{
    world_t *w = *state;
    xo_group_t *group = three(w, XO_REST_FOR_ONE);
    group->policy.intensity = 3;
    w->bad = "b";
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, group, XO_GROUP_FAILED, "-c !b !b !b");
    assert_non_null(strstr(group->reason, "actor \"b\" could not be created again: the test says"));
    assert_non_null(strstr(group->reason, "given up after 3 restarts"));
}

/* One that is begun is finished first, where its pool does not cancel it. */
static void a_failure_in_the_middle_begins_anew(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_group_t *group = three(w, XO_ONE_FOR_ALL);
    dies(w, f->c, XO_END_FAILED);
    UNTIL(f->b->first < f->b->count); /* c is to end */
    serve_one(w, f->b);
    UNTIL(f->b->first < f->b->count); /* a is to end */
    serve_one(w, f->b);
    UNTIL(f->b->first < f->b->count); /* a is to be created */
    serve_one(w, f->b);
    UNTIL(group->stepping == entry_of(w, "b")->seat);
    assert_string_equal(w->diary, "-c -a +a");
    dies(w, f->b, XO_END_FAILED); /* while b is being created */
    expect(w, group, XO_GROUP_RUNNING, "-c -a +a +b -b +a +b +c");
    assert_int_equal(group->restarts, 2);
}

static void all_of_a_group_that_failed_is_stopped(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_group_t *group = three(w, XO_ONE_FOR_ONE);
    group->policy.intensity = 0;
    dies(w, f->c, XO_END_FAILED);
    assert_int_equal(group->state, XO_GROUP_FAILED);
    assert_int_equal(state_of(w, "b"), XO_ACTOR_FAILED); /* at once */
    UNTIL((serve(w), state_of(w, "a") == XO_ACTOR_FAILED));
    expect(w, group, XO_GROUP_FAILED, "-c -a");
    assert_int_equal(state_of(w, "c"), XO_ACTOR_FAILED);
    assert_non_null(strstr(entry_of(w, "c")->reason, "it died; given up after 0 restarts"));
    dies(w, f->b, XO_END_FAILED); /* which changes nothing */
    UNTIL((serve(w), member_of(w, f->b)->state == XO_POOL_READY));
    assert_string_equal(w->diary, "");
    xo_group_revive(group);
    expect(w, group, XO_GROUP_RUNNING, "+a +b +c");
}

/* a, then a group of b, then c. */
static xo_group_t *nested(world_t *w, xo_group_t **child)
{
    xo_group_t *parent = make(w, "p", XO_ONE_FOR_ALL, NULL);
    add(w, w->f->b, "a", "p");
    *child = make(w, "k", XO_ONE_FOR_ONE, parent);
    add(w, w->f->c, "b", "k");
    add(w, w->f->b, "c", "p");
    return parent;
}

static void a_group_in_a_group_restarts_its_own(void **state)
{
    world_t *w = *state;
    xo_group_t *child, *parent = nested(w, &child);
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, child, XO_GROUP_RUNNING, "+b");
    assert_int_equal(parent->restarts, 0);
}

static void what_it_cannot_bring_back_is_its_parents(void **state)
{
    world_t *w = *state;
    xo_group_t *child, *parent = nested(w, &child);
    child->policy.intensity = 0;
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, parent, XO_GROUP_RUNNING, "-c -a +a +b +c");
    assert_int_equal(child->state, XO_GROUP_RUNNING);
    dies(w, w->f->c, XO_END_FAILED); /* it has forgotten the first */
    expect(w, parent, XO_GROUP_RUNNING, "-c -a +a +b +c");
    parent->policy.intensity = 0;
    dies(w, w->f->c, XO_END_FAILED);
    assert_int_equal(child->state, XO_GROUP_FAILED);
    assert_non_null(strstr(parent->reason, "group 'k' has failed: it died; given up after 0"));
    expect(w, parent, XO_GROUP_FAILED, "");
    fixture_t *f = w->f;
    UNTIL((serve(w), state_of(w, "a") == XO_ACTOR_FAILED));
    expect(w, parent, XO_GROUP_FAILED, "-c -a");
    xo_group_revive(parent);
    expect(w, parent, XO_GROUP_RUNNING, "+a +b +c");
}

static void a_parents_restart_takes_the_groups_in_it_along(void **state)
{
    world_t *w = *state;
    xo_group_t *child, *parent = nested(w, &child);
    dies(w, w->f->b, XO_END_FAILED);
    expect(w, parent, XO_GROUP_RUNNING, "-b +a +b +c");
    assert_int_equal(child->state, XO_GROUP_RUNNING);
    assert_int_equal(child->restarts, 0);
}

static void a_group_is_stopped_backwards(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_group_t *child, *parent = nested(w, &child);
    xo_group_stop(parent);
    UNTIL(f->b->first < f->b->count);
    xo_group_wake(child); /* it is not its turn */
    xo_loop_once(f->loop, 0);
    xo_loop_once(f->loop, 0);
    assert_int_equal(f->c->first, f->c->count);
    UNTIL((serve(w), w->broker->groups == NULL));
    assert_string_equal(w->diary, "-c -b -a");
    assert_null(entry_of(w, "a"));
    assert_null(entry_of(w, "b"));
}

static void who_is_destroyed_stays_away(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_group_t *group = three(w, XO_ONE_FOR_ALL);
    dies(w, f->c, XO_END_FAILED);
    UNTIL(f->b->first < f->b->count);
    down(w, f->b, xo_slice_str("c"), xo_slice_str("destroyed")); /* in the middle of it */
    UNTIL(entry_of(w, "c") == NULL);
    expect(w, group, XO_GROUP_RUNNING, "-c -a +a +b");
    assert_int_equal(group->count, 2);
}

static void only_their_restart_is_members_own(void **state)
{
    world_t *w = *state;
    xo_group_t *group = make(w, "g", XO_ONE_FOR_ALL, NULL);
    add(w, w->f->b, "a", "g");
    add_as(w, w->f->c, "transient", "g", "transient");
    add_as(w, w->f->b, "temporary", "g", "temporary");
    dies(w, w->f->c, XO_END_NORMAL);
    assert_null(entry_of(w, "transient"));
    expect(w, group, XO_GROUP_RUNNING, "");
    dies(w, w->f->c, XO_END_FAILED); /* none of them is there */
    expect(w, group, XO_GROUP_RUNNING, "");
    add_as(w, w->f->c, "transient", "g", "transient");
    dies(w, w->f->c, XO_END_FAILED);
    expect(w, group, XO_GROUP_RUNNING, "-temporary -a +a +transient");
    assert_null(entry_of(w, "temporary"));
}

static void a_pool_that_failed_fails_its_groups(void **state)
{
    world_t *w = *state;
    xo_group_t *child, *parent = nested(w, &child);
    xo_member_t *member = member_of(w, w->f->c);
    xo_broker_on_fact(w->broker->supervisor, member, XO_FACT_FAILED, "given up", w->broker);
    assert_int_equal(parent->state, XO_GROUP_FAILED);
    assert_int_equal(child->state, XO_GROUP_FAILED);
    assert_non_null(strstr(parent->reason, "has failed: given up"));
}

static bool refuses(world_t *w, const xo_group_t *group, const char *name, const char *why)
{
    xo_error_t err = {0};
    xo_buf_t body = XO_BUF_INIT, told = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_TELL, .target_uid = xo_slice_str("x")};
    size_t before = group->count;
    xo_actor_entry_t *entry = xo_broker_actor_up(w->broker, member_of(w, w->f->b),
                                                 xo_slice_str("x"), 99, xo_slice_str("Class"), 0);
    xo_pack_format(&body, "[[] {} {s s s i}]", "group", name, "shutdown_ms", why ? 0 : 1);
    xo_pack_format(&told, "[B]", xo_buf_slice(&body));
    xo_msg_t *from = xo_msg_create(&header, xo_slice(NULL, 0));
    int rc = xo_broker_take_spec(w->broker, entry, xo_buf_slice(&told), from, &err);
    xo_msg_destroy(&from);
    xo_buf_free(&body);
    xo_buf_free(&told);
    return rc < 0 && group->count == before && strstr(err.text, why ? why : name) != NULL;
}

static void what_cannot_be_a_member_is_refused(void **state)
{
    world_t *w = *state;
    xo_group_t *group = make(w, "g", XO_ONE_FOR_ALL, NULL);
    assert_true(refuses(w, group, "other", NULL));
    assert_true(refuses(w, group, "g", "shutdown_ms must be a whole number from 1"));
    xo_group_fail(group, "the test says so");
    assert_true(refuses(w, group, "g", NULL));
}

/* The link was lost in the middle, and the pool is the same: what it has not, has been lost. */
static void what_is_not_there_after_a_lost_link_has_failed(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_group_t *group = three(w, XO_REST_FOR_ONE);
    xo_member_t *member = member_of(w, f->b);
    xo_broker_recover(w->broker, member); /* only a is named anew */
    up(w, f->b, xo_slice_str("a"), "g", "permanent");
    UNTIL((serve(w), group->restarts == 1 && group->state == XO_GROUP_RUNNING));
    assert_string_equal(w->diary, "+c");
}

static void it_ends_in_the_middle(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    three(w, XO_ONE_FOR_ALL);
    dies(w, f->c, XO_END_FAILED);
    UNTIL(f->b->first < f->b->count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_for_all_restarts_all_in_their_order),
        TEST(rest_for_one_restarts_those_behind),
        TEST(one_for_one_restarts_who_failed),
        TEST(a_pool_that_dies_counts_once),
        TEST(a_creation_that_fails_counts),
        TEST(a_failure_in_the_middle_begins_anew),
        TEST(all_of_a_group_that_failed_is_stopped),
        TEST(a_group_in_a_group_restarts_its_own),
        TEST(what_it_cannot_bring_back_is_its_parents),
        TEST(a_parents_restart_takes_the_groups_in_it_along),
        TEST(a_group_is_stopped_backwards),
        TEST(who_is_destroyed_stays_away),
        TEST(only_their_restart_is_members_own),
        TEST(a_pool_that_failed_fails_its_groups),
        TEST(what_cannot_be_a_member_is_refused),
        TEST(what_is_not_there_after_a_lost_link_has_failed),
        TEST(it_ends_in_the_middle),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
