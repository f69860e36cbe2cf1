/* The progress page: what its writer says is what a reader sees, and a hostile writer is refused.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/progress.h"
#include "t/unit.h"

typedef struct pair {
    xoi_progress_t writer;
    int page;
} pair_t;

static int setup(void **state)
{
    pair_t *pair = calloc(1, sizeof *pair);
    assert_int_equal(xoi_progress_open(&pair->writer), 0);
    assert_true(pair->writer.fd >= 0);
    pair->page = xo_progress_watch(getpid(), pair->writer.fd, NULL);
    assert_true(pair->page >= 0);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    pair_t *pair = *state;
    close(pair->page);
    xoi_progress_close(&pair->writer);
    free(pair);
    return 0;
}

static void enter(pair_t *pair, const char *uid, const char *method, int64_t now_ns)
{
    xoi_progress_enter(&pair->writer, uid, xo_slice_str(uid), NULL, xo_slice_str(method), now_ns);
}

static xo_progress_seen_t look(const pair_t *pair)
{
    xo_progress_seen_t seen;
    assert_int_equal(xo_progress_look(pair->page, &seen), 0);
    return seen;
}

static void assert_seen(const pair_t *pair, const char *uid, const char *method, int64_t since_ns)
{
    xo_progress_seen_t seen = look(pair);
    assert_true(seen.inside);
    assert_true(xo_slice_eq_str(xo_slice(seen.uid, seen.uid_size), uid));
    assert_true(xo_slice_eq_str(xo_slice(seen.method, seen.method_size), method));
    assert_int_equal(seen.since_ns, since_ns);
}

static void what_runs_is_seen(void **state)
{
    pair_t *pair = *state;
    const char *alice = "alice", *bob = "bob";
    assert_false(look(pair).inside);
    enter(pair, alice, "add", 7);
    assert_seen(pair, "alice", "add", 7);
    xoi_progress_leave(&pair->writer);
    assert_false(look(pair).inside);
    enter(pair, alice, "subtract", 8);
    assert_seen(pair, "alice", "subtract", 8);
    enter(pair, bob, "", 9); /* without having left */
    assert_seen(pair, "bob", "", 9);
}

/* A name that is there already is not written again, but is if anything else was there meanwhile.
 */
static void what_is_known_has_its_name(void **state)
{
    pair_t *pair = *state;
    const char *alice = "alice", *bob = "bob";
    const int add = 0, take = 0;
    xo_slice_t uid = xo_slice_str(alice);
    xoi_progress_enter(&pair->writer, alice, uid, &add, xo_slice_str("add"), 1);
    assert_seen(pair, "alice", "add", 1);
    xoi_progress_enter(&pair->writer, alice, uid, &add, xo_slice_str("add"), 2);
    assert_seen(pair, "alice", "add", 2);
    xoi_progress_enter(&pair->writer, bob, xo_slice_str(bob), &add, xo_slice_str("add"), 3);
    assert_seen(pair, "bob", "add", 3);
    xoi_progress_enter(&pair->writer, bob, xo_slice_str(bob), &take, xo_slice_str("take"), 4);
    assert_seen(pair, "bob", "take", 4);
    enter(pair, bob, "", 5);
    assert_seen(pair, "bob", "", 5);
    enter(pair, bob, "other", 6);
    assert_seen(pair, "bob", "other", 6);
    xoi_progress_enter(&pair->writer, alice, uid, &take, xo_slice_str("take"), 7);
    assert_seen(pair, "alice", "take", 7);
}

/* Whatever else is on the page, also when it is changed just now. */
static void what_waits_is_seen(void **state)
{
    pair_t *pair = *state;
    xoi_progress_box(&pair->writer.page->boxed, 3);
    assert_int_equal(look(pair).boxed, 3);
    enter(pair, "alice", "add", 7);
    xoi_progress_box(&pair->writer.page->boxed, -2);
    assert_int_equal(look(pair).boxed, 1);
    xoi_progress_leave(&pair->writer);
    assert_int_equal(look(pair).boxed, 1);
}

/* Another actor may be made where one was that is gone. */
static void a_new_actor_at_an_old_place_has_its_own_uid(void **state)
{
    pair_t *pair = *state;
    char place[8] = "alice";
    enter(pair, place, "add", 1);
    xoi_progress_leave(&pair->writer);
    xoi_progress_forget(&pair->writer, place);
    strcpy(place, "bob");
    enter(pair, place, "add", 2);
    assert_seen(pair, "bob", "add", 2);
}

static void whatever_is_done_counts(void **state)
{
    pair_t *pair = *state;
    uint64_t last = look(pair).count;
    for (int i = 0; i < 10; i++) {
        if (i % 3 == 0)
            enter(pair, "a", "b", i);
        else
            xoi_progress_leave(&pair->writer);
        assert_true(look(pair).count > last);
        last = look(pair).count;
    }
}

