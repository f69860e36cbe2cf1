#include <stdarg.h>
#include <stdio.h>

#include "broker/broker_impl.h"

#define LANE_SCHEMES_MAX 8

void xo_broker_refuse(xo_ask_t *ask, const char *format, ...)
{
    char text[XO_ERROR_TEXT_BYTES];
    xo_slice_t method = xo_msg_header(xo_ask_msg(ask))->method;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    xo_ask_fail(ask, XO_CODE_REFUSED, "%.*s: %s", (int)method.size, method.data, text);
}

/* ---- about the node ---- */

static void ping(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    (void)broker, (void)args;
    xo_ask_reply(ask, "s", "pong");
}

static void pack_lanes(const xo_broker_t *broker, xo_buf_t *out)
{
    xo_lane_total_t rows[LANE_SCHEMES_MAX];
    size_t count = xo_endpoint_lane_totals(broker->endpoint, rows, LANE_SCHEMES_MAX);
    xo_pack_cstr(out, "lanes");
    xo_pack_map(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        xo_pack_format(out, "s [U U U U]", rows[i].scheme, rows[i].stats.messages_in,
                       rows[i].stats.messages_out, rows[i].stats.bytes_in, rows[i].stats.bytes_out);
}

/* Of the broker, and of its pools as their last heartbeats said. */
static void pack_drops(const xo_broker_t *broker, xo_buf_t *out)
{
    const uint64_t *drops = xo_endpoint_drops(broker->endpoint);
    xo_pack_cstr(out, "drops");
    xo_pack_map(out, XO_DROP_REASONS);
    for (int i = 0; i < XO_DROP_REASONS; i++) {
        uint64_t count = drops[i];
        for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m))
            count += m->drops[i] > 0 ? (uint64_t)m->drops[i] : 0;
        xo_pack_format(out, "s U", xo_drop_name((xo_drop_t)i), count);
    }
}

static int64_t count_links(const xo_broker_t *broker)
{
    int64_t count = 0;
    xo_link_t *link = NULL;
    while ((link = xo_endpoint_next_link(broker->endpoint, link)) != NULL)
        count += xo_link_up(link);
    return count;
}

static void status(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_rec_t rec = {0};
    xo_buf_t out = XO_BUF_INIT;
    const xo_error_t *why = xo_publish_why_down(broker->publish);
    bool is_up = xo_registry_is_up(xo_publish_registry(broker->publish));
    (void)args;
    xo_broker_node_record(broker, &rec);
    xo_rec_text(&rec, "registry_state", why ? why->text : is_up ? "up" : "connecting");
    xo_rec_text(&rec, "endpoint", broker->options.listen);
    xo_rec_int(&rec, "links", count_links(broker));
    xo_rec_int(&rec, "handled", (int64_t)broker->handled);
    xo_rec_pack(&rec, 2, &out);
    pack_lanes(broker, &out);
    pack_drops(broker, &out);
    xo_ask_reply_value(ask, &out);
}

static void node_stop(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    bool keep_pools = false;
    xo_unpack(args, NULL, "[?]", &keep_pools);
    if (keep_pools) {
        xo_broker_stop_groups(broker, ask);
        return;
    }
    xo_ask_reply(ask, "n");
    xo_broker_stop(broker, "asked to");
}

/* ---- about pools ---- */

/* What ended this process, which was a pool's? */
static void say_how_it_ended(xo_ask_t *ask, const xo_member_t *member, uint64_t endpoint)
{
    if (member != NULL && member->last_endpoint == endpoint)
        xo_ask_reply(ask, "[s s]", "died", member->last_reason);
    else if (member != NULL && member->endpoint == endpoint)
        xo_ask_reply(ask, "n");
    else
        xo_broker_refuse(ask, "nothing is known of such a process");
}

