/* main.c - xo, the operator's tool: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/text.h"

const xoi_command_t *const xoi_commands[] = {
    &xoi_command_start,
    &xoi_command_drain,
    &xoi_command_stop,
    &xoi_command_status,
    &xoi_command_nodes,
    &xoi_command_pools,
    &xoi_command_actors,
    &xoi_command_groups,
    &xoi_command_call,
    &xoi_command_events,
    &xoi_command_dead_letters,
    &xoi_command_revive,
    &xoi_command_keys,
    &xoi_command_doctor,
    &xoi_command_help,
    &xoi_command_version,
    NULL,
};

const xoi_command_t *xoi_command_find(const char *name)
{
    for (const xoi_command_t *const *command = xoi_commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

/* A command that begins like `name`, or that `name` begins like: what a slip most often leaves. */
static const xoi_command_t *similar(const char *name)
{
    for (const xoi_command_t *const *command = xoi_commands; *command; command++)
        if (*name && strncmp((*command)->name, name, 3) == 0)
            return *command;
    return NULL;
}

int xoi_command_unknown(const char *name)
{
    const xoi_command_t *near = similar(name);
    if (*name == '-')
        return xoi_complain(XOI_USAGE, "options come after the command, as in: xo nodes %s", name);
    if (near)
        return xoi_complain(XOI_USAGE, "no such command: '%s'; is it '%s'? see: xo help", name,
                            near->name);
    return xoi_complain(XOI_USAGE, "no such command: '%s'; see: xo help", name);
}

/* The words that stand for a command. */
static const char *command_name(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return "help";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return "version";
    return word;
}

static bool wants_help(int argc, char **argv)
{
    return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

static int run(const xoi_command_t *command, int argc, char **argv)
{
    xoi_args_t args = {.operands = argv + 1, .operand_count = argc - 1};
    if (command->passes_on) {
        args.help = wants_help(argc, argv);
    } else {
        int status = xoi_options_read(command, argc, argv, &args);
        if (status != XOI_OK)
            return status;
    }
    if (!args.help)
        return command->run(&args);
    xoi_options_help(command, stdout);
    return XOI_OK;
}

int main(int argc, char **argv)
{
    xoi_text_init();
    if (argc < 2)
        return xoi_complain(XOI_USAGE, "what should it do? see: xo help");
    const xoi_command_t *command = xoi_command_find(command_name(argv[1]));
    int status = command ? run(command, argc - 1, argv + 1) : xoi_command_unknown(argv[1]);
    if (fflush(stdout) != 0 || ferror(stdout))
        return xoi_complain(XOI_FAILED, "cannot write to the standard output");
    return status;
}
