/* Half and brain floats, by their bits. */
#include "kernels/half.h"

#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* u without its lowest `drop` bits (1 … 31), to nearest, ties to even. */
static uint32_t shift_round(uint32_t u, int drop)
{
    const uint32_t half = UINT32_C(1) << (drop - 1), rest = u & (2 * half - 1);
    const uint32_t kept = u >> drop;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

static uint16_t to_bfloat(float x)
{
    const uint32_t u = bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)((u >> 16) | 0x40); /* NaN: must not round to infinity */
    return (uint16_t)shift_round(u, 16);
}

/* IEEE 754 binary16: bias 15, 10 bits of fraction. */
static uint16_t to_half(float x)
{
    const uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000, magnitude = u & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x33000000) /* below 2^-25: zero */
        return (uint16_t)sign;
    const int exponent = (int)(magnitude >> 23) - 127;
    if (exponent >= -14) /* a carry out of the fraction raises the exponent, as it should */
        return (uint16_t)(sign | shift_round(magnitude - (UINT32_C(112) << 23), 13));
    /* subnormal: units of 2^-24 */
    const uint32_t fraction = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_round(fraction, -exponent - 1));
}

/* Without branches, so that the loop below becomes vectors: the fraction and exponent in a float's
 * place are 2^-112 of the value, subnormals too; what a half calls infinite gets a float's exponent. */
static inline float half_value(uint16_t h)
{
    const uint32_t magnitude = h & 0x7fffu;
    const uint32_t u = bits_of(from_bits(magnitude << 13) * 0x1p112f);
    const uint32_t special = magnitude >= 0x7c00 ? 0x7f800000u : 0;
    return from_bits(u | special | (uint32_t)(h & 0x8000) << 16);
}

void sak_half_store(int64_t n, const float *x, uint16_t *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = to_half(x[i]);
}

void sak_bfloat_store(int64_t n, const float *x, uint16_t *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = to_bfloat(x[i]);
}

void sak_half_load(int64_t n, const uint16_t *restrict y, float *restrict x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = half_value(y[i]);
}

void sak_bfloat_load(int64_t n, const uint16_t *restrict y, float *restrict x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = from_bits((uint32_t)y[i] << 16);
}
