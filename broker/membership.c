#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/liveness.h"
#include "broker/runs.h"

#define COMPONENT "supervisor"
#define STALL_BYTES 384 /* a sentence with two names in it */
#define SILENT "lost heartbeats"
#define CUT_OFF "its link to the broker was lost"
#define NS_PER_S 1e9

/* The process itself, or one that it started (a shell script that runs the pool, for example). */
static bool is_of_process(const xo_run_t *run, int64_t pid)
{
    pid_t leader = xo_process_pid(run->process);
    return pid == leader || getpgid((pid_t)pid) == leader;
}

xo_run_t *xo_supervisor_run_of(const xo_supervisor_t *supervisor, uint64_t pool_id)
{
    for (xo_member_t *m = xo_pools_first(supervisor->pools); m != NULL; m = xo_pools_next(m)) {
        if (xo_member_leads(m) && pool_id - m->id <= XO_SIBLINGS_MAX)
            return m->run;
    }
    return NULL;
}

static int check_generation(uint32_t ours, const xo_identity_t *peer, xo_error_t *why)
{
    if (peer->generation == ours)
        return 0;
    return xo_error_set(why, EPERM,
                        "pool %016" PRIx64 " is in generation %u, not %u: another process "
                        "took its place",
                        peer->pool_id, ours, peer->generation);
}

static int check_process(bool right, const xo_identity_t *peer, xo_error_t *why)
{
    if (right)
        return 0;
    return xo_error_set(why, EPERM, "process %d is not the one that runs pool %016" PRIx64,
                        (int)peer->pid, peer->pool_id);
}

/* All pools of a process are of one generation. */
static int admit_ours(const xo_run_t *run, const xo_identity_t *peer, xo_error_t *why)
{
    if (check_generation(run->member->generation, peer, why) < 0)
        return -1;
    return check_process(run->process != NULL && is_of_process(run, peer->pid), peer, why);
}

static int admit_guest(const xo_member_t *member, const xo_identity_t *peer, xo_error_t *why)
{
    if (member == NULL || member->pid == 0) /* the last broker knew it, and this one does not */
        return 0;
    if (check_generation(member->generation, peer, why) < 0)
        return -1;
    return check_process(peer->pid == member->pid, peer, why);
}

int xo_supervisor_admit(xo_supervisor_t *supervisor, const xo_identity_t *peer, xo_error_t *why)
{
    if (supervisor->stopping)
        return xo_error_set(why, ESHUTDOWN, "the node is stopping");
    if (peer->pool_id == 0)
        return xo_error_set(why, EINVAL, "a pool needs an id");
    const xo_run_t *run = xo_supervisor_run_of(supervisor, peer->pool_id);
    if (run != NULL)
        return admit_ours(run, peer, why);
    return admit_guest(xo_pools_find(supervisor->pools, peer->pool_id), peer, why);
}

/* A pool that the broker did not start, or one more of a process that it did. */
static xo_member_t *join(xo_supervisor_t *supervisor, const xo_identity_t *peer)
{
    xo_pools_t *pools = supervisor->pools;
    bool taken = peer->index < 0 || xo_pools_by_index(pools, peer->index) != NULL;
    int index = taken ? xo_pools_free_index(pools) : peer->index;
    xo_member_t *member = xo_supervisor_add(supervisor, peer->pool_id);
    if (member == NULL)
        return NULL;
    member->index = index;
    member->run = xo_supervisor_run_of(supervisor, peer->pool_id);
    member->recovers = member->run != NULL && member->run->spec->recover;
    member->policy = member->run ? &member->run->spec->policy : NULL;
    member->generation = peer->generation;
    member->started = time(NULL);
    return member;
}

static void come_up(xo_supervisor_t *supervisor, xo_member_t *member)
{
    bool is_ready = !member->away;
    xo_member_set_state(member, is_ready ? XO_POOL_READY : XO_POOL_RECOVERING);
    xo_timer_stop(&member->timer);
    member->starting_ns = 0;
    if (xo_member_leads(member))
        member->run->was_ready = true;
    xo_supervisor_tell(supervisor, member, XO_FACT_UP, NULL);
    if (is_ready)
        xo_member_wake(member, false, NULL);
}

static void heard(const xo_supervisor_t *supervisor, xo_member_t *member)
{
    member->moved_ns = xo_loop_now(supervisor->loop);
    member->checks = member->rested = 0;
    member->looked = false;
}

