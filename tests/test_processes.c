/* Runs that are killed, that live beside each other and that log from several threads. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "runs_fixture.h"

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
    expect_summaries(s);
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
    return cmocka_run_group_tests_name("processes", tests, NULL, NULL);
}
