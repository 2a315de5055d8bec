/* `sak show RUN`: everything one run left in the database. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "results/export.h"

/* A part of the answer: rows of one query with the run's id as ?1.  Without a title it is only in
 * the JSON; `pivot` makes the query of the table for people, where that is another one. */
typedef struct section {
    const char *title, *key;
    const char *sql;
    sak_status (*pivot)(sak_store *s, const sak_value *id, char **sql, sak_error *err);
} section;

static sak_status routing_sql(sak_store *s, const sak_value *id, char **sql, sak_error *err);

#define TIME(column) "strftime('%Y-%m-%d %H:%M:%S', " column " / 1e6, 'unixepoch', 'localtime')"

static const section sections[] = {
    {"Settings that are not defaults (--json has all)", "settings",
     "SELECT path, " SAK_EXPORT_SETTING " AS value, origin FROM param p"
     " WHERE run_id = ?1 AND coalesce(origin, '') <> 'default' ORDER BY path",
     NULL},
    {NULL, "params", "SELECT path, type, num, txt, origin FROM param WHERE run_id = ?1",
     NULL},
    {"Task metrics", "tasks",
     "SELECT k.task, k.name AS metric, l.value, k.unit, k.goal, d.baseline, d.delta"
     " FROM metric_last l JOIN metric_key k ON k.id = l.key_id"
     " LEFT JOIN delta_m_tasks d ON d.run = l.run_id AND d.metric = k.name"
     " WHERE l.run_id = ?1 AND k.task IS NOT NULL ORDER BY k.id",
     NULL},
    {"Relative to single-task runs, in percent", "delta_m",
     "SELECT tasks, tasks_with_baseline, delta_m FROM delta_m WHERE run = ?1"
     " AND tasks_with_baseline > 0",
     NULL},
    {"Final metrics", "metrics",
     "SELECT metric, value, unit, best, best_step, step, n, n_nonfinite FROM finals"
     " WHERE run = ?1 AND metric NOT GLOB 'router/*' ORDER BY metric",
     NULL},
    {"Router weights per task and level", "routing",
     "SELECT task, level, expert, weight, mean_weight FROM routing WHERE run = ?1"
     " ORDER BY task, level, expert",
     routing_sql},
    {"Attempts", "attempts",
     "SELECT n, state, " TIME("started_us") " AS started, round((coalesce(ended_us, heartbeat_us)"
     " - started_us) / 1e6, 1) AS seconds, resumed_step, host, threads, sak_version"
     " FROM attempt WHERE run_id = ?1 ORDER BY n",
     NULL},
    {"Events", "events",
     "SELECT " TIME("time_us") " AS time, level, kind, step, text FROM event WHERE run_id = ?1"
     " ORDER BY id",
     NULL},
    {"Artifacts", "artifacts",
     "SELECT kind, path, bytes, substr(sha256, 1, 12) AS sha256 FROM artifact WHERE run_id = ?1"
     " ORDER BY id",
     NULL},
    {"Tags", "tags", "SELECT name, value FROM tag WHERE run_id = ?1 ORDER BY name", NULL},
};

static const char head_sql[] =
    "SELECT r.id AS run, r.uid, r.name, e.name AS experiment, r.kind, s.name AS sweep, r.arm,"
    " r.cell, r.seed,"
    " r.state, " TIME("r.started_us") " AS started,"
    " (SELECT seconds FROM runs WHERE run = r.id) AS seconds,"
    " r.script_path AS script, r.script_sha256, r.git_commit, r.git_dirty, r.git_diff_sha256,"
    " r.data_id AS data, r.config_sha256, r.group_sha256, a.host, a.threads, a.cpu, a.isa,"
    " a.blis_kernel, a.sak_version, a.argv, r.config_json AS config"
    " FROM run r JOIN experiment e ON e.id = r.experiment_id LEFT JOIN sweep s ON s.id = r.sweep_id"
    " LEFT JOIN attempt a ON a.run_id = r.id AND a.n = r.attempts WHERE r.id = ?1";

static sak_query about(const char *sql, const sak_value *id)
{
    return (sak_query){.sql = sql, .params = id, .n_params = 1};
}

/* One line per fact, leaving out what is unknown. */
static sak_status print_head(sak_store *s, const sak_value *id, sak_error *err)
{
    sak_rows *rows = NULL;
    bool more = false;
    const sak_query q = about(head_sql, id);
    SAK_TRY(sak_store_query(s, &q, &rows, err));
    const sak_status st = sak_rows_next(rows, &more, err);
    for (int c = 0; st == SAK_OK && more && c < sak_rows_columns(rows); c++) {
        const sak_value v = sak_rows_value(rows, c);
        const char *name = sak_rows_name(rows, c);
        if (v.type == SAK_NULL || strcmp(name, "config") == 0)
            continue;
        if (v.type == SAK_TEXT)
            printf("%-16s %s\n", name, v.text);
        else if (v.type == SAK_INT)
            printf("%-16s %" PRId64 "\n", name, v.i);
        else
            printf("%-16s %.10g\n", name, v.num);
    }
    sak_rows_close(rows);
    return st;
}

