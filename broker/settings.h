/* settings.h - a node's configuration file (INI, read with libinih; xo-broker(1) lists the keys).
 */
#ifndef XO_BROKER_SETTINGS_H
#define XO_BROKER_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "broker/log.h"
#include "broker/spec.h"
#include "libxo/codec.h"

/* One [pool NAME]. */
typedef struct xo_pool_settings {
    char name[XO_LABEL_BYTES];
    int64_t count;
    xo_pool_spec_t *spec;
} xo_pool_settings_t;

typedef struct xo_settings {
    char *cluster, *registry, *run_dir; /* NULL: not set */
    char *port, *bind;                  /* the same */
    int64_t heartbeat_ms;               /* 0: not set */
    int64_t hang_ms;                    /* 0: a loop may stand still */
    int64_t gpu_free_ms;                /* -1: not set */
    int64_t stop_ms;                    /* the same */
    xo_codec_t codec;                   /* 0: not set */
    bool log_is_set;
    xo_log_level_t log;
    xo_pool_settings_t *pools;
    size_t pool_count;
} xo_settings_t;

/* NULL: the file cannot be read, or EINVAL; the sentence begins with "FILE:LINE: " and names the
 * key. */
xo_settings_t *xo_settings_load(const char *path, xo_error_t *err);
void xo_settings_destroy(xo_settings_t *settings); /* takes NULL */

#endif
