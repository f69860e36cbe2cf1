/* private.h - a redis-server of one's own, on a unix socket in a run directory: what a broker uses
 * when no registry is configured.
 *
 * What it holds it keeps in a file there, too, for the next one if it ends unasked; nothing is kept
 * beyond the run directory. The server outlives the process that started it, which another one can
 * then replace, but not the node's owner (registry/private_guard.h). It is in a process group of
 * its own, so that a terminal's ^C does not reach it first.
 */
#ifndef XO_REGISTRY_PRIVATE_H
#define XO_REGISTRY_PRIVATE_H

#include <sys/types.h>

#include "libxo/loop.h"

typedef struct xo_private_redis xo_private_redis_t;

/* The server is gone; `why` says how it ended and what its log said last, errnum 0 if it was asked
 * to. Called once, from the loop. xo_private_redis_destroy may be called in it. */
typedef void (*xo_private_redis_exit_f)(xo_private_redis_t *redis, const xo_error_t *why,
                                        void *arg);

#define XO_PRIVATE_REDIS_PID "redis.pid" /* a file in run_dir: registry/proc.h */
#define XO_PRIVATE_REDIS_URL_BYTES 336

typedef struct xo_private_redis_options {
    const char *run_dir;
    pid_t owner; /* the server ends, at the latest, soon after this process; 0: nobody's */
    /* Called in another process, a fork of this one, when that happened without
     * xo_private_redis_destroy: there is nobody else to clean up. May be NULL. */
    void (*orphaned)(const char *run_dir);
} xo_private_redis_options_t;

/* The redis-server that would be started into path[size]. ENOENT: there is none. */
int xo_private_redis_program(char *path, size_t size, xo_error_t *err);

/* Where the server of `run_dir` listens, or will: "unix:///...". ENOTDIR, ENAMETOOLONG: run_dir. */
int xo_private_redis_locate(const char *run_dir, char url[XO_PRIVATE_REDIS_URL_BYTES],
                            xo_error_t *err);
/* Has a server of `run_dir` kept something there? */
bool xo_private_redis_has_kept(const char *run_dir);

/* Starts redis-server ($XO_REDIS_SERVER, else the one in PATH) with its socket and log in
 * `run_dir`, which is the caller's and must be 0700, or takes over the one that another process has
 * started there, which has all that it had. Returns at once; xo_registry_open on the URL
 * goes on trying until the server answers. ENOENT: no such program (the caller takes "memory:" and
 * says so); ENAMETOOLONG: run_dir. */
xo_private_redis_t *xo_private_redis_start(xo_loop_t *loop,
                                           const xo_private_redis_options_t *options,
                                           xo_private_redis_exit_f on_exit, void *arg,
                                           xo_error_t *err);
const char *xo_private_redis_url(const xo_private_redis_t *redis); /* as xo_private_redis_locate */
pid_t xo_private_redis_pid(const xo_private_redis_t *redis);       /* 0: gone */
/* It has ended by itself, with a failure, and had found what another one kept: it may have been
 * unable to read that, or something else was in its way. */
bool xo_private_redis_has_failed(const xo_private_redis_t *redis);
/* What was kept is not for the next one: it goes with this one. */
void xo_private_redis_forget(xo_private_redis_t *redis);

/* SIGTERM, and SIGKILL a second later; on_exit tells the end, also if it had come before (then in
 * the loop's next pass). */
void xo_private_redis_stop(xo_private_redis_t *redis);
/* Kills it if it is still there, waits for that, removes its files; but if it had ended before,
 * what it kept is left to the next one. Takes NULL. */
void xo_private_redis_destroy(xo_private_redis_t *redis);

#endif
