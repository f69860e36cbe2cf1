#include "broker/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES (PATH_MAX + 64)
#define WAIT_US 1000
#define WAITS_MAX 100
#define TRIES 2

/* ---- where ours is ---- */

/* What a line says, into out[size]. False: it is not the one, or too long. */
typedef bool parse_f(char *line, const char *controller, char *out, size_t size);

static int find_in(const char *proc, const char *name, parse_f *parse, const char *controller,
                   char *out, size_t size)
{
    char path[PATH_MAX], line[LINE_BYTES];
    bool found = false;
    out[0] = 0;
    snprintf(path, sizeof(path), "%s/self/%s", proc, name);
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL)
        found = parse(line, controller, out, size);
    if (file != NULL)
        fclose(file);
    return found ? 0 : -1;
}

static bool copy(const char *text, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s", text) < size;
}

static bool lists(char *controllers, const char *controller)
{
    char *name, *rest = controllers;
    while ((name = strsep(&rest, ",")) != NULL)
        if (strcmp(name, controller) == 0)
            return true;
    return false;
}

/* "0::/group", and of version 1 "4:cpu,cpuacct:/group" (cgroups(7)). */
static bool parse_own(char *line, const char *controller, char *own, size_t size)
{
    strsep(&line, ":");
    char *controllers = strsep(&line, ":");
    if (line == NULL || line[0] != '/' || !lists(controllers, controller))
        return false;
    line[strcspn(line, "\n")] = 0;
    return copy(line[1] != 0 ? line : "", own, size);
}

/* Where the unified hierarchy is mounted: the fifth field of a line of mountinfo whose type, behind
 * " - ", is cgroup2 (proc(5)). */
static bool parse_mount(char *line, const char *unused, char *mount, size_t size)
{
    (void)unused;
    char at[PATH_MAX];
    return strstr(line, " - cgroup2 ") != NULL && sscanf(line, "%*s %*s %*s %*s %4095s", at) == 1 &&
           copy(at, mount, size);
}

int xo_cgroup_own(const char *proc, const char *controller, char *own, size_t size)
{
    return find_in(proc, "cgroup", parse_own, controller, own, size);
}

/* ---- folders ---- */

/* A process is about to start in one that is young and empty. */
static bool is_old(int folder, const char *name, time_t age_s)
{
    struct stat info;
    return age_s == 0 ||
           (fstatat(folder, name, &info, 0) == 0 && time(NULL) - info.st_ctime >= age_s);
}

/* Removes what is in `folder`, and itself; what has processes stays, and what is young. */
static int remove_folder(const char *folder, time_t age_s)
{
    struct dirent *entry;
    DIR *inside = opendir(folder);
    while (inside != NULL && (entry = readdir(inside)) != NULL)
        if (strncmp(entry->d_name, "pool-", 5) == 0 && is_old(dirfd(inside), entry->d_name, age_s))
            unlinkat(dirfd(inside), entry->d_name, AT_REMOVEDIR);
    if (inside != NULL)
        closedir(inside);
    return rmdir(folder);
}

/* A live node's that has no pools right now is made again when it starts one. */
static void remove_dead_nodes(const xo_cgroup_t *cgroup, time_t age_s)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *nodes = opendir(cgroup->parent);
    while (nodes != NULL && (entry = readdir(nodes)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", cgroup->parent, entry->d_name);
        if (strncmp(entry->d_name, "xo-", 3) == 0 && is_old(dirfd(nodes), entry->d_name, age_s))
            remove_folder(path, age_s);
    }
    if (nodes != NULL)
        closedir(nodes);
}

/* A node that a pool's actor has started ends in order by itself when that does, so it is not
 * killed with the pool: it moves to where the pool's node is. */
static void leave_pool(const char *mount, char *own)
{
    char path[PATH_MAX];
    char *node = strstr(own, "/xo-");
    if (node == NULL || strstr(node, "/pool-") == NULL)
        return;
    snprintf(path, sizeof(path), "%s%.*s/cgroup.procs", mount, (int)(node - own), own);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "0", 1) == 1)
        *node = 0;
    close(fd);
}

void xo_cgroup_init(xo_cgroup_t *cgroup, const char *proc, time_t age_s)
{
    char own[XO_CGROUP_PATH_BYTES], mount[XO_CGROUP_PATH_BYTES];
    cgroup->parent[0] = 0;
    if (xo_cgroup_own(proc, "", own, sizeof(own)) < 0 ||
        find_in(proc, "mountinfo", parse_mount, NULL, mount, sizeof(mount)) < 0 ||
        strlen(mount) + strlen(own) >= sizeof(cgroup->parent))
        return;
    leave_pool(mount, own);
    strcat(strcpy(cgroup->parent, mount), own);
    remove_dead_nodes(cgroup, age_s);
}

static void node_path(const xo_cgroup_t *cgroup, uint64_t node_id, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/xo-%016" PRIx64, cgroup->parent, node_id);
}

static void pool_path(const xo_cgroup_t *cgroup, uint64_t node_id, uint64_t pool_id,
                      uint32_t generation, char path[PATH_MAX])
{
    node_path(cgroup, node_id, path);
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/pool-%016" PRIx64 "-%" PRIu32, pool_id,
             generation);
}

int xo_cgroup_open(const xo_cgroup_t *cgroup, uint64_t node_id, uint64_t pool_id,
                   uint32_t generation)
{
    char node[PATH_MAX], path[PATH_MAX];
    int fd = -1;
    if (cgroup->parent[0] == 0)
        return -1;
    node_path(cgroup, node_id, node);
    pool_path(cgroup, node_id, pool_id, generation, path);
    for (int i = 0; fd < 0 && i < TRIES; i++) { /* the node's may just be removed, being empty */
        mkdir(node, 0755);
        mkdir(path, 0755);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd;
}

/* ---- ending ---- */

static size_t count_processes(const char *folder)
{
    char path[PATH_MAX + 32], line[32];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        count++;
    if (file != NULL)
        fclose(file);
    return count;
}

/* All of a folder, with those inside it (Linux 5.14). */
static void kill_folder(const char *folder)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/cgroup.kill", folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "1", 1);
    close(fd);
}

size_t xo_cgroup_end(const xo_cgroup_t *cgroup, uint64_t node_id, uint64_t pool_id,
                     uint32_t generation)
{
    char path[PATH_MAX];
    if (cgroup->parent[0] == 0)
        return 0;
    pool_path(cgroup, node_id, pool_id, generation, path);
    size_t count = count_processes(path);
    kill_folder(path);
    node_path(cgroup, node_id, path);
    remove_folder(path, 0); /* with what earlier ones left */
    return count;
}

size_t xo_cgroup_end_all(const xo_cgroup_t *cgroup, uint64_t node_id)
{
    char folder[PATH_MAX], path[2 * PATH_MAX];
    struct dirent *entry;
    size_t count = 0;
    if (cgroup->parent[0] == 0)
        return 0;
    node_path(cgroup, node_id, folder);
    DIR *inside = opendir(folder);
    while (inside != NULL && (entry = readdir(inside)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        count += strncmp(entry->d_name, "pool-", 5) == 0 ? count_processes(path) : 0;
    }
    if (inside != NULL)
        closedir(inside);
    kill_folder(folder);
    for (int i = 0; inside != NULL && remove_folder(folder, 0) < 0 && i < WAITS_MAX; i++)
        usleep(WAIT_US);
    return count;
}
