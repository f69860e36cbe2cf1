/* lookup.c - `ref` and `has` for a uid that this pool lacks: the broker knows whether another pool
 * of this node has it, so that asking any pool of a node finds the actors of all (contract 2).
 *
 * A broker that asks is answered for this pool alone: it is the one that we would ask.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

/* The broker confirms a miss with all its pools, so it may take a while; then it counts as away. */
#define LOOKUP_NS (3000 * XO_MS)
#define CANDIDATES_BYTES 256

struct xoi_lookup {
    xo_request_t *request;
    xo_call_t *call;
    xoi_lookup_t *prev, *next;
};

/* What the broker's records say about a uid. */
typedef struct found {
    unsigned count;
    xo_slice_t address; /* of the first */
    int64_t incarnation;
    char candidates[CANDIDATES_BYTES];
    char failed[XO_ADDRESS_BYTES]; /* the pool of one that failed, and why; "": none */
    char why[XO_ERROR_TEXT_BYTES];
    bool with_pool; /* its pool has failed, too */
} found_t;

static void answer_missing(xo_request_t *request)
{
    if (xo_msg_header(request->msg)->kind == XO_HAS)
        xoi_request_close_value(request, xoi_pack_scratch(request->pool, "?", 0));
    else
        xoi_request_absent(request, NULL);
}

static void answer_unavailable(xo_request_t *request, const char *why)
{
    char text[XOI_TEXT_BYTES];
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_UNAVAILABLE, why,
                       "actor \"%s\" is not in the pool at %s, and the node's broker cannot say "
                       "where it is: %s",
                       xoi_text(uid, text), xo_pool_address(request->pool), why);
}

/* It was there, and is not: who asks hears why. */
static void answer_failed(xo_request_t *request, const found_t *found)
{
    char text[XOI_TEXT_BYTES];
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    if (xo_msg_header(request->msg)->kind == XO_HAS)
        xoi_request_close_value(request, xoi_pack_scratch(request->pool, "?", 0));
    else
        xoi_request_reject(request, XO_DROP_NO_ACTOR,
                           found->with_pool ? XO_CODE_SERVER_CLOSED : XO_CODE_ACTOR_NOT_EXIST,
                           found->why, "actor \"%s\" of the pool at %s has failed: %s",
                           xoi_text(uid, text), found->failed, found->why);
}

static bool of_this_node(const xo_pool_t *pool, xo_slice_t record)
{
    char mine[17];
    char node[32];
    snprintf(mine, sizeof mine, "%016" PRIx64, xo_endpoint_self(pool->endpoint)->node_id);
    return xo_map_get_str(record, "node", node, sizeof node) == 0 && !strcmp(node, mine);
}

static bool note_failed(xo_slice_t record, found_t *found)
{
    char state[32];
    if (xo_map_get_str(record, "state", state, sizeof state) < 0 || strcmp(state, "failed") != 0)
        return false;
    if (xo_map_get_str(record, "address", found->failed, sizeof found->failed) < 0 ||
        xo_map_get_str(record, "reason", found->why, sizeof found->why) < 0)
        found->why[0] = '\0';
    found->with_pool =
        xo_map_get_str(record, "pool_state", state, sizeof state) == 0 && !strcmp(state, "failed");
    return true;
}

static void add_candidate(found_t *found, xo_slice_t address)
{
    size_t used = strlen(found->candidates);
    snprintf(found->candidates + used, sizeof found->candidates - used, "%s%.*s", used ? ", " : "",
             (int)address.size, address.data);
}

static void add_record(const xo_pool_t *pool, xo_slice_t record, found_t *found)
{
    xo_slice_t value;
    xo_slice_t address;
    if (!of_this_node(pool, record) || note_failed(record, found) ||
        xo_map_get(record, "address", &value) < 0 || xo_unpack(value, NULL, "s", &address) < 0 ||
        xo_slice_eq_str(address, xo_pool_address(pool)))
        return;
    if (!found->count++) {
        found->address = address;
        if (xo_map_get_int(record, "incarnation", &found->incarnation) < 0)
            found->incarnation = 0;
    }
    add_candidate(found, address);
}

