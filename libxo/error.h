/* error.h - errors that travel: an errno for programs, a sentence for people.
 *
 * Functions that can fail return -1 or NULL, set errno, and fill the caller's xo_error_t (NULL is
 * allowed everywhere: the sentence is then dropped, the errno is not). The sentence names what
 * was wrong (the file, option, address, key) and, where there is one, what to do next.
 */
#ifndef XO_ERROR_H
#define XO_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#define XO_ERROR_TEXT_BYTES 512

typedef struct xo_error {
    int errnum;                     /* an errno value; 0: no error */
    char text[XO_ERROR_TEXT_BYTES]; /* one sentence, no newline at its end, "..." where cut */
} xo_error_t;

/* Fills `err` (may be NULL), sets errno to `errnum`; returns -1, so that callers can return it. %m
 * in `format` says what `errnum` means, and err->text may be among the arguments. Control
 * characters come out as '?', since sentences quote what came off a wire. */
int xo_error_set(xo_error_t *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, but returns NULL, for functions that return pointers. */
void *xo_error_null(xo_error_t *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the sentence and keeps the errno (sets errno to it); returns -1. */
int xo_error_prefix(xo_error_t *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
