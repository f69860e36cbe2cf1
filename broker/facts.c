#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"
#include "broker/publish_impl.h"

#define COMPONENT "node"
#define TRACEBACK_BYTES 4096 /* of one, in an event */

/* ---- events ---- */

static void send_event(xo_broker_t *broker, xo_link_t *link, const char *type, const xo_rec_t *rec,
                       unsigned flags)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_EVENT, .method = xo_slice_str(type)};
    xo_rec_pack(rec, 0, &body);
    xo_msg_t *msg = xo_buf_ok(&body) == 0 ? xo_msg_create(&header, xo_buf_slice(&body)) : NULL;
    if (msg != NULL)
        xo_endpoint_tell(broker->endpoint, link, &msg, flags, NULL, NULL, NULL);
    xo_msg_destroy(&msg);
    xo_buf_free(&body);
}

void xo_broker_send_event(xo_broker_t *broker, xo_link_t *link, const char *type,
                          const xo_rec_t *rec)
{
    send_event(broker, link, type, rec, 0);
}

void xo_broker_broadcast(xo_broker_t *broker, const char *type, const xo_rec_t *rec)
{
    xo_link_t *link = NULL;
    /* All but that, which the pool waits for, can be had again by asking. */
    unsigned flags = strcmp(type, "pool.recovered") ? XO_SEND_NEWS : 0;
    while ((link = xo_endpoint_next_link(broker->endpoint, link)) != NULL) {
        if (xo_link_up(link))
            send_event(broker, link, type, rec, flags);
    }
    if (broker->publish == NULL)
        return;
    xo_publish_event(broker->publish, type, rec);
    xo_broker_event_written(broker);
}

/* ---- the node ---- */

static const char *node_address(const xo_broker_t *broker)
{
    if (broker->port != NULL)
        return broker->options.port;
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (m->endpoint != 0)
            return m->address; /* host:port of any pool reaches the broker */
    }
    return "";
}

static const char *node_state(const xo_broker_t *broker)
{
    static const char *const states[] = {
        [XO_DRAIN_NOT] = "ready",
        [XO_DRAIN_UNDER_WAY] = "draining",
        [XO_DRAIN_DONE] = "drained",
    };
    if (broker->stopping)
        return "stopping";
    return broker->isolated && broker->drain == XO_DRAIN_NOT ? "isolated" : states[broker->drain];
}

void xo_broker_node_record(xo_broker_t *broker, xo_rec_t *rec)
{
    char *awaited = broker->stop.awaited;
    xo_rec_id(rec, "id", broker->options.node_id);
    xo_rec_text(rec, "state", node_state(broker));
    xo_rec_int(rec, "pid", xo_endpoint_self(broker->endpoint)->pid);
    xo_rec_text(rec, "host", broker->host);
    xo_rec_text(rec, "address", node_address(broker));
    xo_rec_int(rec, "pools", (int64_t)xo_pools_count(&broker->pools));
    xo_rec_int(rec, "actors", (int64_t)broker->directory.count);
    xo_rec_int(rec, "started", broker->started);
    xo_rec_text(rec, "version", broker->options.version);
    xo_rec_text(rec, "registry", xo_registry_url(xo_publish_registry(broker->publish)));
    const uint64_t *drops = xo_endpoint_drops(broker->endpoint);
    for (int i = 0; i < XO_DROP_REASONS; i++)
        xo_rec_drops(rec, (xo_drop_t)i, (int64_t)drops[i]);
    if (broker->stopping) {
        xo_groups_awaited(broker, awaited, sizeof(broker->stop.awaited));
        if (awaited[0] != 0)
            xo_rec_text(rec, "reason", awaited);
    } else if (xo_publish_why_down(broker->publish) != NULL) {
        xo_rec_text(rec, "reason", xo_publish_why_down(broker->publish)->text);
    }
}

