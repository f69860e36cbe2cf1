/* runs.h - what the supervisor knows of each process that it runs, in a file of its own in the
 * node's directory, for the node's next broker should this one be killed.
 *
 * It is for xo of the same version on the same machine: another one takes nothing over. The files
 * hold environments, so they are 0600, and in no registry.
 */
#ifndef XO_BROKER_RUNS_H
#define XO_BROKER_RUNS_H

#include "broker/supervisor_impl.h"

/* Writes it anew. If that fails, it is logged, and run->unsaved: try again. Nothing without
 * supervisor->options.dir. */
void xo_run_save(xo_run_t *run);
/* The pool has changed, or is gone: the same, or removes the file. */
void xo_run_changed(const xo_member_t *member, bool gone);

/* Adds the pools of each file in the directory, in the states that they had, each process as what
 * the last broker left (xo_run.left_pid). A file that cannot be read is logged and removed. */
void xo_runs_load(xo_supervisor_t *supervisor);

/* Does any process that the files in `dir` tell of live? If `end`, kills them, with their groups.
 */
bool xo_runs_live(const char *dir, bool end);

#endif
