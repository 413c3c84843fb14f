/* deconv_nhwc (rule deconv-int): outputs of one phase (place modulo the strides) see the same part of
 * the kernel, so that each phase is a convolution of stride 1 that writes every stride-th place. The
 * zero points that deconv-int inserts between elements are a constant of the phase's bias. */
#include "runtime/kernels/nhwc_conv.h"

#include "runtime/kernels/int_util.h"
#include "runtime/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { PHASES = 16 };

/* What is packed; behind it the phases, each aligned. */
typedef struct deconv {
    mrt_conv_plan plan;
    int count;
    size_t at[PHASES]; /* byte offsets from here */
} deconv;

/* The part of an axis that phase r has: every insert-th tap from `tap` on, `count` in all. */
typedef struct axis_phase {
    int64_t outputs, tap, count, element; /* input element under `tap` for the first output */
} axis_phase;

static axis_phase phase_of(const mrt_conv_plan *p, int i, int64_t r) {
    axis_phase a;
    const int64_t insert = p->insert[i];
    a.outputs = p->out[i] > r ? mrt_div_up(p->out[i] - r, insert) : 0;
    a.tap = ((p->begin[i] - r) % insert + insert) % insert;
    a.count = a.tap < p->kernel[i] ? mrt_div_up(p->kernel[i] - a.tap, insert) : 0;
    a.element = (r + a.tap - p->begin[i]) / insert; /* exact */
    return a;
}

/* What all phases read: element 0 lies at begin, behind zero points. */
static void set_source(mrt_conv_plan *p) {
    for (int i = 0; i < 3; ++i) {
        int64_t begin = 0;
        int64_t end = p->in[i];
        for (int64_t r = 0; r < p->insert[i]; ++r) {
            const axis_phase a = phase_of(p, i, r);
            begin = mrt_max64(begin, -a.element);
            end = mrt_max64(end, a.element + a.outputs + a.count - 1);
        }
        p->begin[i] = begin;
        p->padded[i] = begin + end;
    }
}

/* Phase `index` as a convolution; false when it has no outputs. */
static bool make_phase(const mrt_conv_plan *p, int64_t index, mrt_nhwc_conv *c, axis_phase a[3]) {
    const int64_t r[3] = {index / p->insert[2] / p->insert[1],
                          index / p->insert[2] % p->insert[1], index % p->insert[2]};
    mrt_conv_plan *q = &c->plan;
    *q = *p;
    set_source(q);
    q->transposed = q->direct = false;
    q->taps = q->positions = 1;
    for (int i = 0; i < 3; ++i) {
        a[i] = phase_of(p, i, r[i]);
        q->kernel[i] = a[i].count;
        q->out[i] = a[i].outputs;
        q->insert[i] = 1;
        q->taps *= a[i].count;
        q->positions *= a[i].outputs;
    }
    q->depth = q->taps * q->group_in;
    if (q->positions == 0 || !mrt_nhwc_geometry(c, false)) {
        return false;
    }
    for (int i = 0; i < 3; ++i) {
        c->first = c->first * c->pitch[i] + q->begin[i] + a[i].element;
    }
    c->first *= p->channels;
    c->y_step = p->insert[2] * p->out_channels;
    c->y_row = p->insert[1] * p->out[2] * p->out_channels;
    c->y_plane = p->insert[0] * p->out[1] * p->out[2] * p->out_channels;
    return true;
}

static int64_t phase_count(const mrt_conv_plan *p) {
    return p->insert[0] * p->insert[1] * p->insert[2];
}

mrt_status mrt_deconv_nhwc_check(const mrt_call *call, size_t *out_scratch, mrt_error *err) {
    mrt_nhwc_conv whole = {0};
    MRT_TRY(mrt_nhwc_plan(call, true, &whole, err));
    const mrt_conv_plan p = whole.plan;
    bool fits = p.group == 1;
    for (int i = 0; i < 3; ++i) {
        fits = fits && p.insert[i] <= 4 && p.insert[i] <= p.kernel[i] && p.dilation[i] == 1;
    }
    if (!fits || phase_count(&p) > PHASES) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': no phases of this kernel");
    }
    if (!call->in[1]->data || !mrt_nhwc_sums_fit(&p, call->in[2]) || !call->in[3]->data) {
        return mrt_fail(err, MRT_UNSUPPORTED, "operand 'w': not a constant whose sums fit 32 bits");
    }
    *out_scratch = 0;
    for (int64_t i = 0; i < phase_count(&p); ++i) {
        mrt_nhwc_conv c = {.most = whole.most, .real = whole.real};
        axis_phase a[3];
        if (make_phase(&p, i, &c, a)) {
            *out_scratch = c.copy_bytes; /* the same for all */
        } else if (c.plan.positions > 0) {
            return mrt_fail(err, MRT_UNSUPPORTED, "operand 'x': padded size is too large");
        }
    }
    return MRT_OK;
}

