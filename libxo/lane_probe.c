/* lane_probe.c - does anybody listen at a tcp address? */
#include "libxo/lane_probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxo/address.h"

#define TIMEOUT_MS 1000

static void finish(xoi_probe_t *probe, int errnum)
{
    xoi_probe_stop(probe);
    probe->done(probe, errnum, probe->arg);
}

static void on_ready(xo_io_t *io, int revents, void *arg)
{
    int errnum = 0;
    socklen_t size = sizeof errnum;

    (void)revents;
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) < 0)
        errnum = errno;
    finish(arg, errnum);
}

static void on_timeout(xo_timer_t *timer, void *arg)
{
    (void)timer;
    finish(arg, ETIMEDOUT);
}

void xoi_probe_init(xoi_probe_t *probe, xo_loop_t *loop, xoi_probe_f done, void *arg)
{
    *probe = (xoi_probe_t){.fd = -1, .done = done, .arg = arg};
    xo_timer_init(&probe->timeout, loop, on_timeout, probe);
}

static struct addrinfo *numeric_address(const char *endpoint)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    xo_address_t address;
    char port[16];

    if (strncmp(endpoint, "tcp://", 6) != 0 || xo_address_parse(endpoint + 6, &address, NULL) < 0)
        return NULL;
    snprintf(port, sizeof port, "%d", address.port);
    return getaddrinfo(address.host, port, &hints, &found) == 0 ? found : NULL;
}

int xoi_probe_start(xoi_probe_t *probe, const char *endpoint)
{
    struct addrinfo *address = numeric_address(endpoint);
    int errnum = 0;

    errno = EINVAL;
    if (!address)
        return -1;
    probe->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe->fd >= 0 && connect(probe->fd, address->ai_addr, address->ai_addrlen) < 0)
        errnum = errno;
    freeaddrinfo(address);
    if (probe->fd < 0)
        return -1;
    if (errnum != 0 && errnum != EINPROGRESS) { /* known already: no address to come from, say */
        xoi_probe_stop(probe);
        errno = errnum;
        return -1;
    }
    xo_io_init(&probe->io, probe->timeout.loop, probe->fd, XO_WRITE, on_ready, probe);
    if (xo_io_start(&probe->io) < 0) {
        xoi_probe_stop(probe);
        return -1;
    }
    xo_timer_start(&probe->timeout, TIMEOUT_MS * XO_MS);
    return 0;
}

void xoi_probe_stop(xoi_probe_t *probe)
{
    xo_timer_stop(&probe->timeout);
    if (probe->fd < 0)
        return;
    xo_io_stop(&probe->io);
    close(probe->fd);
    probe->fd = -1;
}
