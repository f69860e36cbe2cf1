#include "broker/directory.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/groups.h"

static const char *const state_names[] = {"running", "recovering", "failed"};

const char *xo_actor_state_name(xo_actor_state_t state)
{
    return state_names[state];
}

xo_slice_t xo_actor_entry_uid(const xo_actor_entry_t *entry)
{
    return xo_slice(entry->name->uid, entry->name->size);
}

static xo_actor_name_t *find_name(const xo_directory_t *directory, xo_slice_t uid)
{
    xo_actor_name_t *name;
    HASH_FIND(hh, directory->names, uid.data, uid.size, name);
    return name;
}

static xo_actor_name_t *need_name(xo_directory_t *directory, xo_slice_t uid)
{
    xo_actor_name_t *name = find_name(directory, uid);
    if (name != NULL)
        return name;
    name = malloc(sizeof(*name) + uid.size);
    if (name == NULL)
        return NULL;
    name->entries = NULL;
    name->size = uid.size;
    if (uid.size > 0)
        memcpy(name->uid, uid.data, uid.size);
    HASH_ADD_KEYPTR(hh, directory->names, name->uid, name->size, name);
    return name;
}

static void drop_name_if_empty(xo_directory_t *directory, xo_actor_name_t *name)
{
    if (name->entries != NULL)
        return;
    HASH_DEL(directory->names, name);
    free(name);
}

static xo_actor_entry_t *create_entry(xo_slice_t class_name)
{
    xo_actor_entry_t *entry = calloc(1, sizeof(*entry) + class_name.size + 1);
    if (entry != NULL && class_name.size > 0)
        memcpy(entry->class_name, class_name.data, class_name.size);
    return entry;
}

void xo_directory_set_spec(xo_actor_entry_t *entry, xo_actor_spec_t *spec)
{
    entry->member->spec_bytes -= xo_actor_spec_bytes(entry->spec);
    entry->member->spec_bytes += xo_actor_spec_bytes(spec);
    xo_actor_spec_destroy(entry->spec);
    entry->spec = spec;
    if (spec != NULL)
        xo_actor_spec_inherit(spec, entry->member->policy, NULL);
}

void xo_directory_set_unsaved(xo_directory_t *directory, xo_actor_entry_t *entry, bool unsaved)
{
    if (unsaved == entry->unsaved)
        return;
    entry->unsaved = unsaved;
    if (unsaved)
        DL_APPEND2(directory->unsaved, entry, prev_unsaved, next_unsaved);
    else
        DL_DELETE2(directory->unsaved, entry, prev_unsaved, next_unsaved);
}

void xo_directory_set_stale(xo_directory_t *directory, xo_actor_entry_t *entry, bool stale)
{
    if (stale == entry->stale)
        return;
    entry->stale = stale;
    if (stale)
        DL_APPEND2(directory->stale, entry, prev_stale, next_stale);
    else
        DL_DELETE2(directory->stale, entry, prev_stale, next_stale);
}

void xo_directory_set_reason(xo_actor_entry_t *entry, const char *reason)
{
    free(entry->reason);
    entry->reason = strdup(reason); /* NULL: its record has none */
}

void xo_directory_set_failed(xo_actor_entry_t *entry, const char *reason)
{
    entry->state = XO_ACTOR_FAILED;
    entry->alone = false;
    xo_directory_set_reason(entry, reason);
}

void xo_directory_set_recent(xo_actor_entry_t *entry, const char *recent)
{
    free(entry->recent);
    entry->recent = recent[0] ? strdup(recent) : NULL; /* NULL: a next broker does not know */
}

/* What is told of an actor that came back does not repeat its spec. */
static void take_over(xo_directory_t *directory, xo_actor_entry_t *entry, xo_actor_entry_t *old)
{
    bool outdated = old->unsaved || old->spec != NULL;
    if (old->state == XO_ACTOR_RECOVERING || old->incarnation == entry->incarnation) {
        entry->spec = old->spec;
        old->spec = NULL;
        entry->epoch = old->epoch;
        entry->recent = old->recent;
        old->recent = NULL;
        entry->seat = old->seat;
        old->seat = NULL;
        if (entry->seat != NULL)
            entry->seat->entry = entry;
        outdated = old->unsaved;
    }
    xo_directory_set_unsaved(directory, entry, outdated);
    xo_directory_remove(directory, old);
}

