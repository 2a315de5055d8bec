/* `sak db repair` on what is seldom met: databases of an earlier or a later sak, lost texts, indexes
 * that have gone wrong, damaged pages. */
#include <sys/stat.h>
#include <unistd.h>

#include "results/db.h"
#include "results_fixture.h"

/* A database of an earlier sak, with a run and many points of one metric. */
static void make(const char *path, int version)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    OK(sak_db_exec(db, "PRAGMA journal_mode = WAL", err));
    OK(sak_db_migrate(db, path, sak_migrations, version, err));
    OK(sak_db_exec(db,
                   "INSERT INTO experiment VALUES (1, 'e', 1);"
                   "INSERT INTO metric_key VALUES (1, 'm', 'min', NULL, NULL);"
                   "INSERT INTO run(id, uid, experiment_id, name, kind, seed, state, attempts, started_us,"
                   " finished_us, group_sha256) VALUES (1, 'one', 1, 'e', 'sak', 0, 'done', 0, 1, 2, 'a');"
                   "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)"
                   " INSERT INTO metric_point(run_id, key_id, step, attempt, t_us, value)"
                   "  SELECT 1, 1, i, 1, 0, i FROM n",
                   err));
    sqlite3_close(db);
}

static int64_t value_of(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    int64_t n = -1;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    OK(sak_db_int(db, sql, -1, &n, err));
    sqlite3_close(db);
    return n;
}

static void change(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    OK(sak_db_exec(db, sql, err));
    sqlite3_close(db);
}

/* Fills a leaf page of the points with nonsense; returns how many it held, -1 if there are not so many
 * pages. */
static int64_t damage(const char *path, int leaf)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT pageno FROM dbstat WHERE name = 'metric_point' AND pagetype = 'leaf'"
                              " ORDER BY path LIMIT 1 OFFSET %d", leaf);
    const int64_t page = value_of(path, sql);
    if (page < 0)
        return -1;
    snprintf(sql, sizeof sql, "SELECT ncell FROM dbstat WHERE pageno = %d", (int)page);
    const int64_t points = value_of(path, sql);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, (long)(page - 1) * 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++)
        fputc('x', f);
    fclose(f);
    return points;
}

static void a_whole_database_of_every_earlier_version_is_mended(void **state)
{
    const place *p = *state;
    for (int version = 1; version < sak_migrations_n; version++) {
        char path[160];
        snprintf(path, sizeof path, "%s/v%d.db", p->folder, version);
        make(path, version);
        OK(sak_store_repair(path, NULL, err));
        assert_int_equal(value_of(path, "PRAGMA user_version"), sak_migrations_n);
        assert_int_equal(value_of(path, "SELECT count(*) FROM metric_point"), 2000);
    }
}

static void a_damaged_database_of_every_earlier_version_keeps_its_runs(void **state)
{
    const place *p = *state;
    for (int version = 1; version <= sak_migrations_n; version++) {
        char path[160];
        snprintf(path, sizeof path, "%s/v%d.db", p->folder, version);
        make(path, version);
        const int64_t lost = damage(path, 0);
        OK(sak_store_repair(path, NULL, err));
        assert_int_equal(value_of(path, "SELECT count(*) FROM run WHERE uid = 'one'"), 1);
        assert_int_equal(value_of(path, "SELECT count(*) FROM experiment WHERE name = 'e'"), 1);
        assert_in_range(value_of(path, "SELECT count(*) FROM metric_point"), 2000 - lost - 1, 1999);
    }
}

static void a_damaged_page_costs_what_it_held(void **state)
{
    const place *p = *state;
    int leaf = 0;
    for (;; leaf++) {
        char path[160];
        snprintf(path, sizeof path, "%s/leaf%d.db", p->folder, leaf);
        make(path, sak_migrations_n);
        const int64_t lost = damage(path, leaf);
        if (lost < 0)
            break;
        OK(sak_store_repair(path, NULL, err));
        const int64_t left = value_of(path, "SELECT count(*) FROM metric_point");
        if (left < 2000 - lost - 1 || left > 1999)
            fail_msg("leaf %d held %d points; %d of 2000 are left", leaf, (int)lost, (int)left);
    }
    assert_in_range(leaf, 4, 64);
}

