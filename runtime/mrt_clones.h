/* MRT_CLONES: compile a function once per vector width and pick one when the program is loaded.
 *
 * Put it on functions whose inner loops the compiler vectorizes. All clones give the same bits: the
 * build turns contraction off, vector lanes never exchange data in a reduction (no -ffast-math),
 * and + - * / sqrt are correctly rounded at every width. A test compares the clones.
 * Empty where load-time dispatch is missing: other compilers and machines, and under sanitizers
 * (their run-time library is not yet set up when the choice is made). */
#ifndef MRT_CLONES_H
#define MRT_CLONES_H

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MRT_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MRT_CLONES
#endif

/* Helper of a cloned function: must be compiled inside it to get its vector width. */
#define MRT_INLINE static inline __attribute__((always_inline))

#endif
