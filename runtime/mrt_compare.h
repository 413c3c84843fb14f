/* Comparison of a result with a reference, element by element in double and in index order, so that
 * the sums are the same on every machine and for any number of threads.
 *
 * With r the reference, g the result and d = g - r:
 *   cosine      sum r*g / (|r| |g|)
 *   euclid      1 - |d| / |(r + g) / 2|
 *   sqnr_db     10 log10(sum r^2 / sum d^2)
 *   sqnr0_db    the same with the means of r and of d removed
 *   nsr         sum d^2 / (sum r^2 + 1e-7)
 *   mse         sum d^2 / count
 * Defined borders: nothing to compare, or equal everywhere: cosine 1, euclid 1, sqnr +inf, nsr 0.
 * One side all zero and the other not: cosine 0, euclid -1; a zero reference has sqnr -inf; so has
 * a constant one sqnr0. r + g zero everywhere with d not zero: euclid -inf.
 * NaN and infinity: two NaN at one place, or twice the same infinity, count as equal and stay out
 * of the sums. Any other place with one of them is a mismatch: counted in `mismatched`, left out of
 * the sums, max_abs_diff is infinite, and the verdict can be neither CLOSE nor SIMILAR.
 * Sources: TPU-MLIR's npz comparison for the verdicts, PPQ for nsr. */
#ifndef MRT_COMPARE_H
#define MRT_COMPARE_H

#include "runtime/mrt_status.h"
#include "runtime/mrt_tensor.h"

/* From best to worst; name, text, passes. */
#define MRT_VERDICT_LIST(X)                                                                        \
    X(EQUAL, "EQUAL", true)             /* the same type and bytes */                              \
    X(CLOSE, "CLOSE", true)             /* |d| <= 1e-8 + 10^-k |r| everywhere, k >= 3 */           \
    X(SIMILAR, "SIMILAR", true)         /* all of the tolerances hold, strictly */                 \
    X(NOT_SIMILAR, "NOT_SIMILAR", false) /* one of them does not */                                \
    X(NOT_EQUAL, "NOT_EQUAL", false)    /* integers that differ under exact_integers */

typedef enum mrt_verdict {
#define X(name, text, passes) MRT_VERDICT_##name,
    MRT_VERDICT_LIST(X)
#undef X
} mrt_verdict;

const char *mrt_verdict_text(mrt_verdict verdict);
bool mrt_verdict_passes(mrt_verdict verdict);

typedef struct mrt_tolerance {
    double cosine, euclid; /* SIMILAR needs more than these */
    double sqnr_db;        /* and this; -INFINITY: do not ask */
    bool exact_integers;   /* two integer or boolean tensors must be equal */
    bool dequantize;       /* compare scale * (q - zero_point) where scale > 0 */
} mrt_tolerance;

typedef struct mrt_metrics {
    double cosine, euclid, sqnr_db, sqnr0_db, nsr, mse;
    double max_abs_diff;
    int64_t max_index;   /* first element with max_abs_diff; -1 when it is 0 */
    double max_abs_ref;  /* largest finite |r| */
    int64_t count;       /* elements compared */
    int64_t different;   /* elements that differ as values */
    int64_t first_index; /* first of them; -1 when there is none */
    int64_t mismatched;  /* places where only one side is NaN or a given infinity */
    int close_digits;    /* largest k in 3..8 of CLOSE, 0 when there is none */
} mrt_metrics;

/* The metrics of two arrays of `count` floats. */
void mrt_metrics_f32(const float *ref, const float *got, int64_t count, mrt_metrics *out);

/* Compares two tensors of any element types with the same number of elements; shapes may differ.
 * 64-bit integers beyond 2^53 are rounded in the metrics, but never in the verdicts EQUAL and
 * NOT_EQUAL. out_metrics may be NULL. MRT_INVALID when the counts differ or a type is unknown. */
mrt_status mrt_compare(const mrt_tensor *ref, const mrt_tensor *got,
                       const mrt_tolerance *tolerance, mrt_verdict *out_verdict,
                       mrt_metrics *out_metrics, mrt_error *err);

#endif
