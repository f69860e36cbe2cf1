#include "registry/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/private_guard.h"
#include "registry/proc.h"
#include "registry/tree.h"

#define PROGRAM "redis-server"
#define FILE_BYTES 107     /* what sun_path holds, and hiredis takes */
#define DATA_NAME "redis"  /* the directory of what it keeps */
#define KILL_AFTER_MS 1000 /* it has nothing to save */
#define REWRITE_AT "16mb"  /* from there on its file is written anew whenever it has doubled */

struct xo_private_redis {
    xo_loop_t *loop;
    xo_private_redis_exit_f on_exit;
    void *arg;
    pid_t pid; /* of its guard, which leads their group; 0: gone */
    int pidfd;
    bool stopping;
    bool told;
    bool found; /* what another one had kept */
    bool keeps; /* what there is: we have not ended it */
    bool failed;
    xo_io_t gone;
    xo_timer_t kill;
    xo_defer_t tell;
    xo_error_t why;
    char dir[FILE_BYTES];
    char socket[FILE_BYTES];
    char log[FILE_BYTES];
    char pid_file[FILE_BYTES];
    char data[FILE_BYTES];
    char url[XO_PRIVATE_REDIS_URL_BYTES];
};

/* ---- the program ---- */

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int search_path(char *path, size_t size)
{
    const char *at = getenv("PATH");
    if (!at)
        at = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        int length = (int)strcspn(at, ":");
        snprintf(path, size, "%.*s/" PROGRAM, length, at);
        if (length && is_program(path))
            return 0;
        if (at[length] == 0)
            return -1;
        at += length + 1;
    }
}

int xo_private_redis_program(char *path, size_t size, xo_error_t *err)
{
    const char *set = getenv("XO_REDIS_SERVER");
    if (set && *set) {
        snprintf(path, size, "%s", set);
        return is_program(path)
                   ? 0
                   : xo_error_set(err, ENOENT, "XO_REDIS_SERVER is '%s', which is no program", set);
    }
    if (search_path(path, size) == 0)
        return 0;
    return xo_error_set(err, ENOENT,
                        PROGRAM " is not in PATH: install it (apt-get install redis-server), set "
                                "XO_REDIS_SERVER, or configure a registry");
}

/* ---- starting ---- */

static pid_t spawn_server(xo_private_redis_t *redis, const char *program,
                          const xo_private_redis_options_t *options, xo_error_t *err)
{
    /* clang-format off */
    const char *const argv[] = {
        program,
        "--port", "0",
        "--unixsocket", redis->socket,
        "--unixsocketperm", "600",
        "--dir", redis->data,
        "--logfile", redis->log,
        "--save", "",
        "--appendonly", "yes",
        "--appendfsync", "no", /* what is written outlives the process all the same */
        "--auto-aof-rewrite-min-size", REWRITE_AT,
        "--databases", "1",
        "--daemonize", "no",
        "--supervised", "no",
        NULL,
    };
    /* clang-format on */
    xo_guard_t guard = {
        .program = program,
        .argv = (char *const *)argv,
        .log = redis->log,
        .pid_file = redis->pid_file,
        .run_dir = redis->dir,
        .owner = options->owner,
        .orphaned = options->orphaned,
    };
    return xo_guard_spawn(&guard, err);
}

/* ---- its end ---- */

static void last_line(const char *path, char *line, size_t size)
{
    char tail[600];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t from = end > (off_t)sizeof(tail) ? end - (off_t)sizeof(tail) : 0;
    ssize_t n = fd < 0 ? 0 : pread(fd, tail, sizeof(tail), from);
    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == '\r'))
        n--;
    const char *before = n > 0 ? memrchr(tail, '\n', (size_t)n) : NULL;
    const char *start = before ? before + 1 : tail;
    snprintf(line, size, "%.*s", n > 0 ? (int)(tail + n - start) : 0, start);
    if (fd >= 0)
        close(fd);
}

static void describe_exit(xo_private_redis_t *redis, pid_t pid, const siginfo_t *info)
{
    char line[200], how[64];
    last_line(redis->log, line, sizeof(line));
    if (info->si_pid == 0)
        snprintf(how, sizeof(how), "ended");
    else if (info->si_code == CLD_EXITED)
        snprintf(how, sizeof(how), "exited with status %d", info->si_status);
    else
        snprintf(how, sizeof(how), "was killed by signal %d", info->si_status);
    xo_error_set(&redis->why, redis->stopping ? 0 : ECHILD,
                 "the private redis-server (pid %d) %s; its log ends with '%s'", (int)pid, how,
                 line);
}

