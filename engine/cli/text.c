/* Tables, JSON and quantities for people. */
#include "cli/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sak_table {
    int columns, rows, capacity;
    char **cells; /* (rows, columns); row 0 holds the names */
};

sak_table *sak_table_open(int columns, const char *const *names)
{
    sak_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->columns = columns;
    sak_table_row(t, names);
    return t;
}

void sak_table_row(sak_table *t, const char *const *cells)
{
    if (!t)
        return;
    if (t->rows == t->capacity) {
        const int capacity = t->capacity ? 2 * t->capacity : 32;
        char **grown = realloc(t->cells, (size_t)capacity * (size_t)t->columns * sizeof *grown);
        if (!grown)
            return;
        t->cells = grown;
        t->capacity = capacity;
    }
    for (int c = 0; c < t->columns; c++)
        t->cells[t->rows * t->columns + c] = strdup(cells[c] ? cells[c] : "");
    t->rows++;
}

static const char *cell(const sak_table *t, int row, int column)
{
    const char *s = t->cells[row * t->columns + column];
    return s ? s : "";
}

static void print_csv_cell(const char *s, FILE *f)
{
    if (!s[strcspn(s, ",\"\r\n")]) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', f);
        fputc(*s, f);
    }
    fputc('"', f);
}

static void print_aligned(const sak_table *t, FILE *f)
{
    for (int r = 0; r < t->rows; r++) {
        size_t pad = 0;
        for (int c = 0; c < t->columns; c++) {
            size_t width = 0;
            for (int i = 0; i < t->rows; i++)
                if (sak_human_width(cell(t, i, c)) > width)
                    width = sak_human_width(cell(t, i, c));
            const char *s = cell(t, r, c);
            if (*s) {
                fprintf(f, "%*s%s", (int)pad, "", s);
                pad = width - sak_human_width(s) + 2;
            } else {
                pad += width + 2;
            }
        }
        fputc('\n', f);
    }
}

void sak_table_print(const sak_table *t, sak_format format, FILE *f)
{
    if (!t)
        return;
    if (format == SAK_FORMAT_TABLE) {
        print_aligned(t, f);
        return;
    }
    for (int r = 0; r < t->rows; r++) {
        for (int c = 0; c < t->columns; c++) {
            if (c)
                fputc(',', f);
            print_csv_cell(cell(t, r, c), f);
        }
        fputs("\r\n", f);
    }
}

void sak_table_close(sak_table *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->rows * t->columns; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

json_t *sak_json_real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

int sak_print_json(json_t *j, FILE *f)
{
    if (!j) {
        fputs("error: out of memory\n", stderr);
        return 1;
    }
    json_dumpf(j, f, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', f);
    json_decref(j);
    return 0;
}