void xo_broker_publish_node(xo_broker_t *broker)
{
    xo_rec_t rec = {0};
    if (broker->publish == NULL)
        return;
    xo_broker_node_record(broker, &rec);
    xo_publish_record(broker->publish, XO_REG_NODE, broker->options.node_id, &rec);
    xo_twins_published(broker, node_address(broker));
}

void xo_broker_publish_pool(xo_broker_t *broker, xo_member_t *member)
{
    xo_rec_t rec = {0};
    if (broker->publish == NULL)
        return;
    xo_member_record(member, &rec);
    xo_publish_record(broker->publish, XO_REG_POOL, member->id, &rec);
    xo_doors_publish(broker, member);
    member->changed = false;
}

/* ---- the registry ---- */

static void tell_registry(xo_broker_t *broker, xo_publish_t *publish, const char *event,
                          const char *reason)
{
    xo_rec_t rec = {0};
    xo_rec_id(&rec, "node", broker->options.node_id);
    xo_rec_text(&rec, "registry", xo_registry_url(xo_publish_registry(publish)));
    if (reason != NULL)
        xo_rec_text(&rec, "reason", reason);
    xo_broker_broadcast(broker, event, &rec);
}

void xo_broker_on_registry(xo_publish_t *publish, bool up, const char *reason, void *arg)
{
    xo_broker_t *broker = arg;
    tell_registry(broker, publish, up ? "registry.up" : "registry.down", reason);
    if (!up || broker->registry_lost[0] == 0)
        return;
    tell_registry(broker, publish, "registry.lost", broker->registry_lost);
    broker->registry_lost[0] = 0;
}

void xo_broker_registry_away(xo_broker_t *broker, const char *why)
{
    xo_publish_explain(broker->publish, why);
}

void xo_broker_registry_lost(xo_broker_t *broker, const char *why)
{
    snprintf(broker->registry_lost, sizeof(broker->registry_lost), "%s", why);
}

/* ---- actors ---- */

static void describe_actor(const xo_broker_t *broker, const xo_actor_entry_t *entry,
                           const char *reason, xo_rec_t *rec)
{
    xo_actor_record(entry, broker->options.node_id, rec);
    if (reason != NULL)
        xo_rec_set_text(rec, "reason", reason);
}

void xo_broker_note_actor(xo_broker_t *broker, const char *type, const xo_actor_entry_t *entry,
                          const char *reason)
{
    xo_broker_note_failure(broker, type, entry, reason, xo_slice(NULL, 0));
}

/* Its last lines say most. */
static xo_slice_t end_of(xo_slice_t traceback)
{
    size_t cut = traceback.size > TRACEBACK_BYTES ? traceback.size - TRACEBACK_BYTES : 0;
    while (cut > 0 && cut < traceback.size && traceback.data[cut - 1] != '\n')
        cut++;
    return xo_slice(traceback.data + cut, traceback.size - cut);
}

void xo_broker_note_failure(xo_broker_t *broker, const char *type, const xo_actor_entry_t *entry,
                            const char *reason, xo_slice_t traceback)
{
    xo_rec_t rec = {0};
    describe_actor(broker, entry, reason, &rec);
    if (traceback.size > 0)
        xo_rec_slice(&rec, "traceback", end_of(traceback));
    xo_publish_event(broker->publish, type, &rec);
    xo_broker_event_written(broker);
}

void xo_broker_say_failed(xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    xo_rec_t rec = {0};
    if (entry->member->link == NULL)
        return; /* who comes in its place is told */
    describe_actor(broker, entry, NULL, &rec);
    xo_broker_send_event(broker, entry->member->link, "actor.failed", &rec);
}

void xo_broker_say_gone(xo_broker_t *broker, const xo_member_t *member, xo_slice_t uid,
                        const char *reason)
{
    xo_rec_t rec = {0};
    if (member->link == NULL)
        return;
    xo_rec_bytes(&rec, "uid", uid);
    xo_rec_text(&rec, "reason", reason);
    xo_broker_send_event(broker, member->link, "actor.failed", &rec);
}

