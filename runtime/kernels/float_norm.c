/* batch_norm_f32, group_norm_f32 and scale_f32: one scale and shift per channel.
 *
 * batch_norm, group_norm: y = ((x - mean) * a) + bias in double, rounded once, with
 * a = scale / sqrt(var + eps). group_norm: mean and var of a group of channels by rule float-sum
 * (the group is contiguous). scale: y = x * scale + bias in float, each operation rounded. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#include <assert.h>

#define TILE_FLOATS 16384

/* x as [outer, channels, inner]. */
typedef struct channel_job {
    const mrt_call *call;
    int64_t outer, channels, inner;
    int64_t groups, per_tile;
    double epsilon;
} channel_job;

static mrt_status check_xy(const mrt_call *call, int min_rank, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 0), "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(mrt_out(call, 0), "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(mrt_in(call, 0), "x", min_rank, MRT_MAX_RANK, err));
    return mrt_check_same_shape(mrt_out(call, 0), "y", mrt_in(call, 0), "x", err);
}

static mrt_status check_vectors(const mrt_call *call, const char *const *names, int count,
                                int64_t channels, mrt_error *err) {
    for (int i = 1; i <= count; i++) {
        MRT_TRY(mrt_check_dtype(mrt_in(call, i), names[i], MRT_F32, err));
        MRT_TRY(mrt_check_shape1(mrt_in(call, i), names[i], channels, err));
    }
    return MRT_OK;
}

static channel_job make_job(const mrt_call *call, int axis) {
    const mrt_shape *shape = &call->in[0]->shape;
    channel_job j = {.call = call,
                     .outer = mrt_shape_range(shape, 0, axis),
                     .channels = shape->dims[axis],
                     .inner = mrt_shape_range(shape, axis + 1, shape->rank)};
    j.per_tile = mrt_max64(1, TILE_FLOATS / mrt_max64(j.inner, 1));
    return j;
}

static const float *data(const mrt_call *call, int i) {
    const mrt_tensor *t = mrt_in(call, i);
    return t ? t->data : NULL;
}

/* y = (x - mean) * a + b */
MRT_CLONES static void affine(const float *x, double mean, double a, double b, int64_t n,
                              float *y) {
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = (float)(((double)x[i] - mean) * a + b); }
}

/* --- batch norm --- */

mrt_status mrt_batch_norm_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    static const char *const names[] = {"x", "scale", "bias", "mean", "var"};
    MRT_TRY(check_xy(call, 2, err));
    MRT_TRY(check_vectors(call, names, 4, call->in[0]->shape.dims[1], err));
    *out_scratch = 0;
    return MRT_OK;
}

static void batch_norm_tile(void *context, int64_t tile) {
    const channel_job *j = context;
    const int64_t end = mrt_min64(j->outer * j->channels, (tile + 1) * j->per_tile);
    const float *x = j->call->in[0]->data;
    float *y = j->call->out[0]->data;
    for (int64_t i = tile * j->per_tile; i < end; i++) {
        const int64_t c = i % j->channels;
        const double var = (double)data(j->call, 4)[c];
        const double a = (double)data(j->call, 1)[c] / sqrt(var + j->epsilon);
        affine(x + i * j->inner, (double)data(j->call, 3)[c], a, (double)data(j->call, 2)[c],
               j->inner, y + i * j->inner);
    }
}

void mrt_batch_norm_f32_run(const mrt_call *call) {
    channel_job j = make_job(call, 1);
    j.epsilon = ((const mrt_norm_params *)call->params)->epsilon;
    mrt_parallel_for(call->pool, mrt_div_up(j.outer * j.channels, j.per_tile), batch_norm_tile, &j);
}

/* --- group norm --- */

