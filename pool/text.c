/* text.c - what goes into sentences must be UTF-8, because they travel as msgpack strings; and the
 * failures that sentences are for. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxo/utf8.h"
#include "pool/pool_impl.h"

/* The printable sequence at the front of `at`, in bytes; 0: none. */
static size_t printable(const char *at, size_t left)
{
    unsigned char lead = (unsigned char)at[0];
    bool plain = lead >= 0x20 && lead != 0x7f && lead != '"' && lead != '\\';
    return plain ? xo_utf8_length(at, left) : 0;
}

/* A uid or a name for people: text as it is, other bytes as \xNN, cut to fit. */
const char *xoi_text(xo_slice_t name, char text[XOI_TEXT_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < name.size && at + 8 < XOI_TEXT_BYTES;) {
        size_t size = printable(name.data + i, name.size - i);
        if (size)
            memcpy(text + at, name.data + i, size);
        else
            snprintf(text + at, 5, "\\x%02x", (unsigned char)name.data[i]);
        at += size ? size : 4;
        i += size ? size : 1;
    }
    text[at] = '\0';
    return text;
}

/* Removes a sequence that was cut at the end. */
void xoi_text_trim(char *text)
{
    size_t size = strlen(text);
    size_t start = size;
    while (start && size - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    size_t left = size - start + 1;
    if (start && xo_utf8_length(text + start - 1, left) != left)
        text[start - 1] = '\0';
}

xo_msg_t *xoi_failure(xo_pool_t *pool, const char *code, const char *executed, const char *reason,
                      const char *format, va_list args)
{
    char text[XO_ERROR_TEXT_BYTES];
    vsnprintf(text, sizeof text, format, args);
    xoi_text_trim(text);
    xo_failure_t failure = {.code = xo_slice_str(code),
                            .message = xo_slice_str(text),
                            .executed = xo_slice_str(executed),
                            .reason = xo_slice_str(reason),
                            .address = xo_slice_str(xo_pool_address(pool)),
                            .pid = getpid()};
    xo_buf_clear(&pool->scratch);
    xo_failure_pack(&failure, &pool->scratch);
    return xo_msg_create(&(xo_header_t){.kind = XO_ERROR}, xo_buf_slice(&pool->scratch));
}

xo_msg_t *xoi_failure_of(xo_pool_t *pool, const char *code, const char *executed,
                         const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xo_msg_t *msg = xoi_failure(pool, code, executed, reason, format, args);
    va_end(args);
    return msg;
}
