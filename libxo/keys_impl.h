/* keys_impl.h - the files of keys, for keys.c, keys_share.c, members.c and admission.c.
 */
#ifndef XO_KEYS_IMPL_H
#define XO_KEYS_IMPL_H

#include <limits.h>

#include "libxo/keys_text.h"

#define XOI_KEY_NAME_BAD "'%s' is no name of a key: 1 to 63 of A-Z a-z 0-9 _ . -"
#define XOI_MEMBERS_BYTES_MAX ((size_t)1 << 20) /* more than XO_MEMBERS_MAX take */

/* The file "CLUSTER.SUFFIX" in the directory of the keys, which is made and checked. */
int xoi_keys_path(const char *cluster, const char *suffix, char path[PATH_MAX], xo_error_t *err);
/* ENOENT and EBADMSG come without a sentence. The caller clears *out in any case. */
int xoi_keys_read(const char *path, size_t bytes_max, xoi_keys_text_t *out, xo_error_t *err);
/* Writes the file as a whole or not at all. EEXIST unless `replace`. */
int xoi_keys_write(const char *path, const xoi_keys_text_t *content, bool replace, xo_error_t *err);
/* The list in `path`; nobody where there is none. */
int xoi_members_read(const char *path, xo_members_t *members, xo_error_t *err);

#endif
