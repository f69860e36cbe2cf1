#include "broker/known.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "broker/record.h"
#include "registry/text.h"

#define KNOWN_MAX 1024 /* uids; who uses more asks the registry */
/* Then it is looked up anew: below XO_WATCH_MS, and news may be lost. */
#define KEEP_NS (60 * 1000 * XO_MS)
#define LOOK_NS (400 * XO_MS)

typedef struct xo_place_of {
    int64_t since_ns;
    uint32_t count;
    xo_buf_t records;
    UT_hash_handle hh;
    size_t size;
    char uid[]; /* as the registry has it */
} xo_place_of_t;

struct xo_known {
    xo_loop_t *loop;
    char node[XO_ID_TEXT_BYTES];
    xo_registry_t *registry;
    xo_place_of_t *places;
    bool watching;
    xo_timer_t look;
};

/* ---- uids ---- */

static void drop(xo_known_t *known, xo_place_of_t *place)
{
    HASH_DEL(known->places, place);
    xo_buf_free(&place->records);
    free(place);
}

static xo_place_of_t *find_text(const xo_known_t *known, xo_slice_t text)
{
    xo_place_of_t *place = NULL;
    if (text.size > 0)
        HASH_FIND(hh, known->places, text.data, text.size, place);
    return place;
}

static xo_place_of_t *find(const xo_known_t *known, xo_slice_t uid)
{
    xo_buf_t text = XO_BUF_INIT;
    xoi_encode(&text, uid, false);
    xo_place_of_t *place = xo_buf_ok(&text) == 0 ? find_text(known, xo_buf_slice(&text)) : NULL;
    xo_buf_free(&text);
    return place;
}

void xo_known_forget(xo_known_t *known, xo_slice_t uid)
{
    xo_place_of_t *place = find(known, uid);
    if (place != NULL)
        drop(known, place);
}

void xo_known_forget_all(xo_known_t *known)
{
    while (known->places != NULL)
        drop(known, known->places);
}

static xo_place_of_t *add(xo_known_t *known, xo_slice_t text)
{
    xo_place_of_t *place = calloc(1, sizeof(*place) + text.size);
    if (place == NULL)
        return NULL;
    place->size = text.size;
    memcpy(place->uid, text.data, text.size);
    HASH_ADD_KEYPTR(hh, known->places, place->uid, place->size, place);
    return place;
}

void xo_known_put(xo_known_t *known, xo_slice_t uid, xo_slice_t records, uint32_t count)
{
    xo_buf_t text = XO_BUF_INIT;
    xo_known_forget(known, uid);
    if (!known->watching || HASH_COUNT(known->places) >= KNOWN_MAX)
        return;
    xoi_encode(&text, uid, false);
    xo_place_of_t *place = xo_buf_ok(&text) == 0 ? add(known, xo_buf_slice(&text)) : NULL;
    xo_buf_free(&text);
    if (place == NULL)
        return;
    place->count = count;
    place->since_ns = xo_loop_now(known->loop);
    xo_buf_append(&place->records, records.data, records.size);
    if (xo_buf_ok(&place->records) < 0)
        drop(known, place);
}

bool xo_known_find(xo_known_t *known, xo_slice_t uid, xo_slice_t *records, uint32_t *count)
{
    xo_place_of_t *place = find(known, uid);
    if (place == NULL)
        return false;
    *records = xo_buf_slice(&place->records);
    *count = place->count;
    return true;
}

/* ---- news ---- */

static void drop_old(xo_known_t *known)
{
    xo_place_of_t *place, *next;
    int64_t since_ns = xo_loop_now(known->loop) - KEEP_NS;
    HASH_ITER(hh, known->places, place, next)
    if (place->since_ns < since_ns)
        drop(known, place);
}

static void look_later(xo_known_t *known)
{
    known->watching = known->places != NULL;
    if (known->watching)
        xo_timer_start(&known->look, LOOK_NS);
}

/* While the registry is away what is known stays; when it is back all of it is dropped
 * (xo_known_forget_all). */
static void on_news(int errnum, const char *text, const xo_record_t *records, size_t count,
                    void *arg)
{
    xo_known_t *known = arg;
    (void)text;
    if (errnum == ECANCELED)
        return;
    for (size_t i = 0; errnum == 0 && i < count; i++) {
        xo_place_of_t *place = find_text(known, xo_slice_str(records[i].id));
        if (place != NULL)
            drop(known, place);
    }
    if (errnum == 0 && count >= XO_NEWS_MAX)
        xo_known_forget_all(known);
    if (errnum == 0)
        drop_old(known);
    look_later(known);
}

static void on_look(xo_timer_t *timer, void *arg)
{
    xo_known_t *known = arg;
    (void)timer;
    xo_registry_news(known->registry, known->node, on_news, known);
}

void xo_known_watch(xo_known_t *known, xo_registry_t *registry, xo_slice_t uid)
{
    known->registry = registry;
    xo_registry_watch(registry, uid, known->node);
    if (known->watching)
        return;
    known->watching = true;
    xo_timer_start(&known->look, LOOK_NS);
}

/* ---- life ---- */

xo_known_t *xo_known_create(xo_loop_t *loop, uint64_t node_id)
{
    xo_known_t *known = calloc(1, sizeof(*known));
    if (known == NULL)
        return NULL;
    known->loop = loop;
    xo_id_format(node_id, known->node);
    xo_timer_init(&known->look, loop, on_look, known);
    return known;
}

void xo_known_destroy(xo_known_t *known)
{
    if (known == NULL)
        return;
    xo_timer_stop(&known->look);
    xo_known_forget_all(known);
    free(known);
}
