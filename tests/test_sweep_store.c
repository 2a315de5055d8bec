/* The sweep and trial tables: claims, leases, and states that follow from runs alone. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "results/lease.h"
#include "results/sweep.h"
#include "results_fixture.h"

static sak_store *open_store(const place *p, sak_store_mode mode)
{
    sak_store *s = NULL;
    OK(sak_store_open(p->db, mode, &s, err));
    return s;
}

static int64_t make_sweep(sak_store *s, const char *name)
{
    int64_t id = 0;
    OK(sak_sweep_create(s, &(sak_sweep_info){.name = name, .script_name = "router", .frozen_json = "{}",
                                             .script_text = "return 1", .objective = "score", .goal = "max"},
                        &id, err));
    sak_trial_info trials[3];
    for (int i = 0; i < 3; i++)
        trials[i] = (sak_trial_info){.label = "mor", .arm = "mor", .seed = i, .point_json = "{}",
                                     .config_json = "{}", .config_sha256 = "x"};
    OK(sak_sweep_add(s, id, trials, 3, err));
    return id;
}

/* A child that does nothing until it is killed. */
static pid_t sleeper(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_lease_is_dead_with_its_process_and_never_another_ones(void **state)
{
    (void)state;
    char lease[SAK_LEASE_TEXT], later[SAK_LEASE_TEXT + 2];
    OK(sak_lease_of(0, lease, err));
    assert_int_equal(sak_lease_pid(lease), getpid());
    snprintf(later, sizeof later, "%s0", lease); /* the same number, started at another time */
    assert_int_equal(sak_lease_pid(later), 0);
    snprintf(later, sizeof later, "x%s", lease); /* another boot */
    assert_int_equal(sak_lease_pid(later), 0);
    assert_int_equal(sak_lease_pid(NULL), 0);
    assert_int_equal(sak_lease_pid("|"), 0);
    const pid_t pid = sleeper();
    OK(sak_lease_of(pid, lease, err));
    assert_int_equal(sak_lease_pid(lease), pid);
    kill(pid, SIGKILL);
    waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
    assert_int_equal(sak_lease_pid(lease), 0); /* a zombie no longer runs */
    FAILS(SAK_ENOENT, "has ended", sak_lease_of(pid, lease, err));
    end(pid);
}

static void one_living_process_at_a_time_runs_a_sweep(void **state)
{
    sak_store *s = open_store(*state, SAK_STORE_WRITE);
    const int64_t id = make_sweep(s, "router");
    int64_t other = 0, pid = 0;
    FAILS(SAK_EINVAL, "there is a sweep 'router' already",
          sak_sweep_create(s, &(sak_sweep_info){.name = "router"}, &other, err));
    OK(sak_sweep_claim(s, id, err)); /* ours already */
    char lease[SAK_LEASE_TEXT], sql[300];
    const pid_t child = sleeper();
    OK(sak_lease_of(child, lease, err));
    snprintf(sql, sizeof sql, "UPDATE sweep SET owner = '%s'", lease);
    OK(sak_store_exec(s, sql, err));
    FAILS(SAK_EINVAL, "is running this sweep already", sak_sweep_claim(s, id, err));
    OK(sak_sweep_ask(s, id, "paused", &pid, err));
    assert_int_equal(pid, child);
    expect_text(s, "SELECT state FROM sweep", "paused");
    end(child);
    OK(sak_sweep_ask(s, id, "stopped", &pid, err));
    assert_int_equal(pid, 0);
    expect_text(s, "SELECT state FROM sweep", "paused"); /* nobody was there to be asked */
    OK(sak_sweep_claim(s, id, err));
    OK(sak_sweep_leave(s, id, "done", err));
    expect_text(s, "SELECT state || coalesce(owner, '-') FROM sweep", "done-");
    sak_store_close(s);
}

/* A worker: leased, spools a run, ends it as told (NULL: is killed in the middle of it). */
static void work(const place *p, sak_store *s, int64_t trial, const char *state, const char *tag)
{
    int go[2];
    assert_int_equal(pipe(go), 0);
    char uid[13];
    OK(sak_run_uid_new(uid, err));
    const pid_t pid = fork();
    if (pid == 0) {
        char byte;
        sak_store *own = NULL;
        sak_run *r = NULL;
        sak_error e;
        if (read(go[0], &byte, 1) != 1 || sak_store_open(p->db, SAK_STORE_SPOOL, &own, &e) != SAK_OK ||
            sak_run_begin(own, &(sak_run_info){.experiment = "e", .uid = uid, .trial = trial,
                                               .sweep = "router"}, &r, &e) != SAK_OK)
            _exit(1);
        sak_run_log(r, "score", 1, 0.5);
        if (tag)
            sak_run_tag(r, tag, "early");
        if (!state) {
            (void)sak_run_flush(r, NULL);
            kill(getpid(), SIGKILL);
        }
        _exit(sak_run_finish(r, state, &e) == SAK_OK ? 0 : 1);
    }
    bool got = false;
    OK(sak_trial_lease(s, trial, pid, &got, err));
    assert_true(got);
    OK(sak_trial_lease(s, trial, pid, &got, err));
    assert_false(got); /* no longer queued */
    int status = 0, running = 0;
    OK(sak_sweep_settle(s, 1, &running, err));
    assert_int_equal(running, 1);
    assert_int_equal(write(go[1], "x", 1), 1);
    waitpid(pid, &status, 0);
    close(go[0]);
    close(go[1]);
    if (state && status != 0)
        fail_msg("the worker ended with %d", status);
    OK(sak_sweep_settle(s, 1, &running, err));
    assert_int_equal(running, 0);
}

static void a_trials_state_follows_from_its_run(void **state)
{
    sak_store *s = open_store(*state, SAK_STORE_WRITE);
    (void)make_sweep(s, "router");
    work(*state, s, 1, NULL, NULL);
    expect_text(s, "SELECT state || attempts FROM trial WHERE id = 1", "queued1");
    expect_text(s, "SELECT state FROM run", "lost");
    work(*state, s, 1, "stopped", NULL);
    expect_text(s, "SELECT state || attempts FROM trial WHERE id = 1", "queued2");
    work(*state, s, 1, "done", NULL);
    expect_text(s, "SELECT state || attempts || run_id FROM trial WHERE id = 1", "done33");
    work(*state, s, 2, "stopped", "pruned");
    expect_text(s, "SELECT state FROM trial WHERE id = 2", "pruned");
    work(*state, s, 3, "failed", NULL);
    expect_text(s, "SELECT state FROM trial WHERE id = 3", "failed");
    int n = 0;
    OK(sak_sweep_retry(s, 1, &n, err));
    assert_int_equal(n, 1);
    expect_text(s, "SELECT group_concat(state) FROM (SELECT state FROM trial ORDER BY n)",
                "done,pruned,queued");
    OK(sak_trial_fail(s, 3, "no memory", err));
    OK(sak_trial_fail(s, 1, "too late", err)); /* what is done stays done */
    expect_text(s, "SELECT group_concat(state || coalesce(error, '')) FROM (SELECT * FROM trial ORDER BY n)",
                "done,pruned,failedno memory");
    expect_number(s, "SELECT count(*) FROM finals WHERE metric = 'score' AND value = 0.5", 5);
    expect_healthy(s);
    sak_store_close(s);
}

static void a_collector_shows_a_living_workers_metrics(void **state)
{
    const place *p = *state;
    sak_store *s = open_store(p, SAK_STORE_WRITE);
    sak_store *worker = open_store(p, SAK_STORE_SPOOL);
    sak_collector *c = NULL;
    char uid[13];
    OK(sak_run_uid_new(uid, err));
    OK(sak_collector_open(s, &c, err));
    OK(sak_collector_add(c, uid, 1, err));
    OK(sak_collector_step(c, err)); /* nothing there yet */
    sak_run *r = NULL;
    OK(sak_run_begin(worker, &(sak_run_info){.experiment = "e", .uid = uid}, &r, err));
    assert_string_equal(sak_run_uid(r), uid);
    assert_int_equal(sak_run_id(r), 0);
    sak_run_log(r, "score", 1, 0.25);
    OK(sak_run_flush(r, err));
    expect_number(s, "SELECT count(*) FROM run", 0); /* the worker writes no database */
    OK(sak_collector_step(c, err));
    expect_number(s, "SELECT value FROM metrics WHERE metric = 'score'", 0.25);
    OK(sak_run_finish(r, "done", err));
    OK(sak_collector_step(c, err));
    expect_text(s, "SELECT state FROM run", "done");
    sak_collector_drop(c, uid);
    sak_collector_close(c);
    OK(sak_store_recover(s, NULL, err));
    expect_number(s, "SELECT count(*) FROM metrics", 1);
    sak_store_close(worker);
    FAILS(SAK_EINVAL, "open for reading only",
          (worker = open_store(p, SAK_STORE_SPOOL), sak_sweep_claim(worker, 1, err)));
    sak_store_close(worker);
    sak_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_dead_with_its_process_and_never_another_ones),
        cmocka_unit_test_setup_teardown(one_living_process_at_a_time_runs_a_sweep, place_open, place_close),
        cmocka_unit_test_setup_teardown(a_trials_state_follows_from_its_run, place_open, place_close),
        cmocka_unit_test_setup_teardown(a_collector_shows_a_living_workers_metrics, place_open, place_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
