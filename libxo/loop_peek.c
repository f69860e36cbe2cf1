/* loop_peek.c - memory that another process writes to, looked at rather than waited for.
 *
 * Waking a thread that sleeps costs tens of microseconds where it means waking its core; a look
 * costs a few nanoseconds. So before it sleeps the loop looks on for a moment, as long as that
 * pays:
 *
 * - it begins after a row of sleeps that were so short that looking on would have saved them,
 * - and ends after a few times in vain; each time it ends so, it needs a longer row to begin again.
 *
 * It never begins where this process has one core only, or time of less than two: who is to answer
 * may need that one. A thread that was bound to one of several cores is no such case.
 */
#include <pthread.h>
#include <sched.h>

#include <utlist.h>

#include "libxo/loop_internal.h"
#include "libxo/quota.h"

#define LOOK_ON_NS 50000      /* about what the sleep and the wake-up cost that it saves */
#define SHORT_SLEEP_NS 200000 /* an answer in LOOK_ON_NS, and both sides' wake-ups */
#define LOOKS_PER_CLOCK 32    /* reading the clock costs as much as a few looks */
#define TRUST_MAX 16          /* times in vain in a row */
#define SHORT_SLEEPS_MIN 16   /* in a row, before the first try */
#define SHORT_SLEEPS_MAX 4096 /* however often it was in vain */

/* Tells the core that this is a loop that waits. */
#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

void xo_peek_init(xo_peek_t *peek, xo_loop_t *loop, const xo_peek_ops_t *ops, void *arg)
{
    *peek = (xo_peek_t){.loop = loop, .ops = ops, .arg = arg};
}

/* Something came for a loop that slept: was it worth sleeping? */
static void note_sleep(xoi_peeks_t *peeks)
{
    if (peeks->asleep_ns == 0)
        return;
    bool brief = xoi_clock_ns() - peeks->asleep_ns < SHORT_SLEEP_NS;
    peeks->asleep_ns = 0;
    peeks->short_sleeps = brief ? peeks->short_sleeps + 1 : 0;
    if (peeks->needed == 0)
        peeks->needed = SHORT_SLEEPS_MIN;
    if (peeks->short_sleeps < peeks->needed)
        return;
    peeks->short_sleeps = 0;
    peeks->trust = TRUST_MAX / 2;
}

void xo_peek_start(xo_peek_t *peek)
{
    xoi_peeks_t *peeks = &peek->loop->peeks;

    if (peek->active)
        return;
    note_sleep(peeks);
    peek->active = true;
    DL_APPEND(peeks->list, peek);
    peeks->count++;
}

void xo_peek_stop(xo_peek_t *peek)
{
    xoi_peeks_t *peeks = &peek->loop->peeks;

    if (!peek->active)
        return;
    peek->active = false;
    DL_DELETE(peeks->list, peek);
    peeks->count--;
}

/* Each goes to the end of the list before it is handled, and none ever leaves the list meanwhile: a
 * handler may run a pass of its own, which must find all of them. */
void xoi_peeks_run(xo_loop_t *loop)
{
    xoi_peeks_t *peeks = &loop->peeks;

    for (size_t n = peeks->count; n > 0 && peeks->list; n--) {
        xo_peek_t *peek = peeks->list;
        DL_DELETE(peeks->list, peek);
        DL_APPEND(peeks->list, peek);
        if (peek->ops->ready(peek->arg)) {
            peeks->seen = true;
            peek->ops->handle(peek->arg);
        }
    }
}

static bool any_ready(const xoi_peeks_t *peeks)
{
    for (const xo_peek_t *peek = peeks->list; peek; peek = peek->next)
        if (peek->ops->ready(peek->arg))
            return true;
    return false;
}

static bool look_until(const xoi_peeks_t *peeks, int64_t end_ns)
{
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (any_ready(peeks))
                return true;
            RELAX();
        }
    } while (xoi_clock_ns() < end_ns);
    return false;
}

static bool has_cores; /* this process, more than one */

static void count_cores(void)
{
    cpu_set_t set;

    /* More cores than the set has room for: EINVAL. */
    has_cores = sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) > 1;
    has_cores = has_cores && !xoi_quota_is_below("/proc/self/cgroup", "/sys/fs/cgroup", 2);
}

/* What a thread may run on is the process's until somebody binds it, which takes a loop to be worth
 * it; so the process's cores are counted for its first loop. */
void xoi_peeks_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, count_cores);
}

static bool may_look_on(const xoi_peeks_t *peeks)
{
    return has_cores && peeks->trust > 0;
}

static void looked_well(xoi_peeks_t *peeks)
{
    peeks->trust = TRUST_MAX;
    peeks->needed = SHORT_SLEEPS_MIN;
}

static void looked_in_vain(xoi_peeks_t *peeks)
{
    if (--peeks->trust == 0 && peeks->needed < SHORT_SLEEPS_MAX)
        peeks->needed *= 2;
}

static bool look_on(xoi_peeks_t *peeks, int64_t wait_ns)
{
    int64_t most = wait_ns >= 0 && wait_ns < LOOK_ON_NS ? wait_ns : LOOK_ON_NS;

    if (!may_look_on(peeks))
        return false;
    if (look_until(peeks, xoi_clock_ns() + most)) {
        looked_well(peeks);
        return true;
    }
    looked_in_vain(peeks);
    return false;
}

static bool fall_asleep(xoi_peeks_t *peeks)
{
    while (peeks->list) {
        xo_peek_t *peek = peeks->list;
        if (!peek->ops->sleep(peek->arg))
            return false;
        xo_peek_stop(peek);
    }
    peeks->asleep_ns = xoi_clock_ns();
    return true;
}

/* ---- a loop that another one drives ----
 * It cannot look on by itself, since it does not know what else the other has to do. So its passes
 * say that there is no need to sleep yet, and the driver comes again in its next round. */

static bool is_worth_another_look(xoi_peeks_t *peeks)
{
    int64_t now = xoi_clock_ns();

    if (peeks->seen && peeks->idle_ns)
        looked_well(peeks);
    if (peeks->seen || !peeks->idle_ns)
        peeks->idle_ns = now;
    peeks->seen = false;
    if (now - peeks->idle_ns < LOOK_ON_NS && may_look_on(peeks))
        return true;
    if (peeks->trust > 0)
        looked_in_vain(peeks);
    peeks->idle_ns = 0;
    return false;
}

xoi_leave_t xoi_peeks_leave(xo_loop_t *loop)
{
    xoi_peeks_t *peeks = &loop->peeks;

    if (!peeks->list)
        return XOI_ASLEEP;
    if (is_worth_another_look(peeks))
        return XOI_LOOKING_ON;
    return fall_asleep(peeks) ? XOI_ASLEEP : XOI_AWAKE;
}

bool xoi_peeks_sleep(xo_loop_t *loop, int64_t wait_ns)
{
    xoi_peeks_t *peeks = &loop->peeks;

    return !peeks->list || (!look_on(peeks, wait_ns) && fall_asleep(peeks));
}
