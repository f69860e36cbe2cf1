/* bytes.h - big-endian numbers in memory, as msgpack has them; copies of few bytes. Internal. */
#ifndef XO_BYTES_H
#define XO_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t xoi_load_be16(const uint8_t *at)
{
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return be16toh(bits);
}

static inline uint32_t xoi_load_be32(const uint8_t *at)
{
    uint32_t bits;
    memcpy(&bits, at, sizeof bits);
    return be32toh(bits);
}

static inline uint64_t xoi_load_be64(const uint8_t *at)
{
    uint64_t bits;
    memcpy(&bits, at, sizeof bits);
    return be64toh(bits);
}

/* A number of 0, 1, 2, 4 or 8 bytes. */
static inline uint64_t xoi_load_be(const uint8_t *at, unsigned width)
{
    switch (width) {
    case 0:
        return 0;
    case 1:
        return *at;
    case 2:
        return xoi_load_be16(at);
    case 4:
        return xoi_load_be32(at);
    default:
        return xoi_load_be64(at);
    }
}

static inline void xoi_store_be16(uint8_t *at, uint16_t value)
{
    uint16_t bits = htobe16(value);
    memcpy(at, &bits, sizeof bits);
}

static inline void xoi_store_be64(uint8_t *at, uint64_t value)
{
    uint64_t bits = htobe64(value);
    memcpy(at, &bits, sizeof bits);
}

/* memcpy for a few bytes, as most names and values have, without the call. */
static inline void xoi_copy(char *to, const char *from, size_t size)
{
    if (size > 16) {
        memcpy(to, from, size);
    } else if (size >= 8) {
        memcpy(to, from, 8);
        memcpy(to + size - 8, from + size - 8, 8);
    } else if (size >= 4) {
        memcpy(to, from, 4);
        memcpy(to + size - 4, from + size - 4, 4);
    } else {
        for (size_t i = 0; i < size; i++)
            to[i] = from[i];
    }
}

#endif
