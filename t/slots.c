/* Slots: which pool a new actor goes to. */
#include <errno.h>

#include "broker/slots.h"
#include "t/unit.h"

#define SECOND_NS (1000 * XO_MS)

typedef struct {
    xo_pools_t pools;
    xo_slots_t slots;
    xo_member_t *main, *one, *two;
} world_t;

static xo_member_t *add(world_t *w, int index, const char *label)
{
    xo_member_t *member = xo_pools_add(&w->pools, (uint64_t)index + 1);
    member->index = index;
    member->state = XO_POOL_READY;
    strcpy(member->label, label);
    strcpy(member->language, "python");
    return member;
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    w->two = add(w, 2, "a"); /* they come in any order */
    w->main = add(w, 0, "main");
    w->one = add(w, 1, "a");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_slots_free_pool(&w->slots, NULL);
    assert_null(w->slots.head);
    for (xo_member_t *m; (m = xo_pools_first(&w->pools)) != NULL;)
        xo_pools_remove(&w->pools, m);
    free(w);
    return 0;
}

static xo_member_t *idle(world_t *w, const char *label, const char *mark, const char *uid)
{
    xo_place_t place = {false, xo_slice_str(label), xo_slice_str(mark), xo_slice_str(uid)};
    xo_slot_t *slot = xo_slots_take(&w->slots, &w->pools, &place, 0);
    if (slot == NULL)
        assert_int_equal(errno, ENOENT);
    return slot ? slot->member : NULL;
}

static xo_member_t *least(world_t *w, const char *label, int64_t now_ns)
{
    xo_place_t place = {true, xo_slice_str(label), xo_slice_str(""), xo_slice_str("some")};
    xo_slot_t *slot = xo_slots_take(&w->slots, &w->pools, &place, now_ns);
    return slot ? slot->member : NULL;
}

static void one_for_each_pool_label_and_mark(void **state)
{
    world_t *w = *state;
    assert_ptr_equal(idle(w, "a", "x", "1"), w->one);
    assert_ptr_equal(idle(w, "a", "x", "2"), w->two);
    assert_null(idle(w, "a", "x", "3"));
    assert_ptr_equal(idle(w, "a", "y", "4"), w->one);
    assert_ptr_equal(idle(w, "", "x", "5"), w->main);
    assert_null(idle(w, "nobody's", "x", "6"));
}

static void a_suspect_pool_is_taken_last(void **state)
{
    world_t *w = *state;
    w->one->state = XO_POOL_SUSPECT;
    assert_ptr_equal(idle(w, "a", "x", "1"), w->two);
    assert_ptr_equal(idle(w, "a", "x", "2"), w->one);
    assert_null(idle(w, "a", "x", "3"));
    assert_ptr_equal(least(w, "a", 0), w->two);
    assert_ptr_equal(least(w, "a", 0), w->two);
    w->two->state = XO_POOL_STARTING;
    assert_ptr_equal(least(w, "a", 0), w->one);
}

static void a_slot_is_free_again_when_its_actor_is_gone(void **state)
{
    world_t *w = *state;
    idle(w, "a", "x", "1");
    idle(w, "a", "x", "2");
    xo_slots_up(&w->slots, w->two, xo_slice_str("2"));
    xo_slots_free(&w->slots, w->one, xo_slice_str("2")); /* another pool's */
    assert_null(idle(w, "a", "x", "3"));
    xo_slots_free(&w->slots, w->two, xo_slice_str("2"));
    assert_ptr_equal(idle(w, "a", "x", "3"), w->two);
    xo_slots_free_pool(&w->slots, w->one);
    assert_ptr_equal(idle(w, "a", "x", "4"), w->one);
}

static void what_is_returned_is_not_another_s_with_the_same_uid(void **state)
{
    world_t *w = *state;
    xo_place_t place = {false, xo_slice_str("a"), xo_slice_str("y"), xo_slice_str("1")};
    idle(w, "a", "x", "1");
    idle(w, "a", "y", "1"); /* its creation fails: there is a "1" */
    xo_slots_return(&w->slots, w->one, &place);
    assert_ptr_equal(idle(w, "a", "y", "2"), w->one);
    assert_ptr_equal(idle(w, "a", "x", "3"), w->two);
}

