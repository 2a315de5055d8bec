/* `sak export`: weights by the Lua side, metrics here. */
#include <string.h>

#include "base/text.h"
#include "cli/db.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "results/export.h"

typedef enum format { WEIGHTS, CSV, JSON_LINES, TENSORBOARD, MLFLOW, FORMATS } format;

static const struct {
    const char *name, *ending; /* ending: NULL where no file name tells */
} formats[FORMATS] = {
    [WEIGHTS] = {"weights", ".safetensors"}, [CSV] = {"csv", ".csv"}, [JSON_LINES] = {"jsonl", ".jsonl"},
    [TENSORBOARD] = {"tensorboard", NULL},   [MLFLOW] = {"mlflow", NULL},
};

/* FORMATS: said why not. */
static format choose_format(const sak_options *o, const char *file)
{
    for (int i = 0; i < FORMATS; i++)
        if (o->format ? strcmp(o->format, formats[i].name) == 0
                      : formats[i].ending && sak_ends_with(file, formats[i].ending))
            return (format)i;
    if (o->format)
        sak_usage("weights, csv, jsonl, tensorboard or mlflow", "unknown --format '%s'", o->format);
    else
        sak_usage("call it .safetensors for weights, .csv or .jsonl for metrics, or say --format"
                  " tensorboard or --format mlflow", "%s: its ending names no format", file);
    return FORMATS;
}

/* Options that the other half of the verb takes. */
static int check_options(const sak_options *o, format as, const char *file)
{
    if (as == WEIGHTS && o->metric)
        return sak_usage("metrics go to .csv, .jsonl, --format tensorboard or --format mlflow",
                         "--metric does not apply to weights");
    if (as == WEIGHTS && o->n_args != 3)
        return sak_usage("sak export RUN FILE.safetensors", "weights are taken from one run, got %d names",
                         o->n_args - 2);
    if (as != WEIGHTS && (o->dtype || (o->given & sak_option_bit("stage"))))
        return sak_usage("they choose weights; name a FILE.safetensors",
                         "--stage and --dtype do not apply to metrics");
    if (as != CSV && as != JSON_LINES && strcmp(file, "-") == 0)
        return sak_usage("name a file", "%s cannot go to standard output", formats[as].name);
    return SAK_EXIT_OK;
}

static sak_status write_metrics(sak_export *e, format as, const char *file, sak_error *err)
{
    if (as == TENSORBOARD)
        return sak_export_tensorboard(e, file, err);
    if (as == MLFLOW)
        return sak_export_mlflow(e, file, err);
    if (strcmp(file, "-") == 0)
        return sak_export_table(e, as == JSON_LINES, stdout, err);
    return sak_export_table_file(e, as == JSON_LINES, file, err);
}

static int export_metrics(const sak_options *o, sak_store *s, format as, const char *file)
{
    sak_export e;
    sak_error err = {0};
    sak_status st = sak_export_open(&e, s, o->args + 1, o->n_args - 2, o->metric, &err);
    if (st == SAK_OK)
        st = write_metrics(&e, as, file, &err);
    int status = SAK_EXIT_OK;
    const bool to_stdout = strcmp(file, "-") == 0;
    if (st != SAK_OK)
        status = sak_complain(&err);
    else if (o->json && !to_stdout)
        status = sak_print_json(json_pack("{s:s, s:s, s:i, s:I}", "file", file, "format", formats[as].name,
                                          "runs", e.n_runs, "points", (json_int_t)e.points), stdout);
    else if (!o->quiet && !to_stdout)
        printf("%s: %d run%s, %lld points\n", file, e.n_runs, e.n_runs == 1 ? "" : "s", (long long)e.points);
    sak_export_close(&e);
    return status;
}

int sak_verb_export(const sak_options *o)
{
    const char *file = o->args[o->n_args - 1];
    const format as = choose_format(o, file);
    if (as == FORMATS)
        return SAK_EXIT_USAGE;
    int st = check_options(o, as, file);
    if (st != SAK_EXIT_OK || as == WEIGHTS)
        return st != SAK_EXIT_OK ? st : sak_verb_lua(o);
    sak_store *s = NULL;
    st = sak_cli_store(o, SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK)
        st = export_metrics(o, s, as, file);
    sak_store_close(s);
    return st;
}
