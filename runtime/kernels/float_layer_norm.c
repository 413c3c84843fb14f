/* layer_norm_f32 and rms_norm_f32 over the axes from `axis` on.
 *
 * Two passes, all in double: mean = sum x / n, var = sum (x - mean)^2 / n, sums by rule float-sum;
 * inv = 1 / sqrt(var + eps); y = ((x - mean) * inv) * scale + bias, rounded once.
 * rms: mean = 0. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

enum {
    TILE_FLOATS = 8192,
    BLOCK_ROWS = 16, /* and not more than BLOCK_FLOATS, which stay in the first cache */
    BLOCK_FLOATS = 4096
};

typedef struct norm_job {
    const float *x, *scale, *bias; /* scale, bias may be NULL */
    float *y, *mean, *inv;         /* mean, inv may be NULL */
    int64_t rows, size, per_tile;
    double epsilon;
    bool rms;
} norm_job;

/* scale or bias: the normalized axes, leading axes of size 1 allowed. */
static mrt_status check_affine(const mrt_tensor *t, const char *name, const mrt_tensor *x, int axis,
                               mrt_error *err) {
    if (!t) {
        return MRT_OK;
    }
    MRT_TRY(mrt_check_dtype(t, name, MRT_F32, err));
    const int rank = x->shape.rank - axis;
    bool good = t->shape.rank >= rank;
    for (int i = 0; good && i < t->shape.rank; i++) {
        const int from_end = t->shape.rank - i;
        good = t->shape.dims[i] == (from_end > rank ? 1 : x->shape.dims[x->shape.rank - from_end]);
    }
    if (!good) {
        return mrt_fail(err, MRT_INVALID,
                        "operand '%s': expected the shape of x %s from axis %d on, got %s", name,
                        mrt_shape_text(&x->shape).text, axis, mrt_shape_text(&t->shape).text);
    }
    return MRT_OK;
}

/* mean or inv_std: x with the normalized axes 1. */
static mrt_status check_statistic(const mrt_tensor *t, const char *name, const mrt_tensor *x,
                                  int axis, mrt_error *err) {
    if (!t) {
        return MRT_OK;
    }
    mrt_shape shape = x->shape;
    for (int i = axis; i < shape.rank; i++) {
        shape.dims[i] = 1;
    }
    MRT_TRY(mrt_check_dtype(t, name, MRT_F32, err));
    return mrt_check_shape(t, name, &shape, err);
}

static mrt_status check(const mrt_call *call, bool rms, size_t *out_scratch, mrt_error *err) {
    const mrt_norm_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    const int axis = (int)p->axis;
    MRT_TRY(check_affine(mrt_in(call, 1), "scale", x, axis, err));
    if (!rms) {
        MRT_TRY(check_affine(mrt_in(call, 2), "bias", x, axis, err));
        MRT_TRY(check_statistic(mrt_out(call, 1), "mean", x, axis, err));
        MRT_TRY(check_statistic(mrt_out(call, 2), "inv_std", x, axis, err));
    }
    *out_scratch = 0;
    return MRT_OK;
}

mrt_status mrt_layer_norm_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    return check(call, false, out_scratch, err);
}
mrt_status mrt_rms_norm_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    return check(call, true, out_scratch, err);
}

MRT_INLINE void write_row(const norm_job *j, const float *x, double mean, double inv, float *y) {
    const float *scale = j->scale, *bias = j->bias;
    const int64_t n = j->size;
    if (scale && bias) {
        MRT_IVDEP for (int64_t i = 0; i < n; i++) {
            const double v = ((double)x[i] - mean) * inv;
            y[i] = (float)(v * (double)scale[i] + (double)bias[i]);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double v = ((double)x[i] - mean) * inv;
        y[i] = (float)(v * (scale ? (double)scale[i] : 1.0) + (bias ? (double)bias[i] : 0.0));
    }
}

/* A few rows pass by pass: the long chains at the end of a sum overlap with the next row's. */
MRT_CLONES static void run_block(const norm_job *j, int64_t first, int rows) {
    double mean[BLOCK_ROWS], inv[BLOCK_ROWS];
    const double n = (double)j->size;
    const float *x = j->x + first * j->size;
    for (int r = 0; r < rows; r++) {
        mean[r] = j->rms ? 0.0 : mrt_sum_of_(x + r * j->size, j->size, 0.0, false) / n;
    }
    for (int r = 0; r < rows; r++) {
        const double var = mrt_sum_of_(x + r * j->size, j->size, mean[r], true) / n;
        inv[r] = 1.0 / sqrt(var + j->epsilon);
    }
    for (int r = 0; r < rows; r++) {
        write_row(j, x + r * j->size, mean[r], inv[r], j->y + (first + r) * j->size);
        if (j->mean) {
            j->mean[first + r] = (float)mean[r];
        }
        if (j->inv) {
            j->inv[first + r] = (float)inv[r];
        }
    }
}

static void row_tile(void *context, int64_t tile) {
    const norm_job *j = context;
    const int64_t end = mrt_min64(j->rows, (tile + 1) * j->per_tile);
    const int64_t most = mrt_max64(1, mrt_min64(BLOCK_ROWS, BLOCK_FLOATS / mrt_max64(j->size, 1)));
    for (int64_t r = tile * j->per_tile; r < end; r += most) {
        run_block(j, r, (int)mrt_min64(most, end - r));
    }
}

static void run(const mrt_call *call, bool rms) {
    const mrt_norm_params *p = call->params;
    const mrt_tensor *x = call->in[0], *scale = mrt_in(call, 1);
    const mrt_tensor *bias = rms ? NULL : mrt_in(call, 2);
    mrt_tensor *mean = rms ? NULL : mrt_out(call, 1), *inv = rms ? NULL : mrt_out(call, 2);
    norm_job j = {.x = x->data,
                  .scale = scale ? scale->data : NULL,
                  .bias = bias ? bias->data : NULL,
                  .y = call->out[0]->data,
                  .mean = mean ? mean->data : NULL,
                  .inv = inv ? inv->data : NULL,
                  .rows = mrt_shape_range(&x->shape, 0, (int)p->axis),
                  .size = mrt_shape_range(&x->shape, (int)p->axis, x->shape.rank),
                  .epsilon = p->epsilon,
                  .rms = rms};
    j.per_tile = mrt_max64(1, TILE_FLOATS / mrt_max64(j.size, 1));
    mrt_parallel_for(call->pool, mrt_div_up(j.rows, j.per_tile), row_tile, &j);
}

void mrt_layer_norm_f32_run(const mrt_call *call) { run(call, false); }
void mrt_rms_norm_f32_run(const mrt_call *call) { run(call, true); }
