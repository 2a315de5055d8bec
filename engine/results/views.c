/* The views, and one documented query for each.  They use nothing but SQLite's built-in functions,
 * so that the plain sqlite3 shell and other languages read them too. */
#include "results/db.h"

const char sak_views_sql[] =
    "CREATE VIEW runs AS"
    " SELECT r.id AS run, r.uid, e.name AS experiment, r.name, r.kind, s.name AS sweep, r.arm,"
    "  r.cell, r.seed, r.state, r.attempts,"
    "  strftime('%Y-%m-%dT%H:%M:%fZ', r.started_us / 1e6, 'unixepoch') AS started,"
    "  (SELECT round(sum(coalesce(t.ended_us, t.heartbeat_us) - t.started_us) / 1e6, 3) FROM attempt t"
    "    WHERE t.run_id = r.id) AS seconds,"
    "  a.host, a.threads, a.cpu, a.blis_kernel, a.isa, a.sak_version, r.git_commit, r.git_dirty,"
    "  r.data_id, r.script_path, r.script_sha256, r.config_sha256, r.group_sha256,"
    "  r.compare_sha256,"
    "  (SELECT group_concat(CASE WHEN t.value IS NULL THEN t.name ELSE t.name || '=' || t.value END,"
    "    ' ') FROM tag t WHERE t.run_id = r.id) AS tags"
    " FROM run r JOIN experiment e ON e.id = r.experiment_id"
    " LEFT JOIN sweep s ON s.id = r.sweep_id"
    " LEFT JOIN attempt a ON a.run_id = r.id AND a.n = r.attempts;"

    /* A point falls when a later attempt started over before it, or logged the same step again. */
    "CREATE VIEW metrics AS"
    " SELECT p.run_id AS run, k.name AS metric, p.step, p.attempt, p.t_us / 1e6 AS seconds,"
    "  p.value, k.goal, k.unit"
    " FROM metric_point p JOIN metric_key k ON k.id = p.key_id"
    " WHERE NOT EXISTS (SELECT 1 FROM attempt a WHERE a.run_id = p.run_id AND a.n > p.attempt"
    "   AND a.resumed_step < p.step)"
    "  AND NOT EXISTS (SELECT 1 FROM metric_point q WHERE q.run_id = p.run_id"
    "   AND q.key_id = p.key_id AND q.step = p.step AND q.attempt > p.attempt);"

    "CREATE VIEW finals AS"
    " SELECT l.run_id AS run, e.name AS experiment, s.name AS sweep, r.arm, r.cell, r.seed,"
    "  r.state, r.kind, r.group_sha256, k.name AS metric, k.goal, k.unit, l.step, l.value,"
    "  CASE k.goal WHEN 'min' THEN l.vmin WHEN 'max' THEN l.vmax END AS best,"
    "  CASE k.goal WHEN 'min' THEN l.vmin_step WHEN 'max' THEN l.vmax_step END AS best_step,"
    "  l.vmin AS min, l.vmax AS max, l.vsum / (l.n - l.n_nonfinite) AS mean, l.n, l.n_nonfinite"
    " FROM metric_last l JOIN metric_key k ON k.id = l.key_id JOIN run r ON r.id = l.run_id"
    " JOIN experiment e ON e.id = r.experiment_id LEFT JOIN sweep s ON s.id = r.sweep_id;"

    /* Running one configuration and seed twice adds no evidence: of such runs the latest counts. */
    "CREATE VIEW replicates AS"
    " SELECT r.id AS run, r.group_sha256, r.sweep_id, r.arm, r.cell, r.seed FROM run r"
    " WHERE r.state = 'done' AND r.group_sha256 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run q"
    "  WHERE q.group_sha256 = r.group_sha256 AND q.seed = r.seed AND q.id > r.id"
    "   AND q.state = 'done' AND q.sweep_id IS r.sweep_id AND q.arm IS r.arm AND q.cell IS r.cell);"

    /* sd from the deviations themselves: sums of squares would cancel. */
    "CREATE VIEW seed_stats AS"
    " SELECT experiment, sweep, arm, cell, group_sha256, metric, goal, n, mean, sd,"
    "  mean - q975 * sd / sqrt(n) AS lo, mean + q975 * sd / sqrt(n) AS hi, min, max, n_nonfinite"
    " FROM (SELECT y.*, CASE WHEN y.n > 1 THEN sqrt((SELECT"
    "   sum((l.value - y.mean) * (l.value - y.mean)) FROM replicates g JOIN metric_last l"
    "   ON l.run_id = g.run AND l.key_id = y.key_id WHERE g.group_sha256 = y.group_sha256"
    "   AND g.sweep_id IS y.sweep_id AND g.arm IS y.arm AND g.cell IS y.cell) / (y.n - 1)) END AS sd"
    "  FROM (SELECT e.name AS experiment, s.name AS sweep, g.arm, g.cell, g.group_sha256,"
    "    k.name AS metric, k.goal, count(l.value) AS n, avg(l.value) AS mean,"
    "    min(l.value) AS min, max(l.value) AS max, count(*) - count(l.value) AS n_nonfinite,"
    "    l.key_id, g.sweep_id"
    "   FROM replicates g JOIN run r ON r.id = g.run"
    "   JOIN experiment e ON e.id = r.experiment_id LEFT JOIN sweep s ON s.id = g.sweep_id"
    "   JOIN metric_last l ON l.run_id = g.run JOIN metric_key k ON k.id = l.key_id"
    "   GROUP BY e.name, s.name, g.arm, g.cell, g.group_sha256, k.name) y)"
    " LEFT JOIN t_quantile ON df = min(n - 1, 1000);"

    /* Names: router/<task>/level<k>/<expert>. */
    "CREATE VIEW routing AS"
    " SELECT l.run_id AS run, r.arm, r.seed, n.task, n.level, n.expert, l.value AS weight, l.step,"
    "  l.vsum / (l.n - l.n_nonfinite) AS mean_weight"
    " FROM (SELECT id, task, CAST(substr(rest, 1, instr(rest, '/') - 1) AS INTEGER) AS level,"
    "   substr(rest, instr(rest, '/') + 1) AS expert"
    "  FROM (SELECT id, substr(tail, 1, instr(tail, '/level') - 1) AS task,"
    "    substr(tail, instr(tail, '/level') + 6) AS rest"
    "   FROM (SELECT id, substr(name, 8) AS tail FROM metric_key"
    "    WHERE name GLOB 'router/*/level[0-9]*/*'))) n"
    " JOIN metric_last l ON l.key_id = n.id JOIN run r ON r.id = l.run_id;"

    /* Per task: a run's final value against the mean of the single-task runs of the same
     * configuration (kind 'single_task', equal compare_sha256, state done, one per seed).  CROSS JOIN
     * keeps SQLite's order of joins: from each run straight to its few task metrics. */
    "CREATE VIEW delta_m_tasks AS"
    " SELECT r.id AS run, k.task, k.name AS metric, k.goal, l.value,"
    "  b.mean AS baseline, b.n AS baseline_n,"
    "  CASE k.goal WHEN 'min' THEN -100.0 ELSE 100.0 END * (l.value - b.mean) / b.mean AS delta"
    " FROM run r CROSS JOIN metric_key k ON k.task IS NOT NULL"
    " CROSS JOIN metric_last l ON l.run_id = r.id AND l.key_id = k.id"
    " LEFT JOIN (SELECT s.compare_sha256, bl.key_id, avg(bl.value) AS mean, count(bl.value) AS n"
    "   FROM (SELECT max(id) AS id, compare_sha256 FROM run WHERE kind = 'single_task'"
    "     AND state = 'done' AND compare_sha256 IS NOT NULL"
    "     GROUP BY compare_sha256, group_sha256, seed) s"
    "   CROSS JOIN metric_key bk ON bk.task IS NOT NULL"
    "   CROSS JOIN metric_last bl ON bl.run_id = s.id AND bl.key_id = bk.id"
    "   GROUP BY s.compare_sha256, bl.key_id) b"
    "  ON b.compare_sha256 = r.compare_sha256 AND b.key_id = l.key_id"
    " WHERE r.kind <> 'single_task' AND r.compare_sha256 IS NOT NULL;"

    /* NULL unless every task of the run has a baseline. */
    "CREATE VIEW delta_m AS"
    " SELECT d.run, e.name AS experiment, r.kind, s.name AS sweep, r.arm, r.cell, r.seed, r.state,"
    "  r.group_sha256, d.tasks, d.tasks_with_baseline,"
    "  CASE WHEN d.tasks = d.tasks_with_baseline THEN d.delta END AS delta_m"
    " FROM (SELECT run, count(*) AS tasks, count(delta) AS tasks_with_baseline,"
    "   avg(delta) AS delta FROM delta_m_tasks GROUP BY run) d"
    " JOIN run r ON r.id = d.run JOIN experiment e ON e.id = r.experiment_id"
    " LEFT JOIN sweep s ON s.id = r.sweep_id;"

    /* Sweeps that vary their grid alone, and their first cell; also of what has not finished.  SQLite takes a bare
     * column from the row of the min(). */
    "CREATE VIEW one_arm AS"
    " SELECT sweep_id, cell, min(place) AS place FROM (SELECT sweep_id, arm, cell, n AS place FROM trial"
    "  UNION ALL SELECT sweep_id, arm, cell, 1000000000 + id FROM run WHERE sweep_id IS NOT NULL)"
    " GROUP BY sweep_id HAVING count(DISTINCT arm) < 2;"

    /* Arms against the reference arm (arm_index 0) of the same sweep, cell and seed; in a sweep of one arm, cells
     * against the first one (as choose.c).  SQLite's order of joins is kept: pairs of runs are found once, then each
     * metric is looked up for them. */
    "CREATE VIEW paired AS"
    " WITH pair AS MATERIALIZED (SELECT s.name AS sweep, a.cell, a.arm,"
    "   CASE WHEN f.sweep_id IS NULL THEN z.arm ELSE z.cell END AS reference,"
    "   a.seed, a.run, z.run AS reference_run"
    "  FROM sweep s CROSS JOIN replicates a ON a.sweep_id = s.id CROSS JOIN run ra ON ra.id = a.run"
    "  LEFT JOIN one_arm f ON f.sweep_id = s.id"
    "  CROSS JOIN replicates z ON z.sweep_id = a.sweep_id AND z.seed = a.seed"
    "   AND z.cell IS CASE WHEN f.sweep_id IS NULL THEN a.cell ELSE f.cell END"
    "  CROSS JOIN run rz ON rz.id = z.run AND rz.arm_index = 0"
    "  WHERE ra.arm_index > 0 OR a.cell IS NOT z.cell)"
    " SELECT p.sweep, p.cell, p.arm, p.reference, p.seed, k.name AS metric, k.goal, la.value,"
    "  lz.value AS reference_value, la.value - lz.value AS diff, p.run, p.reference_run"
    " FROM metric_key k CROSS JOIN pair p"
    " CROSS JOIN metric_last la ON la.run_id = p.run AND la.key_id = k.id"
    " CROSS JOIN metric_last lz ON lz.run_id = p.reference_run AND lz.key_id = k.id;";

