/* `sak ls`: the runs, or the sweeps, newest first. */
#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/verbs.h"

enum { ROWS_ON_SCREEN = 30 };

#define STARTED(us) " strftime('%Y-%m-%d %H:%M', " us " / 1e6, 'unixepoch', 'localtime') AS started"
/* A sweep goes by its name or its script's file, as for `sak compare`; here ?1 may be a pattern. */
#define SWEEP_MATCHES                                                                              \
    " s.name GLOB ?1 OR '/' || s.script_path GLOB '*/' || ?1"                                      \
    " OR '/' || s.script_path GLOB '*/' || ?1 || '.lua'"

#define WHEN                                                                                       \
    " r.seed, r.state," STARTED("r.started_us") ","                                                \
    " (SELECT seconds FROM runs WHERE run = r.id) AS seconds,"                                     \
    " (SELECT max(step) FROM metric_last WHERE run_id = r.id) AS steps"
#define RUN_ROWS                                                                                   \
    " FROM run r JOIN experiment e ON e.id = r.experiment_id LEFT JOIN sweep s ON s.id = r.sweep_id" \
    " WHERE ?1 IS NULL OR r.name GLOB ?1 OR e.name GLOB ?1 OR r.state = ?1 OR" SWEEP_MATCHES        \
    " ORDER BY r.id DESC"

/* For people: what stands for each task (else the last loss) and delta_m, in one column; a sweep's
 * run goes by its sweep, as all of them have the experiment's name. */
static const char for_people[] =
    "SELECT r.id AS run, coalesce(s.name || ': ' || r.arm || coalesce(' · ' || r.cell, ''),"
    " r.name || coalesce(' (' || r.arm || ')', '')) AS name," WHEN
    ", coalesce((SELECT group_concat(k.task || '=' || printf('%.4g', l.value), '  ')"
    "   FROM metric_last l JOIN metric_key k ON k.id = l.key_id"
    "   WHERE l.run_id = r.id AND k.task IS NOT NULL AND l.value IS NOT NULL),"
    "  (SELECT k.name || '=' || printf('%.4g', l.value)"
    "   FROM metric_last l JOIN metric_key k ON k.id = l.key_id"
    "   WHERE l.run_id = r.id AND k.name GLOB '*/loss' AND l.value IS NOT NULL"
    "   ORDER BY l.t_us DESC, k.name LIMIT 1), '') ||"
    " coalesce((SELECT '  delta_m=' || printf('%+.2f%%', delta_m) FROM delta_m"
    "   WHERE run = r.id AND delta_m IS NOT NULL), '') AS metrics" RUN_ROWS;

/* For programs: one column per such metric, under its full name. */
static sak_status for_programs(sak_store *s, char **sql, sak_error *err)
{
    sak_rows *keys = NULL;
    const sak_query q = {.sql = "SELECT id, replace(name, '\"', '\"\"') FROM metric_key"
                                " WHERE task IS NOT NULL ORDER BY id"};
    SAK_TRY(sak_store_query(s, &q, &keys, err));
    size_t size = 0;
    FILE *f = open_memstream(sql, &size);
    if (f)
        fputs("SELECT r.id AS run, r.name, e.name AS experiment, r.uid, r.kind, s.name AS sweep, r.arm,"
              WHEN, f);
    bool more = f != NULL;
    sak_status st = f ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    while (st == SAK_OK && (st = sak_rows_next(keys, &more, err)) == SAK_OK && more)
        fprintf(f,
                ", (SELECT value FROM metric_last WHERE run_id = r.id AND key_id = %lld) AS \"%s\"",
                (long long)sak_rows_value(keys, 0).i, sak_rows_value(keys, 1).text);
    if (f)
        fputs(", (SELECT delta_m FROM delta_m WHERE run = r.id) AS delta_m" RUN_ROWS, f);
    if (f && fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sak_rows_close(keys);
    return st;
}

#define TRIALS(state) "(SELECT count(*) FROM trial WHERE sweep_id = s.id AND state = '" state "')"
#define SWEEP_COLUMNS(trials)                                                                      \
    "SELECT s.name AS sweep, s.script_path AS script, s.state, " trials ", " TRIALS("failed")      \
    " AS failed, s.objective"
#define SWEEP_ROWS                                                                                 \
    "," STARTED("s.created_us") " FROM sweep s WHERE ?1 IS NULL OR s.state = ?1 OR" SWEEP_MATCHES  \
    " ORDER BY s.id DESC"

static const char sweeps_for_people[] =
    SWEEP_COLUMNS(TRIALS("done") " || '/' || s.total AS trials") SWEEP_ROWS;
static const char sweeps_for_programs[] =
    SWEEP_COLUMNS(TRIALS("done") " AS done, s.total") ", s.goal, s.question" SWEEP_ROWS;

static sak_status list(const sak_options *o, sak_store *s, sak_error *err)
{
    const sak_format format = sak_options_format(o);
    const char *pattern = o->n_args > 1 ? o->args[1] : NULL;
    const sak_value param = {.type = pattern ? SAK_TEXT : SAK_NULL,
                             .text = pattern,
                             .bytes = pattern ? strlen(pattern) : 0};
    char *built = NULL;
    if (format != SAK_FORMAT_TABLE && !o->sweeps) {
        const sak_status st = for_programs(s, &built, err);
        if (st != SAK_OK) {
            free(built);
            return st;
        }
    }
    const sak_query q = {
        .sql = built                        ? built
               : !o->sweeps                 ? for_people
               : format == SAK_FORMAT_TABLE ? sweeps_for_people
                                            : sweeps_for_programs,
        .params = &param,
        .n_params = 1,
        .max_rows = o->limit >= 0 ? o->limit : format == SAK_FORMAT_TABLE ? ROWS_ON_SCREEN : 0,
    };
    int64_t n = 0;
    bool limited = false;
    const sak_status st = sak_cli_query(s, &q, format, stdout, &n, &limited, err);
    if (st == SAK_OK && limited)
        sak_cli_note_limit(n);
    if (st == SAK_OK && n == 0 && !limited)
        fprintf(stderr, "note: %s has no %s%s%s\n", sak_store_path(s), o->sweeps ? "sweeps" : "runs",
                pattern ? " that match " : "", pattern ? pattern : "");
    free(built);
    return st;
}

int sak_verb_ls(const sak_options *o)
{
    sak_store *s = NULL;
    sak_error err = {0};
    int st = sak_cli_store(o, SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK && list(o, s, &err) != SAK_OK)
        st = sak_complain(&err);
    sak_store_close(s);
    return st;
}
