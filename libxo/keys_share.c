/* keys_share.c - how a key gets to another machine. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#include "libxo/keys_impl.h"

static int say_no_memory(xo_error_t *err)
{
    return xo_error_set(err, ENOMEM, "no memory for the text of a key");
}

static bool has_name(const xo_members_t *members, const char *name)
{
    for (size_t i = 0; i < members->count; i++)
        if (!members->list[i].revoked && strcmp(members->list[i].name, name) == 0)
            return true;
    return false;
}

/* What each member is to know: the cluster's pair, and who else there is. A name that is on the
 * list has its key already, and gets no secret. */
static int begin_export(const char *cluster, const char *name, xoi_keys_text_t *text,
                        xo_error_t *err)
{
    xo_key_member_t own = {0};
    xo_keys_t *keys = &text->keys;

    if (!xo_key_name_ok(name))
        return xo_error_set(err, EINVAL, XOI_KEY_NAME_BAD, name);
    if (xo_keys_load(cluster, keys, err) < 0 || xo_members_load(cluster, &text->members, err) < 0)
        return -1;
    text->has_keys = !has_name(&text->members, name);
    snprintf(text->cluster, sizeof text->cluster, "%s", cluster);
    memcpy(own.name, keys->own_name, sizeof own.name);
    memcpy(own.key, keys->own_public, sizeof own.key);
    return xoi_members_put(&text->members, &own) < 0 ? say_no_memory(err) : 0;
}

static int end_export(const char *cluster, const char *name, xoi_keys_text_t *text, xo_error_t *err)
{
    xo_key_member_t member = {0};
    xo_keys_t *keys = &text->keys;

    if (zmq_curve_keypair(keys->own_public, keys->own_secret) < 0)
        return xo_error_set(err, errno, "cannot make a CURVE key pair: %s", zmq_strerror(errno));
    snprintf(keys->own_name, sizeof keys->own_name, "%s", name);
    memcpy(member.name, keys->own_name, sizeof member.name);
    memcpy(member.key, keys->own_public, sizeof member.key);
    return xo_members_add(cluster, &member, err);
}

char *xo_keys_export(const char *cluster, const char *name, xo_error_t *err)
{
    xoi_keys_text_t text = {0};
    char *out = NULL;

    if (begin_export(cluster, name, &text, err) == 0 &&
        (!text.has_keys || end_export(cluster, name, &text, err) == 0)) {
        out = xoi_keys_format(&text);
        if (!out)
            say_no_memory(err);
    }
    int saved = errno;
    xoi_keys_text_clear(&text);
    errno = saved;
    return out;
}

/* Of which cluster is it to be? */
static int name_cluster(const xoi_keys_text_t *text, const char *cluster,
                        xo_keys_imported_t *imported, xo_error_t *err)
{
    if (cluster && text->cluster[0] && strcmp(cluster, text->cluster) != 0)
        return xo_error_set(err, EINVAL, "the key is of the cluster '%s', not of '%s'",
                            text->cluster, cluster);
    if (!cluster)
        cluster = text->cluster;
    if (xo_cluster_check(cluster, err) < 0)
        return -1;
    snprintf(imported->cluster, sizeof imported->cluster, "%s", cluster);
    return 0;
}

static void wipe(xo_keys_t *keys)
{
    int saved = errno;

    explicit_bzero(keys, sizeof *keys);
    errno = saved;
}

/* The list alone is for who has a key of that cluster. */
static int check_key(const xoi_keys_text_t *text, xo_keys_imported_t *imported, xo_error_t *err)
{
    xo_keys_t there = {0};
    char path[PATH_MAX];
    int rc = xo_keys_find(imported->cluster, &there, NULL);
    bool same = rc == 0 && strcmp(there.public_text, text->keys.public_text) == 0;

    imported->kept = same;
    wipe(&there);
    if (same)
        return 0;
    if (xoi_keys_path(imported->cluster, "key", path, err) < 0)
        return -1;
    return xo_error_set(err, ENOENT,
                        "what came is the list of keys alone, and this machine has no key of that "
                        "cluster, %s: export one under a name that no machine has",
                        path);
}

/* What is there stays. */
static int take_key(const xoi_keys_text_t *text, xo_keys_imported_t *imported, xo_error_t *err)
{
    xoi_keys_text_t content = {.has_keys = true, .keys = text->keys};
    xo_keys_t there = {0};
    char path[PATH_MAX];
    int rc;

    if (xoi_keys_path(imported->cluster, "key", path, err) < 0)
        return -1;
    rc = xoi_keys_write(path, &content, false, err);
    if (rc < 0 && errno == EEXIST) {
        rc = xo_keys_find(imported->cluster, &there, err);
        imported->kept = rc == 0 && strcmp(there.public_text, text->keys.public_text) == 0;
        if (rc == 0 && !imported->kept)
            rc = xo_error_set(err, EEXIST,
                              "another cluster named '%s' has its key here, %s: stop its nodes and "
                              "remove that file first",
                              imported->cluster, path);
    }
    wipe(&there);
    wipe(&content.keys);
    return rc;
}

int xo_keys_import(char *text, const char *cluster, xo_keys_imported_t *imported, xo_error_t *err)
{
    xoi_keys_text_t content;
    size_t size = strlen(text);
    int rc = xoi_keys_parse(text, &content);

    explicit_bzero(text, size);
    *imported = (xo_keys_imported_t){0};
    if (rc < 0 && errno != EBADMSG)
        say_no_memory(err);
    else if (rc < 0 || (!content.has_keys && !content.keys.public_text[0]))
        rc = xo_error_set(err, EBADMSG, "what came is no key that xo keys export has printed");
    if (rc == 0)
        rc = name_cluster(&content, cluster, imported, err);
    if (rc == 0)
        rc = content.has_keys ? take_key(&content, imported, err)
                              : check_key(&content, imported, err);
    if (rc == 0)
        rc = xo_members_merge(imported->cluster, &content.members, err);
    int saved = errno;
    xoi_keys_text_clear(&content);
    errno = saved;
    return rc;
}