xo_actor_entry_t *xo_directory_put(xo_directory_t *directory, xo_member_t *member, xo_slice_t uid,
                                   uint64_t incarnation, xo_slice_t class_name, bool stateless)
{
    xo_actor_entry_t *old = xo_directory_get(directory, member, uid);
    xo_actor_entry_t *entry = create_entry(class_name);
    xo_actor_name_t *name = entry ? need_name(directory, uid) : NULL;
    if (name == NULL) {
        free(entry);
        return NULL;
    }
    entry->name = name;
    entry->member = member;
    entry->incarnation = incarnation;
    entry->stateless = stateless;
    DL_APPEND2(name->entries, entry, prev_in_name, next_in_name);
    DL_APPEND(member->entries, entry);
    member->entry_count++;
    member->changed = true;
    directory->count++;
    if (old != NULL)
        take_over(directory, entry, old);
    return entry;
}

xo_actor_entry_t *xo_directory_find(const xo_directory_t *directory, xo_slice_t uid)
{
    xo_actor_name_t *name = find_name(directory, uid);
    return name ? name->entries : NULL;
}

xo_actor_entry_t *xo_directory_get(const xo_directory_t *directory, const xo_member_t *member,
                                   xo_slice_t uid)
{
    xo_actor_entry_t *entry = xo_directory_find(directory, uid);
    while (entry != NULL && entry->member != member)
        entry = entry->next_in_name;
    return entry;
}

void xo_directory_remove(xo_directory_t *directory, xo_actor_entry_t *entry)
{
    xo_actor_name_t *name = entry->name;
    DL_DELETE2(name->entries, entry, prev_in_name, next_in_name);
    DL_DELETE(entry->member->entries, entry);
    entry->member->entry_count--;
    entry->member->changed = true;
    directory->count--;
    xo_directory_set_unsaved(directory, entry, false);
    xo_directory_set_stale(directory, entry, false);
    if (entry->seat != NULL)
        xo_seat_leave(entry->seat);
    xo_directory_set_spec(entry, NULL);
    free(entry->reason);
    free(entry->awaited);
    free(entry->recent);
    free(entry);
    drop_name_if_empty(directory, name);
}

void xo_directory_remove_pool(xo_directory_t *directory, xo_member_t *member)
{
    while (member->entries != NULL)
        xo_directory_remove(directory, member->entries);
}

/* What has no spec is not created again. */
static const char *restart_of(const xo_actor_entry_t *entry)
{
    return xo_restart_name(entry->spec ? xo_actor_spec_policy(entry->spec)->restart
                                       : XO_RESTART_TEMPORARY);
}

void xo_actor_record(const xo_actor_entry_t *entry, uint64_t node_id, xo_rec_t *rec)
{
    xo_rec_bytes(rec, "uid", xo_actor_entry_uid(entry));
    xo_rec_id(rec, "pool", entry->member->id);
    xo_rec_id(rec, "node", node_id);
    xo_rec_text(rec, "address", entry->member->address);
    xo_rec_text(rec, "class", entry->class_name);
    xo_rec_int(rec, "incarnation", (int64_t)entry->incarnation);
    xo_rec_text(rec, "state", xo_actor_state_name(entry->state));
    xo_rec_text(rec, "restart", restart_of(entry));
    if (xo_actor_spec_is_anywhere(entry->spec)) {
        xo_rec_text(rec, "placement", "any");
        xo_rec_text(rec, "language", entry->member->language);
    }
    if (entry->epoch > 0)
        xo_rec_int(rec, "epoch", (int64_t)entry->epoch);
    if (entry->seat != NULL)
        xo_rec_text(rec, "group", entry->seat->group->name);
    if (entry->state == XO_ACTOR_FAILED)
        xo_rec_text(rec, "pool_state", xo_pool_state_name(entry->member->state));
    if (entry->state != XO_ACTOR_RUNNING && entry->reason != NULL)
        xo_rec_text(rec, "reason", entry->reason);
    if (entry->recent != NULL)
        xo_rec_text(rec, "recent", entry->recent);
}
