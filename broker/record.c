#include "broker/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/msg.h"
#include "libxo/utf8.h"
#include "registry/text.h"

/* Fields of the registry's records that are numbers on the wire. */
static const char *const number_names[] = {
    "actors",     "backoff_max_ms", "backoff_ms",  "busy_since", "epoch",     "failed_since",
    "generation", "handled",        "incarnation", "index",      "intensity", "lease_ms",
    "members",    "numa",           "order",       "period_ms",  "pid",       "pools",
    "port",       "restarts",       "started",     "waiting",    NULL,
};

void xo_id_format(uint64_t id, char text[XO_ID_TEXT_BYTES])
{
    snprintf(text, XO_ID_TEXT_BYTES, "%016" PRIx64, id);
}

int xo_id_parse(xo_slice_t text, uint64_t *id)
{
    char copy[XO_ID_TEXT_BYTES] = "";
    if (text.size == sizeof(copy) - 1)
        memcpy(copy, text.data, text.size);
    if (copy[0] == 0 || strspn(copy, "0123456789abcdefABCDEF") != sizeof(copy) - 1) {
        errno = EINVAL;
        return -1;
    }
    *id = strtoull(copy, NULL, 16);
    return 0;
}

/* ---- building ---- */

static struct xo_rec_field *add(xo_rec_t *rec, const char *name, xo_rec_kind_t kind)
{
    if (rec->count == XO_RECORD_FIELDS)
        return NULL;
    struct xo_rec_field *field = &rec->fields[rec->count++];
    field->name = name;
    field->kind = kind;
    return field;
}

static void add_value(xo_rec_t *rec, const char *name, xo_rec_kind_t kind, xo_slice_t value)
{
    struct xo_rec_field *field = add(rec, name, kind);
    if (field != NULL)
        field->value = value;
}

static void add_number(xo_rec_t *rec, const char *name, xo_rec_kind_t kind, int64_t number,
                       const char *digits)
{
    struct xo_rec_field *field = add(rec, name, kind);
    if (field == NULL)
        return;
    field->number = number;
    snprintf(field->digits, sizeof(field->digits), "%s", digits);
    field->value = xo_slice_str(field->digits);
}

void xo_rec_text(xo_rec_t *rec, const char *name, const char *value)
{
    add_value(rec, name, XO_REC_TEXT, xo_slice_str(value));
}

void xo_rec_set_text(xo_rec_t *rec, const char *name, const char *value)
{
    for (size_t i = 0; i < rec->count; i++) {
        if (strcmp(rec->fields[i].name, name) == 0) {
            rec->fields[i].value = xo_slice_str(value);
            return;
        }
    }
    xo_rec_text(rec, name, value);
}

void xo_rec_slice(xo_rec_t *rec, const char *name, xo_slice_t text)
{
    add_value(rec, name, XO_REC_TEXT, text);
}

void xo_rec_bytes(xo_rec_t *rec, const char *name, xo_slice_t value)
{
    add_value(rec, name, XO_REC_BYTES, value);
}

void xo_rec_raw(xo_rec_t *rec, const char *name, xo_slice_t value)
{
    if (value.size > 0)
        add_value(rec, name, XO_REC_RAW, value);
}

void xo_rec_int(xo_rec_t *rec, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof(digits), "%" PRId64, value);
    add_number(rec, name, XO_REC_INT, value, digits);
}

void xo_rec_drops(xo_rec_t *rec, xo_drop_t reason, int64_t count)
{
    static const char *const names[XO_DROP_REASONS] = {
        [XO_DROP_NO_ACTOR] = "drops_no_actor",   [XO_DROP_STALE] = "drops_stale",
        [XO_DROP_DEADLINE] = "drops_deadline",   [XO_DROP_CLOSED] = "drops_closed",
        [XO_DROP_NO_CALLER] = "drops_no_caller", [XO_DROP_NO_ROUTE] = "drops_no_route",
        [XO_DROP_MALFORMED] = "drops_malformed", [XO_DROP_REFUSED] = "drops_refused",
        [XO_DROP_OVERRUN] = "drops_overrun",     [XO_DROP_ERROR] = "drops_error",
        [XO_DROP_STALLED] = "drops_stalled",     [XO_DROP_LOST] = "drops_lost",
    };
    if (count > 0)
        xo_rec_int(rec, names[reason], count);
}

void xo_rec_id(xo_rec_t *rec, const char *name, uint64_t id)
{
    char digits[XO_ID_TEXT_BYTES];
    xo_id_format(id, digits);
    add_number(rec, name, XO_REC_TEXT, 0, digits);
}

void xo_rec_endpoint(xo_rec_t *rec, const char *name, uint64_t id)
{
    char digits[XO_ID_TEXT_BYTES];
    xo_id_format(id, digits);
    add_number(rec, name, XO_REC_ENDPOINT, (int64_t)id, digits);
}

/* ---- writing ---- */

