/* letters.c - the dead letters of this node: of the broker, and of its pools, which are asked. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/broker_impl.h"

/* A pool that is in a method for longer than this does not hold the others' up. */
#define POOL_MS 1000
/* Of what one pool says. */
#define LETTERS_MAX 1024

typedef struct xo_collection {
    xo_ask_t *ask;    /* NULL: ended before */
    size_t under_way; /* pools that have not answered */
    xo_buf_t letters; /* maps */
    uint32_t count;   /* of them */
    xo_buf_t silent;  /* addresses of those that did not answer */
    uint32_t silent_count;
} xo_collection_t;

typedef struct xo_question {
    xo_collection_t *collection;
    char address[XO_ADDRESS_BYTES];
} xo_question_t;

static void let_go(xo_ask_t *ask, void *arg)
{
    (void)ask;
    ((xo_collection_t *)arg)->ask = NULL;
}

/* {"letters": [...], "silent": [...]}, when all have answered. */
static void answer_when_complete(xo_collection_t *collection)
{
    xo_buf_t out = XO_BUF_INIT;
    if (collection->under_way > 0)
        return;
    xo_pack_map(&out, 2);
    xo_pack_cstr(&out, "letters");
    xo_pack_array(&out, collection->count);
    xo_buf_append(&out, collection->letters.data, collection->letters.size);
    xo_pack_cstr(&out, "silent");
    xo_pack_array(&out, collection->silent_count);
    xo_buf_append(&out, collection->silent.data, collection->silent.size);
    if (xo_buf_ok(&collection->letters) < 0 || xo_buf_ok(&collection->silent) < 0)
        out.failed = true;
    if (collection->ask != NULL)
        xo_ask_reply_value(collection->ask, &out);
    else
        xo_buf_free(&out);
    xo_buf_free(&collection->letters);
    xo_buf_free(&collection->silent);
    free(collection);
}

/* False: they are no array of maps. */
static bool take(xo_collection_t *collection, xo_slice_t letters)
{
    uint32_t count;
    xo_reader_t reader = xo_reader(letters);
    if (xo_read_array(&reader, &count) < 0 || count > LETTERS_MAX)
        return false;
    const uint8_t *first = reader.at;
    for (uint32_t i = 0; i < count; i++) {
        if (xo_read_type(&reader) != XO_T_MAP || xo_read_skip(&reader) < 0)
            return false;
    }
    xo_buf_append(&collection->letters, first, (size_t)(reader.at - first));
    collection->count += count;
    return true;
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_question_t *question = arg;
    xo_collection_t *collection = question->collection;
    (void)call;
    if (*answer == NULL || xo_msg_header(*answer)->kind != XO_RESULT ||
        !take(collection, xo_msg_body(*answer))) {
        xo_pack_cstr(&collection->silent, question->address);
        collection->silent_count++;
    }
    free(question);
    collection->under_way--;
    answer_when_complete(collection);
}

/* A pool whose process is not there has no letters any more. */
static void ask_pool(xo_broker_t *broker, const xo_member_t *member, xo_slice_t body,
                     xo_collection_t *collection)
{
    xo_header_t header = {.kind = XO_CALL, .method = xo_slice_str("letters")};
    xo_question_t *question = member->link != NULL ? calloc(1, sizeof(*question)) : NULL;
    xo_msg_t *msg = question != NULL ? xo_msg_create(&header, body) : NULL;
    if (question == NULL)
        return;
    question->collection = collection;
    snprintf(question->address, sizeof(question->address), "%s", member->address);
    if (msg != NULL && xo_endpoint_call(broker->endpoint, member->link, &msg, XO_SEND_QUEUE,
                                        POOL_MS * XO_MS, on_answer, question, NULL) != NULL)
        collection->under_way++;
    else
        free(question);
    xo_msg_destroy(&msg);
}

static void ask_all(xo_broker_t *broker, unsigned max, bool payload, xo_collection_t *collection)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_buf_t own = XO_BUF_INIT;
    xo_endpoint_letters(broker->endpoint, max, payload, &own);
    take(collection, xo_buf_slice(&own));
    xo_buf_free(&own);
    xo_pack_format(&body, "[[u ?] {}]", max, payload);
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m))
        ask_pool(broker, m, xo_buf_slice(&body), collection);
    xo_buf_free(&body);
}

void xo_broker_letters(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    unsigned max;
    bool payload;
    xo_collection_t *collection;
    if (xo_unpack(args, &err, "[u ?]", &max, &payload) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    collection = calloc(1, sizeof(*collection));
    if (collection == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    collection->ask = ask;
    xo_ask_on_stop(ask, let_go, collection);
    ask_all(broker, max, payload, collection);
    answer_when_complete(collection);
}
