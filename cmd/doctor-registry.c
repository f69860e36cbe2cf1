/* doctor-registry.c - whether the registry can be used, and whether its clock is ours. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/doctor.h"
#include "cmd/text.h"
#include "libxo/address.h"
#include "libxo/loop.h"
#include "registry/private.h"
#include "registry/records.h"
#include "registry/registry.h"
#include "registry/url.h"

#define PATIENCE_MS 5000 /* as any operation of the registry has */
#define CLOCK_OFF_S 2.0

/* ---- can it be used? ---- */

typedef struct probe {
    xoi_doctor_t *doctor;
    xo_loop_t *loop;
    xo_registry_t *registry;
    bool is_up, is_down, is_late;
    const char *check; /* of these addresses */
    bool has_listed;
    xo_error_t why;
} probe_t;

static void on_up(xo_registry_t *registry, bool empty, void *arg)
{
    (void)registry;
    (void)empty;
    ((probe_t *)arg)->is_up = true;
}

static void on_down(xo_registry_t *registry, const xo_error_t *why, void *arg)
{
    probe_t *probe = arg;
    (void)registry;
    probe->is_down = true;
    probe->why = *why;
}

static void on_late(xo_timer_t *timer, void *arg)
{
    (void)timer;
    ((probe_t *)arg)->is_late = true;
}

/* Another sentinel may answer when one does not. */
static bool has_sentinels(const char *registry)
{
    xo_url_t url;
    bool found = xo_url_parse(registry, &url, NULL) == 0 && url.master[0];
    explicit_bzero(&url, sizeof(url));
    return found;
}

/* As a broker does it: connects, and sees whether it may read and write. */
static int connect_to(probe_t *probe, xo_error_t *err)
{
    static const xo_registry_events_t events = {.up = on_up, .down = on_down};
    const xoi_doctor_t *doctor = probe->doctor;
    xo_timer_t late;
    probe->loop = xo_loop_create(err);
    if (!probe->loop)
        return -1;
    probe->registry =
        xo_registry_open(probe->loop, doctor->registry, doctor->cluster, &events, probe, err);
    if (!probe->registry)
        return -1;
    xo_timer_init(&late, probe->loop, on_late, probe);
    xo_timer_start(&late, PATIENCE_MS * XO_MS);
    bool is_patient = has_sentinels(doctor->registry);
    while (!probe->is_up && !probe->is_late && (!probe->is_down || is_patient))
        xo_loop_once(probe->loop, -1);
    xo_timer_stop(&late);
    if (probe->is_up)
        return 0;
    if (!probe->is_down)
        return xo_error_set(err, ETIMEDOUT, "%s does not answer within %d s",
                            xo_registry_url(probe->registry), PATIENCE_MS / 1000);
    *err = probe->why;
    return -1;
}

static void disconnect(probe_t *probe)
{
    xo_registry_close(probe->registry);
    xo_loop_destroy(probe->loop);
}

/* ---- who is in it? ---- */

static xo_slice_t address_of(const xo_record_t *record)
{
    return xoi_record_field(record, "address");
}

static int by_address(const void *a, const void *b)
{
    xo_slice_t one = address_of(*(const xo_record_t *const *)a);
    xo_slice_t other = address_of(*(const xo_record_t *const *)b);
    size_t least = one.size < other.size ? one.size : other.size;
    int order = least > 0 ? memcmp(one.data, other.data, least) : 0;
    return order != 0 ? order : (one.size > other.size) - (one.size < other.size);
}

/* Of a pool; a node's is empty. */
static xo_slice_t node_of(const xo_record_t *record)
{
    return xoi_record_field(record, "node");
}

static bool is_behind(xo_slice_t address)
{
    char text[XO_ADDRESS_BYTES];
    xo_address_t parsed;
    snprintf(text, sizeof(text), "%.*s", (int)address.size, address.data);
    return xo_address_parse(text, &parsed, NULL) == 0 && xo_address_is_behind(&parsed);
}

/* Pools behind a port have the address of their node, which is looked at itself. */
static bool are_twins(const xo_record_t *one, const xo_record_t *other)
{
    xo_slice_t address = address_of(one);
    if (address.size == 0 || !xo_slice_eq(address, address_of(other)))
        return false;
    return node_of(one).size == 0 ||
           (!xo_slice_eq(node_of(one), node_of(other)) && !is_behind(address));
}

static void name_record(const xo_record_t *record, char *text, size_t size)
{
    xo_slice_t node = node_of(record), host = xoi_record_field(record, "host");
    if (node.size > 0)
        snprintf(text, size, "pool %s of node %.*s", record->id, (int)node.size, node.data);
    else
        snprintf(text, size, "node %s on %.*s", record->id, (int)host.size, host.data);
}

static void say_twins(const probe_t *probe, const xo_record_t *one, const xo_record_t *other)
{
    char names[2][XO_ERROR_TEXT_BYTES / 4];
    xo_slice_t address = address_of(one);
    name_record(one, names[0], sizeof(names[0]));
    name_record(other, names[1], sizeof(names[1]));
    xoi_doctor_say(probe->doctor, XOI_ERROR, probe->check,
                   "%s and %s both advertise %.*s: who dials it finds either. Give each an address "
                   "of its own (%s)",
                   names[0], names[1], (int)address.size, address.data,
                   node_of(one).size > 0 ? "address = of [pool NAME]" : "port =, address =");
}

