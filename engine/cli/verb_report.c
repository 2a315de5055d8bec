/* `sak report`: one self-contained HTML file about a sweep or some runs.  SQL makes JSON, the page
 * in report/ draws it. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/embedded.h"
#include "base/file.h"
#include "cli/compare.h"
#include "cli/db.h"
#include "cli/verbs.h"
#include "results/curves.h"
#include "results/export.h"

/* Of more arms (and cells) than ARMS_DRAWN the best are drawn; the table has all. */
enum { ARMS_DRAWN = 16, CURVE_POINTS = 200, SHEET_BYTES_MAX = 4 << 20 };

/* What ?1 of a part's query is: the runs that are drawn or all that were chosen, as
 * SAK_CHOSEN_CTE reads them, or the name of the chosen sweep, NULL where runs were named. */
typedef enum about { DRAWN, CHOSEN, SWEEP } about;

/* A part of the page's data: one query whose single value is JSON. */
typedef struct part {
    const char *key, *sql;
    about about;
} part;

/* Five digits are more than a screen shows; printf would make NULL a 0. */
#define SHORT(x) "iif(" x " IS NULL, NULL, CAST(printf('%.5g', " x ") AS REAL))"

/* The first rows of the CTE `listed`, and how many it has. */
#define LISTED(columns)                                                                            \
    "SELECT json_object('total', (SELECT count(*) FROM listed), 'rows', json((SELECT"              \
    " json_group_array(json_array(" columns ")) FROM (SELECT * FROM listed ORDER BY id LIMIT 200))))"

#define ARMS                                                                                       \
    SAK_CHOSEN_CTE "SELECT json_group_array(json_array(arm, cell)) FROM (SELECT arm, cell FROM chosen" \
                   " GROUP BY cell_place, place ORDER BY cell_place, place)"

static const part parts[] = {
    {"sweep",
     "SELECT json_object('name', name, 'script', script_path, 'state', state, 'total', total, 'question',"
     " coalesce(question, json_extract(spec_json, '$.question')), 'objective', objective)"
     " FROM sweep WHERE name = ?1", SWEEP},
    /* [arm, what the script says of it] */
    {"notes",
     "SELECT json_group_array(json_array(json_extract(a.value, '$.name'), json_extract(a.value, '$.note')))"
     " FROM sweep s, json_each(s.spec_json, '$.arms') a"
     " WHERE s.name = ?1 AND json_extract(a.value, '$.note') IS NOT NULL", SWEEP},
    /* [[arm, cell], …] */
    {"arms", ARMS, DRAWN},
    {"all_arms", ARMS, CHOSEN},
    /* [arm, cell, task, level, expert, mean weight over seeds] */
    {"routing",
     SAK_CHOSEN_CTE
     "SELECT json_group_array(json_array(arm, cell, task, level, expert, weight)) FROM ("
     " SELECT c.arm, c.cell, g.task, g.level, g.expert, " SHORT("avg(g.weight)") " AS weight"
     " FROM chosen c JOIN routing g ON g.run = c.run"
     " GROUP BY c.cell_place, c.place, g.task, g.level, g.expert"
     " ORDER BY c.cell_place, c.place, g.task, g.level, g.expert <> 'stem', g.expert)", DRAWN},
    /* [path, [value of each arm]]: settings that are not the same in all arms */
    {"diff",
     SAK_CHOSEN_CTE
     ", one AS (SELECT min(run) AS run, place, cell_place FROM chosen GROUP BY cell_place, place)"
     ", setting AS (SELECT d.path, o.place, o.cell_place, " SAK_EXPORT_SETTING " AS value"
     " FROM (SELECT DISTINCT path FROM param WHERE run_id IN (SELECT run FROM one)) d CROSS JOIN one o"
     " LEFT JOIN param p ON p.run_id = o.run AND p.path = d.path WHERE d.path <> 'seed')"
     "SELECT json_group_array(json_array(path, json(v))) FROM ("
     " SELECT path, json_group_array(value) AS v FROM"
     "  (SELECT * FROM setting ORDER BY path, cell_place, place) GROUP BY path"
     " HAVING count(DISTINCT coalesce(value, char(0))) > 1 ORDER BY path)", DRAWN},
    {"runs",
     SAK_CHOSEN_CTE
     "SELECT json_group_array(json_object('run', v.run, 'uid', v.uid, 'arm', c.arm, 'cell', c.cell,"
     " 'seed', v.seed, 'state', v.state, 'started', v.started, 'seconds', v.seconds, 'host', v.host,"
     " 'threads', v.threads, 'cpu', v.cpu, 'isa', v.isa, 'blis', v.blis_kernel, 'version',"
     " v.sak_version, 'commit', v.git_commit || iif(v.git_dirty, ' + changes', ''), 'data', v.data_id,"
     " 'script', v.script_path, 'config', substr(v.config_sha256, 1, 12), 'attempts', r.attempts))"
     " FROM chosen c JOIN runs v ON v.run = c.run JOIN run r ON r.id = c.run", CHOSEN},
    {"events",
     SAK_CHOSEN_CTE ", listed AS (SELECT e.* FROM chosen c JOIN event e ON e.run_id = c.run"
     " WHERE e.level <> 'info') " LISTED("run_id, level, kind, step, text"), CHOSEN},
    /* Trials without a run that finished: what went wrong may be nowhere else. */
    {"failures",
     "WITH listed AS (SELECT t.* FROM sweep s JOIN trial t ON t.sweep_id = s.id"
     " WHERE s.name = ?1 AND t.state = 'failed') " LISTED("n, coalesce(label, arm), seed, error"), SWEEP},
};