void xo_broker_say_waiting(xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    xo_rec_t rec = {0};
    if (entry->member->link == NULL)
        return; /* as above */
    describe_actor(broker, entry, NULL, &rec);
    xo_broker_send_event(broker, entry->member->link, "actor.recovering", &rec);
}

void xo_broker_give_up(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason,
                       xo_slice_t traceback)
{
    xo_directory_set_failed(entry, reason);
    xo_broker_note_failure(broker, "actor.failed", entry, reason, traceback);
    xo_broker_say_failed(broker, entry);
    xo_publish_actor(broker->publish, entry);
}

xo_actor_entry_t *xo_broker_actor_up(xo_broker_t *broker, xo_member_t *member, xo_slice_t uid,
                                     uint64_t incarnation, xo_slice_t class_name, bool stateless)
{
    xo_actor_entry_t *entry =
        xo_directory_put(&broker->directory, member, uid, incarnation, class_name, stateless);
    if (entry == NULL) {
        xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT,
               "out of memory: an actor of pool %d "
               "cannot be looked up",
               member->index);
        return NULL;
    }
    xo_slots_up(&broker->slots, member, uid);
    xo_names_keep(broker, entry);
    return entry;
}

/* A pool that answers an actor's creator when the registry has been told. */
typedef struct xo_told {
    xo_publish_t *publish;
    xo_ask_t *ask; /* NULL: it waits no more */
} xo_told_t;

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_told_t *told = arg;
    (void)ask;
    told->ask = NULL;
}

static void on_told(int errnum, const char *text, void *arg)
{
    xo_told_t *told = arg;
    xo_ask_t *ask = xo_ask_take(&told->ask);
    if (ask != NULL)
        xo_ask_reply(ask, "n");
    xo_publish_written(errnum, text, told->publish);
    free(told);
}

/* Whoever creates it may be of another node, which asks the registry where it is. */
static bool reply_when_told(xo_publish_t *publish, const xo_actor_entry_t *entry, xo_ask_t *ask)
{
    bool is_asked = ask != NULL && xo_msg_header(xo_ask_msg(ask))->kind == XO_CALL;
    bool may_tell = xo_publish_is_shared(publish) && publish->is_up;
    xo_told_t *told = is_asked && may_tell ? malloc(sizeof(*told)) : NULL;
    if (told == NULL)
        return false;
    *told = (xo_told_t){publish, ask};
    xo_ask_on_stop(ask, let_go, told);
    xo_publish_put_actor(publish, entry, on_told, told);
    return true;
}

void xo_broker_say_up(xo_broker_t *broker, xo_actor_entry_t *entry, bool again, xo_ask_t *ask)
{
    if (!reply_when_told(broker->publish, entry, ask)) {
        xo_publish_actor(broker->publish, entry);
        if (ask != NULL)
            xo_ask_reply(ask, "n");
    }
    if (!again)
        xo_broker_note_actor(broker, "actor.up", entry, NULL);
}

void xo_broker_actor_down(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason)
{
    xo_broker_note_actor(broker, "actor.down", entry, reason);
    xo_publish_remove_actor(broker->publish, entry);
    xo_slots_free(&broker->slots, entry->member, xo_actor_entry_uid(entry));
    xo_names_drop(broker, entry->member, xo_actor_entry_uid(entry));
    xo_directory_remove(&broker->directory, entry);
}

/* What it is the registry says, too: refresh.c does what is right when all has been read. */
static void forget(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_slots_free(&broker->slots, entry->member, xo_actor_entry_uid(entry));
    xo_names_drop(broker, entry->member, xo_actor_entry_uid(entry));
    xo_directory_remove(&broker->directory, entry);
}

/* One of a process that the broker did not start, and that has died, goes on elsewhere if it may.
 */
static void drop_actors(xo_broker_t *broker, xo_member_t *member, const char *reason)
{
    bool died = member->run == NULL && !member->ending && member->state != XO_POOL_STOPPING;
    while (member->entries != NULL) {
        if (died && xo_leave_may(broker, member->entries))
            xo_leave_actor(broker, member->entries, reason);
        else if (died && xo_broker_asks_spec(broker, member->entries))
            forget(broker, member->entries);
        else
            xo_broker_actor_down(broker, member->entries, reason);
    }
}