/* What a pool is (its language, its GPUs) its first heartbeat says: who places an actor by that
 * must not meet it before. */
void xo_supervisor_linked(xo_supervisor_t *supervisor, xo_link_t *link)
{
    const xo_identity_t *peer = xo_link_peer(link);
    xo_member_t *member = xo_pools_find(supervisor->pools, peer->pool_id);
    if (member == NULL)
        member = join(supervisor, peer);
    if (member == NULL)
        return;
    xo_member_set_link(member, link);
    if (member->run == NULL)
        member->generation = peer->generation;
    member->endpoint = peer->id;
    member->pid = peer->pid;
    xo_member_unwatch(member);
    heard(supervisor, member);
    memcpy(member->label, peer->label, sizeof(member->label));
    memcpy(member->address, peer->address, sizeof(member->address));
    if (member->state == XO_POOL_STOPPING)
        return;
    if (member->language[0] != 0 || member->state == XO_POOL_SUSPECT) { /* it was there before */
        come_up(supervisor, member);
        return;
    }
    xo_member_set_state(member, XO_POOL_STARTING);
    if (member->run != NULL)
        xo_member_limit_start(member);
}

void xo_supervisor_recovered(xo_supervisor_t *supervisor, xo_member_t *member)
{
    member->away = false;
    if (member->state == XO_POOL_STOPPING)
        return;
    xo_member_set_state(member, XO_POOL_READY);
    xo_supervisor_tell(supervisor, member, XO_FACT_RECOVERED, NULL);
    xo_member_wake(member, false, NULL);
}

/* What is the matter with one that does not say anything. */
static const char *trouble_of(const xo_member_t *member)
{
    return member->link != NULL ? SILENT : CUT_OFF;
}

/* It may be suspect for another reason, too. */
static bool is_known_for(const xo_member_t *member, const char *trouble)
{
    return member->state == XO_POOL_SUSPECT &&
           strncmp(member->reason, trouble, strlen(trouble)) == 0;
}

static void suspect(xo_supervisor_t *supervisor, xo_member_t *member)
{
    char reason[XO_ERROR_TEXT_BYTES], stall[STALL_BYTES];
    const char *trouble = trouble_of(member);
    xo_member_describe_stall(member, stall, sizeof(stall));
    snprintf(reason, sizeof(reason), "%s%s", trouble, stall);
    if (!is_known_for(member, trouble)) {
        xo_member_set_state(member, XO_POOL_SUSPECT);
        xo_supervisor_tell(supervisor, member, XO_FACT_SUSPECT, reason);
    } else if (strcmp(member->reason, reason) != 0) { /* stopped meanwhile, for example */
        strcpy(member->reason, reason);
        member->changed = true;
    }
}

/* It links again at once, unless something holds it up. */
static void give_time_to_link(xo_member_t *member)
{
    int64_t heartbeat_ms = member->supervisor->options.heartbeat_ms;
    xo_timer_start(&member->timer, XO_MISSED_HEARTBEATS * heartbeat_ms * XO_MS);
}

void xo_supervisor_unlinked(xo_supervisor_t *supervisor, xo_link_t *link, xo_link_t *other,
                            const xo_error_t *why)
{
    xo_member_t *member = xo_pools_by_link(supervisor->pools, link);
    if (member == NULL || member->link != link)
        return;
    if (other != NULL) {
        xo_member_set_link(member, other);
        return;
    }
    if (member->run == NULL) {
        xo_supervisor_mark_down(supervisor, member, why->text);
        xo_member_wake(member, true, NULL);
        xo_supervisor_remove(supervisor, member, why->text);
        return;
    }
    xo_member_set_link(member, NULL);
    if (member->state == XO_POOL_STOPPING || supervisor->stopping)
        return;
    xo_log(supervisor->options.log, XO_LOG_DEBUG, COMPONENT, "pool %d: no link any more: %s",
           member->index, why->text);
    give_time_to_link(member);
    xo_member_look(member);
    suspect(supervisor, member);
}

/* A suspect is well again. */
static void trust_again(xo_supervisor_t *supervisor, xo_member_t *member, const char *why)
{
    if (member->state != XO_POOL_SUSPECT || member->link == NULL)
        return;
    xo_member_look_away(member);
    xo_member_set_state(member, member->away ? XO_POOL_RECOVERING : XO_POOL_READY);
    xo_supervisor_tell(supervisor, member, XO_FACT_ALIVE, why);
}

