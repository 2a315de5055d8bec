/* Runs that log to a database, and processes that wait for each other: what the tests of the store
 * share. */
#ifndef SAK_TESTS_RUNS_FIXTURE_H
#define SAK_TESTS_RUNS_FIXTURE_H

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "results/db.h"
#include "results_fixture.h"

static inline void nap(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)}, NULL);
}

static inline sak_store *open_store(const place *p)
{
    sak_store *s = NULL;
    OK(sak_store_open(p->db, SAK_STORE_WRITE, &s, err));
    return s;
}

static inline sak_run *begin_run(sak_store *s, const char *experiment, int64_t seed)
{
    sak_run *r = NULL;
    const sak_run_info info = {.experiment = experiment, .seed = seed, .config_json = "{\"a\":1}",
                               .group_sha256 = "g", .script_path = "x.lua",
                               .script_text = "return sak.experiment 'x' {}\n", .threads = 2};
    OK(sak_run_begin(s, &info, &r, err));
    return r;
}

/* A child forked before this process opens anything (SQLite must not be carried across a fork); it
 * starts its work when the gate opens.  Returns in both; in the child *child is 0. */
static inline int fork_waiting(pid_t *child)
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

static inline void let_go(int gate, pid_t child)
{
    int code;
    assert_int_equal(write(gate, "", 1), 1);
    close(gate);
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
}

/* metric_last must equal what the points say, whatever the order of logging and batching. */
static inline void expect_summaries(sak_store *s)
{
    static const char differs[] =
        "WITH p AS (SELECT m.run, m.metric, count(*) AS n, count(*) - count(value) AS bad,"
        " min(value) AS lo, max(value) AS hi, max(step) AS step, total(value) AS sum FROM metrics m"
        " GROUP BY 1, 2)"
        " SELECT count(*) FROM p FULL JOIN (SELECT l.*, k.name FROM metric_last l JOIN metric_key k"
        "  ON k.id = l.key_id) l ON l.run_id = p.run AND l.name = p.metric"
        " WHERE p.n IS NOT l.n OR p.bad IS NOT l.n_nonfinite OR p.lo IS NOT l.vmin OR p.hi IS NOT l.vmax"
        "  OR p.step IS NOT l.step OR abs(p.sum - l.vsum) > 1e-9 * (1 + abs(p.sum))"
        "  OR l.vmin IS NOT (SELECT value FROM metric_point q WHERE q.run_id = l.run_id AND"
        "   q.key_id = l.key_id AND q.step = l.vmin_step ORDER BY attempt DESC LIMIT 1)";
    expect_number(s, differs, 0);
}

#endif
