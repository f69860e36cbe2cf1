/* keys.c - the cluster's key in a file of czmq's certificate format (ZPL, RFC 4/ZPL).
 *
 * Read and written here: for this one file each process would load czmq, and with it libsystemd,
 * libgcrypt and more, which is more memory than all of libxo takes. */
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

#include <zmq.h>

#include "libxo/ctx_internal.h"

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

/* The quoted value of `line`, "name = \"value\"", into `out`; false: it is another line. */
static bool take_value(const char *line, const char *name, char out[XO_KEY_TEXT_BYTES])
{
    size_t size = strlen(name);
    const char *end;

    line += strspn(line, " \t");
    if (strncmp(line, name, size) != 0)
        return false;
    line += size;
    line += strspn(line, " \t");
    if (*line++ != '=')
        return false;
    line += strspn(line, " \t");
    if (*line != '"' && *line != '\'')
        return false;
    end = strchr(line + 1, *line);
    if (!end || end - line != XO_KEY_TEXT_BYTES)
        return false;
    memcpy(out, line + 1, XO_KEY_TEXT_BYTES - 1);
    out[XO_KEY_TEXT_BYTES - 1] = 0;
    return true;
}

/* A line that is not indented begins a section. */
static bool in_section(const char *line, const char *name, bool before)
{
    size_t size = strlen(name);

    if (*line == 0 || strchr(" \t\r#", *line))
        return before;
    return strncmp(line, name, size) == 0 && strchr(" \t\r#", line[size]);
}

/* Both halves are there, are Z85, and belong together. */
static bool take_keys(char *text, xo_keys_t *keys)
{
    char derived[XO_KEY_TEXT_BYTES];
    char *rest = NULL;
    bool inside = false, has_public = false, has_secret = false;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        inside = in_section(line, "curve", inside);
        has_public |= inside && take_value(line, "public-key", keys->public_text);
        has_secret |= inside && take_value(line, "secret-key", keys->secret_text);
    }
    return has_public && has_secret && zmq_curve_public(derived, keys->secret_text) == 0 &&
           strcmp(derived, keys->public_text) == 0;
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

static int read_file(const char *path, xo_keys_t *keys, xo_error_t *err)
{
    char text[FILE_BYTES_MAX];
    bool ok;

    if (check_file(path, err) < 0)
        return -1;
    if (read_text(path, text, sizeof text) < 0 && errno != EBADMSG)
        return xo_error_set(err, errno, "cannot read the key %s: %s", path, strerror(errno));
    ok = take_keys(text, keys);
    explicit_bzero(text, sizeof text);
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
    char *text = NULL;

    if (zmq_curve_keypair(public_text, secret_text) < 0)
        return NULL;
    if (asprintf(&text,
                 "#   ZeroMQ CURVE **Secret** Certificate of an xo cluster\n"
                 "#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.\n\n"
                 "curve\n"
                 "    public-key = \"%s\"\n"
                 "    secret-key = \"%s\"\n",
                 public_text, secret_text) < 0)
        text = NULL;
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
