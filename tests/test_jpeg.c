/* JPEG: flat blocks survive the transform exactly, so that every colour space has a closed form;
 * and whatever is not a whole picture is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jpeglib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/image.h"
#include "data/png.h"

static char path[64];

static int open_place(void **state)
{
    (void)state;
    strcpy(path, "/tmp/sak-jpeg-XXXXXX");
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int close_place(void **state)
{
    (void)state;
    return unlink(path);
}

/* H x W pixels of 1, 3 or 4 (CMYK) channels at quality 100. */
static void make(const uint8_t *pixels, int H, int W, int channels, J_COLOR_SPACE as,
                 bool progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, file);
    c.image_height = (JDIMENSION)H;
    c.image_width = (JDIMENSION)W;
    c.input_components = channels;
    c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, as);
    jpeg_set_quality(&c, 100, TRUE);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < H; y++) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)y * (size_t)(W * channels));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fclose(file);
}

static uint8_t *read_as(sak_image_mode mode, int H, int W)
{
    uint8_t *got;
    int h, w;
    sak_error err;
    if (sak_image_read(path, mode, &got, &h, &w, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(h, H);
    assert_int_equal(w, W);
    assert_int_equal(sak_image_size(path, &h, &w, &err), SAK_OK);
    assert_true(h == H && w == W);
    return got;
}

static void refuse(sak_image_mode mode, const char *why)
{
    uint8_t *got;
    int h, w;
    sak_error err;
    assert_int_equal(sak_image_read(path, mode, &got, &h, &w, &err), SAK_EFORMAT);
    assert_null(got);
    if (!strstr(err.msg, why) || !strstr(err.msg, path))
        fail_msg("'%s' does not say '%s'", err.msg, why);
}

/* Four blocks of 8 x 8: top left, top right, bottom left, bottom right. */
static void blocks(uint8_t *out, const uint8_t value[4])
{
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++)
            out[y * 16 + x] = value[(y >= 8) * 2 + (x >= 8)];
}

static void grey_blocks_are_read_exactly_and_in_place(void **state)
{
    (void)state;
    const uint8_t value[4] = {0, 77, 200, 255};
    uint8_t grey[256];
    blocks(grey, value);
    for (int progressive = 0; progressive < 2; progressive++) {
        make(grey, 16, 16, 1, JCS_GRAYSCALE, progressive);
        uint8_t *got = read_as(SAK_IMAGE_GREY, 16, 16);
        assert_memory_equal(got, grey, sizeof grey);
        sak_free(got);
        got = read_as(SAK_IMAGE_RGB, 16, 16);
        for (int i = 0; i < 3 * 256; i++)
            assert_int_equal(got[i], grey[i / 3]);
        sak_free(got);
    }
}

static double clamped(double x)
{
    return x < 0 ? 0 : x > 255 ? 255 : x;
}

/* JFIF's conversion there and back, rounded at each end. */
static void through_ycc(const uint8_t rgb[3], double out[3])
{
    const double r = rgb[0], g = rgb[1], b = rgb[2];
    const double y = floor(0.299 * r + 0.587 * g + 0.114 * b + 0.5);
    const double cb = floor(-0.168735892 * r - 0.331264108 * g + 0.5 * b + 128.49999);
    const double cr = floor(0.5 * r - 0.418687589 * g - 0.081312411 * b + 128.49999);
    out[0] = clamped(y + 1.402 * (cr - 128));
    out[1] = clamped(y - 0.344136286 * (cb - 128) - 0.714136286 * (cr - 128));
    out[2] = clamped(y + 1.772 * (cb - 128));
}

static void colour_goes_through_ycc_as_jfif_says(void **state)
{
    (void)state;
    static const uint8_t colours[][3] = {{255, 0, 0}, {0, 255, 0},  {0, 0, 255},    {10, 20, 30},
                                         {1, 2, 3},   {200, 3, 99}, {254, 254, 254}};
    for (size_t c = 0; c < sizeof colours / sizeof *colours; c++) {
        uint8_t flat[16 * 16 * 3];
        double want[3];
        for (size_t i = 0; i < sizeof flat; i++)
            flat[i] = colours[c][i % 3];
        make(flat, 16, 16, 3, JCS_YCbCr, c % 2);
        through_ycc(colours[c], want);
        uint8_t *got = read_as(SAK_IMAGE_RGB, 16, 16);
        for (size_t i = 0; i < sizeof flat; i++)
            if (fabs(got[i] - want[i % 3]) > 0.5001)
                fail_msg("colour %zu, channel %zu: %d, not %.2f", c, i % 3, got[i], want[i % 3]);
        sak_free(got);
        got = read_as(SAK_IMAGE_GREY, 16, 16);
        assert_true(fabs(got[5] - (0.299 * want[0] + 0.587 * want[1] + 0.114 * want[2])) < 1);
        sak_free(got);
    }
}

static void cmyk_is_taken_inverted_as_adobe_writes_it(void **state)
{
    (void)state;
    static const uint8_t inks[][4] = {{255, 255, 255, 255},
                                      {0, 255, 255, 255},
                                      {255, 0, 255, 128},
                                      {100, 150, 200, 250},
                                      {9, 9, 9, 0}};
    for (size_t c = 0; c < sizeof inks / sizeof *inks; c++) {
        uint8_t flat[16 * 16 * 4];
        for (size_t i = 0; i < sizeof flat; i++)
            flat[i] = inks[c][i % 4];
        make(flat, 16, 16, 4, JCS_CMYK, false);
        uint8_t *got = read_as(SAK_IMAGE_RGB, 16, 16);
        for (int k = 0; k < 3; k++) { /* inverted ink c, inverted black k: c k / 255, from above */
            const double want = inks[c][3] - floor((255 - inks[c][k]) * inks[c][3] / 255.0 + 0.5);
            assert_int_equal(got[3 * 100 + k], (int)want);
        }
        sak_free(got);
        make(flat, 16, 16, 4, JCS_YCCK, false);
        got = read_as(SAK_IMAGE_RGB, 16, 16);
        for (int k = 0; k < 3; k++) /* rounded on the way through YCC: 2 levels */
            assert_true(abs(got[k] - inks[c][k] * inks[c][3] / 255) <= 3);
        sak_free(got);
    }
}

static void a_file_that_ends_early_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    uint8_t noise[16 * 16 * 3];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int progressive = 0; progressive < 2; progressive++) {
        make(noise, 16, 16, 3, JCS_YCbCr, progressive);
        void *all;
        size_t size;
        sak_error err;
        assert_int_equal(sak_file_read(path, 1 << 20, &all, &size, &err), SAK_OK);
        for (size_t n = 0; n < size; n++) {
            uint8_t *got;
            int h, w;
            const sak_status st =
                sak_image_parse("cut.jpg", all, n, SAK_IMAGE_RGB, &got, &h, &w, &err);
            if (st != SAK_EFORMAT || got || !strstr(err.msg, "cut.jpg"))
                fail_msg("%zu of %zu bytes: status %d", n, size, (int)st);
        }
        sak_free(all);
    }
}

