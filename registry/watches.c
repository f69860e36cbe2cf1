#include "registry/watches.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

typedef struct xo_watch {
    struct xo_watch *next;
    bool changed;
    char reader[];
} xo_watch_t;

struct xo_watched {
    xo_watch_t *watches;
    UT_hash_handle hh;
    char uid[];
};

static xo_watched_t *find(const xo_watches_t *watches, const char *uid, size_t size)
{
    xo_watched_t *watched;
    HASH_FIND(hh, watches->table, uid, size, watched);
    return watched;
}

static xo_watched_t *add(xo_watches_t *watches, const char *uid)
{
    size_t size = strlen(uid);
    xo_watched_t *watched = calloc(1, sizeof(*watched) + size + 1);
    if (!watched)
        return NULL;
    memcpy(watched->uid, uid, size);
    HASH_ADD_KEYPTR(hh, watches->table, watched->uid, size, watched);
    return watched;
}

int xoi_watches_add(xo_watches_t *watches, const char *uid, const char *reader)
{
    xo_watched_t *watched = find(watches, uid, strlen(uid));
    xo_watch_t *watch;
    if (!watched && !(watched = add(watches, uid)))
        return errno = ENOMEM, -1;
    LL_FOREACH(watched->watches, watch)
    if (strcmp(watch->reader, reader) == 0)
        return 0;
    watch = calloc(1, sizeof(*watch) + strlen(reader) + 1);
    if (!watch)
        return errno = ENOMEM, -1;
    strcpy(watch->reader, reader);
    LL_PREPEND(watched->watches, watch);
    return 0;
}

void xoi_watches_note(xo_watches_t *watches, const char *uid, size_t size)
{
    xo_watch_t *watch;
    xo_watched_t *watched = watches->table ? find(watches, uid, size) : NULL;
    if (watched)
        LL_FOREACH(watched->watches, watch)
    watch->changed = true;
}

static bool take(xo_watched_t *watched, const char *reader)
{
    xo_watch_t *watch, *next;
    LL_FOREACH_SAFE(watched->watches, watch, next)
    {
        if (!watch->changed || strcmp(watch->reader, reader) != 0)
            continue;
        LL_DELETE(watched->watches, watch);
        free(watch);
        return true;
    }
    return false;
}

static void drop_if_idle(xo_watches_t *watches, xo_watched_t *watched)
{
    if (watched->watches)
        return;
    HASH_DEL(watches->table, watched);
    free(watched);
}

void xoi_watches_take(xo_watches_t *watches, const char *reader, size_t max, xo_records_t *records)
{
    xo_watched_t *watched, *next;
    HASH_ITER(hh, watches->table, watched, next)
    {
        if (max == 0 || !take(watched, reader))
            continue;
        xoi_records_begin(records, xo_slice_str(watched->uid));
        max--;
        drop_if_idle(watches, watched);
    }
}

void xoi_watches_free(xo_watches_t *watches)
{
    xo_watched_t *watched, *next;
    HASH_ITER(hh, watches->table, watched, next)
    {
        for (xo_watch_t *watch; (watch = watched->watches);) {
            LL_DELETE(watched->watches, watch);
            free(watch);
        }
        drop_if_idle(watches, watched);
    }
}
