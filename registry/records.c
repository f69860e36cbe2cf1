#include "registry/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* While it grows all is kept as offsets into `text`, which moves. */
typedef struct span {
    size_t name; /* of a field; for a record: where its id is */
    size_t value, size;
    size_t first; /* of a record: its first field */
} span_t;

typedef struct spans {
    span_t *at;
    size_t count, capacity;
} spans_t;

struct xo_records {
    xo_buf_t text;
    spans_t heads, fields;
    bool failed;
    xo_record_t *list;
    xo_field_t *values;
};

xo_records_t *xoi_records_create(void)
{
    return calloc(1, sizeof(xo_records_t));
}

void xoi_records_destroy(xo_records_t *records)
{
    if (!records)
        return;
    xo_buf_free(&records->text);
    free(records->heads.at);
    free(records->fields.at);
    free(records->list);
    free(records->values);
    free(records);
}

static span_t *push(xo_records_t *records, spans_t *spans)
{
    if (spans->count == spans->capacity) {
        size_t capacity = spans->capacity ? spans->capacity * 2 : 16;
        span_t *at = reallocarray(spans->at, capacity, sizeof(*at));
        if (!at)
            return records->failed = true, NULL;
        spans->at = at;
        spans->capacity = capacity;
    }
    span_t *span = &spans->at[spans->count++];
    *span = (span_t){0, 0, 0, 0};
    return span;
}

/* Copies with a NUL behind it; returns where it is. */
static size_t keep(xo_records_t *records, xo_slice_t text)
{
    size_t where = records->text.size;
    xo_buf_append(&records->text, text.data, text.size);
    xo_buf_append(&records->text, "", 1);
    return where;
}

void xoi_records_begin(xo_records_t *records, xo_slice_t id)
{
    span_t *head = push(records, &records->heads);
    if (!head)
        return;
    head->name = keep(records, id);
    head->first = records->fields.count;
}

void xoi_records_field(xo_records_t *records, xo_slice_t name, xo_slice_t value)
{
    span_t *field = push(records, &records->fields);
    if (!field)
        return;
    field->name = keep(records, name);
    field->value = keep(records, value);
    field->size = value.size;
}

static void fill_fields(xo_records_t *records)
{
    for (size_t i = 0; i < records->fields.count; i++) {
        const span_t *span = &records->fields.at[i];
        xo_field_t *field = &records->values[i];
        field->name = records->text.data + span->name;
        field->value = xo_slice(records->text.data + span->value, span->size);
    }
}

static void fill_records(xo_records_t *records)
{
    for (size_t i = 0; i < records->heads.count; i++) {
        const span_t *head = &records->heads.at[i];
        bool last = i + 1 == records->heads.count;
        size_t end = last ? records->fields.count : head[1].first;
        xo_record_t *record = &records->list[i];
        record->id = records->text.data + head->name;
        record->fields = records->values + head->first;
        record->count = end - head->first;
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const xo_record_t *)a)->id, ((const xo_record_t *)b)->id);
}

/* A page of SSCAN may hold what an earlier one held. */
static size_t sort(xo_record_t *list, size_t count)
{
    size_t kept = 0;
    qsort(list, count, sizeof(*list), compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(list[kept - 1].id, list[i].id) != 0)
            list[kept++] = list[i];
    return kept;
}

int xoi_records_finish(xo_records_t *records, bool sorted, xo_record_t **list, size_t *count)
{
    if (!records || records->failed || xo_buf_ok(&records->text) < 0)
        return errno = ENOMEM, -1;
    if (!records->list) {
        records->values = calloc(records->fields.count + 1, sizeof(*records->values));
        records->list = calloc(records->heads.count + 1, sizeof(*records->list));
        if (!records->list || !records->values)
            return errno = ENOMEM, -1;
        fill_fields(records);
        fill_records(records);
    }
    *list = records->list;
    *count = sorted ? sort(records->list, records->heads.count) : records->heads.count;
    return 0;
}

xo_slice_t xoi_record_field(const xo_record_t *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return record->fields[i].value;
    return xo_slice(NULL, 0);
}

size_t xoi_records_prefer_found(xo_record_t *list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!xo_slice_eq_str(xoi_record_field(&list[i], "state"), XO_STATE_LOST))
            list[kept++] = list[i];
    return kept ? kept : count;
}
