/* help.c - xo help: the list of commands, or the help of one. */
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/options.h"

static void list_commands(FILE *out)
{
    fputs("usage: xo COMMAND [OPTIONS] [ARGUMENTS]\n\n"
          "Starts, looks at and steers a cluster of xo actors.\n\n"
          "commands:\n",
          out);
    for (const xoi_command_t *const *command = xoi_commands; *command; command++)
        fprintf(out, "  %-12s %s\n", (*command)->name, (*command)->summary);
    fputs("\n"
          "xo COMMAND --help says more about one of them, with examples.\n\n"
          "exit status: 0 done, 1 failed, 2 wrong usage, 3 no node reached, 4 the actor's\n"
          "method raised an error, 5 no such actor (or several), 6 no answer in time\n",
          out);
}

static int run(const xoi_args_t *args)
{
    if (args->operand_count == 0) {
        list_commands(stdout);
        return XOI_OK;
    }
    const xoi_command_t *command = xoi_command_find(args->operands[0]);
    if (!command)
        return xoi_command_unknown(args->operands[0]);
    xoi_options_help(command, stdout);
    return XOI_OK;
}

const xoi_command_t xoi_command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "Lists the commands, or explains one",
    .options = "",
    .text = "examples:\n"
            "  xo help\n"
            "  xo help call\n",
    .operands_max = 1,
    .run = run,
};