static int read_records(const xo_pool_t *pool, xo_slice_t body, found_t *found)
{
    uint32_t count;
    xo_slice_t record;
    xo_reader_t reader = xo_reader(body);
    if (xo_read_array(&reader, &count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        if (xo_read_raw(&reader, &record) < 0)
            return -1;
        add_record(pool, record, found);
    }
    return 0;
}

static void answer_found(xo_request_t *request, const found_t *found)
{
    char text[XOI_TEXT_BYTES];
    const xo_header_t *header = xo_msg_header(request->msg);
    xo_slice_t uid = header->target_uid;
    if (header->kind == XO_HAS)
        xoi_request_close_value(request, xoi_pack_scratch(request->pool, "?", 1));
    else if (found->count > 1)
        xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_AMBIGUOUS, NULL,
                           "actor \"%s\" lives in several pools of this node: %s",
                           xoi_text(uid, text), found->candidates);
    else
        xoi_request_close_value(request, xoi_pack_scratch(request->pool, "[S B U]", found->address,
                                                          uid, (uint64_t)found->incarnation));
}

static void answer_error(xo_request_t *request, const xo_msg_t *answer)
{
    char text[XO_ERROR_TEXT_BYTES];
    xo_failure_t failure;
    if (xo_failure_read(xo_msg_body(answer), &failure) < 0) {
        answer_unavailable(request, "its answer does not read");
        return;
    }
    if (xo_slice_eq_str(failure.code, XO_CODE_ACTOR_NOT_EXIST)) {
        answer_missing(request);
        return;
    }
    snprintf(text, sizeof text, "%.*s", (int)failure.message.size, failure.message.data);
    xoi_text_trim(text);
    answer_unavailable(request, text);
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xoi_lookup_t *lookup = arg;
    xo_request_t *request = lookup->request;
    xo_pool_t *pool = request->pool;
    found_t found = {0};
    DL_DELETE(pool->lookups, lookup);
    free(lookup);
    if (!*answer)
        answer_unavailable(request, "out of memory");
    else if (xo_msg_header(*answer)->kind != XO_RESULT)
        answer_error(request, *answer);
    else if (read_records(pool, xo_msg_body(*answer), &found) < 0)
        answer_unavailable(request, "its answer does not read");
    else if (!found.count && found.failed[0])
        answer_failed(request, &found);
    else if (!found.count)
        answer_missing(request);
    else
        answer_found(request, &found);
}

static xo_msg_t *lookup_msg(xo_request_t *request)
{
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("lookup")};
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    return xo_msg_create(&header, xoi_pack_scratch(request->pool, "[[B] {}]", uid));
}

static int ask(xo_request_t *request, xo_link_t *broker, xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xoi_lookup_t *lookup = calloc(1, sizeof *lookup);
    xo_msg_t *msg = lookup_msg(request);
    if (!lookup || !msg) {
        free(lookup);
        xo_msg_destroy(&msg);
        return xo_error_set(err, ENOMEM, "out of memory");
    }
    lookup->request = request;
    lookup->call = xo_endpoint_call(pool->endpoint, broker, &msg, XO_SEND_QUEUE, LOOKUP_NS,
                                    on_answer, lookup, err);
    if (!lookup->call) {
        xo_msg_destroy(&msg);
        free(lookup);
        return -1;
    }
    DL_APPEND(pool->lookups, lookup);
    return 0;
}

bool xoi_asked_by_broker(const xo_request_t *request)
{
    const xo_identity_t *peer = request->from ? xo_link_peer(request->from) : NULL;
    return peer && peer->role == XO_ROLE_BROKER &&
           peer->id == xo_msg_header(request->msg)->sender_id;
}

/* Answers `ref` or `has` for an actor that is not here. */
void xoi_lookup(xo_request_t *request)
{
    xo_error_t err = {0};
    xo_pool_t *pool = request->pool;
    xo_link_t *broker = xo_endpoint_broker(pool->endpoint);
    if (xoi_asked_by_broker(request) || !pool->broker)
        answer_missing(request);
    else if (!broker)
        answer_unavailable(request, "the link to it is down");
    else if (ask(request, broker, &err) < 0)
        answer_unavailable(request, err.text);
}

/* The pool ends. */
void xoi_lookups_end(xo_pool_t *pool)
{
    while (pool->lookups) {
        xoi_lookup_t *lookup = pool->lookups;
        DL_DELETE(pool->lookups, lookup);
        xo_call_abandon(lookup->call);
        xoi_request_absent(lookup->request, NULL);
        free(lookup);
    }
}
