/* The results database: open, record runs, query.
 *
 * A run never waits for SQLite.  What it logs goes to a buffer, from there (by a thread of
 * the run, four times a second) to `spool/<uid>.spool` beside the database, and from the spool (once
 * a second, points and read offset in one transaction) into the tables.  The spool holds all the run
 * has to say, from its configuration to its last metric, so a killed run loses at most what the
 * buffer held: whoever opens the database next ingests what its spool still holds and marks it lost.
 *
 * Ownership: strings passed in are copied; what `open`, `begin`, `resume` and `query` hand out is
 * released by `close` (rows, store) or `finish` (run).  A store and its rows belong to one thread;
 * the sak_run_* calls may come from any thread.  Nothing here may be used in a child after fork: a
 * child opens its own. */
#ifndef SAK_RESULTS_STORE_H
#define SAK_RESULTS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

typedef struct sak_store sak_store;
typedef struct sak_run sak_run;
typedef struct sak_rows sak_rows;

/* --- the store -------------------------------------------------------------------------------- */

typedef enum sak_store_mode {
    SAK_STORE_READ,  /* must exist; nothing but recovery and migration changes it, and those only
                      * where the files are writable */
    SAK_STORE_WRITE, /* created when missing, with its folder */
    SAK_STORE_SPOOL, /* must exist and is never written: a run begun here leaves its spool to the
                      * process that collects it (sweep.h) */
} sak_store_mode;

/* Opens the database, migrates an older one (after a backup beside it), ingests the spools of dead
 * runs and marks those runs `lost`.  SAK_ENOENT: READ and no file; SAK_EDB: not a sak database, made
 * by a newer sak, on a network file system, or locked for longer than 60 s. */
sak_status sak_store_open(const char *path, sak_store_mode mode, sak_store **out, sak_error *err);
void sak_store_close(sak_store *s); /* NULL is fine; runs must be finished first */
const char *sak_store_path(const sak_store *s);

/* Ingests what dead runs left and marks them lost; open does this too.  lost (may be NULL) receives
 * the number of runs newly marked. */
sak_status sak_store_recover(sak_store *s, int *lost, sak_error *err);

/* integrity_check and foreign_key_check; problems (may be NULL) gets one line per finding. */
sak_status sak_store_check(sak_store *s, FILE *problems, sak_error *err);
/* The same, and what must agree: schema and views, metric_last and metric_point, offsets and spools,
 * stored texts and their hashes; with `files` the runs' artifacts too (present, size, hash). */
sak_status sak_store_audit(sak_store *s, bool files, FILE *problems, sak_error *err);
/* Mends a database: ingests spools, rebuilds metric_last, views and indexes, gives rows without
 * their run, metric or experiment a stand-in; one that is damaged is read row by row into a new file
 * and kept as PATH.damaged-N.  A backup PATH.repair-N.bak comes first.  `said` gets a line per thing
 * done.  SAK_EINVAL while a run writes to it. */
sak_status sak_store_repair(const char *path, FILE *said, sak_error *err);
/* A consistent copy while others write; the target appears complete or not at all. */
sak_status sak_store_backup(sak_store *s, const char *path, sak_error *err);

/* "17" (id), a unique uid prefix, a run's or experiment's name (its latest run), "@last" (the latest
 * begun), "@last-N" (N before it).  SAK_ENOENT when nothing or more than one uid matches. */
sak_status sak_store_find_run(sak_store *s, const char *what, int64_t *id, sak_error *err);

/* value may be NULL; an existing tag of that name is replaced.  A tag named "note" is the note. */
sak_status sak_store_tag(sak_store *s, int64_t run, const char *name, const char *value,
                         sak_error *err);
sak_status sak_store_untag(sak_store *s, int64_t run, const char *name, sak_error *err);
/* Deletes a run with all its rows; refuses a running one. */
sak_status sak_store_remove_run(sak_store *s, int64_t run, sak_error *err);
/* Text of a stored script or diff: *text is malloc'd and NUL-terminated, released with free. */
sak_status sak_store_blob(sak_store *s, const char *sha256, char **text, size_t *bytes,
                          sak_error *err);
