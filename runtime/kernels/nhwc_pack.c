/* conv_nhwc: check, geometry and packed weights: see nhwc_conv.h. */
#include "runtime/kernels/nhwc_conv.h"

#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"

#include <string.h>

enum { PIECE_ROWS = 112, PIECE_BLOCKS = 8, MIN_TASKS = 8 };

/* The same tensor with its channels at axis 1, where mrt_conv_plan_check wants them. */
static mrt_tensor channels_first(const mrt_tensor *t) {
    mrt_tensor r = *t;
    const int32_t rank = t->shape.rank;
    if (rank >= 3) {
        r.shape.dims[1] = t->shape.dims[rank - 1];
        memcpy(&r.shape.dims[2], &t->shape.dims[1], sizeof(int64_t) * (size_t)(rank - 2));
    }
    return r;
}

static mrt_status make_plan(const mrt_call *call, mrt_conv_plan *plan, mrt_error *err) {
    MRT_TRY(mrt_check_dtype(mrt_in(call, 0), "x", MRT_U8, err));
    MRT_TRY(mrt_check_dtype(mrt_out(call, 0), "y", MRT_U8, err));
    const mrt_tensor x = channels_first(call->in[0]);
    mrt_tensor y = channels_first(call->out[0]);
    const mrt_tensor *in[5] = {&x, call->in[1], call->in[2], call->in[3], call->in[4]};
    mrt_tensor *out[1] = {&y};
    mrt_call logical = *call;
    logical.in = in;
    logical.out = out;
    MRT_TRY(mrt_conv_plan_check(&logical, false, plan, err));
    plan->depthwise = plan->group > 1 && plan->group_in == 1 && plan->group_out == 1;
    return MRT_OK;
}

/* Where windows are read from. */
static bool set_source(mrt_nhwc_conv *c) {
    const mrt_conv_plan *p = &c->plan;
    bool pads = false;
    for (int i = 0; i < 3; ++i) {
        pads = pads || p->begin[i] != 0 || p->padded[i] > p->in[i];
    }
    c->widens = c->isa->layout == MRT_TILE_I16 && !p->depthwise;
    c->copies = pads || c->widens;
    int64_t elements = p->channels;
    for (int i = 0; i < 3; ++i) {
        c->pitch[i] = pads ? p->padded[i] : p->in[i];
        if (__builtin_mul_overflow(elements, c->pitch[i], &elements) || elements > INT64_MAX / 64) {
            return false;
        }
    }
    c->copy_bytes = c->copies ? (size_t)elements * (c->widens ? 2 : 1) + MRT_TILE_SLACK : 0;
    return true;
}

/* Lines and tasks: from the shape alone, so that the result of no run depends on threads. */
static void set_lines(mrt_nhwc_conv *c) {
    const mrt_conv_plan *p = &c->plan;
    c->images = p->batch;
    c->lines = p->out[0] * p->out[1];
    c->line = p->out[2];
    if (p->direct && !p->depthwise) { /* neighbouring positions are neighbours in memory */
        const bool whole = !c->copies;
        c->images = whole ? 1 : p->batch;
        c->line = p->positions * (whole ? p->batch : 1);
        c->lines = 1;
    }
    c->line_piece = mrt_max64(1, mrt_min64(c->line, PIECE_ROWS));
    c->lines_piece = mrt_max64(1, PIECE_ROWS / c->line_piece);
    c->blocks_piece = mrt_max64(1, mrt_min64(c->blocks, PIECE_BLOCKS));
    const int64_t rows = mrt_div_up(c->lines, c->lines_piece) * mrt_div_up(c->line, c->line_piece);
    while (rows * mrt_div_up(c->blocks, c->blocks_piece) * p->group < MIN_TASKS &&
           c->blocks_piece > MRT_TILE_BLOCKS) {
        c->blocks_piece /= 2;
    }
}

static void set_windows(mrt_nhwc_conv *c) {
    const mrt_conv_plan *p = &c->plan;
    if (p->depthwise) {
        c->runs = p->taps;
        c->quads = mrt_div_up(p->taps, 4);
        c->blocks = mrt_div_up(p->channels, MRT_DEPTHWISE_BLOCK);
        c->columns = c->blocks * MRT_DEPTHWISE_BLOCK;
        c->block_bytes = (size_t)(c->quads * 4) * MRT_DEPTHWISE_BLOCK * mrt_tile_element(c->isa);
        return;
    }
    const bool merged = p->group == 1 && p->dilation[2] == 1;
    const int64_t run = merged ? p->kernel[2] * p->channels : p->group_in;
    c->runs = merged ? p->kernel[0] * p->kernel[1] : p->taps;
    c->quads = mrt_div_up(run, 4);
    c->blocks = mrt_div_up(p->group_out, MRT_TILE_BLOCK);
    c->columns = mrt_div_up(c->blocks, MRT_TILE_BLOCKS) * MRT_TILE_BLOCKS * MRT_TILE_BLOCK;
    c->block_bytes = mrt_tile_block_bytes(c->isa, c->runs, c->quads);
}

/* Byte offsets of the parts of packed memory. */
typedef struct pack_memory {
    size_t run, base, multiplier, shift, w, total;
} pack_memory;

static bool memory_layout(const mrt_nhwc_conv *c, pack_memory *m) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t groups = p->depthwise ? 1 : p->group;
    const size_t runs = (size_t)(p->depthwise ? c->quads * 4 : c->runs);
    const size_t columns = mrt_align64((size_t)(groups * c->columns) * sizeof(int32_t));
    size_t weights = 0;
    m->run = mrt_align64(sizeof(mrt_nhwc_conv));
    m->base = m->run + mrt_align64(runs * sizeof(int64_t));
    m->multiplier = m->base + columns;
    m->shift = m->multiplier + columns;
    m->w = m->shift + columns;
    if (!mrt_mul_bytes((size_t)(groups * c->blocks), c->block_bytes, &weights)) {
        return false;
    }
    m->total = m->w + mrt_align64(weights);
    return true;
}

