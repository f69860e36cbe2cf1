#include "broker/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/publish_impl.h"

#define COMPONENT "registry"
#define QUIET_NS (60 * 1000 * XO_MS)
#define TOLD_MAX 5 /* in this time */
/* Specs on their way at a time: well below what may wait for Redis. */
#define SPEC_BYTES_UNDER_WAY ((size_t)8 << 20)
#define SPECS_UNDER_WAY 256 /* see refresh.c */

/* ---- up and down ---- */

/* What became of it since it was up, into text[size]. */
static void describe_absence(xo_publish_t *publish, bool was_down, bool empty, char *text,
                             size_t size)
{
    char lost[64] = "";
    xo_registry_stats_t stats;
    xo_registry_get_stats(publish->registry, &stats);
    uint64_t count = stats.dropped_events - publish->dropped;
    publish->dropped = stats.dropped_events;
    if (count > 0)
        snprintf(lost, sizeof(lost), ", %" PRIu64 " events of that time are lost", count);
    if (was_down)
        snprintf(text, size, "it was away for %.1f s%s: %s%s",
                 (double)(xo_loop_now(publish->loop) - publish->down_ns) / 1e9, lost,
                 publish->why_down.text, empty ? "; it was empty, and is filled again" : "");
    else
        snprintf(text, size, "it was empty, and is filled again");
}

static void on_up(xo_registry_t *registry, bool empty, void *arg)
{
    xo_publish_t *publish = arg;
    bool was_down = !publish->is_up;
    bool missed = publish->was_up || publish->why_down.errnum != 0;
    char reason[XO_ERROR_TEXT_BYTES + 128];
    if (missed)
        describe_absence(publish, was_down, empty, reason, sizeof(reason));
    publish->is_up = true;
    publish->up_ns = xo_loop_now(publish->loop);
    publish->why_down.errnum = 0;
    publish->explained = false;
    publish->events.again(publish, publish->arg);
    if (was_down)
        xo_log(publish->options.log, XO_LOG_INFO, COMPONENT, "up at %s", xo_registry_url(registry));
    if (was_down || empty)
        publish->events.state(publish, true, missed ? reason : NULL, publish->arg);
    publish->was_up = true;
}

static void on_down(xo_registry_t *registry, const xo_error_t *why, void *arg)
{
    xo_publish_t *publish = arg;
    (void)registry;
    if (publish->is_up)
        publish->down_ns = xo_loop_now(publish->loop);
    publish->is_up = false;
    if (!publish->explained)
        publish->why_down = *why;
    xo_log(publish->options.log, XO_LOG_ERROR, COMPONENT, "%s", why->text);
    publish->events.state(publish, false, why->text, publish->arg);
}

void xo_publish_explain(xo_publish_t *publish, const char *why)
{
    if (publish->is_up || (publish->explained && strcmp(publish->why_down.text, why) == 0))
        return;
    publish->explained = true;
    xo_error_set(&publish->why_down, ENOTCONN, "%s", why);
    publish->events.state(publish, false, why, publish->arg);
}

static void on_lapsed(xo_defer_t *defer, void *arg)
{
    xo_publish_t *publish = arg;
    (void)defer;
    publish->events.lapsed(publish, publish->arg);
}

