/* `sak compare`'s numbers: arms paired by seed, against differences worked out by hand. */
#include "results_fixture.h"

#include "results/compare.h"

#define T_975_DF5 2.5705818366 /* Student's t, 5 degrees of freedom, from printed tables */

/* One finished run with one metric; ids count from 1.  group: one letter per configuration. */
static int next_run;

static void add_run(sak_store *s, const char *group, const char *arm, int arm_index, const char *cell,
                    int seed, const char *value, const char *other)
{
    char sql[1024];
    const int id = ++next_run;
    snprintf(sql, sizeof sql,
             "insert into run(id, uid, experiment_id, name, kind, sweep_id, arm, arm_index, cell, seed,"
             " state, attempts, started_us, group_sha256) values (%d, 'u%d', 1, 'e_%s', 'sak', 1, %s, %d,"
             " %s, %d, 'done', 1, 1, '%s');"
             "insert into metric_last values (%d, 1, 9, 1, 1, %s, 0, 0, 0, 0, 0, 1, 0),"
             " (%d, 2, 9, 1, 1, %s, 0, 0, 0, 0, 0, 1, 0);",
             id, id, group, arm, arm_index, cell, seed, group, id, value, id, other);
    OK(sak_store_exec(s, sql, err));
}

static sak_store *fresh(void **state)
{
    place *p = *state;
    sak_store *s = NULL;
    next_run = 0;
    OK(sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    OK(sak_store_exec(s,
                      "insert into experiment(id, name, created_us) values (1, 'e', 1);"
                      "insert into sweep(id, name, created_us) values (1, 'router', 1);"
                      "insert into metric_key(id, name, goal, unit, task) values"
                      " (1, 'val/semseg/mIoU', 'max', '%', 'semseg'), (2, 'loss', 'min', NULL, NULL);",
                      err));
    return s;
}

static void close_to(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-8 * (1 + fabs(want))))
        fail_msg("%s: %.12g, expected %.12g", what, got, want);
}

static sak_comparison compare(sak_store *s, const char *metric, int n, const char *const *what)
{
    sak_comparison c;
    const sak_compare_spec spec = {.what = what, .n_what = n, .metric = metric, .level = 0.95};
    sak_chosen chosen;
    OK(sak_choose(s, &spec, &chosen, err));
    OK(sak_compare(s, &chosen, &spec, &c, err));
    sak_chosen_close(&chosen);
    return c;
}

static const char *const sweep_name[] = {"router"};

