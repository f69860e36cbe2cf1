/* ctx_internal.h - the inside of xo_ctx_t, for ctx.c, rundir.c, zap.c and the lanes.
 */
#ifndef XO_CTX_INTERNAL_H
#define XO_CTX_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "libxo/address.h"
#include "libxo/admission.h"
#include "libxo/codec.h"
#include "libxo/ctx.h"
#include "libxo/limits.h"
#include "libxo/parting.h"

struct xoi_local; /* an address of this process, in a hash */
struct xoi_fake_listener;

/* The run directory, held by a shared lock, so that the last process that uses it can remove it. */
typedef struct xoi_rundir {
    char base[XO_PATH_BYTES];
    char path[XO_PATH_BYTES];
    int fd; /* -1: none */
} xoi_rundir_t;

struct xo_ctx {
    pid_t pid; /* the process that made it: a context does not outlive fork(2) */
    char cluster[XO_CLUSTER_BYTES];
    xo_keys_t keys;
    xoi_rundir_t rundir;
    xoi_admission_t admission; /* open while the ZAP handler runs */
    atomic_uint serial;        /* makes names unique */
    char sync;                 /* an address for annotations, see tsan.h */
    unsigned lanes;            /* XOI_LANE_*: what XO_LANES allows */
    xo_codec_t codec;          /* XO_CODEC */
    size_t letter_bytes;       /* of the body of a dead letter: XO_LETTER_BYTES */
    xo_address_t port;         /* XO_PORT, the node's, perhaps with the first place; port 0: none */
    xoi_limits_t limits;
    atomic_bool warned; /* see xoi_ctx_warn */

    pthread_mutex_t lock; /* guards what follows */
    void *zmq;
    int io_threads;
    int *cpus;
    size_t cpu_count;
    void *zap_socket; /* NULL: the ZAP handler does not run */
    pthread_t zap_thread;
    xoi_partings_t partings;
    struct xoi_local *locals;
    struct xoi_fake_listener *fakes; /* libxo/lane_fake.c */
};

/* Lanes between the processes of a node that may be turned off. */
enum { XOI_LANE_SHM = 1 << 0, XOI_LANE_IPC = 1 << 1 };

/* A line on standard error, for what goes on working but slower than it could: once a context. */
void xoi_ctx_warn(xo_ctx_t *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* rundir.c */
int xoi_rundir_open(xoi_rundir_t *rundir, const char *cluster, xo_error_t *err);
void xoi_rundir_close(xoi_rundir_t *rundir); /* removes it if nobody else uses it */
/* Makes `path` (0700) unless it is there; checks that it is a directory of ours. EPERM, and more.
 * `strict`: nobody else may look into it; otherwise nobody else may write to it. */
int xoi_private_dir(const char *path, bool strict, xo_error_t *err);

/* zap.c: serves `socket`, a bound REP, until the context shuts down; `arg` is the xo_ctx_t. */
/* Reads the list of members if it has changed. Any thread, while the ZAP handler runs. */
void xoi_ctx_look_members(xo_ctx_t *ctx);
void *xoi_zap_main(void *arg);

/* Inproc names, which ZeroMQ would let anybody connect to before they are bound. All with the
 * context's lock held, so that a dial meets either a listener that will serve it or none:
 * ECONNREFUSED. Connecting sends the lane's first frame too, so that whoever unbinds finds
 * everybody who has connected by receiving until there is no more. */
int xoi_ctx_bind_inproc(xo_ctx_t *ctx, void *socket, const char *endpoint, xo_error_t *err);
int xoi_ctx_connect_inproc(xo_ctx_t *ctx, void *socket, const char *endpoint, xo_error_t *err);
void xoi_ctx_unbind_inproc(xo_ctx_t *ctx, void *socket, const char *endpoint);

#endif
