#include "broker/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENVIRONMENT_BYTES_FIRST ((size_t)16 << 10)
#define ENVIRONMENT_BYTES_MAX ((size_t)4 << 20) /* execve(2) takes less, unless it is told to */
/* What is started while we look is found the next time; who goes on for ever wins. */
#define PASSES_MAX 8
/* In the middle of execve(2) a process shows no environment, for microseconds. Some never have one,
 * so for these we look again only so often. */
#define PASSES_FOR_BLANKS 3
#define BLANKS_US 1000

typedef struct {
    char *data;
    size_t size, capacity;
} text_t;

typedef struct {
    uint64_t node_id;
    const xo_swept_t *dead;
    size_t count;
    text_t environment;
    size_t killed, blanks; /* in this pass */
} sweep_t;

static bool grow(text_t *text)
{
    size_t wanted = text->capacity ? text->capacity * 2 : ENVIRONMENT_BYTES_FIRST;
    char *data = wanted <= ENVIRONMENT_BYTES_MAX ? realloc(text->data, wanted) : NULL;
    if (data == NULL)
        return false;
    text->data = data;
    text->capacity = wanted;
    return true;
}

/* As much as there is, or fits. */
static void read_all(int fd, text_t *text)
{
    ssize_t got = 1;
    text->size = 0;
    while (got > 0 && (text->size < text->capacity || grow(text))) {
        got = read(fd, text->data + text->size, text->capacity - text->size);
        text->size += got > 0 ? (size_t)got : 0;
    }
}

/* The number in "NAME=NUMBER". false: there is none. */
static bool number_of(const text_t *environment, const char *name, int base, uint64_t *number)
{
    size_t length = strlen(name);
    const char *at = environment->data, *end = at + environment->size;
    while (at < end) {
        size_t size = strnlen(at, (size_t)(end - at));
        if (size > length && at + size < end && at[length] == '=' &&
            memcmp(at, name, length) == 0) {
            *number = strtoull(at + length + 1, NULL, base);
            return true;
        }
        at += size + 1;
    }
    return false;
}

static void read_environment(const char *pid, text_t *environment)
{
    char path[64];
    environment->size = 0;
    snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    read_all(fd, environment);
    close(fd);
}

static bool is_stale(sweep_t *sweep, const char *pid)
{
    uint64_t node_id, pool_id, generation;
    const text_t *environment = &sweep->environment;
    read_environment(pid, &sweep->environment);
    if (!number_of(environment, "XO_NODE_ID", 16, &node_id) || node_id != sweep->node_id ||
        !number_of(environment, "XO_POOL_ID", 16, &pool_id) ||
        !number_of(environment, "XO_POOL_GENERATION", 10, &generation))
        return false;
    size_t i = 0;
    while (i < sweep->count &&
           (sweep->dead[i].pool_id != pool_id || sweep->dead[i].generation != generation))
        i++;
    return sweep->dead == NULL || i < sweep->count;
}

/* Neither a zombie nor the kernel's own. */
static bool has_program(const char *pid)
{
    char path[64], program[2];
    snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
    return readlink(path, program, sizeof(program)) > 0;
}

/* Only while it is held by a descriptor a number is sure to be the process that was looked at. */
static void look_at(sweep_t *sweep, const char *pid)
{
    if (!is_stale(sweep, pid)) {
        sweep->blanks += sweep->environment.size == 0 && has_program(pid);
        return;
    }
    int fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (fd < 0)
        return;
    if (is_stale(sweep, pid) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0)
        sweep->killed++;
    else
        sweep->blanks++;
    close(fd);
}

static void pass(sweep_t *sweep)
{
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    int self = (int)getpid();
    sweep->killed = sweep->blanks = 0;
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        int pid = atoi(entry->d_name);
        if (pid > 0 && pid != self)
            look_at(sweep, entry->d_name);
    }
    if (processes != NULL)
        closedir(processes);
}

size_t xo_sweep(uint64_t node_id, const xo_swept_t *dead, size_t count)
{
    sweep_t sweep = {.node_id = node_id, .dead = dead, .count = count};
    size_t most = 0;
    bool again = true;
    for (int i = 0; i < PASSES_MAX && again; i++) {
        pass(&sweep);
        most = most > sweep.killed ? most : sweep.killed; /* who is about to end is seen again */
        again = sweep.killed > 0 || (sweep.blanks > 0 && i + 1 < PASSES_FOR_BLANKS);
        if (again && sweep.killed == 0)
            usleep(BLANKS_US);
    }
    free(sweep.environment.data);
    return most;
}
