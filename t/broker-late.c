/* Creations that take too long, when a pool has been started again. Time stands still in these
 * tests but for what they say. */
#include "t/recover-world.h"

static void limit_creations(world_t *w, xo_policy_t *policy)
{
    *policy = xo_policy_default();
    policy->create_timeout_ns = 400 * XO_MS;
    policy->period_ns = 100 * XO_MS;
    policy->intensity = 2;
    w->member->policy = policy;
    xo_loop_freeze(w->f->loop, xo_loop_now(w->f->loop));
}

static void wait_ms(world_t *w, int64_t ms)
{
    xo_loop_advance(w->f->loop, ms * XO_MS);
    for (int i = 0; i < 20; i++)
        xo_loop_once(w->f->loop, 0);
}

static bool is_cancelled(const world_t *w)
{
    const node_t *pool = w->f->b;
    return pool->count > 0 && xo_msg_header(pool->inbox[pool->count - 1].msg)->kind == XO_CANCEL;
}

/* Handles all but creations, and lets backoffs pass. */
static void next_creation(world_t *w)
{
    node_t *pool = w->f->b;
    for (int i = 0; i < 200; i++, wait_ms(w, 1)) {
        for (; pool->first < pool->count; answer(w, NULL)) {
            if (xo_msg_header(pool->inbox[pool->first].msg)->kind == XO_CREATE)
                return;
        }
    }
    fail_msg("nothing is created");
}

/* More than a period each: the history of a try must not be over with it. */
static void one_that_takes_too_long_is_cancelled(void **state)
{
    world_t *w = *state;
    xo_policy_t policy;
    limit_creations(w, &policy);
    come_back_with(w, "slow");
    for (int i = 0; i < 2; i++) {
        next_creation(w);
        wait_ms(w, 399);
        assert_false(is_cancelled(w));
        wait_ms(w, 52); /* an eighth more, and the rest */
        assert_true(is_cancelled(w));
        assert_int_equal(entry_of(w, "slow")->state, XO_ACTOR_RECOVERING);
        answer_with(w, xo_failure_msg(0, XO_CODE_CANCELLED, "ran", NULL, "stopped in it"));
        wait_ms(w, 0);
    }
    assert_int_equal(entry_of(w, "slow")->state, XO_ACTOR_FAILED);
    assert_string_equal(entry_of(w, "slow")->reason,
                        "it was not there within 400 ms (create_timeout_ms), and was cancelled: "
                        "stopped in it; given up after 2 restarts within 100 ms");
}

/* It was done before it had heard of it. */
static void one_that_comes_all_the_same_is_welcome(void **state)
{
    world_t *w = *state;
    xo_policy_t policy;
    limit_creations(w, &policy);
    come_back_with(w, "slow");
    wait_ms(w, 451);
    assert_true(is_cancelled(w));
    up(w, "slow", 10, NULL);
    answer(w, NULL);
    wait_ms(w, 0);
    assert_int_equal(entry_of(w, "slow")->state, XO_ACTOR_RUNNING);
    wait_ms(w, 500);
    assert_int_equal(entry_of(w, "slow")->state, XO_ACTOR_RUNNING);
}

static void one_that_was_cancelled_before_it_began_is_not_at_fault(void **state)
{
    world_t *w = *state;
    xo_policy_t policy;
    limit_creations(w, &policy);
    come_back_with(w, "slow");
    char *once = strdup(entry_of(w, "slow")->recent);
    for (int i = 0; i < 3; i++) {
        next_creation(w);
        wait_ms(w, 451);
        assert_true(is_cancelled(w));
        answer_with(w, xo_failure_msg(0, XO_CODE_CANCELLED, "no", NULL, "it waited"));
    }
    next_creation(w);
    assert_string_equal(entry_of(w, "slow")->recent, once);
    up(w, "slow", 10, NULL);
    answer(w, NULL);
    wait_ms(w, 0);
    assert_int_equal(entry_of(w, "slow")->state, XO_ACTOR_RUNNING);
    free(once);
}

static void none_is_late_as_long_as_others_come(void **state)
{
    world_t *w = *state;
    xo_policy_t policy;
    limit_creations(w, &policy);
    up(w, "one", 1, "");
    come_back_with(w, "two");
    wait_ms(w, 300);
    up(w, "one", 10, NULL);
    answer(w, NULL);
    wait_ms(w, 0);
    wait_ms(w, 300);
    assert_int_equal(entry_of(w, "one")->state, XO_ACTOR_RUNNING);
    assert_false(is_cancelled(w));
    wait_ms(w, 151);
    assert_true(is_cancelled(w));
}

static void without_a_limit_none_is_late(void **state)
{
    world_t *w = *state;
    xo_policy_t policy;
    limit_creations(w, &policy);
    policy.create_timeout_ns = 0;
    come_back_with(w, "slow");
    wait_ms(w, 2000);
    assert_false(is_cancelled(w));
}

/* ---- in a group that is stopped ---- */

static xo_group_t *make_group(world_t *w)
{
    xo_loop_freeze(w->f->loop, xo_loop_now(w->f->loop));
    xo_group_t *group = xo_group_create(w->broker, xo_slice_str("g"), NULL);
    group->strategy = XO_ONE_FOR_ALL;
    group->policy.backoff_ns = 0;
    xo_group_created(group);
    return group;
}

static void stop_group_in_the_middle(world_t *w)
{
    xo_group_t *group = make_group(w);
    up_in_group(w, "slow", "g");
    die_and_come_back(w);
    next_creation(w);
    xo_group_stop(group);
    wait_ms(w, 0);
}

