/* The boundary benchmark: several annotators, the interpolated score, suppression by its definition,
 * .mat files, and the verb on folders of images. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <matio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "cli/verbs.h"
#include "data/mat.h"
#include "data/png.h"
#include "metrics/edge.h"
#include "metrics/internal.h"
#include "must.h"

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: %.12g, not %.12g", what, got, want);
}

/* Two annotators, one pixel each, and three predicted pixels of which one is nobody's. */
static void a_match_to_any_annotator_is_precise_and_recall_sums_over_them(void **state)
{
    (void)state;
    enum { H = 20, W = 30 };
    static float prob[H * W];
    static uint8_t first[H * W], second[H * W];
    prob[2 * W + 3] = prob[10 * W + 20] = prob[17 * W + 5] = 1;
    first[2 * W + 4] = 1;  /* a pixel beside the first prediction */
    second[10 * W + 20] = 1;
    second[2 * W + 3] = 1; /* both annotators saw the first one */
    const sak_edge_spec s = {SAK_EDGE_BSDS, 0.05, 3};
    int64_t counts[SAK_EDGE_CURVE + 9] = {0};
    sak_error err;
    must(sak_edge_count(&s, prob, H, W, (const uint8_t *const[]){first, second}, 2, counts, &err),
         &err);
    assert_int_equal(counts[SAK_EDGE_TRUTHS], 3);
    for (int k = 0; k < 3; k++) {
        const int64_t *at = counts + SAK_EDGE_CURVE + 3 * k;
        assert_int_equal(at[0], 3);
        assert_int_equal(at[1], 2);
        assert_int_equal(at[2], 3);
    }
    sak_edge_scores v;
    sak_edge_score_counts(&s, counts, &v);
    near("recall", v.ods_recall, 1, 0);
    near("precision", v.ods_precision, 2 / 3.0, 1e-15);
    near("F", v.ods, 0.8, 1e-15);
    near("OIS", v.ois, 0.8, 1e-15);
}

/* (R, P) = (1, 1/2) and (1/2, 1): F is 2/3 at both, 3/4 half way. */
static void the_benchmark_looks_for_the_best_f_between_thresholds(void **state)
{
    (void)state;
    int64_t counts[SAK_EDGE_CURVE + 6] = {[SAK_EDGE_IMAGES] = 1, [SAK_EDGE_TRUTHS] = 100};
    const int64_t curve[6] = {100, 100, 200, 50, 50, 50};
    memcpy(counts + SAK_EDGE_CURVE, curve, sizeof curve);
    sak_edge_scores v;
    sak_edge_score_counts(&(sak_edge_spec){SAK_EDGE_PLAIN, 0.01, 2}, counts, &v);
    near("at thresholds", v.ods, 2 / 3.0, 1e-15);
    sak_edge_score_counts(&(sak_edge_spec){SAK_EDGE_BSDS, 0.01, 2}, counts, &v);
    near("between them", v.ods, 0.75, 1e-4); /* 99 steps miss the middle by half a step */
    near("threshold", v.ods_threshold, 0.5, 2e-3);
    near("area", v.ap, (51 * 0.5 + 51 * 1.0) / 2 / 100, 1e-12); /* recalls 0.50 … 1.00 */
}

/* ---- suppression by its definition, in double ---- */

enum { NH = 23, NW = 31 };

static double mirrored(const double *x, int i, int j)
{
    i = i < 0 ? -i - 1 : i >= NH ? 2 * NH - 1 - i : i;
    j = j < 0 ? -j - 1 : j >= NW ? 2 * NW - 1 - j : j;
    return x[i * NW + j];
}

static void smooth_by_definition(const double *x, int r, double *y)
{
    for (int i = 0; i < NH; i++)
        for (int j = 0; j < NW; j++) {
            double sum = 0;
            for (int a = -r; a <= r; a++)
                for (int b = -r; b <= r; b++)
                    sum += (r + 1 - abs(a)) * (r + 1 - abs(b)) * mirrored(x, i + a, j + b);
            y[i * NW + j] = sum / pow(r + 1, 4);
        }
}

