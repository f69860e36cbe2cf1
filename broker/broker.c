#include "broker/broker_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COMPONENT "node"
#define HEARTBEAT_MS 1000
/* A lease outlives this many renewals that are late or lost. */
#define LEASE_HEARTBEATS 5

/* ---- what the endpoint hears ---- */

static void refuse_kind(xo_ask_t *ask)
{
    const xo_header_t *header = xo_msg_header(xo_ask_msg(ask));
    xo_slice_t uid = header->target_uid;
    if (xo_slice_eq_str(uid, XO_BROKER_UID))
        xo_ask_fail(ask, XO_CODE_REFUSED, "%s: a %s is not possible", XO_BROKER_UID,
                    xo_kind_name(header->kind));
    else if (header->kind == XO_CREATE || uid.size == 0)
        xo_ask_fail(ask, XO_CODE_REFUSED, "a broker hosts no actors; address one of its pools");
    else
        xo_ask_fail(ask, XO_CODE_ACTOR_NOT_EXIST, "a broker has no actor '%.*s'", (int)uid.size,
                    uid.data);
}

static void on_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    xo_broker_t *broker = arg;
    const xo_header_t *header = xo_msg_header(*msg);
    if (header->kind == XO_CANCEL) {
        xo_asks_cancel(&broker->asks, from, *msg);
        xo_msg_destroy(msg);
        return;
    }
    bool ours = xo_slice_eq_str(header->target_uid, XO_BROKER_UID);
    xo_ask_t *ask = xo_ask_create(&broker->asks, from, msg);
    if (ask == NULL)
        return;
    header = xo_msg_header(xo_ask_msg(ask));
    broker->handled++;
    if (ours && (header->kind == XO_CALL || header->kind == XO_TELL))
        xo_broker_dispatch(broker, ask);
    else if (header->kind == XO_HAS)
        xo_ask_reply(ask, "?", ours);
    else if (ours && header->kind == XO_REF)
        xo_ask_reply(ask, "[s s U]", "", XO_BROKER_UID, (uint64_t)1);
    else
        refuse_kind(ask);
    (void)endpoint;
}

static int on_admit(xo_endpoint_t *endpoint, const xo_identity_t *peer, xo_error_t *why, void *arg)
{
    xo_broker_t *broker = arg;
    (void)endpoint;
    return peer->role == XO_ROLE_POOL ? xo_supervisor_admit(broker->supervisor, peer, why) : 0;
}

static void on_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    xo_broker_t *broker = arg;
    const xo_identity_t *peer = xo_link_peer(link);
    (void)endpoint;
    /* A pool of another node is one that a relayed call was dialled to. */
    bool is_ours = peer->role == XO_ROLE_POOL &&
                   (peer->node_id == broker->options.node_id || peer->node_id == 0);
    if (!is_ours)
        return;
    xo_supervisor_linked(broker->supervisor, link);
    const xo_member_t *member = xo_pools_by_link(&broker->pools, link);
    if (member != NULL)
        xo_drain_tell_pool(broker, member);
}

static void on_unlinked(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg)
{
    xo_broker_t *broker = arg;
    xo_link_t *other = xo_endpoint_link_by_id(endpoint, xo_link_peer(link)->id);
    if (broker->supervisor != NULL)
        xo_supervisor_unlinked(broker->supervisor, link, other, why);
    xo_broker_loan_unlinked(broker, link, why);
    xo_outlet_unlinked(broker->outlet, link, why);
}

static bool on_watches(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    xo_broker_t *broker = arg;
    const xo_member_t *member = xo_pools_by_link(&broker->pools, link);
    (void)endpoint;
    return member != NULL && member->run != NULL;
}

/* What its progress page says its heartbeats need not. */
static void on_heartbeat(xo_broker_t *broker, xo_member_t *member, const xo_msg_t *msg)
{
    static const xo_rec_t nothing = {0};
    int before = member->page;
    xo_supervisor_heartbeat(broker->supervisor, member, xo_msg_body(msg));
    if (before < 0 && member->page >= 0)
        xo_broker_send_event(broker, member->link, "watched", &nothing);
}

