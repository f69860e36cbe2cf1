/* loop_drive.c - xo_loop_fd: one descriptor through which another loop drives this one.
 *
 * It is an epoll descriptor that holds what the loop's watchers wait for, a timerfd for the
 * earliest timer, and an eventfd that is readable while deferred work is left. Nobody ever waits on
 * it here: an epoll descriptor polls readable while something in it is ready. The timerfd is set
 * again only when the earliest timer got earlier or it has fired, so starting and stopping timers
 * (every call with a deadline does) costs no system call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "libxo/loop_internal.h"

#define NS_PER_S 1000000000

void xoi_drive_init(xoi_drive_t *drive)
{
    *drive = (xoi_drive_t){.epoll_fd = -1, .timer_fd = -1, .event_fd = -1, .armed_ns = INT64_MAX};
}

void xoi_drive_free(xoi_drive_t *drive)
{
    if (drive->epoll_fd >= 0)
        close(drive->epoll_fd);
    if (drive->timer_fd >= 0)
        close(drive->timer_fd);
    if (drive->event_fd >= 0)
        close(drive->event_fd);
    free(drive->wants);
    xoi_drive_init(drive);
}

static xoi_wants_t *wants_of(xoi_drive_t *drive, int fd)
{
    size_t count = (size_t)fd + 64;
    xoi_wants_t *wants;

    if ((size_t)fd < drive->wants_count)
        return &drive->wants[fd];
    wants = realloc(drive->wants, count * sizeof *wants);
    if (!wants)
        return NULL;
    memset(wants + drive->wants_count, 0, (count - drive->wants_count) * sizeof *wants);
    drive->wants = wants;
    drive->wants_count = count;
    return &wants[fd];
}

static uint32_t mask_of(const xoi_wants_t *wants)
{
    return (wants->readers ? (uint32_t)EPOLLIN : 0) | (wants->writers ? (uint32_t)EPOLLOUT : 0);
}

/* Tells epoll what is wanted of `fd` now, given what was wanted before. */
static int tell_epoll(xoi_drive_t *drive, int fd, uint32_t old, uint32_t new)
{
    struct epoll_event event = {.events = new, .data = {.fd = fd}};
    int op = old == 0 ? EPOLL_CTL_ADD : new == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    return old == new ? 0 : epoll_ctl(drive->epoll_fd, op, fd, &event);
}

int xoi_drive_want(xo_loop_t *loop, int fd, int events)
{
    xoi_drive_t *drive = &loop->drive;
    xoi_wants_t *wants;
    xoi_wants_t old;

    if (drive->epoll_fd < 0)
        return 0;
    wants = wants_of(drive, fd);
    if (!wants)
        return -1;
    old = *wants;
    wants->readers += (events & XO_READ) != 0;
    wants->writers += (events & XO_WRITE) != 0;
    if (tell_epoll(drive, fd, mask_of(&old), mask_of(wants)) < 0) {
        *wants = old;
        return -1;
    }
    return 0;
}

void xoi_drive_unwant(xo_loop_t *loop, int fd, int events)
{
    xoi_drive_t *drive = &loop->drive;
    xoi_wants_t *wants;
    uint32_t old;

    if (drive->epoll_fd < 0)
        return;
    wants = &drive->wants[fd];
    old = mask_of(wants);
    wants->readers -= (events & XO_READ) != 0;
    wants->writers -= (events & XO_WRITE) != 0;
    tell_epoll(drive, fd, old, mask_of(wants));
}

static void sync_deferred(xo_loop_t *loop)
{
    bool pending = loop->deferred.next != &loop->deferred;
    uint64_t count = 1;
    ssize_t n;

    if (pending == loop->drive.signalled)
        return;
    n = pending ? write(loop->drive.event_fd, &count, sizeof count)
                : read(loop->drive.event_fd, &count, sizeof count);
    (void)n; /* cannot block or be cut short: the count is 0 or 1 and this thread's alone */
    loop->drive.signalled = pending;
}

static void sync_timers(xo_loop_t *loop)
{
    int64_t next = loop->frozen ? INT64_MAX : xoi_timers_next(loop);
    int64_t set = next > 0 ? next : 1; /* 0 would turn it off */
    struct itimerspec spec = {0};

    if (next >= loop->drive.armed_ns && loop->drive.armed_ns > loop->now_ns)
        return;
    if (next == loop->drive.armed_ns)
        return;
    if (next != INT64_MAX)
        spec.it_value = (struct timespec){.tv_sec = set / NS_PER_S, .tv_nsec = set % NS_PER_S};
    timerfd_settime(loop->drive.timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    loop->drive.armed_ns = next;
}

void xoi_drive_sync(xo_loop_t *loop)
{
    if (loop->drive.epoll_fd < 0 || loop->depth > 0)
        return;
    sync_deferred(loop);
    sync_timers(loop);
}

static int watch_own(xoi_drive_t *drive, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

    return fd < 0 ? -1 : epoll_ctl(drive->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_drive(xo_loop_t *loop)
{
    xoi_drive_t *drive = &loop->drive;

    drive->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (drive->epoll_fd < 0)
        return -1;
    drive->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    drive->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch_own(drive, drive->timer_fd) < 0 || watch_own(drive, drive->event_fd) < 0)
        return -1;
    for (xoi_io_t *impl = loop->ios; impl; impl = impl->next)
        if (xoi_drive_want(loop, impl->io->fd, impl->io->events) < 0)
            return -1;
    return 0;
}

int xo_loop_fd(xo_loop_t *loop, xo_error_t *err)
{
    if (loop->drive.epoll_fd < 0) {
        if (open_drive(loop) < 0) {
            int saved = errno;
            xoi_drive_free(&loop->drive);
            return xo_error_set(err, saved, "cannot make the loop's descriptor: %s",
                                strerror(saved));
        }
        xoi_drive_sync(loop);
    }
    return loop->drive.epoll_fd;
}
