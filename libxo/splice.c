/* splice.c - see splice.h. */
#include "libxo/splice.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxo/lane_silence.h"
#include "libxo/loop_internal.h"
#include "libxo/opening.h"

/* How long one direction may go on when the other has ended. Neither end of a lane goes on to send
 * when the other has hung up. */
#define HALF_CLOSED_MS 5000
#define SILENCE_ASK_S 1
#define SILENCE_ASK_TIMES 2

typedef struct half {
    xoi_splice_t *splice;
    int from, to;
    xo_io_t in, out;
    char *rest; /* what `to` had no room for */
    size_t at, size;
    uint64_t came; /* bytes from `from`, while the other end may not know it (opening.h) */
    bool ended;
} half_t;

struct xoi_splice {
    half_t halves[2];
    xoi_silence_t silence[2]; /* of the sockets that the halves write to */
    xo_timer_t limit;
    char *buffer;
    xoi_splice_ended_f ended;
    void *arg;
};

/* An idle connection is TCP's to look after: as of the lanes, lane_zmq.c. */
void xoi_splice_set_tcp(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, SILENCE_ASK_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, SILENCE_ASK_S},
        {IPPROTO_TCP, TCP_KEEPCNT, SILENCE_ASK_TIMES},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                   sizeof options[i].value);
}

static void stop(half_t *half)
{
    xo_io_stop(&half->in);
    xo_io_stop(&half->out);
    free(half->rest);
    half->rest = NULL;
}

void xoi_splice_destroy(xoi_splice_t *splice)
{
    if (!splice)
        return;
    for (int i = 0; i < 2; i++) {
        stop(&splice->halves[i]);
        xoi_silence_stop(&splice->silence[i]);
        close(splice->halves[i].from);
    }
    xo_timer_stop(&splice->limit);
    free(splice);
}

static void end(xoi_splice_t *splice)
{
    xoi_splice_ended_f ended = splice->ended;
    void *arg = splice->arg;
    ended(splice, arg);
    xoi_splice_destroy(splice);
}

static void on_limit(xo_timer_t *timer, void *arg)
{
    (void)timer;
    end(arg);
}

/* Nothing more comes, and what came has left. */
static void end_half(half_t *half)
{
    xoi_splice_t *splice = half->splice;
    half->ended = true;
    xo_io_stop(&half->in);
    shutdown(half->to, SHUT_WR);
    if (splice->halves[0].ended && splice->halves[1].ended)
        end(splice);
    else
        xo_timer_start(&splice->limit, HALF_CLOSED_MS * XO_MS);
}

static bool is_later(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* How many bytes have left; -1: nobody takes them any more, and the splice is gone. */
static ssize_t give(half_t *half, const char *bytes, size_t size)
{
    xoi_splice_t *splice = half->splice;
    ssize_t sent = send(half->to, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && !is_later()) {
        end(splice);
        return -1;
    }
    xoi_silence_sent(&splice->silence[half - splice->halves]);
    return sent < 0 ? 0 : sent;
}

/* False: the splice is gone. */
static bool keep(half_t *half, const char *bytes, size_t size)
{
    half->rest = malloc(size);
    half->at = 0;
    half->size = size;
    xo_io_stop(&half->in);
    if (half->rest)
        memcpy(half->rest, bytes, size);
    if (half->rest && xo_io_start(&half->out) == 0)
        return true;
    end(half->splice);
    return false;
}

static bool floods(half_t *half, size_t got)
{
    half_t *halves = half->splice->halves;
    half->came += got;
    return xoi_opening_floods(half->came, halves[half == halves].came);
}

static void on_readable(xo_io_t *io, int revents, void *arg)
{
    half_t *half = arg;
    char *buffer = half->splice->buffer;
    (void)io;
    (void)revents;
    ssize_t got = recv(half->from, buffer, XOI_SPLICE_BYTES, MSG_DONTWAIT);
    if (got < 0 && is_later())
        return;
    if (got <= 0) {
        end_half(half);
        return;
    }
    if (floods(half, (size_t)got)) {
        end(half->splice);
        return;
    }
    ssize_t sent = give(half, buffer, (size_t)got);
    if (sent >= 0 && sent < got)
        keep(half, buffer + sent, (size_t)(got - sent));
}

static void on_writable(xo_io_t *io, int revents, void *arg)
{
    half_t *half = arg;
    (void)io;
    (void)revents;
    ssize_t sent = give(half, half->rest + half->at, half->size - half->at);
    if (sent < 0)
        return;
    half->at += (size_t)sent;
    if (half->at < half->size)
        return;
    free(half->rest);
    half->rest = NULL;
    xo_io_stop(&half->out);
    if (xo_io_start(&half->in) < 0)
        end(half->splice);
}

static int64_t now_ms(void)
{
    return xoi_clock_ns() / XO_MS;
}

/* False: in vain, or out of time. */
static bool wait_for(int fd, short events, int64_t end_ms)
{
    struct pollfd item = {.fd = fd, .events = events};
    int64_t left_ms = end_ms - now_ms();
    return poll(&item, 1, left_ms > 0 ? (int)left_ms : 0) > 0;
}

static bool send_all(int fd, const char *bytes, size_t size, int64_t end_ms)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (!is_later() || !wait_for(fd, POLLOUT, end_ms)))
            return false;
        bytes += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

void xoi_splice_drain(xoi_splice_t *splice, int limit_ms)
{
    half_t *half = &splice->halves[1];
    int64_t end_ms = now_ms() + limit_ms;
    ssize_t got = 0;
    if (half->ended)
        return;
    if (half->rest && !send_all(half->to, half->rest + half->at, half->size - half->at, end_ms))
        return;
    do {
        if (!wait_for(half->from, POLLIN, end_ms))
            return;
        got = recv(half->from, splice->buffer, XOI_SPLICE_BYTES, MSG_DONTWAIT);
    } while ((got < 0 && is_later()) ||
             (got > 0 && send_all(half->to, splice->buffer, (size_t)got, end_ms)));
}

xoi_splice_t *xoi_splice_create(xo_loop_t *loop, int one, int other, char *buffer,
                                xoi_splice_ended_f ended, void *arg)
{
    xoi_splice_t *splice = calloc(1, sizeof *splice);
    if (!splice) {
        close(one);
        close(other);
        errno = ENOMEM;
        return NULL;
    }
    splice->buffer = buffer;
    splice->ended = ended;
    splice->arg = arg;
    xo_timer_init(&splice->limit, loop, on_limit, splice);
    for (int i = 0; i < 2; i++) {
        half_t *half = &splice->halves[i];
        *half =
            (half_t){.splice = splice, .from = i == 0 ? one : other, .to = i == 0 ? other : one};
        xo_io_init(&half->in, loop, half->from, XO_READ, on_readable, half);
        xo_io_init(&half->out, loop, half->to, XO_WRITE, on_writable, half);
        xoi_silence_init(&splice->silence[i], loop);
        xoi_silence_watch(&splice->silence[i], half->to);
    }
    if (xo_io_start(&splice->halves[0].in) == 0 && xo_io_start(&splice->halves[1].in) == 0)
        return splice;
    int saved = errno;
    xoi_splice_destroy(splice);
    errno = saved;
    return NULL;
}
