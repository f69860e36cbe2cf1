#include "registry/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two own it: the loop and the thread. Who lets go last frees it. Each closes its own end of the
 * socket: the loop's library may still look at a descriptor that was stopped. */
struct xo_resolve {
    atomic_int owners;        /* acquire-release: whoever frees must see all that the other wrote */
    atomic_bool ready;        /* release, acquire: carries status and address to the loop */
    int loop_end, thread_end; /* a byte wakes the loop */
    unsigned turn;
    int status; /* of getaddrinfo */
    char host[256];
    char address[NI_MAXHOST];
    xo_io_t io;
    xo_resolve_f done;
    void *arg;
};

static void let_go(xo_resolve_t *resolve)
{
    if (atomic_fetch_sub_explicit(&resolve->owners, 1, memory_order_acq_rel) == 1)
        free(resolve);
}

static void leave_loop(xo_resolve_t *resolve)
{
    xo_io_stop(&resolve->io);
    close(resolve->loop_end);
    let_go(resolve);
}

static const struct addrinfo *pick(const struct addrinfo *list, unsigned turn)
{
    unsigned count = 0;
    for (const struct addrinfo *each = list; each; each = each->ai_next)
        count++;
    for (turn %= count; turn; turn--)
        list = list->ai_next;
    return list;
}

static void *look_up(void *arg)
{
    xo_resolve_t *resolve = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    resolve->status = getaddrinfo(resolve->host, NULL, &hints, &list);
    if (resolve->status == 0) {
        const struct addrinfo *one_of = pick(list, resolve->turn);
        resolve->status = getnameinfo(one_of->ai_addr, one_of->ai_addrlen, resolve->address,
                                      sizeof(resolve->address), NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(list);
    }
    atomic_store_explicit(&resolve->ready, true, memory_order_release);
    while (send(resolve->thread_end, "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
    close(resolve->thread_end);
    let_go(resolve);
    return NULL;
}

static void looked_up(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    xo_resolve_t *resolve = arg;
    char why[400];
    if (!atomic_load_explicit(&resolve->ready, memory_order_acquire))
        return;
    xo_io_stop(io);
    int status = resolve->status;
    if (status)
        snprintf(why, sizeof(why), "the name %s does not resolve: %s", resolve->host,
                 gai_strerror(status));
    resolve->done(status ? NULL : resolve->address, status ? why : NULL, resolve->arg);
    leave_loop(resolve);
}

static int start_thread(xo_resolve_t *resolve)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int errnum = pthread_create(&thread, &attributes, look_up, resolve);
    pthread_attr_destroy(&attributes);
    return errnum;
}

xo_resolve_t *xoi_resolve(xo_loop_t *loop, const char *host, unsigned turn, xo_resolve_f done,
                          void *arg)
{
    xo_resolve_t *resolve = calloc(1, sizeof(*resolve));
    int fds[2];
    if (!resolve)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
        free(resolve);
        return NULL;
    }
    resolve->loop_end = fds[0];
    resolve->thread_end = fds[1];
    resolve->turn = turn;
    resolve->done = done;
    resolve->arg = arg;
    snprintf(resolve->host, sizeof(resolve->host), "%s", host);
    xo_io_init(&resolve->io, loop, resolve->loop_end, XO_READ, looked_up, resolve);
    atomic_init(&resolve->owners, 2);
    int errnum = xo_io_start(&resolve->io) < 0 ? errno : start_thread(resolve);
    if (errnum == 0)
        return resolve;
    close(resolve->thread_end);
    atomic_store(&resolve->owners, 1);
    leave_loop(resolve);
    return errno = errnum, NULL;
}

void xoi_resolve_cancel(xo_resolve_t *resolve)
{
    if (resolve)
        leave_loop(resolve);
}