/* Runs SQL that may write (`sak sql --write`): all statements in one transaction. */
sak_status sak_store_exec(sak_store *s, const char *sql, sak_error *err);

/* --- a run ------------------------------------------------------------------------------------ */

/* NULL or 0 stands for "unknown" except where a default is named. */
typedef struct sak_run_info {
    const char *experiment;  /* required: the experiment's name */
    const char *uid;         /* from sak_run_uid_new; default: a new one */
    const char *name;        /* a name for this run; default: the experiment's */
    const char *kind;        /* 'sak' (default), 'single_task', 'multi_task', 'teacher', 'probe', … */
    const char *script_path;
    const char *script_text; /* stored once per content in blob */
    const char *config_json; /* canonical JSON of the resolved configuration */
    const char *config_sha256;  /* default: SHA-256 of config_json */
    const char *group_sha256;   /* the configuration without its seed; default: config_sha256 */
    const char *compare_sha256; /* what a single-task baseline must share with this run (data, stem,
                                 * precision, stage-2 settings), without seed, tasks and kind:
                                 * joins delta_m */
    int64_t seed;
    const char *git_commit, *git_diff;
    bool git_dirty;
    const char *data_id;     /* identity of the data (name and parameters, or content hash) */
    const char *argv, *env;  /* as one line of JSON or text */
    const char *host;        /* default: this machine's name */
    const char *sak_version, *cpu, *blis_kernel, *isa;
    int threads;
    const char *sweep;       /* name of the sweep it belongs to */
    int64_t trial;           /* trial.id; 0: none */
    const char *arm;         /* name of the arm */
    int arm_index;           /* 0 is the reference arm of `paired` */
    const char *frozen_json; /* all that is needed to run it again (texts, overrides), as sak wrote it */
    const char *cell;        /* grid point as text, "student.adapter.rank=8"; arms are compared
                              * within a cell */
} sak_run_info;

sak_status sak_run_begin(sak_store *s, const sak_run_info *info, sak_run **out, sak_error *err);

/* Opens a further attempt of a run that is not running.  resumed_step: the last step whose points
 * stand; what earlier attempts logged at later steps is superseded.  Of `info` only the machine and
 * version fields are used (argv, env, host, sak_version, threads, cpu, blis_kernel, isa). */
sak_status sak_run_resume(sak_store *s, int64_t id, const sak_run_info *info, int64_t resumed_step,
                          sak_run **out, sak_error *err);

int64_t sak_run_id(const sak_run *r); /* 0 where the database is not written (SAK_STORE_SPOOL) */
const char *sak_run_uid(const sak_run *r); /* 12 characters, sorted by time, first one a letter */
int sak_run_attempt(const sak_run *r);     /* 1, 2, … */

/* One leaf of the flattened configuration.  type: "integer", "number", "boolean", "string", "null";
 * num is stored unless NaN, text unless NULL; origin: "default", "script", "arm", "grid", "set". */
void sak_run_param(sak_run *r, const char *path, const char *type, double num, const char *text,
                   const char *origin);
void sak_run_tag(sak_run *r, const char *name, const char *value);

/* Describes a metric; optional, at any time, kept for the whole database.  NULL leaves a field. */
typedef struct sak_key_info {
    const char *goal; /* "min" or "max": what `best` and delta_m take as better */
    const char *unit;
    const char *task; /* set on the one metric that stands for this task in delta_m */
} sak_key_info;
void sak_run_key(sak_run *r, const char *key, const sak_key_info *info);

/* Records a value (no system call; copies into a buffer).  A key logged twice at one step keeps the
 * last value.  NaN and infinities are stored as NULL and counted in n_nonfinite.
 * Names: "router/<task>/level<k>/<expert>" are the mean router weights the `routing` view reads. */
