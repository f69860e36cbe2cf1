/* launch.h - starts the process of a pool, and reads what it said last when it failed.
 */
#ifndef XO_BROKER_LAUNCH_H
#define XO_BROKER_LAUNCH_H

#include "broker/pools.h"
#include "broker/process.h"
#include "broker/spec.h"
#include "broker/supervisor.h"

/* Starts the spec's command with the environment that xo_pool_options_from_env reads (pool/pool.h).
 * `cgroup`: see xo_process_spawn. */
xo_process_t *xo_launch(xo_loop_t *loop, const xo_pool_spec_t *spec, const xo_member_t *member,
                        const xo_supervisor_options_t *options, uint64_t node_id, int cgroup,
                        xo_process_ended_f ended, void *arg, xo_error_t *err);

/* The last line that is not empty in what `path` has after `offset`, at most size - 1 bytes of its
 * end; "" if none. */
void xo_last_line(const char *path, off_t offset, char *text, size_t size);
off_t xo_file_size(const char *path); /* 0: not there */

#endif
