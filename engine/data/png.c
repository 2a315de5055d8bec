/* PNG through libpng.  libpng reports errors with longjmp: everything that must survive the jump
 * lives in a struct the caller owns, so no local variable is indeterminate afterwards. */
#include "data/png.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

typedef struct codec {
    png_structp png;
    png_infop info;
    FILE *file;        /* read from */
    sak_file_out *out; /* written to */
    sak_status st;     /* of the writing, told in err */
    sak_error *err;
    jmp_buf jump;
    char why[256]; /* libpng's words */
    uint8_t *raw;  /* rows as libpng gives them */
    png_bytep *rows;
    int H, W, channels, depth, colour;
} codec;

static bool is_little_endian(void)
{
    return *(const uint8_t *)&(const uint16_t){1} == 1;
}

static void on_error(png_structp png, png_const_charp message)
{
    codec *c = png_get_error_ptr(png);
    snprintf(c->why, sizeof c->why, "%s", message);
    longjmp(c->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message; /* ancillary chunks: no effect on the pixels */
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    codec *c = png_get_io_ptr(png);
    if (fread(to, 1, n, c->file) != n)
        png_error(png, ferror(c->file) ? "the file cannot be read"
                                       : "the file ends too early (truncated)");
}

static void on_write(png_structp png, png_bytep from, size_t n)
{
    codec *c = png_get_io_ptr(png);
    c->st = sak_file_out_write(c->out, from, n, c->err);
    if (c->st != SAK_OK)
        png_error(png, "it cannot be written");
}

static void on_flush(png_structp png)
{
    (void)png;
}

static void release(codec *c)
{
    if (c->png)
        png_destroy_read_struct(&c->png, &c->info, NULL);
    sak_free(c->raw);
    sak_free(c->rows);
}

/* Looks at the first bytes.  Needs no jump target of its own before libpng starts. */
static sak_status start(codec *c, const char *path, sak_error *err)
{
    uint8_t head[8];
    const size_t n = fread(head, 1, sizeof head, c->file);
    if (ferror(c->file))
        return SAK_FAIL(err, SAK_EIO, "%s: %s", path, strerror(errno));
    if (n == 0)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: the file is empty", path);
    if (png_sig_cmp(head, 0, n))
        return SAK_FAIL(err, SAK_EFORMAT, "%s: not a PNG file, nor a JPEG", path);
    if (n < sizeof head)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: invalid PNG: the file ends too early (truncated)",
                        path);
    c->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    c->info = c->png ? png_create_info_struct(c->png) : NULL;
    if (!c->info)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for libpng", path);
    return SAK_OK;
}

/* The steps below return false after libpng's jump; c->why holds the reason. */
static bool read_header(codec *c)
{
    if (setjmp(c->jump))
        return false;
    png_set_read_fn(c->png, c, on_read);
    png_set_user_limits(c->png, PNG_UINT_31_MAX,
                        PNG_UINT_31_MAX); /* checked by sak_image_check_size */
    png_set_sig_bytes(c->png, 8);
    png_read_info(c->png, c->info);
    c->H = (int)png_get_image_height(c->png, c->info);
    c->W = (int)png_get_image_width(c->png, c->info);
    c->depth = png_get_bit_depth(c->png, c->info);
    c->colour = png_get_color_type(c->png, c->info);
    return true;
}

static bool set_transforms(codec *c, sak_image_mode mode)
{
    if (setjmp(c->jump))
        return false;
    const bool palette = c->colour == PNG_COLOR_TYPE_PALETTE;
    if (mode == SAK_IMAGE_LABEL) {
        png_set_packing(c->png); /* 1, 2, 4 bits: one byte each, value unchanged */
    } else if (palette) {
        png_set_palette_to_rgb(c->png);
    } else if (c->depth < 8) {
        png_set_expand_gray_1_2_4_to_8(c->png);
    }
    if (c->depth == 16)
        png_set_scale_16(c->png);
    png_set_strip_alpha(c->png); /* also an alpha that palette_to_rgb makes of tRNS */
    png_set_interlace_handling(c->png);
    png_read_update_info(c->png, c->info);
    c->channels = png_get_channels(c->png, c->info);
    return true;
}

static bool read_pixels(codec *c)
{
    if (setjmp(c->jump))
        return false;
    png_read_image(c->png, c->rows);
    png_read_end(c->png, NULL); /* a missing end is a truncated file */
    return true;
}

static sak_status invalid(const codec *c, const char *path, sak_error *err)
{
    return SAK_FAIL(err, SAK_EFORMAT, "%s: invalid PNG: %s", path, c->why);
}

/* Buffers and row pointers for `channels` bytes per pixel. */
static sak_status reserve(codec *c, sak_error *err)
{
    SAK_TRY(sak_alloc((void **)&c->raw, (size_t)c->H * (size_t)c->W, (size_t)c->channels, err));
    SAK_TRY(sak_alloc((void **)&c->rows, (size_t)c->H, sizeof *c->rows, err));
    for (int y = 0; y < c->H; y++)
        c->rows[y] = c->raw + (size_t)y * (size_t)c->W * (size_t)c->channels;
    return SAK_OK;
}

static sak_status check_labels(const codec *c, const char *path, sak_error *err)
{
    if (c->colour & PNG_COLOR_MASK_COLOR && c->colour != PNG_COLOR_TYPE_PALETTE)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: a label image must be grey or have a palette, this one is %s", path,
                        c->colour & PNG_COLOR_MASK_ALPHA ? "RGBA" : "RGB");
    if (c->depth == 16)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: a label image must have at most 8 bits, this one has 16", path);
    return SAK_OK;
}

