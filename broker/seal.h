/* seal.h - the proof that a member of the cluster has said that a key is revoked: whoever may write
 * to Redis may not.
 *
 * A MAC (BLAKE2b, RFC 7693, of libsodium's crypto_generichash) whose key is derived from the secret
 * half of the cluster's pair, which all members have.
 */
#ifndef XO_BROKER_SEAL_H
#define XO_BROKER_SEAL_H

#include <stdbool.h>

#include "libxo/members.h"

#define XO_SEAL_BYTES 65 /* hex digits, with the NUL */

/* Of a revoked member: its key, since when, and the name. -1 EINVAL: the keys are none. */
int xo_seal_revocation(const xo_keys_t *keys, const char *cluster, const xo_key_member_t *member,
                       char seal[XO_SEAL_BYTES]);
bool xo_seal_is_good(const xo_keys_t *keys, const char *cluster, const xo_key_member_t *member,
                     const char *seal);

#endif
