/* ImageNet's archives: a tar of tars made by the test is indexed once and read in place, to exactly
 * known pixels; damaged archives are named with the place. */
#include "base/alloc.h"
#include "data/archive.h"
#include "data/png.h"
#include "files_fixture.h"

enum { BLOCK = 512, ROOM = 1 << 20 };

static unsigned char tar[ROOM], inner[ROOM];

/* ---- writing tars ---- */

static size_t add_entry(unsigned char *to, size_t n, const char *name, char type, const void *data,
                        size_t size)
{
    unsigned char *b = to + n;
    memset(b, 0, BLOCK);
    memcpy(b, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(b + 100, "0000644", 8);
    snprintf((char *)b + 124, 12, "%011zo", size);
    b[156] = (unsigned char)type;
    memcpy(b + 257, "ustar\00000", 8);
    memset(b + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += b[i];
    snprintf((char *)b + 148, 8, "%06o", sum);
    n += BLOCK;
    memcpy(to + n, data, size);
    memset(to + n + size, 0, BLOCK);
    return n + (size + BLOCK - 1) / BLOCK * BLOCK;
}

static size_t end_tar(unsigned char *to, size_t n)
{
    memset(to + n, 0, 2 * BLOCK);
    return n + 2 * BLOCK;
}

/* A PNG of one colour, (i, 2 i, 3 i), i + 1 pixels wide. */
static size_t picture(int i, unsigned char *out)
{
    uint8_t rgb[64 * 3];
    void *bytes;
    size_t size;
    sak_error err;
    for (int k = 0; k < 3 * (i + 1); k++)
        rgb[k] = (uint8_t)(i * (k % 3 + 1));
    must(sak_png_write(at("x.png"), rgb, 1, i + 1, 3, &err), &err);
    must(sak_file_read(at("x.png"), ROOM, &bytes, &size, &err), &err);
    memcpy(out, bytes, size);
    sak_free(bytes);
    return size;
}

static size_t make_train(void)
{
    unsigned char bytes[4096];
    char name[64];
    size_t n = 0;
    for (int c = 0; c < 3; c++) {
        size_t m = 0;
        for (int i = 0; i < 2; i++) {
            const size_t size = picture(2 * c + i + 1, bytes);
            snprintf(name, sizeof name, "n%08d_%d.JPEG", c, i);
            m = add_entry(inner, m, name, '0', bytes, size);
        }
        m = add_entry(inner, m, "notes.txt", '0', "hello", 5);
        m = end_tar(inner, m);
        snprintf(name, sizeof name, "n%08d.tar", c);
        n = add_entry(tar, n, name, '0', inner, m);
    }
    return end_tar(tar, n);
}

static int make_place(void **state)
{
    (void)state;
    static const char *const folders[] = {"cache"};
    return make_root(folders, 1) ? 0 : -1;
}

/* Reads all and returns which pictures were seen, one bit each. */
static unsigned read_all(sak_dataset *d)
{
    unsigned seen = 0;
    sak_error err;
    sak_sample s = {0};
    for (int64_t i = 0; i < d->count; i++) {
        must(d->read(d, i, &s, &err), &err);
        const int k = s.W - 1;
        char id[64];
        snprintf(id, sizeof id, "n%08d/n%08d_%d.JPEG", (k - 1) / 2, (k - 1) / 2, (k - 1) % 2);
        assert_string_equal(s.id, id);
        for (int x = 0; x < s.W * 3; x++)
            assert_int_equal(s.rgb[x], k * (x % 3 + 1));
        seen |= 1u << k;
    }
    sak_sample_close(&s);
    return seen;
}

static void a_tar_of_tars_is_read_in_place(void **state)
{
    (void)state;
    put("train.tar", tar, make_train());
    sak_dataset d;
    sak_error err;
    must(sak_archive_open(&d, at("train.tar"), NULL, 0, 1, &err), &err);
    assert_int_equal(d.count, 6);
    assert_int_equal(d.has, SAK_HAS_IMAGE);
    assert_int_equal(read_all(&d), 0x7E);
    char identity[65];
    strcpy(identity, d.identity);
    sak_dataset_close(&d);
    unsigned parts = 0;
    for (int k = 0; k < 2; k++) {
        must(sak_archive_open(&d, at("train.tar"), NULL, k * 0.5, k * 0.5 + 0.5, &err), &err);
        assert_int_equal(d.count, 3);
        assert_string_not_equal(d.identity, identity);
        parts += read_all(&d);
        sak_dataset_close(&d);
    }
    assert_int_equal(parts, 0x7E);
}

/* The index must be what is read the second time: it is doctored so that the difference shows. */
static void the_index_is_made_once_and_dropped_when_the_archive_changes(void **state)
{
    (void)state;
    char line[512], identity[65];
    sak_dataset d;
    sak_error err;
    put("train.tar", tar, make_train());
    must(sak_archive_open(&d, at("train.tar"), at("cache"), 0, 1, &err), &err);
    strcpy(identity, d.identity);
    sak_dataset_close(&d);
    must(sak_archive_open(&d, at("train.tar"), at("cache"), 0, 1, &err), &err);
    assert_string_equal(d.identity, identity);
    assert_int_equal(read_all(&d), 0x7E);
    sak_dataset_close(&d);
    snprintf(line, sizeof line, "sed -i 2d %s/cache/*.index", root);
    assert_int_equal(system(line), 0);
    must(sak_archive_open(&d, at("train.tar"), at("cache"), 0, 1, &err), &err);
    assert_int_equal(d.count, 5);
    sak_dataset_close(&d);
    snprintf(line, sizeof line, "touch -d 2001-01-01 %s/train.tar", root);
    assert_int_equal(system(line), 0);
    must(sak_archive_open(&d, at("train.tar"), at("cache"), 0, 1, &err), &err);
    assert_int_equal(d.count, 6);
    sak_dataset_close(&d);
    snprintf(line, sizeof line, "f=$(echo %s/cache/*.index) && sed -i '3s/^./\\x00/' $f", root); /* a torn disk */
    assert_int_equal(system(line), 0);
    must(sak_archive_open(&d, at("train.tar"), at("cache"), 0, 1, &err), &err);
    assert_int_equal(d.count, 6);
    sak_dataset_close(&d);
    snprintf(line, sizeof line, "echo nonsense >> %s/cache/*.index", root);
    assert_int_equal(system(line), 0);
    must(sak_archive_open(&d, at("train.tar"), at("cache"), 0, 1, &err), &err);
    assert_int_equal(read_all(&d), 0x7E);
    sak_dataset_close(&d);
}

static void long_names_of_gnu_and_pax_are_read(void **state)
{
    (void)state;
    unsigned char bytes[4096];
    char longer[200], record[256];
    memset(longer, 'a', 150);
    strcpy(longer + 150, "/b.png");
    const size_t size = picture(1, bytes);
    size_t n = add_entry(tar, 0, "././@LongLink", 'L', longer, strlen(longer) + 1);
    n = add_entry(tar, n, "short.png", '0', bytes, size);
    snprintf(record, sizeof record, "%d path=%s\n", (int)strlen(longer) + 10, longer);
    n = add_entry(tar, n, "pax", 'x', record, strlen(record));
    n = add_entry(tar, n, "short.png", '0', bytes, size);
    n = add_entry(tar, n, "folder.png", '5', "", 0); /* a folder */
    n = add_entry(tar, n, "plain.png", 0, bytes, size);
    put("long.tar", tar, end_tar(tar, n));
    sak_dataset d;
    sak_error err;
    must(sak_archive_open(&d, at("long.tar"), NULL, 0, 1, &err), &err);
    assert_int_equal(d.count, 3);
    int deep = 0;
    sak_sample s = {0};
    for (int64_t i = 0; i < 3; i++) {
        must(d.read(&d, i, &s, &err), &err);
        assert_int_equal(s.rgb[1], 2);
        const size_t k = strlen(s.id);
        deep += k == 63 && strncmp(s.id, "...aaa", 6) == 0 && strcmp(s.id + k - 6, "/b.png") == 0;
    }
    assert_int_equal(deep, 2);
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

static void refuse(const char *why)
{
    sak_dataset d;
    sak_error err;
    if (sak_archive_open(&d, at("bad.tar"), at("cache"), 0, 1, &err) == SAK_OK)
        fail_msg("opened; it should say '%s'", why);
    if (!strstr(err.msg, why) || !strstr(err.msg, "bad.tar"))
        fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void damaged_archives_are_named_with_the_place(void **state)
{
    (void)state;
    const size_t n = make_train();
    refuse("No such file");
    put("bad.tar", tar, 0);
    refuse("no pictures in it");
    put("bad.tar", "not a tar", 9);
    refuse("not a whole tar: 9 bytes at byte 0");
    put("bad.tar", tar, 1000); /* within the first class */
    refuse("'n00000000.tar' at byte 512 goes on past the end (truncated)");
    tar[2000] ^= 1; /* a picture's byte: the archive is fine, the picture is not */
    put("bad.tar", tar, n);
    tar[2000] ^= 1;
    tar[512 + 10] ^= 1;
    put("bad.tar", tar, n);
    refuse("wrong checksum at byte 512");
    tar[512 + 10] ^= 1;
    const size_t only = end_tar(tar, add_entry(tar, 0, "a.txt", '0', "x", 1));
    put("bad.tar", tar, only);
    refuse("no pictures in it");
}

static void a_broken_picture_is_named_and_the_others_are_read(void **state)
{
    (void)state;
    unsigned char bytes[4096];
    const size_t size = picture(3, bytes);
    size_t n = add_entry(tar, 0, "good.png", '0', bytes, size);
    n = add_entry(tar, n, "cut.png", '0', bytes, size - 20);
    put("half.tar", tar, end_tar(tar, n));
    sak_dataset d;
    sak_error err;
    must(sak_archive_open(&d, at("half.tar"), NULL, 0, 1, &err), &err);
    int good = 0;
    sak_sample s = {0};
    for (int64_t i = 0; i < 2; i++) {
        if (d.read(&d, i, &s, &err) == SAK_OK)
            good++;
        else
            assert_non_null(strstr(err.msg, "half.tar: cut.png: invalid PNG"));
    }
    assert_int_equal(good, 1);
    sak_sample_close(&s);
    sak_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tar_of_tars_is_read_in_place),
        cmocka_unit_test(the_index_is_made_once_and_dropped_when_the_archive_changes),
        cmocka_unit_test(long_names_of_gnu_and_pax_are_read),
        cmocka_unit_test(damaged_archives_are_named_with_the_place),
        cmocka_unit_test(a_broken_picture_is_named_and_the_others_are_read),
    };
    return cmocka_run_group_tests(tests, make_place, drop_root);
}
