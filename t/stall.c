/* What the broker makes of a pool's silence and of its progress page. The pool is an endpoint of
 * the test's, and time the test's own; real pools that stand still are in t/0306-broker-stalls.t.
 */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker_impl.h"
#include "broker/supervisor_impl.h"
#include "t/broker-rig.h"

#define HEARTBEAT_NS (1000 * XO_MS)

typedef struct world {
    fixture_t *f;
    xo_broker_t *broker;
    xo_member_t *member; /* of f->b */
    xoi_progress_t progress;
} world_t;

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 * XO_MS + now.tv_nsec;
}

static void beat(world_t *w)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "{s i}", "progress", w->progress.fd);
    xo_supervisor_heartbeat(w->broker->supervisor, w->member, xo_buf_slice(&body));
    xo_buf_free(&body);
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    fixture_setup((void **)&w->f);
    fixture_t *f = w->f;
    w->broker = rig_broker(f, 1000, NULL, NULL);
    f->b = node_pool(f, RIG_DOOR, 11, 1);
    w->member = xo_pools_find(&w->broker->pools, 11);
    assert_int_equal(xoi_progress_open(&w->progress), 0);
    xo_timer_stop(&w->broker->supervisor->tick); /* the test's own */
    xo_loop_freeze(f->loop, monotonic_ns());
    beat(w);
    assert_int_equal(w->member->state, XO_POOL_READY);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_broker_destroy(w->broker);
    fixture_teardown((void **)&w->f);
    xoi_progress_close(&w->progress);
    free(w);
    return 0;
}

/* A heartbeat's time passes. */
static void pass(world_t *w)
{
    xo_supervisor_t *supervisor = w->broker->supervisor;
    xo_loop_advance(w->f->loop, HEARTBEAT_NS);
    xo_timer_stop(&supervisor->tick);
    xo_supervisor_tick(&supervisor->tick, supervisor);
    xo_timer_stop(&supervisor->tick);
}

static void enter(world_t *w, const char *uid, const char *method)
{
    xoi_progress_enter(&w->progress, uid, xo_slice_str(uid), NULL, xo_slice_str(method),
                       xo_loop_now(w->f->loop));
}

/* The record as it would be listed, and what is left of it. */
static bool record_says(world_t *w, const char *words)
{
    xo_rec_t rec = {0};
    xo_buf_t body = XO_BUF_INIT, text = XO_BUF_INIT;
    xo_member_record(w->member, &rec);
    xo_rec_pack(&rec, 0, &body);
    xo_pack_dump(xo_buf_slice(&body), &text, 4096);
    xo_buf_append(&text, "", 1);
    bool says = strstr(text.data, words) != NULL;
    xo_buf_free(&body);
    xo_buf_free(&text);
    return says;
}

static void a_loop_that_stands_still_is_suspect(void **state)
{
    world_t *w = *state;
    enter(w, "alice", "spin");
    for (int i = 0; i < 3; i++) {
        pass(w);
        assert_int_equal(w->member->state, XO_POOL_READY);
    }
    pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
    assert_string_equal(w->member->reason,
                        "lost heartbeats, in method \"spin\" of actor \"alice\"");
    assert_true(record_says(w, "\"busy_actor\": \"alice\""));
    assert_true(record_says(w, "\"busy_method\": \"spin\""));
    assert_true(record_says(w, "\"busy_since\""));
    xoi_progress_leave(&w->progress);
    beat(w);
    assert_int_equal(w->member->state, XO_POOL_READY);
    assert_string_equal(w->member->reason, "");
    assert_false(record_says(w, "busy"));
}

static void a_busy_loop_is_not(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 20; i++) {
        enter(w, "alice", "compute");
        pass(w);
        assert_int_equal(w->member->state, XO_POOL_READY);
        xoi_progress_leave(&w->progress);
    }
    for (int i = 0; i < 5; i++) /* the first one sees that it has left the method */
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
}

/* Its heartbeats are not sent, as they would say nothing new: each shows on the page. */
static void one_that_beats_without_a_message_is_not(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 20; i++) {
        pass(w);
        assert_int_equal(w->member->state, XO_POOL_READY);
        xoi_progress_leave(&w->progress);
    }
}

/* But for a heartbeat now and then, in case that it would not wake up. */
static void one_that_sleeps_is_not(void **state)
{
    world_t *w = *state;
    for (int round = 0; round < 3; round++) {
        xoi_progress_sleep(&w->progress);
        for (int i = 0; i < XO_REST_HEARTBEATS; i++) {
            pass(w);
            assert_int_equal(w->member->state, XO_POOL_READY);
        }
        xoi_progress_wake(&w->progress);
    }
    xoi_progress_sleep(&w->progress);
    for (int i = 0; i < XO_REST_HEARTBEATS + 5; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
}

/* A process that has the page, too, and only waits. */
static pid_t other_process(world_t *w)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    assert_true(pid > 0);
    w->member->pid = pid;
    xo_member_unwatch(w->member);
    beat(w);
    return pid;
}

