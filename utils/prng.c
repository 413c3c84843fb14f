#include "utils/prng.h"

void mica_prng_seed(mica_prng *prng, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        prng->s[i] = z ^ (z >> 31);
    }
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t mica_prng_u64(mica_prng *prng) {
    uint64_t *s = prng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t mica_prng_below(mica_prng *prng, uint64_t n) {
    /* Draws in the incomplete last multiple of n are rejected. */
    uint64_t tail = (UINT64_MAX % n + 1) % n, x;
    do {
        x = mica_prng_u64(prng);
    } while (x > UINT64_MAX - tail);
    return x % n;
}

int64_t mica_prng_range(mica_prng *prng, int64_t lo, int64_t hi) {
    uint64_t span = (uint64_t)hi - (uint64_t)lo;
    uint64_t x = span == UINT64_MAX ? mica_prng_u64(prng) : mica_prng_below(prng, span + 1);
    return (int64_t)((uint64_t)lo + x);
}

float mica_prng_f32(mica_prng *prng) { return (float)(mica_prng_u64(prng) >> 40) * 0x1p-24f; }

float mica_prng_normal(mica_prng *prng) {
    int64_t sum = 0; /* exact: 12 numbers of 24 bits */
    for (int i = 0; i < 12; i++) {
        sum += (int64_t)(mica_prng_u64(prng) >> 40);
    }
    return (float)(sum - 6 * (INT64_C(1) << 24)) * 0x1p-24f;
}
