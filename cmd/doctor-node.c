/* doctor-node.c - whether the node that runs here, if one does, has its registry. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/doctor.h"
#include "libxo/ctx.h"
#include "libxo/xo.h"

#define ASK_MS 5000

/* The node that `xo start` made; nothing is made in order to look. */
static bool find_node(const xoi_doctor_t *doctor, char *where, size_t size)
{
    char run_dir[XO_PATH_BYTES];
    uint64_t left;
    if (xo_ctx_try_run_dir(doctor->cluster, run_dir, &left, NULL) < 0)
        return false;
    snprintf(where, size, "ipc://%s/default/broker.sock", run_dir);
    return access(where + strlen("ipc://"), F_OK) == 0;
}

/* -1: it does not say. */
static int ask_state(xo_client_t *client, char *state, size_t size, xo_error_t *err)
{
    xo_future_t *future = xo_client_ask_broker(client, err, "status", xo_slice(NULL, 0));
    const xo_msg_t *answer = NULL;
    if (future != NULL && xo_future_wait(future, ASK_MS, err) == 0)
        answer = xo_future_answer(future);
    int rc = answer ? xo_map_get_str(xo_msg_body(answer), "registry_state", state, size) : -1;
    xo_future_destroy(future);
    return rc;
}

void xoi_check_node(xoi_doctor_t *doctor)
{
    char where[XO_PATH_BYTES + 32], state[XO_ERROR_TEXT_BYTES];
    xo_error_t err = {0};
    if (!find_node(doctor, where, sizeof(where)))
        return;
    setenv("XO_CLUSTER", doctor->cluster, 1);
    xo_client_t *client = xo_connect(where, NULL, &err);
    if (client == NULL || ask_state(client, state, sizeof(state), &err) < 0)
        xoi_doctor_say(doctor, XOI_ERROR, "node",
                       "the node here does not answer: %s: look into its log, and start it again "
                       "(its pools go on)",
                       err.text);
    else if (strcmp(state, "up") == 0)
        xoi_doctor_say(doctor, XOI_FINE, "node", "the node here reaches its registry");
    else
        xoi_doctor_say(doctor, XOI_ERROR, "node", "the node here does not reach its registry: %s",
                       state);
    xo_client_destroy(client);
}
