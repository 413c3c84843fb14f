/* add_int and mul_int (rules add-int, mul-int) with numpy broadcasting. */
#include "runtime/kernels/elem_util.h"
#include "runtime/kernels/elem_walk.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/tile_isa.h"

#include <stdlib.h>

/* Multipliers of add_int: 2 * 255 * 2^46 and the rounding fit int64 with room. */
#define ADD_MULTIPLIER_LIMIT ((int64_t)1 << 46)

typedef struct binary_job {
    mrt_walk walk;
    const mrt_call *call;
    const mrt_binary_int_params *params;
    mrt_tile_sum sum;
    const mrt_tile_isa *isa; /* NULL: multipliers are too large for its loops */
    mrt_tile_add add;
    bool signed_a, signed_b, is_add;
    bool adds_bytes; /* `add` holds */
} binary_job;

static mrt_status check_any(const mrt_call *call, int64_t limit, size_t *out_scratch,
                            mrt_error *err) {
    const mrt_binary_int_params *p = call->params;
    const mrt_tensor *in[2] = {mrt_in(call, 0), mrt_in(call, 1)};
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype2(in[0], "a", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_dtype2(in[1], "b", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_dtype2(y, "y", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_walk_check(y, in, 2, err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_a, "zero_point_a", in[0], err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_b, "zero_point_b", in[1], err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_out, "zero_point_out", y, err));
    MRT_TRY(mrt_check_param(p->multiplier_a, "multiplier_a", -limit, limit, err));
    MRT_TRY(mrt_check_param(p->multiplier_b, "multiplier_b", -limit, limit, err));
    MRT_TRY(mrt_check_param(p->shift, "shift", 0, MRT_MAX_SHIFT, err));
    MRT_TRY(mrt_int_check_clamp(p->clamp_min, p->clamp_max, y, err));
    *out_scratch = 0;
    return MRT_OK;
}

/* Operand values without zero point; step 0 repeats one element. */
MRT_INLINE void load(const uint8_t *x, int64_t step, bool is_signed, int32_t zero_point,
                     int32_t *restrict out, int64_t count) {
    if (step == 0) {
        const int32_t v = mrt_int_value(x, 0, is_signed) - zero_point;
        for (int64_t i = 0; i < count; ++i) {
            out[i] = v;
        }
    } else if (is_signed) {
        for (int64_t i = 0; i < count; ++i) {
            out[i] = (int8_t)x[i] - zero_point;
        }
    } else {
        for (int64_t i = 0; i < count; ++i) {
            out[i] = x[i] - zero_point;
        }
    }
}

enum { CHUNK = 256 };

/* The end of both rules: y = clamp(zero_point_out + half_up(sum, shift)). */
MRT_CLONES
static void finish(const int32_t *restrict a, const int32_t *restrict b,
                   const mrt_binary_int_params *p, bool is_add, uint8_t *restrict y,
                   int64_t count) {
    const int64_t ma = p->multiplier_a;
    const int64_t mb = p->multiplier_b;
    const int shift = (int)p->shift;
    const int64_t zero_point = p->zero_point_out;
    const int64_t low = p->clamp_min;
    const int64_t high = p->clamp_max;
    if (is_add) {
        for (int64_t i = 0; i < count; ++i) {
            const int64_t v = mrt_rshift_half_up(a[i] * ma + b[i] * mb, shift);
            y[i] = (uint8_t)mrt_clamp_i64(v + zero_point, low, high);
        }
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        const int64_t v = mrt_rshift_half_up((int64_t)(a[i] * b[i]) * ma, shift);
        y[i] = (uint8_t)mrt_clamp_i64(v + zero_point, low, high);
    }
}

/* a *= b */
MRT_CLONES
static void multiply(int32_t *restrict a, const int32_t *restrict b, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        a[i] *= b[i];
    }
}

static void run_row(const binary_job *job, const uint8_t *a, const uint8_t *b, uint8_t *y,
                    int64_t count) {
    int32_t va[CHUNK];
    int32_t vb[CHUNK];
    const int64_t step_a = job->walk.col_stride[0];
    const int64_t step_b = job->walk.col_stride[1];
    if (job->adds_bytes && step_a == 1 && step_b == 1) {
        job->isa->add(&job->add, a, b, y, count);
        return;
    }
    for (int64_t i = 0; i < count; i += CHUNK) {
        const int64_t n = mrt_min64(CHUNK, count - i);
        load(a + i * step_a, step_a, job->signed_a, (int32_t)job->params->zero_point_a, va, n);
        load(b + i * step_b, step_b, job->signed_b, (int32_t)job->params->zero_point_b, vb, n);
        if (job->isa == NULL) {
            finish(va, vb, job->params, job->is_add, y + i, n);
            continue;
        }
        if (!job->is_add) {
            multiply(va, vb, n);
        }
        job->isa->sum(&job->sum, va, vb, y + i, n);
    }
}

static void run_block(void *context, const mrt_walk *walk, const mrt_walk_block *block) {
    const binary_job *job = context;
    const uint8_t *a = (const uint8_t *)job->call->in[0]->data + block->in[0];
    const uint8_t *b = (const uint8_t *)job->call->in[1]->data + block->in[1];
    uint8_t *y = (uint8_t *)job->call->out[0]->data + block->out;
    for (int64_t r = 0; r < block->rows; ++r) {
        run_row(job, a + r * walk->row_stride[0], b + r * walk->row_stride[1],
                y + r * block->cols, block->cols);
    }
}

static void run_tile(void *context, int64_t tile) {
    binary_job *job = context;
    mrt_walk_tile(&job->walk, tile, run_block, job);
}

static void run_any(const mrt_call *call, bool is_add) {
    binary_job job = {.call = call,
                      .params = call->params,
                      .signed_a = call->in[0]->dtype == MRT_I8,
                      .signed_b = call->in[1]->dtype == MRT_I8,
                      .is_add = is_add};
    const mrt_binary_int_params *p = job.params;
    if (llabs(p->multiplier_a) <= INT32_MAX && llabs(p->multiplier_b) <= INT32_MAX) {
        job.isa = mrt_tile_isa_select();
        job.sum = (mrt_tile_sum){(int32_t)p->multiplier_a, is_add ? (int32_t)p->multiplier_b : 0,
                                 (int32_t)p->shift,        (int32_t)p->zero_point_out,
                                 (int32_t)p->clamp_min,    (int32_t)p->clamp_max};
        job.add.flip_a = job.signed_a ? 0x80 : 0;
        job.add.flip_b = job.signed_b ? 0x80 : 0;
        job.adds_bytes = is_add && mrt_tile_add_init(&job.sum,
                                                     (int32_t)p->zero_point_a + job.add.flip_a,
                                                     (int32_t)p->zero_point_b + job.add.flip_b,
                                                     &job.add);
    }
    mrt_walk_init(&job.walk, &call->out[0]->shape, call->in, 2);
    mrt_parallel_for(call->pool, job.walk.tiles, run_tile, &job);
}

mrt_status mrt_add_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    return check_any(call, ADD_MULTIPLIER_LIMIT, out_scratch, err);
}

void mrt_add_int_run(const mrt_call *call) { run_any(call, true); }

mrt_status mrt_mul_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    return check_any(call, INT32_MAX, out_scratch, err);
}

void mrt_mul_int_run(const mrt_call *call) { run_any(call, false); }
