/* Folders laid out as a lab has them: own names, suffixes, palettes, units and axes; shares of what
 * lies there instead of lists; and any folder of pictures. */
#include <math.h>
#include <png.h>

#include "data/folder.h"
#include "data/png.h"
#include "files_fixture.h"

enum { H = 4, W = 5, N = H * W };

static void put_png(const char *name, const uint8_t *pixels, int channels)
{
    sak_error err;
    must(sak_png_write(at(name), pixels, H, W, channels, &err), &err);
}

/* A grey PNG of 16 bits. */
static void put_deep(const char *name, const uint16_t *v)
{
    FILE *file = fopen(at(name), "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, W, H, 16, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < H; y++) {
        uint8_t row[2 * W];
        for (int x = 0; x < W; x++) {
            row[2 * x] = (uint8_t)(v[y * W + x] >> 8);
            row[2 * x + 1] = (uint8_t)v[y * W + x];
        }
        png_write_row(png, row);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

static const uint8_t palette[3][3] = {{128, 0, 0}, {0, 128, 0}, {1, 2, 3}};
static uint8_t rgb[N * 3], coloured[N * 3], mask[N], normals[N * 3];
static uint16_t millimetres[N];

static int make_tree(void **state)
{
    (void)state;
    static const char *const folders[] = {"photos",     "photos/deep", "masks",
                                          "masks/deep", "range",       "range/deep"};
    if (!make_root(folders, sizeof folders / sizeof *folders))
        return -1;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++) {
            rgb[3 * i + k] = (uint8_t)(7 * i + k);
            coloured[3 * i + k] = i == 3 ? 9 : palette[i % 3][k]; /* {9, 9, 9}: to be ignored */
        }
        millimetres[i] = (uint16_t)(i * 3000);
        mask[i] = i % 2;
        normals[3 * i] = 128;
        normals[3 * i + 1] = normals[3 * i + 2] = 0;
        normals[3 * i + (i % 2 ? 1 : 2)] = 255;
        normals[3 * i + (i % 2 ? 2 : 1)] = 128;
    }
    static const char *const ids[] = {"a", "b", "deep/c"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "photos/%s.%s", ids[i], i ? "png" : "PNG");
        put_png(name, rgb, 3);
        snprintf(name, sizeof name, "masks/%s_seg.png", ids[i]);
        put_png(name, coloured, 3);
        snprintf(name, sizeof name, "range/%s.png", ids[i]);
        put_deep(name, millimetres);
    }
    put_png("flat.png", mask, 1);
    put_png("normals.png", normals, 3);
    put_text("mine.txt", "deep/c\na.PNG\n");
    put_text("photos/readme.txt", "not a picture");
    return 0;
}

static sak_layout own_layout(void)
{
    return (sak_layout){
        .lists = "gt_sets",
        .classes = 3,
        .n = 3,
        .m = {{.flag = SAK_HAS_IMAGE, .dir = "photos"},
              {.flag = SAK_HAS_SEMSEG,
               .dir = "masks",
               .suffix = "_seg.png",
               .ignore = -1,
               .colour = palette,
               .colours = 3,
               .ignore_colour = 0x090909},
              {.flag = SAK_HAS_DEPTH, .dir = "range", .suffix = ".png", .scale = 0.001}}};
}

static void check_sample(const sak_sample *s)
{
    assert_true(s->H == H && s->W == W);
    assert_memory_equal(s->rgb, rgb, sizeof rgb);
    for (int i = 0; i < N; i++) {
        assert_int_equal(s->semseg[i], i == 3 ? SAK_IGNORE : i % 3);
        assert_true(fabsf(s->depth[i] - 3.0f * (float)i) < 1e-5f);
    }
}

static void a_table_maps_suffixes_colours_and_units(void **state)
{
    (void)state;
    const sak_layout layout = own_layout();
    sak_dataset d;
    sak_error err;
    must(sak_folder_open_as(&d, root, &(sak_split){.list = "mine.txt"}, &layout, &err), &err);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.has, SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH);
    assert_int_equal(d.classes, 3);
    assert_true(d.H == H && d.W == W);
    sak_sample s = {0};
    must(d.read(&d, 0, &s, &err), &err);
    assert_string_equal(s.id, "deep/c");
    check_sample(&s);
    must(d.read(&d, 1, &s, &err), &err);
    assert_string_equal(s.id, "a");
    check_sample(&s);
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

static void shares_are_disjoint_whole_and_the_same_every_time(void **state)
{
    (void)state;
    const sak_layout layout = own_layout();
    int seen[2] = {0, 0}, letters = 0;
    for (int turn = 0; turn < 2; turn++)
        for (int part = 0; part < 2; part++) {
            sak_dataset d;
            sak_error err;
            const sak_split split =
                part ? (sak_split){.from = 0.66, .to = 1} : (sak_split){.to = 0.66};
            must(sak_folder_open_as(&d, root, &split, &layout, &err), &err);
            assert_int_equal(d.count, part ? 1 : 2);
            sak_sample s = {0};
            for (int64_t i = 0; i < d.count; i++) {
                must(d.read(&d, i, &s, &err), &err);
                check_sample(&s);
                seen[turn] = seen[turn] * 7 + s.id[strlen(s.id) - 1];
                letters += turn ? 0 : 1 << (s.id[strlen(s.id) - 1] - 'a');
            }
            sak_sample_close(&s);
            sak_dataset_close(&d);
        }
    assert_int_equal(letters, 7);
    assert_int_equal(seen[0], seen[1]);
}

