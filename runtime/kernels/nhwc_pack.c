/* Channels-last convolutions: geometry and packed weights; check of conv_nhwc: see nhwc_conv.h. */
#include "runtime/kernels/nhwc_conv.h"

#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"
#include "runtime/kernels/tile_proof.h"

#include <string.h>

enum { PIECE_ROWS = 112, PIECE_BLOCKS = 8, MIN_TASKS = 8, GATHER_COLUMNS = 128 };
/* Gathered windows are to stay in the second cache. Copying a run takes as long as the small row takes for
 * so many products of a quad and a block. */
enum { GATHER_BYTES = 1 << 20, GATHER_WORK = 16 };

mrt_tensor mrt_nhwc_channels_first(const mrt_tensor *t) {
    mrt_tensor r = *t;
    const int32_t rank = t->shape.rank;
    if (rank >= 3) {
        r.shape.dims[1] = t->shape.dims[rank - 1];
        memcpy(&r.shape.dims[2], &t->shape.dims[1], sizeof(int64_t) * (size_t)(rank - 2));
    }
    return r;
}

mrt_status mrt_nhwc_plan(const mrt_call *call, bool transposed, mrt_nhwc_conv *c,
                         mrt_error *err) {
    const mrt_conv_int_params *p = call->params;
    mrt_conv_plan *plan = &c->plan;
    MRT_TRY(mrt_check_dtype2(mrt_in(call, 0), "x", MRT_I8, MRT_U8, err));
    MRT_TRY(mrt_check_param(p->zero_point_in, "zero_point_in", 0, 255, err));
    c->real = mrt_conv_is_real(call);
    if (!c->real) {
        MRT_TRY(mrt_check_param(p->clamp_min, "clamp_min", 0, 255, err));
    }
    c->range = mrt_real_range_of(p->conv.act, p->conv.act_limit);
    c->most = call->in[0]->dtype == MRT_I8 ? INT8_MAX : UINT8_MAX;
    const mrt_tensor x = mrt_nhwc_channels_first(call->in[0]);
    mrt_tensor y = mrt_nhwc_channels_first(call->out[0]);
    const mrt_tensor *in[5] = {&x, call->in[1], call->in[2], call->in[3], c->real ? NULL : call->in[4]};
    mrt_tensor *out[1] = {&y};
    mrt_call logical = *call;
    logical.in = in;
    logical.out = out;
    MRT_TRY(mrt_conv_plan_check(&logical, transposed, plan, err));
    plan->depthwise = plan->group > 1 && plan->group_in == 1 && plan->group_out == 1;
    return MRT_OK;
}

static bool has_merged_runs(const mrt_conv_plan *p) {
    return p->group == 1 && p->dilation[2] == 1; /* taps of a kernel row and their channels */
}

/* The row of the table. One that takes long runs and many rows at once reads gathered windows where
 * they are not so by themselves, or leaves the work to its small row. */
static void choose_row(mrt_nhwc_conv *c) {
    const mrt_conv_plan *p = &c->plan;
    const bool may_gather = c->gathers;
    c->isa = mrt_tile_isa_select();
    c->isa = c->isa->bytes ? c->isa->bytes : c->isa;
    c->gathers = c->isa->proves && may_gather && !p->direct && !p->depthwise && p->group == 1 &&
                 p->out[2] < c->isa->heights[0] && p->group_out >= GATHER_COLUMNS;
    if (!c->isa->small) {
        return;
    }
    const int64_t run = has_merged_runs(p) ? p->kernel[2] * p->channels : p->group_in;
    const bool whole = run * 4 >= mrt_tile_quads(c->isa, run) * 4 * 3; /* a quarter may be lost */
    const int64_t rows = p->direct ? p->positions * p->batch : p->positions;
    if (p->depthwise || rows < MRT_TILE_LEAST_ROWS) {
        c->isa = c->isa->small;
    } else if (!p->direct && (!whole || p->out[2] < MRT_TILE_LEAST_ROWS)) {
        const int64_t work = mrt_div_up(run, 4) * mrt_div_up(p->group_out, MRT_TILE_BLOCK);
        c->gathers = may_gather && p->group == 1 && work >= GATHER_WORK;
        c->isa = c->gathers ? c->isa : c->isa->small;
    }
}

