/* The store: opening, migrating, copying, several processes at once. */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "runs_fixture.h"

static void a_new_database_opens_and_opens_again(void **state)
{
    const place *p = *state;
    for (int i = 0; i < 3; i++) {
        sak_store *s = open_store(p);
        expect_number(s, "PRAGMA user_version", sak_migrations_n);
        expect_number(s, "PRAGMA application_id", SAK_DB_APPLICATION_ID);
        expect_number(s, "SELECT count(*) FROM migration", sak_migrations_n);
        expect_number(s, "SELECT count(*) FROM store", 1);
        expect_healthy(s);
        sak_store_close(s);
    }
}

static void every_table_of_the_contract_is_strict(void **state)
{
    static const char *const names[] = {
        "experiment", "sweep", "trial", "run", "attempt", "param", "tag", "metric_key",
        "metric_point", "metric_last", "artifact", "event", "blob", "ingest", "migration"};
    sak_store *s = open_store(*state);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT strict FROM pragma_table_list WHERE name = '%s'", names[i]);
        expect_number(s, sql, 1);
    }
    expect_number(s, "SELECT wr FROM pragma_table_list WHERE name = 'metric_point'", 1);
    sak_store_close(s);
}

static void a_missing_database_is_made_by_writers_only(void **state)
{
    const place *p = *state;
    sak_store *s = NULL;
    FAILS(SAK_ENOENT, "no database", sak_store_open(p->db, SAK_STORE_READ, &s, err));
    assert_null(s);
    assert_int_not_equal(access(p->db, F_OK), 0);
    char deep[160];
    snprintf(deep, sizeof deep, "%s/a/b/sak.db", p->folder);
    OK(sak_store_open(deep, SAK_STORE_WRITE, &s, err));
    sak_store_close(s);
}

