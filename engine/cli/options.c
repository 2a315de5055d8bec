/* Parses the command line by the option table. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"

#define AT(field) offsetof(sak_options, field)

const sak_option_spec sak_option_specs[] = {
    {"set", 0, "PATH=VALUE", "change one setting; +path=v adds one, ~path removes one; repeatable",
     SAK_OPTION_LIST, AT(set), 0, 0},
    {"grid", 0, "PATH=V,V,…", "sweep one setting over these values; repeatable", SAK_OPTION_LIST,
     AT(grid), 0, 0},
    {"seeds", 0, "N", "seeds per arm in total; more than before continues the sweep", SAK_OPTION_INT,
     AT(seeds), 1, 10000},
    {"jobs", 0, "N", "trials at once, each a process (default 1); they share the threads",
     SAK_OPTION_INT, AT(jobs), 1, 1024},
    {"retry", 0, "failed", "queue the failed trials again", SAK_OPTION_TEXT, AT(retry), 0, 0},
    {"fail-fast", 0, NULL, "stop at the first trial that fails", SAK_OPTION_FLAG, AT(fail_fast), 0,
     0},
    {"keep-going", 0, NULL, "run the other trials when one fails (the default)", SAK_OPTION_FLAG,
     AT(keep_going), 0, 0},
    {"new", 0, NULL, "begin a new sweep, whatever has been run of this script", SAK_OPTION_FLAG,
     AT(fresh), 0, 0},
    {"now", 0, NULL, "end the current trials too; they will be repeated", SAK_OPTION_FLAG, AT(now),
     0, 0},
    {"sweeps", 0, NULL, "the sweeps instead of the runs", SAK_OPTION_FLAG, AT(sweeps), 0, 0},
    {"db", 0, "FILE", "results database (default: $SAK_DB, else results/sak.db)", SAK_OPTION_TEXT,
     AT(db), 0, 0},
    {"threads", 'j', "N", "worker threads (default: all usable cores); results do not depend on it",
     SAK_OPTION_INT, AT(threads), 1, 1024},
    {"out", 'o', "PATH", "where to write", SAK_OPTION_TEXT, AT(out), 0, 0},
    {"stage", 0, "N", "the stage, counted from 1 (default: the last)", SAK_OPTION_INT, AT(stage), 1,
     1000},
    {"dtype", 0, "TYPE", "element type: f32, f16 or bf16 (default: f32)", SAK_OPTION_TEXT, AT(dtype),
     0, 0},
    {"format", 0, "NAME", "weights, csv, jsonl, tensorboard or mlflow (default: by the file's ending)",
     SAK_OPTION_TEXT, AT(format), 0, 0},
    {"json", 0, NULL, "print JSON", SAK_OPTION_FLAG, AT(json), 0, 0},
    {"csv", 0, NULL, "print CSV", SAK_OPTION_FLAG, AT(csv), 0, 0},
    {"limit", 'n', "N", "print at most N rows, 0 for all", SAK_OPTION_INT, AT(limit), 0, 1e15},
    {"timeout", 0, "SECONDS", "give up after that long, 0 for never", SAK_OPTION_REAL, AT(timeout),
     0, 1e9},
    {"metric", 'm', "GLOB", "only metrics of that name, * and ? allowed", SAK_OPTION_TEXT, AT(metric),
     0, 0},
    {"level", 0, "P", "confidence level of intervals and tests (default 0.95)", SAK_OPTION_REAL,
     AT(level), 0.5, 0.9999},
    {"write", 0, NULL, "allow statements that change the database", SAK_OPTION_FLAG, AT(write), 0,
     0},
    {"unsafe-lua", 0, NULL, "run the script without sandbox: your own scripts only",
     SAK_OPTION_FLAG, AT(unsafe_lua), 0, 0},
    {"files", 0, NULL, "look at the files that runs left too", SAK_OPTION_FLAG, AT(files), 0, 0},
    {"steps", 0, "N", "how many steps (bench: timed ones per case)", SAK_OPTION_INT, AT(steps), 1, 1e6},
    {"precision", 0, "NAME", "precision of the experiment, as --set precision=NAME",
     SAK_OPTION_TEXT, AT(precision), 0, 0},
    {"profile", 0, NULL, "seconds by operation", SAK_OPTION_FLAG, AT(profile), 0, 0},
    {"gt", 0, "DIR", "folder of the ground truth", SAK_OPTION_TEXT, AT(gt), 0, 0},
    {"protocol", 0, "NAME", "plain, seism or bsds (default: seism)", SAK_OPTION_TEXT, AT(protocol), 0,
     0},
    {"max-dist", 0, "R", "matching radius / diagonal (default: 0.0075)", SAK_OPTION_REAL,
     AT(max_dist), 1e-6, 1},
    {"thresholds", 0, "N", "how many thresholds (default: 99)", SAK_OPTION_INT, AT(thresholds), 1, 999},
    {"cross", 0, "f64", "repeat in double", SAK_OPTION_TEXT, AT(cross), 0, 0},
    {"split", 0, "NAME", "which list of images (default: eval: val; data: train and val)", SAK_OPTION_TEXT,
     AT(split), 0, 0},
    {"data", 0, "DIR", "other data than the run's", SAK_OPTION_TEXT, AT(data), 0, 0},
    {"checkpoint", 0, "WHICH", "best, last, or the step of one that was kept (default: what the run left)",
     SAK_OPTION_TEXT, AT(checkpoint), 0, 0},
    {"edge-protocol", 0, "NAME", "plain, seism or bsds (default: as the run says)", SAK_OPTION_TEXT,
     AT(edge_protocol), 0, 0},
    {"save", 0, "DIR", "write every prediction to DIR, in the published layout", SAK_OPTION_TEXT, AT(save),
     0, 0},
    {"tasks", 0, "A,B,...", "only these tasks", SAK_OPTION_TEXT, AT(tasks), 0, 0},
    {"pad", 0, NULL, "a smaller image is padded, a larger one taken whole", SAK_OPTION_FLAG,
     AT(pad), 0, 0},
    {"tile", 0, NULL, "overlapping windows of the size of training, blended", SAK_OPTION_FLAG, AT(tile), 0,
     0},
    {"augment", 0, NULL, "as a training step sees them", SAK_OPTION_FLAG, AT(augment), 0, 0},
    {"max", 0, "SIZE", "what may be left, as 500M or 10G; 0 for nothing", SAK_OPTION_TEXT, AT(max), 0, 0},
    {"quiet", 'q', NULL, "no progress, only results and errors", SAK_OPTION_FLAG, AT(quiet), 0, 0},
    {"help", 'h', NULL, "explain the verb", SAK_OPTION_FLAG, AT(help), 0, 0},
    {"version", 0, NULL, "print the version", SAK_OPTION_FLAG, AT(version), 0, 0},
    {0},
};

static void complain(const char *remedy, const char *fmt, va_list ap)
{
    fputs("error: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    if (remedy)
        fprintf(stderr, "  help: %s\n", remedy);
}

int sak_usage(const char *remedy, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(remedy, fmt, ap);
    va_end(ap);
    return SAK_EXIT_USAGE;
}

int sak_complain(const sak_error *err)
{
    fprintf(stderr, "error: %s\n", err->msg);
    switch (err->code) {
    case SAK_EINVAL:
    case SAK_ESHAPE:
    case SAK_EFORMAT:
    case SAK_ENOENT:
        return SAK_EXIT_USAGE;
    default:
        return SAK_EXIT_FAILED;
    }
}

static bool same(const char *name, size_t n, const char *given)
{
    return strlen(name) == n && memcmp(name, given, n) == 0;
}

uint64_t sak_option_bit(const char *name)
{
    for (int i = 0; sak_option_specs[i].name; i++)
        if (strcmp(sak_option_specs[i].name, name) == 0)
            return UINT64_C(1) << i;
    return 0;
}

uint64_t sak_option_bits(const char *names)
{
    uint64_t bits = 0;
    while (*names) {
        const size_t n = strcspn(names, " ");
        for (int i = 0; sak_option_specs[i].name; i++)
            if (same(sak_option_specs[i].name, n, names))
                bits |= UINT64_C(1) << i;
        names += n + strspn(names + n, " ");
    }
    return bits;
}

static int find_long(const char *name, size_t n)
{
    for (int i = 0; sak_option_specs[i].name; i++)
        if (same(sak_option_specs[i].name, n, name))
            return i;
    return -1;
}

static int find_letter(char letter)
{
    for (int i = 0; sak_option_specs[i].name; i++)
        if (sak_option_specs[i].letter == letter)
            return i;
    return -1;
}

static int unknown(const char *name, size_t n)
{
    sak_suggest s = sak_suggest_open(name, n);
    for (const sak_option_spec *spec = sak_option_specs; spec->name; spec++)
        sak_suggest_try(&s, spec->name);
    char remedy[128];
    if (s.best)
        snprintf(remedy, sizeof remedy, "did you mean '--%s'?", s.best);
    return sak_usage(s.best ? remedy : "`sak help VERB` lists a verb's options",
                     "unknown option '--%.*s'", (int)n, name);
}

/* What can be told about a --set or --grid without the configuration it changes. */
static int check_change(const sak_option_spec *spec, const char *v)
{
    if (spec->at == AT(grid))
        return strchr(v, '=') && *v != '=' && v[strlen(v) - 1] != '='
                   ? SAK_EXIT_OK
                   : sak_usage("write --grid path=4,8,16", "--grid '%s' names no %s", v,
                               strchr(v, '=') && *v != '=' ? "value" : "path");
    const bool removes = *v == '~';
    const char *path = v + (removes || *v == '+');
    const char *equals = strchr(path, '=');
    if (*path == '\0' || path == equals || (!removes && !equals))
        return sak_usage("write --set path=value, --set +path=value to add a key, "
                         "or --set '~path' to remove one",
                         "--set '%s' names no %s", v, *path && path != equals ? "value" : "path");
    return SAK_EXIT_OK;
}