static int64_t gathered_rows(const mrt_nhwc_conv *c) {
    const int64_t most = mrt_max64(1, GATHER_BYTES / c->length / PIECE_ROWS) * PIECE_ROWS;
    return mrt_min64(most, c->plan.positions);
}

/* Where windows are read from. */
static bool set_source(mrt_nhwc_conv *c) {
    const mrt_conv_plan *p = &c->plan;
    bool pads = false;
    for (int i = 0; i < 3; ++i) {
        pads = pads || p->begin[i] != 0 || p->padded[i] > p->in[i];
    }
    c->widens = c->isa && c->isa->layout == MRT_TILE_I16 && !p->depthwise;
    c->copies = pads || c->widens || c->gathers;
    if (c->float_isa) {
        c->copies = pads = false;
    }
    c->x_element = c->float_isa ? sizeof(float) : 1;
    c->element = c->widens ? 2 : c->x_element;
    c->y_element = c->real ? sizeof(float) : c->x_element;
    int64_t elements = p->channels;
    for (int i = 0; i < 3; ++i) {
        c->pitch[i] = pads ? p->padded[i] : p->in[i];
        if (__builtin_mul_overflow(elements, c->pitch[i], &elements) || elements > INT64_MAX / 64) {
            return false;
        }
    }
    if (c->gathers) {
        elements = gathered_rows(c) * c->length;
    }
    c->copy_bytes = c->copies ? (size_t)elements * c->element + MRT_TILE_SLACK : 0;
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
    if (c->gathers) {
        c->line = gathered_rows(c);
        c->lines = 1;
    }
    c->line_piece = mrt_max64(1, mrt_min64(c->line, PIECE_ROWS));
    if (c->isa && c->isa->small && c->line > PIECE_ROWS) { /* no piece of few rows at the end */
        const int64_t least = MRT_TILE_LEAST_ROWS;
        const int64_t share = mrt_div_up(c->line, mrt_div_up(c->line, PIECE_ROWS));
        c->line_piece = mrt_div_up(share, least) * least;
    }
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
        c->block_bytes = c->isa ? (size_t)(c->quads * 4) * mrt_tile_element(c->isa)
                                : (size_t)p->taps * sizeof(float);
        c->block_bytes *= MRT_DEPTHWISE_BLOCK;
        c->block_bytes = c->isa ? mrt_tile_with_head(c->isa, c->quads, c->block_bytes)
                                : c->block_bytes;
        return;
    }
    const bool merged = has_merged_runs(p);
    int64_t run = merged ? p->kernel[2] * p->channels : p->group_in;
    c->runs = merged ? p->kernel[0] * p->kernel[1] : p->taps;
    if (c->gathers) {
        c->runs = 1;
        run = p->taps * p->channels;
    }
    if (c->winograd) {
        c->runs = 1;
        run = p->channels;
    }
    c->quads = c->isa ? mrt_tile_quads(c->isa, run) : 0;
    c->length = c->isa ? c->quads * 4 : run;
    c->blocks = mrt_div_up(p->group_out, MRT_TILE_BLOCK);
    c->columns = mrt_div_up(c->blocks, MRT_TILE_BLOCKS) * MRT_TILE_BLOCKS * MRT_TILE_BLOCK;
    c->block_bytes = c->isa ? mrt_tile_block_bytes(c->isa, c->runs, c->quads)
                            : (size_t)(c->runs * run) * MRT_TILE_BLOCK * sizeof(float);
}

/* What a run is cut into: rows with proofs take single quads. */
static int64_t run_parts(const mrt_nhwc_conv *c) {
    return c->isa && c->isa->proves && !c->plan.depthwise ? c->quads : 1;
}

/* Byte offsets of the parts of packed memory. */
typedef struct pack_memory {
    size_t run, base, multiplier, shift, w, total;
} pack_memory;

static bool memory_layout(const mrt_nhwc_conv *c, pack_memory *m) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t groups = p->depthwise ? 1 : p->group;
    const size_t runs = (size_t)(p->depthwise ? c->quads * 4 : c->runs * run_parts(c));
    const size_t columns = mrt_align64((size_t)(groups * c->columns) * sizeof(int32_t));
    size_t weights = 0;
    m->run = mrt_align64(sizeof(mrt_nhwc_conv));
    m->base = m->run + mrt_align64(runs * sizeof(int64_t));
    m->multiplier = m->base + columns; /* base is the bias of floats, which have no others; a scale in double
                                         takes the place of multiplier and shift */
    m->shift = m->multiplier + (c->isa ? columns : 0);
    m->w = m->shift + (c->isa ? columns : 0);
    const int64_t sets = c->winograd ? MRT_WINOGRAD_POINTS : groups;
    if (!mrt_mul_bytes((size_t)(sets * c->blocks), c->block_bytes, &weights)) {
        return false;
    }
    m->total = m->w + mrt_align64(weights);
    return true;
}

