/* fuzz-keys.c - what comes from xo keys export, or is in the files of keys: whatever it is, it is
 * refused or read, and what was read is written so that it reads the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/keys_text.h"

static bool same_members(const xo_members_t *a, const xo_members_t *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->list[i].name, b->list[i].name) != 0 ||
            strcmp(a->list[i].key, b->list[i].key) != 0 || a->list[i].revoked != b->list[i].revoked)
            return false;
    return true;
}

static bool same_keys(const xo_keys_t *a, const xo_keys_t *b)
{
    return strcmp(a->public_text, b->public_text) == 0 &&
           strcmp(a->secret_text, b->secret_text) == 0 &&
           strcmp(a->own_public, b->own_public) == 0 && strcmp(a->own_secret, b->own_secret) == 0;
}

static void write_and_read(const xoi_keys_text_t *first)
{
    xoi_keys_text_t second;
    char *text = xoi_keys_format(first);

    if (!text)
        return;
    if (xoi_keys_parse(text, &second) < 0 || second.has_keys != first->has_keys ||
        !same_members(&first->members, &second.members) ||
        (first->has_keys && !same_keys(&first->keys, &second.keys)))
        abort();
    xoi_keys_text_clear(&second);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    xoi_keys_text_t read;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (xoi_keys_parse(text, &read) == 0)
        write_and_read(&read);
    xoi_keys_text_clear(&read);
    free(text);
    return 0;
}
