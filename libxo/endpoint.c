/* endpoint.c - an endpoint as a whole: its identity, its counters, its beginning and its end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxo/codec_impl.h"
#include "libxo/ctx_internal.h"
#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

static void set_options(xo_endpoint_t *endpoint, const xo_endpoint_options_t *options)
{
    if (options)
        endpoint->options = *options;
    xo_endpoint_options_t *o = &endpoint->options;
    if (o->window_messages == 0)
        o->window_messages = endpoint->ctx->limits.window_messages;
    if (o->window_bytes == 0)
        o->window_bytes = endpoint->ctx->limits.window_bytes;
    if (o->handshake_ms == 0)
        o->handshake_ms = XOI_HANDSHAKE_MS;
}

xo_endpoint_t *xo_endpoint_create(xo_ctx_t *ctx, xo_loop_t *loop, const xo_identity_t *self,
                                  const xo_endpoint_ops_t *ops, void *arg,
                                  const xo_endpoint_options_t *options, xo_error_t *err)
{
    if (self->role < XO_ROLE_CLIENT || self->role > XO_ROLE_BROKER)
        return xo_error_null(err, EINVAL, "an endpoint needs a role");
    xo_endpoint_t *endpoint = calloc(1, sizeof *endpoint);
    if (!endpoint)
        return xo_error_null(err, ENOMEM, "out of memory for an endpoint");
    endpoint->ctx = ctx;
    endpoint->loop = loop;
    endpoint->ops = *ops;
    endpoint->post_mortem_ms = XOI_POST_MORTEM_MS;
    endpoint->arg = arg;
    set_options(endpoint, options);
    xo_endpoint_set_self(endpoint, self);
    xoi_machine_id(endpoint->machine, sizeof endpoint->machine);
    xo_defer_init(&endpoint->defer, loop, xoi_run_deferred, endpoint);
    return endpoint;
}

void xo_endpoint_set_self(xo_endpoint_t *endpoint, const xo_identity_t *self)
{
    uint64_t id = endpoint->self.id;
    if (self != &endpoint->self)
        endpoint->self = *self;
    if (id)
        endpoint->self.id = id;
    else if (self->id == 0)
        endpoint->self.id = xo_random_id();
    endpoint->self.pid = getpid();
    snprintf(endpoint->self.cluster, sizeof endpoint->self.cluster, "%s",
             xo_ctx_cluster(endpoint->ctx));
}

static void say_goodbye(xo_link_t *link)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_GOODBYE, .sender_id = link->endpoint->self.id};
    xoi_goodbye_pack(link, &body);
    xo_msg_t *msg = xoi_msg_of(&header, &body);
    xo_buf_free(&body);
    if (msg && link->lane)
        xo_lane_send(link->lane, &msg);
    xo_msg_destroy(&msg);
}

static void close_links(xo_endpoint_t *endpoint)
{
    xo_error_t why;
    xo_error_set(&why, ESHUTDOWN, "this endpoint is closing");
    while (endpoint->links) {
        xo_link_t *link = endpoint->links;
        if (link->state == XOI_LINK_UP) {
            xoi_bulk_flush(link);
            xoi_credit_settle(link);
            say_goodbye(link);
        }
        xo_link_close(link, &why);
    }
}

void xo_endpoint_destroy(xo_endpoint_t *endpoint)
{
    if (!endpoint)
        return;
    int saved = errno;
    endpoint->closing = true;
    xo_endpoint_set_broker(endpoint, NULL);
    close_links(endpoint);
    while (endpoint->own_calls)
        xoi_call_fail(endpoint->own_calls, XO_CODE_SERVER_CLOSED, "maybe", "closing",
                      "this endpoint is closing");
    xoi_run_deferred(&endpoint->defer, endpoint);
    xo_defer_stop(&endpoint->defer);
    while (endpoint->doors) {
        xoi_door_t *door = endpoint->doors;
        LL_DELETE(endpoint->doors, door);
        xo_listener_destroy(door->listener);
        free(door);
    }
    xoi_table_free(&endpoint->calls);
    xoi_letters_free(&endpoint->letters);
    xoi_moved_free(endpoint);
    if (endpoint->local_address[0])
        xo_ctx_remove_local(endpoint->ctx, endpoint->local_address);
    free(endpoint);
    errno = saved;
}

const xo_identity_t *xo_endpoint_self(const xo_endpoint_t *endpoint)
{
    return &endpoint->self;
}

xo_ctx_t *xo_endpoint_ctx(xo_endpoint_t *endpoint)
{
    return endpoint->ctx;
}

xo_loop_t *xo_endpoint_loop(xo_endpoint_t *endpoint)
{
    return endpoint->loop;
}

bool xo_endpoint_is_self(const xo_endpoint_t *endpoint, const char *address)
{
    return endpoint->self.address[0] && strcmp(endpoint->self.address, address) == 0;
}

const char *xo_endpoint_where(const xo_endpoint_t *endpoint, const char *address, xo_slice_t uid)
{
    return endpoint->moved && xo_uid_is_name(uid) ? xoi_moved_where(endpoint, uid, address)
                                                  : address;
}

uint64_t xo_endpoint_moves(const xo_endpoint_t *endpoint)
{
    return endpoint->moves;
}

void xo_endpoint_set_broker(xo_endpoint_t *endpoint, xo_link_t *link)
{
    xo_link_t *old = endpoint->broker;
    endpoint->broker = link ? xo_link_incref(link) : NULL;
    endpoint->has_had_broker |= link != NULL;
    xo_link_decref(old);
}

xo_link_t *xo_endpoint_broker(xo_endpoint_t *endpoint)
{
    return endpoint->broker;
}

/* ---- counters ---- */

