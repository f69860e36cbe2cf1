/* ways.c - which lane leads to an address (libxo/way.c), over real lanes and between processes. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "libxo/unix_socket.h"
#include "t/node.h"

#define ALL_LANES "shm,ipc,tcp"

static void listening_pool(fixture_t *f)
{
    xo_error_t err;
    f->b = node_create(f, XO_ROLE_POOL, NULL, NULL);
    f->b->echo = true;
    if (xo_endpoint_listen(f->b->endpoint, "127.0.0.1", NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static void call_over(fixture_t *f, const char *address, const char *scheme)
{
    outcome_t outcome = {0};
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, address, NULL);
    assert_non_null(link);
    node_call(f->a, link, 8, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.text, "");
    assert_int_equal(outcome.value, 8);
    assert_string_equal(xo_link_scheme(link), scheme);
}

static void test_address_of_this_process_goes_by_inproc(void **state)
{
    fixture_t *f = *state;
    listening_pool(f);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, xo_endpoint_self(f->b->endpoint)->address, "inproc");
}

static void test_address_of_this_machine_goes_by_the_nearest_lane_allowed(void **state)
{
    fixture_t *f = *state;
    const char *const allowed[][2] = {
        {"shm,ipc,tcp", "shm"}, {"shm", "shm"}, {"ipc", "ipc"}, {"tcp", "tcp"}};
    const int ways = sizeof allowed / sizeof *allowed;
    xo_ctx_t *first = f->ctx;
    listening_pool(f);
    for (int i = 0; i < ways; i++) {
        setenv("XO_LANES", allowed[i][0], 1);
        f->ctx = xo_ctx_create("test", NULL); /* as another process would have */
        f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
        call_over(f, xo_endpoint_self(f->b->endpoint)->address, allowed[i][1]);
        node_destroy(f->a);
        UNTIL(f->b->unlinked == i + 1);
        xo_ctx_destroy(f->ctx);
    }
    f->a = NULL;
    f->ctx = first;
    setenv("XO_LANES", ALL_LANES, 1);
}

static void test_tcp_may_be_asked_for(void **state)
{
    fixture_t *f = *state;
    char lane[XO_ADDRESS_BYTES + 8];
    xo_ctx_t *first = f->ctx;
    listening_pool(f);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    snprintf(lane, sizeof lane, "tcp://%s", xo_endpoint_self(f->b->endpoint)->address);
    call_over(f, lane, "tcp");
    node_destroy(f->a);
    f->a = NULL;
    UNTIL(f->b->unlinked == 1);
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
}

static void test_unknown_lanes_are_refused(void **state)
{
    (void)state;
    xo_error_t err;
    const char *const wrong[] = {"shn", "shm,", "inproc", "ipc tcp"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("XO_LANES", wrong[i], 1);
        assert_null(xo_ctx_create("test", &err));
        assert_int_equal(err.errnum, EINVAL);
        assert_non_null(strstr(err.text, "XO_LANES"));
    }
    setenv("XO_LANES", ALL_LANES, 1);
}

/* Makes a dead process's socket of one that lives; it is unlinked by the caller. */
static void make_stale(const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
}

static void test_stale_socket_file_falls_back_to_tcp(void **state)
{
    fixture_t *f = *state;
    char path[600];
    char shm[600];
    xo_ctx_t *first = f->ctx;
    listening_pool(f);
    const char *address = xo_endpoint_self(f->b->endpoint)->address;
    snprintf(shm, sizeof shm, "%s/%s.shm", xo_ctx_run_dir(f->ctx), address);
    make_stale(shm);
    snprintf(path, sizeof path, "%s/%s", xo_ctx_run_dir(f->ctx), address);
    make_stale(path);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, address, "tcp");
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
    unlink(path);
    unlink(shm);
}

