/* PNG files: round trips, every kind of PNG in, and an error that names the file for everything
 * that is not one.  The odd files are made here through libpng. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four headers it needs */
#include <cmocka.h>

#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/png.h"
#include "data/sheet.h"

static char folder[] = "/tmp/sak-test-png-XXXXXX";
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file.png", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a test, or an unfinished write, left anything behind */
}

/* A PNG of any kind; rows are packed as libpng wants them (16 bits: big-endian). */
static void make(int colour, int bits, int W, int H, const uint8_t *bytes, size_t row,
                 bool interlaced)
{
    static const png_color palette[4] = {{10, 20, 30}, {200, 0, 0}, {0, 200, 0}, {0, 0, 200}};
    static const png_byte alpha[4] = {255, 128, 0, 255};
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)W, (png_uint_32)H, bits, colour,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (colour == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 4);
        png_set_tRNS(png, info, alpha, 4, NULL);
    }
    png_bytep rows[64];
    assert_in_range(H, 1, 64);
    for (int y = 0; y < H; y++)
        rows[y] = (png_bytep)(uintptr_t)(bytes + (size_t)y * row);
    png_write_info(png, info);
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(f);
}

static void put_bytes(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static uint8_t *get_bytes(size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t *bytes = malloc(1 << 20);
    *n = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static void expect(sak_image_mode mode, int H, int W, const uint8_t *want)
{
    sak_error err = {0};
    uint8_t *got;
    int h, w;
    if (sak_image_read(path, mode, &got, &h, &w, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(h, H);
    assert_int_equal(w, W);
    assert_memory_equal(got, want, (size_t)(H * W * (mode == SAK_IMAGE_RGB ? 3 : 1)));
    sak_free(got);
    assert_int_equal(sak_image_size(path, &h, &w, &err), SAK_OK);
    assert_true(h == H && w == W);
}

static void expect_error(sak_image_mode mode, sak_status code, const char *words)
{
    sak_error err = {0};
    uint8_t *got = (uint8_t *)&err;
    int h, w;
    assert_int_equal(sak_image_read(path, mode, &got, &h, &w, &err), code);
    assert_null(got);
    if (!strstr(err.msg, path) || !strstr(err.msg, words))
        fail_msg("\"%s\" does not name the file or lacks \"%s\"", err.msg, words);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    sak_error err = {0};
    uint8_t rgb[5 * 7 * 3], grey[5 * 7], thrice[5 * 7 * 3];
    for (int i = 0; i < 5 * 7 * 3; i++)
        rgb[i] = (uint8_t)(i * 37 + 5);
    for (int i = 0; i < 5 * 7; i++)
        thrice[3 * i] = thrice[3 * i + 1] = thrice[3 * i + 2] = grey[i] = (uint8_t)(i * 11);
    assert_int_equal(sak_png_write(path, rgb, 5, 7, 3, &err), SAK_OK);
    expect(SAK_IMAGE_RGB, 5, 7, rgb);
    assert_int_equal(sak_png_write(path, grey, 5, 7, 1, &err), SAK_OK); /* over the old file */
    expect(SAK_IMAGE_GREY, 5, 7, grey);
    expect(SAK_IMAGE_LABEL, 5, 7, grey);
    expect(SAK_IMAGE_RGB, 5, 7, thrice);
}

static void colour_becomes_grey_by_luma(void **state)
{
    (void)state;
    sak_error err = {0};
    /* 0.299 R + 0.587 G + 0.114 B, rounded */
    const uint8_t rgb[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 10, 20, 30};
    const uint8_t want[] = {76, 150, 29, 255, 18};
    assert_int_equal(sak_png_write(path, rgb, 1, 5, 3, &err), SAK_OK);
    expect(SAK_IMAGE_GREY, 1, 5, want);
}

static void a_palette_is_looked_up_as_image_and_kept_as_label(void **state)
{
    (void)state;
    const uint8_t index[] = {0, 1, 2, 3, 3, 0};
    const uint8_t rgb[] = {10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 200, 10, 20, 30};
    make(PNG_COLOR_TYPE_PALETTE, 8, 3, 2, index, 3, false);
    expect(SAK_IMAGE_RGB, 2, 3, rgb); /* the transparency of entries 1 and 2 is dropped */
    expect(SAK_IMAGE_LABEL, 2, 3, index);
    const uint8_t packed[] = {0x1B, 0xC0}; /* 0 1 2 3, 3 */
    const uint8_t five[] = {0, 1, 2, 3, 3};
    make(PNG_COLOR_TYPE_PALETTE, 2, 5, 1, packed, 2, false);
    expect(SAK_IMAGE_LABEL, 1, 5, five);
}

static void grey_of_fewer_bits_is_stretched_as_image_and_kept_as_label(void **state)
{
    (void)state;
    const uint8_t packed[] = {0x1B}, value[] = {0, 1, 2, 3}, stretched[] = {0, 85, 170, 255};
    make(PNG_COLOR_TYPE_GRAY, 2, 4, 1, packed, 1, false);
    expect(SAK_IMAGE_LABEL, 1, 4, value);
    expect(SAK_IMAGE_GREY, 1, 4, stretched);
}

static void alpha_is_dropped(void **state)
{
    (void)state;
    const uint8_t rgba[] = {1, 2, 3, 0, 4, 5, 6, 255}, rgb[] = {1, 2, 3, 4, 5, 6};
    make(PNG_COLOR_TYPE_RGB_ALPHA, 8, 2, 1, rgba, 8, false);
    expect(SAK_IMAGE_RGB, 1, 2, rgb);
    const uint8_t ga[] = {7, 0, 9, 255}, grey[] = {7, 9};
    make(PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2, 1, ga, 4, false);
    expect(SAK_IMAGE_GREY, 1, 2, grey);
    expect(SAK_IMAGE_LABEL, 1, 2, grey);
}

static void sixteen_bits_are_scaled_to_eight(void **state)
{
    (void)state;
    const uint8_t deep[] = {0x00, 0x00, 0x00, 0x80, 0x00, 0x81, 0x7F, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF};
    const uint8_t exact[] = {0, 0, 1, 127, 255, 255}; /* round(v / 257) */
    make(PNG_COLOR_TYPE_GRAY, 16, 6, 1, deep, 12, false);
    expect(SAK_IMAGE_GREY, 1, 6, exact);
    expect_error(SAK_IMAGE_LABEL, SAK_EFORMAT, "16");
    make(PNG_COLOR_TYPE_RGB, 16, 2, 1, deep, 12, false);
    expect(SAK_IMAGE_RGB, 1, 2, exact);
}

static void interlaced_files_are_read_like_others(void **state)
{
    (void)state;
    uint8_t grey[13 * 17];
    for (int i = 0; i < 13 * 17; i++)
        grey[i] = (uint8_t)(i * 7);
    make(PNG_COLOR_TYPE_GRAY, 8, 17, 13, grey, 17, true);
    expect(SAK_IMAGE_GREY, 13, 17, grey);
}

static void colour_labels_are_refused(void **state)
{
    (void)state;
    const uint8_t rgba[] = {1, 2, 3, 255};
    make(PNG_COLOR_TYPE_RGB, 8, 1, 1, rgba, 3, false);
    expect_error(SAK_IMAGE_LABEL, SAK_EFORMAT, "RGB");
    make(PNG_COLOR_TYPE_RGB_ALPHA, 8, 1, 1, rgba, 4, false);
    expect_error(SAK_IMAGE_LABEL, SAK_EFORMAT, "RGBA");
}

static void what_is_no_png_is_an_error_that_says_so(void **state)
{
    (void)state;
    unlink(path);
    expect_error(SAK_IMAGE_RGB, SAK_ENOENT, "No such file");
    put_bytes("", 0);
    expect_error(SAK_IMAGE_RGB, SAK_EFORMAT, "empty");
    put_bytes("P6 2 2 255 and so on", 20);
    expect_error(SAK_IMAGE_RGB, SAK_EFORMAT, "not a PNG");
    put_bytes("\xFF\xD8\xFF\xE0 jfif", 9);
    expect_error(SAK_IMAGE_RGB, SAK_EFORMAT, "JPEG");
    put_bytes("\x89PN", 3);
    expect_error(SAK_IMAGE_RGB, SAK_EFORMAT, "truncated");
    uint8_t *got;
    int h, w;
    sak_error err = {0};
    assert_int_equal(sak_image_read(folder, SAK_IMAGE_RGB, &got, &h, &w, &err), SAK_EIO); /* a folder */
    assert_non_null(strstr(err.msg, folder));
}

static void a_file_cut_anywhere_is_an_error_that_says_truncated(void **state)
{
    (void)state;
    sak_error err = {0};
    uint8_t rgb[12 * 10 * 3];
    for (int i = 0; i < 12 * 10 * 3; i++)
        rgb[i] = (uint8_t)(i * i * 31 + i);
    assert_int_equal(sak_png_write(path, rgb, 12, 10, 3, &err), SAK_OK);
    size_t n;
    uint8_t *bytes = get_bytes(&n);
    for (size_t cut = 1; cut < n; cut++) {
        put_bytes(bytes, cut);
        expect_error(SAK_IMAGE_RGB, SAK_EFORMAT, "truncated");
    }
    free(bytes);
}

static void a_changed_byte_is_an_error_or_changes_no_pixel(void **state)
{
    (void)state;
    sak_error err = {0};
    uint8_t rgb[12 * 10 * 3];
    for (int i = 0; i < 12 * 10 * 3; i++)
        rgb[i] = (uint8_t)(i * i * 31 + i);
    assert_int_equal(sak_png_write(path, rgb, 12, 10, 3, &err), SAK_OK);
    size_t n;
    uint8_t *bytes = get_bytes(&n);
    int errors = 0;
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 0x55;
        put_bytes(bytes, n);
        uint8_t *got;
        int h, w;
        const sak_status st = sak_image_read(path, SAK_IMAGE_RGB, &got, &h, &w, &err);
        errors += st != SAK_OK;
        if (st == SAK_OK)
            assert_memory_equal(got, rgb, sizeof rgb);
        else
            assert_non_null(strstr(err.msg, path));
        sak_free(got);
        bytes[i] ^= 0x55;
    }
    assert_true(errors > (int)n * 9 / 10);
    free(bytes);
}

static void a_huge_size_in_the_header_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    const uint8_t grey[1] = {0};
    make(PNG_COLOR_TYPE_GRAY, 8, 1, 1, grey, 1, false);
    size_t n;
    uint8_t *bytes = get_bytes(&n);
    static const int size[][2] = {{1 << 20, 1}, {1, 1 << 20}, {16000, 16000}};
    for (size_t k = 0; k < 3; k++) {
        png_byte *ihdr = bytes + 16; /* after the signature, the length and "IHDR" */
        png_save_uint_32(ihdr, (png_uint_32)size[k][0]);
        png_save_uint_32(ihdr + 4, (png_uint_32)size[k][1]);
        uint32_t crc = 0xFFFFFFFFu; /* of the chunk's type and data, bit by bit */
        for (const uint8_t *p = bytes + 12; p < bytes + 29; p++) {
            crc ^= *p;
            for (int bit = 0; bit < 8; bit++)
                crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        }
        png_save_uint_32(bytes + 29, crc ^ 0xFFFFFFFFu);
        put_bytes(bytes, n);
        expect_error(SAK_IMAGE_GREY, SAK_EFORMAT, k < 2 ? "larger than 16384" : "16000 x 16000");
    }
    free(bytes);
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    (void)state;
    sak_error err = {0};
    const uint8_t grey[4] = {1, 2, 3, 4};
    assert_int_equal(sak_png_write(path, grey, 2, 2, 1, &err), SAK_OK);
    assert_int_equal(sak_png_write(path, grey, 2, 2, 2, &err), SAK_EINVAL); /* two channels */
    assert_int_equal(sak_png_write(path, grey, 0, 2, 1, &err), SAK_EINVAL);
    expect(SAK_IMAGE_GREY, 2, 2, grey);
    char nowhere[160];
    snprintf(nowhere, sizeof nowhere, "%s/none/file.png", folder);
    assert_int_equal(sak_png_write(nowhere, grey, 2, 2, 1, &err), SAK_ENOENT);
    assert_non_null(strstr(err.msg, nowhere));
    /* A folder of that name cannot be replaced; the file written aside goes away (remove_folder).
     */
    snprintf(nowhere, sizeof nowhere, "%s/sub", folder);
    assert_int_equal(mkdir(nowhere, 0700), 0);
    assert_int_equal(sak_png_write(nowhere, grey, 2, 2, 1, &err), SAK_EIO);
    assert_int_equal(rmdir(nowhere), 0);
    /* A device or a pipe is not replaced. */
    assert_int_equal(mkfifo(nowhere, 0600), 0);
    assert_int_equal(sak_png_write(nowhere, grey, 2, 2, 1, &err), SAK_EINVAL);
    assert_int_equal(sak_file_write_atomic(nowhere, grey, 4, &err), SAK_EINVAL);
    struct stat st;
    assert_true(stat(nowhere, &st) == 0 && S_ISFIFO(st.st_mode));
    assert_int_equal(unlink(nowhere), 0);
}

/* --- sheets ----------------------------------------------------------------------------------- */

static void tiles_land_where_they_belong_and_text_stays_inside(void **state)
{
    (void)state;
    sak_error err = {0};
    sak_sheet s;
    assert_int_equal(sak_sheet_open(&s, 2, 3, 8, 12, &err), SAK_OK);
    const uint8_t red[] = {255, 0, 0, 0, 255, 0}; /* 1 x 2: left red, right green */
    sak_sheet_tile(&s, 1, 2, red, 1, 2, "a caption much longer than the tile \x80");
    int reds = 0, greens = 0;
    for (int i = 0; i < s.H * s.W; i++) {
        reds += s.rgb[3 * i] == 255 && s.rgb[3 * i + 1] == 0;
        greens += s.rgb[3 * i] == 0 && s.rgb[3 * i + 1] == 255;
        if (i / s.W < s.H / 2) /* the first row of tiles is untouched */
            assert_true(s.rgb[3 * i] == 24 && s.rgb[3 * i + 1] == 24);
    }
    assert_int_equal(reds, 6 * 6); /* 6 x 12 in the middle of 8 x 12 */
    assert_int_equal(greens, 6 * 6);
    sak_sheet_text(&s, -3, -3, 1000, "clipped", 0xFFFFFF);
    sak_sheet_text(&s, s.W - 2, s.H - 2, 1000, "clipped", 0xFFFFFF);
    sak_sheet_close(&s);
    assert_int_equal(sak_sheet_open(&s, 4000, 1, 100, 100, &err), SAK_EINVAL);
}

static void colours_say_what_the_header_promises(void **state)
{
    (void)state;
    uint8_t rgb[12];
    const uint8_t label[] = {0, 1, 15, 255};
    sak_colour_labels(label, 4, rgb);
    const uint8_t voc[] = {0,   0,   0,   128, 0,  0,
                           192, 128, 128, 60,  40, 70}; /* VOC: aeroplane, person */
    assert_memory_equal(rgb, voc, 12);
    const float n[] = {0, 1, 0, 0, 0, 1, 0, 0, 0};
    sak_colour_normals(n, 3, rgb);
    const uint8_t directions[] = {128, 255, 128, 128, 128, 255, 0, 0, 0};
    assert_memory_equal(rgb, directions, 9);
    const float depth[] = {1.0f, 3.0f, 0.0f, 1.0f / 0.0f};
    sak_colour_depth(depth, 4, 0, 0, rgb);
    const uint8_t range[] = {253, 231, 37, 68, 1, 84, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 12; i++)
        assert_in_range(rgb[i], range[i] - (range[i] > 0), range[i] + 1);
    const float unit[] = {-1.0f, 0.5f, 2.0f};
    sak_colour_unit(unit, 3, rgb);
    assert_true(rgb[0] == 0 && rgb[3] == 128 && rgb[6] == 255);
    const uint8_t mask[] = {0, 1, 255};
    sak_colour_mask(mask, 3, rgb);
    assert_true(rgb[0] == 0 && rgb[3] == 255 && rgb[6] == 60);
}

static void a_contact_sheet_of_rooms_is_a_png_of_the_expected_size(void **state)
{
    (void)state;
    sak_error err = {0};
    sak_dataset d;
    assert_int_equal(sak_rooms_open(&d, 1, 0, 5, 16, 24, &err), SAK_OK);
    assert_int_equal(sak_sheet_samples(&d, &(sak_sheet_rows){.first = 3, .stride = 1, .rows = 2}, path, &err), SAK_OK);
    int h, w;
    assert_int_equal(sak_image_size(path, &h, &w, &err), SAK_OK);
    assert_int_equal(h, 2 * (8 * 16 + 12)); /* enlarged 8 times; 10 of text and 2 of gap */
    assert_int_equal(w, 8 * (8 * 24 + 2));  /* eight modalities */
    assert_int_equal(sak_sheet_samples(&d, &(sak_sheet_rows){.first = 4, .stride = 1, .rows = 2}, path, &err), SAK_EINVAL);
    sak_dataset_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(colour_becomes_grey_by_luma),
        cmocka_unit_test(a_palette_is_looked_up_as_image_and_kept_as_label),
        cmocka_unit_test(grey_of_fewer_bits_is_stretched_as_image_and_kept_as_label),
        cmocka_unit_test(alpha_is_dropped),
        cmocka_unit_test(sixteen_bits_are_scaled_to_eight),
        cmocka_unit_test(interlaced_files_are_read_like_others),
        cmocka_unit_test(colour_labels_are_refused),
        cmocka_unit_test(what_is_no_png_is_an_error_that_says_so),
        cmocka_unit_test(a_file_cut_anywhere_is_an_error_that_says_truncated),
        cmocka_unit_test(a_changed_byte_is_an_error_or_changes_no_pixel),
        cmocka_unit_test(a_huge_size_in_the_header_is_refused_before_memory_is_taken),
        cmocka_unit_test(a_failed_write_leaves_the_old_file_and_nothing_else),
        cmocka_unit_test(tiles_land_where_they_belong_and_text_stays_inside),
        cmocka_unit_test(colours_say_what_the_header_promises),
        cmocka_unit_test(a_contact_sheet_of_rooms_is_a_png_of_the_expected_size),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
