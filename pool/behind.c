/* behind.c - calls of names of which an earlier one was refused (contract 6).
 *
 * Its caller may look for the actor, and send the call anew. What that caller has sent behind it
 * must not run before, though the actor may have come, or have its lease again, meanwhile. So it is
 * refused as well, until something comes that is not behind others: libxo/line.c sends nothing else
 * once it knows. Who refused is remembered by caller and name, in a bounded table: if it forgets,
 * order is lost, and nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "pool/mailbox.h"

#define BEHIND_MAX 1024

typedef struct xoi_behind {
    UT_hash_handle hh;
    struct xoi_behind *prev, *next; /* from the oldest on */
    const char *code;               /* of the refusal */
    size_t size;
    char key[]; /* the caller's id, the uid */
} xoi_behind_t;

typedef struct xoi_behind_key {
    size_t size;
    char bytes[sizeof(uint64_t) + XO_UID_BYTES_MAX];
} xoi_behind_key_t;

/* false: it is no message to a name from elsewhere, or a call that is in no line: it says nothing
 * of those that are. */
static bool make_key(const xo_request_t *request, xoi_behind_key_t *key)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    bool is_tell = header->kind == XO_TELL && xo_uid_is_name(header->target_uid);
    if (!request->from || (!is_tell && !xo_joins_line(header)))
        return false;
    memcpy(key->bytes, &header->sender_id, sizeof header->sender_id);
    memcpy(key->bytes + sizeof header->sender_id, header->target_uid.data, header->target_uid.size);
    key->size = sizeof header->sender_id + header->target_uid.size;
    return true;
}

static xoi_behind_t *find(const xo_pool_t *pool, const xoi_behind_key_t *key)
{
    xoi_behind_t *behind;
    HASH_FIND(hh, pool->behind, key->bytes, key->size, behind);
    return behind;
}

static void drop(xo_pool_t *pool, xoi_behind_t *behind)
{
    HASH_DEL(pool->behind, behind);
    DL_DELETE(pool->behind_oldest, behind);
    free(behind);
}

static void add(xo_pool_t *pool, const xoi_behind_key_t *key, const char *code)
{
    xoi_behind_t *behind = calloc(1, sizeof *behind + key->size);
    if (!behind)
        return;
    behind->code = code;
    behind->size = key->size;
    memcpy(behind->key, key->bytes, key->size);
    HASH_ADD_KEYPTR(hh, pool->behind, behind->key, behind->size, behind);
    if (!XOI_HASHED(hh, behind)) {
        free(behind);
        return;
    }
    DL_APPEND(pool->behind_oldest, behind);
    if (HASH_COUNT(pool->behind) > BEHIND_MAX)
        drop(pool, pool->behind_oldest);
}

/* Those after which its caller looks for the actor. NULL: another answer. */
static const char *code_of(const xo_msg_t *answer)
{
    static const char *const codes[] = {XO_CODE_ACTOR_NOT_EXIST, XO_CODE_SERVER_CLOSED};
    xo_failure_t failure;
    if (xo_failure_read(xo_msg_body(answer), &failure) < 0 ||
        !xo_slice_eq_str(failure.executed, "no"))
        return NULL;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (xo_slice_eq_str(failure.code, codes[i]))
            return codes[i];
    return NULL;
}

void xoi_behind_failed(const xo_request_t *request, const xo_msg_t *error)
{
    xoi_behind_key_t key;
    xo_pool_t *pool = request->pool;
    const char *code = request->wants_answer && make_key(request, &key) ? code_of(error) : NULL;
    if (code && !find(pool, &key))
        add(pool, &key, code);
}

static void reject(xo_request_t *request, const char *code)
{
    char text[XOI_TEXT_BYTES];
    xoi_request_reject(request, XO_DROP_STALE, code, "behind",
                       "an earlier call of actor \"%s\" in the pool at %s was refused",
                       xoi_text(xo_msg_header(request->msg)->target_uid, text),
                       xo_pool_address(request->pool));
}

bool xoi_behind_rejects(xo_request_t *request)
{
    xoi_behind_key_t key;
    xo_pool_t *pool = request->pool;
    xoi_behind_t *behind = pool->behind && make_key(request, &key) ? find(pool, &key) : NULL;
    const xo_header_t *header = xo_msg_header(request->msg);
    if (!behind)
        return false;
    if (header->flags & XO_F_BEHIND) {
        reject(request, behind->code);
        return true;
    }
    if (header->kind != XO_TELL)
        drop(pool, behind);
    return false;
}

void xoi_behind_free(xo_pool_t *pool)
{
    while (pool->behind_oldest)
        drop(pool, pool->behind_oldest);
}
