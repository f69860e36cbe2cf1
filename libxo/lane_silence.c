/* lane_silence.c - has the machine behind a tcp connection fallen silent? */
#include "libxo/lane_silence.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* How far apart the kernel may ask: it doubles the time for who answers that it has no room, so
 * that after minutes of that it would take minutes to notice that nobody answers any more. */
#define ASK_MS 1000
/* One answer can be lost, or be late because this machine stood still itself. */
#define ASKED_MIN 2
#define LOOK_AGAIN_MS 250

static uint32_t silent_ms(const struct tcp_info *info)
{
    return info->tcpi_last_ack_recv < info->tcpi_last_data_recv ? info->tcpi_last_ack_recv
                                                                : info->tcpi_last_data_recv;
}

/* Both counts begin anew with each answer. */
bool xoi_is_silent(const struct tcp_info *info)
{
    return silent_ms(info) >= XOI_SILENCE_MS &&
           info->tcpi_probes + info->tcpi_retransmits >= ASKED_MIN;
}

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0 ? 0 : cookie;
}

/* -1: it is not the socket of this cookie. */
static int read_info(int fd, uint64_t cookie, struct tcp_info *info)
{
    socklen_t size = sizeof *info;

    *info = (struct tcp_info){0};
    if (cookie_of(fd) != cookie)
        return -1;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size);
}

/* Resets it, as the kernel does at a timeout, so that libzmq sees its end. By a descriptor of our
 * own, which cannot become another's meanwhile. */
static void break_off(const xoi_silence_t *silence)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int fd = fcntl(silence->fd, F_DUPFD_CLOEXEC, 0);
    struct tcp_info info;

    if (fd < 0)
        return; /* at the next look */
    if (read_info(fd, silence->cookie, &info) == 0 && xoi_is_silent(&info))
        connect(fd, &nobody, sizeof nobody);
    close(fd);
}

static void look_in(xoi_silence_t *silence, int64_t ms)
{
    xo_timer_start(&silence->look, (ms < LOOK_AGAIN_MS ? LOOK_AGAIN_MS : ms) * XO_MS);
}

static void on_look(xo_timer_t *timer, void *arg)
{
    xoi_silence_t *silence = arg;
    struct tcp_info info;
    bool quiet;

    (void)timer;
    if (read_info(silence->fd, silence->cookie, &info) < 0) {
        silence->fd = -1; /* it has ended, as the lane is about to be told */
        return;
    }
    if (xoi_is_silent(&info))
        break_off(silence);
    quiet = !silence->sent && info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0;
    silence->sent = false;
    if (!quiet)
        look_in(silence, XOI_SILENCE_MS - (int64_t)silent_ms(&info));
}

void xoi_silence_init(xoi_silence_t *silence, xo_loop_t *loop)
{
    *silence = (xoi_silence_t){.fd = -1};
    xo_timer_init(&silence->look, loop, on_look, silence);
}

void xoi_silence_watch(xoi_silence_t *silence, int fd)
{
    const int ask_ms = ASK_MS;
    uint64_t cookie = cookie_of(fd);
    struct tcp_info info;

    if (cookie == 0 || read_info(fd, cookie, &info) < 0)
        return;
    silence->fd = fd;
    silence->cookie = cookie;
    setsockopt(fd, IPPROTO_TCP, XOI_TCP_RTO_MAX_MS, &ask_ms, sizeof ask_ms);
    xoi_silence_sent(silence); /* what waited for the connection */
}

void xoi_silence_sent(xoi_silence_t *silence)
{
    silence->sent = true;
    if (silence->fd >= 0 && !xo_timer_active(&silence->look))
        look_in(silence, XOI_SILENCE_MS);
}

void xoi_silence_stop(xoi_silence_t *silence)
{
    xo_timer_stop(&silence->look);
    silence->fd = -1;
}
