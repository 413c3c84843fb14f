/* matmul_int (rule matmul-int) and matmul_real (rule matmul-real): rows of a against panels of b, both
 * without their zero points, in blocks for sums of any size; int_matmul_tiles.c has those of 32 bits. */
#include "runtime/kernels/int_gemm.h"
#include "runtime/kernels/int_matmul.h"
#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"

#include <string.h>

typedef struct matmul_job {
    mrt_matmul_plan plan;
    const mrt_matmul_int_params *params;
    const uint8_t *a, *b;
    uint8_t *y;
    const int32_t *bias, *multiplier, *shift; /* bias may be NULL */
    const mrt_matmul_real_params *real;       /* NULL in matmul_int */
    const double *scale;                      /* matmul_real only, with y_real */
    float *y_real;
    bool signed_a, signed_b, per_column;
    int64_t quads;
    int16_t *left; /* [batches_a * rows][quads * 4] */
} matmul_job;

/* Batch axes by numpy broadcasting; fills dims and strides. */
static mrt_status plan_batches(const mrt_tensor *a, const mrt_tensor *b, const mrt_tensor *y,
                               mrt_matmul_plan *plan, mrt_error *err) {
    int64_t step_a = 1;
    int64_t step_b = 1;
    plan->rank = y->shape.rank - 2;
    plan->batches = 1;
    for (int i = plan->rank - 1; i >= 0; --i) {
        const int ia = i - (y->shape.rank - a->shape.rank);
        const int ib = i - (y->shape.rank - b->shape.rank);
        const int64_t dim_a = ia >= 0 ? a->shape.dims[ia] : 1;
        const int64_t dim_b = ib >= 0 ? b->shape.dims[ib] : 1;
        if (dim_a != dim_b && dim_a != 1 && dim_b != 1) {
            return mrt_fail(err, MRT_INVALID, "operand 'b': shape %s does not broadcast with %s",
                            mrt_shape_text(&b->shape).text, mrt_shape_text(&a->shape).text);
        }
        plan->dims[i] = dim_a == 1 ? dim_b : dim_a;
        plan->stride_a[i] = dim_a == 1 ? 0 : step_a;
        plan->stride_b[i] = dim_b == 1 ? 0 : step_b;
        step_a *= dim_a;
        step_b *= dim_b;
        plan->batches *= plan->dims[i];
        MRT_TRY(mrt_check_dim(y, "y", i, plan->dims[i], err));
    }
    plan->batches_a = step_a;
    plan->batches_b = step_b;
    return MRT_OK;
}