/* d x / d row or column: central differences, one-sided at the border. */
static double slope(const double *x, int i, int j, bool column)
{
    const int n = column ? NW : NH, at = column ? j : i;
    const int lo = at > 0 ? at - 1 : at, hi = at + 1 < n ? at + 1 : at;
    const double a = column ? x[i * NW + lo] : x[lo * NW + j];
    const double b = column ? x[i * NW + hi] : x[hi * NW + j];
    return (b - a) / (hi - lo);
}

static double between(const double *x, double i, double j)
{
    i = fmin(fmax(i, 0), NH - 1.001);
    j = fmin(fmax(j, 0), NW - 1.001);
    const int a = (int)i, b = (int)j;
    const double u = i - a, v = j - b;
    return (1 - u) * ((1 - v) * x[a * NW + b] + v * x[a * NW + b + 1]) +
           u * ((1 - v) * x[(a + 1) * NW + b] + v * x[(a + 1) * NW + b + 1]);
}

static void suppression_follows_its_definition(void **state)
{
    (void)state;
    static double x[NH * NW], y[NH * NW], dx[NH * NW], dy[NH * NW];
    static float e[NH * NW], out[NH * NW];
    for (uint32_t trial = 0; trial < 40; trial++) {
        const int smooth = trial % 2 ? 4 : 1, r = trial % 3 + 1;
        sak_rng rng = sak_rng_open(9, SAK_RNG_TEST, trial, 0);
        for (int i = 0; i < NH * NW; i++) {
            e[i] = (float)sak_rng_uniform(&rng);
            x[i] = (double)e[i];
        }
        sak_error err;
        must(sak_edge_nms(e, NH, NW, smooth, r, 5, 1.01f, out, &err), &err);
        smooth_by_definition(x, smooth, y);
        for (int i = 0; i < NH * NW; i++) {
            dx[i] = slope(y, i / NW, i % NW, true);
            dy[i] = slope(y, i / NW, i % NW, false);
        }
        for (int i = 0; i < NH; i++)
            for (int j = 0; j < NW; j++) {
                const double xx = slope(dx, i, j, true), yy = slope(dy, i, j, false);
                const double xy = slope(dy, i, j, true);
                const double angle = atan(yy * (xy < 0 ? 1 : xy > 0 ? -1 : 0) / (xx + 1e-5));
                double margin = 1; /* by how much the nearest rival decides */
                bool keep = true;
                for (int d = -r; d <= r; d++) {
                    const double rival = between(x, i + d * sin(angle), j + d * cos(angle));
                    const double lead = x[i * NW + j] * 1.01 - rival;
                    if (d == 0)
                        continue;
                    keep = keep && lead >= 0;
                    margin = fmin(margin, fabs(lead));
                }
                const int edge_i = i < NH - 1 - i ? i : NH - 1 - i;
                const int edge_j = j < NW - 1 - j ? j : NW - 1 - j;
                const double fade = fmin(1, edge_i / 5.0) * fmin(1, edge_j / 5.0);
                /* float and double may disagree on the angle where the curvature nearly vanishes */
                if (margin < 1e-3 || fabs(xx + 1e-5) < 1e-3 || fabs(xy) < 1e-5)
                    continue;
                const double want = keep ? x[i * NW + j] * fade : 0, got = (double)out[i * NW + j];
                if (fabs(got - want) > 1e-6)
                    fail_msg("trial %u, (%d, %d): %g, not %g", trial, i, j, got, want);
            }
    }
}

/* ---- files ---- */

static char folder[64];

