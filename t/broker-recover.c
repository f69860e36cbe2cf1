/* What a broker sends to a pool that has been started again, and what it makes of the answers. The
 * pool is an endpoint of the test's, so the broker's own parts are called for the death of its
 * process; real deaths are in t/0301-broker-pools.t. */
#include "broker/broker_impl.h"
#include "broker/supervisor_impl.h"
#include "t/recover-world.h"

/* ---- tests ---- */

static void actors_are_created_in_order_all_at_once(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    up(w, "second", 2, ""); /* what began first may be told last */
    up(w, "first", 1, "");
    up(w, "none", 3, "it cannot be pickled");
    up(w, "silent", 4, NULL);
    UNTIL(entry_of(w, "silent"));
    size_t before = f->b->count;
    int events = f->b->events;
    die_and_come_back(w);
    assert_null(entry_of(w, "none"));
    assert_null(entry_of(w, "silent"));
    assert_int_equal(entry_of(w, "first")->state, XO_ACTOR_RECOVERING);
    UNTIL(f->b->count == before + 3);
    expect_create(w, "first");
    answer(w, NULL);
    expect_create(w, "second");
    up(w, "first", 10, NULL);
    up(w, "second", 11, NULL);
    answer(w, NULL);
    expect_barrier(w); /* these were all */
    answer(w, NULL);
    expect_barrier(w);
    assert_int_equal(w->member->state, XO_POOL_RECOVERING);
    assert_int_equal(f->b->events, events);
    answer(w, NULL);
    UNTIL(f->b->events == events + 1); /* pool.recovered */
    assert_int_equal(w->member->state, XO_POOL_READY);
    assert_false(w->member->away);
    assert_int_equal(entry_of(w, "first")->state, XO_ACTOR_RUNNING);
    assert_int_equal(entry_of(w, "first")->incarnation, 10);
    assert_non_null(entry_of(w, "first")->spec);
}

/* Answers the oldest request: the creation of `bad` with an error. */
static void serve(world_t *w, const char *bad)
{
    const xo_header_t *header = xo_msg_header(w->f->b->inbox[w->f->b->first].msg);
    bool fails = header->kind == XO_CREATE && xo_slice_eq_str(header->target_uid, bad);
    if (fails)
        expect_create(w, bad); /* each time the same request */
    answer(w, fails ? "the test says no" : NULL);
}

/* Serves until `uid` has no other try before it, in a pool that is ready; says how many there
 * were. */
static int tries_until_failed(world_t *w, const char *uid)
{
    fixture_t *f = w->f;
    int tries = 0;
    while (entry_of(w, uid)->state != XO_ACTOR_FAILED || w->member->state != XO_POOL_READY) {
        UNTIL(f->b->first < f->b->count ||
              (entry_of(w, uid)->state == XO_ACTOR_FAILED && w->member->state == XO_POOL_READY));
        if (f->b->first == f->b->count)
            break;
        tries += xo_msg_header(f->b->inbox[f->b->first].msg)->kind == XO_CREATE;
        serve(w, uid);
    }
    return tries;
}

/* The end of the process was the first restart of the five that are fine. */
static void one_that_fails_is_tried_again_and_then_given_up(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    up(w, "bad", 1, "");
    UNTIL(entry_of(w, "bad"));
    int events = f->b->events;
    die_and_come_back(w);
    assert_int_equal(tries_until_failed(w, "bad"), 5);
    assert_non_null(strstr(entry_of(w, "bad")->reason, "the test says no; given up after 5"));
    assert_non_null(entry_of(w, "bad")->spec);
    UNTIL(f->b->events == events + 2); /* actor.failed, pool.recovered */
    die_and_come_back(w);
    assert_int_equal(w->member->state, XO_POOL_RECOVERING);
    UNTIL(f->b->events == events + 3); /* the next process hears of it, too */
    expect_barrier(w);
    answer(w, NULL);
    UNTIL(w->member->state == XO_POOL_READY);
    assert_int_equal(entry_of(w, "bad")->state, XO_ACTOR_FAILED);
}

