#include "broker/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/launch.h"
#include "broker/runs.h"
#include "broker/supervisor_impl.h"

#define CGROUP_AGE_S 10 /* long enough for a process to start in it */

static void note_reason(xo_member_t *member, xo_fact_t fact, const char *reason)
{
    bool is_well = member->state == XO_POOL_READY && !member->away;
    bool is_ill = fact == XO_FACT_DOWN || fact == XO_FACT_FAILED || fact == XO_FACT_RESTART ||
                  member->state == XO_POOL_SUSPECT;
    if (is_ill && reason != NULL)
        snprintf(member->reason, sizeof(member->reason), "%s", reason);
    else if (is_well)
        member->reason[0] = 0;
}

void xo_supervisor_tell(xo_supervisor_t *supervisor, xo_member_t *member, xo_fact_t fact,
                        const char *reason)
{
    note_reason(member, fact, reason);
    xo_run_changed(member, fact == XO_FACT_GONE);
    supervisor->events.fact(supervisor, member, fact, reason, supervisor->arg);
}

bool xo_member_leads(const xo_member_t *member)
{
    return member->run != NULL && member->run->member == member;
}

xo_member_t *xo_member_sibling(const xo_member_t *member)
{
    xo_member_t *next = xo_pools_next(member);
    while (next != NULL && next->run != member->run)
        next = xo_pools_next(next);
    return next;
}

/* ---- leaving ---- */

static void destroy_run(xo_run_t *run)
{
    if (run == NULL)
        return;
    xo_process_destroy(run->process);
    xo_gpu_wait_destroy(run->gpu);
    xo_pool_spec_destroy(run->spec);
    free(run);
}

/* Lets go of all that is the supervisor's in it; of a process's first pool, before its siblings. */
static void release(xo_member_t *member)
{
    bool leads = xo_member_leads(member);
    xo_timer_stop(&member->timer);
    xo_member_forget(member, NULL);
    if (leads)
        destroy_run(member->run);
    member->run = NULL;
    if (leads)
        xo_spare_review(member->supervisor);
}

void xo_supervisor_remove(xo_supervisor_t *supervisor, xo_member_t *member, const char *reason)
{
    xo_supervisor_tell(supervisor, member, XO_FACT_GONE, reason);
    release(member);
    xo_pools_remove(supervisor->pools, member);
}

void xo_run_remove_pools(xo_run_t *run, const char *reason)
{
    xo_member_t *first = run->member, *sibling;
    while ((sibling = xo_member_sibling(first)) != NULL)
        xo_supervisor_remove(first->supervisor, sibling, reason);
    xo_supervisor_remove(first->supervisor, first, reason);
}

static void check_stopped(xo_supervisor_t *supervisor)
{
    if (!supervisor->stopping || supervisor->processes > 0)
        return;
    xo_timer_stop(&supervisor->limit);
    if (supervisor->events.stopped == NULL)
        return;
    xo_supervisor_sweep_all(supervisor);
    supervisor->events.stopped(supervisor, supervisor->arg);
    supervisor->events.stopped = NULL;
}

/* A pool that was killed leaves its socket's file behind. */
static void remove_socket(const xo_supervisor_t *supervisor, const xo_member_t *member)
{
    char path[XO_PATH_BYTES + XO_ADDRESS_BYTES];
    struct stat info;
    snprintf(path, sizeof(path), "%s/%s/%s", supervisor->options.run_dir,
             supervisor->options.cluster, member->address);
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        unlink(path);
}

/* The process is gone; whoever has calls under way to it must hear of it at once. */
void xo_supervisor_mark_down(xo_supervisor_t *supervisor, xo_member_t *member, const char *reason)
{
    remove_socket(supervisor, member);
    member->lost = xo_member_lost(member);
    xo_member_unwatch(member);
    xo_member_set_link(member, NULL);
    xo_supervisor_tell(supervisor, member, XO_FACT_DOWN, reason);
    if (member->endpoint != 0) {
        member->last_endpoint = member->endpoint;
        snprintf(member->last_reason, sizeof(member->last_reason), "%s", reason);
    }
    member->endpoint = 0;
    member->pid = 0;
    member->ending = false;
    member->changed = true;
}

/* ---- starting ---- */

