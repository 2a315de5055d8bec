/* Weight files of every kind open behind one handle with the values PyTorch stored; what is
 * damaged, hostile or ambiguous is refused with a message that names it.  The fixtures were
 * written by PyTorch 1.13; element i of a tensor is (i + 1) / 8 unless said otherwise. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "weights/safetensors.h"
#include "weights/pickle.h"
#include "weights/weights.h"
#include "must.h"

#define FIXTURES "tests/fixtures/weights/"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sak-weights-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

static const char *in_dir(const char *name)
{
    static char path[4][160];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void open_as(sak_weights *w, const char *path, const char *key)
{
    sak_error err;
    must(sak_weights_open(w, path, key, &err), &err);
}

static void expect(const sak_weights *w, const char *name, const char *dtype, sak_shape shape,
                   const double *values)
{
    const sak_st_tensor *t = sak_weights_find(w, name);
    if (!t)
        fail_msg("%s: no tensor '%s'", w->path, name);
    if (strcmp(sak_st_dtype_name(t->dtype), dtype) != 0 || !sak_shape_equal(&t->shape, &shape))
        fail_msg("%s: '%s' is %s %s", w->path, name, sak_st_dtype_name(t->dtype),
                 SAK_SHAPE_TEXT(&t->shape));
    double d[64];
    float f[64];
    assert_true(t->count == (shape.n && shape.d[0] == 0 ? 0 : sak_shape_count(&shape)));
    sak_st_copy_f64(t, d);
    sak_st_copy_f32(t, f);
    for (int64_t i = 0; i < t->count; i++)
        if (d[i] != values[i] || f[i] != (float)values[i])
            fail_msg("%s: '%s'[%d] is %g, not %g", w->path, name, (int)i, d[i], values[i]);
}

static const double *eighths(int64_t n, double scale)
{
    static double v[64];
    for (int64_t i = 0; i < n; i++)
        v[i] = (double)(i + 1) / 8 * scale;
    return v;
}

static void expect_all(const sak_weights *w)
{
    assert_int_equal(w->count, 18);
    expect(w, "w", "F32", SAK_SHAPE(2, 3), eighths(6, 1));
    expect(w, "b", "F32", SAK_SHAPE(3), eighths(3, -1));
    expect(w, "half", "F16", SAK_SHAPE(2, 2), eighths(4, 1));
    expect(w, "brain", "BF16", SAK_SHAPE(2, 2), eighths(4, 1));
    expect(w, "double", "F64", SAK_SHAPE(2), eighths(2, 1));
    expect(w, "long", "I64", SAK_SHAPE(2), (double[]){-5, 1234567890123});
    expect(w, "int", "I32", SAK_SHAPE(2), (double[]){-7, 8});
    expect(w, "short", "I16", SAK_SHAPE(1), (double[]){-300});
    expect(w, "char", "I8", SAK_SHAPE(2), (double[]){-1, 2});
    expect(w, "byte", "U8", SAK_SHAPE(2), (double[]){255, 1});
    expect(w, "bool", "BOOL", SAK_SHAPE(2), (double[]){1, 0});
    expect(w, "scalar", "F32", (sak_shape){0}, (double[]){2.5});
    expect(w, "empty", "F32", SAK_SHAPE(0, 4), NULL);
    expect(w, "param", "F32", SAK_SHAPE(2, 2), eighths(4, 1));
    double v[24]; /* views of base (4, 6) */
    for (int i = 0; i < 24; i++)
        v[i] = (i % 4 * 6 + i / 4 + 1) / 8.0;
    expect(w, "transposed", "F32", SAK_SHAPE(6, 4), v);
    for (int i = 0; i < 6; i++)
        v[i] = ((1 + i / 3) * 6 + 2 + i % 3 + 1) / 8.0;
    expect(w, "slice", "F32", SAK_SHAPE(2, 3), v);
    for (int i = 0; i < 6; i++)
        v[i] = (2 * 6 + i + 1) / 8.0;
    expect(w, "row", "F32", SAK_SHAPE(6), v);
    for (int i = 0; i < 12; i++)
        v[i] = (i / 4 + 1) / 8.0;
    expect(w, "expanded", "F32", SAK_SHAPE(3, 4), v);
}

static void every_type_and_view_of_a_zip_file_has_its_values(void **state)
{
    (void)state;
    sak_weights w;
    open_as(&w, FIXTURES "plain_zip.pth", NULL);
    assert_string_equal(w.kind, "pytorch zip");
    expect_all(&w);
    sak_weights_close(&w);
}

