/* port.c - see port.h: who comes in, and is led on. */
#include "libxo/port.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "libxo/socks.h"
#include "libxo/splice.h"
#include "libxo/unix_socket.h"

#define BACKLOG 4096
#define ACCEPTS_MAX 64   /* in one turn of the loop */
#define GUESTS_MAX 512   /* who have not said yet whom they want: beyond, the oldest goes */
#define GREETING_MS 5000 /* how long they have for it */
#define NO_ROOM_MS 100   /* until it is tried again to accept, where descriptors are used up */
#define ZMTP_FIRST 0xff
#define HOST_BYTES 64

/* Who has come in. */
typedef struct guest {
    xo_port_t *port;
    int fd; /* -1: the splice's */
    bool greeted;
    uint64_t token;      /* who comes for it will say this; 0: nobody does */
    xo_address_t wanted; /* ... to lead it to this */
    char host[HOST_BYTES];
    xo_io_t io;
    xo_timer_t limit;
    uint8_t bytes[XOI_SOCKS_BYTES];
    size_t size;
    xoi_splice_t *splice; /* NULL: not yet */
    struct guest *prev, *next;
} guest_t;

struct xo_port {
    xo_loop_t *loop;
    xo_address_t address;
    int fd;
    xo_io_t io;
    xo_timer_t again;
    xo_port_events_t events;
    void *arg;
    guest_t *guests; /* without a splice, the oldest first */
    size_t guest_count;
    guest_t *passing;
    xo_port_stats_t stats;
    char buffer[XOI_SPLICE_BYTES];
};

/* ---- guests ---- */

static void dismiss(guest_t *guest)
{
    xo_port_t *port = guest->port;
    xo_io_stop(&guest->io);
    xo_timer_stop(&guest->limit);
    if (guest->fd >= 0)
        close(guest->fd);
    DL_DELETE(port->guests, guest);
    port->guest_count--;
    free(guest);
}

static void refuse(guest_t *guest, xo_drop_t reason, const char *why)
{
    xo_port_t *port = guest->port;
    port->stats.refused++;
    port->events.refused(port, reason, guest->host, why, port->arg);
    dismiss(guest);
}

static void on_limit(xo_timer_t *timer, void *arg)
{
    (void)timer;
    guest_t *guest = arg;
    if (guest->token)
        xo_port_give_up(guest->port, guest->token, "the node that has it did not come in time");
    else
        refuse(guest, XO_DROP_REFUSED, "it did not say in time whom it wants");
}

