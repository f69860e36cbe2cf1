/* create.h - actors that xo-pool creates at its start (--create, --restart-policy). */
#ifndef XO_POOL_CREATE_H
#define XO_POOL_CREATE_H

#include "pool/pool.h"

typedef struct xo_creation {
    char class_name[256];
    char uid[XO_UID_BYTES_MAX + 1]; /* "": the pool draws one */
    xo_buf_t body;                  /* of the create message */
    bool temporary;                 /* it is never created again */
} xo_creation_t;

/* Reads CLASS[:UID[:JSON]], where JSON is an array, and a policy (NULL: as the pool's):
 * permanent|transient|temporary, and intensity, period_ms, backoff_ms, backoff_max_ms and
 * create_timeout_ms as KEY=NUMBER, in any order with commas between. EINVAL with a sentence. Free
 * body with xo_buf_free. */
int xo_creation_parse(const char *text, const char *policy, xo_creation_t *creation,
                      xo_error_t *err);

/* Creates the actor in `pool`; `done` is called once, with NULL or the reason. Where the pool's
 * broker creates again what an earlier process had, that is waited for, and only what the broker
 * does not know is created: what became of the others was up to their policies. */
typedef void (*xo_created_f)(const xo_error_t *why, void *arg);
int xo_creation_start(const xo_creation_t *creation, xo_pool_t *pool, xo_created_f done, void *arg,
                      xo_error_t *err);

#endif
