/* matmul_f32: batched product with numpy broadcasting, y = act(alpha * a*b + beta * bias).
 *
 * A b without batch axes joins the batch of a into its rows. Blocks depend on shapes only. Per
 * element: the dot product by float_order, times alpha, plus beta * bias, each step rounded. */
#include "runtime/kernels/float_gemm.h"
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#include <assert.h>
#include <string.h>

#define ROW_BLOCK 128

typedef struct matmul_job {
    const mrt_call *call;
    int64_t m, n, k; /* of one product; m holds the whole batch when the batch is joined */
    int64_t batches; /* products */
    int batch_rank;
    int64_t batch[MRT_MAX_RANK];    /* batch axes of y, none when joined */
    int64_t a_stride[MRT_MAX_RANK]; /* per batch axis, 0 where broadcast */
    int64_t b_stride[MRT_MAX_RANK];
    int64_t bias_stride[MRT_MAX_RANK]; /* per axis of y */
    int64_t row_blocks, col_block, col_blocks;
} matmul_job;

/* Strides of t for the axes of `shape` it is aligned to at the right; false when it does not
 * broadcast. `skip` trailing axes are not compared. */
static bool broadcast_strides(const mrt_tensor *t, const mrt_shape *shape, int skip,
                              int64_t *stride) {
    const int shift = shape->rank - t->shape.rank;
    int64_t size = mrt_shape_range(&t->shape, t->shape.rank - skip, t->shape.rank);
    for (int i = shape->rank - skip - 1; i >= 0; i--) {
        const int64_t dim = i >= shift ? t->shape.dims[i - shift] : 1;
        if (dim != 1 && dim != shape->dims[i]) {
            return false;
        }
        stride[i] = dim == 1 ? 0 : size;
        size *= dim;
    }
    return shift >= 0;
}

/* Batch axes of y are those of a and b broadcast together. */
static mrt_status check_batch(const mrt_tensor *a, const mrt_tensor *b, const mrt_tensor *y,
                              matmul_job *j, mrt_error *err) {
    const int rank = y->shape.rank;
    bool good = rank == (int)mrt_max64(a->shape.rank, b->shape.rank) &&
                broadcast_strides(a, &y->shape, 2, j->a_stride) &&
                broadcast_strides(b, &y->shape, 2, j->b_stride);
    for (int i = 0; good && i < rank - 2; i++) {
        const int ia = i - (rank - a->shape.rank), ib = i - (rank - b->shape.rank);
        const int64_t da = ia >= 0 ? a->shape.dims[ia] : 1;
        const int64_t db = ib >= 0 ? b->shape.dims[ib] : 1;
        good = y->shape.dims[i] == (da == 1 ? db : da);
    }
    if (!good) {
        return mrt_fail(err, MRT_INVALID, "operand 'y': shape %s is not the batch of %s and %s",
                        mrt_shape_text(&y->shape).text, mrt_shape_text(&a->shape).text,
                        mrt_shape_text(&b->shape).text);
    }
    return MRT_OK;
}

