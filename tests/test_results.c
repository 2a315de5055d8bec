/* The store: opening, migrating, recording, crashing, several processes at once. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "results/db.h"
#include "results/ingest.h"
#include "results_fixture.h"

static void nap(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)}, NULL);
}

static sak_store *open_store(const place *p)
{
    sak_store *s = NULL;
    OK(sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    return s;
}

static sak_run *begin_run(sak_store *s, const char *experiment, int64_t seed)
{
    sak_run *r = NULL;
    const sak_run_info info = {.experiment = experiment, .seed = seed, .config_json = "{\"a\":1}",
                               .group_sha256 = "g", .script_path = "x.lua",
                               .script_text = "return sak.experiment 'x' {}\n", .threads = 2};
    OK(sak_run_begin(s, &info, &r, err));
    return r;
}

/* --- opening ---------------------------------------------------------------------------------- */

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

/* A child forked before this process opens anything (SQLite must not be carried across a fork); it
 * starts its work when the gate opens.  Returns in both; in the child *child is 0. */
static int fork_waiting(pid_t *child)
{
    int gate[2];
    char go;
    assert_int_equal(pipe(gate), 0);
    *child = fork();
    if (*child == 0) {
        close(gate[1]);
        while (read(gate[0], &go, 1) < 0)
            ;
    }
    close(gate[0]);
    return gate[1];
}

static void let_go(int gate, pid_t child)
{
    int code;
    assert_int_equal(write(gate, "", 1), 1);
    close(gate);
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
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

/* --- recording -------------------------------------------------------------------------------- */

static void everything_a_run_says_can_be_queried(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = NULL;
    const sak_run_info info = {
        .experiment = "three_teachers", .name = "first", .kind = "sak", .script_path = "a.lua",
        .script_text = "local sak = require 'sak' -- a script that is long enough to be packed, packed, "
                       "packed, packed, packed, packed\n",
        .config_json = "{}", .group_sha256 = "gg", .compare_sha256 = "cc", .seed = 3,
        .git_commit = "abc", .git_dirty = true, .git_diff = "+x\n", .data_id = "rooms-1",
        .argv = "[\"sak\"]", .sak_version = "0.1.0", .cpu = "zen5", .blis_kernel = "skx",
        .isa = "avx512", .threads = 2, .sweep = "router", .arm = "mor", .cell = "rank=8"};
    OK(sak_run_begin(s, &info, &r, err));
    assert_int_equal(strlen(sak_run_uid(r)), 12);
    assert_true(sak_run_uid(r)[0] >= 'a' && sak_run_uid(r)[0] <= 'z');
    sak_run_param(r, "student.router.kind", "string", NAN, "mor", "script");
    sak_run_param(r, "seed", "integer", 3, NULL, "set");
    sak_run_tag(r, "note", "looks good");
    sak_run_key(r, "loss", &(sak_key_info){.goal = "min", .unit = "nats"});
    for (int i = 0; i < 100; i++) {
        sak_run_log(r, "loss", i, 1.0 / (1 + i));
        sak_run_log(r, "lr", i, i == 50 ? NAN : i == 51 ? INFINITY : 0.1);
        OK(sak_run_tick(r, err));
    }
    sak_run_event(r, "warn", "nan_loss", 50, "the learning rate is not finite");
    sak_run_artifact(r, "ckpt/last", "ff", 123, "checkpoint");
    sak_run_artifact(r, "ckpt/last", "fe", 124, "checkpoint");
    OK(sak_run_sync(r, err));
    expect_text(s, "SELECT state FROM runs", "running");
    OK(sak_run_finish(r, "done", err));

    expect_text(s, "SELECT state FROM runs", "done");
    expect_text(s, "SELECT experiment || '/' || name || '/' || kind || '/' || sweep || '/' || arm || '/'"
                   " || cell || '/' || seed || '/' || tags FROM runs",
                "three_teachers/first/sak/router/mor/rank=8/3/note=looks good");
    expect_text(s, "SELECT git_commit || git_dirty || data_id || sak_version || cpu || blis_kernel ||"
                   " isa || threads FROM runs", "abc1rooms-10.1.0zen5skxavx5122");
    expect_text(s, "SELECT txt FROM param WHERE path = 'student.router.kind'", "mor");
    expect_number(s, "SELECT num IS NULL FROM param WHERE path = 'student.router.kind'", 1);
    expect_number(s, "SELECT num FROM param WHERE path = 'seed' AND origin = 'set'", 3);
    expect_number(s, "SELECT count(*) FROM metrics WHERE metric = 'loss'", 100);
    expect_number(s, "SELECT value FROM metrics WHERE metric = 'loss' AND step = 3", 0.25);
    expect_number(s, "SELECT count(*) FROM metrics WHERE metric = 'lr' AND value IS NULL", 2);
    expect_number(s, "SELECT n_nonfinite FROM finals WHERE metric = 'lr'", 2);
    expect_number(s, "SELECT best FROM finals WHERE metric = 'loss'", 0.01);
    expect_number(s, "SELECT best_step FROM finals WHERE metric = 'loss'", 99);
    expect_number(s, "SELECT count(*) FROM event WHERE kind = 'nan_loss' AND step = 50", 1);
    expect_number(s, "SELECT count(*) FROM artifact", 1);
    expect_number(s, "SELECT bytes FROM artifact", 124);
    char *text = NULL, sha[65];
    size_t n = 0;
    sak_hex_sha256(info.script_text, strlen(info.script_text), sha);
    OK(sak_store_blob(s, sha, &text, &n, err));
    assert_string_equal(text, info.script_text);
    assert_int_equal(n, strlen(info.script_text));
    free(text);
    expect_number(s, "SELECT length(zbody) < size FROM blob WHERE kind = 'script'", 1);
    /* The spool has done its work. */
    expect_number(s, "SELECT count(*) FROM ingest WHERE state = 'complete'", 1);
    DIR *d = opendir(s->spools);
    int files = 0;
    for (struct dirent *e; (e = readdir(d));)
        files += e->d_name[0] != '.';
    closedir(d);
    assert_int_equal(files, 0);
    expect_healthy(s);
    sak_store_close(s);
}

static void a_value_that_is_not_finite_never_wins_best(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "x", 0);
    sak_run_key(r, "lo", &(sak_key_info){.goal = "min"});
    sak_run_key(r, "hi", &(sak_key_info){.goal = "max"});
    sak_run_key(r, "none", &(sak_key_info){.goal = "max"});
    const double values[] = {NAN, 2, -INFINITY, 1, INFINITY, 3, -NAN};
    for (int i = 0; i < 7; i++) {
        sak_run_log(r, "lo", i, values[i]);
        sak_run_log(r, "hi", i, values[i]);
        sak_run_log(r, "none", i, NAN);
        if (i == 3)
            OK(sak_run_sync(r, err)); /* the summary is folded over two batches */
    }
    OK(sak_run_finish(r, "done", err));
    expect_number(s, "SELECT best FROM finals WHERE metric = 'lo'", 1);
    expect_number(s, "SELECT best_step FROM finals WHERE metric = 'lo'", 3);
    expect_number(s, "SELECT best FROM finals WHERE metric = 'hi'", 3);
    expect_number(s, "SELECT best_step FROM finals WHERE metric = 'hi'", 5);
    expect_number(s, "SELECT mean FROM finals WHERE metric = 'hi'", 2);
    expect_number(s, "SELECT n_nonfinite FROM finals WHERE metric = 'hi'", 4);
    expect_number(s, "SELECT n FROM finals WHERE metric = 'hi'", 7);
    expect_number(s, "SELECT value IS NULL FROM finals WHERE metric = 'hi'", 1);
    expect_number(s, "SELECT best IS NULL AND best_step IS NULL FROM finals WHERE metric = 'none'", 1);
    sak_store_close(s);
}

