/* Runs as a tracking database of MLflow 2.9.2.  Tables, constraints and indices are those that its
 * migrations leave in SQLite at revision acf3f17fdcc7 (the head of 2.9.2); the names of the
 * constraints matter, later migrations address them. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "results/db.h"
#include "results/export.h"

static const char schema[] =
    "CREATE TABLE alembic_version(version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));"
    "CREATE TABLE experiments(experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL,"
    " artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32), creation_time BIGINT,"
    " last_update_time BIGINT, CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), UNIQUE (name),"
    " CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')));"
    "CREATE TABLE experiment_tags(key VARCHAR(250) NOT NULL, value VARCHAR(5000),"
    " experiment_id INTEGER NOT NULL, CONSTRAINT experiment_tag_pk PRIMARY KEY (key, experiment_id),"
    " FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id));"
    "CREATE TABLE runs(run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20),"
    " source_name VARCHAR(500), entry_point_name VARCHAR(50), user_id VARCHAR(256),"
    " status VARCHAR(9), start_time BIGINT, end_time BIGINT, source_version VARCHAR(50),"
    " lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER,"
    " deleted_time BIGINT, CONSTRAINT run_pk PRIMARY KEY (run_uuid),"
    " FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id),"
    " CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')),"
    " CONSTRAINT source_type CHECK (source_type IN"
    "  ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')),"
    " CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')));"
    "CREATE TABLE metrics(key VARCHAR(250) NOT NULL, value FLOAT NOT NULL,"
    " timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL,"
    " is_nan BOOLEAN DEFAULT '0' NOT NULL,"
    " CONSTRAINT metric_pk PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan),"
    " FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), CHECK (is_nan IN (0, 1)));"
    "CREATE TABLE latest_metrics(key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT,"
    " step BIGINT NOT NULL, is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL,"
    " CONSTRAINT latest_metric_pk PRIMARY KEY (key, run_uuid),"
    " FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), CHECK (is_nan IN (0, 1)));"
    "CREATE TABLE params(key VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL,"
    " run_uuid VARCHAR(32) NOT NULL, CONSTRAINT param_pk PRIMARY KEY (key, run_uuid),"
    " FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));"
    "CREATE TABLE tags(key VARCHAR(250) NOT NULL, value VARCHAR(5000), run_uuid VARCHAR(32) NOT NULL,"
    " CONSTRAINT tag_pk PRIMARY KEY (key, run_uuid),"
    " FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));"
    "CREATE TABLE datasets(dataset_uuid VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,"
    " name VARCHAR(500) NOT NULL, digest VARCHAR(36) NOT NULL,"
    " dataset_source_type VARCHAR(36) NOT NULL, dataset_source TEXT NOT NULL, dataset_schema TEXT,"
    " dataset_profile TEXT, CONSTRAINT dataset_pk PRIMARY KEY (experiment_id, name, digest),"
    " FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id));"
    "CREATE TABLE inputs(input_uuid VARCHAR(36) NOT NULL, source_type VARCHAR(36) NOT NULL,"
    " source_id VARCHAR(36) NOT NULL, destination_type VARCHAR(36) NOT NULL,"
    " destination_id VARCHAR(36) NOT NULL,"
    " CONSTRAINT inputs_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id));"
    "CREATE TABLE input_tags(input_uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL,"
    " value VARCHAR(500) NOT NULL, CONSTRAINT input_tags_pk PRIMARY KEY (input_uuid, name));"
    "CREATE TABLE registered_models(name VARCHAR(256) NOT NULL, creation_time BIGINT,"
    " last_updated_time BIGINT, description VARCHAR(5000),"
    " CONSTRAINT registered_model_pk PRIMARY KEY (name), UNIQUE (name));"
    "CREATE TABLE registered_model_tags(key VARCHAR(250) NOT NULL, value VARCHAR(5000),"
    " name VARCHAR(256) NOT NULL, CONSTRAINT registered_model_tag_pk PRIMARY KEY (key, name),"
    " FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE CASCADE);"
    "CREATE TABLE registered_model_aliases(alias VARCHAR(256) NOT NULL, version INTEGER NOT NULL,"
    " name VARCHAR(256) NOT NULL, CONSTRAINT registered_model_alias_pk PRIMARY KEY (name, alias),"
    " CONSTRAINT registered_model_alias_name_fkey FOREIGN KEY(name)"
    "  REFERENCES registered_models (name) ON DELETE CASCADE ON UPDATE CASCADE);"
    "CREATE TABLE model_versions(name VARCHAR(256) NOT NULL, version INTEGER NOT NULL,"
    " creation_time BIGINT, last_updated_time BIGINT, description VARCHAR(5000),"
    " user_id VARCHAR(256), current_stage VARCHAR(20), source VARCHAR(500), run_id VARCHAR(32),"
    " status VARCHAR(20), status_message VARCHAR(500), run_link VARCHAR(500),"
    " storage_location VARCHAR(500), CONSTRAINT model_version_pk PRIMARY KEY (name, version),"
    " FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE CASCADE);"
    "CREATE TABLE model_version_tags(key VARCHAR(250) NOT NULL, value VARCHAR(5000),"
    " name VARCHAR(256) NOT NULL, version INTEGER NOT NULL,"
    " CONSTRAINT model_version_tag_pk PRIMARY KEY (key, name, version),"
    " FOREIGN KEY(name, version) REFERENCES model_versions (name, version) ON UPDATE CASCADE);"
    "INSERT INTO alembic_version VALUES ('acf3f17fdcc7');";

/* What is cheaper once the rows are in.  The latest of a metric has the greatest step; SQLite takes
 * the other columns from the row of the maximum.  MLflow logs to experiment 0 where none is named. */