/* What a signal does to it has been done when this returns. */
static void send_signal(pid_t pid, int signum, int done)
{
    assert_int_equal(kill(pid, signum), 0);
    assert_int_equal(waitpid(pid, NULL, done), pid);
}

static void one_that_is_stopped_in_its_sleep_is_suspect(void **state)
{
    world_t *w = *state;
    pid_t pid = other_process(w);
    xoi_progress_sleep(&w->progress);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++) {
            pass(w);
            assert_int_equal(w->member->state, XO_POOL_READY);
        }
        send_signal(pid, SIGSTOP, WUNTRACED);
        for (int i = 0; i < 3; i++) {
            pass(w);
            assert_int_equal(w->member->state, XO_POOL_READY);
        }
        pass(w);
        assert_int_equal(w->member->state, XO_POOL_SUSPECT);
        assert_string_equal(w->member->reason, "lost heartbeats; its process is stopped");
        send_signal(pid, SIGCONT, WCONTINUED);
        pass(w);
        assert_int_equal(w->member->state, XO_POOL_READY);
    }
    send_signal(pid, SIGKILL, 0);
}

/* A look that finds nothing out is no reason to believe the page. */
static void one_that_has_ended_in_its_sleep_is_suspect(void **state)
{
    world_t *w = *state;
    pid_t pid = other_process(w);
    xoi_progress_sleep(&w->progress);
    pass(w);
    pass(w);
    send_signal(pid, SIGKILL, 0);
    for (int i = 0; i < 4; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
}

/* It came between two looks, and the next one comes late. */
static void nor_one_whose_beat_is_late(void **state)
{
    world_t *w = *state;
    pass(w);
    xoi_progress_leave(&w->progress);
    pass(w);
    pass(w);
    pass(w);
    assert_int_equal(w->member->state, XO_POOL_READY);
}

static void send_heartbeat(world_t *w)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_endpoint_t *pool = w->f->b->endpoint;
    xo_header_t header = {.kind = XO_HEARTBEAT};
    xo_pack_format(&body, "{s i}", "progress", w->progress.fd);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_endpoint_tell(pool, xo_endpoint_broker(pool), &msg, 0, NULL, NULL, NULL);
    xo_buf_free(&body);
}

/* From then on it need not send what the page shows. */
static void a_pool_whose_page_is_seen_hears_so_once(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_member_unwatch(w->member);
    send_heartbeat(w);
    UNTIL(strcmp(f->b->event, "watched") == 0);
    int before = f->b->events;
    send_heartbeat(w);
    while (xo_loop_once(f->loop, 0) > 0)
        ;
    assert_int_equal(f->b->events, before);
}

/* Its heartbeats do not come, but what it does goes on. */
static void a_suspect_that_moves_is_well_again(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 4; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
    assert_string_equal(w->member->reason, "lost heartbeats");
    enter(w, "alice", "compute");
    pass(w);
    assert_int_equal(w->member->state, XO_POOL_READY);
}

/* It began the method when it had been silent already: the time counts from there. */
static void the_method_it_is_in_counts_from_its_beginning(void **state)
{
    world_t *w = *state;
    pass(w);
    enter(w, "alice", "spin");
    for (int i = 0; i < 3; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_READY);
    pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
}