/* The first heartbeat says so; it does not change any more. */
static void tell_tcp_only(xo_supervisor_t *supervisor, xo_member_t *member, xo_slice_t body)
{
    char reason[XO_ERROR_TEXT_BYTES];
    if (xo_map_get_str(body, "tcp_only", reason, sizeof(reason)) == 0)
        xo_supervisor_tell(supervisor, member, XO_FACT_TCP_ONLY, reason);
}

void xo_supervisor_heartbeat(xo_supervisor_t *supervisor, xo_member_t *member, xo_slice_t body)
{
    bool was_ending = member->ending;
    int64_t page_before = member->page_at;
    heard(supervisor, member);
    xo_member_heartbeat(member, body);
    xo_member_watch(member);
    if (member->page_at != page_before && member->state != XO_POOL_STARTING)
        xo_run_changed(member, false); /* for the next broker; else come_up does it */
    if (member->ending && !was_ending)
        xo_supervisor_tell(supervisor, member, XO_FACT_STATE, "somebody has told it to end");
    if (member->state == XO_POOL_STARTING && member->link != NULL) {
        come_up(supervisor, member);
        tell_tcp_only(supervisor, member, body);
    }
    trust_again(supervisor, member, "its heartbeats came again");
}

static int64_t hang_ms(const xo_supervisor_t *supervisor, const xo_member_t *member)
{
    if (member->run == NULL) /* not ours to end */
        return 0;
    int64_t own = member->run->spec->hang_ms;
    return own >= 0 ? own : supervisor->options.hang_ms;
}

void xo_member_check_hang_timeout(const xo_member_t *member)
{
    const xo_supervisor_t *supervisor = member->supervisor;
    int64_t least_ms = XO_MISSED_HEARTBEATS * (int64_t)supervisor->options.heartbeat_ms;
    int64_t asked_ms = hang_ms(supervisor, member);
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    if (asked_ms <= 0 || asked_ms >= least_ms)
        return;
    xo_member_describe(member, who, sizeof(who));
    xo_log(supervisor->options.log, XO_LOG_WARN, COMPONENT,
           "%s: hang_timeout_ms is %" PRId64 " but counts as %" PRId64 ": before that, %d "
           "heartbeats, it is not known to stand still",
           who, asked_ms, least_ms, XO_MISSED_HEARTBEATS);
}

static void end_hung(xo_member_t *member, int64_t still_ns)
{
    char trouble[XO_ERROR_TEXT_BYTES], stall[STALL_BYTES];
    if (member->run->process == NULL || member->run->cause[0] != 0)
        return; /* its end is under way */
    xo_member_describe_stall(member, stall, sizeof(stall));
    snprintf(trouble, sizeof(trouble), "hang: its loop stood still for %.1f s%s",
             (double)still_ns / NS_PER_S, stall);
    xo_member_kill_because(member, trouble);
}

static void check_liveness(xo_supervisor_t *supervisor, xo_member_t *member)
{
    int64_t heartbeat_ns = supervisor->options.heartbeat_ms * XO_MS;
    int64_t now = xo_loop_now(supervisor->loop), hang_ns = hang_ms(supervisor, member) * XO_MS;
    bool is_up = member->state == XO_POOL_READY || member->state == XO_POOL_RECOVERING ||
                 member->state == XO_POOL_SUSPECT;
    if (!is_up || (member->link == NULL && member->page < 0))
        return;
    member->checks++;
    xo_member_check_progress(member, now);
    if (xo_timer_active(&member->timer) && xo_member_is_held_up(member))
        give_time_to_link(member);
    switch (xo_liveness(member->moved_ns, now, heartbeat_ns, member->checks, hang_ns)) {
    case XO_ALIVE:
        trust_again(supervisor, member, "its loop moves again");
        break;
    case XO_SUSPECT:
        suspect(supervisor, member);
        break;
    case XO_HUNG:
        suspect(supervisor, member);
        end_hung(member, now - member->moved_ns);
        break;
    }
}

void xo_supervisor_tick(xo_timer_t *timer, void *arg)
{
    xo_supervisor_t *supervisor = arg;
    xo_oom_killer_tick(&supervisor->oom_killer);
    for (xo_member_t *m = xo_pools_first(supervisor->pools); m != NULL; m = xo_pools_next(m)) {
        check_liveness(supervisor, m);
        if (xo_member_leads(m) && m->run->unsaved)
            xo_run_save(m->run);
    }
    xo_timer_start(timer, supervisor->options.heartbeat_ms * XO_MS);
}
