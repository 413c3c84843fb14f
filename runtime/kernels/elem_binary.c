/* binary: element-wise functions of two tensors with numpy broadcasting; the loops are in
 * elem_binary_float.c and elem_binary_int.c, the iteration in elem_walk.c. */
#include "runtime/kernels/elem_binary.h"

#include "runtime/kernels/elem_util.h"
#include "runtime/kernels/elem_walk.h"

#include <math.h>
#include <string.h>

enum {
    SHORT_ROW = 16,    /* rows below are staged, so that inner loops get longer */
    STAGE_BYTES = 2048,
};

static bool is_comparison(int64_t op) { return op >= MRT_BINARY_EQ && op <= MRT_BINARY_GE; }
static bool is_swapped(int64_t op) { return op == MRT_BINARY_GT || op == MRT_BINARY_GE; }

static mrt_binary_fn *find_function(int64_t op, mrt_dtype dtype) {
    op = op == MRT_BINARY_GT ? MRT_BINARY_LT : op == MRT_BINARY_GE ? MRT_BINARY_LE : op;
    if (dtype == MRT_F32 || dtype == MRT_F64) {
        return mrt_binary_float(op, dtype);
    }
    return mrt_binary_int(op, dtype);
}

mrt_status mrt_binary_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_binary_params *p = call->params;
    const mrt_tensor *in[2] = {mrt_in(call, 0), mrt_in(call, 1)}, *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_param(p->op, "op", 0, MRT_BINARY_ATAN2, err));
    MRT_TRY(mrt_check_param(p->act, "act", MRT_ACT_NONE, MRT_ACT_RELU, err));
    MRT_TRY(mrt_walk_check(y, in, 2, err));
    MRT_TRY(mrt_elem_check_number(in[0], "a", err));
    MRT_TRY(mrt_check_same_dtype(in[1], "b", in[0], "a", err));
    if (find_function(p->op, in[0]->dtype) == NULL) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'a': no binary function %" PRId64 " of %s",
                        p->op, mrt_dtype_name(in[0]->dtype));
    }
    MRT_TRY(mrt_check_dtype(y, "y", is_comparison(p->op) ? MRT_BOOL : in[0]->dtype, err));
    if (p->act != MRT_ACT_NONE && !mrt_dtype_is_float(y->dtype)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "parameter 'act': only for float results, not %s",
                        mrt_dtype_name(y->dtype));
    }
    *out_scratch = 0;
    return MRT_OK;
}

typedef struct binary_job {
    mrt_walk walk;
    mrt_binary_fn *fn;
    const mrt_tensor *a, *b, *y; /* a and b swapped for GT and GE */
    const mrt_binary_params *params;
    int64_t elem, y_elem;
} binary_job;

#define RELU(T)                                                                                    \
    do {                                                                                           \
        T *values = data;                                                                          \
        const T limit = p->act_limit < 0 ? (T)INFINITY : (T)p->act_limit;                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T v = values[i];                                                                 \
            values[i] = v < 0 ? 0 : v > limit ? limit : v;                                         \
        }                                                                                          \
    } while (0)

static void activate(const mrt_binary_params *p, mrt_dtype dtype, void *data, int64_t n) {
    if (dtype == MRT_F32) {
        RELU(float);
    } else {
        RELU(double);
    }
}

#define SPREAD(T)                                                                                  \
    do {                                                                                           \
        T *to = dst;                                                                               \
        const T *from = src;                                                                       \
        for (int64_t r = 0; r < rows; r++) {                                                       \
            for (int64_t c = 0; c < cols; c++) {                                                   \
                *to++ = from[r * row_stride + c * col_stride];                                     \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Writes rows * cols elements densely. */
static void spread(void *dst, const void *src, int64_t rows, int64_t cols, int64_t row_stride,
                   int64_t col_stride, int64_t elem) {
    switch (elem) {
    case 1:
        SPREAD(uint8_t);
        return;
    case 2:
        SPREAD(uint16_t);
        return;
    case 4:
        SPREAD(uint32_t);
        return;
    default:
        SPREAD(uint64_t);
    }
}

/* Short rows: operands that repeat are written out for some rows at a time. */
static void run_short(const binary_job *j, const char *const *in, char *y,
                      const mrt_walk_block *block) {
    uint64_t stage[2][STAGE_BYTES / sizeof(uint64_t)];
    const int64_t cols = block->cols, step = STAGE_BYTES / (cols * j->elem);
    for (int64_t row = 0; row < block->rows; row += step) {
        const int64_t rows = mrt_min64(step, block->rows - row);
        const char *from[2];
        for (int t = 0; t < 2; t++) {
            const int64_t row_stride = j->walk.row_stride[t], col_stride = j->walk.col_stride[t];
            from[t] = in[t] + row * row_stride * j->elem;
            if (row_stride == cols && col_stride == 1) {
                continue;
            }
            if (row == 0 || row_stride != 0) {
                spread(stage[t], from[t], rows, cols, row_stride, col_stride, j->elem);
            }
            from[t] = (const char *)stage[t];
        }
        const mrt_binary_block whole = {1, rows * cols, 0, 0, 1, 1};
        j->fn(from[0], from[1], y + row * cols * j->y_elem, &whole);
    }
}

static void run_block(void *context, const mrt_walk *walk, const mrt_walk_block *block) {
    const binary_job *j = context;
    const char *in[2] = {(const char *)j->a->data + block->in[0] * j->elem,
                         (const char *)j->b->data + block->in[1] * j->elem};
    char *y = (char *)j->y->data + block->out * j->y_elem;
    if (block->cols < SHORT_ROW && block->rows > 1) {
        run_short(j, in, y, block);
    } else {
        const mrt_binary_block shape = {
            block->rows, block->cols, walk->row_stride[0], walk->row_stride[1],
            (int)walk->col_stride[0], (int)walk->col_stride[1]};
        j->fn(in[0], in[1], y, &shape);
    }
    if (j->params->act != MRT_ACT_NONE) {
        activate(j->params, j->y->dtype, y, block->rows * block->cols);
    }
}

static void run_tile(void *context, int64_t tile) {
    const binary_job *j = context;
    mrt_walk_tile(&j->walk, tile, run_block, context);
}

void mrt_binary_run(const mrt_call *call) {
    const mrt_binary_params *p = call->params;
    const int left = is_swapped(p->op);
    const mrt_tensor *in[2] = {call->in[left], call->in[1 - left]};
    binary_job j = {.fn = find_function(p->op, in[0]->dtype), .a = in[0], .b = in[1],
                    .y = call->out[0], .params = p,
                    .elem = (int64_t)mrt_dtype_bytes(in[0]->dtype),
                    .y_elem = (int64_t)mrt_dtype_bytes(call->out[0]->dtype)};
    mrt_walk_init(&j.walk, &j.y->shape, in, 2);
    mrt_parallel_for(call->pool, j.walk.tiles, run_tile, &j);
}