bool mrt_nhwc_geometry(mrt_nhwc_conv *c, bool is_float) {
    pack_memory m;
    c->float_isa = is_float ? mrt_tile_f32_isa_select() : NULL;
    if (!is_float) {
        choose_row(c);
    }
    set_windows(c);
    if (!set_source(c) || !memory_layout(c, &m)) {
        return false;
    }
    set_lines(c);
    c->a_step = c->gathers ? c->length : c->plan.stride[2] * c->plan.channels;
    c->y_step = c->plan.out_channels;
    c->y_row = c->plan.out[2] * c->y_step;
    c->y_plane = c->plan.out[1] * c->y_row;
    return true;
}

bool mrt_nhwc_sums_fit(const mrt_conv_plan *p, const mrt_tensor *bias) {
    const int32_t *b = bias->data;
    int64_t largest = 0;
    for (int64_t i = 0; b && i < p->out_channels; ++i) {
        largest = mrt_max64(largest, b[i] < 0 ? -(int64_t)b[i] : b[i]);
    }
    return b && p->depth <= MRT_ACC32_DEPTH && p->depth * 255 * 128 + largest <= INT32_MAX;
}

mrt_status mrt_conv_nhwc_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_nhwc_conv c = {.gathers = true};
    MRT_TRY(mrt_nhwc_plan(call, false, &c, err));
    if (!call->in[1]->data || !mrt_nhwc_sums_fit(&c.plan, call->in[2]) || !call->in[3]->data) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': not a constant whose sums fit 32 bits");
    }
    if (!mrt_nhwc_geometry(&c, false)) {
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
static void pack_column(const mrt_nhwc_conv *c, const mrt_nhwc_constants *from, int64_t oc,
                        void *block) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t n = oc % p->group_out % MRT_TILE_BLOCK;
    const int64_t merged = p->taps / c->runs; /* taps per run */
    /* 2^bits values lie together */
    const int bits = !c->isa ? 0 : c->isa->layout == MRT_TILE_I16 ? 1 : 2;
    const int8_t *w = (const int8_t *)from->weights + oc * p->depth;
    const int64_t step = from->weights_across ? p->out_channels : 1;
    const float *floats =
        (const float *)from->weights + (from->weights_across ? oc : oc * p->depth);
    for (int64_t tap = 0; tap < p->taps; ++tap) {
        const int64_t first = tap % merged * p->group_in;
        const int64_t run = tap / merged * c->length * MRT_TILE_BLOCK + (n << bits);
        for (int64_t channel = 0; channel < p->group_in; ++channel) {
            const int64_t k = first + channel;
            const int64_t inner = k & ((1 << bits) - 1);
            const int64_t at = run + (k - inner) * MRT_TILE_BLOCK + inner;
            if (bits == 0) {
                ((float *)block)[at] = floats[(channel * p->taps + tap) * step];
            } else if (bits == 1) {
                ((int16_t *)block)[at] = w[channel * p->taps + tap];
            } else {
                ((int8_t *)block)[at] = w[channel * p->taps + tap];
            }
        }
    }
}

/* Weights w[0], w[step], ... of `count` channels, a multiple of 4, to every 16th place of out. */
static void gather_quads(const uint8_t *w, int64_t step, int64_t count, bool wide, uint32_t *out) {
    if (wide) {
        for (int64_t i = 0; i < count; i += 2, w += 2 * step, out += MRT_TILE_BLOCK) {
            *out = (uint16_t)(int8_t)w[0] | (uint32_t)(uint16_t)(int8_t)w[step] << 16;
        }
        return;
    }
    if (step == 1) {
        for (int64_t i = 0; i < count; i += 4, w += 4, out += MRT_TILE_BLOCK) {
            memcpy(out, w, sizeof *out);
        }
        return;
    }
    for (int64_t i = 0; i < count; i += 4, w += 4 * step, out += MRT_TILE_BLOCK) {
        *out = w[0] | (uint32_t)w[step] << 8 | (uint32_t)w[2 * step] << 16 |
               (uint32_t)w[3 * step] << 24;
    }
}

