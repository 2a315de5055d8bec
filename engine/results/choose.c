/* Which runs a comparison or a report rests on, from the names a person gives. */
#include <stdlib.h>
#include <string.h>

#include "results/compare.h"

#define AS_JSON(rows)                                                                              \
    "SELECT json_group_array(json_array(run, place, cell_place, cell, arm, reference)), count(*),"  \
    " count(DISTINCT arm) FROM (" rows ")"

/* A run's place in its sweep: of its trial, as runs are numbered anew when they are tried again. */
#define TRIAL_OF_G "coalesce((SELECT t.n FROM run q JOIN trial t ON t.id = q.trial_id WHERE q.id = g.run), g.run)"

/* Cells come in the order of their first trials, the reference arm first. */
static const char of_sweep[] = AS_JSON(
    "SELECT g.run, r.arm_index AS place, min(" TRIAL_OF_G ") OVER (PARTITION BY g.cell) AS cell_place, g.cell,"
    " g.arm, r.arm_index = 0 AS reference FROM replicates g JOIN run r ON r.id = g.run"
    " WHERE g.sweep_id = ?1");

/* A sweep with one arm varies its grid alone: the cells take the arms' place. */
static const char of_cells[] = AS_JSON(
    "SELECT run, place, 0 AS cell_place, NULL AS cell, coalesce(cell, arm) AS arm,"
    " reference FROM (SELECT g.run, min(" TRIAL_OF_G ") OVER (PARTITION BY g.cell) AS place, g.cell, g.arm,"
    "  g.cell IS o.cell AS reference FROM replicates g JOIN one_arm o USING (sweep_id) WHERE g.sweep_id = ?1)");

/* ?1: JSON array of [run, label], the reference first; seeds of a configuration are replicates. */
static const char of_runs[] = AS_JSON(
    "SELECT max(g.run) AS run, w.key AS place, 0 AS cell_place, NULL AS cell,"
    " json_extract(w.value, '$[1]') AS arm, w.key = 0 AS reference"
    " FROM json_each(?1) w JOIN run r ON r.id = json_extract(w.value, '$[0]')"
    " JOIN replicates g ON g.group_sha256 = r.group_sha256 GROUP BY w.key, g.seed");

/* By its name, its script's name or its script's file, the latest: what people call it, who copied a
 * script and left the name inside as it was.  id 0: no such sweep. */
static sak_status find_sweep(sak_store *s, const char *name, int64_t *id, bool *one_arm, sak_chosen *out,
                             sak_error *err)
{
    static const char sql[] =
        "SELECT s.id, s.name, s.id IN (SELECT sweep_id FROM one_arm),"
        " (SELECT count(*) FROM trial WHERE sweep_id = s.id AND state IN ('pruned', 'failed')),"
        " (SELECT count(*) FROM trial WHERE sweep_id = s.id),"
        " (SELECT count(*) FROM trial WHERE sweep_id = s.id AND state = 'done'),"
        " (SELECT name FROM sweep n WHERE n.script_path = s.script_path AND n.id > s.id ORDER BY id DESC LIMIT 1)"
        " FROM (SELECT *, CASE ?1 WHEN name THEN 1 WHEN script_name THEN 2 WHEN script_path THEN 3 ELSE"
        "   4 * (substr('/' || script_path, -length(?1) - 5) = '/' || ?1 || '.lua') END AS known FROM sweep) s"
        " WHERE ?1 IS NULL OR known > 0 ORDER BY CASE WHEN ?1 IS NULL THEN 0 ELSE known END, s.id DESC LIMIT 1";
    const sak_value v = {.type = name ? SAK_TEXT : SAK_NULL, .text = name, .bytes = name ? strlen(name) : 0};
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    sak_status st = sak_rows_next(rows, &more, err);
    *id = 0;
    if (st == SAK_OK && more) {
        *id = sak_rows_value(rows, 0).i;
        *one_arm = sak_rows_value(rows, 2).i != 0;
        const sak_value newer = sak_rows_value(rows, 6);
        out->lost = (int)sak_rows_value(rows, 3).i;
        out->trials = (int)sak_rows_value(rows, 4).i;
        out->done = (int)sak_rows_value(rows, 5).i;
        out->sweep = strdup(sak_rows_value(rows, 1).text);
        out->newer = newer.type == SAK_TEXT ? strdup(newer.text) : NULL;
        if (!out->sweep || (newer.type == SAK_TEXT && !out->newer))
            st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    }
    sak_rows_close(rows);
    return st;
}

static void put_json_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++)
        fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : (unsigned char)*s < 0x20 ? "\\u%04x" : "%c",
                (unsigned char)*s);
    fputc('"', f);
}

