/* command.h - the command of a [pool NAME]: "python", "xo-pool", or any other that becomes a pool.
 */
#ifndef XO_BROKER_COMMAND_H
#define XO_BROKER_COMMAND_H

#include "broker/spec.h"

/* Sets the spec's argv. `command` is split into words as a shell does (wordexp(3), without command
 * substitution): "python" alone is $PYTHON, else python3, -m xoscar.pool; "xo-pool [OPTION...]" the
 * xo-pool beside this program, else the one on PATH; "ARGV..." anything else. `modules` (words, or
 * NULL) are given to the first two with --module. EINVAL. */
int xo_command_set(xo_pool_spec_t *spec, const char *command, const char *modules, xo_error_t *err);

/* How many pools a process with the spec's argv runs, each at a port of its own: xo-pool's --pools;
 * 1 for what is no xo-pool, or names no number. */
int xo_command_pools(const xo_pool_spec_t *spec);

#endif