static void foreign_newer_and_damaged_files_are_refused_unchanged(void **state)
{
    const place *p = *state;
    sak_store *s = NULL;
    sqlite3 *db = NULL;
    sqlite3_open(p->db, &db);
    sqlite3_exec(db, "CREATE TABLE song(x)", NULL, NULL, NULL);
    sqlite3_close(db);
    FAILS(SAK_EDB, "not one of sak's", sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    sqlite3_open(p->db, &db);
    sqlite3_exec(db, "DROP TABLE song; PRAGMA application_id = 0x73616b31; PRAGMA user_version = 999",
                 NULL, NULL, NULL);
    sqlite3_close(db);
    FAILS(SAK_EDB, "newer sak", sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    FILE *f = fopen(p->db, "w");
    for (int i = 0; i < 1000; i++)
        fprintf(f, "this is not a database\n");
    fclose(f);
    FAILS(SAK_EDB, "not a database", sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    FAILS(SAK_EDB, "not a database", sak_store_open(p->db, SAK_STORE_READ, &s, err));
    struct stat st;
    assert_int_equal(stat(p->db, &st), 0);
    assert_int_equal(st.st_size, 23000);
}

static void network_file_systems_are_known_by_their_type(void **state)
{
    (void)state;
    assert_string_equal(sak_db_network_name(0x6969), "NFS");
    assert_string_equal(sak_db_network_name(0xFF534D42ul), "CIFS");
    /* f_type is signed on some machines */
    assert_string_equal(sak_db_network_name((unsigned long)(int)0xFF534D42), "CIFS");
    assert_null(sak_db_network_name(0xEF53));     /* ext4 */
    assert_null(sak_db_network_name(0x01021994)); /* tmpfs */
    assert_null(sak_db_network_name(0x9123683E)); /* btrfs */
}

/* The known steps and one more; those the database is past are not run. */
static const sak_migration *one_more(const char *name, const char *sql)
{
    static sak_migration steps[64];
    memcpy(steps, sak_migrations, (size_t)sak_migrations_n * sizeof *steps);
    steps[sak_migrations_n] = (sak_migration){name, sql, NULL};
    return steps;
}

static void a_database_of_every_earlier_version_opens_with_what_it_held(void **state)
{
    const place *p = *state;
    for (int version = 1; version < sak_migrations_n; version++) {
        char path[160];
        sqlite3 *db = NULL;
        snprintf(path, sizeof path, "%s/v%d.db", p->folder, version);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        OK(sak_db_migrate(db, path, sak_migrations, version, err));
        OK(sak_db_exec(db, "INSERT INTO experiment VALUES (1, 'e', 1);"
                           "INSERT INTO metric_key VALUES (1, 'val/depth/RMSE', 'min', 'm', 'depth');"
                           "INSERT INTO run(id, uid, experiment_id, name, kind, seed, state, started_us,"
                           " finished_us, group_sha256, compare_sha256) VALUES"
                           " (1, 'one', 1, 'e', 'single_task', 0, 'done', 1, 2, 'a', 'c'),"
                           " (2, 'two', 1, 'e', 'sak', 0, 'done', 1, 2, 'b', 'c');"
                           "INSERT INTO metric_point VALUES (1, 1, 0, 1, 0, 2), (2, 1, 0, 1, 0, 1);"
                           "INSERT INTO metric_last SELECT run_id, 1, 0, 1, 0, value, value, 0, value, 0,"
                           " value, 1, 0 FROM metric_point",
                       err));
        sqlite3_close(db);
        sak_store *s = NULL;
        OK(sak_store_open(path, SAK_STORE_READ, &s, err));
        expect_number(s, "PRAGMA user_version", sak_migrations_n);
        expect_number(s, "SELECT delta_m FROM delta_m", 50);
        expect_number(s, "SELECT count(*) FROM sqlite_schema WHERE type = 'index'"
                         " AND name IN ('run_baseline', 'metric_key_task')", 2);
        OK(sak_store_audit(s, false, stderr, err));
        sak_store_close(s);
        snprintf(path, sizeof path, "%s/v%d.db.v%d.bak", p->folder, version, version);
        assert_int_equal(access(path, F_OK), 0);
    }
}

static void an_older_database_migrates_after_a_backup(void **state)
{
    const place *p = *state;
    sak_store *s = open_store(p);
    OK(sak_run_finish(begin_run(s, "old", 7), "done", err));
    sak_store_close(s);

    sqlite3 *db = NULL;
    OK(sak_db_connect(p->db, 1000, &db, err));
    const int old = sak_migrations_n;
    const sak_migration *broken =
        one_more("broken", "ALTER TABLE run ADD COLUMN colour TEXT; SELECT nonsense");
    FAILS(SAK_EDB, "nonsense", sak_db_migrate(db, p->db, broken, old + 1, err));
    int64_t v;
    OK(sak_db_int(db, "PRAGMA user_version", 0, &v, err));
    assert_int_equal(v, old);
    OK(sak_db_int(db, "SELECT count(*) FROM pragma_table_info('run') WHERE name = 'colour'", 0, &v, err));
    assert_int_equal(v, 0);

    const sak_migration *good =
        one_more("colour", "ALTER TABLE run ADD COLUMN colour TEXT; UPDATE run SET colour = 'red'");
    OK(sak_db_migrate(db, p->db, good, old + 1, err));
    OK(sak_db_migrate(db, p->db, good, old + 1, err)); /* nothing left to do */
    OK(sak_db_int(db, "PRAGMA user_version", 0, &v, err));
    assert_int_equal(v, old + 1);
    OK(sak_db_int(db, "SELECT count(*) FROM run WHERE colour = 'red' AND seed = 7", 0, &v, err));
    assert_int_equal(v, 1);
    OK(sak_db_int(db, "SELECT count(*) FROM runs", 0, &v, err)); /* views are there again */
    assert_int_equal(v, 1);
    OK(sak_db_int(db, "SELECT count(*) FROM migration WHERE name = 'colour' AND backup LIKE '%.bak'", 0,
                  &v, err));
    assert_int_equal(v, 1);
    sqlite3_close(db);

    char backup[128];
    /* The plain name is the failed attempt's. */
    snprintf(backup, sizeof backup, "%s.v%d.1.bak", p->db, old);
    assert_int_equal(access(backup, F_OK), 0);
    OK(sak_store_open(backup, SAK_STORE_READ, &s, err));
    expect_number(s, "PRAGMA user_version", old);
    expect_number(s, "SELECT seed FROM runs", 7);
    sak_store_close(s);
    FAILS(SAK_EDB, "newer sak", sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
}

static void many_processes_may_create_one_database(void **state)
{
    const place *p = *state;
    pid_t child[8];
    for (int i = 0; i < 8; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            sak_store *s = NULL;
            sak_error e = {0};
            const sak_status st = sak_store_open(p->db, SAK_STORE_WRITE, &s, &e);
            if (st != SAK_OK)
                fprintf(stderr, "open: %s\n", e.msg);
            sak_store_close(s);
            _exit(st == SAK_OK ? 0 : 1);
        }
    }
    for (int i = 0; i < 8; i++) {
        int code;
        waitpid(child[i], &code, 0);
        assert_int_equal(code, 0);
    }
    sak_store *s = open_store(p);
    expect_number(s, "SELECT count(*) FROM store", 1);
    sak_store_close(s);
}

static void a_backup_is_complete_and_never_overwrites(void **state)
{
    const place *p = *state;
    char to[128];
    snprintf(to, sizeof to, "%s/copy.db", p->folder);
    sak_store *s = open_store(p), *copy = NULL;
    sak_run *r = begin_run(s, "x", 0);
    sak_run_log(r, "loss", 1, 0.5);
    OK(sak_run_sync(r, err));
    OK(sak_store_backup(s, to, err));
    FAILS(SAK_EINVAL, "exists already", sak_store_backup(s, to, err));
    OK(sak_run_finish(r, "done", err));
    sak_store_close(s);
    OK(sak_store_open(to, SAK_STORE_READ, &copy, err));
    expect_number(copy, "SELECT value FROM metrics", 0.5);
    expect_healthy(copy);
    sak_store_close(copy);
}

static int read_as_nobody(const place *p)
{
    sak_store *t = NULL;
    sak_error e = {0};
    if (setuid(65534) != 0 || sak_store_open(p->db, SAK_STORE_READ, &t, &e) != SAK_OK) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    expect_number(t, "SELECT count(*) FROM runs", 1);
    if (sak_store_tag(t, 1, "a", NULL, &e) != SAK_EINVAL)
        return 2;
    sak_store_close(t);
    if (sak_store_open(p->db, SAK_STORE_WRITE, &t, &e) == SAK_EDB && strstr(e.msg, "cannot be written"))
        return 0;
    fprintf(stderr, "%s\n", e.msg);
    return 3;
}

static void another_users_database_can_be_read(void **state)
{
    const place *p = *state;
    if (geteuid() != 0)
        skip(); /* needs a second user */
    assert_int_equal(chmod(p->folder, 0755), 0);
    pid_t beside, alone;
    const int beside_gate = fork_waiting(&beside);
    if (beside == 0)
        _exit(read_as_nobody(p));
    const int alone_gate = fork_waiting(&alone);
    if (alone == 0)
        _exit(read_as_nobody(p));
    sak_store *s = open_store(p);
    OK(sak_run_finish(begin_run(s, "x", 0), "done", err));
    let_go(beside_gate, beside);
    sak_store_close(s);
    let_go(alone_gate, alone);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, place_open, place_close)
    const struct CMUnitTest tests[] = {
        T(a_new_database_opens_and_opens_again),
        T(every_table_of_the_contract_is_strict),
        T(a_missing_database_is_made_by_writers_only),
        T(foreign_newer_and_damaged_files_are_refused_unchanged),
        T(network_file_systems_are_known_by_their_type),
        T(a_database_of_every_earlier_version_opens_with_what_it_held),
        T(an_older_database_migrates_after_a_backup),
        T(many_processes_may_create_one_database),
        T(a_backup_is_complete_and_never_overwrites),
        T(another_users_database_can_be_read),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
