/* Metrics of chosen runs as files that other programs read: CSV, JSON lines, TensorBoard event
 * files, MLflow's SQLite layout.  Points are read and written one by one: memory does not grow with
 * their number.  Only points that stand are exported (view `metrics`), run by run, metric by
 * metric, in the order of their steps. */
#ifndef SAK_RESULTS_EXPORT_H
#define SAK_RESULTS_EXPORT_H

#include "results/store.h"

typedef struct sak_export {
    sak_store *store;   /* borrowed */
    const char *metric; /* borrowed: GLOB over metric names; NULL: all */
    int64_t *runs;      /* ascending, each once */
    int n_runs;
    int64_t points;     /* written so far */
} sak_export;

/* Chooses the runs.  Each name is a sweep (all its runs), a pattern with * or ? over the names of
 * runs, experiments and sweeps (all that match), or what sak_store_find_run knows (that run).  Runs
 * that are unfinished, failed or repeated are chosen too: `state` tells them apart.  SAK_ENOENT: a
 * name stands for no run. */
sak_status sak_export_open(sak_export *e, sak_store *s, const char *const *what, int n_what,
                           const char *metric, sak_error *err);
void sak_export_close(sak_export *e);

/* One row per point: run, uid, experiment, sweep, arm, cell, seed, state, metric, step, seconds
 * (since the run began), value (CSV: empty, JSON: null where it was not finite).  SAK_ENOENT (in all
 * three): no point has a metric of that name. */
sak_status sak_export_table(sak_export *e, bool json_lines, FILE *out, sak_error *err);
/* The same as a file, which appears complete or not at all and replaces an older one. */
sak_status sak_export_table_file(sak_export *e, bool json_lines, const char *path, sak_error *err);

/* A log folder for TensorBoard: per run a folder with one event file, scalars in float (NaN where
 * the value was not finite), the settings as text.  SAK_EINVAL: the folder exists. */
sak_status sak_export_tensorboard(sak_export *e, const char *folder, sak_error *err);

/* A tracking database as MLflow 2.9.2 makes it (schema revision acf3f17fdcc7), which later versions
 * migrate.  SAK_EINVAL: the file exists. */
sak_status sak_export_mlflow(sak_export *e, const char *path, sak_error *err);

/* --- shared by the formats ---------------------------------------------------------------------- */

/* The points of run ?1 whose metric matches ?2, in order, without sorting: names come from an index,
 * steps from the primary key. */
#define SAK_EXPORT_POINTS(columns)                                                                 \
    "SELECT " columns " FROM run r JOIN experiment e ON e.id = r.experiment_id"                    \
    " LEFT JOIN sweep s ON s.id = r.sweep_id CROSS JOIN metric_key k CROSS JOIN metrics m"         \
    " WHERE r.id = ?1 AND m.run = ?1 AND m.metric = k.name AND (?2 IS NULL OR k.name GLOB ?2)"     \
    " ORDER BY k.name, m.step"

/* What people call run r, and the value of setting p as text. */
#define SAK_EXPORT_LABEL                                                                           \
    "coalesce(r.arm, r.name) || coalesce(' ' || r.cell, '') || ' seed ' || r.seed"
#define SAK_EXPORT_SETTING                                                                         \
    "CASE WHEN p.txt IS NOT NULL THEN p.txt WHEN p.num IS NULL THEN p.type"                        \
    " WHEN p.type = 'boolean' THEN iif(p.num, 'true', 'false')"                                    \
    " WHEN p.type = 'integer' THEN CAST(CAST(p.num AS INTEGER) AS TEXT) ELSE CAST(p.num AS TEXT) END"

/* A query over one run: ?1 its id, ?2 the pattern where the query has one (with_metric). */
sak_status sak_export_query(sak_export *e, const char *sql, int64_t run, bool with_metric,
                            sak_rows **out, sak_error *err);
/* SAK_ENOENT when a pattern was given and nothing was written. */
sak_status sak_export_found(const sak_export *e, sak_error *err);
/* SAK_EINVAL when path exists, whatever it is. */
sak_status sak_export_free_path(const char *path, sak_error *err);

#endif
