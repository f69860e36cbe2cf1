/* parting.c - see parting.h. */
#include "libxo/parting.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "libxo/ctx_internal.h"
#include "libxo/lane_zmq.h"
#include "libxo/loop_internal.h"
#include "libxo/thread.h"

/* libzmq does not say when it has closed a connection: it is looked at so often. */
#define LOOK_MS_FIRST 1
#define LOOK_MS_MAX 32

typedef struct xoi_parting {
    int fd;  /* libzmq's */
    int own; /* of the same connection */
    uint64_t inode;
    bool closed; /* by libzmq: there is no more to send */
    uint64_t acked;
    int64_t heard_ms; /* when the peer took something last */
    int64_t limit_ms;
    struct xoi_parting *next;
} parting_t;

static int64_t now_ms(void)
{
    return xoi_clock_ns() / XO_MS;
}

/* ---- one of them ---- */

struct xoi_parting *xoi_parting_hold(int fd)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    parting_t *parting = calloc(1, sizeof *parting);
    if (!parting)
        return NULL;
    parting->fd = fd;
    parting->own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    parting->inode = xoi_fd_inode(parting->own);
    if (getsockopt(parting->own, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
        protocol == IPPROTO_TCP)
        return parting;
    xoi_parting_release(parting);
    return NULL;
}

void xoi_parting_release(struct xoi_parting *parting)
{
    if (parting && parting->own >= 0)
        close(parting->own);
    free(parting);
}

static bool takes(parting_t *parting)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    uint64_t before = parting->acked;
    if (getsockopt(parting->own, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
        parting->acked = info.tcpi_bytes_acked;
    return parting->acked != before;
}

/* Reads what is there. True: the peer has ended it as well. */
static bool has_ended(const parting_t *parting)
{
    char dropped[4096];
    ssize_t got;
    do
        got = recv(parting->own, dropped, sizeof dropped, MSG_DONTWAIT);
    while (got > 0 || (got < 0 && errno == EINTR));
    return got == 0 || errno != EAGAIN;
}

/* False: it is over. */
static bool look(parting_t *parting, int64_t now)
{
    if (takes(parting))
        parting->heard_ms = now;
    if (!parting->closed && xoi_fd_inode(parting->fd) != parting->inode) {
        parting->closed = true;
        shutdown(parting->own, SHUT_WR);
    }
    if (parting->closed && has_ended(parting))
        return false;
    if (now - parting->heard_ms < XOI_LINGER_MS && now < parting->limit_ms)
        return true;
    shutdown(parting->own, SHUT_RDWR); /* libzmq gives it up, too */
    return false;
}

/* ---- the thread ---- */

static void wait_ms(xo_ctx_t *ctx, int64_t ms)
{
    struct timespec until;
    int64_t ns = xoi_clock_ns() + ms * XO_MS;
    until = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    pthread_cond_timedwait(&ctx->partings.changed, &ctx->lock, &until);
}

/* Waits until there is something to look at. False: nor will there be. */
static bool await(xo_ctx_t *ctx, parting_t **partings, int64_t *look_ms)
{
    pthread_mutex_lock(&ctx->lock);
    if (*partings)
        wait_ms(ctx, *look_ms);
    *look_ms = *look_ms < LOOK_MS_MAX ? 2 * *look_ms : LOOK_MS_MAX;
    while (!*partings && !ctx->partings.fresh && !ctx->partings.ending)
        pthread_cond_wait(&ctx->partings.changed, &ctx->lock);
    if (ctx->partings.fresh)
        *look_ms = LOOK_MS_FIRST;
    LL_CONCAT(*partings, ctx->partings.fresh);
    ctx->partings.fresh = NULL;
    pthread_mutex_unlock(&ctx->lock);
    return *partings != NULL;
}

static void *partings_main(void *arg)
{
    xo_ctx_t *ctx = arg;
    parting_t *partings = NULL;
    parting_t *parting;
    parting_t *next;
    int64_t look_ms = LOOK_MS_FIRST;
    while (await(ctx, &partings, &look_ms)) {
        int64_t now = now_ms();
        LL_FOREACH_SAFE(partings, parting, next)
        {
            if (look(parting, now))
                continue;
            LL_DELETE(partings, parting);
            xoi_parting_release(parting);
        }
    }
    return NULL;
}

/* With the lock held. */
static int start(xo_ctx_t *ctx)
{
    pthread_condattr_t attr;
    if (ctx->partings.runs)
        return 0;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ctx->partings.changed, &attr);
    pthread_condattr_destroy(&attr);
    if (xoi_thread_start(&ctx->partings.thread, 0, partings_main, ctx) < 0) {
        pthread_cond_destroy(&ctx->partings.changed);
        return -1;
    }
    ctx->partings.runs = true;
    return 0;
}

/* ---- the context's ---- */

void xoi_part(xo_ctx_t *ctx, struct xoi_parting *parting)
{
    parting->heard_ms = now_ms();
    parting->limit_ms = parting->heard_ms + XOI_PARTING_MS;
    pthread_mutex_lock(&ctx->lock);
    int rc = start(ctx);
    if (rc == 0) {
        LL_PREPEND(ctx->partings.fresh, parting);
        pthread_cond_signal(&ctx->partings.changed);
    }
    pthread_mutex_unlock(&ctx->lock);
    if (rc < 0)
        xoi_parting_release(parting);
}

void xoi_partings_end(xo_ctx_t *ctx)
{
    if (!ctx->partings.runs)
        return;
    pthread_mutex_lock(&ctx->lock);
    ctx->partings.ending = true;
    pthread_cond_signal(&ctx->partings.changed);
    pthread_mutex_unlock(&ctx->lock);
    pthread_join(ctx->partings.thread, NULL);
    pthread_cond_destroy(&ctx->partings.changed);
    ctx->partings.runs = false;
}