static void an_actor_that_its_pool_does_not_know_may_be_on_its_way(void **state)
{
    world_t *w = *state;
    idle(w, "main", "x", "1");
    xo_slots_absent(&w->slots, w->main, xo_slice_str("1"), 9 * SECOND_NS);
    assert_null(idle(w, "main", "x", "2"));
    xo_slots_absent(&w->slots, w->main, xo_slice_str("1"), 10 * SECOND_NS);
    assert_ptr_equal(idle(w, "main", "x", "2"), w->main);
    xo_slots_up(&w->slots, w->main, xo_slice_str("2"));
    xo_slots_absent(&w->slots, w->main, xo_slice_str("2"), 0); /* it was there */
    assert_ptr_equal(idle(w, "main", "x", "3"), w->main);
}

/* Its pool may have created it and ended before it told. */
static void an_actor_on_its_way_to_a_pool_that_ended_does_not_come(void **state)
{
    world_t *w = *state;
    idle(w, "main", "x", "1");
    w->main->generation++;
    xo_slots_absent(&w->slots, w->main, xo_slice_str("1"), 0);
    assert_ptr_equal(idle(w, "main", "x", "2"), w->main);
    w->one->generation++; /* another one */
    xo_slots_absent(&w->slots, w->main, xo_slice_str("2"), 0);
    assert_null(idle(w, "main", "x", "3"));
}

/* Nobody else may ever ask for its place. */
static void an_actor_that_does_not_come_is_asked_for(void **state)
{
    world_t *w = *state;
    idle(w, "main", "x", "1");
    idle(w, "a", "x", "2");
    least(w, "main", 0);
    xo_slots_up(&w->slots, w->one, xo_slice_str("2"));
    assert_null(xo_slots_overdue(&w->slots, 59 * SECOND_NS));
    xo_slot_t *slot = xo_slots_overdue(&w->slots, 60 * SECOND_NS);
    assert_non_null(slot);
    assert_ptr_equal(slot->member, w->main);
    assert_null(xo_slots_overdue(&w->slots, 60 * SECOND_NS)); /* it has been asked for */
    assert_ptr_equal(xo_slots_overdue(&w->slots, 120 * SECOND_NS), slot);
    xo_slots_absent(&w->slots, w->main, xo_slice_str("1"), 120 * SECOND_NS);
    assert_null(xo_slots_overdue(&w->slots, 180 * SECOND_NS));
    assert_ptr_equal(w->slots.head->member, w->one); /* the one that counted is forgotten */
    assert_null(w->slots.head->next);
}

static void only_pools_that_are_ready_and_take_any_class(void **state)
{
    world_t *w = *state;
    w->main->state = XO_POOL_RESTARTING;
    strcpy(w->one->language, "c");
    assert_ptr_equal(idle(w, "", "x", "1"), w->two);
    assert_null(idle(w, "", "x", "2"));
}

static void the_fewest_actors_count_those_on_their_way(void **state)
{
    world_t *w = *state;
    w->main->entry_count = 1;
    assert_ptr_equal(least(w, "", 0), w->one);
    assert_ptr_equal(least(w, "", 0), w->two);
    assert_ptr_equal(least(w, "", 0), w->main);
    xo_slots_up(&w->slots, w->two, xo_slice_str("some")); /* now the pool's count has it */
    w->two->entry_count = 5;
    assert_ptr_equal(least(w, "a", 0), w->one);
    assert_null(least(w, "nobody's", 0));
    w->main->entry_count = 9;
    assert_ptr_equal(least(w, "", 60 * SECOND_NS), w->one); /* they never came */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_for_each_pool_label_and_mark),
        TEST(a_suspect_pool_is_taken_last),
        TEST(a_slot_is_free_again_when_its_actor_is_gone),
        TEST(what_is_returned_is_not_another_s_with_the_same_uid),
        TEST(an_actor_that_its_pool_does_not_know_may_be_on_its_way),
        TEST(an_actor_on_its_way_to_a_pool_that_ended_does_not_come),
        TEST(an_actor_that_does_not_come_is_asked_for),
        TEST(only_pools_that_are_ready_and_take_any_class),
        TEST(the_fewest_actors_count_those_on_their_way),
    };
    return run_tap(tests);
}
