/* cache.h - small blocks of memory that come and go with each message, kept for the next one.
 *
 * malloc keeps seven blocks of a size for a thread; beyond that, hundreds of messages under way
 * cost it more than all else that is done for a message. Here each thread keeps up to 4 MiB of each
 * size. A block may be freed in another thread than it came from. What a thread keeps is freed when
 * it ends. Under the sanitizers nothing is kept, so they see each block end. Internal.
 */
#ifndef XO_CACHE_H
#define XO_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define XOI_CACHE_BYTES_MAX 1024 /* larger ones go to malloc */
#define XOI_CACHE_CLASS_BYTES 64 /* a cache line: sizes are rounded up to these */
#define XOI_CACHE_CLASSES (XOI_CACHE_BYTES_MAX / XOI_CACHE_CLASS_BYTES)

typedef struct xoi_block {
    struct xoi_block *next;
} xoi_block_t;

/* The free blocks of one size. */
typedef struct xoi_kept {
    xoi_block_t *first;
    size_t room; /* how many more are kept */
} xoi_kept_t;

typedef struct xoi_cache {
    xoi_kept_t kept[XOI_CACHE_CLASSES];
} xoi_cache_t;

/* The one thing that is shared by what runs in a thread and belongs to no object: the memory that
 * nobody uses. A pointer, since a library that is loaded late has little room of this kind. NULL:
 * nothing was freed yet. */
extern __thread xoi_cache_t *xoi_cache __attribute__((tls_model("initial-exec")));

void *xoi_cache_alloc_slow(size_t size);
void xoi_cache_free_slow(void *block, size_t size);
/* Frees all that this thread keeps. */
void xoi_cache_drop(void);

static inline size_t xoi_cache_class(size_t size)
{
    return (size - 1) / XOI_CACHE_CLASS_BYTES;
}

/* Not initialised. NULL: ENOMEM. */
static inline void *xoi_cache_alloc(size_t size)
{
    size_t class = xoi_cache_class(size);
    if (class >= XOI_CACHE_CLASSES || !xoi_cache || !xoi_cache->kept[class].first)
        return xoi_cache_alloc_slow(size);
    xoi_kept_t *kept = &xoi_cache->kept[class];
    xoi_block_t *block = kept->first;
    kept->first = block->next;
    kept->room++;
    return block;
}

/* What a block was got with, before it is written to: the one that will be got next, of its size.
 */
static inline const char *xoi_cache_next(const void *block)
{
    return (const char *)((const xoi_block_t *)block)->next;
}

/* All zero. */
static inline void *xoi_cache_calloc(size_t size)
{
    void *block = xoi_cache_alloc(size);
    return block ? memset(block, 0, size) : NULL;
}

/* `size` as it was asked for. Takes NULL; keeps errno. */
static inline void xoi_cache_free(void *pointer, size_t size)
{
    size_t class = xoi_cache_class(size);
    if (class >= XOI_CACHE_CLASSES || !xoi_cache || !xoi_cache->kept[class].room || !pointer) {
        xoi_cache_free_slow(pointer, size);
        return;
    }
    xoi_block_t *block = pointer;
    xoi_kept_t *kept = &xoi_cache->kept[class];
    block->next = kept->first;
    kept->first = block;
    kept->room--;
}

#endif
