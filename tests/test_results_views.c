/* Views, queries, formatters and statistics, on a database made by hand. */
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>

#include "results/db.h"
#include "results/stats.h"
#include "results_fixture.h"

/* Sweep "router": arms mor (reference), sum; seeds 0, 1, 2; two cells.  Values by hand below. */
static const double miou[2][3] = {{50, 52, 57}, {49, 50, 60}};
static const double rmse[2][3] = {{0.54, 0.60, 0.66}, {0.50, 0.70, 0.60}};

static int64_t add_run(sak_store *s, const sak_run_info *info, const char *state, double semseg,
                       double depth)
{
    sak_run *r = NULL;
    OK(sak_run_begin(s, info, &r, err));
    const int64_t id = sak_run_id(r);
    sak_run_key(r, "val/semseg/mIoU", &(sak_key_info){.goal = "max", .unit = "%", .task = "semseg"});
    sak_run_key(r, "val/depth/RMSE", &(sak_key_info){.goal = "min", .unit = "m", .task = "depth"});
    sak_run_log(r, "multitask/loss", 0, 2);
    sak_run_log(r, "multitask/loss", 1, 1);
    if (!isinf(semseg)) /* infinite: this run does not have the task */
        sak_run_log(r, "val/semseg/mIoU", 1, semseg);
    if (!isinf(depth))
        sak_run_log(r, "val/depth/RMSE", 1, depth);
    OK(sak_run_finish(r, state, err));
    return id;
}

static void fill(sak_store *s)
{
    sak_run *r = NULL;
    static const char *const arm[] = {"mor", "sum"};
    for (int a = 0; a < 2; a++) {
        for (int seed = 0; seed < 3; seed++) {
            const sak_run_info info = {.experiment = "three_teachers", .config_sha256 = "c",
                                       .group_sha256 = arm[a], .compare_sha256 = "same data",
                                       .seed = seed, .sweep = "router", .arm = arm[a],
                                       .arm_index = a, .cell = "rank=8"};
            if (seed == 1) /* the same once more: only the later one counts */
                add_run(s, &info, "done", 1, 1);
            const int64_t id = add_run(s, &info, "done", miou[a][seed], rmse[a][seed]);
            OK(sak_store_tag(s, id, "kept", NULL, err));
            if (seed == 2) /* nor do runs that did not finish */
                add_run(s, &info, "failed", 1, 1);
        }
    }
    /* Another cell has only its reference, with one seed. */
    add_run(s, &(sak_run_info){.experiment = "three_teachers", .group_sha256 = "wide", .seed = 0,
                               .sweep = "router", .arm = "mor", .cell = "rank=48"}, "done", 70, NAN);
    /* Baselines: semseg 40 and 44 (mean 42), depth 0.5 and 0.7 (mean 0.6). */
    for (int seed = 0; seed < 2; seed++) {
        sak_run_info info = {.experiment = "single_semseg", .kind = "single_task", .group_sha256 = "s",
                             .compare_sha256 = "same data", .seed = seed};
        add_run(s, &info, "done", 40 + 4 * seed, INFINITY);
        info.experiment = "single_depth", info.group_sha256 = "d";
        add_run(s, &info, "done", INFINITY, 0.5 + 0.2 * seed);
        info.compare_sha256 = "other data";
        info.group_sha256 = "o";
        add_run(s, &info, "done", 99, INFINITY);
    }
    /* Other data: a baseline for semseg only. */
    add_run(s, &(sak_run_info){.experiment = "elsewhere", .group_sha256 = "e",
                               .compare_sha256 = "other data"}, "done", 99, 1);
    /* Router weights belong to run 1, through a second attempt. */
    OK(sak_run_resume(s, 1, &(sak_run_info){0}, 1, &r, err));
    sak_run_log(r, "router/semseg/level0/agnostic", 2, 0.2);
    sak_run_log(r, "router/semseg/level0/agnostic", 3, 0.4);
    sak_run_log(r, "router/semseg/level0/sam", 3, 0.6);
    sak_run_log(r, "router/human_parts/level12/dinov2/b", 3, 1);
    sak_run_log(r, "router_entropy/semseg/level0", 3, 0.67);
    OK(sak_run_finish(r, "done", err));
}

