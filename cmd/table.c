/* table.c - column widths come from what is in them; the widest give way first. */
#include "cmd/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/text.h"

#define COLUMNS_MAX 16
#define TEXT_COLS_MIN                                                                              \
    5 /* a text is not cut below this: two characters on both sides of the "…"                   \
       */

typedef struct table {
    const xoi_column_t *columns;
    size_t column_count;
    size_t shown; /* of the columns, from the first */
    size_t row_count;
    char **cells; /* row by row; the first row holds the titles */
    int widths[COLUMNS_MAX];
    int gap;
} table_t;

/* What {"$bytes": "00ff"} stands for, escaped. */
static char *cell_bytes(json_object *hex)
{
    xo_buf_t bytes = XO_BUF_INIT;
    char *text = NULL;
    if (xoi_hex_read(json_object_get_string(hex), (size_t)json_object_get_string_len(hex),
                     &bytes) == 0)
        text = xoi_text_escape(bytes.data, bytes.size, 0);
    xo_buf_free(&bytes);
    return text ? text : xoi_text_printf("?");
}

char *xoi_cell_text(json_object *value)
{
    json_object *hex;
    if (!value)
        return xoi_text_printf("-");
    if (json_object_is_type(value, json_type_object) &&
        json_object_object_get_ex(value, "$bytes", &hex) &&
        json_object_is_type(hex, json_type_string))
        return cell_bytes(hex);
    if (!json_object_is_type(value, json_type_string)) {
        char *json = xoi_json_text(value);
        char *text = xoi_text_escape(json, strlen(json), XOI_KEEP_BACKSLASHES);
        free(json);
        return text;
    }
    size_t size = (size_t)json_object_get_string_len(value);
    return size ? xoi_text_escape(json_object_get_string(value), size, 0) : xoi_text_printf("-");
}

char *xoi_cell_count(json_object *value)
{
    return value ? xoi_text_count(json_object_get_uint64(value)) : xoi_text_printf("-");
}

char *xoi_cell_age(json_object *value)
{
    double since = value ? json_object_get_double(value) : 0;
    if (since <= 0)
        return xoi_text_printf("-");
    return xoi_text_age(xoi_text_now() - (int64_t)since);
}

static bool is_usual(const xoi_column_t *column, json_object *rows)
{
    size_t count = json_object_array_length(rows);
    for (size_t r = 0; r < count; r++) {
        json_object *value = NULL;
        json_object_object_get_ex(json_object_array_get_idx(rows, r), column->key, &value);
        if (value != NULL && strcmp(json_object_get_string(value), column->usual) != 0)
            return false;
    }
    return true;
}

/* Those that are shown, into kept[COLUMNS_MAX]. */
static size_t keep(const xoi_column_t *columns, size_t count, json_object *rows, xoi_column_t *kept)
{
    size_t shown = 0;
    for (size_t c = 0; c < count && shown < COLUMNS_MAX; c++)
        if (columns[c].usual == NULL || !is_usual(&columns[c], rows))
            kept[shown++] = columns[c];
    return shown;
}

static void fill(table_t *table, json_object *rows)
{
    table->cells = xoi_need(calloc((table->row_count + 1) * table->column_count, sizeof(char *)));
    char **cell = table->cells;
    for (size_t c = 0; c < table->column_count; c++)
        *cell++ = xoi_text_printf("%s", table->columns[c].title);
    for (size_t r = 0; r < table->row_count; r++) {
        json_object *row = json_object_array_get_idx(rows, r);
        for (size_t c = 0; c < table->column_count; c++) {
            const xoi_column_t *column = &table->columns[c];
            json_object *value = NULL;
            json_object_object_get_ex(row, column->key, &value);
            *cell++ = column->cell ? column->cell(value) : xoi_cell_text(value);
        }
    }
}

static void measure(table_t *table)
{
    size_t count = (table->row_count + 1) * table->column_count;
    for (size_t i = 0; i < count; i++) {
        int width = xoi_text_width(table->cells[i]);
        int *widest = &table->widths[i % table->column_count];
        *widest = width > *widest ? width : *widest;
    }
}

static int line_width(const table_t *table)
{
    int width = table->gap * ((int)table->shown - 1);
    for (size_t c = 0; c < table->shown; c++)
        width += table->widths[c];
    return width;
}

/* The widest column that can give way, or -1. */
static int widest_text(const table_t *table)
{
    int found = -1;
    for (int c = 0; c < (int)table->shown; c++)
        if (!table->columns[c].right && table->widths[c] > TEXT_COLS_MIN &&
            (found < 0 || table->widths[c] > table->widths[found]))
            found = c;
    return found;
}

/* No other column is cut for a spare one. */
static void fit_spare(table_t *table, int width)
{
    size_t last = table->column_count - 1;
    if (!table->columns[last].spare)
        return;
    for (size_t c = 0; c < last; c++)
        width -= table->widths[c] + 1;
    if (width < xoi_text_width(table->columns[last].title))
        table->shown = last;
    else if (width < table->widths[last])
        table->widths[last] = width;
}

static void squeeze(table_t *table, int width)
{
    fit_spare(table, width);
    if (line_width(table) > width)
        table->gap = 1;
    for (int c; line_width(table) > width && (c = widest_text(table)) >= 0;)
        table->widths[c]--;
    size_t count = (table->row_count + 1) * table->column_count;
    for (size_t i = 0; i < count; i++)
        table->cells[i] = xoi_text_fit(table->cells[i], table->widths[i % table->column_count]);
}

static void print_row(const table_t *table, char **cells)
{
    for (size_t c = 0; c < table->shown; c++) {
        int pad = table->widths[c] - xoi_text_width(cells[c]);
        bool last = c + 1 == table->shown;
        if (table->columns[c].right)
            printf("%*s%s", pad, "", cells[c]);
        else
            printf("%s%*s", cells[c], last ? 0 : pad, "");
        printf("%*s", last ? 0 : table->gap, "");
    }
    putchar('\n');
}

void xoi_table_print(const xoi_column_t *columns, size_t count, json_object *rows, int width)
{
    xoi_column_t kept[COLUMNS_MAX];
    table_t table = {.columns = kept,
                     .column_count = keep(columns, count, rows, kept),
                     .row_count = json_object_array_length(rows),
                     .gap = 2};
    table.shown = table.column_count;
    fill(&table, rows);
    measure(&table);
    if (width > 0)
        squeeze(&table, width);
    for (size_t r = 0; r <= table.row_count; r++)
        print_row(&table, table.cells + r * table.column_count);
    for (size_t i = 0; i < (table.row_count + 1) * table.column_count; i++)
        free(table.cells[i]);
    free(table.cells);
}
