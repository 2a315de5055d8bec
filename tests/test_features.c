/* The feature cache: what comes back is what was rounded, and damage, torn files, full disks and other
 * processes cost entries, never a wrong value. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "data/feature_cache.h"
#include "kernels/half.h"

enum { A = 48, B = 17, N = A + B }; /* values of two levels */

static const char KEY[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char OTHER[] = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static char root[64], folder[160];
static sak_error err;

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/sak-features-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(folder, sizeof folder, "%s/%s", root, KEY);
    return mkdir(folder, 0777);
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static sak_feature_spec spec_of(sak_feature_type type, uint64_t max)
{
    return (sak_feature_spec){
        .root = root, .key = KEY, .type = type, .parts = 2, .count = {A, B}, .max_bytes = max};
}

static sak_feature_cache *open_cache(sak_feature_type type, uint64_t max)
{
    const sak_feature_spec spec = spec_of(type, max);
    sak_feature_cache *c;
    if (sak_feature_cache_open(&c, &spec, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    return c;
}

static void digest_of(int image, uint8_t out[SAK_HASH_BYTES])
{
    sak_hash h;
    sak_hash_open(&h);
    sak_hash_add(&h, &image, sizeof image);
    sak_hash_digest(&h, out);
}

/* Values of an image, different for all. */
static void values_of(int image, float *x)
{
    for (int i = 0; i < N; i++)
        x[i] = sinf((float)(image * N + i)) * expf((float)(i % 23 - 14));
}

static void put(sak_feature_cache *c, int image, float *out)
{
    uint8_t digest[SAK_HASH_BYTES];
    float x[N];
    digest_of(image, digest);
    values_of(image, x);
    const float *const in[] = {x, x + A};
    float *const to[] = {out, out + A};
    assert_int_equal(sak_feature_cache_write(c, digest, in, to, &err), SAK_OK);
}

static sak_feature_found get(sak_feature_cache *c, int image, float *out)
{
    uint8_t digest[SAK_HASH_BYTES];
    digest_of(image, digest);
    float *const to[] = {out, out + A};
    return sak_feature_cache_read(c, digest, to);
}

/* Path of the only pack there is, or of the i-th by name. */
static void pack_path(char path[512], int which)
{
    struct dirent **names;
    const int n = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (sak_ends_with(names[i]->d_name, ".pack") && which-- == 0)
            snprintf(path, 512, "%s/%.200s", folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

/* How many of `images` a fresh look finds; every one of them must be right. */
static int found_now(sak_feature_type type, int images)
{
    sak_feature_cache *c = open_cache(type, 1 << 30), *none = open_cache(type, 0);
    int found = 0;
    for (int image = 0; image < images; image++) {
        float x[N], want[N];
        put(none, image, want); /* keeps nothing: rounds alone */
        if (get(c, image, x) != SAK_FEATURE_FOUND)
            continue;
        found++;
        assert_memory_equal(x, want, sizeof x);
    }
    sak_feature_cache_close(c);
    sak_feature_cache_close(none);
    return found;
}

static void fill(sak_feature_type type, int from, int to)
{
    sak_feature_cache *c = open_cache(type, 1 << 30);
    float x[N];
    for (int image = from; image < to; image++)
        put(c, image, x);
    assert_null(sak_feature_cache_trouble(c));
    sak_feature_cache_close(c);
}

static void features_come_back_as_they_were_rounded(void **state)
{
    (void)state;
    const sak_feature_type types[] = {SAK_FEATURE_FP32, SAK_FEATURE_FP16, SAK_FEATURE_BF16};
    const double unit[] = {0, 0x1p-11, 0x1p-8}; /* half a unit in the last place, relatively */
    for (int t = 0; t < 3; t++) {
        make_root(NULL);
        sak_feature_cache *c = open_cache(types[t], 1 << 30);
        float fresh[N], cached[N], exact[N];
        for (int image = 0; image < 5; image++) {
            assert_int_equal(get(c, image, cached), SAK_FEATURE_ABSENT);
            put(c, image, fresh);
            sak_feature_cache_refresh(c);
            assert_int_equal(get(c, image, cached), SAK_FEATURE_FOUND);
            assert_memory_equal(cached, fresh, sizeof fresh);
            values_of(image, exact);
            for (int i = 0; i < N; i++)
                if (fabs((double)fresh[i] - exact[i]) > unit[t] * fabs((double)exact[i]) + 0x1p-25)
                    fail_msg("type %d: %g became %g", t, (double)exact[i], (double)fresh[i]);
        }
        sak_feature_cache_close(c);
        assert_int_equal(found_now(types[t], 7), 5);
        remove_root(NULL);
    }
}

/* All 65536 halves against the definition: sign, 5 bits of exponent, 10 of fraction. */
static void every_half_is_read_by_its_definition_and_written_back(void **state)
{
    (void)state;
    for (int h = 0; h < 65536; h++) {
        const uint16_t in = (uint16_t)h;
        uint16_t back;
        float x;
        sak_half_load(1, &in, &x);
        sak_half_store(1, &x, &back);
        const int exponent = h >> 10 & 31, fraction = h & 1023;
        const double sign = h >> 15 ? -1 : 1;
        if (exponent == 31 && fraction) {
            assert_true(isnan(x) && (back & 0x7c00) == 0x7c00 && (back & 1023));
            continue;
        }
        const double want = sign * (exponent == 31 ? INFINITY
                                    : exponent    ? ldexp(1024 + fraction, exponent - 25)
                                                  : ldexp(fraction, -24));
        if ((double)x != want || !!signbit(x) != (h >> 15) || back != in)
            fail_msg("half %04x: %g, wanted %g, written back as %04x", h, (double)x, want, back);
    }
}

static void a_value_too_large_for_fp16_is_an_error_that_names_the_remedy(void **state)
{
    (void)state;
    sak_feature_cache *c = open_cache(SAK_FEATURE_FP16, 1 << 30);
    float x[N] = {0}, y[N];
    uint8_t digest[SAK_HASH_BYTES] = {1};
    x[50] = 70000;
    const float *const in[] = {x, x + A};
    float *const out[] = {y, y + A};
    assert_int_equal(sak_feature_cache_write(c, digest, in, out, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "bf16"));
    sak_feature_cache_close(c);
}

/* Every fifth byte of a pack in turn, and all of its head: an entry is lost at most, never wrong. */
static void a_damaged_byte_costs_an_entry_at_most(void **state)
{
    (void)state;
    char path[512] = "";
    fill(SAK_FEATURE_FP16, 0, 3);
    pack_path(path, 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (long at = 0; at < st.st_size; at += at < 150 ? 1 : 5) {
        FILE *f = fopen(path, "r+");
        fseek(f, at, SEEK_SET);
        const int was = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(was ^ 0x10, f);
        fclose(f);
        const int found = found_now(SAK_FEATURE_FP16, 3);
        if (found < (at < 64 ? 0 : 2))
            fail_msg("byte %ld: only %d of 3 are left", at, found);
        f = fopen(path, "r+");
        fseek(f, at, SEEK_SET);
        fputc(was, f);
        fclose(f);
    }
    assert_int_equal(found_now(SAK_FEATURE_FP16, 3), 3);
}

/* A process that is killed leaves a pack that ends anywhere. */
static void a_torn_pack_keeps_what_is_whole(void **state)
{
    (void)state;
    char path[512] = "";
    fill(SAK_FEATURE_FP16, 0, 4);
    pack_path(path, 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    const long stride = (st.st_size - 64) / 4;
    for (long size = st.st_size; size >= 0; size -= 13) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(found_now(SAK_FEATURE_FP16, 4), size < 64 ? 0 : (size - 64) / stride);
    }
    fill(SAK_FEATURE_FP16, 0, 4);
    assert_int_equal(found_now(SAK_FEATURE_FP16, 4), 4);
}

/* Reading on could end the process with SIGBUS. */
static void a_pack_that_becomes_shorter_while_it_is_used_is_read_no_more(void **state)
{
    (void)state;
    char path[512] = "";
    float x[N];
    fill(SAK_FEATURE_FP32, 0, 200);
    pack_path(path, 0);
    sak_feature_cache *c = open_cache(SAK_FEATURE_FP32, 1 << 30);
    assert_int_equal(get(c, 199, x), SAK_FEATURE_FOUND);
    assert_int_equal(truncate(path, 100), 0);
    sak_feature_cache_refresh(c);
    for (int image = 0; image < 200; image++)
        assert_int_equal(get(c, image, x), SAK_FEATURE_ABSENT);
    sak_feature_cache_close(c);
}

static void what_was_struck_is_forgotten_by_all_and_may_be_written_again(void **state)
{
    (void)state;
    uint8_t digest[SAK_HASH_BYTES];
    float x[N];
    fill(SAK_FEATURE_FP16, 0, 3);
    sak_feature_cache *c = open_cache(SAK_FEATURE_FP16, 1 << 30);
    digest_of(1, digest);
    sak_feature_cache_strike(c, digest);
    assert_int_equal(get(c, 1, x), SAK_FEATURE_ABSENT);
    assert_int_equal(found_now(SAK_FEATURE_FP16, 3), 2);
    put(c, 1, x);
    sak_feature_cache_refresh(c);
    assert_int_equal(get(c, 1, x), SAK_FEATURE_FOUND);
    sak_feature_cache_close(c);
    assert_int_equal(found_now(SAK_FEATURE_FP16, 3), 3);
}

static void two_processes_fill_one_folder_and_see_each_other(void **state)
{
    (void)state;
    float x[N];
    sak_feature_cache *c = open_cache(SAK_FEATURE_FP16, 1 << 30);
    const pid_t child = fork();
    if (child == 0) {
        fill(SAK_FEATURE_FP16, 0, 400);
        _exit(0);
    }
    for (int image = 200; image < 600; image++)
        put(c, image, x);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sak_feature_cache_refresh(c);
    for (int image = 0; image < 600; image++)
        assert_int_equal(get(c, image, x), SAK_FEATURE_FOUND);
    sak_feature_cache_close(c);
    assert_int_equal(found_now(SAK_FEATURE_FP16, 600), 600);
}

/* A limit on the size of files stands for a full disk: write fails in the middle of a record. */
static void a_full_disk_stops_keeping_and_nothing_else(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000});
        sak_feature_cache *c = open_cache(SAK_FEATURE_FP16, 1 << 30);
        sak_feature_cache *none = open_cache(SAK_FEATURE_FP16, 0);
        for (int image = 0; image < 20; image++) {
            float x[N], want[N];
            put(c, image, x);
            put(none, image, want);
            assert_memory_equal(x, want, sizeof x);
        }
        assert_non_null(strstr(sak_feature_cache_trouble(c), "File too large"));
        sak_feature_cache_close(c);
        sak_feature_cache_close(none);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    const int found = found_now(SAK_FEATURE_FP16, 20);
    assert_true(found >= 1 && found < 20);
}

static void make_old(int which, int hours)
{
    char path[512] = "";
    pack_path(path, which);
    const time_t t = time(NULL) - 3600L * hours;
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){{.tv_sec = t}, {.tv_sec = t}}, 0), 0);
}

static void what_was_used_longest_ago_goes_when_the_cache_is_full(void **state)
{
    (void)state;
    for (int pack = 0; pack < 3; pack++)
        fill(SAK_FEATURE_FP16, 100 * pack, 100 * pack + 100);
    for (int pack = 0; pack < 3; pack++)
        make_old(pack, pack == 1 ? 9 : 5 - pack);
    const uint64_t all = sak_feature_folder_bytes(root);
    sak_feature_cache *c = open_cache(SAK_FEATURE_FP16, all);
    /* opening it was a use: now all are young, and nothing may go */
    float x[N];
    put(c, 500, x);
    assert_non_null(strstr(sak_feature_cache_trouble(c), "full"));
    sak_feature_cache_close(c);
    for (int pack = 0; pack < 3; pack++)
        make_old(pack, pack == 1 ? 9 : 5 - pack);
    assert_true(sak_feature_folder_trim(root, all - 1, 600) > 0); /* the middle one is oldest */
    c = open_cache(SAK_FEATURE_FP16, 1 << 30);
    for (int image = 0; image < 300; image++)
        assert_int_equal(get(c, image, x), image / 100 == 1 ? SAK_FEATURE_ABSENT : SAK_FEATURE_FOUND);
    sak_feature_folder_trim(root, 0, 0);
    assert_int_equal(get(c, 0, x), SAK_FEATURE_FOUND); /* still mapped */
    sak_feature_cache_close(c);
    assert_int_equal(sak_feature_folder_bytes(root), 0);
    assert_int_not_equal(access(folder, F_OK), 0);
}

static void packs_of_other_features_and_other_files_are_left_alone(void **state)
{
    (void)state;
    char path[512] = "", other[600];
    fill(SAK_FEATURE_FP16, 0, 3);
    pack_path(path, 0);
    snprintf(other, sizeof other, "%s/%s", root, OTHER);
    assert_int_equal(mkdir(other, 0777), 0);
    char command[3000]; /* a pack of one key in the folder of another, and a text that is no pack */
    snprintf(command, sizeof command, "mv %s %s/x.pack && echo text > %s/y.pack && : > %s/z.pack", path, other,
             other, other);
    assert_int_equal(system(command), 0);
    const sak_feature_spec spec = {
        .root = root, .key = OTHER, .type = SAK_FEATURE_FP16, .parts = 2, .count = {A, B}, .max_bytes = 1 << 30};
    sak_feature_cache *c;
    float x[N];
    assert_int_equal(sak_feature_cache_open(&c, &spec, &err), SAK_OK);
    for (int image = 0; image < 3; image++)
        assert_int_equal(get(c, image, x), SAK_FEATURE_ABSENT);
    sak_feature_cache_close(c);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_come_back_as_they_were_rounded),
        cmocka_unit_test(every_half_is_read_by_its_definition_and_written_back),
        IN_FOLDER(a_value_too_large_for_fp16_is_an_error_that_names_the_remedy),
        IN_FOLDER(a_damaged_byte_costs_an_entry_at_most),
        IN_FOLDER(a_torn_pack_keeps_what_is_whole),
        IN_FOLDER(a_pack_that_becomes_shorter_while_it_is_used_is_read_no_more),
        IN_FOLDER(what_was_struck_is_forgotten_by_all_and_may_be_written_again),
        IN_FOLDER(two_processes_fill_one_folder_and_see_each_other),
        IN_FOLDER(a_full_disk_stops_keeping_and_nothing_else),
        IN_FOLDER(what_was_used_longest_ago_goes_when_the_cache_is_full),
        IN_FOLDER(packs_of_other_features_and_other_files_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
