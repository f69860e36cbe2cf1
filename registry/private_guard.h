/* private_guard.h - the parent of a private redis-server, a fork of the broker that outlives it.
 *
 * The server is to survive its broker, and to end with the process that owns the node. Nothing in
 * redis-server does that, hence this process: it waits for the server's end and the owner's, and
 * ends as the server did. If it is killed, the server dies with it.
 */
#ifndef XO_REGISTRY_PRIVATE_GUARD_H
#define XO_REGISTRY_PRIVATE_GUARD_H

#include <signal.h>
#include <sys/types.h>

/* Sent to the guard alone: it kills the server, and ends when that is gone. SIGTERM is for its
 * group: the server stops in order. */
#define XO_GUARD_KILL SIGINT

typedef struct xo_guard {
    const char *program;
    char *const *argv;
    const char *log;
    const char *pid_file; /* registry/proc.h: gets the guard's pid */
    const char *run_dir;
    pid_t owner;   /* 0: nobody's */
    int status_fd; /* gets the errno of what failed; closed when the server has been started */
    void (*orphaned)(const char *run_dir); /* the owner is gone, and nobody has ended the server */
} xo_guard_t;

/* In the fork; leads a process group with the server in it. Only async-signal-safe calls until
 * `orphaned`, since the process that was forked may have threads. */
void xoi_guard_run(const xo_guard_t *guard) __attribute__((noreturn));

#endif