/* metric_last must equal what the points say, whatever the order of logging and batching. */
static const char summary_differs[] =
    "WITH p AS (SELECT m.run, m.metric, count(*) AS n, count(*) - count(value) AS bad,"
    " min(value) AS lo, max(value) AS hi, max(step) AS step, total(value) AS sum FROM metrics m"
    " GROUP BY 1, 2)"
    " SELECT count(*) FROM p FULL JOIN (SELECT l.*, k.name FROM metric_last l JOIN metric_key k"
    "  ON k.id = l.key_id) l ON l.run_id = p.run AND l.name = p.metric"
    " WHERE p.n IS NOT l.n OR p.bad IS NOT l.n_nonfinite OR p.lo IS NOT l.vmin OR p.hi IS NOT l.vmax"
    "  OR p.step IS NOT l.step OR abs(p.sum - l.vsum) > 1e-9 * (1 + abs(p.sum))"
    "  OR l.vmin IS NOT (SELECT value FROM metric_point q WHERE q.run_id = l.run_id AND"
    "   q.key_id = l.key_id AND q.step = l.vmin_step ORDER BY attempt DESC LIMIT 1)";

static void summaries_equal_the_points_in_any_order(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "x", 0);
    uint32_t random = 1;
    for (int i = 0; i < 5000; i++) {
        random = random * 1664525 + 1013904223;
        char key[16];
        snprintf(key, sizeof key, "k%u", random >> 30);
        random = random * 1664525 + 1013904223;
        sak_run_log(r, key, random >> 22, random & 64 ? NAN : (double)(random >> 8) / 1e6 - 5);
        if (i % 700 == 0)
            OK(sak_run_sync(r, err));
    }
    OK(sak_run_finish(r, "done", err));
    expect_number(s, summary_differs, 0);
    assert_true(number(s, "SELECT count(*) FROM metric_point") > 2000);
    sak_store_close(s);
}

