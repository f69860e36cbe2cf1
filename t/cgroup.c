/* What a process has started ends with its cgroup, wherever it has gone, and whatever it knows. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/cgroup.h"
#include "broker/process.h"
#include "t/unit.h"

#define NODE 0xc600000000000000u
#define POOL 0xabu

typedef struct world {
    xo_loop_t *loop;
    uint64_t node; /* of its own, so that others' tests are left alone */
    xo_cgroup_t cgroup;
    char parent[512];   /* of this test alone; "": none can be had */
    char path[1024];    /* of the node's folder */
    char directory[32]; /* an invented /proc */
    char output[64];    /* of what is started */
    bool ended;
} world_t;

static void write_file(const world_t *w, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/self/%s", w->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Beside other tests' nodes, which look after what nodes have left, too. */
static void make_parent(world_t *w)
{
    xo_cgroup_t real;
    char own[512], text[1200];
    xo_cgroup_init(&real, "/proc", 1000000);
    xo_cgroup_own("/proc", "", own, sizeof own);
    snprintf(w->parent, sizeof w->parent, "%.400s/xo_t-%d", real.parent, (int)getpid());
    if (real.parent[0] == 0 || mkdir(w->parent, 0755) < 0) {
        w->parent[0] = 0;
        return;
    }
    snprintf(text, sizeof text, "0::%s/xo_t-%d\n", own, (int)getpid());
    write_file(w, "cgroup", text);
    snprintf(text, sizeof text, "30 25 0:26 / %.*s rw - cgroup2 cgroup2 rw\n",
             (int)(strlen(real.parent) - strlen(own)), real.parent);
    write_file(w, "mountinfo", text);
    xo_cgroup_init(&w->cgroup, w->directory, 0);
    assert_string_equal(w->cgroup.parent, w->parent);
}

static int setup(void **state)
{
    char self[64];
    world_t *w = calloc(1, sizeof *w);
    w->node = NODE + (uint64_t)getpid();
    w->loop = xo_loop_create(NULL);
    strcpy(w->directory, "/tmp/xo-cgroup-XXXXXX");
    if (mkdtemp(w->directory) == NULL)
        return -1;
    snprintf(w->output, sizeof w->output, "%s/output", w->directory);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* so that we see the end of daemons */
    snprintf(self, sizeof self, "%s/self", w->directory);
    if (mkdir(self, 0700) < 0)
        return -1;
    make_parent(w);
    snprintf(w->path, sizeof w->path, "%s/xo-%016llx", w->cgroup.parent,
             (unsigned long long)w->node);
    *state = w;
    return 0;
}

static void remove_proc(const world_t *w)
{
    static const char *const names[] = {"self/cgroup", "self/mountinfo", "self"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", w->directory, names[i]);
        remove(path);
    }
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_cgroup_end_all(&w->cgroup, w->node);
    if (w->parent[0])
        rmdir(w->parent);
    xo_loop_destroy(w->loop);
    unlink(w->output);
    remove_proc(w);
    rmdir(w->directory);
    free(w);
    return 0;
}

static void on_ended(xo_process_t *process, int status, void *arg)
{
    world_t *w = arg;
    (void)process;
    (void)status;
    w->ended = true;
    xo_loop_stop(w->loop);
}

/* Started in the cgroup of a process of the pool. Skips the test where there is none. */
static xo_process_t *start(world_t *w, const char *script, uint32_t generation)
{
    static const char *const nothing[] = {NULL};
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    xo_error_t err;
    int cgroup = xo_cgroup_open(&w->cgroup, w->node, POOL, generation);
    if (cgroup < 0)
        skip();
    const xo_process_start_t how = {argv, nothing, w->output, cgroup, -1};
    xo_process_t *process = xo_process_spawn(w->loop, &how, on_ended, w, &err);
    close(cgroup);
    if (process == NULL)
        fail_msg("%s", err.text);
    return process;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void a_process_starts_in_its_cgroup(void **state)
{
    world_t *w = *state;
    char expected[64];
    xo_process_t *process = start(w, "cat /proc/self/cgroup", 3);
    xo_loop_run(w->loop);
    assert_true(w->ended);
    xo_process_destroy(process);
    snprintf(expected, sizeof expected, "/xo-%016llx/pool-00000000000000ab-3\n",
             (unsigned long long)w->node);
    assert_non_null(strstr(file_text(w->output), expected));
    assert_int_equal(xo_cgroup_end(&w->cgroup, w->node, POOL, 3), 0);
    assert_false(exists(w->path));
}

/* A session of its own, no parent, an environment of its own: nothing but the cgroup knows whose it
 * is. */
static void a_daemon_without_an_environment_is_ended(void **state)
{
    world_t *w = *state;
    const char *script = "setsid env -i sh -c 'echo $$; exec 1>&- 2>&-; kill -STOP $$' & wait; :";
    xo_process_t *process = start(w, script, 1);
    while (file_text(w->output)[0] == 0)
        xo_loop_once(w->loop, XO_MS);
    pid_t daemon_pid = (pid_t)atoi(file_text(w->output));
    xo_process_signal(process, SIGKILL);
    while (!w->ended)
        xo_loop_once(w->loop, -1);
    xo_process_destroy(process);
    assert_int_equal(kill(daemon_pid, 0), 0); /* its group's end did not reach it */
    assert_int_equal(xo_cgroup_end(&w->cgroup, w->node, POOL, 2), 0); /* another one's */
    assert_int_equal(kill(daemon_pid, 0), 0);
    assert_int_equal(xo_cgroup_end(&w->cgroup, w->node, POOL, 1), 1);
    int status;
    assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    xo_cgroup_end_all(&w->cgroup, w->node);
    assert_false(exists(w->path));
}

static void all_of_a_node_end_together(void **state)
{
    world_t *w = *state;
    xo_process_t *processes[] = {start(w, "exec sleep 1000", 1), start(w, "exec sleep 1000", 2)};
    assert_int_equal(xo_cgroup_end_all(&w->cgroup, w->node), 2);
    for (int i = 0; i < 2; i++)
        xo_process_destroy(processes[i]); /* waits for its end, which has come */
    xo_cgroup_end_all(&w->cgroup, w->node);
    assert_false(exists(w->path));
}

/* A node that runs in a pool's: it ends by itself, in order, when its owner does. */
static void a_node_within_leaves(void **state)
{
    world_t *w = *state;
    char own[XO_CGROUP_PATH_BYTES];
    int status;
    int cgroup = xo_cgroup_open(&w->cgroup, w->node, POOL, 1);
    if (cgroup < 0)
        skip();
    close(cgroup);
    pid_t child = fork();
    if (child == 0) {
        xo_cgroup_t nested;
        char path[1200];
        snprintf(path, sizeof path, "%s/pool-00000000000000ab-1/cgroup.procs", w->path);
        int fd = open(path, O_WRONLY);
        if (write(fd, "0", 1) != 1)
            _exit(1);
        xo_cgroup_init(&nested, "/proc", 1000000);
        _exit(strcmp(nested.parent, w->cgroup.parent) == 0 &&
                      xo_cgroup_own("/proc", "", own, sizeof own) == 0 && !strstr(own, "/xo-")
                  ? 0
                  : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void what_a_dead_node_left_is_removed(void **state)
{
    world_t *w = *state;
    xo_cgroup_t next;
    int cgroup = xo_cgroup_open(&w->cgroup, w->node, POOL, 1);
    if (cgroup < 0)
        skip();
    close(cgroup);
    assert_true(exists(w->path));
    xo_cgroup_init(&next, w->directory, 0);
    assert_false(exists(w->path));
}

/* ---- where there is none ---- */

static void without_one_nothing_is_done(void **state)
{
    world_t *w = *state;
    char self[64];
    xo_cgroup_t none;
    remove_proc(w);
    snprintf(self, sizeof self, "%s/self", w->directory);
    assert_int_equal(mkdir(self, 0700), 0);
    xo_cgroup_init(&none, w->directory, 0);
    assert_string_equal(none.parent, "");
    write_file(w, "cgroup", "4:memory:/a\n");
    write_file(w, "mountinfo", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    xo_cgroup_init(&none, w->directory, 0);
    assert_string_equal(none.parent, "");
    write_file(w, "cgroup", "4:memory:/a\n0::/b/c\n");
    write_file(w, "mountinfo", "30 25 0:26 / /sys rw shared:7 - sysfs sysfs rw\n");
    xo_cgroup_init(&none, w->directory, 0);
    assert_string_equal(none.parent, "");
    write_file(w, "mountinfo",
               "29 25 0:25 / /sys rw shared:7 - sysfs sysfs rw\n"
               "30 25 0:26 / /nowhere/cgroup rw shared:8 - cgroup2 cgroup2 rw\n");
    xo_cgroup_init(&none, w->directory, 0);
    assert_string_equal(none.parent, "/nowhere/cgroup/b/c");
    assert_int_equal(xo_cgroup_open(&none, w->node, POOL, 1), -1);
    assert_int_equal(xo_cgroup_end(&none, w->node, POOL, 1), 0);
    assert_int_equal(xo_cgroup_end_all(&none, w->node), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_process_starts_in_its_cgroup),   TEST(a_daemon_without_an_environment_is_ended),
        TEST(all_of_a_node_end_together),       TEST(a_node_within_leaves),
        TEST(what_a_dead_node_left_is_removed), TEST(without_one_nothing_is_done),
    };

    return run_tap(tests);
}