static void every_type_and_view_of_a_legacy_file_has_its_values(void **state)
{
    (void)state;
    sak_weights w;
    open_as(&w, FIXTURES "plain_legacy.pth", NULL);
    assert_string_equal(w.kind, "pytorch legacy");
    expect_all(&w);
    sak_weights_close(&w);
}

static void pickle_protocols_3_to_5_and_zip64_are_read(void **state)
{
    (void)state;
    static const char *const files[] = {"protocol3.pth", "protocol4.pth", "protocol5.pth",
                                        "protocol4_legacy.pth"};
    sak_weights w;
    char path[128];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, FIXTURES "%s", files[i]);
        open_as(&w, path, NULL);
        expect(&w, "w", "F32", SAK_SHAPE(2, 3), eighths(6, 1));
        sak_weights_close(&w);
    }
    open_as(&w, FIXTURES "zip64.pth", NULL);
    expect(&w, "w", "F32", SAK_SHAPE(2), eighths(2, 1));
    sak_weights_close(&w);
}

static void the_model_of_a_nested_checkpoint_is_found_and_key_chooses_another(void **state)
{
    (void)state;
    static const char *const files[] = {FIXTURES "nested_zip.pth", FIXTURES "nested_legacy.pth"};
    sak_weights w;
    for (int i = 0; i < 2; i++) {
        open_as(&w, files[i], NULL); /* its options are an argparse.Namespace */
        assert_int_equal(w.count, 2);
        expect(&w, "weight", "F32", SAK_SHAPE(2, 3), eighths(6, 1));
        expect(&w, "bias", "F32", SAK_SHAPE(2), eighths(2, 1));
        sak_weights_close(&w);
        open_as(&w, files[i], "model_ema");
        expect(&w, "weight", "F32", SAK_SHAPE(2, 3), eighths(6, 2));
        sak_weights_close(&w);
    }
    open_as(&w, FIXTURES "teacher_student.pth", NULL);
    expect(&w, "backbone", "F32", SAK_SHAPE(2), eighths(2, 1));
    sak_weights_close(&w);
    open_as(&w, FIXTURES "ambiguous.pth", "decoder");
    expect(&w, "w", "F32", SAK_SHAPE(2), eighths(2, 2));
    sak_weights_close(&w);
}

static void refused(const char *path, const char *key, const char *const *words)
{
    sak_weights w;
    sak_error err = {0};
    if (sak_weights_open(&w, path, key, &err) == SAK_OK) {
        sak_weights_close(&w);
        fail_msg("%s was opened", path);
    }
    for (; *words; words++)
        if (!strstr(err.msg, *words))
            fail_msg("%s: '%s' does not say '%s'", path, err.msg, *words);
}

#define REFUSED(path, key, ...) refused(path, key, (const char *const[]){path, __VA_ARGS__, NULL})

static void a_hostile_pickle_is_refused_by_name_and_nothing_runs(void **state)
{
    (void)state;
    static const char mark[] = "/tmp/sak-pickle-ran"; /* what the fixtures' code would create */
    unlink(mark);
    REFUSED(FIXTURES "hostile_system.pth", NULL, "posix.system", "byte 169", "nothing in it was run");
    REFUSED(FIXTURES "hostile_system_legacy.pth", NULL, "posix.system", "refused");
    REFUSED(FIXTURES "hostile_eval.pth", NULL, "builtin", ".eval", "refused");
    REFUSED(FIXTURES "whole_module.pth", NULL, "torch.nn.modules.linear.Linear", "state_dict()");
    assert_int_equal(access(mark, F_OK), -1);
}

static void what_is_no_readable_checkpoint_is_refused_with_the_reason(void **state)
{
    (void)state;
    REFUSED(FIXTURES "compressed.pth", NULL, "data.pkl", "compressed (method 8)");
    REFUSED(FIXTURES "big_endian.pth", NULL, "big-endian");
    REFUSED(FIXTURES "torchscript.pt", NULL, "TorchScript");
    REFUSED(FIXTURES "ambiguous.pth", NULL, "which entry", "key = ", "encoder, decoder");
    REFUSED(FIXTURES "nested_zip.pth", "ema", "no tensors under the key 'ema'", "model, ", "model_ema");
    sak_error err;
    const char *path = in_dir("other");
    must(sak_file_write_atomic(path, "version https://git-lfs.github.com/spec/v1\n", 43, &err), &err);
    REFUSED(path, NULL, "git lfs pull");
    must(sak_file_write_atomic(path, "\x80\4\x95\0\0\0\0\0\0\0\0}.", 13, &err), &err);
    REFUSED(path, NULL, "not one that torch.save writes");
    must(sak_file_write_atomic(path, "<!DOCTYPE html><html></html>", 28, &err), &err);
    REFUSED(path, NULL, "not a safetensors file");
    must(sak_file_write_atomic(path, "{\"config\": 3}   ", 16, &err), &err);
    REFUSED(path, NULL, "weight_map");
    must(sak_file_write_atomic(path, "", 0, &err), &err);
    REFUSED(path, NULL, "the file is empty");
    const char *index = in_dir("outer.index.json");
    must(sak_file_write_atomic(path, "{\"weight_map\": {}}", 18, &err), &err);
    must(sak_file_write_atomic(index, "{\"weight_map\": {\"a\": \"other\"}}", 30, &err), &err);
    REFUSED(index, NULL, "an index names weight files");
}