mrt_status mrt_group_norm_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    static const char *const names[] = {"x", "scale", "bias"};
    const mrt_norm_params *p = call->params;
    MRT_TRY(check_xy(call, 2, err));
    const int64_t channels = call->in[0]->shape.dims[1];
    MRT_TRY(mrt_check_param(p->groups, "groups", 1, mrt_max64(channels, 1), err));
    if (channels % p->groups != 0) {
        return mrt_fail(err, MRT_INVALID,
                        "parameter 'groups': %" PRId64 " does not divide %" PRId64 " channels",
                        p->groups, channels);
    }
    MRT_TRY(check_vectors(call, names, 2, channels, err));
    *out_scratch = 0;
    return MRT_OK;
}

static void group_norm_tile(void *context, int64_t tile) {
    const channel_job *j = context;
    const int64_t channels = j->channels / j->groups;
    const int64_t n = channels * j->inner;
    const float *x = (const float *)j->call->in[0]->data + tile * n;
    float *y = (float *)j->call->out[0]->data + tile * n;
    const double mean = mrt_sum(x, n) / (double)n;
    const double var = mrt_sum_squares(x, n, mean) / (double)n;
    const double inv = 1.0 / sqrt(var + j->epsilon);
    for (int64_t i = 0; i < channels; i++) {
        const int64_t c = tile % j->groups * channels + i;
        affine(x + i * j->inner, mean, inv * (double)data(j->call, 1)[c],
               (double)data(j->call, 2)[c], j->inner, y + i * j->inner);
    }
}

void mrt_group_norm_f32_run(const mrt_call *call) {
    const mrt_norm_params *p = call->params;
    channel_job j = make_job(call, 1);
    j.epsilon = p->epsilon;
    j.groups = p->groups;
    mrt_parallel_for(call->pool, j.outer * j.groups, group_norm_tile, &j);
}

/* --- scale --- */

mrt_status mrt_scale_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    static const char *const names[] = {"x", "scale", "bias"};
    const mrt_axis_params *p = call->params;
    MRT_TRY(check_xy(call, 1, err));
    MRT_TRY(mrt_check_axis(p->axis, call->in[0], err));
    MRT_TRY(check_vectors(call, names, mrt_in(call, 2) ? 2 : 1, call->in[0]->shape.dims[p->axis],
                          err));
    *out_scratch = 0;
    return MRT_OK;
}

MRT_CLONES static void scale_run(const float *x, float scale, float bias, int64_t n, float *y) {
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = x[i] * scale + bias; }
}
/* The channel axis is the last one. */
MRT_CLONES static void scale_row(const float *x, const float *scale, const float *bias, int64_t n,
                                 float *y) {
    if (!bias) {
        MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = x[i] * scale[i]; }
        return;
    }
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = x[i] * scale[i] + bias[i]; }
}

static void scale_tile(void *context, int64_t tile) {
    const channel_job *j = context;
    const float *x = j->call->in[0]->data;
    float *y = j->call->out[0]->data;
    const float *scale = data(j->call, 1), *bias = data(j->call, 2);
    if (j->inner == 1) {
        const int64_t end = mrt_min64(j->outer, (tile + 1) * j->per_tile);
        for (int64_t i = tile * j->per_tile; i < end; i++) {
            scale_row(x + i * j->channels, scale, bias, j->channels, y + i * j->channels);
        }
        return;
    }
    const int64_t end = mrt_min64(j->outer * j->channels, (tile + 1) * j->per_tile);
    for (int64_t i = tile * j->per_tile; i < end; i++) {
        const int64_t c = i % j->channels;
        scale_run(x + i * j->inner, scale[c], bias ? bias[c] : -0.0f, j->inner, y + i * j->inner);
    }
}

void mrt_scale_f32_run(const mrt_call *call) {
    channel_job j = make_job(call, (int)((const mrt_axis_params *)call->params)->axis);
    int64_t items = j.outer * j.channels;
    if (j.inner == 1) {
        items = j.outer;
        j.per_tile = mrt_max64(1, TILE_FLOATS / mrt_max64(j.channels, 1));
    }
    mrt_parallel_for(call->pool, mrt_div_up(items, j.per_tile), scale_tile, &j);
}
