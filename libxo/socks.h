/* socks.h - what who dials a node's port says first: SOCKS 5 (RFC 1928), as much of it as names a
 * target. Pure: bytes in, words out; it is the caller that reads and writes.
 *
 *   to the port       05 N METHODS...                      a greeting, one method of which is 00
 *   from the port     05 00
 *   to the port       05 01 00 03 LENGTH NAME PORT(2)      connect to NAME; PORT says nothing
 *   from the port     05 CODE 00 01 00 00 00 00 00 00
 */
#ifndef XO_SOCKS_H
#define XO_SOCKS_H

#include <stddef.h>
#include <stdint.h>

#define XOI_SOCKS_VERSION 5
#define XOI_SOCKS_BYTES 262 /* of the longest greeting or request */
#define XOI_SOCKS_ANSWER_BYTES 2
#define XOI_SOCKS_REPLY_BYTES 10

enum {
    XOI_SOCKS_DONE = 0,
    XOI_SOCKS_FAILED = 1,
    XOI_SOCKS_NOBODY = 4, /* "host unreachable" */
    XOI_SOCKS_NO_COMMAND = 7,
    XOI_SOCKS_NO_NAME = 8, /* "address type not supported" */
};

/* How many bytes it has altogether, as far as the first `size` tell: more than `size`: read so many
 * and ask again; `size`: it is complete. 0: it is none. */
size_t xoi_socks_greeting_size(const uint8_t *bytes, size_t size);
size_t xoi_socks_request_size(const uint8_t *bytes, size_t size);
/* Of a complete request: XOI_SOCKS_DONE and the name, or what it is answered with. */
int xoi_socks_request_name(const uint8_t *bytes, size_t size, char name[XOI_SOCKS_BYTES]);
void xoi_socks_reply(int code, uint8_t reply[XOI_SOCKS_REPLY_BYTES]);

#endif
