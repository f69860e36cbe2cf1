/* pack_read.c - the pull reader. Everything goes through token(), which is the one place that
 * looks at a lead byte and compares lengths and counts with the bytes left. */

#include "libxo/pack.h"

#include <errno.h>
#include <string.h>

/* Heads of one byte; the fourth begins no value. */
#define LEAD_FIXMAP 0x80
#define LEAD_FIXARRAY 0x90
#define LEAD_FIXSTR 0xa0
#define LEAD_OTHER 0xc1
#define FIXCOUNT_MAX 15
#define FIXSTR_MAX 31

#include "libxo/bytes.h"

/* What a lead byte says. The table is the format overview of the msgpack specification. */
typedef struct lead {
    uint8_t type;  /* xo_type_t; XO_T_NONE: never used (0xc1) */
    uint8_t width; /* bytes of the number, length or count that follows */
    uint8_t mask;  /* with width 0: the bits of the lead byte that are the number */
    uint8_t fixed; /* with neither: the length (of a fixext) */
} lead_t;

static const lead_t leads[256] = {
    [0x00 ... 0x7f] = {XO_T_INT, 0, 0x7f, 0},
    [0x80 ... 0x8f] = {XO_T_MAP, 0, 0x0f, 0},
    [0x90 ... 0x9f] = {XO_T_ARRAY, 0, 0x0f, 0},
    [0xa0 ... 0xbf] = {XO_T_STR, 0, 0x1f, 0},
    [0xc0] = {XO_T_NIL, 0, 0, 0},
    [0xc1] = {XO_T_NONE, 0, 0, 0},
    [0xc2 ... 0xc3] = {XO_T_BOOL, 0, 0x01, 0},
    [0xc4] = {XO_T_BIN, 1, 0, 0},
    [0xc5] = {XO_T_BIN, 2, 0, 0},
    [0xc6] = {XO_T_BIN, 4, 0, 0},
    [0xc7] = {XO_T_EXT, 1, 0, 0},
    [0xc8] = {XO_T_EXT, 2, 0, 0},
    [0xc9] = {XO_T_EXT, 4, 0, 0},
    [0xca] = {XO_T_DOUBLE, 4, 0, 0},
    [0xcb] = {XO_T_DOUBLE, 8, 0, 0},
    [0xcc] = {XO_T_INT, 1, 0, 0},
    [0xcd] = {XO_T_INT, 2, 0, 0},
    [0xce] = {XO_T_INT, 4, 0, 0},
    [0xcf] = {XO_T_INT, 8, 0, 0},
    [0xd0] = {XO_T_INT, 1, 0, 0},
    [0xd1] = {XO_T_INT, 2, 0, 0},
    [0xd2] = {XO_T_INT, 4, 0, 0},
    [0xd3] = {XO_T_INT, 8, 0, 0},
    [0xd4] = {XO_T_EXT, 0, 0, 1},
    [0xd5] = {XO_T_EXT, 0, 0, 2},
    [0xd6] = {XO_T_EXT, 0, 0, 4},
    [0xd7] = {XO_T_EXT, 0, 0, 8},
    [0xd8] = {XO_T_EXT, 0, 0, 16},
    [0xd9] = {XO_T_STR, 1, 0, 0},
    [0xda] = {XO_T_STR, 2, 0, 0},
    [0xdb] = {XO_T_STR, 4, 0, 0},
    [0xdc] = {XO_T_ARRAY, 2, 0, 0},
    [0xdd] = {XO_T_ARRAY, 4, 0, 0},
    [0xde] = {XO_T_MAP, 2, 0, 0},
    [0xdf] = {XO_T_MAP, 4, 0, 0},
    [0xe0 ... 0xff] = {XO_T_INT, 0, 0xff, 0},
};

/* One value, or for a container its head. */
typedef struct token {
    xo_type_t type;
    uint8_t lead;
    int ext;             /* an ext's type */
    uint64_t number;     /* the integer's or float's bits, a length, or a count */
    const uint8_t *data; /* what a str, bin or ext holds */
    const uint8_t *next; /* behind the value, or behind a container's head */
} token_t;

static int malformed(void)
{
    errno = EBADMSG;
    return -1;
}

/* The bytes of a str, bin or ext, where they are all there. */
static bool take_bytes(token_t *token, const uint8_t *end)
{
    token->data = token->next; /* an ext's begins behind its type */
    if (token->number > (uint64_t)(end - token->next))
        return false;
    token->next += token->number;
    return true;
}

