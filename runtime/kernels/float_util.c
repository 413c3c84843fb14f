#include "runtime/kernels/float_util.h"

#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

mrt_epilogue mrt_epilogue_make(const float *bias, int64_t act, double act_limit) {
    const mrt_epilogue e = {bias, act == MRT_ACT_RELU, act_limit >= 0 ? (float)act_limit : -1.0f};
    return e;
}

MRT_INLINE float bounded(float v, float low, float high) {
    v = v < low ? low : v;
    return v > high ? high : v;
}

/* Without an activation the bounds are infinite, so one loop serves all cases. */
MRT_CLONES static void finish_row(const mrt_epilogue *e, float bias, float *y, int64_t n) {
    const float low = e->relu ? 0.0f : -INFINITY;
    const float high = e->relu && e->limit >= 0 ? e->limit : INFINITY;
    for (int64_t i = 0; i < n; i++) {
        y[i] = bounded(y[i] + bias, low, high);
    }
}

void mrt_epilogue_rows(const mrt_epilogue *e, float *y, int64_t rows, int64_t cols, int64_t ld) {
    if (!e->bias && !e->relu) {
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        finish_row(e, e->bias ? e->bias[r] : -0.0f, y + r * ld, cols);
    }
}

mrt_status mrt_check_act(int64_t act, mrt_error *err) {
    return mrt_check_param(act, "act", MRT_ACT_NONE, MRT_ACT_RELU, err);
}

#define PARTS 16

MRT_INLINE double fold(double *part) {
    for (int half = PARTS / 2; half > 0; half /= 2) {
        for (int j = 0; j < half; j++) {
            part[j] += part[j + half];
        }
    }
    return part[0];
}

MRT_INLINE double sum_of(const float *x, int64_t n, double center, bool square) {
    double part[PARTS] = {0};
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS) {
        for (int j = 0; j < PARTS; j++) {
            const double d = (double)x[i + j] - center;
            part[j] += square ? d * d : d;
        }
    }
    for (int j = 0; i + j < n; j++) {
        const double d = (double)x[i + j] - center;
        part[j] += square ? d * d : d;
    }
    return fold(part);
}

MRT_CLONES double mrt_sum(const float *x, int64_t n) { return sum_of(x, n, 0.0, false); }

MRT_CLONES double mrt_sum_squares(const float *x, int64_t n, double center) {
    return sum_of(x, n, center, true);
}

MRT_CLONES float mrt_max(const float *x, int64_t n) {
    float part[PARTS];
    for (int j = 0; j < PARTS; j++) {
        part[j] = -INFINITY;
    }
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS) {
        for (int j = 0; j < PARTS; j++) {
            part[j] = x[i + j] > part[j] ? x[i + j] : part[j];
        }
    }
    float max = -INFINITY;
    for (; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }
    for (int j = 0; j < PARTS; j++) {
        max = part[j] > max ? part[j] : max;
    }
    return max;
}
