/* admission.c - whom a process admits on tcp. */
#include "libxo/admission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libxo/keys_impl.h"

int xoi_admission_open(xoi_admission_t *admission, const char *cluster, const xo_keys_t *keys,
                       xo_error_t *err)
{
    if (admission->path[0])
        return 0;
    if (xoi_keys_path(cluster, "members", admission->path, err) < 0) {
        admission->path[0] = 0;
        return -1;
    }
    admission->watch_fd =
        xoi_members_watch(admission->path); /* first, so that no change is missed */
    if (xoi_members_read(admission->path, &admission->members, err) == 0) {
        memcpy(admission->own, keys->own_public, sizeof admission->own);
        pthread_mutex_init(&admission->lock, NULL);
        return 0;
    }
    int saved = errno;
    if (admission->watch_fd >= 0)
        close(admission->watch_fd);
    admission->path[0] = 0;
    errno = saved;
    return -1;
}

void xoi_admission_close(xoi_admission_t *admission)
{
    if (!admission->path[0])
        return;
    if (admission->watch_fd >= 0)
        close(admission->watch_fd);
    xo_members_clear(&admission->members);
    free(admission->wakers);
    pthread_mutex_destroy(&admission->lock);
    *admission = (xoi_admission_t){.watch_fd = -1};
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

static bool same(const xo_members_t *a, const xo_members_t *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (strcmp(a->list[i].key, b->list[i].key) != 0 || a->list[i].revoked != b->list[i].revoked)
            return false;
    return a->count == b->count;
}

int xoi_admission_look(xoi_admission_t *admission, xo_error_t *err)
{
    char events[4096];
    xo_members_t members, old;

    while (admission->watch_fd >= 0 && read(admission->watch_fd, events, sizeof events) > 0)
        continue;
    if (xoi_members_read(admission->path, &members, err) < 0)
        return -1;
    pthread_mutex_lock(&admission->lock);
    old = admission->members;
    admission->members = members;
    for (size_t i = 0; i < admission->waker_count && !same(&old, &members); i++)
        eventfd_write(admission->wakers[i], 1);
    pthread_mutex_unlock(&admission->lock);
    xo_members_clear(&old);
    return 0;
}

int xoi_admission_tell(xoi_admission_t *admission, int fd)
{
    int *wakers;

    pthread_mutex_lock(&admission->lock);
    wakers = realloc(admission->wakers, (admission->waker_count + 1) * sizeof *wakers);
    if (wakers) {
        admission->wakers = wakers;
        wakers[admission->waker_count++] = fd;
    }
    pthread_mutex_unlock(&admission->lock);
    return wakers ? 0 : -1;
}

void xoi_admission_forget(xoi_admission_t *admission, int fd)
{
    pthread_mutex_lock(&admission->lock);
    for (size_t i = 0; i < admission->waker_count; i++)
        if (admission->wakers[i] == fd) {
            admission->wakers[i] = admission->wakers[--admission->waker_count];
            break;
        }
    pthread_mutex_unlock(&admission->lock);
}
