/* Child processes: how they are started, how their end is told, and that nothing of them is left.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/process.h"
#include "registry/proc.h"
#include "t/unit.h"

typedef struct {
    xo_loop_t *loop;
    char directory[32];
    char output[64];
    int ended, status;
} world_t;

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/xo-process-XXXXXX");
    if (mkdtemp(w->directory) == NULL)
        return -1;
    snprintf(w->output, sizeof w->output, "%s/output", w->directory);
    w->loop = xo_loop_create(NULL);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    xo_loop_destroy(w->loop);
    unlink(w->output);
    rmdir(w->directory);
    free(w);
    return 0;
}

static void on_ended(xo_process_t *process, int status, void *arg)
{
    world_t *w = arg;
    w->ended++;
    w->status = status;
    xo_process_destroy(process);
    xo_loop_stop(w->loop);
}

static xo_process_t *shell(world_t *w, const char *script, const char *const *env)
{
    static const char *const nothing[] = {NULL};
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    xo_error_t err;
    const xo_process_start_t start = {argv, env ? env : nothing, w->output, -1, -1};
    xo_process_t *process = xo_process_spawn(w->loop, &start, on_ended, w, &err);
    if (process == NULL)
        fail_msg("%s", err.text);
    return process;
}

static void run(world_t *w, const char *script, const char *const *env)
{
    shell(w, script, env);
    xo_loop_run(w->loop);
    assert_int_equal(w->ended, 1);
}

static void the_end_is_a_sentence(void **state)
{
    world_t *w = *state;
    char text[64];
    run(w, "exit 3", NULL);
    xo_process_sentence(w->status, text, sizeof text);
    assert_string_equal(text, "exit status 3");
    shell(w, "kill -9 $$", NULL);
    xo_loop_run(w->loop);
    xo_process_sentence(w->status, text, sizeof text);
    assert_string_equal(text, "signal 9 (Killed)");
}

static void a_program_that_is_not_there_is_named(void **state)
{
    world_t *w = *state;
    static const char *const nothing[] = {NULL};
    char *argv[] = {"/nonexistent/program", NULL};
    xo_error_t err;
    const xo_process_start_t start = {argv, nothing, NULL, -1, -1};
    assert_null(xo_process_spawn(w->loop, &start, on_ended, w, &err));
    assert_int_equal(err.errnum, ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/program"));
}

static void variables_are_replaced_and_added(void **state)
{
    world_t *w = *state;
    static const char *const env[] = {"XO_T_OLD=new", "XO_T_NEW=x=y", NULL};
    setenv("XO_T_OLD", "old", 1);
    setenv("XO_T_KEPT", "kept", 1);
    run(w, "echo $XO_T_OLD $XO_T_NEW $XO_T_KEPT; env | grep -c ^XO_T_OLD=", env);
    assert_string_equal(file_text(w->output), "new x=y kept\n1\n");
}

static void it_inherits_nothing_that_it_should_not(void **state)
{
    world_t *w = *state;
    assert_int_equal(dup2(STDOUT_FILENO, 77), 77);
    signal(SIGPIPE, SIG_IGN);
    /* glibc ignores two signals of its own, so only the lower ones are looked at. */
    run(w,
        "cat; [ -e /proc/self/fd/77 ] && echo leaked; "
        "sed -n -e 's/^SigIgn:.*\\(....\\)$/ignored \\1/p' -e 's/^SigBlk:\t/blocked /p' "
        "/proc/self/status; echo to stderr >&2; [ $(ps -o pgid= $$) = $$ ] && echo leads",
        NULL);
    signal(SIGPIPE, SIG_DFL);
    close(77);
    assert_string_equal(file_text(w->output),
                        "blocked 0000000000000000\nignored 0000\nto stderr\nleads\n");
}

/* It reads what it is given for its standard input, and its end is told to who has it last. */
static void it_is_handed_over(void **state)
{
    world_t *w = *state, other = {.loop = w->loop};
    static const char *const nothing[] = {NULL};
    char *argv[] = {"cat", NULL};
    xo_error_t err;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const xo_process_start_t start = {argv, nothing, w->output, -1, ends[0]};
    xo_process_t *process = xo_process_spawn(w->loop, &start, on_ended, &other, &err);
    assert_non_null(process);
    xo_process_hand_over(process, on_ended, w);
    assert_int_equal(write(ends[1], "said later\n", 11), 11);
    close(ends[1]);
    close(ends[0]);
    xo_loop_run(w->loop);
    assert_int_equal(w->ended, 1);
    assert_int_equal(other.ended, 0);
    assert_int_equal(w->status, 0);
    assert_string_equal(file_text(w->output), "said later\n");
}