static mrt_status make_plan(const mrt_call *call, const mrt_matmul_int_params *p,
                            mrt_matmul_plan *plan, mrt_error *err) {
    const mrt_tensor *a = mrt_in(call, 0);
    const mrt_tensor *b = mrt_in(call, 1);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype2(a, "a", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(a, "a", 2, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_dtype2(b, "b", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_rank(b, "b", 2, MRT_MAX_RANK, err));
    const int rank = a->shape.rank > b->shape.rank ? a->shape.rank : b->shape.rank;
    MRT_TRY(mrt_check_rank(y, "y", rank, rank, err));
    MRT_TRY(mrt_check_param(p->trans_a, "trans_a", 0, 1, err));
    MRT_TRY(mrt_check_param(p->trans_b, "trans_b", 0, 1, err));
    const int64_t *tail_a = a->shape.dims + a->shape.rank - 2;
    plan->rows = tail_a[p->trans_a ? 1 : 0];
    plan->depth = tail_a[p->trans_a ? 0 : 1];
    plan->columns = y->shape.dims[rank - 1];
    MRT_TRY(mrt_check_dim(b, "b", b->shape.rank - (p->trans_b ? 1 : 2), plan->depth, err));
    MRT_TRY(mrt_check_dim(b, "b", b->shape.rank - (p->trans_b ? 2 : 1), plan->columns, err));
    MRT_TRY(mrt_check_dim(y, "y", rank - 2, plan->rows, err));
    MRT_TRY(plan_batches(a, b, y, plan, err));
    if (mrt_shape_count(&b->shape) == plan->depth * plan->columns && !p->trans_a &&
        plan->batches == plan->batches_a) {
        plan->rows *= plan->batches; /* one right operand for all: one taller product */
        plan->batches = plan->batches_a = plan->batches_b = 1;
        plan->rank = 0;
    }
    return MRT_OK;
}

/* Parts of scratch in bytes; false on overflow. */
typedef struct matmul_memory {
    size_t left, gemm;
} matmul_memory;

static bool memory_layout(const mrt_matmul_plan *p, matmul_memory *m, size_t *out_total) {
    const int64_t quads = mrt_max64(1, mrt_div_up(p->depth, 4));
    size_t rows = 0;
    if (!mrt_mul_bytes((size_t)p->batches_a, (size_t)p->rows, &rows) || rows > SIZE_MAX / 64 ||
        !mrt_mul_bytes(rows, (size_t)quads * 8, &m->left) || m->left > SIZE_MAX / 4) {
        return false;
    }
    m->left = mrt_align64(m->left);
    m->gemm = mrt_int_gemm_scratch(p->batches, p->rows, p->columns, quads);
    size_t tiles = 0;
    const bool fits = mrt_matmul_tiles_scratch(p, &tiles);
    *out_total = m->left + m->gemm;
    *out_total = *out_total > tiles ? *out_total : tiles;
    return fits;
}

static mrt_status check_scale_operand(const mrt_tensor *t, const char *name, int64_t columns,
                                      mrt_error *err) {
    MRT_TRY(mrt_check_dtype(t, name, MRT_I32, err));
    return mrt_check_shape1(t, name, mrt_shape_count(&t->shape) == 1 ? 1 : columns, err);
}

static mrt_status check_bias(const mrt_tensor *bias, int64_t columns, mrt_error *err) {
    if (bias == NULL) {
        return MRT_OK;
    }
    MRT_TRY(mrt_check_dtype(bias, "bias", MRT_I32, err));
    return mrt_check_shape1(bias, "bias", columns, err);
}

mrt_status mrt_matmul_int_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_matmul_int_params *p = call->params;
    const mrt_tensor *bias = mrt_in(call, 2);
    mrt_matmul_plan plan = {0};
    matmul_memory memory;
    MRT_TRY(mrt_check_dtype2(mrt_out(call, 0), "y", MRT_I8, MRT_U8, err));
    MRT_TRY(make_plan(call, p, &plan, err));
    MRT_TRY(check_bias(bias, plan.columns, err));
    MRT_TRY(check_scale_operand(mrt_in(call, 3), "multiplier", plan.columns, err));
    MRT_TRY(check_scale_operand(mrt_in(call, 4), "shift", plan.columns, err));
    MRT_TRY(mrt_check_same_shape(mrt_in(call, 4), "shift", mrt_in(call, 3), "multiplier", err));
    MRT_TRY(mrt_int_check_shifts(mrt_in(call, 4), err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_a, "zero_point_a", mrt_in(call, 0), err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_b, "zero_point_b", mrt_in(call, 1), err));
    MRT_TRY(mrt_int_check_zero_point(p->zero_point_out, "zero_point_out", mrt_out(call, 0), err));
    MRT_TRY(mrt_int_check_clamp(p->clamp_min, p->clamp_max, mrt_out(call, 0), err));
    if (!memory_layout(&plan, &memory, out_scratch)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'a': too large");
    }
    return MRT_OK;
}

/* One row of the left operand. */
static void prepare_row(const matmul_job *job, int64_t row) {
    const mrt_matmul_plan *plan = &job->plan;
    const bool turned = job->params->trans_a != 0;
    const int64_t matrix = row / plan->rows;
    const int64_t m = row % plan->rows;
    const uint8_t *a = job->a + matrix * plan->rows * plan->depth + (turned ? m : m * plan->depth);
    const int64_t step = turned ? plan->rows : 1;
    int16_t *out = job->left + row * job->quads * 4;
    for (int64_t k = 0; k < plan->depth; ++k) {
        const int32_t v = mrt_int_value(a, k * step, job->signed_a);
        out[k] = (int16_t)(v - (int32_t)job->params->zero_point_a);
    }
    memset(out + plan->depth, 0, (size_t)(job->quads * 4 - plan->depth) * sizeof out[0]);
}

static void prepare_lane(void *context, int64_t lane) {
    const matmul_job *job = context;
    const int64_t rows = job->plan.batches_a * job->plan.rows;
    const int64_t end = mrt_int_lane_begin(rows, lane + 1);
    for (int64_t row = mrt_int_lane_begin(rows, lane); row < end; ++row) {
        prepare_row(job, row);
    }
}

static const char *left_rows(const void *context, int64_t batch) {
    const matmul_job *job = context;
    const int64_t matrix = mrt_matmul_matrix(&job->plan, job->plan.stride_a, batch);
    return (const char *)(job->left + matrix * job->plan.rows * job->quads * 4);
}

/* Four rows of b ([K][N] storage): in place, or copied where fewer than a block remain. */
static void rows_plain(const matmul_job *job, const mrt_int_panel *p, const uint8_t *b, int64_t q,
                       const uint8_t *row[4]) {
    static const uint8_t nothing[MRT_INT_COLUMNS];
    for (int i = 0; i < 4; ++i) {
        const int64_t k = q * 4 + i;
        const uint8_t *source = b + k * job->plan.columns + p->column;
        if (k >= job->plan.depth) {
            row[i] = nothing;
        } else if (p->columns == MRT_INT_COLUMNS) {
            row[i] = source;
        } else {
            memcpy(p->row[i], source, (size_t)p->columns);
            row[i] = p->row[i];
        }
    }
}

/* A panel from [N][K] storage, where the four bytes of a column lie together. Runs of a cache line per
 * column keep the number of streams small. */
static void pack_turned(const matmul_job *job, const mrt_int_panel *p, const uint8_t *b) {
    enum { RUN = 16 };
    const int64_t depth = job->plan.depth, quads = p->last - p->first;
    const int32_t zero_point = (int32_t)job->params->zero_point_b;
    if (p->columns < MRT_INT_COLUMNS || p->last * 4 > depth) {
        memset(p->out, 0, (size_t)quads * 4 * MRT_INT_COLUMNS * sizeof p->out[0]);
    }
    for (int64_t first = p->first; first < p->last; first += RUN) {
        const int64_t end = mrt_min64(depth, mrt_min64(p->last, first + RUN) * 4);
        for (int j = 0; j < p->columns; ++j) {
            const uint8_t *source = b + (p->column + j) * depth;
            int16_t *out = p->out + j / MRT_TILE_BLOCK * quads * 4 * MRT_TILE_BLOCK +
                           j % MRT_TILE_BLOCK * 2;
            for (int64_t k = first * 4; k < end; ++k) {
                out[(k / 2 - p->first * 2) * 2 * MRT_TILE_BLOCK + k % 2] =
                    (int16_t)(mrt_int_value(source, k, job->signed_b) - zero_point);
            }
        }
    }
}

static void pack_right(const void *context, const mrt_int_panel *p) {
    const matmul_job *job = context;
    const mrt_matmul_plan *plan = &job->plan;
    const int64_t matrix = mrt_matmul_matrix(plan, plan->stride_b, p->batch);
    const uint8_t *b = job->b + matrix * plan->depth * plan->columns;
    if (job->params->trans_b) {
        pack_turned(job, p, b);
    }
    for (int64_t q = p->first; !job->params->trans_b && q < p->last; ++q) {
        const uint8_t *row[4];
        rows_plain(job, p, b, q, row);
        mrt_int_pack_quad(p, q, row, job->signed_b, (int32_t)job->params->zero_point_b);
    }
    for (int j = 0; j < MRT_INT_COLUMNS; ++j) {
        p->sum[j] = job->bias && j < p->columns ? job->bias[p->column + j] : 0;
    }
}

/* Rule matmul-real: the exact sum times the scale in double, rounded once. */
static void finish_real(const matmul_job *job, const mrt_int_rows *r) {
    float *y = job->y_real + (r->batch * job->plan.rows + r->row) * job->plan.columns + r->column;
    const mrt_real_range range = mrt_real_range_of(job->real->act, job->real->act_limit);
    for (int i = 0; i < r->columns; ++i) {
        const int64_t sum = (r->acc ? r->acc[i] : r->wide[i]) + r->sum[i];
        const double scale = job->scale[job->per_column ? r->column + i : 0];
        y[i] = mrt_real_value(sum, scale, range.low, range.high);
    }
}

static void finish_row(const void *context, const mrt_int_rows *r) {
    const matmul_job *job = context;
    const mrt_matmul_int_params *p = job->params;
    if (job->real != NULL) {
        finish_real(job, r);
        return;
    }
    uint8_t *y = job->y + (r->batch * job->plan.rows + r->row) * job->plan.columns + r->column;
    const int64_t at = job->per_column ? r->column : 0;
    for (int i = 0; i < r->columns; ++i) {
        const int64_t sum = (r->acc ? r->acc[i] : r->wide[i]) + r->sum[i];
        const int64_t c = job->per_column ? at + i : 0;
        y[i] = (uint8_t)mrt_requant_clamp(sum, job->multiplier[c], job->shift[c],
                                          (int32_t)p->zero_point_out, (int32_t)p->clamp_min,
                                          (int32_t)p->clamp_max);
    }
}

static bool is_narrow(const matmul_job *job) {
    int64_t largest = 0;
    for (int64_t n = 0; job->bias && n < job->plan.columns; ++n) {
        const int64_t b = job->bias[n];
        largest = mrt_max64(largest, b < 0 ? -b : b);
    }
    return job->plan.depth <= MRT_ACC32_DEPTH / 2 &&
           job->plan.depth * 255 * 255 + largest <= INT32_MAX;
}

/* The product by blocks, for sums of any size. */
static void run_blocks(matmul_job *job, const mrt_call *call) {
    matmul_memory m = {0};
    size_t total = 0;
    memory_layout(&job->plan, &m, &total);
    /* a depth of 0 still needs one (empty) panel to write the bias */
    job->quads = mrt_max64(1, mrt_div_up(job->plan.depth, 4));
    job->left = call->scratch;
    const int64_t rows = job->plan.batches_a * job->plan.rows;
    mrt_parallel_for(call->pool, mrt_int_lanes(rows), prepare_lane, job);
    const mrt_int_gemm gemm = {.isa = mrt_tile_isa_words(), .batches = job->plan.batches,
                               .rows = job->plan.rows, .columns = job->plan.columns,
                               .quads = job->quads, .context = job, .left = left_rows,
                               .left_stride = (size_t)job->quads * 4 * sizeof(int16_t),
                               .pack = pack_right, .finish = finish_row,
                               .scratch = (char *)call->scratch + m.left};
    mrt_int_gemm_run(&gemm, call->pool);
}

/* Operands that both kernels have; false when there is nothing to compute. */
static bool begin(matmul_job *job, const mrt_call *call) {
    const mrt_status status = make_plan(call, job->params, &job->plan, NULL);
    assert(status == MRT_OK);
    (void)status;
    const mrt_tensor *bias = mrt_in(call, 2);
    job->a = call->in[0]->data;
    job->b = call->in[1]->data;
    job->bias = bias ? bias->data : NULL;
    job->signed_a = call->in[0]->dtype == MRT_I8;
    job->signed_b = call->in[1]->dtype == MRT_I8;
    job->per_column = mrt_shape_count(&call->in[3]->shape) > 1;
    return job->plan.batches != 0 && job->plan.rows != 0 && job->plan.columns != 0;
}

void mrt_matmul_int_run(const mrt_call *call) {
    matmul_job job = {.params = call->params};
    if (!begin(&job, call)) {
        return;
    }
    job.y = call->out[0]->data;
    job.multiplier = call->in[3]->data;
    job.shift = call->in[4]->data;
    if (is_narrow(&job)) {
        mrt_matmul_tiles_run(&job.plan, job.params, NULL, call);
    } else {
        run_blocks(&job, call);
    }
}

static mrt_matmul_int_params integer_part(const mrt_matmul_real_params *p) {
    return (mrt_matmul_int_params){.trans_a = p->trans_a, .trans_b = p->trans_b,
                                   .zero_point_a = p->zero_point_a, .zero_point_b = p->zero_point_b};
}

mrt_status mrt_matmul_real_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_matmul_real_params *real = call->params;
    const mrt_matmul_int_params p = integer_part(real);
    const mrt_tensor *scale = mrt_in(call, 3);
    mrt_matmul_plan plan = {0};
    matmul_memory memory;
    MRT_TRY(mrt_check_dtype(mrt_out(call, 0), "y", MRT_F32, err));
    MRT_TRY(make_plan(call, &p, &plan, err));
    MRT_TRY(check_bias(mrt_in(call, 2), plan.columns, err));
    MRT_TRY(mrt_check_dtype(scale, "scale", MRT_F64, err));
    MRT_TRY(mrt_check_shape1(scale, "scale", mrt_shape_count(&scale->shape) == 1 ? 1 : plan.columns, err));
    MRT_TRY(mrt_int_check_zero_point(p.zero_point_a, "zero_point_a", mrt_in(call, 0), err));
    MRT_TRY(mrt_int_check_zero_point(p.zero_point_b, "zero_point_b", mrt_in(call, 1), err));
    MRT_TRY(mrt_check_param(real->act, "act", MRT_ACT_NONE, MRT_ACT_RELU, err));
    if (!memory_layout(&plan, &memory, out_scratch)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'a': too large");
    }
    return MRT_OK;
}

void mrt_matmul_real_run(const mrt_call *call) {
    const mrt_matmul_int_params p = integer_part(call->params);
    matmul_job job = {.params = &p, .real = call->params};
    if (!begin(&job, call)) {
        return;
    }
    if (is_narrow(&job)) {
        mrt_matmul_tiles_run(&job.plan, &p, job.real, call);
        return;
    }
    job.scale = call->in[3]->data;
    job.y_real = call->out[0]->data;
    run_blocks(&job, call);
}