static void say_all_twins(const probe_t *probe, const xo_record_t *records, size_t count)
{
    const xo_record_t **sorted = xoi_need(calloc(count + 1, sizeof(*sorted)));
    size_t twins = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &records[i];
    qsort(sorted, count, sizeof(*sorted), by_address);
    for (size_t i = 1; i < count; i++) {
        if (!are_twins(sorted[i - 1], sorted[i]))
            continue;
        say_twins(probe, sorted[i - 1], sorted[i]);
        twins++;
    }
    if (twins == 0)
        xoi_doctor_say(probe->doctor, XOI_FINE, probe->check, "%zu, each at an address of its own",
                       count);
    free(sorted);
}

static void on_records(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    probe_t *probe = arg;
    probe->has_listed = true;
    if (errnum != 0)
        xoi_doctor_say(probe->doctor, XOI_ERROR, probe->check, "%s", text);
    else
        say_all_twins(probe, records, count);
}

static void check_addresses(probe_t *probe, xo_reg_kind_t kind, const char *check)
{
    probe->check = check;
    probe->has_listed = false;
    xo_registry_list(probe->registry, kind, on_records, probe);
    while (!probe->has_listed)
        xo_loop_once(probe->loop, -1);
}

/* ---- the clock ---- */

static redisReply *log_in(redisContext *redis, const xo_url_t *url)
{
    if (url->login.user[0])
        return redisCommand(redis, "AUTH %s %s", url->login.user, url->login.password);
    return redisCommand(redis, "AUTH %s", url->login.password);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How far our clock is ahead of Redis', in seconds; NAN: nobody knows. */
static double ask_clock(const xo_url_t *url)
{
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    redisContext *redis = url->path[0] ? redisConnectUnixWithTimeout(url->path, patience)
                                       : redisConnectWithTimeout(url->host, url->port, patience);
    double ahead = NAN;
    if (redis && !redis->err) {
        redisSetTimeout(redis, patience);
        if (url->login.password[0])
            freeReplyObject(log_in(redis, url));
        double before = now_s();
        redisReply *reply = redisCommand(redis, "TIME");
        if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
            ahead = (before + now_s()) / 2 - atof(reply->element[0]->str) -
                    atof(reply->element[1]->str) / 1e6;
        freeReplyObject(reply);
    }
    redisFree(redis);
    return ahead;
}

static void check_clock(xoi_doctor_t *doctor)
{
    xo_url_t url;
    if (xo_url_parse(doctor->registry, &url, NULL) < 0 || strcmp(url.scheme, "memory") == 0 ||
        url.master[0])
        return;
    double ahead = ask_clock(&url);
    explicit_bzero(&url, sizeof(url));
    if (isnan(ahead))
        xoi_doctor_say(doctor, XOI_WARNING, "clock",
                       "Redis does not tell the time: give its user +time (ACL SETUSER)");
    else if (fabs(ahead) > CLOCK_OFF_S)
        xoi_doctor_say(doctor, XOI_WARNING, "clock",
                       "this machine's clock is %.1f s %s Redis': ages and times that xo shows are "
                       "wrong by that, calls are not. Run NTP on both (chrony, systemd-timesyncd)",
                       fabs(ahead), ahead > 0 ? "ahead of" : "behind");
    else
        xoi_doctor_say(doctor, XOI_FINE, "clock", "%.3f s %s Redis'", fabs(ahead),
                       ahead > 0 ? "ahead of" : "behind");
}

/* ---- no registry ---- */

static void check_own(xoi_doctor_t *doctor)
{
    xo_error_t err;
    char program[PATH_MAX];
    if (xo_private_redis_program(program, sizeof(program), &err) == 0)
        xoi_doctor_say(doctor, XOI_FINE, "registry",
                       "none is set: a node keeps a redis-server of its own, which no other node "
                       "can join");
    else
        xoi_doctor_say(doctor, XOI_WARNING, "registry",
                       "none is set, and redis-server is not on PATH: the registry would be in "
                       "memory, and redis-cli could not read it. Install it, or set XO_REGISTRY");
}

void xoi_check_registry(xoi_doctor_t *doctor)
{
    xo_error_t err = {0};
    if (!doctor->registry || !*doctor->registry) {
        check_own(doctor);
        return;
    }
    probe_t probe = {.doctor = doctor};
    if (connect_to(&probe, &err) < 0) {
        xoi_doctor_say(doctor, XOI_ERROR, "registry", "%s", err.text);
    } else {
        xoi_doctor_say(doctor, XOI_FINE, "registry", "%s can be read and written",
                       xo_registry_url(probe.registry));
        check_clock(doctor);
        check_addresses(&probe, XO_REG_NODE, "nodes");
        check_addresses(&probe, XO_REG_POOL, "pools");
    }
    disconnect(&probe);
}