static void a_resumed_attempt_replaces_the_steps_it_repeats(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "x", 0), *again = NULL;
    const int64_t id = sak_run_id(r);
    for (int i = 0; i < 20; i++)
        sak_run_log(r, "loss", i, 100 + i);
    sak_run_log(r, "eval", 9, 1);
    sak_run_log(r, "only_late", 15, 1);
    FAILS(SAK_EINVAL, "still running",
          sak_run_resume(s, id, &(sak_run_info){0}, 9, &again, err));
    assert_null(again);
    OK(sak_run_finish(r, "stopped", err));
    expect_number(s, "SELECT max FROM finals WHERE metric = 'loss'", 119);

    OK(sak_run_resume(s, id, &(sak_run_info){.threads = 1}, 9, &again, err));
    assert_int_equal(sak_run_attempt(again), 2);
    assert_int_equal(sak_run_id(again), id);
    expect_text(s, "SELECT state FROM runs", "running");
    expect_number(s, "SELECT max FROM finals WHERE metric = 'loss'", 109);
    expect_number(s, "SELECT count(*) FROM finals WHERE metric = 'only_late'", 0);
    for (int i = 10; i < 15; i++)
        sak_run_log(again, "loss", i, 200 + i);
    sak_run_log(again, "eval", 9, 2); /* evaluated once more at the step that stands */
    OK(sak_run_finish(again, "done", err));
    expect_number(s, "SELECT count(*) FROM metrics WHERE metric = 'loss'", 15);
    expect_number(s, "SELECT value FROM metrics WHERE metric = 'loss' AND step = 9", 109);
    expect_number(s, "SELECT value FROM metrics WHERE metric = 'loss' AND step = 10", 210);
    expect_number(s, "SELECT count(*) FROM metrics WHERE metric = 'loss' AND step >= 15", 0);
    expect_number(s, "SELECT count(*) FROM metrics WHERE metric = 'eval'", 1);
    expect_number(s, "SELECT value FROM metrics WHERE metric = 'eval'", 2);
    expect_number(s, "SELECT value FROM finals WHERE metric = 'loss'", 214);
    expect_number(s, "SELECT n FROM finals WHERE metric = 'loss'", 15);
    expect_number(s, "SELECT count(*) FROM metric_point", 28); /* nothing is thrown away */
    expect_number(s, summary_differs, 0);
    expect_number(s, "SELECT attempts FROM runs", 2);
    expect_text(s, "SELECT state FROM runs", "done");
    sak_store_close(s);
}

static void runs_are_found_by_id_uid_name_and_last(void **state)
{
    sak_store *s = open_store(*state);
    char uid[2][13];
    int64_t id;
    FAILS(SAK_ENOENT, "no such run", sak_store_find_run(s, "@last", &id, err));
    for (int i = 0; i < 2; i++) {
        sak_run *r = begin_run(s, i ? "beta" : "alpha", i);
        strcpy(uid[i], sak_run_uid(r));
        OK(sak_run_finish(r, "done", err));
        nap(0.01);
    }
    assert_true(strcmp(uid[0], uid[1]) < 0); /* time order */
    OK(sak_store_find_run(s, "1", &id, err));
    assert_int_equal(id, 1);
    OK(sak_store_find_run(s, uid[1], &id, err));
    assert_int_equal(id, 2);
    OK(sak_store_find_run(s, "alpha", &id, err));
    assert_int_equal(id, 1);
    OK(sak_store_find_run(s, "@last", &id, err));
    assert_int_equal(id, 2);
    OK(sak_store_find_run(s, "@last-1", &id, err));
    assert_int_equal(id, 1);
    uid[0][11] = 0;
    OK(sak_store_find_run(s, uid[0], &id, err));
    assert_int_equal(id, 1);
    uid[0][2] = 0;
    FAILS(SAK_ENOENT, "could be", sak_store_find_run(s, uid[0], &id, err));
    static const char *const bad[] = {"77", "gamma", "@last-2", "@lastly", "@last-x", "", "%", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(SAK_ENOENT, "", sak_store_find_run(s, bad[i], &id, err));
    sak_store_close(s);
}

static void tags_change_and_runs_can_be_removed(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "x", 0);
    const int64_t id = sak_run_id(r);
    sak_run_log(r, "loss", 0, 1);
    OK(sak_run_sync(r, err));
    FAILS(SAK_EINVAL, "running", sak_store_remove_run(s, id, err));
    expect_number(s, "SELECT count(*) FROM metric_point", 1);
    OK(sak_run_finish(r, "failed", err));
    OK(sak_store_tag(s, id, "best", NULL, err));
    OK(sak_store_tag(s, id, "note", "a", err));
    OK(sak_store_tag(s, id, "note", "b", err));
    expect_text(s, "SELECT tags FROM runs", "best note=b");
    OK(sak_store_untag(s, id, "best", err));
    FAILS(SAK_ENOENT, "no tag", sak_store_untag(s, id, "best", err));
    FAILS(SAK_ENOENT, "no run", sak_store_tag(s, 99, "a", "b", err));
    OK(sak_store_remove_run(s, id, err));
    FAILS(SAK_EINVAL, "does not exist", sak_store_remove_run(s, id, err));
    expect_number(s, "SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM metric_point)"
                     " + (SELECT count(*) FROM metric_last) + (SELECT count(*) FROM tag)"
                     " + (SELECT count(*) FROM attempt) + (SELECT count(*) FROM ingest)", 0);
    expect_healthy(s);
    sak_store_close(s);
}

