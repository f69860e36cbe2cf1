/* text.h - text for terminals: nothing that comes from elsewhere may reach one unescaped.
 */
#ifndef CMD_TEXT_H
#define CMD_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    XOI_KEEP_NEWLINES = 1 << 0, /* newlines and tabs stay as they are */
    XOI_KEEP_BACKSLASHES =
        1 << 1 /* a backslash stays single: for prose, where it need not be undone */
};

/* Makes characters from UTF-8 whatever the locale is; to be called first. */
void xoi_text_init(void);

/* A copy in which control characters, characters that change the writing direction, and bytes
 * that are not UTF-8 are written as \n, \t, \xNN or \uNNNN. The caller frees it. Ends the
 * process when there is no memory, as all functions of the tool that return text do. */
char *xoi_text_escape(const char *data, size_t size, unsigned flags);

/* Columns that escaped text takes on a terminal. */
int xoi_text_width(const char *text);
/* Cuts the middle out of `text` and puts "…" there, so that it takes at most `width` columns.
 * Frees `text` and returns what takes its place. */
char *xoi_text_fit(char *text, int width);

/* Columns that a line may take: $COLUMNS, else the terminal's if stdout is one, else 80; never
 * less than 40. */
int xoi_text_columns(void);

/* Is the width known, by $COLUMNS or because stdout is a terminal? */
bool xoi_text_has_columns(void);
/* Prints `text` over several lines, of at most `width` columns, which begin with `indent` blanks
 * but for the first; broken at a blank where there is one. */
void xoi_text_wrap(const char *text, int width, int indent);

char *xoi_text_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xoi_text_age(int64_t seconds);   /* "42s", "3m12s", "5h07m", "12d03h" */
char *xoi_text_count(uint64_t number); /* "123456", "12.3M" */
char *xoi_text_bytes(uint64_t bytes);  /* "512", "1.5KiB", "20MiB" */
int64_t xoi_text_now(void);            /* seconds of Unix time */

/* Says "xo: ..." on stderr, escaped; returns `status`. */
int xoi_complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For what must not be NULL: returns `memory`, or ends the process with a complaint. */
void *xoi_need(void *memory);

#endif
