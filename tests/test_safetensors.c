/* safetensors: what is written is read back; no truncated or hostile file gets past open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "weights/safetensors.h"
#include "must.h"

static char dir[64];
static char path[128];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sak-safetensors-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/t.safetensors", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails if a temporary file was left behind */
}

static const float weights[6] = {0.0f, -1.5f, 3.25f, 1e-30f, 7.0f, -0.0f};
static const uint16_t halves[6] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00};
static const uint16_t brains[2] = {0x3f80, 0xc2f7};
static const int64_t longs[2] = {-5, 1234567890123};
static const uint8_t bytes[3] = {0, 7, 255};

static void write_sample(bool sorted)
{
    const sak_st_source t[] = {
        {"mask", SAK_ST_BOOL, SAK_SHAPE(3), bytes},
        {"w", SAK_ST_F32, SAK_SHAPE(2, 3), weights},
        {"half", SAK_ST_F16, SAK_SHAPE(6), halves},
        {"brain", SAK_ST_BF16, SAK_SHAPE(2, 1), brains},
        {"steps", SAK_ST_I64, SAK_SHAPE(2), longs},
        {"scalar", SAK_ST_F32, {0}, weights + 1},
        {"none", SAK_ST_F32, SAK_SHAPE(0, 4), weights},
        {"u8 \"q\" \xc3\xa9", SAK_ST_U8, SAK_SHAPE(3), bytes},
    };
    const char *const meta[] = {"format", "sak", "note", "a \"b\"", NULL};
    sak_error err;
    must(sak_safetensors_write(path, t, sizeof t / sizeof *t, meta, sorted, &err), &err);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (int sorted = 0; sorted < 2; sorted++) {
        write_sample(sorted);
        sak_weights st;
        sak_error err;
        must(sak_weights_open(&st, path, NULL, &err), &err);
        assert_int_equal(st.count, 8);
        assert_string_equal(sak_weights_meta(&st, "note"), "a \"b\"");
        assert_null(sak_weights_meta(&st, "absent"));
        assert_null(sak_weights_find(&st, "absent"));
        const sak_st_tensor *w = sak_weights_find(&st, "w");
        assert_non_null(w);
        assert_int_equal(w->shape.n, 2);
        assert_int_equal(w->shape.d[1], 3);
        float f[6];
        double d[6];
        sak_st_copy_f32(w, f);
        assert_memory_equal(f, weights, sizeof weights);
        if (sorted) {
            assert_string_equal(st.tensors[0].name, "steps");
            for (int64_t i = 0; i < st.count; i++)
                assert_int_equal(
                    (uintptr_t)st.tensors[i].data % sak_st_dtype_size(st.tensors[i].dtype), 0);
        } else {
            assert_string_equal(st.tensors[0].name, "mask");
        }
        sak_st_copy_f32(sak_weights_find(&st, "half"), f);
        const float half_values[6] = {1.0f, -2.0f, 65504.0f, 0x1p-24f, -0.0f, 1.0f / 0.0f};
        assert_memory_equal(f, half_values, sizeof f);
        sak_st_copy_f32(sak_weights_find(&st, "brain"), f);
        assert_true(f[0] == 1.0f && f[1] == -123.5f);
        sak_st_copy_f64(sak_weights_find(&st, "steps"), d);
        assert_true(d[0] == -5 && d[1] == 1234567890123.0);
        sak_st_copy_f32(sak_weights_find(&st, "mask"), f);
        assert_true(f[0] == 0 && f[1] == 1 && f[2] == 1);
        sak_st_copy_f32(sak_weights_find(&st, "u8 \"q\" \xc3\xa9"), f);
        assert_true(f[2] == 255);
        const sak_st_tensor *s = sak_weights_find(&st, "scalar");
        assert_int_equal(s->shape.n, 0);
        assert_int_equal(s->count, 1);
        assert_int_equal(sak_weights_find(&st, "none")->count, 0);
        sak_weights_close(&st);
    }
}

