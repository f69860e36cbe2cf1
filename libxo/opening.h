/* opening.h - how much one end of a lane between machines may send before it knows the other.
 *
 * libzmq keeps as much as a frame's size announces, also of who has not shown a key yet, until the
 * time for the handshake is over. But in ZMTP (RFC 37, with RFC 26's CURVE) neither end has reason
 * to send more than its INITIATE or READY, some hundred bytes, before the other has sent its own.
 * So who does is no member, as the bytes in either direction show.
 */
#ifndef XO_OPENING_H
#define XO_OPENING_H

#include <stdbool.h>
#include <stdint.h>

/* Greeting (64) and HELLO (202) or WELCOME (170); with the shortest INITIATE or READY it is more
 * than 300. */
#define XOI_OPENING_BYTES 280
#define XOI_OPENING_BYTES_MAX ((uint64_t)16 << 10)

/* `came` from an end that has been sent `went`. */
static inline bool xoi_opening_floods(uint64_t came, uint64_t went)
{
    return came > XOI_OPENING_BYTES_MAX && went <= XOI_OPENING_BYTES;
}

#endif