static void test_nobody_at_a_tcp_address(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    node_call(f->a, xo_endpoint_link(f->a->endpoint, "127.0.0.1:1", NULL), 1, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_non_null(strstr(outcome.text, "127.0.0.1:1"));
}

static void call_by_name(fixture_t *f, const char *name, outcome_t *outcome)
{
    char path[600];
    char target[XO_ADDRESS_BYTES + 8];
    xo_ctx_t *first = f->ctx;
    snprintf(target, sizeof target, "%s.shm", xo_endpoint_self(f->b->endpoint)->address);
    snprintf(path, sizeof path, "%s/%s.shm", xo_ctx_run_dir(first), name);
    assert_int_equal(symlink(target, path), 0);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    node_call(f->a, xo_endpoint_link(f->a->endpoint, name, NULL), 1, 0, 0, outcome);
    UNTIL(outcome->answers);
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
    unlink(path);
}

static void test_only_the_port_says_who_was_meant(void **state)
{
    fixture_t *f = *state;
    outcome_t wrong = {0}, named = {0};
    char name[XO_ADDRESS_BYTES + 32];
    listening_pool(f);
    const char *address = xo_endpoint_self(f->b->endpoint)->address;
    snprintf(name, sizeof name, "localhost:%s", strchr(address, ':') + 1);
    call_by_name(f, name, &named);
    assert_int_equal(named.kind, XO_RESULT);
    call_by_name(f, "127.0.0.1:1", &wrong);
    assert_non_null(strstr(wrong.text, address));
}

/* ---- less than the nearest ---- */

enum { CALLS = 2000 };

/* Answers must come in the order of the calls. */
typedef struct series {
    int64_t next;
    int answered, failed;
    bool out_of_order;
} series_t;

static void series_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    series_t *series = arg;
    int64_t value = -1;
    series->answered++;
    if (xo_msg_header(*answer)->kind == XO_ERROR)
        series->failed++;
    else if (xo_unpack(xo_msg_body(*answer), NULL, "I", &value) < 0 || value != ++series->next)
        series->out_of_order = true;
}

static void call_series(fixture_t *f, xo_link_t *link, series_t *series, int count)
{
    for (int i = 1; i <= count; i++) {
        xo_msg_t *msg = node_make(XO_CALL, 0, i, (size_t)(i % 50 == 0 ? 200000 : i % 300));
        assert_non_null(xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE, 0,
                                         series_answer, series, NULL));
    }
}

static void series_over(fixture_t *f, const char *address, const char *scheme)
{
    series_t series = {0};
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, address, NULL);
    assert_non_null(link);
    call_series(f, link, &series, CALLS); /* before it is known which lane it will be */
    UNTIL(series.answered == CALLS);
    assert_int_equal(series.failed, 0);
    assert_false(series.out_of_order);
    assert_string_equal(xo_link_scheme(link), scheme);
}

static void test_without_shared_memory_ipc_is_used(void **state)
{
    fixture_t *f = *state;
    xo_ctx_t *first = f->ctx;
    struct rlimit before;
    listening_pool(f);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, before.rlim_max});
    series_over(f, xo_endpoint_self(f->b->endpoint)->address, "ipc");
    setrlimit(RLIMIT_FSIZE, &before);
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
}

/* As a pool does that cannot map what it gets. */
static void test_a_pool_without_shared_memory_is_reached_by_ipc(void **state)
{
    fixture_t *f = *state;
    char path[600];
    xo_ctx_t *first = f->ctx;
    listening_pool(f);
    const char *address = xo_endpoint_self(f->b->endpoint)->address;
    snprintf(path, sizeof path, "%s/%s.shm", xo_ctx_run_dir(f->ctx), address);
    assert_int_equal(unlink(path), 0);
    int door = xoi_unix_listen(path, NULL);
    assert_true(door >= 0);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    assert_non_null(xo_endpoint_link(f->a->endpoint, address, NULL));
    close(accept(door, NULL, NULL));
    series_over(f, address, "ipc");
    close(door);
    unlink(path);
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
}

static bool no_room; /* for the file of a socket */

int __real_bind(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    if (!no_room || address->sa_family != AF_UNIX)
        return __real_bind(fd, address, size);
    errno = ENOSPC;
    return -1;
}

static void test_a_pool_without_room_for_sockets_is_reached_by_tcp(void **state)
{
    fixture_t *f = *state;
    xo_ctx_t *first = f->ctx;
    no_room = true;
    listening_pool(f);
    no_room = false;
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, xo_endpoint_self(f->b->endpoint)->address, "tcp");
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
}

/* ---- two processes ---- */