/* Its pool does not wait for it. */
static void answer_closed(world_t *w, const char *address)
{
    xo_failure_t failure = {.code = xo_slice_str(XO_CODE_SERVER_CLOSED),
                            .message = xo_slice_str("nobody there"),
                            .address = xo_slice_str(address)};
    answer_with(w, xo_failure_answer(0, &failure));
}

static void one_that_needs_another_pool_is_not_at_fault(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    come_back_with(w, "user");
    char *once = strdup(entry_of(w, "user")->recent);
    expect_create(w, "user");
    answer_closed(w, "10.9.9.9:1");
    expect_barrier(w); /* these were all */
    answer(w, NULL);
    expect_barrier(w);
    answer(w, NULL);
    UNTIL(w->member->state == XO_POOL_READY);
    for (int i = 0; i < 2; i++) {
        UNTIL(f->b->first < f->b->count);
        expect_create(w, "user");
        assert_string_equal(entry_of(w, "user")->awaited->whom, "10.9.9.9:1");
        assert_non_null(strstr(entry_of(w, "user")->reason, "it waits for 10.9.9.9:1: "));
        assert_string_equal(entry_of(w, "user")->recent, once);
        answer_closed(w, "10.9.9.9:1");
    }
    UNTIL(f->b->first < f->b->count);
    up(w, "user", 11, NULL);
    answer(w, NULL);
    UNTIL(entry_of(w, "user")->state == XO_ACTOR_RUNNING);
    assert_null(entry_of(w, "user")->awaited);
    free(once);
}

static void one_that_fails_at_first_comes_back(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    up(w, "late", 1, "");
    up(w, "good", 2, "");
    UNTIL(entry_of(w, "good"));
    die_and_come_back(w);
    UNTIL(f->b->first < f->b->count);
    serve(w, "late");
    up(w, "good", 10, NULL);
    while (w->member->state != XO_POOL_READY) {
        UNTIL(f->b->first < f->b->count || w->member->state == XO_POOL_READY);
        if (f->b->first == f->b->count)
            continue;
        const xo_header_t *header = xo_msg_header(f->b->inbox[f->b->first].msg);
        if (header->kind == XO_CREATE && xo_slice_eq_str(header->target_uid, "late"))
            break; /* before the pool was ready; not answered yet */
        serve(w, "late");
    }
    assert_int_equal(entry_of(w, "late")->state, XO_ACTOR_RECOVERING);
    assert_non_null(strstr(entry_of(w, "late")->reason, "the test says no"));
    UNTIL(f->b->first < f->b->count);
    expect_create(w, "late");
    up(w, "late", 11, NULL);
    answer(w, NULL);
    UNTIL(entry_of(w, "late")->state == XO_ACTOR_RUNNING);
    assert_non_null(entry_of(w, "late")->spec);
    assert_null(entry_of(w, "late")->reason);
}

static void one_that_waits_begins_anew_with_its_pool(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    come_back_with(w, "bad");
    for (int i = 0; i < 2;) { /* the next one is not at once */
        UNTIL(f->b->first < f->b->count);
        i += xo_msg_header(f->b->inbox[f->b->first].msg)->kind == XO_CREATE;
        serve(w, "bad");
    }
    UNTIL(entry_of(w, "bad")->alone && w->broker->creations != NULL);
    w->member->generation++;
    die_and_come_back(w);
    assert_false(entry_of(w, "bad")->alone);
    UNTIL(w->broker->creations == NULL); /* the old try comes to nothing */
    UNTIL(f->b->first < f->b->count);
    up(w, "bad", 10, NULL);
    while (w->member->state != XO_POOL_READY) {
        UNTIL(f->b->first < f->b->count || w->member->state == XO_POOL_READY);
        if (f->b->first < f->b->count)
            answer(w, NULL);
    }
    assert_int_equal(entry_of(w, "bad")->state, XO_ACTOR_RUNNING);
}

