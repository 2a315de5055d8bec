/* Sweeps and their trials in the database, and what the process that runs a sweep needs to be the
 * only one that writes: leases, and a collector of its workers' spools.
 *
 * A trial is queued, running under a lease, or over.  A lease names a process by boot, pid and start
 * time, so nobody has to renew it: it is dead when that process is.  What became of a trial follows
 * from its run alone (done, failed, else queued again), so a process killed at any moment leaves
 * nothing that the next one cannot tell. */
#ifndef SAK_RESULTS_SWEEP_H
#define SAK_RESULTS_SWEEP_H

#include "results/store.h"

/* Texts may be NULL except name. */
typedef struct sak_sweep_info {
    const char *name;        /* unique in the database */
    const char *script_name; /* what the script calls it; several sweeps may share it */
    const char *script_path;
    const char *script_text;
    const char *spec_json;   /* the ablation as resolved */
    const char *identity;    /* equal for scripts that ask for the same trials, seeds aside */
    const char *frozen_json; /* all a worker needs to build any of its trials */
    const char *question, *objective, *goal;
} sak_sweep_info;

typedef struct sak_trial_info {
    const char *label;       /* arm and grid point, for people */
    const char *point_json;  /* which trial of the frozen script it is */
    const char *arm, *cell;  /* cell: NULL without a grid */
    const char *config_json, *config_sha256;
    int arm_index;
    int64_t seed;
} sak_trial_info;

/* Adds a sweep without trials, claimed by this process.  SAK_EINVAL when the name is taken. */
sak_status sak_sweep_create(sak_store *s, const sak_sweep_info *info, int64_t *id, sak_error *err);
/* Appends trials: all or none. */
sak_status sak_sweep_add(sak_store *s, int64_t sweep, const sak_trial_info *trials, size_t n,
                         sak_error *err);
/* What the script says of a sweep apart from its trials. */
sak_status sak_sweep_describe(sak_store *s, int64_t sweep, const char *question,
                              const char *objective, const char *goal, sak_error *err);

/* Makes this process the one that runs the sweep.  SAK_EINVAL while another one that lives does. */
sak_status sak_sweep_claim(sak_store *s, int64_t sweep, sak_error *err);
/* Gives the claim back and leaves the sweep done, failed, paused or stopped. */
sak_status sak_sweep_leave(sak_store *s, int64_t sweep, const char *state, sak_error *err);
/* Asks whoever runs the sweep to end: "paused" after its current trials, "stopped" at once.  pid is
 * that process, 0 when there is none. */
sak_status sak_sweep_ask(sak_store *s, int64_t sweep, const char *state, int64_t *pid,
                         sak_error *err);

/* Leases a queued trial to a process and counts the attempt; *got is false when it is not queued. */
sak_status sak_trial_lease(sak_store *s, int64_t trial, int64_t pid, bool *got, sak_error *err);
/* Ends a trial that has no run to tell: its process failed before it began one. */
sak_status sak_trial_fail(sak_store *s, int64_t trial, const char *text, sak_error *err);
/* Reads the spools of processes that are gone and brings every trial whose lease is dead into the
 * state its run says.  *running: trials whose process lives. */
sak_status sak_sweep_settle(sak_store *s, int64_t sweep, int *running, sak_error *err);
/* Queues the sweep's failed trials again; n receives their number. */
sak_status sak_sweep_retry(sak_store *s, int64_t sweep, int *n, sak_error *err);

/* --- collector: reads the spools of workers into the tables while they run ---------------------- */

typedef struct sak_collector sak_collector;

sak_status sak_collector_open(sak_store *s, sak_collector **out, sak_error *err);
void sak_collector_close(sak_collector *c); /* NULL is fine */
/* Follows the spool of a run's attempt (1, 2, …), which need not exist yet. */
sak_status sak_collector_add(sak_collector *c, const char *uid, int attempt, sak_error *err);
/* Reads what has been written since. */
sak_status sak_collector_step(sak_collector *c, sak_error *err);
/* Follows it no longer; what is left of a dead process's spool, sak_sweep_settle reads. */
void sak_collector_drop(sak_collector *c, const char *uid);

/* A uid for a run that another process will begin. */
sak_status sak_run_uid_new(char out[13], sak_error *err);

#endif