/* Nothing of it runs any more: what now? The run may be gone when this returns. */
static void after_end(xo_run_t *run, xo_end_t end, const char *reason)
{
    xo_supervisor_t *supervisor = run->member->supervisor;
    xo_error_t why;
    xo_error_set(&why, ECHILD, "%s", reason);
    if (run->member->state == XO_POOL_STOPPING || supervisor->closed) {
        xo_member_wake(run->member, false, &why);
        xo_member_wake(run->member, true, NULL);
        xo_run_remove_pools(run, reason);
    } else if (!run->keep && !run->was_ready) {
        xo_member_wake(run->member, false, &why);
        xo_run_remove_pools(run, reason);
    } else {
        xo_run_follow_policy(run, end, reason);
    }
}

static xo_end_t kind_of_end(const xo_run_t *run, int status)
{
    if (run->asked_to_die)
        return XO_END_ASKED;
    return status == 0 ? XO_END_NORMAL : XO_END_FAILED;
}

/* What its pools had told, and nobody has read yet. */
static void drain(xo_run_t *run)
{
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m)) {
        xo_link_t *link = m->link ? xo_link_incref(m->link) : NULL;
        if (link != NULL)
            xo_link_drain(link);
        xo_link_decref(link);
    }
}

void xo_run_ended(xo_run_t *run, xo_end_t end, const char *reason)
{
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m)) {
        xo_timer_stop(&m->timer);
        m->end = end;
        xo_supervisor_mark_down(m->supervisor, m, reason);
    }
    after_end(run, end, reason);
}

void xo_run_on_ended(xo_process_t *process, int status, void *arg)
{
    xo_run_t *run = arg;
    xo_supervisor_t *supervisor = run->member->supervisor;
    char reason[XO_ERROR_TEXT_BYTES];
    drain(run);
    status = xo_run_exit_status(run, status);
    xo_end_t end = kind_of_end(run, status);
    xo_run_explain_end(run, status, reason, sizeof(reason));
    run->dead_pid = xo_process_pid(process);
    xo_process_destroy(process);
    run->process = NULL;
    run->cause[0] = 0;
    run->asked_to_die = false;
    supervisor->processes--;
    if (!supervisor->stopping)
        xo_run_sweep(run);
    xo_run_ended(run, end, reason);
    check_stopped(supervisor);
}

void xo_member_limit_start(xo_member_t *member)
{
    int64_t now = xo_loop_now(member->supervisor->loop);
    if (member->starting_ns == 0 || member->starting_ns > now)
        member->starting_ns = now;
    int64_t left = member->starting_ns + member->run->spec->ready_ms * XO_MS - now;
    xo_timer_start(&member->timer, left > 0 ? left : 0);
}

/* Those that it had before must come back as the first does. */
static void begin_start(xo_member_t *member)
{
    xo_run_t *run = member->run;
    member->pid = xo_process_pid(run->process);
    member->started = time(NULL);
    xo_member_set_state(member, XO_POOL_STARTING);
    member->starting_ns = 0;
    xo_member_limit_start(member);
    xo_supervisor_tell(member->supervisor, member, XO_FACT_START, NULL);
}

static int try_launch(xo_run_t *run, xo_error_t *err)
{
    xo_supervisor_t *supervisor = run->member->supervisor;
    if (run->spec->output != NULL)
        run->output_start = xo_file_size(run->spec->output);
    xo_run_save(run); /* it must not run without anybody knowing */
    run->spare_id = 0;
    run->process = xo_launch(run, err);
    if (run->process == NULL)
        return -1;
    supervisor->processes++;
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m))
        begin_start(m);
    xo_spare_prepare(run);
    return 0;
}

void xo_run_launch(xo_run_t *run)
{
    xo_error_t err;
    if (try_launch(run, &err) < 0)
        after_end(run, XO_END_FAILED, err.text);
}

static void kill_because(xo_run_t *run, const char *cause)
{
    snprintf(run->cause, sizeof(run->cause), "%s", cause);
    xo_process_kill_group(run->process);
}

void xo_supervisor_kill(xo_member_t *member, const char *cause)
{
    if (member->run == NULL || member->run->process == NULL)
        return;
    member->run->asked_to_die = true;
    kill_because(member->run, cause);
}

/* The first pool's trouble is the process's own; that of another names it. */
void xo_member_kill_because(xo_member_t *member, const char *trouble)
{
    char cause[XO_ERROR_TEXT_BYTES], who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    xo_member_describe(member, who, sizeof(who));
    snprintf(cause, sizeof(cause), "%s: %s", who, trouble);
    kill_because(member->run, xo_member_leads(member) ? trouble : cause);
}

