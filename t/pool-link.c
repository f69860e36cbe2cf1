/* pool-link.c - links between actors, of one pool and of two. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "t/pool-two.h"

/* ---- links ---- */

static void check_both_end(two_t *two, int other_pool, bool asker_first)
{
    char why[128];
    make(two, 0, "a");
    make(two, other_pool, "b");
    link_actors(two, 0, "a", other_pool, "b");
    xo_future_t *watched = asker_first ? watch(two, other_pool, "b") : watch(two, 0, "a");
    snprintf(why, sizeof why, "\"%s\" at %s, to which it was linked: destroyed",
             asker_first ? "a" : "b", asker_first ? at(two, 0) : at(two, other_pool));
    end(two, asker_first ? 0 : other_pool, asker_first ? "a" : "b");
    expect_reason(two, watched, why);
    assert_false(has_uid(two, 0, "a") || has_uid(two, other_pool, "b"));
}

static void test_either_ends_with_the_other(void **state)
{
    for (int i = 0; i < 4; i++)
        check_both_end(*state, i & 1, i & 2);
}

/* Its surrogate looks like UTF-8, and is none. */
static void test_a_uid_that_is_no_text(void **state)
{
    static const char uid[] = "a\xed\xa0\x80";
    two_t *two = *state;
    make(two, 0, uid);
    make(two, 1, "b");
    link_actors(two, 0, uid, 1, "b");
    xo_future_t *watched = watch(two, 1, "b");
    end(two, 0, uid);
    expect_reason(two, watched, "\"a\\xed\\xa0\\x80\" at ");
}

static void test_a_ring_of_links(void **state)
{
    static const char *const uids[] = {"a", "b", "c", "d"};
    two_t *two = *state;
    xo_future_t *watched[4];
    for (int i = 0; i < 4; i++)
        make(two, i / 2, uids[i]);
    for (int i = 0; i < 4; i++) {
        link_actors(two, i / 2, uids[i], (i + 1) % 4 / 2, uids[(i + 1) % 4]);
        watched[i] = watch(two, i / 2, uids[i]);
    }
    end(two, 0, "b");
    for (int i = 0; i < 4; i++)
        expect_reason(two, watched[i], "destroyed");
    settle(two);
    for (int i = 0; i < 4; i++)
        assert_false(has_uid(two, i / 2, uids[i]));
}

/* What was sent before is handled before, and so is what the host does at the end. */
static void test_it_ends_in_its_turn(void **state)
{
    two_t *two = *state;
    make(two, 0, "a");
    make(two, 1, "b");
    link_actors(two, 0, "a", 1, "b");
    world_t *world = two->world;
    world->host.log[0] = two->hosts[0].fake.log[0] = '\0';
    xo_future_t *held = start(world, "a", "hold", 0), *next = start(world, "a", "echo", 7);
    settle(two);
    end(two, 1, "b");
    settle(two);
    assert_true(has_uid(two, 0, "a"));
    xo_request_respond(two->hosts[0].fake.held[0], xo_slice("\x01", 1));
    expect_int(held, 1);
    expect_int(next, 7);
    settle(two);
    assert_string_equal(two->hosts[0].fake.log, "a.hold a.echo a.destroy ");
    assert_false(has_uid(two, 0, "a"));
}

static void test_told_once(void **state)
{
    two_t *two = *state;
    for (int other_pool = 0; other_pool < 2; other_pool++) {
        make(two, other_pool, "b");
        if (!other_pool)
            make(two, 0, "t");
        xo_future_t *same = begin_link(two, 0, "t", other_pool, "b"); /* the two cross */
        xo_future_t *other = begin_link(two, other_pool, "b", 0, "t");
        xo_future_t *twice = begin_link(two, 0, "t", other_pool, "b");
        expect_ok(same);
        expect_ok(other);
        expect_ok(twice);
        link_actors(two, 0, "t", other_pool, "b");
        end(two, other_pool, "b");
        expect_told(two, 0, "t<b: destroyed; ");
        make(two, other_pool, "b"); /* another one */
        end(two, other_pool, "b");
        settle(two);
        assert_int_equal(two->hosts[0].count, 0);
    }
    assert_true(has_uid(two, 0, "t"));
}