static void any_folder_of_pictures_will_do(void **state)
{
    (void)state;
    sak_dataset d, e;
    sak_error err;
    const sak_split all = {.to = 1};
    must(sak_folder_open_as(&d, at("photos"), &all, &sak_layout_images, &err), &err);
    assert_int_equal(d.count, 3);
    assert_int_equal(d.has, SAK_HAS_IMAGE);
    sak_sample s = {0};
    for (int64_t i = 0; i < d.count; i++) {
        must(d.read(&d, i, &s, &err), &err);
        assert_memory_equal(s.rgb, rgb, sizeof rgb);
    }
    sak_sample_close(&s);
    put_png("photos/d.png", rgb, 3);
    must(sak_folder_open_as(&e, at("photos"), &all, &sak_layout_images, &err), &err);
    assert_int_equal(e.count, 4);
    assert_string_not_equal(d.identity, e.identity);
    unlink(at("photos/d.png"));
    sak_dataset_close(&d);
    sak_dataset_close(&e);
    mkdir(at("empty"), 0777);
    assert_int_equal(sak_folder_open_as(&d, at("empty"), &all, &sak_layout_images, &err),
                     SAK_ENOENT);
    assert_non_null(strstr(err.msg, "no pictures there"));
}

static void normals_follow_their_axes_and_masks_their_threshold(void **state)
{
    (void)state;
    mkdir(at("one"), 0777);
    mkdir(at("one/n"), 0777);
    mkdir(at("one/e"), 0777);
    mkdir(at("one/i"), 0777);
    put_png("one/i/x.png", rgb, 3);
    put_png("one/n/x.png", normals, 3);
    put_png("one/e/x.png", mask, 1);
    sak_layout layout = {
        .n = 3,
        .m = {{.flag = SAK_HAS_IMAGE, .dir = "i"},
              {.flag = SAK_HAS_NORMALS,
               .dir = "n",
               .suffix = ".png",
               .axis = {1, -2, -3}}, /* OpenCV's camera: y down, z away */
              {.flag = SAK_HAS_EDGE, .dir = "e", .suffix = ".png", .threshold = 1}}};
    sak_dataset d;
    sak_error err;
    const sak_split all = {.to = 1};
    must(sak_folder_open_as(&d, at("one"), &all, &layout, &err), &err);
    sak_sample s = {0};
    must(d.read(&d, 0, &s, &err), &err);
    for (int i = 0; i < N; i++) {
        assert_int_equal(s.edge[i], i % 2);
        assert_true(s.normals[3 * i + (i % 2 ? 1 : 2)] < -0.99f);
    }
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

static void refuse(const sak_layout *layout, const char *why)
{
    sak_dataset d;
    sak_error err;
    sak_status st = sak_folder_open_as(&d, root, &(sak_split){.to = 1}, layout, &err);
    if (st == SAK_OK) {
        sak_sample s = {0};
        for (int64_t i = 0; st == SAK_OK && i < d.count; i++)
            st = d.read(&d, i, &s, &err);
        sak_sample_close(&s);
        sak_dataset_close(&d);
    }
    if (st == SAK_OK || !strstr(err.msg, why))
        fail_msg("'%s' does not say '%s'", st == SAK_OK ? "ok" : err.msg, why);
}

static void what_does_not_fit_the_table_is_named(void **state)
{
    (void)state;
    sak_layout l = own_layout();
    l.m[1].ignore_colour = -1;
    refuse(&l, "colour {9, 9, 9} at row 0, column 3 is none of the 3 classes'");
    l = own_layout();
    l.m[1].colours = 0;
    refuse(&l, "a label image must be grey or have a palette, this one is RGB");
    l = own_layout();
    l.m[2].dir = "nowhere";
    refuse(&l, "nowhere: no such folder, for depth");
    l = own_layout();
    l.m[1].suffix = ".png";
    refuse(&l, "listed, but cannot be opened");
    l = own_layout();
    l.m[2].dir = "masks";
    l.m[2].suffix = "_seg.png";
    refuse(&l, "values are read from a grey PNG");
    put_png("photos/b.jpg", rgb, 3);
    l = own_layout();
    refuse(&l, "b.jpg and b.png are two images of one id");
    unlink(at("photos/b.jpg"));
}

static void odd_names_are_counted(void **state)
{
    (void)state;
    mkdir(at("odd"), 0777);
    mkdir(at("odd/images"), 0777);
    mkdir(at("odd/gt_sets"), 0777);
    put_png("odd/images/a.png", rgb, 3);
    put_png("odd/images/A.png", rgb, 3);
    put_text("odd/images/b.png", "\xFF\xD8\xFF and so on");
    put_text("odd/gt_sets/train.txt", "a\nb\nA\na\n");
    sak_dataset d;
    sak_error err;
    sak_oddities odd;
    const sak_split split = {.list = "train", .unchecked = true};
    must(sak_folder_open_as(&d, at("odd"), &split, &sak_layout_nyud, &err), &err);
    assert_true(sak_is_folder(&d));
    must(sak_folder_oddities(&d, &odd, &err), &err);
    assert_int_equal(odd.twice, 1);
    assert_string_equal(odd.twin, "a");
    assert_int_equal(odd.case_twins, 1);
    assert_int_equal(odd.misnamed, 1);
    assert_string_equal(odd.misnamed_image, "b.png");
    sak_sample s = {0};
    must(d.read(&d, 2, &s, &err), &err); /* "A" is a sample of its own */
    assert_string_equal(s.id, "A");
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_maps_suffixes_colours_and_units),
        cmocka_unit_test(shares_are_disjoint_whole_and_the_same_every_time),
        cmocka_unit_test(any_folder_of_pictures_will_do),
        cmocka_unit_test(normals_follow_their_axes_and_masks_their_threshold),
        cmocka_unit_test(what_does_not_fit_the_table_is_named),
        cmocka_unit_test(odd_names_are_counted),
    };
    return cmocka_run_group_tests(tests, make_tree, drop_root);
}
