/* host_c.h - hosts actors written in C: classes from modules (module.h), for a pool.
 *
 * A host serves one pool. Modules are loaded with dlopen and stay loaded until the host goes;
 * several hosts (one per thread) may load the same module.
 */
#ifndef XO_HOST_C_H
#define XO_HOST_C_H

#include "pool/module.h"

typedef struct xo_host_c xo_host_c_t;

/* `stop` (may be NULL) is called when the broker or the owner's end asks the pool to end. */
xo_host_c_t *xo_host_c_create(void (*stop)(void *arg), void *arg, xo_error_t *err);
void xo_host_c_destroy(xo_host_c_t *host); /* after its pool; takes NULL */

/* For xo_pool_create, with the host as its `host`. */
const xo_host_ops_t *xo_host_c_ops(void);

/* Loads the module `file`: that path, with ".so" added if need be; a name without '/' is also
 * looked up in the folders of $XO_MODULE_PATH (separated by ':') and in the one of the
 * installation. ENOENT, ELIBBAD (does not load; why), ENOEXEC (no module, or of another ABI); all
 * name the file. */
int xo_host_c_load(xo_host_c_t *host, const char *file, xo_error_t *err);
/* Adds a module that is linked in. EINVAL: its tables are not in order; EEXIST: a class of that
 * name is there. */
int xo_host_c_add(xo_host_c_t *host, const xo_module_t *module, const char *file, xo_error_t *err);

/* Calls `each` for every class, in the order of loading. */
void xo_host_c_list(const xo_host_c_t *host,
                    void (*each)(const xo_module_t *module, const xo_class_t *class_, void *arg),
                    void *arg);

#endif
