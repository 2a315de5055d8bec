/* PASCAL-Context: a tree in the published layout, written by the test through libjpeg and matio, is
 * read to exactly known arrays; the rules of merging parts and of what is ignored. */
#include <math.h>
#include <stdio.h>
#include <jpeglib.h>
#include <matio.h>

#include "data/augment.h"
#include "data/folder.h"
#include "data/png.h"
#include "files_fixture.h"

enum { S = 16, N = S * S, TVMONITOR = 427, SKY = 360, WALL = 440 };

static void put_jpeg(const char *name, uint8_t grey)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    uint8_t row[S];
    memset(row, grey, sizeof row);
    FILE *file = fopen(at(name), "wb");
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, file);
    c.image_height = c.image_width = S;
    c.input_components = 1;
    c.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 100, TRUE);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < S; y++) {
        JSAMPROW line = row;
        jpeg_write_scanlines(&c, &line, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fclose(file);
}

static void put_png(const char *name, const uint8_t *pixels, int channels)
{
    sak_error err;
    must(sak_png_write(at(name), pixels, S, S, channels, &err), &err);
}

/* ---- .mat ---- */

/* MATLAB counts down the columns. */
static matvar_t *matrix8(const char *name, const uint8_t *rows)
{
    size_t dims[2] = {S, S};
    uint8_t columns[N];
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++)
            columns[x * S + y] = rows[y * S + x];
    return Mat_VarCreate(name, MAT_C_UINT8, MAT_T_UINT8, 2, dims, columns, 0);
}

static matvar_t *text(const char *name, const char *s)
{
    size_t dims[2] = {1, strlen(s)};
    return Mat_VarCreate(name, MAT_C_CHAR, MAT_T_UTF8, 2, dims, (void *)(uintptr_t)s, 0);
}

static void put_mat(const char *name, matvar_t *v, enum mat_ft version,
                    enum matio_compression squeeze)
{
    mat_t *mat = Mat_CreateVer(at(name), NULL, version);
    assert_non_null(mat);
    assert_int_equal(Mat_VarWrite(mat, v, squeeze), 0);
    Mat_Close(mat);
    Mat_VarFree(v);
}

static void put_labels(const char *name, const uint16_t *rows, enum mat_ft version)
{
    size_t dims[2] = {S, S};
    uint16_t columns[N];
    for (int y = 0; y < S; y++)
        for (int x = 0; x < S; x++)
            columns[x * S + y] = rows[y * S + x];
    put_mat(name, Mat_VarCreate("LabelMap", MAT_C_UINT16, MAT_T_UINT16, 2, dims, columns, 0),
            version, version == MAT_FT_MAT5 ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE);
}

/* A rectangle of ones. */
static const uint8_t *box(int y0, int x0, int y1, int x1)
{
    static uint8_t mask[N];
    for (int i = 0; i < N; i++)
        mask[i] = i / S >= y0 && i / S < y1 && i % S >= x0 && i % S < x1;
    return mask;
}

typedef struct part {
    const char *name;
    int y0, x0, y1, x1;
} part;

typedef struct object {
    double kind;
    bool visible;
    int n;
    part parts[4];
} object;

static matvar_t *parts_of(const object *o)
{
    static const char *const fields[] = {"part_name", "mask"};
    size_t none[2] = {0, 0}, dims[2] = {1, (size_t)o->n};
    if (o->n == 0)
        return Mat_VarCreate("parts", MAT_C_DOUBLE, MAT_T_DOUBLE, 2, none, NULL, 0);
    matvar_t *list = Mat_VarCreateStruct("parts", 2, dims, (const char **)(uintptr_t)fields, 2);
    for (int i = 0; i < o->n; i++) {
        const part *p = &o->parts[i];
        Mat_VarSetStructFieldByName(list, "part_name", (size_t)i, text(NULL, p->name));
        Mat_VarSetStructFieldByName(list, "mask", (size_t)i,
                                    matrix8(NULL, box(p->y0, p->x0, p->y1, p->x1)));
    }
    return list;
}

static void put_parts(const char *name, const object *o, int n)
{
    static const char *const top[] = {"imname", "objects"};
    static const char *const fields[] = {"class", "class_ind", "mask", "parts"};
    size_t one[2] = {1, 1}, dims[2] = {1, (size_t)n};
    matvar_t *objects =
        Mat_VarCreateStruct("objects", 2, dims, (const char **)(uintptr_t)fields, 4);
    for (int i = 0; i < n; i++) {
        double kind = o[i].kind;
        const size_t k = (size_t)i;
        Mat_VarSetStructFieldByName(objects, "class", k, text(NULL, kind == 15 ? "person" : "cow"));
        Mat_VarSetStructFieldByName(
            objects, "class_ind", k,
            Mat_VarCreate(NULL, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, one, &kind, 0));
        Mat_VarSetStructFieldByName(objects, "mask", k,
                                    matrix8(NULL, box(0, 0, o[i].visible ? S : 0, S)));
        Mat_VarSetStructFieldByName(objects, "parts", k, parts_of(&o[i]));
    }
    matvar_t *anno = Mat_VarCreateStruct("anno", 2, one, (const char **)(uintptr_t)top, 2);
    Mat_VarSetStructFieldByName(anno, "imname", 0, text(NULL, "x"));
    Mat_VarSetStructFieldByName(anno, "objects", 0, objects);
    put_mat(name, anno, MAT_FT_MAT5, MAT_COMPRESSION_ZLIB);
}

