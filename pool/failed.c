/* failed.c - actors that could not be created again: who calls them waits until the broker has
 * decided whether to try once more, and hears why when it has not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

struct xoi_failed {
    UT_hash_handle hh; /* by uid */
    char *why;
    bool settled; /* the broker will not try again */
    bool grouped; /* it comes when its group creates it */
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

/* Takes `why` over. Without memory its callers hear that it does not exist, which is so. */
static void add(xo_pool_t *pool, xo_slice_t uid, char *why, bool settled)
{
    xoi_failed_t *failed = calloc(1, sizeof *failed + uid.size);
    xoi_failed_remove(pool, uid);
    if (!failed) {
        free(why);
        return;
    }
    failed->uid_size = uid.size;
    memcpy(failed->uid, uid.data, uid.size);
    failed->why = why;
    failed->settled = settled;
    HASH_ADD_KEYPTR(hh, pool->failed, failed->uid, failed->uid_size, failed);
    if (XOI_HASHED(hh, failed))
        return;
    free(failed->why);
    free(failed);
}

/* Without a broker nobody would try again. */
void xoi_failed_add(xo_actor_t *actor, const xo_msg_t *answer)
{
    xo_pool_t *pool = actor->pool;
    add(pool, xo_actor_uid(actor), explain(answer), !pool->broker_link || pool->stopping);
}

void xoi_failed_unbegun(xo_pool_t *pool, xo_slice_t uid)
{
    add(pool, uid, strdup("its creation had not begun when it was cancelled"),
        !pool->broker_link || pool->stopping);
}

void xoi_failed_expect(xo_pool_t *pool, xo_slice_t uid)
{
    add(pool, uid, strdup("its group is being restarted, or was not to its end"),
        !pool->broker_link || pool->stopping);
    xoi_failed_t *failed = find(pool, uid);
    if (failed)
        failed->grouped = true;
}

bool xoi_failed_in_group(const xo_pool_t *pool, xo_slice_t uid)
{
    const xoi_failed_t *failed = find(pool, uid);
    return failed && failed->grouped;
}

void xoi_failed_event(xo_pool_t *pool, const xo_msg_t *event, bool settled)
{
    xo_slice_t value, uid;
    char why[XO_ERROR_TEXT_BYTES];
    xo_slice_t body = xo_msg_body(event);
    if (xo_map_get(body, "uid", &value) < 0)
        return;
    xo_reader_t reader = xo_reader(value);
    if (xo_read_bytes(&reader, &uid) < 0 || !uid.size || uid.size > XO_UID_BYTES_MAX ||
        xo_pool_find(pool, uid))
        return;
    if (!settled) {
        xoi_failed_expect(pool, uid);
        xoi_held_review(pool);
        return;
    }
    if (xo_map_get_str(body, "reason", why, sizeof why) < 0)
        strcpy(why, "its broker does not say why");
    char *text = NULL;
    add(pool, uid, asprintf(&text, "it has failed: %s", why) < 0 ? NULL : text, true);
    xoi_held_release(pool, uid);
}

void xoi_failed_remove(xo_pool_t *pool, xo_slice_t uid)
{
    xoi_failed_t *failed = find(pool, uid);
    if (failed)
        drop(pool, failed);
}

bool xoi_failed_waits(const xo_pool_t *pool, xo_slice_t uid)
{
    const xoi_failed_t *failed = find(pool, uid);
    return failed && !failed->settled;
}

void xoi_failed_settle(xo_pool_t *pool)
{
    for (xoi_failed_t *failed = pool->failed; failed; failed = failed->hh.next)
        failed->settled = true;
}

const char *xoi_failed_why(const xo_pool_t *pool, xo_slice_t uid)
{
    const xoi_failed_t *failed = find(pool, uid);
    if (!failed)
        return NULL;
    return failed->why ? failed->why : "out of memory";
}

const char *xo_pool_why_failed(const xo_pool_t *pool, xo_slice_t uid)
{
    return xoi_failed_waits(pool, uid) ? NULL : xoi_failed_why(pool, uid);
}

void xoi_failed_free(xo_pool_t *pool)
{
    while (pool->failed)
        drop(pool, pool->failed);
}
