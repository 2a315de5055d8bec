/* `sak ls`: the runs, newest first. */
#include <stdlib.h>
#include <string.h>

#include "cli/db.h"
#include "cli/verbs.h"

enum { ROWS_ON_SCREEN = 30 };

#define WHEN                                                                                       \
    " r.seed, r.state,"                                                                            \
    " strftime('%Y-%m-%d %H:%M', r.started_us / 1e6, 'unixepoch', 'localtime') AS started,"        \
    " (SELECT seconds FROM runs WHERE run = r.id) AS seconds,"                                     \
    " (SELECT max(step) FROM metric_last WHERE run_id = r.id) AS steps"
#define RUN_ROWS                                                                                   \
    " FROM run r JOIN experiment e ON e.id = r.experiment_id"                                      \
    " WHERE ?1 IS NULL OR r.name GLOB ?1 OR e.name GLOB ?1 OR r.state = ?1 ORDER BY r.id DESC"

/* For people: what stands for each task (else the last loss) and delta_m, in one column. */
static const char for_people[] =
    "SELECT r.id AS run, r.name || coalesce(' (' || r.arm || ')', '') AS name," WHEN
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
        fputs("SELECT r.id AS run, r.name, e.name AS experiment, r.uid, r.kind, r.arm," WHEN, f);
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

static sak_status list(const sak_options *o, sak_store *s, sak_error *err)
{
    const sak_format format = sak_options_format(o);
    const char *pattern = o->n_args > 1 ? o->args[1] : NULL;
    const sak_value param = {.type = pattern ? SAK_TEXT : SAK_NULL,
                             .text = pattern,
                             .bytes = pattern ? strlen(pattern) : 0};
    char *built = NULL;
    if (format != SAK_FORMAT_TABLE) {
        const sak_status st = for_programs(s, &built, err);
        if (st != SAK_OK) {
            free(built);
            return st;
        }
    }
    const sak_query q = {
        .sql = built ? built : for_people,
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
        fprintf(stderr, "note: %s has no runs%s%s\n", sak_store_path(s),
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