static int open_filled(void **state)
{
    if (place_open(state) != 0)
        return -1;
    sak_store *s = NULL;
    OK(sak_store_open(((place *)*state)->db, SAK_STORE_WRITE, &s, err));
    fill(s);
    sak_store_close(s);
    return 0;
}

static sak_store *reader(void **state)
{
    sak_store *s = NULL;
    OK(sak_store_open(((place *)*state)->db, SAK_STORE_READ, &s, err));
    return s;
}

/* --- views ------------------------------------------------------------------------------------ */

static void every_documented_query_answers_and_every_view_is_documented(void **state)
{
    sak_store *s = reader(state);
    int n = 0;
    for (const sak_documented_query *q = sak_documented_queries; q->view; q++, n++) {
        sak_rows *rows = NULL;
        int64_t got = 0;
        FILE *nowhere = fopen("/dev/null", "w");
        OK(sak_store_query(s, &(sak_query){.sql = q->sql}, &rows, err));
        OK(sak_rows_print(rows, SAK_FORMAT_TABLE, nowhere, &got, err));
        sak_rows_close(rows);
        fclose(nowhere);
        if (got < 1)
            fail_msg("no row from: %s", q->sql);
        assert_non_null(strstr(q->sql, q->view));
        assert_true(strlen(q->doc) > 20);
        char sql[160];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = '%s'",
                 q->view);
        expect_number(s, sql, 1);
    }
    expect_number(s, "SELECT count(*) FROM sqlite_schema WHERE type = 'view'", n);
    sak_store_close(s);
}

static void seed_stats_is_the_students_t_interval_of_the_counted_runs(void **state)
{
    sak_store *s = reader(state);
#define MOR " FROM seed_stats WHERE arm = 'mor' AND cell = 'rank=8' AND metric = 'val/semseg/mIoU'"
    expect_number(s, "SELECT count(*)" MOR, 1);
    expect_number(s, "SELECT n" MOR, 3);
    expect_number(s, "SELECT mean" MOR, 53);
    expect_number(s, "SELECT sd" MOR, sqrt(13));
    expect_number(s, "SELECT lo" MOR, 53 - 4.302652729911275 * sqrt(13.0 / 3));
    expect_number(s, "SELECT hi" MOR, 53 + 4.302652729911275 * sqrt(13.0 / 3));
    expect_number(s, "SELECT min" MOR, 50);
    expect_text(s, "SELECT sweep || ' ' || experiment || ' ' || goal" MOR, "router three_teachers max");
#undef MOR
    /* Two seeds: 12.706… */
    expect_number(s, "SELECT hi FROM seed_stats WHERE experiment = 'single_semseg'"
                     " AND metric = 'val/semseg/mIoU'",
                  42 + 12.706204736174706 * 2);
    /* One seed has no interval; one that is not finite no mean either. */
    expect_number(s, "SELECT n = 1 AND mean = 70 AND sd IS NULL AND lo IS NULL AND hi IS NULL"
                     " FROM seed_stats WHERE group_sha256 = 'wide' AND metric = 'val/semseg/mIoU'", 1);
    expect_number(s, "SELECT n = 0 AND n_nonfinite = 1 AND mean IS NULL FROM seed_stats"
                     " WHERE group_sha256 = 'wide' AND metric = 'val/depth/RMSE'", 1);
    sak_store_close(s);
}

static void paired_differences_match_seeds_within_a_cell(void **state)
{
    sak_store *s = reader(state);
#define SUM " FROM paired WHERE arm = 'sum' AND metric = 'val/semseg/mIoU'"
    expect_number(s, "SELECT count(*)" SUM, 3);
    for (int seed = 0; seed < 3; seed++) {
        char sql[160];
        snprintf(sql, sizeof sql, "SELECT diff" SUM " AND seed = %d", seed);
        expect_number(s, sql, miou[1][seed] - miou[0][seed]);
    }
    expect_text(s, "SELECT DISTINCT reference || ' ' || cell" SUM, "mor rank=8");
    expect_number(s, "SELECT count(*) FROM paired WHERE cell = 'rank=48'", 0);
    expect_number(s, "SELECT count(*) FROM paired WHERE arm = reference", 0);
    sak_store_close(s);
#undef SUM
}

