/* Checks, matrix products, states and activations of the recurrent kernels. */
#include "runtime/kernels/float_rnn.h"

#include "runtime/kernels/float_gemm.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#include <string.h>

/* --- checks --- */

static bool known_activation(int64_t code) {
    switch (code) {
    case MRT_UNARY_RELU:
    case MRT_UNARY_LEAKY_RELU:
    case MRT_UNARY_THRESHOLDED_RELU:
    case MRT_UNARY_TANH:
    case MRT_UNARY_SIGMOID:
    case MRT_UNARY_HARD_SIGMOID:
    case MRT_UNARY_ELU:
    case MRT_UNARY_SOFTSIGN:
    case MRT_UNARY_SOFTPLUS:
        return true;
    default:
        return false;
    }
}

static mrt_status check_params(const mrt_rnn_params *p, int activations, mrt_rnn_job *j,
                               mrt_error *err) {
    MRT_TRY(mrt_check_param(p->hidden, "hidden", 1, INT32_MAX, err));
    MRT_TRY(mrt_check_param(p->direction, "direction", 0, MRT_RNN_BIDIRECTIONAL, err));
    MRT_TRY(mrt_check_param(p->layout, "layout", 0, 1, err));
    MRT_TRY(mrt_check_param(p->float_order, "float_order", MRT_ORDER_BLAS, MRT_ORDER_WRITTEN, err));
    j->directions = p->direction == MRT_RNN_BIDIRECTIONAL ? 2 : 1;
    for (int i = 0; i < activations * (int)j->directions; i++) {
        if (!known_activation(p->activation[i])) {
            return mrt_fail(err, MRT_UNSUPPORTED,
                            "parameter 'activation': function %" PRId64
                            " cannot be an activation of a recurrent step",
                            p->activation[i]);
        }
    }
    return MRT_OK;
}

static mrt_status check_optional(const mrt_tensor *t, const char *name, mrt_dtype dtype,
                                 const mrt_shape *shape, mrt_error *err) {
    if (!t) {
        return MRT_OK;
    }
    MRT_TRY(mrt_check_dtype(t, name, dtype, err));
    return mrt_check_shape(t, name, shape, err);
}

static mrt_status check_operands(const mrt_call *call, mrt_rnn_job *j, mrt_error *err) {
    const int64_t d = j->directions, h = j->hidden, gh = j->gates * h;
    const bool rows = j->params->layout == 1;
    const mrt_shape w = {3, {d, gh, j->input}}, r = {3, {d, gh, h}}, b = {2, {d, 2 * gh}};
    const mrt_shape lens = {1, {j->batch}}, peephole = {2, {d, 3 * h}};
    const mrt_shape state = {3, {rows ? j->batch : d, rows ? d : j->batch, h}};
    const mrt_shape y = rows ? (mrt_shape){4, {j->batch, j->steps, d, h}}
                             : (mrt_shape){4, {j->steps, d, j->batch, h}};
    MRT_TRY(mrt_check_dtype(mrt_in(call, 1), "w", MRT_F32, err));
    MRT_TRY(mrt_check_shape(mrt_in(call, 1), "w", &w, err));
    MRT_TRY(mrt_check_dtype(mrt_in(call, 2), "r", MRT_F32, err));
    MRT_TRY(mrt_check_shape(mrt_in(call, 2), "r", &r, err));
    MRT_TRY(check_optional(mrt_in(call, 3), "b", MRT_F32, &b, err));
    MRT_TRY(check_optional(mrt_in(call, 4), "sequence_lens", MRT_I32, &lens, err));
    MRT_TRY(check_optional(mrt_in(call, 5), "initial_h", MRT_F32, &state, err));
    MRT_TRY(check_optional(mrt_in(call, 6), "initial_c", MRT_F32, &state, err));
    MRT_TRY(check_optional(mrt_in(call, 7), "p", MRT_F32, &peephole, err));
    MRT_TRY(check_optional(mrt_out(call, 0), "y", MRT_F32, &y, err));
    MRT_TRY(check_optional(mrt_out(call, 1), "y_h", MRT_F32, &state, err));
    return check_optional(mrt_out(call, 2), "y_c", MRT_F32, &state, err);
}

/* Scratch in this order; every part starts at a multiple of 64 bytes. */
typedef struct parts {
    size_t bias, projected, gate, h, c, extra, total;
} parts;
static bool layout_parts(const mrt_rnn_job *j, parts *out) {
    const size_t gh = (size_t)(j->gates * j->hidden), state = (size_t)(j->batch * j->hidden);
    size_t rows, projected;
    if (!mrt_mul_bytes((size_t)j->steps, (size_t)j->batch, &rows) ||
        !mrt_mul_bytes(rows, gh * sizeof(float), &projected) || projected > SIZE_MAX / 4) {
        return false;
    }
    parts p = {.bias = 0};
    p.projected = mrt_align64(gh * sizeof(float));
    p.gate = p.projected + mrt_align64(projected);
    p.h = p.gate + mrt_align64((size_t)j->batch * gh * sizeof(float));
    p.c = p.h + mrt_align64(state * sizeof(float));
    p.extra = p.c + mrt_align64(state * sizeof(float));
    p.total = p.extra + mrt_align64(state * sizeof(float));
    *out = p;
    return true;
}

