/* actors.h - the actors that are measured, in C: a module with the classes Echo and Caller.
 */
#ifndef BENCH_ACTORS_H
#define BENCH_ACTORS_H

#include "bench/hist.h"
#include "pool/host_c.h"

extern const xo_module_t bench_module;
/* The times of its calls, of a Caller's object. */
xob_hist_t *caller_times(void *caller);

#endif
