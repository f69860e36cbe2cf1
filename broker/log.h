/* log.h - one line per fact on standard error: time level component: text.
 */
#ifndef XO_BROKER_LOG_H
#define XO_BROKER_LOG_H

#include "libxo/error.h"

typedef enum { XO_LOG_ERROR, XO_LOG_WARN, XO_LOG_INFO, XO_LOG_DEBUG } xo_log_level_t;

typedef struct xo_log {
    int fd;               /* where lines go, each in one write(2) */
    xo_log_level_t level; /* what is above it is left out */
} xo_log_t;

/* "error", "warn", "info", "debug"; EINVAL names the text. */
int xo_log_parse(const char *text, xo_log_level_t *level, xo_error_t *err);
/* Longer texts are cut. Keeps errno. `log` NULL: nothing is written. */
void xo_log(const xo_log_t *log, xo_log_level_t level, const char *component, const char *format,
            ...) __attribute__((format(printf, 4, 5)));

#endif
