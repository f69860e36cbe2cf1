/* command.h - what every command of the operator's tool, xo, is made of.
 *
 * One file per command holds its function and its const xoi_command_t; main.c has the table of
 * them.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses. Documented in xo(1); scripts rely on them. */
enum {
    XOI_OK = 0,
    XOI_FAILED = 1,   /* anything without a status of its own */
    XOI_USAGE = 2,    /* the command line is wrong */
    XOI_NO_NODE = 3,  /* no node could be reached */
    XOI_RAISED = 4,   /* the actor's method raised an error */
    XOI_NO_ACTOR = 5, /* no such actor, or more than one */
    XOI_TIMEOUT = 6,  /* no answer in time */
    XOI_INTERRUPTED = 130
};

/* What the command line said. Strings point into argv. */
typedef struct xoi_args {
    const char *cluster; /* NULL: $XO_CLUSTER, else "default" */
    const char *node;    /* NULL: $XO_NODE, else this user's node */
    const char *at;
    const char *pool;
    const char *since;
    const char *registry; /* NULL: $XO_REGISTRY */
    const char *peer;     /* another node's port; NULL: none */
    int64_t timeout_ms;
    int64_t count; /* -1: not given */
    bool json;
    bool wide;
    bool tell;
    bool follow;
    bool payload;
    bool help;
    char **operands; /* NULL at the end */
    int operand_count;
} xoi_args_t;

typedef struct xoi_command {
    const char *name;
    const char *operands; /* for the usage line, "" if there are none */
    const char *summary;  /* one line */
    const char *options;  /* letters of the options it takes (options.c) */
    const char *text;     /* what the help says below the options */
    int operands_min;
    int operands_max; /* -1: any number. Those of a command with any number may begin with '-' */
    bool passes_on;   /* its whole command line is another program's */
    int (*run)(const xoi_args_t *args); /* returns an exit status */
} xoi_command_t;

extern const xoi_command_t xoi_command_actors;
extern const xoi_command_t xoi_command_call;
extern const xoi_command_t xoi_command_dead_letters;
extern const xoi_command_t xoi_command_doctor;
extern const xoi_command_t xoi_command_drain;
extern const xoi_command_t xoi_command_events;
extern const xoi_command_t xoi_command_groups;
extern const xoi_command_t xoi_command_help;
extern const xoi_command_t xoi_command_keys;
extern const xoi_command_t xoi_command_nodes;
extern const xoi_command_t xoi_command_pools;
extern const xoi_command_t xoi_command_revive;
extern const xoi_command_t xoi_command_start;
extern const xoi_command_t xoi_command_status;
extern const xoi_command_t xoi_command_stop;
extern const xoi_command_t xoi_command_version;

/* All commands, in the order in which the help lists them; NULL at the end. */
extern const xoi_command_t *const xoi_commands[];

const xoi_command_t *xoi_command_find(const char *name); /* or NULL */
/* Complains about an unknown command and names a similar one; returns XOI_USAGE. */
int xoi_command_unknown(const char *name);

#endif
