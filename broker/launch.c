#include "broker/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxo/codec.h"

#define VARIABLES_MAX 24 /* of ours */
#define WHY_PATH "%s/why-%016" PRIx64

/* "NAME=VALUE" strings; ours come after those of the spec, which cannot replace them.
 */
typedef struct xo_environment {
    const char **list; /* ends with NULL */
    size_t count;
    char *owned[VARIABLES_MAX];
    size_t owned_count;
    bool failed;
} xo_environment_t;

static void add(xo_environment_t *environment, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(xo_environment_t *environment, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (text == NULL || environment->owned_count == VARIABLES_MAX) {
        free(text);
        environment->failed = true;
        return;
    }
    environment->owned[environment->owned_count++] = text;
    environment->list[environment->count++] = text;
}

static int begin(xo_environment_t *environment, const xo_pool_spec_t *spec)
{
    size_t count = 0;
    while (spec->env != NULL && spec->env[count] != NULL)
        count++;
    *environment = (xo_environment_t){0};
    environment->list = calloc(count + VARIABLES_MAX + 1, sizeof(*environment->list));
    if (environment->list == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        environment->list[environment->count++] = spec->env[i];
    return 0;
}

static void end(xo_environment_t *environment)
{
    while (environment->owned_count > 0)
        free(environment->owned[--environment->owned_count]);
    free(environment->list);
}

/* The other pools that it had, to which it gives their places back. */
static void add_siblings(xo_environment_t *environment, const xo_member_t *first)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (const xo_member_t *m = xo_pools_next(first); out != NULL && m != NULL;
         m = xo_pools_next(m)) {
        if (m->run == first->run)
            fprintf(out, "%s%" PRIu64 ",%d,%s", ftell(out) > 0 ? ";" : "", m->id - first->id,
                    m->index, m->address);
    }
    if (out == NULL || fclose(out) != 0)
        environment->failed = true;
    else
        add(environment, "XO_POOL_SIBLINGS=%s", text);
    free(text);
}

/* By which what it starts is known as its own, and is ended with it (sweep.h). */
static void mark(xo_environment_t *environment, uint64_t node_id, uint64_t id, uint32_t generation)
{
    add(environment, "XO_NODE_ID=%016" PRIx64, node_id);
    add(environment, "XO_POOL_ID=%016" PRIx64, id);
    add(environment, "XO_POOL_GENERATION=%" PRIu32, generation);
}

static void describe(xo_environment_t *environment, const xo_run_t *run)
{
    const xo_member_t *member = run->member;
    const xo_supervisor_options_t *options = &member->supervisor->options;
    mark(environment, member->supervisor->pools->node_id, member->id, member->generation);
    add(environment, "XO_CLUSTER=%s", options->cluster);
    add(environment, "XO_RUN_DIR=%s", options->run_dir);
    add(environment, "XO_BROKER=%s", options->broker);
    add(environment, "XO_POOL_INDEX=%d", member->index);
    add(environment, "XO_POOL_LABEL=%s", member->label);
    add(environment, "XO_POOL_ADDRESS=%s", member->address);
    add(environment, "XO_HEARTBEAT_MS=%" PRIu32, options->heartbeat_ms);
    if (strcmp(getenv(XO_CODEC_VARIABLE) ?: "", xo_codec_name(XO_CODEC_MSGPACK)) == 0)
        add(environment, XO_CODEC_VARIABLE "=msgpack"); /* whatever the pool's spec says */
    add_siblings(environment, member);
    if (options->port != NULL)
        add(environment, "XO_PORT=%s", options->port);
    if (run->spec->bind[0] != 0)
        add(environment, "XO_POOL_BIND=%s", run->spec->bind);
    if (run->spec->recover)
        add(environment, "XO_POOL_RECOVER=actors");
    if (options->dir != NULL)
        add(environment, "XO_POOL_WHY=" WHY_PATH, options->dir, member->id);
    if (options->owner > 0)
        add(environment, "XO_OWNER_PID=%d", (int)options->owner);
}

/* In a cgroup of its own, if that is to be had. */
static xo_process_t *spawn(xo_supervisor_t *supervisor, uint64_t id, uint32_t generation,
                           xo_process_start_t start, xo_process_ended_f ended, void *arg,
                           xo_error_t *err)
{
    start.cgroup = xo_cgroup_open(&supervisor->cgroup, supervisor->pools->node_id, id, generation);
    xo_process_t *process = xo_process_spawn(supervisor->loop, &start, ended, arg, err);
    if (start.cgroup >= 0)
        close(start.cgroup);
    return process;
}

xo_process_t *xo_launch(xo_run_t *run, xo_error_t *err)
{
    const xo_member_t *member = run->member;
    const xo_pool_spec_t *spec = run->spec;
    xo_environment_t environment;
    if (begin(&environment, spec) < 0)
        return xo_error_null(err, ENOMEM, "out of memory");
    describe(&environment, run);
    xo_process_t *process = NULL;
    if (environment.failed)
        xo_error_set(err, ENOMEM, "out of memory");
    else if ((process = xo_spare_take(run, environment.list)) == NULL)
        process = spawn(member->supervisor, member->id, member->generation,
                        (xo_process_start_t){spec->argv, environment.list, spec->output, -1, -1},
                        xo_run_on_ended, run, err);
    end(&environment);
    return process;
}

xo_process_t *xo_launch_spare(xo_supervisor_t *supervisor, const xo_pool_spec_t *spec, uint64_t id,
                              int input, xo_process_ended_f ended, xo_error_t *err)
{
    xo_environment_t environment;
    if (begin(&environment, spec) < 0)
        return xo_error_null(err, ENOMEM, "out of memory");
    mark(&environment, supervisor->pools->node_id, id, XO_SPARE_GENERATION);
    add(&environment, "XO_SPARE=1");
    xo_process_t *process = NULL;
    if (environment.failed)
        xo_error_set(err, ENOMEM, "out of memory");
    else
        process = spawn(supervisor, id, XO_SPARE_GENERATION,
                        (xo_process_start_t){spec->argv, environment.list, spec->output, -1, input},
                        ended, supervisor, err);
    end(&environment);
    return process;
}

/* ---- what it said last ---- */

off_t xo_file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_size : 0;
}

static ssize_t read_end(const char *path, off_t offset, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    off_t from = lseek(fd, 0, SEEK_END) - (off_t)(size - 1);
    ssize_t got = pread(fd, text, size - 1, from > offset ? from : offset);
    close(fd);
    return got;
}

void xo_run_take_why(const xo_run_t *run, char *text, size_t size)
{
    char path[PATH_MAX];
    const char *dir = run->member->supervisor->options.dir;
    text[0] = 0;
    if (dir == NULL || snprintf(path, sizeof(path), WHY_PATH, dir, run->member->id) >= PATH_MAX)
        return;
    xo_last_line(path, 0, text, size);
    unlink(path);
}

void xo_last_line(const char *path, off_t offset, char *text, size_t size)
{
    ssize_t got = read_end(path, offset, text, size);
    text[got > 0 ? got : 0] = 0;
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        text[--length] = 0;
    const char *line = strrchr(text, '\n');
    if (line != NULL)
        memmove(text, line + 1, strlen(line + 1) + 1);
}
