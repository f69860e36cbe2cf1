/* pack_write.c - the growing buffer, and msgpack values written into it through msgpack-c. */

#include "libxo/pack.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/cache.h"

#define FIRST_CAPACITY_BYTES 128 /* holds most argument lists */

/* The values of one byte, and the heads of one byte. */
#define FIXINT_MAX 127
#define FIXSTR_MAX 31
#define FIXCOUNT_MAX 15
#define LEAD_FIXMAP 0x80
#define LEAD_FIXARRAY 0x90
#define LEAD_FIXSTR 0xa0
#define LEAD_NIL 0xc0

xo_slice_t xo_slice_str(const char *text)
{
    return xo_slice(text, text ? strlen(text) : 0);
}

bool xo_slice_eq(xo_slice_t a, xo_slice_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool xo_slice_eq_str(xo_slice_t a, const char *text)
{
    return xo_slice_eq(a, xo_slice_str(text));
}

bool xo_slice_starts(xo_slice_t a, const char *prefix)
{
    size_t size = strlen(prefix);
    return a.size >= size && memcmp(a.data, prefix, size) == 0;
}

/* ---- the buffer ---- */

void xo_buf_free(xo_buf_t *buf)
{
    if (buf->data)
        xoi_cache_free(buf->data, buf->capacity);
    *buf = (xo_buf_t)XO_BUF_INIT;
}

void xo_buf_clear(xo_buf_t *buf)
{
    buf->size = 0;
    buf->failed = false;
}

static int fail(xo_buf_t *buf)
{
    buf->failed = true;
    errno = ENOMEM;
    return -1;
}

int xo_buf_ok(const xo_buf_t *buf)
{
    if (!buf->failed)
        return 0;
    errno = ENOMEM;
    return -1;
}

/* Small ones come and go with each message. */
static char *move(const xo_buf_t *buf, size_t capacity)
{
    if (buf->capacity > XOI_CACHE_BYTES_MAX) /* the cache has no part in it */
        return realloc(buf->data, capacity);
    char *data = xoi_cache_alloc(capacity);
    if (!data)
        return NULL;
    if (buf->data) {
        memcpy(data, buf->data, buf->size);
        xoi_cache_free(buf->data, buf->capacity);
    }
    return data;
}

static int grow(xo_buf_t *buf, size_t need)
{
    size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY_BYTES;
    while (capacity < need && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    char *data = capacity < need ? NULL : move(buf, capacity);
    if (!data)
        return fail(buf);
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

int xo_buf_reserve(xo_buf_t *buf, size_t more_bytes)
{
    if (buf->failed || more_bytes > SIZE_MAX - buf->size)
        return fail(buf);
    if (more_bytes <= buf->capacity - buf->size)
        return 0;
    return grow(buf, buf->size + more_bytes);
}

int xo_buf_append(xo_buf_t *buf, const void *data, size_t size)
{
    if (xo_buf_reserve(buf, size) < 0)
        return -1;
    if (size > 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    return 0;
}

xo_slice_t xo_buf_slice(const xo_buf_t *buf)
{
    return xo_slice(buf->data, buf->size);
}

/* ---- values ---- */

static int append(void *buf, const char *data, size_t size)
{
    return xo_buf_append(buf, data, size);
}

static inline msgpack_packer packer(xo_buf_t *buf)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, buf, append);
    return pk;
}

/* What takes one byte is written here: most of what argument lists consist of. */
static inline bool put_byte(xo_buf_t *buf, uint8_t byte)
{
    if (buf->size == buf->capacity || buf->failed)
        return false;
    buf->data[buf->size++] = (char)byte;
    return true;
}

/* msgpack counts in 32 bits; msgpack-c would cut what is longer without a word. */
static bool too_long(xo_buf_t *buf, size_t size)
{
    if (size <= UINT32_MAX)
        return false;
    fail(buf);
    return true;
}

void xo_pack_nil(xo_buf_t *buf)
{
    if (put_byte(buf, LEAD_NIL))
        return;
    msgpack_packer pk = packer(buf);
    msgpack_pack_nil(&pk);
}

void xo_pack_bool(xo_buf_t *buf, bool value)
{
    msgpack_packer pk = packer(buf);
    if (value)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void xo_pack_int(xo_buf_t *buf, int64_t value)
{
    if (value >= -32 && value <= FIXINT_MAX && put_byte(buf, (uint8_t)value))
        return;
    msgpack_packer pk = packer(buf);
    msgpack_pack_int64(&pk, value);
}

void xo_pack_uint(xo_buf_t *buf, uint64_t value)
{
    msgpack_packer pk = packer(buf);
    msgpack_pack_uint64(&pk, value);
}

void xo_pack_double(xo_buf_t *buf, double value)
{
    msgpack_packer pk = packer(buf);
    msgpack_pack_double(&pk, value);
}

void xo_pack_str(xo_buf_t *buf, const char *text, size_t size)
{
    msgpack_packer pk = packer(buf);
    if (too_long(buf, size))
        return;
    if (size > FIXSTR_MAX || !put_byte(buf, (uint8_t)(LEAD_FIXSTR | size)))
        msgpack_pack_str(&pk, size);
    xo_buf_append(buf, text, size);
}

void xo_pack_cstr(xo_buf_t *buf, const char *text)
{
    if (text)
        xo_pack_str(buf, text, strlen(text));
    else
        xo_pack_nil(buf);
}

void xo_pack_bin(xo_buf_t *buf, const void *data, size_t size)
{
    msgpack_packer pk = packer(buf);
    if (too_long(buf, size))
        return;
    msgpack_pack_bin(&pk, size);
    xo_buf_append(buf, data, size);
}

void xo_pack_array(xo_buf_t *buf, uint32_t count)
{
    if (count <= FIXCOUNT_MAX && put_byte(buf, (uint8_t)(LEAD_FIXARRAY | count)))
        return;
    msgpack_packer pk = packer(buf);
    msgpack_pack_array(&pk, count);
}

void xo_pack_map(xo_buf_t *buf, uint32_t count)
{
    if (count <= FIXCOUNT_MAX && put_byte(buf, (uint8_t)(LEAD_FIXMAP | count)))
        return;
    msgpack_packer pk = packer(buf);
    msgpack_pack_map(&pk, count);
}

void xo_pack_ext(xo_buf_t *buf, xo_ext_t type, const void *data, size_t size)
{
    xo_pack_ext_header(buf, type, size);
    xo_buf_append(buf, data, size);
}

void xo_pack_ext_header(xo_buf_t *buf, xo_ext_t type, size_t size)
{
    msgpack_packer pk = packer(buf);
    if (!too_long(buf, size))
        msgpack_pack_ext(&pk, size, (int8_t)type);
}

void xo_pack_raw(xo_buf_t *buf, xo_slice_t value)
{
    if (value.size > 0)
        xo_buf_append(buf, value.data, value.size);
    else
        xo_pack_nil(buf);
}