static bool take_ext(token_t *token, const uint8_t *end)
{
    if (token->next == end)
        return false;
    token->ext = (int8_t)*token->next++;
    return take_bytes(token, end);
}

/* Each value of a container takes a byte at least, so a count above the bytes left is a lie. */
static bool count_fits(const token_t *token, const uint8_t *end)
{
    uint64_t values = token->type == XO_T_MAP ? token->number * 2 : token->number;
    return values <= (uint64_t)(end - token->next);
}

static inline bool token_read(const xo_reader_t *reader, token_t *token)
{
    if (reader->at == reader->end)
        return false;
    const lead_t lead = leads[*reader->at];
    if ((size_t)(reader->end - reader->at) < 1u + lead.width)
        return false;
    token->type = (xo_type_t)lead.type;
    token->lead = *reader->at;
    token->data = token->next = reader->at + 1 + lead.width;
    token->number = lead.width ? xoi_load_be(reader->at + 1, lead.width)
                               : (uint64_t)(token->lead & lead.mask) + lead.fixed;
    switch (token->type) {
    case XO_T_NONE:
        return false;
    case XO_T_STR:
    case XO_T_BIN:
        return take_bytes(token, reader->end);
    case XO_T_EXT:
        return take_ext(token, reader->end);
    case XO_T_ARRAY:
    case XO_T_MAP:
        return count_fits(token, reader->end);
    default:
        return true;
    }
}

/* Reads a token of `type`. */
static inline int expect(const xo_reader_t *reader, xo_type_t type, token_t *token)
{
    return token_read(reader, token) && token->type == type ? 0 : malformed();
}

/* The signed value of an integer token that is not a uint64. */
static int64_t sign_extend(const token_t *token)
{
    switch (token->lead) {
    case 0xd0:
        return (int8_t)token->number;
    case 0xd1:
        return (int16_t)token->number;
    case 0xd2:
        return (int32_t)token->number;
    default:
        return token->lead >= 0xe0 ? (int8_t)token->lead : (int64_t)token->number;
    }
}

static inline bool is_above_int64(const token_t *token)
{
    return token->lead == 0xcf && token->number > INT64_MAX;
}

static double to_double(const token_t *token)
{
    double value;
    if (token->lead == 0xca) {
        float single;
        uint32_t bits = (uint32_t)token->number;
        memcpy(&single, &bits, sizeof single);
        return single;
    }
    memcpy(&value, &token->number, sizeof value);
    return value;
}

/* ---- the reader ---- */

xo_reader_t xo_reader(xo_slice_t bytes)
{
    static const uint8_t nothing[1];
    const uint8_t *at = bytes.size ? (const uint8_t *)bytes.data : nothing;
    return (xo_reader_t){at, at + bytes.size};
}

bool xo_reader_done(const xo_reader_t *reader)
{
    return reader->at == reader->end;
}

xo_type_t xo_read_type(const xo_reader_t *reader)
{
    token_t token;
    if (!token_read(reader, &token))
        return XO_T_NONE;
    return token.type == XO_T_INT && is_above_int64(&token) ? XO_T_UINT : token.type;
}

int xo_read_nil(xo_reader_t *reader)
{
    token_t token;
    if (expect(reader, XO_T_NIL, &token) < 0)
        return -1;
    reader->at = token.next;
    return 0;
}

int xo_read_bool(xo_reader_t *reader, bool *value)
{
    token_t token;
    if (expect(reader, XO_T_BOOL, &token) < 0)
        return -1;
    *value = token.number != 0;
    reader->at = token.next;
    return 0;
}

int xo_read_int(xo_reader_t *reader, int64_t *value)
{
    token_t token;
    if (expect(reader, XO_T_INT, &token) < 0)
        return -1;
    if (is_above_int64(&token))
        return malformed();
    *value = sign_extend(&token);
    reader->at = token.next;
    return 0;
}

int xo_read_uint(xo_reader_t *reader, uint64_t *value)
{
    token_t token;
    if (expect(reader, XO_T_INT, &token) < 0)
        return -1;
    if (token.lead != 0xcf && sign_extend(&token) < 0)
        return malformed();
    *value = token.number;
    reader->at = token.next;
    return 0;
}

int xo_read_double(xo_reader_t *reader, double *value)
{
    token_t token;
    if (!token_read(reader, &token))
        return malformed();
    if (token.type == XO_T_DOUBLE)
        *value = to_double(&token);
    else if (token.type == XO_T_INT)
        *value = token.lead == 0xcf ? (double)token.number : (double)sign_extend(&token);
    else
        return malformed();
    reader->at = token.next;
    return 0;
}