/* The pid that the script printed. */
static pid_t wait_for_pid(world_t *w)
{
    pid_t pid = 0;
    for (int i = 0; i < 1000 && pid == 0; i++) {
        xo_loop_once(w->loop, 10);
        FILE *file = fopen(w->output, "r");
        if (file != NULL && fscanf(file, "%d\n", &pid) != 1)
            pid = 0;
        if (file != NULL)
            fclose(file);
    }
    assert_true(pid > 0);
    return pid;
}

/* A process that was killed may be a zombie until init has seen it. */
static void assert_goes(pid_t pid)
{
    char path[64], state = 'R';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 2000 && state != 'Z'; i++) {
        FILE *file = fopen(path, "r");
        if (file == NULL)
            return;
        if (fscanf(file, "%*d %*s %c", &state) != 1)
            state = 'Z';
        fclose(file);
        usleep(1000);
    }
    assert_int_equal(state, 'Z');
}

static void its_family_goes_with_it(void **state)
{
    world_t *w = *state;
    run(w, "sleep 600 & echo $!", NULL);
    assert_int_equal(w->status, 0);
    assert_goes((pid_t)atoi(file_text(w->output)));
}

static void destroying_it_kills_its_group(void **state)
{
    world_t *w = *state;
    xo_process_t *process = shell(w, "trap '' TERM; sleep 600 & echo $!; wait", NULL);
    pid_t child = wait_for_pid(w), leader = xo_process_pid(process);
    xo_process_signal(process, SIGTERM); /* ignored */
    xo_process_destroy(process);
    assert_int_equal(kill(leader, 0), -1);
    assert_goes(child);
    assert_int_equal(w->ended, 0);
    xo_process_destroy(NULL);
}

/* A child that its broker takes for another's, so that it leaves reaping it to us. */
static int adopted_end(world_t *w, const char *script, bool reap_first)
{
    xo_error_t err;
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        raise(SIGSTOP);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT), 0);
    if (xo_process_adopt(w->loop, pid, xo_proc_started(pid), on_ended, w, &err) == NULL)
        fail_msg("%s", err.text);
    kill(pid, SIGCONT);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | (reap_first ? 0 : WNOWAIT)), 0);
    xo_loop_run(w->loop);
    if (!reap_first)
        waitpid(pid, NULL, 0);
    return w->status;
}

static void how_one_ended_that_is_no_child_is_known(void **state)
{
    world_t *w = *state;
    int status = adopted_end(w, "exit 3", false);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_int_equal(adopted_end(w, "exit 0", false), 0);
    status = adopted_end(w, "kill -9 $$", false);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* One that does not tell of what was reaped. */
static bool is_old_kernel(void)
{
    struct utsname name;
    int major = 0, minor = 0;
    assert_int_equal(uname(&name), 0);
    assert_int_equal(sscanf(name.release, "%d.%d", &major, &minor), 2);
    return major < 6 || (major == 6 && minor < 15);
}

/* By whoever has inherited it. */
static void how_one_ended_that_was_reaped_is_known(void **state)
{
    world_t *w = *state;
    int status = adopted_end(w, "exit 3", true);
    if (status == XO_STATUS_UNKNOWN && is_old_kernel())
        skip();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_int_equal(adopted_end(w, "exit 0", true), 0);
    status = adopted_end(w, "kill -9 $$", true);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_end_is_a_sentence),
        TEST(a_program_that_is_not_there_is_named),
        TEST(variables_are_replaced_and_added),
        TEST(it_inherits_nothing_that_it_should_not),
        TEST(it_is_handed_over),
        TEST(its_family_goes_with_it),
        TEST(destroying_it_kills_its_group),
        TEST(how_one_ended_that_is_no_child_is_known),
        TEST(how_one_ended_that_was_reaped_is_known),
    };
    return run_tap(tests);
}
