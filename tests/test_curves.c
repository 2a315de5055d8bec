/* Learning curves against the same sums in SQL over the view `metrics`; which arms are drawn. */
#include "results/curves.h"
#include "results_fixture.h"

enum { ARMS = 20, SEEDS = 3, STEPS = 53, PARTS = 7 };

/* Arm a's objective falls with (a * 7) % ARMS; every run logs a loss, run 2 in two attempts, the first
 * of which logged past the step the second began at, and one value is NaN. */
static sak_store *filled(void **state)
{
    sak_store *s = NULL;
    OK(sak_store_open(((place *)*state)->db, SAK_STORE_WRITE, &s, err));
    OK(sak_store_exec(s,
        "insert into experiment(id, name, created_us) values (1, 'e', 1);"
        "insert into sweep(id, name, objective, goal, created_us) values (1, 'many', 'val/x', 'min', 1);"
        "insert into metric_key(id, name, goal) values (1, 'loss', 'min'), (2, 'val/x', 'min');"
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < 59)"
        "insert into run(id, uid, experiment_id, name, kind, sweep_id, arm, arm_index, seed, state, attempts,"
        " started_us, finished_us, group_sha256) select i + 1, 'u' || i, 1, 'e', 'sak', 1, 'arm' || (i / 3), i / 3,"
        " i % 3, 'done', 1 + (i = 1), 1, 2, 'g' || (i / 3) from n;"
        "insert into attempt(run_id, n, resumed_step, state, started_us, heartbeat_us, host, boot_id, pid, pid_start)"
        " select id, 1, NULL, 'done', 1, 2, 'h', 'b', 1, 1 from run union all select 2, 2, 20, 'done', 1, 2, 'h', 'b', 1, 1;"
        "with recursive n(i) as (select 0 union all select i + 1 from n where i < 52)"
        "insert into metric_point select r.id, 1, i, 1, i, iif(r.id = 5 and i = 9, NULL, (i * 37 + r.id * 11) % 101)"
        " from run r, n where r.id <> 2 or i < 40;"
        "with recursive n(i) as (select 20 union all select i + 1 from n where i < 52)"
        "insert into metric_point select 2, 1, i, 2, i, 500 + i from n;"
        "insert into metric_point select id, 2, 52, attempts, 52, (arm_index * 7) % 20 + seed / 10.0 from run;"
        "insert into metric_last select run_id, key_id, max(step), max(attempt), 0, min(value), min(value), 0,"
        " max(value), 0, sum(value), count(*), 0 from metric_point group by run_id, key_id;",
        err));
    return s;
}

static const sak_compare_spec everything = {.level = 0.95};

static void curves_are_the_means_of_the_points_that_stand(void **state)
{
    sak_store *s = filled(state);
    sak_chosen chosen;
    sak_curves curves;
    OK(sak_choose(s, &everything, &chosen, err));
    OK(sak_curves_read(s, &chosen, PARTS, &curves, err));
    assert_int_equal(curves.n, ARMS); /* val/x was logged once: no curve */
    sak_rows *rows = NULL;
    bool more = true;
    OK(sak_store_query(s, &(sak_query){.sql =
        "with part as (select r.arm_index as arm, m.run, m.step * 7 / 53 as at, avg(m.step) as step, avg(value) as v"
        " from metrics m join run r on r.id = m.run where metric = 'loss' and value is not null group by 1, 2, 3)"
        "select arm, avg(step), avg(v), min(v), max(v) from part group by arm, at order by arm, at"}, &rows, err));
    int n = 0;
    for (int i = 0; i < curves.n; i++) {
        const sak_curve *c = &curves.list[i];
        assert_string_equal(c->metric, "loss");
        assert_string_equal(c->goal, "min");
        assert_int_equal(c->n, PARTS);
        for (int k = 0; k < c->n; k++, n++) {
            OK(sak_rows_next(rows, &more, err));
            assert_true(more);
            assert_int_equal(atoi(c->arm + 3), sak_rows_value(rows, 0).i);
            const double got[] = {c->points[k].step, c->points[k].mean, c->points[k].lo, c->points[k].hi};
            for (int v = 0; v < 4; v++)
                if (!(fabs(got[v] - sak_rows_value(rows, v + 1).num) <= 1e-9 * (1 + fabs(got[v]))))
                    fail_msg("arm %s, part %d, column %d: %.12g, expected %.12g", c->arm, k, v, got[v],
                             sak_rows_value(rows, v + 1).num);
        }
    }
    OK(sak_rows_next(rows, &more, err));
    assert_false(more);
    assert_int_equal(n, ARMS * PARTS);
    sak_rows_close(rows);
    sak_curves_close(&curves);
    sak_chosen_close(&chosen);
    sak_store_close(s);
}

static void more_parts_than_steps_give_a_point_per_step(void **state)
{
    sak_store *s = filled(state);
    sak_chosen chosen;
    sak_curves curves;
    OK(sak_choose(s, &everything, &chosen, err));
    OK(sak_curves_read(s, &chosen, 1000, &curves, err));
    assert_int_equal(curves.list[0].n, STEPS);
    for (int i = 0; i < STEPS; i++)
        assert_true(curves.list[0].points[i].step == i);
    assert_true(curves.list[0].points[30].hi == 530); /* the second attempt's */
    sak_curves_close(&curves);
    sak_chosen_close(&chosen);
    sak_store_close(s);
}

static void the_first_arm_and_the_best_by_the_objective_are_drawn(void **state)
{
    sak_store *s = filled(state);
    sak_chosen all, best;
    OK(sak_choose(s, &everything, &all, err));
    OK(sak_choose_best(s, &all, 4, &best, err));
    assert_int_equal(best.arms, 4);
    assert_int_equal(best.runs, 4 * SEEDS);
    /* (a * 7) % 20 is 0, 1, 2, 3 for a = 0, 3, 6, 9 */
    for (int a = 0; a < ARMS; a++) {
        char name[16];
        snprintf(name, sizeof name, "\"arm%d\"", a);
        if ((strstr(best.json, name) != NULL) != (a <= 9 && a % 3 == 0))
            fail_msg("%s among the best: %s", name, best.json);
    }
    sak_chosen_close(&best);
    OK(sak_store_exec(s, "update sweep set goal = 'max'", err));
    OK(sak_choose_best(s, &all, 2, &best, err)); /* the first, and a = 17: 119 % 20 = 19 */
    assert_non_null(strstr(best.json, "\"arm0\""));
    assert_non_null(strstr(best.json, "\"arm17\""));
    assert_int_equal(best.arms, 2);
    sak_chosen_close(&best);
    OK(sak_store_exec(s, "update sweep set objective = NULL", err));
    OK(sak_choose_best(s, &all, 3, &best, err));
    assert_non_null(strstr(best.json, "\"arm2\""));
    assert_int_equal(best.runs, 3 * SEEDS);
    sak_chosen_close(&best);
    OK(sak_choose_best(s, &all, ARMS, &best, err));
    assert_int_equal(best.runs, all.runs);
    sak_chosen_close(&best);
    sak_chosen_close(&all);
    sak_store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, place_open, place_close)
    const struct CMUnitTest tests[] = {
        T(curves_are_the_means_of_the_points_that_stand),
        T(more_parts_than_steps_give_a_point_per_step),
        T(the_first_arm_and_the_best_by_the_objective_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