static void a_run_needs_a_name_and_a_writing_store(void **state)
{
    const place *p = *state;
    sak_store *s = open_store(p);
    sak_run *r = NULL;
    FAILS(SAK_EINVAL, "name of its experiment", sak_run_begin(s, &(sak_run_info){0}, &r, err));
    OK(sak_run_finish(begin_run(s, "x", 0), "done", err));
    FAILS(SAK_EINVAL, "not lots", sak_run_finish(begin_run(s, "x", 0), "lots", err));
    expect_text(s, "SELECT state FROM runs WHERE run = 2", "failed");
    FAILS(SAK_ENOENT, "no run 9", sak_run_resume(s, 9, &(sak_run_info){0}, 0, &r, err));
    sak_store_close(s);
    OK(sak_store_open(p->db, SAK_STORE_READ, &s, err));
    FAILS(SAK_EINVAL, "reading only",
          sak_run_begin(s, &(sak_run_info){.experiment = "x"}, &r, err));
    sak_store_close(s);
}

/* --- the spool -------------------------------------------------------------------------------- */

/* A spool as a killed process leaves it: run, 300 points of two metrics in three records. */
static void make_spool(const place *p, char path[160], char uid[13])
{
    sak_store *s = open_store(p);
    sak_run *r = begin_run(s, "killed", 1);
    strcpy(uid, sak_run_uid(r));
    char kept[160];
    snprintf(path, 160, "%s/spool/%s.spool", p->folder, uid);
    snprintf(kept, sizeof kept, "%s/kept", p->folder);
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < 50; i++) {
            sak_run_log(r, "a", part * 50 + i, i);
            sak_run_log(r, "b", part * 50 + i, -i);
        }
        OK(sak_run_flush(r, err));
    }
    assert_int_equal(link(path, kept), 0);
    OK(sak_run_finish(r, "done", err));
    /* Take the FINISH record (12 header + 4 + 4 + 8) off again and forget the run. */
    struct stat st;
    assert_int_equal(stat(kept, &st), 0);
    assert_int_equal(truncate(kept, st.st_size - 28), 0);
    OK(sak_store_exec(s, "DELETE FROM run", err));
    assert_int_equal(rename(kept, path), 0);
    sak_store_close(s);
}

static void copy_file(const char *from, const char *to)
{
    char command[400];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void a_spool_read_again_adds_nothing(void **state)
{
    const place *p = *state;
    char path[160], kept[160], uid[13];
    make_spool(p, path, uid);
    snprintf(kept, sizeof kept, "%s/again", p->folder);
    copy_file(path, kept);
    for (int i = 0; i < 3; i++) {
        sak_store *s = open_store(p);
        expect_number(s, "SELECT count(*) FROM metric_point", 300);
        expect_number(s, "SELECT count(*) FROM run", 1);
        expect_number(s, "SELECT count(*) FROM blob", 1);
        expect_number(s, "SELECT n FROM finals WHERE metric = 'a'", 150);
        expect_number(s, "SELECT points FROM ingest", 300);
        expect_text(s, "SELECT state FROM runs", "lost");
        expect_number(s, "SELECT count(*) FROM event WHERE kind = 'lost'", 1);
        expect_number(s, "SELECT count(*) FROM event WHERE kind <> 'lost'", 0);
        assert_int_not_equal(access(path, F_OK), 0);
        expect_healthy(s);
        sak_store_close(s);
        copy_file(kept, path);
    }
}

static void a_spool_cut_anywhere_gives_its_whole_records(void **state)
{
    const place *p = *state;
    char path[160], kept[160], uid[13];
    make_spool(p, path, uid);
    snprintf(kept, sizeof kept, "%s/whole", p->folder);
    assert_int_equal(rename(path, kept), 0);
    struct stat st;
    assert_int_equal(stat(kept, &st), 0);
    double before = 0;
    for (off_t cut = 0; cut <= st.st_size; cut += cut < 1500 ? 37 : 241) {
        copy_file(kept, path);
        assert_int_equal(truncate(path, cut), 0);
        sak_store *s = open_store(p);
        const double n = number(s, "SELECT count(*) FROM metric_point");
        assert_true(n >= before); /* a longer piece never gives less */
        assert_true(fmod(n, 100) == 0 || n == 1); /* the second metric's name ends the first record */
        before = n;
        if (n > 0)
            expect_number(s, summary_differs, 0);
        /* What is cut off is told once and kept aside. */
        const double told = number(s, "SELECT count(*) FROM event WHERE kind = 'spool_truncated'");
        char aside[200];
        snprintf(aside, sizeof aside, "%s.truncated", path);
        if (number(s, "SELECT count(*) FROM run") > 0)
            assert_int_equal(access(aside, F_OK) == 0, told == 1);
        remove(aside);
        remove(path); /* a header cut short is nobody's spool and stays */
        OK(sak_store_exec(s, "DELETE FROM run", err));
        expect_healthy(s);
        sak_store_close(s);
    }
}

static void a_damaged_record_stops_the_reading_and_is_told(void **state)
{
    const place *p = *state;
    char path[160], kept[160], aside[200], uid[13];
    make_spool(p, path, uid);
    snprintf(kept, sizeof kept, "%s/whole", p->folder);
    snprintf(aside, sizeof aside, "%s.damaged", path);
    assert_int_equal(rename(path, kept), 0);
    struct stat st;
    assert_int_equal(stat(kept, &st), 0);
    /* One flipped bit in the second record of points: the first stays good. */
    copy_file(kept, path);
    const off_t record = 12 + 100 * 28;
    int fd = open(path, O_RDWR);
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, st.st_size - record - 100), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - record - 100), 1);
    close(fd);
    for (int i = 0; i < 2; i++) {
        sak_store *s = open_store(p);
        expect_number(s, "SELECT count(*) FROM metric_point", 100);
        expect_number(s, "SELECT count(*) FROM event WHERE kind = 'spool_damaged' AND level = 'warn'", 1);
        expect_text(s, "SELECT state FROM runs", "lost");
        expect_text(s, "SELECT state FROM ingest", "damaged");
        assert_int_equal(access(aside, F_OK), 0);
        sak_store_close(s);
    }
    /* Any byte whatever: no crash, never more than there was, the database stays whole. */
    sak_store *clean = open_store(p);
    OK(sak_store_exec(clean, "DELETE FROM run", err));
    sak_store_close(clean);
    for (off_t at = 0; at < st.st_size; at += at < 1500 ? 13 : 397) {
        copy_file(kept, path);
        fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (unsigned char)(1u << (at % 8));
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        sak_store *s = open_store(p);
        assert_true(number(s, "SELECT count(*) FROM metric_point") < 300);
        expect_number(s, "SELECT count(*) FROM pragma_foreign_key_check", 0);
        OK(sak_store_exec(s, "DELETE FROM run", err)); /* so that the next copy is read whole */
        sak_store_close(s);
        remove(path); /* a damaged header makes it nobody's spool */
    }
}

