/* deconv_f32 in gather form: every output is a sum over the taps that reach it.
 *
 * Along an axis, output o reads input (o + pad - k*dilation) / stride for the taps k that leave no
 * remainder, so outputs of one residue modulo the stride ("phase") share their taps, and one phase
 * is an ordinary convolution with stride 1 over those taps. Phases run one after another: pack
 * their weights, gather columns, multiply, scatter with the stride. Order of sums: float_order over
 * k = (channel, tap) with taps increasing; bias comes last. */
#include "runtime/kernels/float_conv.h"
#include "runtime/kernels/kernels.h"

#include <assert.h>

typedef struct deconv_job {
    const mrt_call *call;
    mrt_conv_geo geo;
    /* Upper bounds over all phases. */
    int64_t max_k, max_grid;
    /* Of the current phase. */
    int64_t residue[3], tap_first[3], tap_step[3];
    mrt_columns columns;
    int64_t taps, k, grid_size;
    int64_t row_block, row_blocks, col_block, col_blocks, items, lanes;
    float *weights; /* [OC, k] of the phase */
    char *slices;
    size_t slice;
} deconv_job;

static int64_t gcd(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Taps and grid of outputs with residue r along one axis. */
static void set_axis(deconv_job *j, int axis, int64_t r) {
    const mrt_conv_geo *g = &j->geo;
    const int64_t s = g->stride[axis], d = g->dilation[axis], kernel = g->kernel[axis];
    const int64_t step = s / gcd(s, d);
    const int64_t at = r + g->pad[axis];
    int64_t first = 0;
    while (first < mrt_min64(kernel, step) && (at - first * d) % s != 0) {
        first++;
    }
    const bool any = first < mrt_min64(kernel, step);
    j->residue[axis] = r;
    j->tap_first[axis] = first;
    j->tap_step[axis] = step;
    j->columns.taps[axis] = any ? (kernel - 1 - first) / step + 1 : 0;
    j->columns.first[axis] = any ? (at - first * d) / s : 0;
    j->columns.tap_step[axis] = -(step * d / s);
    j->columns.grid[axis] = (g->out[axis] - r - 1) / s + 1;
    j->columns.step[axis] = 1;
    j->columns.in[axis] = g->in[axis];
}

/* Blocks of the current phase. */
static void set_blocks(deconv_job *j) {
    const mrt_conv_geo *g = &j->geo;
    const mrt_columns *c = &j->columns;
    j->taps = c->taps[0] * c->taps[1] * c->taps[2];
    j->k = g->cg * j->taps;
    j->grid_size = c->grid[0] * c->grid[1] * c->grid[2];
    j->col_block = mrt_min64(mrt_column_block(j->max_k, j->max_grid), j->grid_size);
    j->col_blocks = mrt_div_up(j->grid_size, j->col_block);
    const int64_t blocks = j->col_blocks * g->batch * g->group;
    j->row_blocks = mrt_div_up(g->ocg, j->row_block);
    j->items = blocks * j->row_blocks;
    j->lanes = mrt_lane_count(j->items);
}

/* Sizes that hold for every phase. Returns the scratch bytes, 0 when they overflow. */
static size_t set_sizes(deconv_job *j) {
    const mrt_conv_geo *g = &j->geo;
    j->max_k = g->cg;
    j->max_grid = 1;
    for (int i = 0; i < 3; i++) {
        const int64_t step = g->stride[i] / gcd(g->stride[i], g->dilation[i]);
        j->max_k *= mrt_div_up(g->kernel[i], step);
        j->max_grid *= mrt_div_up(g->out[i], g->stride[i]);
    }
    const int64_t block = mrt_column_block(j->max_k, j->max_grid);
    const int64_t blocks = mrt_div_up(j->max_grid, block) * g->batch * g->group;
    j->row_block = mrt_row_block(g->ocg, blocks);
    const int64_t rows = mrt_min64(j->row_block, g->ocg);
    const size_t weights = mrt_align64((size_t)g->oc * (size_t)j->max_k * sizeof(float));
    if (j->max_k + rows > INT64_MAX / 4096 / block) {
        return 0;
    }
    j->slice = mrt_align64((size_t)(j->max_k * block) * sizeof(float)) +
               mrt_align64((size_t)(rows * block) * sizeof(float));
    if (j->slice > (SIZE_MAX >> 16)) {
        return 0;
    }
    j->columns.channels = g->cg;
    const int64_t lanes =
        mrt_lane_count(blocks * mrt_div_up(g->ocg, j->row_block));
    return weights + (size_t)lanes * j->slice;
}

mrt_status mrt_deconv_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    deconv_job j = {.call = call};
    MRT_TRY(mrt_conv_resolve(call, true, &j.geo, err));
    mrt_gemm_setup();
    *out_scratch = 0;
    if (mrt_conv_empty(&j.geo)) {
        return MRT_OK;
    }
    const size_t bytes = set_sizes(&j);
    if (bytes == 0) {
        return mrt_fail(err, MRT_INVALID, "operands need too much working memory");
    }
    *out_scratch = bytes;
    return MRT_OK;
}