static int answer(const guest_t *guest, const void *bytes, size_t size)
{
    ssize_t sent = send(guest->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent == (ssize_t)size ? 0 : -1; /* there is room for so few */
}

static void reply_and_refuse(guest_t *guest, int code, xo_drop_t reason, const char *why)
{
    uint8_t reply[XOI_SOCKS_REPLY_BYTES];
    xoi_socks_reply(code, reply);
    answer(guest, reply, sizeof reply);
    refuse(guest, reason, why);
}

static void refuse_route(guest_t *guest, const xo_address_t *wanted, const char *why)
{
    char text[XO_ERROR_TEXT_BYTES];
    snprintf(text, sizeof text, "it asked for %s:%d, and %.200s", wanted->host, wanted->port, why);
    reply_and_refuse(guest, XOI_SOCKS_NOBODY, XO_DROP_NO_ROUTE, text);
}

/* ---- leading on ---- */

static void on_ended(xoi_splice_t *splice, void *arg)
{
    guest_t *guest = arg;
    (void)splice;
    guest->port->stats.passing--;
    DL_DELETE(guest->port->passing, guest);
    free(guest);
}

static void join(guest_t *guest, int inner)
{
    xo_port_t *port = guest->port;
    xo_io_stop(&guest->io);
    xo_timer_stop(&guest->limit);
    guest->splice = xoi_splice_create(port->loop, guest->fd, inner, port->buffer, on_ended, guest);
    guest->fd = -1;
    if (!guest->splice) {
        dismiss(guest);
        return;
    }
    DL_DELETE(port->guests, guest);
    port->guest_count--;
    DL_APPEND(port->passing, guest);
    port->stats.passing++;
}

static int find_inner(guest_t *guest, const xo_address_t *address)
{
    char path[XO_PATH_BYTES] = "";
    guest->port->events.find(guest->port, address, path, guest->port->arg);
    return path[0] ? xoi_unix_connect_as(path, guest->host, NULL) : -1;
}

static void give_way(guest_t *guest, int code, int other)
{
    uint8_t reply[XOI_SOCKS_REPLY_BYTES];
    xoi_socks_reply(code, reply);
    if (answer(guest, reply, sizeof reply) == 0) {
        join(guest, other);
    } else {
        close(other);
        dismiss(guest);
    }
}

static guest_t *find_waiting(const xo_port_t *port, uint64_t token)
{
    guest_t *guest = NULL;
    DL_FOREACH(port->guests, guest)
    if (guest->token == token)
        break;
    return guest;
}

/* "tHEX": it has come for who waits under that token. */
static void meet(guest_t *guest, const char *name)
{
    uint8_t reply[XOI_SOCKS_REPLY_BYTES];
    char *end;
    uint64_t token = strtoull(name + 1, &end, 16);
    guest_t *waiting = token && *end == '\0' ? find_waiting(guest->port, token) : NULL;
    if (!waiting) {
        reply_and_refuse(guest, XOI_SOCKS_NOBODY, XO_DROP_NO_ROUTE,
                         "it came for somebody who does not wait here");
        return;
    }
    xoi_socks_reply(XOI_SOCKS_DONE, reply);
    if (answer(guest, reply, sizeof reply) < 0) {
        dismiss(guest);
        return;
    }
    int fd = guest->fd;
    xo_io_stop(&guest->io);
    guest->fd = -1; /* the splice's */
    dismiss(guest);
    give_way(waiting, XOI_SOCKS_DONE, fd);
}

void xo_port_give_up(xo_port_t *port, uint64_t token, const char *why)
{
    guest_t *guest = find_waiting(port, token);
    if (guest)
        refuse_route(guest, &guest->wanted, why);
}

/* A pool of a node that can only dial out: that has been asked to come for it. */
static bool waits(guest_t *guest, const xo_address_t *address)
{
    xo_port_t *port = guest->port;
    uint64_t token = xo_random_id();
    if (!port->events.away || !port->events.away(port, address, token, port->arg))
        return false;
    guest->token = token;
    guest->wanted = *address;
    xo_io_stop(&guest->io); /* it says nothing until it is answered */
    xo_timer_start(&guest->limit, GREETING_MS * XO_MS);
    return true;
}

/* "pN.HOST" */
static int read_name(const char *name, xo_address_t *address)
{
    char text[XO_ADDRESS_BYTES];
    char *end;
    if (name[0] != 'p')
        return -1;
    unsigned long number = strtoul(name + 1, &end, 10);
    if (end == name + 1 || *end != '.')
        return -1;
    snprintf(text, sizeof text, strchr(end, ':') ? "[%s]:%lu" : "%s:%lu", end + 1, number);
    return xo_address_parse(text, address, NULL);
}

static void lead_on(guest_t *guest, const char *name)
{
    xo_address_t address;
    if (name[0] == 't') {
        meet(guest, name);
        return;
    }
    if (read_name(name, &address) < 0) {
        reply_and_refuse(guest, XOI_SOCKS_NO_NAME, XO_DROP_MALFORMED,
                         "it asked for what is no address");
        return;
    }
    int inner = find_inner(guest, &address);
    if (inner >= 0) {
        give_way(guest, XOI_SOCKS_DONE, inner);
        return;
    }
    if (!waits(guest, &address))
        refuse_route(guest, &address, "no pool of this node is there");
}

/* ---- what they say ---- */

static void take_greeting(guest_t *guest)
{
    static const uint8_t no_authentication[XOI_SOCKS_ANSWER_BYTES] = {XOI_SOCKS_VERSION, 0};
    guest->greeted = true;
    guest->size = 0;
    if (answer(guest, no_authentication, sizeof no_authentication) < 0)
        dismiss(guest);
}

static void take_request(guest_t *guest)
{
    char name[XOI_SOCKS_BYTES];
    int code = xoi_socks_request_name(guest->bytes, guest->size, name);
    if (code == XOI_SOCKS_DONE)
        lead_on(guest, name);
    else
        reply_and_refuse(guest, code, XO_DROP_MALFORMED,
                         "it asked for something else than a pool by name");
}

/* ZMTP at once. What it says is left to who is at the other end. */
static void lead_to_first(guest_t *guest)
{
    int inner = find_inner(guest, &guest->port->address);
    if (inner < 0)
        refuse(guest, XO_DROP_NO_ROUTE, "nobody is at the port itself");
    else
        join(guest, inner);
}

static size_t expected(const guest_t *guest)
{
    return guest->greeted ? xoi_socks_request_size(guest->bytes, guest->size)
                          : xoi_socks_greeting_size(guest->bytes, guest->size);
}

/* False: it is led on, or has left. */
static bool is_socks(guest_t *guest)
{
    uint8_t first;
    ssize_t got = recv(guest->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        refuse(guest, XO_DROP_REFUSED, "it left without a word");
        return false;
    }
    if (first == ZMTP_FIRST)
        lead_to_first(guest);
    return first != ZMTP_FIRST;
}

/* Never more than was asked for, so that nothing of what follows is lost. */
static void on_readable(xo_io_t *io, int revents, void *arg)
{
    guest_t *guest = arg;
    (void)io;
    (void)revents;
    if (!guest->greeted && guest->size == 0 && !is_socks(guest))
        return;
    ssize_t got =
        recv(guest->fd, guest->bytes + guest->size, expected(guest) - guest->size, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        refuse(guest, XO_DROP_REFUSED, "it left before it had said whom it wants");
        return;
    }
    guest->size += (size_t)got;
    size_t size = expected(guest);
    if (size == 0)
        refuse(guest, XO_DROP_MALFORMED, "what it says is neither ZMTP nor SOCKS 5");
    else if (size == guest->size && !guest->greeted)
        take_greeting(guest);
    else if (size == guest->size)
        take_request(guest);
}

/* ---- coming in ---- */

static void admit(xo_port_t *port, int fd, const struct sockaddr *from, socklen_t size)
{
    guest_t *guest = calloc(1, sizeof *guest);
    if (!guest) {
        close(fd);
        return;
    }
    xoi_splice_set_tcp(fd);
    guest->port = port;
    guest->fd = fd;
    if (getnameinfo(from, size, guest->host, sizeof guest->host, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(guest->host, sizeof guest->host, "somebody");
    xo_timer_init(&guest->limit, port->loop, on_limit, guest);
    xo_timer_start(&guest->limit, GREETING_MS * XO_MS);
    xo_io_init(&guest->io, port->loop, fd, XO_READ, on_readable, guest);
    if (port->guest_count == GUESTS_MAX)
        refuse(port->guests, XO_DROP_REFUSED, "too many others had not said whom they want");
    DL_APPEND(port->guests, guest);
    port->guest_count++;
    port->stats.accepted++;
    if (xo_io_start(&guest->io) < 0)
        dismiss(guest);
}

static void on_guest(xo_io_t *io, int revents, void *arg)
{
    xo_port_t *port = arg;
    struct sockaddr_storage from;
    (void)revents;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        socklen_t size = sizeof from;
        int fd = accept4(port->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            admit(port, fd, (struct sockaddr *)&from, size);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) { /* no descriptors, no memory */
            xo_io_stop(io);
            xo_timer_start(&port->again, NO_ROOM_MS * XO_MS);
            return;
        }
    }
}

static void on_again(xo_timer_t *timer, void *arg)
{
    xo_port_t *port = arg;
    if (xo_io_start(&port->io) < 0)
        xo_timer_start(timer, NO_ROOM_MS * XO_MS);
}

/* ---- the whole ---- */

static int open_socket(const struct addrinfo *where)
{
    const int on = 1;
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_at(const xo_address_t *bound, xo_error_t *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char port[16];
    snprintf(port, sizeof port, "%d", bound->port);
    int rc = getaddrinfo(bound->host, port, &hints, &found);
    if (rc != 0)
        return xo_error_set(err, EADDRNOTAVAIL, "port: cannot find the address of '%s': %s",
                            bound->host, gai_strerror(rc));
    int fd = open_socket(found);
    if (fd < 0)
        xo_error_set(err, errno, "port: cannot listen on %s:%d: %s", bound->host, bound->port,
                     strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static int parse(xo_port_t *port, const char *advertised, const char *bind, xo_address_t *bound,
                 xo_error_t *err)
{
    if (xo_address_parse_door(advertised, &port->address, err) < 0)
        return xo_error_prefix(err, "port");
    *bound = port->address;
    if (bind && xo_address_parse(bind, bound, err) < 0)
        return xo_error_prefix(err, "port: bind");
    if (bind && bound->port == 0)
        bound->port = port->address.port;
    if (xo_address_is_behind(bound))
        return xo_error_set(err, EINVAL, "port: %s is behind a port, and nobody can listen there",
                            bind ? bind : advertised);
    return 0;
}

xo_port_t *xo_port_create(xo_loop_t *loop, const char *advertised, const char *bind,
                          const xo_port_events_t *events, void *arg, xo_error_t *err)
{
    xo_address_t bound;
    xo_port_t *port = calloc(1, sizeof *port);
    if (!port)
        return xo_error_null(err, ENOMEM, "out of memory");
    port->loop = loop;
    port->events = *events;
    port->arg = arg;
    port->fd = -1;
    xo_timer_init(&port->again, loop, on_again, port);
    if (parse(port, advertised, bind, &bound, err) == 0 &&
        (port->fd = listen_at(&bound, err)) >= 0) {
        xo_io_init(&port->io, loop, port->fd, XO_READ, on_guest, port);
        if (xo_io_start(&port->io) == 0)
            return port;
        xo_error_set(err, errno, "port: cannot watch its socket: %s", strerror(errno));
    }
    int saved = errno;
    xo_port_destroy(port);
    errno = saved;
    return NULL;
}

void xo_port_destroy(xo_port_t *port)
{
    if (!port)
        return;
    xo_timer_stop(&port->again);
    if (port->fd >= 0) {
        xo_io_stop(&port->io);
        close(port->fd);
    }
    while (port->guests)
        dismiss(port->guests);
    while (port->passing) {
        guest_t *guest = port->passing;
        DL_DELETE(port->passing, guest);
        xoi_splice_drain(guest->splice, 0); /* the last words of pools that have ended */
        xoi_splice_destroy(guest->splice);
        free(guest);
    }
    free(port);
}

const xo_port_stats_t *xo_port_stats(const xo_port_t *port)
{
    return &port->stats;
}