/* Weights [out channels][channels][taps of the phase], and the bias with what other taps meet. */
static void phase_constants(const mrt_call *call, const mrt_conv_plan *p, const mrt_nhwc_conv *c,
                            const axis_phase a[3], int8_t *weights, int32_t *bias) {
    const mrt_conv_int_params *params = call->params;
    const int8_t *w = call->in[1]->data;
    for (int64_t oc = 0; oc < p->out_channels; ++oc) {
        int64_t others = 0;
        for (int64_t k = 0; k < p->depth; ++k) {
            others += w[mrt_conv_weight(p, oc, k / p->taps, k % p->taps)];
        }
        for (int64_t k = 0; k < c->plan.depth; ++k, ++weights) {
            int64_t rest = k % c->plan.taps;
            int64_t tap = 0;
            int64_t place = 1;
            for (int i = 2; i >= 0; --i) {
                tap += (a[i].tap + rest % a[i].count * p->insert[i]) * place;
                place *= p->kernel[i];
                rest /= a[i].count;
            }
            *weights = w[mrt_conv_weight(p, oc, k / c->plan.taps, tap)];
            others -= *weights;
        }
        const int64_t base = ((const int32_t *)call->in[2]->data)[oc];
        bias[oc] = (int32_t)(uint32_t)(uint64_t)(base + params->zero_point_in * others);
    }
}

size_t mrt_deconv_nhwc_pack(const mrt_call *call, void *packed) {
    const mrt_conv_int_params *params = call->params;
    mrt_nhwc_conv whole = {0};
    const mrt_status status = mrt_nhwc_plan(call, true, &whole, NULL);
    deconv d = {.plan = whole.plan};
    const mrt_conv_plan *p = &d.plan;
    assert(status == MRT_OK);
    (void)status;
    size_t total = mrt_align64(sizeof d);
    int8_t *weights = packed ? malloc((size_t)(p->depth * p->out_channels)) : NULL;
    int32_t *bias = packed ? malloc((size_t)p->out_channels * sizeof bias[0]) : NULL;
    for (int64_t i = 0; i < phase_count(p); ++i) {
        mrt_nhwc_conv c = {.most = whole.most,
                           .real = whole.real,
                           .range = whole.range,
                           .zero_point = (int32_t)params->zero_point_out,
                           .low = (int32_t)params->clamp_min,
                           .high = (int32_t)params->clamp_max};
        axis_phase a[3];
        if (!make_phase(p, i, &c, a)) {
            continue;
        }
        const int64_t *insert = p->insert;
        const int64_t r[3] = {i / insert[2] / insert[1], i / insert[2] % insert[1], i % insert[2]};
        c.y_first = ((r[0] * p->out[1] + r[1]) * p->out[2] + r[2]) * p->out_channels;
        if (weights && bias) {
            phase_constants(call, p, &c, a, weights, bias);
        }
        const mrt_nhwc_constants from = {.weights = weights,
                                         .base = bias,
                                         .multiplier = whole.real ? NULL : call->in[3]->data,
                                         .shift = whole.real ? NULL : call->in[4]->data,
                                         .scale = whole.real ? call->in[3]->data : NULL};
        const bool asks = !packed || !weights || !bias;
        d.at[d.count++] = total;
        total += mrt_nhwc_pack(&c, asks ? NULL : &from, call->pool,
                               asks ? NULL : (char *)packed + total);
        total = mrt_align64(total);
    }
    const bool failed = packed && (!weights || !bias);
    free(weights);
    free(bias);
    if (packed) {
        memcpy(packed, &d, sizeof d);
    }
    return failed ? 0 : total;
}

void mrt_deconv_nhwc_run(const mrt_call *call) {
    const deconv *d = call->packed;
    const mrt_conv_plan *p = &d->plan;
    const uint8_t zero_point =
        (uint8_t)((const mrt_conv_int_params *)call->params)->zero_point_in;
    for (int64_t n = 0; n < p->batch; ++n) {
        const void *source = NULL;
        for (int i = 0; i < d->count; ++i) {
            const mrt_nhwc_conv *c = (const void *)((const char *)call->packed + d->at[i]);
            const int64_t at = n * p->positions * p->out_channels + c->y_first;
            uint8_t *y = (uint8_t *)call->out[0]->data + (size_t)at * c->y_element;
            source = source ? source : mrt_nhwc_source(c, call, n, zero_point);
            mrt_nhwc_tiles_run(c, source, y, call->pool);
        }
    }
}
