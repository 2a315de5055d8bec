/* From files to the arrays of a sample, one reader per modality. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/folder.h"
#include "data/npy.h"
#include "data/png.h"

sak_status sak_folder_same_size(const char *path, int H, int W, const sak_sample *s, sak_error *err)
{
    if (H == s->H && W == s->W)
        return SAK_OK;
    return SAK_FAIL(err, SAK_ESHAPE, "%s: is %d x %d, but its image is %d x %d (height x width)",
                    path, H, W, s->H, s->W);
}

/* Pixels of a label picture, checked to be of the image's size. */
static sak_status pixels(const char *path, sak_image_mode mode, const sak_sample *s, uint8_t **v,
                         sak_error *err)
{
    int H, W;
    SAK_TRY(sak_image_read(path, mode, v, &H, &W, err));
    const sak_status st = sak_folder_same_size(path, H, W, s, err);
    if (st != SAK_OK) {
        sak_free(*v);
        *v = NULL;
    }
    return st;
}

static sak_status read_image(const sak_dataset *d, const sak_modality *m, const char *path,
                             sak_sample *s, sak_error *err)
{
    (void)m;
    uint8_t *v;
    int H, W;
    SAK_TRY(sak_image_read(path, SAK_IMAGE_RGB, &v, &H, &W, err));
    const sak_status st = sak_sample_reserve(s, d->has, H, W, err); /* it decides the size */
    if (st == SAK_OK)
        memcpy(s->rgb, v, (size_t)H * (size_t)W * 3);
    sak_free(v);
    return st;
}

static sak_status is_npy(const char *path, bool *npy, sak_error *err)
{
    char head[6] = "";
    FILE *file = fopen(path, "rb");
    if (!file)
        return SAK_FAIL(err, SAK_ENOENT, "%s: cannot be opened", path);
    *npy = fread(head, 1, sizeof head, file) == sizeof head && memcmp(head, "\x93NUMPY", 6) == 0;
    fclose(file);
    const size_t n = strlen(path);
    *npy |= n > 4 && strcmp(path + n - 4, ".npy") == 0; /* a broken one is still no PNG */
    return SAK_OK;
}

static float metres(double v, double scale)
{
    const double x = v * scale;
    return x > 0 && isfinite(x) ? (float)x : 0;
}

static sak_status depth_of_npy(const char *path, double scale, sak_sample *s, sak_error *err)
{
    float *v = NULL;
    sak_shape shape;
    SAK_TRY(sak_npy_read(path, &v, &shape, err));
    const bool flat = shape.n == 2 || (shape.n == 3 && shape.d[2] == 1);
    sak_status st;
    if (!flat || shape.d[0] > SAK_IMAGE_MAX_SIDE || shape.d[1] > SAK_IMAGE_MAX_SIDE)
        st = SAK_FAIL(err, SAK_ESHAPE, "%s: shape %s is not a depth map (H, W)", path,
                      SAK_SHAPE_TEXT(&shape));
    else
        st = sak_folder_same_size(path, (int)shape.d[0], (int)shape.d[1], s, err);
    for (int64_t i = 0; st == SAK_OK && i < (int64_t)s->H * s->W; i++)
        s->depth[i] = metres((double)v[i], scale);
    sak_free(v);
    return st;
}

static sak_status read_depth(const sak_dataset *d, const sak_modality *m, const char *path,
                             sak_sample *s, sak_error *err)
{
    (void)d;
    const double scale = m->scale != 0 ? m->scale : 1;
    bool npy = false;
    SAK_TRY(is_npy(path, &npy, err));
    if (npy)
        return depth_of_npy(path, scale, s, err);
    uint16_t *v;
    int H, W;
    SAK_TRY(sak_png_read_values(path, &v, &H, &W, err));
    const sak_status st = sak_folder_same_size(path, H, W, s, err);
    for (int64_t i = 0; st == SAK_OK && i < (int64_t)H * W; i++)
        s->depth[i] = metres(v[i], scale);
    sak_free(v);
    return st;
}

