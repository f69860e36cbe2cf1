#include "broker/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {"starting",   "recovering", "ready", "suspect",
                                          "restarting", "stopping",   "failed"};

const char *xo_pool_state_name(xo_pool_state_t state)
{
    return state_names[state];
}

const char *xo_member_state_name(const xo_member_t *member)
{
    return xo_pool_state_name(member->ending ? XO_POOL_STOPPING : member->state);
}

/* ---- the table ---- */

xo_member_t *xo_pools_add(xo_pools_t *pools, uint64_t id)
{
    xo_member_t *member = calloc(1, sizeof(*member));
    if (member == NULL)
        return NULL;
    member->id = id;
    member->node_id = pools->node_id;
    member->generation = 1;
    member->index = -1;
    member->numa = -1;
    member->page = member->state_fd = -1;
    member->page_at = member->page_of = -1;
    HASH_ADD(hh, pools->table, id, sizeof(member->id), member);
    return member;
}

void xo_pools_remove(xo_pools_t *pools, xo_member_t *member)
{
    HASH_DEL(pools->table, member);
    xo_link_decref(member->link);
    xo_buf_free(&member->lanes);
    xo_member_unwatch(member);
    free(member);
}

xo_member_t *xo_pools_first(const xo_pools_t *pools)
{
    return pools->table;
}

xo_member_t *xo_pools_last(const xo_pools_t *pools)
{
    if (pools->table == NULL)
        return NULL;
    UT_hash_table *table = pools->table->hh.tbl;
    return ELMT_FROM_HH(table, table->tail);
}

xo_member_t *xo_pools_next(const xo_member_t *member)
{
    return member->hh.next;
}

xo_member_t *xo_pools_previous(const xo_member_t *member)
{
    return member->hh.prev;
}

size_t xo_pools_count(const xo_pools_t *pools)
{
    return HASH_COUNT(pools->table);
}

xo_member_t *xo_pools_find(const xo_pools_t *pools, uint64_t id)
{
    xo_member_t *member;
    HASH_FIND(hh, pools->table, &id, sizeof(id), member);
    return member;
}

xo_member_t *xo_pools_by_link(const xo_pools_t *pools, const xo_link_t *link)
{
    xo_member_t *member = xo_pools_find(pools, xo_link_peer(link)->pool_id);
    bool is_its = member != NULL && member->link != NULL;
    return is_its && member->endpoint == xo_link_peer(link)->id ? member : NULL;
}

xo_member_t *xo_pools_by_index(const xo_pools_t *pools, int index)
{
    xo_member_t *member = pools->table;
    while (member != NULL && member->index != index)
        member = xo_pools_next(member);
    return member;
}

xo_member_t *xo_pools_by_name(const xo_pools_t *pools, xo_slice_t name)
{
    uint64_t id;
    xo_member_t *member = pools->table;
    while (member != NULL && !xo_slice_eq_str(name, member->address))
        member = xo_pools_next(member);
    if (member == NULL && xo_id_parse(name, &id) == 0)
        member = xo_pools_find(pools, id);
    return member;
}

int xo_pools_free_index(const xo_pools_t *pools)
{
    int index = 0;
    while (xo_pools_by_index(pools, index) != NULL)
        index++;
    return index;
}

/* ---- one of them ---- */

void xo_member_set_state(xo_member_t *member, xo_pool_state_t state)
{
    member->state = state;
    member->changed = true;
}

void xo_member_set_link(xo_member_t *member, xo_link_t *link)
{
    xo_link_t *old = member->link;
    member->link = link ? xo_link_incref(link) : NULL;
    xo_link_decref(old);
}

static void take_count(xo_member_t *member, xo_slice_t body, const char *key, int64_t *count)
{
    int64_t value;
    if (xo_map_get_int(body, key, &value) < 0 || value == *count)
        return;
    *count = value;
    member->changed = true;
}

static void take_lanes(xo_member_t *member, xo_slice_t body)
{
    xo_slice_t lanes;
    if (xo_map_get(body, "lanes", &lanes) < 0 || lanes.size > XO_POOL_LANES_BYTES_MAX)
        return;
    xo_buf_clear(&member->lanes);
    xo_buf_append(&member->lanes, lanes.data, lanes.size);
}