/* Its own deaths count for an actor, too, and those that somebody asked for do not. */
static void one_whose_process_dies_too_often_is_given_up(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    up(w, "alice", 1, "");
    UNTIL(entry_of(w, "alice"));
    for (int i = 0; i < 9; i++) {
        w->member->end = XO_END_ASKED;
        xo_broker_actors_away(w->broker, w->member, "it was killed");
        assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_RECOVERING);
    }
    for (int i = 0; i < 5; i++) {
        w->member->end = XO_END_FAILED;
        xo_broker_actors_away(w->broker, w->member, "it died");
        assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_RECOVERING);
    }
    xo_broker_actors_away(w->broker, w->member, "it died");
    assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_FAILED);
    assert_string_equal(entry_of(w, "alice")->reason,
                        "it died; given up after 5 restarts within 60 s");
}

static void a_recovering_pool_that_is_silent_is_suspect(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_supervisor_t *supervisor = w->broker->supervisor;
    up(w, "alice", 1, "");
    UNTIL(entry_of(w, "alice"));
    die_and_come_back(w);
    w->member->moved_ns = xo_loop_now(f->loop) - 3001 * XO_MS;
    w->member->checks = 2; /* the next one is enough */
    xo_supervisor_tick(&supervisor->tick, supervisor);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
    assert_string_equal(w->member->reason, "lost heartbeats");
    xo_supervisor_heartbeat(supervisor, w->member, xo_slice("\x80", 1));
    assert_int_equal(w->member->state, XO_POOL_RECOVERING);
}

static void a_pool_that_dies_on_its_way_back_begins_anew(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    up(w, "alice", 1, "");
    UNTIL(entry_of(w, "alice"));
    size_t before = f->b->count;
    die_and_come_back(w);
    UNTIL(f->b->count == before + 2);
    die_and_come_back(w); /* with the first request still under way */
    UNTIL(f->b->count == before + 4);
    answer(w, NULL);
    answer(w, NULL);
    assert_int_equal(w->member->state, XO_POOL_RECOVERING);
    expect_create(w, "alice");
    up(w, "alice", 20, NULL);
    answer(w, NULL);
    answer(w, NULL);
    expect_barrier(w);
    answer(w, NULL);
    UNTIL(w->member->state == XO_POOL_READY);
    assert_int_equal(entry_of(w, "alice")->incarnation, 20);
}

static void without_actors_it_is_back_at_once(void **state)
{
    world_t *w = *state;
    size_t before = w->f->b->count;
    die_and_come_back(w);
    assert_int_equal(w->member->state, XO_POOL_READY);
    assert_int_equal(w->f->b->count, before);
}

/* The link was lost and came back, and the process lives: it names its actors anew. */
static void what_ended_while_the_link_was_away_is_dropped(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    up(w, "stays", 1, "");
    up(w, "goes", 2, "");
    UNTIL(entry_of(w, "goes"));
    xo_broker_recover(w->broker, w->member);
    up(w, "stays", 1, NULL);
    expect_barrier(w);
    UNTIL(entry_of(w, "stays")->state == XO_ACTOR_RUNNING);
    answer(w, NULL);
    UNTIL(!entry_of(w, "goes"));
    assert_non_null(entry_of(w, "stays")->spec);
}

static void a_pool_that_does_not_recover_keeps_no_specs(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    w->member->recovers = false;
    up(w, "alice", 1, "");
    UNTIL(entry_of(w, "alice"));
    assert_null(entry_of(w, "alice")->spec);
}

static void it_ends_while_actors_are_being_created(void **state)
{
    world_t *w = *state;
    come_back_with(w, "alice");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recover_setup, recover_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(actors_are_created_in_order_all_at_once),
        TEST(one_that_fails_is_tried_again_and_then_given_up),
        TEST(one_that_needs_another_pool_is_not_at_fault),
        TEST(one_that_fails_at_first_comes_back),
        TEST(one_that_waits_begins_anew_with_its_pool),
        TEST(one_whose_process_dies_too_often_is_given_up),
        TEST(a_recovering_pool_that_is_silent_is_suspect),
        TEST(a_pool_that_dies_on_its_way_back_begins_anew),
        TEST(without_actors_it_is_back_at_once),
        TEST(what_ended_while_the_link_was_away_is_dropped),
        TEST(a_pool_that_does_not_recover_keeps_no_specs),
        TEST(it_ends_while_actors_are_being_created),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
