/* What a run says, and what can be asked of it afterwards. */
#define _GNU_SOURCE
#include <dirent.h>

#include "runs_fixture.h"

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
    expect_summaries(s);
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
    expect_summaries(s);
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
    FAILS(SAK_EINVAL, "could be", sak_store_find_run(s, uid[0], &id, err));
    static const char *const bad[] = {"77", "gamma", "@last-2", "", "%", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(SAK_ENOENT, "", sak_store_find_run(s, bad[i], &id, err));
    FAILS(SAK_EINVAL, "expected @last", sak_store_find_run(s, "@lastly", &id, err));
    FAILS(SAK_EINVAL, "expected @last", sak_store_find_run(s, "@last-x", &id, err));
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, place_open, place_close)
    const struct CMUnitTest tests[] = {
        T(everything_a_run_says_can_be_queried),
        T(a_value_that_is_not_finite_never_wins_best),
        T(summaries_equal_the_points_in_any_order),
        T(a_resumed_attempt_replaces_the_steps_it_repeats),
        T(runs_are_found_by_id_uid_name_and_last),
        T(tags_change_and_runs_can_be_removed),
        T(a_run_needs_a_name_and_a_writing_store),
    };
    return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