/* JSON inside a <script>: no text of it may end the element. */
static void put_json(const char *json, FILE *f)
{
    for (; *json; json++)
        if (*json == '<')
            fputs("\\u003c", f);
        else
            fputc(*json, f);
}

static sak_status put_part(sak_store *s, const part *p, const char *text, FILE *f, sak_error *err)
{
    const sak_value v = {.type = text ? SAK_TEXT : SAK_NULL, .text = text, .bytes = text ? strlen(text) : 0};
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = p->sql, .params = &v, .n_params = 1}, &rows, err));
    const sak_status st = sak_rows_next(rows, &more, err);
    if (st == SAK_OK) {
        fprintf(f, ",\n\"%s\": ", p->key);
        put_json(more && sak_rows_value(rows, 0).type == SAK_TEXT ? sak_rows_value(rows, 0).text : "null", f);
    }
    sak_rows_close(rows);
    return st;
}

/* --- curves ----------------------------------------------------------------------------------- */

static void put_json_value(const json_t *value, FILE *f)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    put_json(text ? text : "null", f);
    free(text);
}

static void put_json_text(const char *s, FILE *f)
{
    json_t *value = s ? json_string(s) : json_null();
    put_json_value(value, f);
    json_decref(value);
}

/* [metric, goal, unit, arm, cell, [[step, mean over seeds, smallest, largest], …]]; five digits are
 * more than a screen shows. */
static sak_status put_curves(sak_store *s, const sak_chosen *drawn, FILE *f, sak_error *err)
{
    sak_curves curves;
    SAK_TRY(sak_curves_read(s, drawn, CURVE_POINTS, &curves, err));
    fputs(",\n\"curves\": [", f);
    for (const sak_curve *c = curves.list; c < curves.list + curves.n; c++) {
        const char *const texts[] = {c->metric, c->goal, c->unit, c->arm, c->cell};
        fputs(c == curves.list ? "[" : ",\n[", f);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            put_json_text(texts[i], f);
            fputc(',', f);
        }
        for (int i = 0; i < c->n; i++)
            fprintf(f, "%c[%.5g,%.5g,%.5g,%.5g]", i ? ',' : '[', c->points[i].step, c->points[i].mean,
                    c->points[i].lo, c->points[i].hi);
        fputs("]]", f);
    }
    fputc(']', f);
    sak_curves_close(&curves);
    return SAK_OK;
}

/* --- pictures --------------------------------------------------------------------------------- */

static void put_base64(const unsigned char *p, size_t n, FILE *f)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        const unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? p[i + 1] : 0u) << 8 | (i + 2 < n ? p[i + 2] : 0u);
        fputc(digits[v >> 18], f);
        fputc(digits[v >> 12 & 63], f);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? digits[v & 63] : '=', f);
    }
}

