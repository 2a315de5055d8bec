/* From radiance to an sRGB photograph: exposure, highlights, white balance, the camera's faults. */
#include "data/rooms_scene.h"

static float encode(float x) /* sRGB, IEC 61966-2-1 */
{
    return x <= 0.0031308f ? 12.92f * x : 1.055f * powf(x, 1.0f / 2.4f) - 0.055f;
}

/* Exposure to the scene's target mean, a shoulder for highlights, blur, vignette, sensor noise. */
void sak_rooms_develop(const rooms_scene *s, const float *image, int H, int W, uint8_t *rgb)
{
    enum { TABLE = 1024 };
    float table[TABLE + 1];
    const float cx = 0.5f * (float)W, cy = 0.5f * (float)H;
    const size_t n = (size_t)H * (size_t)W;
    double mean = 0.0;
    for (size_t i = 0; i < n; i++) /* bright pixels count little, as in a camera's metering */
        mean +=
            fminf(0.3f * image[3 * i] + 0.6f * image[3 * i + 1] + 0.1f * image[3 * i + 2], 1.5f);
    const float gain = s->exposure / ((float)(mean / (double)n) + 0.01f);
    for (int i = 0; i <= TABLE; i++) /* input: radiance in [0, 2) after gain */
    {
        const float x = 2.0f * (float)i / TABLE;
        table[i] = encode(x < 0.6f ? x : 0.6f + 0.4f * (1.0f - expf((0.6f - x) / 0.4f)));
    }
    const float side = 0.25f * s->blur, mid = 1.0f - 4.0f * side;
    const float tint[3] = {gain * s->tint.x, gain * s->tint.y, gain * s->tint.z};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const size_t i = 3 * ((size_t)y * (size_t)W + (size_t)x);
            const size_t left = x ? 3 : 0, right = x + 1 < W ? 3 : 0;
            const size_t row = 3 * (size_t)W, up = y ? row : 0, down = y + 1 < H ? row : 0;
            const float u = ((float)x + 0.5f - cx) / cx, v = ((float)y + 0.5f - cy) / cy;
            const float dim = 1.0f - 0.5f * s->vignette * (u * u + v * v);
            for (size_t c = 0; c < 3; c++) {
                const float *p = image + i + c;
                const float lin = mid * *p + side * (p[-(ptrdiff_t)left] + p[right] +
                                                     p[-(ptrdiff_t)up] + p[down]);
                const float f = f_clamp(lin * tint[c] * dim, 0.0f, 1.999f) * (0.5f * TABLE);
                const int k = (int)f;
                float value = table[k] + (table[k + 1] - table[k]) * (f - (float)k);
                if (s->noise > 0.0f) { /* the sum of four uniforms is close enough to a Gaussian */
                    const uint32_t h = sak_rooms_hash((uint32_t)(i + c), 5, s->salt);
                    const int sum = (int)(h & 255) + (int)(h >> 8 & 255) + (int)(h >> 16 & 255) +
                                    (int)(h >> 24);
                    value += s->noise * (float)(sum - 510) * (1.0f / 148.0f);
                }
                rgb[i + c] = (uint8_t)(f_clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f);
            }
        }
}
