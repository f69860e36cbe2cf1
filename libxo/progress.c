/* progress.c - see progress.h. */
#include "libxo/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxo/segment.h"

static const char magic[8] = "xoprog3";

_Static_assert(sizeof(xoi_progress_page_t) ==
                   40 + XOI_PROGRESS_UID_BYTES + XOI_PROGRESS_METHOD_BYTES,
               "the layout is fixed");

/* ---- who writes it ---- */

int xoi_progress_open(xoi_progress_t *progress)
{
    xoi_segment_t segment;

    *progress = (xoi_progress_t){.fd = -1};
    if (xoi_segment_create(&segment, sizeof *progress->page, &progress->fd, NULL) < 0)
        segment.memory = calloc(1, sizeof *progress->page);
    progress->page = segment.memory;
    if (!progress->page)
        return -1;
    memcpy(progress->page->magic, magic, sizeof magic);
    return 0;
}

void xoi_progress_close(xoi_progress_t *progress)
{
    if (!progress->page)
        return;
    if (progress->fd < 0) {
        free(progress->page);
    } else {
        munmap(progress->page, sizeof *progress->page);
        close(progress->fd);
    }
    progress->page = NULL;
}

/* ---- who reads it ---- */

/* A memory file of the right size, since reading anything else could wait, or do something; and of
 * a version that we understand: of others we need all heartbeats. */
static bool is_page(int fd)
{
    struct stat info;
    char begins[sizeof magic];

    return fcntl(fd, F_GET_SEALS) >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
           info.st_size == sizeof(xoi_progress_page_t) &&
           pread(fd, begins, sizeof begins, 0) == sizeof begins &&
           memcmp(begins, magic, sizeof magic) == 0;
}

int xo_progress_watch(pid_t pid, int fd, xo_error_t *err)
{
    char path[64];
    struct stat info;

    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    if (stat(path, &info) < 0)
        return xo_error_set(err, errno, "%s: %s", path, strerror(errno));
    /* Not opened unless it is a file: to open a device or a pipe does something already. */
    int opened =
        S_ISREG(info.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (opened >= 0 && is_page(opened))
        return opened;
    int saved = opened >= 0 || !S_ISREG(info.st_mode) ? EBADMSG : errno;
    if (opened >= 0)
        close(opened);
    return xo_error_set(err, saved, "%s: %s", path,
                        saved == EBADMSG ? "no progress page" : strerror(saved));
}

#define TRIES 16
#define EXIT_STATUS_BITS 0xff /* exit(3) */

/* It is written while we read. What was the same twice was so all the time between, since the count
 * never comes back. */
static int read_page(int fd, xoi_progress_page_t *page)
{
    xoi_progress_page_t again;

    for (int i = 0; i < TRIES; i++) {
        if (pread(fd, page, sizeof *page, 0) != sizeof *page ||
            pread(fd, &again, sizeof again, 0) != sizeof again)
            return -1;
        if (memcmp(page, &again, sizeof again) == 0)
            return 0;
    }
    page->count &= ~(uint64_t)3; /* it moves on faster than we read */
    return 0;
}

bool xo_progress_sleeps_on(int page_fd, uint64_t count)
{
    uint64_t now;

    return (count & 3) == XOI_PROGRESS_ASLEEP &&
           pread(page_fd, &now, sizeof now, offsetof(xoi_progress_page_t, count)) == sizeof now &&
           now == count;
}

int xo_progress_look(int page_fd, xo_progress_seen_t *seen)
{
    xoi_progress_page_t page;

    *seen = (xo_progress_seen_t){.exits = -1};
    if (read_page(page_fd, &page) < 0 || memcmp(page.magic, magic, sizeof magic) != 0 ||
        page.uid_size > sizeof page.uid || page.method_size > sizeof page.method)
        return -1;
    seen->count = page.count;
    seen->boxed = page.boxed;
    if (page.count == XOI_PROGRESS_ENDED)
        seen->exits = (int)(page.since_ns & EXIT_STATUS_BITS);
    seen->inside = (page.count & 3) == XOI_PROGRESS_INSIDE;
    if (!seen->inside)
        return 0;
    seen->since_ns = page.since_ns;
    seen->uid_size = page.uid_size;
    seen->method_size = page.method_size;
    memcpy(seen->uid, page.uid, page.uid_size);
    memcpy(seen->method, page.method, page.method_size);
    return 0;
}
