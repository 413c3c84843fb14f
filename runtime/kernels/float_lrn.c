/* lrn_f32: y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.
 *
 * In double: squares added in increasing channel; the power is exp(-beta * log(base)); rounded
 * once.
 * The window of channel c is [c - (size - 1) / 2, c + size / 2], clipped. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#define CHUNK 256

typedef struct lrn_job {
    const float *x;
    float *y;
    int64_t channels, inner, chunks;
    const mrt_norm_params *params;
} lrn_job;

mrt_status mrt_lrn_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_norm_params *p = call->params;
    MRT_TRY(mrt_check_dtype(mrt_in(call, 0), "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(mrt_out(call, 0), "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(mrt_in(call, 0), "x", 2, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_same_shape(mrt_out(call, 0), "y", mrt_in(call, 0), "x", err));
    MRT_TRY(mrt_check_param(p->size, "size", 1, INT32_MAX, err));
    *out_scratch = 0;
    return MRT_OK;
}

MRT_CLONES static void add_squares(const float *x, int64_t n, double *sum) {
    for (int64_t i = 0; i < n; i++) {
        sum[i] += (double)x[i] * (double)x[i];
    }
}

MRT_CLONES static void divide(const float *x, const double *sum, double factor, double bias,
                              double beta, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        const double base = bias + factor * sum[i];
        const double power = mrt_d_exp_(mrt_clamp_(-beta * mrt_d_log_(base), -700, 700));
        y[i] = (float)((double)x[i] * power);
    }
}

/* One batch index and one chunk of positions. */
static void run_tile(void *context, int64_t tile) {
    const lrn_job *j = context;
    const mrt_norm_params *p = j->params;
    const int64_t at = tile % j->chunks * CHUNK;
    const int64_t n = mrt_min64(CHUNK, j->inner - at);
    const int64_t base = tile / j->chunks * j->channels * j->inner + at;
    double sum[CHUNK];
    for (int64_t c = 0; c < j->channels; c++) {
        const int64_t first = mrt_max64(0, c - (p->size - 1) / 2);
        const int64_t last = mrt_min64(j->channels - 1, c + p->size / 2);
        for (int64_t i = 0; i < n; i++) {
            sum[i] = 0;
        }
        for (int64_t k = first; k <= last; k++) {
            add_squares(j->x + base + k * j->inner, n, sum);
        }
        divide(j->x + base + c * j->inner, sum, p->alpha / (double)p->size, p->bias, p->beta, n,
               j->y + base + c * j->inner);
    }
}

void mrt_lrn_f32_run(const mrt_call *call) {
    const mrt_shape *shape = &call->in[0]->shape;
    lrn_job j = {.x = call->in[0]->data,
                 .y = call->out[0]->data,
                 .channels = shape->dims[1],
                 .inner = mrt_shape_range(shape, 2, shape->rank),
                 .params = call->params};
    j.chunks = mrt_div_up(j.inner, CHUNK);
    mrt_parallel_for(call->pool, shape->dims[0] * j.chunks, run_tile, &j);
}
