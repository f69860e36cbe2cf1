/* moved.c - where actors with names are that are not where their references say: found out by who
 * called one in vain (again.c), and remembered for whom it calls next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/endpoint_impl.h"

#define MOVED_MAX 1024 /* beyond that all are forgotten, and found out anew */
#define HOPS_MAX 8     /* it has moved so often since somebody had the reference */

/* By the uid and the address where it was. */
struct xoi_moved {
    UT_hash_handle hh;
    char to[XOI_LINK_ADDRESS_BYTES];
    size_t size;
    char key[];
};

static size_t make_key(xo_slice_t uid, const char *address, char *key)
{
    size_t size = strlen(address);
    memcpy(key, uid.data, uid.size);
    memcpy(key + uid.size, address, size);
    return uid.size + size;
}

static xoi_moved_t *find(const xo_endpoint_t *endpoint, xo_slice_t uid, const char *address)
{
    xoi_moved_t *moved = NULL;
    char key[XO_UID_BYTES_MAX + XOI_LINK_ADDRESS_BYTES];
    if (strlen(address) >= XOI_LINK_ADDRESS_BYTES || uid.size > XO_UID_BYTES_MAX)
        return NULL;
    size_t size = make_key(uid, address, key);
    HASH_FIND(hh, endpoint->moved, key, size, moved);
    return moved;
}

static void drop(xo_endpoint_t *endpoint, xoi_moved_t *moved)
{
    HASH_DEL(endpoint->moved, moved);
    free(moved);
}

void xoi_moved_free(xo_endpoint_t *endpoint)
{
    while (endpoint->moved)
        drop(endpoint, endpoint->moved);
}

const char *xoi_moved_where(const xo_endpoint_t *endpoint, xo_slice_t uid, const char *address)
{
    xoi_moved_t *moved;
    for (int hops = 0; hops < HOPS_MAX && (moved = find(endpoint, uid, address)); hops++)
        address = moved->to;
    return address;
}

/* Without memory it is found out anew. */
void xoi_moved_put(xo_endpoint_t *endpoint, xo_slice_t uid, const char *from, const char *to)
{
    char key[XO_UID_BYTES_MAX + XOI_LINK_ADDRESS_BYTES];
    xoi_moved_t *back = find(endpoint, uid, to), *old = find(endpoint, uid, from);
    endpoint->moves++;
    if (back)
        drop(endpoint, back);
    if (old && old != back)
        drop(endpoint, old);
    if (strcmp(from, to) == 0)
        return;
    if (HASH_COUNT(endpoint->moved) >= MOVED_MAX)
        xoi_moved_free(endpoint);
    size_t size = make_key(uid, from, key);
    xoi_moved_t *moved = calloc(1, sizeof *moved + size);
    if (!moved)
        return;
    snprintf(moved->to, sizeof moved->to, "%s", to);
    moved->size = size;
    memcpy(moved->key, key, size);
    HASH_ADD_KEYPTR(hh, endpoint->moved, moved->key, moved->size, moved);
    if (!XOI_HASHED(hh, moved))
        free(moved);
}