/* Any prefix of a checkpoint is refused; any changed byte gives values or a refusal, never a read
 * outside (the address sanitizer watches). */
static void torture(const char *file)
{
    sak_error err;
    void *all;
    size_t size, accepted = 0;
    must(sak_file_read(file, 1 << 20, &all, &size, &err), &err);
    for (size_t n = 0; n < size; n++) {
        unsigned char *cut = malloc(n + 1); /* its own block: reading past it is seen */
        memcpy(cut, all, n);
        sak_weights w;
        if (sak_weights_parse(&w, "cut", cut, n, NULL, &err) == SAK_OK)
            fail_msg("%s cut to %zu of %zu bytes was opened", file, n, size);
        free(cut);
    }
    unsigned char *p = all;
    for (size_t n = 0; n < size; n++)
        for (int bit = 0; bit < 8; bit++) {
            p[n] ^= (unsigned char)(1 << bit);
            sak_weights w;
            if (sak_weights_parse(&w, "changed", p, size, NULL, &err) == SAK_OK) {
                accepted++;
                for (int64_t i = 0; i < w.count; i++) {
                    const sak_st_tensor *t = &w.tensors[i];
                    float *out = t->count < 1 << 16 ? malloc(sizeof *out * (size_t)(t->count + 1))
                                                    : NULL;
                    if (out)
                        sak_st_copy_f32(t, out);
                    free(out);
                }
                sak_weights_close(&w);
            }
            p[n] ^= (unsigned char)(1 << bit);
        }
    assert_true(accepted > 0); /* numbers carry no checksum that we check */
    sak_free(all);
}

static void a_checkpoint_cut_or_changed_at_any_byte_never_reads_outside(void **state)
{
    (void)state;
    torture(FIXTURES "nested_zip.pth");
    torture(FIXTURES "nested_legacy.pth");
    torture(FIXTURES "zip64.pth");
}

/* --- pickles by hand: what no pickler writes --------------------------------------------------- */

static void refuse_pickle(const char *pickle, size_t n, const char *why)
{
    unsigned char blob[512] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8,
                               0x50, 0x19, '.',  0x80, 2,    'M',  0xe9, 3,    '.'};
    size_t at = 21;
    static const char little[] = "\x80\2}X\15\0\0\0little_endian\x88s.";
    memcpy(blob + at, little, sizeof little - 1);
    at += sizeof little - 1;
    memcpy(blob + at, pickle, n);
    at += n;
    sak_weights w;
    sak_error err = {0};
    const sak_status st = sak_weights_parse(&w, "by hand", blob, at, NULL, &err);
    if (st == SAK_OK)
        sak_weights_close(&w);
    if (st == SAK_OK || !strstr(err.msg, why))
        fail_msg("'%s' instead of '%s'", err.msg, why);
}

#define HAND(text, why) refuse_pickle(text, sizeof text - 1, why)
#define STORAGE "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" "0X\3\0\0\0cpuK\4NtQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"

static void an_ordered_dict_of_pairs_keeps_them(void **state)
{
    (void)state;
    static const char pairs[] = "\x80\2" "ccollections\nOrderedDict\n](X\1\0\0\0aK\7\x86X\1\0\0\0b"
                                "K\x8\x86" "e\x85R.";
    sak_pickle p = {.path = "by hand"};
    sak_pk_value *root;
    size_t end;
    sak_error err;
    must(sak_pickle_load(&p, pairs, sizeof pairs - 1, 0, &root, &end, &err), &err);
    assert_int_equal(root->kind, SAK_PK_DICT);
    assert_int_equal(root->n, 4);
    assert_int_equal(sak_pk_get(root, "a")->i, 7);
    assert_int_equal(sak_pk_get(root, "b")->i, 8);
    sak_pickle_close(&p);
    HAND("\x80\2" "ccollections\nOrderedDict\nK\1\x85R.", "a dictionary of an unknown kind");
    HAND("\x80\2" "ccollections\nOrderedDict\n](K\1K\2e\x85R.", "from what are not pairs");
}

