/* The sweep table: creation, claims, requests to stop; see sweep.h. */
#include "results/sweep.h"

#include <inttypes.h>
#include <string.h>

#include "results/ingest_rows.h"
#include "results/lease.h"

static sak_status writable(const sak_store *s, sak_error *err)
{
    return s->write ? SAK_OK
                    : SAK_FAIL(err, SAK_EINVAL, "%s is open for reading only", s->path);
}

/* Runs a statement to its end and releases it. */
static sak_status finish(sak_store *s, sqlite3_stmt *st, const char *doing, sak_error *err)
{
    const int rc = sqlite3_step(st);
    const sak_status status = rc == SQLITE_DONE || rc == SQLITE_ROW
                                  ? SAK_OK
                                  : sak_db_fail(s->db, err, doing);
    sqlite3_finalize(st);
    return status;
}

static sak_status end(sak_store *s, sak_status status, sak_error *err)
{
    if (status == SAK_OK)
        status = sak_db_exec(s->db, "COMMIT", err);
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static sak_status insert(sak_store *s, const sak_sweep_info *info, int64_t *id, sak_error *err)
{
    char script[65], frozen[65], lease[SAK_LEASE_TEXT];
    SAK_TRY(sak_rows_put_blob(s->db, info->script_text,
                              info->script_text ? strlen(info->script_text) : 0, "script", script,
                              err));
    SAK_TRY(sak_rows_put_blob(s->db, info->frozen_json,
                              info->frozen_json ? strlen(info->frozen_json) : 0, "sweep", frozen,
                              err));
    SAK_TRY(sak_lease_of(0, lease, err));
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(
        s->db,
        "INSERT INTO sweep(name, state, script_path, script_sha256, spec_json, objective, goal,"
        " total, created_us, script_name, identity, question, frozen_sha256, owner)"
        " VALUES (?1, 'running', ?2, nullif(?3, ''), ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10,"
        " nullif(?11, ''), ?12)",
        &st, err));
    const char *const texts[] = {info->name,      info->script_path, script,
                                 info->spec_json, info->objective,   info->goal,
                                 NULL,            info->script_name, info->identity,
                                 info->question,  frozen,            lease};
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++)
        if (i != 6)
            sak_db_bind_text(st, i + 1, texts[i]);
    sqlite3_bind_int64(st, 7, sak_now_us());
    const int rc = sqlite3_step(st);
    sak_status status = SAK_OK;
    if (rc == SQLITE_CONSTRAINT)
        status = SAK_FAIL(err, SAK_EINVAL, "there is a sweep '%s' already", info->name);
    else if (rc != SQLITE_DONE)
        status = sak_db_fail(s->db, err, "adding a sweep");
    sqlite3_finalize(st);
    *id = sqlite3_last_insert_rowid(s->db);
    return status;
}

sak_status sak_sweep_create(sak_store *s, const sak_sweep_info *info, int64_t *id, sak_error *err)
{
    SAK_TRY(writable(s, err));
    SAK_TRY(sak_db_exec(s->db, "BEGIN IMMEDIATE", err));
    return end(s, insert(s, info, id, err), err);
}

static sak_status insert_trial(sak_store *s, sqlite3_stmt *st, int64_t sweep,
                               const sak_trial_info *t, sak_error *err)
{
    sqlite3_bind_int64(st, 1, sweep);
    sak_db_bind_text(st, 2, t->arm);
    sqlite3_bind_int(st, 3, t->arm_index);
    sak_db_bind_text(st, 4, t->cell);
    sqlite3_bind_int64(st, 5, t->seed);
    sak_db_bind_text(st, 6, t->config_json);
    sak_db_bind_text(st, 7, t->config_sha256);
    sqlite3_bind_int64(st, 8, sak_now_us());
    sak_db_bind_text(st, 9, t->label);
    sak_db_bind_text(st, 10, t->point_json);
    const int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SAK_OK : sak_db_fail(s->db, err, "adding a trial");
}