static void reap(xo_private_redis_t *redis, int options)
{
    siginfo_t info = {0};
    pid_t pid = redis->pid;
    int rc;
    do
        rc = waitid(P_PID, (id_t)pid, &info, WEXITED | options);
    while (rc < 0 && errno == EINTR);
    if (rc == 0 && info.si_pid == 0)
        return;     /* still there */
    redis->pid = 0; /* ECHILD: it was another's child, or somebody else has reaped it */
    xo_timer_stop(&redis->kill);
    xo_io_stop(&redis->gone);
    unlink(redis->socket);
    unlink(redis->pid_file);
    redis->keeps = !redis->stopping;
    /* Of another's child nobody says how it ended. */
    redis->failed = redis->found && info.si_code == CLD_EXITED && info.si_status != 0;
    describe_exit(redis, pid, &info);
}

static void tell(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_private_redis_t *redis = arg;
    xo_error_t why = redis->why;
    if (redis->told)
        return;
    redis->told = true;
    if (redis->on_exit)
        redis->on_exit(redis, &why, redis->arg);
}

static void on_gone(xo_io_t *io, int revents, void *arg)
{
    (void)io;
    (void)revents;
    xo_private_redis_t *redis = arg;
    reap(redis, WNOHANG);
    if (redis->pid == 0)
        tell(&redis->tell, redis);
}

static void on_kill(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xo_private_redis_t *redis = arg;
    if (redis->pid)
        kill(-redis->pid, SIGKILL);
}

/* ---- life ---- */

static int name_files(xo_private_redis_t *redis, const char *run_dir, xo_error_t *err)
{
    char path[4096];
    char *full = realpath(run_dir, path);
    if (!full)
        return xo_error_set(err, errno == ENOENT ? ENOTDIR : errno, "there is no directory %s",
                            run_dir);
    if (strlen(full) + strlen("/redis.sock") >= FILE_BYTES)
        return xo_error_set(
            err, ENAMETOOLONG,
            "the path %s is too long for a socket in it: set XO_RUN_DIR to a shorter "
            "one",
            full);
    snprintf(redis->dir, sizeof(redis->dir), "%s", full);
    snprintf(redis->socket, sizeof(redis->socket), "%.95s/redis.sock", full);
    snprintf(redis->log, sizeof(redis->log), "%.95s/redis.log", full);
    snprintf(redis->pid_file, sizeof(redis->pid_file), "%.95s/" XO_PRIVATE_REDIS_PID, full);
    snprintf(redis->data, sizeof(redis->data), "%.95s/" DATA_NAME, full);
    return 0;
}

/* The path as a URL: what ends a path there is percent-encoded. */
static void make_url(xo_private_redis_t *redis)
{
    char *at = stpcpy(redis->url, "unix://");
    for (const char *path = redis->socket; *path; path++) {
        if (*path == '%' || *path == '?')
            at += sprintf(at, "%%%02X", (unsigned char)*path);
        else
            *at++ = *path;
    }
    *at = 0;
}

static int watch(xo_private_redis_t *redis, xo_error_t *err)
{
    redis->pidfd = (int)syscall(SYS_pidfd_open, redis->pid, 0);
    if (redis->pidfd < 0)
        return xo_error_set(err, errno, "cannot watch the private redis-server: %s",
                            strerror(errno));
    xo_io_init(&redis->gone, redis->loop, redis->pidfd, XO_READ, on_gone, redis);
    if (xo_io_start(&redis->gone) < 0)
        return xo_error_set(err, errno, "cannot watch the private redis-server: %s",
                            strerror(errno));
    return 0;
}

static int spawn_new(xo_private_redis_t *redis, const xo_private_redis_options_t *options,
                     xo_error_t *err)
{
    char program[4096];
    if (xo_private_redis_program(program, sizeof(program), err) < 0)
        return -1;
    unlink(redis->socket);
    redis->found = rmdir(redis->data) < 0 && errno == ENOTEMPTY;
    if (mkdir(redis->data, 0700) < 0 && errno != EEXIST)
        return xo_error_set(err, errno, "cannot make %s: %s", redis->data, strerror(errno));
    redis->pid = spawn_server(redis, program, options, err);
    if (redis->pid > 0) {
        redis->keeps = false;
        return 0;
    }
    redis->pid = 0;
    return -1;
}