static void a_pickle_that_breaks_the_rules_is_refused(void **state)
{
    (void)state;
    HAND("\x80\2.", "takes 1 values from a stack of 0");
    HAND("\x80\1.", "pickle protocol 1");
    HAND("\x80\6.", "pickle protocol 6");
    HAND("\x80\2t.", "no mark");
    HAND("\x80\2(.", "takes 1 values");
    HAND("\x80\2h\7.", "no memo entry 7");
    HAND("\x80\2Nr\377\377\377\177.", "memo entry 2147483647");
    HAND("\x80\2X\377\377\377\377a.", "truncated");
    HAND("\x80\2\x8d\377\377\377\377\377\377\377\377.", "truncated");
    HAND("\x80\2\x95\377\377\377\377\377\377\377\377.", "truncated");
    HAND("\x80\2N)R.", "calls what is not a function");
    HAND("\x80\2K\1K\2s.", "takes 3 values");
    HAND("\x80\2K\1K\2K\3s.", "fills what is not a dict");
    HAND("\x80\2}(K\1u.", "fills what is not a dict");
    HAND("\x80\2K\1K\2a.", "fills what is not a list");
    HAND("\x80\2" "I1\n.", "opcode 0x49");
    HAND("\x80\2(S'x'\nios\nsystem\n.", "opcode 0x53");
    HAND("\x80\2\x82\1.", "opcode 0x82");
    HAND("\x80\2X\2\0\0\0osX\6\0\0\0system\x93.", "os.system");
    HAND("\x80\2X\2\0\0\0os\x8c\6systemK\3\x93.", "a name that is not text");
    HAND("\x80\2" "csubprocess\nPopen\n.", "subprocess.Popen");
    HAND("\x80\2" "c__builtin__\ngetattr\n.", "__builtin__.getattr");
    HAND("\x80\2" "ctorch.hub\nload\n.", "torch.hub.load");
    HAND("\x80\2" "cos\nsystem", "truncated");
    HAND("\x80\2NQ.", "no storage");
    HAND("\x80\2" REBUILD ")R.", "a tensor is not");
    HAND("\x80\2" REBUILD "(" STORAGE "K\0K\2\x85K\1\x86R.", "calls what is not");
    HAND("\x80\2" "ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage");
    HAND("\x80\2}.\x80\2}.", "no list of storages");
}

static void a_tensor_that_leaves_its_storage_is_refused(void **state)
{
    (void)state;
    sak_error err;
    void *all;
    size_t size;
    must(sak_file_read(FIXTURES "protocol3.pth", 1 << 20, &all, &size, &err), &err);
    unsigned char *p = all;
    /* …, offset 0: K 0, size (2, 3): K 2 K 3 \x86, … , stride (3, 1): K 3 K 1 \x86 */
    static const unsigned char size_of[] = {'K', 2, 'K', 3, 0x86}, stride_of[] = {'K', 3, 'K', 1, 0x86};
    unsigned char *shape = memmem(p, size, size_of, 5), *stride = memmem(p, size, stride_of, 5);
    assert_non_null(shape);
    assert_non_null(stride);
    const struct {
        unsigned char *at, value;
    } changes[] = {{shape + 1, 3}, {shape + 3, 4}, {stride + 1, 4}, {stride + 3, 2}};
    for (int i = 0; i < 4; i++) {
        const unsigned char was = *changes[i].at;
        *changes[i].at = changes[i].value;
        sak_weights w;
        err.msg[0] = 0;
        assert_int_not_equal(sak_weights_parse(&w, "changed", p, size, NULL, &err), SAK_OK);
        if (!strstr(err.msg, "tensor 'w'") || !strstr(err.msg, "storage of 6"))
            fail_msg("%s", err.msg);
        *changes[i].at = was;
    }
    sak_free(all);
}

/* --- shards and folders ------------------------------------------------------------------------ */

static void write_shard(const char *name, const char *tensor)
{
    static const float x[2] = {0.125f, 0.25f};
    const sak_st_source s = {tensor, SAK_ST_F32, SAK_SHAPE(2), x};
    sak_error err;
    must(sak_safetensors_write(in_dir(name), &s, 1, NULL, true, &err), &err);
}

static void write_index(const char *text)
{
    sak_error err;
    must(sak_file_write_atomic(in_dir("model.safetensors.index.json"), text, strlen(text), &err), &err);
}

