/* Repetitions of random tests: a third of them under sanitizers, where each takes ten times longer. */
#ifndef TEST_ROUNDS_H
#define TEST_ROUNDS_H

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ROUNDS(n) (((n) + 2) / 3)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ROUNDS(n) (((n) + 2) / 3)
#endif
#endif
#ifndef TEST_ROUNDS
#define TEST_ROUNDS(n) (n)
#endif

#endif
