/* keys.c - xo keys: who may dial the nodes of a cluster. Works on files only; what runs watches
 * them. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/node.h"
#include "cmd/options.h"
#include "cmd/table.h"
#include "cmd/text.h"
#include "libxo/members.h"

#define IMPORT_BYTES_MAX ((size_t)2 << 20) /* more than the longest list takes */

static int complain(const xo_error_t *err)
{
    return xoi_complain(XOI_FAILED, "keys: %s", err->text);
}

static void shorten(const char *key, char digits[XO_FINGERPRINT_BYTES])
{
    xo_key_fingerprint(key, digits);
    digits[XO_FINGERPRINT_SHOWN] = '\0';
}

static int generate(const xoi_args_t *args, const char *name)
{
    xo_error_t err = {0};
    xo_keys_t keys;
    char digits[XO_FINGERPRINT_BYTES];
    if (xo_keys_generate(xoi_args_cluster(args), name, &keys, &err) < 0)
        return complain(&err);
    shorten(keys.own_public, digits);
    printf("%s %s\n", keys.own_name, digits);
    explicit_bzero(&keys, sizeof(keys));
    return XOI_OK;
}

/* The secret is for a pipe or a file, not for a screen that somebody else sees. */
static int export_key(const xoi_args_t *args, const char *name)
{
    xo_error_t err = {0};
    if (isatty(STDOUT_FILENO))
        return xoi_complain(XOI_USAGE,
                            "keys export: the secret does not belong on a terminal: xo keys export "
                            "%s | ssh %s xo keys import",
                            name, name);
    char *text = xo_keys_export(xoi_args_cluster(args), name, &err);
    if (!text)
        return complain(&err);
    fputs(text, stdout);
    fflush(stdout);
    explicit_bzero(text, strlen(text));
    free(text);
    return XOI_OK;
}

