/* sim-redis.c - see sim-redis.h. */
#include "t/sim-redis.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "t/sim-command.h"
#include "t/sim-reap.h"

#define TICK_NS XO_MS
#define PATIENCE_NS (5000 * XO_MS)
/* Of a Redis 7 on one core of the machines measured (doc/scale.md): a script, and what each record
 * that is read adds to it. */
#define COMMAND_NS 20000
#define RECORD_NS 8000
#define PAGE 100 /* things of a list come so many at a time */

struct sim_client {
    xo_registry_t base;
    sim_redis_t *redis;
    sim_traffic_t *traffic;
    sim_command_t *commands;
    bool up, empty;
    xo_defer_t greet;
    sim_client_t *prev, *next;
};

struct sim_redis {
    xo_loop_t *loop;
    xo_registry_t *store;
    sim_reap_t *reap;
    sim_client_t *clients;
    sim_traffic_t *traffic;
    size_t traffic_count;
    sim_command_t *queue;
    size_t waiting;
    bool free, begun;
    int64_t command_ns, busy_ns, debt_ns;
    size_t counts[XO_REG_KINDS];
    int64_t refill_ns; /* until when it is refilling */
    xo_timer_t tick;
};

static sim_redis_t *the_redis; /* --wrap leaves no other way */

__typeof__(xo_registry_open) __real_xo_registry_open, __wrap_xo_registry_open;

static sim_command_t *create(xo_registry_t *registry, sim_what_t what, const char *id,
                             const char *owner, xo_sink_t sink)
{
    sim_command_t *command = sim_command_create(what, id, owner, sink);
    command->client = (sim_client_t *)registry;
    command->since_ns = xo_loop_now(registry->loop);
    return command;
}

static void submit(sim_command_t *command)
{
    sim_client_t *client = command->client;
    sim_redis_t *redis = client->redis;
    client->base.stats.operations++;
    client->traffic->commands++;
    client->traffic->sent += sim_command_bytes(command);
    DL_APPEND2(client->commands, command, prev_own, next_own);
    DL_APPEND(redis->queue, command);
    redis->waiting++;
    if (!xo_timer_active(&redis->tick))
        xo_timer_start(&redis->tick, 0);
}

/* ---- the server ---- */

static void work(sim_redis_t *redis, int64_t ns)
{
    redis->debt_ns += redis->free ? 0 : ns;
    redis->busy_ns += redis->free ? 0 : ns;
}

static void end(sim_command_t *command, int errnum, const char *text, const xo_record_t *records,
                size_t count)
{
    sim_client_t *client = command->client;
    xo_sink_t sink = command->sink;
    if (errnum == ECANCELED) /* by sim_redis_flush */
        errnum = EIO;
    if (client)
        DL_DELETE2(client->commands, command, prev_own, next_own);
    sim_command_free(command);
    if (!client)
        return;
    xoi_registry_hold(&client->base);
    client->base.stats.failed += errnum != 0;
    if (sink.done)
        sink.done(errnum, text, sink.arg);
    if (sink.records)
        sink.records(errnum, text, records, count, sink.arg);
    xoi_registry_unhold(&client->base);
}

static void on_done(int errnum, const char *text, void *arg)
{
    sim_command_t *command = arg;
    if (command->client)
        command->client->traffic->received += 4;
    end(command, errnum, text, NULL, 0);
}

static void on_records(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    sim_command_t *command = arg;
    sim_redis_t *redis = the_redis;
    if (errnum == 0 && command->what == SIM_LOOKUP && !sim_is_found(records, count) &&
        xo_loop_now(redis->loop) < redis->refill_ns)
        errnum = EAGAIN;
    work(redis, (int64_t)count * RECORD_NS + sim_reap_take_work(redis->reap));
    if (command->client) {
        sim_traffic_t *traffic = command->client->traffic;
        traffic->received += sim_records_bytes(records, count);
        if (command->what == SIM_LIST) {
            traffic->commands += count / PAGE;
            traffic->sent += count / PAGE * sim_command_bytes(command);
        }
    }
    end(command, errnum, text, records, count);
}

static void refill(sim_redis_t *redis, const sim_client_t *client)
{
    redis->refill_ns = xo_loop_now(redis->loop) + client->base.events.refill_ms * XO_MS;
}

static void execute(sim_redis_t *redis, sim_command_t *command)
{
    bool refilling = redis->refill_ns > xo_loop_now(redis->loop);
    sim_reap_note(redis->reap, command);
    if (command->what == SIM_REAP) {
        sim_reap_execute(redis->reap, command, refilling, on_records);
    } else if (command->what == SIM_REFILL) {
        if (refilling && command->client)
            refill(redis, command->client);
        on_done(0, "", command);
    } else {
        sim_command_execute(command, redis->store, on_done, on_records);
    }
}

