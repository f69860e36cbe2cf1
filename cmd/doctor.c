/* doctor.c - xo doctor: is this machine fit for a node? Needs no node. */
#include "cmd/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/node.h"
#include "cmd/options.h"
#include "cmd/text.h"

static const char *const states[] = {"ok", "warning", "error"};

static void add(json_object *finding, const char *key, const char *value)
{
    json_object_object_add(finding, key, json_object_new_string(value));
}

void xoi_doctor_say(xoi_doctor_t *doctor, xoi_state_t state, const char *check, const char *format,
                    ...)
{
    json_object *finding = xoi_need(json_object_new_object());
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    add(finding, "state", states[state]);
    add(finding, "check", check);
    add(finding, "text", text);
    json_object_array_add(doctor->findings, finding);
    doctor->has_errors |= state == XOI_ERROR;
    if (doctor->args->json)
        return;
    /* One by one, since the next may take its time. */
    char *line = xoi_text_escape(text, strlen(text), 0);
    printf("%s %s: %s\n", states[state], check, line);
    fflush(stdout);
    free(line);
}

static int run(const xoi_args_t *args)
{
    static void (*const checks[])(xoi_doctor_t *) = {
        xoi_check_name, xoi_check_addresses, xoi_check_interfaces, xoi_check_run_dir,
        xoi_check_keys, xoi_check_registry,  xoi_check_shm,        xoi_check_limits,
        xoi_check_gpus, xoi_check_node,      xoi_check_peer,
    };
    xoi_doctor_t doctor = {.args = args, .cluster = xoi_args_cluster(args)};
    doctor.registry = args->registry ? args->registry : getenv("XO_REGISTRY");
    doctor.findings = xoi_need(json_object_new_array());
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
        checks[i](&doctor);
    if (args->json)
        xoi_print_records(doctor.findings);
    json_object_put(doctor.findings);
    return doctor.has_errors ? XOI_FAILED : XOI_OK;
}

const xoi_command_t xoi_command_doctor = {
    .name = "doctor",
    .operands = "[HOST[:PORT]]...",
    .summary = "Looks whether this machine is fit for a node",
    .options = "jroc",
    .text = "HOST[:PORT] is what pools here advertise, or will. Each line is \"ok\", \"warning\"\n"
            "or \"error\", what was looked at, and what is wrong and to be done. The exit\n"
            "status is 1 if there is an error. Use the node's user and environment.\n"
            "\n"
            "examples:\n"
            "  xo doctor\n"
            "  sudo -u xo XO_REGISTRY=redis://redis.example xo doctor gpu1.example:7001\n"
            "  sudo -u xo xo doctor --peer gpu2.example:7000\n",
    .operands_min = 0,
    .operands_max = 64,
    .run = run,
};
