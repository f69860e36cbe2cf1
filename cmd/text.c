/* text.c - escaping, widths and short forms of numbers. */
#include "cmd/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 40

void *xoi_need(void *memory)
{
    if (!memory) {
        fputs("xo: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

void xoi_text_init(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* Reads one character at `data`: how many bytes it takes, or 0 if they are no character. */
static size_t next_char(const char *data, size_t size, wchar_t *c)
{
    mbstate_t state = {0};
    size_t n = mbrtowc(c, data, size, &state);
    if (n == (size_t)-1 || n == (size_t)-2)
        return 0;
    return n ? n : 1; /* 0 stands for a NUL, which is one byte */
}

/* Characters that reorder the text around them or that nobody sees (Unicode's category Cf), but
 * for the joiners, which scripts and emoji need. */
static bool is_format_char(wchar_t c)
{
    return c == 0xad || c == 0x61c || c == 0x200b || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static void escape_char(FILE *out, wchar_t c, unsigned flags)
{
    if ((flags & XOI_KEEP_NEWLINES) && (c == '\n' || c == '\t'))
        fputc((int)c, out);
    else if (c == '\\')
        fputs(flags & XOI_KEEP_BACKSLASHES ? "\\" : "\\\\", out);
    else if (c == '\n' || c == '\t')
        fputs(c == '\n' ? "\\n" : "\\t", out);
    else if (c < 0x80)
        fprintf(out, "\\x%02x", (unsigned)c);
    else
        fprintf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

char *xoi_text_escape(const char *data, size_t size, unsigned flags)
{
    char *text = NULL;
    size_t length;
    FILE *out = xoi_need(open_memstream(&text, &length));
    for (size_t at = 0; at < size;) {
        wchar_t c;
        size_t n = next_char(data + at, size - at, &c);
        if (!n)
            fprintf(out, "\\x%02x", (unsigned char)data[at]);
        else if (c == '\\' || !iswprint((wint_t)c) || wcwidth(c) < 0 || is_format_char(c))
            escape_char(out, c, flags);
        else
            fwrite(data + at, 1, n, out);
        at += n ? n : 1;
    }
    fclose(out);
    return xoi_need(text);
}

int xoi_text_width(const char *text)
{
    int width = 0;
    for (size_t left = strlen(text); left;) {
        wchar_t c;
        size_t n = next_char(text, left, &c);
        int w = n ? wcwidth(c) : 1;
        width += w > 0 ? w : 0;
        text += n ? n : 1;
        left -= n ? n : 1;
    }
    return width;
}

/* How many bytes of `text` fill at most `width` columns. */
static size_t head_bytes(const char *text, int width)
{
    size_t at = 0;
    for (size_t size = strlen(text); at < size;) {
        wchar_t c;
        size_t n = next_char(text + at, size - at, &c);
        int w = n ? wcwidth(c) : 1;
        if ((width -= w) < 0)
            break;
        at += n ? n : 1;
    }
    return at;
}

static size_t char_bytes(const char *text)
{
    wchar_t c;
    size_t n = next_char(text, strlen(text), &c);
    return n ? n : 1;
}

char *xoi_text_fit(char *text, int width)
{
    if (xoi_text_width(text) <= width)
        return text;
    int keep = width > 1 ? width - 1 : 0;
    size_t head = head_bytes(text, keep - keep / 2);
    const char *tail = text + head;
    while (xoi_text_width(tail) > keep / 2)
        tail += char_bytes(tail);
    char *cut = xoi_text_printf("%.*s…%s", (int)head, text, tail);
    free(text);
    return cut;
}

int xoi_text_columns(void)
{
    const char *set = getenv("COLUMNS");
    long columns = set ? strtol(set, NULL, 10) : 0;
    struct winsize size;
    if (columns <= 0 && isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns <= 0)
        columns = COLUMNS_DEFAULT;
    return columns < COLUMNS_MIN ? COLUMNS_MIN : columns > 10000 ? 10000 : (int)columns;
}

bool xoi_text_has_columns(void)
{
    const char *set = getenv("COLUMNS");
    return (set && strtol(set, NULL, 10) > 0) || isatty(STDOUT_FILENO);
}

void xoi_text_wrap(const char *text, int width, int indent)
{
    while (xoi_text_width(text) > width) {
        size_t fits = head_bytes(text, width);
        size_t end = fits;
        while (end > 0 && text[end] != ' ')
            end--;
        if (end == 0)
            end = fits ? fits : char_bytes(text);
        printf("%.*s\n%*s", (int)end, text, indent, "");
        text += end;
        text += *text == ' ';
    }
    printf("%s\n", text);
}

char *xoi_text_printf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return xoi_need(text);
}

char *xoi_text_age(int64_t seconds)
{
    int64_t s = seconds < 0 ? 0 : seconds;
    if (s < 60)
        return xoi_text_printf("%ds", (int)s);
    if (s < 3600)
        return xoi_text_printf("%dm%02ds", (int)(s / 60), (int)(s % 60));
    if (s < 86400)
        return xoi_text_printf("%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    return xoi_text_printf("%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}

/* "1.5X", or "15X" from ten on: three or four characters and the unit. */
static char *scaled(double value, double base, const char *const *units)
{
    while (value >= base && units[1]) {
        value /= base;
        units++;
    }
    return xoi_text_printf(value < 10 ? "%.1f%s" : "%.0f%s", value, *units);
}

char *xoi_text_count(uint64_t number)
{
    static const char *const units[] = {"M", "G", "T", "P", "E", NULL};
    if (number < 1000000)
        return xoi_text_printf("%llu", (unsigned long long)number);
    return scaled((double)number / 1e6, 1000, units);
}

char *xoi_text_bytes(uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};
    if (bytes < 1024)
        return xoi_text_printf("%llu", (unsigned long long)bytes);
    return scaled((double)bytes / 1024, 1024, units);
}

int64_t xoi_text_now(void)
{
    return (int64_t)time(NULL);
}

int xoi_complain(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    xoi_need(text);
    char *safe = xoi_text_escape(text, strlen(text), XOI_KEEP_BACKSLASHES);
    fflush(stdout);
    fprintf(stderr, "xo: %s\n", safe);
    free(safe);
    free(text);
    return status;
}
