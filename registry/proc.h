/* proc.h - processes that are not our children: which one it is, and whether it lives.
 */
#ifndef XO_REGISTRY_PROC_H
#define XO_REGISTRY_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* When it began, in ticks since the machine did (proc(5), /proc/PID/stat, field 22): a pid is given
 * again, a pid with this is not. 0: it has ended, or there is none. May be called in a fork of a
 * process that has threads. */
int64_t xo_proc_started(pid_t pid);
/* "PID STARTED" in a file of its own, so that another process finds it. -1: errno. The same goes
 * for forks. */
int xo_proc_write(const char *path, pid_t pid);
/* The process that the file names, if it lives; 0: it does not, or there is no such file. */
pid_t xo_proc_read(const char *path);

#endif
