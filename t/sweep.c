/* What a process has started is found by its environment, wherever it has gone. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/sweep.h"
#include "t/unit.h"

#define NODE 0x5eedf00d00000000u

typedef struct world {
    uint64_t node; /* of its own, so that others' tests are left alone */
    int report[2]; /* where a process says that it is there, and whose end is its end */
} world_t;

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    w->node = NODE + (uint64_t)getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* so that we see the end of grandchildren */
    if (pipe(w->report) < 0)
        return -1;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    close(w->report[0]);
    close(w->report[1]);
    free(w);
    return 0;
}

/* Runs until it is killed; tells its number when it has the environment. */
static void sleeper(world_t *w, const char *pool, const char *generation)
{
    char fd[16], node[32];
    const char *script = "echo $$ >&$XO_T_FD; kill -STOP $$"; /* SIGKILL ends it all the same */
    snprintf(fd, sizeof fd, "%d", w->report[1]);
    snprintf(node, sizeof node, "%016llx", (unsigned long long)w->node);
    setenv("XO_T_FD", fd, 1);
    setenv("XO_NODE_ID", node, 1);
    setenv("XO_POOL_ID", pool, 1);
    setenv("XO_POOL_GENERATION", generation, 1);
    execlp("sh", "sh", "-c", script, (char *)NULL);
    _exit(127);
}

static pid_t read_pid(world_t *w)
{
    char text[32] = "";
    for (size_t i = 0; i < sizeof text - 1 && read(w->report[0], text + i, 1) == 1; i++)
        if (text[i] == '\n')
            break;
    return (pid_t)atoi(text);
}

static void assert_killed(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* With a session of its own, and without a parent. */
static void a_daemon_is_found(void **state)
{
    world_t *w = *state;
    const xo_swept_t dead[] = {{7, 1}, {0xab, 3}};
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            sleeper(w, "00000000000000ab", "3");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    pid_t grandchild = read_pid(w);
    assert_true(grandchild > 0);
    assert_int_equal(xo_sweep(w->node, dead, 2), 1);
    assert_killed(grandchild);
    assert_int_equal(xo_sweep(w->node, dead, 2), 0);
}

static void those_of_others_are_left_alone(void **state)
{
    world_t *w = *state;
    const xo_swept_t right = {0xab, 3}, older = {0xab, 2}, other = {0xac, 3};
    pid_t child = fork();
    if (child == 0)
        sleeper(w, "00000000000000ab", "3");
    assert_int_equal(read_pid(w), child);
    assert_int_equal(xo_sweep(w->node, &older, 1), 0);
    assert_int_equal(xo_sweep(w->node, &other, 1), 0);
    assert_int_equal(xo_sweep(w->node, &right, 0), 0);
    assert_int_equal(xo_sweep(w->node + 1, &right, 1), 0);
    assert_int_equal(xo_sweep(w->node + 1, NULL, 0), 0);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    assert_int_equal(xo_sweep(w->node, &right, 1), 1);
    assert_killed(child);
}

static void all_of_a_node_are_ended_together(void **state)
{
    world_t *w = *state;
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0)
            sleeper(w, i == 0 ? "1" : "2", i == 2 ? "1" : "2");
        assert_int_equal(read_pid(w), children[i]);
    }
    assert_int_equal(xo_sweep(w->node, NULL, 0), 3);
    for (int i = 0; i < 3; i++)
        assert_killed(children[i]);
}

/* What counts comes behind everything else that is there. */
static void a_large_environment_is_read_to_its_end(void **state)
{
    world_t *w = *state;
    pid_t child = fork();
    if (child == 0) {
        char *padding = malloc(100001);
        memset(padding, 'x', 100000);
        padding[100000] = 0;
        clearenv();
        setenv("PATH", "/usr/bin:/bin", 1);
        setenv("XO_T_PADDING", padding, 1);
        sleeper(w, "1", "1");
    }
    assert_int_equal(read_pid(w), child);
    assert_int_equal(xo_sweep(w->node, NULL, 0), 1);
    assert_killed(child);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_daemon_is_found),
        TEST(those_of_others_are_left_alone),
        TEST(all_of_a_node_are_ended_together),
        TEST(a_large_environment_is_read_to_its_end),
    };
    return run_tap(tests);
}
