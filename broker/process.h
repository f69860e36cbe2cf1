/* process.h - a process of ours, a child or one that our predecessor has started: watched through a
 * pidfd, and gone when we say so.
 *
 * It leads a process group of its own, so that what it started can be ended with it. It inherits no
 * descriptor but standard input, standard output and standard error.
 */
#ifndef XO_BROKER_PROCESS_H
#define XO_BROKER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "libxo/error.h"
#include "libxo/loop.h"

typedef struct xo_process xo_process_t;

/* Of one that is not our child, where the kernel tells only whose child it is. */
#define XO_STATUS_UNKNOWN (-1)

/* The process ended, and what was left of its group has been killed. `status` is waitpid's, or
 * XO_STATUS_UNKNOWN. Called once, by the loop; destroying the process here is fine. */
typedef void (*xo_process_ended_f)(xo_process_t *process, int status, void *arg);

typedef struct xo_process_start {
    char *const *argv;      /* argv[0] is looked for on PATH */
    const char *const *env; /* each "NAME=VALUE" (ends with NULL) replaces NAME in ours */
    const char *output;     /* a file that standard output and error are appended to; NULL: ours */
    int cgroup;             /* a descriptor of the cgroup's folder that it starts in; -1: ours */
    int input;              /* its standard input; -1: /dev/null */
} xo_process_start_t;

/* What exec says (ENOENT, EACCES) is returned here, and names the program. */
xo_process_t *xo_process_spawn(xo_loop_t *loop, const xo_process_start_t *start,
                               xo_process_ended_f ended, void *arg, xo_error_t *err);
/* From now on its end is told to this one. */
void xo_process_hand_over(xo_process_t *process, xo_process_ended_f ended, void *arg);
/* Takes over one that leads a group and is not our child. `started`: xo_proc_started. ESRCH: it has
 * ended, and what was left of its group has been killed. */
xo_process_t *xo_process_adopt(xo_loop_t *loop, pid_t pid, int64_t started,
                               xo_process_ended_f ended, void *arg, xo_error_t *err);
pid_t xo_process_pid(const xo_process_t *process);
void xo_process_signal(xo_process_t *process, int signum); /* to the process alone */
void xo_process_kill_group(xo_process_t *process);         /* SIGKILL to its whole group */
/* Kills the group and waits, if it has not ended; `ended` is not called any more. Takes NULL. */
void xo_process_destroy(xo_process_t *process);

/* "exit status 3", "signal 9 (Killed)", "it ended" into text[size]. */
void xo_process_sentence(int status, char *text, size_t size);

#endif
