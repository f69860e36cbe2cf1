/* launch.h - starts the process of a pool, or one that waits to become one, and reads what it said
 * last when it failed.
 */
#ifndef XO_BROKER_LAUNCH_H
#define XO_BROKER_LAUNCH_H

#include "broker/supervisor_impl.h"

/* Starts the spec's command with the environment that xo_pool_options_from_env reads (pool/pool.h),
 * or has the spare become it. */
xo_process_t *xo_launch(xo_run_t *run, xo_error_t *err);
/* Starts the spec's command to wait for that environment on its standard input (spare.h), with
 * `id` for a pool's. */
xo_process_t *xo_launch_spare(xo_supervisor_t *supervisor, const xo_pool_spec_t *spec, uint64_t id,
                              int input, xo_process_ended_f ended, xo_error_t *err);

/* Takes what its process, which has ended, has written into $XO_POOL_WHY (pool/pool.h); "" if
 * nothing. */
void xo_run_take_why(const xo_run_t *run, char *text, size_t size);
/* The last line that is not empty in what `path` has after `offset`, at most size - 1 bytes of its
 * end; "" if none. */
void xo_last_line(const char *path, off_t offset, char *text, size_t size);
off_t xo_file_size(const char *path); /* 0: not there */

#endif