mrt_status mrt_rnn_resolve(const mrt_call *call, int gates, int activations, mrt_rnn_job *j,
                           size_t *out_scratch, mrt_error *err) {
    const mrt_rnn_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0);
    *j = (mrt_rnn_job){.call = call, .params = p, .gates = gates};
    MRT_TRY(check_params(p, activations, j, err));
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_rank(x, "x", 3, 3, err));
    j->steps = x->shape.dims[p->layout == 1 ? 1 : 0];
    j->batch = x->shape.dims[p->layout == 1 ? 0 : 1];
    j->input = x->shape.dims[2];
    j->hidden = p->hidden;
    MRT_TRY(check_operands(call, j, err));
    parts at;
    if (!layout_parts(j, &at)) {
        return mrt_fail(err, MRT_INVALID, "operands need too much working memory");
    }
    mrt_gemm_setup();
    *out_scratch = at.total;
    return MRT_OK;
}

/* --- states and positions --- */

static const float *input_data(const mrt_rnn_job *j, int i) {
    const mrt_tensor *t = mrt_in(j->call, i);
    return t ? t->data : NULL;
}

const float *mrt_rnn_b(const mrt_rnn_job *j) {
    const float *b = input_data(j, 3);
    return b ? b + j->direction * 2 * j->gates * j->hidden : NULL;
}

/* Element offset of the state of batch row n in initial_h, y_h and their like. */
static int64_t state_offset(const mrt_rnn_job *j, int64_t n) {
    return (j->params->layout == 1 ? n * j->directions + j->direction
                                   : j->direction * j->batch + n) *
           j->hidden;
}

static void load_state(const mrt_rnn_job *j, const float *initial, float *state) {
    for (int64_t n = 0; n < j->batch; n++) {
        float *row = state + n * j->hidden;
        if (initial) {
            memcpy(row, initial + state_offset(j, n), (size_t)j->hidden * sizeof(float));
        } else {
            memset(row, 0, (size_t)j->hidden * sizeof(float));
        }
    }
}

void mrt_rnn_begin(mrt_rnn_job *j, int direction) {
    parts at = {0};
    layout_parts(j, &at);
    char *scratch = j->call->scratch;
    const int64_t gh = j->gates * j->hidden;
    j->direction = direction;
    j->reverse = j->params->direction == MRT_RNN_REVERSE || direction == 1;
    j->lens = mrt_in(j->call, 4) ? mrt_in(j->call, 4)->data : NULL;
    j->w = input_data(j, 1) + direction * gh * j->input;
    j->r = input_data(j, 2) + direction * gh * j->hidden;
    j->bias = (float *)(scratch + at.bias);
    j->projected = (float *)(scratch + at.projected);
    j->gate = (float *)(scratch + at.gate);
    j->h = (float *)(scratch + at.h);
    j->c = (float *)(scratch + at.c);
    j->extra = (float *)(scratch + at.extra);
    const float *b = mrt_rnn_b(j);
    for (int64_t i = 0; i < gh; i++) {
        j->bias[i] = b ? b[i] + b[gh + i] : 0.0f;
    }
    load_state(j, input_data(j, 5), j->h);
    load_state(j, input_data(j, 6), j->c);
}

int64_t mrt_rnn_position(const mrt_rnn_job *j, int64_t n) {
    const int64_t given = j->lens ? j->lens[n] : j->steps;
    const int64_t len = mrt_max64(0, mrt_min64(given, j->steps)); /* data is not to be trusted */
    if (j->step >= len) {
        return -1;
    }
    return j->reverse ? len - 1 - j->step : j->step;
}

int64_t mrt_rnn_row(const mrt_rnn_job *j, int64_t t, int64_t n) {
    return j->params->layout == 1 ? n * j->steps + t : t * j->batch + n;
}

void mrt_rnn_emit(const mrt_rnn_job *j, int64_t n, int64_t t) {
    mrt_tensor *y = mrt_out(j->call, 0);
    if (!y) {
        return;
    }
    const int64_t at = t < 0 ? j->step : t;
    const int64_t row = j->params->layout == 1
                            ? (n * j->steps + at) * j->directions + j->direction
                            : (at * j->directions + j->direction) * j->batch + n;
    float *out = (float *)y->data + row * j->hidden;
    if (t < 0) {
        memset(out, 0, (size_t)j->hidden * sizeof(float));
    } else {
        memcpy(out, j->h + n * j->hidden, (size_t)j->hidden * sizeof(float));
    }
}

void mrt_rnn_end(const mrt_rnn_job *j) {
    const float *state[3] = {NULL, j->h, j->c};
    for (int i = 1; i < 3; i++) {
        mrt_tensor *out = mrt_out(j->call, i);
        for (int64_t n = 0; out && n < j->batch; n++) {
            float *row = (float *)out->data + state_offset(j, n);
            if (j->lens && j->lens[n] <= 0) {
                memset(row, 0, (size_t)j->hidden * sizeof(float));
            } else {
                memcpy(row, state[i] + n * j->hidden, (size_t)j->hidden * sizeof(float));
            }
        }
    }
}

