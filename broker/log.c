#include "broker/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libxo/utf8.h"

#define LINE_BYTES 1024

static const char *const level_names[] = {"error", "warn", "info", "debug"};

int xo_log_parse(const char *text, xo_log_level_t *level, xo_error_t *err)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (xo_log_level_t)i;
            return 0;
        }
    }
    return xo_error_set(err, EINVAL, "log level '%s': not one of error, warn, info, debug", text);
}

/* UTC, so that the lines of several machines sort together. */
static size_t write_time(char *line, size_t size)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    return used + (size_t)snprintf(line + used, size - used, ".%03ldZ", now.tv_nsec / 1000000);
}

/* A line is one line, and text, whatever it quotes: journald shows any other as a blob. */
static void flatten(char *text)
{
    xo_utf8_repair(text, strlen(text));
    for (char *at = text; (at = strpbrk(at, "\r\n")) != NULL; at++)
        *at = ' ';
}

void xo_log(const xo_log_t *log, xo_log_level_t level, const char *component, const char *format,
            ...)
{
    if (log == NULL || level > log->level)
        return;
    int saved = errno;
    char line[LINE_BYTES];
    size_t used = write_time(line, sizeof(line));
    used += (size_t)snprintf(line + used, sizeof(line) - used, " %s %s: ", level_names[level],
                             component);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    va_end(args);
    flatten(line + used);
    size_t size = strlen(line);
    line[size] = '\n';
    ssize_t written = write(log->fd, line, size + 1);
    (void)written; /* there is nowhere else to say it */
    errno = saved;
}
