#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "broker/launch.h"
#include "broker/supervisor_impl.h"

#define COMPONENT "supervisor"
#define CRASH_BYTES 512
/* Where many die at once they are looked for together. */
#define SWEEP_AFTER_MS 20

/* ---- why ---- */

static bool is_early(const xo_run_t *run)
{
    const xo_member_t *m = run->member;
    while (m != NULL && m->state != XO_POOL_STARTING)
        m = xo_member_sibling(m);
    return m != NULL;
}

/* What it was in when a signal ended it, or something that nobody knows: its progress page is there
 * still. */
static void describe_crash(const xo_run_t *run, int status, char *text, size_t size)
{
    const char *oom = xo_oom_killer_says(&run->member->supervisor->oom_killer);
    int length = snprintf(text, size, "%s",
                          status == XO_STATUS_UNKNOWN || WTERMSIG(status) == SIGKILL ? oom : "");
    xo_member_t *m = run->member;
    while (m != NULL && (xo_member_look(m) < 0 || !m->seen.inside))
        m = xo_member_sibling(m);
    if (m != NULL)
        xo_member_describe_stall(m, text + length, size - (size_t)length);
}

int xo_run_exit_status(const xo_run_t *run, int status)
{
    xo_member_t *m = run->member;
    if (status != XO_STATUS_UNKNOWN || xo_member_look(m) < 0 || m->seen.exits < 0)
        return status;
    return W_EXITCODE(m->seen.exits, 0);
}

void xo_run_last_words(const xo_run_t *run, char text[XO_ERROR_TEXT_BYTES])
{
    xo_run_take_why(run, text, XO_ERROR_TEXT_BYTES);
    if (!is_early(run)) /* it may be somebody's whom it had started */
        text[0] = 0;
    if (text[0] == 0 && run->spec->output != NULL && !run->was_ready)
        xo_last_line(run->spec->output, run->output_start, text, XO_ERROR_TEXT_BYTES);
}

void xo_run_explain_end(const xo_run_t *run, int status, char *text, size_t size)
{
    char sentence[64], line[XO_ERROR_TEXT_BYTES], crash[CRASH_BYTES] = "";
    xo_process_sentence(status, sentence, sizeof(sentence));
    if (WIFSIGNALED(status) || status == XO_STATUS_UNKNOWN)
        describe_crash(run, status, crash, sizeof(crash));
    xo_run_last_words(run, line);
    if (run->cause[0] != 0)
        snprintf(text, size, "%s", run->cause);
    else
        snprintf(text, size, "%s%s%s%s%s", sentence, crash,
                 is_early(run) ? " before it was ready" : "", line[0] ? ": " : "", line);
}

/* ---- what is left ---- */

static void tell_killed(const xo_supervisor_t *supervisor, size_t killed)
{
    if (killed > 0)
        xo_log(supervisor->options.log, XO_LOG_INFO, COMPONENT,
               "%zu processes that pools had started were ended with them", killed);
}

static size_t end_cgroups(const xo_supervisor_t *supervisor, const xo_swept_t *dead, size_t count)
{
    size_t killed = 0;
    for (size_t i = 0; i < count; i++)
        killed += xo_cgroup_end(&supervisor->cgroup, supervisor->pools->node_id, dead[i].pool_id,
                                dead[i].generation);
    return killed;
}

void xo_supervisor_sweep(xo_timer_t *timer, void *arg)
{
    xo_supervisor_t *supervisor = arg;
    size_t count = supervisor->dead_count;
    (void)timer;
    if (count > 0)
        tell_killed(supervisor, end_cgroups(supervisor, supervisor->dead, count) +
                                    xo_sweep(supervisor->pools->node_id, supervisor->dead, count));
    supervisor->dead_count = 0;
}

void xo_supervisor_sweep_all(xo_supervisor_t *supervisor)
{
    uint64_t node_id = supervisor->pools->node_id;
    xo_timer_stop(&supervisor->sweep);
    tell_killed(supervisor,
                xo_cgroup_end_all(&supervisor->cgroup, node_id) + xo_sweep(node_id, NULL, 0));
}

static void sweep_later(xo_supervisor_t *supervisor, xo_swept_t mark)
{
    size_t count = supervisor->dead_count + 1;
    xo_swept_t *dead = realloc(supervisor->dead, count * sizeof(*dead));
    if (dead == NULL)
        return; /* the node's end ends it */
    dead[count - 1] = mark;
    supervisor->dead = dead;
    supervisor->dead_count = count;
    if (!xo_timer_active(&supervisor->sweep))
        xo_timer_start(&supervisor->sweep, SWEEP_AFTER_MS * XO_MS);
}

/* What is in its cgroup is ended at once: a fork of it may have the port that the next process, if
 * it is a spare, listens on much sooner. */
void xo_run_sweep(const xo_run_t *run)
{
    xo_supervisor_t *supervisor = run->member->supervisor;
    const xo_swept_t marks[] = {{run->member->id, run->member->generation},
                                {run->spare_id, XO_SPARE_GENERATION}};
    size_t count = run->spare_id != 0 ? 2 : 1;
    tell_killed(supervisor, end_cgroups(supervisor, marks, count));
    for (size_t i = 0; i < count; i++)
        sweep_later(supervisor, marks[i]);
}