static void on_stop_timeout(xo_member_t *member)
{
    xo_error_t why;
    if (member->run != NULL) {
        kill_because(member->run, "signal 9 (Killed): it did not stop in time");
        return;
    }
    xo_error_set(&why, ETIMEDOUT,
                 "it did not stop in time; process %d was not started by this node",
                 (int)member->pid);
    xo_member_set_state(member, XO_POOL_READY);
    xo_member_wake(member, true, &why);
}

static void on_timer(xo_timer_t *timer, void *arg)
{
    xo_member_t *member = arg;
    char trouble[64];
    (void)timer;
    switch (member->state) {
    case XO_POOL_STARTING:
        snprintf(trouble, sizeof(trouble), "not ready within %" PRId64 " ms",
                 member->run->spec->ready_ms);
        xo_member_kill_because(member, trouble);
        break;
    case XO_POOL_RESTARTING:
        xo_run_relaunch(member->run);
        break;
    case XO_POOL_SUSPECT:
        if (member->run == NULL)
            xo_supervisor_remove(member->supervisor, member, "it has not linked to a new broker");
        else
            xo_member_kill_because(member, "its link to the broker was lost");
        break;
    case XO_POOL_STOPPING:
        on_stop_timeout(member);
        break;
    default:
        break;
    }
}

xo_member_t *xo_supervisor_add(xo_supervisor_t *supervisor, uint64_t id)
{
    xo_member_t *member = xo_pools_add(supervisor->pools, id);
    if (member == NULL)
        return NULL;
    member->supervisor = supervisor;
    xo_timer_init(&member->timer, supervisor->loop, on_timer, member);
    return member;
}

static xo_run_t *create_run(xo_supervisor_t *supervisor, xo_pool_spec_t *spec, bool keep)
{
    xo_run_t *run = calloc(1, sizeof(*run));
    int index = spec->index >= 0 ? spec->index : xo_pools_free_index(supervisor->pools);
    xo_member_t *member = run ? xo_supervisor_add(supervisor, xo_random_id()) : NULL;
    if (member == NULL) {
        free(run);
        return NULL;
    }
    *run = (xo_run_t){.member = member, .spec = spec, .keep = keep};
    member->run = run;
    member->index = index;
    member->recovers = spec->recover;
    member->policy = &spec->policy;
    memcpy(member->label, spec->label, sizeof(member->label));
    memcpy(member->address, spec->address, sizeof(member->address));
    return run;
}

static int check_start(const xo_supervisor_t *supervisor, const xo_pool_spec_t *spec,
                       xo_error_t *err)
{
    if (supervisor->closed)
        return xo_error_set(err, ESHUTDOWN, "the node is stopping");
    if (spec->index >= 0 && xo_pools_by_index(supervisor->pools, spec->index) != NULL)
        return xo_error_set(err, EEXIST, "the node has a pool with index %d already", spec->index);
    return 0;
}

static void discard(xo_run_t *run)
{
    xo_member_t *member = run->member;
    run->spec = NULL; /* the caller's still */
    release(member);
    xo_pools_remove(member->supervisor->pools, member);
}

int xo_supervisor_start(xo_supervisor_t *supervisor, xo_pool_spec_t **spec, bool keep,
                        xo_supervisor_done_f done, void *arg, xo_error_t *err)
{
    if (check_start(supervisor, *spec, err) < 0)
        return -1;
    xo_run_t *run = create_run(supervisor, *spec, keep);
    if (run == NULL)
        return xo_error_set(err, ENOMEM, "out of memory");
    if (xo_member_await(run->member, false, done, arg) < 0) {
        discard(run);
        return xo_error_set(err, ENOMEM, "out of memory");
    }
    xo_member_check_hang_timeout(run->member);
    if (keep) {
        *spec = NULL;
        xo_run_launch(run);
    } else if (try_launch(run, err) < 0) {
        discard(run);
        return -1;
    }
    *spec = NULL;
    return 0;
}

/* ---- stopping ---- */

static void begin_stop(xo_member_t *member)
{
    for (xo_member_t *m = member; m != NULL; m = m->run ? xo_member_sibling(m) : NULL) {
        xo_timer_stop(&m->timer);
        xo_member_set_state(m, XO_POOL_STOPPING);
        xo_supervisor_tell(m->supervisor, m, XO_FACT_STATE, NULL);
    }
}