/* --- products --- */

#define ROW_BLOCK 128

MRT_CLONES void mrt_rnn_add(const float *x, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] + x[i];
    }
}

typedef struct product {
    const mrt_rnn_job *job;
    const float *a; /* [rows, k] */
    const float *b; /* [cols, k] */
    const float *bias;
    float *c;
    int64_t rows, cols, k, ldc, col_block, col_blocks;
} product;

static void product_tile(void *context, int64_t tile) {
    const product *p = context;
    const int64_t row = tile / p->col_blocks * ROW_BLOCK, col = tile % p->col_blocks * p->col_block;
    const mrt_gemm g = {.order = p->job->params->float_order,
                        .m = mrt_min64(ROW_BLOCK, p->rows - row),
                        .n = mrt_min64(p->col_block, p->cols - col),
                        .k = p->k,
                        .a = p->a + row * p->k,
                        .lda = mrt_max64(p->k, 1),
                        .b = p->b + col * p->k,
                        .ldb = mrt_max64(p->k, 1),
                        .trans_b = true,
                        .c = p->c + row * p->ldc + col,
                        .ldc = p->ldc};
    mrt_gemm_f32(&g);
    for (int64_t r = 0; p->bias && r < g.m; r++) {
        mrt_rnn_add(p->bias + col, g.n, g.c + r * p->ldc);
    }
}

/* Blocks of about 2^17 multiplications, by shape alone. */
static void run_product(product *p) {
    const int64_t rows = mrt_min64(p->rows, ROW_BLOCK);
    const int64_t cols = ((int64_t)1 << 17) / mrt_max64(rows, 1) / mrt_max64(p->k, 1);
    p->col_block = mrt_max64(64, cols / 16 * 16);
    p->col_blocks = mrt_div_up(p->cols, p->col_block);
    mrt_parallel_for(p->job->call->pool, p->col_blocks * mrt_div_up(p->rows, ROW_BLOCK),
                     product_tile, p);
}

void mrt_rnn_project(mrt_rnn_job *j) {
    const int64_t gh = j->gates * j->hidden;
    product p = {.job = j,
                 .a = input_data(j, 0),
                 .b = j->w,
                 .bias = j->bias,
                 .c = j->projected,
                 .rows = j->steps * j->batch,
                 .cols = gh,
                 .k = j->input,
                 .ldc = gh};
    run_product(&p);
}

void mrt_rnn_recur(mrt_rnn_job *j, const float *src, int64_t first, int64_t last) {
    product p = {.job = j,
                 .a = src,
                 .b = j->r + first * j->hidden,
                 .c = j->gate + first,
                 .rows = j->batch,
                 .cols = last - first,
                 .k = j->hidden,
                 .ldc = j->gates * j->hidden};
    run_product(&p);
}

/* --- activations --- */

MRT_CLONES static void bound(float low, float high, float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i] < low ? low : x[i];
        x[i] = v > high ? high : v;
    }
}

/* Activations that are not elementary functions. */
static float simple(int64_t code, float alpha, float beta, float v) {
    switch (code) {
    case MRT_UNARY_LEAKY_RELU:
        return v < 0 ? alpha * v : v;
    case MRT_UNARY_THRESHOLDED_RELU:
        return v > alpha ? v : 0.0f;
    case MRT_UNARY_HARD_SIGMOID: {
        const float u = alpha * v + beta;
        return u < 0 ? 0.0f : u > 1 ? 1.0f : u;
    }
    case MRT_UNARY_ELU:
        return v < 0 ? alpha * mrt_expm1f(v) : v;
    default: /* MRT_UNARY_SOFTSIGN */
        return v / (1.0f + fabsf(v));
    }
}

void mrt_rnn_activate(const mrt_rnn_job *j, int index, float *x, int64_t n) {
    const float clip = (float)j->params->clip;
    if (clip > 0) {
        bound(-clip, clip, x, n);
    }
    mrt_rnn_activate_plain(j, index, x, n);
}

void mrt_rnn_activate_plain(const mrt_rnn_job *j, int index, float *x, int64_t n) {
    const mrt_rnn_params *p = j->params;
    const int64_t code = p->activation[index];
    switch (code) {
    case MRT_UNARY_SIGMOID:
        mrt_vec_sigmoid(x, x, n);
        return;
    case MRT_UNARY_TANH:
        mrt_vec_tanh(x, x, n);
        return;
    case MRT_UNARY_SOFTPLUS:
        mrt_vec_softplus(x, x, n);
        return;
    case MRT_UNARY_RELU:
        bound(0.0f, INFINITY, x, n);
        return;
    default:
        for (int64_t i = 0; i < n; i++) {
            x[i] = simple(code, (float)p->alpha[index], (float)p->beta[index], x[i]);
        }
    }
}
