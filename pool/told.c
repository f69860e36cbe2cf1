/* told.c - what was told of actors that were just created, with what creates them again.
 *
 * The broker keeps that, and writes it into the registry a moment later. If it is killed before,
 * the next one has neither: so it is told once more of those that the last one had for less than
 * a heartbeat. doc/design.md, 7.
 */
#include <stdlib.h>

#include "pool/pool_impl.h"

#define TOLD_BYTES_MAX ((size_t)16 << 20)

struct xoi_told {
    uint64_t incarnation;
    xo_msg_t *msg; /* an "actor.up" */
    bool asked;    /* the ping under way comes after it */
    bool arrived;  /* as the ping before has shown */
    UT_hash_handle hh;
};

static void drop(xo_pool_t *pool, xoi_told_t *told)
{
    HASH_DEL(pool->told, told);
    pool->told_bytes -= xo_msg_bytes(told->msg);
    xo_msg_destroy(&told->msg);
    free(told);
}

void xoi_told_add(const xo_actor_t *actor, xo_msg_t **msg)
{
    xo_pool_t *pool = actor->pool;
    xoi_told_t *told = calloc(1, sizeof *told);
    if (!told)
        return;
    told->incarnation = actor->incarnation;
    HASH_ADD(hh, pool->told, incarnation, sizeof told->incarnation, told);
    if (!XOI_HASHED(hh, told)) {
        free(told);
        return;
    }
    told->msg = *msg;
    *msg = NULL;
    pool->told_bytes += xo_msg_bytes(told->msg);
    while (pool->told_bytes > TOLD_BYTES_MAX)
        drop(pool, pool->told); /* the oldest */
}

xo_msg_t *xoi_told_find(const xo_actor_t *actor)
{
    xoi_told_t *told = NULL;
    HASH_FIND(hh, actor->pool->told, &actor->incarnation, sizeof actor->incarnation, told);
    return told ? told->msg : NULL;
}

static void on_pong(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_pool_t *pool = arg;
    xoi_told_t *told, *next;
    bool arrived = *answer && xo_msg_header(*answer)->kind == XO_RESULT;
    (void)call;
    pool->told_asks = false;
    HASH_ITER(hh, pool->told, told, next)
    if (told->asked && told->arrived && arrived)
        drop(pool, told);
    else
        told->arrived = told->asked && arrived;
}

/* A broker that stands still has not read them, however long ago they were sent. */
void xoi_told_age(xo_pool_t *pool)
{
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(XO_BROKER_UID), .method = xo_slice_str("ping")};
    if (!pool->told || pool->told_asks)
        return;
    for (xoi_told_t *told = pool->told; told; told = told->hh.next)
        told->asked = true;
    xo_msg_t *msg = xo_msg_create(&header, xoi_pack_scratch(pool, "[[] {}]"));
    if (msg)
        pool->told_asks = xo_endpoint_call(pool->endpoint, pool->broker_link, &msg, XO_SEND_QUEUE,
                                           0, on_pong, pool, NULL) != NULL;
    xo_msg_destroy(&msg);
}

void xoi_told_free(xo_pool_t *pool)
{
    while (pool->told)
        drop(pool, pool->told);
}
