/* wordmerge.c - merges word counts, an example of an actor in C that does work for others.
 *
 * examples/wordcount.py counts in Python actors, each of which sends its {word: count} here. The
 * arguments are read where they lie in the message, without a copy, and the answer is written
 * straight into a message: 100 000 words take a few tens of milliseconds.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Without memory for its buckets uthash would end the process, and all actors in it. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "pool/module.h"

typedef struct word {
    int64_t count;
    UT_hash_handle hh;
    bool binary; /* came as bytes, and goes out as such */
    uint32_t size;
    char text[];
} word_t;

typedef struct part {
    uint64_t number;
    UT_hash_handle hh;
} part_t;

typedef struct wordmerge {
    word_t *words; /* by text */
    part_t *parts; /* that were merged, by number */
    int64_t total;
} wordmerge_t;

typedef struct pair {
    xo_slice_t text; /* lies in the message */
    int64_t count;
    bool binary;
} pair_t;

static int wordmerge_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    if (xo_unpack(args, err, "[]") < 0)
        return -1;
    *self = calloc(1, sizeof(wordmerge_t));
    return *self ? 0 : xo_error_set(err, ENOMEM, "out of memory");
}

static void wordmerge_clear(wordmerge_t *merge)
{
    word_t *word;
    word_t *next;
    HASH_ITER(hh, merge->words, word, next)
    {
        HASH_DEL(merge->words, word);
        free(word);
    }
    part_t *part;
    part_t *rest;
    HASH_ITER(hh, merge->parts, part, rest)
    {
        HASH_DEL(merge->parts, part);
        free(part);
    }
    merge->total = 0;
}

static void wordmerge_destroy(void *self)
{
    wordmerge_clear(self);
    free(self);
}

static word_t *word_create(const pair_t *pair)
{
    word_t *word = calloc(1, sizeof *word + pair->text.size);
    if (!word)
        return NULL;
    word->binary = pair->binary;
    word->size = (uint32_t)pair->text.size;
    memcpy(word->text, pair->text.data, pair->text.size);
    return word;
}

/* The hash is computed once, for the search and for the insertion. */
static int add_word(wordmerge_t *merge, const pair_t *pair)
{
    unsigned hash;
    word_t *word;
    xo_slice_t text = pair->text;
    HASH_VALUE(text.data, text.size, hash);
    HASH_FIND_BYHASHVALUE(hh, merge->words, text.data, text.size, hash, word);
    if (!word) {
        word = word_create(pair);
        if (!word)
            return -1;
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, merge->words, word->text, text.size, hash, word);
        if (!word->hh.tbl) {
            free(word);
            return -1;
        }
    }
    word->count += pair->count;
    merge->total += pair->count;
    return 0;
}

/* Counts of this size cannot overflow a sum that anybody lives to see. */
#define COUNT_MAX ((int64_t)1 << 40)

/* Reads one pair of the map. What comes in a message is never trusted: xo_read_* checks lengths. */
static int read_pair(xo_reader_t *reader, pair_t *pair)
{
    pair->binary = xo_read_type(reader) == XO_T_BIN;
    if (xo_read_bytes(reader, &pair->text) < 0 || xo_read_int(reader, &pair->count) < 0)
        return -1;
    return pair->count >= 0 && pair->count <= COUNT_MAX ? 0 : -1;
}

/* All of the map is checked before any of it is counted, so that a refused one changes nothing. */
static int check_map(xo_reader_t reader)
{
    uint32_t pairs;
    pair_t pair;
    if (xo_read_map(&reader, &pairs) < 0)
        return -1;
    while (pairs--)
        if (read_pair(&reader, &pair) < 0)
            return -1;
    return 0;
}

static int merge_map(wordmerge_t *merge, xo_reader_t reader)
{
    uint32_t pairs;
    pair_t pair;
    xo_read_map(&reader, &pairs);
    while (pairs--) {
        read_pair(&reader, &pair);
        if (add_word(merge, &pair) < 0)
            return -1;
    }
    return 0;
}

/* Answers the request if it cannot be done. */
static int merge_checked(wordmerge_t *merge, xo_request_t *request, xo_slice_t map)
{
    if (check_map(xo_reader(map)) < 0)
        xo_request_fail(request, XO_CODE_REFUSED,
                        "merge takes one map from words to counts of 0 to 2^40");
    else if (merge_map(merge, xo_reader(map)) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "out of memory after %u words",
                        HASH_COUNT(merge->words));
    else
        return 0;
    return -1;
}

static void wordmerge_merge(void *self, xo_request_t *request)
{
    wordmerge_t *merge = self;
    xo_slice_t map;
    if (xo_request_unpack(request, "V", &map) < 0)
        return;
    if (merge_checked(merge, request, map) == 0)
        xo_request_reply(request, "u", HASH_COUNT(merge->words));
}

