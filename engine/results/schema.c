/* The tables.  Names are the contract of results-and-dsl.md, section 3.
 *
 * Times named *_us are microseconds since 1970 UTC, except metric_point.t_us and metric_last.t_us:
 * microseconds since the run began.  NULL stands for "unknown" or "does not apply" everywhere. */
#include "results/db.h"
#include "results/stats.h"

const char sak_schema_sql[] =
    "CREATE TABLE store(" /* one row: who this database is */
    "  id INTEGER PRIMARY KEY CHECK (id = 1), uid TEXT NOT NULL, created_us INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE experiment("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_us INTEGER NOT NULL"
    ") STRICT;"
    /* Texts by content.  zbody is zlib's format, or the text itself where that is not longer:
     * the sqlite3 shell reads it with sqlar_uncompress(zbody, size). */
    "CREATE TABLE blob("
    "  sha256 TEXT PRIMARY KEY, kind TEXT, size INTEGER NOT NULL, zbody BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE sweep("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  experiment_id INTEGER REFERENCES experiment(id),"
    "  state TEXT NOT NULL DEFAULT 'running'"
    "    CHECK (state IN ('running','paused','done','failed','stopped')),"
    "  script_path TEXT, script_sha256 TEXT REFERENCES blob(sha256), spec_json TEXT,"
    "  objective TEXT, goal TEXT CHECK (goal IN ('min','max')), total INTEGER,"
    "  created_us INTEGER NOT NULL, updated_us INTEGER"
    ") STRICT;"
    "CREATE TABLE trial("
    "  id INTEGER PRIMARY KEY, sweep_id INTEGER NOT NULL REFERENCES sweep(id) ON DELETE CASCADE,"
    "  n INTEGER NOT NULL, arm TEXT, arm_index INTEGER, cell TEXT, seed INTEGER,"
    "  config_json TEXT, config_sha256 TEXT,"
    "  state TEXT NOT NULL DEFAULT 'queued'"
    "    CHECK (state IN ('queued','running','done','failed','stopped','pruned')),"
    "  attempts INTEGER NOT NULL DEFAULT 0, lease_owner TEXT, lease_until_us INTEGER,"
    "  run_id INTEGER REFERENCES run(id) ON DELETE SET NULL, error TEXT,"
    "  created_us INTEGER NOT NULL, updated_us INTEGER, UNIQUE (sweep_id, n)"
    ") STRICT;"
    "CREATE INDEX trial_state ON trial(sweep_id, state);"
    "CREATE TABLE run("
    "  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE,"
    "  experiment_id INTEGER NOT NULL REFERENCES experiment(id),"
    "  name TEXT NOT NULL, kind TEXT NOT NULL,"
    "  sweep_id INTEGER REFERENCES sweep(id), trial_id INTEGER REFERENCES trial(id),"
    "  arm TEXT, arm_index INTEGER, cell TEXT, seed INTEGER NOT NULL,"
    "  state TEXT NOT NULL CHECK (state IN ('running','done','failed','stopped','lost')),"
    "  attempts INTEGER NOT NULL DEFAULT 0," /* the latest attempt's number */
    "  started_us INTEGER NOT NULL, finished_us INTEGER,"
    "  script_path TEXT, script_sha256 TEXT REFERENCES blob(sha256),"
    "  config_json TEXT, config_sha256 TEXT,"
    "  group_sha256 TEXT,"   /* the configuration without its seed: seeds are replicates */
    "  compare_sha256 TEXT," /* what a single-task baseline shares with this run: see delta_m */
    "  data_id TEXT, git_commit TEXT, git_dirty INTEGER NOT NULL DEFAULT 0,"
    "  git_diff_sha256 TEXT REFERENCES blob(sha256)"
    ") STRICT;"
    "CREATE INDEX run_group ON run(group_sha256, seed);"
    "CREATE INDEX run_compare ON run(compare_sha256) WHERE compare_sha256 IS NOT NULL;"
    "CREATE INDEX run_sweep ON run(sweep_id, seed) WHERE sweep_id IS NOT NULL;"
    "CREATE INDEX run_trial ON run(trial_id) WHERE trial_id IS NOT NULL;"
    "CREATE INDEX run_name ON run(name);"
    "CREATE INDEX run_experiment ON run(experiment_id);"
    "CREATE INDEX run_running ON run(id) WHERE state = 'running';"
    "CREATE TABLE attempt("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, n INTEGER NOT NULL,"
    "  resumed_step INTEGER," /* the last step of earlier attempts whose points stand */
    "  state TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER,"
    "  heartbeat_us INTEGER NOT NULL, host TEXT NOT NULL, boot_id TEXT NOT NULL,"
    "  pid INTEGER NOT NULL, pid_start INTEGER NOT NULL,"
    "  argv TEXT, env TEXT, sak_version TEXT, threads INTEGER, cpu TEXT, blis_kernel TEXT,"
    "  isa TEXT, PRIMARY KEY (run_id, n)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE param("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, path TEXT NOT NULL,"
    "  type TEXT NOT NULL, num REAL, txt TEXT, origin TEXT, PRIMARY KEY (run_id, path)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX param_path ON param(path);"
    "CREATE TABLE tag("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, name TEXT NOT NULL,"
    "  value TEXT, PRIMARY KEY (run_id, name)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE metric_key("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  goal TEXT CHECK (goal IN ('min','max')), unit TEXT,"
    "  task TEXT" /* set on the one metric that stands for this task in delta_m */
    ") STRICT;"
    "CREATE TABLE metric_point("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  key_id INTEGER NOT NULL REFERENCES metric_key(id),"
    "  step INTEGER NOT NULL, attempt INTEGER NOT NULL, t_us INTEGER NOT NULL,"
    "  value REAL," /* NULL: was NaN or infinite */
    "  PRIMARY KEY (run_id, key_id, step, attempt)"
    ") STRICT, WITHOUT ROWID;"
    /* One row per run and metric over the points that stand: the last value, and the extremes,
     * sum and counts of the finite ones. */
    "CREATE TABLE metric_last("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  key_id INTEGER NOT NULL REFERENCES metric_key(id),"
    "  step INTEGER NOT NULL, attempt INTEGER NOT NULL, t_us INTEGER NOT NULL, value REAL,"
    "  vmin REAL, vmin_step INTEGER, vmax REAL, vmax_step INTEGER, vsum REAL NOT NULL,"
    "  n INTEGER NOT NULL, n_nonfinite INTEGER NOT NULL, PRIMARY KEY (run_id, key_id)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX metric_last_key ON metric_last(key_id, run_id);"
    "CREATE TABLE artifact("
    "  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  attempt INTEGER NOT NULL, time_us INTEGER NOT NULL, kind TEXT, path TEXT NOT NULL,"
    "  sha256 TEXT, bytes INTEGER, UNIQUE (run_id, path)"
    ") STRICT;"
    "CREATE TABLE event("
    "  id INTEGER PRIMARY KEY, run_id INTEGER REFERENCES run(id) ON DELETE CASCADE,"
    "  attempt INTEGER, time_us INTEGER NOT NULL, level TEXT NOT NULL"
    "    CHECK (level IN ('info','warn','error')),"
    "  kind TEXT NOT NULL, step INTEGER, text TEXT"
    ") STRICT;"
    "CREATE INDEX event_run ON event(run_id);"
    /* How far each attempt's spool has been read: written with the rows it led to. */
    "CREATE TABLE ingest("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, attempt INTEGER NOT NULL,"
    "  spool TEXT NOT NULL, offset INTEGER NOT NULL, points INTEGER NOT NULL,"
    "  state TEXT NOT NULL CHECK (state IN ('open','complete','damaged')),"
    "  updated_us INTEGER NOT NULL, PRIMARY KEY (run_id, attempt)"
    ") STRICT, WITHOUT ROWID;"
    /* 0.975 quantile of Student's t, so that plain SQL can form a 95 % interval. */
    "CREATE TABLE t_quantile(df INTEGER PRIMARY KEY, q975 REAL NOT NULL) STRICT;";

