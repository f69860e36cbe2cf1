/* error.c - fills xo_error_t. */

#include "libxo/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Takes a trailing newline off and the control characters out: sentences quote what came off a
 * wire, and are shown on terminals. */
static void clean(char *text, size_t length)
{
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            text[i] = '?';
    }
}

/* Marks a sentence that was cut, without leaving half of a UTF-8 character before the mark. */
static void mark_cut(char *text)
{
    size_t at = XO_ERROR_TEXT_BYTES - sizeof "...";
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    memcpy(text + at, "...", sizeof "...");
}

/* Formats beside err->text first, since the arguments may be that text. */
static void fill(xo_error_t *err, int errnum, const char *format, va_list args)
{
    char text[XO_ERROR_TEXT_BYTES];
    errno = errnum; /* so that %m in `format` says what `errnum` means */
    int length = vsnprintf(text, sizeof text, format, args);
    if (length < 0)
        text[0] = '\0';
    if (length >= XO_ERROR_TEXT_BYTES)
        mark_cut(text);
    clean(text, strlen(text));
    memcpy(err->text, text, sizeof text);
    err->errnum = errnum;
}

int xo_error_set(xo_error_t *err, int errnum, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, errnum, format, args);
        va_end(args);
    }
    errno = errnum;
    return -1;
}

void *xo_error_null(xo_error_t *err, int errnum, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, errnum, format, args);
        va_end(args);
    }
    errno = errnum;
    return NULL;
}

int xo_error_prefix(xo_error_t *err, const char *format, ...)
{
    if (!err)
        return -1;
    char prefix[XO_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    if (length < 0)
        prefix[0] = '\0';
    return xo_error_set(err, err->errnum ? err->errnum : errno, "%s: %s", prefix, err->text);
}
