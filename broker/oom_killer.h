/* oom_killer.h - has the kernel ended a process for want of memory?
 *
 * It says so with a counter: of our cgroup (memory.events of version 2, memory.oom_control of
 * version 1; Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst), which is evidence, or
 * of the whole machine (oom_kill in /proc/vmstat), which is a hint.
 */
#ifndef XO_BROKER_OOM_KILLER_H
#define XO_BROKER_OOM_KILLER_H

#include <stdbool.h>
#include <stdint.h>

#define XO_OOM_PATH_BYTES 512

typedef struct xo_oom_killer {
    char path[XO_OOM_PATH_BYTES]; /* of the file with the counter; "": none is to be had */
    bool of_cgroup;
    int64_t before, now; /* the counter at the last two ticks */
} xo_oom_killer_t;

/* `proc` and `cgroups`: "/proc" and "/sys/fs/cgroup". */
void xo_oom_killer_init(xo_oom_killer_t *killer, const char *proc, const char *cgroups);
/* From time to time: what was counted two ticks ago says nothing of a death now. */
void xo_oom_killer_tick(xo_oom_killer_t *killer);
/* A process of ours has just ended by SIGKILL, which nobody of ours has sent. What to say of that,
 * for the end of the sentence; "": nothing. */
const char *xo_oom_killer_says(const xo_oom_killer_t *killer);

#endif
