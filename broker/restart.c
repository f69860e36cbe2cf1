#include <inttypes.h>
#include <stdio.h>

#include "broker/supervisor_impl.h"

static void restart_later(xo_run_t *run, int64_t delay_ns, const char *reason)
{
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m)) {
        xo_member_set_state(m, XO_POOL_RESTARTING);
        m->restarts++;
        m->generation++;
        m->away = true;
        xo_supervisor_tell(m->supervisor, m, XO_FACT_RESTART, reason);
    }
    xo_timer_start(&run->member->timer, delay_ns);
}

static void give_up(xo_run_t *run, const char *reason)
{
    char text[XO_ERROR_TEXT_BYTES];
    xo_policy_explain(&run->spec->policy, reason, text, sizeof(text));
    for (xo_member_t *m = run->member; m != NULL; m = xo_member_sibling(m)) {
        xo_member_set_state(m, XO_POOL_FAILED);
        xo_supervisor_tell(m->supervisor, m, XO_FACT_FAILED, text);
    }
}

void xo_run_follow_policy(xo_run_t *run, xo_end_t end, const char *reason)
{
    xo_loop_update(run->member->supervisor->loop);
    int64_t now_ns = xo_loop_now(run->member->supervisor->loop);
    if (run->member->starting_ns != 0)
        xo_policy_leave_out(&run->history, now_ns - run->member->starting_ns);
    run->member->starting_ns = 0;
    xo_decision_t decision =
        xo_policy_ended(&run->spec->policy, &run->history, end, now_ns, (uint32_t)xo_random_id());
    if (decision.action == XO_DECIDE_RESTART)
        restart_later(run, decision.delay_ns, reason);
    else if (decision.action == XO_DECIDE_FAIL)
        give_up(run, reason);
    else
        xo_run_remove_pools(run, reason);
}

/* ---- GPUs ---- */

static void on_gpu_busy(void *arg)
{
    const xo_run_t *run = arg;
    char text[128];
    snprintf(text, sizeof(text), "process %d, which ended, has memory of a GPU still",
             (int)run->dead_pid);
    xo_supervisor_tell(run->member->supervisor, run->member, XO_FACT_GPU_BUSY, text);
}

static void tell_late(const xo_run_t *run, xo_gpu_answer_t answer)
{
    static const char silent[] = "nvidia-smi has not said within %" PRId64
                                 " ms whether process %d has memory of a GPU, started all the same";
    static const char busy[] =
        "process %d has memory of a GPU after %" PRId64 " ms, started all the same";
    int64_t limit_ms = run->member->supervisor->options.gpu_free_ms;
    char text[160];
    if (answer == XO_GPU_SILENT)
        snprintf(text, sizeof(text), silent, limit_ms, (int)run->dead_pid);
    else
        snprintf(text, sizeof(text), busy, (int)run->dead_pid, limit_ms);
    xo_supervisor_tell(run->member->supervisor, run->member, XO_FACT_GPU_BUSY, text);
}

static void on_gpu_done(xo_gpu_answer_t answer, void *arg)
{
    xo_run_t *run = arg;
    xo_gpu_wait_destroy(run->gpu);
    run->gpu = NULL;
    if (answer != XO_GPU_FREE)
        tell_late(run, answer);
    xo_run_launch(run);
}

void xo_run_relaunch(xo_run_t *run)
{
    static const xo_gpu_events_t events = {on_gpu_busy, on_gpu_done};
    const xo_supervisor_t *supervisor = run->member->supervisor;
    int64_t limit_ms = supervisor->options.gpu_free_ms;
    if (limit_ms > 0 && run->dead_pid > 0 && xo_gpu_is_wanted(run->spec->env))
        run->gpu = xo_gpu_wait(supervisor->loop, run->dead_pid, limit_ms, &events, run, NULL);
    if (run->gpu == NULL)
        xo_run_launch(run);
}

bool xo_supervisor_revive(xo_member_t *member)
{
    xo_run_t *run = member->run;
    if (member->state != XO_POOL_FAILED || run == NULL || member->supervisor->closed)
        return false;
    run->history = (xo_policy_state_t){0};
    restart_later(run, 0, "revived");
    return true;
}
