/* node_dir.h - a node's own directory, RUN_DIR/n-NODEID: the broker's socket, the private registry.
 *
 * Whoever holds the lock on its file "lock" lives; a directory without a holder is what a killed
 * broker left, and goes when the next one starts. RUN_DIR/default is a symbolic link to the
 * directory of the node that this user's programs connect to when they name none.
 */
#ifndef XO_BROKER_NODE_DIR_H
#define XO_BROKER_NODE_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "libxo/error.h"

typedef struct xo_node_dir xo_node_dir_t;

/* Removes what dead nodes and pools left in `run_dir`, then makes and locks the node's directory.
 * `want_default`: it becomes the user's default unless another one lives. */
xo_node_dir_t *xo_node_dir_create(const char *run_dir, uint64_t node_id, bool want_default,
                                  xo_error_t *err);
/* Removes the directory, all that is in it, and the default link if it is ours. Takes NULL. */
void xo_node_dir_destroy(xo_node_dir_t *dir);

const char *xo_node_dir_path(const xo_node_dir_t *dir);
bool xo_node_dir_is_default(const xo_node_dir_t *dir);

#endif
