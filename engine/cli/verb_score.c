/* `sak score edge DIR --gt DIR`: the boundary benchmark on folders of images, without a run. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "data/mat.h"
#include "data/image.h"
#include "metrics/edge.h"

enum { MAX_ANNOTATORS = 64, BATCH = 16 /* images in memory at a time */ };

/* One image: prediction, annotations, and what it counted. */
typedef struct image {
    char *name; /* without .png */
    int H, W, annotators;
    float *prob;
    uint8_t *truth[MAX_ANNOTATORS];
    int64_t *counts;
    sak_edge_scores scores;
    sak_status status;
    sak_error err;
} image;

static void release(image *im)
{
    sak_free(im->prob);
    im->prob = NULL;
    for (int i = 0; i < im->annotators; i++)
        sak_free(im->truth[i]);
    im->annotators = 0;
}

static sak_status read_prediction(image *im, const char *path, sak_error *err)
{
    uint8_t *grey;
    SAK_TRY(sak_image_read(path, SAK_IMAGE_GREY, &grey, &im->H, &im->W, err));
    const size_t n = (size_t)im->H * (size_t)im->W;
    const sak_status st = sak_alloc((void **)&im->prob, n, sizeof *im->prob, err);
    for (size_t i = 0; st == SAK_OK && i < n; i++)
        im->prob[i] = (float)grey[i] / 255;
    sak_free(grey);
    return st;
}

static sak_status check_size(const image *im, const char *path, int H, int W, sak_error *err)
{
    if (H == im->H && W == im->W)
        return SAK_OK;
    return SAK_FAIL(err, SAK_ESHAPE, "%s is %d x %d, but the prediction is %d x %d", path, H, W, im->H,
                    im->W);
}

/* One annotator of a BSDS file: groundTruth{i}.Boundaries. */
static sak_status read_annotator(image *im, const sak_mat *m, const sak_mat_value *cells, int64_t i,
                                 const char *path, sak_error *err)
{
    float *x;
    int H, W;
    SAK_TRY(sak_mat_image(m, sak_mat_field(sak_mat_cell(cells, i), 0, "Boundaries"),
                          "groundTruth{i}.Boundaries", &x, &H, &W, err));
    sak_status st = check_size(im, path, H, W, err);
    uint8_t *map = NULL;
    if (st == SAK_OK)
        st = sak_alloc((void **)&map, (size_t)H * (size_t)W, 1, err);
    for (int k = 0; st == SAK_OK && k < H * W; k++)
        map[k] = x[k] != 0;
    if (st == SAK_OK)
        im->truth[im->annotators++] = map;
    sak_free(x);
    return st;
}

static sak_status read_mat(image *im, const char *path, sak_error *err)
{
    sak_mat *m;
    SAK_TRY(sak_mat_open(&m, path, err));
    const sak_mat_value *cells = sak_mat_find(m, "groundTruth");
    const int64_t n = sak_mat_count(cells);
    sak_status st = SAK_OK;
    if (n < 1 || n > MAX_ANNOTATORS)
        st = SAK_FAIL(err, SAK_EFORMAT, "%s: no groundTruth with 1 to %d annotators", path,
                      MAX_ANNOTATORS);
    for (int64_t i = 0; st == SAK_OK && i < n; i++)
        st = read_annotator(im, m, cells, i, path, err);
    sak_mat_close(m);
    return st;
}

/* name.mat as BSDS has it (several annotators), or name.png, nonzero at boundaries. */
static sak_status read_truth(image *im, const char *folder, sak_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.mat", folder, im->name);
    if (access(path, F_OK) == 0)
        return read_mat(im, path, err);
    snprintf(path, sizeof path, "%s/%s.png", folder, im->name);
    if (access(path, F_OK) != 0)
        return SAK_FAIL(err, SAK_ENOENT, "%s has neither %s.mat nor %s.png", folder, im->name, im->name);
    int H, W;
    SAK_TRY(sak_image_read(path, SAK_IMAGE_GREY, &im->truth[0], &H, &W, err));
    im->annotators = 1;
    return check_size(im, path, H, W, err);
}

static sak_status load(image *im, const char *folder, const char *truth, int thresholds,
                       sak_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.png", folder, im->name);
    SAK_TRY(read_prediction(im, path, err));
    SAK_TRY(read_truth(im, truth, err));
    return sak_alloc((void **)&im->counts, (size_t)sak_edge_counts_size(thresholds),
                     sizeof *im->counts, err);
}

typedef struct work {
    const sak_edge_spec *spec;
    image *list;
} work;

