/* keys.c - the cluster's key in a file of czmq's certificate format (ZPL, RFC 4/ZPL). */
#include "libxo/keys.h"

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

#include <czmq.h>
#include <zmq.h>

#include "libxo/ctx_internal.h"

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

/* Both halves are there, are Z85, and belong together. */
static bool take_keys(zconfig_t *file, xo_keys_t *keys)
{
    const char *public_text = zconfig_get(file, "/curve/public-key", "");
    const char *secret_text = zconfig_get(file, "/curve/secret-key", "");
    char derived[XO_KEY_TEXT_BYTES];

    if (strlen(public_text) != XO_KEY_TEXT_BYTES - 1 ||
        strlen(secret_text) != XO_KEY_TEXT_BYTES - 1 ||
        zmq_curve_public(derived, secret_text) < 0 || strcmp(derived, public_text) != 0)
        return false;
    memcpy(keys->public_text, public_text, XO_KEY_TEXT_BYTES);
    memcpy(keys->secret_text, secret_text, XO_KEY_TEXT_BYTES);
    return true;
}

static int read_file(const char *path, xo_keys_t *keys, xo_error_t *err)
{
    zconfig_t *file;
    bool ok;

    if (check_file(path, err) < 0)
        return -1;
    file = zconfig_load(path);
    ok = file && take_keys(file, keys);
    zconfig_destroy(&file);
    if (!ok)
        return xo_error_set(err, EBADMSG,
                            "%s holds no CURVE key pair: remove it, or import the "
                            "cluster's key again",
                            path);
    return 0;
}

/* The text of a certificate with a new key pair, as zcert_load(3) reads it. */
static char *make_text(void)
{
    char public_text[XO_KEY_TEXT_BYTES], secret_text[XO_KEY_TEXT_BYTES];
    zconfig_t *file;
    char *text;

    if (zmq_curve_keypair(public_text, secret_text) < 0)
        return NULL;
    file = zconfig_new("root", NULL);
    zconfig_put(file, "/curve/public-key", public_text);
    zconfig_put(file, "/curve/secret-key", secret_text);
    zconfig_set_comment(file, "   ZeroMQ CURVE **Secret** Certificate of an xo cluster");
    zconfig_set_comment(file, "   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its "
                              "permissions.");
    text = zconfig_str_save(file);
    zconfig_destroy(&file);
    explicit_bzero(secret_text, sizeof secret_text);
    return text;
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

/* Writes a new key to a file of its own, `temp` (a template of mkostemp(3), 0600). */
static int write_temp(char *temp)
{
    char *text = make_text();
    int fd = text ? mkostemp(temp, O_CLOEXEC) : -1;
    int rc = fd < 0 ? -1 : write_all(fd, text);
    int saved = errno;

    if (fd >= 0)
        close(fd);
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    errno = saved;
    return rc;
}

/* link(2) is atomic and fails where the file exists: of processes that race, one makes the key. */
static int make_file(const char *path, xo_error_t *err)
{
    char temp[PATH_MAX];
    int rc = -1;

    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp)
        return xo_error_set(err, ENAMETOOLONG, "the key's path %s is too long", path);
    if (write_temp(temp) == 0 && (link(temp, path) == 0 || errno == EEXIST))
        rc = 0;
    else
        xo_error_set(err, errno, "cannot make the key %s: %s", path, strerror(errno));
    if (strcmp(temp + strlen(temp) - 6, "XXXXXX") != 0)
        unlink(temp);
    return rc;
}

int xo_keys_load(const char *cluster, xo_keys_t *keys, xo_error_t *err)
{
    char dir[PATH_MAX], path[PATH_MAX];
    int rc;

    if (!*cluster || strchr(cluster, '/'))
        return xo_error_set(err, EINVAL, "'%s' is no name of a cluster", cluster);
    if (open_dir(dir, err) < 0)
        return -1;
    if (snprintf(path, sizeof path, "%s/%s.key", dir, cluster) >= (int)sizeof path)
        return xo_error_set(err, ENAMETOOLONG, "the key's path in %s is too long", dir);
    rc = read_file(path, keys, err);
    if (rc < 0 && errno == ENOENT)
        rc = make_file(path, err) < 0 ? -1 : read_file(path, keys, err);
    return rc;
}
