/* seek.c - an actor with a name (XO_NAME_PREFIX) that was not where it was called: the broker says
 * where it is now, once for all calls that wait for it (line.c). While it is being moved, and until
 * the lease of a node that is gone has lapsed, that is asked again, ever less often, and within
 * each call's deadline.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

/* Leases last 5 heartbeats, then it is created; without a deadline nobody waits for longer. */
#define SEEK_NS (30000 * XO_MS)
#define LOOKUP_NS (6000 * XO_MS) /* the registry may take 5 s to say that it is away */

typedef enum { HERE, MOVING, NOWHERE } xoi_found_t;

/* A pool joins the next broker of its node; a broker asks itself. */
static bool has_broker(const xo_endpoint_t *endpoint, const xo_link_t *link)
{
    if (endpoint->self.role == XO_ROLE_BROKER)
        return true;
    if (endpoint->broker)
        return endpoint->broker != link && xo_link_up(endpoint->broker);
    return endpoint->has_had_broker && endpoint->self.role == XO_ROLE_POOL;
}

/* Somebody can be asked, or will be, and it is not too late. */
static bool may_ask(xoi_again_t *again, const xo_link_t *link)
{
    const xo_endpoint_t *endpoint = again->call->endpoint;
    int64_t now = xo_loop_now(endpoint->loop);
    if (!again->sought_ns)
        again->sought_ns = now;
    return has_broker(endpoint, link) && now - again->sought_ns < SEEK_NS;
}

bool xoi_seek_may(xoi_again_t *again, const xo_link_t *link)
{
    return xoi_again_may_do_better(link) && may_ask(again, link);
}

bool xoi_seek_may_after(xoi_again_t *again, const xo_failure_t *failure)
{
    return (xo_slice_eq_str(failure->code, XO_CODE_ACTOR_NOT_EXIST) ||
            xo_slice_eq_str(failure->code, XO_CODE_SERVER_CLOSED)) &&
           may_ask(again, again->call->link);
}

/* ---- the answer ---- */

static void give_up(xoi_again_t *again)
{
    xo_call_t *call = again->call;
    xo_msg_t *refusal = again->refusal;
    again->refusal = NULL;
    if (refusal)
        xoi_call_finish(call, &refusal);
    else
        xoi_call_fail(call, XO_CODE_SERVER_CLOSED, again->has_left ? "maybe" : "no", "nobody there",
                      "the actor's pool is gone, and it is nowhere else");
}

static bool has_text(xo_slice_t record, const char *key, const char *text)
{
    char value[32];
    return xo_map_get_str(record, key, value, sizeof value) == 0 && !strcmp(value, text);
}

/* What one record says; `address`: where it is, or has failed, as who is there can say. */
static xoi_found_t judge(const xoi_again_t *again, xo_slice_t record,
                         char address[XO_ADDRESS_BYTES])
{
    bool moves = has_text(record, "placement", "any");
    bool is_there = has_text(record, "state", "running") || has_text(record, "state", "recovering");
    if (xo_map_get_str(record, "address", address, XO_ADDRESS_BYTES) < 0)
        return NOWHERE;
    bool failed = has_text(record, "state", "failed");
    if ((is_there || failed) && strcmp(address, again->address) != 0)
        return HERE;
    /* Its pool may be about to come back, or its node to have its lease again. */
    if (is_there && (moves || again->idempotent))
        return HERE;
    return moves && !failed ? MOVING : NOWHERE;
}

/* -1: it is nowhere. */
static int read_found(const xo_msg_t *answer, xo_slice_t *record)
{
    uint32_t count;
    xo_reader_t reader = xo_reader(xo_msg_body(answer));
    bool found =
        xo_read_array(&reader, &count) == 0 && count == 1 && xo_read_raw(&reader, record) == 0;
    return found ? 0 : -1;
}

static bool go_to(xoi_again_t *again, const char *address)
{
    xo_endpoint_t *endpoint = again->call->endpoint;
    xoi_moved_put(endpoint, xo_msg_header(again->msg)->target_uid, again->address, address);
    snprintf(again->address, sizeof again->address, "%s", address);
    xo_msg_destroy(&again->refusal); /* it was the old place's */
    return xoi_again_send(again);
}

/* Each once, in its turn, as far as they go. One that is sent to this endpoint itself may be
 * refused at once, or end others. */
static void settle(xoi_line_t *line, const xo_msg_t *answer)
{
    uint64_t last = 0;
    xo_slice_t record;
    xoi_again_t *again;
    char address[XO_ADDRESS_BYTES];
    bool nowhere = read_found(answer, &record) < 0, goes_on = true;
    while (goes_on && (again = xoi_line_first_waiting(line)) && again->call->seq > last) {
        last = again->call->seq;
        xoi_found_t found = nowhere ? NOWHERE : judge(again, record, address);
        if (found == HERE)
            goes_on = go_to(again, address);
        else if (found == NOWHERE)
            give_up(again);
        else
            goes_on = false;
    }
}

/* ---- the question ---- */

static void give_up_old(xoi_line_t *line)
{
    xoi_again_t *again, *next;
    DL_FOREACH_SAFE(line->calls, again, next)
    if (xoi_again_seeks(again) && !may_ask(again, NULL))
        give_up(again);
}

static void go_on(xoi_line_t *line)
{
    line->seeks = xoi_line_first_waiting(line);
    if (line->seeks && !xo_timer_active(&line->timer))
        xo_timer_start(&line->timer, xoi_again_backoff(&line->backoff_ns));
}

/* The registry is there, if it says that it is gone with its node. */
static bool knows(const xo_msg_t *answer)
{
    xo_failure_t failure;
    if (answer == NULL || xo_msg_header(answer)->kind == XO_RESULT)
        return answer != NULL;
    return xo_failure_read(xo_msg_body(answer), &failure) == 0 &&
           xo_slice_eq_str(failure.code, XO_CODE_ACTOR_NOT_EXIST);
}

static void on_found(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xoi_line_t *line = arg;
    line->lookup = NULL;
    xoi_line_hold(line);
    if (knows(*answer) && !xoi_line_is_open(line))
        settle(line, *answer);
    give_up_old(line);
    go_on(line);
    xoi_line_release(line);
}

static void ask(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xoi_line_t *line = arg;
    xo_buf_t body = XO_BUF_INIT;
    xo_endpoint_t *endpoint = line->endpoint;
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("lookup")};
    xo_pack_format(&body, "[[B ?] {}]", xo_slice(line->uid, line->size), true);
    bool is_broker = endpoint->self.role == XO_ROLE_BROKER;
    xo_msg_t *msg = endpoint->broker || is_broker ? xoi_msg_of(&header, &body) : NULL;
    xo_buf_free(&body);
    line->lookup = msg ? xo_endpoint_call(endpoint, endpoint->broker, &msg, XO_SEND_QUEUE,
                                          LOOKUP_NS, on_found, line, NULL)
                       : NULL;
    xo_msg_destroy(&msg);
    if (line->lookup)
        return;
    xoi_line_hold(line);
    give_up_old(line);
    go_on(line);
    xoi_line_release(line);
}

void xoi_seek_init(xoi_line_t *line)
{
    line->backoff_ns = XOI_AGAIN_FIRST_NS;
    xo_timer_init(&line->timer, line->endpoint->loop, ask, line);
}

void xoi_seek_later(xoi_line_t *line)
{
    line->asked = false;
    if (!line->lookup && !line->held)
        go_on(line);
}

void xoi_seek_stop(xoi_line_t *line)
{
    xo_timer_stop(&line->timer);
    if (line->lookup)
        xo_call_abandon(line->lookup);
}