static void a_database_of_a_newer_sak_is_left_as_it_is(void **state)
{
    const place *p = *state;
    make(p->db, sak_migrations_n);
    change(p->db, "DROP VIEW finals; CREATE VIEW finals AS SELECT 'of tomorrow'; PRAGMA user_version = 99");
    FAILS(SAK_EDB, "schema version 99", sak_store_repair(p->db, NULL, err));
    assert_int_equal(value_of(p->db, "SELECT sql LIKE '%tomorrow%' FROM sqlite_schema WHERE name = 'finals'"), 1);
}

static void a_database_of_another_program_is_refused(void **state)
{
    const place *p = *state;
    change(p->db, "CREATE TABLE bookmark(title TEXT); INSERT INTO bookmark VALUES ('mine')");
    FAILS(SAK_EDB, "not one of sak's", sak_store_repair(p->db, NULL, err));
    assert_int_equal(value_of(p->db, "SELECT count(*) FROM bookmark"), 1);
}

static void a_run_whose_stored_texts_are_lost_stays(void **state)
{
    const place *p = *state;
    make(p->db, sak_migrations_n);
    change(p->db, "PRAGMA foreign_keys = OFF; UPDATE run SET script_sha256 = 's', git_diff_sha256 = 'd',"
                  " frozen_sha256 = 'f'");
    OK(sak_store_repair(p->db, NULL, err));
    assert_int_equal(value_of(p->db, "SELECT count(*) FROM run WHERE uid = 'one' AND script_sha256 IS NULL"
                                   " AND git_diff_sha256 IS NULL AND frozen_sha256 IS NULL"), 1);
}

static void the_backup_is_of_what_repair_found(void **state)
{
    const place *p = *state;
    make(p->db, sak_migrations_n);
    /* an index that lacks a row: it is out of the schema while the row comes */
    sqlite3 *db = NULL;
    char sql[512], back[512], backup[160];
    assert_int_equal(sqlite3_open(p->db, &db), SQLITE_OK);
    int64_t page = 0;
    OK(sak_db_int(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'run_group'", 0, &page, err));
    snprintf(back, sizeof back,
             "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT 'index', 'run_group', 'run', %d, sql"
             " FROM kept; DROP TABLE kept", (int)page);
    OK(sak_db_exec(db, "CREATE TABLE kept AS SELECT sql FROM sqlite_schema WHERE name = 'run_group';"
                       "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'run_group'", err));
    sqlite3_close(db);
    change(p->db, "INSERT INTO run(id, uid, experiment_id, name, kind, seed, state, attempts, started_us,"
                  " finished_us, group_sha256) VALUES (2, 'two', 1, 'e', 'sak', 0, 'done', 0, 1, 2, 'b')");
    change(p->db, back);
    static const char whole[] = "SELECT integrity_check = 'ok' FROM pragma_integrity_check LIMIT 1";
    assert_int_equal(value_of(p->db, whole), 0);
    OK(sak_store_repair(p->db, NULL, err));
    assert_int_equal(value_of(p->db, whole), 1);
    assert_int_equal(value_of(p->db, "SELECT count(*) FROM run"), 2);
    snprintf(backup, sizeof backup, "%s.repair-1.bak", p->db);
    assert_int_equal(value_of(backup, whole), 0);
    snprintf(sql, sizeof sql, "%s.damaged-1", p->db);
    assert_int_not_equal(access(sql, F_OK), 0); /* wrong indexes need no new file */
}

#define T(name) cmocka_unit_test_setup_teardown(name, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_whole_database_of_every_earlier_version_is_mended),
        T(a_damaged_database_of_every_earlier_version_keeps_its_runs),
        T(a_damaged_page_costs_what_it_held),
        T(a_database_of_a_newer_sak_is_left_as_it_is),
        T(a_database_of_another_program_is_refused),
        T(a_run_whose_stored_texts_are_lost_stays),
        T(the_backup_is_of_what_repair_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
