/* bytes.h - big-endian numbers in memory, as msgpack has them. Internal. */
#ifndef XO_BYTES_H
#define XO_BYTES_H

#include <endian.h>
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

#endif
