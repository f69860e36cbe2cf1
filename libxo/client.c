/* client.c - a process that hosts no actors: finds its node, connects, resolves names. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxo/future.h"
#include "libxo/msg_impl.h"

#define CONNECT_MS 5000
#define FOLLOW_MS 40000 /* seek.c looks for 30 s, and the last try takes a while */

struct xo_client {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    bool own_loop;
    xo_endpoint_t *endpoint;
    xo_link_t *home; /* the link that was asked for: a broker's, or a pool's that passes on */
    char where[XO_PATH_BYTES * 3];
    bool failed;
    xo_error_t why;
};

/* ---- finding the node ---- */

static int no_node(xo_ctx_t *ctx, xo_error_t *err)
{
    return xo_error_set(err, ENOENT,
                        "no node of cluster '%s' runs on this machine (looked in %s); "
                        "start one with: xo start",
                        xo_ctx_cluster(ctx), xo_ctx_run_dir(ctx));
}

static int several_nodes(const glob_t *found, xo_error_t *err)
{
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < found->gl_pathc && used < sizeof list - 1; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, " ipc://%s", found->gl_pathv[i]);
    return xo_error_set(err, ENOENT, "%zu nodes run here, set XO_NODE to one of:%s",
                        found->gl_pathc, list);
}

static int only_node(xo_ctx_t *ctx, char *path, size_t size, xo_error_t *err)
{
    char pattern[XO_PATH_BYTES * 2];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/n-*/broker.sock", xo_ctx_run_dir(ctx));
    int rc = glob(pattern, 0, NULL, &found);
    if (rc != 0)
        return no_node(ctx, err);
    if (found.gl_pathc == 1)
        snprintf(path, size, "ipc://%s", found.gl_pathv[0]);
    else
        rc = several_nodes(&found, err);
    globfree(&found);
    return rc;
}

int xo_find_node(xo_ctx_t *ctx, char *lane_endpoint, size_t size, xo_error_t *err)
{
    char path[XO_PATH_BYTES * 2];
    const char *node = getenv("XO_NODE");
    if (node && node[0]) {
        snprintf(lane_endpoint, size, "%s", node);
        return 0;
    }
    snprintf(path, sizeof path, "%s/default/broker.sock", xo_ctx_run_dir(ctx));
    if (access(path, F_OK) < 0)
        return only_node(ctx, lane_endpoint, size, err);
    snprintf(lane_endpoint, size, "ipc://%s", path);
    return 0;
}

/* ---- connecting ---- */

/* A client hosts nothing: whoever asks it for an actor gets told so. */
static void refuse_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)arg;
    const xo_header_t *header = xo_msg_header(*msg);
    xo_return_t to = xo_return_of(from, *msg);
    bool answer = xo_kind_is_request(header->kind) && header->kind != XO_TELL;
    if (xo_kind_is_request(header->kind))
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    if (answer) {
        xo_msg_t *error =
            xo_failure_msg(to.seq, XO_CODE_ACTOR_NOT_EXIST, "no", NULL, "a client hosts no actors");
        xo_endpoint_answer(endpoint, &to, &error);
    } else if (header->kind == XO_TELL) {
        xo_endpoint_drop(endpoint, XO_DROP_NO_ACTOR, *msg);
    }
    xo_msg_destroy(msg);
}

static void on_unlinked(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg)
{
    (void)endpoint;
    xo_client_t *client = arg;
    if (link != client->home)
        return;
    client->failed = true;
    client->why = *why;
}

static void on_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    xo_client_t *client = arg;
    if (link == client->home && xo_link_peer(link)->role == XO_ROLE_BROKER)
        xo_endpoint_set_broker(endpoint, link);
}

static const xo_endpoint_ops_t client_ops = {
    .request = refuse_request, .linked = on_linked, .unlinked = on_unlinked};

static bool connected(void *arg)
{
    const xo_client_t *client = arg;
    return client->failed || xo_link_up(client->home);
}