static void take_text(xo_member_t *member, xo_slice_t body, const char *key, char *text,
                      size_t size)
{
    char value[XO_GPUS_BYTES];
    if (xo_map_get_str(body, key, value, size) < 0 || strcmp(text, value) == 0)
        return;
    strcpy(text, value);
    member->changed = true;
}

static void take_drops(xo_member_t *member, xo_slice_t body)
{
    xo_slice_t drops;
    if (xo_map_get(body, "drops", &drops) < 0)
        return;
    for (int i = 0; i < XO_DROP_REASONS; i++)
        take_count(member, drops, xo_drop_name((xo_drop_t)i), &member->drops[i]);
}

static void take_page(xo_member_t *member, xo_slice_t body)
{
    if (xo_map_get_int(body, "progress", &member->page_at) < 0)
        member->page_at = -1;
}

static void take_ending(xo_member_t *member, xo_slice_t body)
{
    xo_slice_t value;
    bool ending = xo_map_get(body, "stopping", &value) == 0;
    member->changed |= ending != member->ending;
    member->ending = ending;
}

void xo_member_heartbeat(xo_member_t *member, xo_slice_t body)
{
    take_ending(member, body);
    take_text(member, body, "language", member->language, sizeof(member->language));
    take_text(member, body, "gpus", member->gpus, sizeof(member->gpus));
    take_count(member, body, "numa", &member->numa);
    take_page(member, body);
    take_count(member, body, "waiting", &member->waiting);
    take_count(member, body, "handled", &member->handled);
    take_drops(member, body);
    take_lanes(member, body);
}

void xo_member_describe(const xo_member_t *member, char *text, size_t size)
{
    const char *label = member->label;
    snprintf(text, size, "pool %d%s%s%s at %s", member->index, label[0] ? " (" : "", label,
             label[0] ? ")" : "", member->address);
}

const char *xo_member_absence(const xo_member_t *member)
{
    if (member->endpoint != 0)
        return NULL;
    if (member->state == XO_POOL_FAILED)
        return "has failed";
    return member->generation > 0 && member->away ? "is being started again" : "is being started";
}

void xo_member_record_busy(const xo_member_t *member, xo_rec_t *rec)
{
    const xo_progress_seen_t *seen = &member->seen;
    if (member->state != XO_POOL_SUSPECT || !seen->inside)
        return; /* or what was seen is long past */
    xo_rec_bytes(rec, "busy_actor", xo_slice(seen->uid, seen->uid_size));
    xo_rec_bytes(rec, "busy_method", xo_slice(seen->method, seen->method_size));
    xo_rec_int(rec, "busy_since", member->busy_since);
}

void xo_member_record(const xo_member_t *member, xo_rec_t *rec)
{
    xo_rec_id(rec, "id", member->id);
    xo_rec_id(rec, "node", member->node_id);
    xo_rec_int(rec, "index", member->index);
    xo_rec_text(rec, "label", member->label);
    xo_rec_text(rec, "address", member->address);
    if (member->pid > 0) /* 0 would be the caller's own group, for kill(1) */
        xo_rec_int(rec, "pid", member->pid);
    xo_rec_int(rec, "generation", member->generation);
    xo_rec_text(rec, "state", xo_member_state_name(member));
    if (member->reason[0] != 0)
        xo_rec_text(rec, "reason", member->reason);
    xo_rec_text(rec, "restart",
                xo_restart_name(member->policy ? member->policy->restart : XO_RESTART_TEMPORARY));
    xo_rec_text(rec, "language", member->language);
    xo_rec_text(rec, "gpus", member->gpus);
    xo_rec_int(rec, "numa", member->numa);
    xo_rec_int(rec, "actors", (int64_t)member->entry_count);
    xo_rec_int(rec, "waiting", member->waiting);
    xo_rec_int(rec, "handled", member->handled);
    xo_rec_int(rec, "restarts", (int64_t)member->restarts);
    if (member->pid > 0)
        xo_rec_int(rec, "started", member->started);
    xo_member_record_busy(member, rec);
    for (int i = 0; i < XO_DROP_REASONS; i++)
        xo_rec_drops(rec, (xo_drop_t)i, member->drops[i]);
    xo_rec_raw(rec, "lanes", xo_buf_slice(&member->lanes));
}