static int number(const sak_option_spec *spec, const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    const bool whole = spec->kind != SAK_OPTION_INT || *out == floor(*out);
    if (end == text || *end || errno || !whole || !(*out >= spec->lo && *out <= spec->hi))
        return sak_usage(NULL, "--%s must be %s from %.15g to %.15g, got '%s'", spec->name,
                         spec->kind == SAK_OPTION_INT ? "an integer" : "a number", spec->lo,
                         spec->hi, text);
    return SAK_EXIT_OK;
}

static void add_to(const char **list, const char *value)
{
    while (*list)
        list++;
    *list = value;
}

static int apply(sak_options *o, int i, const char *value)
{
    const sak_option_spec *spec = &sak_option_specs[i];
    void *field = (char *)o + spec->at;
    double v = 0;
    int st = SAK_EXIT_OK;
    switch (spec->kind) {
    case SAK_OPTION_FLAG:
        *(bool *)field = true;
        break;
    case SAK_OPTION_TEXT:
        if (!*value)
            return sak_usage(NULL, "--%s needs a %s, got an empty one", spec->name, spec->value);
        *(const char **)field = value;
        break;
    case SAK_OPTION_INT:
        st = number(spec, value, &v);
        *(int64_t *)field = (int64_t)v;
        break;
    case SAK_OPTION_REAL:
        st = number(spec, value, &v);
        *(double *)field = v;
        break;
    case SAK_OPTION_LIST:
        st = check_change(spec, value);
        add_to(*(const char ***)field, value);
        o->n_set += spec->at == AT(set);
        break;
    }
    o->given |= UINT64_C(1) << i;
    return st;
}