static void one_whose_group_is_stopped_is_cancelled(void **state)
{
    world_t *w = *state;
    stop_group_in_the_middle(w);
    assert_true(is_cancelled(w));
    assert_non_null(w->broker->groups);
    answer_with(w, xo_failure_msg(0, XO_CODE_CANCELLED, "ran", NULL, "stopped in it"));
    wait_ms(w, 0);
    assert_null(entry_of(w, "slow"));
    assert_null(w->broker->groups);
}

static void its_group_does_not_wait_for_one_that_is_not_cancelled(void **state)
{
    world_t *w = *state;
    stop_group_in_the_middle(w);
    int64_t limit_ms = xo_actor_spec_shutdown_ms(entry_of(w, "slow")->spec);
    wait_ms(w, limit_ms - 1);
    assert_non_null(entry_of(w, "slow"));
    wait_ms(w, 1);
    assert_null(entry_of(w, "slow"));
    assert_null(w->broker->groups);
    answer_with(w, xo_failure_msg(0, XO_CODE_CANCELLED, "ran", NULL, "stopped in it"));
    wait_ms(w, 0);
}

/* ---- in a group that begins anew ---- */

static xo_kind_t next_request(world_t *w, const char **uid)
{
    static char text[32];
    fixture_t *f = w->f;
    UNTIL(f->b->first < f->b->count);
    const xo_header_t *header = xo_msg_header(f->b->inbox[f->b->first].msg);
    snprintf(text, sizeof(text), "%.*s", (int)header->target_uid.size, header->target_uid.data);
    *uid = text;
    return header->kind;
}

/* It is asked for, and comes. */
static void expect_creation(world_t *w, const char *uid, uint64_t incarnation)
{
    const char *asked;
    next_creation(w);
    next_request(w, &asked);
    assert_string_equal(asked, uid);
    up(w, uid, incarnation, NULL);
    answer(w, NULL);
    wait_ms(w, 0);
}

/* "one" is lost once more while "slow", behind it, is being created again. */
static xo_group_t *begin_anew_in_the_middle(world_t *w)
{
    xo_group_t *group = make_group(w);
    up_in_group(w, "one", "g");
    up_in_group(w, "slow", "g");
    die_and_come_back(w);
    expect_creation(w, "one", 10);
    next_creation(w);
    entry_of(w, "one")->state = XO_ACTOR_RECOVERING;
    xo_seat_is_lost(entry_of(w, "one")->seat);
    xo_groups_decide(w->broker, XO_END_FAILED, "it died");
    assert_int_equal(group->restarts, 2);
    wait_ms(w, 0);
    return group;
}

static void one_whose_group_begins_anew_is_cancelled(void **state)
{
    world_t *w = *state;
    const xo_group_t *group = begin_anew_in_the_middle(w);
    assert_true(is_cancelled(w));
    answer_with(w, xo_failure_msg(0, XO_CODE_CANCELLED, "ran", NULL, "stopped in it"));
    node_swallow(w->f->b); /* the cancel */
    wait_ms(w, 0);
    expect_creation(w, "one", 11);
    expect_creation(w, "slow", 12);
    assert_int_equal(group->state, XO_GROUP_RUNNING);
    assert_int_equal(group->restarts, 2); /* it has not failed */
}

/* For longer than it may take to end: it may be busy with what it begins with. */
static void one_that_is_not_cancelled_is_waited_for(void **state)
{
    const char *uid;
    world_t *w = *state;
    const xo_group_t *group = begin_anew_in_the_middle(w);
    wait_ms(w, xo_actor_spec_shutdown_ms(entry_of(w, "slow")->spec) + 1);
    assert_ptr_equal(group->stepping, entry_of(w, "slow")->seat);
    assert_int_equal(group->state, XO_GROUP_RESTARTING);
    up(w, "slow", 11, NULL);
    answer(w, NULL);
    node_swallow(w->f->b); /* the cancel */
    assert_int_equal(next_request(w, &uid), XO_DESTROY);
    assert_string_equal(uid, "slow");
}

static void one_whose_group_fails_is_cancelled(void **state)
{
    world_t *w = *state;
    xo_group_t *group = make_group(w);
    up_in_group(w, "slow", "g");
    die_and_come_back(w);
    next_creation(w);
    xo_group_fail(group, "it was given up");
    wait_ms(w, 0);
    assert_true(is_cancelled(w));
    answer_with(w, xo_failure_msg(0, XO_CODE_CANCELLED, "ran", NULL, "stopped in it"));
    wait_ms(w, 0);
    assert_int_equal(entry_of(w, "slow")->state, XO_ACTOR_FAILED);
    assert_string_equal(entry_of(w, "slow")->reason, "it was given up");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recover_setup, recover_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_takes_too_long_is_cancelled),
        TEST(one_that_comes_all_the_same_is_welcome),
        TEST(one_that_was_cancelled_before_it_began_is_not_at_fault),
        TEST(none_is_late_as_long_as_others_come),
        TEST(without_a_limit_none_is_late),
        TEST(one_whose_group_is_stopped_is_cancelled),
        TEST(its_group_does_not_wait_for_one_that_is_not_cancelled),
        TEST(one_whose_group_begins_anew_is_cancelled),
        TEST(one_that_is_not_cancelled_is_waited_for),
        TEST(one_whose_group_fails_is_cancelled),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
