/* start.c - xo start: becomes the node's broker, xo-broker. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/text.h"

#define BROKER "xo-broker"

/* The program beside this one, so that a build tree and an installation each use their own. Returns
 * only if it is not there. */
static void exec_beside(char **argv)
{
    char path[PATH_MAX + sizeof(BROKER) + 1];
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX);
    if (size <= 0)
        return;
    path[size] = '\0';
    char *name = strrchr(path, '/');
    if (!name)
        return;
    strcpy(name + 1, BROKER);
    execv(path, argv);
}

static int run(const xoi_args_t *args)
{
    char **argv = xoi_need(calloc((size_t)args->operand_count + 2, sizeof(char *)));
    argv[0] = BROKER;
    memcpy(argv + 1, args->operands, (size_t)args->operand_count * sizeof(char *));
    exec_beside(argv);
    execv(XO_LIBEXECDIR "/" BROKER, argv);
    execvp(BROKER, argv);
    int errnum = errno;
    free(argv);
    return xoi_complain(XOI_FAILED,
                        "start: cannot run " BROKER ": %s; it was looked for beside "
                        "this program, in " XO_LIBEXECDIR " and in $PATH",
                        strerror(errnum));
}

const xoi_command_t xoi_command_start = {
    .name = "start",
    .operands = "[BROKER OPTIONS]",
    .summary = "Starts a node on this machine, in the foreground",
    .options = "",
    .text = "options (those of xo-broker, which it becomes):\n"
            "  --config FILE             read the node's settings and pools from this file\n"
            "  --registry URL            the registry: redis://..., unix:///...,\n"
            "                            redis+sentinel://..., or memory:\n"
            "                            (default: $XO_REGISTRY; else a private redis-server)\n"
            "  --cluster NAME            the cluster's name (default: $XO_CLUSTER)\n"
            "  --port HOST:PORT          the one port by which others reach the node and its\n"
            "                            pools (default: $XO_PORT; else each pool has one)\n"
            "  --bind HOST:PORT          what to listen on for it (default: $XO_PORT_BIND;\n"
            "                            else as --port says)\n"
            "  --codec CODEC             pickle, or msgpack: pools refuse pickles (default:\n"
            "                            $XO_CODEC; else pickle)\n"
            "  --log LEVEL               error, warn, info or debug (default: $XO_LOG; else\n"
            "                            info)\n"
            "\n"
            "xo-broker(1) lists all of them, and the settings that FILE can have. The node\n"
            "stops, and its pools with it, on SIGTERM or SIGINT (Ctrl-C), or by: xo stop\n"
            "\n"
            "examples:\n"
            "  xo start\n"
            "  xo start --config /etc/xo/node.ini\n"
            "  XO_REGISTRY=redis://:secret@10.0.0.5/0 xo start --cluster prod\n",
    .operands_max = -1,
    .passes_on = true,
    .run = run,
};
