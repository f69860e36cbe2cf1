#include "broker/revocations.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "broker/broker_impl.h"
#include "broker/seal.h"

#define COMPONENT "keys"
/* With what it takes to write the list and to read it again, this is less than a second. */
#define LOOK_NS (400 * XO_MS)
/* One look in so many reads all keys, also if none was put: somebody may have removed one. */
#define LOOKS_FOR_ALL 25
#define REFUSED_MAX 256 /* records told of; further ones would come from who floods us */

/* A record that was not believed. */
typedef struct refused {
    char digits[XO_FINGERPRINT_BYTES];
    UT_hash_handle hh;
} refused_t;

struct xo_revocations {
    xo_broker_t *broker;
    const xo_keys_t *keys;
    const char *cluster;
    xo_members_t members; /* the list as it was read last */
    xo_io_t watch;
    int watch_fd; /* -1: the list is looked at with the registry */
    xo_timer_t look;
    bool asking; /* the registry */
    unsigned looks;
    char version[24]; /* of the keys that were taken over last */
    char newest[24];  /* of those that are being read */
    bool failed;      /* to take them over, which has been said */
    refused_t *refused;
};

/* ---- to the registry ---- */

static void add_fields(xo_rec_t *rec, const xo_key_member_t *member)
{
    xo_rec_text(rec, "name", member->name);
    xo_rec_int(rec, "revoked", member->revoked);
}

static void publish(xo_revocations_t *r, const xo_key_member_t *member)
{
    char digits[XO_FINGERPRINT_BYTES], seal[XO_SEAL_BYTES];
    xo_rec_t rec = {0};
    if (r->broker->publish == NULL || xo_key_fingerprint(member->key, digits) < 0 ||
        xo_seal_revocation(r->keys, r->cluster, member, seal) < 0)
        return;
    add_fields(&rec, member);
    xo_rec_text(&rec, "mac", seal);
    xo_publish_key(r->broker->publish, digits, &rec);
}

/* This machine's list has it, and had not before. */
static void tell(xo_revocations_t *r, const xo_key_member_t *member)
{
    char digits[XO_FINGERPRINT_BYTES];
    xo_rec_t rec = {0};
    xo_key_fingerprint(member->key, digits);
    xo_log(r->broker->options.log, XO_LOG_INFO, COMPONENT, "%s (%.*s) was revoked", member->name,
           XO_FINGERPRINT_SHOWN, digits);
    publish(r, member);
    xo_rec_id(&rec, "node", r->broker->options.node_id);
    xo_rec_text(&rec, "key", digits);
    add_fields(&rec, member);
    xo_broker_broadcast(r->broker, "key.revoked", &rec);
}

static bool is_revoked(const xo_members_t *members, const char *key)
{
    const xo_key_member_t *member = xo_members_find(members, key);
    return member != NULL && member->revoked != 0;
}

/* ---- from the list ---- */

static void read_list(xo_revocations_t *r)
{
    xo_error_t err;
    xo_members_t members;
    if (xo_members_load(r->cluster, &members, &err) < 0) /* all processes say so */
        return;
    for (size_t i = 0; i < members.count; i++)
        if (members.list[i].revoked != 0 && !is_revoked(&r->members, members.list[i].key))
            tell(r, &members.list[i]);
    xo_members_clear(&r->members);
    r->members = members;
}

static void on_changed(xo_io_t *io, int revents, void *arg)
{
    char events[4096];
    (void)revents;
    while (read(io->fd, events, sizeof(events)) > 0)
        continue;
    read_list(arg);
}

/* ---- from the registry ---- */

