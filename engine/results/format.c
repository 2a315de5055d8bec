/* Rows as an aligned table, CSV or JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "results/db.h"

#define CELL_MAX 60 /* characters of a table's cell; longer texts end in … */

/* Bytes of the UTF-8 character at s (n > 0 bytes left); 0 when it is not valid UTF-8. */
static size_t utf8_bytes(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    const size_t want = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : (s[0] & 0xF0) == 0xE0 ? 3
                        : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
    if (want == 0 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || /* overlong, surrogate */
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return want;
}

/* --- CSV -------------------------------------------------------------------------------------- */

static void csv_text(const char *s, size_t n, FILE *out)
{
    bool plain = true;
    for (size_t i = 0; i < n; i++)
        plain = plain && !strchr("\",\r\n", s[i]) && s[i];
    if (plain) {
        fwrite(s, 1, n, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"')
            fputc('"', out);
        fputc(s[i], out);
    }
    fputc('"', out);
}

static void csv_value(const sak_value *v, FILE *out)
{
    char text[40];
    switch (v->type) {
    case SAK_INT:
        fprintf(out, "%" PRId64, v->i);
        break;
    case SAK_NUM:
        sak_human_exact(v->num, text);
        fputs(text, out);
        break;
    case SAK_TEXT:
        csv_text(v->text, v->bytes, out);
        break;
    case SAK_BLOB:
        for (size_t i = 0; i < v->bytes; i++)
            fprintf(out, "%02x", (unsigned char)v->text[i]);
        break;
    case SAK_NULL:
        break;
    }
}

void sak_rows_csv_head(const sak_rows *rows, FILE *out)
{
    for (int c = 0; c < sak_rows_columns(rows); c++) {
        const char *name = sak_rows_name(rows, c);
        if (c)
            fputc(',', out);
        csv_text(name, strlen(name), out);
    }
    fputs("\r\n", out);
}

void sak_rows_csv_row(const sak_rows *rows, FILE *out)
{
    for (int c = 0; c < sak_rows_columns(rows); c++) {
        const sak_value v = sak_rows_value(rows, c);
        if (c)
            fputc(',', out);
        csv_value(&v, out);
    }
    fputs("\r\n", out);
}

static sak_status print_csv(sak_rows *rows, FILE *out, int64_t *n, sak_error *err)
{
    sak_rows_csv_head(rows, out);
    for (bool more;; (*n)++) {
        SAK_TRY(sak_rows_next(rows, &more, err));
        if (!more)
            return SAK_OK;
        sak_rows_csv_row(rows, out);
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void json_text(const char *s, size_t n, FILE *out)
{
    const unsigned char *p = (const unsigned char *)s;
    fputc('"', out);
    for (size_t i = 0; i < n;) {
        const size_t k = utf8_bytes(p + i, n - i);
        if (p[i] == '"' || p[i] == '\\')
            fprintf(out, "\\%c", p[i]);
        else if (p[i] == '\n')
            fputs("\\n", out);
        else if (p[i] < 0x20 || p[i] == 0x7F)
            fprintf(out, "\\u%04x", p[i]);
        else if (k)
            fwrite(p + i, 1, k, out);
        else
            fputs("\\ufffd", out);
        i += k ? k : 1;
    }
    fputc('"', out);
}

void sak_rows_json_row(const sak_rows *rows, FILE *out)
{
    fputc('{', out);
    for (int c = 0; c < sak_rows_columns(rows); c++) {
        const sak_value v = sak_rows_value(rows, c);
        const char *name = sak_rows_name(rows, c);
        char text[40];
        fputs(c ? ", " : "", out);
        json_text(name, strlen(name), out);
        fputs(": ", out);
        if (v.type == SAK_INT) {
            fprintf(out, "%" PRId64, v.i);
        } else if (v.type == SAK_NUM && isfinite(v.num)) {
            sak_human_exact(v.num, text);
            fputs(text, out);
        } else if (v.type == SAK_TEXT) {
            json_text(v.text, v.bytes, out);
        } else {
            fputs("null", out);
        }
    }
    fputc('}', out);
}

static sak_status print_json(sak_rows *rows, FILE *out, int64_t *n, sak_error *err)
{
    fputc('[', out);
    for (bool more;; (*n)++) {
        SAK_TRY(sak_rows_next(rows, &more, err));
        if (!more)
            break;
        fputs(*n ? ",\n " : "\n ", out);
        sak_rows_json_row(rows, out);
    }
    fputs(*n ? "\n]\n" : "]\n", out);
    return SAK_OK;
}

/* --- table ------------------------------------------------------------------------------------ */

typedef struct cell {
    char *text;
    int width; /* characters */
    bool right;
} cell;

typedef struct grid {
    cell *cells;
    size_t n, cap;
} grid;

/* Copies at most CELL_MAX characters, control characters as spaces. */
static char *cell_text(const char *s, size_t n, int *width)
{
    char *out = malloc(n < 4 * CELL_MAX ? n * 3 + 4 : 4 * CELL_MAX + 4);
    size_t at = 0;
    *width = 0;
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0; out && i < n;) {
        const size_t k = utf8_bytes(p + i, n - i);
        if (*width == CELL_MAX - 1 && i + (k ? k : 1) < n) {
            at += (size_t)sprintf(out + at, "…");
            ++*width;
            break;
        }
        if (k == 0)
            at += (size_t)sprintf(out + at, "\xEF\xBF\xBD");
        else if (p[i] < 0x20 || p[i] == 0x7F)
            out[at++] = ' ';
        else
            for (size_t j = 0; j < k; j++)
                out[at++] = s[i + j];
        i += k ? k : 1;
        ++*width;
    }
    if (out)
        out[at] = 0;
    return out;
}

static bool add_cell(grid *g, const sak_value *v)
{
    if (g->n == g->cap) {
        const size_t cap = g->cap ? 2 * g->cap : 256;
        cell *p = realloc(g->cells, cap * sizeof *p);
        if (!p)
            return false;
        g->cells = p;
        g->cap = cap;
    }
    char text[48] = "";
    cell *c = &g->cells[g->n];
    *c = (cell){.right = v->type == SAK_INT || v->type == SAK_NUM};
    switch (v->type) {
    case SAK_TEXT:
        c->text = cell_text(v->text, v->bytes, &c->width);
        break;
    case SAK_INT:
        snprintf(text, sizeof text, "%" PRId64, v->i);
        break;
    case SAK_NUM:
        snprintf(text, sizeof text, "%.6g", v->num);
        break;
    case SAK_BLOB:
        snprintf(text, sizeof text, "(%zu bytes)", v->bytes);
        break;
    case SAK_NULL:
        strcpy(text, "-");
        break;
    }
    if (v->type != SAK_TEXT) {
        c->text = strdup(text);
        c->width = (int)strlen(text);
    }
    if (!c->text)
        return false;
    g->n++;
    return true;
}

static sak_status gather(sak_rows *rows, grid *g, int64_t *n, sak_error *err)
{
    const int columns = sak_rows_columns(rows);
    for (int c = 0; c < columns; c++) {
        const char *name = sak_rows_name(rows, c);
        if (!add_cell(g, &(sak_value){.type = SAK_TEXT, .text = name, .bytes = strlen(name)}))
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    }
    for (bool more;; (*n)++) {
        SAK_TRY(sak_rows_next(rows, &more, err));
        if (!more)
            return SAK_OK;
        for (int c = 0; c < columns; c++) {
            const sak_value v = sak_rows_value(rows, c);
            if (!add_cell(g, &v))
                return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        }
    }
}

static void pad(int n, FILE *out)
{
    for (; n > 0; n--)
        fputc(' ', out);
}

static sak_status print_table(sak_rows *rows, FILE *out, int64_t *n, sak_error *err)
{
    grid g = {0};
    const size_t columns = (size_t)sak_rows_columns(rows);
    sak_status status = gather(rows, &g, n, err);
    int *width = calloc(columns ? columns : 1, sizeof *width);
    bool *right = calloc(columns ? columns : 1, sizeof *right);
    if (status == SAK_OK && (!width || !right))
        status = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (status == SAK_OK) {
        for (size_t i = 0; i < g.n; i++) {
            const size_t c = i % columns;
            width[c] = g.cells[i].width > width[c] ? g.cells[i].width : width[c];
            right[c] = right[c] || g.cells[i].right;
        }
        for (size_t i = 0; i < g.n; i++) {
            const size_t c = i % columns;
            /* Headings and NULLs stand with the numbers of their column. */
            const bool to_right = right[c] && (g.cells[i].right || i < columns ||
                                               strcmp(g.cells[i].text, "-") == 0);
            const int space = width[c] - g.cells[i].width;
            if (to_right)
                pad(space, out);
            fputs(g.cells[i].text, out);
            if (c + 1 == columns)
                fputc('\n', out);
            else
                pad((to_right ? 0 : space) + 2, out);
        }
    }
    for (size_t i = 0; i < g.n; i++)
        free(g.cells[i].text);
    free(g.cells);
    free(width);
    free(right);
    return status;
}

sak_status sak_rows_print(sak_rows *rows, sak_format format, FILE *out, int64_t *n, sak_error *err)
{
    int64_t count = 0;
    sak_status status = format == SAK_FORMAT_CSV    ? print_csv(rows, out, &count, err)
                        : format == SAK_FORMAT_JSON ? print_json(rows, out, &count, err)
                                                    : print_table(rows, out, &count, err);
    if (n)
        *n = count;
    if (status == SAK_OK && (fflush(out) != 0 || ferror(out)))
        status = SAK_FAIL(err, SAK_EIO, "cannot write the output");
    return status;
}
