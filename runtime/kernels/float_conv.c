/* conv_f32: 1 to 3 spatial axes, groups, dilation, bias, fused activation.
 *
 * Three ways, chosen by shape alone: a product of the weights with the input as it lies (1x1,
 * stride 1, no padding); a product with gathered columns; shifted rows for one input channel per
 * group. Order of sums: float_order for the products over k = (channel, tap); bias comes last.
 * Taps in the padding count as 0. */
#include "runtime/kernels/float_conv.h"
#include "runtime/kernels/kernels.h"

#include <assert.h>

/* Work is a list of blocks: batch x group x row block x column block. Each lane does a run of
 * blocks and owns a slice of scratch for its columns. */
typedef struct conv_job {
    const mrt_call *call;
    mrt_conv_geo geo;
    mrt_columns columns;
    mrt_epilogue epilogue;
    int64_t order;
    bool direct; /* the input is its own column matrix */
    int64_t k, row_block, row_blocks, col_block, col_blocks, items, lanes;
    size_t slice;
} conv_job;

static bool is_direct(const mrt_conv_geo *g) {
    bool direct = g->taps == 1;
    for (int i = 0; i < 3; i++) {
        direct = direct && g->stride[i] == 1 && g->pad[i] == 0 && g->in[i] == g->out[i];
    }
    return direct;
}

static conv_job make_job(const mrt_call *call, const mrt_conv_geo *g) {
    const mrt_conv_params *p = call->params;
    conv_job j = {.call = call, .geo = *g, .order = p->float_order, .direct = is_direct(g)};
    for (int i = 0; i < 3; i++) {
        j.columns.grid[i] = g->out[i];
        j.columns.step[i] = g->stride[i];
        j.columns.in[i] = g->in[i];
        j.columns.taps[i] = g->kernel[i];
        j.columns.first[i] = -g->pad[i];
        j.columns.tap_step[i] = g->dilation[i];
    }
    j.columns.channels = g->cg;
    j.k = g->cg * g->taps;
    j.col_block = j.direct ? mrt_column_block(64, g->out_size) : mrt_column_block(j.k, g->out_size);
    j.col_blocks = mrt_div_up(g->out_size, j.col_block);
    const int64_t blocks = j.col_blocks * g->batch * g->group;
    j.row_block = mrt_row_block(g->ocg, blocks);
    j.row_blocks = mrt_div_up(g->ocg, j.row_block);
    j.items = blocks * j.row_blocks;
    j.lanes = mrt_lane_count(j.items);
    j.slice = j.direct ? 0 : mrt_align64((size_t)j.k * (size_t)j.col_block * sizeof(float));
    return j;
}

mrt_status mrt_conv_f32_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_conv_geo g;
    MRT_TRY(mrt_conv_resolve(call, false, &g, err));
    mrt_gemm_setup();
    if (mrt_conv_empty(&g)) {
        *out_scratch = 0;
        return MRT_OK;
    }
    if (mrt_depthwise_fits(&g)) {
        return mrt_depthwise_scratch(&g, out_scratch, err);
    }
    const conv_job j = make_job(call, &g);
    return mrt_lane_scratch(j.lanes, j.slice, out_scratch, err);
}

static void run_block(const conv_job *j, int64_t item, float *columns) {
    const mrt_conv_geo *g = &j->geo;
    const mrt_tensor *bias = mrt_in(j->call, 2);
    const int64_t col = item % j->col_blocks * j->col_block;
    const int64_t row = item / j->col_blocks % j->row_blocks * j->row_block;
    const int64_t group = item / j->col_blocks / j->row_blocks % g->group;
    const int64_t batch = item / j->col_blocks / j->row_blocks / g->group;
    const int64_t cols = mrt_min64(j->col_block, g->out_size - col);
    const int64_t rows = mrt_min64(j->row_block, g->ocg - row);
    const int64_t oc = group * g->ocg + row;
    const float *x =
        (const float *)j->call->in[0]->data + (batch * g->c + group * g->cg) * g->in_size;
    const float *w = j->call->in[1]->data;
    float *y = j->call->out[0]->data;
    mrt_gemm m = {.order = j->order,
                  .m = rows,
                  .n = cols,
                  .k = j->k,
                  .a = w + oc * j->k,
                  .lda = mrt_max64(j->k, 1),
                  .b = x + col,
                  .ldb = g->in_size,
                  .c = y + (batch * g->oc + oc) * g->out_size + col,
                  .ldc = g->out_size};
    if (!j->direct) {
        mrt_gather_columns(&j->columns, x, col, col + cols, columns);
        m.b = columns;
        m.ldb = cols;
    }
    mrt_gemm_f32(&m);
    const mrt_conv_params *p = j->call->params;
    const mrt_epilogue e =
        mrt_epilogue_make(bias ? (const float *)bias->data + oc : NULL, p->act, p->act_limit);
    mrt_epilogue_rows(&e, m.c, rows, cols, g->out_size);
}

static void run_lane(void *context, int64_t lane) {
    const conv_job *j = context;
    float *columns =
        j->direct ? NULL : (float *)((char *)j->call->scratch + (size_t)lane * j->slice);
    const int64_t end = mrt_lane_begin(j->items, j->lanes, lane + 1);
    for (int64_t item = mrt_lane_begin(j->items, j->lanes, lane); item < end; item++) {
        run_block(j, item, columns);
    }
}

void mrt_conv_f32_run(const mrt_call *call) {
    mrt_conv_geo g;
    const mrt_status status = mrt_conv_resolve(call, false, &g, NULL);
    assert(status == MRT_OK);
    (void)status;
    if (mrt_conv_empty(&g)) {
        return;
    }
    if (mrt_depthwise_fits(&g)) {
        mrt_depthwise_run(call, &g);
        return;
    }
    conv_job j = make_job(call, &g);
    mrt_parallel_for(call->pool, j.lanes, run_lane, &j);
}