sak_status sak_sweep_add(sak_store *s, int64_t sweep, const sak_trial_info *trials, size_t n,
                         sak_error *err)
{
    SAK_TRY(writable(s, err));
    SAK_TRY(sak_db_exec(s->db, "BEGIN IMMEDIATE", err));
    sqlite3_stmt *st = NULL;
    sak_status status = sak_db_prepare(
        s->db,
        "INSERT INTO trial(sweep_id, n, arm, arm_index, cell, seed, config_json, config_sha256,"
        " created_us, label, point_json) VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM trial"
        " WHERE sweep_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        &st, err);
    for (size_t i = 0; status == SAK_OK && i < n; i++)
        status = insert_trial(s, st, sweep, &trials[i], err);
    sqlite3_finalize(st);
    if (status == SAK_OK)
        status = sak_db_prepare(s->db,
                                "UPDATE sweep SET total = (SELECT count(*) FROM trial WHERE"
                                " sweep_id = ?1), updated_us = ?2 WHERE id = ?1",
                                &st, err);
    if (status == SAK_OK) {
        sqlite3_bind_int64(st, 1, sweep);
        sqlite3_bind_int64(st, 2, sak_now_us());
        status = finish(s, st, "counting trials", err);
    }
    return end(s, status, err);
}

sak_status sak_sweep_describe(sak_store *s, int64_t sweep, const char *question,
                              const char *objective, const char *goal, sak_error *err)
{
    SAK_TRY(writable(s, err));
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db,
                           "UPDATE sweep SET question = ?2, objective = ?3, goal = ?4 WHERE id = ?1",
                           &st, err));
    sqlite3_bind_int64(st, 1, sweep);
    sak_db_bind_text(st, 2, question);
    sak_db_bind_text(st, 3, objective);
    sak_db_bind_text(st, 4, goal);
    return finish(s, st, "describing a sweep", err);
}

/* pid of the living process that runs the sweep, 0: none. */
static sak_status holder(sak_store *s, int64_t sweep, int64_t *pid, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    *pid = 0;
    SAK_TRY(sak_db_prepare(s->db, "SELECT owner FROM sweep WHERE id = ?1", &st, err));
    sqlite3_bind_int64(st, 1, sweep);
    sak_status status = SAK_OK;
    if (sqlite3_step(st) == SQLITE_ROW)
        *pid = sak_lease_pid((const char *)sqlite3_column_text(st, 0));
    else
        status = SAK_FAIL(err, SAK_ENOENT, "there is no sweep %" PRId64, sweep);
    sqlite3_finalize(st);
    return status;
}

static sak_status set(sak_store *s, int64_t sweep, const char *state, const char *owner,
                      bool and_owner, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db,
                           and_owner ? "UPDATE sweep SET state = ?2, updated_us = ?3, owner = ?4"
                                       " WHERE id = ?1"
                                     : "UPDATE sweep SET state = ?2, updated_us = ?3 WHERE id = ?1",
                           &st, err));
    sqlite3_bind_int64(st, 1, sweep);
    sak_db_bind_text(st, 2, state);
    sqlite3_bind_int64(st, 3, sak_now_us());
    if (and_owner)
        sak_db_bind_text(st, 4, owner);
    return finish(s, st, "changing a sweep's state", err);
}

static sak_status claim(sak_store *s, int64_t sweep, sak_error *err)
{
    int64_t pid;
    char lease[SAK_LEASE_TEXT];
    SAK_TRY(sak_lease_of(0, lease, err));
    SAK_TRY(holder(s, sweep, &pid, err));
    if (pid && pid != sak_lease_pid(lease))
        return SAK_FAIL(err, SAK_EINVAL, "process %" PRId64 " is running this sweep already", pid);
    return set(s, sweep, "running", lease, true, err);
}

sak_status sak_sweep_claim(sak_store *s, int64_t sweep, sak_error *err)
{
    SAK_TRY(writable(s, err));
    SAK_TRY(sak_db_exec(s->db, "BEGIN IMMEDIATE", err));
    return end(s, claim(s, sweep, err), err);
}

sak_status sak_sweep_leave(sak_store *s, int64_t sweep, const char *state, sak_error *err)
{
    SAK_TRY(writable(s, err));
    return set(s, sweep, state, NULL, true, err);
}

sak_status sak_sweep_ask(sak_store *s, int64_t sweep, const char *state, int64_t *pid,
                         sak_error *err)
{
    SAK_TRY(writable(s, err));
    SAK_TRY(sak_db_exec(s->db, "BEGIN IMMEDIATE", err));
    sak_status status = holder(s, sweep, pid, err);
    if (status == SAK_OK && *pid)
        status = set(s, sweep, state, NULL, false, err);
    return end(s, status, err);
}