static pid_t start_pool(fixture_t *f, char address[XO_ADDRESS_BYTES])
{
    int fds[2];
    char text[XO_ADDRESS_BYTES] = "";
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        f->ctx = xo_ctx_create("test", NULL);
        f->loop = xo_loop_create(NULL);
        listening_pool(f);
        strcpy(text, xo_endpoint_self(f->b->endpoint)->address);
        if (write(fds[1], text, sizeof text) == sizeof text)
            xo_loop_run(f->loop);
        _exit(1);
    }
    assert_int_equal(read(fds[0], address, XO_ADDRESS_BYTES), XO_ADDRESS_BYTES);
    close(fds[0]);
    close(fds[1]);
    return child;
}

static void test_each_call_of_a_killed_pool_has_one_answer(void **state)
{
    fixture_t *f = *state;
    const char *const lanes[] = {"shm", "ipc"};
    for (int i = 0; i < 2; i++) {
        char address[XO_ADDRESS_BYTES];
        series_t series = {0};
        setenv("XO_LANES", lanes[i], 1);
        pid_t child = start_pool(f, address);
        xo_ctx_destroy(f->ctx);
        f->ctx = xo_ctx_create("test", NULL);
        f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
        series_over(f, address, lanes[i]);
        xo_link_t *link = xo_endpoint_link(f->a->endpoint, address, NULL);
        kill(child, SIGSTOP);
        call_series(f, link, &series, CALLS);
        kill(child, SIGCONT);
        UNTIL(series.answered > CALLS / 10);
        kill(child, SIGKILL);
        UNTIL(series.answered == CALLS);
        assert_true(series.failed < CALLS * 9 / 10);
        assert_false(series.out_of_order);
        UNTIL(f->a->unlinked == 1);
        assert_int_equal(f->a->why.errnum, ECONNRESET);
        waitpid(child, NULL, 0);
        node_destroy(f->a);
        f->a = NULL;
    }
    setenv("XO_LANES", ALL_LANES, 1);
}

/* ---- a fork that stays ---- */

static int fork_pids[2]; /* a pipe */

static void fork_and_stay(int signal)
{
    (void)signal;
    pid_t pid = fork();
    while (pid == 0)
        pause();
    if (write(fork_pids[1], &pid, sizeof pid) != sizeof pid)
        _exit(1);
}

/* It has all descriptors of the pool, so no connection ends with that. */
static void killed_with_a_fork(fixture_t *f, const char *lane)
{
    char address[XO_ADDRESS_BYTES];
    series_t series = {0};
    pid_t pid;
    setenv("XO_LANES", lane, 1);
    pid_t child = start_pool(f, address);
    xo_ctx_destroy(f->ctx);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, address, lane);
    kill(child, SIGUSR1);
    assert_int_equal(read(fork_pids[0], &pid, sizeof pid), sizeof pid);
    kill(child, SIGSTOP);
    call_series(f, xo_endpoint_link(f->a->endpoint, address, NULL), &series, 10);
    kill(child, SIGKILL);
    UNTIL(series.answered == 10);
    assert_int_equal(series.failed, 10);
    assert_int_equal(kill(pid, SIGKILL), 0); /* it was there all the time */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    node_destroy(f->a);
    f->a = NULL;
}

static void test_a_fork_does_not_keep_the_lane_of_a_killed_pool(void **state)
{
    assert_int_equal(pipe(fork_pids), 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGUSR1, fork_and_stay);
    killed_with_a_fork(*state, "shm");
    killed_with_a_fork(*state, "ipc");
    killed_with_a_fork(*state, "tcp");
    signal(SIGUSR1, SIG_DFL);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    setenv("XO_LANES", ALL_LANES, 1);
    close(fork_pids[0]);
    close(fork_pids[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(address_of_this_process_goes_by_inproc),
        T(address_of_this_machine_goes_by_the_nearest_lane_allowed),
        T(tcp_may_be_asked_for),
        T(unknown_lanes_are_refused),
        T(stale_socket_file_falls_back_to_tcp),
        T(nobody_at_a_tcp_address),
        T(only_the_port_says_who_was_meant),
        T(without_shared_memory_ipc_is_used),
        T(a_pool_without_shared_memory_is_reached_by_ipc),
        T(a_pool_without_room_for_sockets_is_reached_by_tcp),
        T(each_call_of_a_killed_pool_has_one_answer),
        T(a_fork_does_not_keep_the_lane_of_a_killed_pool),
    };
    setenv("XO_LANES", ALL_LANES, 1);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("ways", tests, NULL, NULL);
}