/* Puts header text (and a data part of n bytes) into the file and expects open to say `why`. */
static void refuse(const char *header, size_t data, const char *why)
{
    unsigned char blob[1024] = {0};
    const uint64_t n = strlen(header);
    memcpy(blob, &n, 8);
    memcpy(blob + 8, header, n);
    sak_error err = {0};
    must(sak_file_write_atomic(path, blob, 8 + n + data, &err), &err);
    sak_weights st;
    const sak_status s = sak_weights_open(&st, path, NULL, &err);
    if (s == SAK_OK)
        sak_weights_close(&st);
    if (s != SAK_EFORMAT || !strstr(err.msg, why) || !strstr(err.msg, path))
        fail_msg("%s: status %d, '%s' instead of '%s'", header, (int)s, err.msg, why);
}

#define T(body) "{\"weight\":{" body "}}"

static void a_hostile_header_is_refused_by_name(void **state)
{
    (void)state;
    refuse("[1]", 0, "not a safetensors file");
    refuse("{\"a\":", 0, "not valid JSON");
    refuse("{\"a\":{},\"a\":{}}", 0, "duplicate");
    refuse("{} x", 0, "not valid JSON");
    refuse("{\"a\\u0000b\":1}", 0, "not valid JSON");
    refuse("{\"weight\":3}", 0, "'weight' is not described");
    refuse("{\"__metadata__\":3}", 0, "__metadata__");
    refuse("{\"__metadata__\":{\"k\":3}}", 0, "metadata 'k'");
    refuse(T("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "no \"dtype\"");
    refuse(T("\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "'F31'");
    refuse(T("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "no \"shape\"");
    refuse(T("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4, "not a size");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]"), 4, "not a size");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), 4, "7 dim");
    refuse(T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0,
           "'weight': its number of elements overflows");
    refuse(T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]"), 0,
           "overflows");
    refuse(T("\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]"), 4,
           "overflows");
    refuse(T("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]"), 4,
           "not valid JSON");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1]"), 4, "no \"data_offsets\"");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]"), 4, "data_offsets");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]"), 4, "outside");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"), 4, "outside");
    refuse(T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 4, "outside");
    refuse(T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4, "needs 8 bytes");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, "belong to no tensor");
    refuse(T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 8, "at the end");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
           6, "'a' and 'b' overlap");
}

static void a_header_longer_than_the_file_is_refused(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 1, 100, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char blob[32] = "........{}";
        memcpy(blob, &sizes[i], 8);
        sak_error err = {0};
        must(sak_file_write_atomic(path, blob, sizeof blob, &err), &err);
        sak_weights st;
        assert_int_equal(sak_weights_open(&st, path, NULL, &err), SAK_EFORMAT);
        assert_non_null(strstr(err.msg, path));
    }
}

static void a_file_truncated_at_any_byte_is_refused(void **state)
{
    (void)state;
    write_sample(true);
    sak_error err;
    void *all;
    size_t size;
    must(sak_file_read(path, 1 << 20, &all, &size, &err), &err);
    assert_true(size > 300);
    for (size_t n = 0; n < size; n++) {
        must(sak_file_write_atomic(path, all, n, &err), &err);
        sak_weights st;
        const sak_status s = sak_weights_open(&st, path, NULL, &err);
        if (s != SAK_EFORMAT || !strstr(err.msg, path))
            fail_msg("truncated to %zu of %zu bytes: status %d, %s", n, size, (int)s, err.msg);
    }
    sak_free(all);
}

/* Flips every byte in turn: open may accept (a renamed tensor) or refuse, but what it accepts must
 * be readable in full (the address sanitizer watches). */