static int start(xo_private_redis_t *redis, const xo_private_redis_options_t *options,
                 xo_error_t *err)
{
    if (name_files(redis, options->run_dir, err) < 0)
        return -1;
    make_url(redis);
    redis->keeps = access(redis->data, F_OK) == 0;
    redis->pid = xo_proc_read(redis->pid_file);
    if (redis->pid == 0 && spawn_new(redis, options, err) < 0)
        return -1;
    return watch(redis, err);
}

int xo_private_redis_locate(const char *run_dir, char url[XO_PRIVATE_REDIS_URL_BYTES],
                            xo_error_t *err)
{
    xo_private_redis_t redis;
    if (name_files(&redis, run_dir, err) < 0)
        return -1;
    make_url(&redis);
    memcpy(url, redis.url, XO_PRIVATE_REDIS_URL_BYTES);
    return 0;
}

bool xo_private_redis_has_kept(const char *run_dir)
{
    xo_private_redis_t redis;
    return name_files(&redis, run_dir, NULL) == 0 && access(redis.data, F_OK) == 0;
}

xo_private_redis_t *xo_private_redis_start(xo_loop_t *loop,
                                           const xo_private_redis_options_t *options,
                                           xo_private_redis_exit_f on_exit, void *arg,
                                           xo_error_t *err)
{
    xo_private_redis_t *redis = calloc(1, sizeof(*redis));
    if (!redis)
        return xo_error_null(err, ENOMEM, "out of memory for the private redis-server");
    redis->loop = loop;
    redis->on_exit = on_exit;
    redis->arg = arg;
    redis->pidfd = -1;
    xo_timer_init(&redis->kill, loop, on_kill, redis);
    xo_defer_init(&redis->tell, loop, tell, redis);
    xo_io_init(&redis->gone, loop, -1, XO_READ, on_gone, redis);
    if (start(redis, options, err) == 0)
        return redis;
    int saved = errno;
    xo_private_redis_destroy(redis);
    return errno = saved, NULL;
}

const char *xo_private_redis_url(const xo_private_redis_t *redis)
{
    return redis->url;
}

bool xo_private_redis_has_failed(const xo_private_redis_t *redis)
{
    return redis->failed;
}

void xo_private_redis_forget(xo_private_redis_t *redis)
{
    redis->keeps = false;
}

pid_t xo_private_redis_pid(const xo_private_redis_t *redis)
{
    return redis->pid;
}

void xo_private_redis_stop(xo_private_redis_t *redis)
{
    if (redis->pid == 0) {
        xo_defer_start(&redis->tell);
        return;
    }
    if (redis->stopping)
        return;
    redis->stopping = true;
    kill(-redis->pid, SIGTERM);
    xo_timer_start(&redis->kill, KILL_AFTER_MS * XO_MS);
}

/* waitid(2) waits for our own child only. */
static bool wait_gone(const xo_private_redis_t *redis, int signum)
{
    struct pollfd gone = {.fd = redis->pidfd, .events = POLLIN};
    int rc;
    kill(signum == SIGKILL ? -redis->pid : redis->pid, signum);
    do
        rc = poll(&gone, 1, KILL_AFTER_MS);
    while (rc < 0 && errno == EINTR);
    return rc > 0;
}

static void kill_and_wait(xo_private_redis_t *redis)
{
    redis->stopping = true;
    if (redis->pidfd < 0 || !wait_gone(redis, XO_GUARD_KILL))
        wait_gone(redis, SIGKILL);
    reap(redis, 0);
}

void xo_private_redis_destroy(xo_private_redis_t *redis)
{
    if (!redis)
        return;
    int saved = errno;
    if (redis->pid)
        kill_and_wait(redis);
    xo_io_stop(&redis->gone);
    xo_timer_stop(&redis->kill);
    xo_defer_stop(&redis->tell);
    if (redis->pidfd >= 0)
        close(redis->pidfd);
    if (redis->socket[0])
        unlink(redis->socket);
    if (redis->log[0])
        unlink(redis->log);
    if (redis->pid_file[0])
        unlink(redis->pid_file);
    if (redis->data[0] && !redis->keeps)
        xo_remove_tree(redis->data);
    free(redis);
    errno = saved;
}