/* As `sak compare` does with a grid and no arms: its first cell is the reference. */
static void cells_of_a_single_arm_are_paired_with_the_first(void **state)
{
    const place *p = *state;
    sak_store *s = NULL;
    OK(sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    for (int64_t seed = 0; seed < 2; seed++) {
        add_run(s, &(sak_run_info){.experiment = "e", .group_sha256 = "8", .seed = seed, .sweep = "rank",
                                   .arm = "base", .cell = "rank=8"}, "done", 10 + seed, 1);
        add_run(s, &(sak_run_info){.experiment = "e", .group_sha256 = "16", .seed = seed, .sweep = "rank",
                                   .arm = "base", .cell = "rank=16"}, "done", 13 + 2 * seed, 1);
    }
#define RANK " FROM paired WHERE sweep = 'rank' AND metric = 'val/semseg/mIoU'"
    expect_number(s, "SELECT count(*)" RANK, 2);
    expect_number(s, "SELECT diff" RANK " AND seed = 0", 3);
    expect_number(s, "SELECT diff" RANK " AND seed = 1", 4);
    expect_text(s, "SELECT DISTINCT cell || ' ' || reference" RANK, "rank=16 rank=8");
#undef RANK
    sak_store_close(s);
}

static void delta_m_is_the_mean_relative_gain_over_single_task_runs(void **state)
{
    sak_store *s = reader(state);
    expect_number(s, "SELECT baseline FROM delta_m_tasks WHERE run = 1 AND task = 'semseg'", 42);
    expect_number(s, "SELECT baseline_n FROM delta_m_tasks WHERE run = 1 AND task = 'semseg'", 2);
    expect_number(s, "SELECT delta FROM delta_m_tasks WHERE run = 1 AND task = 'semseg'",
                  100 * (50 - 42) / 42.0);
    /* Lower is better: 0.54 against 0.6 is a gain of 10 %. */
    expect_number(s, "SELECT delta FROM delta_m_tasks WHERE run = 1 AND task = 'depth'", 10);
    expect_number(s, "SELECT delta_m FROM delta_m WHERE run = 1", (100 * 8 / 42.0 + 10) / 2);
    /* sum, seed 1: 50 and 0.7 */
    expect_number(s, "SELECT max(delta_m) FROM delta_m WHERE arm = 'sum' AND seed = 1 AND"
                     " run = (SELECT run FROM replicates WHERE arm = 'sum' AND seed = 1)",
                  (100 * 8 / 42.0 - 100 * 0.1 / 0.6) / 2);
    /* A task without a baseline leaves it open. */
    expect_number(s, "SELECT delta_m IS NULL AND tasks = 2 AND tasks_with_baseline = 1 FROM delta_m"
                     " WHERE experiment = 'elsewhere'", 1);
    expect_number(s, "SELECT count(*) FROM delta_m WHERE kind = 'single_task'", 0);
    sak_store_close(s);
}

static void routing_takes_names_apart(void **state)
{
    sak_store *s = reader(state);
    expect_number(s, "SELECT count(*) FROM routing", 3);
    expect_number(s, "SELECT weight FROM routing WHERE task = 'semseg' AND level = 0 AND"
                     " expert = 'agnostic' AND run = 1", 0.4);
    expect_number(s, "SELECT mean_weight FROM routing WHERE expert = 'agnostic'", 0.3);
    expect_number(s, "SELECT level FROM routing WHERE task = 'human_parts' AND expert = 'dinov2/b'", 12);
    expect_text(s, "SELECT typeof(level) FROM routing", "integer");
    sak_store_close(s);
}

/* --- queries ---------------------------------------------------------------------------------- */

static void a_query_can_only_read(void **state)
{
    static const char *const bad[] = {
        "DELETE FROM run", "UPDATE run SET seed = 1", "INSERT INTO tag VALUES (1, 'a', 'b')",
        "DROP TABLE run", "CREATE TABLE x(a)", "CREATE TEMP TABLE x(a)", "CREATE TEMP VIEW x AS SELECT 1",
        "ATTACH '/tmp/sak_attached.db' AS a", "DETACH main", "VACUUM", "VACUUM INTO '/tmp/sak_v.db'",
        "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 9", "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1", "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "SAVEPOINT a", "REINDEX",
        "ANALYZE", "SELECT load_extension('x')", "UPDATE sqlite_master SET sql = ''",
        "DELETE FROM sqlite_master", "WITH a AS (SELECT 1) DELETE FROM run",
        "INSERT INTO run DEFAULT VALUES RETURNING id", "PRAGMA wal_checkpoint(TRUNCATE)",
        "ALTER TABLE run ADD COLUMN x", "SELECT 1; DELETE FROM run", "", "  -- nothing", "SELEC 1",
        "SELECT * FROM nothing", "SELECT ?1", "EXPLAIN DELETE FROM run",
        "PRAGMA temp_store_directory = '/tmp'", "SELECT fts3_tokenizer('simple')"};
    sak_store *s = reader(state);
    const double before = number(s, "SELECT count(*) FROM run");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sak_rows *rows = NULL;
        sak_error e = {0};
        const sak_status st = sak_store_query(s, &(sak_query){.sql = bad[i]}, &rows, &e);
        if (st == SAK_OK) {
            bool more;
            if (sak_rows_next(rows, &more, &e) == SAK_OK)
                fail_msg("accepted: %s", bad[i]);
            sak_rows_close(rows);
        }
        assert_true(strncmp(e.msg, "sql: ", 5) == 0);
    }
    expect_number(s, "SELECT count(*) FROM run", before);
    expect_number(s, "PRAGMA user_version", sak_migrations_n);
    assert_int_not_equal(access("/tmp/sak_attached.db", F_OK), 0);
    assert_int_not_equal(access("/tmp/sak_v.db", F_OK), 0);
    /* Reading in its many forms goes through. */
    expect_number(s, "SELECT value FROM json_each('[4]')", 4);
    expect_number(s, "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 9)"
                     " SELECT sum(n) FROM a", 45);
    expect_number(s, "SELECT count(*) FROM pragma_table_info('run') WHERE name = 'uid'", 1);
    expect_number(s, "SELECT 1; -- and that is all\n ;", 1);
    sak_store_close(s);
}

