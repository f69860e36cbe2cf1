/* url.h - where a registry is: "memory:", "unix:///path?db=1",
 * "redis://user:password@host:port/db"; instead of the password a file that holds it:
 * "redis://user@host?password_file=/path"; "redis+sentinel://host,host:port/name/db", whose
 * sentinels may want "sentinel_user=user&sentinel_password_file=/path".
 */
#ifndef XO_REGISTRY_URL_H
#define XO_REGISTRY_URL_H

#include <stdbool.h>

#include "libxo/error.h"

#define XO_URL_DISPLAY_BYTES 512
#define XO_URL_FILE_BYTES 512

typedef struct xo_login {
    char user[128];               /* "" none */
    char password[512];           /* "" none. Percent-decoded, as the user is; never to be shown */
    char file[XO_URL_FILE_BYTES]; /* that holds it; "" none */
} xo_login_t;

typedef struct xo_url {
    char scheme[16];
    xo_login_t login;
    char host[256]; /* redis: without brackets */
    int port;
    char path[108]; /* unix: what sun_path holds */
    int db;
    char sentinels[512]; /* redis+sentinel: "host[:port],..."; host and port are not set then */
    char master[128];    /* the name that they know it by; "" none */
    xo_login_t sentinel_login;
    char display[XO_URL_DISPLAY_BYTES]; /* the URL without its passwords */
} xo_url_t;

/* EINVAL with a sentence that names the URL without anything before its last '@'. */
int xo_url_parse(const char *text, xo_url_t *url, xo_error_t *err);
/* Takes the password from its file once more; without one it does nothing. A file that others may
 * read or write is refused (EACCES); the sentence names it. The password stays as it was then. */
int xo_login_read(xo_login_t *login, xo_error_t *err);
/* May nodes of other machines be in it? Not in one by a local socket or at the loopback. */
bool xo_url_is_far(const char *text);
/* Number n of the sentinels, counted round. */
void xo_url_sentinel(const xo_url_t *url, unsigned n, char host[256], int *port);

#endif
