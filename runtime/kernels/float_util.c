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

MRT_CLONES double mrt_sum(const float *x, int64_t n) { return mrt_sum_of_(x, n, 0.0, false); }

MRT_CLONES double mrt_sum_squares(const float *x, int64_t n, double center) {
    return mrt_sum_of_(x, n, center, true);
}

MRT_CLONES float mrt_max(const float *x, int64_t n) {
    float part[MRT_SUM_PARTS];
    for (int j = 0; j < MRT_SUM_PARTS; j++) {
        part[j] = -INFINITY;
    }
    int64_t i = 0;
    for (; i + MRT_SUM_PARTS <= n; i += MRT_SUM_PARTS) {
        for (int j = 0; j < MRT_SUM_PARTS; j++) {
            part[j] = x[i + j] > part[j] ? x[i + j] : part[j];
        }
    }
    float max = -INFINITY;
    for (; i < n; i++) {
        max = x[i] > max ? x[i] : max;
    }
    for (int j = 0; j < MRT_SUM_PARTS; j++) {
        max = part[j] > max ? part[j] : max;
    }
    return max;
}
