/* known.c - where actors of other nodes live, as a broker remembers it. */
#include "broker/known.h"
#include "t/unit.h"

#define STEP (100 * XO_MS)

typedef struct world {
    xo_loop_t *loop;
    xo_registry_t *registry;
    xo_known_t *known;
} world_t;

static void open_world(world_t *w, const char *url)
{
    xo_error_t err;
    w->loop = xo_loop_create(&err);
    assert_non_null(w->loop);
    xo_loop_freeze(w->loop, 1000 * XO_MS);
    w->registry = xo_registry_open(w->loop, url, "test", NULL, NULL, &err);
    assert_non_null(w->registry);
    w->known = xo_known_create(w->loop, 1);
}

static void close_world(world_t *w)
{
    xo_registry_close(w->registry);
    xo_known_destroy(w->known);
    xo_loop_destroy(w->loop);
}

static void pass(world_t *w, int64_t ms)
{
    for (int64_t left_ns = ms * XO_MS; left_ns > 0; left_ns -= STEP) {
        xo_loop_advance(w->loop, STEP);
        for (int i = 0; i < 3; i++)
            xo_loop_once(w->loop, 0);
    }
}

static void learn(world_t *w, const char *uid)
{
    xo_known_watch(w->known, w->registry, xo_slice_str(uid));
    xo_known_put(w->known, xo_slice_str(uid), xo_slice("\xc0", 1), 1);
}

static bool knows(world_t *w, const char *uid)
{
    xo_slice_t records;
    uint32_t count;
    return xo_known_find(w->known, xo_slice_str(uid), &records, &count);
}

static void put_actor(world_t *w, const char *id)
{
    const xo_field_t field = {"n", xo_slice_str("1")};
    const xo_record_t record = {.id = id, .fields = &field, .count = 1};
    xo_registry_put(w->registry, XO_REG_ACTOR, &record, "2", 0, NULL, NULL);
}

static void what_changes_is_forgotten_and_nothing_else(void **state)
{
    world_t w;
    (void)state;
    open_world(&w, "memory:");
    learn(&w, "alice");
    learn(&w, "bob");
    put_actor(&w, "carol@p");
    put_actor(&w, "alice@p");
    xo_registry_event(w.registry, "pool.down", NULL, 0);
    pass(&w, 1000);
    assert_false(knows(&w, "alice"));
    assert_true(knows(&w, "bob"));
    learn(&w, "alice");
    pass(&w, 1000);
    assert_true(knows(&w, "alice"));
    put_actor(&w, "alice@q");
    pass(&w, 1000);
    assert_false(knows(&w, "alice"));
    close_world(&w);
}

static void nothing_is_known_for_long(void **state)
{
    world_t w;
    (void)state;
    open_world(&w, "memory:");
    learn(&w, "alice");
    for (int i = 0; i < 59; i++) {
        assert_true(knows(&w, "alice"));
        pass(&w, 1000);
    }
    pass(&w, 2000);
    assert_false(knows(&w, "alice"));
    close_world(&w);
}

static void but_while_the_registry_is_away(void **state)
{
    world_t w;
    (void)state;
    open_world(&w, "unix:///nonexistent/redis.sock");
    learn(&w, "alice");
    pass(&w, 120000);
    assert_true(knows(&w, "alice"));
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_is_forgotten_and_nothing_else),
        cmocka_unit_test(nothing_is_known_for_long),
        cmocka_unit_test(but_while_the_registry_is_away),
    };
    return run_tap(tests);
}