static void long_names_are_cut(void **state)
{
    pair_t *pair = *state;
    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    enter(pair, name, name, 1);
    xo_progress_seen_t seen = look(pair);
    assert_int_equal(seen.uid_size, sizeof seen.uid);
    assert_int_equal(seen.method_size, sizeof seen.method);
}

/* A page outlives its writer: what it was in when it died can be read. */
static void it_is_seen_after_death(void **state)
{
    pair_t *pair = *state;
    pid_t child = fork();
    if (child == 0) {
        enter(pair, "alice", "crash", 5);
        raise(SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_seen(pair, "alice", "crash", 5);
}

/* ---- hostile writers ---- */

static void sizes_are_checked(void **state)
{
    pair_t *pair = *state;
    xo_progress_seen_t seen;
    enter(pair, "a", "b", 1);
    pair->writer.page->uid_size = XOI_PROGRESS_UID_BYTES + 1;
    assert_int_equal(xo_progress_look(pair->page, &seen), -1);
    pair->writer.page->uid_size = 1;
    pair->writer.page->method_size = UINT32_MAX;
    assert_int_equal(xo_progress_look(pair->page, &seen), -1);
    assert_false(seen.inside);
    pair->writer.page->method_size = 1;
    pair->writer.page->magic[0] = 'y';
    assert_int_equal(xo_progress_look(pair->page, &seen), -1);
}

/* Stopped in the middle of a change: nothing that is half written is believed. */
static void what_is_being_written_is_not_read(void **state)
{
    pair_t *pair = *state;
    enter(pair, "a", "b", 1);
    pair->writer.page->count = 4 + XOI_PROGRESS_WRITING;
    assert_false(look(pair).inside);
}

static void other_files_are_refused(void **state)
{
    int ends[2], small = memfd_create("t", MFD_ALLOW_SEALING);
    char path[] = "/tmp/xo-t-XXXXXX";
    int plain = mkstemp(path);
    (void)state;
    unlink(path);
    assert_int_equal(ftruncate(plain, sizeof(xoi_progress_page_t)), 0);
    assert_int_equal(pipe(ends), 0);
    assert_errno(xo_progress_watch(getpid(), ends[0], NULL), EBADMSG);
    assert_errno(xo_progress_watch(getpid(), small, NULL), EBADMSG);
    assert_errno(xo_progress_watch(getpid(), plain, NULL), EBADMSG);
    assert_errno(xo_progress_watch(getpid(), 12345, NULL), ENOENT);
    for (int i = 0; i < 2; i++)
        close(ends[i]);
    close(small);
    close(plain);
}

/* ---- without ---- */

static void without_descriptors_it_is_written_all_the_same(void **state)
{
    xoi_progress_t writer;
    struct rlimit limit, none;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    none = (struct rlimit){0, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int rc = xoi_progress_open(&writer);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(rc, 0);
    assert_int_equal(writer.fd, -1);
    xoi_progress_enter(&writer, "a", xo_slice_str("a"), NULL, xo_slice_str("b"), 1);
    xoi_progress_leave(&writer);
    xoi_progress_close(&writer);
    xoi_progress_close(&writer);
}

/* ---- while it is written ---- */

#define LOOKS 20000

typedef struct racer {
    pair_t *pair;
    atomic_bool over;
} racer_t;

/* The method is the uid again, so that a mixture would show. */
static void *write_on(void *arg)
{
    static const char *const names[] = {"a", "bb", "cccccccccccccccccccc", "dddd"};
    racer_t *racer = arg;
    for (unsigned i = 0; !racer->over; i++) {
        const char *name = names[i % 4];
        xoi_progress_enter(&racer->pair->writer, name, xo_slice_str(name), NULL, xo_slice_str(name),
                           (int64_t)strlen(name));
        if (i % 2)
            xoi_progress_leave(&racer->pair->writer);
    }
    return NULL;
}

static void what_is_read_belongs_together(void **state)
{
    racer_t racer = {.pair = *state};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &racer), 0);
    for (int i = 0; i < LOOKS; i++) {
        xo_progress_seen_t seen = look(racer.pair);
        if (!seen.inside)
            continue;
        assert_int_equal(seen.since_ns, (int64_t)seen.uid_size);
        assert_int_equal(seen.uid_size, seen.method_size);
        assert_memory_equal(seen.uid, seen.method, seen.uid_size);
    }
    racer.over = true;
    pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_runs_is_seen),
        TEST(what_is_known_has_its_name),
        TEST(what_waits_is_seen),
        TEST(a_new_actor_at_an_old_place_has_its_own_uid),
        TEST(whatever_is_done_counts),
        TEST(long_names_are_cut),
        TEST(it_is_seen_after_death),
        TEST(sizes_are_checked),
        TEST(what_is_being_written_is_not_read),
        TEST(other_files_are_refused),
        cmocka_unit_test(without_descriptors_it_is_written_all_the_same),
        TEST(what_is_read_belongs_together),
    };
    return run_tap(tests);
}