/* The same for integers when quads (pairs of int16) do not straddle taps: whole quads are stored, and
 * what a few channels need of all columns stays in the first cache. */
static void pack_quads(const mrt_nhwc_conv *c, const int8_t *weights, int64_t first, int64_t columns,
                       uint32_t *block) {
    const mrt_conv_plan *p = &c->plan;
    const int64_t piece = p->taps == 1 ? 512 : 64; /* long runs are fetched ahead */
    const int64_t merged = p->taps / c->runs;
    const bool wide = c->isa->layout == MRT_TILE_I16;
    const int64_t per = wide ? 2 : 4;
    for (int64_t channel = 0; channel < p->group_in; channel += piece) {
        const int64_t count = mrt_min64(piece, p->group_in - channel);
        for (int64_t n = 0; n < columns; ++n) {
            const int8_t *w = weights + (first + n) * p->depth + channel * p->taps;
            int64_t run = channel / per * MRT_TILE_BLOCK + n, tap = 0; /* no divisions in here */
            for (int64_t r = 0; r < c->runs; ++r, run += c->length / per * MRT_TILE_BLOCK) {
                for (int64_t i = 0; i < merged; ++i, ++tap) {
                    gather_quads((const uint8_t *)w + tap, p->taps, count, wide,
                                 block + run + i * (p->group_in / per * MRT_TILE_BLOCK));
                }
            }
        }
    }
}

static void pack_channel(const mrt_nhwc_conv *c, const void *weights, int64_t oc, void *block) {
    const int8_t *w = (const int8_t *)weights + oc * c->plan.taps;
    const float *floats = (const float *)weights + oc * c->plan.taps;
    for (int64_t t = 0; t < c->plan.taps; ++t) {
        if (!c->isa) {
            ((float *)block)[t * MRT_DEPTHWISE_BLOCK + oc % MRT_DEPTHWISE_BLOCK] = floats[t];
            continue;
        }
        const size_t at = mrt_tile_depthwise_index(c->isa, t, oc % MRT_DEPTHWISE_BLOCK);
        if (c->isa->layout == MRT_TILE_I16) {
            ((int16_t *)block)[at] = w[t];
        } else {
            ((int8_t *)block)[at] = w[t];
        }
    }
}

static bool has_whole_quads(const mrt_nhwc_conv *c) {
    const bool little_endian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return c->isa && !c->plan.depthwise && c->plan.group_in % 4 == 0 && little_endian;
}

/* Every byte of a block of `columns` columns gets a weight. */
static bool fills_blocks(const mrt_nhwc_conv *c, int64_t columns) {
    return has_whole_quads(c) && columns == MRT_TILE_BLOCK && !c->isa->proves &&
           c->length * c->runs == c->plan.taps * c->plan.group_in;
}

static int64_t quads_of(const mrt_nhwc_conv *c) {
    return c->plan.depthwise ? c->quads : c->runs * c->quads;
}

/* Lists and masks of a packed block, whose columns have their bases at `at`. */
static void prove_block(const mrt_nhwc_conv *c, char *memory, int64_t at) {
    if (!c->isa || !c->isa->proves) {
        return;
    }
    const int64_t quads = quads_of(c);
    const size_t head = mrt_tile_head(c->isa, quads);
    int8_t *w = (int8_t *)memory + head;
    uint8_t *masks = (uint8_t *)w + (c->block_bytes - head) / 2;
    int32_t *base = (int32_t *)(uintptr_t)c->base + at; /* of this pack alone */
    if (c->plan.depthwise) {
        mrt_tile_prove_depthwise(c->most, w, quads, masks, (uint8_t *)memory, base);
    } else {
        mrt_tile_prove(c->most, w, quads, masks, (mrt_tile_lists *)(void *)memory, base);
    }
}

typedef struct pack_job {
    const mrt_nhwc_conv *conv;
    const mrt_nhwc_constants *from;
    char *out;
} pack_job;

