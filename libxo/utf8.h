/* utf8.h - what is text. Internal. */
#ifndef XO_UTF8_H
#define XO_UTF8_H

#include <stddef.h>

/* How many bytes the UTF-8 sequence at `at` takes (RFC 3629: no surrogates, no overlong forms); 0:
 * it is none. */
size_t xo_utf8_length(const char *at, size_t left);
/* What is none becomes "?", a byte each: text for people and for JSON, which others have sent. */
void xo_utf8_repair(char *text, size_t size);

#endif