/* Router weights, experts side by side: builds the query from the experts there are. */
static sak_status routing_sql(sak_store *s, const sak_value *id, char **sql, sak_error *err)
{
    sak_rows *rows = NULL;
    const sak_query q = about("SELECT DISTINCT replace(expert, '''', ''''''),"
                              " replace(expert, '\"', '\"\"') FROM routing WHERE run = ?1",
                              id);
    SAK_TRY(sak_store_query(s, &q, &rows, err));
    size_t size = 0;
    FILE *f = open_memstream(sql, &size);
    sak_status st = f ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    bool more = false;
    if (f)
        fputs("SELECT task, level", f);
    while (st == SAK_OK && (st = sak_rows_next(rows, &more, err)) == SAK_OK && more)
        fprintf(f, ", max(CASE WHEN expert = '%s' THEN weight END) AS \"%s\"",
                sak_rows_value(rows, 0).text, sak_rows_value(rows, 1).text);
    if (f)
        fputs(" FROM routing WHERE run = ?1 GROUP BY task, level ORDER BY task, level", f);
    if (f && fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sak_rows_close(rows);
    return st;
}

/* A titled table; nothing at all when there are no rows. */
static sak_status print_section(sak_store *s, const sak_value *id, const char *title,
                                const char *sql, sak_error *err)
{
    char *text = NULL;
    size_t size = 0;
    int64_t n = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    const sak_query q = about(sql, id);
    const sak_status st = sak_cli_query(s, &q, SAK_FORMAT_TABLE, f, &n, NULL, err);
    fclose(f);
    if (st == SAK_OK && n > 0)
        printf("\n%s\n\n%s", title, text);
    free(text);
    return st;
}

static sak_status print_text(sak_store *s, const sak_value *id, sak_error *err)
{
    sak_status st = print_head(s, id, err);
    for (size_t i = 0; st == SAK_OK && i < sizeof sections / sizeof *sections; i++) {
        const section *part = &sections[i];
        char *sql = NULL;
        if (part->pivot)
            st = part->pivot(s, id, &sql, err);
        if (st == SAK_OK && part->title)
            st = print_section(s, id, part->title, sql ? sql : part->sql, err);
        free(sql);
    }
    return st;
}

/* Replaces the text of the configuration by its value, and adds the script's text. */
static void unfold(sak_store *s, json_t *head)
{
    const char *config = json_string_value(json_object_get(head, "config"));
    json_t *value = config ? json_loads(config, JSON_DECODE_ANY, NULL) : NULL;
    if (value)
        json_object_set_new(head, "config", value);
    const char *sha = json_string_value(json_object_get(head, "script_sha256"));
    char *text = NULL;
    size_t bytes = 0;
    if (sha && sak_store_blob(s, sha, &text, &bytes, NULL) == SAK_OK)
        json_object_set_new(head, "script_text", json_stringn(text, bytes));
    free(text);
}

static sak_status print_json(sak_store *s, const sak_value *id, sak_error *err)
{
    json_t *head_rows = NULL, *rows = NULL;
    sak_query q = about(head_sql, id);
    SAK_TRY(sak_cli_query_json(s, &q, &head_rows, err));
    json_t *head = json_incref(json_array_get(head_rows, 0));
    json_decref(head_rows);
    unfold(s, head);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        q = about(sections[i].sql, id);
        const sak_status st = sak_cli_query_json(s, &q, &rows, err);
        if (st != SAK_OK) {
            json_decref(head);
            return st;
        }
        json_object_set_new(head, sections[i].key, rows);
    }
    sak_print_json(head, stdout);
    return SAK_OK;
}

int sak_verb_show(const sak_options *o)
{
    sak_store *s = NULL;
    sak_error err = {0};
    sak_value id = {.type = SAK_INT};
    int exit_status = sak_cli_store(o, SAK_STORE_READ, &s);
    if (exit_status == SAK_EXIT_OK) {
        sak_status st = sak_store_find_run(s, o->args[1], &id.i, &err);
        if (st == SAK_OK)
            st = o->json ? print_json(s, &id, &err) : print_text(s, &id, &err);
        if (st != SAK_OK)
            exit_status = sak_complain(&err);
    }
    sak_store_close(s);
    return exit_status;
}