xo_publish_t *xo_publish_create(xo_loop_t *loop, const char *url,
                                const xo_publish_options_t *options,
                                const xo_publish_events_t *events, void *arg, xo_error_t *err)
{
    const xo_registry_events_t registry_events = {
        .up = on_up,
        .down = on_down,
        .refill_ms = options->shared ? options->lease_ms : 0, /* else nobody else tells it */
    };
    xo_publish_t *publish = calloc(1, sizeof(*publish));
    if (publish == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    publish->loop = loop;
    publish->options = *options;
    publish->events = *events;
    publish->arg = arg;
    xo_id_format(options->node_id, publish->owner);
    publish->down_ns = xo_loop_now(loop);
    xo_defer_init(&publish->lapsed, loop, on_lapsed, publish);
    publish->registry =
        xo_registry_open(loop, url, options->cluster, &registry_events, publish, err);
    if (publish->registry == NULL) {
        free(publish);
        return NULL;
    }
    return publish;
}

void xo_publish_destroy(xo_publish_t *publish)
{
    if (publish == NULL)
        return;
    xo_registry_close(publish->registry);
    xo_defer_stop(&publish->lapsed);
    free(publish);
}

xo_registry_t *xo_publish_registry(xo_publish_t *publish)
{
    return publish->registry;
}

int64_t xo_publish_lease_ms(const xo_publish_t *publish)
{
    return publish->options.lease_ms;
}

int64_t xo_publish_lease_until(const xo_publish_t *publish)
{
    return publish->until_ns;
}

const char *xo_publish_owner(const xo_publish_t *publish)
{
    return publish->owner;
}

bool xo_publish_is_shared(const xo_publish_t *publish)
{
    return publish->options.shared;
}

bool xo_publish_has_just_come_up(const xo_publish_t *publish)
{
    return xo_loop_now(publish->loop) - publish->up_ns < publish->options.lease_ms * XO_MS;
}

const xo_error_t *xo_publish_why_down(const xo_publish_t *publish)
{
    return publish->why_down.errnum != 0 ? &publish->why_down : NULL;
}

/* ---- leases ---- */

/* That it is away has been said. What is refused is written again and again. */
void xo_publish_written(int errnum, const char *text, void *arg)
{
    xo_publish_t *publish = arg;
    int64_t now = xo_loop_now(publish->loop);
    if (errnum == 0 || errnum == ECANCELED || !publish->is_up)
        return;
    if (publish->told == 0 || now - publish->told_ns > QUIET_NS) {
        publish->told_ns = now;
        publish->told = 0;
    }
    publish->told++;
    if (publish->told <= TOLD_MAX)
        xo_log(publish->options.log, XO_LOG_WARN, COMPONENT, "%s%s", text,
               publish->told == TOLD_MAX ? "; no more of these is logged within this minute" : "");
}

/* The node's own record. If it comes too late, others may have taken this node for dead. */
static void on_node_written(int errnum, const char *text, void *arg)
{
    xo_publish_t *publish = arg;
    bool late = publish->until_ns > 0 && xo_boot_ns() > publish->until_ns;
    publish->asking = false;
    if (errnum == 0) {
        publish->until_ns = publish->asked_ns + publish->options.lease_ms * XO_MS;
        if (late)
            publish->events.lapsed(publish, publish->arg);
        else
            publish->events.leased(publish, publish->arg);
    }
    xo_publish_written(errnum, text, arg);
}

/* Whom the end of a write is told; of those of the node's record that overlap the first counts. */
static xo_reg_done_f done_of(xo_publish_t *publish, xo_reg_kind_t kind)
{
    if (kind != XO_REG_NODE || publish->asking)
        return xo_publish_written;
    publish->asking = true;
    publish->asked_ns = xo_boot_ns();
    return on_node_written;
}

static void on_renewed(int errnum, const char *text, void *arg)
{
    xo_publish_t *publish = arg;
    if (errnum == ENOENT)
        xo_defer_start(&publish->lapsed);
    else
        xo_publish_written(errnum, text, arg);
}

static void put(xo_publish_t *publish, xo_reg_kind_t kind, const char *id, const xo_rec_t *rec,
                int64_t ttl_ms)
{
    xo_field_t fields[XO_RECORD_FIELDS];
    xo_record_t record = {.id = id, .fields = fields};
    record.count = xo_rec_fields(rec, fields);
    xo_registry_put(publish->registry, kind, &record, publish->owner, ttl_ms,
                    done_of(publish, kind), publish);
}

void xo_publish_record(xo_publish_t *publish, xo_reg_kind_t kind, uint64_t id, const xo_rec_t *rec)
{
    char text[XO_ID_TEXT_BYTES];
    if (!publish->is_up)
        return;
    xo_id_format(id, text);
    put(publish, kind, text, rec, publish->options.lease_ms);
}

void xo_publish_renew(xo_publish_t *publish, xo_reg_kind_t kind, uint64_t id)
{
    char text[XO_ID_TEXT_BYTES];
    if (!publish->is_up)
        return;
    xo_id_format(id, text);
    xo_registry_renew(publish->registry, kind, text, publish->owner, publish->options.lease_ms,
                      on_renewed, publish);
}

void xo_publish_remove(xo_publish_t *publish, xo_reg_kind_t kind, uint64_t id)
{
    char text[XO_ID_TEXT_BYTES];
    if (!publish->is_up)
        return;
    xo_id_format(id, text);
    xo_registry_del(publish->registry, kind, text, publish->owner, xo_publish_written, publish);
}

/* ---- actors ---- */

int xo_publish_actor_id(const xo_actor_entry_t *entry, char id[XO_RECORD_ID_BYTES])
{
    char pool[XO_ID_TEXT_BYTES];
    xo_id_format(entry->member->id, pool);
    return xo_registry_actor_id(xo_actor_entry_uid(entry), pool, id, XO_RECORD_ID_BYTES);
}

/* The registry's uid is the encoded one, which a person can type. */
static void encode_uid(xo_rec_t *rec, const char *id)
{
    const char *at = strrchr(id, '@');
    size_t size = at ? (size_t)(at - id) : strlen(id);
    for (size_t i = 0; i < rec->count; i++) {
        if (rec->fields[i].kind == XO_REC_BYTES)
            rec->fields[i].value = xo_slice(id, size);
    }
}

void xo_publish_put_actor(xo_publish_t *publish, const xo_actor_entry_t *entry, xo_reg_done_f done,
                          void *arg)
{
    char id[XO_RECORD_ID_BYTES] = "";
    xo_rec_t rec = {0};
    xo_field_t fields[XO_RECORD_FIELDS];
    xo_record_t record = {.id = id, .fields = fields};
    xo_publish_actor_id(entry, id); /* without, `done` hears EINVAL */
    xo_actor_record(entry, publish->options.node_id, &rec);
    encode_uid(&rec, id);
    record.count = xo_rec_fields(&rec, fields);
    xo_registry_put(publish->registry, XO_REG_ACTOR, &record, publish->owner, 0, done, arg);
}

void xo_publish_actor(xo_publish_t *publish, xo_actor_entry_t *entry)
{
    xo_broker_t *broker = publish->broker;
    if (publish->is_up && broker != NULL && xo_broker_awaits_spec(broker, entry))
        xo_directory_set_stale(&broker->directory, entry, true);
    else if (publish->is_up)
        xo_publish_put_actor(publish, entry, xo_publish_written, publish);
}

void xo_publish_remove_actor(xo_publish_t *publish, const xo_actor_entry_t *entry)
{
    char id[XO_RECORD_ID_BYTES];
    if (publish->is_up && xo_publish_actor_id(entry, id) == 0)
        xo_registry_del(publish->registry, XO_REG_ACTOR, id, publish->owner, xo_publish_written,
                        publish);
}

/* ---- groups ---- */

#define GROUP_ID_BYTES (XO_GROUP_NAME_BYTES_MAX + 1 + XO_ID_TEXT_BYTES)

static void group_id(const xo_publish_t *publish, const xo_group_t *group, char id[GROUP_ID_BYTES])
{
    snprintf(id, GROUP_ID_BYTES, "%s@%s", group->name, publish->owner);
}

void xo_publish_group(xo_publish_t *publish, const xo_group_t *group)
{
    char id[GROUP_ID_BYTES];
    xo_rec_t rec = {0};
    if (!publish->is_up)
        return;
    group_id(publish, group, id);
    xo_group_record(group, &rec);
    put(publish, XO_REG_GROUP, id, &rec, 0);
}

void xo_publish_remove_group(xo_publish_t *publish, const xo_group_t *group)
{
    char id[GROUP_ID_BYTES];
    if (!publish->is_up)
        return;
    group_id(publish, group, id);
    xo_registry_del(publish->registry, XO_REG_GROUP, id, publish->owner, xo_publish_written,
                    publish);
}

void xo_publish_key(xo_publish_t *publish, const char *digits, const xo_rec_t *rec)
{
    if (publish->is_up)
        put(publish, XO_REG_KEY, digits, rec, 0);
}

/* ---- names ---- */

void xo_publish_name(xo_publish_t *publish, xo_slice_t uid, xo_rec_t *rec, bool is_new,
                     xo_reg_done_f done, void *arg)
{
    char id[XO_RECORD_ID_BYTES] = "";
    xo_field_t fields[XO_RECORD_FIELDS];
    xo_record_t record = {.id = id, .fields = fields};
    xo_registry_name_id(uid, id, sizeof(id)); /* without, `done` hears EINVAL */
    encode_uid(rec, id);
    record.count = xo_rec_fields(rec, fields);
    if (is_new)
        xo_registry_take(publish->registry, &record, publish->owner, publish->options.lease_ms,
                         done, arg);
    else
        xo_registry_put(publish->registry, XO_REG_NAME, &record, publish->owner,
                        publish->options.lease_ms, done, arg);
}

void xo_publish_find_name(xo_publish_t *publish, xo_slice_t uid, xo_reg_records_f done, void *arg)
{
    char id[XO_RECORD_ID_BYTES] = "";
    xo_registry_name_id(uid, id, sizeof(id)); /* as above */
    xo_registry_get(publish->registry, XO_REG_NAME, id, done, arg);
}

void xo_publish_remove_name(xo_publish_t *publish, xo_slice_t uid, xo_reg_done_f done, void *arg)
{
    char id[XO_RECORD_ID_BYTES] = "";
    xo_registry_name_id(uid, id, sizeof(id)); /* as above */
    xo_registry_del(publish->registry, XO_REG_NAME, id, publish->owner, done, arg);
}

/* ---- specs ---- */

/* A spec on its way. */
typedef struct xo_saving {
    xo_publish_t *publish;
    size_t size;
} xo_saving_t;

static void save_more(xo_publish_t *publish);

static void on_saved(int errnum, const char *text, void *arg)
{
    xo_saving_t *saving = arg;
    xo_publish_t *publish = saving->publish;
    publish->saving--;
    publish->spec_bytes -= saving->size;
    free(saving);
    xo_publish_written(errnum, text, publish);
    if (errnum != ECANCELED)
        save_more(publish);
}

static int save(xo_publish_t *publish, const xo_actor_entry_t *entry)
{
    char id[XO_RECORD_ID_BYTES];
    xo_buf_t bytes = XO_BUF_INIT;
    xo_saving_t *saving = malloc(sizeof(*saving));
    if (saving != NULL && entry->spec != NULL)
        xo_actor_spec_pack(entry->spec, &bytes);
    if (saving == NULL || xo_buf_ok(&bytes) < 0 || xo_publish_actor_id(entry, id) < 0) {
        xo_buf_free(&bytes);
        free(saving);
        return -1;
    }
    *saving = (xo_saving_t){.publish = publish, .size = bytes.size};
    publish->saving++;
    publish->spec_bytes += bytes.size;
    xo_registry_put_spec(publish->registry, id, xo_buf_slice(&bytes), on_saved, saving);
    xo_buf_free(&bytes);
    return 0;
}

static void save_more(xo_publish_t *publish)
{
    while (publish->is_up && publish->specs->unsaved != NULL && publish->saving < SPECS_UNDER_WAY &&
           publish->spec_bytes < SPEC_BYTES_UNDER_WAY) {
        xo_actor_entry_t *entry = publish->specs->unsaved;
        xo_directory_set_unsaved(publish->specs, entry, false);
        if (save(publish, entry) < 0)
            xo_log(publish->options.log, XO_LOG_ERROR, COMPONENT,
                   "out of memory: what creates an actor again is not in the registry");
    }
}

void xo_publish_specs(xo_publish_t *publish, xo_directory_t *directory)
{
    publish->specs = directory;
    save_more(publish);
}

void xo_publish_spec(xo_publish_t *publish, xo_directory_t *directory, xo_actor_entry_t *entry)
{
    publish->specs = directory;
    if (!publish->is_up || !entry->unsaved || save(publish, entry) < 0)
        return;
    xo_directory_set_unsaved(directory, entry, false);
}

/* As the actor's record has it: an event is read in the same way. */
static void encode_event_uid(const xo_rec_t *rec, xo_field_t *fields, size_t count,
                             char id[XO_RECORD_ID_BYTES])
{
    const struct xo_rec_field *uid = NULL;
    for (size_t i = 0; i < rec->count; i++)
        if (rec->fields[i].kind == XO_REC_BYTES && strcmp(rec->fields[i].name, "uid") == 0)
            uid = &rec->fields[i];
    if (uid == NULL || xo_registry_name_id(uid->value, id, XO_RECORD_ID_BYTES) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (fields[i].name == uid->name)
            fields[i].value = xo_slice_str(id);
}

void xo_publish_event(xo_publish_t *publish, const char *type, const xo_rec_t *rec)
{
    char id[XO_RECORD_ID_BYTES];
    xo_field_t fields[XO_RECORD_FIELDS];
    size_t count = xo_rec_fields(rec, fields);
    encode_event_uid(rec, fields, count, id);
    if (publish->is_up || !publish->was_up) /* before it is up for the first time, they wait */
        xo_registry_event(publish->registry, type, fields, count);
}
