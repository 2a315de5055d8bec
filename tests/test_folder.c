/* Folder datasets: a small tree made on the spot, every way it can be broken, hostile .npy headers,
 * and the real photographs where they are at hand. */
#include <math.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "data/npy.h"
#include "data/png.h"
#include "files_fixture.h"

enum { H = 6, W = 8, N = H * W };

static void put_png(const char *name, const uint8_t *pixels, int h, int w, int channels)
{
    sak_error err;
    must(sak_png_write(at(name), pixels, h, w, channels, &err), &err);
}

/* A .npy of version `version` with the given header text and data. */
static void put_npy(const char *name, int version, const char *dict, const void *data, size_t size)
{
    unsigned char blob[4096] = "\x93NUMPY";
    const size_t n = strlen(dict), start = version == 1 ? 10 : 12;
    blob[6] = (unsigned char)version;
    blob[8] = (unsigned char)(n & 255);
    blob[9] = (unsigned char)(n >> 8);
    memcpy(blob + start, dict, n);
    memcpy(blob + start + n, data, size);
    put(name, blob, start + n + size);
}

static uint8_t rgb[N * 3], label[N], normals[N * 3], mask[N], parts[N];
static float depth[N];

static int make_tree(void **state)
{
    (void)state;
    static const char *const folders[] = {"images", "segmentation", "depth",       "normals",
                                          "edge",   "sal",          "human_parts", "gt_sets"};
    if (!make_root(folders, sizeof folders / sizeof *folders))
        return -1;
    for (int i = 0; i < N; i++) {
        rgb[3 * i] = (uint8_t)i;
        rgb[3 * i + 1] = (uint8_t)(2 * i);
        rgb[3 * i + 2] = (uint8_t)(255 - i);
        label[i] = (uint8_t)(i % 5); /* 0 = unlabelled, then classes 0 to 3 */
        mask[i] = i % 3 ? 0 : 255;
        parts[i] = i == 7 ? 255 : (uint8_t)(i % 7);
        depth[i] = i == 5 ? 0 : i == 6 ? NAN : 0.25f * (float)i;
        normals[3 * i] = normals[3 * i + 1] = 128;
        normals[3 * i + 2] = 255;
    }
    memset(normals, 0, 3); /* black and grey: no normal */
    memset(normals + 3, 128, 3);
    normals[6] = 255; /* (1, 0, 0), nearly */
    normals[7] = normals[8] = 127;
    static const char *const ids[] = {"a1", "b-2"};
    for (size_t i = 0; i < 2; i++) {
        char name[64];
        const struct {
            const char *folder;
            const uint8_t *pixels;
            int channels;
        } png[] = {{"images", rgb, 3}, {"segmentation", label, 1}, {"normals", normals, 3},
                   {"edge", mask, 1},  {"sal", mask, 1},           {"human_parts", parts, 1}};
        for (size_t k = 0; k < sizeof png / sizeof *png; k++) {
            snprintf(name, sizeof name, "%s/%s.png", png[k].folder, ids[i]);
            put_png(name, png[k].pixels, H, W, png[k].channels);
        }
        snprintf(name, sizeof name, "depth/%s.npy", ids[i]);
        put_npy(name, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 8), }   \n", depth,
                sizeof depth);
    }
    put_text("gt_sets/train.txt", "a1\r\n\n  b-2  \n");
    put_text("gt_sets/one.txt", "b-2");
    put_text("classes.txt", "1 wall\n2 dining table\n3 bed\n4 lamp\n");
    return 0;
}

