/* join.c - the link to the broker: joining, linking again, naming the actors, heartbeats.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

/* How soon a lost broker is looked for again: at first, and at most. */
#define BACKOFF_FIRST_NS (50 * XO_MS)
#define BACKOFF_MAX_NS (1000 * XO_MS)
#define SCHEMES_MAX 8

/* ---- telling ---- */

static bool is_joined(const xo_pool_t *pool)
{
    return pool->broker_link && xo_link_up(pool->broker_link) && !pool->closing;
}

/* Whoever asks, and over which link: what a broker is told comes when the pool has joined. */
static void answer_barriers(xo_pool_t *pool)
{
    while (pool->barriers && !pool->announcing && (is_joined(pool) || !pool->broker)) {
        xo_request_t *request = pool->barriers;
        DL_DELETE(pool->barriers, request);
        xoi_request_close_value(request, xoi_pack_scratch(pool, "?", 1));
    }
}

void xoi_announced(xo_pool_t *pool)
{
    pool->announcing--;
    answer_barriers(pool);
}

static void on_accepted(const xo_failure_t *why, void *arg)
{
    (void)why; /* a dead letter: the next link is told of all actors */
    xoi_announced(arg);
}

/* `has` of the pool itself: answered when all that the pool had to tell its broker has left, so
 * that a broker that got the answer has been told. */
void xoi_barrier(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    DL_APPEND(pool->barriers, request);
    answer_barriers(pool);
}

/* What is told before the broker has said welcome for the first time leaves when it has: it may
 * have said before that the pool is there, so that others create actors in it already. */
static bool may_tell(const xo_pool_t *pool)
{
    return is_joined(pool) || (pool->broker_link && !pool->has_joined && !pool->closing);
}

/* `with`: whose buffers go along; NULL: none. */
static xo_msg_t *create_msg(xo_kind_t kind, const char *method, xo_slice_t body, xo_msg_t *with)
{
    xo_header_t header = {
        .kind = kind, .target_uid = xo_slice_str(XO_BROKER_UID), .method = xo_slice_str(method)};
    xo_msg_t *msg = xo_msg_create(&header, body);
    for (size_t i = 0; msg && with && i < xo_msg_buffer_count(with); i++) {
        zmq_msg_t buffer;
        if (xo_msg_copy_buffer(with, i, &buffer) < 0 || xo_msg_add_buffer(msg, &buffer) < 0)
            xo_msg_destroy(&msg);
    }
    return msg;
}

static void tell_broker(xo_pool_t *pool, const char *method, xo_slice_t body, xo_msg_t *with)
{
    xo_msg_t *msg = create_msg(XO_TELL, method, body, with);
    if (!msg)
        return;
    pool->announcing++;
    if (xo_endpoint_tell(pool->endpoint, pool->broker_link, &msg, XO_SEND_QUEUE, on_accepted, pool,
                         NULL) < 0) {
        pool->announcing--;
        xo_msg_destroy(&msg);
    }
}

/* [[uid, incarnation, class, stateless, spec], {}] */
static xo_slice_t pack_up(xo_pool_t *pool, const xo_actor_t *actor, const xo_request_t *request)
{
    xo_buf_t *out = &pool->scratch;
    xo_buf_clear(out);
    xo_pack_array(out, 2);
    xo_pack_array(out, 5);
    xo_pack_format(out, "B U s ?", xo_actor_uid(actor), actor->incarnation, xo_actor_class(actor),
                   actor->stateless);
    if (request)
        xoi_spec_pack(request, out);
    else if (pool->keep_specs && !actor->spec_told)
        xo_pack_cstr(out, "its broker was away when it was created");
    else
        xo_pack_nil(out);
    xo_pack_map(out, 0);
    return xo_buf_slice(out);
}

/* Asks for an answer, which the creator waits for. */
static bool confirm(xo_request_t *request, const char *method, xo_slice_t body, xo_msg_t *with)
{
    xo_pool_t *pool = request->pool;
    xo_msg_t *msg = create_msg(XO_CALL, method, body, with);
    bool begun = msg && xoi_confirm(request, &msg) == 0;
    pool->announcing += begun;
    xo_msg_destroy(&msg);
    return begun;
}

/* Its creator asks another broker where it is, which has it from the registry. */
static bool is_for_another_node(const xo_request_t *request)
{
    const xo_link_t *from = request->from;
    if (!from || !request->wants_answer)
        return false;
    uint64_t node = xo_link_peer(from)->node_id;
    return node ? node != xo_endpoint_self(request->pool->endpoint)->node_id
                : !strcmp(xo_link_scheme(from), "tcp");
}