static void six_paired_seeds_give_the_interval_and_the_p_of_the_textbook(void **state)
{
    sak_store *s = fresh(state);
    /* differences 1 2 3 4 5 6, all of one sign: mean 3.5, sd sqrt(3.5), p = 2 / 2^6 */
    for (int seed = 5; seed >= 0; seed--) {
        char ref[16], arm[16];
        snprintf(ref, sizeof ref, "%d", 40 + 10 * (seed % 2));
        snprintf(arm, sizeof arm, "%d", 40 + 10 * (seed % 2) + seed + 1);
        add_run(s, "b", "'token'", 1, "NULL", seed, arm, "1");
        add_run(s, "a", "'mor'", 0, "NULL", seed, ref, "1");
    }
    sak_comparison c = compare(s, NULL, 1, sweep_name);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.rows[0].arm, "mor"); /* the reference comes first though it began later */
    assert_true(c.rows[0].is_reference && isnan(c.rows[0].p));
    close_to("mean of the reference", c.rows[0].sample.mean, 45);
    const sak_compared *r = &c.rows[1];
    assert_string_equal(r->arm, "token");
    assert_int_equal(r->pairs, 6);
    close_to("difference", r->diff.mean, 3.5);
    close_to("its sd", r->diff.sd, sqrt(3.5));
    close_to("lower end", r->diff.lo, 3.5 - T_975_DF5 * sqrt(3.5 / 6));
    close_to("p", r->p, 2 / 64.0);
    close_to("p after correcting one test", r->p_holm, 2 / 64.0);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void seeds_without_a_partner_and_values_that_are_not_finite_form_no_pair(void **state)
{
    sak_store *s = fresh(state);
    add_run(s, "a", "'mor'", 0, "NULL", 0, "10", "1");
    add_run(s, "a", "'mor'", 0, "NULL", 1, "NULL", "1");
    add_run(s, "a", "'mor'", 0, "NULL", 2, "12", "1");
    add_run(s, "b", "'sum'", 1, "NULL", 1, "20", "1");
    add_run(s, "b", "'sum'", 1, "NULL", 2, "15", "1");
    add_run(s, "b", "'sum'", 1, "NULL", 3, "30", "1");
    sak_comparison c = compare(s, NULL, 1, sweep_name);
    assert_int_equal(c.rows[0].sample.n, 2);
    assert_int_equal(c.rows[1].sample.n, 3);
    assert_int_equal(c.rows[1].pairs, 1);
    close_to("difference", c.rows[1].diff.mean, 3);
    close_to("p of one pair", c.rows[1].p, 1);
    assert_int_equal(sak_compare_seeds_needed(0.95, 1), 6);
    assert_int_equal(sak_compare_seeds_needed(0.95, 3), 7);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void holms_correction_counts_all_arms_of_a_metric_and_no_other(void **state)
{
    sak_store *s = fresh(state);
    for (int seed = 0; seed < 6; seed++) {
        char up[16], mixed[16];
        snprintf(up, sizeof up, "%d", 10 + 1 + seed);
        snprintf(mixed, sizeof mixed, "%d", seed % 2 ? 11 : 9);
        add_run(s, "a", "'mor'", 0, "NULL", seed, "10", "10");
        add_run(s, "b", "'sum'", 1, "NULL", seed, up, mixed);
        add_run(s, "c", "'token'", 2, "NULL", seed, mixed, up);
    }
    sak_comparison c = compare(s, "*", 1, sweep_name);
    assert_int_equal(c.n, 6);
    assert_string_equal(c.rows[0].metric, "val/semseg/mIoU"); /* task metrics first */
    close_to("sum, mIoU", c.rows[1].p, 2 / 64.0);
    close_to("sum, mIoU, corrected", c.rows[1].p_holm, 2 * 2 / 64.0);
    close_to("token, mIoU", c.rows[2].p, 1);
    close_to("token, mIoU, corrected", c.rows[2].p_holm, 1);
    close_to("token, loss, corrected", c.rows[5].p_holm, 2 * 2 / 64.0);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void arms_are_compared_within_a_cell(void **state)
{
    sak_store *s = fresh(state);
    for (int seed = 0; seed < 2; seed++) {
        add_run(s, "a", "'mor'", 0, "'rank=8'", seed, "10", "1");
        add_run(s, "b", "'sum'", 1, "'rank=8'", seed, "11", "1");
        add_run(s, "c", "'mor'", 0, "'rank=16'", seed, "20", "1");
        add_run(s, "d", "'sum'", 1, "'rank=16'", seed, "24", "1");
        add_run(s, "e", "'sum'", 1, "'rank=32'", seed, "50", "1"); /* no reference there */
    }
    sak_comparison c = compare(s, NULL, 1, sweep_name);
    assert_int_equal(c.n, 5);
    assert_string_equal(c.rows[0].cell, "rank=8");
    close_to("rank 8", c.rows[1].diff.mean, 1);
    close_to("rank 16", c.rows[3].diff.mean, 4);
    assert_int_equal(c.rows[4].pairs, 0);
    assert_true(isnan(c.rows[4].p));
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void with_a_single_arm_the_first_cell_is_the_reference(void **state)
{
    sak_store *s = fresh(state);
    for (int seed = 0; seed < 2; seed++) {
        add_run(s, "a", "'base'", 0, "'rank=8'", seed, "10", "1");
        add_run(s, "b", "'base'", 0, "'rank=16'", seed, "13", "1");
    }
    sak_comparison c = compare(s, NULL, 1, sweep_name);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.rows[0].arm, "rank=8");
    assert_true(c.rows[0].is_reference);
    close_to("rank 16 against 8", c.rows[1].diff.mean, 3);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void the_first_cell_stays_the_reference_when_its_trial_was_run_last(void **state)
{
    sak_store *s = fresh(state);
    add_run(s, "b", "'base'", 0, "'rank=16'", 0, "13", "1");
    add_run(s, "a", "'base'", 0, "'rank=8'", 0, "10", "1"); /* failed first, and was tried again */
    OK(sak_store_exec(s,
                      "insert into trial(id, sweep_id, n, arm, cell, state, created_us) values"
                      " (1, 1, 1, 'base', 'rank=8', 'done', 1), (2, 1, 2, 'base', 'rank=16', 'done', 1);"
                      "update run set trial_id = 3 - id;",
                      err));
    sak_comparison c = compare(s, NULL, 1, sweep_name);
    assert_string_equal(c.rows[0].arm, "rank=8");
    assert_true(c.rows[0].is_reference);
    close_to("rank 16 against 8", c.rows[1].diff.mean, 3);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void what_has_not_finished_still_decides_what_the_reference_is(void **state)
{
    sak_store *s = fresh(state);
    add_run(s, "b", "'sum'", 1, "'rank=16'", 0, "13", "1");
    add_run(s, "c", "'sum'", 1, "'rank=32'", 0, "14", "1");
    add_run(s, "a", "'mor'", 0, "'rank=16'", 0, "10", "1");
    OK(sak_store_exec(s, "update run set state = 'failed' where id = 3", err));
    sak_comparison c = compare(s, NULL, 1, sweep_name);
    assert_int_equal(c.n, 2); /* no cell is held against another while there are two arms */
    for (int i = 0; i < 2; i++) {
        assert_string_equal(c.rows[i].arm, "sum");
        assert_false(c.rows[i].is_reference);
        assert_int_equal(c.rows[i].pairs, 0);
    }
    sak_comparison_close(&c);

    OK(sak_store_exec(s,
                      "delete from run where id = 3; update run set arm = 'base', arm_index = 0;"
                      "insert into trial(id, sweep_id, n, arm, cell, state, created_us) values"
                      " (1, 1, 1, 'base', 'rank=8', 'queued', 1), (2, 1, 2, 'base', 'rank=16', 'done', 1),"
                      " (3, 1, 3, 'base', 'rank=32', 'done', 1); update run set trial_id = id + 1;",
                      err));
    c = compare(s, NULL, 1, sweep_name);
    assert_string_equal(c.rows[0].arm, "rank=16");
    assert_false(c.rows[0].is_reference || c.rows[1].is_reference);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void runs_stand_for_all_seeds_of_their_configuration(void **state)
{
    sak_store *s = fresh(state);
    for (int seed = 0; seed < 3; seed++) {
        add_run(s, "a", "'mor'", 0, "NULL", seed, "10", "1");
        add_run(s, "b", "'sum'", 1, "NULL", seed, "12", "1");
    }
    const char *const what[] = {"2", "e_a"}; /* any seed of a configuration names it */
    sak_comparison c = compare(s, NULL, 2, what);
    assert_string_equal(c.rows[0].arm, "2");
    assert_int_equal(c.rows[0].sample.n, 3);
    assert_int_equal(c.rows[1].pairs, 3);
    close_to("difference", c.rows[1].diff.mean, -2);
    sak_comparison_close(&c);
    sak_store_close(s);
}

static void what_cannot_be_compared_is_named(void **state)
{
    sak_store *s = fresh(state);
    sak_comparison c;
    sak_chosen chosen;
    const sak_compare_spec latest = {.level = 0.95}, other = {.metric = "nothing*", .level = 0.95};
    OK(sak_choose(s, &latest, &chosen, err));
    assert_int_equal(chosen.runs, 0);
    FAILS(SAK_ENOENT, "no run of router has finished yet", sak_compare(s, &chosen, &latest, &c, err));
    sak_chosen_close(&chosen);
    add_run(s, "a", "'mor'", 0, "NULL", 0, "10", "1");
    OK(sak_choose(s, &latest, &chosen, err));
    assert_string_equal(chosen.sweep, "router");
    FAILS(SAK_ENOENT, "like nothing*", sak_compare(s, &chosen, &other, &c, err));
    sak_chosen_close(&chosen);
    assert_null(chosen.newer);
    OK(sak_store_exec(s,
                      "update sweep set script_path = 'a/router.lua'; insert into sweep(id, name, script_path, created_us)"
                      " values (2, 'router-2', 'a/router.lua', 2)", err));
    const sak_compare_spec named = {.what = sweep_name, .n_what = 1, .level = 0.95};
    OK(sak_choose(s, &named, &chosen, err));
    assert_string_equal(chosen.newer, "router-2");
    sak_chosen_close(&chosen);
    const sak_compare_spec nobody = {.what = (const char *[]){"1", "nobody"}, .n_what = 2};
    FAILS(SAK_ENOENT, "no run 'nobody'", sak_choose(s, &nobody, &chosen, err));
    add_run(s, "a", "'mor'", 0, "NULL", 1, "11", "1");
    add_run(s, "b", "'sum'", 1, "NULL", 1, "11", "1");
    OK(sak_store_exec(s, "update run set state = 'running' where id = 3", err));
    const sak_compare_spec seeds = {.what = (const char *[]){"1", "2"}, .n_what = 2};
    FAILS(SAK_EINVAL, "'1' and '2' are of one configuration", sak_choose(s, &seeds, &chosen, err));
    const sak_compare_spec running = {.what = (const char *[]){"1", "3"}, .n_what = 2};
    FAILS(SAK_EINVAL, "run '3' is running", sak_choose(s, &running, &chosen, err));
    const sak_compare_spec ambiguous = {.what = (const char *[]){"u"}, .n_what = 1};
    FAILS(SAK_EINVAL, "'u' could be u3, u2, u1", sak_choose(s, &ambiguous, &chosen, err));
    sak_store_close(s);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(six_paired_seeds_give_the_interval_and_the_p_of_the_textbook),
        CASE(seeds_without_a_partner_and_values_that_are_not_finite_form_no_pair),
        CASE(holms_correction_counts_all_arms_of_a_metric_and_no_other),
        CASE(arms_are_compared_within_a_cell),
        CASE(with_a_single_arm_the_first_cell_is_the_reference),
        CASE(the_first_cell_stays_the_reference_when_its_trial_was_run_last),
        CASE(what_has_not_finished_still_decides_what_the_reference_is),
        CASE(runs_stand_for_all_seeds_of_their_configuration),
        CASE(what_cannot_be_compared_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