/* Version 2: what sweeps need to be run by several processes and to outlive them. */
const char sak_schema_sweeps_sql[] =
    "ALTER TABLE sweep ADD COLUMN script_name TEXT;" /* name in the script; name is unique here */
    "ALTER TABLE sweep ADD COLUMN identity TEXT;"    /* equal: the same trials, seeds aside */
    "ALTER TABLE sweep ADD COLUMN question TEXT;"
    "ALTER TABLE sweep ADD COLUMN frozen_sha256 TEXT REFERENCES blob(sha256);"
    "ALTER TABLE sweep ADD COLUMN owner TEXT;"       /* lease of the process that runs it */
    "ALTER TABLE trial ADD COLUMN label TEXT;"       /* arm and grid point, for people */
    "ALTER TABLE trial ADD COLUMN point_json TEXT;"  /* which trial of the frozen script */
    "CREATE INDEX sweep_script ON sweep(script_name);";

/* Version 3: what a run needs to go on, or to be done again, from the database alone. */
const char sak_schema_frozen_sql[] =
    "ALTER TABLE run ADD COLUMN frozen_sha256 TEXT REFERENCES blob(sha256);";

/* Version 4: what delta_m looks up once there are thousands of runs. */
const char sak_schema_baselines_sql[] =
    "CREATE INDEX run_baseline ON run(compare_sha256, group_sha256, seed, id)"
    " WHERE kind = 'single_task' AND state = 'done' AND compare_sha256 IS NOT NULL;"
    "CREATE INDEX metric_key_task ON metric_key(id) WHERE task IS NOT NULL;";

sak_status sak_schema_fill_quantiles(sqlite3 *db, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db, "INSERT INTO t_quantile VALUES (?1, ?2)", &st, err));
    sak_status status = SAK_OK;
    for (int df = 1; df <= 1000 && status == SAK_OK; df++) {
        sqlite3_bind_int(st, 1, df);
        sqlite3_bind_double(st, 2, sak_t_quantile(0.975, df));
        if (sqlite3_step(st) != SQLITE_DONE)
            status = sak_db_fail(db, err, "filling t_quantile");
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return status;
}
