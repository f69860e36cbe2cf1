/* progress.h - what a pool's loop is doing, on a page that its broker reads without asking it.
 *
 * A loop that stands still in a method answers nothing. So whoever runs methods says so on a page
 * of shared memory: how many it has begun and ended, of which actor the one is that runs, what it
 * is called and since when it does. That is written at each message, and has to cost next to
 * nothing.
 *
 * The page is a memfd_create(2), which leaves nothing behind whoever is killed when; who watches
 * opens it through /proc/PID/fd, and can read it when the process has ended, too. It is read, not
 * mapped, and what is read is checked: nobody has to trust who writes.
 */
#ifndef XO_PROGRESS_H
#define XO_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libxo/bytes.h"
#include "libxo/error.h"
#include "libxo/pack.h"
#include "libxo/tsan.h"

#define XOI_PROGRESS_UID_BYTES 256
#define XOI_PROGRESS_METHOD_BYTES 128 /* longer names are cut */

/* The layout is fixed: processes of different versions may share a node. `count` grows with
 * whatever the loop gets done; what it is modulo 4 tells whether the rest holds. */
enum {
    XOI_PROGRESS_IDLE = 0,
    XOI_PROGRESS_WRITING = 1,
    XOI_PROGRESS_INSIDE = 2,
    XOI_PROGRESS_ASLEEP = 3 /* the loop waits for something to happen */
};

/* A loop that is asleep is fine as long as its process is. It shows by a heartbeat now and then
 * that it would wake up, once in so many, in case that something stands still which nobody sees. */
#define XO_REST_HEARTBEATS 30

/* Of a pool that is gone, since its process is about to exit: `since_ns` is with which status. */
#define XOI_PROGRESS_ENDED UINT64_MAX

typedef struct xoi_progress_page {
    char magic[8]; /* "xoprog3" */
    _Atomic uint64_t count;
    int64_t since_ns;       /* CLOCK_MONOTONIC */
    _Atomic uint64_t boxed; /* tells in mailboxes, but for those that their senders count as lost */
    uint32_t uid_size, method_size;
    char uid[XOI_PROGRESS_UID_BYTES];
    char method[XOI_PROGRESS_METHOD_BYTES];
} xoi_progress_page_t;

/* ---- who writes it ---- */

typedef struct xoi_progress {
    xoi_progress_page_t *page;
    const void *who;  /* whose uid is on the page */
    const void *what; /* whose name is; NULL: what is not known by that */
    int fd;           /* -1: nobody can look; `page` is memory of our own then */
} xoi_progress_t;

/* -1: ENOMEM. Without descriptors or shared memory it only has no fd. */
int xoi_progress_open(xoi_progress_t *progress);
void xoi_progress_close(xoi_progress_t *progress); /* also one that is all zero */

/* `who` is about to run `method`, which is the name of `what` (NULL: of nothing that goes on being
 * called so). Only `who` and `what` are compared with those before. */
static inline __attribute__((always_inline)) void
xoi_progress_enter(xoi_progress_t *progress, const void *who, xo_slice_t uid, const void *what,
                   xo_slice_t method, int64_t now_ns)
{
    xoi_progress_page_t *page = progress->page;
    uint64_t count = (atomic_load_explicit(&page->count, memory_order_relaxed) | 3) + 2;
    atomic_store_explicit(&page->count, count, memory_order_relaxed);
    /* Nothing below may become visible before the count has said that it changes. */
    XOI_RELEASE_FENCE();
    if (progress->who != who) {
        progress->who = who;
        page->uid_size = (uint32_t)(uid.size < sizeof page->uid ? uid.size : sizeof page->uid);
        xoi_copy(page->uid, uid.data, page->uid_size);
    }
    if (progress->what != what || !what) {
        progress->what = what;
        page->method_size =
            (uint32_t)(method.size < sizeof page->method ? method.size : sizeof page->method);
        xoi_copy(page->method, method.data, page->method_size);
    }
    page->since_ns = now_ns;
    atomic_store_explicit(&page->count, count + 1, memory_order_release);
}

/* The method has returned, or waits; or the loop has got something else done. */
static inline void xoi_progress_leave(xoi_progress_t *progress)
{
    uint64_t count = atomic_load_explicit(&progress->page->count, memory_order_relaxed);
    atomic_store_explicit(&progress->page->count, (count | 3) + 1, memory_order_release);
}

/* The loop is about to wait, and has waited. What runs within a method is the method's. */
static inline void xoi_progress_sleep(xoi_progress_t *progress)
{
    uint64_t count = atomic_load_explicit(&progress->page->count, memory_order_relaxed);
    if ((count & 3) == XOI_PROGRESS_IDLE)
        atomic_store_explicit(&progress->page->count, count | 3, memory_order_release);
}

static inline void xoi_progress_wake(xoi_progress_t *progress)
{
    uint64_t count = atomic_load_explicit(&progress->page->count, memory_order_relaxed);
    if ((count & 3) == XOI_PROGRESS_ASLEEP)
        atomic_store_explicit(&progress->page->count, count + 1, memory_order_release);
}

/* The last that is written. */
static inline void xoi_progress_end(xoi_progress_t *progress, int status)
{
    progress->page->since_ns = status;
    atomic_store_explicit(&progress->page->count, XOI_PROGRESS_ENDED, memory_order_release);
}

/* So many tells more wait, or fewer. */
static inline void xoi_progress_box(_Atomic uint64_t *boxed, int64_t more)
{
    uint64_t count = atomic_load_explicit(boxed, memory_order_relaxed);
    atomic_store_explicit(boxed, count + (uint64_t)more, memory_order_relaxed);
}

/* `who` is gone: its address may become another's. */
static inline void xoi_progress_forget(xoi_progress_t *progress, const void *who)
{
    if (progress->who == who)
        progress->who = NULL;
}

/* ---- who reads it ---- */

typedef struct xo_progress_seen {
    uint64_t count;
    uint64_t boxed;   /* as it was written, too, and of now, whatever it is in */
    int exits;        /* the status with which its process is about to exit; -1: it is not */
    bool inside;      /* in a method; else the rest is empty */
    int64_t since_ns; /* as it was written: it may be anything */
    char uid[XOI_PROGRESS_UID_BYTES];
    size_t uid_size;
    char method[XOI_PROGRESS_METHOD_BYTES];
    size_t method_size;
} xo_progress_seen_t;

/* Opens the page that process `pid` has at its descriptor `fd`. -1: EACCES, ENOENT, or EBADMSG if
 * that is none. */
int xo_progress_watch(pid_t pid, int fd, xo_error_t *err);
/* Is its loop still in the sleep of this count? */
bool xo_progress_sleeps_on(int page_fd, uint64_t count);
/* -1: the page makes no sense. */
int xo_progress_look(int page_fd, xo_progress_seen_t *seen);

#endif