/* A sheet as a data: address and null, or null and why there is none. */
static void put_sheet(const sak_store *s, const char *path, FILE *f)
{
    sak_error err = {0};
    void *bytes = NULL;
    size_t n = 0;
    char *at = sak_store_artifact(s, path);
    if (sak_file_read(at ? at : path, SHEET_BYTES_MAX, &bytes, &n, &err) == SAK_OK) {
        fputs("\"data:image/png;base64,", f);
        put_base64(bytes, n, f);
        fputs("\", null", f);
    } else {
        fputs("null, ", f);
        put_json_text(err.msg, f);
    }
    sak_free(bytes);
    free(at);
}

/* [about, address, why there is none] of the prediction sheet of each arm's first seed. */
static sak_status put_sheets(sak_store *s, const sak_chosen *chosen, FILE *f, sak_error *err)
{
    static const char sql[] = SAK_CHOSEN_CTE
        "SELECT json_object('arm', c.arm, 'cell', c.cell, 'run', c.run, 'seed', r.seed),"
        " a.path FROM (SELECT min(run) AS run, arm, cell, place, cell_place FROM chosen"
        "  GROUP BY cell_place, place) c JOIN run r ON r.id = c.run"
        " JOIN artifact a ON a.run_id = c.run AND a.kind = 'sheet' ORDER BY c.cell_place, c.place";
    const sak_value v = {.type = SAK_TEXT, .text = chosen->json, .bytes = strlen(chosen->json)};
    sak_rows *rows = NULL;
    bool more = true;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    sak_status st = SAK_OK;
    fputs(",\n\"sheets\": [", f);
    for (int i = 0; (st = sak_rows_next(rows, &more, err)) == SAK_OK && more; i++) {
        fputs(i ? ",\n[" : "[", f);
        put_json(sak_rows_value(rows, 0).text, f);
        fputs(", ", f);
        put_sheet(s, sak_rows_value(rows, 1).text, f);
        fputc(']', f);
    }
    fputc(']', f);
    sak_rows_close(rows);
    return st;
}

/* --- scripts ---------------------------------------------------------------------------------- */

/* {path: text}: the scripts of what was frozen under this hash, null where that is lost. */
static void put_files(sak_store *s, const char *sha256, FILE *f)
{
    char *text = NULL;
    size_t n = 0;
    json_t *frozen = sak_store_blob(s, sha256, &text, &n, NULL) == SAK_OK ? json_loadb(text, n, 0, NULL) : NULL;
    put_json_value(json_object_get(frozen, "files"), f);
    json_decref(frozen);
    free(text);
}

/* What the runs were made from; a function of an arm is nowhere else. */
static sak_status put_scripts(sak_store *s, const sak_chosen *chosen, FILE *f, sak_error *err)
{
    static const char sql[] = SAK_CHOSEN_CTE
        "SELECT DISTINCT coalesce(r.frozen_sha256, w.frozen_sha256) AS sha FROM chosen c"
        " JOIN run r ON r.id = c.run LEFT JOIN sweep w ON w.id = r.sweep_id WHERE sha IS NOT NULL";
    const sak_value v = {.type = SAK_TEXT, .text = chosen->json, .bytes = strlen(chosen->json)};
    sak_rows *rows = NULL;
    bool more = true;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    sak_status st = SAK_OK;
    fputs(",\n\"scripts\": [", f);
    for (int i = 0; (st = sak_rows_next(rows, &more, err)) == SAK_OK && more; i++) {
        fputs(i ? ",\n" : "", f);
        put_files(s, sak_rows_value(rows, 0).text, f);
    }
    fputc(']', f);
    sak_rows_close(rows);
    return st;
}

/* --- the page --------------------------------------------------------------------------------- */

