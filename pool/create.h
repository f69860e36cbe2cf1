/* create.h - actors that xo-pool creates at its start (--create). */
#ifndef XO_POOL_CREATE_H
#define XO_POOL_CREATE_H

#include "pool/pool.h"

typedef struct xo_creation {
    char class_name[256];
    char uid[XO_UID_BYTES_MAX + 1]; /* "": the pool draws one */
    xo_buf_t args;                  /* a msgpack array */
} xo_creation_t;

/* Reads CLASS[:UID[:JSON]], where JSON is an array. EINVAL with a sentence. Free args with
 * xo_buf_free. */
int xo_creation_parse(const char *text, xo_creation_t *creation, xo_error_t *err);

/* Creates the actor in `pool`; `done` is called once, with NULL or the reason. */
typedef void (*xo_created_f)(const xo_error_t *why, void *arg);
int xo_creation_start(const xo_creation_t *creation, xo_pool_t *pool, xo_created_f done, void *arg,
                      xo_error_t *err);

#endif