static const char finish[] =
    "INSERT INTO latest_metrics(key, value, timestamp, step, is_nan, run_uuid)"
    " SELECT key, value, timestamp, max(step), is_nan, run_uuid FROM metrics GROUP BY key, run_uuid;"
    "INSERT OR IGNORE INTO experiments SELECT 0, 'Default', min(artifact_location), 'active',"
    " min(creation_time), min(creation_time) FROM experiments;"
    "CREATE INDEX index_params_run_uuid ON params (run_uuid);"
    "CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);"
    "CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);"
    "CREATE INDEX index_tags_run_uuid ON tags (run_uuid);"
    "CREATE INDEX index_datasets_dataset_uuid ON datasets (dataset_uuid);"
    "CREATE INDEX index_datasets_experiment_id_dataset_source_type"
    " ON datasets (experiment_id, dataset_source_type);"
    "CREATE INDEX index_inputs_input_uuid ON inputs (input_uuid);"
    "CREATE INDEX index_inputs_destination_type_destination_id_source_type"
    " ON inputs (destination_type, destination_id, source_type);"
    "COMMIT;";

/* One table: the rows that a query over run ?1 gives go to an INSERT, column i to parameter i. */
typedef struct copy {
    const char *from, *into;
    int folder;  /* the parameter that takes the folder of the database; 0: none */
    bool points; /* the query takes the pattern too */
} copy;

static const copy copies[] = {
    {"SELECT e.id, e.name, e.created_us / 1000 FROM run r JOIN experiment e ON e.id = r.experiment_id"
     " WHERE r.id = ?1",
     "INSERT OR IGNORE INTO experiments(experiment_id, name, creation_time, last_update_time,"
     " lifecycle_stage, artifact_location) VALUES (?1, ?2, ?3, ?3, 'active', ?4 || '/runs')", 4, false},
    {"SELECT r.uid, " SAK_EXPORT_LABEL ", coalesce(r.script_path, ''),"
     " CASE r.state WHEN 'running' THEN 'RUNNING' WHEN 'done' THEN 'FINISHED'"
     "  WHEN 'failed' THEN 'FAILED' ELSE 'KILLED' END, r.started_us / 1000,"
     " CASE WHEN r.state <> 'running' THEN coalesce(r.finished_us, a.heartbeat_us) / 1000 END,"
     " coalesce(r.git_commit, ''), r.experiment_id FROM run r"
     " LEFT JOIN attempt a ON a.run_id = r.id AND a.n = r.attempts WHERE r.id = ?1",
     /* texts that MLflow's messages require are empty, not NULL */
     "INSERT INTO runs(run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
     " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) VALUES"
     " (?1, ?2, 'LOCAL', ?3, '', '', ?4, ?5, ?6, ?7, 'active', ?9 || '/runs/' || ?1, ?8)", 9, false},
    {"SELECT p.path, " SAK_EXPORT_SETTING ", r.uid FROM run r JOIN param p ON p.run_id = r.id"
     " WHERE r.id = ?1",
     "INSERT INTO params(key, value, run_uuid) VALUES (?1, ?2, ?3)", 0, false},
    {"SELECT t.key, CAST(t.value AS TEXT), r.uid FROM run r LEFT JOIN sweep s ON s.id = r.sweep_id"
     " LEFT JOIN attempt a ON a.run_id = r.id AND a.n = r.attempts"
     " JOIN json_each(json_object('mlflow.runName', " SAK_EXPORT_LABEL ","
     "  'mlflow.source.name', r.script_path, 'mlflow.source.type', 'LOCAL',"
     "  'mlflow.source.git.commit', r.git_commit, 'sak.run', r.id, 'sak.name', r.name,"
     "  'sak.kind', r.kind, 'sak.sweep', s.name, 'sak.arm', r.arm, 'sak.cell', r.cell,"
     "  'sak.seed', r.seed, 'sak.state', r.state, 'sak.attempts', r.attempts, 'sak.host', a.host,"
     "  'sak.version', a.sak_version, 'sak.data', r.data_id, 'sak.config_sha256', r.config_sha256)) t"
     " WHERE r.id = ?1 AND t.value IS NOT NULL",
     "INSERT INTO tags(key, value, run_uuid) VALUES (?1, ?2, ?3)", 0, false},
    {"SELECT iif(t.name = 'note', 'mlflow.note.content', t.name), coalesce(t.value, ''), r.uid"
     " FROM run r JOIN tag t ON t.run_id = r.id WHERE r.id = ?1",
     "INSERT OR REPLACE INTO tags(key, value, run_uuid) VALUES (?1, ?2, ?3)", 0, false},
    {SAK_EXPORT_POINTS("m.metric, coalesce(m.value, 0.0),"
                       " (r.started_us + CAST(round(m.seconds * 1e6) AS INTEGER)) / 1000, r.uid, m.step,"
                       " m.value IS NULL"),
     "INSERT INTO metrics(key, value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
     0, true},
};

