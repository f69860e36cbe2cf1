#include "broker/gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/process.h"

#define VARIABLE "CUDA_VISIBLE_DEVICES"
#define AGAIN_MS 50 /* between the end of one query and the next */
#define LIST_BYTES (64 << 10)

struct xo_gpu_wait {
    xo_loop_t *loop;
    pid_t pid;
    int64_t until_ns;
    xo_gpu_events_t events;
    void *arg;
    bool was_busy;
    int list; /* a file in memory, which nvidia-smi writes to */
    xo_process_t *query;
    xo_timer_t timer;
};

bool xo_gpu_is_wanted(char *const *env)
{
    const char *value = getenv(VARIABLE);
    for (; env != NULL && *env != NULL; env++)
        if (strncmp(*env, VARIABLE "=", sizeof(VARIABLE)) == 0)
            value = *env + sizeof(VARIABLE);
    /* CUDA C++ Programming Guide, "CUDA Environment Variables": what is after the first invalid
     * one is invisible. */
    return value != NULL && value[0] != 0 && value[0] != '-' && strcmp(value, "NoDevFiles") != 0;
}

/* One pid a line. */
static bool is_listed(const xo_gpu_wait_t *wait)
{
    static char text[LIST_BYTES];
    ssize_t size = pread(wait->list, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = 0;
    for (char *line = text, *end; *line != 0; line = end + strspn(end, "\n")) {
        if (strtol(line, &end, 10) == wait->pid && end > line)
            return true;
        end += strcspn(end, "\n");
    }
    return false;
}

static int64_t left_ns(const xo_gpu_wait_t *wait)
{
    int64_t left = wait->until_ns - xo_loop_now(wait->loop);
    return left > 0 ? left : 0;
}

static void on_listed(xo_process_t *process, int status, void *arg)
{
    xo_gpu_wait_t *wait = arg;
    xo_process_destroy(process);
    wait->query = NULL;
    xo_timer_stop(&wait->timer);
    bool busy = status == 0 && is_listed(wait);
    if (!busy) {
        wait->events.done(XO_GPU_FREE, wait->arg);
        return;
    }
    if (!wait->was_busy)
        wait->events.busy(wait->arg);
    wait->was_busy = true;
    int64_t left = left_ns(wait), again = AGAIN_MS * XO_MS;
    xo_timer_start(&wait->timer, left < again ? left : again);
}

static int ask(xo_gpu_wait_t *wait, xo_error_t *err)
{
    static char *const argv[] = {"nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader",
                                 NULL};
    static const char *const env[] = {NULL};
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), wait->list);
    if (ftruncate(wait->list, 0) < 0)
        return xo_error_set(err, errno, "a file in memory: %s", strerror(errno));
    const xo_process_start_t start = {argv, env, path, -1, -1};
    wait->query = xo_process_spawn(wait->loop, &start, on_listed, wait, err);
    if (wait->query == NULL)
        return -1;
    xo_timer_start(&wait->timer, left_ns(wait));
    return 0;
}

static void on_hung_ended(xo_process_t *process, int status, void *arg)
{
    (void)status, (void)arg;
    xo_process_destroy(process);
}

/* Nobody waits for its end: one that is in the driver may take its time to die. */
static void end_hung(xo_gpu_wait_t *wait)
{
    xo_process_kill_group(wait->query);
    xo_process_hand_over(wait->query, on_hung_ended, NULL);
    wait->query = NULL;
}

/* The limit, or the next question. */
static void on_timer(xo_timer_t *timer, void *arg)
{
    xo_gpu_wait_t *wait = arg;
    xo_error_t err;
    (void)timer;
    bool late = left_ns(wait) == 0;
    if (wait->query != NULL)
        end_hung(wait);
    if (late)
        wait->events.done(wait->was_busy ? XO_GPU_BUSY : XO_GPU_SILENT, wait->arg);
    else if (ask(wait, &err) < 0)
        wait->events.done(XO_GPU_FREE, wait->arg);
}

xo_gpu_wait_t *xo_gpu_wait(xo_loop_t *loop, pid_t pid, int64_t limit_ms,
                           const xo_gpu_events_t *events, void *arg, xo_error_t *err)
{
    xo_gpu_wait_t *wait = calloc(1, sizeof(*wait));
    if (wait == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    *wait = (xo_gpu_wait_t){.loop = loop, .pid = pid, .events = *events, .arg = arg};
    wait->until_ns = xo_loop_now(loop) + limit_ms * XO_MS;
    xo_timer_init(&wait->timer, loop, on_timer, wait);
    wait->list = memfd_create("xo-gpus", MFD_CLOEXEC);
    if (wait->list < 0)
        xo_error_set(err, errno, "a file in memory: %s", strerror(errno));
    if (wait->list >= 0 && ask(wait, err) == 0)
        return wait;
    xo_gpu_wait_destroy(wait);
    return NULL;
}

void xo_gpu_wait_destroy(xo_gpu_wait_t *wait)
{
    if (wait == NULL)
        return;
    int saved = errno;
    xo_timer_stop(&wait->timer);
    xo_process_destroy(wait->query);
    if (wait->list >= 0)
        close(wait->list);
    free(wait);
    errno = saved;
}
