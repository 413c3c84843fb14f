/* matmul_packed, matmul_packed_real (rules matmul-int, matmul-real): rows times a constant matrix, tiles of a 1x1 convolution. */
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/nhwc_conv.h"
#include "runtime/mrt_clones.h"

#include <stdlib.h>

enum { COPY_ROWS = 64 }; /* of a task */

static bool is_real_call(const mrt_call *call) { return call->in[3]->dtype == MRT_F64; }

static bool is_narrow(const mrt_call *call, const mrt_nhwc_product *s) {
    const int32_t *bias = mrt_in(call, 2) ? call->in[2]->data : NULL;
    int64_t largest = 0;
    for (int64_t n = 0; bias && n < s->columns; ++n) {
        largest = mrt_max64(largest, bias[n] < 0 ? -(int64_t)bias[n] : bias[n]);
    }
    /* a with its zero point, and what the stored form of a adds */
    return s->depth <= MRT_ACC32_DEPTH && s->depth * (255 * 128 + 255 * 128) + largest <= INT32_MAX;
}

/* What only one of the two kernels has is 0. */
static mrt_matmul_int_params params_of(const mrt_call *call, bool is_real) {
    if (!is_real) {
        return *(const mrt_matmul_int_params *)call->params;
    }
    const mrt_matmul_real_params *p = call->params;
    return (mrt_matmul_int_params){.trans_a = p->trans_a, .trans_b = p->trans_b,
                                   .zero_point_a = p->zero_point_a, .zero_point_b = p->zero_point_b};
}

static bool make_conv(const mrt_call *call, mrt_nhwc_conv *c) {
    const bool is_real = is_real_call(call);
    const mrt_matmul_int_params own = params_of(call, is_real), *p = &own;
    if (is_real) {
        const mrt_matmul_real_params *real = call->params;
        c->real = true;
        c->range = mrt_real_range_of(real->act, real->act_limit);
    }
    const mrt_nhwc_product s = mrt_nhwc_product_of(call, p->trans_b != 0);
    c->plan = mrt_nhwc_product_plan(&s);
    c->zero_point = (int32_t)p->zero_point_out;
    c->low = (int32_t)p->clamp_min;
    c->high = (int32_t)p->clamp_max;
    c->most = UINT8_MAX;
    if (!mrt_nhwc_geometry(c, false)) {
        return false;
    }
    if (!c->copies && call->in[0]->dtype == MRT_I8) { /* bytes are stored as value + 128 */
        c->copies = true;
        c->copy_bytes = (size_t)(s.rows * s.depth) + MRT_TILE_SLACK;
    }
    return true;
}

static mrt_status check_packed(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_matmul_int_params own = params_of(call, is_real_call(call)), *p = &own;
    const mrt_tensor *b = mrt_in(call, 1);
    const mrt_nhwc_product s = mrt_nhwc_product_of(call, p->trans_b != 0);
    if (!b->data || b->dtype != MRT_I8 || p->zero_point_b != 0 || p->trans_a ||
        mrt_shape_count(&b->shape) != s.depth * s.columns || s.depth < 1 || s.columns < 1 ||
        !call->in[3]->data || (mrt_in(call, 2) && !call->in[2]->data) || !is_narrow(call, &s)) {
        return mrt_fail(err, MRT_UNSUPPORTED,
                        "operand 'b': not one constant symmetric i8 matrix whose sums fit 32 bits");
    }
    mrt_nhwc_conv c = {0};
    if (!make_conv(call, &c)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'a': too large");
    }
    *out_scratch = c.copy_bytes;
    return MRT_OK;
}

mrt_status mrt_matmul_packed_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_matmul_int_check(call, out_scratch, err));
    return check_packed(call, out_scratch, err);
}

mrt_status mrt_matmul_packed_real_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    MRT_TRY(mrt_matmul_real_check(call, out_scratch, err));
    return check_packed(call, out_scratch, err);
}

/* Zero point of the stored form of a. */
static int64_t stored_zero_point(const mrt_call *call, const mrt_nhwc_conv *c) {
    const bool moved = call->in[0]->dtype == MRT_I8 && c->isa->layout == MRT_TILE_U8;
    return params_of(call, c->real).zero_point_a + (moved ? 128 : 0);
}

/* Constants of the columns; scale lies where multiplier and shift do. */
typedef struct plain {
    int32_t *base, *multiplier, *shift;
    double *scale;
} plain;

