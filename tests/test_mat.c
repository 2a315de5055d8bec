/* .mat files: what matio writes is read; what claims more than it holds is refused before matio, which
 * believes sizes, allocates for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <matio.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/mat.h"
#include "data/mat_check.h"

static char path[64];

static void put(const uint8_t *bytes, size_t n)
{
    sak_error err;
    assert_int_equal(sak_file_write_atomic(path, bytes, n, &err), SAK_OK);
}

static size_t get(uint8_t **bytes)
{
    size_t n;
    sak_error err;
    assert_int_equal(sak_file_read(path, 1 << 20, (void **)bytes, &n, &err), SAK_OK);
    return n;
}

static void accepted(const char *what)
{
    sak_error err = {0};
    if (sak_mat_check(path, &err) != SAK_OK)
        fail_msg("%s: %s", what, err.msg);
}

static void refused(const char *what, const char *words)
{
    sak_error err = {0};
    if (sak_mat_check(path, &err) != SAK_EFORMAT || !strstr(err.msg, words))
        fail_msg("%s: wanted '%s', got '%s'", what, words, err.msg);
    sak_mat *m;
    assert_int_equal(sak_mat_open(&m, path, &err), SAK_EFORMAT);
}

static matvar_t *numbers(const char *name, double first)
{
    size_t dims[2] = {2, 3};
    const double v[6] = {first, 2, 3, 4, 5, 6};
    return Mat_VarCreate(name, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, dims, (void *)(uintptr_t)v, 0);
}

/* { a: numbers, b: { numbers, "text" }, c: [] } and a plain array beside it. */
static void write_nested(enum mat_ft version, enum matio_compression squeeze)
{
    const char *fields[] = {"a", "b", "c"};
    size_t one[2] = {1, 1}, two[2] = {1, 2}, none[2] = {0, 0}, letters[2] = {1, 4};
    matvar_t *cells[2] = {numbers(NULL, 7), Mat_VarCreate(NULL, MAT_C_CHAR, MAT_T_UTF8, 2, letters, "text", 0)};
    matvar_t *s = Mat_VarCreateStruct("s", 2, one, fields, 3);
    Mat_VarSetStructFieldByName(s, "a", 0, numbers(NULL, 1));
    Mat_VarSetStructFieldByName(s, "b", 0, Mat_VarCreate(NULL, MAT_C_CELL, MAT_T_CELL, 2, two, cells, 0));
    Mat_VarSetStructFieldByName(s, "c", 0, Mat_VarCreate(NULL, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, none, NULL, 0));
    matvar_t *x = numbers("x", 9);
    mat_t *mat = Mat_CreateVer(path, NULL, version);
    assert_non_null(mat);
    assert_int_equal(Mat_VarWrite(mat, s, squeeze) || Mat_VarWrite(mat, x, squeeze), 0);
    Mat_Close(mat);
    Mat_VarFree(s);
    Mat_VarFree(x);
}

