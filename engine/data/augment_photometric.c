/* Photometric distortion on 8-bit values.  Steps that act on single values are composed into one
 * table of 256 entries before and one after the HSV part; the HSV part runs on blocks of planes in
 * float, where every intermediate is an integer below 2^24 or provably on the right side of a
 * rounding, so it equals OpenCV's fixed-point result bit for bit without lookups, and at every
 * vector level. */
#include <string.h>

#include "data/augment.h"

enum { BLOCK = 256 };

/* Inlined into one copy of distort_block per instruction set. */
#define INLINE static inline __attribute__((always_inline))

/* R, G, B or H, S, V of a block. */
typedef struct planes {
    _Alignas(64) int32_t c[3][BLOCK];
} planes;

sak_photometric sak_photometric_draw(sak_rng *r, bool distort, bool grey)
{
    sak_photometric p = {0};
    if (distort) {
        p.brightness = sak_rng_uniform(r) < 0.5;
        p.beta = (float)sak_rng_range(r, -32, 32);
        p.contrast = sak_rng_uniform(r) < 0.5;
        p.alpha = (float)sak_rng_range(r, 0.5, 1.5);
        p.contrast_first = sak_rng_uniform(r) < 0.5;
        p.saturation = sak_rng_uniform(r) < 0.5;
        p.saturate = (float)sak_rng_range(r, 0.5, 1.5);
        p.hue = sak_rng_uniform(r) < 0.5;
        p.shift = (int)sak_rng_int(r, 36) - 18; /* -18 … 17, as published */
    }
    if (grey)
        p.grey = sak_rng_uniform(r) < 0.2;
    return p;
}

/* table[v] becomes floor(clip(table[v] * alpha + beta)). */
static void compose(uint8_t table[256], float alpha, float beta)
{
    for (int v = 0; v < 256; v++) {
        const float x = (float)table[v] * alpha + beta;
        table[v] = x <= 0 ? 0 : x >= 255 ? 255 : (uint8_t)x;
    }
}

INLINE int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

INLINE int32_t most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* OpenCV's RGB2HSV_b: S = (d * sdiv[V] + 2048) >> 12 with sdiv[V] = round((255 << 12) / V), and
 * likewise H from hdiv[d] = round((180 << 12) / (6 d)); d = V - min.  Comparisons are of integers
 * and products of floats: the loop then needs nothing beyond SSE2. */
INLINE void to_hsv(planes *p)
{
    int32_t *restrict R = p->c[0], *restrict G = p->c[1], *restrict B = p->c[2];
    for (int i = 0; i < BLOCK; i++) {
        const int32_t r = R[i], g = G[i], b = B[i];
        const int32_t v = most(most(r, g), b), d = v - least(least(r, g), b);
        const float sdiv = (float)(int32_t)(1044480.0f / (float)most(v, 1) + 0.5f);
        const float hdiv = (float)(int32_t)(122880.0f / (float)most(d, 1) + 0.5f);
        int32_t h = v == g ? b - r + 2 * d : r - g + 4 * d;
        h = v == r ? g - b : h;
        h = (int32_t)(((float)h * hdiv + 2048) * 0x1p-12f + 256) - 256; /* floor */
        R[i] = h + (h < 0 ? 180 : 0);
        G[i] = (int32_t)(((float)d * sdiv + 2048) * 0x1p-12f);
        B[i] = v;
    }
}

/* One channel: floor(V - V S a / (255 * 30)), a = the ramp of hue at `turn`; OpenCV's vector path
 * rounds down too.  The product is an integer, so the difference is a whole number or at least
 * 1/7650 away from one: adding half of that outweighs the error of the reciprocal. */
INLINE int32_t ramp(int32_t h, float vs, float v, int32_t turn)
{
    int32_t k = h + turn;
    k -= k >= 180 ? 180 : 0;
    const int32_t a = most(0, least(30, least(k, 120 - k)));
    return (int32_t)(v + 6.5e-5f - vs * (float)a * (1.0f / 7650));
}

INLINE void from_hsv(planes *p)
{
    int32_t *restrict H = p->c[0], *restrict S = p->c[1], *restrict V = p->c[2];
    for (int i = 0; i < BLOCK; i++) {
        const int32_t h = H[i];
        const float v = (float)V[i], vs = v * (float)S[i];
        H[i] = ramp(h, vs, v, 150);
        S[i] = ramp(h, vs, v, 90);
        V[i] = ramp(h, vs, v, 30);
    }
}