static void a_sample_holds_what_the_files_say(void **state)
{
    (void)state;
    sak_dataset d;
    sak_error err;
    must(sak_folder_open(&d, root, "train", &err), &err);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.H, H);
    assert_int_equal(d.W, W);
    assert_int_equal(d.classes, 4);
    assert_int_equal(d.parts, 7);
    assert_string_equal(d.class_names[1], "dining table");
    assert_int_equal(strlen(d.identity), 64);
    assert_int_equal(d.has, SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS |
                                SAK_HAS_EDGE | SAK_HAS_SAL | SAK_HAS_PARTS);
    sak_sample s = {0};
    must(d.read(&d, 0, &s, &err), &err);
    assert_string_equal(s.id, "a1");
    must(d.read(&d, 1, &s, &err), &err);
    assert_string_equal(s.id, "b-2");
    assert_memory_equal(s.rgb, rgb, sizeof rgb);
    for (int i = 0; i < N; i++) {
        assert_int_equal(s.semseg[i], i % 5 ? i % 5 - 1 : 255);
        assert_int_equal(s.edge[i], i % 3 == 0);
        assert_int_equal(s.sal[i], i % 3 == 0);
        assert_int_equal(s.parts[i], i == 7 ? 255 : i % 7);
        assert_true(s.depth[i] == (i == 5 || i == 6 ? 0 : 0.25f * (float)i));
        const float *n = s.normals + 3 * i;
        const float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        assert_true(i < 2 ? length == 0 : fabsf(length - 1) < 1e-5f);
        assert_true(i < 2 || (i == 2 ? n[0] > 0.99f : n[2] > 0.99f));
    }
    assert_int_equal(d.read(&d, 2, &s, &err), SAK_EINVAL);
    assert_int_equal(d.read(&d, -1, &s, &err), SAK_EINVAL);
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

static void identity_follows_the_content(void **state)
{
    (void)state;
    sak_dataset a, b, c, e;
    sak_error err;
    must(sak_folder_open(&a, root, "train", &err), &err);
    must(sak_folder_open(&b, root, "train", &err), &err);
    must(sak_folder_open(&c, root, "one", &err), &err);
    assert_string_equal(a.identity, b.identity);
    assert_string_not_equal(a.identity, c.identity);
    mask[0] ^= 255;
    put_png("edge/a1.png", mask, H, W, 1);
    must(sak_folder_open(&e, root, "train", &err), &err);
    assert_string_not_equal(a.identity, e.identity);
    mask[0] ^= 255;
    put_png("edge/a1.png", mask, H, W, 1);
    sak_dataset *const all[] = {&a, &b, &c, &e};
    for (size_t i = 0; i < 4; i++)
        sak_dataset_close(all[i]);
}

/* Opens and, if that works, reads everything; expects a failure whose message holds `why`. */
static void refuse(const char *split, sak_status code, const char *why)
{
    sak_dataset d;
    sak_error err = {0};
    sak_status st = sak_folder_open(&d, root, split, &err);
    if (st == SAK_OK) {
        sak_sample s = {0};
        for (int64_t i = 0; st == SAK_OK && i < d.count; i++)
            st = d.read(&d, i, &s, &err);
        sak_sample_close(&s);
        sak_dataset_close(&d);
    }
    if (st != code || !strstr(err.msg, why))
        fail_msg("%s: status %d '%s' instead of %d '%s'", split, (int)st, err.msg, (int)code, why);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    refuse("absent", SAK_ENOENT, "gt_sets/absent.txt");
    put_text("gt_sets/empty.txt", "\n \n");
    refuse("empty", SAK_EFORMAT, "lists no images");
    put_text("gt_sets/evil.txt", "../../etc/passwd\n");
    refuse("evil", SAK_EFORMAT, "'../../etc/passwd' is not an image id");
    put_text("gt_sets/gone.txt", "a1\nzz\n");
    refuse("gone", SAK_ENOENT, "images/zz.png");

    put_png("edge/a1.png", mask, W, H, 1);
    refuse("train", SAK_ESHAPE, "edge/a1.png: is 8 x 6, but its image is 6 x 8");
    put_png("edge/a1.png", mask, H, W, 1);

    label[3] = 9;
    put_png("segmentation/a1.png", label, H, W, 1);
    refuse("train", SAK_EFORMAT, "segmentation/a1.png: label 9, but there are 4 classes");
    label[3] = 3;
    put_png("segmentation/a1.png", label, H, W, 1);

    put_npy("depth/a1.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (48,)}", depth,
            sizeof depth);
    refuse("train", SAK_ESHAPE, "depth/a1.npy: shape (48) is not a depth map");
    put_npy("depth/a1.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 6)}", depth,
            sizeof depth);
    refuse("train", SAK_ESHAPE, "depth/a1.npy: is 8 x 6");
    put_npy("depth/a1.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 8)}", depth,
            sizeof depth);

    put_text("images/a1.png", "not a picture");
    refuse("train", SAK_EFORMAT, "images/a1.png");
    put_png("images/a1.png", rgb, H, W, 3);

    put_text("classes.txt", "1 wall\n3 bed\n");
    refuse("train", SAK_EFORMAT, "line 2 should begin with 2");
    put_text("classes.txt", "1 wall\n2 dining table\n3 bed\n4 lamp\n");

    sak_dataset d;
    sak_error err;
    assert_int_equal(sak_folder_open(&d, "/no/such/folder", "train", &err), SAK_ENOENT);
    assert_int_equal(sak_folder_open(&d, at("gt_sets"), "train", &err), SAK_ENOENT);
    sak_folder_open(&d, root, "train", &err); /* all is well again */
    sak_dataset_close(&d);
}

