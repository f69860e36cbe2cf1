/* proc.h - processes that are not our children: which one it is, and whether it lives. And what a
 * child does between fork and exec.
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
/* How it ended, as waitpid(2) says it (field 52), as long as nobody has reaped it. -1: it has not
 * ended, or it is gone. */
int xo_proc_status(pid_t pid, int64_t started);
/* A descriptor with which xo_proc_state asks about this process, and no other one that gets its pid
 * later. -1: errno. */
int xo_proc_open(pid_t pid);
/* Of its first thread (proc_pid_stat(5)): 'S' sleeps, 'T' was stopped by a signal, 't' by a tracer,
 * 'Z' has ended. 0: it has been reaped, too, or this cannot be read. */
char xo_proc_state(int fd);
/* "PID STARTED" in a file of its own, so that another process finds it. -1: errno. The same goes
 * for forks. */
int xo_proc_write(const char *path, pid_t pid);
/* The process that the file names, if it lives; 0: it does not, or there is no such file. */
pid_t xo_proc_read(const char *path);

/* In the child, where only what a signal handler may call is allowed: no signal handled, ignored or
 * blocked. */
void xo_proc_reset_signals(void);
/* There, too: if `input`, standard input from /dev/null; standard output and error to the end of
 * `output` (made with 0600), NULL: as they are. -1: errno. */
int xo_proc_redirect(bool input, const char *output);
/* In the parent: waits until the pipe's other ends are closed, by exec or the child's end. The
 * errno that was written into it; 0: none was. */
int xo_proc_read_failure(int fd);

#endif