/* Weights [columns][depth] and the constants. */
static void plain_constants(const mrt_call *call, const mrt_nhwc_conv *c, int8_t *weights,
                            plain *out) {
    const mrt_matmul_int_params own = params_of(call, c->real), *p = &own;
    const mrt_nhwc_product s = mrt_nhwc_product_of(call, p->trans_b != 0);
    const int8_t *b = call->in[1]->data;
    const int32_t *bias = mrt_in(call, 2) ? call->in[2]->data : NULL;
    const bool per_column = mrt_shape_count(&call->in[3]->shape) > 1;
    const int64_t zero_point = stored_zero_point(call, c);
    for (int64_t n = 0; n < s.columns; ++n) {
        int64_t sum = 0;
        for (int64_t k = 0; k < s.depth; ++k) {
            const int8_t w = p->trans_b ? b[n * s.depth + k] : b[k * s.columns + n];
            weights[n * s.depth + k] = w;
            sum += w;
        }
        out->base[n] = (int32_t)((bias ? bias[n] : 0) - zero_point * sum);
        const int64_t at = per_column ? n : 0;
        if (c->real) {
            out->scale[n] = ((const double *)call->in[3]->data)[at];
        } else {
            out->multiplier[n] = ((const int32_t *)call->in[3]->data)[at];
            out->shift[n] = ((const int32_t *)call->in[4]->data)[at];
        }
    }
}

size_t mrt_matmul_packed_pack(const mrt_call *call, void *packed) {
    mrt_nhwc_conv c = {0};
    const bool turned = params_of(call, is_real_call(call)).trans_b != 0;
    const mrt_nhwc_product s = mrt_nhwc_product_of(call, turned);
    const bool fits = make_conv(call, &c);
    assert(fits);
    (void)fits;
    if (!packed) {
        return mrt_nhwc_pack(&c, NULL, NULL, NULL);
    }
    int8_t *weights = malloc((size_t)(s.columns * s.depth));
    double *memory = malloc((size_t)s.columns * 2 * sizeof memory[0]);
    size_t bytes = 0;
    if (weights && memory) {
        int32_t *words = (int32_t *)(void *)memory;
        plain out = {.scale = memory, .multiplier = words, .shift = words + s.columns,
                     .base = words + 2 * s.columns};
        plain_constants(call, &c, weights, &out);
        const mrt_nhwc_constants from = {.weights = weights,
                                         .base = out.base,
                                         .multiplier = out.multiplier,
                                         .shift = out.shift,
                                         .scale = out.scale};
        bytes = mrt_nhwc_pack(&c, &from, call->pool, packed);
    }
    free(weights);
    free(memory);
    return bytes;
}

typedef struct copy_job {
    const uint8_t *a;
    void *out;
    int64_t rows, depth;
    bool widens, is_signed;
} copy_job;

MRT_CLONES
static void flip(uint8_t *restrict out, const uint8_t *restrict a, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = a[i] ^ 0x80;
    }
}

MRT_CLONES
static void widen(int16_t *restrict out, const uint8_t *restrict a, bool is_signed,
                  int64_t count) {
    if (is_signed) {
        for (int64_t i = 0; i < count; ++i) {
            out[i] = (int8_t)a[i];
        }
        return;
    }
    for (int64_t i = 0; i < count; ++i) {
        out[i] = a[i];
    }
}

static void copy_rows(void *context, int64_t task) {
    const copy_job *job = context;
    const int64_t from = task * COPY_ROWS * job->depth;
    const int64_t count =
        mrt_min64(COPY_ROWS, job->rows - task * COPY_ROWS) * job->depth;
    if (job->widens) {
        widen((int16_t *)job->out + from, job->a + from, job->is_signed, count);
    } else {
        flip((uint8_t *)job->out + from, job->a + from, count);
    }
}

size_t mrt_matmul_packed_real_pack(const mrt_call *call, void *packed) {
    return mrt_matmul_packed_pack(call, packed);
}

void mrt_matmul_packed_real_run(const mrt_call *call) { mrt_matmul_packed_run(call); }

void mrt_matmul_packed_run(const mrt_call *call) {
    const mrt_nhwc_conv *c = call->packed;
    const mrt_tensor *a = call->in[0];
    if (c->plan.positions == 0) {
        return;
    }
    copy_job job = {a->data, call->scratch, c->plan.positions, c->plan.depth, c->widens,
                    a->dtype == MRT_I8};
    if (c->copies) {
        mrt_parallel_for(call->pool, mrt_div_up(job.rows, COPY_ROWS), copy_rows, &job);
    }
    mrt_nhwc_tiles_run(c, c->copies ? call->scratch : a->data, call->out[0]->data, call->pool);
}