static void images_of_different_sizes_are_allowed(void **state)
{
    (void)state;
    static const char *const folders[] = {"images", "edge"};
    const char *const base = "mixed";
    char name[64];
    mkdir(at(base), 0777);
    mkdir(at("mixed/gt_sets"), 0777);
    for (size_t k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "%s/%s", base, folders[k]);
        mkdir(at(name), 0777);
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "%s/%s/%d.png", base, folders[k], i);
            put_png(name, k ? mask : rgb, i == 1 ? W : H, i == 1 ? H : W, k ? 1 : 3);
        }
    }
    put_text("mixed/gt_sets/val.txt", "0\n1\n2\n");
    sak_dataset d;
    sak_error err;
    must(sak_folder_open(&d, at(base), "val", &err), &err);
    assert_int_equal(d.H, 0);
    assert_int_equal(d.has, SAK_HAS_IMAGE | SAK_HAS_EDGE);
    assert_int_equal(d.classes, 0);
    assert_string_equal(d.name, "mixed/val");
    sak_sample s = {0};
    for (int i = 0; i < 3; i++) {
        must(d.read(&d, i, &s, &err), &err);
        assert_int_equal(s.H, i == 1 ? W : H);
        assert_null(s.depth);
    }
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

/* ---- .npy ---- */

static void npy_reads_every_type_order_and_version(void **state)
{
    (void)state;
    const double f8[6] = {1, 2.5, -3, 4, 5, 6e10};
    const uint8_t u1[6] = {0, 1, 2, 3, 4, 255};
    float *v;
    sak_shape shape;
    sak_error err;
    for (int version = 1; version <= 3; version++) {
        put_npy("t.npy", version, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n",
                f8, sizeof f8);
        must(sak_npy_read(at("t.npy"), &v, &shape, &err), &err);
        assert_int_equal(shape.n, 2);
        for (int i = 0; i < 6; i++)
            assert_true(v[i] == (float)f8[i]);
        sak_free(v);
    }
    put_npy("t.npy", 1, "{\"shape\": (2, 3), 'fortran_order': True, 'descr': '|u1'}", u1, 6);
    must(sak_npy_read(at("t.npy"), &v, &shape, &err), &err);
    const float transposed[6] = {0, 2, 4, 1, 3, 255};
    assert_memory_equal(v, transposed, sizeof transposed);
    sak_free(v);
    static const struct {
        const char *descr;
        unsigned char bytes[16];
        size_t size;
        float want[2];
    } other[] = {{"<u2", {1, 2, 255, 255}, 4, {513, 65535}},
                 {"<i2", {1, 2, 255, 255}, 4, {513, -1}},
                 {"|i1", {128, 127}, 2, {-128, 127}},
                 {"|b1", {1, 0}, 2, {1, 0}},
                 {"<i4", {0, 0, 0, 128, 5, 0, 0, 0}, 8, {-2147483648.0f, 5}},
                 {"<u4", {0, 0, 0, 128, 5, 0, 0, 0}, 8, {2147483648.0f, 5}},
                 {"<i8", {255, 255, 255, 255, 255, 255, 255, 255, 7}, 16, {-1, 7}},
                 {"<f2", {0, 0x3E, 1, 0x80}, 4, {1.5f, -5.9604645e-8f}},
                 {"<f2", {0xFF, 0x7B, 0, 0xFC}, 4, {65504, -INFINITY}}};
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        char dict[96];
        snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (2,)}",
                 other[k].descr);
        put_npy("t.npy", 1, dict, other[k].bytes, other[k].size);
        must(sak_npy_read(at("t.npy"), &v, &shape, &err), &err);
        if (v[0] != other[k].want[0] || v[1] != other[k].want[1])
            fail_msg("%s: %g, %g", other[k].descr, (double)v[0], (double)v[1]);
        sak_free(v);
    }
    put_npy("t.npy", 1, "{'shape': (1, 3, 2), 'fortran_order': True, 'descr': '|u1'}", u1, 6);
    must(sak_npy_read(at("t.npy"), &v, &shape, &err), &err);
    const float three[6] = {0, 3, 1, 4, 2, 255};
    assert_memory_equal(v, three, sizeof three);
    sak_free(v);
    put_npy("t.npy", 1, "{'shape': (), 'fortran_order': False, 'descr': '|u1'}", u1 + 5, 1);
    must(sak_npy_read(at("t.npy"), &v, &shape, &err), &err);
    assert_true(shape.n == 0 && v[0] == 255);
    sak_free(v);
    put_npy("t.npy", 1, "{'shape': (0, 4), 'fortran_order': False, 'descr': '<f4'}", u1, 0);
    must(sak_npy_read(at("t.npy"), &v, &shape, &err), &err);
    assert_int_equal(shape.d[1], 4);
    sak_free(v);
}

