/* whereabouts.c - what a pool's process has and where it runs: GPUs, NUMA node. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

#define LINE_BYTES 4096

/* How many of the CPUs are in a list as in sysfs: "0-3,8-11". */
static int count_in(const char *list, const cpu_set_t *cpus)
{
    int count = 0;
    while (*list >= '0' && *list <= '9') {
        char *end;
        long first = strtol(list, &end, 10);
        long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        for (long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
            count += CPU_ISSET((size_t)cpu, cpus) != 0;
        list = *end == ',' ? end + 1 : end;
    }
    return count;
}

static bool is_within(unsigned node, const cpu_set_t *cpus)
{
    char path[64];
    char line[LINE_BYTES] = "";
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpulist", node);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    return got && count_in(line, cpus) == CPU_COUNT(cpus);
}

static int numa_node(void)
{
    cpu_set_t cpus;
    unsigned node;
    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0 || getcpu(NULL, &node) < 0)
        return -1;
    return is_within(node, &cpus) ? (int)node : -1;
}

void xoi_find_whereabouts(xoi_whereabouts_t *out)
{
    const char *gpus = getenv("CUDA_VISIBLE_DEVICES");
    out->numa = numa_node();
    snprintf(out->gpus, sizeof out->gpus, "%s", gpus ? gpus : "");
}
