#include "registry/url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxo/address.h"
#include "registry/text.h"

#define REDIS_PORT 6379
#define SENTINEL_PORT 26379

/* hiredis copies a path with strncpy into sun_path and needs the NUL. */
#define PATH_MAX_BYTES 106
#define SHOWN_BYTES 256 /* of a URL, in an error */

static const char *after_scheme(const char *text)
{
    const char *colon = strstr(text, "://");
    return colon ? colon + 3 : text;
}

/* How much of `text` can be shown: "user:password" without its "@host" is a likely mistake, so
 * nothing after a colon but a number. */
static size_t harmless_length(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (colon && text[0] != '[' && !strchr("/?", colon[1 + digits]))
        return (size_t)(colon - text);
    return strcspn(text, "?");
}

/* A URL that was not understood, with all that might be a password left out. */
static void redact(const char *text, char *out, size_t size)
{
    const char *rest = after_scheme(text);
    const char *at = strrchr(rest, '@');
    const char *shown = at ? at + 1 : rest;
    /* Of two @ the first may belong to the password, which then may hold colons, too. */
    bool is_plain = at && strchr(rest, '@') == at;
    size_t length = is_plain ? strcspn(shown, "?") : harmless_length(shown);
    bool is_cut = shown[length] == ':';
    snprintf(out, size, "%.*s%s%.*s%s", (int)(rest - text), text, at ? "***@" : "", (int)length,
             shown, is_cut ? ":***" : "");
}

static int wrong(const char *text, xo_error_t *err, const char *why)
{
    char shown[SHOWN_BYTES];
    redact(text, shown, sizeof(shown));
    return xo_error_set(
        err, EINVAL,
        "registry URL '%s': %s; it is memory:, unix:///PATH[?db=N] or "
        "redis://[USER:PASSWORD@]HOST[:PORT][/DB], "
        "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],.../NAME[/DB], or has USER@ and, "
        "behind a ?, password_file=PATH; for sentinels also sentinel_password_file=PATH and "
        "sentinel_user=USER, with & between them",
        shown, why);
}

/* Percent-decodes into out[size] with a NUL at the end; no NUL may come out of it. */
static int decode(const char *data, size_t length, char *out, size_t size)
{
    size_t n = 0;
    if (xoi_decode(xo_slice(data, length), out, size - 1, &n) < 0 || memchr(out, 0, n))
        return -1;
    out[n] = 0;
    return 0;
}

static int copy(const char *data, size_t length, char *out, size_t size)
{
    if (length >= size)
        return -1;
    memcpy(out, data, length);
    out[length] = 0;
    return 0;
}

/* "user:password", ":password", or "user" if a file has the password. */
static int parse_login(const char *text, size_t length, xo_login_t *login)
{
    const char *colon = memchr(text, ':', length);
    size_t user = colon ? (size_t)(colon - text) : length;
    if (decode(text, user, login->user, sizeof(login->user)) < 0 || (colon && user == length - 1))
        return -1;
    if (!colon)
        return user > 0 ? 0 : -1;
    return decode(colon + 1, length - user - 1, login->password, sizeof(login->password));
}

/* All of text[length] is a number in [0, max]. */
static int parse_number(const char *text, size_t length, int max, int *number)
{
    long value = 0;
    if (length == 0 || length > 9)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    *number = (int)value;
    return value > max ? -1 : 0;
}

/* "host", "host:port", "[v6]:port". */
static int parse_host(const char *at, size_t length, char host[256], int *port)
{
    const char *end = at + length, *close = NULL;
    if (length && at[0] == '[') {
        close = memchr(at, ']', length);
        if (!close || copy(at + 1, (size_t)(close - at - 1), host, 256) < 0)
            return -1;
        at = close + 1;
    } else {
        const char *colon = memchr(at, ':', length);
        size_t size = colon ? (size_t)(colon - at) : length;
        if (copy(at, size, host, 256) < 0)
            return -1;
        at += size;
    }
    if (!xoi_is_key(host) || (at < end && *at != ':'))
        return -1;
    return at == end ? 0 : parse_number(at + 1, (size_t)(end - at - 1), 65535, port);
}

/* ---- the password's file ---- */

static int read_line(int fd, char *line, size_t size)
{
    ssize_t length = read(fd, line, size - 1);
    if (length < 0)
        return -1;
    line[length] = 0;
    size_t end = strcspn(line, "\r\n");
    if (end == 0 || end == size - 1)
        return errno = EINVAL, -1;
    line[end] = 0;
    return 0;
}

/* What else is wrong with it than that it cannot be read; NULL: nothing. */
static const char *mistake_of(const struct stat *info)
{
    if (!S_ISREG(info->st_mode)) /* it is read again for each connection, and nobody waits */
        return "this is no regular file";
    return info->st_mode & (S_IRWXO | S_IWGRP) ? "others may read or write it" : NULL;
}

