#include "registry/private_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/proc.h"

#define NAME "xo-redis-guard"
#define NAME_ALONE "xo-node-guard"
/* How long a broker has, once the owner is gone, to end all in order. Contract 15 gives 2 s. */
#define GRACE_MS 1500

static void fail(const xo_guard_t *guard)
{
    int errnum = errno ? errno : ESRCH;
    if (write(guard->status_fd, &errnum, sizeof(errnum)) < 0)
        _exit(126);
    _exit(127);
}

/* Everything but 0 to 2 and the status pipe; a listener of ours that a child kept would outlive us.
 */
static void close_others(int keep)
{
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, ~0u, 0);
}

static void run_server(const xo_guard_t *guard, pid_t parent)
{
    xo_proc_reset_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        execv(guard->program, guard->argv);
    fail(guard);
}

static pid_t start_server(const xo_guard_t *guard)
{
    pid_t self = getpid();
    pid_t server = fork();
    if (server == 0)
        run_server(guard, self);
    if (server < 0)
        fail(guard);
    return server;
}

/* So that whose child we are reads how the server ended. */
static void end_like(pid_t server)
{
    static const struct rlimit no_core = {0, 0};
    int status = 0;
    if (server == 0)
        _exit(0);
    while (waitpid(server, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status)) {
        setrlimit(RLIMIT_CORE, &no_core);
        signal(WTERMSIG(status), SIG_DFL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

static int wait_for(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int rc;
    do
        rc = poll(fds, count, timeout_ms);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* Each descriptor is readable once. Where one cannot be had it is -1, which poll(2) leaves out. */
typedef struct xo_watched {
    struct pollfd server, owner, told;
} xo_watched_t;

static struct pollfd readable(int fd)
{
    return (struct pollfd){.fd = fd, .events = POLLIN};
}

static xo_watched_t begin_watch(const xo_guard_t *guard, pid_t server)
{
    sigset_t told;
    sigemptyset(&told);
    sigaddset(&told, XO_GUARD_KILL);
    sigprocmask(SIG_BLOCK, &told, NULL);
    return (xo_watched_t){
        .server = readable(server > 0 ? (int)syscall(SYS_pidfd_open, server, 0) : -1),
        .owner = readable(guard->owner > 0 ? (int)syscall(SYS_pidfd_open, guard->owner, 0) : -1),
        .told = readable(signalfd(-1, &told, 0)),
    };
}

/* For as long as nobody else does, if the owner is gone. True: there is nobody else. */
static bool wait_long(const xo_guard_t *guard, xo_watched_t *watched)
{
    bool gone = guard->owner > 0 && watched->owner.fd < 0; /* before we looked */
    struct pollfd fds[] = {watched->server, watched->told, watched->owner};
    if (wait_for(fds, 3, gone ? 0 : -1) < 0)
        return false;
    if (fds[0].revents != 0 || fds[1].revents != 0)
        return false;
    return wait_for(fds, 2, GRACE_MS) == 0;
}

static void watch(const xo_guard_t *guard, pid_t server)
{
    xo_watched_t watched = begin_watch(guard, server);
    bool can = server == 0 || watched.server.fd >= 0;
    bool orphaned = can && wait_long(guard, &watched);
    if (server > 0 && (orphaned || wait_for(&watched.told, 1, 0) > 0))
        kill(server, SIGKILL);
    if (!orphaned || guard->orphaned == NULL)
        end_like(server);
    while (server > 0 && waitpid(server, NULL, 0) < 0 && errno == EINTR)
        continue;
    guard->orphaned(guard->run_dir);
    _exit(0);
}

static __attribute__((noreturn)) void run(const xo_guard_t *guard)
{
    setsid(); /* as pools do: see broker/process.c */
    xo_proc_reset_signals();
    signal(SIGTERM, SIG_IGN); /* the group's: it is for the server */
    prctl(PR_SET_NAME, guard->program != NULL ? NAME : NAME_ALONE);
    close_others(guard->status_fd);
    if (xo_proc_redirect(true, guard->log) < 0 || xo_proc_write(guard->pid_file, getpid()) < 0)
        fail(guard);
    pid_t server = guard->program != NULL ? start_server(guard) : 0;
    close(guard->status_fd);
    watch(guard, server);
    abort();
}

pid_t xo_guard_spawn(xo_guard_t *guard, xo_error_t *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return xo_error_set(err, errno, "cannot make a pipe: %s", strerror(errno));
    guard->status_fd = fds[1];
    pid_t pid = fork();
    if (pid == 0)
        run(guard);
    int errnum = errno;
    close(fds[1]);
    if (pid > 0 && (errnum = xo_proc_read_failure(fds[0]))) {
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(fds[0]);
    if (pid > 0)
        return pid;
    return xo_error_set(err, errnum, "cannot start %s: %s",
                        guard->program != NULL ? guard->program : NAME_ALONE, strerror(errnum));
}
