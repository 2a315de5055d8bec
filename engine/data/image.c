/* Pictures: which decoder, and what decoders share. */
#include "data/image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "data/jpeg.h"
#include "data/png.h"

/* A file at its beginning, and whether it is a JPEG. */
static sak_status look(FILE *file, const char *name, bool *jpeg, sak_error *err)
{
    uint8_t head[2];
    const size_t n = fread(head, 1, sizeof head, file);
    if (ferror(file) || fseek(file, 0, SEEK_SET) != 0)
        return SAK_FAIL(err, SAK_EIO, "%s: %s", name, strerror(errno));
    *jpeg = n == 2 && head[0] == 0xFF && head[1] == 0xD8;
    return SAK_OK;
}

static sak_status open_file(const char *path, FILE **file, bool *jpeg, sak_error *err)
{
    SAK_TRY(sak_file_stream(path, file, err));
    const sak_status st = look(*file, path, jpeg, err);
    if (st != SAK_OK)
        fclose(*file);
    return st;
}

sak_status sak_image_read(const char *path, sak_image_mode mode, uint8_t **out, int *H, int *W,
                          sak_error *err)
{
    FILE *file;
    bool jpeg;
    *out = NULL;
    SAK_TRY(open_file(path, &file, &jpeg, err));
    const sak_status st =
        (jpeg ? sak_jpeg_decode : sak_png_decode)(file, path, mode, out, H, W, err);
    fclose(file);
    return st;
}

sak_status sak_image_parse(const char *name, const void *data, size_t size, sak_image_mode mode,
                           uint8_t **out, int *H, int *W, sak_error *err)
{
    bool jpeg;
    *out = NULL;
    if (size == 0) /* which fmemopen may refuse */
        return SAK_FAIL(err, SAK_EFORMAT, "%s: the file is empty", name);
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "rb"); /* read only: data stays as it is */
    if (!file)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: %s", name, strerror(errno));
    sak_status st = look(file, name, &jpeg, err);
    if (st == SAK_OK)
        st = (jpeg ? sak_jpeg_decode : sak_png_decode)(file, name, mode, out, H, W, err);
    fclose(file);
    return st;
}

sak_status sak_image_size(const char *path, int *H, int *W, sak_error *err)
{
    FILE *file;
    bool jpeg;
    SAK_TRY(open_file(path, &file, &jpeg, err));
    const sak_status st = (jpeg ? sak_jpeg_header : sak_png_header)(file, path, H, W, err);
    fclose(file);
    return st;
}

sak_status sak_image_check_size(const char *name, int64_t H, int64_t W, sak_error *err)
{
    if (H > SAK_IMAGE_MAX_SIDE || W > SAK_IMAGE_MAX_SIDE)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: %lld x %lld pixels, larger than %d on a side", name,
                        (long long)H, (long long)W, SAK_IMAGE_MAX_SIDE);
    if (H * W > SAK_IMAGE_MAX_PIXELS)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: %lld x %lld pixels, more than %d in all", name,
                        (long long)H, (long long)W, SAK_IMAGE_MAX_PIXELS);
    return SAK_OK;
}

void sak_image_convert(const uint8_t *p, size_t n, uint8_t *out, int channels)
{
    for (size_t i = 0; i < n && channels == 3; i++)
        out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = p[i];
    for (size_t i = 0; i < n && channels == 1; i++)
        out[i] = (uint8_t)((p[3 * i] * 19595u + p[3 * i + 1] * 38470u + p[3 * i + 2] * 7471u +
                            0x8000u) >>
                           16);
}
