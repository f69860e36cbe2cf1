/* knock.c - see knock.h. */
#include "libxo/knock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxo/splice.h"

static const uint8_t greeting[] = {XOI_SOCKS_VERSION, 1, 0};

static void finish(xoi_knock_t *knock, int fd, const xo_error_t *why)
{
    if (fd >= 0)
        knock->fd = -1; /* the callback's */
    xoi_knock_stop(knock);
    knock->done(knock, fd, why, knock->arg);
}

static void fail(xoi_knock_t *knock, int errnum, const char *what)
{
    xo_error_t why;
    xo_error_set(&why, errnum, "%s %s", knock->door, what);
    finish(knock, -1, &why);
}

static void fail_to_connect(xoi_knock_t *knock, int errnum)
{
    xo_error_t why;
    if (errnum == ECONNREFUSED)
        xo_error_set(&why, errnum, "nobody listens at %s, the node's port", knock->door);
    else
        xo_error_set(&why, errnum == ETIMEDOUT ? ETIMEDOUT : ECONNREFUSED,
                     "%s, the node's port, cannot be reached: %s", knock->door, strerror(errnum));
    finish(knock, -1, &why);
}

static void on_limit(xo_timer_t *timer, void *arg)
{
    xoi_knock_t *knock = arg;
    (void)timer;
    if (knock->state == XOI_KNOCK_CONNECTING)
        fail_to_connect(knock, ETIMEDOUT);
    else
        fail(knock, ETIMEDOUT, "does not answer who asks it for a pool: is it a node's port?");
}

static int say(const xoi_knock_t *knock, const void *bytes, size_t size)
{
    return send(knock->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size ? 0 : -1;
}

static int ask(const xoi_knock_t *knock)
{
    uint8_t request[XOI_SOCKS_BYTES + 8] = {XOI_SOCKS_VERSION, 1, 0, 3};
    size_t length = strlen(knock->name);
    request[4] = (uint8_t)length;
    memcpy(request + 5, knock->name, length);
    request[5 + length + 1] = 1; /* a port, which must not be 0 */
    return say(knock, request, 5 + length + 2);
}

static void take_answer(xoi_knock_t *knock)
{
    if (knock->bytes[0] != XOI_SOCKS_VERSION)
        fail(knock, EPROTO, "is no node's port");
    else if (knock->bytes[1] == XOI_SOCKS_NOBODY)
        fail(knock, ECONNREFUSED, "is a node's port, but no pool of that node is there");
    else if (knock->bytes[1] != XOI_SOCKS_DONE)
        fail(knock, EPROTO, "is no node's port, or one of another version");
    else if (knock->state == XOI_KNOCK_ASKED)
        finish(knock, knock->fd, NULL);
    else if (ask(knock) < 0)
        fail(knock, ECONNREFUSED, "has hung up");
    else
        knock->state = XOI_KNOCK_ASKED;
}

static void read_answer(xoi_knock_t *knock)
{
    size_t all = knock->state == XOI_KNOCK_ASKED ? XOI_SOCKS_REPLY_BYTES : XOI_SOCKS_ANSWER_BYTES;
    ssize_t got = recv(knock->fd, knock->bytes + knock->size, all - knock->size, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        fail(knock, ECONNREFUSED, "has hung up");
        return;
    }
    knock->size += (size_t)got;
    if (knock->size < all)
        return;
    knock->size = 0;
    take_answer(knock);
}

static void on_ready(xo_io_t *io, int revents, void *arg)
{
    xoi_knock_t *knock = arg;
    int errnum = 0;
    socklen_t size = sizeof errnum;
    (void)revents;
    if (knock->state != XOI_KNOCK_CONNECTING) {
        read_answer(knock);
        return;
    }
    if (getsockopt(knock->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) < 0)
        errnum = errno;
    if (errnum != 0) {
        fail_to_connect(knock, errnum);
        return;
    }
    xo_io_stop(io);
    xo_io_init(io, knock->limit.loop, knock->fd, XO_READ, on_ready, knock);
    knock->state = XOI_KNOCK_GREETED;
    if (say(knock, greeting, sizeof greeting) < 0 || xo_io_start(io) < 0)
        fail(knock, ECONNREFUSED, "has hung up");
}

void xoi_knock_init(xoi_knock_t *knock, xo_loop_t *loop, xoi_knock_f done, void *arg)
{
    *knock = (xoi_knock_t){.fd = -1, .done = done, .arg = arg};
    xo_timer_init(&knock->limit, loop, on_limit, knock);
}

static int look_up(const xo_address_t *door, struct addrinfo **found, xo_error_t *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char port[16];
    snprintf(port, sizeof port, "%d", door->port);
    int rc = getaddrinfo(door->host, port, &hints, found);
    return rc == 0 ? 0
                   : xo_error_set(err, EADDRNOTAVAIL, "cannot find the address of '%s': %s",
                                  door->host, gai_strerror(rc));
}

static int begin(xoi_knock_t *knock, const struct addrinfo *where, xo_error_t *err)
{
    knock->fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (knock->fd < 0)
        return xo_error_set(err, errno, "no socket to dial %s: %s", knock->door, strerror(errno));
    xoi_splice_set_tcp(knock->fd);
    if (connect(knock->fd, where->ai_addr, where->ai_addrlen) < 0 && errno != EINPROGRESS)
        return xo_error_set(err, ECONNREFUSED, "cannot dial %s: %s", knock->door, strerror(errno));
    xo_io_init(&knock->io, knock->limit.loop, knock->fd, XO_WRITE, on_ready, knock);
    return xo_io_start(&knock->io) == 0
               ? 0
               : xo_error_set(err, errno, "cannot watch a socket: %s", strerror(errno));
}

int xoi_knock_start(xoi_knock_t *knock, const xo_address_t *door, const char *name,
                    int64_t limit_ms, xo_error_t *err)
{
    struct addrinfo *found;
    if (xo_address_format(door, knock->door, sizeof knock->door) < 0 ||
        strlen(name) >= sizeof knock->name - 7)
        return xo_error_set(err, EINVAL, "the address behind %s is too long", door->host);
    strcpy(knock->name, name);
    knock->state = XOI_KNOCK_CONNECTING;
    knock->size = 0;
    if (look_up(door, &found, err) < 0)
        return -1;
    int rc = begin(knock, found, err);
    freeaddrinfo(found);
    if (rc == 0) {
        xo_timer_start(&knock->limit, limit_ms * XO_MS);
        return 0;
    }
    int saved = errno;
    xoi_knock_stop(knock);
    errno = saved;
    return -1;
}

void xoi_knock_stop(xoi_knock_t *knock)
{
    xo_timer_stop(&knock->limit);
    xo_io_stop(&knock->io);
    if (knock->fd >= 0)
        close(knock->fd);
    knock->fd = -1;
}