static void the_spool_of_another_database_is_left_alone(void **state)
{
    const place *p = *state;
    char path[160], other[128], uid[13];
    make_spool(p, path, uid);
    snprintf(other, sizeof other, "%s/other.db", p->folder); /* shares the spool folder */
    sak_store *s = NULL;
    OK(sak_store_open(other, SAK_STORE_WRITE, &s, err));
    expect_number(s, "SELECT count(*) FROM run", 0);
    assert_int_equal(access(path, F_OK), 0);
    sak_store_close(s);
}

static void one_bad_spool_does_not_hold_up_the_others(void **state)
{
    const place *p = *state;
    char path[160], bad[160], uid[13];
    make_spool(p, path, uid);
    static const char *const names[] = {"0.spool", "zz.spool"}; /* before and after the good one */
    for (int i = 0; i < 2; i++) {
        snprintf(bad, sizeof bad, "%s/spool/%s", p->folder, names[i]);
        if (i == 0) {
            assert_int_equal(mkdir(bad, 0700), 0); /* cannot be opened for writing, even by root */
        } else {
            FILE *f = fopen(bad, "w");
            fputs("nonsense", f);
            fclose(f);
        }
    }
    sak_store *s = open_store(p);
    expect_number(s, "SELECT count(*) FROM metrics", 300);
    FAILS(SAK_EIO, "0.spool", sak_store_recover(s, NULL, err));
    sak_store_close(s);
}

static void a_reader_recovers_dead_runs_too(void **state)
{
    const place *p = *state;
    char path[160], uid[13];
    make_spool(p, path, uid);
    sak_store *s = NULL;
    OK(sak_store_open(p->db, SAK_STORE_READ, &s, err));
    expect_number(s, "SELECT count(*) FROM metrics", 300);
    expect_text(s, "SELECT state FROM runs", "lost");
    sak_store_close(s);
}

/* --- processes -------------------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void a_killed_run_loses_less_than_a_second(void **state)
{
    const place *p = *state;
    double worst = 0;
    for (int round = 0; round < 6; round++) {
        struct {
            _Atomic int64_t begun;
            _Atomic int64_t at[4000]; /* steps logged by the end of each millisecond */
            _Atomic double zero;
        } *seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        const pid_t child = fork();
        if (child == 0) {
            sak_store *s = NULL;
            sak_run *r = NULL;
            if (sak_store_open(p->db, SAK_STORE_WRITE, &s, NULL) != SAK_OK ||
                sak_run_begin(s, &(sak_run_info){.experiment = "victim"}, &r, NULL) != SAK_OK)
                _exit(1);
            seen->zero = seconds();
            seen->begun = sak_run_id(r);
            for (int64_t step = 1;; step++) {
                sak_run_log(r, "loss", step, (double)step);
                const int ms = (int)((seconds() - seen->zero) * 1000);
                if (ms < 4000)
                    seen->at[ms] = step;
                if (step % 16 == 0)
                    nap(0.0001);
            }
        }
        while (!seen->begun)
            nap(0.001);
        nap(0.3 + 0.37 * round);
        kill(child, SIGKILL);
        const double killed = seconds() - seen->zero;
        int code;
        waitpid(child, &code, 0);
        assert_true(WIFSIGNALED(code));
        sak_store *s = NULL;
        OK(sak_store_open(p->db, SAK_STORE_READ, &s, err)); /* the next open, even a reader's */
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT coalesce(max(step), 0) FROM metrics WHERE run = %" PRId64,
                 (int64_t)seen->begun);
        const int64_t have = (int64_t)number(s, sql);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM metrics WHERE run = %" PRId64,
                 (int64_t)seen->begun);
        assert_int_equal((int64_t)number(s, sql), have); /* no gaps, no duplicates */
        snprintf(sql, sizeof sql, "SELECT state FROM runs WHERE run = %" PRId64,
                 (int64_t)seen->begun);
        expect_text(s, sql, "lost");
        int kept_ms = 0;
        for (int ms = 0; ms < 4000; ms++)
            if (seen->at[ms] && seen->at[ms] <= have)
                kept_ms = ms;
        worst = fmax(worst, killed - kept_ms / 1000.0);
        expect_healthy(s);
        sak_store_close(s);
        munmap(seen, sizeof *seen);
    }
    print_message("             longest loss on kill -9: %.0f ms\n", worst * 1000);
    assert_true(worst < 1.0);
}

