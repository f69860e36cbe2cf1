/* private-redis.c - the broker's own redis-server: starts, serves, ends, and leaves nothing behind.
 */

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/private.h"
#include "t/registry-support.h"
#include "t/unit.h"

typedef struct fixture {
    probe_t probe; /* its server only lends the directory */
    xo_private_redis_t *redis;
    unsigned exits;
    xo_error_t why;
    bool destroy_on_exit;
} fixture_t;

static int set_up(void **state)
{
    fixture_t *fixture = calloc(1, sizeof(*fixture));
    *state = fixture;
    fixture->probe.loop = xo_loop_create(NULL);
    return server_create(&fixture->probe.server);
}

static int tear_down(void **state)
{
    fixture_t *fixture = *state;
    xo_private_redis_destroy(fixture->redis);
    probe_close(&fixture->probe);
    free(fixture);
    return 0;
}

static void on_exit_(xo_private_redis_t *redis, const xo_error_t *why, void *arg)
{
    fixture_t *fixture = arg;
    assert_int_equal(xo_private_redis_pid(redis), 0);
    fixture->exits++;
    fixture->why = *why;
    if (!fixture->destroy_on_exit)
        return;
    xo_private_redis_destroy(redis);
    fixture->redis = NULL;
}

static void start(fixture_t *fixture, const char *dir)
{
    xo_error_t err;
    xo_private_redis_options_t options = {.run_dir = dir};
    fixture->redis = xo_private_redis_start(fixture->probe.loop, &options, on_exit_, fixture, &err);
    if (!fixture->redis)
        fail_msg("%s", err.text);
}

static void wait_exit(fixture_t *fixture)
{
    for (int i = 0; fixture->exits == 0 && i < 100; i++)
        xo_loop_once(fixture->probe.loop, 1000);
    assert_int_equal(fixture->exits, 1);
}

static bool exists(const fixture_t *fixture, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", fixture->probe.server.dir, name);
    return lstat(path, &st) == 0;
}