/* All of standard input, as a string; NULL after a complaint. */
static char *read_input(void)
{
    char *text = xoi_need(calloc(1, IMPORT_BYTES_MAX));
    size_t used = 0;
    ssize_t n;
    while ((n = read(STDIN_FILENO, text + used, IMPORT_BYTES_MAX - used)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        used += (size_t)n;
    }
    if (n == 0 && used > 0 && used < IMPORT_BYTES_MAX && strlen(text) == used)
        return text;
    if (n < 0 && used < IMPORT_BYTES_MAX)
        xoi_complain(XOI_FAILED, "keys import: cannot read standard input: %s", strerror(errno));
    else
        xoi_complain(XOI_FAILED,
                     "keys import: standard input has %s: it takes what xo keys export "
                     "prints on another machine",
                     used == 0 ? "nothing" : "what is no key");
    explicit_bzero(text, used);
    free(text);
    return NULL;
}

/* One that was kept and is out, when somebody may think that it was replaced: says so. */
static int check_kept(const char *cluster)
{
    xo_error_t err = {0};
    xo_keys_t keys;
    xo_members_t members = {0};
    int rc = XOI_OK;
    if (xo_keys_find(cluster, &keys, &err) < 0 || xo_members_load(cluster, &members, &err) < 0) {
        explicit_bzero(&keys, sizeof(keys));
        return complain(&err);
    }
    const xo_key_member_t *own = xo_members_find(&members, keys.own_public);
    if (own && own->revoked)
        rc = xoi_complain(
            XOI_FAILED,
            "keys import: this machine's key, '%s', was revoked, and stays as long as "
            "%s.key is here (XO_CONFIG_DIR, else $XDG_CONFIG_HOME/xo, else "
            "~/.config/xo): remove that file, and import what a member exports under a "
            "name that no machine has",
            keys.own_name, cluster);
    explicit_bzero(&keys, sizeof(keys));
    xo_members_clear(&members);
    return rc;
}

static int import_key(const xoi_args_t *args, const char *name)
{
    (void)name;
    xo_error_t err = {0};
    xo_keys_imported_t imported;
    char *text = read_input();
    if (!text)
        return XOI_FAILED;
    int rc = xo_keys_import(text, args->cluster, &imported, &err);
    free(text);
    if (rc < 0)
        return complain(&err);
    if (imported.kept)
        printf("the cluster '%s' has its key here already: merged the list of keys\n",
               imported.cluster);
    else
        printf("this machine is a member of the cluster '%s' now\n", imported.cluster);
    fflush(stdout);
    return imported.kept ? check_kept(imported.cluster) : XOI_OK;
}

static int revoke_key(const xoi_args_t *args, const char *which)
{
    xo_error_t err = {0};
    xo_key_member_t member;
    char digits[XO_FINGERPRINT_BYTES];
    if (xo_members_revoke(xoi_args_cluster(args), which, &member, &err) < 0)
        return complain(&err);
    shorten(member.key, digits);
    printf("revoked %s %s\n", member.name, digits);
    return XOI_OK;
}

/* ---- list ---- */

static void add_row(json_object *rows, const char *name, const char *key, const char *state,
                    int64_t revoked)
{
    json_object *row = xoi_need(json_object_new_object());
    char digits[XO_FINGERPRINT_BYTES];
    xo_key_fingerprint(key, digits);
    json_object_object_add(row, "name", json_object_new_string(name));
    json_object_object_add(row, "fingerprint", json_object_new_string(digits));
    digits[XO_FINGERPRINT_SHOWN] = '\0';
    json_object_object_add(row, "short", json_object_new_string(digits));
    json_object_object_add(row, "state", json_object_new_string(state));
    if (revoked)
        json_object_object_add(row, "revoked", json_object_new_int64(revoked));
    json_object_array_add(rows, row);
}

static json_object *make_rows(const xo_keys_t *keys, const xo_members_t *members)
{
    json_object *rows = xoi_need(json_object_new_array());
    const xo_key_member_t *own = xo_members_find(members, keys->own_public);
    bool is_out = own && own->revoked;
    add_row(rows, keys->own_name, keys->own_public, is_out ? "revoked" : "own",
            is_out ? own->revoked : 0);
    for (size_t i = 0; i < members->count; i++) {
        const xo_key_member_t *member = &members->list[i];
        if (member != own)
            add_row(rows, member->name, member->key, member->revoked ? "revoked" : "allowed",
                    member->revoked);
    }
    return rows;
}

static void print_rows(const xoi_args_t *args, json_object *rows)
{
    static const xoi_column_t columns[] = {
        {.title = "NAME", .key = "name"},
        {.title = "KEY", .key = "short"},
        {.title = "STATE", .key = "state"},
        {.title = "REVOKED", .key = "revoked", .cell = xoi_cell_age, .right = true}};
    if (!args->json) {
        xoi_table_print(columns, sizeof(columns) / sizeof(columns[0]), rows,
                        args->wide ? 0 : xoi_text_columns());
        return;
    }
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        json_object_object_del(json_object_array_get_idx(rows, i), "short");
    xoi_print_records(rows);
}

static int list(const xoi_args_t *args, const char *name)
{
    (void)name;
    xo_error_t err = {0};
    xo_keys_t keys;
    xo_members_t members = {0};
    if (xo_keys_find(xoi_args_cluster(args), &keys, &err) < 0 ||
        xo_members_load(xoi_args_cluster(args), &members, &err) < 0)
        return complain(&err);
    json_object *rows = make_rows(&keys, &members);
    explicit_bzero(&keys, sizeof(keys));
    print_rows(args, rows);
    json_object_put(rows);
    xo_members_clear(&members);
    return XOI_OK;
}

/* ---- the command ---- */

static const struct action {
    const char *name;
    const char *operand; /* NULL: it takes none */
    bool needs_it;
    int (*run)(const xoi_args_t *args, const char *operand);
} actions[] = {
    {"generate", "NAME", false, generate},    {"export", "NAME", true, export_key},
    {"import", NULL, false, import_key},      {"list", NULL, false, list},
    {"revoke", "NAME|KEY", true, revoke_key},
};

static int run(const xoi_args_t *args)
{
    const char *word = args->operands[0];
    const struct action *action = NULL;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, word) == 0)
            action = &actions[i];
    if (!action)
        return xoi_complain(XOI_USAGE,
                            "keys: '%s' is none of generate, export, import, list and revoke; "
                            "see: xo keys --help",
                            word);
    if (action->needs_it && args->operand_count < 2)
        return xoi_complain(XOI_USAGE, "keys %s: it needs %s; see: xo keys --help", word,
                            action->operand);
    if (!action->operand && args->operand_count > 1)
        return xoi_complain(XOI_USAGE, "keys %s: one argument too many: '%s'; see: xo keys --help",
                            word, args->operands[1]);
    return action->run(args, args->operand_count > 1 ? args->operands[1] : NULL);
}

const xoi_command_t xoi_command_keys = {
    .name = "keys",
    .operands = "generate|export|import|list|revoke [NAME]",
    .summary = "Says which machines belong to a cluster, by their keys",
    .options = "jwc",
    .text = "  generate [NAME]   makes this machine's key; without it, the first process does\n"
            "  export NAME       makes a key for another machine and prints all it needs; for\n"
            "                    one that has its key, the list alone\n"
            "  import            takes that from standard input\n"
            "  list              shows the keys that may dial this machine\n"
            "  revoke NAME|KEY   shuts a key out, within a second, for good; KEY is at\n"
            "                    least 8 digits of it\n"
            "\n"
            "One machine needs none of this. What export prints is secret. Nodes that share a\n"
            "Redis tell one another of revoked keys. To tell another machine of new ones,\n"
            "export to it again: it keeps its own key and merges the list.\n"
            "\n"
            "examples:\n"
            "  xo keys export gpu1 | ssh gpu1 xo keys import\n"
            "  xo keys list\n"
            "  xo keys revoke gpu1\n",
    .operands_min = 1,
    .operands_max = 2,
    .run = run,
};
