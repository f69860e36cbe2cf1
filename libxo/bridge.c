/* bridge.c - see bridge.h. */
#include "libxo/bridge.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME "xo-bridge-%016llx"
#define KNOCK_MS 4000 /* less than a handshake may take (5000): its sentence says more */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void fail(xoi_bridge_t *bridge, const xo_error_t *why)
{
    xoi_bridge_stop(bridge);
    bridge->failed(bridge, why, bridge->arg);
}

static void on_splice_ended(xoi_splice_t *splice, void *arg)
{
    xoi_bridge_t *bridge = arg;
    (void)splice;
    bridge->splice = NULL;
}

static void join(xoi_bridge_t *bridge)
{
    xo_error_t why;
    if (bridge->inner < 0 || bridge->outer < 0)
        return;
    bridge->splice = xoi_splice_create(bridge->io.loop, bridge->outer, bridge->inner,
                                       bridge->buffer, on_splice_ended, bridge);
    bridge->inner = bridge->outer = -1;
    if (bridge->splice)
        return;
    xo_error_set(&why, errno, "no bridge to %s: %s", bridge->knock.door, strerror(errno));
    fail(bridge, &why);
}

static void on_led_on(xoi_knock_t *knock, int fd, const xo_error_t *why, void *arg)
{
    xoi_bridge_t *bridge = arg;
    (void)knock;
    if (fd < 0) {
        fail(bridge, why);
        return;
    }
    bridge->outer = fd;
    join(bridge);
}

/* Anybody on the machine can dial it; only our own process is meant. */
static void on_dialled(xo_io_t *io, int revents, void *arg)
{
    xoi_bridge_t *bridge = arg;
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    int fd = accept4(bridge->door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    (void)revents;
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid != getpid()) {
        close(fd);
        return;
    }
    xo_io_stop(io);
    close_fd(&bridge->door);
    bridge->inner = fd;
    join(bridge);
}

void xoi_bridge_init(xoi_bridge_t *bridge, xo_loop_t *loop, xoi_bridge_failed_f failed, void *arg)
{
    *bridge = (xoi_bridge_t){.door = -1, .inner = -1, .outer = -1, .failed = failed, .arg = arg};
    xo_io_init(&bridge->io, loop, -1, XO_READ, on_dialled, bridge);
    xoi_knock_init(&bridge->knock, loop, on_led_on, bridge);
}

/* An abstract address: it leaves no file. */
static int open_door(xoi_bridge_t *bridge, xo_error_t *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) < 0)
        return xo_error_set(err, errno, "no random number: %s", strerror(errno));
    int size = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, NAME,
                        (unsigned long long)number);
    snprintf(bridge->endpoint, sizeof bridge->endpoint, "ipc://@" NAME, (unsigned long long)number);
    bridge->door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bridge->door >= 0 &&
        bind(bridge->door, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size)) == 0 &&
        listen(bridge->door, 8) == 0) {
        xo_io_init(&bridge->io, bridge->io.loop, bridge->door, XO_READ, on_dialled, bridge);
        if (xo_io_start(&bridge->io) == 0)
            return 0;
    }
    return xo_error_set(err, errno, "no socket for a bridge: %s", strerror(errno));
}

/* port://DOOR/ADDRESS */
static int parse(const char *endpoint, xo_address_t *door, xo_address_t *target, xo_error_t *err)
{
    const char *rest = strstr(endpoint, "://") + 3;
    size_t size = strcspn(rest, "/");
    char text[XO_ADDRESS_BYTES];
    if (size >= sizeof text || rest[size] != '/')
        return xo_error_set(err, EINVAL, "%s is not of the form port://HOST:PORT/ADDRESS",
                            endpoint);
    memcpy(text, rest, size);
    text[size] = '\0';
    return xo_address_parse_door(text, door, err) < 0
               ? -1
               : xo_address_parse(rest + size + 1, target, err);
}

int xoi_bridge_start(xoi_bridge_t *bridge, const char *endpoint, xo_error_t *err)
{
    xo_address_t door;
    xo_address_t target;
    char name[XO_HOST_BYTES + 16];
    if (parse(endpoint, &door, &target, err) < 0)
        return -1;
    snprintf(name, sizeof name, "p%d.%s", target.port, target.host);
    bridge->buffer = malloc(XOI_SPLICE_BYTES);
    if (!bridge->buffer)
        return xo_error_set(err, ENOMEM, "out of memory for a bridge");
    if (open_door(bridge, err) == 0 &&
        xoi_knock_start(&bridge->knock, &door, name, KNOCK_MS, err) == 0)
        return 0;
    int saved = errno;
    xoi_bridge_stop(bridge);
    errno = saved;
    return -1;
}

const char *xoi_bridge_endpoint(const xoi_bridge_t *bridge)
{
    return bridge->endpoint;
}

void xoi_bridge_finish(xoi_bridge_t *bridge, int limit_ms)
{
    if (bridge->splice)
        xoi_splice_drain(bridge->splice, limit_ms);
    xoi_bridge_stop(bridge);
}

void xoi_bridge_stop(xoi_bridge_t *bridge)
{
    xo_io_stop(&bridge->io);
    xoi_knock_stop(&bridge->knock);
    xoi_splice_destroy(bridge->splice);
    bridge->splice = NULL;
    close_fd(&bridge->door);
    close_fd(&bridge->inner);
    close_fd(&bridge->outer);
    free(bridge->buffer);
    bridge->buffer = NULL;
}