/* ---- the tree ---- */

static uint16_t labels[N];
static uint8_t semseg[N], normals[N * 3], sal[N];

static const object people[] = {
    {15,
     true,
     4,
     {{"torso", 2, 2, 10, 10},
      {"head", 0, 4, 3, 8},
      {"lfoot", 14, 2, 16, 6},
      {"rhand", 6, 9, 8, 12}}},
    {10, true, 1, {{"head", 0, 0, 16, 16}}}, /* a cow's head is no human part */
    {15, true, 0, {{NULL, 0, 0, 0, 0}}},
    {15, true, 1, {{"neck", 2, 5, 4, 7}}}, /* later ones paint over earlier ones */
};
static const object cow[] = {{10, true, 1, {{"head", 0, 0, 16, 16}}}};

static int make_tree(void **state)
{
    (void)state;
    static const char *const folders[] = {"JPEGImages",       "semseg",
                                          "semseg/VOC12",     "semseg/pascal-context",
                                          "pascal-context",   "pascal-context/trainval",
                                          "human_parts",      "normals_distill",
                                          "sal_distill",      "ImageSets",
                                          "ImageSets/Context"};
    if (!make_root(folders, sizeof folders / sizeof *folders))
        return -1;
    for (int i = 0; i < N; i++) {
        labels[i] = i % S < 8 ? TVMONITOR : i / S < 8 ? SKY : WALL;
        semseg[i] = i == 5 ? 255 : (uint8_t)(i % 21);
        sal[i] = (uint8_t)i;
        normals[3 * i] = normals[3 * i + 1] = 128;
        normals[3 * i + 2] = 255;
    }
    put_text("ImageSets/Context/train.txt", "2008_000002\n2008_000003\n");
    put_jpeg("JPEGImages/2008_000002.jpg", 90);
    put_jpeg("JPEGImages/2008_000003.jpg", 200);
    put_labels("pascal-context/trainval/2008_000002.mat", labels, MAT_FT_MAT5);
    put_labels("pascal-context/trainval/2008_000003.mat", labels, MAT_FT_MAT73);
    put_png("semseg/VOC12/2008_000002.png", semseg, 1);
    memset(semseg, 7, N);
    put_png("semseg/pascal-context/2008_000002.png", semseg, 1); /* VOC12 goes first */
    put_png("semseg/pascal-context/2008_000003.png", semseg, 1);
    put_parts("human_parts/2008_000002.mat", people, 4);
    put_parts("human_parts/2008_000003.mat", cow, 1);
    for (int i = 2; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "normals_distill/2008_00000%d.png", i);
        put_png(name, normals, 3);
        snprintf(name, sizeof name, "sal_distill/2008_00000%d.png", i);
        put_png(name, sal, 1);
    }
    return 0;
}

static const sak_split train = {.list = "train"};

static uint8_t part_at(int y, int x)
{
    static const struct {
        int part, y0, x0, y1, x1;
    } order[] = {
        {2, 2, 5, 4, 7}, {4, 6, 9, 8, 12}, {6, 14, 2, 16, 6}, {1, 0, 4, 3, 8}, {2, 2, 2, 10, 10}};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++) /* the last painted first */
        if (y >= order[k].y0 && y < order[k].y1 && x >= order[k].x0 && x < order[k].x1)
            return (uint8_t)order[k].part;
    return 0;
}

static void a_sample_is_what_the_published_loader_makes_of_it(void **state)
{
    (void)state;
    sak_dataset d;
    sak_error err;
    must(sak_folder_open_as(&d, root, &train, &sak_layout_pascal, &err), &err);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.classes, 21);
    assert_int_equal(d.parts, 7);
    assert_string_equal(d.class_names[15], "person");
    assert_int_equal(d.has, SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_EDGE | SAK_HAS_PARTS |
                                SAK_HAS_NORMALS | SAK_HAS_SAL);
    sak_sample s = {0};
    must(d.read(&d, 0, &s, &err), &err);
    assert_string_equal(s.id, "2008_000002");
    for (int i = 0; i < N; i++) {
        const int y = i / S, x = i % S;
        assert_true(s.rgb[3 * i] == 90 && s.rgb[3 * i + 1] == 90 && s.rgb[3 * i + 2] == 90);
        assert_int_equal(s.semseg[i], i == 5 ? 255 : i % 21);
        assert_int_equal(s.sal[i], (uint8_t)i > 127);
        assert_int_equal(s.parts[i], part_at(y, x));
        const bool known = x < 8 || y >= 8; /* a tv, or a wall; no sky in NYUD */
        const float *n = s.normals + 3 * i;
        assert_true(known ? n[2] > 0.99f : n[0] == 0 && n[1] == 0 && n[2] == 0);
    }
    must(d.read(&d, 1, &s, &err), &err); /* v7.3, the other semseg folder, no person */
    for (int i = 0; i < N; i++) {
        assert_int_equal(s.rgb[3 * i], 200);
        assert_int_equal(s.semseg[i], 7);
        assert_int_equal(s.parts[i], 0);
    }
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

