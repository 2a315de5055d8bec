/* `sak bench`: measures the workloads that the speed goals are stated in, each in a process of its
 * own, and prints what they took. */
#include <stdlib.h>
#include <string.h>

#include "base/suggest.h"
#include "bind/bind.h"
#include "cli/bench.h"
#include "cli/text.h"
#include "cli/verbs.h"

typedef struct bench_case {
    const char *name, *doc;
    enum { WORKLOAD, STUDY } kind;
    bool by_default;
    json_t *(*measure)(const sak_options *o); /* NULL: lua/sak/bench.lua does it */
} bench_case;

static const bench_case cases[] = {
    {"s1_full", "stage 1, ViT-S student, three ViT-B teachers in the step, 224x224, batch 8",
     WORKLOAD, true, NULL},
    {"s1_precomputed", "the same, the teachers' features given", WORKLOAD, true, NULL},
    {"s2_nyud", "stage 2, ViT-B student, 448x576, batch 2, four tasks, MoR, features given",
     WORKLOAD, true, NULL},
    {"proxy", "small: width 192, depth 12, 64x64, batch 32, three teachers in the step", WORKLOAD,
     true, NULL},
    {"proxy_precomputed", "the same, the teachers' features given", WORKLOAD, true, NULL},
    {"tiny_stage1", "a very small stage 1, for tests", WORKLOAD, false, NULL},
    {"tiny_stage2", "a very small stage 2, for tests", WORKLOAD, false, NULL},
    {"threads", "what more threads bring, on the small workloads", STUDY, false, NULL},
    {"scaling", "step time against batch, tokens, width, depth, teachers, tasks", STUDY, false,
     NULL},
    {"overhead", "what logging, progress and routing dumps add to a step", STUDY, false, NULL},
    {"data", "images per second of the loader, stage by stage", STUDY, false, NULL},
    {"kernels", "matrix products by shape: our own tiles against BLIS", STUDY, false,
     sak_bench_kernels},
    {"start", "how long the program takes to begin", STUDY, false, sak_bench_start},
    {0},
};

/* The same by the words of the speed goals. */
static const struct {
    const char *word, *name;
} aliases[] = {{"stage1_full", "s1_full"},
               {"stage1_precomputed", "s1_precomputed"},
               {"stage2_nyud", "s2_nyud"},
               {"small", "proxy"},
               {"small_precomputed", "proxy_precomputed"}};

static const bench_case *find(const char *word)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(word, aliases[i].word) == 0)
            word = aliases[i].name;
    for (const bench_case *c = cases; c->name; c++)
        if (strcmp(word, c->name) == 0)
            return c;
    return NULL;
}

static int unknown(const char *word)
{
    sak_suggest s = sak_suggest_open(word, strlen(word));
    for (const bench_case *c = cases; c->name; c++)
        sak_suggest_try(&s, c->name);
    char remedy[128];
    snprintf(remedy, sizeof remedy, "did you mean '%s'?", s.best ? s.best : "");
    return sak_usage(s.best ? remedy : "`sak help bench` lists them", "no bench case is named '%s'",
                     word);
}

static int lua_work(void *ctx)
{
    return sak_bind_run(ctx, stdout, stderr);
}

/* A case of lua/sak/bench.lua. */
static json_t *lua_case(const sak_options *o, const char *name, int *status)
{
    char steps[24], precision[160];
    snprintf(steps, sizeof steps, "%d", (int)o->steps);
    snprintf(precision, sizeof precision, "precision=%s", o->precision ? o->precision : "");
    const char **set = calloc((size_t)o->n_set + 2, sizeof *set);
    if (!set)
        return NULL;
    memcpy(set, o->set, (size_t)o->n_set * sizeof *set);
    if (o->precision)
        set[o->n_set] = precision;
    sak_job job = {.verb = "bench",
                   .args = (const char *const[]){name, steps, NULL},
                   .set = set,
                   .db = o->db,
                   .threads = (int)o->threads,
                   .quiet = true,
                   .json = true,
                   .argc = o->argc,
                   .argv = o->argv};
    json_t *row = sak_bench_child(lua_work, &job, status);
    free(set);
    return row;
}