static void serve(sim_redis_t *redis, sim_command_t *command)
{
    bool late = xo_loop_now(redis->loop) - command->since_ns > PATIENCE_NS;
    DL_DELETE(redis->queue, command);
    redis->waiting--;
    if (late && command->client) {
        command->client->traffic->failed++;
        end(command, ETIMEDOUT, "Redis did not answer within 5 s", NULL, 0);
        return;
    }
    work(redis, redis->command_ns);
    execute(redis, command);
}

/* Works off a tick's time of the queue; what took longer is a debt to the ticks that follow. */
static void on_tick(xo_timer_t *timer, void *arg)
{
    sim_redis_t *redis = arg;
    redis->debt_ns -= TICK_NS;
    while (redis->queue && (redis->free || redis->debt_ns < 0))
        serve(redis, redis->queue);
    if (redis->queue || redis->debt_ns > 0)
        xo_timer_start(timer, TICK_NS);
    else
        redis->debt_ns = 0;
}

/* ---- the operations ---- */

static void sim_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                    const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_PUT, record->id, owner, xoi_sink_done(done, arg));
    command->kind = kind;
    command->ttl_ms = ttl_ms;
    sim_copy_fields(command, record->fields, record->count);
    submit(command);
}

static void sim_refill(xo_registry_t *registry)
{
    submit(create(registry, SIM_REFILL, NULL, NULL, xoi_sink_done(NULL, NULL)));
}

static void sim_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                      const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_RENEW, id, owner, xoi_sink_done(done, arg));
    command->kind = kind;
    command->ttl_ms = ttl_ms;
    submit(command);
}

static void sim_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                    xo_reg_done_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_DEL, id, owner, xoi_sink_done(done, arg));
    command->kind = kind;
    submit(command);
}

static void sim_put_spec(xo_registry_t *registry, const char *id, xo_slice_t bytes,
                         xo_reg_done_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_PUT_SPEC, id, NULL, xoi_sink_done(done, arg));
    command->bytes = sim_copy_slice(bytes);
    submit(command);
}

static void sim_get_spec(xo_registry_t *registry, const char *id, xo_reg_records_f done, void *arg)
{
    submit(create(registry, SIM_GET_SPEC, id, NULL, xoi_sink_records(done, arg)));
}

static void sim_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                    xo_reg_records_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_GET, id, NULL, xoi_sink_records(done, arg));
    command->kind = kind;
    submit(command);
}

static void sim_list(xo_registry_t *registry, xo_reg_kind_t kind, const char *owner,
                     xo_reg_records_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_LIST, NULL, owner, xoi_sink_records(done, arg));
    command->kind = kind;
    submit(command);
}

static void sim_lookup(xo_registry_t *registry, const char *uid, xo_reg_records_f done, void *arg)
{
    submit(create(registry, SIM_LOOKUP, uid, NULL, xoi_sink_records(done, arg)));
}

static void sim_watch(xo_registry_t *registry, const char *uid, const char *reader)
{
    submit(create(registry, SIM_WATCH, uid, reader, xoi_sink_done(NULL, NULL)));
}

static void sim_news(xo_registry_t *registry, const char *reader, xo_reg_records_f done, void *arg)
{
    submit(create(registry, SIM_NEWS, NULL, reader, xoi_sink_records(done, arg)));
}

static void sim_lapsed(xo_registry_t *registry, size_t max, uint64_t epoch, xo_reg_records_f done,
                       void *arg)
{
    (void)max, (void)epoch;
    submit(create(registry, SIM_LAPSED, NULL, NULL, xoi_sink_records(done, arg)));
}

static void sim_reap(xo_registry_t *registry, const xo_reap_t *reap, xo_reg_records_f done,
                     void *arg)
{
    sim_command_t *command =
        create(registry, SIM_REAP, reap->after, reap->owner, xoi_sink_records(done, arg));
    command->ttl_ms = reap->lease_ms;
    command->keep_ms = reap->keep_ms;
    submit(command);
}

static void sim_keys_version(xo_registry_t *registry, xo_reg_records_f done, void *arg)
{
    submit(create(registry, SIM_KEYS_VERSION, NULL, NULL, xoi_sink_records(done, arg)));
}

static void sim_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                      size_t count)
{
    sim_command_t *command = create(registry, SIM_EVENT, type, NULL, xoi_sink_done(NULL, NULL));
    sim_copy_fields(command, fields, count);
    submit(command);
}

static void sim_events(xo_registry_t *registry, const char *after, size_t max,
                       xo_reg_records_f done, void *arg)
{
    sim_command_t *command = create(registry, SIM_EVENTS, after, NULL, xoi_sink_records(done, arg));
    command->max = max;
    submit(command);
}

/* ---- clients ---- */

static void on_greet(xo_defer_t *defer, void *arg)
{
    sim_client_t *client = arg;
    (void)defer;
    client->up = true;
    client->base.stats.connections++;
    xoi_registry_hold(&client->base);
    client->base.events.up(&client->base, client->empty, client->base.arg);
    xoi_registry_unhold(&client->base);
}

