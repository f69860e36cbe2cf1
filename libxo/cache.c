/* cache.c - small blocks of memory, kept by the thread that freed them. */
#include "libxo/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEPT_BYTES_MAX 0
#else
#define KEPT_BYTES_MAX ((size_t)4 << 20) /* of each size */
#endif

__thread xoi_cache_t *xoi_cache __attribute__((tls_model("initial-exec")));
static pthread_key_t at_exit;
static pthread_once_t at_exit_once = PTHREAD_ONCE_INIT;

static size_t class_bytes(size_t class)
{
    return (class + 1) * XOI_CACHE_CLASS_BYTES;
}

void *xoi_cache_alloc_slow(size_t size)
{
    size_t class = xoi_cache_class(size);
    return malloc(class < XOI_CACHE_CLASSES ? class_bytes(class) : size ? size : 1);
}

static void free_blocks(xoi_cache_t *cache)
{
    for (size_t i = 0; i < XOI_CACHE_CLASSES; i++) {
        xoi_kept_t *kept = &cache->kept[i];
        while (kept->first) {
            xoi_block_t *block = kept->first;
            kept->first = block->next;
            free(block);
        }
        kept->room = KEPT_BYTES_MAX / class_bytes(i);
    }
}

/* The thread ends. What is freed after this begins anew. */
static void thread_ends(void *arg)
{
    xoi_cache = NULL;
    free_blocks(arg);
    free(arg);
}

static void make_key(void)
{
    pthread_key_create(&at_exit, thread_ends);
}

static void cache_create(void)
{
    pthread_once(&at_exit_once, make_key);
    xoi_cache = calloc(1, sizeof *xoi_cache);
    if (!xoi_cache)
        return;
    free_blocks(xoi_cache);
    if (pthread_setspecific(at_exit, xoi_cache) == 0)
        return;
    free(xoi_cache); /* nobody would free it */
    xoi_cache = NULL;
}

/* The first block that this thread frees, or one that is not kept. */
void xoi_cache_free_slow(void *pointer, size_t size)
{
    int saved = errno;
    bool first = !xoi_cache;
    if (first)
        cache_create();
    if (first && xoi_cache)
        xoi_cache_free(pointer, size);
    else
        free(pointer);
    errno = saved;
}

void xoi_cache_drop(void)
{
    if (xoi_cache)
        free_blocks(xoi_cache);
}