static double real(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static void print_shares(const json_t *row)
{
    size_t i = 0;
    const json_t *f = NULL;
    printf("  time      ");
    json_array_foreach(json_object_get(row, "families"), i, f)
        if (real(f, "share") >= 0.005)
            printf(" %s %.0f%%%s", json_string_value(json_object_get(f, "family")),
                   100 * real(f, "share"), "");
    printf("\n");
}

/* Planned parts; what is left of the measured peak is the program, its libraries and packed operands. */
static void print_memory(const json_t *row, bool profile)
{
    size_t i = 0;
    const json_t *part = NULL, *text = json_object_get(row, "memory_text");
    double planned = 0;
    json_array_foreach(json_object_get(row, "memory"), i, part)
        planned += real(part, "bytes") / (1 << 20);
    printf("  memory     %.0f MB peak: %s, the program and its buffers %.0f\n",
           real(row, "peak_rss_mb"), json_string_value(json_array_get(text, 0)),
           real(row, "peak_rss_mb") - planned);
    for (i = 1; profile && i < json_array_size(text); i++)
        printf("             %s\n", json_string_value(json_array_get(text, i)));
}

static void print_ops(const json_t *row)
{
    size_t i = 0;
    const json_t *f = NULL;
    json_array_foreach(json_object_get(row, "ops"), i, f)
        printf("  %-32s %10.3f ms %6.1f%%\n", json_string_value(json_object_get(f, "op")),
               1e3 * real(f, "s"), 100 * real(f, "s") / real(row, "step_s"));
}

static void print_workload(const bench_case *c, const json_t *row, bool profile)
{
    printf("%s: %s\n", c->name, c->doc);
    printf("  step       %.4g s median of %d, %.4g s least; %.3g images/s; %d thread%s\n",
           real(row, "step_s"), (int)real(row, "steps"), real(row, "min_s"),
           real(row, "images_per_s"), (int)real(row, "threads"),
           real(row, "threads") == 1 ? "" : "s");
    printf("  speed      %.1f GFLOP/s, %.0f%% of the peak measured beside it (%.0f GFLOP/s); "
           "counted as published: %.4g GFLOP\n",
           real(row, "gflops"), 100 * real(row, "fraction_of_peak"), real(row, "peak_gflops"),
           real(row, "gflop"));
    printf("  executed   %.4g GFLOP, %.1f GFLOP/s\n", real(row, "gflop_executed"),
           real(row, "gflops_executed"));
    print_memory(row, profile);
    print_shares(row);
    if (profile)
        print_ops(row);
}

static void cell(const json_t *v, char *out, size_t size)
{
    if (json_is_string(v))
        snprintf(out, size, "%s", json_string_value(v));
    else if (json_is_integer(v))
        snprintf(out, size, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, size, "%.4g", json_real_value(v));
    else
        snprintf(out, size, "%s", "");
}

enum { MAX_COLUMNS = 12 };

/* A study brings its own columns, rows and notes. */
static void print_study(const bench_case *c, const json_t *row)
{
    const json_t *columns = json_object_get(row, "columns"), *line = NULL, *note = NULL;
    const int n = (int)json_array_size(columns) < MAX_COLUMNS ? (int)json_array_size(columns)
                                                              : MAX_COLUMNS;
    const char *names[MAX_COLUMNS], *cells[MAX_COLUMNS];
    char text[MAX_COLUMNS][64];
    for (int i = 0; i < n; i++)
        names[i] = json_string_value(json_array_get(columns, (size_t)i));
    sak_table *t = sak_table_open(n, names);
    size_t at = 0;
    json_array_foreach(json_object_get(row, "rows"), at, line) {
        for (int i = 0; i < n; i++) {
            cell(json_object_get(line, names[i]), text[i], sizeof text[i]);
            cells[i] = text[i];
        }
        sak_table_row(t, cells);
    }
    printf("%s: %s\n", c->name, c->doc);
    sak_table_print(t, SAK_FORMAT_TABLE, stdout);
    sak_table_close(t);
    json_array_foreach(json_object_get(row, "notes"), at, note)
        printf("%s\n", json_string_value(note));
}

static int measure(const sak_options *o, const bench_case *c, json_t *all)
{
    int status = SAK_EXIT_FAILED;
    json_t *row = c->measure ? c->measure(o) : lua_case(o, c->name, &status);
    if (!row)
        return status;
    json_object_set_new(row, "case", json_string(c->name));
    if (!o->json && c->kind == WORKLOAD)
        print_workload(c, row, o->profile);
    else if (!o->json)
        print_study(c, row);
    fflush(stdout);
    json_object_del(row, "memory_text"); /* its figures are there too */
    json_array_append_new(all, row);
    return SAK_EXIT_OK;
}

int sak_verb_bench(const sak_options *o)
{
    for (int i = 1; i < o->n_args; i++)
        if (!find(o->args[i]))
            return unknown(o->args[i]);
    json_t *all = json_array();
    int worst = SAK_EXIT_OK;
    for (const bench_case *c = cases; c->name && o->n_args < 2; c++) {
        const int st = c->by_default ? measure(o, c, all) : SAK_EXIT_OK;
        worst = st ? st : worst;
    }
    for (int i = 1; i < o->n_args; i++) {
        const int st = measure(o, find(o->args[i]), all);
        worst = st ? st : worst;
    }
    if (o->json)
        sak_print_json(json_pack("{s:O}", "cases", all), stdout);
    json_decref(all);
    return worst;
}