/* What creates it outlives this process before its creator is answered: it lies in the broker's
 * memory, or the broker has said that it has it, or that the actor cannot be. */
static bool tell_for_sure(xo_request_t *request, xo_slice_t body, bool is_far)
{
    xo_pool_t *pool = request->pool;
    if (is_far || xoi_spec_is_for_others(request) || !xo_link_settle(pool->broker_link))
        return confirm(request, "actor.up", body, request->spec);
    tell_broker(pool, "actor.up", body, request->spec);
    if (!xo_link_settle(pool->broker_link)) /* there was no room for all of it */
        confirm(request, "ping", xoi_pack_scratch(pool, "[[] {}]"), NULL);
    return true;
}

/* Actors of the system's own are no program's: nobody lists, counts or recovers them, and who needs
 * one again makes it. */
static bool is_system(const xo_actor_t *actor)
{
    return xo_slice_starts(xo_actor_uid(actor), "xo.");
}

static void keep_told(const xo_actor_t *actor, xo_slice_t body, xo_msg_t *with)
{
    xo_msg_t *msg = create_msg(XO_TELL, "actor.up", body, with);
    if (msg)
        xoi_told_add(actor, &msg);
    xo_msg_destroy(&msg);
}

/* `request` has just created it; NULL: its broker is told again. */
void xoi_announce_up(xo_actor_t *actor, xo_request_t *request)
{
    xo_pool_t *pool = actor->pool;
    if (request && xoi_again(request).size)
        actor->spec_told = true; /* what it was created from is known, also to a next broker */
    if (is_system(actor) || !may_tell(pool))
        return;
    xo_msg_t *told = request ? NULL : xoi_told_find(actor);
    if (told) {
        tell_broker(pool, "actor.up", xo_msg_body(told), told);
        return;
    }
    xo_msg_t *with = request ? request->spec : NULL;
    xo_slice_t body =
        pack_up(pool, actor, request); /* nothing below writes to the scratch buffer */
    bool is_new = request && xoi_spec_is_new(request);
    bool is_far = request && is_for_another_node(request);
    bool relied_on = is_far || (is_new && request->wants_answer);
    if (is_new)
        keep_told(actor, body, with);
    if (!relied_on || !tell_for_sure(request, body, is_far))
        tell_broker(pool, "actor.up", body, with);
    actor->spec_told = true;
}

void xoi_announce_down(const xo_actor_t *actor, const char *reason)
{
    xo_pool_t *pool = actor->pool;
    if (!is_system(actor) && may_tell(pool))
        tell_broker(
            pool, "actor.down",
            xoi_pack_scratch(pool, "[[B U s] {}]", xo_actor_uid(actor), actor->incarnation, reason),
            NULL);
}

void xoi_announce_none(xo_pool_t *pool, xo_slice_t uid)
{
    if (xo_uid_is_name(uid) && may_tell(pool))
        tell_broker(pool, "name.free", xoi_pack_scratch(pool, "[[B] {}]", uid), NULL);
}

static void announce_all(xo_pool_t *pool)
{
    xo_actor_t *actor;
    xo_actor_t *next;
    DL_FOREACH_SAFE2(pool->actors, actor, next, newer)
    if (actor->state == XOI_ACTOR_RUNNING || actor->state == XOI_ACTOR_DESTROYING)
        xoi_announce_up(actor, NULL);
}

/* ---- heartbeats ---- */

static void pack_lanes(const xo_pool_t *pool, xo_buf_t *out)
{
    xo_lane_total_t rows[SCHEMES_MAX];
    size_t count = xo_endpoint_lane_totals(pool->endpoint, rows, SCHEMES_MAX);
    xo_pack_map(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const xo_lane_stats_t *stats = &rows[i].stats;
        xo_pack_format(out, "s [U U U U]", rows[i].scheme, stats->messages_in, stats->messages_out,
                       stats->bytes_in, stats->bytes_out);
    }
}

static void pack_drops(const xo_pool_t *pool, xo_buf_t *out)
{
    const uint64_t *drops = xo_endpoint_drops(pool->endpoint);
    xo_pack_cstr(out, "drops");
    xo_pack_map(out, XO_DROP_REASONS);
    for (int i = 0; i < XO_DROP_REASONS; i++)
        xo_pack_format(out, "s U", xo_drop_name((xo_drop_t)i), drops[i]);
}

