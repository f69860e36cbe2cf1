/* keys.c - the files of keys: where they are, who may read them, who makes them. */
#include "libxo/keys_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zmq.h>

#include "libxo/ctx_internal.h"
#include "libxo/members.h"

#define FILE_BYTES_MAX 4096 /* a certificate has some 250, and room for comments */

/* "~/.config", which need not be there yet; everything above it does. */
static int home_config(char *path, xo_error_t *err)
{
    const char *home = getenv("HOME");
    const struct passwd *user = home && *home ? NULL : getpwuid(geteuid());

    if (user)
        home = user->pw_dir;
    if (!home || !*home)
        return xo_error_set(err, ENOENT, "no home directory: set XO_CONFIG_DIR");
    if (snprintf(path, PATH_MAX, "%s/.config", home) >= PATH_MAX)
        return xo_error_set(err, ENAMETOOLONG, "the home directory's path is too long");
    if (mkdir(path, S_IRWXU) < 0 && errno != EEXIST)
        return xo_error_set(err, errno, "cannot make the directory %s: %s", path, strerror(errno));
    return 0;
}

/* The directory of the keys, made and checked. */
static int open_dir(char *path, xo_error_t *err)
{
    const char *own = getenv("XO_CONFIG_DIR");
    const char *xdg = getenv("XDG_CONFIG_HOME");
    char parent[PATH_MAX];
    int n;

    if (own && *own) {
        n = snprintf(path, PATH_MAX, "%s", own);
    } else {
        if (xdg && *xdg)
            n = snprintf(parent, sizeof parent, "%s", xdg);
        else if ((n = home_config(parent, err)) < 0)
            return -1;
        if (n < PATH_MAX)
            n = snprintf(path, PATH_MAX, "%s/xo", parent);
    }
    if (n >= PATH_MAX)
        return xo_error_set(err, ENAMETOOLONG, "the configuration directory's path is too long");
    return xoi_private_dir(path, true, err);
}

/* ENOENT without a sentence when it is not there. */
static int check_file(const char *path, xo_error_t *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? -1
                               : xo_error_set(err, errno, "cannot look at the key %s: %s", path,
                                              strerror(errno));
    if (!S_ISREG(st.st_mode))
        return xo_error_set(err, EPERM, "the key %s is not a regular file", path);
    if (st.st_uid != geteuid())
        return xo_error_set(err, EPERM, "the key %s belongs to user %u, not to user %u", path,
                            (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return xo_error_set(err, EPERM,
                            "others can read the key %s: chmod 600 it, and make a new "
                            "one if somebody may have",
                            path);
    return 0;
}

/* The file as a string. -1: it cannot be read; EBADMSG: it is longer than any key's. */
static int read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t used = 0;
    ssize_t n = fd < 0 ? -1 : 0;
    int saved;

    while (fd >= 0 && used < size &&
           ((n = read(fd, text + used, size - used)) > 0 || (n < 0 && errno == EINTR)))
        used += n > 0 ? (size_t)n : 0;
    saved = errno;
    if (fd >= 0)
        close(fd);
    text[used < size ? used : 0] = 0;
    errno = n < 0 ? saved : EBADMSG;
    return n < 0 || used == size ? -1 : 0;
}

int xoi_keys_read(const char *path, size_t bytes_max, xoi_keys_text_t *out, xo_error_t *err)
{
    char *text;
    int rc;

    *out = (xoi_keys_text_t){0};
    if (check_file(path, err) < 0)
        return -1;
    text = calloc(1, bytes_max);
    if (!text)
        return xo_error_set(err, ENOMEM, "no memory to read the key %s", path);
    rc = read_text(path, text, bytes_max);
    if (rc == 0)
        rc = xoi_keys_parse(text, out);
    int saved = errno;
    explicit_bzero(text, bytes_max);
    free(text);
    errno = saved;
    if (rc < 0 && errno == E2BIG)
        return xo_error_set(err, E2BIG,
                            "%s has more than %d keys, or bytes than %zu: take some out", path,
                            XO_MEMBERS_MAX, bytes_max);
    if (rc < 0 && errno != EBADMSG)
        return xo_error_set(err, errno, "cannot read the key %s: %s", path, strerror(errno));
    return rc;
}

static int read_file(const char *path, xo_keys_t *keys, xo_error_t *err)
{
    xoi_keys_text_t text;
    int rc = xoi_keys_read(path, FILE_BYTES_MAX, &text, err);

    if ((rc == 0 && !text.has_keys) || (rc < 0 && errno == EBADMSG))
        rc = xo_error_set(err, EBADMSG,
                          "%s holds no CURVE key pair: remove it, or import the "
                          "cluster's key again",
                          path);
    if (rc == 0)
        *keys = text.keys;
    int saved = errno;
    xoi_keys_text_clear(&text);
    errno = saved;
    return rc;
}

static int write_all(int fd, const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return fsync(fd);
}

/* Writes to a file of its own, `temp` (a template of mkostemp(3), 0600). */
static int write_temp(char *temp, const char *text)
{
    int fd = mkostemp(temp, O_CLOEXEC);
    int rc = fd < 0 ? -1 : write_all(fd, text);
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return rc;
}

/* link(2) is atomic and fails where the file exists: of processes that race, one makes the key. */
int xoi_keys_write(const char *path, const xoi_keys_text_t *content, bool replace, xo_error_t *err)
{
    char temp[PATH_MAX];
    char *text;
    int rc;

    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp)
        return xo_error_set(err, ENAMETOOLONG, "the key's path %s is too long", path);
    text = xoi_keys_format(content);
    rc = text ? write_temp(temp, text) : -1;
    if (rc == 0)
        rc = replace ? rename(temp, path) : link(temp, path);
    int saved = errno;
    xoi_wipe_free(text);
    if (strcmp(temp + strlen(temp) - 6, "XXXXXX") != 0)
        unlink(temp); /* a rename has taken it already */
    errno = saved;
    return rc == 0 ? 0
                   : xo_error_set(err, errno, "cannot make the key %s: %s", path, strerror(errno));
}