static mrt_status resolve(const mrt_call *call, matmul_job *j, mrt_error *err) {
    const mrt_matmul_params *p = call->params;
    const mrt_tensor *a = mrt_in(call, 0), *b = mrt_in(call, 1), *bias = mrt_in(call, 2);
    const mrt_tensor *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype(a, "a", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(b, "b", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_rank(a, "a", 2, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_rank(b, "b", 2, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_rank(y, "y", 2, MRT_MAX_RANK, err));
    MRT_TRY(mrt_check_param(p->trans_a, "trans_a", 0, 1, err));
    MRT_TRY(mrt_check_param(p->trans_b, "trans_b", 0, 1, err));
    MRT_TRY(mrt_check_param(p->float_order, "float_order", MRT_ORDER_BLAS, MRT_ORDER_WRITTEN, err));
    MRT_TRY(mrt_check_act(p->act, err));
    const int ra = a->shape.rank, rb = b->shape.rank, ry = y->shape.rank;
    j->m = a->shape.dims[ra - (p->trans_a ? 1 : 2)];
    j->k = a->shape.dims[ra - (p->trans_a ? 2 : 1)];
    j->n = b->shape.dims[rb - (p->trans_b ? 2 : 1)];
    MRT_TRY(mrt_check_dim(b, "b", rb - (p->trans_b ? 1 : 2), j->k, err));
    MRT_TRY(mrt_check_dim(y, "y", ry - 2, j->m, err));
    MRT_TRY(mrt_check_dim(y, "y", ry - 1, j->n, err));
    MRT_TRY(check_batch(a, b, y, j, err));
    if (bias) {
        MRT_TRY(mrt_check_dtype(bias, "bias", MRT_F32, err));
        if (!broadcast_strides(bias, &y->shape, 0, j->bias_stride)) {
            return mrt_fail(err, MRT_INVALID, "operand 'bias': shape %s does not broadcast to %s",
                            mrt_shape_text(&bias->shape).text, mrt_shape_text(&y->shape).text);
        }
    }
    return MRT_OK;
}

mrt_status mrt_matmul_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    matmul_job j;
    MRT_TRY(resolve(call, &j, err));
    mrt_gemm_setup();
    *out_scratch = 0;
    return MRT_OK;
}

/* Joins the batch into the rows where that is one product, and cuts into blocks. */
static void plan_blocks(matmul_job *j) {
    const mrt_matmul_params *p = j->call->params;
    const mrt_shape *y = &j->call->out[0]->shape;
    const mrt_shape *a = &j->call->in[0]->shape;
    bool join = !p->trans_a;
    int64_t batches = 1;
    for (int i = 0; i < y->rank - 2; i++) {
        batches *= y->dims[i];
        join = join && j->b_stride[i] == 0;
    }
    join = join && mrt_shape_range(a, 0, a->rank - 2) == batches;
    j->batch_rank = join ? 0 : y->rank - 2;
    j->batches = join ? 1 : batches;
    j->m *= join ? batches : 1;
    memcpy(j->batch, y->dims, sizeof j->batch);
    /* Multiplications per block: a product with one row is bound by memory, not arithmetic. */
    const int64_t rows = mrt_min64(j->m, ROW_BLOCK);
    const int64_t work = rows == 1 ? (int64_t)1 << 17 : (int64_t)1 << 24;
    const int64_t cols = work / mrt_max64(rows, 1) / mrt_max64(j->k, 1) / 16 * 16;
    j->col_block = mrt_min64(mrt_max64(cols, 64), 1024);
    j->row_blocks = mrt_div_up(j->m, ROW_BLOCK);
    j->col_blocks = mrt_div_up(j->n, j->col_block);
}

typedef struct finish_args {
    float alpha, beta, low, high;
    const float *bias; /* NULL for none */
    int64_t bias_step; /* 0 or 1 */
} finish_args;

/* y = clamp(alpha * y + beta * bias) for one row. */
MRT_CLONES static void finish_row(const finish_args *f, float *y, int64_t n) {
    const float alpha = f->alpha, beta = f->beta, low = f->low, high = f->high;
    /* Adding -0 changes nothing. */
    const float fixed = f->bias && f->bias_step == 0 ? beta * f->bias[0] : -0.0f;
    if (f->bias && f->bias_step == 1) {
        MRT_IVDEP for (int64_t i = 0; i < n; i++) {
            float v = alpha * y[i] + beta * f->bias[i];
            v = v < low ? low : v;
            y[i] = v > high ? high : v;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float v = alpha * y[i] + fixed;
        v = v < low ? low : v;
        y[i] = v > high ? high : v;
    }
}

/* Offset of the bias for row `row` of y as a matrix [batch * M, N]. */
static int64_t bias_offset(const matmul_job *j, int64_t row) {
    const mrt_shape *y = &j->call->out[0]->shape;
    int64_t offset = 0;
    for (int i = y->rank - 2; i >= 0; i--) {
        offset += row % y->dims[i] * j->bias_stride[i];
        row /= y->dims[i];
    }
    return offset;
}

static void finish_block(const matmul_job *j, int64_t row, int64_t rows, int64_t col,
                         int64_t cols) {
    const mrt_matmul_params *p = j->call->params;
    const mrt_tensor *bias = mrt_in(j->call, 2);
    if (!bias && p->alpha == 1.0 && p->act == MRT_ACT_NONE) {
        return;
    }
    const bool relu = p->act == MRT_ACT_RELU;
    finish_args f = {.alpha = (float)p->alpha,
                     .beta = (float)p->beta,
                     .low = relu ? 0.0f : -INFINITY,
                     .high = relu && p->act_limit >= 0 ? (float)p->act_limit : INFINITY};
    float *y = (float *)j->call->out[0]->data + row * j->n + col;
    const int last = j->call->out[0]->shape.rank - 1;
    for (int64_t r = 0; r < rows; r++) {
        if (bias) {
            f.bias_step = j->bias_stride[last] ? 1 : 0;
            f.bias = (const float *)bias->data + bias_offset(j, row + r) + col * f.bias_step;
        }
        finish_row(&f, y + r * j->n, cols);
    }
}

static void run_block(void *context, int64_t item) {
    const matmul_job *j = context;
    const mrt_matmul_params *p = j->call->params;
    const int64_t col = item % j->col_blocks * j->col_block;
    const int64_t row = item / j->col_blocks % j->row_blocks * ROW_BLOCK;
    const int64_t batch = item / j->col_blocks / j->row_blocks;
    const float *a = j->call->in[0]->data;
    const float *b = j->call->in[1]->data;
    int64_t rest = batch;
    for (int i = j->batch_rank - 1; i >= 0; i--) {
        a += rest % j->batch[i] * j->a_stride[i];
        b += rest % j->batch[i] * j->b_stride[i];
        rest /= j->batch[i];
    }
    const int64_t lda = p->trans_a ? j->m : j->k, ldb = p->trans_b ? j->k : j->n;
    const mrt_gemm g = {.order = p->float_order,
                        .m = mrt_min64(ROW_BLOCK, j->m - row),
                        .n = mrt_min64(j->col_block, j->n - col),
                        .k = j->k,
                        .a = a + (p->trans_a ? row : row * lda),
                        .lda = mrt_max64(lda, 1),
                        .trans_a = p->trans_a != 0,
                        .b = b + (p->trans_b ? col * ldb : col),
                        .ldb = mrt_max64(ldb, 1),
                        .trans_b = p->trans_b != 0,
                        .c = (float *)j->call->out[0]->data + (batch * j->m + row) * j->n + col,
                        .ldc = j->n};
    mrt_gemm_f32(&g);
    finish_block(j, batch * j->m + row, g.m, col, g.n);
}

void mrt_matmul_f32_run(const mrt_call *call) {
    matmul_job j = {.call = call};
    const mrt_status status = resolve(call, &j, NULL);
    assert(status == MRT_OK);
    (void)status;
    if (mrt_shape_count(&call->out[0]->shape) == 0) {
        return;
    }
    plan_blocks(&j);
    mrt_parallel_for(call->pool, j.batches * j.row_blocks * j.col_blocks, run_block, &j);
}
