/* record.h - what is said about a node, a pool, an actor or an event: a short list of named fields,
 * written to the wire as a map with typed values (doc/wire.md, "Records") and to the registry as
 * text that a person can read (doc/registry.md).
 */
#ifndef XO_BROKER_RECORD_H
#define XO_BROKER_RECORD_H

#include <stdint.h>

#include "libxo/endpoint.h"
#include "libxo/pack.h"
#include "registry/registry.h"

#define XO_ID_TEXT_BYTES 17 /* 16 hex digits and a NUL */
#define XO_RECORD_FIELDS 40

void xo_id_format(uint64_t id, char text[XO_ID_TEXT_BYTES]);
/* 16 hex digits exactly; EINVAL. */
int xo_id_parse(xo_slice_t text, uint64_t *id);

typedef enum { XO_REC_TEXT, XO_REC_BYTES, XO_REC_INT, XO_REC_ENDPOINT, XO_REC_RAW } xo_rec_kind_t;

/* Zero-initialise. Do not copy: fields may point into it. A field too many is left out. */
typedef struct xo_rec {
    size_t count;
    struct xo_rec_field {
        const char *name;
        xo_rec_kind_t kind;
        int64_t number;
        xo_slice_t value;
        char digits[24];
    } fields[XO_RECORD_FIELDS];
} xo_rec_t;

/* Texts and bytes are not copied: they must outlive the record. What is no UTF-8 in a text is
 * written as %XX. */
void xo_rec_text(xo_rec_t *rec, const char *name, const char *value);
void xo_rec_set_text(xo_rec_t *rec, const char *name, const char *value); /* the same, once */
void xo_rec_slice(xo_rec_t *rec, const char *name, xo_slice_t text);
void xo_rec_bytes(xo_rec_t *rec, const char *name,
                  xo_slice_t value); /* wire: str if it is text, else bin */
void xo_rec_int(xo_rec_t *rec, const char *name, int64_t value);
void xo_rec_id(xo_rec_t *rec, const char *name, uint64_t id); /* hex, in both */
/* drops_REASON, unless there are none. */
void xo_rec_drops(xo_rec_t *rec, xo_drop_t reason, int64_t count);
void xo_rec_endpoint(xo_rec_t *rec, const char *name,
                     uint64_t id); /* wire: uint64; registry: hex */
void xo_rec_raw(xo_rec_t *rec, const char *name, xo_slice_t value); /* msgpack; wire only */

/* Appends the map; `more` pairs follow that the caller writes. */
void xo_rec_pack(const xo_rec_t *rec, uint32_t more, xo_buf_t *out);
/* The fields for the registry, at most XO_RECORD_FIELDS; returns how many. */
size_t xo_rec_fields(const xo_rec_t *rec, xo_field_t *fields);

/* Appends a registry's record as the map that xo_rec_pack would write, for an actor with its uid
 * decoded; "id" comes first if `with_id`. */
void xo_rec_pack_registry(const xo_record_t *record, bool with_id, xo_buf_t *out);
/* A field that is a number, which else stays as it is. */
void xo_rec_number(const xo_record_t *record, const char *name, uint64_t *number);
/* A field's text; empty: none. */
xo_slice_t xo_rec_find(const xo_record_t *record, const char *name);

#endif
