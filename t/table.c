/* The hash table of pointers: what is added is found until it is removed, whatever collides. */
#include <stdlib.h>

#include "libxo/table.h"
#include "t/unit.h"

#define ITEMS 5000

typedef struct item {
    uint64_t key;
    bool in;
} item_t;

static bool has_key(const void *item, const void *key)
{
    return ((const item_t *)item)->key == *(const uint64_t *)key;
}

typedef uint64_t (*hash_f)(uint64_t key);

static uint64_t mixed(uint64_t key)
{
    return xoi_hash_mix(key, 0);
}

/* Runs of items that all want the same few places, at the end of the table too. */
static uint64_t poor(uint64_t key)
{
    return key % 7 ? UINT64_MAX : key % 100;
}

static void check_all(const xoi_table_t *table, const item_t *items, size_t count, hash_f hash)
{
    size_t in = 0;
    for (size_t i = 0; i < count; i++) {
        in += items[i].in;
        assert_ptr_equal(xoi_table_find(table, hash(items[i].key), has_key, &items[i].key),
                         items[i].in ? &items[i] : NULL);
    }
    assert_int_equal(table->count, in);
}

/* Adds and removes at random, and looks at all now and then. */
static void churn(size_t count, hash_f hash, unsigned steps)
{
    xoi_table_t table = {0};
    item_t *items = calloc(count, sizeof *items);
    uint32_t random = 1;
    for (size_t i = 0; i < count; i++)
        items[i].key = i * 3 + 1;
    for (unsigned step = 0; step < steps; step++) {
        random = random * 1664525 + 1013904223;
        item_t *item = &items[(random >> 8) % count];
        if (item->in)
            xoi_table_remove(&table, hash(item->key), item);
        else
            assert_int_equal(xoi_table_add(&table, hash(item->key), item), 0);
        item->in = !item->in;
        if (step % (steps / 10) == 0)
            check_all(&table, items, count, hash);
    }
    check_all(&table, items, count, hash);
    xoi_table_free(&table);
    free(items);
}

static void finds_what_was_added(void **state)
{
    (void)state;
    churn(ITEMS, mixed, 50000);
}

static void bears_collisions(void **state)
{
    (void)state;
    churn(60, poor, 5000);
}

static void an_empty_one_has_nothing(void **state)
{
    (void)state;
    xoi_table_t table = {0};
    uint64_t key = 1;
    item_t item = {key, false};
    assert_null(xoi_table_find(&table, 1, has_key, &key));
    xoi_table_remove(&table, 1, &item);
    xoi_table_free(&table);
}

/* Each byte counts, and the number of bytes. */
static void hashes_all_bytes(void **state)
{
    (void)state;
    char text[40] = {0};
    for (size_t size = 0; size < sizeof text; size++) {
        uint64_t hash = xoi_hash_bytes(text, size);
        assert_true(hash != xoi_hash_bytes(text, size + 1 < sizeof text ? size + 1 : 0) || !size);
        for (size_t i = 0; i < size; i++) {
            text[i] = 1;
            assert_true(xoi_hash_bytes(text, size) != hash);
            text[i] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added),
        cmocka_unit_test(bears_collisions),
        cmocka_unit_test(an_empty_one_has_nothing),
        cmocka_unit_test(hashes_all_bytes),
    };
    return run_tap(tests);
}
