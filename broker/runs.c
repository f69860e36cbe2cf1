#include "broker/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "registry/proc.h"

#define COMPONENT "supervisor"
#define PREFIX "pool-"
#define FILE_BYTES_MAX ((off_t)16 << 20) /* arguments and environment have at most a few MiB */

/* ---- a file ---- */

static int file_path(const char *dir, const char *name, char path[PATH_MAX])
{
    return (size_t)snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : -1;
}

static int run_path(const xo_run_t *run, char path[PATH_MAX])
{
    char name[sizeof(PREFIX) + XO_ID_TEXT_BYTES];
    snprintf(name, sizeof(name), PREFIX "%016" PRIx64, run->member->id);
    return file_path(run->member->supervisor->options.dir, name, path);
}

/* Whole or not at all: the next broker may begin at any moment. */
static int write_file(const char *path, xo_slice_t bytes)
{
    char temporary[PATH_MAX + 4];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, bytes.data, bytes.size);
    close(fd);
    if (written == (ssize_t)bytes.size && rename(temporary, path) == 0)
        return 0;
    unlink(temporary);
    return -1;
}

/* Where there is no room for another file, over the old one, in the room that it has: that of the
 * process before would have the next broker take this one for a stranger. */
static int write_over(const char *path, xo_slice_t bytes)
{
    struct stat info;
    int saved = errno;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        errno = saved;
        return -1;
    }
    bool fits = fstat(fd, &info) == 0 && info.st_blocks * 512 >= (blkcnt_t)bytes.size;
    bool written = fits && pwrite(fd, bytes.data, bytes.size, 0) == (ssize_t)bytes.size &&
                   ftruncate(fd, (off_t)bytes.size) == 0;
    close(fd);
    errno = saved;
    return written ? 0 : -1;
}

static int read_file(const char *path, xo_buf_t *out)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    int rc = -1;
    if (fstat(fd, &info) == 0 && info.st_size <= FILE_BYTES_MAX &&
        xo_buf_reserve(out, (size_t)info.st_size) == 0) {
        ssize_t got = read(fd, out->data, (size_t)info.st_size);
        out->size = got > 0 ? (size_t)got : 0;
        rc = got == info.st_size ? 0 : -1;
    }
    close(fd);
    return rc;
}

/* ---- writing ---- */

static void pack_strings(char *const *strings, xo_buf_t *out)
{
    uint32_t count = 0;
    while (strings != NULL && strings[count] != NULL)
        count++;
    xo_pack_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        xo_pack_cstr(out, strings[i]);
}

/* All but the texts is plain data, and goes as it is. */
static void pack_spec(const xo_pool_spec_t *spec, xo_buf_t *out)
{
    xo_pool_spec_t plain = *spec;
    plain.argv = plain.env = NULL;
    plain.output = NULL;
    xo_pack_bin(out, &plain, sizeof(plain));
    pack_strings(spec->argv, out);
    pack_strings(spec->env, out);
    pack_strings((char *[]){spec->output, NULL}, out);
}

static void pack_members(const xo_run_t *run, xo_buf_t *out)
{
    uint32_t count = 0;
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m))
        count++;
    xo_pack_array(out, count);
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m))
        xo_pack_format(out, "[U U U I s s s I s I U ? I I]", m->id, m->endpoint,
                       (uint64_t)m->generation, (int64_t)m->index, m->label, m->address,
                       m->language, (int64_t)m->state, m->reason, m->started, m->restarts, m->away,
                       m->page_at, m->starting_ns);
}

static int write_run(const xo_run_t *run, xo_slice_t bytes)
{
    char path[PATH_MAX];
    if (run_path(run, path) < 0)
        return -1;
    return write_file(path, bytes) == 0 ? 0 : write_over(path, bytes);
}

void xo_run_save(xo_run_t *run)
{
    const xo_supervisor_t *supervisor = run->member->supervisor;
    bool was_unsaved = run->unsaved;
    xo_buf_t out = XO_BUF_INIT;
    if (supervisor->options.dir == NULL)
        return;
    pid_t pid = run->process ? xo_process_pid(run->process) : 0;
    xo_pack_array(&out, 12);
    xo_pack_cstr(&out, PACKAGE_VERSION);
    xo_pack_format(&out, "I I", (int64_t)pid, xo_proc_started(pid));
    xo_pack_format(&out, "? ? U", run->keep, run->was_ready, run->spare_id);
    xo_pack_bin(&out, &run->history, sizeof(run->history));
    pack_spec(run->spec, &out);
    pack_members(run, &out);
    run->unsaved = xo_buf_ok(&out) < 0 || write_run(run, xo_buf_slice(&out)) < 0;
    if (run->unsaved && !was_unsaved)
        xo_log(supervisor->options.log, XO_LOG_ERROR, COMPONENT,
               "pool %d cannot be written down for a next broker, which is tried again: %s",
               run->member->index, strerror(errno));
    xo_buf_free(&out);
}