static void on_event(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg)
{
    xo_broker_t *broker = arg;
    xo_member_t *member = xo_pools_by_link(&broker->pools, link);
    (void)endpoint;
    if (member != NULL && xo_msg_header(msg)->kind == XO_HEARTBEAT)
        on_heartbeat(broker, member, msg);
}

static void on_refused(xo_endpoint_t *endpoint, const char *text, void *arg)
{
    const xo_broker_t *broker = arg;
    (void)endpoint;
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT, "%s", text);
}

/* ---- what the registry says ---- */

/* An actor has no lease: what was held is still there, or reap.c hears that it is not. But of one
 * that may move somebody may have written that it waits for another node. */
static void on_lease_lapsed(xo_publish_t *publish, void *arg)
{
    xo_broker_t *broker = arg;
    (void)publish;
    xo_broker_publish_node(broker);
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        xo_broker_publish_pool(broker, m);
        for (xo_actor_entry_t *entry = m->entries; entry != NULL; entry = entry->next) {
            if (xo_actor_spec_is_anywhere(entry->spec))
                xo_directory_set_stale(&broker->directory, entry, true);
        }
    }
    xo_names_doubt(broker);
}

static void on_leased(xo_publish_t *publish, void *arg)
{
    (void)publish;
    xo_names_leased(arg);
}

static void on_registry_again(xo_publish_t *publish, void *arg)
{
    xo_broker_t *broker = arg;
    broker->publish = publish; /* in case it is up before create has returned */
    on_lease_lapsed(publish, broker);
    xo_known_forget_all(broker->known);
    xo_insist_tick(broker);
    xo_publish_all(publish, broker);
    xo_publish_reconcile(publish, broker);
    xo_broker_reload_specs(broker);
    xo_revocations_publish(broker->revocations);
}

/* Others may take over what can move. */
static void check_lease(xo_broker_t *broker)
{
    static const char why[] = "its lease has lapsed: it cannot reach the registry, so actors that "
                              "may move to other nodes do nothing, and nothing with a name is "
                              "created";
    int64_t until_ns = xo_publish_lease_until(broker->publish);
    bool isolated =
        xo_publish_is_shared(broker->publish) && until_ns > 0 && xo_boot_ns() > until_ns;
    if (isolated == broker->isolated)
        return;
    broker->isolated = isolated;
    if (isolated)
        xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT, "%s", why);
    else
        xo_log(broker->options.log, XO_LOG_INFO, COMPONENT, "it has its lease again");
    xo_broker_note_node(broker, isolated ? "node.isolated" : "node.rejoined",
                        isolated ? why : NULL);
}

static void on_tick(xo_timer_t *timer, void *arg)
{
    xo_broker_t *broker = arg;
    check_lease(broker);
    xo_broker_places_tick(broker);
    xo_broker_publish_node(broker);
    xo_broker_reload_specs(broker);
    xo_publish_refresh(broker->publish, broker);
    xo_broker_save_specs(broker);
    xo_names_publish(broker);
    xo_insist_tick(broker);
    xo_moves_tick(broker);
    xo_reap_tick(broker);
    xo_drain_go_on(broker);
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (m->changed)
            xo_broker_publish_pool(broker, m);
        else
            xo_publish_renew(broker->publish, XO_REG_POOL, m->id);
    }
    xo_timer_start(timer, broker->options.heartbeat_ms * XO_MS);
}

/* ---- telling ---- */

void xo_broker_note_node(xo_broker_t *broker, const char *event, const char *reason)
{
    xo_rec_t rec = {0};
    xo_rec_id(&rec, "node", broker->options.node_id);
    xo_rec_text(&rec, "host", broker->host);
    xo_rec_int(&rec, "pid", xo_endpoint_self(broker->endpoint)->pid);
    if (reason != NULL)
        xo_rec_text(&rec, "reason", reason);
    xo_broker_broadcast(broker, event, &rec);
}