void sak_run_log(sak_run *r, const char *key, int64_t step, double value);

/* level: "info", "warn" or "error"; kind: a word such as "nan_loss", "checkpoint"; step: -1 where
 * none applies. */
void sak_run_event(sak_run *r, const char *level, const char *kind, int64_t step, const char *text);
/* kind: "checkpoint", "sheet", …; sha256 may be NULL, bytes -1 where unknown.  A path logged again
 * replaces its earlier row. */
void sak_run_artifact(sak_run *r, const char *path, const char *sha256, int64_t bytes,
                      const char *kind);
/* Where a file is that a run recorded as `path`; malloc'd, NULL without memory.  A path is relative to
 * the folder the run was started in, and a results folder that moved took its files along: what is not
 * there any more is looked for in runs/ beside the database. */
char *sak_store_artifact(const sak_store *s, const char *path);

/* Once per step.  Costs nothing; reports when what was logged can no longer be saved (spool not
 * writable, out of memory). */
sak_status sak_run_tick(sak_run *r, sak_error *err);
/* At the end of a stage: returns when all that was logged is in the spool file. */
sak_status sak_run_flush(sak_run *r, sak_error *err);
/* The same, and the file is on the disk: a power cut does not take it back. */
sak_status sak_run_flush_to_disk(sak_run *r, sak_error *err);
/* Returns when all that was logged can be queried. */
sak_status sak_run_sync(sak_run *r, sak_error *err);

/* state: "done", "failed" or "stopped".  Releases r whatever it returns.  On SAK_EDB the metrics are
 * safe in the spool and the next open ingests them. */
sak_status sak_run_finish(sak_run *r, const char *state, sak_error *err);

/* --- queries ---------------------------------------------------------------------------------- */

typedef enum sak_type { SAK_NULL, SAK_INT, SAK_NUM, SAK_TEXT, SAK_BLOB } sak_type;

typedef struct sak_value {
    sak_type type;
    int64_t i;        /* SAK_INT */
    double num;       /* SAK_NUM; for SAK_INT its value too */
    const char *text; /* SAK_TEXT (NUL-terminated) and SAK_BLOB; valid until the next row */
    size_t bytes;
} sak_value;

typedef struct sak_query {
    const char *sql;         /* one statement that only reads; anything else is refused */
    const sak_value *params; /* bound to ?1, ?2, … */
    int n_params;
    int64_t max_rows;        /* 0: no limit; rows beyond it are dropped and sak_rows_limited says so */
    double max_seconds;      /* 0: no limit; SAK_ESTOP when exceeded */
} sak_query;

sak_status sak_store_query(sak_store *s, const sak_query *q, sak_rows **out, sak_error *err);
void sak_rows_close(sak_rows *rows);
int sak_rows_columns(const sak_rows *rows);
const char *sak_rows_name(const sak_rows *rows, int column);
/* *more is false after the last row. */
sak_status sak_rows_next(sak_rows *rows, bool *more, sak_error *err);
sak_value sak_rows_value(const sak_rows *rows, int column); /* of the current row */
bool sak_rows_limited(const sak_rows *rows);

/* Writes all remaining rows; n (may be NULL) receives their number.  Table: aligned for people,
 * numbers to 6 significant digits.  CSV: RFC 4180, numbers in full, NULL empty.  JSON: an array of
 * objects, NULL and blobs null. */
typedef enum sak_format { SAK_FORMAT_TABLE, SAK_FORMAT_CSV, SAK_FORMAT_JSON } sak_format;
sak_status sak_rows_print(sak_rows *rows, sak_format format, FILE *out, int64_t *n, sak_error *err);

/* The documented views, each with a query that the tests run. */
typedef struct sak_documented_query {
    const char *view, *doc, *sql;
} sak_documented_query;
extern const sak_documented_query sak_documented_queries[]; /* ends with view == NULL */

#endif
