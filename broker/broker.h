/* broker.h - the broker of a node: an endpoint that knows its pools, its clients and where actors
 * live, and the actor `xo.broker` whose methods are in doc/wire.md.
 *
 * It is wired from: supervisor (processes), pools and directory (what there is), publish (the
 * registry).
 */
#ifndef XO_BROKER_BROKER_H
#define XO_BROKER_BROKER_H

#include "broker/log.h"
#include "broker/spec.h"
#include "libxo/endpoint.h"

typedef struct xo_broker xo_broker_t;

/* It listens; or `why` not. Once. */
typedef void (*xo_broker_ready_f)(xo_broker_t *broker, const xo_error_t *why, void *arg);

typedef struct xo_broker_options {
    uint64_t node_id;        /* 0: drawn */
    const char *listen;      /* lane endpoint, for example "ipc:///run/.../broker.sock" */
    const char *port;        /* of the node, "host:port" as others dial it; NULL: none */
    const char *bind;        /* what is listened on for it; NULL: the same */
    const char *registry;    /* URL */
    bool shared_registry;    /* other nodes may be in it */
    bool far_registry;       /* ... and those of other machines */
    const char *run_dir;     /* $XO_RUN_DIR for the pools: without the cluster's name */
    const char *dir;         /* where a next broker finds what this one knew; NULL: nowhere */
    bool take_over;          /* what the node's last broker left there goes on */
    xo_broker_ready_f ready; /* of one that takes over; may be NULL */
    pid_t owner;             /* whom the pools must not survive; 0: nobody */
    uint32_t heartbeat_ms;   /* 0: 1000 */
    int64_t hang_ms;         /* as in a pool's spec, for those that say nothing */
    int64_t gpu_free_ms;     /* how long a restart waits for memory of GPUs; 0: not at all */
    int64_t stop_ms;         /* how long groups may take to end when it stops, at most */
    const xo_log_t *log;     /* NULL: silent */
    const char *version;
} xo_broker_options_t;

/* Why it stops ("SIGTERM", "asked by a client"), and that nothing of it runs any more. */
typedef void (*xo_broker_stopped_f)(xo_broker_t *broker, void *arg);

/* Listens at once; the registry comes in parallel. One that takes over waits for the registry
 * first, for 5 s at most, since that knows what creates the actors again. The options' strings must
 * outlive it. */
xo_broker_t *xo_broker_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_broker_options_t *options,
                              xo_broker_stopped_f stopped, void *arg, xo_error_t *err);
/* After it has stopped, or to end all at once: kills what is left. Takes NULL. */
void xo_broker_destroy(xo_broker_t *broker);

/* Starts a pool of the configuration, which is restarted as its policy says from the first start
 * on. */
int xo_broker_start_pool(xo_broker_t *broker, const xo_pool_spec_t *spec, xo_error_t *err);
/* What is the matter with a registry that is the node's own, for a sentence, until it is reached:
 * it cannot be started. */
void xo_broker_registry_away(xo_broker_t *broker, const char *why);
/* The same: it begins empty, though it had held something. */
void xo_broker_registry_lost(xo_broker_t *broker, const char *why);
/* Leaves the actors that may move to other nodes, since this one is to go, as if it died. */
void xo_broker_leave(xo_broker_t *broker);
/* Stops the groups, which have as long as their members' limits say, but stop_ms at most; then the
 * pools, in the reverse order of their start; takes the node out of the registry and calls
 * `stopped`. From the end of the groups on that takes XO_STOP_MS and a little. Idempotent. */
void xo_broker_stop(xo_broker_t *broker, const char *why);
/* The same within XO_STOP_MS and a little in all; also of one that is stopping already. */
void xo_broker_stop_soon(xo_broker_t *broker, const char *why);

#endif