static void on_ask_to_end(xo_supervisor_t *supervisor, xo_member_t *member, void *arg)
{
    static const xo_rec_t nothing = {0};
    xo_broker_t *broker = arg;
    (void)supervisor;
    if (member->link != NULL)
        xo_broker_send_event(broker, member->link, "stop", &nothing);
}

/* ---- starting ---- */

int xo_broker_start_pool(xo_broker_t *broker, const xo_pool_spec_t *spec, xo_error_t *err)
{
    xo_pool_spec_t *copy = xo_pool_spec_copy(spec);
    if (copy == NULL)
        return xo_error_set(err, ENOMEM, "out of memory");
    int rc = xo_supervisor_start(broker->supervisor, &copy, true, NULL, NULL, err);
    xo_pool_spec_destroy(copy);
    return rc;
}

static int create_supervisor(xo_broker_t *broker, xo_ctx_t *ctx, xo_error_t *err)
{
    static const xo_supervisor_events_t events = {xo_broker_on_fact, on_ask_to_end,
                                                  xo_stop_on_stopped};
    xo_supervisor_options_t options = {
        .cluster = xo_ctx_cluster(ctx),
        .run_dir = broker->options.run_dir,
        .broker = broker->options.listen,
        .port = broker->options.port,
        .dir = broker->options.dir,
        .owner = broker->options.owner,
        .heartbeat_ms = broker->options.heartbeat_ms,
        .hang_ms = broker->options.hang_ms,
        .gpu_free_ms = broker->options.gpu_free_ms,
        .log = broker->options.log,
    };
    broker->supervisor =
        xo_supervisor_create(broker->loop, &broker->pools, &options, &events, broker, err);
    return broker->supervisor ? 0 : -1;
}

static int create_endpoint(xo_broker_t *broker, xo_ctx_t *ctx, xo_error_t *err)
{
    static const xo_endpoint_ops_t ops = {
        .request = on_request,
        .admit = on_admit,
        .linked = on_linked,
        .unlinked = on_unlinked,
        .watches = on_watches,
        .absent = xo_doors_absent,
        .event = on_event,
        .refused = on_refused,
    };
    xo_endpoint_options_t options = {.relay = true, .door = broker->options.port};
    xo_identity_t self = {.role = XO_ROLE_BROKER, .node_id = broker->options.node_id, .index = -1};
    snprintf(self.label, sizeof(self.label), "%.*s", XO_LABEL_BYTES - 1, broker->host);
    broker->endpoint = xo_endpoint_create(ctx, broker->loop, &self, &ops, broker, &options, err);
    if (broker->endpoint == NULL)
        return -1;
    broker->asks.endpoint = broker->endpoint;
    return 0;
}

static int create_publish(xo_broker_t *broker, xo_ctx_t *ctx, xo_error_t *err)
{
    static const xo_publish_events_t events = {on_registry_again, on_lease_lapsed, on_leased,
                                               xo_broker_on_registry};
    xo_publish_options_t options = {
        .cluster = xo_ctx_cluster(ctx),
        .node_id = broker->options.node_id,
        .lease_ms = (int64_t)LEASE_HEARTBEATS * broker->options.heartbeat_ms,
        .shared = broker->options.shared_registry,
        .log = broker->options.log,
    };
    broker->publish =
        xo_publish_create(broker->loop, broker->options.registry, &options, &events, broker, err);
    return broker->publish ? 0 : -1;
}

static int begin(xo_broker_t *broker, xo_error_t *err)
{
    if (xo_endpoint_listen_on(broker->endpoint, broker->options.listen, err) < 0 ||
        xo_broker_open_port(broker, err) < 0)
        return -1;
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT, "%016llx listens at %s",
           (unsigned long long)broker->options.node_id, broker->options.listen);
    return 0;
}

static void on_reconcile(xo_timer_t *timer, void *arg)
{
    xo_broker_t *broker = arg;
    (void)timer;
    xo_publish_reconcile(broker->publish, broker);
}

