/* unix_socket.c - unix sockets with a path. */
#include "libxo/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxo/ctx.h"

#define BACKLOG 4096 /* of listen(2); a full one refuses at once */

static int name(struct sockaddr_un *address, const char *path, xo_error_t *err)
{
    if (strlen(path) >= sizeof address->sun_path)
        return xo_error_set(err, ENAMETOOLONG,
                            "the socket's path %s is longer than %zu bytes: set XO_RUN_DIR to a "
                            "shorter one",
                            path, sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path));
    return 0;
}

/* Does a process listen on it? ECONNREFUSED means that the one that did is gone. One that does has
 * another type of socket, so it does not notice. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale;

    if (fd < 0)
        return false;
    stale =
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

/* Between the look and the removal another process could begin to listen on the same path. The
 * paths are named after a tcp address that the process has bound, or a random id, so nobody else
 * does. */
static int bind_path(int fd, const struct sockaddr_un *address)
{
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -1;
    if (!is_stale(address)) {
        errno = EADDRINUSE;
        return -1;
    }
    unlink(address->sun_path);
    return bind(fd, (const struct sockaddr *)address, sizeof *address);
}

/* ZeroMQ's sockets are made here too: libzmq would unlink a living one. Nobody can
 * connect before listen(2), and by then it is 0600. */
int xoi_unix_listen(const char *path, xo_error_t *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    int saved;

    if (name(&address, path, err) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind_path(fd, &address) == 0) {
        if (chmod(path, S_IRUSR | S_IWUSR) == 0 && listen(fd, BACKLOG) == 0)
            return fd;
        saved = errno;
        unlink(path);
        errno = saved;
    }
    saved = errno;
    if (fd >= 0)
        close(fd);
    return xo_error_set(err, saved, "cannot listen on %s: %s", path,
                        saved == EADDRINUSE ? "a process that runs has it" : strerror(saved));
}

/* Made unique by a number that is drawn. */
static int bind_as(int fd, const char *who)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    int size = snprintf(own.sun_path + 1, sizeof own.sun_path - 1, "%.64s xo-port %016llx", who,
                        (unsigned long long)xo_random_id());

    return bind(fd, (struct sockaddr *)&own,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size));
}

int xoi_unix_connect(const char *path, xo_error_t *err)
{
    return xoi_unix_connect_as(path, NULL, err);
}

int xoi_unix_connect_as(const char *path, const char *who, xo_error_t *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (name(&address, path, err) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (!who || bind_as(fd, who) == 0) &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int saved = errno == ENOENT || errno == EAGAIN ? ECONNREFUSED : errno;
    if (fd >= 0)
        close(fd);
    return xo_error_set(err, saved, "cannot connect to %s: %s", path, strerror(saved));
}

uint64_t xoi_unix_inode(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_ino;
}
