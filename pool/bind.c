/* bind.c - hwloc: places for loop threads and I/O threads. */
#include "pool/bind.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xo_bind {
    xo_bind_mode_t mode;
    hwloc_topology_t topology;
    hwloc_bitmap_t allowed; /* what this process may run on: taskset(1), cpusets */
    hwloc_obj_t *places;    /* cores (hardware threads where no cores are known) or NUMA nodes */
    unsigned count;
};

static int list_places(xo_bind_t *bind, hwloc_obj_type_t type)
{
    int count = hwloc_get_nbobjs_by_type(bind->topology, type);
    hwloc_obj_t place = NULL;
    bind->places = calloc(count > 0 ? (size_t)count : 1, sizeof *bind->places);
    if (!bind->places)
        return -1;
    while ((place = hwloc_get_next_obj_by_type(bind->topology, type, place)))
        if (hwloc_bitmap_intersects(place->cpuset, bind->allowed))
            bind->places[bind->count++] = place;
    return 0;
}

static int find_places(xo_bind_t *bind)
{
    hwloc_obj_type_t type = bind->mode == XO_BIND_NUMA ? HWLOC_OBJ_NUMANODE : HWLOC_OBJ_CORE;
    if (hwloc_get_nbobjs_by_type(bind->topology, type) <= 0)
        type = HWLOC_OBJ_PU;
    return list_places(bind, type);
}

static int load(xo_bind_t *bind, xo_error_t *err)
{
    if (hwloc_topology_init(&bind->topology) < 0 || hwloc_topology_load(bind->topology) < 0)
        return xo_error_set(err, errno, "hwloc cannot tell the processors: %s", strerror(errno));
    bind->allowed = hwloc_bitmap_alloc();
    if (!bind->allowed)
        return xo_error_set(err, ENOMEM, "out of memory");
    if (hwloc_get_cpubind(bind->topology, bind->allowed, HWLOC_CPUBIND_PROCESS) < 0)
        hwloc_bitmap_fill(bind->allowed);
    if (find_places(bind) < 0)
        return xo_error_set(err, ENOMEM, "out of memory");
    return bind->count ? 0 : xo_error_set(err, ENODEV, "hwloc finds no processors to bind to");
}

xo_bind_t *xo_bind_create(xo_bind_mode_t mode, xo_error_t *err)
{
    xo_bind_t *bind = calloc(1, sizeof *bind);
    if (!bind)
        return xo_error_null(err, ENOMEM, "out of memory");
    bind->mode = mode;
    if (mode != XO_BIND_NONE && load(bind, err) < 0) {
        xo_bind_destroy(bind);
        return NULL;
    }
    return bind;
}

void xo_bind_destroy(xo_bind_t *bind)
{
    if (!bind)
        return;
    int saved = errno;
    free(bind->places);
    hwloc_bitmap_free(bind->allowed);
    if (bind->topology)
        hwloc_topology_destroy(bind->topology);
    free(bind);
    errno = saved;
}

unsigned xo_bind_places(const xo_bind_t *bind)
{
    return bind->count;
}

static hwloc_obj_t place_of(const xo_bind_t *bind, unsigned index)
{
    return bind->places[index % bind->count];
}

/* The CPUs of a place that this process may use; NULL: ENOMEM. */
static hwloc_bitmap_t cpus_of(const xo_bind_t *bind, hwloc_obj_t place)
{
    hwloc_bitmap_t set = hwloc_bitmap_dup(place->cpuset);
    if (set)
        hwloc_bitmap_and(set, set, bind->allowed);
    return set;
}

int xo_bind_thread(const xo_bind_t *bind, unsigned index, xo_error_t *err)
{
    if (bind->mode == XO_BIND_NONE)
        return 0;
    hwloc_bitmap_t set = cpus_of(bind, place_of(bind, index));
    if (!set)
        return xo_error_set(err, ENOMEM, "out of memory");
    if (bind->mode == XO_BIND_CORE)
        hwloc_bitmap_singlify(set);
    int rc = hwloc_set_cpubind(bind->topology, set, HWLOC_CPUBIND_THREAD);
    int saved = errno;
    hwloc_bitmap_free(set);
    return rc < 0 ? xo_error_set(err, saved, "cannot bind pool %u: %s", index, strerror(saved)) : 0;
}

/* Of a core the last hardware thread, which is the other one where there are two; of a NUMA node
 * all. */
static size_t add_io_cpus(const xo_bind_t *bind, hwloc_obj_t place, int *cpus, size_t count,
                          size_t max)
{
    int cpu = -1;
    hwloc_bitmap_t set = cpus_of(bind, place);
    if (!set)
        return count;
    if (bind->mode == XO_BIND_CORE)
        cpus[count++] = hwloc_bitmap_last(set);
    else
        while (count < max && (cpu = hwloc_bitmap_next(set, cpu)) >= 0)
            cpus[count++] = cpu;
    hwloc_bitmap_free(set);
    return count;
}

size_t xo_bind_io_cpus(const xo_bind_t *bind, unsigned pools, int *cpus, size_t max)
{
    size_t count = 0;
    unsigned places = pools < bind->count ? pools : bind->count;
    for (unsigned i = 0; i < places && count < max; i++)
        count = add_io_cpus(bind, place_of(bind, i), cpus, count, max);
    return count;
}

static unsigned numa_of(const xo_bind_t *bind, hwloc_obj_t place)
{
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(bind->topology, HWLOC_OBJ_NUMANODE, node)))
        if (hwloc_bitmap_intersects(node->cpuset, place->cpuset))
            return node->logical_index;
    return 0;
}

void xo_bind_describe(const xo_bind_t *bind, unsigned index, char *text, size_t size)
{
    text[0] = '\0';
    if (bind->mode == XO_BIND_NONE)
        return;
    hwloc_obj_t place = place_of(bind, index);
    unsigned number = place->logical_index;
    if (bind->mode == XO_BIND_NUMA)
        snprintf(text, size, "bound to numa %u, I/O on numa %u", number, number);
    else
        snprintf(text, size, "bound to core %u (numa %u), I/O on core %u", number,
                 numa_of(bind, place), number);
}
