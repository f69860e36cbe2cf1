/* lane_zmq_bind.c - where a ZeroMQ listener is bound: names, unix sockets, tcp addresses. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxo/address.h"
#include "libxo/ctx_internal.h"
#include "libxo/lane_zmq.h"

#define BACKLOG 4096

static const char *rest_of(const char *endpoint)
{
    return strstr(endpoint, "://") + 3;
}

/* ---- ipc ---- */

/* Does a process listen on it? ECONNREFUSED means that the one that did is gone. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
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

/* The socket is made here rather than by libzmq, which would unlink a living one. Nobody can
 * connect before listen(2), and by then it is 0600. */
static int listen_path(const char *path, xo_error_t *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    int saved;

    if (strlen(path) >= sizeof address.sun_path)
        return xo_error_set(err, ENAMETOOLONG,
                            "the socket's path %s is longer than %zu bytes: set XO_RUN_DIR to a "
                            "shorter one",
                            path, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
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

static int bind_ipc(void *socket, const char *endpoint, xo_error_t *err)
{
    int fd = listen_path(rest_of(endpoint), err);

    if (fd < 0)
        return -1;
    if (xoi_set_int(socket, ZMQ_USE_FD, fd) == 0 && zmq_bind(socket, endpoint) == 0)
        return 0;
    xo_error_set(err, errno, "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
    unlink(rest_of(endpoint));
    close(fd);
    return -1;
}

uint64_t xoi_socket_inode(const char *endpoint)
{
    struct stat st;

    if (xoi_scheme_of(endpoint) != XOI_IPC || lstat(rest_of(endpoint), &st) < 0)
        return 0;
    return st.st_ino;
}

/* ---- tcp ---- */

/* libzmq binds to numbers only. */
static int resolve(const xo_address_t *address, char *host, size_t size, xo_error_t *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int rc = getaddrinfo(address->host, NULL, &hints, &found);

    if (rc != 0)
        return xo_error_set(err, EADDRNOTAVAIL, "cannot find the address of '%s': %s",
                            address->host, gai_strerror(rc));
    rc = getnameinfo(found->ai_addr, found->ai_addrlen, host, (socklen_t)size, NULL, 0,
                     NI_NUMERICHOST);
    freeaddrinfo(found);
    if (rc != 0)
        return xo_error_set(err, EADDRNOTAVAIL, "cannot read the address of '%s': %s",
                            address->host, gai_strerror(rc));
    return 0;
}

static int bind_tcp(xo_ctx_t *ctx, void *socket, const char *endpoint, xo_error_t *err)
{
    xo_address_t address;
    char host[NI_MAXHOST];
    char text[NI_MAXHOST + 32];
    bool v6;

    if (xo_address_parse(rest_of(endpoint), &address, err) < 0 ||
        resolve(&address, host, sizeof host, err) < 0 || xo_ctx_start_zap(ctx, err) < 0)
        return -1;
    v6 = strchr(host, ':') != NULL;
    snprintf(text, sizeof text, v6 ? "tcp://[%s]:%d" : "tcp://%s:%d", host, address.port);
    if (xoi_set_int(socket, ZMQ_IPV6, v6) < 0 || zmq_bind(socket, text) < 0)
        return xo_error_set(err, errno, "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
    return 0;
}

/* ---- all ---- */

static int bind_any(xo_ctx_t *ctx, void *socket, const char *endpoint, xo_error_t *err)
{
    switch (xoi_scheme_of(endpoint)) {
    case XOI_INPROC:
        return xoi_ctx_bind_inproc(ctx, socket, endpoint, err);
    case XOI_IPC:
        return bind_ipc(socket, endpoint, err);
    default:
        return bind_tcp(ctx, socket, endpoint, err);
    }
}

int xoi_zmq_bind(xo_ctx_t *ctx, void *socket, const char *endpoint, char *text, size_t size,
                 xo_error_t *err)
{
    if (strlen(endpoint) >= size)
        return xo_error_set(err, ENAMETOOLONG, "the endpoint %s is too long", endpoint);
    if (bind_any(ctx, socket, endpoint, err) < 0)
        return -1;
    memcpy(text, endpoint, strlen(endpoint) + 1);
    if (xoi_scheme_of(endpoint) == XOI_TCP &&
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text, &size) < 0)
        return xo_error_set(err, errno, "cannot tell the port of %s: %s", endpoint,
                            zmq_strerror(errno));
    return 0;
}

void xoi_zmq_unbind(xo_ctx_t *ctx, void *socket, const char *endpoint, uint64_t inode)
{
    if (xoi_scheme_of(endpoint) == XOI_INPROC)
        xoi_ctx_unbind_inproc(ctx, socket, endpoint);
    else
        zmq_unbind(socket, endpoint);
    if (inode != 0 && xoi_socket_inode(endpoint) == inode)
        unlink(rest_of(endpoint));
}
