/* Spools as killed runs leave them: read again, cut anywhere, damaged, of another database; and what a
 * run without memory leaves in its own. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>

#include "results/run_state.h"
#include "runs_fixture.h"

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
            expect_summaries(s);
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

/* No memory at a metric's first point: the run says so, and once there is memory again the metric is announced
 * with its next point.  (Registered without its record, all its later points were unreadable.) */
static void a_metric_without_room_for_its_name_is_announced_later(void **state)
{
    const place *p = *state;
    sak_store *s = open_store(p);
    sak_run *r = begin_run(s, "narrow", 1);
    sak_run_log(r, "a", 0, 1);
    pthread_mutex_lock(&r->io); /* nobody flushes between the two lines */
    pthread_mutex_lock(&r->mu);
    r->pending.failed = true; /* as a realloc that found nothing leaves it */
    pthread_mutex_unlock(&r->mu);
    sak_run_log(r, "b", 0, 2);
    pthread_mutex_unlock(&r->io);
    (void)sak_run_flush(r, NULL); /* or the run's own thread has flushed meanwhile */
    FAILS(SAK_ENOMEM, "metrics were lost", sak_run_tick(r, err));
    sak_run_log(r, "b", 1, 3);
    sak_run_log(r, "a", 1, 4);
    (void)sak_run_finish(r, "failed", NULL);
    expect_number(s, "SELECT count(*) FROM metrics WHERE metric = 'a'", 2);
    expect_number(s, "SELECT value FROM metrics WHERE metric = 'b' AND step = 1", 3);
    expect_number(s, "SELECT count(*) FROM event WHERE kind LIKE 'spool%'", 0);
    sak_store_close(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, place_open, place_close)
    const struct CMUnitTest tests[] = {
        T(a_spool_read_again_adds_nothing),
        T(a_spool_cut_anywhere_gives_its_whole_records),
        T(a_damaged_record_stops_the_reading_and_is_told),
        T(the_spool_of_another_database_is_left_alone),
        T(one_bad_spool_does_not_hold_up_the_others),
        T(a_reader_recovers_dead_runs_too),
        T(a_metric_without_room_for_its_name_is_announced_later),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
