#include "broker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/proc.h"

extern char **environ;

struct xo_process {
    pid_t pid;
    int pidfd;
    bool ended;
    bool adopted;    /* not our child */
    int64_t started; /* of one that is not */
    xo_io_t watch;
    xo_process_ended_f callback;
    void *arg;
};

void xo_process_sentence(int status, char *text, size_t size)
{
    if (status == XO_STATUS_UNKNOWN)
        snprintf(text, size, "it ended");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

/* ---- the environment ---- */

static bool same_name(const char *a, const char *b)
{
    size_t length = strcspn(a, "=");
    return length == strcspn(b, "=") && strncmp(a, b, length) == 0;
}

static bool replaced(const char *entry, const char *const *env)
{
    for (; *env != NULL; env++) {
        if (same_name(entry, *env))
            return true;
    }
    return false;
}

static size_t count_strings(const char *const *strings)
{
    size_t count = 0;
    while (strings[count] != NULL)
        count++;
    return count;
}

/* The array is the caller's, the strings are not. */
static char **merge_environment(const char *const *env)
{
    size_t ours = count_strings((const char *const *)environ);
    char **merged = calloc(ours + count_strings(env) + 1, sizeof(*merged));
    size_t count = 0;
    if (merged == NULL)
        return NULL;
    for (char **entry = environ; *entry != NULL; entry++) {
        if (!replaced(*entry, env))
            merged[count++] = *entry;
    }
    for (; *env != NULL; env++) {
        if (!replaced(*env, env + 1)) /* of one that is there twice the last counts */
            merged[count++] = (char *)*env;
    }
    return merged;
}

/* ---- starting ---- */

#define FAILURE_FD (STDERR_FILENO + 1) /* closed by exec */

/* In the child, with all signals blocked, as handlers of ours must not run here. A session of its
 * own: in the broker's its group would be orphaned when the broker dies, and with one that is
 * stopped then the kernel sends SIGHUP. */
static void __attribute__((noreturn))
become(const xo_process_start_t *start, char **env, int failure)
{
    setsid();
    xo_proc_reset_signals();
    if ((start->input < 0 || dup2(start->input, STDIN_FILENO) == STDIN_FILENO) &&
        dup2(failure, FAILURE_FD) == FAILURE_FD && fcntl(FAILURE_FD, F_SETFD, FD_CLOEXEC) == 0 &&
        close_range(FAILURE_FD + 1, ~0U, 0) == 0 &&
        xo_proc_redirect(start->input < 0, start->output) == 0)
        execvpe(start->argv[0], start->argv, env);
    int saved = errno;
    (void)!write(FAILURE_FD, &saved, sizeof(saved));
    _exit(127);
}

/* Started there, and not moved afterwards: moving a process takes the kernel ten milliseconds, in
 * which it may already have started others. */
static pid_t fork_into(int cgroup)
{
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup};
    pid_t pid = cgroup < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    return pid >= 0 ? pid : fork(); /* not everybody who may make a cgroup may start in it */
}

static int spawn(pid_t *pid, const xo_process_start_t *start, char **env)
{
    sigset_t all, before;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *pid = fork_into(start->cgroup);
    if (*pid == 0)
        become(start, env, fds[1]);
    int failure = *pid < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(fds[1]);
    if (failure == 0 && (failure = xo_proc_read_failure(fds[0])) != 0)
        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
            ;
    close(fds[0]);
    return failure;
}

/* ---- watching ---- */

/* Of one that is not our child. Whoever has inherited it reaps it, but its number stays taken as
 * long as there is a group with it: if another process has the number, nothing is left of the
 * group. */
static void kill_group_of(pid_t pid, int64_t started)
{
    int64_t now = xo_proc_started(pid);
    if (now == 0 || now == started)
        kill(-pid, SIGKILL);
}

/* What Linux 6.15 and later tell whoever holds a pidfd of a process that has been reaped (struct
 * pidfd_info of linux/pidfd.h, which many machines have older than their kernel). */
typedef struct pidfd_told {
    uint64_t mask, cgroup;
    uint32_t ids[11]; /* pid, tgid, ppid, then eight of users and groups */
    int32_t status;
} pidfd_told_t;

#define TELL_STATUS (UINT64_C(1) << 3)           /* PIDFD_INFO_EXIT */
#define PIDFD_TELL _IOWR(0xFF, 11, pidfd_told_t) /* PIDFD_GET_INFO */