static void fail_actors(xo_broker_t *broker, xo_member_t *member, const char *reason)
{
    char why[XO_ERROR_TEXT_BYTES];
    for (xo_actor_entry_t *entry = member->entries; entry != NULL; entry = entry->next) {
        if (entry->state == XO_ACTOR_FAILED)
            continue; /* it has its own reason */
        xo_directory_set_failed(entry, reason);
        xo_publish_actor(broker->publish, entry);
        xo_broker_note_actor(broker, "actor.failed", entry, reason);
        if (entry->seat != NULL) { /* no strategy brings back a process */
            snprintf(why, sizeof(why), "the pool at %s has failed: %.200s", member->address,
                     reason);
            xo_group_fail(entry->seat->group, why);
        }
    }
}

/* ---- pools ---- */

static const char *fact_event(xo_fact_t fact)
{
    static const char *const events[] = {
        [XO_FACT_START] = "pool.start",         [XO_FACT_UP] = "pool.up",
        [XO_FACT_RECOVERED] = "pool.recovered", [XO_FACT_STATE] = NULL,
        [XO_FACT_DOWN] = "pool.down",           [XO_FACT_RESTART] = "pool.restart",
        [XO_FACT_FAILED] = "pool.failed",       [XO_FACT_GONE] = NULL,
        [XO_FACT_SUSPECT] = "pool.suspect",     [XO_FACT_ALIVE] = "pool.alive",
        [XO_FACT_GPU_BUSY] = "pool.gpu_busy",   [XO_FACT_TCP_ONLY] = "pool.tcp_only",
    };
    return events[fact];
}

static bool has_port(const char *address)
{
    xo_address_t parsed;
    return xo_address_parse(address, &parsed, NULL) == 0 && parsed.port > 0;
}

static void broadcast_pool(xo_broker_t *broker, const xo_member_t *member, const char *event,
                           const char *reason)
{
    xo_rec_t rec = {0};
    if (member->endpoint != 0)
        xo_rec_endpoint(&rec, "endpoint", member->endpoint);
    xo_rec_id(&rec, "pool", member->id);
    xo_rec_id(&rec, "node", broker->options.node_id);
    xo_rec_int(&rec, "index", member->index);
    xo_rec_text(&rec, "label", member->label);
    if (has_port(member->address)) /* not while the pool has yet to choose one */
        xo_rec_text(&rec, "address", member->address);
    xo_rec_int(&rec, "generation", member->generation);
    if (member->pid > 0)
        xo_rec_int(&rec, "pid", member->pid);
    xo_rec_text(&rec, "state", xo_pool_state_name(member->state));
    if (reason != NULL)
        xo_rec_text(&rec, "reason", reason);
    xo_member_record_busy(member, &rec);
    xo_broker_broadcast(broker, event, &rec);
}

