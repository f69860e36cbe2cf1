/* count.c - operations of which the instructions, or the best time, are compared from one version
 * to the next: everything runs in one process and one thread, so that hardly anything depends on
 * what else the machine does.
 *
 * `count once` does each kind some thousand times, for callgrind --dump-before=getloadavg, and
 * prints how often; `count ROUNDS` does all kinds in turn and prints the nanoseconds that each
 * takes in its best round, `count ROUNDS KIND` only that one, for a profile of it. One JSON object
 * (out.h). bench/ratios.py runs both. Kinds that begin with "floor_" are what the others are held
 * against. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bench/out.h"
#include "bench/station.h"

#define BULK_BYTES ((size_t)4 << 20)

typedef struct world {
    station_t near, far; /* far: in this process, but reached through shared memory */
    void *a, *b;         /* two sockets of ZeroMQ, by inproc */
    xo_link_t *link;     /* from near to far */
    char *from, *to;
    int created;
} world_t;

/* ---- floors ---- */

/* A message of 64 bytes there and back. */
static void floor_zmq(world_t *world, int count)
{
    char buffer[64] = {0};
    for (int i = 0; i < count; i++)
        if (zmq_send(world->a, buffer, sizeof buffer, 0) < 0 ||
            zmq_recv(world->b, buffer, sizeof buffer, 0) < 0 ||
            zmq_send(world->b, buffer, sizeof buffer, 0) < 0 ||
            zmq_recv(world->a, buffer, sizeof buffer, 0) < 0)
            xob_die("zmq", "failed");
}

static void floor_memcpy(world_t *world, int count)
{
    for (int i = 0; i < count; i++) {
        memcpy(world->to, world->from, BULK_BYTES);
        __asm__ volatile("" : : "r"(world->to) : "memory");
    }
}

/* ---- ours ---- */

static void work(world_t *world, const char *method, const char *address, int count, int window)
{
    const job_t job = {method, address, 0, count, window};
    station_measure(&world->near, station_address(&world->near), &job);
}

static void pool_call(world_t *world, int count)
{
    work(world, "pipelined", station_address(&world->near), count, 1);
}

static void pool_calls(world_t *world, int count)
{
    work(world, "pipelined", station_address(&world->near), count, 64);
}

static void pool_tell(world_t *world, int count)
{
    work(world, "tells", station_address(&world->near), count, 1);
}

static void pool_create(world_t *world, int count)
{
    station_create_many(&world->near, world->created, count);
    world->created += count;
}

static void shm_call(world_t *world, int count)
{
    work(world, "pipelined", station_address(&world->far), count, 1);
}

static void shm_calls(world_t *world, int count)
{
    work(world, "pipelined", station_address(&world->far), count, 64);
}

static void shm_tell(world_t *world, int count)
{
    work(world, "tells", station_address(&world->far), count, 1);
}

static void shm_bulk(world_t *world, int count)
{
    for (int i = 0; i < count; i++)
        bulk_call(&world->near, world->link, "echo", world->from, BULK_BYTES);
}

typedef struct kind {
    const char *name;
    void (*run)(world_t *world, int count);
    int count; /* in a round: some milliseconds */
} kind_t;

static const kind_t kinds[] = {
    {"floor_zmq", floor_zmq, 5000}, {"floor_memcpy", floor_memcpy, 4},
    {"pool_call", pool_call, 5000}, {"pool_calls", pool_calls, 5000},
    {"pool_tell", pool_tell, 5000}, {"pool_create", pool_create, 2000},
    {"shm_call", shm_call, 2000},   {"shm_calls", shm_calls, 5000},
    {"shm_tell", shm_tell, 5000},   {"shm_bulk", shm_bulk, 4},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static char *bytes(int value)
{
    char *data = malloc(BULK_BYTES);
    if (!data)
        xob_die("memory", "there is none");
    return memset(data, value, BULK_BYTES);
}

static void open_world(world_t *world)
{
    void *context = zmq_ctx_new();
    world->a = zmq_socket(context, ZMQ_PAIR);
    world->b = zmq_socket(context, ZMQ_PAIR);
    if (zmq_bind(world->a, "inproc://a") < 0 || zmq_connect(world->b, "inproc://a") < 0)
        xob_die("zmq", "inproc");
    world->from = bytes(1);
    world->to = bytes(2);
    station_open(&world->near, ALL_LANES, NULL);
    world->far.loop = world->near.loop;
    station_open(&world->far, ALL_LANES, NULL);
    world->link =
        xo_endpoint_link(station_endpoint(&world->near), station_address(&world->far), NULL);
    for (int i = 0; i < KINDS; i++) /* links are open, memory has been got */
        kinds[i].run(world, 2);
    if (strcmp(xo_link_scheme(world->link), "shm") != 0)
        xob_die("shared memory", "is not used");
}

/* What callgrind counted since the last time is written now. */
static void mark(void)
{
    double load;
    if (getloadavg(&load, 1) < 0)
        xob_die("getloadavg", "failed");
}

static void once(world_t *world)
{
    for (int i = 0; i < KINDS; i++) {
        mark();
        kinds[i].run(world, kinds[i].count);
        mark();
        xob_number(kinds[i].count, "%s", kinds[i].name);
    }
}

/* `only`: NULL: all of them. */
static void best_of(world_t *world, int rounds, const char *only)
{
    double best[KINDS] = {0};
    for (int i = 0; i < rounds * KINDS; i++) {
        const kind_t *kind = &kinds[i % KINDS];
        if (only && strcmp(only, kind->name) != 0)
            continue;
        int64_t start = xob_now_ns();
        kind->run(world, kind->count);
        double each = (double)(xob_now_ns() - start) / kind->count;
        if (i < KINDS || each < best[i % KINDS])
            best[i % KINDS] = each;
    }
    for (int i = 0; i < KINDS; i++)
        if (best[i] > 0)
            xob_number(best[i], "%s", kinds[i].name);
}

int main(int argc, char **argv)
{
    static world_t world;
    char folder[sizeof XOB_FOLDER];
    if (argc < 2 || argc > 3)
        xob_die("usage", "count once, or count ROUNDS [KIND]");
    xob_scratch_enter(folder);
    open_world(&world);
    xob_open();
    if (strcmp(argv[1], "once") == 0)
        once(&world);
    else
        best_of(&world, atoi(argv[1]), argv[2]);
    xob_close();
    xob_scratch_leave(folder);
    return 0;
}
