/* Checkpoint files: what is read is what was saved, and nothing damaged is taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "weights/checkpoint.h"

static char path[] = "/tmp/sak-checkpoint-XXXXXX/a.safetensors";
static float a[6] = {0, -0.0f, 1e-42f, 3.5f, -1e30f, 1}, b[300];
static const sak_st_source tensors[] = {
    {"stem.weight", SAK_ST_F32, {.n = 2, .d = {2, 3}}, a},
    {"optim.m.stem.weight", SAK_ST_F32, {.n = 1, .d = {300}}, b},
};
static sak_error err;

static int make_folder(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        b[i] = (float)i * 0.37f - 50;
    char *slash = strrchr(path, '/');
    *slash = 0;
    const bool made = mkdtemp(path) != NULL;
    *slash = '/';
    return made ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    *strrchr(path, '/') = 0;
    return rmdir(path); /* fails where a temporary file was left */
}

static sak_checkpoint_result save(sak_checkpointer *c, const char *where, const char *text)
{
    sak_checkpoint_result r = {0};
    assert_int_equal(sak_checkpointer_save(c, where, text, tensors, 2, &err), SAK_OK);
    assert_true(sak_checkpointer_result(c, true, &r));
    return r;
}

static void a_saved_checkpoint_comes_back_bit_for_bit(void **state)
{
    (void)state;
    sak_checkpointer *c;
    sak_checkpoint_result r;
    assert_int_equal(sak_checkpointer_open(&c, &err), SAK_OK);
    assert_false(sak_checkpointer_result(c, true, &r)); /* nothing was saved */
    assert_int_equal(sak_checkpointer_save(c, path, "{\"step\": 7}", tensors, 2, &err), SAK_OK);
    const float kept = a[3];
    a[3] = 99; /* what is trained further is not what was saved */
    assert_true(sak_checkpointer_result(c, true, &r));
    a[3] = kept;
    assert_int_equal(r.status, SAK_OK);
    assert_int_equal(r.bytes, sizeof a + sizeof b);
    assert_string_equal(r.path, path);
    assert_false(sak_checkpointer_result(c, true, &r)); /* said once */
    sak_checkpointer_close(c);

    sak_weights w;
    const char *text;
    assert_int_equal(sak_checkpoint_open(&w, path, &text, &err), SAK_OK);
    assert_string_equal(text, "{\"step\": 7}");
    assert_memory_equal(sak_weights_find(&w, "stem.weight")->data, a, sizeof a);
    assert_memory_equal(sak_weights_find(&w, "optim.m.stem.weight")->data, b, sizeof b);
    sak_weights_close(&w);
}

static void what_cannot_be_written_leaves_the_file_before_it(void **state)
{
    (void)state;
    sak_checkpointer *c;
    assert_int_equal(sak_checkpointer_open(&c, &err), SAK_OK);
    assert_int_equal(save(c, path, "before").status, SAK_OK);
    char inside[sizeof path + 8];
    snprintf(inside, sizeof inside, "%s/b", path);
    const sak_checkpoint_result r = save(c, inside, "after"); /* a file is no folder */
    assert_int_equal(r.status, SAK_EIO);
    assert_non_null(strstr(r.error.msg, inside));
    assert_int_equal(save(c, path, "again").status, SAK_OK); /* the writer goes on */
    sak_checkpointer_close(c);
    sak_weights w;
    const char *text;
    assert_int_equal(sak_checkpoint_open(&w, path, &text, &err), SAK_OK);
    assert_string_equal(text, "again");
    sak_weights_close(&w);
}

/* Whether the bytes are refused as a checkpoint, or hold what was saved. */
static bool sound(const unsigned char *bytes, size_t n)
{
    sak_weights w;
    const char *text;
    FILE *f = fopen(path, "wb"); /* thousands of them: without waiting for the disk */
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    if (sak_checkpoint_open(&w, path, &text, &err) != SAK_OK) {
        assert_non_null(strstr(err.msg, path));
        return true;
    }
    const sak_st_tensor *t = sak_weights_find(&w, "stem.weight");
    const sak_st_tensor *m = sak_weights_find(&w, "optim.m.stem.weight");
    const bool same = strcmp(text, "state") == 0 && t && m && memcmp(t->data, a, sizeof a) == 0 &&
                      memcmp(m->data, b, sizeof b) == 0;
    sak_weights_close(&w);
    return same;
}

static void no_flipped_bit_and_no_cut_goes_unnoticed(void **state)
{
    (void)state;
    sak_checkpointer *c;
    assert_int_equal(sak_checkpointer_open(&c, &err), SAK_OK);
    assert_int_equal(save(c, path, "state").status, SAK_OK);
    sak_checkpointer_close(c);
    void *data;
    size_t n;
    assert_int_equal(sak_file_read(path, 1 << 20, &data, &n, &err), SAK_OK);
    unsigned char *bytes = data;
    assert_true(sound(bytes, n));
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= (unsigned char)(1u << i % 8);
        if (!sound(bytes, n))
            fail_msg("a flipped bit in byte %zu of %zu went unnoticed", i, n);
        bytes[i] ^= (unsigned char)(1u << i % 8);
    }
    for (size_t cut = 0; cut < n; cut += 1 + cut / 64)
        if (!sound(bytes, cut))
            fail_msg("a file cut to %zu of %zu bytes went unnoticed", cut, n);
    sak_free(data);
}

static void other_versions_and_other_files_are_refused_by_name(void **state)
{
    (void)state;
    sak_weights w;
    const char *text;
    const char *meta[] = {"checkpoint_version", "0", "checksum", "0", "state", "", NULL};
    assert_int_equal(sak_safetensors_write(path, tensors, 2, meta, false, &err), SAK_OK);
    assert_int_equal(sak_checkpoint_open(&w, path, &text, &err), SAK_EFORMAT);
    assert_non_null(strstr(err.msg, "version 0; this sak reads version 1"));
    meta[1] = "7"; /* nothing is wrong with that file */
    assert_int_equal(sak_safetensors_write(path, tensors, 2, meta, false, &err), SAK_OK);
    assert_int_equal(sak_checkpoint_open(&w, path, &text, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "version 7; this sak reads version 1: go on with the newer sak"));
    assert_int_equal(sak_safetensors_write(path, tensors, 2, NULL, false, &err), SAK_OK);
    assert_int_equal(sak_checkpoint_open(&w, path, &text, &err), SAK_EFORMAT);
    assert_non_null(strstr(err.msg, "not a checkpoint"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_checkpoint_comes_back_bit_for_bit),
        cmocka_unit_test(what_cannot_be_written_leaves_the_file_before_it),
        cmocka_unit_test(no_flipped_bit_and_no_cut_goes_unnoticed),
        cmocka_unit_test(other_versions_and_other_files_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
