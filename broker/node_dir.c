#include "broker/node_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "broker/cgroup.h"
#include "broker/runs.h"
#include "broker/sweep.h"
#include "libxo/ctx.h"
#include "libxo/loop.h"
#include "registry/private.h"
#include "registry/proc.h"
#include "registry/tree.h"

/* A socket that nobody listens on may be about to be listened on (bind(2) comes before listen(2)),
 * and a directory that nobody locks about to be locked. Older ones are dead. */
#define FRESH_S 5
/* Until killed processes are gone. */
#define NAP_NS (5 * XO_MS)
#define NAPS 100
#define DEFAULT_NAME "default"
#define UNNAMED_PREFIX "new-" /* a directory that is being made */
#define NOBODYS_S 10          /* as old as what is left in cgroups must be to be nobody's */
#define NODE_PREFIX "n-"
#define BROKER_PID "broker.pid" /* registry/proc.h */
#define CLAIM_NAME "claim"
#define CLAIM_BYTES (PATH_MAX + 32)

struct xo_node_dir {
    char run_dir[PATH_MAX];
    char path[PATH_MAX];
    char name[32]; /* "n-NODEID" */
    uint64_t id;
    int lock_fd;
    bool is_default;
};

/* ---- locks ---- */

static int open_lock(const char *directory, int flags)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/lock", directory) >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDWR | O_CLOEXEC | flags, 0600);
}

/* Does a broker live in the directory? */
static bool is_alive(const char *directory)
{
    int fd = open_lock(directory, 0);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

/* ---- what the dead left ---- */

/* Asks with the wrong type of socket: EPROTOTYPE says that somebody is there, unnoticed. */
static bool nobody_listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return false;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
    bool refused = rc < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static bool is_old(const struct stat *info)
{
    return info->st_mtime + FRESH_S < time(NULL);
}

static bool is_dead_socket(const char *path, const struct stat *info)
{
    return S_ISSOCK(info->st_mode) && is_old(info) && nobody_listens(path);
}

static bool is_dead_node(const char *path, const char *name, const struct stat *info)
{
    if (!S_ISDIR(info->st_mode))
        return false;
    bool unnamed = strncmp(name, UNNAMED_PREFIX, strlen(UNNAMED_PREFIX)) == 0;
    return (strncmp(name, NODE_PREFIX, strlen(NODE_PREFIX)) == 0 || (unnamed && is_old(info))) &&
           !is_alive(path);
}

/* Who the file in the directory names. 0: nobody who lives. */
static pid_t process_of(const char *directory, const char *name)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path))
        return 0;
    return xo_proc_read(path);
}

static pid_t redis_of(const char *directory)
{
    return process_of(directory, XO_PRIVATE_REDIS_PID);
}

/* Without it the broker could only not be killed if it stood still. */
static void name_broker(const char *directory)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/" BROKER_PID, directory) < sizeof(path))
        xo_proc_write(path, getpid());
}

/* Does a process live that the node's broker has started? */
static bool has_processes(const char *directory)
{
    return redis_of(directory) != 0 || xo_runs_live(directory, false);
}

static void nap(void)
{
    static const struct timespec length = {.tv_nsec = NAP_NS};
    nanosleep(&length, NULL);
}

/* A context that is closed as the last one removes the run directory. The first thread of a process
 * that was killed may be gone while another still has the lock. */
