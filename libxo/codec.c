/* codec.c - see codec.h.
 */
#include "libxo/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/codec_impl.h"
#include "libxo/ctx_internal.h"
#include "libxo/endpoint_impl.h"

static const char *const names[] = {[XO_CODEC_PICKLE] = "pickle", [XO_CODEC_MSGPACK] = "msgpack"};

int xo_codec_parse(const char *text, xo_codec_t *codec, xo_error_t *err)
{
    for (xo_codec_t each = XO_CODEC_PICKLE; each <= XO_CODEC_MSGPACK; each++) {
        if (strcmp(text, names[each]) != 0)
            continue;
        *codec = each;
        return 0;
    }
    return xo_error_set(err, EINVAL, "'%s' is not one of pickle, msgpack", text);
}

const char *xo_codec_name(xo_codec_t codec)
{
    return names[codec];
}

int xo_codec_from_env(xo_codec_t *codec, xo_error_t *err)
{
    const char *text = getenv(XO_CODEC_VARIABLE);
    *codec = XO_CODEC_PICKLE;
    if (!text || !*text || xo_codec_parse(text, codec, err) == 0)
        return 0;
    return xo_error_prefix(err, XO_CODEC_VARIABLE);
}

/* ---- looking for pickles ---- */

/* Whose payload is msgpack that may hold anything. */
static bool holds_values(int type)
{
    return type == XO_EXT_TUPLE || type == XO_EXT_SET || type == XO_EXT_FROZENSET;
}

static int pass_ext(xo_reader_t *reader, bool *found)
{
    int type;
    xo_slice_t payload;
    if (xo_read_ext(reader, &type, &payload) < 0)
        return -1;
    *found = type == XO_EXT_PICKLE;
    if (holds_values(type))
        *reader = (xo_reader_t){(const uint8_t *)payload.data, reader->end};
    return 0;
}

/* Of a container its head only: what it holds comes next, whatever it counts. */
static int pass_head(xo_reader_t *reader, bool *found)
{
    uint32_t count;
    switch (xo_read_type(reader)) {
    case XO_T_ARRAY:
        return xo_read_array(reader, &count);
    case XO_T_MAP:
        return xo_read_map(reader, &count);
    case XO_T_EXT:
        return pass_ext(reader, found);
    default:
        return xo_read_skip(reader);
    }
}

bool xo_codec_finds_pickle(xo_slice_t values)
{
    bool found = false;
    xo_reader_t reader = xo_reader(values);
    while (!found && !xo_reader_done(&reader))
        if (pass_head(&reader, &found) < 0)
            break;
    return found;
}

/* ---- refusing ---- */

#define WHY "it sent a pickle, which codec = msgpack keeps out"

static bool is_refused(const xo_endpoint_t *endpoint, const xo_msg_t *msg)
{
    return endpoint->ctx->codec == XO_CODEC_MSGPACK && xo_codec_finds_pickle(xo_msg_body(msg));
}

static xo_msg_t *error_for(const xo_endpoint_t *endpoint, uint64_t seq, const char *executed,
                           const char *what)
{
    const char *address = endpoint->self.address;
    return xo_failure_msg(seq, XO_CODE_PICKLE, executed, "codec = msgpack",
                          "%s a pickle, which codec = msgpack keeps out of %s: send plain values "
                          "(None, bool, int, float, complex, str, bytes, list, tuple, dict, set, "
                          "frozenset, references), and name a class as \"module:Class\"",
                          what, address[0] ? address : "this process");
}

bool xoi_codec_refuses_request(xo_link_t *from, const xo_msg_t *msg)
{
    xo_endpoint_t *endpoint = from->endpoint;
    if (!is_refused(endpoint, msg))
        return false;
    xo_return_t back = xo_return_of(from, msg);
    xoi_codec_keep(endpoint, msg);
    xoi_link_refused(from, &from->peer, XO_DROP_REFUSED, WHY);
    xo_endpoint_consumed(endpoint, from, xo_msg_bytes(msg));
    if (xoi_wants_answer(xo_msg_header(msg))) {
        xo_msg_t *answer = error_for(endpoint, back.seq, "no", "the request holds");
        xo_endpoint_answer(endpoint, &back, &answer);
    }
    return true;
}

void xoi_codec_check_answer(xo_link_t *from, xo_msg_t **msg)
{
    xo_endpoint_t *endpoint = from ? from->endpoint : NULL;
    const xo_header_t *header = xo_msg_header(*msg);
    if (!endpoint || header->kind != XO_RESULT || !is_refused(endpoint, *msg))
        return;
    xoi_codec_keep(endpoint, *msg);
    xoi_link_refused(from, &from->peer, XO_DROP_REFUSED, WHY);
    xo_msg_t *error = error_for(endpoint, header->seq, "ran", "the result is");
    if (!error)
        return; /* whoever reads it refuses it, too */
    xo_msg_destroy(msg);
    *msg = error;
}