static bool copy_text(char *out, size_t size, xo_slice_t text)
{
    if (text.size == 0 || text.size >= size || memchr(text.data, 0, text.size) != NULL)
        return false;
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

/* What a record says, if it is to be believed. */
static bool read_record(const xo_revocations_t *r, const xo_record_t *record,
                        xo_key_member_t *member)
{
    char seconds[24], seal[XO_SEAL_BYTES], *end;
    *member = (xo_key_member_t){0};
    if (xo_key_from_fingerprint(record->id, member->key) < 0 ||
        !copy_text(member->name, sizeof(member->name), xo_rec_find(record, "name")) ||
        !copy_text(seconds, sizeof(seconds), xo_rec_find(record, "revoked")) ||
        !copy_text(seal, sizeof(seal), xo_rec_find(record, "mac")))
        return false;
    member->revoked = strtoll(seconds, &end, 10);
    return *end == '\0' && member->revoked > 0 && xo_key_name_ok(member->name) &&
           xo_seal_is_good(r->keys, r->cluster, member, seal);
}

static void refuse(xo_revocations_t *r, const char *id)
{
    static const char reason[] = "what the registry says of this key has a wrong MAC, so no member "
                                 "of the cluster has written it: it is ignored. Who else may "
                                 "write to Redis?";
    char digits[XO_FINGERPRINT_BYTES];
    refused_t *refused;
    xo_rec_t rec = {0};
    snprintf(digits, sizeof(digits), "%s", id);
    HASH_FIND_STR(r->refused, digits, refused);
    if (refused != NULL || HASH_COUNT(r->refused) >= REFUSED_MAX)
        return;
    refused = calloc(1, sizeof(*refused));
    if (refused == NULL)
        return;
    memcpy(refused->digits, digits, sizeof(digits));
    HASH_ADD_STR(r->refused, digits, refused);
    xo_log(r->broker->options.log, XO_LOG_ERROR, COMPONENT, "%.*s: %s", XO_FINGERPRINT_SHOWN,
           digits, reason);
    xo_rec_id(&rec, "node", r->broker->options.node_id);
    xo_rec_text(&rec, "key", digits);
    xo_rec_text(&rec, "reason", reason);
    xo_broker_broadcast(r->broker, "key.refused", &rec);
}

bool xo_revocations_has_own(const xo_revocations_t *r)
{
    return is_revoked(&r->members, r->keys->own_public);
}

static void say_taken(const xo_revocations_t *r, const xo_key_member_t *member)
{
    bool is_own = strcmp(member->key, r->keys->own_public) == 0;
    char digits[XO_FINGERPRINT_BYTES];
    xo_key_fingerprint(member->key, digits);
    xo_log(r->broker->options.log, is_own ? XO_LOG_ERROR : XO_LOG_INFO, COMPONENT,
           is_own ? "this machine's own key, %s (%.*s), was revoked on another one: it can dial "
                    "nobody, and takes no actors that move; xo doctor says how it gets another"
                  : "%s (%.*s) was revoked on another machine",
           member->name, XO_FINGERPRINT_SHOWN, digits);
}

/* Into the list, where the other processes of this machine look, too. False: it cannot be. */
static bool take(xo_revocations_t *r, const xo_key_member_t *news, size_t count)
{
    const xo_members_t members = {.list = (xo_key_member_t *)news, .count = count};
    xo_error_t err = {0};
    if (count == 0)
        return true;
    if (xo_members_merge(r->cluster, &members, &err) < 0) {
        if (!r->failed)
            xo_log(r->broker->options.log, XO_LOG_ERROR, COMPONENT,
                   "%zu keys were revoked on another machine, and this one cannot take that over, "
                   "and tries again: %s",
                   count, err.text);
        r->failed = true;
        return false;
    }
    r->failed = false;
    for (size_t i = 0; i < count; i++)
        say_taken(r, &news[i]);
    /* What is on the list now is no news when the watch tells of it. */
    xo_members_clear(&r->members);
    if (xo_members_load(r->cluster, &r->members, &err) < 0)
        xo_log(r->broker->options.log, XO_LOG_WARN, COMPONENT, "%s", err.text);
    return true;
}

static int compare_id(const void *digits, const void *record)
{
    return strcmp(digits, ((const xo_record_t *)record)->id);
}

/* Redis was emptied, or somebody has removed it. */
static void publish_missing(xo_revocations_t *r, const xo_record_t *records, size_t count)
{
    char digits[XO_FINGERPRINT_BYTES];
    for (size_t i = 0; i < r->members.count; i++) {
        const xo_key_member_t *member = &r->members.list[i];
        if (member->revoked != 0 && xo_key_fingerprint(member->key, digits) == 0 &&
            (count == 0 ||
             !bsearch(digits, records, count, sizeof(*records), compare_id))) /* sorted */
            publish(r, member);
    }
}

static void look_again(xo_revocations_t *r)
{
    if (xo_publish_is_shared(r->broker->publish))
        xo_timer_start(&r->look, LOOK_NS);
}

static void on_keys(int errnum, const char *text, const xo_record_t *records, size_t count,
                    void *arg)
{
    xo_revocations_t *r = arg;
    xo_key_member_t *news;
    size_t found = 0;
    (void)text;
    r->asking = false;
    if (errnum == ECANCELED)
        return;
    if (errnum != 0) { /* it is away, which has been said, or did not answer this */
        r->looks = 0;
        look_again(r);
        return;
    }
    news = calloc(count + 1, sizeof(*news));
    for (size_t i = 0; news != NULL && i < count; i++) {
        if (!read_record(r, &records[i], &news[found]))
            refuse(r, records[i].id);
        else if (!is_revoked(&r->members, news[found].key))
            found++;
    }
    if (news != NULL && take(r, news, found))
        memcpy(r->version, r->newest, sizeof(r->version));
    else
        r->looks = 0; /* the next look reads all of them again */
    free(news);
    publish_missing(r, records, count);
    look_again(r);
}

static void list(xo_revocations_t *r)
{
    r->asking = true;
    xo_registry_list(xo_publish_registry(r->broker->publish), XO_REG_KEY, on_keys, r);
}

static void on_version(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    xo_revocations_t *r = arg;
    (void)text;
    r->asking = false;
    if (errnum == ECANCELED)
        return;
    if (errnum != 0 || count != 1 || strcmp(records[0].id, r->version) == 0) {
        look_again(r);
        return;
    }
    snprintf(r->newest, sizeof(r->newest), "%s", records[0].id);
    list(r);
}

static void on_look(xo_timer_t *timer, void *arg)
{
    xo_revocations_t *r = arg;
    (void)timer;
    if (r->watch_fd < 0)
        read_list(r);
    if (r->asking)
        return;
    if (r->looks++ % LOOKS_FOR_ALL == 0) {
        list(r);
        return;
    }
    r->asking = true;
    xo_registry_keys_version(xo_publish_registry(r->broker->publish), on_version, r);
}

void xo_revocations_publish(xo_revocations_t *r)
{
    for (size_t i = 0; i < r->members.count; i++)
        if (r->members.list[i].revoked != 0)
            publish(r, &r->members.list[i]);
    r->looks = 0;
    on_look(&r->look, r);
}

/* ---- life ---- */

static void watch_list(xo_revocations_t *r)
{
    xo_error_t err;
    r->watch_fd = xo_members_watch(r->cluster, &err);
    if (r->watch_fd >= 0) {
        xo_io_init(&r->watch, r->broker->loop, r->watch_fd, XO_READ, on_changed, r);
        if (xo_io_start(&r->watch) == 0)
            return;
        close(r->watch_fd);
        r->watch_fd = -1;
    }
}

xo_revocations_t *xo_revocations_create(xo_broker_t *broker, xo_ctx_t *ctx, xo_error_t *err)
{
    xo_revocations_t *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    *r = (xo_revocations_t){
        .broker = broker, .keys = xo_ctx_keys(ctx), .cluster = xo_ctx_cluster(ctx)};
    xo_timer_init(&r->look, broker->loop, on_look, r);
    watch_list(r);
    if (xo_members_load(r->cluster, &r->members, err) == 0) {
        const xo_key_member_t *own = xo_members_find(&r->members, r->keys->own_public);
        if (own != NULL && own->revoked != 0)
            say_taken(r, own);
        return r;
    }
    int saved = errno;
    xo_revocations_destroy(r);
    errno = saved;
    return NULL;
}

void xo_revocations_destroy(xo_revocations_t *r)
{
    refused_t *refused, *next;
    if (r == NULL)
        return;
    xo_timer_stop(&r->look);
    if (r->watch_fd >= 0) {
        xo_io_stop(&r->watch);
        close(r->watch_fd);
    }
    HASH_ITER(hh, r->refused, refused, next)
    {
        HASH_DEL(r->refused, refused);
        free(refused);
    }
    xo_members_clear(&r->members);
    free(r);
}