static void score_images(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const work *w = ctx;
    for (int64_t i = begin; i < end; i++) {
        image *im = &w->list[i];
        im->status = sak_edge_count(w->spec, im->prob, im->H, im->W,
                                    (const uint8_t *const *)im->truth, im->annotators, im->counts,
                                    &im->err);
        if (im->status == SAK_OK)
            sak_edge_score_counts(w->spec, im->counts, &im->scores);
    }
}

static sak_status score_all(image *list, int n, const sak_options *o, const sak_edge_spec *spec,
                            int64_t *total, sak_error *err)
{
    for (int from = 0; from < n; from += BATCH) {
        const int m = n - from < BATCH ? n - from : BATCH;
        for (int i = 0; i < m; i++)
            SAK_TRY(load(&list[from + i], o->args[2], o->gt, spec->thresholds, err));
        sak_parallel_for(m, 1, score_images, &(work){spec, list + from});
        for (int i = 0; i < m; i++) {
            image *im = &list[from + i];
            if (im->status != SAK_OK)
                return SAK_FAIL(err, im->status, "%s: %s", im->name, im->err.msg);
            for (int64_t k = 0; k < sak_edge_counts_size(spec->thresholds); k++)
                total[k] += im->counts[k];
            release(im);
        }
    }
    return SAK_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const image *)a)->name, ((const image *)b)->name);
}

/* Every name.png of the folder, sorted.  Returns their number; *list is the caller's. */
static sak_status list_images(const char *folder, image **list, int *n, sak_error *err)
{
    DIR *d = opendir(folder);
    if (!d)
        return SAK_FAIL(err, SAK_ENOENT, "%s: no such folder", folder);
    sak_status st = SAK_OK;
    *n = 0;
    *list = NULL;
    for (struct dirent *e; st == SAK_OK && (e = readdir(d));) {
        const size_t length = strlen(e->d_name);
        if (length < 5 || strcmp(e->d_name + length - 4, ".png") != 0)
            continue;
        image *more = realloc(*list, (size_t)(*n + 1) * sizeof **list);
        char *name = strndup(e->d_name, length - 4);
        if (more)
            *list = more;
        if (!more || !name) {
            free(name);
            st = SAK_FAIL(err, SAK_ENOMEM, "out of memory listing %s", folder);
        } else {
            (*list)[(*n)++] = (image){.name = name};
        }
    }
    closedir(d);
    if (st == SAK_OK && *n == 0)
        st = SAK_FAIL(err, SAK_ENOENT, "%s has no .png images", folder);
    if (*n)
        qsort(*list, (size_t)*n, sizeof **list, by_name);
    return st;
}

/* Annotations, name.mat or name.png, without a prediction: they are not scored, and the first is named.
 */
static sak_status count_unscored(const char *folder, image *list, int n, int *unscored, sak_error *err)
{
    DIR *d = opendir(folder);
    if (!d)
        return SAK_FAIL(err, SAK_ENOENT, "%s: no such folder (--gt)", folder);
    char first[256] = "";
    *unscored = 0;
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || dot == e->d_name || (strcmp(dot, ".png") != 0 && strcmp(dot, ".mat") != 0))
            continue;
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(dot - e->d_name), e->d_name);
        const image wanted = {.name = name};
        if (bsearch(&wanted, list, (size_t)n, sizeof *list, by_name))
            continue;
        ++*unscored;
        if (!first[0] || strcmp(e->d_name, first) < 0)
            snprintf(first, sizeof first, "%s", e->d_name);
    }
    closedir(d);
    if (*unscored)
        fprintf(stderr, "warning: %d annotation%s in %s %s no prediction and %s not scored: %s%s\n",
                *unscored, *unscored == 1 ? "" : "s", folder, *unscored == 1 ? "has" : "have",
                *unscored == 1 ? "is" : "are", first, *unscored == 1 ? "" : ", …");
    return SAK_OK;
}

static json_t *scores_json(const sak_edge_scores *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "odsF", sak_json_real(100 * s->ods),
                     "ods_threshold", sak_json_real(s->ods_threshold), "ods_recall",
                     sak_json_real(s->ods_recall), "ods_precision", sak_json_real(s->ods_precision),
                     "oisF", sak_json_real(100 * s->ois), "AP", sak_json_real(100 * s->ap));
}