static sak_status put_comparison(sak_store *s, const sak_chosen *chosen, const sak_compare_spec *spec,
                                 FILE *f, sak_error *err)
{
    sak_comparison c;
    const sak_status st = sak_compare(s, chosen, spec, &c, err);
    if (st != SAK_OK && !(st == SAK_ENOENT && chosen->runs && !spec->metric)) /* a teacher's run has curves alone */
        return st;
    json_t *rows = sak_comparison_json(&c);
    char *text = rows ? json_dumps(rows, JSON_REAL_PRECISION(7) | JSON_COMPACT) : NULL;
    fputs(",\n\"comparison\": ", f);
    put_json(text ? text : "[]", f);
    free(text);
    json_decref(rows);
    char *words = NULL;
    size_t size = 0;
    FILE *note = open_memstream(&words, &size);
    if (note)
        sak_comparison_explain(&c, chosen, note);
    const bool whole = note && fclose(note) == 0;
    fputs(",\n\"note\": ", f);
    put_json_text(whole ? words : "", f);
    free(words);
    sak_comparison_close(&c);
    return SAK_OK;
}

static sak_status put_data(sak_store *s, const sak_chosen *chosen, const sak_compare_spec *spec, FILE *f,
                           sak_error *err)
{
    sak_chosen drawn;
    fputs("{\"title\": ", f);
    put_json_text(chosen->sweep ? chosen->sweep : spec->what[0], f);
    fputs(",\n\"version\": \"" SAK_VERSION "\"", f);
    sak_status st = put_comparison(s, chosen, spec, f, err);
    if (st == SAK_OK)
        st = sak_choose_best(s, chosen, ARMS_DRAWN, &drawn, err);
    if (st != SAK_OK)
        return st;
    const char *const texts[] = {[DRAWN] = drawn.json, [CHOSEN] = chosen->json, [SWEEP] = chosen->sweep};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && st == SAK_OK; i++)
        st = put_part(s, &parts[i], texts[parts[i].about], f, err);
    if (st == SAK_OK)
        st = put_curves(s, &drawn, f, err);
    if (st == SAK_OK)
        st = put_sheets(s, &drawn, f, err);
    if (st == SAK_OK)
        st = put_scripts(s, chosen, f, err);
    fputs("}\n", f);
    sak_chosen_close(&drawn);
    return st;
}

static const sak_embedded *asset(const char *name)
{
    const sak_embedded *a = sak_embedded_report;
    while (strcmp(a->file, name) != 0)
        a++; /* the names are ours: a missing one is a mistake of the build */
    return a;
}

/* Copies report.html; a line "@@ name" stands for that file, "@@ data" for the data. */
static sak_status put_page(sak_store *s, const sak_chosen *chosen, const sak_compare_spec *spec, FILE *f,
                           sak_error *err)
{
    sak_status st = SAK_OK;
    for (const char *line = asset("report.html")->text; *line && st == SAK_OK;) {
        const size_t n = strcspn(line, "\n");
        char name[64];
        if (sscanf(line, "@@ %63s", name) != 1)
            fwrite(line, 1, n + (line[n] == '\n'), f);
        else if (strcmp(name, "data") == 0)
            st = put_data(s, chosen, spec, f, err);
        else
            fwrite(asset(name)->text, 1, asset(name)->size, f);
        line += n + (line[n] == '\n');
    }
    return st;
}

static sak_status report(sak_store *s, const sak_compare_spec *spec, const char *path, sak_error *err)
{
    sak_chosen chosen;
    SAK_TRY(sak_choose(s, spec, &chosen, err));
    char *html = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&html, &size);
    sak_status st = f ? put_page(s, &chosen, spec, f, err) : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (f && fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (st == SAK_OK)
        st = sak_file_write_atomic(path, html, size, err);
    free(html);
    sak_chosen_close(&chosen);
    return st;
}

int sak_verb_report(const sak_options *o)
{
    sak_store *s = NULL;
    sak_error err = {0};
    const sak_compare_spec spec = {
        .what = o->args + 1,
        .n_what = o->n_args - 1,
        .metric = o->metric,
        .level = o->level > 0 ? o->level : SAK_DEFAULT_LEVEL,
    };
    const char *path = o->out ? o->out : "report.html";
    int st = sak_cli_store(o, SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK && report(s, &spec, path, &err) != SAK_OK)
        st = sak_complain(&err);
    else if (st == SAK_EXIT_OK && !o->quiet)
        fprintf(stderr, "%s: open it in a browser; it needs nothing else\n", path);
    sak_store_close(s);
    return st;
}
