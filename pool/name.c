/* name.c - names: uids that begin with XO_NAME_PREFIX, which one actor of the cluster has alone.
 *
 * A creation asks the broker for its name first; the registry decides who gets it. The broker keeps
 * it until it hears "actor.down", or "name.free" of one that did not come about. What the broker
 * itself creates again it has the name of.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

/* The registry may take 5 s to say that it is away. */
#define TAKE_NS (6000 * XO_MS)

struct xoi_naming {
    xo_request_t *request;
    xo_call_t *call;
    xoi_naming_t *prev, *next;
};

/* What comes for its actor meanwhile waits. */
bool xoi_is_being_named(const xo_pool_t *pool, xo_slice_t uid)
{
    const xoi_naming_t *naming = pool->namings;
    while (naming && !xo_slice_eq(xo_msg_header(naming->request->msg)->target_uid, uid))
        naming = naming->next;
    return naming;
}

bool xoi_needs_name(const xo_request_t *request)
{
    return xo_uid_is_name(xo_msg_header(request->msg)->target_uid) && !xoi_again(request).size;
}

static void reject(xo_request_t *request, const char *why)
{
    char text[XOI_TEXT_BYTES];
    xoi_request_reject(request, XO_DROP_NO_ACTOR, XO_CODE_UNAVAILABLE, why,
                       "the pool at %s cannot ask for the name \"%s\": %s",
                       xo_pool_address(request->pool),
                       xoi_text(xo_msg_header(request->msg)->target_uid, text), why);
}

static bool is_taken(const xo_msg_t *answer)
{
    xo_failure_t failure;
    return answer && xo_failure_read(xo_msg_body(answer), &failure) == 0 &&
           xo_slice_eq_str(failure.code, XO_CODE_ACTOR_EXISTS);
}

/* Who did not hear the answer may have the name all the same. */
static void fail(xo_request_t *request, xo_msg_t **answer)
{
    xo_pool_t *pool = request->pool;
    char uid[XO_UID_BYTES_MAX];
    xo_slice_t target = xo_msg_header(request->msg)->target_uid;
    xo_slice_t copy = xo_slice(memcpy(uid, target.data, target.size), target.size);
    if (!is_taken(*answer))
        xoi_announce_none(pool, copy);
    if (*answer)
        xoi_request_close(request, answer);
    else
        reject(request, "out of memory");
    xoi_held_release(pool, copy);
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xoi_naming_t *naming = arg;
    xo_request_t *request = naming->request;
    DL_DELETE(request->pool->namings, naming);
    free(naming);
    if (*answer && xo_msg_header(*answer)->kind == XO_RESULT)
        xoi_create_named(request);
    else
        fail(request, answer);
}

static int ask(xo_request_t *request, xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("name.take")};
    xoi_naming_t *naming = calloc(1, sizeof *naming);
    xo_slice_t uid = xo_msg_header(request->msg)->target_uid;
    xo_msg_t *msg = naming ? xo_msg_create(&header, xoi_pack_scratch(pool, "[[B] {}]", uid)) : NULL;
    if (!msg) {
        free(naming);
        return xo_error_set(err, ENOMEM, "out of memory");
    }
    naming->request = request;
    naming->call = xo_endpoint_call(pool->endpoint, pool->broker_link, &msg, XO_SEND_QUEUE, TAKE_NS,
                                    on_answer, naming, err);
    if (!naming->call) {
        xo_msg_destroy(&msg);
        free(naming);
        return -1;
    }
    DL_APPEND(pool->namings, naming);
    return 0;
}

void xoi_name_take(xo_request_t *request)
{
    xo_error_t err = {0};
    xo_pool_t *pool = request->pool;
    if (!pool->broker)
        reject(request, "it has no broker, and only brokers know who has which");
    else if (!pool->broker_link)
        reject(request, "the link to its broker is down");
    else if (ask(request, &err) < 0)
        reject(request, err.text);
}

void xoi_namings_end(xo_pool_t *pool)
{
    while (pool->namings) {
        xoi_naming_t *naming = pool->namings;
        DL_DELETE(pool->namings, naming);
        xo_call_abandon(naming->call);
        xoi_request_absent(naming->request, NULL);
        free(naming);
    }
}