static int nothing_is_lost(const place *p)
{
    sak_store *t = NULL;
    int lost = -1;
    const bool fine = sak_store_open(p->db, SAK_STORE_WRITE, &t, NULL) == SAK_OK &&
                      number(t, "SELECT count(*) FROM runs WHERE state = 'running'") == 1 &&
                      sak_store_recover(t, &lost, NULL) == SAK_OK && lost == 0;
    sak_store_close(t);
    return fine ? 0 : 1;
}

static void a_living_run_is_not_taken_for_a_lost_one(void **state)
{
    const place *p = *state;
    pid_t child;
    const int gate = fork_waiting(&child);
    if (child == 0)
        _exit(nothing_is_lost(p));
    sak_store *s = open_store(p);
    sak_run *r = begin_run(s, "alive", 0);
    sak_run_log(r, "loss", 1, 1);
    OK(sak_run_flush(r, err));
    let_go(gate, child);
    int lost = -1;
    OK(sak_store_recover(s, &lost, err));
    assert_int_equal(lost, 0);
    expect_text(s, "SELECT state FROM runs", "running");
    sak_run_log(r, "loss", 2, 2);
    OK(sak_run_finish(r, "done", err));
    expect_number(s, "SELECT count(*) FROM metrics", 2);
    sak_store_close(s);
}

static void a_lock_inherited_by_a_child_does_not_keep_a_dead_run_alive(void **state)
{
    const place *p = *state;
    int gate[2], code;
    char go;
    assert_int_equal(pipe(gate), 0);
    const pid_t child = fork();
    if (child == 0) {
        sak_store *s = NULL;
        sak_run *r = NULL;
        if (sak_store_open(p->db, SAK_STORE_WRITE, &s, NULL) == SAK_OK &&
            sak_run_begin(s, &(sak_run_info){.experiment = "x"}, &r, NULL) == SAK_OK) {
            sak_run_log(r, "loss", 1, 1);
            (void)sak_run_flush(r, NULL);
        }
        if (r && fork() == 0) { /* lives on with the spool open until the test is over */
            close(gate[1]);
            while (read(gate[0], &go, 1) < 0)
                ;
        }
        _exit(r ? 0 : 1);
    }
    close(gate[0]);
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
    sak_store *s = open_store(p);
    expect_text(s, "SELECT state FROM runs", "lost");
    expect_number(s, "SELECT count(*) FROM metrics", 1);
    sak_store_close(s);
    close(gate[1]);
}

/* Somebody else takes the same spool in and has not come to an end; the database does not know the
 * run yet.  Whoever asks now must not be told that there is nothing. */
static void a_dead_runs_spool_is_taken_in_though_another_reader_holds_it(void **state)
{
    const place *p = *state;
    sak_store_close(open_store(p));
    const pid_t child = fork();
    int code;
    if (child == 0) {
        sak_store *own = NULL;
        sak_run *r = NULL;
        const sak_run_info info = {.experiment = "x", .uid = "t0123456789a"};
        const bool fine = sak_store_open(p->db, SAK_STORE_SPOOL, &own, NULL) == SAK_OK &&
                          sak_run_begin(own, &info, &r, NULL) == SAK_OK;
        if (fine)
            sak_run_log(r, "loss", 1, 1);
        _exit(fine && sak_run_finish(r, "done", NULL) == SAK_OK ? 0 : 1);
    }
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
    char spool[160];
    snprintf(spool, sizeof spool, "%s/spool/t0123456789a.spool", p->folder);
    const int reader = open(spool, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(reader, LOCK_EX | LOCK_NB), 0);
    sak_store *s = open_store(p);
    expect_text(s, "SELECT state FROM runs", "done");
    expect_number(s, "SELECT count(*) FROM metrics", 1);
    sak_store_close(s);
    close(reader);
}

