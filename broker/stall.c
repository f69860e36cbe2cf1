#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/supervisor_impl.h"
#include "registry/proc.h"

#define COMPONENT "supervisor"
#define NS_PER_S 1000000000
#define BOXED_MAX UINT32_MAX /* more fit no memory: it is nonsense */

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- the page ---- */

static void close_page(xo_member_t *member)
{
    if (member->page >= 0)
        close(member->page);
    if (member->state_fd >= 0)
        close(member->state_fd);
    member->page = member->state_fd = -1;
}

void xo_member_unwatch(xo_member_t *member)
{
    close_page(member);
    member->page_at = member->page_of = -1;
    xo_member_look_away(member);
}

void xo_member_watch(xo_member_t *member)
{
    xo_error_t err = {.text = "no /proc/PID/stat"};
    if (member->page_at == member->page_of || member->page_at < 0 || member->page_at > INT32_MAX)
        return;
    close_page(member);
    member->page_of = member->page_at;
    member->page = xo_progress_watch((pid_t)member->pid, (int)member->page_at, &err);
    if (member->page >= 0)
        member->state_fd = xo_proc_open((pid_t)member->pid);
    if (member->state_fd >= 0)
        return;
    close_page(member); /* who sees a part only needs all heartbeats */
    xo_log(member->supervisor->options.log, XO_LOG_DEBUG, COMPONENT,
           "pool %d: what its loop does cannot be seen: %s", member->index, err.text);
}

void xo_member_look_away(xo_member_t *member)
{
    member->seen.inside = false;
}

int xo_member_look(xo_member_t *member)
{
    xo_member_look_away(member);
    if (member->page < 0 || xo_progress_look(member->page, &member->seen) < 0)
        return -1;
    int64_t for_ns = monotonic_ns() - member->seen.since_ns;
    if (member->seen.since_ns < 0 || for_ns < 0)
        for_ns = 0;
    member->busy_since = (int64_t)time(NULL) - for_ns / NS_PER_S;
    return 0;
}

uint64_t xo_member_lost(xo_member_t *member)
{
    if (xo_proc_started((pid_t)member->pid) != 0 || xo_member_look(member) < 0)
        return 0;
    return member->seen.boxed <= BOXED_MAX ? member->seen.boxed : 0;
}

/* It can run, as far as the kernel tells. */
static bool goes_on(char state)
{
    return state == 'S' || state == 'R' || state == 'D';
}

/* Its loop waits for something to happen, as its page says, and nothing shows that it would not
 * wake up. Then it owes no heartbeat but the one of now and then. */
static bool rests(const xo_member_t *member)
{
    return member->looked && member->link != NULL && member->rested < XO_REST_HEARTBEATS &&
           xo_progress_sleeps_on(member->page, member->count) &&
           !xo_link_is_awaited(member->link) && goes_on(xo_proc_state(member->state_fd));
}

void xo_member_check_progress(xo_member_t *member, int64_t now_ns)
{
    const xo_progress_seen_t *seen = &member->seen;
    bool first = !member->looked;
    if (rests(member)) {
        member->rested++;
        member->moved_ns = now_ns;
        member->checks = 0;
        return;
    }
    if (xo_member_look(member) < 0)
        return;
    bool moved = !first && seen->count != member->count;
    bool later = seen->inside && seen->since_ns > member->moved_ns && seen->since_ns <= now_ns;
    member->looked = true;
    member->count = seen->count;
    if (later) /* it began this after it was last heard */
        member->moved_ns = seen->since_ns;
    else if (moved)
        member->moved_ns = now_ns;
    if (moved)
        member->checks = member->rested = 0;
}

static bool has_stopped(char state)
{
    return state == 'T' || state == 't';
}

bool xo_member_is_held_up(const xo_member_t *member)
{
    char state = xo_proc_state(member->state_fd);
    return has_stopped(state) ||
           (goes_on(state) && !xo_progress_sleeps_on(member->page, member->count));
}

/* ---- sentences ---- */

static bool is_stopped(pid_t pid)
{
    int fd = xo_proc_open(pid);
    char state = xo_proc_state(fd);
    if (fd >= 0)
        close(fd);
    return has_stopped(state);
}

void xo_member_show_name(xo_slice_t name, char text[XO_NAME_SHOWN_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < name.size && at + 5 < XO_NAME_SHOWN_BYTES; i++) {
        char c = name.data[i];
        bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
        at += (size_t)sprintf(text + at, plain ? "%c" : "\\x%02x", (unsigned char)c);
    }
    text[at] = 0;
}

void xo_member_describe_stall(const xo_member_t *member, char *text, size_t size)
{
    char uid[XO_NAME_SHOWN_BYTES], method[XO_NAME_SHOWN_BYTES];
    const xo_progress_seen_t *seen = &member->seen;
    const char *stopped = is_stopped((pid_t)member->pid) ? "; its process is stopped" : "";
    xo_member_show_name(xo_slice(seen->uid, seen->uid_size), uid);
    xo_member_show_name(xo_slice(seen->method, seen->method_size), method);
    if (!seen->inside)
        snprintf(text, size, "%s", stopped);
    else if (seen->method_size == 0)
        snprintf(text, size, ", in actor \"%s\"%s", uid, stopped);
    else
        snprintf(text, size, ", in method \"%s\" of actor \"%s\"%s", method, uid, stopped);
}
