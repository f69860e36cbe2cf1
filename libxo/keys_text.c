/* keys_text.c - the syntax of the files of keys.
 *
 * Read and written here: for this each process would load czmq, and with it libsystemd, libgcrypt
 * and more, which is more memory than all of libxo takes. */
#include "libxo/keys_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#define VALUE_BYTES 160 /* the longest is a member with its key and a time */

typedef enum { OTHER, CLUSTER, CURVE, MEMBER, MEMBERS, SECTIONS } section_t;

/* The quoted value of `line`, "name = \"value\"", into `out`; false: it is another line, or too
 * long. */
static bool take_value(const char *line, const char *name, char *out, size_t out_size)
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
    size = end ? (size_t)(end - line - 1) : out_size;
    if (size >= out_size)
        return false;
    memcpy(out, line + 1, size);
    out[size] = 0;
    return true;
}

/* A line that is not indented begins a section. */
static section_t section_of(const char *line, section_t before)
{
    static const char *const names[SECTIONS] = {"", "cluster", "curve", "member", "members"};
    size_t size = strcspn(line, " \t\r#");

    if (size == 0)
        return before;
    for (section_t section = CLUSTER; section < SECTIONS; section++)
        if (strlen(names[section]) == size && memcmp(line, names[section], size) == 0)
            return section;
    return OTHER;
}

bool xo_key_name_ok(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return size > 0 && name[size] == 0 && size < XO_KEY_NAME_BYTES;
}

static bool is_key(const char *text)
{
    uint8_t key[XO_KEY_BYTES];

    return strlen(text) == XO_KEY_TEXT_BYTES - 1 && zmq_z85_decode(key, text);
}

/* "NAME KEY", or of who was revoked "NAME KEY TIME". */
static bool read_member(const char *value, bool revoked, xo_key_member_t *member)
{
    char more[2];
    int n = sscanf(value, "%63s %40s %19" SCNd64 " %1s", member->name, member->key,
                   &member->revoked, more);

    return n == (revoked ? 3 : 2) && (member->revoked > 0) == revoked &&
           xo_key_name_ok(member->name) && is_key(member->key);
}

/* Nothing may be overlooked here: what is not understood could be a revocation. */
static int take_member(const char *line, xo_members_t *members)
{
    char value[VALUE_BYTES];
    xo_key_member_t member = {0};
    bool allowed, revoked;

    if (strchr("\r#", line[strspn(line, " \t")]))
        return 0;
    allowed = take_value(line, "allowed", value, sizeof value);
    revoked = !allowed && take_value(line, "revoked", value, sizeof value);
    if ((!allowed && !revoked) || !read_member(value, revoked, &member)) {
        errno = EBADMSG; /* which sscanf(3) may have overwritten */
        return -1;
    }
    return xoi_members_put(members, &member) < 0 ? -1 : 0;
}

static int take_line(const char *line, section_t section, xoi_keys_text_t *out)
{
    xo_keys_t *keys = &out->keys;

    if (section == CLUSTER) {
        if (!take_value(line, "public-key", keys->public_text, XO_KEY_TEXT_BYTES))
            take_value(line, "name", out->cluster, sizeof out->cluster);
    } else if (section == CURVE) {
        if (!take_value(line, "public-key", keys->public_text, XO_KEY_TEXT_BYTES))
            take_value(line, "secret-key", keys->secret_text, XO_KEY_TEXT_BYTES);
    } else if (section == MEMBER) {
        if (!take_value(line, "public-key", keys->own_public, XO_KEY_TEXT_BYTES) &&
            !take_value(line, "secret-key", keys->own_secret, XO_KEY_TEXT_BYTES))
            take_value(line, "name", keys->own_name, sizeof keys->own_name);
    } else if (section == MEMBERS && *line && strchr(" \t", *line)) {
        return take_member(line, &out->members);
    }
    return 0;
}

static bool is_pair(const char *public_text, const char *secret_text)
{
    char derived[XO_KEY_TEXT_BYTES];

    return is_key(public_text) && is_key(secret_text) &&
           zmq_curve_public(derived, secret_text) == 0 && strcmp(derived, public_text) == 0;
}

/* Where there is no own pair, the cluster's is it. */
static int complete(xo_keys_t *keys, bool has_own)
{
    if (!is_pair(keys->public_text, keys->secret_text) ||
        (has_own &&
         (!is_pair(keys->own_public, keys->own_secret) || !xo_key_name_ok(keys->own_name)))) {
        errno = EBADMSG;
        return -1;
    }
    if (has_own)
        return 0;
    memcpy(keys->own_public, keys->public_text, XO_KEY_TEXT_BYTES);
    memcpy(keys->own_secret, keys->secret_text, XO_KEY_TEXT_BYTES);
    strcpy(keys->own_name, "cluster");
    return 0;
}

int xoi_keys_parse(char *text, xoi_keys_text_t *out)
{
    char *rest = NULL;
    section_t section = OTHER;
    bool has_own = false;

    *out = (xoi_keys_text_t){0};
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        section = section_of(line, section);
        out->has_keys |= section == CURVE;
        has_own |= section == MEMBER;
        if (take_line(line, section, out) < 0)
            return -1;
    }
    return out->has_keys || has_own ? complete(&out->keys, has_own) : 0;
}

void xoi_keys_text_clear(xoi_keys_text_t *text)
{
    xo_members_clear(&text->members);
    explicit_bzero(text, sizeof *text);
}

void xoi_wipe_free(char *text)
{
    int saved = errno;

    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    errno = saved;
}

/* ---- writing ---- */

#define SECRET_NOTE                                                                                \
    "#   ZeroMQ CURVE **Secret** Certificate of an xo cluster\n"                                   \
    "#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.\n\n"

static void write_keys(FILE *out, const xo_keys_t *keys)
{
    fprintf(out, "curve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n", keys->public_text,
            keys->secret_text);
    if (strcmp(keys->own_public, keys->public_text) != 0)
        fprintf(out,
                "member\n    name = \"%s\"\n    public-key = \"%s\"\n    secret-key = \"%s\"\n",
                keys->own_name, keys->own_public, keys->own_secret);
}

static void write_members(FILE *out, const xo_members_t *members)
{
    fputs("members\n", out);
    for (size_t i = 0; i < members->count; i++) {
        const xo_key_member_t *member = &members->list[i];
        if (member->revoked)
            fprintf(out, "    revoked = \"%s %s %" PRId64 "\"\n", member->name, member->key,
                    member->revoked);
        else
            fprintf(out, "    allowed = \"%s %s\"\n", member->name, member->key);
    }
}

/* Into a buffer of the whole size: a stream that grows would leave copies of the secrets behind. */
char *xoi_keys_format(const xoi_keys_text_t *text)
{
    size_t size = 2048 + text->members.count * VALUE_BYTES;
    char *buffer = calloc(1, size);
    FILE *out = buffer ? fmemopen(buffer, size, "w") : NULL;

    if (!out) {
        free(buffer);
        return NULL;
    }
    setvbuf(out, NULL, _IONBF, 0);
    if (text->has_keys)
        fputs(SECRET_NOTE, out);
    if (text->cluster[0])
        fprintf(out, "cluster\n    name = \"%s\"\n    public-key = \"%s\"\n", text->cluster,
                text->keys.public_text);
    if (text->has_keys)
        write_keys(out, &text->keys);
    if (!text->has_keys || text->members.count > 0)
        write_members(out, &text->members);
    fclose(out);
    return buffer;
}
