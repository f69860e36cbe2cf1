/* options.h - xo-pool's command line. */
#ifndef XO_POOL_CLI_H
#define XO_POOL_CLI_H

#include <stdbool.h>

#include "pool/bind.h"

#define XO_CLI_LIST_MAX 64   /* --module, --create */
#define XO_CLI_POOLS_MAX 256 /* threads of one process */

typedef struct xo_pool_cli {
    const char *modules[XO_CLI_LIST_MAX];
    int module_count;
    const char *creates[XO_CLI_LIST_MAX];  /* CLASS[:UID[:JSON]] */
    const char *policies[XO_CLI_LIST_MAX]; /* of these; NULL: not given */
    const char *policy;                    /* of the next one */
    bool policy_used;
    int create_count;
    const char *address;
    const char *bind_address;
    const char *broker; /* "none": standalone; NULL: not given */
    const char *label;
    int pools;
    xo_bind_mode_t bind;
    bool list;
    int ready_fd; /* -1: none */
} xo_pool_cli_t;

/* Fills *cli; strings point into argv. 0: go on. 1: --help or --version has been printed. -1: a
 * mistake, of which stderr has been told. */
int xo_pool_cli_parse(xo_pool_cli_t *cli, int argc, char **argv);

#endif
