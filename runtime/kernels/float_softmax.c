/* softmax_f32: softmax (flag 0) or log-softmax (flag 1) along one axis.
 *
 * Per row: m = largest element; e[i] = exp(x[i] - m), the difference and e rounded to float;
 * s = sum of e in double; softmax e[i] / (float)s, log-softmax (float)((x[i] - m) - log s).
 * Sum along the last axis: chunks of 512 by rule float-sum, chunks added in order. Along another
 * axis: in increasing index. A row with a NaN is all NaN. */
#include "runtime/kernels/float_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/mrt_clones.h"
#include "runtime/mrt_math.h"

#define CHUNK 512
#define COLUMNS 64
#define TILE_FLOATS 4096
#define BLOCK_FLOATS 2048

typedef struct softmax_job {
    const float *x;
    float *y;
    int64_t outer, size, inner;
    int64_t per_tile; /* rows, or column chunks when inner > 1 */
    int64_t chunks;   /* column chunks per outer index */
    bool log;
} softmax_job;

mrt_status mrt_softmax_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    const mrt_axis_params *p = call->params;
    const mrt_tensor *x = mrt_in(call, 0), *y = mrt_out(call, 0);
    MRT_TRY(mrt_check_dtype(x, "x", MRT_F32, err));
    MRT_TRY(mrt_check_dtype(y, "y", MRT_F32, err));
    MRT_TRY(mrt_check_same_shape(y, "y", x, "x", err));
    MRT_TRY(mrt_check_axis(p->axis, x, err));
    MRT_TRY(mrt_check_param(p->flag, "flag", 0, 1, err));
    *out_scratch = 0;
    return MRT_OK;
}

MRT_CLONES static void subtract(const float *x, float m, int64_t n, float *y) {
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = x[i] - m; }
}
MRT_CLONES static void divide(float s, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] / s;
    }
}
/* y[i] = y[i] - log_s[i * step] */
MRT_CLONES static void lower(const double *log_s, int64_t step, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = (float)((double)y[i] - log_s[i * step]);
    }
}

static void run_row(const softmax_job *j, const float *x, float *y) {
    float chunk[CHUNK];
    double sum = 0;
    subtract(x, mrt_max(x, j->size), j->size, y);
    for (int64_t i = 0; i < j->size; i += CHUNK) {
        const int64_t n = mrt_min64(CHUNK, j->size - i);
        float *e = j->log ? chunk : y + i;
        mrt_vec_exp(y + i, e, n);
        sum += mrt_sum(e, n);
    }
    if (j->log) {
        sum = mrt_d_log_(sum);
        lower(&sum, 0, j->size, y);
    } else {
        divide((float)sum, j->size, y);
    }
}

/* Rows of one chunk or less: one pass of exponentials over all of them leaves no short ends. */
static void run_short_rows(const softmax_job *j, const float *x, float *y, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        subtract(x + r * j->size, mrt_max(x + r * j->size, j->size), j->size, y + r * j->size);
    }
    mrt_vec_exp(y, y, rows * j->size);
    for (int64_t r = 0; r < rows; r++) {
        divide((float)mrt_sum(y + r * j->size, j->size), j->size, y + r * j->size);
    }
}

static void row_tile(void *context, int64_t tile) {
    const softmax_job *j = context;
    const int64_t end = mrt_min64(j->outer, (tile + 1) * j->per_tile);
    const bool is_short = !j->log && j->size <= CHUNK;
    const int64_t step = is_short ? mrt_max64(1, BLOCK_FLOATS / j->size) : 1;
    for (int64_t r = tile * j->per_tile; r < end; r += step) {
        const float *x = j->x + r * j->size;
        float *y = j->y + r * j->size;
        if (is_short) {
            run_short_rows(j, x, y, mrt_min64(step, end - r));
        } else {
            run_row(j, x, y);
        }
    }
}

MRT_CLONES static void column_max(const float *x, int64_t n, float *max) {
    for (int64_t i = 0; i < n; i++) {
        max[i] = x[i] > max[i] ? x[i] : max[i];
    }
}
MRT_CLONES static void column_subtract(const float *x, const float *max, int64_t n, float *y) {
    MRT_IVDEP for (int64_t i = 0; i < n; i++) { y[i] = x[i] - max[i]; }
}
MRT_CLONES static void column_sum(const float *e, int64_t n, double *sum) {
    for (int64_t i = 0; i < n; i++) {
        sum[i] += (double)e[i];
    }
}
MRT_CLONES static void column_divide(const double *sum, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) {
        y[i] = y[i] / (float)sum[i];
    }
}

/* n <= COLUMNS neighbouring columns; elements of a column are `inner` apart. */
static void run_columns(const softmax_job *j, const float *x, float *y, int64_t n) {
    float max[COLUMNS], chunk[COLUMNS];
    double sum[COLUMNS];
    for (int64_t i = 0; i < n; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t k = 0; k < j->size; k++) {
        column_max(x + k * j->inner, n, max);
    }
    for (int64_t k = 0; k < j->size; k++) {
        float *row = y + k * j->inner;
        column_subtract(x + k * j->inner, max, n, row);
        mrt_vec_exp(row, j->log ? chunk : row, n);
        column_sum(j->log ? chunk : row, n, sum);
    }
    for (int64_t i = 0; j->log && i < n; i++) {
        sum[i] = mrt_d_log_(sum[i]);
    }
    for (int64_t k = 0; k < j->size; k++) {
        if (j->log) {
            lower(sum, 1, n, y + k * j->inner);
        } else {
            column_divide(sum, n, y + k * j->inner);
        }
    }
}

static void column_tile(void *context, int64_t tile) {
    const softmax_job *j = context;
    const int64_t end = mrt_min64(j->outer * j->chunks, (tile + 1) * j->per_tile);
    for (int64_t c = tile * j->per_tile; c < end; c++) {
        const int64_t column = c % j->chunks * COLUMNS;
        const int64_t at = c / j->chunks * j->size * j->inner + column;
        run_columns(j, j->x + at, j->y + at, mrt_min64(COLUMNS, j->inner - column));
    }
}

void mrt_softmax_f32_run(const mrt_call *call) {
    const mrt_axis_params *p = call->params;
    const mrt_shape *shape = &call->in[0]->shape;
    const int axis = (int)p->axis;
    softmax_job j = {.x = call->in[0]->data,
                     .y = call->out[0]->data,
                     .outer = mrt_shape_range(shape, 0, axis),
                     .size = shape->dims[axis],
                     .inner = mrt_shape_range(shape, axis + 1, shape->rank),
                     .log = p->flag != 0};
    if (j.outer * j.size * j.inner == 0) {
        return;
    }
    const bool rows = j.inner == 1;
    j.chunks = rows ? 1 : mrt_div_up(j.inner, COLUMNS);
    j.per_tile = mrt_max64(1, TILE_FLOATS / (j.size * (rows ? 1 : mrt_min64(COLUMNS, j.inner))));
    mrt_parallel_for(call->pool, mrt_div_up(j.outer * j.chunks, j.per_tile),
                     rows ? row_tile : column_tile, &j);
}