static void a_run_whose_spool_is_gone_is_judged_by_its_process(void **state)
{
    const place *p = *state;
    const pid_t child = fork();
    if (child == 0) {
        sak_store *s = NULL;
        sak_run *r = NULL;
        if (sak_store_open(p->db, SAK_STORE_WRITE, &s, NULL) == SAK_OK)
            (void)sak_run_begin(s, &(sak_run_info){.experiment = "x"}, &r, NULL);
        _exit(r ? 0 : 1);
    }
    int code;
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s/spool'", p->folder);
    assert_int_equal(system(command), 0);
    sak_store *s = open_store(p);
    expect_text(s, "SELECT state FROM runs", "lost");
    /* The same process number in a later life of the machine, or started later, is another one. */
    OK(sak_run_finish(begin_run(s, "y", 0), "done", err));
    char sql[256];
    snprintf(sql, sizeof sql, "UPDATE run SET state = 'running' WHERE id = 2;"
                              "UPDATE attempt SET pid_start = pid_start + 1 WHERE run_id = 2");
    OK(sak_store_exec(s, sql, err));
    int lost = 0;
    OK(sak_store_recover(s, &lost, err));
    assert_int_equal(lost, 1);
    snprintf(sql, sizeof sql, "UPDATE run SET state = 'running' WHERE id = 2;"
                              "UPDATE attempt SET pid_start = pid_start - 1, boot_id = 'before'"
                              " WHERE run_id = 2");
    OK(sak_store_exec(s, sql, err));
    OK(sak_store_recover(s, &lost, err));
    assert_int_equal(lost, 1);
    /* Another machine's run counts as alive for a while. */
    OK(sak_store_exec(s, "UPDATE run SET state = 'running' WHERE id = 2;"
                         "UPDATE attempt SET host = 'elsewhere' WHERE run_id = 2", err));
    OK(sak_store_recover(s, &lost, err));
    assert_int_equal(lost, 0);
    OK(sak_store_exec(s, "UPDATE attempt SET heartbeat_us = 0 WHERE run_id = 2", err));
    OK(sak_store_recover(s, &lost, err));
    assert_int_equal(lost, 1);
    sak_store_close(s);
}

static void four_processes_log_at_once_and_lose_nothing(void **state)
{
    const place *p = *state;
    enum { WRITERS = 4, POINTS = 20000 };
    pid_t child[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        child[w] = fork();
        if (child[w] == 0) {
            sak_store *s = NULL;
            sak_run *r = NULL;
            sak_error e = {0};
            sak_status st = sak_store_open(p->db, SAK_STORE_WRITE, &s, &e);
            if (st == SAK_OK)
                st = sak_run_begin(s, &(sak_run_info){.experiment = "many", .seed = w}, &r, &e);
            for (int i = 0; i < POINTS && st == SAK_OK; i++) {
                sak_run_log(r, i % 2 ? "loss" : "lr", i / 2, i + w);
                st = sak_run_tick(r, &e);
                if (i % 2000 == 0)
                    nap(0.05);
                if (i % 5000 == 0 && st == SAK_OK)
                    st = sak_run_sync(r, &e);
            }
            if (r) {
                const sak_status last = sak_run_finish(r, "done", st == SAK_OK ? &e : NULL);
                st = st == SAK_OK ? last : st;
            }
            sak_store_close(s);
            if (st != SAK_OK)
                fprintf(stderr, "writer %d: %s\n", w, e.msg);
            _exit(st == SAK_OK ? 0 : 1);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int code;
        waitpid(child[w], &code, 0);
        assert_int_equal(code, 0);
    }
    sak_store *s = open_store(p);
    expect_number(s, "SELECT count(*) FROM metric_point", WRITERS * POINTS);
    expect_number(s, "SELECT count(*) FROM runs WHERE state = 'done'", WRITERS);
    expect_number(s, "SELECT count(*) FROM metric_key", 2);
    expect_number(s, "SELECT count(*) FROM event", 0);
    expect_number(s, "SELECT sum(value - seed) FROM metrics JOIN runs USING (run)",
                  WRITERS * (POINTS - 1.0) * POINTS / 2);
    expect_number(s, summary_differs, 0);
    expect_healthy(s);
    sak_store_close(s);
}

static void a_locked_database_does_not_hold_up_the_logging(void **state)
{
    const place *p = *state;
    sak_store *s = open_store(p);
    sak_run *r = begin_run(s, "x", 0);
    sqlite3 *other = NULL;
    sqlite3_open(p->db, &other);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    double longest = 0;
    const double until = seconds() + 2;
    int64_t step = 0;
    while (seconds() < until) {
        const double from = seconds();
        sak_run_log(r, "loss", step++, 1);
        OK(sak_run_tick(r, err));
        longest = fmax(longest, seconds() - from);
        nap(0.001);
    }
    OK(sak_run_flush(r, err)); /* not held up either */
    longest = fmax(longest, seconds() - until - 0.002);
    sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(other);
    OK(sak_run_finish(r, "done", err));
    expect_number(s, "SELECT count(*) FROM metrics", (double)step);
    if (longest > 0.25) /* scheduling on a busy machine, but never SQLite's 60 s */
        fail_msg("logging waited for %.3f s", longest);
    sak_store_close(s);
}

static void points_reach_the_tables_within_two_seconds(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "x", 0);
    sak_run_log(r, "loss", 1, 1);
    const double from = seconds();
    while (number(s, "SELECT count(*) FROM metrics") < 1) {
        assert_true(seconds() - from < 10);
        nap(0.05);
    }
    print_message("             visible after %.2f s\n", seconds() - from);
    OK(sak_run_finish(r, "done", err));
    sak_store_close(s);
}

typedef struct logger {
    sak_run *run;
    const char *key;
} logger;

