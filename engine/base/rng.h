/* Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011): a pure function of
 * (seed, purpose, step, sample, element), so neither threads nor a resume can change them. */
#ifndef SAK_BASE_RNG_H
#define SAK_BASE_RNG_H

#include <stdint.h>

typedef enum sak_purpose {
    SAK_RNG_INIT = 1, /* parameter initialisation; step = hash of the parameter's name */
    SAK_RNG_OP,       /* noise inside the graph; sample = node */
    SAK_RNG_ORDER,    /* shuffling; step = epoch */
    SAK_RNG_AUGMENT,  /* augmentation; step = epoch, sample = sample index */
    SAK_RNG_SCENE,    /* rooms; sample = scene index */
    SAK_RNG_SAMPLE,   /* other per-sample draws, e.g. prompts */
    SAK_RNG_TEST,
} sak_purpose;

typedef struct sak_rng_key {
    uint64_t seed;
    uint32_t purpose;
    uint64_t step;
    uint32_t sample;
} sak_rng_key;

/* Four independent uniform 32-bit words for element block `i` of the key. */
void sak_rng_block(const sak_rng_key *key, uint32_t i, uint32_t out[4]);

/* A sequential stream over one key, for code that draws one number after another. */
typedef struct sak_rng {
    sak_rng_key key;
    uint32_t next, have, buf[4];
} sak_rng;

sak_rng sak_rng_open(uint64_t seed, sak_purpose purpose, uint64_t step, uint32_t sample);
uint32_t sak_rng_u32(sak_rng *r);
double sak_rng_uniform(sak_rng *r);                      /* [0, 1) */
double sak_rng_range(sak_rng *r, double lo, double hi);  /* [lo, hi) */
int64_t sak_rng_int(sak_rng *r, int64_t n);              /* 0 … n-1, n >= 1 */
double sak_rng_normal(sak_rng *r);                       /* N(0, 1), Box-Muller */

/* N(0,1) of element i under a key: stateless, for parallel fills.  Elements 2j and 2j+1 share a block. */
double sak_rng_normal_at(const sak_rng_key *key, uint64_t i);

#endif
