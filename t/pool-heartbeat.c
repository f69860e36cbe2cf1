/* When a pool's heartbeats are sent, and when only its progress page shows them. */
#include <string.h>

#include "pool/pool_impl.h"
#include "t/pool-broker.h"

#define HEARTBEAT_NS (XOI_POOL_HEARTBEAT_MS * XO_MS)

static uint64_t progress_of(const world_t *world)
{
    return atomic_load(&world->pool->progress.page->count);
}

/* How many messages leave with the next heartbeat, which shows on the page in any case. */
static uint64_t beat(broker_t *broker)
{
    world_t *world = broker->world;
    const xo_lane_stats_t *stats = xo_link_stats(world->pool->broker_link);
    uint64_t progress = progress_of(world), sent = stats->messages_out;
    xo_loop_advance(world->loop, HEARTBEAT_NS);
    assert_true(progress_of(world) > progress);
    return stats->messages_out - sent;
}

static bool is_watched(void *arg)
{
    return ((world_t *)arg)->pool->watched;
}

/* The broker says that it sees the page; the clock is the test's from now on. */
static void watch(broker_t *broker)
{
    xo_loop_freeze(broker->world->loop, xo_loop_now(broker->world->loop));
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str("watched")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x80", 1));
    xo_endpoint_tell(broker->endpoint, broker->link, &msg, 0, NULL, NULL, NULL);
    run_until(broker->world, is_watched, broker->world);
}

static void test_all_are_sent_to_who_cannot_see_the_page(void **state)
{
    broker_t *broker = *state;
    xo_loop_freeze(broker->world->loop, xo_loop_now(broker->world->loop));
    for (int i = 0; i < 4; i++)
        assert_int_equal(beat(broker), 1);
}

/* A broker that sees it is not woken for nothing. */
static void test_none_is_sent_without_news(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    watch(broker);
    world->pool->shows_sleep = false;  /* as if a loop drove it that does not say */
    assert_int_equal(beat(broker), 1); /* a message has come */
    for (int i = 0; i < 4; i++)
        assert_int_equal(beat(broker), 0);
    xo_endpoint_count_drop(xo_pool_endpoint(world->pool), XO_DROP_NO_ACTOR);
    assert_int_equal(beat(broker), 1);
    assert_int_equal(beat(broker), 0);
}

/* While it sleeps its loop is not woken either, but now and then. */
static void rest(broker_t *broker)
{
    world_t *world = broker->world;
    uint64_t progress = progress_of(world);
    for (int i = 1; i < XO_REST_HEARTBEATS; i++)
        xo_loop_advance(world->loop, HEARTBEAT_NS);
    assert_int_equal(progress_of(world), progress);
    assert_int_equal(beat(broker), 0);
}

static void test_who_sleeps_rests(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    watch(broker);
    assert_int_equal(beat(broker), 1);
    assert_int_equal(beat(broker), 0);
    rest(broker);
    rest(broker);
    xo_endpoint_count_drop(xo_pool_endpoint(world->pool), XO_DROP_NO_ACTOR);
    xo_loop_once(world->loop, 0); /* as what was dropped would have had it do */
    assert_int_equal(beat(broker), 1);
    assert_int_equal(beat(broker), 0);
    rest(broker);
}

/* The page says what the loop is in when it waits, and then does not. */
static void test_sleep_shows_on_the_page(void **state)
{
    world_t *world = ((broker_t *)*state)->world;
    uint64_t awake = progress_of(world);
    assert_int_not_equal(awake & 3, XOI_PROGRESS_ASLEEP);
    xo_loop_tell_sleep(world->loop, XO_ASLEEP);
    uint64_t asleep = progress_of(world);
    assert_int_equal(asleep & 3, XOI_PROGRESS_ASLEEP);
    assert_true(asleep > awake);
    xo_loop_tell_sleep(world->loop, XO_AWAKE);
    assert_int_equal(progress_of(world) & 3, XOI_PROGRESS_IDLE);
    assert_true(progress_of(world) > asleep);
}

/* Who drives the loop has yet to get a lock: only the page may say that it has woken up. */
static void test_waking_shows_on_the_page_alone(void **state)
{
    broker_t *broker = *state;
    world_t *world = broker->world;
    watch(broker);
    assert_int_equal(beat(broker), 1);
    assert_int_equal(beat(broker), 0);
    int64_t due_ns = world->pool->heartbeat.due_ns;
    assert_true(due_ns - xo_loop_now(world->loop) > HEARTBEAT_NS);
    xo_loop_tell_sleep(world->loop, XO_ASLEEP);
    uint64_t asleep = progress_of(world);
    xo_loop_tell_sleep(world->loop, XO_WAKING);
    assert_int_equal(progress_of(world), asleep + 1);
    assert_int_equal(world->pool->heartbeat.due_ns, due_ns);
    xo_loop_tell_sleep(world->loop, XO_AWAKE);
    assert_int_equal(progress_of(world), asleep + 1);
    assert_int_equal(world->pool->heartbeat.due_ns, xo_loop_now(world->loop) + HEARTBEAT_NS);
}

static void test_a_method_that_waits_is_not_asleep(void **state)
{
    world_t *world = ((broker_t *)*state)->world;
    xoi_progress_t *progress = &world->pool->progress;
    xoi_progress_enter(progress, "a", xo_slice_str("a"), NULL, xo_slice_str("wait"), 0);
    xo_loop_tell_sleep(world->loop, XO_ASLEEP);
    assert_int_equal(progress_of(world) & 3, XOI_PROGRESS_INSIDE);
    xo_loop_tell_sleep(world->loop, XO_AWAKE);
    assert_int_equal(progress_of(world) & 3, XOI_PROGRESS_INSIDE);
    xoi_progress_leave(progress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIRST(test_all_are_sent_to_who_cannot_see_the_page),
        FIRST(test_none_is_sent_without_news),
        FIRST(test_who_sleeps_rests),
        FIRST(test_sleep_shows_on_the_page),
        FIRST(test_waking_shows_on_the_page_alone),
        FIRST(test_a_method_that_waits_is_not_asleep),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