void xo_supervisor_stop_pool(xo_supervisor_t *supervisor, xo_member_t *member, int64_t timeout_ms,
                             xo_supervisor_done_f done, void *arg)
{
    xo_run_t *run = member->run;
    xo_error_t why;
    if (run != NULL)
        member = run->member;
    if (xo_member_await(member, true, done, arg) < 0) {
        xo_error_set(&why, ENOMEM, "out of memory");
        done(member, &why, arg);
        return;
    }
    if (run != NULL && run->process == NULL) {
        xo_member_wake(member, true, NULL);
        xo_run_remove_pools(run, "stopped");
        return;
    }
    begin_stop(member);
    if (run != NULL && timeout_ms == 0) { /* a signal first would let it do things */
        kill_because(run, "signal 9 (Killed): as it was asked for");
        return;
    }
    if (run != NULL)
        xo_process_signal(run->process, SIGTERM);
    else
        supervisor->events.ask_to_end(supervisor, member, supervisor->arg);
    xo_timer_start(&member->timer, timeout_ms * XO_MS);
}

static void on_limit(xo_timer_t *timer, void *arg)
{
    xo_supervisor_t *supervisor = arg;
    (void)timer;
    for (xo_member_t *m = xo_pools_first(supervisor->pools); m != NULL; m = xo_pools_next(m)) {
        if (xo_member_leads(m) && m->run->process != NULL)
            kill_because(m->run, "signal 9 (Killed): it did not stop in time");
    }
}

void xo_supervisor_close(xo_supervisor_t *supervisor)
{
    if (supervisor->closed)
        return;
    supervisor->closed = true;
    xo_spare_end(supervisor);
    for (xo_member_t *member = xo_pools_last(supervisor->pools), *previous; member != NULL;
         member = previous) {
        previous = xo_pools_previous(member);
        if (xo_member_leads(member) && member->run->process == NULL)
            xo_supervisor_stop_pool(supervisor, member, 0, NULL, NULL);
    }
}

void xo_supervisor_stop(xo_supervisor_t *supervisor, int64_t limit_ms)
{
    if (supervisor->stopping)
        return;
    supervisor->stopping = true;
    xo_supervisor_close(supervisor);
    xo_timer_stop(&supervisor->tick);
    xo_timer_start(&supervisor->limit, limit_ms * XO_MS);
    for (xo_member_t *member = xo_pools_last(supervisor->pools), *previous; member != NULL;
         member = previous) {
        previous = xo_pools_previous(member);
        if (xo_member_leads(member))
            xo_supervisor_stop_pool(supervisor, member, limit_ms, NULL, NULL);
    }
    check_stopped(supervisor);
}

/* ---- the whole ---- */

xo_supervisor_t *xo_supervisor_create(xo_loop_t *loop, xo_pools_t *pools,
                                      const xo_supervisor_options_t *options,
                                      const xo_supervisor_events_t *events, void *arg,
                                      xo_error_t *err)
{
    xo_supervisor_t *supervisor = calloc(1, sizeof(*supervisor));
    if (supervisor == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    *supervisor = (xo_supervisor_t){
        .loop = loop, .pools = pools, .options = *options, .events = *events, .arg = arg};
    xo_timer_init(&supervisor->tick, loop, xo_supervisor_tick, supervisor);
    xo_timer_init(&supervisor->limit, loop, on_limit, supervisor);
    xo_timer_init(&supervisor->sweep, loop, xo_supervisor_sweep, supervisor);
    xo_spare_init(supervisor);
    xo_timer_start(&supervisor->tick, options->heartbeat_ms * XO_MS);
    xo_oom_killer_init(&supervisor->oom_killer, "/proc", "/sys/fs/cgroup");
    xo_cgroup_init(&supervisor->cgroup, "/proc", CGROUP_AGE_S);
    return supervisor;
}

void xo_supervisor_destroy(xo_supervisor_t *supervisor)
{
    if (supervisor == NULL)
        return;
    xo_timer_stop(&supervisor->tick);
    xo_timer_stop(&supervisor->limit);
    xo_timer_stop(&supervisor->sweep);
    xo_spare_end(supervisor);
    free(supervisor->dead);
    for (xo_member_t *m = xo_pools_last(supervisor->pools); m != NULL; m = xo_pools_previous(m))
        release(m);
    free(supervisor);
}
