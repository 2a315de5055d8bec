/* The command line's options: one table drives parsing, --help and completion. */
#ifndef SAK_CLI_OPTIONS_H
#define SAK_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "results/store.h"

enum { SAK_EXIT_OK = 0, SAK_EXIT_FAILED = 1, SAK_EXIT_USAGE = 2 };

/* What a command line says.  Strings are borrowed from argv or the environment. */
typedef struct sak_options {
    int argc; /* the command line as typed */
    char **argv;
    const char **args; /* positional arguments, the verb first; NULL-terminated */
    int n_args;
    const char **set, **grid; /* --set and --grid, in order; NULL-terminated */
    int n_set;
    const char *gt, *protocol; /* of score */
    int64_t thresholds;
    double max_dist;
    const char *split; /* of data, eval */
    const char *save, *data, *checkpoint, *tasks, *edge_protocol; /* of eval, predict */
    const char *max;   /* of cache; NULL when not given */
    bool pad, tile;
    const char *cross; /* --cross; NULL when not given */
    const char *db, *out, *metric, *format, *dtype, *precision, *retry;
    int64_t threads, stage, limit; /* limit: -1 when not given */
    int64_t steps, jobs, seeds;    /* 0 when not given */
    double timeout;                /* seconds; -1 when not given */
    double level;                  /* of intervals; 0 when not given */
    bool json, csv, quiet, write, profile, augment, help, version;
    bool fail_fast, keep_going, fresh, now; /* fresh: --new */
    bool unsafe_lua, files, sweeps;
    uint64_t given; /* bit i: row i of sak_option_specs was given */
} sak_options;

typedef enum sak_option_kind {
    SAK_OPTION_FLAG,
    SAK_OPTION_TEXT,
    SAK_OPTION_INT,
    SAK_OPTION_REAL,
    SAK_OPTION_LIST,
} sak_option_kind;

typedef struct sak_option_spec {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* name of its value in help; NULL for flags */
    const char *doc;
    sak_option_kind kind;
    size_t at;     /* where in sak_options the value goes */
    double lo, hi; /* numbers must lie within */
} sak_option_spec;

/* Ended by a row with name NULL. */
extern const sak_option_spec sak_option_specs[];

/* Bit of an option in `given` and in a verb's list; 0 when there is no such option. */
uint64_t sak_option_bit(const char *name);
/* Bits of a list of names, "db set threads". */
uint64_t sak_option_bits(const char *names);

/* Returns SAK_EXIT_OK or SAK_EXIT_USAGE (message on stderr).  Close in either case. */
int sak_options_parse(sak_options *o, int argc, char **argv);
void sak_options_close(sak_options *o);

sak_format sak_options_format(const sak_options *o);

/* "error: …" and, unless NULL, "  help: …" on stderr; returns SAK_EXIT_USAGE. */
int sak_usage(const char *remedy, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a failed call; input that cannot be right exits with 2, the rest with 1. */
int sak_complain(const sak_error *err);

#endif