static void log_fact(const xo_broker_t *broker, const xo_member_t *member, xo_fact_t fact,
                     const char *reason)
{
    const xo_log_t *log = broker->options.log;
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    xo_member_describe(member, who, sizeof(who));
    switch (fact) {
    case XO_FACT_START:
        xo_log(log, XO_LOG_INFO, COMPONENT, "%s: started as process %d, generation %u", who,
               (int)member->pid, member->generation);
        break;
    case XO_FACT_UP:
        xo_log(log, XO_LOG_INFO, COMPONENT, "%s: %s, process %d", who,
               xo_pool_state_name(member->state), (int)member->pid);
        break;
    case XO_FACT_RECOVERED:
        xo_log(log, XO_LOG_INFO, COMPONENT, "%s: recovered", who);
        break;
    case XO_FACT_SUSPECT:
    case XO_FACT_ALIVE:
    case XO_FACT_STATE:
        xo_log(log, fact == XO_FACT_SUSPECT ? XO_LOG_WARN : XO_LOG_INFO, COMPONENT, "%s: %s%s%s",
               who, xo_member_state_name(member), reason ? ": " : "", reason ? reason : "");
        break;
    case XO_FACT_DOWN:
        xo_log(log, member->state == XO_POOL_STOPPING ? XO_LOG_INFO : XO_LOG_WARN, COMPONENT,
               "%s: process %d ended: %s", who, (int)member->pid, reason);
        break;
    case XO_FACT_RESTART:
        xo_log(log, XO_LOG_WARN, COMPONENT, "%s: will be started again", who);
        break;
    case XO_FACT_GPU_BUSY:
        xo_log(log, XO_LOG_WARN, COMPONENT, "%s: %s", who, reason);
        break;
    case XO_FACT_TCP_ONLY:
        xo_log(log, XO_LOG_WARN, COMPONENT, "%s: no lanes but tcp: %s", who, reason);
        break;
    case XO_FACT_FAILED:
        xo_log(log, XO_LOG_ERROR, COMPONENT, "%s: failed: %s", who, reason);
        break;
    case XO_FACT_GONE:
        xo_log(log, XO_LOG_DEBUG, COMPONENT, "%s: gone", who);
        break;
    }
}

/* Nodes of other machines are told this address, and would dial themselves. */
static void warn_of_loopback(const xo_broker_t *broker, const xo_member_t *member)
{
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    xo_address_t address;
    if (!broker->options.far_registry || xo_address_parse(member->address, &address, NULL) < 0 ||
        !xo_address_is_loopback(&address))
        return;
    xo_member_describe(member, who, sizeof(who));
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
           "%s: other machines that share the registry cannot reach it there: give it an address "
           "that they can dial (address, or the node's port)",
           who);
}

/* Calls to it are answered before anything else is done: somebody waits. */
static void on_down(xo_broker_t *broker, xo_member_t *member, const char *reason)
{
    if (member->endpoint == 0)
        return; /* it never was there for anybody */
    broadcast_pool(broker, member, "pool.down", reason);
    xo_endpoint_peer_down(broker->endpoint, member->endpoint, reason);
    if (member->lost > 0)
        xo_endpoint_drop_boxed(broker->endpoint, member->address, member->lost);
    xo_broker_actors_away(broker, member, reason);
    xo_names_review(broker, member);
}

static void on_gone(xo_broker_t *broker, xo_member_t *member, const char *reason)
{
    xo_broker_recovery_detach(member);
    xo_slots_free_pool(&broker->slots, member);
    drop_actors(broker, member, reason ? reason : "its pool is gone");
    xo_names_review(broker, member);
    xo_publish_remove(broker->publish, XO_REG_POOL, member->id);
    xo_doors_remove(broker, member);
}

void xo_broker_on_fact(xo_supervisor_t *supervisor, xo_member_t *member, xo_fact_t fact,
                       const char *reason, void *arg)
{
    xo_broker_t *broker = arg;
    (void)supervisor;
    if (fact == XO_FACT_DOWN)
        on_down(broker, member, reason);
    log_fact(broker, member, fact, reason);
    if (fact == XO_FACT_UP)
        warn_of_loopback(broker, member);
    if (fact == XO_FACT_FAILED)
        fail_actors(broker, member, reason);
    if (fact == XO_FACT_GONE) {
        on_gone(broker, member, reason);
        xo_broker_waits_on_fact(broker, member, fact, reason);
        return;
    }
    if (fact != XO_FACT_DOWN && fact_event(fact) != NULL)
        broadcast_pool(broker, member, fact_event(fact), reason);
    xo_broker_publish_pool(broker, member);
    xo_broker_waits_on_fact(broker, member, fact, reason);
    if (fact == XO_FACT_UP) {
        xo_names_review(broker, member);
        xo_broker_recover(broker, member);
    }
    if (fact == XO_FACT_UP || fact == XO_FACT_FAILED)
        xo_broker_creations_hurry(broker, member);
}
