/* doctor-peer.c - whether this machine reaches another node by its one port. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/doctor.h"
#include "libxo/address.h"
#include "libxo/keys.h"
#include "libxo/port.h"
#include "libxo/xo.h"

static bool has_key(xoi_doctor_t *doctor)
{
    xo_keys_t keys;
    bool found = xo_keys_find(doctor->cluster, &keys, NULL) == 0;
    explicit_bzero(&keys, sizeof(keys));
    if (!found)
        xoi_doctor_say(doctor, XOI_ERROR, "peer",
                       "this machine has no key that %s could know: on a member of the cluster, "
                       "xo keys export NAME, and here xo keys import",
                       doctor->args->peer);
    return found;
}

static const char *what_to_do(int errnum)
{
    switch (errnum) {
    case ETIMEDOUT:
        return "is the port open in the firewall, both ways, and the machine up?";
    case ECONNREFUSED:
        return "does its node run, and have this port (xo status there)?";
    case EACCES:
        return "see xo keys list, here and there";
    default:
        return "is it the port that its node.ini says?";
    }
}

void xoi_check_peer(xoi_doctor_t *doctor)
{
    const char *peer = doctor->args->peer;
    xo_error_t err = {0};
    xo_address_t address;
    char door[XO_ADDRESS_BYTES] = "", where[XO_ADDRESS_BYTES + 32];
    if (peer == NULL)
        return;
    if (xo_address_parse_door(peer, &address, &err) < 0) {
        xoi_doctor_say(doctor, XOI_ERROR, "peer", "%s", err.text);
        return;
    }
    if (!has_key(doctor))
        return;
    address = xo_address_door(&address);
    xo_address_format(&address, door, sizeof(door));
    snprintf(where, sizeof(where), "port://%s/" XO_PORT_BROKER, door);
    setenv("XO_CLUSTER", doctor->cluster, 1);
    xo_client_t *client = xo_connect(where, NULL, &err);
    if (client != NULL)
        xoi_doctor_say(doctor, XOI_FINE, "peer",
                       "the node at %s is reached by its port, and "
                       "knows this machine's key",
                       door);
    else
        xoi_doctor_say(doctor, XOI_ERROR, "peer", "%s (%s)", err.text, what_to_do(err.errnum));
    xo_client_destroy(client);
}
