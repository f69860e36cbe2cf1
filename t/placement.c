/* Which pool takes over an actor whose node is gone. */
#include <string.h>

#include "broker/placement.h"
#include "libxo/failure.h"
#include "t/unit.h"

typedef struct {
    xo_pools_t pools;
    xo_unfits_t unfits;
    xo_member_t *one, *two;
} world_t;

static xo_member_t *add(world_t *w, int index)
{
    xo_member_t *member = xo_pools_add(&w->pools, (uint64_t)index + 1);
    member->index = index;
    member->generation = 1;
    member->state = XO_POOL_READY;
    member->recovers = true;
    member->link = (xo_link_t *)w; /* nobody looks into it */
    strcpy(member->language, "c");
    return member;
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    w->two = add(w, 2); /* they come in any order */
    w->one = add(w, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    for (xo_member_t *m; (m = xo_pools_first(&w->pools)) != NULL;) {
        m->link = NULL;
        xo_pools_remove(&w->pools, m);
    }
    free(w);
    return 0;
}

static xo_member_t *choose(world_t *w, const char *class_name)
{
    return xo_placement_choose(&w->pools, &w->unfits, xo_slice_str("c"), xo_slice_str(class_name));
}

static void the_one_with_the_fewest(void **state)
{
    world_t *w = *state;
    assert_ptr_equal(choose(w, "Counter"), w->one); /* of equals the first */
    w->one->entry_count = 2;
    w->two->entry_count = 1;
    assert_ptr_equal(choose(w, "Counter"), w->two);
    w->two->coming = 2; /* it has been asked for two more */
    assert_ptr_equal(choose(w, "Counter"), w->one);
}

static void only_who_can_keep_it(void **state)
{
    world_t *w = *state;
    w->one->state = XO_POOL_SUSPECT;
    assert_ptr_equal(choose(w, "Counter"), w->two);
    w->one->state = XO_POOL_READY;
    w->one->recovers = false;
    assert_ptr_equal(choose(w, "Counter"), w->two);
    w->one->recovers = true;
    w->one->ending = true;
    assert_ptr_equal(choose(w, "Counter"), w->two);
    w->one->ending = false;
    w->one->link = NULL;
    assert_ptr_equal(choose(w, "Counter"), w->two);
    strcpy(w->two->language, "python");
    assert_null(choose(w, "Counter"));
}

static void not_who_does_not_know_its_class(void **state)
{
    world_t *w = *state;
    xo_unfits_add(&w->unfits, w->one, xo_slice_str("Counter"));
    assert_ptr_equal(choose(w, "Counter"), w->two);
    assert_ptr_equal(choose(w, "Keeper"), w->one);
    xo_unfits_add(&w->unfits, w->two, xo_slice_str("Counter"));
    assert_null(choose(w, "Counter"));
    w->two->generation++; /* the next process may know it */
    assert_ptr_equal(choose(w, "Counter"), w->two);
}

static void the_last_ones_are_remembered(void **state)
{
    world_t *w = *state;
    char name[32];
    xo_unfits_add(&w->unfits, w->one, xo_slice_str("first"));
    for (int i = 0; i < XO_UNFIT_MAX; i++) {
        snprintf(name, sizeof name, "class %d", i);
        xo_unfits_add(&w->unfits, w->one, xo_slice_str(name));
    }
    assert_ptr_equal(choose(w, "first"), w->one);
    assert_ptr_equal(choose(w, "class 0"), w->two);
    assert_ptr_equal(choose(w, name), w->two);
}

static bool is_unfit(const char *code, const char *type, const char *message)
{
    return xo_placement_is_unfit(xo_slice_str(code), xo_slice_str(type), xo_slice_str(message));
}

static void what_a_process_lacks(void **state)
{
    (void)state;
    assert_true(is_unfit(XO_CODE_NO_CLASS, "", "no class Counter"));
    assert_true(is_unfit(XO_CODE_PICKLE, "", "the request holds a pickle"));
    assert_true(is_unfit(XO_CODE_METHOD, "builtins.ModuleNotFoundError", "No module named 'x'"));
    assert_true(is_unfit(XO_CODE_METHOD, "builtins.AttributeError",
                         "Can't get attribute 'A' on <module '__main__'>"));
    assert_false(is_unfit(XO_CODE_METHOD, "builtins.AttributeError", "'A' has no attribute 'b'"));
    assert_false(is_unfit(XO_CODE_METHOD, "builtins.ValueError", "Can't get attribute 'A'"));
    assert_false(is_unfit(XO_CODE_METHOD, "", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_one_with_the_fewest, setup, teardown),
        cmocka_unit_test_setup_teardown(only_who_can_keep_it, setup, teardown),
        cmocka_unit_test_setup_teardown(not_who_does_not_know_its_class, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_ones_are_remembered, setup, teardown),
        cmocka_unit_test(what_a_process_lacks),
    };
    return run_tap(tests);
}
