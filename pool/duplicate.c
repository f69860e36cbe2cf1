/* duplicate.c - idempotent requests that come again (contract 4).
 *
 * A caller that has lost its link may send such a request once more, with the same sequence. One
 * that is still under way is answered where the second one came from; one that was answered gets
 * the same answer again, for as long as this bounded table remembers it. One that was refused has
 * not run, and may the next time: its actor may have come meanwhile.
 */
#include <stdlib.h>

#include "pool/mailbox.h"

/* Remembered requests, and their answers' bytes altogether: a caller sends again within seconds. */
#define DUPLICATES_MAX 1024
#define DUPLICATES_BYTES_MAX ((size_t)4 << 20)
#define ANSWER_BYTES_MAX ((size_t)64 << 10)

struct xoi_duplicate {
    xoi_request_key_t key;
    xo_request_t *request; /* while it is under way */
    xo_kind_t kind;        /* of the answer */
    xo_buf_t answer;       /* its body */
    bool forgotten;        /* the answer was too large to keep */
    xoi_duplicate_t *prev, *next;
    UT_hash_handle hh;
};

static void duplicate_free(xo_pool_t *pool, xoi_duplicate_t *duplicate)
{
    HASH_DEL(pool->duplicates, duplicate);
    DL_DELETE(pool->duplicates_oldest, duplicate);
    if (duplicate->request)
        duplicate->request->duplicate = NULL;
    pool->duplicates_bytes -= duplicate->answer.size;
    xo_buf_free(&duplicate->answer);
    free(duplicate);
}

static void make_room(xo_pool_t *pool)
{
    while (pool->duplicates_oldest && (HASH_COUNT(pool->duplicates) > DUPLICATES_MAX ||
                                       pool->duplicates_bytes > DUPLICATES_BYTES_MAX))
        duplicate_free(pool, pool->duplicates_oldest);
}

static void remember(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    xoi_duplicate_t *duplicate = calloc(1, sizeof *duplicate);
    if (!duplicate)
        return;
    duplicate->key = xoi_request_key(request);
    HASH_ADD(hh, pool->duplicates, key, sizeof duplicate->key, duplicate);
    if (!XOI_HASHED(hh, duplicate)) {
        free(duplicate);
        return;
    }
    duplicate->request = request;
    request->duplicate = duplicate;
    DL_APPEND(pool->duplicates_oldest, duplicate);
    make_room(pool);
}

/* The first one is under way: its answer goes to the link over which the second one came. */
static void redirect(xo_request_t *first, xo_request_t *second)
{
    xo_msg_t *none = NULL;
    xo_link_t *link = first->to.link;
    first->to = second->to;
    second->to.link = link;
    second->wants_answer = false;
    xoi_request_close(second, &none);
}

static void answer_lost(xo_request_t *request)
{
    xo_slice_t body = xoi_pack_scratch(
        request->pool, "{s s s s s s}", "code", XO_CODE_SEND_FAILED, "executed", "ran", "message",
        "the request was handled when it came first, and its answer was too large to keep");
    xo_msg_t *answer = xo_msg_create(&(xo_header_t){.kind = XO_ERROR}, body);
    xoi_request_close(request, &answer);
}

static void answer_again(const xoi_duplicate_t *duplicate, xo_request_t *request)
{
    xo_msg_t *answer =
        xo_msg_create(&(xo_header_t){.kind = duplicate->kind}, xo_buf_slice(&duplicate->answer));
    xoi_request_close(request, &answer);
}

/* true: it came before and is dealt with. Otherwise it is remembered from now on. */
bool xoi_duplicate_check(xo_request_t *request)
{
    xo_pool_t *pool = request->pool;
    xoi_request_key_t key = xoi_request_key(request);
    xoi_duplicate_t *duplicate = NULL;
    HASH_FIND(hh, pool->duplicates, &key, sizeof key, duplicate);
    if (!duplicate) {
        remember(request);
        return false;
    }
    pool->stats.duplicates++;
    if (duplicate->request)
        redirect(duplicate->request, request);
    else if (duplicate->forgotten)
        answer_lost(request);
    else
        answer_again(duplicate, request);
    return true;
}

static bool has_not_run(const xo_msg_t *answer)
{
    xo_failure_t failure;
    return answer && xo_msg_header(answer)->kind == XO_ERROR &&
           xo_failure_read(xo_msg_body(answer), &failure) == 0 &&
           xo_slice_eq_str(failure.executed, "no");
}

/* `answer` NULL: there will be none. */
void xoi_duplicate_answered(xo_request_t *request, const xo_msg_t *answer)
{
    xo_pool_t *pool = request->pool;
    xoi_duplicate_t *duplicate = request->duplicate;
    request->duplicate = NULL;
    duplicate->request = NULL;
    if (has_not_run(answer)) {
        duplicate_free(pool, duplicate);
        return;
    }
    if (!answer || xo_msg_buffer_count(answer) || xo_msg_payload(answer) ||
        xo_msg_body(answer).size > ANSWER_BYTES_MAX) {
        duplicate->forgotten = true;
        return;
    }
    xo_slice_t body = xo_msg_body(answer);
    duplicate->kind = xo_msg_header(answer)->kind;
    xo_buf_append(&duplicate->answer, body.data, body.size);
    duplicate->forgotten = xo_buf_ok(&duplicate->answer) < 0;
    pool->duplicates_bytes += duplicate->answer.size;
    make_room(pool);
}

void xoi_duplicates_free(xo_pool_t *pool)
{
    while (pool->duplicates_oldest)
        duplicate_free(pool, pool->duplicates_oldest);
}