static void hostile_npy_headers_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4<f4<f4<f4<f4<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'extra': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 4, 0)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387906,)}",
    };
    const float data[2] = {1, 2};
    float *v;
    sak_shape shape;
    sak_error err;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        put_npy("t.npy", 1, headers[i], data, sizeof data);
        const sak_status st = sak_npy_read(at("t.npy"), &v, &shape, &err);
        if (st != SAK_EFORMAT || !strstr(err.msg, "t.npy") || v)
            fail_msg("header '%s': status %d, %s", headers[i], (int)st, err.msg);
    }
    put_npy("t.npy", 4, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", data, 8);
    assert_int_equal(sak_npy_read(at("t.npy"), &v, &shape, &err), SAK_EFORMAT);
    assert_int_equal(sak_npy_read(at("none.npy"), &v, &shape, &err), SAK_ENOENT);
}

static void a_truncated_npy_is_refused(void **state)
{
    (void)state;
    put_npy("t.npy", 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 8)}", depth,
            sizeof depth);
    void *all;
    size_t size;
    float *v;
    sak_shape shape;
    sak_error err;
    must(sak_file_read(at("t.npy"), 1 << 20, &all, &size, &err), &err);
    for (size_t n = 0; n < size; n++) {
        put("t.npy", all, n);
        assert_int_equal(sak_npy_read(at("t.npy"), &v, &shape, &err), SAK_EFORMAT);
    }
    sak_free(all);
}

/* ---- the real thing ---- */

static void nyud_photographs_can_be_read(void **state)
{
    (void)state;
    const char *const place = "../shared/data/nyud-160";
    if (!sak_dir_exists(place)) {
        print_message("skipped: no ../shared/data\n");
        skip();
    }
    sak_dataset d;
    sak_error err;
    must(sak_folder_open(&d, place, "val", &err), &err);
    assert_int_equal(d.count, 120);
    assert_int_equal(d.classes, 40);
    assert_string_equal(d.class_names[0], "wall");
    assert_true(d.H == 120 && d.W == 160);
    assert_int_equal(d.has, SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS |
                                SAK_HAS_EDGE);
    sak_sample s = {0};
    int64_t edges = 0, labelled = 0, deep = 0;
    for (int64_t i = 0; i < d.count; i++) {
        must(d.read(&d, i, &s, &err), &err);
        for (int k = 0; k < s.H * s.W; k++) {
            edges += s.edge[k];
            labelled += s.semseg[k] != SAK_IGNORE;
            deep += s.depth[k] > 0.3f && s.depth[k] < 10.1f;
        }
    }
    const double n = (double)d.count * s.H * s.W;
    assert_true((double)labelled > 0.6 * n && (double)deep > 0.99 * n);
    assert_true((double)edges > 0.01 * n && (double)edges < 0.3 * n);
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_holds_what_the_files_say),
        cmocka_unit_test(identity_follows_the_content),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(images_of_different_sizes_are_allowed),
        cmocka_unit_test(npy_reads_every_type_order_and_version),
        cmocka_unit_test(hostile_npy_headers_are_refused),
        cmocka_unit_test(a_truncated_npy_is_refused),
        cmocka_unit_test(nyud_photographs_can_be_read),
    };
    return cmocka_run_group_tests(tests, make_tree, drop_root);
}