int xo_login_read(xo_login_t *login, xo_error_t *err)
{
    struct stat info;
    char line[sizeof(login->password)];
    const char *path = login->file;
    if (!path[0])
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) < 0) {
        int errnum = errno;
        if (fd >= 0)
            close(fd);
        return xo_error_set(err, errnum, "password file %s: %s", path, strerror(errnum));
    }
    const char *mistake = mistake_of(&info);
    int rc = mistake ? -1 : read_line(fd, line, sizeof(line));
    int errnum = mistake ? EACCES : errno;
    close(fd);
    if (rc == 0)
        memcpy(login->password, line, sizeof(line));
    explicit_bzero(line, sizeof(line));
    if (mistake)
        return xo_error_set(err, errnum, "password file %s: %s (mode %04o)", path, mistake,
                            info.st_mode & 07777);
    return rc < 0 ? xo_error_set(err, errnum, "password file %s: its first line is no password: %s",
                                 path, strerror(errnum))
                  : 0;
}

/* "NAME=value" into out[size]. 1: it is another name. */
static int parse_text(const char *pair, size_t length, const char *name, char *out, size_t size)
{
    size_t name_size = strlen(name);
    if (length <= name_size || memcmp(pair, name, name_size) != 0)
        return 1;
    return decode(pair + name_size, length - name_size, out, size);
}

/* One of "name=value&...", behind the "?". */
static int parse_pair(const char *pair, size_t length, xo_url_t *url)
{
    xo_login_t *sentinel = &url->sentinel_login;
    if (url->path[0] && length > 3 && memcmp(pair, "db=", 3) == 0)
        return parse_number(pair + 3, length - 3, 1 << 20, &url->db);
    int rc = parse_text(pair, length, "password_file=", url->login.file, sizeof(url->login.file));
    if (rc == 1 && url->master[0])
        rc = parse_text(pair, length, "sentinel_password_file=", sentinel->file,
                        sizeof(sentinel->file));
    if (rc == 1 && url->master[0])
        rc = parse_text(pair, length, "sentinel_user=", sentinel->user, sizeof(sentinel->user));
    return rc == 0 ? 0 : -1;
}

/* `query`: "?...", or "". The path, or the master's name, is known. */
static int parse_query(const char *query, xo_url_t *url)
{
    while (*query) {
        size_t length = strcspn(++query, "&");
        if (parse_pair(query, length, url) < 0)
            return -1;
        query += length;
    }
    return 0;
}

/* With the query parsed: where the passwords are from. */
static int find_passwords(const char *text, xo_url_t *url, xo_error_t *err)
{
    xo_error_t why = {0};
    const xo_login_t *login = &url->login;
    if (login->password[0] && login->file[0])
        return wrong(text, err, "a password and a file that has it");
    if (login->user[0] && !login->password[0] && !login->file[0])
        return wrong(text, err, "what is before @ is not USER:PASSWORD or :PASSWORD");
    if (url->sentinel_login.user[0] && !url->sentinel_login.file[0])
        return wrong(text, err, "sentinel_user without sentinel_password_file");
    if (xo_login_read(&url->login, &why) == 0 && xo_login_read(&url->sentinel_login, &why) == 0)
        return 0;
    char shown[SHOWN_BYTES]; /* its grammar is not what is wrong */
    redact(text, shown, sizeof(shown));
    return xo_error_set(err, why.errnum, "registry URL '%s': %s", shown, why.text);
}

/* ---- the whole ---- */

static void show_redis(xo_url_t *url)
{
    bool v6 = strchr(url->host, ':') != NULL;
    snprintf(url->display, sizeof(url->display), "redis://%s%s%s%s%s:%d/%d", url->login.user,
             url->login.user[0] ? "@" : "", v6 ? "[" : "", url->host, v6 ? "]" : "", url->port,
             url->db);
}

/* "[LOGIN@]HOST..." up to the path, which follows. NULL: the login is wrong. */
static const char *parse_authority(const char *text, const char **path, xo_url_t *url,
                                   xo_error_t *err)
{
    const char *rest = after_scheme(text);
    size_t authority = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', authority);
    *path = rest + authority;
    if (!at || parse_login(rest, (size_t)(at - rest), &url->login) == 0)
        return at ? at + 1 : rest;
    wrong(text, err, "what is before @ is not USER:PASSWORD or :PASSWORD");
    return NULL;
}

static int parse_redis(const char *text, xo_url_t *url, xo_error_t *err)
{
    const char *path;
    const char *host = parse_authority(text, &path, url, err);
    if (!host)
        return -1;
    url->port = REDIS_PORT;
    if (parse_host(host, (size_t)(path - host), url->host, &url->port) < 0)
        return wrong(text, err, "bad host or port");
    size_t length = strcspn(path, "?");
    if (length > 1 && parse_number(path + 1, length - 1, 1 << 20, &url->db) < 0)
        return wrong(text, err, "what follows the host is not a database number");
    if (path[0] == '#' || parse_query(path + length, url) < 0)
        return wrong(text, err, "what follows the ? is not password_file=PATH");
    if (find_passwords(text, url, err) < 0)
        return -1;
    show_redis(url);
    return 0;
}

/* ---- sentinels ---- */

