/* bind.h - which processors a pool's threads run on, by hwloc.
 *
 * Pool `index` gets core (or NUMA node) `index` of those that this process may use; with more
 * pools than cores it wraps around, so that pools share cores. ZeroMQ's I/O thread belongs on the
 * same core, on its other hardware thread where there is one: a wake-up across cores costs 20 to 40
 * us.
 */
#ifndef XO_BIND_H
#define XO_BIND_H

#include <stddef.h>

#include "libxo/error.h"

typedef enum { XO_BIND_NONE, XO_BIND_CORE, XO_BIND_NUMA } xo_bind_mode_t;
typedef struct xo_bind xo_bind_t;

xo_bind_t *xo_bind_create(xo_bind_mode_t mode, xo_error_t *err);
void xo_bind_destroy(xo_bind_t *bind); /* takes NULL */

/* How many cores or NUMA nodes there are; 0 for XO_BIND_NONE. */
unsigned xo_bind_places(const xo_bind_t *bind);
/* Binds the calling thread to the place of pool `index`. Safe from several threads. */
int xo_bind_thread(const xo_bind_t *bind, unsigned index, xo_error_t *err);
/* Operating system's numbers of the CPUs for the I/O threads of `pools` pools; returns how many. */
size_t xo_bind_io_cpus(const xo_bind_t *bind, unsigned pools, int *cpus, size_t max);
/* "bound to core 0 (numa 0), I/O on core 0" into text[size]; "" for XO_BIND_NONE. */
void xo_bind_describe(const xo_bind_t *bind, unsigned index, char *text, size_t size);

#endif