static bool geometry(mrt_nhwc_conv *c, pack_memory *m) {
    c->isa = mrt_tile_isa_select();
    set_windows(c);
    if (!set_source(c) || !memory_layout(c, m)) {
        return false;
    }
    set_lines(c);
    return true;
}

/* True when int32 sums hold [acc-bound]. */
static bool is_narrow(const mrt_conv_plan *p, const mrt_tensor *bias) {
    const int32_t *b = bias->data;
    int64_t largest = 0;
    for (int64_t i = 0; b && i < p->out_channels; ++i) {
        largest = mrt_max64(largest, b[i] < 0 ? -(int64_t)b[i] : b[i]);
    }
    return b && p->depth <= MRT_ACC32_DEPTH && p->depth * 255 * 128 + largest <= INT32_MAX;
}

mrt_status mrt_conv_nhwc_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_nhwc_conv c = {0};
    pack_memory m;
    MRT_TRY(make_plan(call, &c.plan, err));
    if (!call->in[1]->data || !is_narrow(&c.plan, call->in[2]) || !call->in[3]->data) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': not a constant whose sums fit 32 bits");
    }
    if (!geometry(&c, &m)) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': padded size is too large");
    }
    *out_scratch = c.copy_bytes;
    return MRT_OK;
}

/* Offset of a tap in the source, in elements. */
static int64_t tap_offset(const mrt_nhwc_conv *c, int64_t tap) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t w = tap % p->kernel[2] * p->dilation[2];
    const int64_t h = tap / p->kernel[2] % p->kernel[1] * p->dilation[1];
    const int64_t d = tap / p->kernel[2] / p->kernel[1] * p->dilation[0];
    return ((d * c->pitch[1] + h) * c->pitch[2] + w) * p->channels;
}

static void store(const mrt_tile_isa *isa, void *w, size_t at, int8_t value) {
    if (isa->layout == MRT_TILE_I16) {
        ((int16_t *)w)[at] = value;
    } else {
        ((int8_t *)w)[at] = value;
    }
}

/* Weights of output channel oc, at column n of its block. */
static void pack_column(const mrt_nhwc_conv *c, const int8_t *weights, int64_t oc, void *block) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t n = oc % p->group_out % MRT_TILE_BLOCK;
    const int64_t merged = p->taps / c->runs; /* taps per run */
    for (int64_t channel = 0; channel < p->group_in; ++channel) {
        const int8_t *w = weights + (oc * p->group_in + channel) * p->taps;
        for (int64_t tap = 0; tap < p->taps; ++tap) {
            const int64_t k = tap % merged * p->group_in + channel;
            store(c->isa, block, mrt_tile_index(c->isa, c->quads, tap / merged, k, n), w[tap]);
        }
    }
}

static void pack_weights(const mrt_nhwc_conv *c, const int8_t *weights, char *out) {
    const mrt_conv_plan *p = &c->plan;
    for (int64_t oc = 0; oc < p->out_channels; ++oc) {
        if (p->depthwise) {
            char *block = out + (size_t)(oc / MRT_DEPTHWISE_BLOCK) * c->block_bytes;
            for (int64_t t = 0; t < p->taps; ++t) {
                store(c->isa, block,
                      mrt_tile_depthwise_index(c->isa, t, oc % MRT_DEPTHWISE_BLOCK),
                      weights[oc * p->taps + t]);
            }
            continue;
        }
        const int64_t g = oc / p->group_out;
        const int64_t b = oc % p->group_out / MRT_TILE_BLOCK;
        pack_column(c, weights, oc, out + (size_t)(g * c->blocks + b) * c->block_bytes);
    }
}

size_t mrt_conv_nhwc_pack(const mrt_call *call, void *packed) {
    mrt_nhwc_conv c = {0};
    pack_memory m;
    const mrt_status status = make_plan(call, &c.plan, NULL);
    const bool fits = geometry(&c, &m);
    assert(status == MRT_OK && fits);
    (void)status, (void)fits;
    if (!packed) {
        return m.total;
    }
    const mrt_conv_plan *p = &c.plan;
    char *memory = packed;
    int64_t *run = (int64_t *)(void *)(memory + m.run);
    int32_t *arrays[3] = {(int32_t *)(void *)(memory + m.base),
                          (int32_t *)(void *)(memory + m.multiplier),
                          (int32_t *)(void *)(memory + m.shift)};
    memset(packed, 0, m.total);
    const int64_t step = p->depthwise ? 1 : p->taps / c.runs;
    for (int64_t i = 0; i < c.runs; ++i) {
        run[i] = tap_offset(&c, i * step);
    }
    for (int64_t oc = 0; oc < p->out_channels; ++oc) {
        const int64_t at = p->depthwise ? oc
                                        : oc / p->group_out * c.columns + oc % p->group_out;
        for (int i = 0; i < 3; ++i) {
            arrays[i][at] = ((const int32_t *)call->in[2 + i]->data)[oc];
        }
    }
    pack_weights(&c, call->in[1]->data, memory + m.w);
    c.run = run;
    c.base = arrays[0];
    c.multiplier = arrays[1];
    c.shift = arrays[2];
    c.w = memory + m.w;
    memcpy(packed, &c, sizeof(c));
    return m.total;
}
