#include "broker/oom_killer.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/cgroup.h"

#define LINE_BYTES (PATH_MAX + 64)

/* The number behind "oom_kill " at the beginning of a line. -1: there is none. */
static int64_t count_in(const char *path)
{
    static const char name[] = "oom_kill ";
    char line[LINE_BYTES];
    int64_t count = -1;
    FILE *file = path[0] != 0 ? fopen(path, "re") : NULL;
    while (file != NULL && count < 0 && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, sizeof(name) - 1) == 0)
            count = strtoll(line + sizeof(name) - 1, NULL, 10);
    if (file != NULL)
        fclose(file);
    return count;
}

__attribute__((format(printf, 2, 3))) static bool set_path(xo_oom_killer_t *killer,
                                                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(killer->path, sizeof(killer->path), format, args);
    va_end(args);
    if (size > 0 && (size_t)size < sizeof(killer->path) && count_in(killer->path) >= 0)
        return true;
    killer->path[0] = 0;
    return false;
}

void xo_oom_killer_init(xo_oom_killer_t *killer, const char *proc, const char *cgroups)
{
    char own[LINE_BYTES];
    *killer = (xo_oom_killer_t){0};
    killer->of_cgroup = (xo_cgroup_own(proc, "", own, sizeof(own)) == 0 &&
                         set_path(killer, "%s%s/memory.events", cgroups, own)) ||
                        (xo_cgroup_own(proc, "memory", own, sizeof(own)) == 0 &&
                         set_path(killer, "%s/memory%s/memory.oom_control", cgroups, own));
    if (!killer->of_cgroup)
        set_path(killer, "%s/vmstat", proc);
    killer->before = killer->now = count_in(killer->path);
}

void xo_oom_killer_tick(xo_oom_killer_t *killer)
{
    killer->before = killer->now;
    killer->now = count_in(killer->path);
}

const char *xo_oom_killer_says(const xo_oom_killer_t *killer)
{
    if (killer->before < 0 || count_in(killer->path) <= killer->before)
        return "";
    return killer->of_cgroup ? ": out of memory"
                             : ", possibly out of memory: the kernel has ended a process for that";
}
