/* module-world.c - what the tests of actors in C share. */
#include "t/module-world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *built(const char *name)
{
    static char path[512];
    const char *folder = getenv("XO_BUILDDIR");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : ".", name);
    return path;
}

static int load(xo_host_c_t *host, const char *name)
{
    xo_error_t err;
    if (xo_host_c_load(host, built(name), &err) == 0)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

xo_host_c_t *host_of(const world_t *world)
{
    return world->ops_arg;
}

int module_setup_bare(void **state)
{
    xo_error_t err;
    if (world_setup_bare(state) < 0)
        return -1;
    world_t *world = *state;
    xo_host_c_t *host = xo_host_c_create(NULL, NULL, &err);
    world->ops = xo_host_c_ops();
    world->ops_arg = host;
    return host && load(host, "examples/.libs/counter.so") == 0 &&
                   load(host, "examples/.libs/wordmerge.so") == 0
               ? 0
               : -1;
}

int module_setup(void **state)
{
    if (module_setup_bare(state) < 0)
        return -1;
    world_open(*state);
    return 0;
}

int module_teardown(void **state)
{
    world_t *world = *state;
    xo_host_c_t *host = host_of(world);
    xo_pool_destroy(world->pool);
    world->pool = NULL;
    int rc = world_teardown(state);
    xo_host_c_destroy(host);
    return rc;
}

void expect_text(xo_future_t *future, int errnum, const char *text)
{
    xo_error_t err;
    assert_int_equal(xo_future_wait(future, WAIT_MS, &err), 0);
    assert_int_equal(xo_future_get(future, &err, NULL), -1);
    if (err.errnum != errnum || !strstr(err.text, text))
        fail_msg("%d '%s' has no '%s'", err.errnum, err.text, text);
    xo_future_destroy(future);
}