static void what_a_jpeg_cannot_be_is_said(void **state)
{
    (void)state;
    uint8_t *wide = calloc(50000, 1);
    make(wide, 1, 50000, 1, JCS_GRAYSCALE, false);
    refuse(SAK_IMAGE_RGB, "1 x 50000 pixels, larger than 16384 on a side");
    int h, w;
    sak_error err;
    assert_int_equal(sak_image_size(path, &h, &w, &err), SAK_EFORMAT);
    make(wide, 16, 16, 1, JCS_GRAYSCALE, false);
    refuse(SAK_IMAGE_LABEL, "does not keep labels");
    uint16_t *values;
    assert_int_equal(sak_png_read_values(path, &values, &h, &w, &err), SAK_EFORMAT);
    free(wide);
    assert_int_equal(sak_file_write_atomic(path, "\xFF\xD8\xFF", 3, &err), SAK_OK);
    refuse(SAK_IMAGE_RGB, "invalid JPEG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_blocks_are_read_exactly_and_in_place),
        cmocka_unit_test(colour_goes_through_ycc_as_jfif_says),
        cmocka_unit_test(cmyk_is_taken_inverted_as_adobe_writes_it),
        cmocka_unit_test(a_file_that_ends_early_is_refused_wherever_it_ends),
        cmocka_unit_test(what_a_jpeg_cannot_be_is_said),
    };
    return cmocka_run_group_tests(tests, open_place, close_place);
}
