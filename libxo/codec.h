/* codec.h - whether pickles are let in (contract 16): $XO_CODEC, the node's setting `codec`.
 *
 * With msgpack an endpoint refuses each request for it and each result that holds a pickle (ext
 * type 7) before anybody else sees it. What it only passes on is not its affair.
 */
#ifndef XO_CODEC_H
#define XO_CODEC_H

#include <stdbool.h>

#include "libxo/error.h"
#include "libxo/msg.h"

#define XO_CODEC_VARIABLE "XO_CODEC"

typedef enum {
    XO_CODEC_PICKLE = 1, /* what msgpack has no word for is a pickle */
    XO_CODEC_MSGPACK     /* plain values only */
} xo_codec_t;

/* "pickle" or "msgpack", else EINVAL. */
int xo_codec_parse(const char *text, xo_codec_t *codec, xo_error_t *err);
const char *xo_codec_name(xo_codec_t codec);
/* What $XO_CODEC says; XO_CODEC_PICKLE if it is not set or empty. */
int xo_codec_from_env(xo_codec_t *codec, xo_error_t *err);

/* Is a pickle among these msgpack values, wherever a reader could come upon it? It stops, and says
 * no, where they are malformed: so does whoever reads them. */
bool xo_codec_finds_pickle(xo_slice_t values);

#endif
