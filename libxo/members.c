/* members.c - the list of members, in its file. Who changes it holds a lock on the directory, so
 * that of two changes none is lost; who reads it needs none, as it is replaced as a whole. */
#include "libxo/members.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#include "libxo/keys_impl.h"

#define DIGITS_MIN 8 /* of a fingerprint that is cut off */

void xo_members_clear(xo_members_t *members)
{
    free(members->list);
    *members = (xo_members_t){0};
}

const xo_key_member_t *xo_members_find(const xo_members_t *members, const char *key)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->list[i].key, key) == 0)
            return &members->list[i];
    return NULL;
}

int xoi_members_put(xo_members_t *members, const xo_key_member_t *member)
{
    xo_key_member_t *old = (xo_key_member_t *)xo_members_find(members, member->key);
    xo_key_member_t *list;

    if (old && (old->revoked || !member->revoked))
        return 0;
    if (old) {
        old->revoked = member->revoked;
        return 1;
    }
    if (members->count >= XO_MEMBERS_MAX) {
        errno = E2BIG;
        return -1;
    }
    list = realloc(members->list, (members->count + 1) * sizeof *list);
    if (!list)
        return -1;
    members->list = list;
    list[members->count++] = *member;
    return 1;
}

int xo_key_fingerprint(const char *key, char text[XO_FINGERPRINT_BYTES])
{
    uint8_t bytes[XO_KEY_BYTES];

    text[0] = 0;
    if (strlen(key) != XO_KEY_TEXT_BYTES - 1 || !zmq_z85_decode(bytes, key)) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int xo_key_from_fingerprint(const char *text, char key[XO_KEY_TEXT_BYTES])
{
    uint8_t bytes[XO_KEY_BYTES];
    size_t size = strspn(text, "0123456789abcdef");

    key[0] = 0;
    if (size != XO_FINGERPRINT_BYTES - 1 || text[size]) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        sscanf(text + 2 * i, "%2hhx", &bytes[i]);
    zmq_z85_encode(key, bytes, sizeof bytes);
    return 0;
}

/* ---- the file ---- */

/* Not of the file, which each change replaces. */
static int watch_dir(const char *path)
{
    char copy[PATH_MAX];
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    memcpy(copy, path, strlen(path) + 1);
    if (fd >= 0 && inotify_add_watch(fd, dirname(copy),
                                     IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) >= 0)
        return fd;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

int xo_members_watch(const char *cluster, xo_error_t *err)
{
    char path[PATH_MAX];
    int fd;

    if (xoi_keys_path(cluster, "members", path, err) < 0)
        return -1;
    fd = watch_dir(path);
    return fd >= 0 ? fd
                   : xo_error_set(err, errno, "cannot watch the list of keys %s: %s", path,
                                  strerror(errno));
}

int xoi_members_read(const char *path, xo_members_t *members, xo_error_t *err)
{
    xoi_keys_text_t text;
    int rc = xoi_keys_read(path, XOI_MEMBERS_BYTES_MAX, &text, err);

    *members = (xo_members_t){0};
    if (rc < 0 && errno == ENOENT)
        rc = 0;
    else if (rc < 0 && errno == EBADMSG)
        xo_error_set(err, EBADMSG, "%s is no list of keys: restore it, or remove it to admit none",
                     path);
    if (rc == 0) {
        *members = text.members;
        text.members = (xo_members_t){0};
    }
    int saved = errno;
    xoi_keys_text_clear(&text);
    errno = saved;
    return rc;
}

int xo_members_load(const char *cluster, xo_members_t *members, xo_error_t *err)
{
    char path[PATH_MAX];

    *members = (xo_members_t){0};
    if (xoi_keys_path(cluster, "members", path, err) < 0)
        return -1;
    return xoi_members_read(path, members, err);
}

/* A list that is being changed. */
typedef struct change {
    char path[PATH_MAX];
    int lock_fd;
    xoi_keys_text_t text;
} change_t;

static int lock_dir(const char *path, xo_error_t *err)
{
    char copy[PATH_MAX];
    int fd, rc;

    memcpy(copy, path, strlen(path) + 1);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    do
        rc = fd < 0 ? -1 : flock(fd, LOCK_EX);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return fd;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    return xo_error_set(err, saved, "cannot lock the directory of %s: %s", path, strerror(saved));
}

static void change_end(change_t *change)
{
    int saved = errno;

    close(change->lock_fd);
    xoi_keys_text_clear(&change->text);
    errno = saved;
}

static int change_begin(change_t *change, const char *cluster, xo_error_t *err)
{
    change->text = (xoi_keys_text_t){0};
    if (xoi_keys_path(cluster, "members", change->path, err) < 0)
        return -1;
    change->lock_fd = lock_dir(change->path, err);
    if (change->lock_fd < 0)
        return -1;
    if (xoi_members_read(change->path, &change->text.members, err) == 0)
        return 0;
    change_end(change);
    return -1;
}

static int put(change_t *change, const xo_key_member_t *member, xo_error_t *err)
{
    int rc = xoi_members_put(&change->text.members, member);

    if (rc < 0 && errno == E2BIG)
        return xo_error_set(err, E2BIG, "%s is full: it has %d keys", change->path, XO_MEMBERS_MAX);
    return rc < 0 ? xo_error_set(err, errno, "no memory for the list of keys") : rc;
}

/* ---- what changes it ---- */

static int check_new(const xo_members_t *members, const char *cluster,
                     const xo_key_member_t *member, xo_error_t *err)
{
    xo_keys_t keys;
    bool taken =
        xo_keys_find(cluster, &keys, NULL) == 0 && strcmp(keys.own_name, member->name) == 0;

    explicit_bzero(&keys, sizeof keys);
    if (!xo_key_name_ok(member->name))
        return xo_error_set(err, EINVAL, XOI_KEY_NAME_BAD, member->name);
    for (size_t i = 0; i < members->count; i++)
        taken |= !members->list[i].revoked && strcmp(members->list[i].name, member->name) == 0;
    if (taken)
        return xo_error_set(err, EEXIST,
                            "the cluster '%s' has a key named '%s' already: choose another name, "
                            "or revoke that one",
                            cluster, member->name);
    return 0;
}

int xo_members_add(const char *cluster, const xo_key_member_t *member, xo_error_t *err)
{
    change_t change;
    int rc;

    if (change_begin(&change, cluster, err) < 0)
        return -1;
    rc = check_new(&change.text.members, cluster, member, err);
    if (rc == 0)
        rc = put(&change, member, err);
    if (rc > 0)
        rc = xoi_keys_write(change.path, &change.text, true, err);
    change_end(&change);
    return rc;
}

static bool is_meant(const xo_key_member_t *member, const char *which, bool by_name)
{
    char fingerprint[XO_FINGERPRINT_BYTES];
    size_t size = strlen(which);

    if (by_name)
        return !member->revoked && strcmp(member->name, which) == 0;
    return xo_key_fingerprint(member->key, fingerprint) == 0 && size >= DIGITS_MIN &&
           strncasecmp(fingerprint, which, size) == 0;
}

/* Those with this name that are not revoked, else those with this fingerprint, else revoked ones
 * with the name. */
static size_t match(const xo_members_t *members, const char *which, xo_key_member_t *found)
{
    size_t count = 0;

    for (int by_name = 1; count == 0 && by_name >= 0; by_name--)
        for (size_t i = 0; i < members->count; i++)
            if (is_meant(&members->list[i], which, by_name)) {
                *found = members->list[i];
                count++;
            }
    for (size_t i = 0; count == 0 && i < members->count; i++)
        if (strcmp(members->list[i].name, which) == 0) {
            *found = members->list[i];
            count++;
        }
    return count;
}

static int check_other(const char *cluster, const char *which, xo_error_t *err)
{
    xo_keys_t keys;
    xo_key_member_t own = {0};
    bool is_own = false;

    if (xo_keys_find(cluster, &keys, err) < 0)
        return -1;
    memcpy(own.key, keys.own_public, sizeof own.key);
    is_own = strcmp(keys.own_name, which) == 0 || is_meant(&own, which, false);
    explicit_bzero(&keys, sizeof keys);
    if (is_own)
        return xo_error_set(err, EBUSY,
                            "'%s' is this machine's own key: revoke it on another machine of the "
                            "cluster '%s'",
                            which, cluster);
    return 0;
}

/* Among the keys of a list, which is it? It is not revoked yet. */
static int choose(const change_t *change, const char *cluster, const char *which,
                  xo_key_member_t *member, xo_error_t *err)
{
    size_t count = match(&change->text.members, which, member);

    if (check_other(cluster, which, err) < 0) /* it may be on the list, from another machine */
        return -1;
    if (count == 0)
        return xo_error_set(err, ENOENT, "the cluster '%s' has no key '%s': see xo keys list",
                            cluster, which);
    if (count > 1)
        return xo_error_set(err, EEXIST, "%zu keys of the cluster '%s' are '%s': give more digits",
                            count, cluster, which);
    if (member->revoked)
        return xo_error_set(err, EALREADY, "the key '%s' of the cluster '%s' is revoked already",
                            which, cluster);
    return 0;
}

int xo_members_revoke(const char *cluster, const char *which, xo_key_member_t *member,
                      xo_error_t *err)
{
    change_t change;
    int rc;

    if (change_begin(&change, cluster, err) < 0)
        return -1;
    rc = choose(&change, cluster, which, member, err);
    if (rc == 0) {
        member->revoked = (int64_t)time(NULL);
        rc = put(&change, member, err);
    }
    if (rc > 0)
        rc = xoi_keys_write(change.path, &change.text, true, err);
    change_end(&change);
    return rc;
}

int xo_members_merge(const char *cluster, const xo_members_t *news, xo_error_t *err)
{
    change_t change;
    int rc = 0;
    bool changed = false;

    if (change_begin(&change, cluster, err) < 0)
        return -1;
    for (size_t i = 0; rc >= 0 && i < news->count; i++) {
        rc = put(&change, &news->list[i], err);
        changed |= rc > 0;
    }
    if (rc >= 0)
        rc = changed ? xoi_keys_write(change.path, &change.text, true, err) : 0;
    change_end(&change);
    return rc;
}