static void test_both_are_told_of_neither_more_than_once(void **state)
{
    two_t *two = *state;
    make(two, 0, "t1");
    make(two, 1, "t2");
    link_actors(two, 0, "t1", 1, "t2");
    end(two, 0, "t1");
    expect_told(two, 1, "t2<t1: destroyed; ");
    end(two, 1, "t2");
    settle(two);
    assert_int_equal(two->hosts[0].count, 0);
}

static void test_one_that_is_told_takes_its_turn(void **state)
{
    two_t *two = *state;
    make(two, 0, "t");
    make(two, 1, "b");
    link_actors(two, 0, "t", 1, "b");
    xo_future_t *held = start(two->world, "t", "hold", 0);
    settle(two);
    end(two, 1, "b");
    settle(two);
    assert_int_equal(two->hosts[0].count, 0); /* it has the lock */
    xo_request_respond(two->hosts[0].fake.held[0], xo_slice("\x01", 1));
    expect_int(held, 1);
    expect_told(two, 0, "t<b: destroyed; ");
}

static void test_the_other_was_dead(void **state)
{
    two_t *two = *state;
    make(two, 0, "a");
    make(two, 0, "t");
    for (int pool = 0; pool < 2; pool++) {
        expect_error(begin_link(two, 0, "a", pool, "b"), XO_CODE_ACTOR_NOT_EXIST, "no");
        link_actors(two, 0, "t", pool, "b");
        run_until(two->world, was_told, &two->hosts[0]);
        assert_non_null(strstr(two->hosts[0].told, "t<b: actor \"b\" does not exist"));
        two->hosts[0].told[0] = '\0';
        two->hosts[0].count = 0;
        make(two, pool, "b"); /* to which nobody is linked */
        end(two, pool, "b");
    }
    settle(two);
    assert_true(has_uid(two, 0, "a"));
    assert_int_equal(two->hosts[0].count, 0);
}

static void test_the_other_pool_ends(void **state)
{
    char address[XO_ADDRESS_BYTES];
    two_t *two = *state;
    make(two, 0, "a");
    make(two, 0, "t");
    make(two, 1, "b");
    link_actors(two, 0, "a", 1, "b");
    link_actors(two, 1, "b", 0, "t");
    xo_future_t *watched = watch(two, 0, "a");
    snprintf(address, sizeof address, "%s", at(two, 1));
    xo_pool_destroy(two->pools[1]);
    two->pools[1] = NULL;
    expect_reason(two, watched, "\"b\" at ");
    run_until(two->world, was_told, &two->hosts[0]);
    assert_int_equal(two->hosts[0].count, 1);
    make(two, 0, "a");
    expect_error(begin(two, 0, "a", XO_METHOD_LINK, address, "b"), XO_CODE_SERVER_CLOSED, "no");
}

static void test_a_pool_ends_with_all_its_links(void **state)
{
    two_t *two = *state;
    make(two, 0, "a");
    make(two, 0, "b");
    make(two, 0, "t");
    make(two, 1, "t2");
    link_actors(two, 0, "a", 0, "b");
    link_actors(two, 0, "b", 0, "t");
    link_actors(two, 0, "t", 1, "t2");
    xo_pool_destroy(two->world->pool);
    two->world->pool = two->pools[0] = NULL;
    run_until(two->world, was_told, &two->hosts[1]);
    assert_int_equal(two->hosts[1].count, 1);
    assert_int_equal(two->hosts[0].count, 0); /* its actors are gone */
}

/* Linked by another one before the host has seen it: whether it is told is known only later. */
static void test_one_that_is_not_made_yet(void **state)
{
    xo_error_t err;
    two_t *two = *state;
    xo_endpoint_t *own = xo_pool_endpoint(two->pools[0]);
    make(two, 0, "a");
    xo_future_t *made = xo_create_actor(own, &err, at(two, 0), "Fake", "t", "");
    xo_ref_t *a = xo_ref_create(own, at(two, 0), "a", &err);
    xo_future_t *linked = xo_ref_call(a, &err, XO_METHOD_LINK, "s s", at(two, 0), "t");
    xo_future_t *ended = xo_ref_destroy_actor(a, &err);
    assert_int_equal(two->hosts[0].fake.created, 1);
    expect_ok(ended);
    expect_ok(made);
    xo_future_destroy(linked);
    xo_ref_destroy(a);
    expect_told(two, 0, "t<a: destroyed; ");
    assert_true(has_uid(two, 0, "t"));
}