/* Also when it was lost: who is there now may be another process. */
static int link_home(xo_client_t *client, xo_error_t *err)
{
    xo_link_t *home = xo_endpoint_link(client->endpoint, client->where, err);
    if (!home)
        return -1;
    xo_link_decref(client->home);
    client->home = xo_link_incref(home);
    client->failed = false;
    return 0;
}

/* Whoever owns a local socket and does not answer stands still, and may go on. */
static bool may_still_answer(const xo_client_t *client)
{
    return client->failed && client->why.errnum == ETIMEDOUT &&
           strncmp(client->where, "ipc://", 6) == 0;
}

/* A link gives up before a caller with much time does: then there is another one. */
static int await_home(xo_client_t *client, int timeout_ms, xo_error_t *err)
{
    xo_loop_update(client->loop);
    int64_t end = xo_loop_now(client->loop) + timeout_ms * XO_MS;
    int64_t left = timeout_ms;
    do {
        if (link_home(client, err) < 0)
            return -1;
        if (xoi_wait(client->loop, connected, client, (int)left) < 0)
            break;
        xo_loop_update(client->loop);
        left = (end - xo_loop_now(client->loop)) / XO_MS;
        if (!may_still_answer(client))
            return 0;
    } while (left > 0);
    return xo_error_set(err, ETIMEDOUT, "%s did not answer within %d ms", client->where,
                        timeout_ms);
}

static int connect_home(xo_client_t *client, const char *where, int timeout_ms, xo_error_t *err)
{
    if (where)
        snprintf(client->where, sizeof client->where, "%s", where);
    else if (xo_find_node(client->ctx, client->where, sizeof client->where, err) < 0)
        return -1;
    if (await_home(client, timeout_ms, err) < 0)
        return -1;
    if (client->failed)
        return xo_error_set(err, client->why.errnum, "cannot connect to %s: %s", client->where,
                            client->why.text);
    return 0;
}

static int client_open(xo_client_t *client, const char *where, int timeout_ms, xo_error_t *err)
{
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    client->ctx = xo_ctx_create_client(NULL, err);
    if (!client->ctx)
        return -1;
    if (!client->loop)
        client->loop = xo_loop_create(err);
    if (!client->loop)
        return -1;
    client->endpoint =
        xo_endpoint_create(client->ctx, client->loop, &self, &client_ops, client, NULL, err);
    return client->endpoint ? connect_home(client, where, timeout_ms, err) : -1;
}

xo_client_t *xo_connect(const char *where, xo_loop_t *loop, xo_error_t *err)
{
    return xo_connect_within(where, loop, CONNECT_MS, err);
}

xo_client_t *xo_connect_within(const char *where, xo_loop_t *loop, int timeout_ms, xo_error_t *err)
{
    xo_client_t *client = calloc(1, sizeof *client);
    if (!client)
        return xo_error_null(err, ENOMEM, "out of memory for a client");
    client->loop = loop;
    client->own_loop = !loop;
    if (client_open(client, where, timeout_ms, err) < 0) {
        int saved = errno;
        xo_client_destroy(client);
        errno = saved;
        return NULL;
    }
    return client;
}

void xo_client_destroy(xo_client_t *client)
{
    if (!client)
        return;
    int saved = errno;
    xo_link_decref(client->home);
    xo_endpoint_destroy(client->endpoint);
    if (client->own_loop)
        xo_loop_destroy(client->loop);
    xo_ctx_destroy(client->ctx);
    free(client);
    errno = saved;
}

xo_endpoint_t *xo_client_endpoint(xo_client_t *client)
{
    return client->endpoint;
}

xo_loop_t *xo_client_loop(xo_client_t *client)
{
    return client->loop;
}

/* ---- the broker, as an actor ---- */