const sak_documented_query sak_documented_queries[] = {
    {"runs", "One row per run with its provenance; tags as name=value, separated by spaces.",
     "SELECT run, experiment, arm, seed, state, seconds FROM runs ORDER BY run DESC LIMIT 20"},
    {"metrics",
     "One row per point that stands: steps repeated by a resumed attempt appear once. "
     "seconds counts from the run's beginning; value is NULL where it was NaN or infinite.",
     "SELECT step, value FROM metrics WHERE run = 1 AND metric = 'multitask/loss' ORDER BY step"},
    {"finals",
     "One row per run and metric: last value, best by the metric's goal, extremes, mean over all "
     "points, number of points and of those that were not finite.",
     "SELECT run, seed, value, best, best_step FROM finals WHERE metric = 'val/semseg/mIoU'"},
    {"replicates",
     "The latest finished run of each configuration (group_sha256), sweep, arm, cell and seed.",
     "SELECT group_sha256, count(*) AS seeds FROM replicates GROUP BY group_sha256"},
    {"one_arm",
     "Sweeps that vary their grid alone, and the cell that `sak compare` and paired hold the others against.",
     "SELECT s.name, o.cell FROM sweep s LEFT JOIN one_arm o ON o.sweep_id = s.id"},
    {"seed_stats",
     "Over the seeds of one configuration: number, mean, standard deviation (n - 1) of the final "
     "values, and the 95 % Student-t interval of the mean (NULL below two seeds).",
     "SELECT arm, n, mean, sd, lo, hi FROM seed_stats WHERE metric = 'val/semseg/mIoU' ORDER BY arm"},
    {"routing",
     "Router weights: last logged weight of each expert per run, task and level, and its mean "
     "over all logged steps.",
     "SELECT task, level, expert, weight FROM routing WHERE run = 1 ORDER BY task, level, expert"},
    {"delta_m_tasks",
     "The terms of delta_m: per run and task the relative change in percent against the mean of "
     "the single-task runs with the same compare_sha256, positive where better.",
     "SELECT run, task, value, baseline, baseline_n, delta FROM delta_m_tasks ORDER BY run, task"},
    {"delta_m",
     "Mean over tasks of the relative change against single-task runs, in percent; NULL while a "
     "task has no single-task run.",
     "SELECT run, arm, seed, tasks, delta_m FROM delta_m ORDER BY delta_m DESC"},
    {"paired",
     "Per seed and grid cell, each arm of a sweep minus the reference (first) arm; in a sweep of one arm, "
     "each cell minus the first.",
     "SELECT arm, seed, value, reference_value, diff FROM paired"
     " WHERE metric = 'val/semseg/mIoU' ORDER BY arm, seed"},
    {NULL, NULL, NULL},
};
