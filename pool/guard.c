#include "pool/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libxo/thread.h"

/* What an owner leaves is to be gone within 2 s of its end (contract 15). */
#define GRACE_MS 1500
#define STACK_BYTES ((size_t)64 << 10)

/* Whether one of the first `count` became readable in time. */
static bool wait_for(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int ready;
    do
        ready = poll(fds, count, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

static void end_process(void)
{
    static const char words[] = "xo: the owner has ended and this pool stands still: killed\n";
    ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
    (void)ignored;
    kill(getpgrp() == getpid() ? 0 : getpid(), SIGKILL);
}

static void *guard_main(void *arg)
{
    const xoi_guard_t *guard = arg;
    struct pollfd fds[] = {{.fd = guard->stop_fd, .events = POLLIN},
                           {.fd = guard->owner_fd, .events = POLLIN}};
    if (wait_for(fds, 2, -1) && fds[0].revents == 0 && !wait_for(fds, 1, GRACE_MS))
        end_process();
    return NULL;
}

int xoi_guard_start(xoi_guard_t *guard, int owner_fd, xo_error_t *err)
{
    guard->owner_fd = owner_fd;
    guard->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (guard->stop_fd < 0)
        return xo_error_set(err, errno, "an eventfd: %s", strerror(errno));
    if (xoi_thread_start(&guard->thread, STACK_BYTES, guard_main, guard) < 0) {
        xo_error_set(err, errno, "the thread that watches the owner: %s", strerror(errno));
        close(guard->stop_fd);
        return -1;
    }
    guard->is_started = true;
    return 0;
}

void xoi_guard_stop(xoi_guard_t *guard)
{
    if (!guard->is_started)
        return;
    uint64_t one = 1;
    ssize_t written = write(guard->stop_fd, &one, sizeof one);
    (void)written;
    pthread_join(guard->thread, NULL);
    close(guard->stop_fd);
    guard->is_started = false;
}