/* Weights of one output channel: [cg, taps of the phase]. */
static void pack_channel(void *context, int64_t oc) {
    const deconv_job *j = context;
    const mrt_conv_geo *g = &j->geo;
    const mrt_columns *c = &j->columns;
    float *dst = j->weights + oc * j->k;
    for (int64_t ch = 0; ch < g->cg; ch++) {
        const int64_t row = (oc / g->ocg * g->cg + ch) * g->ocg + oc % g->ocg;
        const float *w = (const float *)j->call->in[1]->data + row * g->taps;
        for (int64_t a = 0; a < c->taps[0]; a++) {
            for (int64_t b = 0; b < c->taps[1]; b++) {
                const int64_t kd = j->tap_first[0] + a * j->tap_step[0];
                const int64_t kh = j->tap_first[1] + b * j->tap_step[1];
                const float *line = w + (kd * g->kernel[1] + kh) * g->kernel[2] + j->tap_first[2];
                for (int64_t e = 0; e < c->taps[2]; e++) {
                    *dst++ = line[e * j->tap_step[2]];
                }
            }
        }
    }
}

/* Writes a block of the phase's grid to its places in the output rows. */
static void scatter_row(const deconv_job *j, const float *src, int64_t begin, int64_t n, float *y) {
    const mrt_conv_geo *g = &j->geo;
    const int64_t *grid = j->columns.grid;
    int64_t w = begin % grid[2], h = begin / grid[2] % grid[1], d = begin / grid[2] / grid[1];
    while (n > 0) {
        const int64_t count = mrt_min64(grid[2] - w, n);
        const int64_t od = j->residue[0] + d * g->stride[0];
        const int64_t oh = j->residue[1] + h * g->stride[1];
        float *line = y + (od * g->out[1] + oh) * g->out[2] + j->residue[2];
        for (int64_t i = 0; i < count; i++) {
            line[(w + i) * g->stride[2]] = src[i];
        }
        src += count;
        n -= count;
        w = 0;
        h++;
        if (h == grid[1]) {
            h = 0;
            d++;
        }
    }
}

static void run_block(const deconv_job *j, int64_t item, float *columns, float *block) {
    const mrt_conv_geo *g = &j->geo;
    const mrt_conv_params *p = j->call->params;
    const mrt_tensor *bias = mrt_in(j->call, 2);
    const int64_t col = item % j->col_blocks * j->col_block;
    const int64_t row = item / j->col_blocks % j->row_blocks * j->row_block;
    const int64_t group = item / j->col_blocks / j->row_blocks % g->group;
    const int64_t batch = item / j->col_blocks / j->row_blocks / g->group;
    const int64_t cols = mrt_min64(j->col_block, j->grid_size - col);
    const int64_t rows = mrt_min64(j->row_block, g->ocg - row);
    const int64_t oc = group * g->ocg + row;
    const float *x =
        (const float *)j->call->in[0]->data + (batch * g->c + group * g->cg) * g->in_size;
    float *y = (float *)j->call->out[0]->data + (batch * g->oc + oc) * g->out_size;
    mrt_gather_columns(&j->columns, x, col, col + cols, columns);
    const mrt_gemm m = {.order = p->float_order,
                        .m = rows,
                        .n = cols,
                        .k = j->k,
                        .a = j->weights + oc * j->k,
                        .lda = mrt_max64(j->k, 1),
                        .b = columns,
                        .ldb = cols,
                        .c = block,
                        .ldc = cols};
    mrt_gemm_f32(&m);
    const mrt_epilogue e =
        mrt_epilogue_make(bias ? (const float *)bias->data + oc : NULL, p->act, p->act_limit);
    mrt_epilogue_rows(&e, block, rows, cols, cols);
    for (int64_t r = 0; r < rows; r++) {
        scatter_row(j, block + r * cols, col, cols, y + r * g->out_size);
    }
}

static void run_lane(void *context, int64_t lane) {
    const deconv_job *j = context;
    char *slice = j->slices + (size_t)lane * j->slice;
    const int64_t block = mrt_column_block(j->max_k, j->max_grid);
    float *out = (float *)(slice + mrt_align64((size_t)(j->max_k * block) * sizeof(float)));
    const int64_t end = mrt_lane_begin(j->items, j->lanes, lane + 1);
    for (int64_t item = mrt_lane_begin(j->items, j->lanes, lane); item < end; item++) {
        run_block(j, item, (float *)slice, out);
    }
}

void mrt_deconv_f32_run(const mrt_call *call) {
    deconv_job j = {.call = call};
    const mrt_status status = mrt_conv_resolve(call, true, &j.geo, NULL);
    assert(status == MRT_OK);
    (void)status;
    const mrt_conv_geo *g = &j.geo;
    if (mrt_conv_empty(g)) {
        return;
    }
    set_sizes(&j);
    j.weights = call->scratch;
    j.slices = (char *)call->scratch +
               mrt_align64((size_t)g->oc * (size_t)j.max_k * sizeof(float));
    for (int64_t d = 0; d < mrt_min64(g->stride[0], g->out[0]); d++) {
        set_axis(&j, 0, d);
        for (int64_t h = 0; h < mrt_min64(g->stride[1], g->out[1]); h++) {
            set_axis(&j, 1, h);
            for (int64_t w = 0; w < mrt_min64(g->stride[2], g->out[2]); w++) {
                set_axis(&j, 2, w);
                set_blocks(&j);
                mrt_parallel_for(call->pool, g->oc, pack_channel, &j);
                mrt_parallel_for(call->pool, j.lanes, run_lane, &j);
            }
        }
    }
}
