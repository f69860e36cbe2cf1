/* bind.c - hwloc: places for loop threads and I/O threads. */
#include "pool/bind.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only what this process may run on (taskset, cpusets) counts; older hwloc sees cpusets alone. */
#if HWLOC_API_VERSION >= 0x00020500
#define TOPOLOGY_FLAGS                                                                             \
    (HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING | HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM)
#else
#define TOPOLOGY_FLAGS 0
#endif

struct xo_bind {
    xo_bind_mode_t mode;
    hwloc_topology_t topology;
    hwloc_obj_type_t type; /* of a place: core (PU where no cores are known) or NUMA node */
    unsigned places;
};

static void count_places(xo_bind_t *bind)
{
    bind->type = bind->mode == XO_BIND_NUMA ? HWLOC_OBJ_NUMANODE : HWLOC_OBJ_CORE;
    int count = hwloc_get_nbobjs_by_type(bind->topology, bind->type);
    if (count <= 0) {
        bind->type = HWLOC_OBJ_PU;
        count = hwloc_get_nbobjs_by_type(bind->topology, bind->type);
    }
    bind->places = count > 0 ? (unsigned)count : 0;
}

static int load(xo_bind_t *bind, xo_error_t *err)
{
    if (hwloc_topology_init(&bind->topology) < 0)
        return xo_error_set(err, errno, "hwloc: %s", strerror(errno));
    if (hwloc_topology_set_flags(bind->topology, TOPOLOGY_FLAGS) < 0 ||
        hwloc_topology_load(bind->topology) < 0)
        return xo_error_set(err, errno, "hwloc cannot tell the processors: %s", strerror(errno));
    count_places(bind);
    return bind->places ? 0 : xo_error_set(err, ENODEV, "hwloc finds no processors to bind to");
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
    if (bind->topology)
        hwloc_topology_destroy(bind->topology);
    free(bind);
    errno = saved;
}

unsigned xo_bind_places(const xo_bind_t *bind)
{
    return bind->places;
}

static hwloc_obj_t place_of(const xo_bind_t *bind, unsigned index)
{
    return hwloc_get_obj_by_type(bind->topology, bind->type, index % bind->places);
}

int xo_bind_thread(const xo_bind_t *bind, unsigned index, xo_error_t *err)
{
    if (bind->mode == XO_BIND_NONE)
        return 0;
    hwloc_cpuset_t set = hwloc_bitmap_dup(place_of(bind, index)->cpuset);
    if (!set)
        return xo_error_set(err, ENOMEM, "out of memory");
    if (bind->mode == XO_BIND_CORE)
        hwloc_bitmap_singlify(set);
    int rc = hwloc_set_cpubind(bind->topology, set, HWLOC_CPUBIND_THREAD);
    int saved = errno;
    hwloc_bitmap_free(set);
    return rc < 0 ? xo_error_set(err, saved, "cannot bind pool %u: %s", index, strerror(saved)) : 0;
}

/* The last hardware thread of the core: the other one where there are two. */
static size_t add_io_cpus(const xo_bind_t *bind, hwloc_obj_t place, int *cpus, size_t count,
                          size_t max)
{
    if (bind->mode == XO_BIND_CORE) {
        cpus[count] = hwloc_bitmap_last(place->cpuset);
        return count + 1;
    }
    int cpu;
    hwloc_bitmap_foreach_begin(cpu, place->cpuset) if (count < max) cpus[count++] = cpu;
    hwloc_bitmap_foreach_end();
    return count;
}

size_t xo_bind_io_cpus(const xo_bind_t *bind, unsigned pools, int *cpus, size_t max)
{
    size_t count = 0;
    unsigned places = pools < bind->places ? pools : bind->places;
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
