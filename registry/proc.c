#include "registry/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_FIELD 3
#define STARTED_FIELD 22
#define STATUS_FIELD 52

/* The file's beginning. -1: it cannot be read. */
static ssize_t read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got;
}

/* From the blank before the state, which follows the name in parentheses. NULL: there is none. */
static const char *skip_fields(const char *at, int count)
{
    for (; at != NULL && count > 0; count--)
        at = strchr(at + 1, ' ');
    return at;
}

/* What follows the name in parentheses, " S 1 ..."; NULL: nothing. */
static const char *after_name(const char *text)
{
    const char *end = strrchr(text, ')');
    return end != NULL ? end + 1 : NULL;
}

/* From its state on. NULL: there is no such process. */
static const char *read_stat(pid_t pid, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return pid > 0 && read_file(path, text, size) > 0 ? after_name(text) : NULL;
}

static bool has_ended(const char *state)
{
    return strncmp(state, " Z", 2) == 0 || strncmp(state, " X", 2) == 0;
}

static int64_t field(const char *state, int number)
{
    const char *at = skip_fields(state, number - STATE_FIELD);
    return at != NULL ? strtoll(at, NULL, 10) : 0;
}

int64_t xo_proc_started(pid_t pid)
{
    char text[1024];
    const char *state = read_stat(pid, text, sizeof(text));
    return state != NULL && !has_ended(state) ? field(state, STARTED_FIELD) : 0;
}

int xo_proc_status(pid_t pid, int64_t started)
{
    char text[1024];
    const char *state = read_stat(pid, text, sizeof(text));
    if (state == NULL || !has_ended(state) || field(state, STARTED_FIELD) != started ||
        skip_fields(state, STATUS_FIELD - STATE_FIELD) == NULL)
        return -1;
    return (int)field(state, STATUS_FIELD);
}

int xo_proc_open(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

char xo_proc_state(int fd)
{
    char text[128]; /* the name is short */
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
    text[got > 0 ? got : 0] = 0;
    const char *state = after_name(text);
    return state != NULL && state[0] == ' ' ? state[1] : 0;
}

int xo_proc_write(const char *path, pid_t pid)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "%d %lld\n", (int)pid, (long long)xo_proc_started(pid));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, text, (size_t)size);
    close(fd);
    return written == size ? 0 : -1;
}

pid_t xo_proc_read(const char *path)
{
    char text[64], *end;
    if (read_file(path, text, sizeof(text)) <= 0)
        return 0;
    long pid = strtol(text, &end, 10);
    int64_t started = strtoll(end, NULL, 10);
    return started > 0 && xo_proc_started((pid_t)pid) == started ? (pid_t)pid : 0;
}

/* ---- between fork and exec ---- */

void xo_proc_reset_signals(void)
{
    sigset_t none;
    for (int signum = 1; signum < NSIG; signum++)
        signal(signum, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int open_as(const char *path, int flags, int to)
{
    int fd = open(path, flags, 0600);
    if (fd < 0 || fd == to)
        return fd;
    int rc = dup2(fd, to);
    close(fd);
    return rc;
}

int xo_proc_redirect(bool input, const char *output)
{
    if (input && open_as("/dev/null", O_RDONLY, STDIN_FILENO) < 0)
        return -1;
    if (output == NULL)
        return 0;
    if (open_as(output, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO) < 0)
        return -1;
    return dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ? -1 : 0;
}

int xo_proc_read_failure(int fd)
{
    int errnum = 0;
    ssize_t n;
    do
        n = read(fd, &errnum, sizeof(errnum));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(errnum) ? errnum : 0;
}