static int print_json(const image *list, int n, const sak_edge_spec *spec, const int64_t *total,
                      const sak_edge_scores *s, int unscored)
{
    json_t *j = scores_json(s), *images = json_array(), *curve = json_array();
    json_object_set_new(j, "protocol", json_string(sak_edge_protocol_names[spec->protocol]));
    json_object_set_new(j, "max_dist", json_real(spec->max_dist));
    json_object_set_new(j, "unscored_annotations", json_integer(unscored));
    for (int i = 0; i < n; i++) {
        const sak_edge_scores *one = &list[i].scores;
        json_t *row = json_pack("{s:s, s:o, s:o, s:o, s:o}", "image", list[i].name, "threshold",
                                sak_json_real(one->ods_threshold), "recall",
                                sak_json_real(one->ods_recall), "precision",
                                sak_json_real(one->ods_precision), "F", sak_json_real(100 * one->ods));
        json_array_append_new(images, row);
    }
    for (int k = 0; k < spec->thresholds; k++) {
        const int64_t *at = total + SAK_EDGE_CURVE + 3 * k;
        json_array_append_new(curve,
                              json_pack("{s:f, s:I, s:I, s:I, s:I}", "threshold",
                                        (k + 1.0) / (spec->thresholds + 1), "recalled",
                                        (json_int_t)at[0], "truths", (json_int_t)total[SAK_EDGE_TRUTHS],
                                        "hit", (json_int_t)at[1], "found", (json_int_t)at[2]));
    }
    json_object_set_new(j, "curve", curve);
    json_object_set_new(j, "images", images);
    return sak_print_json(j, stdout);
}

static void print_table(int n, const sak_edge_spec *spec, const sak_edge_scores *s, sak_format format)
{
    const struct {
        const char *name;
        double v;
        int digits;
    } rows[] = {{"odsF", 100 * s->ods, 2},      {"ods_threshold", s->ods_threshold, 3},
                {"ods_recall", s->ods_recall, 4}, {"ods_precision", s->ods_precision, 4},
                {"oisF", 100 * s->ois, 2},      {"AP", 100 * s->ap, 2}};
    sak_table *t = sak_table_open(2, (const char *[]){"metric", "value"});
    char text[32];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "%.*f", rows[i].digits, rows[i].v);
        sak_table_row(t, (const char *[]){rows[i].name, text});
    }
    sak_table_row(t, (const char *[]){"protocol", sak_edge_protocol_names[spec->protocol]});
    snprintf(text, sizeof text, "%d", n);
    sak_table_row(t, (const char *[]){"images", text});
    sak_table_print(t, format, stdout);
    sak_table_close(t);
}

static int read_spec(const sak_options *o, sak_edge_spec *spec)
{
    *spec = (sak_edge_spec){SAK_EDGE_SEISM, o->max_dist > 0 ? o->max_dist : 0.0075,
                            o->thresholds ? (int)o->thresholds : SAK_EDGE_THRESHOLDS};
    if (strcmp(o->args[1], "edge") != 0)
        return sak_usage("usage: sak score edge DIR --gt DIR", "there is no score '%s', only edge",
                         o->args[1]);
    if (!o->gt)
        return sak_usage("--gt DIR holds name.mat or name.png for every name.png that is scored",
                         "`sak score edge` needs --gt");
    for (int p = 0; o->protocol; p++) {
        if (!sak_edge_protocol_names[p])
            return sak_usage(NULL, "--protocol must be plain, seism or bsds, got '%s'", o->protocol);
        spec->protocol = (sak_edge_protocol)p;
        if (strcmp(sak_edge_protocol_names[p], o->protocol) == 0)
            break;
    }
    return SAK_EXIT_OK;
}

int sak_verb_score(const sak_options *o)
{
    sak_edge_spec spec;
    const int usage = read_spec(o, &spec);
    if (usage != SAK_EXIT_OK)
        return usage;
    image *list = NULL;
    int n = 0;
    int64_t *total = NULL;
    sak_error err = {0};
    sak_status st = sak_pool_open((int)o->threads, &err);
    if (st == SAK_OK)
        st = list_images(o->args[2], &list, &n, &err);
    int unscored = 0;
    if (st == SAK_OK)
        st = count_unscored(o->gt, list, n, &unscored, &err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&total, (size_t)sak_edge_counts_size(spec.thresholds), sizeof *total,
                       &err);
    if (st == SAK_OK)
        st = score_all(list, n, o, &spec, total, &err);
    int status = SAK_EXIT_OK;
    if (st == SAK_OK) {
        sak_edge_scores s;
        sak_edge_score_counts(&spec, total, &s);
        if (o->json)
            status = print_json(list, n, &spec, total, &s, unscored);
        else
            print_table(n, &spec, &s, sak_options_format(o));
    } else {
        status = sak_complain(&err);
    }
    for (int i = 0; i < n; i++) {
        release(&list[i]);
        sak_free(list[i].counts);
        free(list[i].name);
    }
    free(list);
    sak_free(total);
    sak_pool_close();
    return status;
}
