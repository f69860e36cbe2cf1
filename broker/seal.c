#include "broker/seal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>
#include <zmq.h>

#include "libxo/ctx.h"

#define KDF_CONTEXT "xo-keys" /* of crypto_kdf_CONTEXTBYTES, the NUL included */
#define KDF_ID 1              /* revocations, in this form */
#define MAC_BYTES ((XO_SEAL_BYTES - 1) / 2)

_Static_assert(sizeof(KDF_CONTEXT) == crypto_kdf_CONTEXTBYTES, "the context's size");
_Static_assert(XO_KEY_BYTES == crypto_kdf_KEYBYTES, "the key's size");

static int derive_key(const xo_keys_t *keys, unsigned char key[crypto_generichash_KEYBYTES])
{
    uint8_t secret[XO_KEY_BYTES];
    if (sodium_init() < 0 || zmq_z85_decode(secret, keys->secret_text) == NULL) {
        errno = EINVAL;
        return -1;
    }
    int rc =
        crypto_kdf_derive_from_key(key, crypto_generichash_KEYBYTES, KDF_ID, KDF_CONTEXT, secret);
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

int xo_seal_revocation(const xo_keys_t *keys, const char *cluster, const xo_key_member_t *member,
                       char seal[XO_SEAL_BYTES])
{
    unsigned char key[crypto_generichash_KEYBYTES], mac[MAC_BYTES];
    /* None of the fields can have a blank. */
    char text[XO_CLUSTER_BYTES + XO_KEY_TEXT_BYTES + XO_KEY_NAME_BYTES + 64];
    int size = snprintf(text, sizeof(text), "revoked %s %s %" PRId64 " %s", cluster, member->key,
                        member->revoked, member->name);
    seal[0] = '\0';
    if (derive_key(keys, key) < 0)
        return -1;
    crypto_generichash(mac, sizeof(mac), (const unsigned char *)text, (size_t)size, key,
                       sizeof(key));
    sodium_memzero(key, sizeof(key));
    sodium_bin2hex(seal, XO_SEAL_BYTES, mac, sizeof(mac));
    return 0;
}

bool xo_seal_is_good(const xo_keys_t *keys, const char *cluster, const xo_key_member_t *member,
                     const char *seal)
{
    char good[XO_SEAL_BYTES];
    return xo_seal_revocation(keys, cluster, member, good) == 0 &&
           strlen(seal) == XO_SEAL_BYTES - 1 && sodium_memcmp(good, seal, XO_SEAL_BYTES - 1) == 0;
}