/* Who could not reach it, or whose link to it is gone, wants to know. */
static void pool_why(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t name;
    xo_error_t err;
    uint64_t endpoint = 0;
    if (xo_unpack(args, NULL, "[s]", &name) < 0 &&
        xo_unpack(args, &err, "[s U]", &name, &endpoint) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    const xo_member_t *member = xo_pools_by_name(&broker->pools, name);
    if (endpoint != 0) {
        say_how_it_ended(ask, member, endpoint);
        return;
    }
    const char *absence = member ? xo_member_absence(member) : NULL;
    if (absence != NULL)
        xo_ask_reply(ask, "[s s]", absence, member->reason);
    else if (member != NULL)
        xo_ask_reply(ask, "n");
    else
        xo_doors_tell(broker, ask, name);
}

/* ---- what pools tell ---- */

xo_member_t *xo_broker_need_pool(xo_broker_t *broker, xo_ask_t *ask)
{
    const xo_link_t *from = xo_ask_from(ask);
    xo_member_t *member = from ? xo_pools_by_link(&broker->pools, from) : NULL;
    if (member == NULL)
        xo_broker_refuse(ask, "only a pool of this node may say that");
    return member;
}

static bool is_uid(xo_ask_t *ask, xo_slice_t uid)
{
    if (uid.size > 0 && uid.size <= XO_UID_BYTES_MAX)
        return true;
    xo_broker_refuse(ask, "a uid has 1 to %d bytes", XO_UID_BYTES_MAX);
    return false;
}

int xo_broker_need_uid(xo_ask_t *ask, xo_slice_t args, xo_slice_t *uid)
{
    xo_error_t err;
    if (xo_unpack(args, &err, "[s *]", uid) == 0)
        return is_uid(ask, *uid) ? 0 : -1;
    xo_broker_refuse(ask, "%s", err.text);
    return -1;
}

static void actor_up(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_slice_t uid, class_name, spec;
    uint64_t incarnation;
    bool stateless;
    xo_member_t *member = xo_broker_need_pool(broker, ask);
    if (member == NULL)
        return;
    if (xo_unpack(args, &err, "[s U s ? *]", &uid, &incarnation, &class_name, &stateless) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    if (!is_uid(ask, uid))
        return;
    const xo_actor_entry_t *old = xo_directory_get(&broker->directory, member, uid);
    bool again = old != NULL && old->incarnation == incarnation;
    xo_actor_entry_t *entry =
        xo_broker_actor_up(broker, member, uid, incarnation, class_name, stateless);
    xo_seat_t *seat = entry != NULL ? entry->seat : NULL;
    bool refused = entry != NULL && xo_unpack(args, NULL, "[_ _ _ _ V *]", &spec) == 0 &&
                   xo_broker_take_spec(broker, entry, spec, xo_ask_msg(ask), &err) < 0;
    if (entry != NULL)
        xo_broker_say_up(broker, entry, again, refused ? NULL : ask);
    if (seat != NULL && seat == entry->seat)
        xo_seat_is_up(seat);
    if (refused)
        xo_ask_fail(ask, XO_CODE_REFUSED, "%s", err.text); /* the creator hears it */
    else if (entry == NULL)
        xo_ask_reply(ask, "n");
}

/* What its group has stopped comes back with it. */
static void is_down(xo_broker_t *broker, xo_actor_entry_t *entry, xo_slice_t reason,
                    const char *text)
{
    if (entry->seat != NULL && xo_seat_was_stuck(entry->seat, reason)) {
        xo_broker_note_actor(broker, "actor.down", entry, text);
        if (entry->state == XO_ACTOR_FAILED)
            xo_broker_say_failed(broker, entry); /* to who has waited for its end */
        return;
    }
    if (entry->ending && xo_leave_may(broker, entry)) {
        xo_leave_actor(broker, entry, text);
        return;
    }
    if (entry->seat == NULL || !xo_seat_was_stopped(entry->seat, reason)) {
        xo_broker_actor_down(broker, entry, text);
        return;
    }
    xo_broker_note_actor(broker, "actor.down", entry, text);
    entry->state = XO_ACTOR_RECOVERING;
    xo_publish_actor(broker->publish, entry);
    xo_seat_is_down(entry->seat);
}

/* Nobody has asked its pool to end: it failed while it started, or somebody sent it SIGTERM. What
 * becomes of the actor is up to its policy, as with any other end of its process, which comes. */
static bool goes_with_pool(const xo_broker_t *broker, const xo_actor_entry_t *entry,
                           xo_slice_t reason)
{
    const xo_member_t *member = entry->member;
    return entry->seat == NULL && member->run != NULL && member->state != XO_POOL_STOPPING &&
           (entry->spec != NULL || xo_broker_awaits_spec(broker, entry)) &&
           xo_slice_eq_str(reason, XO_WHY_POOL_STOPPED);
}

static void actor_down(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_slice_t uid, reason;
    uint64_t incarnation;
    char text[XO_ERROR_TEXT_BYTES];
    xo_member_t *member = xo_broker_need_pool(broker, ask);
    if (member == NULL)
        return;
    if (xo_unpack(args, &err, "[s U s *]", &uid, &incarnation, &reason) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    snprintf(text, sizeof(text), "%.*s", (int)reason.size, reason.size ? reason.data : "");
    xo_actor_entry_t *entry = xo_directory_get(&broker->directory, member, uid);
    if (entry != NULL && entry->incarnation <= incarnation &&
        !goes_with_pool(broker, entry, reason))
        is_down(broker, entry, reason, text);
    xo_ask_reply(ask, "n");
}

/* ---- the table ---- */

static const struct xo_broker_method {
    const char *name;
    xo_broker_method_f run;
    int min_args, max_args;
    const char *usage;
} methods[] = {
    {"ping", ping, 0, 0, ""},
    {"status", status, 0, 0, ""},
    {"nodes", xo_broker_list_nodes, 0, 0, ""},
    {"pools", xo_broker_list_pools, 0, 0, ""},
    {"actors", xo_broker_list_actors, 0, 0, ""},
    {"letters", xo_broker_letters, 2, 2, "MAX, PAYLOAD"},
    {"lookup", xo_broker_lookup, 1, 2, "UID[, REFUSED]"},
    {"pool.start", xo_broker_pool_start, 1, 1, "{argv, env, label, address, ...}"},
    {"pool.stop", xo_broker_pool_stop, 1, 2, "ADDRESS or ID[, TIMEOUT_MS]"},
    {"pool.wait", xo_broker_pool_wait, 1, 1, "ADDRESS or ID"},
    {"pool.kill", xo_broker_pool_kill, 1, 1, "ADDRESS or ID"},
    {"pool.why", pool_why, 1, 2, "ADDRESS or ID[, ENDPOINT]"},
    {"revive", xo_broker_revive, 1, 2, "ADDRESS, ID or UID[, ADDRESS]"},
    {"group.create", xo_broker_group_create, 2, 2, "NAME, {strategy, parent, intensity, ...}"},
    {"group.stop", xo_broker_group_stop, 1, 1, "NAME"},
    {"groups", xo_broker_list_groups, 0, 0, ""},
    {"name.take", xo_broker_name_take, 1, 1, "UID"},
    {"name.free", xo_broker_name_free, 1, 1, "UID"},
    {"place.take", xo_broker_place_take, 4, 4, "UID, RULE, LABEL, MARK"},
    {"place.free", xo_broker_place_free, 5, 5, "UID, RULE, LABEL, MARK, ADDRESS"},
    {"node.drain", xo_broker_node_drain, 0, 0, ""},
    {"node.stop", node_stop, 0, 1, "[KEEP_POOLS]"},
    {"events", xo_broker_list_events, 0, 3, "[AFTER[, MAX[, WAIT_MS]]]"},
    {"relay", xo_broker_relay, 5, 6, "ADDRESS, KIND, UID, METHOD, BODY[, FOLLOW]"},
    {"port.lend", xo_broker_port_lend, 1, 1, "FIRST"},
    {"port.fetch", xo_broker_port_fetch, 2, 2, "NUMBER, TOKEN"},
    {"actor.up", actor_up, 4, 5, "UID, INCARNATION, CLASS, STATELESS[, SPEC]"},
    {"actor.down", actor_down, 3, 3, "UID, INCARNATION, REASON"},
};

#define METHOD_COUNT (sizeof(methods) / sizeof(*methods))

static void no_such_method(xo_ask_t *ask, xo_slice_t name)
{
    char known[256];
    size_t used = 0;
    for (size_t i = 0; i < METHOD_COUNT && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "",
                                 methods[i].name);
    xo_ask_fail(ask, XO_CODE_NO_METHOD, XO_BROKER_UID " has no method '%.*s'; it has %s",
                (int)name.size, name.data, known);
}

static void run(xo_broker_t *broker, xo_ask_t *ask, const struct xo_broker_method *method)
{
    xo_slice_t args;
    uint32_t count;
    if (xo_ask_args(ask, &args) < 0)
        return;
    xo_reader_t reader = xo_reader(args);
    if (xo_read_array(&reader, &count) < 0)
        count = 0;
    if ((int)count < method->min_args || (int)count > method->max_args)
        xo_broker_refuse(ask, "takes (%s), not %u arguments", method->usage, count);
    else
        method->run(broker, ask, args);
}

void xo_broker_dispatch(xo_broker_t *broker, xo_ask_t *ask)
{
    xo_slice_t name = xo_msg_header(xo_ask_msg(ask))->method;
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (xo_slice_eq_str(name, methods[i].name)) {
            run(broker, ask, &methods[i]);
            return;
        }
    }
    no_such_method(ask, name);
}