static void forget(const xo_run_t *run)
{
    char path[PATH_MAX];
    if (run->member->supervisor->options.dir != NULL && run_path(run, path) == 0)
        unlink(path);
}

void xo_run_changed(const xo_member_t *member, bool gone)
{
    if (!gone && member->run != NULL)
        xo_run_save(member->run);
    else if (xo_member_leads(member))
        forget(member->run);
}

/* ---- reading ---- */

static int read_plain(xo_reader_t *reader, void *to, size_t size)
{
    xo_slice_t bytes;
    if (xo_read_bin(reader, &bytes) < 0 || bytes.size != size) {
        errno = EBADMSG;
        return -1;
    }
    memcpy(to, bytes.data, size);
    return 0;
}

static int read_args(xo_reader_t *reader, xo_pool_spec_t *spec)
{
    uint32_t count;
    xo_slice_t text;
    if (xo_read_array(reader, &count) < 0 || count == 0)
        return -1;
    for (; count > 0; count--) {
        if (xo_read_str(reader, &text) < 0 || xo_pool_spec_add_arg(spec, text) < 0)
            return -1;
    }
    return 0;
}

static int read_env(xo_reader_t *reader, xo_pool_spec_t *spec)
{
    uint32_t count;
    xo_slice_t text;
    if (xo_read_array(reader, &count) < 0)
        return -1;
    for (; count > 0; count--) {
        const char *equals =
            xo_read_str(reader, &text) == 0 ? memchr(text.data, '=', text.size) : NULL;
        if (equals == NULL)
            return -1;
        size_t name = (size_t)(equals - text.data);
        if (xo_pool_spec_set_env(spec, xo_slice(text.data, name),
                                 xo_slice(equals + 1, text.size - name - 1), NULL) < 0)
            return -1;
    }
    return 0;
}

static int read_output(xo_reader_t *reader, xo_pool_spec_t *spec)
{
    uint32_t count;
    xo_slice_t text;
    if (xo_read_array(reader, &count) < 0 || count > 1 ||
        (count == 1 && xo_read_str(reader, &text) < 0))
        return -1;
    spec->output = count == 1 ? strndup(text.data, text.size) : NULL;
    return count == 1 && spec->output == NULL ? -1 : 0;
}

static xo_pool_spec_t *read_spec(xo_reader_t *reader)
{
    xo_pool_spec_t *spec = calloc(1, sizeof(*spec));
    if (spec != NULL && read_plain(reader, spec, sizeof(*spec)) == 0 &&
        read_args(reader, spec) == 0 && read_env(reader, spec) == 0 &&
        read_output(reader, spec) == 0)
        return spec;
    xo_pool_spec_destroy(spec);
    return NULL;
}

static void copy_text(char *to, size_t size, xo_slice_t text)
{
    snprintf(to, size, "%.*s", (int)text.size, text.size > 0 ? text.data : "");
}

static xo_member_t *read_member(xo_reader_t *reader, xo_supervisor_t *supervisor, xo_run_t *run)
{
    uint64_t id, endpoint, generation, restarts;
    int64_t index, state, started, page_at, starting_ns;
    xo_slice_t raw, label, address, language, reason;
    bool away;
    if (xo_read_raw(reader, &raw) < 0 ||
        xo_unpack(raw, NULL, "[U U U I s s s I s I U ? I I]", &id, &endpoint, &generation, &index,
                  &label, &address, &language, &state, &reason, &started, &restarts, &away,
                  &page_at, &starting_ns) < 0 ||
        state < XO_POOL_STARTING || state > XO_POOL_FAILED ||
        xo_pools_find(supervisor->pools, id) != NULL)
        return NULL;
    xo_member_t *member = xo_supervisor_add(supervisor, id);
    if (member == NULL)
        return NULL;
    member->run = run;
    member->endpoint = endpoint;
    member->generation = (uint32_t)generation;
    member->index = (int)index;
    member->state = (xo_pool_state_t)state;
    member->started = started;
    member->restarts = restarts;
    member->away = away;
    member->page_at = page_at;
    member->starting_ns = starting_ns;
    member->recovers = run->spec->recover;
    member->policy = &run->spec->policy;
    copy_text(member->label, sizeof(member->label), label);
    copy_text(member->address, sizeof(member->address), address);
    copy_text(member->language, sizeof(member->language), language);
    copy_text(member->reason, sizeof(member->reason), reason);
    return member;
}

