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

bool mrt_nhwc_geometry(mrt_nhwc_conv *c) {
    pack_memory m;
    c->isa = mrt_tile_isa_select();
    set_windows(c);
    if (!set_source(c) || !memory_layout(c, &m)) {
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
    MRT_TRY(make_plan(call, &c.plan, err));
    if (!call->in[1]->data || !is_narrow(&c.plan, call->in[2]) || !call->in[3]->data) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': not a constant whose sums fit 32 bits");
    }
    if (!mrt_nhwc_geometry(&c)) {
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

/* Weights of 16 output channels: every weight goes to its column, run and place in a quad. */
static void pack_column(const mrt_nhwc_conv *c, const int8_t *weights, int64_t oc, void *block) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t n = oc % p->group_out % MRT_TILE_BLOCK;
    const int64_t merged = p->taps / c->runs; /* taps per run */
    const int bits = c->isa->layout == MRT_TILE_I16 ? 1 : 2; /* 2^bits values lie together */
    const int8_t *w = weights + oc * p->depth;
    for (int64_t tap = 0; tap < p->taps; ++tap) {
        const int64_t from = tap % merged * p->group_in;
        const int64_t run = tap / merged * c->quads * 4 * MRT_TILE_BLOCK + (n << bits);
        for (int64_t channel = 0; channel < p->group_in; ++channel) {
            const int64_t k = from + channel;
            const int64_t inner = k & ((1 << bits) - 1);
            const int64_t at = run + (k - inner) * MRT_TILE_BLOCK + inner;
            if (bits == 1) {
                ((int16_t *)block)[at] = w[channel * p->taps + tap];
            } else {
                ((int8_t *)block)[at] = w[channel * p->taps + tap];
            }
        }
    }
}

static void pack_channel(const mrt_nhwc_conv *c, const int8_t *weights, int64_t oc, void *block) {
    for (int64_t t = 0; t < c->plan.taps; ++t) {
        const size_t at = mrt_tile_depthwise_index(c->isa, t, oc % MRT_DEPTHWISE_BLOCK);
        if (c->isa->layout == MRT_TILE_I16) {
            ((int16_t *)block)[at] = weights[oc * c->plan.taps + t];
        } else {
            ((int8_t *)block)[at] = weights[oc * c->plan.taps + t];
        }
    }
}

typedef struct pack_job {
    const mrt_nhwc_conv *conv;
    const int8_t *weights;
    char *out;
} pack_job;

static void pack_block(void *context, int64_t index) {
    const pack_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t width = p->depthwise ? MRT_DEPTHWISE_BLOCK : MRT_TILE_BLOCK;
    const int64_t channels = p->depthwise ? p->channels : p->group_out;
    const int64_t first = index % c->blocks * width;
    char *block = job->out + (size_t)index * c->block_bytes;
    for (int64_t i = first; i < mrt_min64(first + width, channels); ++i) {
        const int64_t oc = index / c->blocks * channels + i;
        if (p->depthwise) {
            pack_channel(c, job->weights, oc, block);
        } else {
            pack_column(c, job->weights, oc, block);
        }
    }
}

/* True when the short form of the requantization gives the same integers. */
static bool is_narrow_end(const mrt_conv_plan *p, const mrt_nhwc_constants *from) {
    for (int64_t oc = 0; oc < p->out_channels; ++oc) {
        const int64_t base = from->base[oc];
        const int64_t bound = p->depth * 255 * 128 + (base < 0 ? -base : base);
        const int64_t multiplier = from->multiplier[oc];
        const int32_t shift = from->shift[oc];
        if (shift < 32 || bound > INT32_MAX ||
            (bound * (multiplier < 0 ? -multiplier : multiplier)) >> shift > INT32_MAX - 512) {
            return false;
        }
    }
    return true;
}

size_t mrt_nhwc_pack(const mrt_nhwc_conv *conv, const mrt_nhwc_constants *from, mrt_pool *pool,
                     void *packed) {
    mrt_nhwc_conv c = *conv;
    const mrt_conv_plan *p = &c.plan;
    pack_memory m;
    const bool fits = memory_layout(&c, &m);
    assert(fits);
    (void)fits;
    if (!packed) {
        return m.total;
    }
    char *memory = packed;
    int64_t *run = (int64_t *)(void *)(memory + m.run);
    int32_t *base = (int32_t *)(void *)(memory + m.base);
    int32_t *multiplier = (int32_t *)(void *)(memory + m.multiplier);
    int32_t *shift = (int32_t *)(void *)(memory + m.shift);
    memset(packed, 0, m.total);
    const int64_t step = p->depthwise ? 1 : p->taps / c.runs;
    for (int64_t i = 0; i < c.runs; ++i) {
        run[i] = tap_offset(&c, i * step);
    }
    for (int64_t oc = 0; oc < p->out_channels; ++oc) {
        const int64_t at = p->depthwise ? oc
                                        : oc / p->group_out * c.columns + oc % p->group_out;
        base[at] = from->base[oc];
        multiplier[at] = from->multiplier[oc];
        shift[at] = from->shift[oc];
    }
    c.narrow = is_narrow_end(p, from);
    c.run = run;
    c.base = base;
    c.multiplier = multiplier;
    c.shift = shift;
    c.w = memory + m.w;
    memcpy(packed, &c, sizeof(c));
    pack_job job = {&c, from->weights, memory + m.w};
    mrt_parallel_for(pool, c.blocks * (p->depthwise ? 1 : p->group), pack_block, &job);
    return m.total;
}

size_t mrt_conv_nhwc_pack(const mrt_call *call, void *packed) {
    const mrt_conv_int_params *params = call->params;
    mrt_nhwc_conv c = {.zero_point = (int32_t)params->zero_point_out,
                       .low = (int32_t)params->clamp_min,
                       .high = (int32_t)params->clamp_max};
    const mrt_status status = make_plan(call, &c.plan, NULL);
    const bool fits = mrt_nhwc_geometry(&c);
    assert(status == MRT_OK && fits);
    (void)status, (void)fits;
    const mrt_nhwc_constants from = {call->in[1]->data, call->in[2]->data, call->in[3]->data,
                                     call->in[4]->data};
    return mrt_nhwc_pack(&c, &from, call->pool, packed);
}
