#include "broker/ini.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

/* One file being read. */
typedef struct {
    const char *path;
    FILE *file;
    int line;
    bool continues;                  /* the line goes on with the value of the one before */
    char keyless[XO_INI_NAME_BYTES]; /* the section that had no key so far; "": none */
    const xo_ini_events_t *events;
    void *arg;
    xo_error_t *err;
    bool failed;
} reader_t;

/* Keeps the first mistake, with its place. */
static void fail(reader_t *reader, int line, const xo_error_t *why)
{
    if (reader->failed)
        return;
    reader->failed = true;
    if (line > 0)
        xo_error_set(reader->err, why->errnum, "%s:%d: %s", reader->path, line, why->text);
    else
        xo_error_set(reader->err, why->errnum, "%s: %s", reader->path, why->text);
}

/* The section before had no keys: libinih told nothing of it. */
static void end_section(reader_t *reader)
{
    xo_error_t why = {0};
    if (reader->keyless[0] == 0 || reader->failed)
        return;
    if (reader->events->bare(reader->arg, reader->keyless, &why) < 0)
        fail(reader, 0, &why);
    reader->keyless[0] = 0;
}

static void begin_section(reader_t *reader, const char *line)
{
    const char *end = line[0] == '[' ? strchr(line, ']') : NULL;
    if (end == NULL)
        return;
    end_section(reader);
    snprintf(reader->keyless, sizeof(reader->keyless), "%.*s", (int)(end - line - 1), line + 1);
}

/* libinih's reader: like fgets. Counts the lines, and refuses those that libinih would cut. */
static char *read_line(char *text, int size, void *stream)
{
    reader_t *reader = stream;
    if (fgets(text, size, reader->file) == NULL)
        return NULL;
    reader->line++;
    reader->continues = isblank((unsigned char)text[0]);
    if (strchr(text, '\n') == NULL && !feof(reader->file)) {
        xo_error_t why;
        xo_error_set(&why, EINVAL,
                     "the line is longer than %d bytes; commands, modules and the registry may go "
                     "on in the next line, indented",
                     size - 2);
        fail(reader, reader->line, &why);
        return NULL;
    }
    begin_section(reader, text);
    return text;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
    reader_t *reader = user;
    xo_error_t why = {0};
    reader->keyless[0] = 0;
    if (reader->failed)
        return 0;
    if (reader->events->key(reader->arg, section, name, value, reader->continues, &why) == 0)
        return 1;
    fail(reader, reader->line, &why);
    return 0;
}

int xo_ini_read(const char *path, const xo_ini_events_t *events, void *arg, xo_error_t *err)
{
    xo_error_t why = {0}, first = {0};
    reader_t reader = {.path = path, .events = events, .arg = arg, .err = &first};
    reader.file = fopen(path, "re");
    if (reader.file == NULL)
        return xo_error_set(err, errno, "%s: %s", path, strerror(errno));
    int line = ini_parse_stream(read_line, &reader, on_key, &reader);
    if (line != 0) {
        xo_error_set(&why, EINVAL, "not of the form KEY = VALUE or [SECTION]");
        fail(&reader, line, &why);
    }
    if (ferror(reader.file)) {
        xo_error_set(&why, EIO, "cannot be read");
        fail(&reader, 0, &why);
    }
    end_section(&reader);
    fclose(reader.file);
    return reader.failed ? xo_error_set(err, first.errnum, "%s", first.text) : 0;
}