static xo_slice_t pack_heartbeat(xo_pool_t *pool)
{
    xo_buf_t *out = &pool->scratch;
    const xo_pool_stats_t *stats = &pool->stats;
    const char *tcp_only = xo_endpoint_tcp_only(pool->endpoint);
    xo_buf_clear(out);
    xo_pack_map(out, 10 + (tcp_only != NULL) + pool->stopping);
    xo_pack_format(out, "s s s U s U s U s U", "language", pool->ops->language, "actors",
                   stats->actors, "waiting", stats->waiting_messages, "handled", stats->handled,
                   "running", stats->running);
    xo_pack_format(out, "s i s s s i s", "progress", pool->progress.fd, "gpus",
                   pool->whereabouts.gpus, "numa", pool->whereabouts.numa, "lanes");
    pack_lanes(pool, out);
    pack_drops(pool, out);
    if (tcp_only)
        xo_pack_format(out, "s s", "tcp_only", tcp_only);
    if (pool->stopping)
        xo_pack_format(out, "s ?", "stopping", 1);
    return xo_buf_slice(out);
}

/* It counts itself, so what it said is what the next one says if nothing happens until then. */
static void remember_said(xo_pool_t *pool)
{
    xo_slice_t said = pack_heartbeat(pool);
    xo_buf_clear(&pool->said);
    xo_buf_append(&pool->said, said.data, said.size);
}

static bool has_news(xo_pool_t *pool)
{
    xo_slice_t body = pack_heartbeat(pool);
    return xo_buf_ok(&pool->scratch) < 0 || xo_buf_ok(&pool->said) < 0 ||
           !xo_slice_eq(body, xo_buf_slice(&pool->said));
}

static void send_heartbeat(xo_pool_t *pool)
{
    xo_header_t header = {.kind = XO_HEARTBEAT};
    xo_slice_t body = pack_heartbeat(pool);
    xo_msg_t *msg = xo_buf_ok(&pool->scratch) < 0 ? NULL : xo_msg_create(&header, body);
    if (msg)
        xo_endpoint_tell(pool->endpoint, pool->broker_link, &msg, 0, NULL, NULL, NULL);
    xo_msg_destroy(&msg);
    remember_said(pool);
}

void xoi_announce_stop(xo_pool_t *pool)
{
    if (is_joined(pool))
        send_heartbeat(pool);
}

static void beat_later(xo_pool_t *pool, bool rests)
{
    pool->rests = rests;
    xo_timer_start(&pool->heartbeat, pool->heartbeat_ns * (rests ? XO_REST_HEARTBEATS : 1));
}

/* That it is alive its broker sees, where it sees the progress page; also that it sleeps. */
static void beat(xo_timer_t *timer, void *arg)
{
    xo_pool_t *pool = arg;
    (void)timer;
    if (!is_joined(pool))
        return;
    xoi_progress_leave(&pool->progress);
    bool quiet = pool->watched && !has_news(pool);
    if (!quiet)
        send_heartbeat(pool);
    xoi_told_age(pool);
    beat_later(pool, quiet && pool->shows_sleep && !pool->told);
}

/* Whatever has woken it up may be news. */
static void on_sleep(xo_sleep_t *sleep, xo_sleep_state_t state, void *arg)
{
    xo_pool_t *pool = arg;
    if (state == XO_ASLEEP) {
        pool->shows_sleep = true;
        xoi_progress_sleep(&pool->progress);
        return;
    }
    xoi_progress_wake(&pool->progress);
    if (state == XO_WAKING || !pool->rests)
        return;
    xo_loop_update(sleep->loop);
    if (pool->heartbeat.due_ns - xo_loop_now(sleep->loop) > pool->heartbeat_ns)
        beat_later(pool, false);
}

/* ---- the link ---- */

static void relink_later(xo_pool_t *pool)
{
    xo_timer_start(&pool->relink, pool->backoff_ns);
    pool->backoff_ns *= 2;
    if (pool->backoff_ns > BACKOFF_MAX_NS)
        pool->backoff_ns = BACKOFF_MAX_NS;
}

static int dial(xo_pool_t *pool, xo_error_t *err)
{
    xo_link_t *link = xo_endpoint_link(pool->endpoint, pool->broker, err);
    if (!link)
        return -1;
    pool->broker_link = xo_link_incref(link);
    /* The broker may consider us ready before we have its welcome: what is for it waits here. */
    xo_endpoint_set_broker(pool->endpoint, link);
    if (xo_link_up(link)) /* somebody else had dialled it: nobody will say that it is up */
        xoi_joined_link(pool->endpoint, link, pool);
    return 0;
}

static void relink(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xo_pool_t *pool = arg;
    if (dial(pool, NULL) < 0)
        relink_later(pool);
}

