/* scratch.h - a throwaway run directory and config directory for one test, removed afterwards. */
#ifndef T_SCRATCH_H
#define T_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scratch {
    char path[64];
} scratch_t;

static inline void scratch_enter(scratch_t *scratch)
{
    char config[96];
    char run[96];
    snprintf(scratch->path, sizeof scratch->path, "/tmp/xo-test-XXXXXX");
    if (!mkdtemp(scratch->path))
        abort();
    snprintf(config, sizeof config, "%s/config", scratch->path);
    snprintf(run, sizeof run, "%s/run", scratch->path);
    mkdir(config, 0700);
    setenv("XO_CONFIG_DIR", config, 1);
    setenv("XO_RUN_DIR", run, 1);
    unsetenv("XO_NODE");
    unsetenv("XO_CLUSTER");
}

static inline void scratch_leave(scratch_t *scratch)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch->path);
    if (system(command) != 0)
        fprintf(stderr, "# cannot remove %s\n", scratch->path);
}

#endif
