/* admission.c - whom a process admits on tcp. */
#include "libxo/admission.h"

#include <stdio.h>
#include <string.h>

#include "libxo/keys_impl.h"

static void see(const xoi_admission_t *admission, struct stat *seen)
{
    if (lstat(admission->path, seen) < 0)
        *seen = (struct stat){0};
}

int xoi_admission_open(xoi_admission_t *admission, const char *cluster, const xo_keys_t *keys,
                       xo_error_t *err)
{
    if (admission->path[0])
        return 0;
    if (xoi_keys_path(cluster, "members", admission->path, err) < 0) {
        admission->path[0] = 0;
        return -1;
    }
    see(admission, &admission->seen); /* first, so that no change is missed */
    if (xoi_members_read(admission->path, &admission->members, err) == 0) {
        memcpy(admission->own, keys->own_public, sizeof admission->own);
        pthread_mutex_init(&admission->lock, NULL);
        return 0;
    }
    admission->path[0] = 0;
    return -1;
}

void xoi_admission_close(xoi_admission_t *admission)
{
    if (!admission->path[0])
        return;
    xo_members_clear(&admission->members);
    pthread_mutex_destroy(&admission->lock);
    *admission = (xoi_admission_t){0};
}

bool xoi_admission_has(xoi_admission_t *admission, const char *key)
{
    const xo_key_member_t *member;
    bool has;

    pthread_mutex_lock(&admission->lock);
    member = xo_members_find(&admission->members, key);
    has = member ? !member->revoked : strcmp(key, admission->own) == 0;
    pthread_mutex_unlock(&admission->lock);
    return has;
}

void xoi_admission_note_refused(xoi_admission_t *admission, const char *host, const char *key)
{
    xoi_refused_t *refused;

    pthread_mutex_lock(&admission->lock);
    if (admission->refused_count == XOI_REFUSED_MAX) {
        admission->refused_first = (admission->refused_first + 1) % XOI_REFUSED_MAX;
        admission->refused_count--;
    }
    refused =
        &admission
             ->refused[(admission->refused_first + admission->refused_count++) % XOI_REFUSED_MAX];
    snprintf(refused->host, sizeof refused->host, "%s", host);
    snprintf(refused->key, sizeof refused->key, "%s", key);
    refused->revoked = xo_members_find(&admission->members, key) != NULL;
    pthread_mutex_unlock(&admission->lock);
}

bool xoi_admission_take_refused(xoi_admission_t *admission, xoi_refused_t *refused)
{
    bool some;

    pthread_mutex_lock(&admission->lock);
    some = admission->refused_count > 0;
    if (some) {
        *refused = admission->refused[admission->refused_first];
        admission->refused_first = (admission->refused_first + 1) % XOI_REFUSED_MAX;
        admission->refused_count--;
    }
    pthread_mutex_unlock(&admission->lock);
    return some;
}

bool xoi_admission_is_own(const xoi_admission_t *admission, const char *key)
{
    return strcmp(key, admission->own) == 0;
}

/* Each change replaces the file, but who edits it may not. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int xoi_admission_look(xoi_admission_t *admission, xo_error_t *err)
{
    struct stat now;
    xo_members_t members;
    int rc = 0;

    pthread_mutex_lock(&admission->lock);
    see(admission, &now);
    if (!is_same(&now, &admission->seen)) {
        admission->seen = now;
        rc = xoi_members_read(admission->path, &members, err);
        if (rc == 0) {
            xo_members_clear(&admission->members);
            admission->members = members;
        }
    }
    pthread_mutex_unlock(&admission->lock);
    return rc;
}