static sak_status decode(codec *c, const char *path, sak_image_mode mode, uint8_t **out,
                         sak_error *err)
{
    SAK_TRY(start(c, path, err));
    if (!read_header(c))
        return invalid(c, path, err);
    SAK_TRY(sak_image_check_size(path, c->H, c->W, err));
    if (mode == SAK_IMAGE_LABEL)
        SAK_TRY(check_labels(c, path, err));
    if (!set_transforms(c, mode))
        return invalid(c, path, err);
    SAK_TRY(reserve(c, err));
    if (!read_pixels(c))
        return invalid(c, path, err);
    const int channels = mode == SAK_IMAGE_RGB ? 3 : 1;
    if (c->channels == channels) {
        *out = c->raw;
        c->raw = NULL;
        return SAK_OK;
    }
    SAK_TRY(sak_alloc((void **)out, (size_t)c->H * (size_t)c->W, (size_t)channels, err));
    sak_image_convert(c->raw, (size_t)c->H * (size_t)c->W, *out, channels);
    return SAK_OK;
}

sak_status sak_png_decode(FILE *file, const char *name, sak_image_mode mode, uint8_t **out, int *H,
                          int *W, sak_error *err)
{
    *out = NULL;
    codec c = {.file = file};
    const sak_status st = decode(&c, name, mode, out, err);
    *H = c.H;
    *W = c.W;
    release(&c);
    return st;
}

sak_status sak_png_header(FILE *file, const char *name, int *H, int *W, sak_error *err)
{
    codec c = {.file = file};
    sak_status st = start(&c, name, err);
    if (st == SAK_OK && !read_header(&c))
        st = invalid(&c, name, err);
    if (st == SAK_OK)
        st = sak_image_check_size(name, c.H, c.W, err);
    *H = c.H;
    *W = c.W;
    release(&c);
    return st;
}

static bool read_values(codec *c)
{
    if (setjmp(c->jump))
        return false;
    png_set_packing(c->png);
    if (c->depth == 16 && is_little_endian())
        png_set_swap(c->png);
    png_set_interlace_handling(c->png);
    png_read_update_info(c->png, c->info);
    c->channels = c->depth == 16 ? 2 : 1; /* bytes a pixel */
    return true;
}

static sak_status decode_values(codec *c, const char *name, uint16_t **out, sak_error *err)
{
    SAK_TRY(start(c, name, err));
    if (!read_header(c))
        return invalid(c, name, err);
    SAK_TRY(sak_image_check_size(name, c->H, c->W, err));
    if (c->colour != PNG_COLOR_TYPE_GRAY)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: values are read from a grey PNG, this one has colour, "
                        "a palette or alpha",
                        name);
    if (!read_values(c))
        return invalid(c, name, err);
    SAK_TRY(reserve(c, err));
    if (!read_pixels(c))
        return invalid(c, name, err);
    const size_t n = (size_t)c->H * (size_t)c->W;
    if (c->depth == 16) {
        *out = (uint16_t *)(void *)c->raw;
        c->raw = NULL;
        return SAK_OK;
    }
    SAK_TRY(sak_alloc((void **)out, n, sizeof **out, err));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = c->raw[i];
    return SAK_OK;
}

sak_status sak_png_read_values(const char *path, uint16_t **out, int *H, int *W, sak_error *err)
{
    *out = NULL;
    codec c = {0};
    SAK_TRY(sak_file_stream(path, &c.file, err));
    const sak_status st = decode_values(&c, path, out, err);
    *H = c.H;
    *W = c.W;
    release(&c);
    fclose(c.file);
    return st;
}

static bool write_all(codec *c)
{
    if (setjmp(c->jump))
        return false;
    png_set_write_fn(c->png, c, on_write, on_flush);
    png_set_IHDR(c->png, c->info, (png_uint_32)c->W, (png_uint_32)c->H, 8,
                 c->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(c->png, c->info);
    png_write_image(c->png, c->rows);
    png_write_end(c->png, NULL);
    return true;
}

/* The rows point into the caller's pixels; libpng's writer does not modify them. */
static sak_status encode(codec *c, const uint8_t *pixels, sak_error *err)
{
    SAK_TRY(sak_alloc((void **)&c->rows, (size_t)c->H, sizeof *c->rows, err));
    for (int y = 0; y < c->H; y++)
        c->rows[y] =
            (png_bytep)(uintptr_t)(pixels + (size_t)y * (size_t)c->W * (size_t)c->channels);
    c->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    c->info = c->png ? png_create_info_struct(c->png) : NULL;
    sak_status st = SAK_OK;
    if (!c->info)
        st = SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for libpng", c->out->path);
    else if (!write_all(c))
        st = c->st != SAK_OK ? c->st : SAK_FAIL(err, SAK_EIO, "%s: libpng: %s", c->out->path, c->why);
    if (c->png)
        png_destroy_write_struct(&c->png, &c->info);
    return st;
}

sak_status sak_png_write(const char *path, const uint8_t *pixels, int H, int W, int channels,
                         sak_error *err)
{
    if (H < 1 || W < 1 || H > SAK_IMAGE_MAX_SIDE || W > SAK_IMAGE_MAX_SIDE ||
        (channels != 1 && channels != 3))
        return SAK_FAIL(err, SAK_EINVAL, "%s: cannot write %dx%d pixels of %d channels as PNG",
                        path, H, W, channels);
    sak_file_out out;
    SAK_TRY(sak_file_out_open(&out, path, err));
    codec c = {.out = &out, .H = H, .W = W, .channels = channels, .err = err};
    sak_status st = encode(&c, pixels, err);
    if (st == SAK_OK)
        st = sak_file_out_commit(&out, err);
    sak_file_out_close(&out);
    sak_free(c.rows);
    return st;
}
