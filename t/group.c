/* group.c - groups through the C API, for the system tests:
 *
 *     group ADDRESS make NAME STRATEGY [PARENT]      makes a group of the node at ADDRESS
 *     group ADDRESS stop NAME                        stops it
 *     group ADDRESS create CLASS UID GROUP [SHUTDOWN_MS]
 *                                                    creates an actor in it, in the pool at ADDRESS
 *
 * exits 0; an error goes to stderr, exit 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/xo.h"

#define WAIT_MS 10000

static xo_future_t *begin(xo_client_t *client, char **argv, int argc, xo_error_t *err)
{
    if (strcmp(argv[2], "make") == 0 && argc >= 5) {
        xo_group_options_t options = XO_GROUP_OPTIONS_INIT;
        options.strategy = argv[4];
        options.parent = argv[5];
        return xo_client_create_group(client, err, argv[3], &options);
    }
    if (strcmp(argv[2], "stop") == 0 && argc == 4)
        return xo_client_stop_group(client, err, argv[3]);
    if (strcmp(argv[2], "create") == 0 && argc >= 6) {
        xo_actor_options_t options = XO_ACTOR_OPTIONS_INIT;
        options.group = argv[5];
        options.shutdown_ms = argv[6] ? atoi(argv[6]) : WAIT_MS;
        return xo_create_actor_with(xo_client_endpoint(client), err, argv[1], argv[3], argv[4],
                                    &options, "");
    }
    return xo_error_null(err, 0, "see the comment in t/group.c");
}

int main(int argc, char **argv)
{
    xo_error_t err = {0};
    xo_client_t *client = argc >= 4 ? xo_connect(argv[1], NULL, &err) : NULL;
    xo_future_t *future = client ? begin(client, argv, argc, &err) : NULL;
    bool done = future && xo_future_wait(future, WAIT_MS, &err) == 0 &&
                xo_future_get(future, &err, NULL) == 0;
    if (!done)
        fprintf(stderr, "group: %s\n", err.text);
    xo_future_destroy(future);
    xo_client_destroy(client);
    return done ? 0 : 1;
}