static void leave_run_dir(const char *path)
{
    char run_dir[PATH_MAX];
    snprintf(run_dir, sizeof(run_dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    for (int naps = 0; naps < NAPS && access(run_dir, F_OK) == 0; naps++) {
        xo_ctx_destroy(xo_ctx_create(strrchr(run_dir, '/') + 1, NULL));
        nap();
    }
}

static bool is_node(const char *name, uint64_t *id)
{
    char *end;
    if (strncmp(name, NODE_PREFIX, strlen(NODE_PREFIX)) != 0)
        return false;
    *id = strtoull(name + strlen(NODE_PREFIX), &end, 16);
    return *id != 0 && *end == 0;
}

/* What pools had started, and has left their groups. */
static void end_leavings(const char *path)
{
    xo_cgroup_t cgroup;
    const char *name = strrchr(path, '/');
    uint64_t id;
    if (name == NULL || !is_node(name + 1, &id))
        return;
    xo_cgroup_init(&cgroup, "/proc", NOBODYS_S);
    xo_cgroup_end_all(&cgroup, id);
    xo_sweep(id, NULL, 0);
}

/* It had its time to end in order, so it stands still. False: it lives on. */
static bool end_broker(const char *path)
{
    for (int naps = 0; naps < NAPS && is_alive(path); naps++) {
        pid_t broker = process_of(path, BROKER_PID);
        if (broker > 0)
            kill(broker, SIGKILL);
        nap();
    }
    return !is_alive(path);
}

void xo_node_dir_abandon(const char *path)
{
    pid_t redis = redis_of(path);
    if (!end_broker(path))
        return;
    if (redis > 0 && redis != getpid())
        kill(-redis, SIGKILL);
    for (int naps = 0; naps < NAPS && xo_runs_live(path, true); naps++)
        nap();
    end_leavings(path);
    xo_remove_tree(path);
    leave_run_dir(path);
}

static void clean_entry(const char *run_dir, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", run_dir, name) >= sizeof(path) ||
        lstat(path, &info) < 0)
        return;
    if (is_dead_node(path, name, &info) && !has_processes(path))
        xo_remove_tree(path);
    else if (is_dead_socket(path, &info))
        unlink(path);
}

static void clean(const char *run_dir)
{
    DIR *entries = opendir(run_dir);
    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        clean_entry(run_dir, entry->d_name);
    closedir(entries);
}

/* ---- the default ---- */

static void default_path(const xo_node_dir_t *dir, char path[PATH_MAX])
{
    int size = snprintf(path, PATH_MAX, "%s/" DEFAULT_NAME, dir->run_dir);
    if (size >= PATH_MAX)
        path[0] = 0;
}

static bool points_to(const char *link, const char *name)
{
    char target[PATH_MAX] = "";
    ssize_t size = readlink(link, target, sizeof(target) - 1);
    return size > 0 && strcmp(target, name) == 0;
}

/* Of two nodes that do this at once the later one wins. */
static void become_default(xo_node_dir_t *dir)
{
    char path[PATH_MAX];
    default_path(dir, path);
    if (is_alive(path) && !points_to(path, dir->name))
        return;
    unlink(path);
    dir->is_default = symlink(dir->name, path) == 0;
}

static void resign_default(const xo_node_dir_t *dir)
{
    char path[PATH_MAX];
    default_path(dir, path);
    if (points_to(path, dir->name))
        unlink(path);
}

/* ---- the directory ---- */

/* It is locked before it gets its name, so that nobody can take it for a dead node's. */
static int make(xo_node_dir_t *dir, xo_error_t *err)
{
    char unnamed[PATH_MAX];
    if ((size_t)snprintf(unnamed, PATH_MAX, "%s/" UNNAMED_PREFIX "%s", dir->run_dir, dir->name) >=
        PATH_MAX)
        return xo_error_set(err, ENAMETOOLONG, "the path of the run directory is too long");
    if (mkdir(unnamed, 0700) < 0)
        return xo_error_set(err, errno, "cannot make %s: %s", unnamed, strerror(errno));
    dir->lock_fd = open_lock(unnamed, O_CREAT);
    if (dir->lock_fd >= 0 && flock(dir->lock_fd, LOCK_EX | LOCK_NB) == 0 &&
        rename(unnamed, dir->path) == 0) {
        name_broker(dir->path);
        return 0;
    }
    int saved = errno;
    xo_remove_tree(unnamed);
    return xo_error_set(err, saved, "cannot make %s: %s", dir->path, strerror(saved));
}

static xo_node_dir_t *create(const char *run_dir, uint64_t node_id, xo_error_t *err)
{
    xo_node_dir_t *dir = calloc(1, sizeof(*dir));
    if (dir == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    dir->lock_fd = -1;
    dir->id = node_id;
    snprintf(dir->name, sizeof(dir->name), NODE_PREFIX "%016" PRIx64, node_id);
    if ((size_t)snprintf(dir->run_dir, PATH_MAX, "%s", run_dir) >= PATH_MAX ||
        (size_t)snprintf(dir->path, PATH_MAX, "%s/%s", run_dir, dir->name) >= PATH_MAX) {
        free(dir);
        return xo_error_null(err, ENAMETOOLONG, "the path of the run directory is too long");
    }
    return dir;
}

xo_node_dir_t *xo_node_dir_create(const char *run_dir, uint64_t node_id, bool want_default,
                                  xo_error_t *err)
{
    xo_node_dir_t *dir = create(run_dir, node_id, err);
    if (dir == NULL)
        return NULL;
    clean(dir->run_dir);
    if (make(dir, err) < 0) {
        int saved = errno;
        xo_node_dir_destroy(dir);
        errno = saved;
        return NULL;
    }
    if (want_default)
        become_default(dir);
    return dir;
}

/* ---- taking over ---- */

static int claim_path(const xo_node_dir_t *dir, char path[PATH_MAX])
{
    return (size_t)snprintf(path, PATH_MAX, "%s/" CLAIM_NAME, dir->path) < PATH_MAX ? 0 : -1;
}

int xo_node_dir_claim(const xo_node_dir_t *dir, const char *claim)
{
    char path[PATH_MAX];
    int fd = claim_path(dir, path) == 0 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                                        : -1;
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, claim, strlen(claim));
    close(fd);
    return written == (ssize_t)strlen(claim) ? 0 : -1;
}

static bool has_claim(const xo_node_dir_t *dir, const char *claim)
{
    char path[PATH_MAX], text[CLAIM_BYTES];
    int fd = claim_path(dir, path) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        close(fd);
    return size == (ssize_t)strlen(claim) && memcmp(text, claim, (size_t)size) == 0;
}

/* Whoever has the lock is the one. NULL: it cannot be had, or this is not what is wanted. */
static xo_node_dir_t *try_to_take(const char *run_dir, uint64_t node_id, const char *claim,
                                  bool alive)
{
    xo_node_dir_t *dir = create(run_dir, node_id, NULL);
    if (dir == NULL)
        return NULL;
    int fd = open_lock(dir->path, 0);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && has_claim(dir, claim) &&
        (!alive || has_processes(dir->path))) {
        dir->lock_fd = fd;
        name_broker(dir->path);
        return dir;
    }
    if (fd >= 0)
        close(fd);
    free(dir);
    return NULL;
}