static void on_reloaded(xo_broker_t *broker)
{
    char what[96];
    xo_error_t err;
    broker->reloading = false;
    if (broker->stopping)
        return;
    snprintf(what, sizeof(what), "%zu pools and %zu actors were taken over",
             xo_pools_count(&broker->pools), broker->directory.count);
    xo_supervisor_take_over(broker->supervisor);
    bool listens = begin(broker, &err) == 0;
    if (listens) {
        xo_broker_note_node(broker, "broker.restarted", what);
        xo_timer_start(&broker->reconcile, LEASE_HEARTBEATS * broker->options.heartbeat_ms * XO_MS);
        xo_drain_take_over(broker);
    }
    if (broker->options.ready != NULL)
        broker->options.ready(broker, listens ? NULL : &err, broker->arg);
}

static int begin_or_take_over(xo_broker_t *broker, xo_error_t *err)
{
    broker->started = time(NULL);
    xo_timer_start(&broker->tick, broker->options.heartbeat_ms * XO_MS);
    if (broker->options.take_over) {
        broker->reloading = broker->inherits = true;
        xo_drain_find(broker);
        xo_supervisor_find(broker->supervisor);
        return xo_broker_reload(broker, on_reloaded, err);
    }
    if (begin(broker, err) < 0)
        return -1;
    xo_broker_note_node(broker, "node.up", NULL);
    return 0;
}

xo_broker_t *xo_broker_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_broker_options_t *options,
                              xo_broker_stopped_f stopped, void *arg, xo_error_t *err)
{
    xo_broker_t *broker = calloc(1, sizeof(*broker));
    if (broker == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    *broker = (xo_broker_t){.loop = loop, .options = *options, .stopped = stopped, .arg = arg};
    if (options->node_id == 0)
        broker->options.node_id = xo_random_id();
    if (options->heartbeat_ms == 0)
        broker->options.heartbeat_ms = HEARTBEAT_MS;
    broker->pools.node_id = broker->options.node_id;
    gethostname(broker->host, sizeof(broker->host) - 1);
    xo_timer_init(&broker->tick, loop, on_tick, broker);
    xo_timer_init(&broker->reconcile, loop, on_reconcile, broker);
    xo_stop_init(broker);
    xo_reap_init(broker);
    xo_twins_init(broker);
    broker->known = xo_known_create(loop, broker->options.node_id);
    broker->moves = xo_moves_create(broker);
    if (broker->known == NULL || broker->moves == NULL)
        xo_error_set(err, ENOMEM, "out of memory");
    broker->revocations =
        broker->known && broker->moves ? xo_revocations_create(broker, ctx, err) : NULL;
    if (broker->revocations == NULL || create_supervisor(broker, ctx, err) < 0 ||
        create_publish(broker, ctx, err) < 0 || create_endpoint(broker, ctx, err) < 0 ||
        begin_or_take_over(broker, err) < 0) {
        int saved = errno;
        xo_broker_destroy(broker);
        errno = saved;
        return NULL;
    }
    return broker;
}

/* What is under way ends first, then those who could call back, then what they talked about. */
void xo_broker_destroy(xo_broker_t *broker)
{
    if (broker == NULL)
        return;
    xo_timer_stop(&broker->tick);
    xo_timer_stop(&broker->reconcile);
    xo_stop_end(broker);
    xo_reap_stop(broker);
    xo_twins_stop(broker);
    xo_asks_fail(&broker->asks, "the node has stopped");
    xo_broker_close_port(broker);
    xo_supervisor_destroy(broker->supervisor);
    broker->supervisor = NULL;
    xo_publish_destroy(broker->publish);
    broker->publish = NULL;
    xo_moves_destroy(broker->moves);
    xo_revocations_destroy(broker->revocations);
    xo_names_destroy(broker);
    xo_insist_destroy(broker);
    xo_known_destroy(broker->known);
    xo_slots_free_pool(&broker->slots, NULL);
    xo_broker_creations_end(broker);
    xo_groups_end(broker);
    for (xo_member_t *m; (m = xo_pools_first(&broker->pools)) != NULL;) {
        xo_broker_recovery_detach(m);
        xo_directory_remove_pool(&broker->directory, m);
        xo_pools_remove(&broker->pools, m);
    }
    xo_endpoint_destroy(broker->endpoint);
    free(broker);
}