static void sim_close(xo_registry_t *registry)
{
    sim_client_t *client = (sim_client_t *)registry;
    sim_command_t *command;
    xo_defer_stop(&client->greet);
    while ((command = client->commands)) {
        DL_DELETE2(client->commands, command, prev_own, next_own);
        command->client = NULL;
        if (command->sink.done)
            command->sink.done(ECANCELED, "closed", command->sink.arg);
        if (command->sink.records)
            command->sink.records(ECANCELED, "closed", NULL, 0, command->sink.arg);
    }
    DL_DELETE(client->redis->clients, client);
}

static void sim_release(xo_registry_t *registry)
{
    free(registry);
}

static bool sim_is_up(const xo_registry_t *registry)
{
    return ((const sim_client_t *)registry)->up;
}

static const xo_registry_ops_t ops = {
    .close = sim_close,
    .release = sim_release,
    .is_up = sim_is_up,
    .put = sim_put,
    .refill = sim_refill,
    .renew = sim_renew,
    .del = sim_del,
    .put_spec = sim_put_spec,
    .get_spec = sim_get_spec,
    .get = sim_get,
    .list = sim_list,
    .keys_version = sim_keys_version,
    .lookup = sim_lookup,
    .watch = sim_watch,
    .news = sim_news,
    .lapsed = sim_lapsed,
    .reap = sim_reap,
    .event = sim_event,
    .events = sim_events,
};

static void open_store(sim_redis_t *redis)
{
    xo_error_t err;
    redis->store = __real_xo_registry_open(redis->loop, "memory:", "sim", NULL, NULL, &err);
    assert(redis->store);
    redis->reap = sim_reap_create(redis->store);
}

xo_registry_t *__wrap_xo_registry_open(xo_loop_t *loop, const char *url, const char *cluster,
                                       const xo_registry_events_t *events, void *arg,
                                       xo_error_t *err)
{
    xo_url_t parsed;
    sim_redis_t *redis = the_redis;
    sim_client_t *client = calloc(1, sizeof(*client));
    unsigned number = 0;
    if (xo_url_parse("memory:", &parsed, err) < 0 || sscanf(url, "redis://sim/%u", &number) != 1)
        abort();
    assert(client && number < redis->traffic_count);
    snprintf(parsed.display, sizeof(parsed.display), "redis://sim");
    xoi_registry_init(&client->base, &ops, loop, &parsed, cluster, events, arg);
    client->redis = redis;
    client->traffic = &redis->traffic[number];
    client->empty = !redis->begun;
    redis->begun = true;
    xo_defer_init(&client->greet, loop, on_greet, client);
    xo_defer_start(&client->greet);
    DL_APPEND(redis->clients, client);
    return &client->base;
}

sim_redis_t *sim_redis_create(xo_loop_t *loop, size_t clients)
{
    sim_redis_t *redis = calloc(1, sizeof(*redis));
    assert(redis && !the_redis);
    redis->loop = loop;
    redis->command_ns = COMMAND_NS;
    redis->traffic = calloc(clients, sizeof(*redis->traffic));
    redis->traffic_count = clients;
    xo_timer_init(&redis->tick, loop, on_tick, redis);
    open_store(redis);
    the_redis = redis;
    return redis;
}

void sim_redis_destroy(sim_redis_t *redis)
{
    sim_command_t *command, *next;
    xo_timer_stop(&redis->tick);
    xo_registry_close(redis->store);
    sim_reap_destroy(redis->reap);
    DL_FOREACH_SAFE(redis->queue, command, next)
    sim_command_free(command);
    free(redis->traffic);
    free(redis);
    the_redis = NULL;
}

void sim_redis_flush(sim_redis_t *redis)
{
    sim_client_t *client;
    xo_registry_close(redis->store);
    sim_reap_destroy(redis->reap);
    open_store(redis);
    DL_FOREACH(redis->clients, client)
    {
        client->empty = true;
        refill(redis, client);
        xo_defer_start(&client->greet);
    }
}

const sim_traffic_t *sim_redis_traffic(const sim_redis_t *redis, size_t client)
{
    return &redis->traffic[client];
}

int64_t sim_redis_busy_ns(const sim_redis_t *redis)
{
    return redis->busy_ns;
}

size_t sim_redis_waiting(const sim_redis_t *redis)
{
    return redis->waiting;
}

void sim_redis_set_free(sim_redis_t *redis, bool free_of_charge)
{
    redis->free = free_of_charge;
}

void sim_redis_set_command_ns(sim_redis_t *redis, int64_t command_ns)
{
    redis->command_ns = command_ns;
}

static void on_counted(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    (void)text, (void)records;
    *(size_t *)arg = errnum == 0 ? count : 0;
}

size_t sim_redis_count(const sim_redis_t *redis, xo_reg_kind_t kind, const char *owner)
{
    size_t count = SIZE_MAX;
    redis->store->ops->list(redis->store, kind, owner, on_counted, &count);
    while (count == SIZE_MAX)
        xo_loop_once(redis->loop, 0);
    return count;
}