static void rows_and_time_are_limited(void **state)
{
    sak_store *s = reader(state);
    sak_rows *rows = NULL, *other = NULL;
    bool more;
    int64_t n = 0;
    FILE *nowhere = fopen("/dev/null", "w");
    static const char endless[] =
        "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT n FROM a";
    OK(sak_store_query(s, &(sak_query){.sql = endless, .max_rows = 5}, &rows, err));
    OK(sak_store_query(s, &(sak_query){.sql = "SELECT 1", .max_rows = 1}, &other, err));
    OK(sak_rows_print(rows, SAK_FORMAT_CSV, nowhere, &n, err));
    assert_int_equal(n, 5);
    assert_true(sak_rows_limited(rows));
    OK(sak_rows_next(other, &more, err)); /* two at a time do not mix */
    assert_true(more);
    OK(sak_rows_next(other, &more, err));
    assert_false(more || sak_rows_limited(other));
    sak_rows_close(rows);
    sak_rows_close(other);
    OK(sak_store_query(s, &(sak_query){.sql = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1"
                                              " FROM a) SELECT sum(n) FROM a", .max_seconds = 0.1},
                       &rows, err));
    const clock_t from = clock();
    FAILS(SAK_ESTOP, "0.1 s", sak_rows_next(rows, &more, err));
    assert_true((double)(clock() - from) / CLOCKS_PER_SEC < 2);
    sak_rows_close(rows);
    expect_number(s, "SELECT 1", 1);
    fclose(nowhere);
    sak_store_close(s);
}

static void rows_may_be_closed_after_their_store(void **state)
{
    sak_store *s = reader(state);
    sak_rows *rows = NULL;
    bool more;
    OK(sak_store_query(s, &(sak_query){.sql = "SELECT run FROM runs"}, &rows, err));
    sak_store_close(s);
    OK(sak_rows_next(rows, &more, err));
    assert_true(more);
    sak_rows_close(rows);
}

static void parameters_are_bound_and_counted(void **state)
{
    sak_store *s = reader(state);
    sak_rows *rows = NULL;
    bool more;
    const sak_value v[] = {{.type = SAK_TEXT, .text = "mor' OR 1"}, {.type = SAK_INT, .i = 7},
                           {.type = SAK_NUM, .num = 0.5}, {.type = SAK_NULL}};
    OK(sak_store_query(s, &(sak_query){.sql = "SELECT ?1, ?2, ?3, ?4", .params = v, .n_params = 4},
                       &rows, err));
    OK(sak_rows_next(rows, &more, err));
    assert_int_equal(sak_rows_columns(rows), 4);
    assert_string_equal(sak_rows_value(rows, 0).text, "mor' OR 1");
    assert_int_equal(sak_rows_value(rows, 1).i, 7);
    assert_true(sak_rows_value(rows, 2).num == 0.5);
    assert_int_equal(sak_rows_value(rows, 3).type, SAK_NULL);
    sak_rows_close(rows);
    FAILS(SAK_EINVAL, "2 parameters, 1 given",
          sak_store_query(s, &(sak_query){.sql = "SELECT ?1, ?2", .params = v, .n_params = 1}, &rows, err));
    sak_store_close(s);
}

