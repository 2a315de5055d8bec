/* The last steps: ignore rules on labels, ImageNet normalisation of the image. */
#include <string.h>

#include "data/augment.h"

void sak_ignore_depth(float *depth, int64_t n, double max)
{
    const float top = max > 0 ? (float)max : 3.4e38f;
    for (int64_t i = 0; i < n; i++) {
        const float d = depth[i];
        depth[i] = ((d > 0) & (d <= top)) ? d : (float)SAK_IGNORE; /* NaN is ignored too */
    }
}

void sak_ignore_normals(float *normals, int64_t n)
{
    for (int64_t i = 0; i < n; i++, normals += 3) {
        const float x = normals[0], y = normals[1], z = normals[2];
        if (!(x * x + y * y + z * z > 0))
            normals[0] = normals[1] = normals[2] = SAK_IGNORE;
    }
}

void sak_ignore_parts(uint8_t *parts, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (parts[i] != 0 && parts[i] != SAK_IGNORE)
            return;
    memset(parts, SAK_IGNORE, (size_t)n);
}

void sak_normalise(const sak_view *v, float *out)
{
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    float table[3][256];
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 256; i++)
            table[c][i] = ((float)i / 255.0f - mean[c]) / std[c];
    const size_t pixels = (size_t)v->s.H * v->s.W;
    if ((size_t)v->w * v->h != pixels)
        memset(out, 0, 3 * pixels * sizeof *out);
    for (int y = v->y0; y < v->y0 + v->h; y++) {
        const size_t at = 3 * ((size_t)y * v->s.W + v->x0);
        const uint8_t *restrict rgb = v->s.rgb + at;
        float *restrict to = out + at;
        for (int x = 0; x < v->w; x++)
            for (int c = 0; c < 3; c++)
                to[3 * x + c] = table[c][rgb[3 * x + c]];
    }
}
