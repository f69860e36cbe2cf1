/* table.c - a hash table of pointers: adding and removing. */
#include "libxo/table.h"

#include <stdlib.h>

#define FIRST_SLOTS 16

static void put(xoi_table_t *table, uint64_t hash, void *item)
{
    size_t i = hash & table->mask;
    while (table->slots[i].item)
        i = (i + 1) & table->mask;
    table->slots[i] = (xoi_slot_t){hash, item};
}

static int grow(xoi_table_t *table)
{
    xoi_table_t old = *table;
    size_t slots = old.slots ? (old.mask + 1) * 2 : FIRST_SLOTS;
    table->slots = calloc(slots, sizeof *table->slots);
    if (!table->slots) {
        *table = old;
        return -1;
    }
    table->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].item)
            put(table, old.slots[i].hash, old.slots[i].item);
    free(old.slots);
    return 0;
}

/* At most three quarters are in use. Where there is no memory for more slots, all but one may be:
 * a search ends at a free one. */
int xoi_table_add(xoi_table_t *table, uint64_t hash, void *item)
{
    size_t slots = table->slots ? table->mask + 1 : 0;
    if (table->count >= slots / 4 * 3 && grow(table) < 0 && table->count + 1 >= slots)
        return -1;
    put(table, hash, item);
    table->count++;
    return 0;
}

/* What comes behind the hole moves into it, unless its place is behind the hole, too. */
static void close_hole(xoi_table_t *table, size_t hole)
{
    for (size_t i = (hole + 1) & table->mask; table->slots[i].item; i = (i + 1) & table->mask) {
        size_t distance = (i - table->slots[i].hash) & table->mask; /* from its place */
        if (distance < ((i - hole) & table->mask))
            continue;
        table->slots[hole] = table->slots[i];
        hole = i;
    }
    table->slots[hole].item = NULL;
}

void xoi_table_remove(xoi_table_t *table, uint64_t hash, const void *item)
{
    if (!table->slots)
        return;
    for (size_t i = hash & table->mask; table->slots[i].item; i = (i + 1) & table->mask) {
        if (table->slots[i].item != item)
            continue;
        close_hole(table, i);
        table->count--;
        return;
    }
}

void xoi_table_free(xoi_table_t *table)
{
    free(table->slots);
    *table = (xoi_table_t){0};
}
