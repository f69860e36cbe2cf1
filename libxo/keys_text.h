/* keys_text.h - the files of keys as text (ZPL, RFC 4/ZPL): reads and writes no file.
 *
 * One syntax for the key, the list of members, and what is exported, which is both.
 */
#ifndef XO_KEYS_TEXT_H
#define XO_KEYS_TEXT_H

#include "libxo/ctx.h"
#include "libxo/members.h"

typedef struct xoi_keys_text {
    char cluster[XO_CLUSTER_BYTES]; /* "": it does not say */
    bool has_keys;                  /* the cluster's pair is there, and a pair */
    xo_keys_t keys;                 /* without them: the cluster's public key, or nothing */
    xo_members_t members;
} xoi_keys_text_t;

/* Takes `text` apart. -1: EBADMSG, ENOMEM. The caller clears *out in any case. */
int xoi_keys_parse(char *text, xoi_keys_text_t *out);
void xoi_keys_text_clear(xoi_keys_text_t *text); /* wipes it, too */
/* The text, which the caller wipes and frees; NULL: ENOMEM. */
char *xoi_keys_format(const xoi_keys_text_t *text);
void xoi_wipe_free(char *text);

/* Takes over what is said of one key: 1 if that was new, 0; -1 ENOMEM, E2BIG. */
int xoi_members_put(xo_members_t *members, const xo_key_member_t *member);

#endif
