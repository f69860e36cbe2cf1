/* node.h - the tool's connection with a node, and what it asks the node's broker.
 */
#ifndef CMD_NODE_H
#define CMD_NODE_H

#include <json-c/json.h>

#include "cmd/command.h"
#include "libxo/xo.h"

typedef struct xoi_node xoi_node_t;

/* Connects as --node and --cluster say. NULL after a complaint, and *status is what to exit with.
 */
xoi_node_t *xoi_node_open(const xoi_args_t *args, int *status);
/* The same for who knows the address of what it wants: where no node is named and none is found,
 * the pool there is the other end. `address` "": not known. */
xoi_node_t *xoi_node_open_at(const xoi_args_t *args, const char *address, int *status);
/* The same without a complaint. */
xoi_node_t *xoi_node_try(const xoi_args_t *args);
/* Is the other end the pool at `address`, which needs nobody to pass calls on? */
bool xoi_node_is_pool(const xoi_node_t *node, const char *address);
void xoi_node_close(xoi_node_t *node); /* takes NULL */
const char *xoi_node_cluster(const xoi_node_t *node);
/* The process at the other end if it is on this machine and the node's broker, else 0. */
int64_t xoi_node_pid(const xoi_node_t *node);
/* Lets things happen for `ms` milliseconds, or until the connection is gone: then it is false. */
bool xoi_node_wait(xoi_node_t *node, int64_t ms);

/* Calls `method` of the broker with `args` (a msgpack array; empty: no arguments) and waits.
 * XOI_OK: the future's answer is a result. Otherwise it has complained, with `what` (a few words)
 * in front, and returns what to exit with. The caller destroys *future in any case. */
int xoi_node_ask(xoi_node_t *node, const char *what, const char *method, xo_slice_t args,
                 int64_t timeout_ms, xo_future_t **future);
/* From now on Ctrl-C cancels what is asked, and xoi_node_ask returns XOI_INTERRUPTED; the second
 * one ends the process. */
void xoi_node_cancel_on_interrupt(xoi_node_t *node);
/* Calls a method of an actor of the pool at the other end (see xoi_node_is_pool) with `body`, the
 * arguments of a call. */
int xoi_node_call(xoi_node_t *node, const char *what, xo_slice_t uid, const char *method,
                  xo_slice_t body, int64_t timeout_ms, xo_future_t **future);
/* The same without an answer; waits until it has left. */
int xoi_node_tell(xoi_node_t *node, const char *what, xo_slice_t uid, const char *method,
                  xo_slice_t body, int64_t timeout_ms);
/* As xoi_node_ask; gives the result, made of records, as JSON. The caller puts it. */
int xoi_node_records(xoi_node_t *node, const char *method, xo_slice_t args, int64_t timeout_ms,
                     json_object **records);

/* The same of one record, without arguments and without a complaint: NULL. */
json_object *xoi_node_look(xoi_node_t *node, const char *method, int64_t timeout_ms);

/* Opens, asks for a list of records, keeps those that `keep` (may be NULL) wants, prints them as
 * JSON or as a table. `empty` is said, on stderr, if a table would have no rows. */
struct xoi_column;
typedef bool (*xoi_keep_f)(json_object *record, const xoi_args_t *args);
int xoi_list(const xoi_args_t *args, const char *method, xoi_keep_f keep,
             const struct xoi_column *columns, size_t count, const char *empty);
/* One JSON array, a record a line. */
void xoi_print_records(json_object *records);

#endif
