/* Seeded pseudo-random numbers for tests and deterministic choices: the same on every machine.
 * xoshiro256** seeded through splitmix64. Source: Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2021. Not for secrets. */
#ifndef MICA_UTILS_PRNG_H
#define MICA_UTILS_PRNG_H

#include <stdint.h>

typedef struct mica_prng {
    uint64_t s[4];
} mica_prng;

/* Any seed is fine, 0 too. */
void mica_prng_seed(mica_prng *prng, uint64_t seed);
/* 64 uniform bits. */
uint64_t mica_prng_u64(mica_prng *prng);
/* Uniform in [0, n), without bias; n >= 1. */
uint64_t mica_prng_below(mica_prng *prng, uint64_t n);
/* Uniform in [lo, hi], both included; lo <= hi. */
int64_t mica_prng_range(mica_prng *prng, int64_t lo, int64_t hi);
/* Uniform in [0, 1), a multiple of 2^-24. */
float mica_prng_f32(mica_prng *prng);
/* About normal, mean 0, variance 1, in [-6, 6]: a sum of 12 uniform numbers (no libm, so the bits
 * are the same everywhere). */
float mica_prng_normal(mica_prng *prng);

#endif
