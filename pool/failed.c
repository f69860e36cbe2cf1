/* failed.c - actors that could not be created again: who calls them hears why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

struct xoi_failed {
    UT_hash_handle hh; /* by uid */
    char *why;
    size_t uid_size;
    char uid[];
};

static xoi_failed_t *find(const xo_pool_t *pool, xo_slice_t uid)
{
    xoi_failed_t *failed = NULL;
    if (pool->failed)
        HASH_FIND(hh, pool->failed, uid.data, uid.size, failed);
    return failed;
}

static void drop(xo_pool_t *pool, xoi_failed_t *failed)
{
    HASH_DEL(pool->failed, failed);
    free(failed->why);
    free(failed);
}

static char *explain(const xo_msg_t *answer)
{
    xo_error_t err = {0};
    xo_failure_t failure;
    if (xo_failure_read(xo_msg_body(answer), &failure) == 0)
        xo_failure_set_error(&failure, &err);
    char *text = NULL;
    return asprintf(&text, "it could not be created again: %s", err.text) < 0 ? NULL : text;
}

/* Without memory its callers hear that it does not exist, which is so. */
void xoi_failed_add(xo_actor_t *actor, const xo_msg_t *answer)
{
    xo_pool_t *pool = actor->pool;
    xo_slice_t uid = xo_actor_uid(actor);
    xoi_failed_remove(pool, uid);
    xoi_failed_t *failed = calloc(1, sizeof *failed + uid.size);
    if (!failed)
        return;
    failed->uid_size = uid.size;
    memcpy(failed->uid, uid.data, uid.size);
    failed->why = explain(answer);
    HASH_ADD_KEYPTR(hh, pool->failed, failed->uid, failed->uid_size, failed);
    if (failed->hh.tbl)
        return;
    free(failed->why);
    free(failed);
}

void xoi_failed_remove(xo_pool_t *pool, xo_slice_t uid)
{
    xoi_failed_t *failed = find(pool, uid);
    if (failed)
        drop(pool, failed);
}

const char *xoi_failed_why(const xo_pool_t *pool, xo_slice_t uid)
{
    const xoi_failed_t *failed = find(pool, uid);
    return failed ? failed->why : NULL;
}

void xoi_failed_free(xo_pool_t *pool)
{
    while (pool->failed)
        drop(pool, pool->failed);
}