INLINE void saturate(planes *p, float factor)
{
    int32_t *s = p->c[1];
    for (int i = 0; i < BLOCK; i++)
        s[i] = least(255, (int32_t)((float)s[i] * factor));
}

INLINE void turn_hue(planes *p, int32_t shift)
{
    int32_t *h = p->c[0];
    const int32_t add = shift < 0 ? shift + 180 : shift;
    for (int i = 0; i < BLOCK; i++) {
        const int32_t x = h[i] + add;
        h[i] = x - (x >= 180 ? 180 : 0);
    }
}

INLINE void distort_planes(planes *b, const sak_photometric *p)
{
    if (p->saturation) {
        to_hsv(b);
        saturate(b, p->saturate);
        from_hsv(b);
    }
    if (p->hue) {
        to_hsv(b);
        turn_hue(b, p->shift);
        from_hsv(b);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void distort_avx2(planes *b, const sak_photometric *p)
{
    distort_planes(b, p);
}

__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))) static void
distort_avx512(planes *b, const sak_photometric *p)
{
    distort_planes(b, p);
}
#endif

static void distort_block(planes *b, const sak_photometric *p, sak_isa isa)
{
#if defined(__x86_64__)
    if (isa == SAK_ISA_AVX512) {
        distort_avx512(b, p);
        return;
    }
    if (isa == SAK_ISA_AVX2) {
        distort_avx2(b, p);
        return;
    }
#else
    (void)isa;
#endif
    distort_planes(b, p);
}

static void split(const uint8_t *rgb, planes *p, int n, const uint8_t table[256])
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            p->c[c][i] = table[rgb[3 * i + c]];
}

static void join(const planes *p, uint8_t *rgb, int n, const uint8_t table[256])
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = table[p->c[c][i]];
}

static void look_up(uint8_t *v, size_t n, const uint8_t table[256])
{
    for (size_t i = 0; i < n; i++)
        v[i] = table[v[i]];
}

/* Luma of ITU-R 601 in 16-bit fixed point. */
static void to_grey(uint8_t *rgb, int n)
{
    for (int i = 0; i < n; i++, rgb += 3) {
        const unsigned y = (19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16;
        rgb[0] = rgb[1] = rgb[2] = (uint8_t)y;
    }
}

void sak_photometric_apply(const sak_photometric *p, uint8_t *rgb, int n, int rows, size_t stride)
{
    sak_photometric_apply_at(sak_cpu_isa(), p, rgb, n, rows, stride);
}

void sak_photometric_apply_at(sak_isa isa, const sak_photometric *p, uint8_t *rgb, int n, int rows,
                              size_t stride)
{
    uint8_t before[256], after[256];
    for (int v = 0; v < 256; v++)
        before[v] = after[v] = (uint8_t)v;
    const bool hsv = p->saturation || p->hue;
    if (p->brightness)
        compose(before, 1, p->beta);
    if (p->contrast)
        compose(p->contrast_first || !hsv ? before : after, p->alpha, 0);
    planes block;
    memset(&block, 0, sizeof block); /* the tail of a block is computed too, and not used */
    for (int y = 0; y < rows; y++, rgb += stride) {
        for (int x = 0; hsv && x < n; x += BLOCK) {
            const int m = n - x < BLOCK ? n - x : BLOCK;
            split(rgb + 3 * x, &block, m, before);
            distort_block(&block, p, isa);
            join(&block, rgb + 3 * x, m, after);
        }
        if (!hsv && (p->brightness || p->contrast))
            look_up(rgb, 3 * (size_t)n, before);
        if (p->grey)
            to_grey(rgb, n);
    }
}

static void convert(const uint8_t *in, uint8_t *out, int n, void (*step)(planes *))
{
    uint8_t same[256];
    for (int v = 0; v < 256; v++)
        same[v] = (uint8_t)v;
    planes block;
    memset(&block, 0, sizeof block);
    for (int x = 0; x < n; x += BLOCK) {
        const int m = n - x < BLOCK ? n - x : BLOCK;
        split(in + 3 * x, &block, m, same);
        step(&block);
        join(&block, out + 3 * x, m, same);
    }
}

void sak_rgb_to_hsv(const uint8_t *rgb, uint8_t *hsv, int n)
{
    convert(rgb, hsv, n, to_hsv);
}

void sak_hsv_to_rgb(const uint8_t *hsv, uint8_t *rgb, int n)
{
    convert(hsv, rgb, n, from_hsv);
}
