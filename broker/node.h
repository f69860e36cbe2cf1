/* node.h - one node from start to end: its directory, its registry, its broker, its pools; who owns
 * it, and which signals stop it.
 */
#ifndef XO_BROKER_NODE_H
#define XO_BROKER_NODE_H

#include <sys/types.h>

#include "broker/log.h"
#include "broker/settings.h"

typedef struct xo_node_options {
    const char *cluster;           /* NULL: $XO_CLUSTER, else "default" */
    const char *registry;          /* URL; NULL: one of its own */
    const char *port, *bind;       /* as in xo_broker_options_t */
    const xo_settings_t *settings; /* whose pools are started; NULL: none */
    uint32_t heartbeat_ms;         /* 0: 1000 */
    int64_t hang_ms;               /* as in a pool's spec, for those that say nothing */
    int64_t gpu_free_ms;           /* how long a restart waits for memory of GPUs; 0: not at all */
    int64_t stop_ms;               /* as in xo_broker_options_t */
    const char *config;            /* where the settings are from; NULL: nowhere */
    uint64_t adopt;                /* the node to take over; 0: one that is left, or a new one */
    pid_t owner;                   /* ends when this process is gone; 0: nobody's */
    int ready_fd; /* gets the broker's lane endpoint and a newline, and is closed; -1: none */
    const char *version;
    const xo_log_t *log;
} xo_node_options_t;

/* A node whose broker was killed is taken over by the next one that is nobody's and has the same
 * file of settings, with the pools as they were, or by one of the same owner that is told its id.
 * -1 with ENOENT: there is no node `adopt`.
 *
 * Runs until SIGTERM, SIGINT, SIGHUP, node.stop or the owner's end, then stops all in order. Of an
 * owned node SIGINT is left to the owner, which a terminal sends it to as well. -1: it could not
 * start. */
int xo_node_run(const xo_node_options_t *options, xo_error_t *err);

#endif
