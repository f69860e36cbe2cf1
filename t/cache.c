/* Blocks of memory that are kept for the next message. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "libxo/cache.h"
#include "t/unit.h"

static const size_t sizes[] = {1, 63, 64, 65, 1000, 1024, 1025, 100000};
#define SIZES (sizeof sizes / sizeof *sizes)

/* Each block is the user's alone, as long as it is asked for. */
static void gives_what_is_asked_for(void **state)
{
    char *blocks[SIZES][20];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < SIZES; i++)
            for (int n = 0; n < 20; n++) {
                blocks[i][n] = xoi_cache_alloc(sizes[i]);
                assert_non_null(blocks[i][n]);
                memset(blocks[i][n], (int)i * 20 + n, sizes[i]);
            }
        for (size_t i = 0; i < SIZES; i++)
            for (int n = 0; n < 20; n++) {
                assert_int_equal((uint8_t)blocks[i][n][0], (uint8_t)(i * 20 + (size_t)n));
                assert_int_equal((uint8_t)blocks[i][n][sizes[i] - 1],
                                 (uint8_t)(i * 20 + (size_t)n));
                xoi_cache_free(blocks[i][n], sizes[i]);
            }
    }
    xoi_cache_drop();
}

static void zeroes(void **state)
{
    (void)state;
    char *dirty = xoi_cache_alloc(200);
    memset(dirty, 1, 200);
    xoi_cache_free(dirty, 200);
    char *clean = xoi_cache_calloc(200);
    for (int i = 0; i < 200; i++)
        assert_int_equal(clean[i], 0);
    xoi_cache_free(clean, 200);
    xoi_cache_free(NULL, 200);
    xoi_cache_drop();
}

/* Blocks of another thread's; what it keeps goes with it (the leak checkers would tell). */
static void *free_block(void *block)
{
    xoi_cache_free(block, 100);
    xoi_cache_free(xoi_cache_alloc(300), 300);
    return NULL;
}

static void threads_free_for_one_another(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        void *block = xoi_cache_alloc(100);
        assert_int_equal(pthread_create(&thread, NULL, free_block, block), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_is_asked_for),
        cmocka_unit_test(zeroes),
        cmocka_unit_test(threads_free_for_one_another),
    };
    return run_tap(tests);
}