static void give(xo_reader_t *reader, const token_t *token, xo_slice_t *value)
{
    *value = xo_slice(token->data, token->number);
    reader->at = token->next;
}

int xo_read_str(xo_reader_t *reader, xo_slice_t *value)
{
    token_t token;
    if (expect(reader, XO_T_STR, &token) < 0)
        return -1;
    give(reader, &token, value);
    return 0;
}

int xo_read_bin(xo_reader_t *reader, xo_slice_t *value)
{
    token_t token;
    if (expect(reader, XO_T_BIN, &token) < 0)
        return -1;
    give(reader, &token, value);
    return 0;
}

int xo_read_bytes(xo_reader_t *reader, xo_slice_t *value)
{
    token_t token;
    if (!token_read(reader, &token) || (token.type != XO_T_STR && token.type != XO_T_BIN))
        return malformed();
    give(reader, &token, value);
    return 0;
}

static int read_count(xo_reader_t *reader, xo_type_t type, uint32_t *count)
{
    token_t token;
    if (expect(reader, type, &token) < 0)
        return -1;
    *count = (uint32_t)token.number;
    reader->at = token.next;
    return 0;
}

int xo_read_array(xo_reader_t *reader, uint32_t *count)
{
    return read_count(reader, XO_T_ARRAY, count);
}

int xo_read_map(xo_reader_t *reader, uint32_t *pairs)
{
    return read_count(reader, XO_T_MAP, pairs);
}

int xo_read_ext(xo_reader_t *reader, int *type, xo_slice_t *payload)
{
    token_t token;
    if (expect(reader, XO_T_EXT, &token) < 0)
        return -1;
    *type = token.ext;
    give(reader, &token, payload);
    return 0;
}

/* ---- whole values ---- */

/* How many values the container whose head is `token` holds; 0 for everything else. */
static inline uint64_t values_in(const token_t *token)
{
    if (token->type == XO_T_ARRAY)
        return token->number;
    return token->type == XO_T_MAP ? token->number * 2 : 0;
}

/* Small integers, nil and bools; 0xc1 is none. */
static inline bool is_one_byte(uint8_t lead)
{
    return lead < 0x80 || lead >= 0xe0 || lead == 0xc0 || lead == 0xc2 || lead == 0xc3;
}

/* A value whose head is one byte, as most are: moves on to what is in it, or behind it. False: look
 * closer. */
static inline bool skip_short(xo_reader_t *reader, bool *opens, uint64_t *inside)
{
    uint8_t lead = reader->at != reader->end ? *reader->at : LEAD_OTHER;
    size_t bytes = 1;
    *opens = lead >= LEAD_FIXMAP && lead < LEAD_FIXSTR;
    *inside = lead & FIXCOUNT_MAX;
    if (*opens)
        *inside <<= lead < LEAD_FIXARRAY; /* a map's are pairs */
    else if (lead >= LEAD_FIXSTR && lead <= LEAD_FIXSTR + FIXSTR_MAX)
        bytes += lead - LEAD_FIXSTR;
    else if (!is_one_byte(lead))
        return false;
    if ((size_t)(reader->end - reader->at) < bytes)
        return false;
    reader->at += bytes;
    return true;
}

int xo_read_skip(xo_reader_t *reader)
{
    if (reader->at != reader->end && is_one_byte(*reader->at)) {
        reader->at++;
        return 0;
    }
    uint64_t missing[XO_DEPTH_MAX + 1]; /* values still to come, per open container */
    unsigned depth = 0;
    xo_reader_t ahead = *reader;
    missing[0] = 1;
    while (missing[depth] > 0) {
        bool opens;
        uint64_t inside;
        if (!skip_short(&ahead, &opens, &inside)) {
            token_t token;
            if (!token_read(&ahead, &token))
                return malformed();
            ahead.at = token.next;
            opens = token.type == XO_T_ARRAY || token.type == XO_T_MAP;
            inside = values_in(&token);
        }
        missing[depth]--;
        if (opens) {
            if (depth == XO_DEPTH_MAX)
                return malformed();
            missing[++depth] = inside;
        }
        while (depth > 0 && missing[depth] == 0)
            depth--;
    }
    *reader = ahead;
    return 0;
}

int xo_read_raw(xo_reader_t *reader, xo_slice_t *value)
{
    const uint8_t *from = reader->at;
    if (xo_read_skip(reader) < 0)
        return -1;
    *value = xo_slice(from, (size_t)(reader->at - from));
    return 0;
}