static int read_members(xo_reader_t *reader, xo_supervisor_t *supervisor, xo_run_t *run)
{
    uint32_t count;
    if (xo_read_array(reader, &count) < 0 || count == 0 || count > XO_SIBLINGS_MAX + 1)
        return -1;
    for (; count > 0; count--) {
        xo_member_t *member = read_member(reader, supervisor, run);
        if (member == NULL)
            return -1;
        if (run->member == NULL)
            run->member = member;
    }
    return 0;
}

/* Up to the process. */
static int read_head(xo_reader_t *reader, pid_t *pid, int64_t *pid_started)
{
    uint32_t count;
    xo_slice_t version;
    int64_t number;
    if (xo_read_array(reader, &count) < 0 || count != 12 || xo_read_str(reader, &version) < 0 ||
        xo_read_int(reader, &number) < 0 || xo_read_int(reader, pid_started) < 0)
        return -1;
    *pid = (pid_t)number;
    return xo_slice_eq_str(version, PACKAGE_VERSION) ? 0 : -1;
}

static int read_run(xo_slice_t bytes, xo_supervisor_t *supervisor, xo_run_t *run)
{
    xo_reader_t reader = xo_reader(bytes);
    if (read_head(&reader, &run->left_pid, &run->left_started) < 0 ||
        xo_read_bool(&reader, &run->keep) < 0 || xo_read_bool(&reader, &run->was_ready) < 0 ||
        xo_read_uint(&reader, &run->spare_id) < 0 ||
        read_plain(&reader, &run->history, sizeof(run->history)) < 0)
        return -1;
    run->spec = read_spec(&reader);
    return run->spec ? read_members(&reader, supervisor, run) : -1;
}

static void discard(xo_run_t *run)
{
    while (run->member != NULL) {
        xo_member_t *member = run->member;
        run->member = xo_member_sibling(member);
        xo_pools_remove(member->supervisor->pools, member);
    }
    xo_pool_spec_destroy(run->spec);
    free(run);
}

static void load(xo_supervisor_t *supervisor, const char *path)
{
    xo_buf_t bytes = XO_BUF_INIT;
    xo_run_t *run = calloc(1, sizeof(*run));
    if (run == NULL || read_file(path, &bytes) < 0 ||
        read_run(xo_buf_slice(&bytes), supervisor, run) < 0) {
        xo_log(supervisor->options.log, XO_LOG_ERROR, COMPONENT,
               "%s cannot be read: its pool is not taken over", path);
        unlink(path);
        if (run != NULL)
            discard(run);
    }
    xo_buf_free(&bytes);
}

/* ---- all of them ---- */

static bool is_run(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strlen(name) == strlen(PREFIX) + XO_ID_TEXT_BYTES - 1;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths of the files, which are the caller's. */
static char **list(const char *dir, size_t *count)
{
    DIR *entries = opendir(dir);
    char **paths = NULL, path[PATH_MAX];
    *count = 0;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (!is_run(entry->d_name) || file_path(dir, entry->d_name, path) < 0)
            continue;
        char **grown = reallocarray(paths, *count + 1, sizeof(*paths));
        if (grown == NULL)
            break;
        paths = grown;
        if ((paths[*count] = strdup(path)) != NULL)
            ++*count;
    }
    if (entries != NULL)
        closedir(entries);
    if (*count > 0)
        qsort(paths, *count, sizeof(*paths), by_name);
    return paths;
}

void xo_runs_load(xo_supervisor_t *supervisor)
{
    size_t count;
    char **paths = list(supervisor->options.dir, &count);
    for (size_t i = 0; i < count; i++) {
        load(supervisor, paths[i]);
        free(paths[i]);
    }
    free(paths);
}

static bool lives(const char *path, bool end)
{
    xo_buf_t bytes = XO_BUF_INIT;
    pid_t pid = 0;
    int64_t started = 0;
    bool is_alive = false;
    if (read_file(path, &bytes) == 0) {
        xo_reader_t reader = xo_reader(xo_buf_slice(&bytes));
        read_head(&reader, &pid, &started);
        is_alive = pid > 0 && started > 0 && xo_proc_started(pid) == started;
    }
    if (is_alive && end)
        kill(-pid, SIGKILL);
    xo_buf_free(&bytes);
    return is_alive;
}

bool xo_runs_live(const char *dir, bool end)
{
    size_t count;
    bool any = false;
    char **paths = list(dir, &count);
    for (size_t i = 0; i < count; i++) {
        any |= lives(paths[i], end);
        free(paths[i]);
    }
    free(paths);
    return any;
}