static void test_what_cannot_be_linked(void **state)
{
    two_t *two = *state;
    make(two, 0, "a");
    char longer[300];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    expect_error(begin_link(two, 0, "a", 0, "a"), XO_CODE_REFUSED, "no");
    expect_error(begin_link(two, 0, "a", 0, ""), XO_CODE_REFUSED, "no");
    expect_error(begin_link(two, 0, "a", 0, longer), XO_CODE_REFUSED, "no");
    expect_error(begin(two, 0, "a", XO_METHOD_LINK, longer, "b"), XO_CODE_REFUSED, "no");
    expect_error(begin(two, 0, "a", XO_METHOD_LINK, "no address", "b"), XO_CODE_REFUSED, "no");
    expect_error(start(two->world, "a", XO_METHOD_LINK, 1), XO_CODE_REFUSED, "no");
    expect_error(start(two->world, "a", XO_METHOD_UNLINK, 1), XO_CODE_REFUSED, "no");
    expect_int(start(two->world, "a", "echo", 1), 1);
}

/* ---- what others must not say ---- */

static void test_nobody_else_says_that_one_has_ended(void **state)
{
    xo_error_t err;
    two_t *two = *state;
    make(two, 0, "t");
    xo_ref_t *to = ref(two, 0, "t");
    const xo_slice_t list = xo_slice("\x93\xa1x\xc4\x01y\xa1z", 8);
    expect_error(xo_ref_call(to, &err, XO_METHOD_EXIT, "s s s", "x", "y", "z"), XO_CODE_REFUSED,
                 "no");
    expect_error(xo_ref_batch(to, &err, XO_METHOD_EXIT, &list, 1), XO_CODE_REFUSED, "no");
    assert_int_equal(xo_ref_tell(to, &err, XO_METHOD_EXIT, "s s s", "x", "y", "z"), 0);
    settle(two);
    xo_ref_destroy(to);
    to = xo_ref_create(xo_pool_endpoint(two->pools[0]), at(two, 0), "t", &err); /* a neighbour */
    expect_error(xo_ref_call(to, &err, XO_METHOD_EXIT, "s s s", "x", "y", "z"), XO_CODE_REFUSED,
                 "no");
    xo_ref_destroy(to);
    assert_int_equal(two->hosts[0].count, 0);
}

/* The third argument says who; who is not linked cannot end what others have. */
static void test_nobody_else_ends_a_link(void **state)
{
    xo_error_t err;
    two_t *two = *state;
    make(two, 0, "t");
    make(two, 1, "b");
    link_actors(two, 0, "t", 1, "b");
    uint64_t incarnation = xo_actor_incarnation(xo_pool_find(two->pools[1], xo_slice_str("b")));
    xo_ref_t *to = ref(two, 0, "t");
    expect_ok(
        xo_ref_call(to, &err, XO_METHOD_UNLINK, "s s I", at(two, 1), "b", (int64_t)incarnation));
    xo_ref_destroy(to);
    end(two, 1, "b");
    expect_told(two, 0, "t<b: destroyed; ");
}

/* ---- unlinking ---- */

static void test_unlinked(void **state)
{
    two_t *two = *state;
    make(two, 0, "a");
    make(two, 0, "t");
    for (int i = 0; i < 4; i++) {
        int pool = i & 1;
        make(two, pool, "b");
        link_actors(two, 0, "a", pool, "b");
        link_actors(two, pool, "b", 0, "t");
        if (i & 2) {
            expect_ok(begin(two, 0, "a", XO_METHOD_UNLINK, at(two, pool), "b"));
            expect_ok(begin(two, 0, "t", XO_METHOD_UNLINK, at(two, pool), "b"));
        } else {
            expect_ok(begin(two, pool, "b", XO_METHOD_UNLINK, at(two, 0), "a"));
            expect_ok(begin(two, pool, "b", XO_METHOD_UNLINK, at(two, 0), "t"));
        }
        settle(two);
        end(two, pool, "b");
    }
    settle(two);
    assert_true(has_uid(two, 0, "a"));
    assert_int_equal(two->hosts[0].count, 0);
    make(two, 1, "b");
    link_actors(two, 0, "t", 1, "b");
    expect_ok(begin(two, 0, "t", XO_METHOD_UNLINK, at(two, 1), "b"));
    end(two, 0, "t");
    settle(two);
    assert_true(has_uid(two, 1, "b"));
}

