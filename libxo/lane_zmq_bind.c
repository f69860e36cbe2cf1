/* lane_zmq_bind.c - where a ZeroMQ listener is bound: names, unix sockets, tcp addresses. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxo/address.h"
#include "libxo/ctx_internal.h"
#include "libxo/lane_zmq.h"
#include "libxo/unix_socket.h"

#define UNIX_BYTES (sizeof(struct sockaddr_un) + sizeof "ipc://")

static const char *rest_of(const char *endpoint)
{
    return strstr(endpoint, "://") + 3;
}

/* ---- unix sockets: ipc, and the inner side of a node's port ---- */

static bool is_unix(const char *endpoint)
{
    xoi_scheme_t scheme = xoi_scheme_of(endpoint);

    return scheme == XOI_IPC || scheme == XOI_PORT;
}

/* What libzmq calls it. */
static void name_unix(const char *endpoint, char text[UNIX_BYTES])
{
    snprintf(text, UNIX_BYTES, "ipc://%s", rest_of(endpoint));
}

static int bind_unix(void *socket, const char *endpoint, xo_error_t *err)
{
    char text[UNIX_BYTES];
    int fd = xoi_unix_listen(rest_of(endpoint), err);

    if (fd < 0)
        return -1;
    name_unix(endpoint, text);
    if (xoi_set_int(socket, ZMQ_USE_FD, fd) == 0 && zmq_bind(socket, text) == 0)
        return 0;
    xo_error_set(err, errno, "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
    unlink(rest_of(endpoint));
    close(fd);
    return -1;
}

uint64_t xoi_socket_inode(const char *endpoint)
{
    return is_unix(endpoint) ? xoi_unix_inode(rest_of(endpoint)) : 0;
}

uint64_t xoi_fd_inode(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
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
        return bind_unix(socket, endpoint, err);
    case XOI_PORT:
        return xo_ctx_start_zap(ctx, err) < 0 ? -1 : bind_unix(socket, endpoint, err);
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
    char text[UNIX_BYTES];

    if (xoi_scheme_of(endpoint) == XOI_INPROC) {
        xoi_ctx_unbind_inproc(ctx, socket, endpoint);
    } else if (is_unix(endpoint)) {
        name_unix(endpoint, text);
        zmq_unbind(socket, text);
    } else {
        zmq_unbind(socket, endpoint);
    }
    if (inode != 0 && xoi_socket_inode(endpoint) == inode)
        unlink(rest_of(endpoint));
}
