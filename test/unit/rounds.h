/* Random tests from outside: MICA_TEST_SEED=N draws other cases, MICA_TEST_ROUNDS=PERCENT more or fewer of
 * them. By default always the same ones; a third of them under sanitizers, where each takes ten times
 * longer. The nightly test/nightly/differential.py sets both. */
#ifndef TEST_ROUNDS_H
#define TEST_ROUNDS_H

#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ROUNDS_PERCENT 34
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ROUNDS_PERCENT 34
#endif
#endif
#ifndef TEST_ROUNDS_PERCENT
#define TEST_ROUNDS_PERCENT 100
#endif

/* Repetitions of a test that has n by default; at least one. */
static inline int test_rounds(int n) {
    const char *percent = getenv("MICA_TEST_ROUNDS");
    const long rounds = n * (percent ? strtol(percent, NULL, 10) : TEST_ROUNDS_PERCENT) / 100;
    return rounds < 1 ? 1 : (int)rounds;
}
#define TEST_ROUNDS(n) test_rounds(n)

/* The state that a generator begins with: `state`, unless a seed is given; never 0. */
static inline uint64_t test_seed(uint64_t state) {
    const char *seed = getenv("MICA_TEST_SEED");
    if (seed == NULL) {
        return state;
    }
    uint64_t mixed = state + strtoull(seed, NULL, 10) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return (mixed ^ mixed >> 31) | 1;
}

#endif
