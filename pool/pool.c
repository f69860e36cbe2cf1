/* pool.c - a pool's life, its endpoint's operations, its counters. */
#include "pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libxo/limits.h"
#include "pool/pool_impl.h"

/* "pool.down" says that an endpoint died: calls to it are answered, with the reason. */
static void on_pool_down(xo_pool_t *pool, const xo_msg_t *event)
{
    char reason[XO_ERROR_TEXT_BYTES];
    xo_slice_t value;
    uint64_t id;
    xo_slice_t body = xo_msg_body(event);
    if (xo_map_get(body, "endpoint", &value) < 0 || xo_unpack(value, NULL, "U", &id) < 0)
        return;
    if (xo_map_get_str(body, "reason", reason, sizeof reason) < 0)
        strcpy(reason, "the broker says that it is down");
    xo_endpoint_peer_down(pool->endpoint, id, reason);
    xoi_peer_gone(pool, id); /* it may never have had a link of its own */
}

static void news_lost(xo_pool_t *pool, const xo_msg_t *msg)
{
    int64_t count;
    char text[XO_ERROR_TEXT_BYTES];
    if (!pool->ops->log || xo_map_get_int(xo_msg_body(msg), "count", &count) < 0)
        return;
    snprintf(text, sizeof text,
             "events lost: %lld of the broker's, while this process took nothing",
             (long long)count);
    pool->ops->log(pool->host, text);
}

static void on_event(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg)
{
    xo_pool_t *pool = arg;
    const xo_header_t *header = xo_msg_header(msg);
    if (header->kind != XO_EVENT || pool->closing)
        return;
    if (link && link == xo_endpoint_broker(endpoint)) {
        if (xo_slice_eq_str(header->method, "pool.down"))
            on_pool_down(pool, msg);
        else if (xo_slice_eq_str(header->method, "pool.recovered"))
            xoi_recovered_event(pool, msg);
        else if (xo_slice_eq_str(header->method, "actor.failed"))
            xoi_failed_event(pool, msg, true);
        else if (xo_slice_eq_str(header->method, "actor.recovering"))
            xoi_failed_event(pool, msg, false);
        else if (xo_slice_eq_str(header->method, "group.turn"))
            xoi_group_turn(pool, msg);
        else if (xo_slice_eq_str(header->method, "stop"))
            xoi_stop_wanted(pool);
        else if (xo_slice_eq_str(header->method, "drain"))
            pool->drained = true;
        else if (xo_slice_eq_str(header->method, "lease"))
            xoi_lease_event(pool, msg);
        else if (xo_slice_eq_str(header->method, "actor.fenced"))
            xoi_fenced_event(pool, msg);
        else if (xo_slice_eq_str(header->method, "watched"))
            pool->watched = true;
        else if (xo_slice_eq_str(header->method, XO_EVENT_LOST))
            news_lost(pool, msg);
    }
    if (pool->ops->event)
        pool->ops->event(pool->host, msg);
}

static void on_refused(xo_endpoint_t *endpoint, const char *text, void *arg)
{
    xo_pool_t *pool = arg;
    (void)endpoint;
    if (pool->ops->log)
        pool->ops->log(pool->host, text);
}

static void on_answers_taken(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    (void)endpoint;
    (void)link;
    xoi_parked_wake(arg);
}

static const xo_endpoint_ops_t endpoint_ops = {.request = xoi_serve,
                                               .linked = xoi_joined_link,
                                               .unlinked = xoi_joined_unlink,
                                               .answers_taken = on_answers_taken,
                                               .event = on_event,
                                               .refused = on_refused};

/* Where incarnations begin: above all that an earlier life of this pool gave out. */
static uint64_t first_incarnation(uint32_t generation)
{
    uint64_t era = generation ? generation : (uint32_t)time(NULL);
    return era << 32;
}

static void take_options(xo_pool_t *pool, const xoi_limits_t *limits,
                         const xo_pool_options_t *options)
{
    pool->batch = options->batch && options->batch <= UINT32_MAX ? options->batch : XOI_BATCH;
    pool->mailbox_messages =
        options->mailbox_messages ? options->mailbox_messages : limits->mailbox_messages;
    pool->near_messages = pool->mailbox_messages;
    if (pool->ops->near_messages && pool->ops->near_messages < pool->mailbox_messages)
        pool->near_messages = pool->ops->near_messages;
    pool->bytes_max = limits->pool_bytes;
    pool->mailbox_bytes = options->mailbox_bytes ? options->mailbox_bytes : limits->mailbox_bytes;
    const xo_endpoint_options_t *links = &options->endpoint;
    pool->window_messages =
        links->window_messages ? links->window_messages : limits->window_messages;
    pool->window_bytes = links->window_bytes ? links->window_bytes : limits->window_bytes;
    pool->last_incarnation = first_incarnation(options->self.generation);
    pool->keep_specs = options->keep_specs && options->broker;
    pool->keep_grouped = options->keep_grouped && options->broker;
    pool->recovering = pool->holding = pool->keep_specs && options->self.generation > 1;
}

