/* doctor.h - xo doctor's checks of a machine. Each says one line or more.
 */
#ifndef CMD_DOCTOR_H
#define CMD_DOCTOR_H

#include <json-c/json.h>

#include "cmd/command.h"

typedef enum { XOI_FINE, XOI_WARNING, XOI_ERROR } xoi_state_t;

typedef struct xoi_doctor {
    const xoi_args_t *args;
    const char *cluster;
    const char *registry; /* its URL; NULL: none is set */
    json_object *findings;
    bool has_errors;
} xoi_doctor_t;

/* Notes one finding: what there is, or what is wrong and what to do about it. */
void xoi_doctor_say(xoi_doctor_t *doctor, xoi_state_t state, const char *check, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* doctor-machine.c */
void xoi_check_run_dir(xoi_doctor_t *doctor);
void xoi_check_keys(xoi_doctor_t *doctor);
void xoi_check_shm(xoi_doctor_t *doctor);
void xoi_check_limits(xoi_doctor_t *doctor);
void xoi_check_gpus(xoi_doctor_t *doctor);

/* doctor-net.c */
void xoi_check_name(xoi_doctor_t *doctor);
void xoi_check_addresses(xoi_doctor_t *doctor); /* the operands */
void xoi_check_interfaces(xoi_doctor_t *doctor);

/* doctor-node.c */
void xoi_check_node(xoi_doctor_t *doctor); /* the one that runs here, if one does */

/* doctor-peer.c */
void xoi_check_peer(xoi_doctor_t *doctor); /* --peer: another node, by its port */

/* doctor-registry.c */
void xoi_check_registry(xoi_doctor_t *doctor); /* and the clock, by Redis' */

#endif