static xo_node_dir_t *take_any(const char *run_dir, const char *claim)
{
    xo_node_dir_t *dir = NULL;
    uint64_t id;
    DIR *entries = opendir(run_dir);
    for (struct dirent *entry;
         entries != NULL && dir == NULL && (entry = readdir(entries)) != NULL;) {
        if (is_node(entry->d_name, &id))
            dir = try_to_take(run_dir, id, claim, true);
    }
    if (entries != NULL)
        closedir(entries);
    return dir;
}

xo_node_dir_t *xo_node_dir_take_over(const char *run_dir, uint64_t node_id, const char *claim,
                                     bool want_default, xo_error_t *err)
{
    xo_node_dir_t *dir =
        node_id != 0 ? try_to_take(run_dir, node_id, claim, false) : take_any(run_dir, claim);
    if (dir != NULL && want_default)
        become_default(dir);
    if (dir == NULL && node_id != 0)
        xo_error_set(err, ENOENT,
                     "there is no node %016" PRIx64 " in %s whose broker was killed, and which "
                     "belongs to whoever starts this one",
                     node_id, run_dir);
    else
        err->errnum = 0;
    return dir;
}

void xo_node_dir_destroy(xo_node_dir_t *dir)
{
    if (dir == NULL)
        return;
    if (dir->is_default)
        resign_default(dir);
    if (dir->lock_fd >= 0) {
        xo_remove_tree(dir->path);
        close(dir->lock_fd);
        clean(dir->run_dir); /* its owner may have been killed, and others go on */
    }
    free(dir);
}

uint64_t xo_node_dir_id(const xo_node_dir_t *dir)
{
    return dir->id;
}

const char *xo_node_dir_path(const xo_node_dir_t *dir)
{
    return dir->path;
}

bool xo_node_dir_is_default(const xo_node_dir_t *dir)
{
    return dir->is_default;
}