const char *xo_drop_name(xo_drop_t reason)
{
    static const char *const names[XO_DROP_REASONS] = {
        [XO_DROP_NO_ACTOR] = "no-actor",   [XO_DROP_STALE] = "stale",
        [XO_DROP_DEADLINE] = "deadline",   [XO_DROP_CLOSED] = "closed",
        [XO_DROP_NO_CALLER] = "no-caller", [XO_DROP_NO_ROUTE] = "no-route",
        [XO_DROP_MALFORMED] = "malformed", [XO_DROP_REFUSED] = "refused",
        [XO_DROP_OVERRUN] = "overrun",     [XO_DROP_ERROR] = "error",
        [XO_DROP_STALLED] = "stalled",     [XO_DROP_LOST] = "lost",
    };
    return reason < XO_DROP_REASONS ? names[reason] : "?";
}

void xo_endpoint_count_drop(xo_endpoint_t *endpoint, xo_drop_t reason)
{
    endpoint->drops[reason]++;
}

/* Who sent it, as people know it. */
static const char *origin(xo_endpoint_t *endpoint, const xo_msg_t *msg, char text[XO_LABEL_BYTES])
{
    uint64_t id = xo_msg_header(msg)->sender_id;
    const xo_link_t *link = id ? xo_endpoint_link_by_id(endpoint, id) : NULL;
    const xo_identity_t *sender = link ? &link->peer : &endpoint->self;
    if (!link && id && id != endpoint->self.id)
        return "";
    if (sender->address[0])
        return sender->address;
    snprintf(text, XO_LABEL_BYTES, "process %lld", (long long)sender->pid);
    return text;
}

static bool is_letter(xo_kind_t kind)
{
    return xo_kind_is_request(kind) || xoi_is_answer(kind);
}

static void keep(xo_endpoint_t *endpoint, xo_drop_t reason, const xo_msg_t *msg)
{
    char text[XO_LABEL_BYTES];
    if (is_letter(xo_msg_header(msg)->kind))
        xoi_letters_keep(&endpoint->letters, reason, msg, origin(endpoint, msg, text), NULL,
                         endpoint->ctx->letter_bytes);
}

void xo_endpoint_drop(xo_endpoint_t *endpoint, xo_drop_t reason, const xo_msg_t *msg)
{
    xo_endpoint_count_drop(endpoint, reason);
    keep(endpoint, reason, msg);
}

void xoi_codec_keep(xo_endpoint_t *endpoint, const xo_msg_t *msg)
{
    keep(endpoint, XO_DROP_REFUSED, msg);
}

/* One letter for all of them: what they said left with them. */
void xoi_letters_keep_lost(xo_endpoint_t *endpoint, xo_drop_t reason, const char *to,
                           uint64_t count)
{
    char text[XO_LABEL_BYTES];
    xo_header_t header = {.kind = XO_TELL, .sender_id = endpoint->self.id};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    if (msg)
        xoi_letters_keep(&endpoint->letters, reason, msg, origin(endpoint, msg, text),
                         &(xoi_lost_t){to, count}, 0);
    xo_msg_destroy(&msg);
}

void xo_endpoint_letters(const xo_endpoint_t *endpoint, size_t max, bool payload, xo_buf_t *out)
{
    xoi_letters_pack(&endpoint->letters, max, endpoint->self.address, payload, out);
}

const uint64_t *xo_endpoint_drops(const xo_endpoint_t *endpoint)
{
    return endpoint->drops;
}

static void add(xo_lane_total_t *rows, size_t *count, size_t max, const char *scheme,
                const xo_lane_stats_t *stats)
{
    size_t i = 0;
    while (i < *count && strcmp(rows[i].scheme, scheme) != 0)
        i++;
    if (i == max)
        return;
    if (i == *count)
        rows[(*count)++] = (xo_lane_total_t){.scheme = scheme};
    rows[i].stats.messages_in += stats->messages_in;
    rows[i].stats.messages_out += stats->messages_out;
    rows[i].stats.bytes_in += stats->bytes_in;
    rows[i].stats.bytes_out += stats->bytes_out;
}

void xoi_totals_add(xo_endpoint_t *endpoint, const char *scheme, const xo_lane_stats_t *stats)
{
    add(endpoint->totals, &endpoint->totals_count,
        sizeof endpoint->totals / sizeof *endpoint->totals, scheme, stats);
}

size_t xo_endpoint_lent_bytes(const xo_endpoint_t *endpoint)
{
    size_t bytes = 0;
    const xo_link_t *link;
    DL_FOREACH(endpoint->links, link)
    bytes += link->lane ? xo_lane_lent_bytes(link->lane) : 0;
    return bytes;
}

size_t xo_endpoint_lane_totals(const xo_endpoint_t *endpoint, xo_lane_total_t *rows, size_t max)
{
    size_t count = 0;
    const xo_link_t *link;
    for (size_t i = 0; i < endpoint->totals_count; i++)
        add(rows, &count, max, endpoint->totals[i].scheme, &endpoint->totals[i].stats);
    DL_FOREACH(endpoint->links, link)
    {
        if (link->lane)
            add(rows, &count, max, link->scheme, xo_lane_stats(link->lane));
        if (xoi_bulk_lane(link))
            add(rows, &count, max, link->scheme, xo_lane_stats(xoi_bulk_lane(link)));
    }
    const xo_lane_stats_t own = {.messages_out = endpoint->own_messages,
                                 .messages_in = endpoint->own_messages,
                                 .bytes_out = endpoint->own_bytes,
                                 .bytes_in = endpoint->own_bytes};
    if (endpoint->own_messages)
        add(rows, &count, max, "local", &own);
    return count;
}