enum { COPIES = sizeof copies / sizeof *copies };

static void bind(sqlite3_stmt *into, int at, const sak_value *v)
{
    if (v->type == SAK_INT)
        sqlite3_bind_int64(into, at, v->i);
    else if (v->type == SAK_NUM)
        sqlite3_bind_double(into, at, v->num);
    else if (v->type == SAK_TEXT)
        sqlite3_bind_text(into, at, v->text, (int)v->bytes, SQLITE_STATIC); /* stepped before the next row */
    else
        sqlite3_bind_null(into, at);
}

static sak_status copy_rows(sak_export *e, int64_t run, const copy *c, sqlite3_stmt *into, sak_error *err)
{
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_export_query(e, c->from, run, c->points, &rows, err));
    sak_status st;
    while ((st = sak_rows_next(rows, &more, err)) == SAK_OK && more) {
        for (int i = 0; i < sak_rows_columns(rows); i++) {
            const sak_value v = sak_rows_value(rows, i);
            bind(into, i + 1, &v);
        }
        if (sqlite3_step(into) != SQLITE_DONE) {
            st = sak_db_fail(sqlite3_db_handle(into), err, "writing the export");
            break;
        }
        sqlite3_reset(into);
        e->points += c->points;
    }
    sqlite3_reset(into);
    sak_rows_close(rows);
    return st;
}

/* Absolute folder of the results database: its runs' files are in runs/<uid> below. */
static sak_status results_folder(const sak_store *s, char **out, sak_error *err)
{
    *out = realpath(sak_store_path(s), NULL);
    if (!*out)
        return SAK_FAIL(err, SAK_EIO, "cannot tell where %s is", sak_store_path(s));
    *strrchr(*out, '/') = 0;
    return SAK_OK;
}

static sak_status fill(sak_export *e, sqlite3 *db, sak_error *err)
{
    sqlite3_stmt *into[COPIES] = {0};
    char *folder = NULL;
    sak_status st = results_folder(e->store, &folder, err);
    for (int c = 0; c < COPIES && st == SAK_OK; c++)
        st = sak_db_prepare(db, copies[c].into, &into[c], err);
    for (int i = 0; i < e->n_runs && st == SAK_OK; i++)
        for (int c = 0; c < COPIES && st == SAK_OK; c++) {
            if (copies[c].folder)
                sak_db_bind_text(into[c], copies[c].folder, folder);
            st = copy_rows(e, e->runs[i], &copies[c], into[c], err);
        }
    for (int c = 0; c < COPIES; c++)
        sqlite3_finalize(into[c]);
    free(folder);
    return st;
}

sak_status sak_export_mlflow(sak_export *e, const char *path, sak_error *err)
{
    SAK_TRY(sak_export_free_path(path, err));
    sak_file_out file;
    SAK_TRY(sak_file_out_open(&file, path, err));
    sqlite3 *db = NULL;
    /* A file that is thrown away when anything fails needs no journal and no order of its writes. */
    static const char quick[] = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                                "PRAGMA cache_size = -65536; BEGIN;";
    sak_status st = SAK_OK;
    if (sqlite3_open_v2(file.temp, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        st = SAK_FAIL(err, SAK_EIO, "cannot create %s: %s", path, sqlite3_errmsg(db));
    if (st == SAK_OK)
        st = sak_db_exec(db, quick, err);
    if (st == SAK_OK)
        st = sak_db_exec(db, schema, err);
    if (st == SAK_OK)
        st = fill(e, db, err);
    if (st == SAK_OK)
        st = sak_db_exec(db, finish, err);
    if (sqlite3_close(db) != SQLITE_OK && st == SAK_OK)
        st = SAK_FAIL(err, SAK_EIO, "cannot finish %s", path);
    if (st == SAK_OK)
        st = sak_export_found(e, err);
    if (st == SAK_OK)
        st = sak_file_out_commit(&file, err);
    sak_file_out_close(&file);
    return st;
}