static void a_file_with_any_byte_changed_never_reads_outside(void **state)
{
    (void)state;
    write_sample(false);
    sak_error err;
    void *all;
    size_t size, accepted = 0;
    must(sak_file_read(path, 1 << 20, &all, &size, &err), &err);
    unsigned char *p = all;
    for (size_t n = 0; n < size; n++) {
        for (int bit = 0; bit < 8; bit += 3) {
            p[n] ^= (unsigned char)(1 << bit);
            must(sak_file_write_atomic(path, p, size, &err), &err);
            p[n] ^= (unsigned char)(1 << bit);
            sak_weights st;
            if (sak_weights_open(&st, path, NULL, &err) != SAK_OK)
                continue;
            accepted++;
            for (int64_t i = 0; i < st.count; i++) {
                float out[64];
                assert_true(st.tensors[i].count <= 64);
                sak_st_copy_f32(&st.tensors[i], out);
            }
            sak_weights_close(&st);
        }
    }
    assert_true(accepted > 0); /* data bytes carry no checksum */
    sak_free(all);
}

static void the_writer_refuses_names_it_cannot_store(void **state)
{
    (void)state;
    sak_error err;
    write_sample(true);
    const sak_st_source twice[] = {{"a", SAK_ST_F32, SAK_SHAPE(1), weights},
                                   {"a", SAK_ST_F32, SAK_SHAPE(1), weights}};
    assert_int_equal(sak_safetensors_write(path, twice, 2, NULL, true, &err), SAK_EINVAL);
    const sak_st_source latin = {"caf\xe9", SAK_ST_F32, SAK_SHAPE(1), weights};
    assert_int_equal(sak_safetensors_write(path, &latin, 1, NULL, true, &err), SAK_EINVAL);
    const sak_st_source meta = {"__metadata__", SAK_ST_F32, SAK_SHAPE(1), weights};
    assert_int_equal(sak_safetensors_write(path, &meta, 1, NULL, true, &err), SAK_EINVAL);
    sak_weights st; /* the old file is untouched */
    must(sak_weights_open(&st, path, NULL, &err), &err);
    assert_int_equal(st.count, 8);
    sak_weights_close(&st);
    must(sak_safetensors_write(path, NULL, 0, NULL, true, &err), &err);
    must(sak_weights_open(&st, path, NULL, &err), &err);
    assert_int_equal(st.count, 0);
    sak_weights_close(&st);
}

static void missing_files_and_directories_are_told_apart(void **state)
{
    (void)state;
    sak_weights st;
    sak_error err;
    assert_int_equal(sak_weights_open(&st, "/tmp/no/such/file", NULL, &err), SAK_ENOENT);
    assert_int_equal(sak_weights_open(&st, "/dev/null", NULL, &err), SAK_EIO);
    assert_int_equal(sak_safetensors_write("/tmp/no/such/file", NULL, 0, NULL, true, &err),
                     SAK_ENOENT);
    void *data;
    size_t size;
    must(sak_file_write_atomic(path, "12345", 5, &err), &err);
    assert_int_equal(sak_file_read(path, 4, &data, &size, &err), SAK_EFORMAT);
    must(sak_file_read(path, 5, &data, &size, &err), &err);
    assert_int_equal(size, 5);
    assert_string_equal(data, "12345");
    sak_free(data);
}

static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    char a[SAK_HASH_TEXT], b[SAK_HASH_TEXT];
    sak_error err;
    sak_hash_bytes("abc", 3, a);
    assert_string_equal(a, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    must(sak_file_write_atomic(path, "abc", 3, &err), &err);
    must(sak_hash_file(path, b, &err), &err);
    assert_string_equal(a, b);
    sak_hash_bytes("", 0, a);
    assert_string_equal(a, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(sak_hash_file("/tmp/no/such/file", b, &err), SAK_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_hostile_header_is_refused_by_name),
        cmocka_unit_test(a_header_longer_than_the_file_is_refused),
        cmocka_unit_test(a_file_truncated_at_any_byte_is_refused),
        cmocka_unit_test(a_file_with_any_byte_changed_never_reads_outside),
        cmocka_unit_test(the_writer_refuses_names_it_cannot_store),
        cmocka_unit_test(missing_files_and_directories_are_told_apart),
        cmocka_unit_test(sha256_gives_the_published_digests),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
