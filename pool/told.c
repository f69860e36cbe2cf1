/* told.c - what was told of actors that were just created, with what creates them again.
 *
 * The broker keeps that, and writes it into the registry a moment later. If it is killed before,
 * the next one has neither: so it is told once more of those created within the last heartbeat or
 * two. doc/design.md, 7.
 */
#include <stdlib.h>

#include "pool/pool_impl.h"

#define TOLD_BYTES_MAX ((size_t)16 << 20)

struct xoi_told {
    uint64_t incarnation;
    xo_msg_t *msg; /* an "actor.up" */
    bool old;      /* there has been a heartbeat since */
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

void xoi_told_age(xo_pool_t *pool)
{
    xoi_told_t *told, *next;
    HASH_ITER(hh, pool->told, told, next)
    if (told->old)
        drop(pool, told);
    else
        told->old = true;
}

void xoi_told_free(xo_pool_t *pool)
{
    while (pool->told)
        drop(pool, pool->told);
}
