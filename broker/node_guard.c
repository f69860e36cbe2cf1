#include "broker/node_guard.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "broker/node_dir.h"
#include "libxo/loop.h"
#include "registry/private_guard.h"
#include "registry/proc.h"

#define GUARD_PID "guard.pid" /* registry/proc.h */
/* Until one that is no child of ours is gone. */
#define NAP_NS (1 * XO_MS)
#define NAPS 500

pid_t xo_node_guard_start(const char *directory, pid_t owner, xo_error_t *err)
{
    char pid_file[PATH_MAX];
    if ((size_t)snprintf(pid_file, sizeof(pid_file), "%s/" GUARD_PID, directory) >=
        sizeof(pid_file))
        return xo_error_set(err, ENAMETOOLONG, "the path of the run directory is too long");
    pid_t left = xo_proc_read(pid_file);
    if (left > 0)
        return left;
    xo_guard_t guard = {
        .log = "/dev/null",
        .pid_file = pid_file,
        .run_dir = directory,
        .owner = owner,
        .orphaned = xo_node_dir_abandon,
    };
    return xo_guard_spawn(&guard, err);
}

void xo_node_guard_stop(pid_t guard)
{
    static const struct timespec nap = {.tv_nsec = NAP_NS};
    if (guard <= 0)
        return;
    kill(guard, SIGKILL);
    if (waitpid(guard, NULL, 0) == guard)
        return;
    for (int naps = 0; naps < NAPS && xo_proc_started(guard) != 0; naps++)
        nanosleep(&nap, NULL);
}
