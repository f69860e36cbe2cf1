#include "registry/blobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct xo_blob {
    char *id;
    xo_buf_t bytes;
    UT_hash_handle hh;
};

static xo_blob_t *find(const xo_blobs_t *blobs, const char *id)
{
    xo_blob_t *blob;
    HASH_FIND_STR(blobs->table, id, blob);
    return blob;
}

static void destroy(xo_blobs_t *blobs, xo_blob_t *blob)
{
    if (!blob)
        return;
    HASH_DEL(blobs->table, blob);
    xo_buf_free(&blob->bytes);
    free(blob->id);
    free(blob);
}

static xo_blob_t *create(xo_blobs_t *blobs, const char *id)
{
    xo_blob_t *blob = calloc(1, sizeof(*blob));
    if (!blob || !(blob->id = strdup(id))) {
        free(blob);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, blobs->table, blob->id, strlen(blob->id), blob);
    return blob;
}

int xoi_blobs_put(xo_blobs_t *blobs, const char *id, xo_slice_t bytes)
{
    destroy(blobs, find(blobs, id));
    if (bytes.size == 0)
        return 0;
    xo_blob_t *blob = create(blobs, id);
    if (!blob)
        return errno = ENOMEM, -1;
    xo_buf_append(&blob->bytes, bytes.data, bytes.size);
    if (xo_buf_ok(&blob->bytes) == 0)
        return 0;
    destroy(blobs, blob);
    return errno = ENOMEM, -1;
}

xo_slice_t xoi_blobs_get(const xo_blobs_t *blobs, const char *id)
{
    xo_blob_t *blob = find(blobs, id);
    return blob ? xo_buf_slice(&blob->bytes) : xo_slice(NULL, 0);
}

void xoi_blobs_free(xo_blobs_t *blobs)
{
    while (blobs->table)
        destroy(blobs, blobs->table);
}