void xo_url_sentinel(const xo_url_t *url, unsigned n, char host[256], int *port)
{
    const char *at = url->sentinels;
    unsigned count = 1;
    for (const char *comma = at; (comma = strchr(comma, ',')); comma++)
        count++;
    for (n %= count; n > 0; n--)
        at = strchr(at, ',') + 1;
    *port = SENTINEL_PORT;
    parse_host(at, strcspn(at, ","), host, port); /* which it has been before */
}

static int parse_sentinels(const char *list, size_t length, xo_url_t *url)
{
    char host[256];
    int port;
    if (copy(list, length, url->sentinels, sizeof(url->sentinels)) < 0)
        return -1;
    for (const char *at = url->sentinels;; at++) {
        size_t size = strcspn(at, ",");
        if (parse_host(at, size, host, &port) < 0)
            return -1;
        at += size;
        if (!*at)
            return 0;
    }
}

/* "/NAME[/DB]" */
static int parse_master(const char *path, size_t length, xo_url_t *url)
{
    const char *slash = length > 0 ? memchr(path + 1, '/', length - 1) : NULL;
    size_t size = slash ? (size_t)(slash - path) : length;
    if (size < 2 || decode(path + 1, size - 1, url->master, sizeof(url->master)) < 0 ||
        !xoi_is_key(url->master))
        return -1;
    return slash ? parse_number(slash + 1, length - size - 1, 1 << 20, &url->db) : 0;
}

static int parse_sentinel(const char *text, xo_url_t *url, xo_error_t *err)
{
    const char *path;
    const char *list = parse_authority(text, &path, url, err);
    if (!list)
        return -1;
    if (parse_sentinels(list, (size_t)(path - list), url) < 0)
        return wrong(text, err, "the sentinels are not HOST[:PORT],...");
    size_t length = strcspn(path, "?");
    if (parse_master(path, length, url) < 0)
        return wrong(text, err, "what follows them is not /NAME[/DB]");
    if (parse_query(path + length, url) < 0)
        return wrong(text, err,
                     "what follows the ? is not password_file=PATH, sentinel_password_file=PATH "
                     "or sentinel_user=USER");
    if (find_passwords(text, url, err) < 0)
        return -1;
    snprintf(url->display, sizeof(url->display), "redis+sentinel://%.100s%s%.250s/%.110s/%d",
             url->login.user, url->login.user[0] ? "@" : "", url->sentinels, url->master, url->db);
    return 0;
}

static int parse_unix(const char *text, xo_url_t *url, xo_error_t *err)
{
    const char *rest = after_scheme(text);
    const char *path = strchr(rest, '/');
    const char *query = path ? strchr(path, '?') : NULL;
    if (!path)
        return wrong(text, err, "the path is missing, as in unix:///run/redis.sock");
    if (path > rest &&
        (path[-1] != '@' || parse_login(rest, (size_t)(path - rest - 1), &url->login) < 0))
        return wrong(text, err, "what is before the path is not USER:PASSWORD@ or :PASSWORD@");
    size_t length = query ? (size_t)(query - path) : strlen(path);
    if (decode(path, length, url->path, sizeof(url->path)) < 0 ||
        strlen(url->path) > PATH_MAX_BYTES)
        return wrong(text, err, "the path is longer than a socket's name can be (106 bytes)");
    if (parse_query(query ? query : "", url) < 0)
        return wrong(text, err, "what follows the path is not ?db=NUMBER or ?password_file=PATH");
    if (find_passwords(text, url, err) < 0)
        return -1;
    snprintf(url->display, sizeof(url->display), "unix://%s%s%s?db=%d", url->login.user,
             url->login.user[0] ? "@" : "", url->path, url->db);
    if (url->db == 0)
        *strrchr(url->display, '?') = 0;
    return 0;
}

int xo_url_parse(const char *text, xo_url_t *url, xo_error_t *err)
{
    memset(url, 0, sizeof(*url));
    if (!text || !*text)
        return xo_error_set(err, EINVAL, "the registry's URL is empty");
    size_t scheme = strcspn(text, ":");
    if (text[scheme] == 0 || copy(text, scheme, url->scheme, sizeof(url->scheme)) < 0)
        return wrong(text, err, "no known scheme");
    if (strcmp(text, "memory:") == 0)
        return copy(text, strlen(text), url->display, sizeof(url->display));
    if (strncmp(text, "redis://", 8) == 0)
        return parse_redis(text, url, err);
    if (strncmp(text, "redis+sentinel://", 17) == 0)
        return parse_sentinel(text, url, err);
    if (strncmp(text, "unix://", 7) == 0)
        return parse_unix(text, url, err);
    if (strncmp(text, "rediss://", 9) == 0)
        return wrong(text, err, "TLS is not supported, use a tunnel");
    return wrong(text, err, "no known scheme");
}

bool xo_url_is_far(const char *text)
{
    xo_url_t url;
    xo_address_t first = {0};
    bool far = xo_url_parse(text, &url, NULL) == 0 && (url.host[0] || url.sentinels[0]);
    if (far && url.host[0])
        snprintf(first.host, sizeof(first.host), "%s", url.host);
    else if (far)
        xo_url_sentinel(&url, 0, first.host, &first.port);
    explicit_bzero(&url, sizeof(url));
    return far && !xo_address_is_loopback(&first);
}
