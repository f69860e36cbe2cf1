/* pool.c - what a call from one C actor to another costs: in one pool, and between the pools of two
 * processes of a node, over each lane: shared memory (c_node; c_bound: each end bound to a core of
 * its own), ipc, and tcp, which is encrypted.
 *
 * Prints one JSON object (out.h). The callee of all but the first part is a child process. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench/out.h"
#include "bench/station.h"

#define WARM_UP 1000
#define ROUND_TRIPS 20000
#define PIPELINED 200000
#define WINDOW 64
#define ONE_WAY 200000
#define BULK_BYTES ((size_t)64 << 20)
#define BULK_CALLS 8
#define ACTORS 100000

static void bench_calls(station_t *station, const char *name, const char *address)
{
    const char *caller = station_address(station);
    job_t job = {"latency", address, 0, WARM_UP, 1};
    station_measure(station, caller, &job);
    xob_hist_clear(station_times(station));
    job.count = ROUND_TRIPS;
    station_measure(station, caller, &job);
    xob_hist(station_times(station), "%s_call_us", name);
    job = (job_t){"pipelined", address, 0, PIPELINED, WINDOW};
    xob_number(PIPELINED / station_measure(station, caller, &job), "%s_calls_per_s", name);
    job = (job_t){"tells", address, 0, ONE_WAY, 1};
    xob_number(ONE_WAY / station_measure(station, caller, &job), "%s_tells_per_s", name);
}

static void bench_bulk(station_t *station, const char *name, const char *address)
{
    char *data = malloc(BULK_BYTES);
    xo_link_t *link = xo_endpoint_link(station_endpoint(station), address, NULL);
    if (!data || !link)
        xob_die("bulk", "no memory or no link");
    memset(data, 1, BULK_BYTES);
    bulk_call(station, link, "echo", data, BULK_BYTES);
    int64_t start = xob_now_ns();
    for (int i = 0; i < BULK_CALLS; i++)
        bulk_call(station, link, "echo", data, BULK_BYTES);
    double seconds = (double)(xob_now_ns() - start) / 1e9;
    xob_number(BULK_CALLS * 64 / 1024.0 / seconds, "%s_64mib_gib_s", name);
    free(data);
}

/* In a fresh process, where no freed memory is left that actors would move into. */
static void bench_actors(void)
{
    station_t station = {0};
    station_open(&station, ALL_LANES, NULL);
    size_t before = xob_resident_bytes();
    int64_t start = xob_now_ns();
    station_create_many(&station, 0, ACTORS);
    xob_number(ACTORS / ((double)(xob_now_ns() - start) / 1e9), "c_pool_creations_per_s");
    xob_number((double)(xob_resident_bytes() - before) / ACTORS, "c_pool_actor_bytes");
    station_close(&station);
}

static void bench_pool(void)
{
    station_t station = {0};
    station_open(&station, ALL_LANES, NULL);
    bench_calls(&station, "c_pool", station_address(&station));
    station_close(&station);
}

static void bench_node(const char *name, const char *lanes, const char *address)
{
    station_t station = {0};
    station_open(&station, lanes, NULL);
    bench_calls(&station, name, address);
    bench_bulk(&station, name, address);
    station_close(&station);
}

/* Both loops as xo-pool --bind core has them. */
static void bench_bound(const child_t *child)
{
    cpu_set_t all;
    if (sched_getaffinity(0, sizeof all, &all) < 0 || CPU_COUNT(&all) < 2)
        return;
    xob_bind(child->pid, 1);
    xob_bind(0, 0);
    bench_node("c_bound", ALL_LANES, child->address);
    sched_setaffinity(0, sizeof all, &all);
    sched_setaffinity(child->pid, sizeof all, &all);
}

int main(void)
{
    child_t child;
    char folder[sizeof XOB_FOLDER];
    xob_scratch_enter(folder);
    child_start(&child, ALL_LANES, NULL);
    xob_open();
    bench_actors();
    bench_pool();
    bench_node("c_node", ALL_LANES, child.address);
    bench_bound(&child);
    bench_node("c_ipc", "ipc,tcp", child.address);
    bench_node("c_tcp", "tcp", child.address);
    xob_close();
    child_stop(&child);
    xob_scratch_leave(folder);
    return 0;
}
