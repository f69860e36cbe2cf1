/* registry-checks.c - see registry-checks.h. */
#include "t/registry-checks.h"

#include <stdio.h>
#include <stdlib.h>

static int open_memory(void **state)
{
    probe_t *probe = calloc(1, sizeof(*probe));
    *state = probe;
    probe->server.listener = -1;
    return probe_open(probe, "memory:", "test");
}

static int open_redis(void **state)
{
    if (probe_set_up(state) < 0)
        return -1;
    probe_open_on(*state, NULL);
    return 0;
}

int registry_run_checks(const check_t *checks, size_t count)
{
    char names[2 * count][80];
    struct CMUnitTest tests[2 * count];
    bool redis = server_installed();
    for (size_t i = 0; i < 2 * count; i++) {
        const check_t *check = &checks[i % count];
        snprintf(names[i], sizeof(names[i]), "%s: %s", i < count ? "memory" : "redis", check->name);
        tests[i] = (struct CMUnitTest){names[i], check->function,
                                       i < count ? open_memory : open_redis, probe_tear_down, NULL};
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    if (!redis)
        printf("# redis-server is not installed: the half that runs against it is left out\n");
    return _cmocka_run_group_tests("registry", tests, redis ? 2 * count : count, NULL, NULL);
}