/* Opens a port that takes connections and says nothing. */
static int open_silent(char address[XO_ADDRESS_BYTES])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
    snprintf(address, XO_ADDRESS_BYTES, "127.0.0.1:%d", ntohs(in.sin_port));
    return fd;
}

/* Nobody answers there: the link waits until nobody wants it. */
static void test_given_up_before_it_was_linked(void **state)
{
    char silent[XO_ADDRESS_BYTES];
    two_t *two = *state;
    int fd = open_silent(silent);
    make(two, 0, "a");
    xo_future_t *cancelled = begin(two, 0, "a", XO_METHOD_LINK, silent, "b");
    settle(two);
    assert_false(xo_future_done(cancelled));
    xo_future_cancel(cancelled);
    expect_error(cancelled, XO_CODE_CANCELLED, "no");
    xo_future_t *unlinked = begin(two, 0, "a", XO_METHOD_LINK, silent, "b");
    expect_ok(begin(two, 0, "a", XO_METHOD_UNLINK, silent, "b"));
    expect_error(unlinked, XO_CODE_CANCELLED, "no");
    xo_future_t *ended = begin(two, 0, "a", XO_METHOD_LINK, silent, "b");
    end(two, 0, "a");
    expect_error(ended, XO_CODE_ACTOR_NOT_EXIST, "no");
    close(fd);
}

/* ---- many ---- */

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void end_many(two_t *two, int count)
{
    char uid[16];
    xo_future_t *linked = NULL;
    make(two, 0, "hub");
    for (int i = 0; i < count; i++) {
        snprintf(uid, sizeof uid, "%d", i);
        make(two, 1, uid);
        linked = begin_link(two, 0, "hub", 1, uid);
        xo_future_t *other = begin_link(two, 1, uid, 0, "hub");
        expect_ok(linked);
        expect_ok(other);
    }
    xo_future_t *last = watch(two, 1, uid);
    end(two, 0, "hub");
    expect_reason(two, last, "\"hub\" at");
    settle(two);
    assert_false(has_uid(two, 1, "0"));
}

/* Eight times as many take eight times as long, not 64 times. */
static void test_many_links_of_one(void **state)
{
    enum { FEW = 1000, MANY = 8 * FEW };
    two_t *two = *state;
    end_many(two, FEW);
    double begun = cpu_s();
    end_many(two, FEW);
    double few = cpu_s() - begun;
    end_many(two, MANY);
    double many = cpu_s() - begun - few;
    print_message("# %d links: %.3f s, %d: %.3f s\n", FEW, few, MANY, many);
    assert_true(many < 24 * few);
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, two_setup, two_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_either_ends_with_the_other),
        LINK_TEST(test_a_uid_that_is_no_text),
        LINK_TEST(test_a_ring_of_links),
        LINK_TEST(test_it_ends_in_its_turn),
        LINK_TEST(test_told_once),
        LINK_TEST(test_both_are_told_of_neither_more_than_once),
        LINK_TEST(test_one_that_is_told_takes_its_turn),
        LINK_TEST(test_the_other_was_dead),
        LINK_TEST(test_the_other_pool_ends),
        LINK_TEST(test_a_pool_ends_with_all_its_links),
        LINK_TEST(test_one_that_is_not_made_yet),
        LINK_TEST(test_what_cannot_be_linked),
        LINK_TEST(test_nobody_else_says_that_one_has_ended),
        LINK_TEST(test_nobody_else_ends_a_link),
        LINK_TEST(test_unlinked),
        LINK_TEST(test_given_up_before_it_was_linked),
        LINK_TEST(test_many_links_of_one),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