_Static_assert(sizeof(pidfd_told_t) == 64, "PIDFD_INFO_SIZE_VER0");

/* Whoever reaps it may do so at any time: before that /proc has it, afterwards only the pidfd. */
static int how_it_ended(const xo_process_t *process)
{
    pidfd_told_t told = {.mask = TELL_STATUS};
    int status = xo_proc_status(process->pid, process->started);
    if (status >= 0)
        return status;
    if (ioctl(process->pidfd, PIDFD_TELL, &told) == 0 && (told.mask & TELL_STATUS) != 0)
        return told.status;
    return XO_STATUS_UNKNOWN;
}

static int leave_adopted(xo_process_t *process)
{
    struct pollfd gone = {.fd = process->pidfd, .events = POLLIN};
    kill_group_of(process->pid, process->started);
    while (poll(&gone, 1, -1) < 0 && errno == EINTR)
        ;
    process->ended = true;
    return how_it_ended(process);
}

/* The group goes while its leader is a zombie, so that the number cannot be another's already. */
static int reap(xo_process_t *process)
{
    int status = 0;
    if (process->adopted)
        return leave_adopted(process);
    kill(-process->pid, SIGKILL);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    process->ended = true;
    return status;
}

static void on_pidfd(xo_io_t *io, int revents, void *arg)
{
    xo_process_t *process = arg;
    (void)revents;
    xo_io_stop(io);
    int status = reap(process);
    process->callback(process, status, process->arg);
}

static int watch(xo_process_t *process, xo_loop_t *loop, xo_error_t *err)
{
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0)
        return xo_error_set(err, errno, "pidfd_open: %s", strerror(errno));
    xo_io_init(&process->watch, loop, process->pidfd, XO_READ, on_pidfd, process);
    if (xo_io_start(&process->watch) < 0)
        return xo_error_set(err, errno, "watching process %d: %s", (int)process->pid,
                            strerror(errno));
    return 0;
}

xo_process_t *xo_process_spawn(xo_loop_t *loop, const xo_process_start_t *start,
                               xo_process_ended_f ended, void *arg, xo_error_t *err)
{
    xo_process_t *process = calloc(1, sizeof(*process));
    char **merged = merge_environment(start->env);
    int rc = ENOMEM;
    if (process != NULL && merged != NULL) {
        *process = (xo_process_t){.pidfd = -1, .callback = ended, .arg = arg};
        rc = spawn(&process->pid, start, merged);
    }
    free(merged);
    if (rc != 0) {
        free(process);
        return xo_error_null(err, rc, "%s: %s", start->argv[0], strerror(rc));
    }
    if (watch(process, loop, err) < 0) {
        xo_process_destroy(process);
        return NULL;
    }
    return process;
}

xo_process_t *xo_process_adopt(xo_loop_t *loop, pid_t pid, int64_t started,
                               xo_process_ended_f ended, void *arg, xo_error_t *err)
{
    xo_process_t *process = calloc(1, sizeof(*process));
    if (process == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    *process = (xo_process_t){.pid = pid,
                              .pidfd = -1,
                              .adopted = true,
                              .started = started,
                              .callback = ended,
                              .arg = arg};
    /* With the descriptor open, the number can be compared: it stays this process's. */
    if (watch(process, loop, err) == 0 && xo_proc_started(pid) == started)
        return process;
    xo_error_set(err, ESRCH, "process %d has ended", (int)pid);
    int saved = errno;
    kill_group_of(pid, started);
    process->ended = true;
    xo_process_destroy(process);
    errno = saved;
    return NULL;
}

void xo_process_hand_over(xo_process_t *process, xo_process_ended_f ended, void *arg)
{
    process->callback = ended;
    process->arg = arg;
}

pid_t xo_process_pid(const xo_process_t *process)
{
    return process->pid;
}

void xo_process_signal(xo_process_t *process, int signum)
{
    if (!process->ended)
        kill(process->pid, signum);
}

void xo_process_kill_group(xo_process_t *process)
{
    if (!process->ended)
        kill(-process->pid, SIGKILL);
}

void xo_process_destroy(xo_process_t *process)
{
    if (process == NULL)
        return;
    int saved = errno;
    if (process->watch.active)
        xo_io_stop(&process->watch);
    if (!process->ended)
        reap(process);
    if (process->pidfd >= 0)
        close(process->pidfd);
    free(process);
    errno = saved;
}