static void serves_and_stops(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    struct stat st;
    start(fixture, probe->server.dir);
    pid_t pid = xo_private_redis_pid(fixture->redis);
    assert_true(pid > 0);
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    assert_int_equal(put(probe, XO_REG_NODE, "x", "me", 60000, FIELDS("n", "1")), 0);
    assert_int_equal(probe->empties, 1);
    assert_int_equal(probe->downs, 0); /* its start is nobody's business */
    assert_int_equal(stat(probe->server.socket, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    xo_registry_close(probe->registry);
    probe->registry = NULL;
    xo_private_redis_stop(fixture->redis);
    xo_private_redis_stop(fixture->redis);
    assert_int_equal(fixture->exits, 0);
    wait_exit(fixture);
    assert_int_equal(fixture->why.errnum, 0);
    assert_int_equal(kill(pid, 0), -1);
    assert_false(exists(fixture, "redis.sock"));
    xo_private_redis_destroy(fixture->redis);
    fixture->redis = NULL;
    assert_int_equal(rmdir(probe->server.dir), 0);
}

static void its_death_is_told(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    start(fixture, probe->server.dir);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    probe_wait_up(probe, 1);
    kill(xo_private_redis_pid(fixture->redis), SIGKILL);
    wait_exit(fixture);
    assert_int_equal(fixture->why.errnum, ECHILD);
    assert_non_null(strstr(fixture->why.text, "signal 9"));
    assert_non_null(strstr(fixture->why.text, "log ends with '"));
    xo_private_redis_destroy(fixture->redis);
    start(fixture, probe->server.dir);
    probe_wait_up(probe, 2);
}

static void what_it_held_outlives_it(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    static const int ends[] = {SIGKILL, SIGTERM};
    start(fixture, probe->server.dir);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    assert_int_equal(put_spec(probe, "a@1", xo_slice_str("what creates it")), 0);
    for (unsigned i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        outcome_t found = {0};
        fixture->exits = 0;
        kill(-xo_private_redis_pid(fixture->redis), ends[i]);
        wait_exit(fixture);
        xo_private_redis_destroy(fixture->redis);
        start(fixture, probe->server.dir);
        probe_wait_up(probe, 2 + i);
        assert_int_equal(probe->empties, 1);
        assert_int_equal(get_spec(probe, "a@1", &found), 0);
        assert_string_equal(outcome_field(&found, 0, "spec"), "what creates it");
        outcome_free(&found);
    }
}

static void what_it_held_outlives_one_that_cannot_start(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    outcome_t found = {0};
    xo_private_redis_options_t options = {.run_dir = probe->server.dir};
    start(fixture, probe->server.dir);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    assert_int_equal(put_spec(probe, "a@1", xo_slice_str("what creates it")), 0);
    kill(-xo_private_redis_pid(fixture->redis), SIGKILL);
    wait_exit(fixture);
    xo_private_redis_destroy(fixture->redis);
    setenv("XO_REDIS_SERVER", "/nonexistent", 1);
    fixture->redis = xo_private_redis_start(probe->loop, &options, on_exit_, fixture, NULL);
    unsetenv("XO_REDIS_SERVER");
    assert_null(fixture->redis);
    assert_true(xo_private_redis_has_kept(probe->server.dir));
    start(fixture, probe->server.dir);
    probe_wait_up(probe, 2);
    assert_int_equal(get_spec(probe, "a@1", &found), 0);
    outcome_free(&found);
}

/* Writes nonsense over the beginning of what it holds. */
static int spoil(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)where;
    int fd = type == FTW_F ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        assert_int_equal(write(fd, "nonsense", 8), 8);
    if (fd >= 0)
        close(fd);
    return 0;
}

static void what_it_cannot_read_is_gone(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    char data[256];
    start(fixture, probe->server.dir);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    assert_int_equal(put(probe, XO_REG_NODE, "x", "me", 60000, FIELDS("n", "1")), 0);
    kill(-xo_private_redis_pid(fixture->redis), SIGKILL);
    wait_exit(fixture);
    xo_private_redis_destroy(fixture->redis);
    snprintf(data, sizeof(data), "%s/redis", probe->server.dir);
    assert_int_equal(nftw(data, spoil, 8, FTW_PHYS), 0);
    fixture->exits = 0;
    start(fixture, probe->server.dir);
    wait_exit(fixture);
    assert_non_null(strstr(fixture->why.text, "exited with status"));
    assert_true(xo_private_redis_has_failed(fixture->redis));
    xo_private_redis_forget(fixture->redis);
    xo_private_redis_destroy(fixture->redis);
    assert_false(xo_private_redis_has_kept(probe->server.dir));
    start(fixture, probe->server.dir);
    probe_wait_up(probe, 2);
    assert_int_equal(probe->empties, 2);
}

/* Stopped, it cannot hear SIGTERM. */
static void who_does_not_stop_is_killed(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    start(fixture, probe->server.dir);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    probe_wait_up(probe, 1);
    xo_registry_close(probe->registry);
    probe->registry = NULL;
    kill(-xo_private_redis_pid(fixture->redis), SIGSTOP);
    xo_loop_freeze(probe->loop, xo_loop_now(probe->loop));
    xo_private_redis_stop(fixture->redis);
    xo_loop_advance(probe->loop, 1000 * XO_MS);
    wait_exit(fixture);
    assert_non_null(strstr(fixture->why.text, "signal 9"));
    assert_false(exists(fixture, "redis.sock"));
}

static void may_be_destroyed_when_told(void **state)
{
    fixture_t *fixture = *state;
    start(fixture, fixture->probe.server.dir);
    fixture->destroy_on_exit = true;
    kill(xo_private_redis_pid(fixture->redis), SIGKILL);
    wait_exit(fixture);
    assert_null(fixture->redis);
}

static void destroy_kills(void **state)
{
    fixture_t *fixture = *state;
    start(fixture, fixture->probe.server.dir);
    pid_t pid = xo_private_redis_pid(fixture->redis);
    xo_private_redis_destroy(fixture->redis);
    fixture->redis = NULL;
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(fixture->exits, 0);
}

static void stop_after_the_end_tells_once(void **state)
{
    fixture_t *fixture = *state;
    start(fixture, fixture->probe.server.dir);
    kill(xo_private_redis_pid(fixture->redis), SIGKILL);
    wait_exit(fixture);
    xo_private_redis_stop(fixture->redis);
    xo_loop_once(fixture->probe.loop, 0);
    xo_loop_once(fixture->probe.loop, 0);
    assert_int_equal(fixture->exits, 1);
}

/* A process that starts one and dies without a word; the pid of the guard comes through the pipe,
 * and a descriptor of it goes into *gone. */
static pid_t start_in_a_process_that_dies(const char *dir, bool owned, struct pollfd *gone)
{
    int fds[2];
    pid_t pid = 0;
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail before it kills us */
        xo_private_redis_options_t options = {.run_dir = dir, .owner = owned ? getpid() : 0};
        xo_private_redis_t *redis =
            xo_private_redis_start(xo_loop_create(NULL), &options, NULL, NULL, NULL);
        pid = redis ? xo_private_redis_pid(redis) : 0;
        if (write(fds[1], &pid, sizeof(pid)) == sizeof(pid))
            pause();
        _exit(1);
    }
    assert_int_equal(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
    close(fds[0]);
    close(fds[1]);
    *gone = (struct pollfd){(int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0};
    assert_true(gone->fd >= 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return pid;
}

static void it_dies_with_its_owner(void **state)
{
    fixture_t *fixture = *state;
    struct pollfd gone;
    pid_t pid = start_in_a_process_that_dies(fixture->probe.server.dir, true, &gone);
    assert_int_equal(poll(&gone, 1, 60000), 1);
    close(gone.fd);
    /* Files are for `orphaned` to remove, or here for the next one. */
    start(fixture, fixture->probe.server.dir);
    assert_int_not_equal(xo_private_redis_pid(fixture->redis), pid);
}

static void it_is_taken_over(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    struct pollfd gone;
    pid_t pid = start_in_a_process_that_dies(probe->server.dir, false, &gone);
    start(fixture, probe->server.dir);
    assert_int_equal(xo_private_redis_pid(fixture->redis), pid);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    probe_wait_up(probe, 1);
    assert_int_equal(poll(&gone, 1, 0), 0);
    kill(-pid, SIGKILL); /* its end is told, though not how */
    wait_exit(fixture);
    assert_non_null(strstr(fixture->why.text, " ended; "));
    xo_private_redis_destroy(fixture->redis);
    start(fixture, probe->server.dir);
    probe_wait_up(probe, 2);
    close(gone.fd);
}

static void one_that_was_taken_over_is_destroyed(void **state)
{
    fixture_t *fixture = *state;
    struct pollfd gone;
    pid_t pid = start_in_a_process_that_dies(fixture->probe.server.dir, false, &gone);
    start(fixture, fixture->probe.server.dir);
    assert_int_equal(xo_private_redis_pid(fixture->redis), pid);
    xo_private_redis_destroy(fixture->redis);
    fixture->redis = NULL;
    assert_int_equal(poll(&gone, 1, 0), 1);
    assert_false(exists(fixture, "redis.sock") || exists(fixture, XO_PRIVATE_REDIS_PID));
    close(gone.fd);
}

/* ---- what can be wrong ---- */

static void check_failure(const char *dir, int errnum, const char *word)
{
    xo_error_t err = {0};
    xo_loop_t *loop = xo_loop_create(NULL);
    xo_private_redis_options_t options = {.run_dir = dir};
    assert_null(xo_private_redis_start(loop, &options, NULL, NULL, &err));
    assert_int_equal(errno, errnum);
    assert_int_equal(err.errnum, errnum);
    if (!strstr(err.text, word))
        fail_msg("unhelpful: %s", err.text);
    xo_loop_destroy(loop);
}

static void no_program(void **state)
{
    fixture_t *fixture = *state;
    char *path = strdup(getenv("PATH"));
    setenv("PATH", fixture->probe.server.dir, 1);
    check_failure(fixture->probe.server.dir, ENOENT, "install it");
    setenv("PATH", path, 1);
    free(path);
    setenv("XO_REDIS_SERVER", "/nonexistent", 1);
    check_failure(fixture->probe.server.dir, ENOENT, "XO_REDIS_SERVER");
    setenv("XO_REDIS_SERVER", "/etc/passwd", 1);
    check_failure(fixture->probe.server.dir, ENOENT, "XO_REDIS_SERVER");
    unsetenv("XO_REDIS_SERVER");
}

static void bad_directory(void **state)
{
    fixture_t *fixture = *state;
    char dir[256];
    check_failure("/nonexistent/dir", ENOTDIR, "/nonexistent/dir");
    snprintf(dir, sizeof(dir), "%s/%0100d", fixture->probe.server.dir, 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    check_failure(dir, ENAMETOOLONG, "XO_RUN_DIR");
    rmdir(dir);
}

/* A program that is none: exec's errno comes back. */
static void bad_program(void **state)
{
    fixture_t *fixture = *state;
    char path[256];
    snprintf(path, sizeof(path), "%s/redis-server", fixture->probe.server.dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, "\x7f\x45LF", 4), 4);
    close(fd);
    setenv("XO_REDIS_SERVER", path, 1);
    check_failure(fixture->probe.server.dir, ENOEXEC, path);
    unsetenv("XO_REDIS_SERVER");
}

static void odd_directory(void **state)
{
    fixture_t *fixture = *state;
    probe_t *probe = &fixture->probe;
    char dir[256];
    snprintf(dir, sizeof(dir), "%s/a b?%%20", probe->server.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    start(fixture, dir);
    assert_int_equal(probe_open(probe, xo_private_redis_url(fixture->redis), "test"), 0);
    probe_wait_up(probe, 1);
    xo_private_redis_destroy(fixture->redis);
    fixture->redis = NULL;
    assert_int_equal(rmdir(dir), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_and_stops),
        TEST(its_death_is_told),
        TEST(what_it_held_outlives_it),
        TEST(what_it_held_outlives_one_that_cannot_start),
        TEST(what_it_cannot_read_is_gone),
        TEST(who_does_not_stop_is_killed),
        TEST(may_be_destroyed_when_told),
        TEST(destroy_kills),
        TEST(stop_after_the_end_tells_once),
        TEST(it_dies_with_its_owner),
        TEST(it_is_taken_over),
        TEST(one_that_was_taken_over_is_destroyed),
        TEST(no_program),
        TEST(bad_directory),
        TEST(bad_program),
        TEST(odd_directory),
    };
    return run_tap(tests);
}

/* valgrind does not know pidfd_open before its version 3.20. */
static bool has_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(void)
{
    if (server_installed() && has_pidfd())
        return run_all();
    printf("1..0 # SKIP %s\n",
           server_installed() ? "pidfd_open is not there" : "redis-server is not installed");
    return 0;
}