static void a_method_of_the_future_is_not_believed(void **state)
{
    world_t *w = *state;
    xoi_progress_enter(&w->progress, "a", xo_slice_str("alice"), NULL, xo_slice_str("spin"),
                       INT64_MAX);
    for (int i = 0; i < 4; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
    assert_true(w->member->busy_since <= time(NULL));
    assert_true(w->member->busy_since > time(NULL) - 1000);
}

/* What is said of a name that is no text. */
static void names_are_made_text(void **state)
{
    world_t *w = *state;
    enter(w, "a\xff\n\"", "m\x80");
    for (int i = 0; i < 4; i++)
        pass(w);
    assert_string_equal(w->member->reason, "lost heartbeats, in method \"m\\x80\" of actor "
                                           "\"a\\xff\\x0a\\x22\"");
}

static void on_ended(xo_process_t *process, int status, void *arg)
{
    (void)process, (void)status, (void)arg;
}

/* The pool is the broker's own from now on, and its link is lost. */
static xo_run_t *cut_off(world_t *w)
{
    char *const argv[] = {"sleep", "600", NULL};
    const char *const env[] = {NULL};
    const xo_process_start_t start = {argv, env, NULL, -1, -1};
    const xo_error_t why = {.text = "it closed"};
    xo_run_t *run = calloc(1, sizeof *run);
    run->member = w->member;
    run->spec = xo_pool_spec_create();
    run->process = xo_process_spawn(w->f->loop, &start, on_ended, NULL, NULL);
    assert_non_null(run->process);
    w->member->run = run;
    xo_supervisor_unlinked(w->broker->supervisor, w->member->link, NULL, &why);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
    return run;
}

static void release(world_t *w)
{
    xo_run_t *run = w->member->run;
    w->member->run = NULL;
    xo_process_destroy(run->process);
    xo_pool_spec_destroy(run->spec);
    free(run);
}

/* It is given three heartbeats, which are over after the last one. */
static void expect_its_end(world_t *w)
{
    for (int i = 0; i < 2; i++)
        pass(w);
    assert_string_equal(w->member->run->cause, "");
    pass(w);
    assert_string_equal(w->member->run->cause, "its link to the broker was lost");
    release(w);
}

static void one_that_does_not_link_again_is_ended(void **state)
{
    world_t *w = *state;
    xoi_progress_sleep(&w->progress);
    cut_off(w);
    assert_string_equal(w->member->reason, "its link to the broker was lost");
    expect_its_end(w);
}

/* Only what its loop could do counts. */
static void one_that_is_busy_cannot_link_again(void **state)
{
    world_t *w = *state;
    enter(w, "alice", "spin");
    const xo_run_t *run = cut_off(w);
    assert_string_equal(w->member->reason, "its link to the broker was lost, in method \"spin\" of "
                                           "actor \"alice\"");
    assert_true(record_says(w, "\"busy_method\": \"spin\""));
    for (int i = 0; i < 20; i++)
        pass(w);
    xoi_progress_leave(&w->progress);
    for (int i = 0; i < 20; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
    assert_string_equal(run->cause, "");
    xoi_progress_sleep(&w->progress);
    expect_its_end(w);
}

static void nor_can_one_that_is_stopped(void **state)
{
    world_t *w = *state;
    pid_t pid = other_process(w);
    xoi_progress_sleep(&w->progress);
    send_signal(pid, SIGSTOP, WUNTRACED);
    const xo_run_t *run = cut_off(w);
    for (int i = 0; i < 20; i++)
        pass(w);
    assert_string_equal(run->cause, "");
    send_signal(pid, SIGCONT, WCONTINUED);
    expect_its_end(w);
    send_signal(pid, SIGKILL, 0);
}

/* Another one may lead its group: a shell script that has started it. */
static void one_that_has_ended_is_not_waited_for(void **state)
{
    world_t *w = *state;
    pid_t pid = other_process(w);
    enter(w, "alice", "spin");
    send_signal(pid, SIGKILL, 0);
    cut_off(w);
    expect_its_end(w);
}

/* Of a process that is not the broker's child, where the kernel tells only its parent. */
static void the_page_says_how_a_stranger_ended(void **state)
{
    world_t *w = *state;
    char text[XO_ERROR_TEXT_BYTES];
    xo_run_t run = {.member = w->member, .spec = xo_pool_spec_create(), .was_ready = true};
    enter(w, "alice", "train");
    assert_int_equal(xo_run_exit_status(&run, XO_STATUS_UNKNOWN), XO_STATUS_UNKNOWN);
    xo_run_explain_end(&run, XO_STATUS_UNKNOWN, text, sizeof text);
    assert_string_equal(text, "it ended, in method \"train\" of actor \"alice\"");
    assert_int_equal(xo_run_exit_status(&run, SIGKILL), SIGKILL);
    xoi_progress_end(&w->progress, 3);
    assert_int_equal(xo_run_exit_status(&run, SIGKILL), SIGKILL);
    int status = xo_run_exit_status(&run, XO_STATUS_UNKNOWN);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    xo_run_explain_end(&run, status, text, sizeof text);
    assert_string_equal(text, "exit status 3");
    xo_pool_spec_destroy(run.spec);
}

static void a_page_that_is_none_is_borne(void **state)
{
    world_t *w = *state;
    const int fds[] = {STDERR_FILENO, 9999, -1};
    for (size_t i = 0; i < 3; i++) {
        xo_buf_t body = XO_BUF_INIT;
        xo_pack_format(&body, "{s i}", "progress", fds[i]);
        xo_supervisor_heartbeat(w->broker->supervisor, w->member, xo_buf_slice(&body));
        xo_buf_free(&body);
        assert_true(w->member->page < 0 || fds[i] == -1);
    }
    for (int i = 0; i < 4; i++)
        pass(w);
    assert_int_equal(w->member->state, XO_POOL_SUSPECT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_that_stands_still_is_suspect),
        TEST(a_busy_loop_is_not),
        TEST(one_that_beats_without_a_message_is_not),
        TEST(one_that_sleeps_is_not),
        TEST(one_that_is_stopped_in_its_sleep_is_suspect),
        TEST(one_that_has_ended_in_its_sleep_is_suspect),
        TEST(nor_one_whose_beat_is_late),
        TEST(a_pool_whose_page_is_seen_hears_so_once),
        TEST(a_suspect_that_moves_is_well_again),
        TEST(the_method_it_is_in_counts_from_its_beginning),
        TEST(a_method_of_the_future_is_not_believed),
        TEST(names_are_made_text),
        TEST(one_that_does_not_link_again_is_ended),
        TEST(one_that_is_busy_cannot_link_again),
        TEST(nor_can_one_that_is_stopped),
        TEST(one_that_has_ended_is_not_waited_for),
        TEST(the_page_says_how_a_stranger_ended),
        TEST(a_page_that_is_none_is_borne),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
