/* The Lua boundary, as the command line sees it: each verb that needs Lua is one call. */
#ifndef SAK_BIND_BIND_H
#define SAK_BIND_BIND_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

/* What the command line hands to the verbs that Lua does. */
typedef struct sak_job {
    const char *verb;            /* "run", "check", … : function of lua/sak/main.lua */
    const char *const *args;     /* positional arguments, NULL-terminated (script path, …) */
    const char *const *set;      /* --set path=value, +path=v, ~path; NULL-terminated */
    const char *const *grid;     /* --grid path=v,v,…; NULL-terminated */
    const char *db;              /* results database */
    int threads;                 /* 0 = all usable cores */
    int jobs, seeds;             /* of a sweep; 0: not given */
    int steps;                   /* of a replay; 0: all */
    bool retry, fail_fast, fresh, now;
    bool unsafe_lua;             /* scripts have the whole library and no limits */
    bool quiet, json, csv;
    bool tty;                    /* stderr is a terminal: live progress line */
    const char *out;             /* -o FILE or folder, NULL = default */
    int stage;                   /* 0 = not given */
    const char *split;           /* of data, eval; NULL = not given */
    const char *save, *data;     /* of eval, predict: a folder; NULL = not given */
    const char *checkpoint;      /* best, last or a step; NULL = not given */
    const char *tasks;           /* of eval, predict: a,b,…; NULL = all */
    const char *edge_protocol;   /* of eval; NULL = as the run says */
    const char *max;             /* of cache; NULL = not given */
    bool pad, tile;              /* of predict */
    int limit;                   /* -1 = not given */
    bool augment;
    const char *dtype;           /* NULL = not given */
    int argc;
    char **argv;                 /* the command line as typed, for provenance */
} sak_job;

/* Runs the verb's Lua function (lua/sak/main.lua) and returns the process exit status: 0 done,
 * 1 failed, 2 the input was wrong (message already on stderr), 130 interrupted. */
int sak_bind_run(const sak_job *job, FILE *out, FILE *err);

#endif