/* From the deferred pass, so that the callback may destroy the pool. */
static void call_joined(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_pool_t *pool = arg;
    xoi_joined_f joined = pool->joined;
    xo_error_t why = pool->joined_why;
    pool->joined = NULL;
    if (joined)
        joined(pool, why.errnum ? &why : NULL, pool->joined_arg);
}

/* A pool that the broker did not start learns only now of which node it is. */
static void take_node(xo_endpoint_t *endpoint, const xo_link_t *broker)
{
    xo_identity_t self = *xo_endpoint_self(endpoint);
    if (self.node_id == xo_link_peer(broker)->node_id)
        return;
    self.node_id = xo_link_peer(broker)->node_id;
    xo_endpoint_set_self(endpoint, &self);
}

/* The endpoint's linked operation. */
void xoi_joined_link(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    xo_pool_t *pool = arg;
    if (link != pool->broker_link || pool->closing)
        return;
    pool->backoff_ns = BACKOFF_FIRST_NS;
    xo_endpoint_set_broker(endpoint, link);
    take_node(endpoint, link);
    pool->drained = pool->watched = false; /* by the broker before, perhaps */
    send_heartbeat(pool);                  /* before all else: it says what the pool is */
    announce_all(pool);
    answer_barriers(pool);
    beat_later(pool, false);
    if (!pool->has_joined)
        xo_defer_start(&pool->joined_defer);
    pool->has_joined = true;
}

void xoi_peer_gone(xo_pool_t *pool, uint64_t endpoint)
{
    if (pool->ops->peer_gone && endpoint && !pool->closing)
        pool->ops->peer_gone(pool->host, endpoint);
}

/* Another link to the same peer may have taken this one's place. */
static void unlinked_peer(xo_pool_t *pool, xo_link_t *link)
{
    uint64_t id = xo_link_peer(link)->id;
    xoi_watch_unlinked(pool, link);
    if (!xo_endpoint_link_by_id(pool->endpoint, id))
        xoi_peer_gone(pool, id);
}

/* The endpoint's unlinked operation. */
void xoi_joined_unlink(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg)
{
    xo_pool_t *pool = arg;
    if (!pool->closing) {
        unlinked_peer(pool, link);
        xoi_parked_wake(pool);
    }
    if (link != pool->broker_link || pool->closing)
        return;
    if (xo_endpoint_broker(endpoint) == link)
        xo_endpoint_set_broker(endpoint, NULL);
    pool->broker_link = NULL;
    xo_link_decref(link);
    xo_timer_stop(&pool->heartbeat);
    pool->rests = false;
    xoi_no_more_tries(pool);
    if (pool->has_joined) {
        relink_later(pool);
        return;
    }
    xo_error_set(&pool->joined_why, why && why->errnum ? why->errnum : ENOTCONN,
                 "the broker at %s: %s", pool->broker,
                 why && why->text[0] ? why->text : "the link closed");
    xo_defer_start(&pool->joined_defer);
}

int xo_pool_join(xo_pool_t *pool, xoi_joined_f joined, void *arg, xo_error_t *err)
{
    if (!pool->broker)
        return xo_error_set(err, EINVAL, "the pool has no broker to join");
    if (pool->broker_link || pool->has_joined)
        return xo_error_set(err, EALREADY, "the pool has joined already");
    pool->joined = joined;
    pool->joined_arg = arg;
    pool->joined_why.errnum = 0;
    return dial(pool, err);
}

void xoi_join_init(xo_pool_t *pool, uint32_t heartbeat_ms)
{
    pool->heartbeat_ns = (heartbeat_ms ? heartbeat_ms : XOI_POOL_HEARTBEAT_MS) * XO_MS;
    pool->backoff_ns = BACKOFF_FIRST_NS;
    xoi_find_whereabouts(&pool->whereabouts);
    xo_timer_init(&pool->relink, pool->loop, relink, pool);
    xo_timer_init(&pool->heartbeat, pool->loop, beat, pool);
    xo_sleep_init(&pool->sleep, pool->loop, on_sleep, pool);
    xo_sleep_start(&pool->sleep);
    xo_defer_init(&pool->joined_defer, pool->loop, call_joined, pool);
}

void xoi_join_end(xo_pool_t *pool)
{
    xo_timer_stop(&pool->relink);
    xo_timer_stop(&pool->heartbeat);
    xo_sleep_stop(&pool->sleep);
    xo_defer_stop(&pool->joined_defer);
    while (pool->barriers) {
        xo_request_t *request = pool->barriers;
        DL_DELETE(pool->barriers, request);
        xoi_request_absent(request, NULL);
    }
    xo_link_decref(pool->broker_link);
    pool->broker_link = NULL;
}
