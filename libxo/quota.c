/* quota.c - limits of bandwidth of the control groups that a process is in. */
#include "libxo/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Reads the beginning of a file, as text; "" where there is none. */
static void read_text(const char *folder, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    ssize_t n = -1;
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = length < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
}

static bool is_below(const char *folder, int cpus)
{
    char text[64], period_text[64];
    long long quota, period;

    read_text(folder, "cpu.max", text, sizeof text); /* "max 100000" or "50000 100000" */
    if (sscanf(text, "%lld %lld", &quota, &period) == 2)
        return quota < cpus * period;
    read_text(folder, "cpu.cfs_quota_us", text, sizeof text); /* -1: no limit */
    read_text(folder, "cpu.cfs_period_us", period_text, sizeof period_text);
    return sscanf(text, "%lld", &quota) == 1 && sscanf(period_text, "%lld", &period) == 1 &&
           quota >= 0 && quota < cpus * period;
}

/* The group's folder and all above it, which its path may lie beyond: a container sees its own
 * group as the topmost one, and not all name it so. */
static bool any_is_below(const char *mount, const char *group, int cpus)
{
    char folder[PATH_MAX];
    size_t top = strlen(mount);

    if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder)
        return false;
    for (;;) {
        if (is_below(folder, cpus))
            return true;
        if (strlen(folder) <= top)
            return false;
        *strrchr(folder, '/') = '\0';
    }
}

/* "0::/group" of version 2, "4:cpu,cpuacct:/group" of version 1. */
static bool line_is_below(char *line, const char *mount, int cpus)
{
    char v1[PATH_MAX];
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!group || group[1] != '/')
        return false;
    *group++ = '\0';
    if (strcmp(controllers, ":") == 0)
        return any_is_below(mount, group, cpus);
    if (strstr(controllers, ":cpu,") != controllers && strcmp(controllers, ":cpu") != 0 &&
        strcmp(controllers, ":cpuacct,cpu") != 0)
        return false;
    snprintf(v1, sizeof v1, "%s/cpu", mount);
    return any_is_below(v1, group, cpus);
}

bool xoi_quota_is_below(const char *groups, const char *mount, int cpus)
{
    char text[4096];
    int saved = errno;
    bool below = false;

    read_text("", groups, text, sizeof text);
    for (char *rest = text, *line; !below && (line = strsep(&rest, "\n"));)
        below = line_is_below(line, mount, cpus);
    errno = saved;
    return below;
}
