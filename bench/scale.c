/* scale.c - whether the cost of a call grows with the number of pools, actors and clients, and how
 * bulk data goes with its size.
 *
 * `scale pools|actors|clients|sizes [MAX|--quick]` prints one JSON object (out.h) with points of a
 * curve, up to MAX. What there is no memory for is left out, with a word on standard error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/out.h"
#include "bench/station.h"

#define MIB ((size_t)1 << 20)

/* ---- pools: each calls the next, all at the same time ---- */

enum { POOLS_MAX = 64, POOL_CALLS = 200000, POOL_WINDOW = 64 };

static void bench_pools(station_t *station, const child_t *children, int count)
{
    int calls = POOL_CALLS / count;
    xo_future_t *futures[POOLS_MAX];
    for (int pass = 0; pass < 2; pass++) { /* the first opens the links */
        int64_t start = xob_now_ns();
        for (int i = 0; i < count; i++) {
            job_t job = {"pipelined", children[(i + 1) % count].address, 0,
                         pass ? calls : POOL_WINDOW, POOL_WINDOW};
            futures[i] = station_begin(station, children[i].address, &job);
        }
        for (int i = 0; i < count; i++)
            station_end(futures[i]);
        if (pass)
            xob_number((double)calls * count / ((double)(xob_now_ns() - start) / 1e9),
                       "pools_calls_per_s@%d", count);
    }
}

static void scale_pools(size_t max)
{
    static child_t children[POOLS_MAX];
    station_t station = {0};
    int started = 0;
    for (; started < (int)max; started++)
        child_start(&children[started], NULL, NULL);
    station_open(&station, NULL, NULL);
    for (int count = 1; count <= started; count *= 2)
        bench_pools(&station, children, count);
    station_close(&station);
    while (started)
        child_stop(&children[--started]);
}

/* ---- actors in a pool: creating the next tenfold, and calling any of them ---- */

enum { ACTORS_MAX = 1000000, ACTOR_CALLS = 50000, HOT = 64, ACTOR_BYTES_LIMIT = 1500 };

static void call_actors(station_t *station, const char *name, int targets, int count)
{
    const char *address = station_address(station);
    job_t job = {"latency", address, targets, ACTOR_CALLS, 1};
    xob_hist_clear(station_times(station));
    station_measure(station, address, &job);
    xob_hist(station_times(station), "actors_%s_us@%d", name, count);
}

static void scale_actors(size_t max)
{
    station_t station = {0};
    station_open(&station, NULL, NULL);
    size_t before = xob_resident_bytes();
    int there = 0;
    for (int count = 1; count <= (int)max; count *= 10) {
        if (!xob_room((size_t)count * ACTOR_BYTES_LIMIT, "1 actor in each place"))
            break;
        int64_t start = xob_now_ns();
        station_create_many(&station, there, count - there);
        double seconds = (double)(xob_now_ns() - start) / 1e9;
        xob_number((count - there) / seconds, "actors_creations_per_s@%d", count);
        if (count >= 10000) /* below, pages and pools of memory hide it */
            xob_number((double)(xob_resident_bytes() - before) / count, "actors_bytes@%d", count);
        there = count;
        call_actors(&station, "call_any", count, count);
        call_actors(&station, "call_same_few", count < HOT ? count : HOT, count);
    }
    station_close(&station);
}

/* ---- clients: each an endpoint with a link of its own, one call under way each ---- */

enum { CLIENTS_MAX = 1000, CLIENT_CALLS = 100000 };

typedef struct client {
    xo_endpoint_t *endpoint;
    xo_link_t *link;
    int64_t call_ns;
} client_t;

typedef struct crowd {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    client_t clients[CLIENTS_MAX];
    int left, under_way;
    xob_hist_t times;
} crowd_t;

typedef struct turn {
    crowd_t *crowd;
    client_t *client;
} turn_t;

static void client_call(turn_t *turn);

static void client_answered(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    turn_t *turn = arg;
    crowd_t *crowd = turn->crowd;
    if (!*answer || xo_msg_header(*answer)->kind != XO_RESULT)
        xob_die("clients", "a call failed");
    xob_hist_record(&crowd->times, xob_now_ns() - turn->client->call_ns);
    crowd->under_way--;
    if (crowd->left)
        client_call(turn);
}

static void client_call(turn_t *turn)
{
    xo_error_t err;
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str("echo"), .method = xo_slice_str("echo")};
    xo_pack_format(&body, "[[i] {}]", 1);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    turn->client->call_ns = xob_now_ns();
    turn->crowd->left--;
    turn->crowd->under_way++;
    if (!msg || !xo_endpoint_call(turn->client->endpoint, turn->client->link, &msg, XO_SEND_QUEUE,
                                  0, client_answered, turn, &err))
        xob_die("clients", "a call cannot be sent");
    xo_buf_free(&body);
}

static void crowd_run(crowd_t *crowd, turn_t *turns, int count, int calls)
{
    xob_hist_clear(&crowd->times);
    crowd->left = calls;
    for (int i = 0; i < count && crowd->left; i++)
        client_call(&turns[i]);
    while (crowd->under_way)
        xo_loop_once(crowd->loop, -1);
}

static void request_destroy(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)endpoint;
    (void)from;
    (void)arg;
    xo_msg_destroy(msg);
}