static bool is_control(unsigned char c, bool lines)
{
    return (c < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f;
}

/* Printable UTF-8: what a person can read; `lines`: may be several. */
static bool is_text(xo_slice_t bytes, bool lines)
{
    size_t length;
    for (size_t at = 0; at < bytes.size; at += length) {
        length = xo_utf8_length(bytes.data + at, bytes.size - at);
        if (length == 0 || is_control((unsigned char)bytes.data[at], lines))
            return false;
    }
    return true;
}

static void pack_bytes(xo_slice_t value, bool lines, xo_buf_t *out)
{
    if (is_text(value, lines))
        xo_pack_str(out, value.data, value.size);
    else
        xo_pack_bin(out, value.data, value.size);
}

/* A sentence may quote a name that is no text, what a process has printed, or have been cut within
 * a character. What reads it as a str gets it as the registry has it. */
static void pack_text(xo_slice_t value, xo_buf_t *out)
{
    xo_buf_t text = XO_BUF_INIT;
    if (!is_text(value, true)) {
        xoi_encode(&text, value, false);
        value = xo_buf_slice(&text);
    }
    xo_pack_str(out, value.data, value.size);
    xo_buf_free(&text);
}

static void pack_field(const struct xo_rec_field *field, xo_buf_t *out)
{
    switch (field->kind) {
    case XO_REC_TEXT:
        pack_text(field->value, out);
        break;
    case XO_REC_BYTES:
        pack_bytes(field->value, false, out);
        break;
    case XO_REC_INT:
        xo_pack_int(out, field->number);
        break;
    case XO_REC_ENDPOINT:
        xo_pack_uint(out, (uint64_t)field->number);
        break;
    case XO_REC_RAW:
        xo_pack_raw(out, field->value);
        break;
    }
}

void xo_rec_pack(const xo_rec_t *rec, uint32_t more, xo_buf_t *out)
{
    xo_pack_map(out, (uint32_t)rec->count + more);
    for (size_t i = 0; i < rec->count; i++) {
        xo_pack_cstr(out, rec->fields[i].name);
        pack_field(&rec->fields[i], out);
    }
}

size_t xo_rec_fields(const xo_rec_t *rec, xo_field_t *fields)
{
    size_t count = 0;
    for (size_t i = 0; i < rec->count; i++) {
        const struct xo_rec_field *field = &rec->fields[i];
        if (field->kind != XO_REC_RAW)
            fields[count++] = (xo_field_t){field->name, field->value};
    }
    return count;
}

/* ---- what the registry holds ---- */

static bool is_number(const char *name)
{
    if (strncmp(name, "drops_", strlen("drops_")) == 0)
        return true;
    for (const char *const *number = number_names; *number != NULL; number++) {
        if (strcmp(*number, name) == 0)
            return true;
    }
    return false;
}

static int parse_number(xo_slice_t text, int64_t *number)
{
    char copy[24] = "";
    char *end = copy;
    if (text.size > 0 && text.size < sizeof(copy)) {
        memcpy(copy, text.data, text.size);
        *number = strtoll(copy, &end, 10);
    }
    return end != copy && *end == 0 ? 0 : -1;
}

/* The registry holds uids percent-encoded. */
static void pack_uid(const xo_field_t *field, xo_buf_t *out)
{
    char encoded[XO_RECORD_ID_BYTES], uid[XO_UID_BYTES_MAX];
    size_t size;
    snprintf(encoded, sizeof(encoded), "%.*s", (int)field->value.size, field->value.data);
    if (xo_registry_actor_uid(encoded, uid, sizeof(uid), &size) == 0)
        pack_bytes(xo_slice(uid, size), false, out);
    else
        pack_bytes(field->value, false, out);
}

static void pack_registry_field(const xo_field_t *field, xo_buf_t *out)
{
    int64_t number;
    xo_pack_cstr(out, field->name);
    if (is_number(field->name) && parse_number(field->value, &number) == 0)
        xo_pack_int(out, number);
    else if (strcmp(field->name, "uid") == 0)
        pack_uid(field, out);
    else
        pack_bytes(field->value, true, out);
}

void xo_rec_pack_registry(const xo_record_t *record, bool with_id, xo_buf_t *out)
{
    xo_pack_map(out, (uint32_t)record->count + (with_id ? 1 : 0));
    if (with_id) {
        xo_pack_cstr(out, "id");
        xo_pack_cstr(out, record->id);
    }
    for (size_t i = 0; i < record->count; i++)
        pack_registry_field(&record->fields[i], out);
}

xo_slice_t xo_rec_find(const xo_record_t *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->fields[i].name, name) == 0)
            return record->fields[i].value;
    }
    return (xo_slice_t){NULL, 0};
}

void xo_rec_number(const xo_record_t *record, const char *name, uint64_t *number)
{
    int64_t value;
    if (parse_number(xo_rec_find(record, name), &value) == 0)
        *number = (uint64_t)value;
}