static void edges_are_the_label_maps_boundaries_one_pixel_wide(void **state)
{
    (void)state;
    sak_dataset d;
    sak_error err;
    must(sak_folder_open_as(&d, root, &train, &sak_layout_pascal, &err), &err);
    sak_sample s = {0};
    for (int64_t i = 0; i < 2; i++) {
        must(d.read(&d, i, &s, &err), &err);
        for (int y = 1; y < S - 1; y++) { /* between columns 7 and 8; thinning may shorten ends */
            assert_int_equal(s.edge[y * S + 7] + s.edge[y * S + 8] >= 1, 1);
            for (int x = 0; x < 6; x++)
                assert_int_equal(s.edge[y * S + x], 0);
        }
        for (int x = 10; x < S - 1; x++) { /* between rows 7 and 8, on the right */
            int across = 0;
            for (int y = 0; y < S; y++)
                across += s.edge[y * S + x];
            assert_int_equal(across, 1);
            assert_int_equal(s.edge[7 * S + x] + s.edge[8 * S + x], 1);
        }
    }
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

static void ignore_rules_apply_when_samples_become_views(void **state)
{
    (void)state;
    sak_dataset d;
    sak_error err;
    must(sak_folder_open_as(&d, root, &train, &sak_layout_pascal, &err), &err);
    const sak_augment a = {.H = S, .W = S, .scale_lo = 1, .scale_hi = 1};
    sak_sample s = {0}, v = {0};
    for (int64_t i = 0; i < 2; i++) {
        must(d.read(&d, i, &s, &err), &err);
        must(sak_augment_sample(&a, 0, 0, i, 0, &s, &v, &err), &err);
        for (int k = 0; k < N; k++) {
            assert_int_equal(v.parts[k], i == 0 ? part_at(k / S, k % S) : 255); /* nobody there */
            const bool known = k % S < 8 || k / S >= 8;
            assert_true(known ? v.normals[3 * k + 2] > 0.99f : v.normals[3 * k] == 255);
        }
        assert_int_equal(v.semseg[5], i == 0 ? 255 : 7);
    }
    sak_sample_close(&s);
    sak_sample_close(&v);
    sak_dataset_close(&d);
}

static void refuse(const char *why)
{
    sak_dataset d;
    sak_error err;
    sak_status st = sak_folder_open_as(&d, root, &train, &sak_layout_pascal, &err);
    if (st == SAK_OK) {
        sak_sample s = {0};
        st = d.read(&d, 0, &s, &err);
        sak_sample_close(&s);
        sak_dataset_close(&d);
    }
    if (st == SAK_OK || !strstr(err.msg, why) || !strstr(err.msg, "2008_000002"))
        fail_msg("'%s' does not say '%s'", st == SAK_OK ? "ok" : err.msg, why);
}

static void what_is_broken_is_named(void **state)
{
    (void)state;
    sak_error err;
    object odd = people[0];
    odd.parts[1].name = "tail";
    put_parts("human_parts/2008_000002.mat", &odd, 1);
    refuse("anno.objects(1).parts(2): 'tail' is no part of a person");
    put_labels("human_parts/2008_000002.mat", labels, MAT_FT_MAT5);
    refuse("there is no anno.objects");
    put_parts("human_parts/2008_000002.mat", people, 4);
    must(sak_file_write_atomic(at("pascal-context/trainval/2008_000002.mat"), "MATLAB 5.0", 10,
                               &err),
         &err);
    refuse("not a MATLAB .mat file");
    put_parts("pascal-context/trainval/2008_000002.mat", cow, 1);
    refuse("there is no LabelMap");
    put_labels("pascal-context/trainval/2008_000002.mat", labels, MAT_FT_MAT5);
    unlink(at("human_parts/2008_000002.mat"));
    refuse("listed, but cannot be opened");
    put_parts("human_parts/2008_000002.mat", people, 4);
    memset(semseg, 21, N);
    put_png("semseg/VOC12/2008_000002.png", semseg, 1);
    refuse("label 21, but there are 21 classes (stored as 0 to 20)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_what_the_published_loader_makes_of_it),
        cmocka_unit_test(edges_are_the_label_maps_boundaries_one_pixel_wide),
        cmocka_unit_test(ignore_rules_apply_when_samples_become_views),
        cmocka_unit_test(what_is_broken_is_named),
    };
    return cmocka_run_group_tests(tests, make_tree, drop_root);
}
