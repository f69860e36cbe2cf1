/* stop.c - how a pool comes to its end: asked by the broker, left by its owner, or stopped in
 * order, with every actor's pre_destroy.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/pool_impl.h"

/* What an owner leaves is to be gone within 2 s of its end. */
#define OWNER_CHECK_NS (500 * XO_MS)

/* ---- orderly stop ---- */

static void call_stopped(xo_pool_t *pool)
{
    void (*stopped)(xo_pool_t *, void *) = pool->stopped;
    xo_timer_stop(&pool->stop_timer);
    xo_defer_stop(&pool->stop_check);
    pool->stopped = NULL;
    if (stopped)
        stopped(pool, pool->stopped_arg);
}

static void check_stopped(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_pool_t *pool = arg;
    if (!pool->actors && !pool->gone)
        call_stopped(pool);
}

static void stop_late(xo_timer_t *timer, void *arg)
{
    (void)timer;
    call_stopped(arg);
}

/* An actor is gone. */
void xoi_stop_progress(xo_pool_t *pool)
{
    if (pool->stopping && !pool->closing)
        xo_defer_start(&pool->stop_check);
}

int xoi_post_destroy(xo_actor_t *actor, const char *why)
{
    xo_header_t header = {
        .kind = XO_DESTROY, .target_uid = xo_actor_uid(actor), .method = xo_slice_str(why)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    xo_request_t *request = msg ? xoi_request_create(actor->pool, NULL, &msg) : NULL;
    xo_msg_destroy(&msg);
    if (request)
        xoi_mailbox_put(actor, request);
    return request ? 0 : -1;
}

void xo_pool_stop(xo_pool_t *pool, uint32_t timeout_ms, void (*done)(xo_pool_t *pool, void *arg),
                  void *arg)
{
    xo_actor_t *actor;
    xo_actor_t *next;
    pool->stopped = done;
    pool->stopped_arg = arg;
    xo_timer_start(&pool->stop_timer, timeout_ms * XO_MS);
    if (!pool->stopping)
        DL_FOREACH_SAFE2(pool->actors, actor, next, newer)
    xoi_post_destroy(actor, "");
    pool->stopping = true;
    xoi_announce_stop(pool);
    xoi_recovered(pool);
    xoi_no_more_tries(pool);
    xo_defer_start(&pool->stop_check);
}

/* ---- who else ends it ---- */

static void ask_host(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_pool_t *pool = arg;
    if (pool->ops->stop)
        pool->ops->stop(pool->host);
}

/* Asks the host to end, from the deferred pass: it may destroy the pool at once. */
void xoi_stop_wanted(xo_pool_t *pool)
{
    xo_defer_start(&pool->stop_wanted);
}

static void owner_gone(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    xo_io_stop(io);
    xoi_stop_wanted(arg);
}

/* A process that has ended and was not waited for yet still has its pid: proc(5) tells its state,
 * after the name in parentheses. */
static bool has_ended(pid_t pid)
{
    char text[512] = "";
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return kill(pid, 0) < 0 && errno == ESRCH;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *state = strrchr(text, ')');
    return state && (!strncmp(state, ") Z", 3) || !strncmp(state, ") X", 3));
}

static void owner_checked(xo_timer_t *timer, void *arg)
{
    xo_pool_t *pool = arg;
    if (has_ended(pool->owner))
        xoi_stop_wanted(pool);
    else
        xo_timer_start(timer, OWNER_CHECK_NS);
}

/* pidfd_open(2): unlike a pid, it cannot come to mean another process. Where there is none (Linux
 * before 5.3, sandboxes), the pid is asked for now and then. */
static int watch_owner(xo_pool_t *pool, pid_t owner, xo_error_t *err)
{
    pool->owner = owner;
    pool->owner_fd = (int)syscall(SYS_pidfd_open, owner, 0);
    if (pool->owner_fd < 0 && (errno == ENOSYS || errno == EPERM || errno == ESRCH)) {
        owner_checked(&pool->owner_timer, pool);
        return 0;
    }
    if (pool->owner_fd < 0)
        return xo_error_set(err, errno, "cannot watch the owner, process %d: %s", (int)owner,
                            strerror(errno));
    xo_io_init(&pool->owner_io, pool->loop, pool->owner_fd, XO_READ, owner_gone, pool);
    if (xo_io_start(&pool->owner_io) < 0)
        return xo_error_set(err, errno, "cannot watch the owner: %s", strerror(errno));
    return xoi_guard_start(&pool->guard, pool->owner_fd, err);
}

int xoi_stop_init(xo_pool_t *pool, pid_t owner, xo_error_t *err)
{
    pool->owner_fd = -1;
    xo_timer_init(&pool->stop_timer, pool->loop, stop_late, pool);
    xo_timer_init(&pool->owner_timer, pool->loop, owner_checked, pool);
    xo_defer_init(&pool->stop_check, pool->loop, check_stopped, pool);
    xo_defer_init(&pool->stop_wanted, pool->loop, ask_host, pool);
    return owner > 0 ? watch_owner(pool, owner, err) : 0;
}

void xoi_stop_end(xo_pool_t *pool)
{
    xo_timer_stop(&pool->stop_timer);
    xo_timer_stop(&pool->owner_timer);
    xo_defer_stop(&pool->stop_check);
    xo_defer_stop(&pool->stop_wanted);
    xoi_guard_stop(&pool->guard);
    if (pool->owner_fd < 0)
        return;
    xo_io_stop(&pool->owner_io);
    close(pool->owner_fd);
}
