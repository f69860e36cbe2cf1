/* cgroup.h - a control group for each process of a pool, so that whatever it starts ends with it,
 * wherever that has gone (Documentation/admin-guide/cgroup-v2.rst).
 *
 * Where cgroup v2 is mounted and ours may be divided, as root may, and a service with systemd's
 * Delegate=yes: PARENT/xo-NODE/pool-ID-GENERATION, with nothing but processes in it. Elsewhere
 * nothing here does anything. Names are made of numbers that the node's next broker knows, too.
 */
#ifndef XO_BROKER_CGROUP_H
#define XO_BROKER_CGROUP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define XO_CGROUP_PATH_BYTES 512

typedef struct xo_cgroup {
    char parent[XO_CGROUP_PATH_BYTES]; /* the folder of ours; "": there is none */
} xo_cgroup_t;

/* Our cgroup, by PROC/self/cgroup (cgroups(7)), into own[size]: in the unified hierarchy
 * (controller ""), or in that of a controller of version 1. "" for the root, and where there is
 * none, for which it returns -1. */
int xo_cgroup_own(const char *proc, const char *controller, char *own, size_t size);

/* Looks for ours, which it leaves if it is that of a pool, and removes what nodes have left that
 * were killed, if that is at least `age_s` seconds old. `proc`: "/proc". */
void xo_cgroup_init(xo_cgroup_t *cgroup, const char *proc, time_t age_s);
/* Makes one for a process that is about to start. A descriptor of its folder, the caller's; -1: it
 * is not to be had. */
int xo_cgroup_open(const xo_cgroup_t *cgroup, uint64_t node_id, uint64_t pool_id,
                   uint32_t generation);
/* Kills all that is in it, and removes it, now or when another one is ended. Returns how many
 * processes there were. */
size_t xo_cgroup_end(const xo_cgroup_t *cgroup, uint64_t node_id, uint64_t pool_id,
                     uint32_t generation);
/* The same for all of the node. Waits until they are gone, for 100 ms at most. */
size_t xo_cgroup_end_all(const xo_cgroup_t *cgroup, uint64_t node_id);

#endif