#define MAP(x) "{\"metadata\": {\"total_size\": 16}, \"weight_map\": {" x "}}"
#define GOOD MAP("\"a\": \"m-1.safetensors\", \"b\": \"m-2.safetensors\"")

static void shards_are_one_file_and_an_index_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    sak_weights w;
    open_as(&w, FIXTURES "sharded.bin.index.json", NULL); /* a zip and a legacy shard */
    expect(&w, "a.w", "F32", SAK_SHAPE(2, 3), eighths(6, 1));
    expect(&w, "b.w", "F32", SAK_SHAPE(2), eighths(2, 1));
    sak_weights_close(&w);
    write_shard("m-1.safetensors", "a");
    write_shard("m-2.safetensors", "b");
    write_index(GOOD);
    char index[160];
    snprintf(index, sizeof index, "%s", in_dir("model.safetensors.index.json"));
    for (int i = 0; i < 2; i++) { /* by the index, by the folder */
        open_as(&w, i ? dir : index, NULL);
        assert_int_equal(w.count, 2);
        expect(&w, "b", "F32", SAK_SHAPE(2), eighths(2, 1));
        assert_ptr_not_equal(sak_weights_mapping(&w, &w.tensors[0]),
                             sak_weights_mapping(&w, &w.tensors[1]));
        sak_weights_close(&w);
    }
    write_index(MAP("\"a\": \"m-1.safetensors\", \"b\": \"m-3.safetensors\""));
    REFUSED(index, NULL, "m-3.safetensors", "missing");
    write_index(MAP("\"a\": \"m-2.safetensors\", \"b\": \"m-1.safetensors\""));
    REFUSED(index, NULL, "should be in");
    write_index(MAP("\"a\": \"m-1.safetensors\", \"b\": \"m-2.safetensors\", "
                    "\"c\": \"m-2.safetensors\""));
    REFUSED(index, NULL, "'c' should be in 'm-2.safetensors' but is not there");
    write_shard("m-2.safetensors", "a");
    write_index(GOOD);
    REFUSED(index, NULL, "two tensors 'a'");
    write_shard("m-2.safetensors", "b");
    write_index(MAP("\"a\": \"m-1.safetensors\", \"b\": \"../m-2.safetensors\""));
    REFUSED(index, NULL, "'b' is in '../m-2.safetensors'");
    write_index("{\"weight_map\": {}}");
    REFUSED(index, NULL, "empty");
    write_index("{\"weight_map\": {\"a\": 3}}");
    REFUSED(index, NULL, "'a' has no file");
    write_index("{\"weight_map\": {\"a\": ");
    REFUSED(index, NULL, "not valid JSON");
}

static void a_folder_gives_its_one_weight_file(void **state)
{
    (void)state;
    sak_weights w;
    char folder[160];
    snprintf(folder, sizeof folder, "%s", in_dir("folder"));
    assert_int_equal(mkdir(folder, 0700), 0);
    REFUSED(folder, NULL, "model.safetensors");
    write_shard("folder/model.safetensors", "alone");
    open_as(&w, folder, NULL);
    assert_non_null(sak_weights_find(&w, "alone"));
    sak_weights_close(&w);
    sak_error err;
    must(sak_file_write_atomic(in_dir("folder/x.index.json"), "{}", 2, &err), &err);
    must(sak_file_write_atomic(in_dir("folder/y.index.json"), "{}", 2, &err), &err);
    REFUSED(folder, NULL, "which is meant", "x.index.json", "y.index.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_view_of_a_zip_file_has_its_values),
        cmocka_unit_test(every_type_and_view_of_a_legacy_file_has_its_values),
        cmocka_unit_test(pickle_protocols_3_to_5_and_zip64_are_read),
        cmocka_unit_test(the_model_of_a_nested_checkpoint_is_found_and_key_chooses_another),
        cmocka_unit_test(a_hostile_pickle_is_refused_by_name_and_nothing_runs),
        cmocka_unit_test(what_is_no_readable_checkpoint_is_refused_with_the_reason),
        cmocka_unit_test(a_checkpoint_cut_or_changed_at_any_byte_never_reads_outside),
        cmocka_unit_test(an_ordered_dict_of_pairs_keeps_them),
        cmocka_unit_test(a_pickle_that_breaks_the_rules_is_refused),
        cmocka_unit_test(a_tensor_that_leaves_its_storage_is_refused),
        cmocka_unit_test(shards_are_one_file_and_an_index_that_does_not_fit_is_refused),
        cmocka_unit_test(a_folder_gives_its_one_weight_file),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
