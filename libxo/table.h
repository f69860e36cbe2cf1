/* table.h - a hash table of pointers, by linear probing (Knuth, The Art of Computer Programming
 * vol. 3, 6.4, algorithms L and R). A slot has the hash and the pointer, so that looking for
 * something reads one cache line in most cases, and an entry costs 21 to 43 bytes. Internal.
 *
 * Who uses it has the keys, in the items. It is not for hashes that are not mixed: a run of numbers
 * would be one cluster.
 */
#ifndef XO_TABLE_H
#define XO_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct xoi_slot {
    uint64_t hash;
    void *item; /* NULL: free */
} xoi_slot_t;

/* Zero-initialise. */
typedef struct xoi_table {
    xoi_slot_t *slots;
    size_t mask; /* their number, a power of two, less one */
    size_t count;
} xoi_table_t;

/* Is it the item with that key? */
typedef bool (*xoi_is_f)(const void *item, const void *key);

static inline uint64_t xoi_hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product =
        (unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xd1b54a32d192ed03));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t xoi_hash_load(const char *at, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, at, size);
    return value;
}

/* The same for 1 to 8 bytes, whose number is not known when this is compiled. */
static inline uint64_t xoi_hash_tail(const char *at, size_t size)
{
    if (size >= 4)
        return xoi_hash_load(at, 4) << 32 | xoi_hash_load(at + size - 4, 4);
    return (uint64_t)(uint8_t)at[0] << 16 | (uint64_t)(uint8_t)at[size / 2] << 8 |
           (uint8_t)at[size - 1];
}

static inline uint64_t xoi_hash_bytes(const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t hash = size;
    for (; size > 8; size -= 8, at += 8)
        hash = xoi_hash_mix(hash, xoi_hash_load(at, 8));
    return xoi_hash_mix(hash, size ? xoi_hash_tail(at, size) : 0);
}

/* The item, or NULL. */
static inline void *xoi_table_find(const xoi_table_t *table, uint64_t hash, xoi_is_f is,
                                   const void *key)
{
    if (!table->slots)
        return NULL;
    for (size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
        const xoi_slot_t *slot = &table->slots[i];
        if (!slot->item || (slot->hash == hash && is(slot->item, key)))
            return slot->item;
    }
}

/* `item` is not in it yet. -1: ENOMEM. */
int xoi_table_add(xoi_table_t *table, uint64_t hash, void *item);
/* Does nothing if it is not in it. */
void xoi_table_remove(xoi_table_t *table, uint64_t hash, const void *item);
void xoi_table_free(xoi_table_t *table);

#endif