/* Unit vectors again after the 8 bits; what is far from unit length (grey, black) is no normal. */
static sak_status read_normals(const sak_dataset *d, const sak_modality *m, const char *path,
                               sak_sample *s, sak_error *err)
{
    (void)d;
    uint8_t *v;
    SAK_TRY(pixels(path, SAK_IMAGE_RGB, s, &v, err));
    static const int8_t as_stored[3] = {1, 2, 3};
    const int8_t *axis = m->axis[0] ? m->axis : as_stored;
    for (int64_t i = 0; i < (int64_t)s->H * s->W; i++) {
        float x[3], q = 0;
        for (int k = 0; k < 3; k++) {
            const int from = axis[k] < 0 ? -axis[k] : axis[k];
            const float u = 2.0f * (float)v[3 * i + from - 1] / 255.0f - 1.0f;
            x[k] = axis[k] < 0 ? -u : u;
            q += x[k] * x[k];
        }
        q = sqrtf(q);
        for (int k = 0; k < 3; k++)
            s->normals[3 * i + k] = q > 0.5f && q < 1.5f ? x[k] / q : 0;
    }
    sak_free(v);
    return SAK_OK;
}

/* Does the layout look for a file with the classes' names? */
static bool lists_classes(const sak_dataset *d, const sak_modality *m)
{
    const sak_folder *f = d->state;
    return m->flag == SAK_HAS_SEMSEG && f->layout.class_file;
}

static sak_status decode_values(const sak_dataset *d, const sak_modality *m, const char *path,
                                const uint8_t *v, int64_t n, int classes, uint8_t *out,
                                sak_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        const bool ignore = v[i] == SAK_IGNORE || v[i] < m->offset || v[i] == m->ignore;
        if (!ignore && v[i] - m->offset >= classes)
            return SAK_FAIL(err, SAK_EFORMAT,
                            "%s: label %d, but there are %d classes (stored as %d to %d)%s", path,
                            v[i], classes, m->offset, classes - 1 + m->offset,
                            lists_classes(d, m) ? "; list them in classes.txt" : "");
        out[i] = ignore ? SAK_IGNORE : (uint8_t)(v[i] - m->offset);
    }
    return SAK_OK;
}

static sak_status decode_colours(const sak_modality *m, const char *path, const uint8_t *v,
                                 int64_t n, int W, uint8_t *out, sak_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *p = v + 3 * i;
        if (i && memcmp(p, p - 3, 3) == 0) { /* neighbours mostly agree */
            out[i] = out[i - 1];
            continue;
        }
        if ((p[0] << 16 | p[1] << 8 | p[2]) == m->ignore_colour) {
            out[i] = SAK_IGNORE;
            continue;
        }
        int c = 0;
        while (c < m->colours && memcmp(p, m->colour[c], 3) != 0)
            c++;
        if (c == m->colours)
            return SAK_FAIL(err, SAK_EFORMAT,
                            "%s: colour {%d, %d, %d} at row %lld, column %lld is none of the %d "
                            "classes'; list it in colours, or give it as ignore",
                            path, p[0], p[1], p[2], (long long)(i / W), (long long)(i % W),
                            m->colours);
        out[i] = (uint8_t)c;
    }
    return SAK_OK;
}

static sak_status read_classes(const sak_dataset *d, const sak_modality *m, const char *path,
                               sak_sample *s, sak_error *err)
{
    const bool semseg = m->flag == SAK_HAS_SEMSEG;
    uint8_t *v, *out = semseg ? s->semseg : s->parts;
    const int64_t n = (int64_t)s->H * s->W;
    SAK_TRY(pixels(path, m->colours ? SAK_IMAGE_RGB : SAK_IMAGE_LABEL, s, &v, err));
    const sak_status st =
        m->colours ? decode_colours(m, path, v, n, s->W, out, err)
                   : decode_values(d, m, path, v, n, semseg ? d->classes : d->parts, out, err);
    sak_free(v);
    return st;
}

static sak_status read_mask(const sak_dataset *d, const sak_modality *m, const char *path,
                            sak_sample *s, sak_error *err)
{
    (void)d;
    uint8_t *v, *out = m->flag == SAK_HAS_EDGE ? s->edge : s->sal;
    const int threshold = m->threshold ? m->threshold : 128;
    SAK_TRY(pixels(path, SAK_IMAGE_GREY, s, &v, err));
    for (int64_t i = 0; i < (int64_t)s->H * s->W; i++)
        out[i] = v[i] >= threshold;
    sak_free(v);
    return SAK_OK;
}

sak_modality_read *sak_modality_reader(unsigned flag)
{
    switch (flag) {
    case SAK_HAS_IMAGE:
        return read_image;
    case SAK_HAS_DEPTH:
        return read_depth;
    case SAK_HAS_NORMALS:
        return read_normals;
    case SAK_HAS_SEMSEG:
    case SAK_HAS_PARTS:
        return read_classes;
    default:
        return read_mask;
    }
}
