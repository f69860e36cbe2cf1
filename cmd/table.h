/* table.h - tables of records for people.
 */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* Writes a value as text, escaped; the caller frees it. */
typedef char *(*xoi_cell_f)(json_object *value);

typedef struct xoi_column {
    const char *title;
    const char *key;   /* of the record */
    xoi_cell_f cell;   /* NULL: xoi_cell_text */
    bool right;        /* aligned right, and never cut: numbers */
    const char *usual; /* left out where all rows have this or nothing; NULL: never */
    bool spare; /* the last one: gets what the others leave, none if its title has no room then */
} xoi_column_t;

char *xoi_cell_text(json_object *value);  /* "-" for what is missing */
char *xoi_cell_count(json_object *value); /* "12.3M" */
char *xoi_cell_age(json_object *value);   /* of a Unix time: how long ago */

/* Prints `rows`, an array of objects, below the titles. Lines take at most `width` columns (0: any
 * number): the widest columns of text are cut in the middle. */
void xoi_table_print(const xoi_column_t *columns, size_t count, json_object *rows, int width);

#endif