static void hold(const sak_mat *m, const sak_mat_value *v, float first)
{
    float *image;
    int H, W;
    sak_error err;
    if (sak_mat_image(m, v, "v", &image, &H, &W, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    assert_true(H == 2 && W == 3 && image[0] == first && image[1] == 3 && image[3] == 2 && image[5] == 6);
    sak_free(image);
}

static void what_matio_writes_is_read(void **state)
{
    (void)state;
    static const struct {
        enum mat_ft version;
        enum matio_compression squeeze;
    } kinds[] = {{MAT_FT_MAT5, MAT_COMPRESSION_NONE}, {MAT_FT_MAT5, MAT_COMPRESSION_ZLIB},
                 {MAT_FT_MAT73, MAT_COMPRESSION_NONE}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        sak_mat *m;
        sak_error err = {0};
        char text[8];
        write_nested(kinds[k].version, kinds[k].squeeze);
        if (sak_mat_open(&m, path, &err) != SAK_OK)
            fail_msg("kind %zu: %s", k, err.msg);
        const sak_mat_value *s = sak_mat_find(m, "s"), *b = sak_mat_field(s, 0, "b");
        hold(m, sak_mat_field(s, 0, "a"), 1);
        assert_int_equal(sak_mat_count(b), 2);
        hold(m, sak_mat_cell(b, 0), 7);
        assert_true(sak_mat_text(sak_mat_cell(b, 1), text, sizeof text));
        assert_string_equal(text, "text");
        hold(m, sak_mat_find(m, "x"), 9);
        assert_null(sak_mat_find(m, "y"));
        sak_mat_close(m);
    }
}

/* ---- files put together by hand ---- */

static uint8_t file[1 << 12];
static size_t at;

static void word(uint32_t v)
{
    for (int i = 0; i < 4; i++)
        file[at++] = (uint8_t)(v >> 8 * i);
}

static void element(uint32_t type, const void *data, uint32_t size)
{
    word(type);
    word(size);
    memcpy(file + at, data, size);
    memset(file + at + size, 0, 8);
    at += (size + 7) / 8 * 8;
}

static void begin(void)
{
    memset(file, ' ', 124);
    memcpy(file + 124, "\x00\x01IM", 4);
    at = 128;
}

/* An array's tag, flags, dimensions and name; returns where its size is to be written. */
static size_t open_array(uint32_t class_type, uint32_t h, uint32_t w)
{
    word(14);
    const size_t size_at = at;
    word(0);
    element(6, (const uint32_t[]){class_type, 0}, 8);
    element(5, (const uint32_t[]){h, w}, 8);
    element(1, "v", 1);
    return size_at;
}

static void close_array(size_t size_at)
{
    const size_t end = at;
    const uint32_t size = (uint32_t)(end - size_at - 4);
    at = size_at;
    word(size);
    at = end;
}

static void what_claims_more_than_it_holds_is_refused(void **state)
{
    (void)state;
    static const uint8_t six[6] = {1, 2, 3, 4, 5, 6};
    static const struct {
        const char *what, *words;
        uint32_t class_type, h, w, type, size;
    } cases[] = {{"six bytes", NULL, 9, 2, 3, 2, 6},
                 {"fewer values", "not as many as its dimensions say", 9, 2, 4, 2, 6},
                 {"more values", "not as many as its dimensions say", 9, 1, 3, 2, 6},
                 {"huge", "not as many as its dimensions say", 9, 65536, 65536, 2, 6},
                 {"overflow", "dimensions overflow", 9, 0x80000000, 2, 2, 6},
                 {"half a value", "not as many", 9, 1, 1, 4, 3},
                 {"letters as numbers", "of no known type", 9, 2, 3, 16, 6},
                 {"another type", "of no known type", 9, 2, 3, 99, 6},
                 {"text", NULL, 4, 1, 6, 16, 6},
                 {"a billion cells", "ends too early", 1, 32768, 32768, 2, 6},
                 {"cells that are none", "something else than arrays", 1, 1, 1, 2, 6},
                 {"a struct without names", "without the length", 2, 1, 1, 2, 6},
                 {"sparse", "holds a sparse array, which is not read", 5, 2, 3, 2, 6},
                 {"an object", "holds an object", 3, 2, 3, 2, 6},
                 {"a table", "holds an object", 17, 2, 3, 2, 6},
                 {"another class", "of no known class", 77, 2, 3, 2, 6}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        const size_t v = open_array(cases[i].class_type, cases[i].h, cases[i].w);
        element(cases[i].type, six, cases[i].size);
        close_array(v);
        put(file, at);
        if (cases[i].words)
            refused(cases[i].what, cases[i].words);
        else
            accepted(cases[i].what);
    }
    begin();
    size_t nest[20];
    for (int i = 0; i < 20; i++)
        nest[i] = open_array(1, 1, 1);
    for (int i = 19; i >= 0; i--)
        close_array(nest[i]);
    put(file, at);
    refused("cells in cells", "more than 12 deep");
    begin();
    close_array(open_array(1, 0, 5)); /* no cells */
    put(file, at);
    accepted("an empty cell array");
    put(file, at - 8);
    refused("cut", "truncated");
}

/* A compressed variable whose tag says `claim` bytes. */
static void put_compressed(const uint8_t *body, size_t n, uint32_t claim)
{
    uint8_t plain[256], packed[512];
    uLongf size = sizeof packed;
    memcpy(plain, "\x0e\0\0\0", 4);
    for (int i = 0; i < 4; i++)
        plain[4 + i] = (uint8_t)(claim >> 8 * i);
    memcpy(plain + 8, body, n);
    assert_int_equal(compress(packed, &size, plain, n + 8), Z_OK);
    begin();
    element(15, packed, (uint32_t)size);
    at = 136 + size; /* not padded */
    put(file, at);
}

static void what_is_compressed_is_as_long_as_its_tag_says(void **state)
{
    (void)state;
    begin();
    const size_t v = open_array(9, 2, 3);
    element(2, "\1\2\3\4\5\6", 6);
    close_array(v);
    uint8_t body[256];
    const size_t n = at - 136;
    memcpy(body, file + 136, n);
    put_compressed(body, n, (uint32_t)n);
    accepted("whole");
    put_compressed(body, n, (uint32_t)n - 8);
    refused("longer than its tag", "damaged");
    put_compressed(body, n, (uint32_t)n + 8);
    refused("shorter than its tag", "damaged");
    put_compressed(body, n, 0x7FFFFFF8);
    refused("two gigabytes", "larger than 128 MiB");
    put_compressed(body, 0, 0);
    refused("nothing", "without its flags");
    for (size_t cut = 1; cut < 12; cut++) {
        put_compressed(body, n, (uint32_t)n);
        file[132] = (uint8_t)(file[132] - cut);
        put(file, at - cut);
        refused("cut", "damaged");
    }
}

/* Whatever byte is changed: refused, or read without harm (which the sanitizers see). */
static void a_changed_byte_does_no_harm(void **state)
{
    (void)state;
    for (int squeeze = 0; squeeze < 2; squeeze++) {
        uint8_t *whole;
        write_nested(MAT_FT_MAT5, squeeze ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE);
        const size_t n = get(&whole);
        int refusals = 0;
        for (size_t i = 128; i < n; i++) {
            sak_mat *m;
            sak_error err;
            const uint8_t was = whole[i];
            whole[i] ^= (uint8_t)(1 << i % 8);
            put(whole, n);
            whole[i] = was;
            if (sak_mat_open(&m, path, &err) != SAK_OK) {
                refusals++;
                continue;
            }
            sak_mat_count(sak_mat_field(sak_mat_find(m, "s"), 0, "b"));
            sak_mat_find(m, "x");
            sak_mat_close(m);
        }
        const int bytes = (int)n - 128; /* of compressed ones few do not count: the checksum */
        if (refusals < (squeeze ? bytes * 9 / 10 : bytes / 10))
            fail_msg("only %d of %d changed bytes were noticed", refusals, bytes);
        sak_free(whole);
    }
}

/* HDF5: the dimensions of a dataset, two 64-bit numbers, are raised in the file. */
static void huge_dimensions_in_hdf5_are_refused_before_they_are_read(void **state)
{
    (void)state;
    uint8_t *whole;
    write_nested(MAT_FT_MAT73, MAT_COMPRESSION_NONE);
    const size_t n = get(&whole);
    static const uint8_t dims[16] = {3, 0, 0, 0, 0, 0, 0, 0, 2}; /* HDF5 counts rows last */
    int found = 0;
    for (size_t i = 0; i + 16 <= n; i++)
        if (memcmp(whole + i, dims, 16) == 0) {
            whole[i + 3] = whole[i + 11] = 1; /* + 2^24 */
            found++;
        }
    assert_true(found >= 3);
    put(whole, n);
    sak_free(whole);
    sak_mat *m;
    sak_error err = {0};
    float *image;
    int H, W;
    if (sak_mat_open(&m, path, &err) != SAK_OK)
        return; /* refused as a whole */
    assert_int_equal(sak_mat_image(m, sak_mat_find(m, "x"), "x", &image, &H, &W, &err), SAK_EFORMAT);
    if (!strstr(err.msg, "there is no x, or it is larger than 128 MiB"))
        fail_msg("%s", err.msg);
    assert_null(sak_mat_find(m, "s"));
    sak_mat_close(m);
}

static int open_place(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/sak-mat-%ld.mat", (long)getpid());
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_matio_writes_is_read),
        cmocka_unit_test(what_claims_more_than_it_holds_is_refused),
        cmocka_unit_test(what_is_compressed_is_as_long_as_its_tag_says),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(huge_dimensions_in_hdf5_are_refused_before_they_are_read),
    };
    return cmocka_run_group_tests(tests, open_place, close_place);
}
