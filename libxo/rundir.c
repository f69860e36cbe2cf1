/* rundir.c - the run directory: who may own it, and who removes it.
 *
 * Each process that uses it holds a shared flock(2) on it. Who closes it tries for the exclusive
 * lock; only the last one gets it, and removes the directory and the sockets that killed
 * processes left in it. Who opens it checks, once it has its lock, that the path still names what
 * it locked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "libxo/ctx_internal.h"

#define TRIES 100 /* to lose a race against a process that removes the directory */

static int check_private(const char *path, bool strict, xo_error_t *err)
{
    mode_t forbidden = strict ? S_IRWXG | S_IRWXO : S_IWGRP | S_IWOTH;
    struct stat st;

    if (lstat(path, &st) < 0)
        return xo_error_set(err, errno, "cannot look at the directory %s: %s", path,
                            strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return xo_error_set(err, EPERM,
                            "%s is not a directory (a link to one does not count): "
                            "remove it, or set XO_RUN_DIR or XO_CONFIG_DIR",
                            path);
    if (st.st_uid != geteuid())
        return xo_error_set(err, EPERM, "the directory %s belongs to user %u, not to user %u", path,
                            (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & forbidden)
        return xo_error_set(err, EPERM, "others have access to the directory %s: chmod 700 it",
                            path);
    return 0;
}

int xoi_private_dir(const char *path, bool strict, xo_error_t *err)
{
    if (mkdir(path, S_IRWXU) < 0 && errno != EEXIST)
        return xo_error_set(err, errno, "cannot make the directory %s: %s", path, strerror(errno));
    return check_private(path, strict, err);
}

static int too_long(xo_error_t *err, const char *path)
{
    return xo_error_set(err, ENAMETOOLONG,
                        "the run directory %s is too long for sockets (%d bytes): set XO_RUN_DIR",
                        path, XO_PATH_BYTES - 1);
}

static int name_base(char *base, xo_error_t *err)
{
    const char *run = getenv("XO_RUN_DIR");
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    int n;

    if (run && *run)
        n = snprintf(base, XO_PATH_BYTES, "%s", run);
    else if (xdg && *xdg)
        n = snprintf(base, XO_PATH_BYTES, "%s/xo", xdg);
    else
        n = snprintf(base, XO_PATH_BYTES, "/tmp/xo-%u", (unsigned)geteuid());
    if (n >= XO_PATH_BYTES)
        return too_long(err, run && *run ? run : xdg);
    if (base[0] != '/')
        return xo_error_set(err, EINVAL, "the run directory %s must be an absolute path", base);
    while (n > 1 && base[n - 1] == '/')
        base[--n] = '\0';
    return 0;
}

static bool is_still(const char *path, int fd)
{
    struct stat there, held;

    return lstat(path, &there) == 0 && fstat(fd, &held) == 0 && there.st_ino == held.st_ino &&
           there.st_dev == held.st_dev;
}

/* 0; 1 when another process has just removed it; -1. */
static int try_open(xoi_rundir_t *rundir, xo_error_t *err)
{
    if (xoi_private_dir(rundir->base, false, err) < 0 ||
        xoi_private_dir(rundir->path, true, err) < 0)
        return errno == ENOENT ? 1 : -1;
    rundir->fd = open(rundir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (rundir->fd < 0)
        return errno == ENOENT ? 1
                               : xo_error_set(err, errno, "cannot open the directory %s: %s",
                                              rundir->path, strerror(errno));
    if (flock(rundir->fd, LOCK_SH) == 0 && is_still(rundir->path, rundir->fd))
        return 0;
    close(rundir->fd);
    rundir->fd = -1;
    return 1;
}

int xoi_rundir_open(xoi_rundir_t *rundir, const char *cluster, xo_error_t *err)
{
    int n;
    int rc = 1;

    if (name_base(rundir->base, err) < 0)
        return -1;
    n = snprintf(rundir->path, sizeof rundir->path, "%s/%s", rundir->base, cluster);
    if (n >= (int)sizeof rundir->path)
        return too_long(err, rundir->base);
    for (int i = 0; i < TRIES && rc > 0; i++)
        rc = try_open(rundir, err);
    if (rc > 0)
        return xo_error_set(err, ENOENT,
                            "cannot make the run directory %s: is the directory "
                            "above it there?",
                            rundir->path);
    return rc;
}

static void remove_sockets(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *entry;
    struct stat st;

    if (!dir) {
        if (copy >= 0)
            close(copy);
        return;
    }
    while ((entry = readdir(dir)))
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
            unlinkat(fd, entry->d_name, 0);
    closedir(dir);
}

void xoi_rundir_close(xoi_rundir_t *rundir)
{
    if (rundir->fd < 0)
        return;
    if (flock(rundir->fd, LOCK_EX | LOCK_NB) == 0) {
        remove_sockets(rundir->fd);
        rmdir(rundir->path); /* ENOTEMPTY: something there is not ours to remove */
        rmdir(rundir->base);
    }
    close(rundir->fd);
    rundir->fd = -1;
}

int xo_ctx_try_run_dir(const char *cluster, char path[XO_PATH_BYTES], uint64_t *left_bytes,
                       xo_error_t *err)
{
    xoi_rundir_t rundir = {.fd = -1};
    struct statvfs st = {0};

    if (xoi_rundir_open(&rundir, cluster, err) < 0)
        return -1;
    fstatvfs(rundir.fd, &st);
    *left_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    snprintf(path, XO_PATH_BYTES, "%s", rundir.path);
    xoi_rundir_close(&rundir);
    return 0;
}
