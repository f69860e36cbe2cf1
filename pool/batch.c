/* batch.c - a batch for a C actor: its calls run one after the other, each as a request of its own
 * (a part), and the results become one array. The first error ends it, unless nobody waits for the
 * answer.
 */
#include <errno.h>
#include <stdlib.h>

#include "libxo/cache.h"
#include "pool/host_impl.h"

typedef struct xoi_batch {
    xo_actor_t *actor;
    xo_request_t *request; /* the whole; its data points here */
    const xo_method_t *method;
    xo_reader_t reader; /* what has not begun */
    uint32_t left;
    xo_buf_t results;
    xo_msg_t *error;
    xo_request_t *part; /* under way */
    bool running;       /* inside run_parts */
    struct xoi_batch *prev, *next;
} xoi_batch_t;

/* One call of a batch: shares its parent's message. */
static xo_request_t *part_create(xo_request_t *parent, xo_slice_t args, xo_slice_t kwargs)
{
    xo_request_t *part = xoi_cache_calloc(sizeof *part);
    if (!part)
        return NULL;
    part->pool = parent->pool;
    part->actor = parent->actor;
    part->msg = parent->msg;
    part->parent = parent;
    part->wants_answer = parent->wants_answer;
    part->parsed = true;
    part->args = args;
    part->kwargs = kwargs;
    return part;
}

static void part_free(xo_request_t *part)
{
    xoi_cache_free(part, sizeof *part);
}

static void batch_free(xoi_batch_t *batch)
{
    DL_DELETE(xoi_c_actor(batch->actor)->batches, batch);
    xo_msg_destroy(&batch->error);
    xo_buf_free(&batch->results);
    if (batch->part)
        part_free(batch->part);
    free(batch);
}

static void finish(xoi_batch_t *batch)
{
    xo_request_t *request = batch->request;
    xo_msg_t *answer = batch->error;
    batch->error = NULL;
    if (!answer && xo_buf_ok(&batch->results) == 0)
        answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&batch->results));
    batch_free(batch);
    xoi_request_end(request, &answer);
}

/* The buffers of a part's result have numbers of their own, so they cannot be put together. */
static bool fits(const xo_msg_t *answer)
{
    return !xo_msg_buffer_count(answer) && !xo_msg_payload(answer) && xo_msg_body(answer).size;
}

static void keep_result(xoi_batch_t *batch, xo_msg_t **answer)
{
    if (!batch->request->wants_answer) {
        if (*answer && xo_msg_header(*answer)->kind == XO_ERROR)
            xo_endpoint_drop(batch->request->pool->endpoint, XO_DROP_ERROR, batch->request->msg);
    } else if (*answer && xo_msg_header(*answer)->kind == XO_ERROR) {
        batch->error = *answer;
        *answer = NULL;
    } else if (*answer && fits(*answer)) {
        xo_pack_raw(&batch->results, xo_msg_body(*answer));
    } else {
        batch->error = xo_failure_msg(0, XO_CODE_SEND_FAILED, "ran", NULL,
                                      "a result of this method cannot be part of a batch");
    }
}

static void run_parts(xoi_batch_t *batch);

static void part_ended(xo_request_t *part, xo_msg_t **answer)
{
    xoi_batch_t *batch = part->parent->data;
    keep_result(batch, answer);
    xo_msg_destroy(answer);
    batch->part = NULL;
    part_free(part);
    if (!batch->running)
        run_parts(batch);
}

static int begin_part(xoi_batch_t *batch)
{
    xo_slice_t pair;
    xo_slice_t args;
    xo_slice_t kwargs;
    if (xo_read_raw(&batch->reader, &pair) < 0)
        return -1;
    xoi_arguments(pair, &args, &kwargs);
    batch->part = part_create(batch->request, args, kwargs);
    if (!batch->part)
        return -1;
    batch->left--;
    batch->part->part_ended = part_ended;
    xoi_method_run(batch->method, batch->part);
    return 0;
}

static void run_parts(xoi_batch_t *batch)
{
    batch->running = true;
    while (batch->left && !batch->error && !batch->part)
        if (begin_part(batch) < 0)
            batch->error = xo_failure_msg(0, XO_CODE_REFUSED, "maybe", NULL,
                                          "the batch's list of arguments does not read");
    batch->running = false;
    if (!batch->part)
        finish(batch);
}

void xoi_batch_run(xo_request_t *request, const xo_method_t *method)
{
    uint32_t count;
    xo_reader_t reader = xo_reader(xo_msg_body(xo_request_msg(request)));
    if (xo_read_array(&reader, &count) < 0) {
        xo_request_fail(request, XO_CODE_REFUSED,
                        "the arguments of method %s must be plain values, not a Python pickle",
                        method->name);
        return;
    }
    xoi_batch_t *batch = calloc(1, sizeof *batch);
    if (!batch) {
        xo_request_fail(request, XO_CODE_REFUSED, "out of memory for a batch");
        return;
    }
    batch->actor = xo_request_actor(request);
    batch->request = request;
    batch->method = method;
    batch->reader = reader;
    batch->left = count;
    xo_pack_array(&batch->results, count);
    request->data = batch;
    DL_APPEND(xoi_c_actor(batch->actor)->batches, batch);
    run_parts(batch);
}

/* The actor goes. */
void xoi_batches_free(xo_actor_t *actor)
{
    while (xoi_c_actor(actor)->batches)
        batch_free(xoi_c_actor(actor)->batches);
}
