/* private_guard.h - the parent of a private redis-server, a fork of the broker that outlives it.
 *
 * The server is to survive its broker, and to end with the process that owns the node. Nothing in
 * redis-server does that, hence this process: it waits for the server's end and the owner's, and
 * ends as the server did. If it is killed, the server dies with it.
 *
 * A node that has an owner and no server of its own has one all the same, for what is left if the
 * broker is killed or stands still when the owner goes.
 */
#ifndef XO_REGISTRY_PRIVATE_GUARD_H
#define XO_REGISTRY_PRIVATE_GUARD_H

#include <signal.h>
#include <sys/types.h>

#include "libxo/error.h"

/* Sent to the guard alone: it kills the server, and ends when that is gone. SIGTERM is for its
 * group: the server stops in order. */
#define XO_GUARD_KILL SIGINT

typedef struct xo_guard {
    const char *program; /* NULL: there is no server */
    char *const *argv;
    const char *log;      /* standard output and error of both */
    const char *pid_file; /* registry/proc.h: gets the guard's pid */
    const char *run_dir;
    pid_t owner;   /* 0: nobody's */
    int status_fd; /* xo_guard_spawn's: gets the errno of what failed; closed when all is started */
    void (*orphaned)(const char *run_dir); /* the owner is gone, and nobody has ended the server */
} xo_guard_t;

/* Forks; returns when the server has been started. The guard leads a process group, with the server
 * in it, and makes only async-signal-safe calls until `orphaned`, since the process that is forked
 * may have threads. -1: *err. */
pid_t xo_guard_spawn(xo_guard_t *guard, xo_error_t *err);

#endif