static const char *in(const char *name)
{
    static char path[4][128];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sak_edge_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* groundTruth as BSDS has it: a cell of structs with Boundaries, here H x W with one pixel set. */
static void write_annotations(const char *path, int annotators, size_t H, size_t W)
{
    mat_t *m = Mat_CreateVer(path, NULL, MAT_FT_MAT5);
    size_t cells[2] = {1, (size_t)annotators}, one[2] = {1, 1}, size[2] = {H, W};
    matvar_t *cell = Mat_VarCreate("groundTruth", MAT_C_CELL, MAT_T_CELL, 2, cells, NULL, 0);
    for (int a = 0; a < annotators; a++) {
        const char *fields[] = {"Boundaries"};
        matvar_t *s = Mat_VarCreateStruct(NULL, 2, one, fields, 1);
        uint8_t *x = calloc(H * W, 1);
        x[2 * H + 1 + (size_t)a] = 1; /* column 2, row 1 + a */
        Mat_VarSetStructFieldByName(s, "Boundaries", 0,
                                    Mat_VarCreate("Boundaries", MAT_C_UINT8, MAT_T_UINT8, 2, size, x,
                                                  MAT_F_LOGICAL));
        free(x);
        Mat_VarSetCell(cell, a, s);
    }
    Mat_VarWrite(m, cell, MAT_COMPRESSION_ZLIB);
    Mat_VarFree(cell);
    Mat_Close(m);
}

static void annotations_come_out_row_by_row(void **state)
{
    (void)state;
    write_annotations(in("a.mat"), 3, 4, 5);
    sak_mat *m;
    sak_error err;
    must(sak_mat_open(&m, in("a.mat"), &err), &err);
    const sak_mat_value *cells = sak_mat_find(m, "groundTruth");
    assert_int_equal(sak_mat_count(cells), 3);
    for (int a = 0; a < 3; a++) {
        float *x;
        int H, W;
        must(sak_mat_image(m, sak_mat_field(sak_mat_cell(cells, a), 0, "Boundaries"), "Boundaries", &x,
                           &H, &W, &err),
             &err);
        assert_int_equal(H, 4);
        assert_int_equal(W, 5);
        for (int i = 0; i < 20; i++)
            assert_true(x[i] == (i == (1 + a) * 5 + 2 ? 1.0f : 0.0f));
        sak_free(x);
    }
    float *x;
    int H, W;
    assert_int_equal(sak_mat_image(m, cells, "groundTruth", &x, &H, &W, &err), SAK_EFORMAT);
    assert_null(sak_mat_find(m, "nothing"));
    assert_null(sak_mat_cell(cells, 3));
    assert_null(sak_mat_field(sak_mat_cell(cells, 0), 0, "Segmentation"));
    sak_mat_close(m);
}

static void a_broken_mat_file_is_an_error(void **state)
{
    (void)state;
    write_annotations(in("whole.mat"), 2, 30, 40);
    char bytes[4096];
    FILE *f = fopen(in("whole.mat"), "rb");
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t keep = 0; keep < n; keep += n / 16 + 1) {
        f = fopen(in("cut.mat"), "wb");
        fwrite(bytes, 1, keep, f);
        fclose(f);
        sak_mat *m = NULL;
        sak_error err;
        if (sak_mat_open(&m, in("cut.mat"), &err) == SAK_OK) {
            const sak_mat_value *v = sak_mat_field(sak_mat_cell(sak_mat_find(m, "groundTruth"), 0), 0,
                                                   "Boundaries");
            float *x = NULL;
            int H, W;
            if (sak_mat_image(m, v, "Boundaries", &x, &H, &W, &err) == SAK_OK)
                sak_free(x);
        }
        sak_mat_close(m);
    }
}

static int score(const char *protocol, const char *truth)
{
    const char *argv[] = {"sak", "score", "edge", folder, "--gt", truth, "--protocol", protocol,
                          "--csv", NULL};
    return sak_cli(9, (char **)argv);
}

static void the_verb_scores_a_folder_and_says_what_does_not_fit(void **state)
{
    (void)state;
    static uint8_t pixels[4 * 5];
    pixels[1 * 5 + 2] = 200;
    sak_error err;
    write_annotations(in("one.mat"), 2, 4, 5);
    must(sak_png_write(in("one.png"), pixels, 4, 5, 1, &err), &err);
    assert_int_equal(score("bsds", folder), SAK_EXIT_OK);
    assert_int_equal(score("seism", folder), SAK_EXIT_OK);
    assert_int_equal(score("classic", folder), SAK_EXIT_USAGE);
    must(sak_png_write(in("one.png"), pixels, 5, 4, 1, &err), &err);
    assert_int_equal(score("bsds", folder), SAK_EXIT_USAGE); /* another size than its annotations */
    must(sak_png_write(in("one.png"), pixels, 4, 5, 1, &err), &err);
    assert_int_equal(score("bsds", in("absent")), SAK_EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_match_to_any_annotator_is_precise_and_recall_sums_over_them),
        cmocka_unit_test(the_benchmark_looks_for_the_best_f_between_thresholds),
        cmocka_unit_test(suppression_follows_its_definition),
        cmocka_unit_test_setup_teardown(annotations_come_out_row_by_row, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_broken_mat_file_is_an_error, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_verb_scores_a_folder_and_says_what_does_not_fit,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
