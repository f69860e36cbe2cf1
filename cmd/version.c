/* version.c - xo version. */
#include "config.h"

#include <stdio.h>

#include "cmd/command.h"
#include "libxo/msg.h"

static int run(const xoi_args_t *args)
{
    (void)args;
    printf("xo %s (wire version %d)\n", PACKAGE_VERSION, XO_WIRE_VERSION);
    return XOI_OK;
}

const xoi_command_t xoi_command_version = {
    .name = "version",
    .operands = "",
    .summary = "Says which version this is",
    .options = "",
    .text = "examples:\n"
            "  xo version\n",
    .run = run,
};