/* [[run, label], …] for of_runs; malloc'd. */
static sak_status named_runs(sak_store *s, const sak_compare_spec *spec, char **json, sak_error *err)
{
    size_t size = 0;
    FILE *f = open_memstream(json, &size);
    if (!f)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sak_status st = SAK_OK;
    for (int i = 0; i < spec->n_what && st == SAK_OK; i++) {
        int64_t id = 0;
        st = sak_store_find_run(s, spec->what[i], &id, err);
        fprintf(f, "%s[%lld,", i ? "," : "[", (long long)id);
        put_json_text(f, spec->what[i]);
        fputc(']', f);
    }
    fputc(']', f);
    if (fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    return st;
}

/* ?1: as sak_chosen.json, ?2: how many arms and cells stay. */
static const char of_best[] = SAK_CHOSEN_CTE
    ", aim AS (SELECT s.objective, s.goal, k.id AS key FROM sweep s LEFT JOIN metric_key k"
    "  ON k.name = s.objective WHERE s.id = (SELECT r.sweep_id FROM chosen c JOIN run r ON r.id = c.run LIMIT 1))"
    ", scored AS (SELECT c.cell_place, c.place, iif(m.goal = 'min', -1, 1) *"
    "  iif(m.objective = 'val/delta_m', (SELECT delta_m FROM delta_m d WHERE d.run = c.run), l.value) AS score"
    "  FROM chosen c LEFT JOIN aim m LEFT JOIN metric_last l ON l.run_id = c.run AND l.key_id = m.key)"
    ", best AS (SELECT cell_place, place, avg(score) AS score, row_number() OVER (ORDER BY cell_place, place) = 1"
    "  AS first FROM scored GROUP BY cell_place, place ORDER BY first DESC, score IS NULL, score DESC, cell_place,"
    "  place LIMIT ?2) "
    AS_JSON("SELECT c.* FROM chosen c JOIN best b USING (cell_place, place)");

static sak_status fetch(sak_store *s, const char *sql, const sak_value *params, int n, sak_chosen *out,
                        sak_error *err)
{
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = params, .n_params = n}, &rows, err));
    sak_status st = sak_rows_next(rows, &more, err);
    if (st == SAK_OK && more) {
        out->json = strdup(sak_rows_value(rows, 0).text);
        out->runs = (int)sak_rows_value(rows, 1).i;
        out->arms = (int)sak_rows_value(rows, 2).i;
    }
    if (st == SAK_OK && !out->json)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sak_rows_close(rows);
    return st;
}

/* Says what sweeps there are, in the place of "no run of that name". */
static sak_status name_sweeps(sak_store *s, const char *what, sak_error *err)
{
    static const char sql[] = "SELECT group_concat(name, ', ') FROM (SELECT name FROM sweep ORDER BY id DESC LIMIT 8)";
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql}, &rows, err));
    sak_status st = sak_rows_next(rows, &more, err);
    const sak_value v = st == SAK_OK && more ? sak_rows_value(rows, 0) : (sak_value){0};
    if (st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOENT, "%s holds neither a sweep nor a run '%s'; %s%s", sak_store_path(s), what,
                      v.type == SAK_TEXT ? "its latest sweeps: " : "it has no sweeps",
                      v.type == SAK_TEXT ? v.text : "");
    sak_rows_close(rows);
    return st;
}

/* Runs that cannot be arms of a comparison: those without a finished replicate, and two of one configuration. */
static sak_status refuse_unfit(sak_store *s, const char *json, sak_error *err)
{
    static const char sql[] =
        "WITH named AS (SELECT w.key AS place, json_extract(w.value, '$[1]') AS name, r.state, r.group_sha256 AS conf"
        "  FROM json_each(?1) w JOIN run r ON r.id = json_extract(w.value, '$[0]'))"
        " SELECT name, NULL, state FROM named n WHERE NOT EXISTS (SELECT 1 FROM replicates g WHERE g.group_sha256 = n.conf)"
        " UNION ALL SELECT a.name, b.name, NULL FROM named a JOIN named b ON b.conf = a.conf AND b.place > a.place LIMIT 1";
    const sak_value v = {.type = SAK_TEXT, .text = json, .bytes = strlen(json)};
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    sak_status st = sak_rows_next(rows, &more, err);
    if (st == SAK_OK && more) {
        const sak_value name = sak_rows_value(rows, 0), other = sak_rows_value(rows, 1);
        st = other.type == SAK_TEXT
                 ? SAK_FAIL(err, SAK_EINVAL, "'%s' and '%s' are of one configuration; its seeds count as one arm, so one "
                                             "name is enough", name.text, other.text)
                 : SAK_FAIL(err, SAK_EINVAL, "run '%s' is %s: only finished runs have final values", name.text,
                            sak_rows_value(rows, 2).text);
    }
    sak_rows_close(rows);
    return st;
}

static sak_status choose_runs(sak_store *s, const sak_compare_spec *spec, sak_chosen *out,
                              sak_error *err)
{
    char *json = NULL;
    sak_status st = named_runs(s, spec, &json, err);
    if (st == SAK_OK)
        st = refuse_unfit(s, json, err);
    if (st == SAK_OK)
        st = fetch(s, of_runs, &(sak_value){.type = SAK_TEXT, .text = json, .bytes = strlen(json)}, 1, out,
                   err);
    free(json);
    return st;
}

sak_status sak_choose(sak_store *s, const sak_compare_spec *spec, sak_chosen *out, sak_error *err)
{
    *out = (sak_chosen){0};
    int64_t id = 0;
    bool one_arm = false;
    const char *name = spec->n_what ? spec->what[0] : NULL;
    sak_status st = SAK_OK;
    if (spec->n_what < 2)
        st = find_sweep(s, name, &id, &one_arm, out, err);
    if (st == SAK_OK && id)
        st = fetch(s, one_arm ? of_cells : of_sweep, &(sak_value){.type = SAK_INT, .i = id}, 1, out, err);
    else if (st == SAK_OK && name)
        st = choose_runs(s, spec, out, err);
    else if (st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOENT, "%s holds no sweep; name the runs", sak_store_path(s));
    if (st == SAK_ENOENT && spec->n_what == 1)
        st = name_sweeps(s, name, err);
    if (st != SAK_OK)
        sak_chosen_close(out);
    return st;
}

sak_status sak_choose_best(sak_store *s, const sak_chosen *of, int n, sak_chosen *out, sak_error *err)
{
    const sak_value params[] = {{.type = SAK_TEXT, .text = of->json, .bytes = strlen(of->json)},
                                {.type = SAK_INT, .i = n}};
    *out = (sak_chosen){0};
    return fetch(s, of_best, params, 2, out, err);
}

void sak_chosen_close(sak_chosen *c)
{
    free(c->sweep);
    free(c->newer);
    free(c->json);
    *c = (sak_chosen){0};
}
