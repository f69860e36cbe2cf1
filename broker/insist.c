/* insist.c - what the registry is told again with each heartbeat until it has heard, since it was
 * away, or did not answer, the first time: that a name is nobody's, and that an actor which may
 * move is to be had. A name, or an actor, that comes back here meanwhile is kept.
 *
 * The names come first: whoever claims an actor that is to be had drops it if a node that lives has
 * its name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"
#include "registry/fields.h"

struct xo_insist {
    xo_broker_t *broker;
    unsigned asking; /* answers that will come */
    unsigned left;   /* of these, how many must come until it is heard; 0: it is */
    bool again;      /* it has been said before, in vain */
    bool is_actor;   /* else a name */
    xo_field_t *fields;
    size_t field_count;
    xo_buf_t spec;
    UT_hash_handle hh;
    size_t size;
    char key[]; /* the record's id with a NUL, or the uid */
};

static xo_insist_t **table(xo_broker_t *broker, bool is_actor)
{
    return is_actor ? &broker->insists_actors : &broker->insists_names;
}

static xo_insist_t *find(xo_broker_t *broker, bool is_actor, xo_slice_t key)
{
    xo_insist_t *insist;
    HASH_FIND(hh, *table(broker, is_actor), key.data, key.size, insist);
    return insist;
}

static xo_insist_t *find_or_add(xo_broker_t *broker, bool is_actor, xo_slice_t key)
{
    xo_insist_t *insist = find(broker, is_actor, key);
    if (insist != NULL || (insist = calloc(1, sizeof(*insist) + key.size + 1)) == NULL)
        return insist;
    insist->broker = broker;
    insist->is_actor = is_actor;
    insist->size = key.size;
    memcpy(insist->key, key.data, key.size);
    HASH_ADD_KEYPTR(hh, *table(broker, is_actor), insist->key, insist->size, insist);
    return insist;
}

static void drop(xo_insist_t *insist)
{
    HASH_DEL(*table(insist->broker, insist->is_actor), insist);
    xoi_fields_free(insist->fields, insist->field_count);
    xo_buf_free(&insist->spec);
    free(insist);
}

/* EPERM: another node has got it. EINVAL: no registry takes it. */
static void on_answer(int errnum, const char *text, void *arg)
{
    xo_insist_t *insist = arg;
    xo_broker_t *broker = insist->broker;
    (void)text;
    insist->asking--;
    if (insist->left > 0 && (errnum == 0 || errnum == EPERM || errnum == EINVAL))
        insist->left--;
    if (insist->left > 0 || insist->asking > 0)
        return;
    drop(insist);
    if (errnum != ECANCELED && broker->insists_actors == NULL)
        xo_drain_go_on(broker); /* which waits for that */
}

static void put_actor(xo_insist_t *insist)
{
    const xo_record_t record = {insist->key, insist->fields, insist->field_count};
    xo_registry_t *registry = xo_publish_registry(insist->broker->publish);
    if (insist->again && insist->spec.size > 0) {
        insist->asking++;
        xo_registry_put_spec(registry, insist->key, xo_buf_slice(&insist->spec), on_answer, insist);
    }
    insist->asking++;
    xo_registry_put(registry, XO_REG_ACTOR, &record, XO_REG_NOBODY, 0, on_answer, insist);
}

static void ask(xo_insist_t *insist)
{
    if (insist->is_actor) {
        put_actor(insist);
    } else {
        insist->asking++;
        xo_publish_remove_name(insist->broker->publish, xo_slice(insist->key, insist->size),
                               on_answer, insist);
    }
    insist->again = true;
    insist->left = insist->asking; /* answers to what came before it was kept do not count */
}

void xo_insist_name(xo_broker_t *broker, xo_slice_t uid)
{
    xo_insist_t *insist = find_or_add(broker, false, uid);
    if (insist != NULL)
        ask(insist);
    else /* once at least */
        xo_publish_remove_name(broker->publish, uid, NULL, NULL);
}

/* -1: ENOMEM. */
static int fill(xo_insist_t *insist, const xo_record_t *record, const xo_actor_spec_t *spec)
{
    xoi_fields_free(insist->fields, insist->field_count);
    insist->field_count = record->count;
    insist->fields = xoi_fields_copy(record->fields, record->count);
    xo_buf_free(&insist->spec);
    if (spec != NULL)
        xo_actor_spec_pack(spec, &insist->spec);
    return insist->fields != NULL && xo_buf_ok(&insist->spec) == 0 ? 0 : -1;
}

void xo_insist_actor(xo_broker_t *broker, const xo_record_t *record, const xo_actor_spec_t *spec)
{
    xo_insist_t *insist = find_or_add(broker, true, xo_slice_str(record->id));
    if (insist != NULL && fill(insist, record, spec) == 0) {
        ask(insist);
        return;
    }
    if (insist != NULL)
        xo_insist_keep_actor(broker, record->id);
    xo_registry_put(xo_publish_registry(broker->publish), XO_REG_ACTOR, record, XO_REG_NOBODY, 0,
                    NULL, NULL);
}

static void keep(xo_insist_t *insist)
{
    if (insist == NULL)
        return;
    insist->left = 0;
    if (insist->asking == 0)
        drop(insist);
}

void xo_insist_keep_name(xo_broker_t *broker, xo_slice_t uid)
{
    keep(find(broker, false, uid));
}

void xo_insist_keep_actor(xo_broker_t *broker, const char *id)
{
    keep(find(broker, true, xo_slice_str(id)));
}

bool xo_insist_has_actor(xo_broker_t *broker, const char *id)
{
    const xo_insist_t *insist = find(broker, true, xo_slice_str(id));
    return insist != NULL && insist->left > 0;
}

void xo_insist_tick(xo_broker_t *broker)
{
    xo_insist_t *insist, *next;
    if (xo_publish_why_down(broker->publish) != NULL)
        return;
    HASH_ITER(hh, broker->insists_names, insist, next)
    if (insist->asking == 0)
        ask(insist);
    HASH_ITER(hh, broker->insists_actors, insist, next)
    if (insist->asking == 0)
        ask(insist);
}

void xo_insist_destroy(xo_broker_t *broker)
{
    while (broker->insists_names != NULL)
        drop(broker->insists_names);
    while (broker->insists_actors != NULL)
        drop(broker->insists_actors);
}
