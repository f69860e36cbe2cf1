/* takeover.c - the processes that the node's last broker had started.
 */
#include <stdio.h>

#include "broker/runs.h"
#include "registry/proc.h"

#define GUEST_HEARTBEATS 10 /* within which a pool finds its node's next broker */

static void go_on(xo_member_t *member)
{
    member->pid = xo_process_pid(member->run->process);
    if (member->state == XO_POOL_STARTING) {
        xo_member_limit_start(member);
        return;
    }
    /* Without a limit for its link: it may be busy. What it is busy with its page tells. */
    xo_member_set_state(member, XO_POOL_SUSPECT);
    member->moved_ns = xo_loop_now(member->supervisor->loop);
    xo_member_watch(member);
    xo_supervisor_tell(member->supervisor, member, XO_FACT_STATE, "its broker was started again");
}

/* What it had started and that has left its group nobody has looked for yet. */
static void has_ended(xo_run_t *run, pid_t pid)
{
    char how[64], line[XO_ERROR_TEXT_BYTES], reason[XO_ERROR_TEXT_BYTES + 128];
    int status = xo_proc_status(pid, run->left_started);
    xo_run_sweep(run);
    run->dead_pid = pid;
    xo_process_sentence(status, how, sizeof(how));
    xo_run_last_words(run, line);
    snprintf(reason, sizeof(reason), "%s while the node had no broker%s%s", how,
             line[0] ? ": " : "", line);
    xo_run_ended(run, status == 0 ? XO_END_NORMAL : XO_END_FAILED, reason);
}

static void take_over(xo_run_t *run)
{
    xo_supervisor_t *supervisor = run->member->supervisor;
    pid_t pid = run->left_pid;
    run->left_pid = 0;
    if (run->member->state == XO_POOL_FAILED)
        return;
    if (pid > 0)
        run->process =
            xo_process_adopt(supervisor->loop, pid, run->left_started, xo_run_on_ended, run, NULL);
    supervisor->processes += run->process != NULL;
    if (run->process == NULL && pid > 0)
        has_ended(run, pid);
    else if (run->process == NULL)
        xo_run_launch(run);
    else if (run->member->state == XO_POOL_STOPPING)
        xo_supervisor_stop_pool(supervisor, run->member, XO_STOP_MS, NULL, NULL);
    else
        for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m))
            go_on(m);
}

void xo_supervisor_find(xo_supervisor_t *supervisor)
{
    xo_runs_load(supervisor);
}

xo_member_t *xo_supervisor_expect(xo_supervisor_t *supervisor, uint64_t id, xo_slice_t address)
{
    int index = xo_pools_free_index(supervisor->pools);
    xo_member_t *member = xo_supervisor_add(supervisor, id);
    if (member == NULL)
        return NULL;
    member->index = index;
    member->state = XO_POOL_SUSPECT;
    snprintf(member->address, sizeof(member->address), "%.*s", (int)address.size,
             address.size > 0 ? address.data : "");
    return member;
}

void xo_supervisor_take_over(xo_supervisor_t *supervisor)
{
    for (xo_member_t *m = xo_pools_first(supervisor->pools), *next; m != NULL; m = next) {
        next = xo_pools_next(m);
        while (next != NULL && !xo_member_leads(next)) /* they may go with it */
            next = xo_pools_next(next);
        if (xo_member_leads(m))
            take_over(m->run);
        else if (m->run == NULL && m->link == NULL)
            xo_timer_start(&m->timer, GUEST_HEARTBEATS * supervisor->options.heartbeat_ms * XO_MS);
    }
}
