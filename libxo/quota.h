/* quota.h - how much of the machine's processors a process may use. Internal. */
#ifndef XO_QUOTA_H
#define XO_QUOTA_H

#include <stdbool.h>

/* Do the control groups that the file `groups` names (/proc/self/cgroup), or any above them, below
 * the folder `mount` (/sys/fs/cgroup), allow a bandwidth of less than `cpus` processors (cpu.max;
 * cpu.cfs_quota_us of version 1)? What cannot be read is no limit. Keeps errno. */
bool xoi_quota_is_below(const char *groups, const char *mount, int cpus);

#endif
