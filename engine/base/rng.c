/* Philox4x32-10 and the distributions drawn from it. */
#include "base/rng.h"

#include <math.h>

static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)p1;
        c[2] = n2;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* SplitMix64's finaliser: folds purpose and the high half of step into the 64-bit Philox key. */
static uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

void sak_rng_block(const sak_rng_key *key, uint32_t i, uint32_t out[4])
{
    const uint64_t k = mix64(key->seed + 0x9E3779B97F4A7C15ull * (key->purpose + 1u));
    out[0] = i;
    out[1] = key->sample;
    out[2] = (uint32_t)key->step;
    out[3] = (uint32_t)(key->step >> 32);
    philox(out, (uint32_t)k, (uint32_t)(k >> 32));
}

sak_rng sak_rng_open(uint64_t seed, sak_purpose purpose, uint64_t step, uint32_t sample)
{
    return (sak_rng){.key = {seed, (uint32_t)purpose, step, sample}};
}

uint32_t sak_rng_u32(sak_rng *r)
{
    if (!r->have) {
        sak_rng_block(&r->key, r->next++, r->buf);
        r->have = 4;
    }
    return r->buf[4 - r->have--];
}

static double unit(uint32_t hi, uint32_t lo)
{
    return (double)(((uint64_t)hi << 21) | (lo >> 11)) * 0x1p-53;
}

double sak_rng_uniform(sak_rng *r)
{
    const uint32_t hi = sak_rng_u32(r);
    return unit(hi, sak_rng_u32(r));
}

double sak_rng_range(sak_rng *r, double lo, double hi)
{
    return lo + (hi - lo) * sak_rng_uniform(r);
}

int64_t sak_rng_int(sak_rng *r, int64_t n)
{
    return (int64_t)(sak_rng_uniform(r) * (double)n);
}

static double box_muller(double u, double v, int second)
{
    const double radius = sqrt(-2.0 * log(1.0 - u)), angle = 6.283185307179586477 * v;
    return radius * (second ? sin(angle) : cos(angle));
}

double sak_rng_normal(sak_rng *r)
{
    const double u = sak_rng_uniform(r);
    return box_muller(u, sak_rng_uniform(r), 0);
}

double sak_rng_normal_at(const sak_rng_key *key, uint64_t i)
{
    uint32_t w[4];
    sak_rng_block(key, (uint32_t)(i >> 1), w);
    return box_muller(unit(w[0], w[1]), unit(w[2], w[3]), (int)(i & 1));
}
