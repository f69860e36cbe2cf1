/* node_dir.h - a node's own directory, RUN_DIR/n-NODEID: the broker's socket, the private registry.
 *
 * Whoever holds the lock on its file "lock" lives; a directory without a holder is what a killed
 * broker left. As long as a process of that node lives, a broker that has the same claim to it can
 * take it over; then it goes when the next one starts. RUN_DIR/default is a symbolic link to the
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
/* Takes over the directory of a node whose broker was killed: the one with this id, or, if that is
 * 0, one of which a process lives. Its claim must be this one: two brokers with the same claim are
 * the same one, started twice. NULL with errnum 0: there is none. */
xo_node_dir_t *xo_node_dir_take_over(const char *run_dir, uint64_t node_id, const char *claim,
                                     bool want_default, xo_error_t *err);
/* From now on it can be taken over. `claim` is a line of text. -1: it could not be written. */
int xo_node_dir_claim(const xo_node_dir_t *dir, const char *claim);
/* Kills what is left of a node, a broker that stands still among it, removes its directory, and the
 * run directory that it is in if nobody else uses that. */
void xo_node_dir_abandon(const char *path);
uint64_t xo_node_dir_id(const xo_node_dir_t *dir);

/* Removes the directory, all that is in it, and the default link if it is ours. Takes NULL. */
void xo_node_dir_destroy(xo_node_dir_t *dir);

const char *xo_node_dir_path(const xo_node_dir_t *dir);
bool xo_node_dir_is_default(const xo_node_dir_t *dir);

#endif
