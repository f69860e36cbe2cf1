/* options.h - reads a command's command line, and writes its help.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdio.h>

#include "cmd/command.h"

/* Reads argv (argv[0]: the command's name) into *args. XOI_OK, or XOI_USAGE after a complaint. */
int xoi_options_read(const xoi_command_t *command, int argc, char **argv, xoi_args_t *args);

/* --cluster, else $XO_CLUSTER, else "default". */
const char *xoi_args_cluster(const xoi_args_t *args);

/* `xo COMMAND --help`. */
void xoi_options_help(const xoi_command_t *command, FILE *out);

#endif