/* Enough for the small answers, so that these need no memory. */
#define SCRATCH_BYTES 4096
#define PORT_FREE_MS 1000
#define PORT_ASK_MS 5

/* What the process before had forked has its port until it has ended, too, which a spare process
 * does not leave it the time for. */
static int listen_at(xo_endpoint_t *endpoint, const char *address, const char *bind,
                     xo_error_t *err)
{
    const struct timespec pause = {.tv_nsec = PORT_ASK_MS * XO_MS};
    bool again = xo_endpoint_self(endpoint)->generation > 1;
    int64_t end = xo_boot_ns() + PORT_FREE_MS * XO_MS;
    while (xo_endpoint_listen(endpoint, address, bind, err) < 0) {
        if (!again || errno != EADDRINUSE || xo_boot_ns() > end)
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int open_endpoint(xo_pool_t *pool, xo_ctx_t *ctx, const xo_pool_options_t *options,
                         xo_error_t *err)
{
    xo_identity_t self = options->self;
    self.role = XO_ROLE_POOL;
    if (!self.generation)
        self.generation = 1;
    if (!self.pool_id)
        self.pool_id = xo_random_id();
    pool->endpoint =
        xo_endpoint_create(ctx, pool->loop, &self, &endpoint_ops, pool, &options->endpoint, err);
    if (!pool->endpoint)
        return -1;
    xo_endpoint_show_boxed(pool->endpoint, &pool->progress.page->boxed);
    pool->id = xo_endpoint_self(pool->endpoint)->id;
    return listen_at(pool->endpoint, self.address[0] ? self.address : "127.0.0.1:0", options->bind,
                     err);
}

static int pool_open(xo_pool_t *pool, xo_ctx_t *ctx, const xo_pool_options_t *options,
                     xo_error_t *err)
{
    xo_defer_init(&pool->turns, pool->loop, xoi_turns_run, pool);
    xoi_ties_init(pool);
    take_options(pool, xoi_ctx_limits(ctx), options);
    xoi_join_init(pool, options->heartbeat_ms);
    if (xoi_stop_init(pool, options->owner, err) < 0)
        return -1;
    if (xo_buf_reserve(&pool->scratch, SCRATCH_BYTES) < 0)
        return xo_error_set(err, ENOMEM, "out of memory for a pool");
    if (options->broker && !(pool->broker = strdup(options->broker)))
        return xo_error_set(err, ENOMEM, "out of memory for a pool");
    return open_endpoint(pool, ctx, options, err);
}

xo_pool_t *xo_pool_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_pool_options_t *options,
                          const xo_host_ops_t *ops, void *host, xo_error_t *err)
{
    xo_pool_t *pool = calloc(1, sizeof *pool);
    if (!pool)
        return xo_error_null(err, ENOMEM, "out of memory for a pool");
    pool->loop = loop;
    pool->ops = ops;
    pool->host = host;
    if (xoi_progress_open(&pool->progress) < 0) {
        free(pool);
        return xo_error_null(err, ENOMEM, "out of memory for a pool");
    }
    if (pool_open(pool, ctx, options, err) < 0) {
        xo_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

static void end_actors(xo_pool_t *pool)
{
    while (pool->actors)
        xoi_actor_end(pool->actors);
    while (pool->gone)
        xoi_actor_end(pool->gone);
    while (pool->dead) {
        xo_request_t *request = pool->dead;
        DL_DELETE(pool->dead, request);
        xoi_request_free(request);
    }
}

void xo_pool_destroy(xo_pool_t *pool)
{
    if (!pool)
        return;
    int saved = errno;
    pool->closing = true;
    xo_defer_stop(&pool->turns);
    xo_timer_stop(&pool->tie_again);
    xoi_stop_end(pool);
    if (pool->endpoint) {
        xoi_recovered(pool);
        xoi_no_more_tries(pool);
        xoi_lookups_end(pool);
        xoi_namings_end(pool);
        xoi_confirmations_end(pool);
        end_actors(pool);
    }
    xoi_join_end(pool);
    xo_endpoint_destroy(pool->endpoint);
    xoi_duplicates_free(pool);
    xoi_behind_free(pool);
    xoi_failed_free(pool);
    xoi_told_free(pool);
    xoi_group_turns_free(pool);
    xoi_table_free(&pool->by_uid);
    xoi_table_free(&pool->links);
    xoi_table_free(&pool->requests);
    xo_buf_free(&pool->scratch);
    xo_buf_free(&pool->said);
    if (pool->exits)
        xoi_progress_end(&pool->progress, pool->exit_status);
    xoi_progress_close(&pool->progress);
    free(pool->broker);
    free(pool);
    errno = saved;
}

void xo_pool_set_exit_status(xo_pool_t *pool, int status)
{
    pool->exits = true;
    pool->exit_status = status;
}

xo_endpoint_t *xo_pool_endpoint(xo_pool_t *pool)
{
    return pool->endpoint;
}

const char *xo_pool_address(const xo_pool_t *pool)
{
    return xo_endpoint_self(pool->endpoint)->address;
}

void xo_pool_get_stats(const xo_pool_t *pool, xo_pool_stats_t *stats)
{
    *stats = pool->stats;
}
