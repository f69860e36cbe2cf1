/* entries.c - whether a lookup in the registry grows with the number of its entries.
 *
 * Puts actors into a private redis-server, ten times as many each time, and looks single ones up,
 * and many at a time. Prints one JSON object (out.h). `entries [MAX|--quick]`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/out.h"
#include "registry/private.h"
#include "registry/registry.h"

enum { ENTRIES_MIN = 1000, ENTRIES_MAX = 1000000, LOOKUPS = 20000, WINDOW = 256 };
#define ENTRY_BYTES 1500 /* in Redis, measured, and room to grow */

typedef struct bench {
    xo_loop_t *loop;
    xo_registry_t *registry;
    int under_way, left, there;
    uint32_t random;
    int64_t start_ns;
    xob_hist_t times;
} bench_t;

static void need(int errnum, const char *text)
{
    if (errnum)
        xob_die("registry", text ? text : "failed");
}

static void put_done(int errnum, const char *text, void *arg)
{
    need(errnum, text);
    ((bench_t *)arg)->under_way--;
}

static void put(bench_t *bench, int number)
{
    char id[64];
    const xo_field_t fields[] = {{"class", xo_slice_str("Counter")},
                                 {"pool", xo_slice_str("0123456789abcdef")},
                                 {"address", xo_slice_str("127.0.0.1:34567")},
                                 {"state", xo_slice_str("running")}};
    snprintf(id, sizeof id, "actor-%d@0123456789abcdef", number);
    const xo_record_t record = {id, fields, sizeof fields / sizeof fields[0]};
    bench->under_way++;
    xo_registry_put(bench->registry, XO_REG_ACTOR, &record, "0123456789abcdef", 0, put_done, bench);
}

static void put_until(bench_t *bench, int count)
{
    int64_t start = xob_now_ns();
    int before = bench->there;
    while (bench->there < count || bench->under_way) {
        for (; bench->there < count && bench->under_way < WINDOW; bench->there++)
            put(bench, bench->there);
        xo_loop_once(bench->loop, -1);
    }
    double seconds = (double)(xob_now_ns() - start) / 1e9;
    xob_number((count - before) / seconds, "entries_puts_per_s@%d", count);
}

static void found(int errnum, const char *text, const xo_record_t *records, size_t count, void *arg)
{
    bench_t *bench = arg;
    (void)records;
    need(errnum, text);
    if (count != 1)
        xob_die("registry", "an entry was not found");
    xob_hist_record(&bench->times, xob_now_ns() - bench->start_ns);
    bench->under_way--;
}

static void look_up(bench_t *bench)
{
    char uid[32];
    bench->random = bench->random * 1664525 + 1013904223; /* Numerical Recipes' generator */
    snprintf(uid, sizeof uid, "actor-%u",
             (unsigned)((uint64_t)bench->random * (unsigned)bench->there >> 32));
    bench->under_way++;
    bench->left--;
    bench->start_ns = xob_now_ns();
    xo_registry_lookup(bench->registry, xo_slice_str(uid), found, bench);
}

static double look_up_many(bench_t *bench, int window)
{
    int64_t start = xob_now_ns();
    xob_hist_clear(&bench->times);
    bench->left = LOOKUPS;
    while (bench->left || bench->under_way) {
        while (bench->left && bench->under_way < window)
            look_up(bench);
        xo_loop_once(bench->loop, -1);
    }
    return (double)(xob_now_ns() - start) / 1e9;
}

static void measure(bench_t *bench, int max)
{
    for (int count = ENTRIES_MIN; count <= max && count <= ENTRIES_MAX; count *= 10) {
        if (!xob_room((size_t)count * ENTRY_BYTES, "the registry"))
            break;
        put_until(bench, count);
        look_up_many(bench, 1);
        xob_hist(&bench->times, "entries_lookup_us@%d", count);
        xob_number(LOOKUPS / look_up_many(bench, WINDOW), "entries_lookups_per_s@%d", count);
    }
}

static void ended(xo_private_redis_t *redis, const xo_error_t *why, void *arg)
{
    (void)redis;
    (void)arg;
    xob_die("redis-server", why->text);
}

static int find_max(const char *text)
{
    if (!text)
        return ENTRIES_MAX;
    return strcmp(text, "--quick") == 0 ? ENTRIES_MIN : atoi(text);
}

int main(int argc, char **argv)
{
    xo_error_t err;
    static bench_t bench = {.random = 1};
    char folder[sizeof XOB_FOLDER];
    xob_scratch_enter(folder);
    bench.loop = xo_loop_create(&err);
    xo_private_redis_options_t options = {.run_dir = folder, .owner = getpid()};
    xo_private_redis_t *redis = xo_private_redis_start(bench.loop, &options, ended, NULL, &err);
    if (!redis)
        xob_die("redis-server", err.text);
    bench.registry = xo_registry_open(bench.loop, xo_private_redis_url(redis), "bench",
                                      &(xo_registry_events_t){0}, NULL, &err);
    if (!bench.registry)
        xob_die("registry", err.text);
    xob_open();
    measure(&bench, find_max(argc > 1 ? argv[1] : NULL));
    xob_close();
    xo_registry_close(bench.registry);
    xo_private_redis_destroy(redis);
    xo_loop_destroy(bench.loop);
    xob_scratch_leave(folder);
    return 0;
}