static void *log_many(void *ctx)
{
    const logger *l = ctx;
    for (int i = 0; i < 5000; i++)
        sak_run_log(l->run, l->key, i, i);
    return NULL;
}

static void several_threads_may_log_to_one_run(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "x", 0);
    pthread_t t[4];
    logger l[4] = {{r, "t0"}, {r, "t1"}, {r, "t2"}, {r, "t3"}};
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, log_many, &l[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    OK(sak_run_finish(r, "done", err));
    expect_number(s, "SELECT count(*) FROM metrics", 20000);
    sak_store_close(s);
}

static void a_spool_that_cannot_be_written_is_reported_by_tick(void **state)
{
    const pid_t child = fork();
    if (child == 0) { /* a file-size limit stands in for a full disk */
        sak_store *t = NULL;
        sak_run *r = NULL;
        sak_error e = {0};
        const place *p = *state;
        signal(SIGXFSZ, SIG_IGN);
        if (sak_store_open(p->db, SAK_STORE_WRITE, &t, NULL) != SAK_OK ||
            sak_run_begin(t, &(sak_run_info){.experiment = "full"}, &r, NULL) != SAK_OK)
            _exit(1);
        for (int i = 0; i < 1000; i++)
            sak_run_log(r, "loss", i, i);
        if (sak_run_sync(r, &e) != SAK_OK)
            _exit(2);
        char command[64];
        snprintf(command, sizeof command, "prlimit --pid %d --fsize=4096:4096", (int)getpid());
        if (system(command) != 0)
            _exit(77);
        for (int i = 1000; i < 2000; i++)
            sak_run_log(r, "loss", i, i);
        if (sak_run_flush(r, &e) != SAK_EIO || sak_run_tick(r, &e) != SAK_EIO ||
            !strstr(e.msg, "spool"))
            _exit(3);
        snprintf(command, sizeof command, "prlimit --pid %d --fsize=unlimited:", (int)getpid());
        _exit(sak_run_finish(r, "failed", &e) == SAK_EIO ? 0 : 4);
    }
    int code;
    waitpid(child, &code, 0);
    if (WEXITSTATUS(code) == 77)
        skip(); /* no prlimit on this machine */
    assert_int_equal(code, 0);
    sak_store *s = open_store(*state);
    expect_text(s, "SELECT state FROM runs", "lost");
    expect_number(s, "SELECT count(*) FROM metrics", 1000); /* what was whole is there */
    expect_healthy(s);
    sak_store_close(s);
}

static void logging_and_ingest_are_fast(void **state)
{
    sak_store *s = open_store(*state);
    sak_run *r = begin_run(s, "fast", 0);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    enum { KEYS = 50, STEPS = 1000 }; /* a speed is not what a sanitizer's build is asked for */
#else
    enum { KEYS = 50, STEPS = 20000 };
#endif
    char keys[KEYS][40];
    for (int k = 0; k < KEYS; k++)
        snprintf(keys[k], sizeof keys[k], "router/task%d/level%d/e", k % 5, k / 5);
    double from = seconds();
    for (int i = 0; i < STEPS; i++)
        for (int k = 0; k < KEYS; k++)
            sak_run_log(r, keys[k], i, i * 0.001);
    const double logged = seconds() - from;
    from = seconds();
    OK(sak_run_sync(r, err));
    const double synced = seconds() - from;
    const double early = number(s, "SELECT count(*) FROM metrics");
    assert_true(early == (double)KEYS * STEPS);
    OK(sak_run_finish(r, "done", err));
    print_message("             log %.0f ns a point; %.0f points logged, in tables %.2f s later "
                  "(%.0f points/s in all)\n",
                  logged * 1e9 / (KEYS * STEPS), early, synced, early / (logged + synced));
    sak_store_close(s);
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
        T(everything_a_run_says_can_be_queried),
        T(a_value_that_is_not_finite_never_wins_best),
        T(summaries_equal_the_points_in_any_order),
        T(a_resumed_attempt_replaces_the_steps_it_repeats),
        T(runs_are_found_by_id_uid_name_and_last),
        T(tags_change_and_runs_can_be_removed),
        T(a_run_needs_a_name_and_a_writing_store),
        T(a_spool_read_again_adds_nothing),
        T(a_spool_cut_anywhere_gives_its_whole_records),
        T(a_damaged_record_stops_the_reading_and_is_told),
        T(the_spool_of_another_database_is_left_alone),
        T(one_bad_spool_does_not_hold_up_the_others),
        T(a_reader_recovers_dead_runs_too),
        T(a_killed_run_loses_less_than_a_second),
        T(a_living_run_is_not_taken_for_a_lost_one),
        T(a_lock_inherited_by_a_child_does_not_keep_a_dead_run_alive),
        T(a_dead_runs_spool_is_taken_in_though_another_reader_holds_it),
        T(a_run_whose_spool_is_gone_is_judged_by_its_process),
        T(four_processes_log_at_once_and_lose_nothing),
        T(a_locked_database_does_not_hold_up_the_logging),
        T(points_reach_the_tables_within_two_seconds),
        T(several_threads_may_log_to_one_run),
        T(a_spool_that_cannot_be_written_is_reported_by_tick),
        T(logging_and_ingest_are_fast),
    };
    return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