static int add_part(wordmerge_t *merge, uint64_t number)
{
    part_t *part = calloc(1, sizeof *part);
    if (!part)
        return -1;
    part->number = number;
    HASH_ADD(hh, merge->parts, number, sizeof part->number, part);
    if (part->hh.tbl)
        return 0;
    free(part);
    return -1;
}

/* Who counts a part, and dies before anybody hears of it, has another one count it again. */
static void wordmerge_merge_part(void *self, xo_request_t *request)
{
    wordmerge_t *merge = self;
    uint64_t number;
    xo_slice_t map;
    part_t *part;
    if (xo_request_unpack(request, "U V", &number, &map) < 0)
        return;
    HASH_FIND(hh, merge->parts, &number, sizeof number, part);
    if (!part && merge_checked(merge, request, map) < 0)
        return;
    if (!part && add_part(merge, number) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "out of memory");
    else
        xo_request_reply(request, "u", HASH_COUNT(merge->words));
}

/* Most frequent first; words of the same count in the order of their bytes, so that the order is
 * always the same. */
static int compare(const void *a, const void *b)
{
    const word_t *x = *(word_t *const *)a;
    const word_t *y = *(word_t *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static word_t **sorted(const wordmerge_t *merge)
{
    size_t at = 0;
    word_t *word;
    word_t *next;
    word_t **list = malloc((HASH_COUNT(merge->words) + 1) * sizeof *list);
    if (!list)
        return NULL;
    HASH_ITER(hh, merge->words, word, next)
    list[at++] = word;
    qsort(list, at, sizeof *list, compare);
    return list;
}

/* Answers with the first `count` as [[word, count], ...]. */
static void reply_words(const wordmerge_t *merge, xo_request_t *request, uint32_t count)
{
    xo_buf_t out = XO_BUF_INIT;
    word_t **list = sorted(merge);
    if (!list) {
        xo_request_fail(request, XO_CODE_METHOD, "out of memory");
        return;
    }
    xo_pack_array(&out, count);
    for (uint32_t i = 0; i < count; i++) {
        xo_pack_array(&out, 2);
        if (list[i]->binary)
            xo_pack_bin(&out, list[i]->text, list[i]->size);
        else
            xo_pack_str(&out, list[i]->text, list[i]->size);
        xo_pack_int(&out, list[i]->count);
    }
    free(list);
    if (xo_buf_ok(&out) == 0)
        xo_request_respond(request, xo_buf_slice(&out));
    else
        xo_request_fail(request, XO_CODE_METHOD, "out of memory");
    xo_buf_free(&out);
}

static void wordmerge_top(void *self, xo_request_t *request)
{
    const wordmerge_t *merge = self;
    uint64_t count;
    if (xo_request_unpack(request, "U", &count) < 0)
        return;
    if (count > HASH_COUNT(merge->words))
        count = HASH_COUNT(merge->words);
    reply_words(merge, request, (uint32_t)count);
}

static void wordmerge_counts(void *self, xo_request_t *request)
{
    const wordmerge_t *merge = self;
    if (xo_request_unpack(request, "") < 0)
        return;
    reply_words(merge, request, HASH_COUNT(merge->words));
}

static void wordmerge_total(void *self, xo_request_t *request)
{
    const wordmerge_t *merge = self;
    if (xo_request_unpack(request, "") < 0)
        return;
    xo_request_reply(request, "I", merge->total);
}

static void wordmerge_size(void *self, xo_request_t *request)
{
    const wordmerge_t *merge = self;
    if (xo_request_unpack(request, "") < 0)
        return;
    xo_request_reply(request, "u", HASH_COUNT(merge->words));
}

static void wordmerge_reset(void *self, xo_request_t *request)
{
    if (xo_request_unpack(request, "") < 0)
        return;
    wordmerge_clear(self);
    xo_request_reply(request, "n");
}

static const xo_method_t methods[] = {
    {"merge", wordmerge_merge, 0, "merge({WORD: COUNT}): adds, returns how many words there are"},
    {"merge_part", wordmerge_merge_part, 0,
     "merge_part(PART, {WORD: COUNT}): the same, but once for each number PART"},
    {"top", wordmerge_top, 0, "top(N): the N most frequent, [[WORD, COUNT], ...]"},
    {"counts", wordmerge_counts, 0, "counts(): all, in the order of top"},
    {"total", wordmerge_total, 0, "total(): the sum of all counts"},
    {"size", wordmerge_size, 0, "size(): how many different words"},
    {"reset", wordmerge_reset, 0, "reset(): forgets all"},
    {0}};

static const xo_class_t wordmerge_class = {.name = "WordMerge",
                                           .create = wordmerge_create,
                                           .destroy = wordmerge_destroy,
                                           .methods = methods,
                                           .doc = "WordMerge() merges word counts"};

static const xo_class_t *const classes[] = {&wordmerge_class, NULL};
XO_MODULE("wordmerge", classes);
