/* JPEG through libjpeg-turbo, with the settings PIL has (slow integer DCT, smooth upsampling), so
 * that pixels are those the published pipelines saw.  libjpeg reports errors with longjmp: what
 * must survive the jump lives in a struct the caller owns. */
#include "data/jpeg.h"

#include <setjmp.h>
#include <stdbool.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/alloc.h"

enum { SCANS_MAX = 100 }; /* of a progressive file; sound ones have about ten */

typedef struct codec {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char why[JMSG_LENGTH_MAX];
    uint8_t *raw, *line; /* pixels as asked for; one row of CMYK */
    int H, W, channels;
} codec;

static void fail(codec *c, const char *why)
{
    if (why)
        snprintf(c->why, sizeof c->why, "%s", why);
    longjmp(c->jump, 1);
}

static void on_error(j_common_ptr jpeg)
{
    codec *c = jpeg->client_data;
    jpeg->err->format_message(jpeg, c->why);
    fail(c, NULL);
}

/* Warnings are flaws that decoders live with, as stray bytes between segments; an end that comes
 * too early is not one of them: the rest of the picture would be made up. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF)
        fail(jpeg->client_data, "the file ends too early (truncated)");
}

/* A progressive file of a few kilobytes can ask for thousands of passes over a large picture. */
static void on_progress(j_common_ptr jpeg)
{
    if (jpeg->is_decompressor && ((j_decompress_ptr)jpeg)->input_scan_number > SCANS_MAX)
        fail(jpeg->client_data, "more than 100 scans");
}

static void release(codec *c)
{
    jpeg_destroy_decompress(&c->jpeg); /* fine on one that was never created */
    sak_free(c->raw);
    sak_free(c->line);
}

/* The steps below return false after libjpeg's jump; c->why holds the reason. */
static bool read_header(codec *c, FILE *file)
{
    c->jpeg.err = jpeg_std_error(&c->errors);
    c->errors.error_exit = on_error;
    c->errors.emit_message = on_message;
    c->progress.progress_monitor = on_progress;
    if (setjmp(c->jump))
        return false;
    jpeg_create_decompress(&c->jpeg);
    c->jpeg.client_data = c;
    c->jpeg.progress = &c->progress;
    jpeg_stdio_src(&c->jpeg, file);
    jpeg_read_header(&c->jpeg, TRUE);
    c->H = (int)c->jpeg.image_height;
    c->W = (int)c->jpeg.image_width;
    return true;
}

static bool start(codec *c)
{
    if (setjmp(c->jump))
        return false;
    const J_COLOR_SPACE from = c->jpeg.jpeg_color_space;
    if (from == JCS_CMYK || from == JCS_YCCK)
        c->jpeg.out_color_space = JCS_CMYK;
    else if (from == JCS_GRAYSCALE)
        c->jpeg.out_color_space = JCS_GRAYSCALE;
    else
        c->jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&c->jpeg);
    c->channels = c->jpeg.output_components;
    return true;
}

static unsigned scaled(unsigned a, unsigned b) /* round(a b / 255) */
{
    const unsigned t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* Inverted CMYK, as Adobe's programs store it; PIL takes every CMYK JPEG so. */
static void to_rgb(const uint8_t *cmyk, int n, uint8_t *rgb)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            rgb[3 * i + k] =
                (uint8_t)(cmyk[4 * i + 3] - scaled(255u - cmyk[4 * i + k], cmyk[4 * i + 3]));
}

static bool read_pixels(codec *c)
{
    if (setjmp(c->jump))
        return false;
    const bool cmyk = c->channels == 4;
    const size_t row = (size_t)c->W * (size_t)(cmyk ? 3 : c->channels);
    while (c->jpeg.output_scanline < c->jpeg.output_height) {
        uint8_t *to = c->raw + row * c->jpeg.output_scanline;
        JSAMPROW line = cmyk ? c->line : to;
        if (jpeg_read_scanlines(&c->jpeg, &line, 1) == 1 && cmyk)
            to_rgb(c->line, c->W, to);
    }
    jpeg_finish_decompress(&c->jpeg);
    return true;
}

static sak_status invalid(const codec *c, const char *name, sak_error *err)
{
    return SAK_FAIL(err, SAK_EFORMAT, "%s: invalid JPEG: %s", name, c->why);
}

static sak_status decode(codec *c, FILE *file, const char *name, sak_image_mode mode, uint8_t **out,
                         sak_error *err)
{
    if (!read_header(c, file))
        return invalid(c, name, err);
    SAK_TRY(sak_image_check_size(name, c->H, c->W, err));
    if (!start(c))
        return invalid(c, name, err);
    if (c->channels != 1 && c->channels != 3 && c->channels != 4)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: a JPEG of %d channels", name, c->channels);
    const size_t n = (size_t)c->H * (size_t)c->W;
    const int got = c->channels == 1 ? 1 : 3, want = mode == SAK_IMAGE_RGB ? 3 : 1;
    SAK_TRY(sak_alloc((void **)&c->raw, n, (size_t)got, err));
    if (c->channels == 4)
        SAK_TRY(sak_alloc((void **)&c->line, (size_t)c->W, 4, err));
    if (!read_pixels(c))
        return invalid(c, name, err);
    if (got == want) {
        *out = c->raw;
        c->raw = NULL;
        return SAK_OK;
    }
    SAK_TRY(sak_alloc((void **)out, n, (size_t)want, err));
    sak_image_convert(c->raw, n, *out, want);
    return SAK_OK;
}

sak_status sak_jpeg_decode(FILE *file, const char *name, sak_image_mode mode, uint8_t **out, int *H,
                           int *W, sak_error *err)
{
    *out = NULL;
    if (mode == SAK_IMAGE_LABEL)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: a JPEG, which does not keep labels' values; store them as PNG", name);
    codec c = {0};
    const sak_status st = decode(&c, file, name, mode, out, err);
    *H = c.H;
    *W = c.W;
    release(&c);
    return st;
}

sak_status sak_jpeg_header(FILE *file, const char *name, int *H, int *W, sak_error *err)
{
    codec c = {0};
    const sak_status st =
        read_header(&c, file) ? sak_image_check_size(name, c.H, c.W, err) : invalid(&c, name, err);
    *H = c.H;
    *W = c.W;
    release(&c);
    return st;
}