static void pack_block(void *context, int64_t index) {
    const pack_job *job = context;
    const mrt_nhwc_conv *c = job->conv;
    const mrt_conv_plan *p = &c->plan;
    const int64_t width = p->depthwise ? MRT_DEPTHWISE_BLOCK : MRT_TILE_BLOCK;
    const int64_t channels = p->depthwise ? p->channels : p->group_out;
    const int64_t first = index % c->blocks * width;
    if (c->winograd) {
        mrt_winograd_pack(c, job->from->weights, index, job->out);
        return;
    }
    const int64_t at = index / c->blocks * c->columns + first;
    char *memory = job->out + (size_t)index * c->block_bytes;
    char *block = memory + (c->isa ? mrt_tile_head(c->isa, quads_of(c)) : 0);
    if (!fills_blocks(c, mrt_min64(width, channels - first))) {
        memset(memory, 0, c->block_bytes);
    }
    if (has_whole_quads(c)) {
        pack_quads(c, job->from->weights, index / c->blocks * channels + first,
                   mrt_min64(width, channels - first), (uint32_t *)(void *)block);
        prove_block(c, memory, at);
        return;
    }
    for (int64_t i = first; i < mrt_min64(first + width, channels); ++i) {
        const int64_t oc = index / c->blocks * channels + i;
        if (p->depthwise) {
            pack_channel(c, job->from->weights, oc, block);
        } else {
            pack_column(c, job->from, oc, block);
        }
    }
    prove_block(c, memory, at);
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

/* The constants per column. */
static void pack_vectors(mrt_nhwc_conv *c, const pack_memory *m, const mrt_nhwc_constants *from,
                         char *memory) {
    const mrt_conv_plan *p = &c->plan;
    int32_t *base = (int32_t *)(void *)(memory + m->base);
    int32_t *multiplier = (int32_t *)(void *)(memory + m->multiplier);
    int32_t *shift = (int32_t *)(void *)(memory + m->shift);
    double *scale = (double *)(void *)(memory + m->multiplier);
    float *bias = (float *)(void *)(memory + m->base);
    for (int64_t oc = 0; oc < p->out_channels; ++oc) {
        const int64_t at = p->depthwise ? oc
                                        : oc / p->group_out * c->columns + oc % p->group_out;
        if (c->float_isa) {
            bias[at] = from->bias ? from->bias[oc] : -0.0f; /* adding -0 changes nothing */
            continue;
        }
        base[at] = from->base[oc];
        if (c->real) {
            scale[at] = from->scale[oc];
            continue;
        }
        multiplier[at] = from->multiplier[oc];
        shift[at] = from->shift[oc];
    }
    if (c->float_isa) {
        c->bias = bias;
        return;
    }
    c->base = base;
    if (c->real) {
        c->scale = scale;
        return;
    }
    c->narrow = is_narrow_end(p, from);
    c->multiplier = multiplier;
    c->shift = shift;
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
    memset(packed, 0, m.w);
    const int64_t step = p->depthwise ? 1 : p->taps / c.runs;
    const int64_t parts = run_parts(&c);
    for (int64_t i = 0; i < c.runs * parts; ++i) {
        run[i] = tap_offset(&c, i / parts * step) + i % parts * 4;
    }
    c.run = run;
    pack_vectors(&c, &m, from, memory);
    c.w = memory + m.w;
    memcpy(packed, &c, sizeof(c));
    pack_job job = {&c, from, memory + m.w};
    mrt_parallel_for(pool, c.blocks * (p->depthwise ? 1 : p->group), pack_block, &job);
    return m.total;
}

size_t mrt_conv_nhwc_pack(const mrt_call *call, void *packed) {
    const mrt_conv_int_params *params = call->params;
    mrt_nhwc_conv c = {.gathers = true,
                       .zero_point = (int32_t)params->zero_point_out,
                       .low = (int32_t)params->clamp_min,
                       .high = (int32_t)params->clamp_max};
    const mrt_status status = mrt_nhwc_plan(call, false, &c, NULL);
    const bool fits = mrt_nhwc_geometry(&c, false);
    assert(status == MRT_OK && fits);
    (void)status, (void)fits;
    const mrt_nhwc_constants from = {.weights = call->in[1]->data,
                                     .base = call->in[2]->data,
                                     .multiplier = c.real ? NULL : call->in[3]->data,
                                     .shift = c.real ? NULL : call->in[4]->data,
                                     .scale = c.real ? call->in[3]->data : NULL};
    return mrt_nhwc_pack(&c, &from, call->pool, packed);
}