static void expect_printed(sak_store *s, const char *sql, sak_format format, const char *want)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    sak_rows *rows = NULL;
    OK(sak_store_query(s, &(sak_query){.sql = sql}, &rows, err));
    OK(sak_rows_print(rows, format, out, NULL, err));
    sak_rows_close(rows);
    fclose(out);
    assert_string_equal(text, want);
    free(text);
}

static void rows_print_as_table_csv_and_json(void **state)
{
    sak_store *s = reader(state);
    static const char sql[] = "SELECT 'a,\"b\"' AS name, 0.1 AS x, NULL AS none, 12 AS n UNION ALL"
                              " SELECT 'Δm' || char(10), 123456789.125, 1, -3";
    expect_printed(s, sql, SAK_FORMAT_TABLE,
                   "name             x  none   n\n"
                   "a,\"b\"          0.1     -  12\n"
                   "Δm     1.23457e+08     1  -3\n");
    expect_printed(s, sql, SAK_FORMAT_CSV,
                   "name,x,none,n\r\n\"a,\"\"b\"\"\",0.1,,12\r\n\"Δm\n\",123456789.125,1,-3\r\n");
    expect_printed(s, sql, SAK_FORMAT_JSON,
                   "[\n {\"name\": \"a,\\\"b\\\"\", \"x\": 0.1, \"none\": null, \"n\": 12},\n"
                   " {\"name\": \"Δm\\n\", \"x\": 123456789.125, \"none\": 1, \"n\": -3}\n]\n");
    expect_printed(s, "SELECT 1 AS a WHERE 0", SAK_FORMAT_JSON, "[]\n");
    expect_printed(s, "SELECT 1 AS a WHERE 0", SAK_FORMAT_TABLE, "a\n");
    /* Bytes that are no UTF-8, and a number that needs all its digits. */
    expect_printed(s, "SELECT CAST(x'61ff62' AS TEXT) AS t, 0.1 + 0.2 AS v", SAK_FORMAT_JSON,
                   "[\n {\"t\": \"a\\ufffdb\", \"v\": 0.30000000000000004}\n]\n");
    /* Long cells are cut to 60 characters. */
    expect_printed(s, "SELECT printf('%.*c', 70, 'x') AS t", SAK_FORMAT_TABLE,
                   "t\n"
                   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\n");
    sak_store_close(s);
}

/* --- statistics ------------------------------------------------------------------------------- */

static void t_quantiles_equal_printed_tables(void **state)
{
    (void)state;
    static const struct {
        double p, df, t;
    } known[] = {
        /* closed forms: df 1 is tan(pi (p - 1/2)), df 2 is (2p - 1) sqrt(2 / (4 p (1 - p))) */
        {0.975, 1, 12.706204736174706}, {0.975, 2, 4.302652729911275}, {0.75, 1, 1},
        {0.975, 3, 3.182446305283710},  {0.975, 4, 2.776445105197793}, {0.975, 9, 2.262157162740992},
        {0.995, 5, 4.032142983557536},  {0.95, 10, 1.812461122811676}, {0.975, 29, 2.045229642132703},
        {0.975, 1000, 1.962339080792541}, {0.025, 4, -2.776445105197793},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const double t = sak_t_quantile(known[i].p, known[i].df);
        if (fabs(t - known[i].t) > 1e-9)
            fail_msg("t(%g, %g) = %.15g, expected %.15g", known[i].p, known[i].df, t, known[i].t);
        assert_true(fabs(sak_t_cdf(t, known[i].df) - known[i].p) < 1e-12);
    }
    assert_true(fabs(sak_t_quantile(0.975, 1e6) - 1.959966) < 1e-5); /* the normal's 1.959964 + */
    assert_true(isnan(sak_t_quantile(1, 3)) && isnan(sak_t_quantile(0.9, 0)));
    assert_true(sak_t_quantile(0.5, 3) == 0);
    const double x[] = {50, NAN, 52, 57};
    const sak_sample got = sak_sample_of(x, 4, 0.95);
    assert_int_equal(got.n, 3);
    assert_true(got.mean == 53 && fabs(got.sd - sqrt(13)) < 1e-12);
    assert_true(fabs(got.hi - (53 + 4.302652729911275 * sqrt(13.0 / 3))) < 1e-9);
    assert_true(isnan(sak_sample_of(x, 1, 0.95).lo) && isnan(sak_sample_of(x, 0, 0.95).mean));
}

/* All flips by plain counting, as the definition says. */
static double brute_force_p(const double *d, int n)
{
    double observed = 0;
    int extreme = 0;
    for (int i = 0; i < n; i++)
        observed += d[i];
    for (int k = 0; k < 1 << n; k++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += (k >> i) & 1 ? -d[i] : d[i];
        extreme += fabs(sum) >= fabs(observed) - 1e-9;
    }
    return (double)extreme / (1 << n);
}

static void sign_flips_count_every_pattern(void **state)
{
    (void)state;
    double d[12];
    uint32_t random = 7;
    for (int n = 1; n <= 12; n++) {
        for (int i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            d[i] = (double)(random >> 8) / (1 << 24) - 0.3;
        }
        assert_true(fabs(sak_sign_flip_p(d, n, 0) - brute_force_p(d, n)) < 1e-12);
    }
    double tied[20]; /* the longest exact test, on a grid where many patterns tie with the observed one */
    for (int i = 0; i < 20; i++)
        tied[i] = (i * i % 21 - 8) * 0.1;
    const double p_tied = sak_sign_flip_p(tied, 20, 0), expected = brute_force_p(tied, 20);
    if (fabs(p_tied - expected) >= 1e-12)
        fail_msg("20 tied differences: p %.9f, expected %.9f", p_tied, expected);
    const double same[] = {1, 1, 1, 1, 1};
    assert_true(fabs(sak_sign_flip_p(same, 5, 0) - 0.0625) < 1e-12);
    assert_true(sak_sign_flip_p_min(5) == 0.0625);
    const double none[] = {0, 0, 0};
    assert_true(sak_sign_flip_p(none, 3, 0) == 1);
    double many[30]; /* Monte Carlo agrees with the normal limit and with itself */
    for (int i = 0; i < 30; i++)
        many[i] = i % 2 ? 1 : -0.4;
    const double p = sak_sign_flip_p(many, 30, 1);
    assert_true(p > 0.01 && p < 0.06 && p == sak_sign_flip_p(many, 30, 1));
}

static void holm_steps_down(void **state)
{
    (void)state;
    /* Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone: 0.02, 0.03, 0.06, 0.06. */
    double p[] = {0.01, 0.04, NAN, 0.03, 0.005};
    const double want[] = {0.03, 0.06, 0, 0.06, 0.02};
    sak_holm(p, 5);
    for (int i = 0; i < 5; i++)
        assert_true(i == 2 ? isnan(p[i]) : fabs(p[i] - want[i]) < 1e-12);
    double one[] = {0.7, 0.7, 0.7};
    sak_holm(one, 3);
    for (int i = 0; i < 3; i++)
        assert_true(one[i] == 1);
}

int main(void)
{
#define V(name) cmocka_unit_test_setup_teardown(name, open_filled, place_close)
    const struct CMUnitTest tests[] = {
        V(every_documented_query_answers_and_every_view_is_documented),
        V(seed_stats_is_the_students_t_interval_of_the_counted_runs),
        V(paired_differences_match_seeds_within_a_cell),
        cmocka_unit_test_setup_teardown(cells_of_a_single_arm_are_paired_with_the_first, place_open,
                                        place_close),
        V(delta_m_is_the_mean_relative_gain_over_single_task_runs),
        V(routing_takes_names_apart),
        V(a_query_can_only_read),
        V(rows_and_time_are_limited),
        V(rows_may_be_closed_after_their_store),
        V(parameters_are_bound_and_counted),
        V(rows_print_as_table_csv_and_json),
        cmocka_unit_test(t_quantiles_equal_printed_tables),
        cmocka_unit_test(sign_flips_count_every_pattern),
        cmocka_unit_test(holm_steps_down),
    };
    return cmocka_run_group_tests_name("results: views", tests, NULL, NULL);
}
