/* module-world.h - the world of pool-world.h with the host for actors in C, and the example
 * modules. */
#ifndef XO_T_MODULE_WORLD_H
#define XO_T_MODULE_WORLD_H

#include "pool/host_c.h"
#include "t/pool-world.h"

/* cmocka set-ups: without the pool, so that the test can add modules; and with it. */
int module_setup_bare(void **state);
int module_setup(void **state);
int module_teardown(void **state);

xo_host_c_t *host_of(const world_t *world);
/* A file of the build tree. */
const char *built(const char *name);
/* Waits for an error with this errno, whose sentence holds `text`. */
void expect_text(xo_future_t *future, int errnum, const char *text);

/* Creates an actor of a class with these arguments (pack.h); a future. */
#define make(world, class_name, uid, ...)                                                          \
    xo_create_actor((world)->client, NULL, xo_pool_address((world)->pool), class_name, uid,        \
                    __VA_ARGS__)

#endif
