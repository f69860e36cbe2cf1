/* ctx.h - what a process holds once: the ZeroMQ context, the cluster's key, the ZAP handler, and
 * the endpoints that live in this process. The only object here that threads share.
 */
#ifndef XO_CTX_H
#define XO_CTX_H

#include <stddef.h>
#include <stdint.h>

#include "libxo/error.h"
#include "libxo/keys.h"

typedef struct xo_ctx xo_ctx_t;

#define XO_CLUSTER_BYTES 64
#define XO_PATH_BYTES 108 /* sun_path, the limit of what ipc can name */

/* `cluster` NULL: $XO_CLUSTER, else "default"; [A-Za-z0-9_.-]+, else EINVAL. Loads (or makes) the
 * key, makes the run directory. No thread is started before a socket is needed. $XO_LANES names the
 * lanes that may be used between processes of a node: any of "shm", "ipc" and "tcp", separated by
 * commas, by default all; tcp is there in any case. $XO_LETTER_BYTES says how much of the body of a
 * dead letter is kept, 0 to 65536 bytes, by default 0. $XO_WINDOW_MESSAGES and $XO_WINDOW_BYTES are
 * the credit that each peer of its endpoints gets, $XO_MAILBOX_MESSAGES and $XO_MAILBOX_BYTES the
 * bounds of an actor's mailbox, $XO_POOL_BYTES that of all mailboxes of a pool, where options do
 * not say. $XO_PORT is the node's port, "host:port": pools are behind it (xo_endpoint_listen).
 * $XO_CODEC says whether pickles are let in (codec.h). EINVAL for others. */
xo_ctx_t *xo_ctx_create(const char *cluster, xo_error_t *err);
/* The same for a process that hosts no actors: it makes no keys of the cluster. */
xo_ctx_t *xo_ctx_create_client(const char *cluster, xo_error_t *err);
/* Waits for what was sent to leave, at most a second; all lanes and listeners must be gone, or it
 * waits for them. Removes the run directory when no other process uses it. In a fork of the process
 * that made it, it only frees memory: make a new context after fork(2). Takes NULL. */
void xo_ctx_destroy(xo_ctx_t *ctx);

const char *xo_ctx_cluster(const xo_ctx_t *ctx);
const xo_keys_t *xo_ctx_keys(const xo_ctx_t *ctx);

/* The cluster's run directory of this user and machine (0700, ours, no link, else EPERM):
 * $XO_RUN_DIR, else $XDG_RUNTIME_DIR/xo, else /tmp/xo-UID; then "/CLUSTER". A pool's ipc socket is
 * in it under the pool's advertised address, so "host:port" alone finds it; a node's own files are
 * in n-NODEID/. */
const char *xo_ctx_run_dir(const xo_ctx_t *ctx);
/* Without a context: can the run directory be made and used, by the rules above? Its path, and how
 * many bytes are left there. */
int xo_ctx_try_run_dir(const char *cluster, char path[XO_PATH_BYTES], uint64_t *left_bytes,
                       xo_error_t *err);

/* The ZeroMQ context, made at the first call (with its I/O thread bound as xo_ctx_bind_io said). */
void *xo_ctx_zmq(xo_ctx_t *ctx, xo_error_t *err);
/* CPUs for ZeroMQ's I/O threads; before the first socket, else EBUSY. */
int xo_ctx_bind_io(xo_ctx_t *ctx, const int *cpus, size_t count, xo_error_t *err);
/* ZeroMQ's I/O threads, 1 if nobody says. EINVAL, EBUSY. */
int xo_ctx_set_io_threads(xo_ctx_t *ctx, int count, xo_error_t *err);

/* Starts the ZAP handler (RFC 27/ZAP) of this context if it does not run yet: a thread that answers
 * CURVE requests by comparing the client's key. Every tcp listener calls this. */
int xo_ctx_start_zap(xo_ctx_t *ctx, xo_error_t *err);

/* Which addresses live in this process, so that they are reached by inproc. Thread-safe.
 * add: EADDRINUSE. has: 1 or 0. */
int xo_ctx_add_local(xo_ctx_t *ctx, const char *address, xo_error_t *err);
void xo_ctx_remove_local(xo_ctx_t *ctx, const char *address);
int xo_ctx_has_local(xo_ctx_t *ctx, const char *address);

/* 64 random bits, never 0 (getrandom(2)). */
uint64_t xo_random_id(void);

#endif
