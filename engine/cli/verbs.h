/* The verbs: one row each drives dispatch, help, suggestions and completion. */
#ifndef SAK_CLI_VERBS_H
#define SAK_CLI_VERBS_H

#include "cli/options.h"

typedef struct sak_verb {
    const char *name;
    const char *args;      /* positional arguments as help shows them */
    int min_args, max_args; /* max_args < 0: any number */
    const char *options;   /* names of the options it takes, besides help */
    bool newcomer;         /* among the few that `sak` alone shows */
    const char *doc;       /* one line; NULL: for sak itself, not shown */
    const char *help;      /* what it does, with examples */
    int (*run)(const sak_options *o);
} sak_verb;

/* Ended by a row with name NULL. */
extern const sak_verb sak_verbs[];
const sak_verb *sak_verb_find(const char *name);
int sak_verb_unknown(const char *name); /* says so, with a suggestion; returns SAK_EXIT_USAGE */

int sak_verb_lua(const sak_options *o); /* run, check, sweep, …: the Lua side does the work */
int sak_verb_ls(const sak_options *o);
int sak_verb_show(const sak_options *o);
int sak_verb_compare(const sak_options *o);
int sak_verb_export(const sak_options *o);
int sak_verb_report(const sak_options *o);
int sak_verb_db(const sak_options *o); /* check, backup, repair */
int sak_verb_sql(const sak_options *o);
int sak_verb_score(const sak_options *o);
int sak_verb_verify(const sak_options *o);
int sak_verb_ops(const sak_options *o);
int sak_verb_doctor(const sak_options *o);
int sak_verb_bench(const sak_options *o);
int sak_verb_help(const sak_options *o);
int sak_verb_completion(const sak_options *o);

/* The whole program; main.c only calls it. */
int sak_cli(int argc, char **argv);

#endif
