/* station.h - pools with an Echo and a Caller, the actors that bench/pool and bench/scale measure
 * with, in this process and in children of it.
 */
#ifndef BENCH_STATION_H
#define BENCH_STATION_H

#include <sys/types.h>

#include "bench/hist.h"
#include "pool/host_c.h"

#define ALL_LANES "shm,ipc,tcp"
#define WAIT_MS 300000

typedef struct station {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    xo_host_c_t *host;
    xo_pool_t *pool;
} station_t;

/* A pool with the actors "echo" and "caller". `lanes`: what XO_LANES allows it (NULL: as it is).
 * `broker`: the lane endpoint of the broker that it joins, or NULL. `station->loop`: NULL, or that
 * of another station. Exits on failure. */
void station_open(station_t *station, const char *lanes, const char *broker);
void station_close(station_t *station);
const char *station_address(const station_t *station);
/* Creates an actor in it and waits until it is there. */
void station_create(station_t *station, const char *class_name, const char *uid);
/* The same in another pool. */
void station_create_at(station_t *station, const char *address, const char *class_name,
                       const char *uid);
/* Creates Echo actors "a0" to "aN-1", many at a time. */
void station_create_many(station_t *station, int first, int count);
xo_endpoint_t *station_endpoint(station_t *station);

/* A station in a process of its own, which ends when this one does. */
typedef struct child {
    pid_t pid;
    char address[XO_ADDRESS_BYTES];
    uint64_t endpoint_id;
} child_t;

void child_start(child_t *child, const char *lanes, const char *broker);
void child_stop(child_t *child);

/* What a Caller does. */
typedef struct job {
    const char *method;  /* "latency" records each call, "pipelined" none, "tells" */
    const char *address; /* of the actor called */
    int targets;         /* 0: calls "echo"; N: one of "a0" to "aN-1" each time, at random */
    int count;           /* calls */
    int window;          /* calls under way at a time */
} job_t;

/* Has the caller at `caller` (an address) do the job; the seconds that it took. */
double station_measure(station_t *station, const char *caller, const job_t *job);
/* The same begun: many callers may work at the same time. */
xo_future_t *station_begin(station_t *station, const char *caller, const job_t *job);
double station_end(xo_future_t *future);
/* The times of this station's own caller since the last clear. */
xob_hist_t *station_times(station_t *station);

/* One call of the Echo actor `uid` behind `link`, made by the endpoint itself and waited for, with
 * `size` bytes that are the argument of its method `size`. */
void bulk_call(station_t *station, xo_link_t *link, const char *uid, void *data, size_t size);

typedef struct bulk_outcome {
    bool done;
    int64_t size;
} bulk_outcome_t;

/* The same without waiting: the loop sets `done`. */
void bulk_begin(station_t *station, xo_link_t *link, const char *uid, void *data, size_t size,
                bulk_outcome_t *outcome);

#endif
