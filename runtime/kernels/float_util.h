/* Shared by the float kernels: activation epilogues and sums in a written order. */
#ifndef MRT_FLOAT_UTIL_H
#define MRT_FLOAT_UTIL_H

#include "runtime/kernels/kernel_util.h"
#include "runtime/mrt_clones.h"

/* y[r, c] = act(y[r, c] + bias): bias is one value per row, or NULL. limit < 0: no upper bound.
 * A NaN stays NaN. */
typedef struct mrt_epilogue {
    const float *bias;
    bool relu;
    float limit;
} mrt_epilogue;

mrt_epilogue mrt_epilogue_make(const float *bias, int64_t act, double act_limit);
/* `bias` index r goes with row r. Does nothing when there is nothing to do. */
void mrt_epilogue_rows(const mrt_epilogue *e, float *y, int64_t rows, int64_t cols, int64_t ld);

/* act is MRT_ACT_NONE or MRT_ACT_RELU. */
mrt_status mrt_check_act(int64_t act, mrt_error *err);

/* Rule float-sum: 16 partial sums in double, element i goes to partial i mod 16 in increasing i;
 * then partial j adds partial j + 8, j + 4, j + 2, j + 1. The same bits on every machine. */
double mrt_sum(const float *x, int64_t n);
/* Sums of (x - center)^2, each term computed in double. */
double mrt_sum_squares(const float *x, int64_t n, double center);
enum { MRT_SUM_PARTS = 16 };
MRT_INLINE double mrt_fold_(double *part) {
    for (int half = MRT_SUM_PARTS / 2; half > 0; half /= 2) {
        for (int j = 0; j < half; j++) {
            part[j] += part[j + half];
        }
    }
    return part[0];
}

MRT_INLINE double mrt_sum_of_(const float *x, int64_t n, double center, bool square) {
    double part[MRT_SUM_PARTS] = {0};
    int64_t i = 0;
    for (; i + MRT_SUM_PARTS <= n; i += MRT_SUM_PARTS) {
        for (int j = 0; j < MRT_SUM_PARTS; j++) {
            const double d = (double)x[i + j] - center;
            part[j] += square ? d * d : d;
        }
    }
    for (int j = 0; i + j < n; j++) {
        const double d = (double)x[i + j] - center;
        part[j] += square ? d * d : d;
    }
    return mrt_fold_(part);
}

/* Largest element; -infinity for n = 0. A NaN is skipped. */
float mrt_max(const float *x, int64_t n);

/* Scratch is cut into equal slices, one per lane. A lane is one tile of mrt_parallel_for that works
 * through its share [begin, end) of the items; the count of lanes depends on shapes only. */
#define MRT_LANES 32
static inline int64_t mrt_lane_count(int64_t items) { return mrt_min64(items, MRT_LANES); }
static inline int64_t mrt_lane_begin(int64_t items, int64_t lanes, int64_t lane) {
    return items / lanes * lane + mrt_min64(items % lanes, lane);
}

/* scratch = lanes * bytes, or MRT_INVALID when that is beyond any memory. */
static inline mrt_status mrt_lane_scratch(int64_t lanes, size_t bytes, size_t *out_scratch,
                                          mrt_error *err) {
    if (bytes > (SIZE_MAX >> 16)) {
        return mrt_fail(err, MRT_INVALID, "operands need too much working memory");
    }
    *out_scratch = (size_t)lanes * mrt_align64(bytes);
    return MRT_OK;
}

#endif
