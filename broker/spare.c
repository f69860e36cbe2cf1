/* spare.c - processes that have started already, for the next pools that need one.
 *
 * They are started when no pool's process has been started for a while: a young node has better to
 * do, and a pool that comes back has the processor for itself. But when one was wanted in vain that
 * is at once, as pools that die tend to do so in a row. Who takes one that is still starting loses
 * nothing against a process of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/launch.h"

#define COMPONENT "supervisor"
#define PREPARE_AFTER_MS 10000
#define FIRST_RESTART 2 /* a generation */

/* ---- for whom ---- */

static bool is_wanted(const xo_pool_spec_t *spec)
{
    return spec->spare && spec->policy.restart != XO_RESTART_TEMPORARY;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool are_same(char *const *a, char *const *b)
{
    for (; *a != NULL && is_same_text(*a, *b); a++)
        b++;
    return is_same_text(*a, *b);
}

/* It is told of ours when it becomes a pool, and reads none before. */
static bool is_ours(const char *entry)
{
    return strncmp(entry, "XO_", 3) == 0;
}

static char *const *skip_ours(char *const *entry)
{
    while (*entry != NULL && is_ours(*entry))
        entry++;
    return entry;
}

static bool is_same_environment(char *const *a, char *const *b)
{
    static char *const nothing[] = {NULL};
    a = skip_ours(a != NULL ? a : nothing);
    b = skip_ours(b != NULL ? b : nothing);
    while (*a != NULL && is_same_text(*a, *b)) {
        a = skip_ours(a + 1);
        b = skip_ours(b + 1);
    }
    return is_same_text(*a, *b);
}

static bool fits(const xo_spare_t *spare, const xo_pool_spec_t *spec)
{
    return spec->spare && are_same(spare->spec->argv, spec->argv) &&
           is_same_text(spare->spec->output, spec->output) &&
           is_same_environment(spare->spec->env, spec->env);
}

static bool fits_any(const xo_spare_t *spare, const xo_pools_t *pools)
{
    const xo_member_t *m = xo_pools_first(pools);
    while (m != NULL &&
           !(xo_member_leads(m) && is_wanted(m->run->spec) && fits(spare, m->run->spec)))
        m = xo_pools_next(m);
    return m != NULL;
}

/* ---- their life ---- */

/* The process is another's now, or was never started. */
static void release(xo_spare_t *spare)
{
    close(spare->input);
    xo_pool_spec_destroy(spare->spec);
}

static void forget(xo_spares_t *spares, size_t i)
{
    release(&spares->list[i]);
    spares->count--;
    memmove(&spares->list[i], &spares->list[i + 1], (spares->count - i) * sizeof(*spares->list));
}

static void discard(xo_spares_t *spares, size_t i)
{
    xo_process_destroy(spares->list[i].process);
    forget(spares, i);
}

/* Not by us. The next ones are started when a pool's process is. */
static void on_ended(xo_process_t *process, int status, void *arg)
{
    xo_supervisor_t *supervisor = arg;
    xo_spares_t *spares = &supervisor->spares;
    char why[64];
    size_t i = 0;
    xo_process_sentence(status, why, sizeof(why));
    xo_log(supervisor->options.log, XO_LOG_INFO, COMPONENT, "spare process %d ended: %s",
           (int)xo_process_pid(process), why);
    while (spares->list[i].process != process)
        i++;
    discard(spares, i);
}

static int launch(xo_supervisor_t *supervisor, const xo_pool_spec_t *spec, xo_spare_t *spare,
                  xo_error_t *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return xo_error_set(err, errno, "socketpair: %s", strerror(errno));
    *spare = (xo_spare_t){.spec = xo_pool_spec_copy(spec), .id = xo_random_id(), .input = ends[1]};
    if (spare->spec == NULL)
        xo_error_set(err, ENOMEM, "out of memory");
    else
        spare->process = xo_launch_spare(supervisor, spec, spare->id, ends[0], on_ended, err);
    close(ends[0]);
    if (spare->process != NULL)
        return 0;
    release(spare);
    return -1;
}

static void fill(xo_supervisor_t *supervisor, const xo_pool_spec_t *spec)
{
    xo_spares_t *spares = &supervisor->spares;
    xo_error_t err;
    while (spares->count < XO_SPARES) {
        if (launch(supervisor, spec, &spares->list[spares->count], &err) < 0) {
            xo_log(supervisor->options.log, XO_LOG_WARN, COMPONENT, "no spare process: %s",
                   err.text);
            return;
        }
        spares->count++;
    }
}

static void on_timer(xo_timer_t *timer, void *arg)
{
    xo_supervisor_t *supervisor = arg;
    xo_spares_t *spares = &supervisor->spares;
    const xo_run_t *run = xo_supervisor_run_of(supervisor, spares->pool_id);
    (void)timer;
    if (run == NULL)
        return;
    for (size_t i = spares->count; i > 0; i--)
        if (!fits(&spares->list[i - 1], run->spec))
            discard(spares, i - 1);
    fill(supervisor, run->spec);
}

void xo_spare_init(xo_supervisor_t *supervisor)
{
    xo_timer_init(&supervisor->spares.timer, supervisor->loop, on_timer, supervisor);
}

void xo_spare_prepare(const xo_run_t *run)
{
    xo_supervisor_t *supervisor = run->member->supervisor;
    xo_spares_t *spares = &supervisor->spares;
    if (!is_wanted(run->spec))
        return;
    spares->pool_id = run->member->id;
    if (run->member->generation >= FIRST_RESTART && run->spare_id == 0 && spares->count == 0)
        fill(supervisor, run->spec);
    else
        xo_timer_start(&spares->timer, PREPARE_AFTER_MS * XO_MS);
}

void xo_spare_review(xo_supervisor_t *supervisor)
{
    xo_spares_t *spares = &supervisor->spares;
    for (size_t i = spares->count; i > 0; i--)
        if (!fits_any(&spares->list[i - 1], supervisor->pools))
            discard(spares, i - 1);
}

void xo_spare_end(xo_supervisor_t *supervisor)
{
    xo_timer_stop(&supervisor->spares.timer);
    while (supervisor->spares.count > 0)
        discard(&supervisor->spares, supervisor->spares.count - 1);
}

/* ---- becoming a pool ---- */

static size_t size_of_ours(const char *const *env)
{
    size_t size = 0;
    for (; *env != NULL; env++)
        size += is_ours(*env) ? strlen(*env) + 1 : 0;
    return size;
}

/* All at once, for which the socket's buffer has room, or not at all. */
static int tell(int fd, const char *const *env)
{
    size_t size = size_of_ours(env);
    char *bytes = malloc(size), *at = bytes;
    if (bytes == NULL)
        return -1;
    for (; *env != NULL; env++)
        at = is_ours(*env) ? stpcpy(at, *env) + 1 : at;
    ssize_t sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    free(bytes);
    return sent == (ssize_t)size ? 0 : -1;
}

xo_process_t *xo_spare_take(xo_run_t *run, const char *const *env)
{
    xo_spares_t *spares = &run->member->supervisor->spares;
    size_t i = 0;
    while (i < spares->count && !fits(&spares->list[i], run->spec))
        i++;
    if (i == spares->count)
        return NULL;
    if (tell(spares->list[i].input, env) < 0) {
        discard(spares, i);
        return NULL;
    }
    xo_process_t *process = spares->list[i].process;
    xo_process_hand_over(process, xo_run_on_ended, run);
    run->spare_id = spares->list[i].id;
    forget(spares, i);
    return process;
}