xo_future_t *xo_client_ask_broker(xo_client_t *client, xo_error_t *err, const char *method,
                                  xo_slice_t args)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(XO_BROKER_UID), .method = xo_slice_str(method)};
    if (client->failed && link_home(client, err) < 0)
        return NULL;
    xo_pack_array(&body, 2);
    if (args.size)
        xo_pack_raw(&body, args);
    else
        xo_pack_array(&body, 0);
    xo_pack_map(&body, 0);
    xo_msg_t *msg = xoi_msg_of(&header, &body);
    xo_buf_free(&body);
    xo_future_t *future = msg ? xoi_future_create(client->endpoint) : NULL;
    xo_call_t *call = NULL;
    if (future)
        call = xo_endpoint_call(client->endpoint, client->home, &msg, 0, 0, xoi_future_answer,
                                future, err);
    else
        xo_error_set(err, ENOMEM, "out of memory for a call");
    xo_msg_destroy(&msg);
    if (!call) {
        xo_future_destroy(future);
        return NULL;
    }
    xoi_future_set_call(future, call);
    return future;
}

static xo_ref_t *ref_of_records(xo_client_t *client, const char *uid, xo_slice_t records,
                                xo_error_t *err)
{
    xo_reader_t reader = xo_reader(records);
    uint32_t count;
    char list[256] = "";
    char address[XO_ADDRESS_BYTES] = "";
    size_t used = 0;
    if (xo_read_array(&reader, &count) < 0)
        return xo_error_null(err, EBADMSG, "the broker's answer to a lookup is no list");
    if (count == 0)
        return xo_error_null(err, ENOENT, "no actor with uid '%s'", uid);
    for (uint32_t i = 0; i < count; i++) {
        xo_slice_t record;
        if (xo_read_raw(&reader, &record) < 0 ||
            xo_map_get_str(record, "address", address, sizeof address) < 0)
            return xo_error_null(err, EBADMSG, "the broker's answer to a lookup has no address");
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, " %s", address);
    }
    if (count > 1)
        return xo_error_null(err, ENOTUNIQ, "%u actors have the uid '%s', at:%s", count, uid, list);
    return xo_ref_create(client->endpoint, address, uid, err);
}

static xo_ref_t *look_up(xo_client_t *client, const char *uid, bool refused, xo_error_t *err)
{
    xo_buf_t args = XO_BUF_INIT;
    xo_slice_t records;
    xo_ref_t *ref = NULL;
    xo_pack_format(&args, "[B ?]", xo_slice_str(uid), refused);
    xo_future_t *future = xo_client_ask_broker(client, err, "lookup", xo_buf_slice(&args));
    xo_buf_free(&args);
    if (future && xo_future_wait(future, CONNECT_MS, err) == 0 &&
        xo_future_get(future, err, "V", &records) == 0)
        ref = ref_of_records(client, uid, records, err);
    xo_future_destroy(future);
    return ref;
}

/* Is it there? One that may have moved is looked for (seek.c). */
static bool is_there(xo_ref_t *ref, xo_error_t *err)
{
    xo_future_t *future = xoi_ref_ask(ref, err);
    int limit_ms = xo_uid_is_name(xo_ref_uid(ref)) ? FOLLOW_MS : CONNECT_MS;
    bool answered = future && xo_future_wait(future, limit_ms, err) == 0 &&
                    xo_future_get(future, err, NULL) == 0;
    xo_future_destroy(future);
    return answered;
}

/* What the broker remembers may be out of date. NULL also where one is said to be that has been
 * looked for already. */
static xo_ref_t *look_up_again(xo_client_t *client, const char *uid, const xo_ref_t *before,
                               xo_error_t *err)
{
    int saved = errno;
    xo_ref_t *ref = look_up(client, uid, true, err);
    if (!ref || !xo_uid_is_name(xo_ref_uid(ref)) ||
        strcmp(xo_ref_address(ref), xo_ref_address(before)) != 0)
        return ref;
    xo_ref_destroy(ref);
    errno = saved;
    return NULL;
}

xo_ref_t *xo_ref_lookup(xo_client_t *client, const char *uid, xo_error_t *err)
{
    xo_ref_t *ref = look_up(client, uid, false, err);
    for (bool again = true; ref && !is_there(ref, err); again = false) {
        xo_ref_t *next = again ? look_up_again(client, uid, ref, err) : NULL;
        xo_ref_destroy(ref);
        ref = next;
    }
    return ref;
}