/* One argument that begins with '-'; *at is its index and moves on when the value follows it. */
static int option(sak_options *o, int *at)
{
    const char *arg = o->argv[*at];
    const bool is_long = arg[1] == '-';
    const char *name = arg + (is_long ? 2 : 1), *value = NULL;
    const size_t n = is_long ? strcspn(name, "=") : 1;
    const int i = is_long ? find_long(name, n) : find_letter(*name);
    if (i < 0 && !is_long && (arg[2] == '\0' || find_long(name, strcspn(name, "=")) < 0))
        return sak_usage("`sak help VERB` lists a verb's options", "unknown option '-%c'", *name);
    if (i < 0)
        return unknown(name, is_long ? n : strcspn(name, "="));
    const sak_option_spec *spec = &sak_option_specs[i];
    if (is_long && name[n] == '=')
        value = name + n + 1;
    else if (!is_long && name[1])
        value = name + 1;
    if (!spec->value && value)
        return is_long ? sak_usage(NULL, "--%s takes no value", spec->name)
                       : sak_usage("write one-letter options apart: -q -n 5", "unknown option '%s'",
                                   arg);
    if (spec->value && !value) {
        if (*at + 1 >= o->argc)
            return sak_usage(NULL, "--%s needs a value: --%s %s", spec->name, spec->name,
                             spec->value);
        value = o->argv[++*at];
    }
    return apply(o, i, value);
}

int sak_options_parse(sak_options *o, int argc, char **argv)
{
    const char *db = getenv("SAK_DB");
    *o = (sak_options){.argc = argc, .argv = argv, .limit = -1, .timeout = -1};
    o->db = db && *db ? db : "results/sak.db";
    o->args = calloc((size_t)argc + 1, sizeof *o->args);
    o->set = calloc((size_t)argc + 1, sizeof *o->set);
    o->grid = calloc((size_t)argc + 1, sizeof *o->grid);
    if (!o->args || !o->set || !o->grid)
        return sak_usage(NULL, "out of memory");
    bool only_args = false;
    int st = SAK_EXIT_OK;
    for (int i = 1; i < argc && st == SAK_EXIT_OK; i++) {
        if (only_args || argv[i][0] != '-' || argv[i][1] == '\0')
            o->args[o->n_args++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            only_args = true;
        else
            st = option(o, &i);
    }
    if (st == SAK_EXIT_OK && o->json && o->csv)
        return sak_usage(NULL, "--json and --csv exclude each other");
    if (st == SAK_EXIT_OK && o->fail_fast && o->keep_going)
        return sak_usage(NULL, "--fail-fast and --keep-going exclude each other");
    if (st == SAK_EXIT_OK && o->pad && o->tile)
        return sak_usage(NULL, "--pad and --tile exclude each other");
    if (st == SAK_EXIT_OK && o->retry && strcmp(o->retry, "failed") != 0)
        return sak_usage("--retry failed", "--retry takes 'failed', got '%s'", o->retry);
    return st;
}

void sak_options_close(sak_options *o)
{
    free((void *)o->args);
    free((void *)o->set);
    free((void *)o->grid);
    *o = (sak_options){0};
}

sak_format sak_options_format(const sak_options *o)
{
    return o->json ? SAK_FORMAT_JSON : o->csv ? SAK_FORMAT_CSV : SAK_FORMAT_TABLE;
}