int xo_cluster_check(const char *cluster, xo_error_t *err)
{
    if (!xo_key_name_ok(cluster) || cluster[0] == '.')
        return xo_error_set(err, EINVAL,
                            "'%s' is no name of a cluster: 1 to %d of A-Z a-z 0-9 _ . -, and no "
                            "'.' at first",
                            cluster, XO_CLUSTER_BYTES - 1);
    return 0;
}

int xoi_keys_path(const char *cluster, const char *suffix, char path[PATH_MAX], xo_error_t *err)
{
    char dir[PATH_MAX];

    if (xo_cluster_check(cluster, err) < 0 || open_dir(dir, err) < 0)
        return -1;
    if (snprintf(path, PATH_MAX, "%s/%s.%s", dir, cluster, suffix) >= PATH_MAX)
        return xo_error_set(err, ENAMETOOLONG, "the key's path in %s is too long", dir);
    return 0;
}

/* The machine's name, as far as it can be a member's. */
static void name_machine(char name[XO_KEY_NAME_BYTES])
{
    if (gethostname(name, XO_KEY_NAME_BYTES) < 0)
        name[0] = 0;
    name[XO_KEY_NAME_BYTES - 1] = 0;
    if (!xo_key_name_ok(name))
        strcpy(name, "machine");
}

static int make_pairs(const char *name, xo_keys_t *made, xo_error_t *err)
{
    if (name)
        snprintf(made->own_name, sizeof made->own_name, "%s", name);
    else
        name_machine(made->own_name);
    if (zmq_curve_keypair(made->public_text, made->secret_text) < 0 ||
        zmq_curve_keypair(made->own_public, made->own_secret) < 0)
        return xo_error_set(err, errno, "cannot make a CURVE key pair: %s", zmq_strerror(errno));
    return 0;
}

static int make_file(const char *path, const char *name, xo_keys_t *keys, xo_error_t *err)
{
    xoi_keys_text_t text = {.has_keys = true};
    int rc = make_pairs(name, &text.keys, err);

    if (rc == 0)
        rc = xoi_keys_write(path, &text, false, err);
    if (rc == 0)
        *keys = text.keys;
    int saved = errno;
    xoi_keys_text_clear(&text);
    errno = saved;
    return rc;
}

int xo_keys_load(const char *cluster, xo_keys_t *keys, xo_error_t *err)
{
    char path[PATH_MAX];
    int rc;

    if (xoi_keys_path(cluster, "key", path, err) < 0)
        return -1;
    rc = read_file(path, keys, err);
    if (rc < 0 && errno == ENOENT) {
        rc = make_file(path, NULL, keys, err);
        if (rc < 0 && errno == EEXIST)
            rc = read_file(path, keys, err);
    }
    return rc;
}

int xo_keys_borrow(const char *cluster, xo_keys_t *keys, xo_error_t *err)
{
    char path[PATH_MAX];
    int rc;

    if (xoi_keys_path(cluster, "key", path, err) < 0)
        return -1;
    rc = read_file(path, keys, err);
    return rc < 0 && errno == ENOENT ? make_pairs(NULL, keys, err) : rc;
}

int xo_keys_find(const char *cluster, xo_keys_t *keys, xo_error_t *err)
{
    char path[PATH_MAX];
    int rc = xoi_keys_path(cluster, "key", path, err);

    if (rc == 0) {
        rc = read_file(path, keys, err);
        if (rc < 0 && errno == ENOENT)
            return xo_error_set(err, ENOENT,
                                "the cluster '%s' has no key here, %s: make one with xo keys "
                                "generate, or take one with xo keys import",
                                cluster, path);
    }
    return rc;
}

int xo_keys_generate(const char *cluster, const char *name, xo_keys_t *keys, xo_error_t *err)
{
    char path[PATH_MAX];

    if (name && !xo_key_name_ok(name))
        return xo_error_set(err, EINVAL, XOI_KEY_NAME_BAD, name);
    if (xoi_keys_path(cluster, "key", path, err) < 0)
        return -1;
    if (make_file(path, name, keys, err) < 0)
        return errno != EEXIST ? -1
                               : xo_error_set(err, EEXIST,
                                              "the cluster '%s' has a key already, %s: for another "
                                              "machine, xo keys export it",
                                              cluster, path);
    return 0;
}