static void client_open(crowd_t *crowd, client_t *client, const char *address)
{
    xo_error_t err;
    static const xo_endpoint_ops_t ops = {.request = request_destroy};
    const xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    client->endpoint = xo_endpoint_create(crowd->ctx, crowd->loop, &self, &ops, NULL, NULL, &err);
    client->link = client->endpoint ? xo_endpoint_link(client->endpoint, address, &err) : NULL;
    if (!client->link)
        xob_die("clients", err.text);
}

static void scale_clients(size_t max)
{
    xo_error_t err;
    child_t child;
    static crowd_t crowd;
    static turn_t turns[CLIENTS_MAX];
    int there = 0;
    child_start(&child, NULL, NULL);
    crowd.ctx = xo_ctx_create("bench", &err);
    crowd.loop = xo_loop_create(&err);
    if (!crowd.ctx || !crowd.loop)
        xob_die("clients", err.text);
    for (int count = 1; count <= (int)max; count *= 10) {
        for (; there < count; there++) {
            client_open(&crowd, &crowd.clients[there], child.address);
            turns[there] = (turn_t){&crowd, &crowd.clients[there]};
        }
        crowd_run(&crowd, turns, count, count * 2); /* all links are open then */
        int64_t start = xob_now_ns();
        crowd_run(&crowd, turns, count, CLIENT_CALLS);
        double seconds = (double)(xob_now_ns() - start) / 1e9;
        xob_number(CLIENT_CALLS / seconds, "clients_calls_per_s@%d", count);
        xob_hist(&crowd.times, "clients_call_us@%d", count);
    }
    while (there)
        xo_endpoint_destroy(crowd.clients[--there].endpoint);
    xo_loop_destroy(crowd.loop);
    xo_ctx_destroy(crowd.ctx);
    child_stop(&child);
}

/* ---- sizes: one call with so many bytes, to another process, beside one memcpy ---- */

/* Each of `count` copies, after one that touches the memory for the first time. */
static double copy_seconds(char *to, const char *from, size_t size, int count)
{
    int64_t start = 0;
    for (int i = 0; i <= count; i++) {
        memcpy(to, from, size);
        __asm__ volatile("" : : "r"(to) : "memory");
        start = i ? start : xob_now_ns();
    }
    return (double)(xob_now_ns() - start) / 1e9;
}

static void bench_size(station_t *station, xo_link_t *link, char *data, char *copy, size_t size)
{
    static xob_hist_t times;
    int calls = size <= 64 << 10 ? 2000 : size <= 64 * MIB ? 8 : 2;
    xob_hist_clear(&times);
    bulk_call(station, link, "echo", data, size);
    int64_t begin = xob_now_ns();
    for (int i = 0; i < calls; i++) {
        int64_t start = xob_now_ns();
        bulk_call(station, link, "echo", data, size);
        xob_hist_record(&times, xob_now_ns() - start);
    }
    double seconds = (double)(xob_now_ns() - begin) / 1e9;
    double copied = copy_seconds(copy, data, size, calls);
    double gib = (double)size * calls / (1 << 30);
    xob_number(gib / seconds, "sizes_call_gib_s@%zu", size);
    xob_number(gib / copied, "sizes_memcpy_gib_s@%zu", size);
    xob_hist(&times, "sizes_call_us@%zu", size);
}

static void scale_sizes(size_t max)
{
    child_t child;
    station_t station = {0};
    while (max > MIB && !xob_room(5 * max, "the largest size"))
        max /= 8; /* the data, its copy, what is on the way, and what has arrived */
    char *data = malloc(max);
    char *copy = malloc(max);
    if (!data || !copy)
        xob_die("sizes", "no memory");
    child_start(&child, NULL, NULL);
    station_open(&station, NULL, NULL);
    memset(data, 1, max);
    memset(copy, 2, max);
    xo_link_t *link = xo_endpoint_link(station_endpoint(&station), child.address, NULL);
    for (size_t size = 8; link && size <= max; size *= 8)
        bench_size(&station, link, data, copy, size);
    station_close(&station);
    child_stop(&child);
    free(data);
    free(copy);
}

typedef struct curve {
    const char *name;
    void (*run)(size_t max);
    size_t max, quick_max;
} curve_t;

static const curve_t curves[] = {
    {"pools", scale_pools, POOLS_MAX, 4},
    {"actors", scale_actors, ACTORS_MAX, 10000},
    {"clients", scale_clients, CLIENTS_MAX, 10},
    {"sizes", scale_sizes, 1024 * MIB, 64 << 10},
};

static const curve_t *find_curve(const char *name)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (strcmp(curves[i].name, name) == 0)
            return &curves[i];
    xob_die(name, "is none of pools, actors, clients, sizes");
}

static size_t find_max(const curve_t *curve, const char *text)
{
    if (text && strcmp(text, "--quick") == 0)
        return curve->quick_max;
    size_t max = text ? strtoull(text, NULL, 10) : curve->max;
    return max < curve->max ? max : curve->max;
}

int main(int argc, char **argv)
{
    char folder[sizeof XOB_FOLDER];
    const curve_t *curve = find_curve(argc > 1 ? argv[1] : "");
    xob_scratch_enter(folder);
    xob_open();
    curve->run(find_max(curve, argc > 2 ? argv[2] : NULL));
    xob_close();
    xob_scratch_leave(folder);
    return 0;
}
