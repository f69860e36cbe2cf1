/* letters.c - see letters.h.
 */
#include "libxo/letters.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libxo/utf8.h"

#define NS_PER_S 1e9

typedef struct xoi_letter {
    double time_s; /* since 1970 */
    xo_drop_t reason;
    xo_kind_t kind;
    size_t bytes;
    size_t body_bytes; /* before it was cut */
    uint64_t lost;     /* how many it stands for; 0: it is one that was kept from its receiver */
    xo_slice_t uid, method, sender, from, body, to;
    char text[]; /* theirs */
} xoi_letter_t;

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / NS_PER_S;
}

static xo_slice_t cut(xo_slice_t text, size_t max)
{
    return xo_slice(text.data, text.size < max ? text.size : max);
}

static void move_in(xo_slice_t *bytes, char **at)
{
    if (bytes->size)
        memcpy(*at, bytes->data, bytes->size);
    bytes->data = *at;
    *at += bytes->size;
}

/* For a str of the record. Nobody has looked at what a peer says, and it may be cut. */
static void move_in_text(xo_slice_t *text, char **at)
{
    char *own = *at;
    move_in(text, at);
    xo_utf8_repair(own, text->size);
}

/* NULL: no memory, and one letter less to look at. */
static xoi_letter_t *letter_create(const xo_msg_t *msg, const char *from, const xoi_lost_t *lost,
                                   size_t body_bytes)
{
    const xo_header_t *header = xo_msg_header(msg);
    xo_slice_t body = xo_msg_payload(msg) ? xo_slice(NULL, 0) : xo_msg_body(msg);
    xoi_letter_t letter = {.time_s = wall_s(),
                           .kind = header->kind,
                           .bytes = lost ? 0 : xo_msg_bytes(msg),
                           .body_bytes = body.size,
                           .uid = header->target_uid,
                           .method = cut(header->method, XOI_LETTER_METHOD_BYTES),
                           .sender = header->sender_uid,
                           .from = xo_slice_str(from),
                           .body = cut(body, body_bytes),
                           .lost = lost ? lost->count : 0,
                           .to = xo_slice_str(lost ? lost->to : "")};
    size_t text_bytes = letter.uid.size + letter.method.size + letter.sender.size +
                        letter.from.size + letter.body.size + letter.to.size;
    xoi_letter_t *kept = malloc(sizeof *kept + text_bytes);
    if (!kept)
        return NULL;
    *kept = letter;
    char *at = kept->text;
    move_in(&kept->uid, &at);
    move_in_text(&kept->method, &at);
    move_in(&kept->sender, &at);
    move_in_text(&kept->from, &at);
    move_in(&kept->body, &at);
    move_in_text(&kept->to, &at);
    return kept;
}

void xoi_letters_keep(xoi_letters_t *letters, xo_drop_t reason, const xo_msg_t *msg,
                      const char *from, const xoi_lost_t *lost, size_t body_bytes)
{
    xoi_letter_t *letter = letter_create(msg, from, lost, body_bytes);
    if (!letter)
        return;
    letter->reason = reason;
    xoi_letter_t **place = &letters->ring[letters->count++ % XOI_LETTERS_MAX];
    free(*place);
    *place = letter;
}

/* The whole body as what it is, one that was cut as bytes. */
static void pack_payload(const xoi_letter_t *letter, xo_buf_t *out)
{
    xo_pack_cstr(out, "payload");
    if (letter->body.size == letter->body_bytes)
        xo_pack_raw(out, letter->body);
    else
        xo_pack_bin(out, letter->body.data, letter->body.size);
}

static void pack(const xoi_letter_t *letter, const char *address, bool payload, xo_buf_t *out)
{
    payload = payload && letter->body.size > 0;
    xo_pack_map(out, 9 + payload + 2 * (letter->lost > 0));
    xo_pack_format(out, "s f s s s s s s", "time", letter->time_s, "reason",
                   xo_drop_name(letter->reason), "kind", xo_kind_name(letter->kind), "address",
                   address);
    xo_pack_format(out, "s B s S s B s S s U", "uid", letter->uid, "method", letter->method,
                   "sender", letter->sender, "from", letter->from, "bytes",
                   (uint64_t)letter->bytes);
    if (letter->lost)
        xo_pack_format(out, "s S s U", "to", letter->to, "count", letter->lost);
    if (payload)
        pack_payload(letter, out);
}

void xoi_letters_pack(const xoi_letters_t *letters, size_t max, const char *address, bool payload,
                      xo_buf_t *out)
{
    uint64_t kept = letters->count < XOI_LETTERS_MAX ? letters->count : XOI_LETTERS_MAX;
    uint64_t count = kept < max ? kept : max;
    xo_pack_array(out, (uint32_t)count);
    for (uint64_t i = letters->count - count; i < letters->count; i++)
        pack(letters->ring[i % XOI_LETTERS_MAX], address, payload, out);
}

void xoi_letters_free(xoi_letters_t *letters)
{
    for (size_t i = 0; i < XOI_LETTERS_MAX; i++)
        free(letters->ring[i]);
}
