/* conv_int, deconv_int and matmul_int against the oracles: exact equality for every instruction set
 * and 1..4 threads. */
#include "test/unit/check_main.h"
#include "test/unit/int_test_util.h"
#include "test/unit/rounds.h"

#include "test/ref/ref_int.h"

/* Multipliers and shifts so that outputs of a sum of `depth` products spread over the range; some
 * channels saturate, some have extreme parameters. */
static void random_scales(mrt_tensor *multiplier, mrt_tensor *shift, int64_t depth) {
    int bits = 0;
    while (((int64_t)1 << bits) < depth) {
        ++bits;
    }
    for (int64_t i = 0; i < mrt_shape_count(&multiplier->shape); ++i) {
        const int kind = (int)rnd_in(0, 9);
        tensor_set(multiplier, i, (int32_t)rnd_in(1 << 30, INT32_MAX));
        tensor_set(shift, i, (int32_t)rnd_in(36 + bits / 2, 40 + bits));
        if (kind == 0) { /* large scale: both ends saturate */
            tensor_set(shift, i, (int32_t)rnd_in(0, 34));
        } else if (kind == 1) {
            tensor_set(multiplier, i, (int32_t)rnd());
            tensor_set(shift, i, (int32_t)rnd_in(0, 62));
        } else if (kind < 5) { /* powers of two: many ties */
            tensor_set(multiplier, i, 1 << 30);
        }
    }
}

static int32_t *copy_ints(const mrt_tensor *t) {
    const int64_t count = mrt_shape_count(&t->shape);
    int32_t *copy = malloc(((size_t)count + 1) * sizeof(int32_t));
    for (int64_t i = 0; i < count; ++i) {
        copy[i] = tensor_get(t, i);
    }
    return copy;
}

typedef struct conv_case {
    int spatial;
    int64_t n, group, icg, ocg;
    int64_t in[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3], extra[3];
    bool transposed;
    int32_t bias_bits; /* size of the biases */
} conv_case;

/* Sets the output sizes; false when there is no output. */
static bool conv_out(const conv_case *c, int64_t *out) {
    for (int i = 0; i < c->spatial; ++i) {
        const int64_t reach = (c->kernel[i] - 1) * c->dilation[i] + 1;
        if (c->transposed) {
            out[i] = (c->in[i] - 1) * c->stride[i] + reach - c->pad[i] - c->pad_end[i] +
                     c->extra[i];
        } else {
            const int64_t room = c->in[i] + c->pad[i] + c->pad_end[i] - reach;
            out[i] = room < 0 ? 0 : room / c->stride[i] + 1;
        }
        if (out[i] < 1) {
            return false;
        }
    }
    return true;
}

static void spread(const conv_case *c, const int64_t *from, int64_t fill, int64_t *out) {
    for (int i = 0; i < 3; ++i) {
        const int at = i - (3 - c->spatial);
        out[i] = at >= 0 ? from[at] : fill;
    }
}

/* The same call with a result in f32 [conv-real]: bits are compared. */
static void check_real(const conv_case *c, const mrt_call *of, const ref_int_conv *r) {
    mrt_conv_int_params p = *(const mrt_conv_int_params *)of->params;
    mrt_tensor y = tensor_new(MRT_F32, of->out[0]->shape.rank, of->out[0]->shape.dims);
    mrt_tensor scale = tensor_1d(MRT_F64, r->oc);
    for (int64_t i = 0; i < r->oc; ++i) {
        ((double *)scale.data)[i] = 1e-4 * (double)rnd_in(1, 100000);
    }
    p.zero_point_out = p.clamp_min = p.clamp_max = 0;
    p.conv.act = rnd() % 2 ? MRT_ACT_RELU : MRT_ACT_NONE;
    p.conv.act_limit = rnd() % 2 ? (double)rnd_in(0, 100000) : -1.0;
    const ref_int_real real = {scale.data, p.conv.act == MRT_ACT_RELU, p.conv.act_limit};
    const int64_t count = mrt_shape_count(&y.shape);
    float *floats = malloc((size_t)count * sizeof *floats);
    int32_t *bits = malloc((size_t)count * sizeof *bits);
    const mrt_tensor *in[4] = {of->in[0], of->in[1], of->in[2], &scale};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 4, .out = outs, .n_out = 1, .params = &p};
    (c->transposed ? ref_int_deconv_real : ref_int_conv_real)(r, &real, floats);
    memcpy(bits, floats, (size_t)count * sizeof *bits);
    if (c->transposed) {
        run_and_compare(&call, mrt_deconv_real_check, mrt_deconv_real_run, bits);
    } else {
        run_and_compare(&call, mrt_conv_real_check, mrt_conv_real_run, bits);
    }
    free(floats), free(bits);
    tensor_free(&y), tensor_free(&scale);
}

static void check_conv(const conv_case *c) {
    int64_t out[3] = {1, 1, 1};
    if (!conv_out(c, out)) {
        return;
    }
    const int64_t channels = c->group * c->icg;
    const int64_t out_channels = c->group * c->ocg;
    int64_t xd[5] = {c->n, channels};
    int64_t yd[5] = {c->n, out_channels};
    int64_t wd[5] = {c->transposed ? channels : out_channels, c->transposed ? c->ocg : c->icg};
    int64_t depth = c->icg;
    mrt_conv_int_params p = {.conv = {.spatial = c->spatial, .group = c->group}};
    for (int i = 0; i < c->spatial; ++i) {
        xd[2 + i] = c->in[i];
        yd[2 + i] = out[i];
        wd[2 + i] = p.conv.kernel[i] = c->kernel[i];
        p.conv.stride[i] = c->stride[i];
        p.conv.dilation[i] = c->dilation[i];
        p.conv.pad_begin[i] = c->pad[i];
        p.conv.pad_end[i] = c->pad_end[i];
        depth *= c->kernel[i];
    }
    mrt_tensor x = tensor_new(rnd_dtype(), c->spatial + 2, xd);
    mrt_tensor w = tensor_new(MRT_I8, c->spatial + 2, wd);
    mrt_tensor y = tensor_new(rnd_dtype(), c->spatial + 2, yd);
    mrt_tensor bias = tensor_1d(MRT_I32, out_channels);
    mrt_tensor multiplier = tensor_1d(MRT_I32, out_channels);
    mrt_tensor shift = tensor_1d(MRT_I32, out_channels);
    int32_t low, high;
    int32_t *xs = tensor_random(&x);
    int32_t *ws = tensor_random(&w);
    random_scales(&multiplier, &shift, depth);
    for (int64_t i = 0; i < out_channels; ++i) {
        tensor_set(&bias, i, (int32_t)((uint32_t)rnd() << (32 - c->bias_bits)) >>
                                 (32 - c->bias_bits));
    }
    range_of(x.dtype, &low, &high);
    p.zero_point_in = rnd_value(low, high);
    range_of(y.dtype, &low, &high);
    p.zero_point_out = rnd_value(low, high);
    p.clamp_min = rnd() % 2 ? low : rnd_in(low, high);
    p.clamp_max = rnd() % 2 ? high : rnd_in(p.clamp_min, high);
    int32_t *bs = copy_ints(&bias);
    int32_t *ms = copy_ints(&multiplier);
    int32_t *ss = copy_ints(&shift);
    ref_int_conv r = {.n = c->n, .c = channels, .oc = out_channels, .group = c->group,
                      .zero_point_in = (int32_t)p.zero_point_in, .x = xs, .w = ws,
                      .end = {bs, ms, ss, 1, (int32_t)p.zero_point_out, (int32_t)p.clamp_min,
                              (int32_t)p.clamp_max}};
    spread(c, c->in, 1, r.in);
    spread(c, out, 1, r.out);
    spread(c, c->kernel, 1, r.kernel);
    spread(c, c->stride, 1, r.stride);
    spread(c, c->dilation, 1, r.dilation);
    spread(c, c->pad, 0, r.pad);
    int32_t *expected = malloc((size_t)mrt_shape_count(&y.shape) * sizeof(int32_t));
    const mrt_tensor *in[5] = {&x, &w, &bias, &multiplier, &shift};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 5, .out = outs, .n_out = 1, .params = &p};
    if (c->transposed) {
        ref_int_deconv_run(&r, expected);
        run_and_compare(&call, mrt_deconv_int_check, mrt_deconv_int_run, expected);
    } else {
        ref_int_conv_run(&r, expected);
        run_and_compare(&call, mrt_conv_int_check, mrt_conv_int_run, expected);
    }
    check_real(c, &call, &r);
    free(expected), free(xs), free(ws), free(bs), free(ms), free(ss);
    tensor_free(&x), tensor_free(&w), tensor_free(&y);
    tensor_free(&bias), tensor_free(&multiplier), tensor_free(&shift);
}

static conv_case random_conv(bool transposed) {
    conv_case c = {.spatial = (int)rnd_in(1, 3), .n = rnd_in(1, 2), .bias_bits = 16};
    c.transposed = transposed;
    c.group = rnd() % 3 ? 1 : rnd_in(2, 5);
    c.icg = rnd_in(1, 9);
    c.ocg = rnd_in(1, 11);
    if (rnd() % 4 == 0) { /* depthwise */
        c.icg = 1;
        c.ocg = rnd_in(1, 2);
        c.group = rnd_in(2, 20);
    }
    if (c.group == 1 && rnd() % 5 == 0) { /* deep */
        c.icg = rnd_in(30, 140);
        c.ocg = rnd_in(1, 40);
    }
    const int64_t most = c.spatial == 3 ? 6 : (c.spatial == 2 ? 14 : 70);
    for (int i = 0; i < 3; ++i) {
        c.in[i] = rnd_in(1, most);
        c.kernel[i] = rnd_in(1, 4);
        c.stride[i] = rnd_in(1, 3);
        c.dilation[i] = rnd_in(1, 3);
        c.pad[i] = rnd_in(0, 3);
        c.pad_end[i] = rnd_in(0, 3);
        const int64_t room = c.stride[i] > c.dilation[i] ? c.stride[i] : c.dilation[i];
        c.extra[i] = rnd_in(0, room - 1);
    }
    return c;
}

START_TEST(conv_random) {
    for (int i = 0; i < TEST_ROUNDS(250); ++i) {
        const conv_case c = random_conv(false);
        check_conv(&c);
    }
}
END_TEST

START_TEST(deconv_random) {
    for (int i = 0; i < TEST_ROUNDS(150); ++i) {
        const conv_case c = random_conv(true);
        check_conv(&c);
    }
}
END_TEST

#define ONES {1, 1, 1}
static const conv_case corner_cases[] = {
    /* one element */
    {2, 1, 1, 1, 1, ONES, ONES, ONES, ONES, {0}, {0}, {0}, false, 8},
    /* 1x1 over blocks of 31, 32, 33 and 64 positions, rows around the tile heights */
    {2, 1, 1, 4, 8, {1, 31, 1}, ONES, ONES, ONES, {0}, {0}, {0}, false, 16},
    {2, 2, 1, 5, 9, {4, 8, 1}, ONES, ONES, ONES, {0}, {0}, {0}, false, 16},
    {2, 1, 1, 6, 7, {3, 11, 1}, ONES, ONES, ONES, {0}, {0}, {0}, false, 16},
    {1, 1, 1, 64, 121, {64, 1, 1}, ONES, ONES, ONES, {0}, {0}, {0}, false, 16},
    /* more output channels than a row block, two groups */
    {2, 1, 2, 16, 125, {6, 7, 1}, {3, 3, 1}, ONES, ONES, ONES, ONES, {0}, false, 16},
    /* 3x3 stride 2 on rows longer than a block; 7x7 stride 2 on three channels */
    {2, 1, 1, 3, 8, {9, 75, 1}, {3, 3, 1}, {2, 2, 1}, ONES, ONES, ONES, {0}, false, 16},
    {2, 1, 1, 3, 16, {21, 21, 1}, {7, 7, 1}, {2, 2, 1}, ONES, {3, 3, 0}, {3, 3, 0}, {0}, false, 16},
    /* runs of whole 64 bytes and a little more, lines of 16 and more positions, groups of such runs */
    {2, 1, 1, 64, 33, {5, 21, 1}, {3, 3, 1}, ONES, ONES, ONES, ONES, {0}, false, 16},
    {2, 2, 1, 65, 17, {3, 33, 1}, {1, 1, 1}, ONES, ONES, {0}, {0}, {0}, false, 16},
    {2, 1, 1, 50, 18, {9, 40, 1}, {3, 3, 1}, {2, 2, 1}, {2, 1, 1}, ONES, ONES, {0}, false, 16},
    {2, 1, 3, 64, 20, {4, 19, 1}, {3, 2, 1}, ONES, {1, 2, 1}, ONES, ONES, {0}, false, 16},
    /* gathered windows of more than one turn */
    {2, 1, 1, 5, 17, {65, 65, 1}, {7, 7, 1}, ONES, ONES, {3, 3, 0}, {3, 3, 0}, {0}, false, 16},
    /* padding of a 1x1 kernel, larger than the kernel */
    {2, 1, 1, 4, 4, {5, 5, 1}, ONES, ONES, ONES, {2, 1, 0}, {0, 2, 0}, {0}, false, 16},
    /* depthwise 3x3 and 5x5, long rows, stride 2 and 3 */
    {2, 1, 12, 1, 1, {11, 40, 1}, {3, 3, 1}, ONES, ONES, ONES, ONES, {0}, false, 16},
    {2, 1, 3, 1, 4, {13, 29, 1}, {5, 5, 1}, {2, 2, 1}, ONES, {2, 2, 0}, {2, 2, 0}, {0}, false, 16},
    {2, 2, 7, 1, 1, {13, 35, 1}, {3, 3, 1}, {3, 3, 1}, {2, 2, 1}, {2, 2, 0}, {1, 0, 0}, {0}, false, 16},
    /* biases near the ends of int32: the accumulator saturates [acc-bound] */
    {2, 1, 1, 64, 10, {5, 7, 1}, {3, 3, 1}, ONES, ONES, ONES, ONES, {0}, false, 32},
    {2, 1, 9, 1, 1, {5, 7, 1}, {3, 3, 1}, ONES, ONES, ONES, ONES, {0}, false, 32},
    /* depth of several panels: 64-bit accumulation */
    {1, 1, 1, 20000, 3, {5, 1, 1}, ONES, ONES, ONES, {0}, {0}, {0}, false, 24},
    {2, 1, 1, 1100, 9, {5, 8, 1}, {3, 3, 1}, ONES, ONES, ONES, ONES, {0}, false, 24},
    {1, 1, 1, 70001, 2, {1, 1, 1}, ONES, ONES, ONES, {0}, {0}, {0}, false, 32},
    /* transposed: 2x2 stride 2, 4x4 stride 2 pad 1, depthwise */
    {2, 1, 1, 16, 8, {7, 9, 1}, {2, 2, 1}, {2, 2, 1}, ONES, {0}, {0}, {0}, true, 16},
    {2, 1, 1, 5, 6, {7, 9, 1}, {4, 4, 1}, {2, 2, 1}, ONES, ONES, ONES, {0}, true, 16},
    {2, 1, 6, 1, 1, {7, 9, 1}, {3, 3, 1}, {2, 2, 1}, ONES, ONES, ONES, {1, 1, 0}, true, 16},
};

START_TEST(conv_corners) {
    for (size_t i = 0; i < sizeof(corner_cases) / sizeof(corner_cases[0]); ++i) {
        for (int repeat = 0; repeat < 2; ++repeat) {
            check_conv(&corner_cases[i]);
        }
    }
}
END_TEST

/* All operands at their extremes, the deepest 32-bit accumulators. */
START_TEST(conv_saturation) {
    enum { DEPTH = 8192, CHANNELS = 8 };
    static const int32_t w_values[] = {-128, 127};
    for (int kind = 0; kind < 8; ++kind) {
        const mrt_dtype dtype = kind & 1 ? MRT_U8 : MRT_I8;
        int32_t low, high;
        range_of(dtype, &low, &high);
        const int32_t xv = kind & 2 ? high : low;
        const int32_t wv = w_values[kind >> 2];
        mrt_tensor x = tensor_new(dtype, 3, (int64_t[]){1, DEPTH, 1});
        mrt_tensor w = tensor_new(MRT_I8, 3, (int64_t[]){CHANNELS, DEPTH, 1});
        mrt_tensor y = tensor_new(MRT_I8, 3, (int64_t[]){1, CHANNELS, 1});
        mrt_tensor bias = tensor_1d(MRT_I32, CHANNELS);
        mrt_tensor multiplier = tensor_1d(MRT_I32, CHANNELS);
        mrt_tensor shift = tensor_1d(MRT_I32, CHANNELS);
        memset(x.data, xv, DEPTH);
        memset(w.data, wv, DEPTH * CHANNELS);
        int32_t expected[CHANNELS];
        for (int i = 0; i < CHANNELS; ++i) {
            const int32_t bias_value = (i - 4) * 60000000;
            tensor_set(&bias, i, bias_value);
            tensor_set(&multiplier, i, INT32_MAX);
            tensor_set(&shift, i, 52 + i % 4);
            const int64_t acc = (int64_t)DEPTH * xv * wv + bias_value;
            const int64_t q = ref_int_requant(acc, INT32_MAX, 52 + i % 4) - 3;
            expected[i] = (int32_t)(q < -128 ? -128 : (q > 127 ? 127 : q));
        }
        mrt_conv_int_params p = {.conv = {.spatial = 1, .group = 1, .kernel = {1}, .stride = {1},
                                          .dilation = {1}},
                                 .zero_point_out = -3, .clamp_min = -128, .clamp_max = 127};
        const mrt_tensor *in[5] = {&x, &w, &bias, &multiplier, &shift};
        mrt_tensor *outs[1] = {&y};
        mrt_call call = {.in = in, .n_in = 5, .out = outs, .n_out = 1, .params = &p};
        run_and_compare(&call, mrt_conv_int_check, mrt_conv_int_run, expected);
        tensor_free(&x), tensor_free(&w), tensor_free(&y);
        tensor_free(&bias), tensor_free(&multiplier), tensor_free(&shift);
    }
}
END_TEST

typedef struct matmul_case {
    int64_t batch_a, batch_b, m, k, n; /* batch 1 broadcasts */
    int trans_a, trans_b;
    bool per_column, with_bias, zero_points;
    int32_t bias_bits;
} matmul_case;

static void check_matmul(const matmul_case *c) {
    const int64_t batch = c->batch_a > c->batch_b ? c->batch_a : c->batch_b;
    const int64_t scales = c->per_column ? c->n : 1;
    mrt_tensor a = tensor_new(rnd_dtype(), 3, (int64_t[]){c->batch_a, c->trans_a ? c->k : c->m,
                                                          c->trans_a ? c->m : c->k});
    mrt_tensor b = tensor_new(rnd_dtype(), 3, (int64_t[]){c->batch_b, c->trans_b ? c->n : c->k,
                                                          c->trans_b ? c->k : c->n});
    mrt_tensor y = tensor_new(rnd_dtype(), 3, (int64_t[]){batch, c->m, c->n});
    mrt_tensor bias = tensor_1d(MRT_I32, c->n);
    mrt_tensor multiplier = tensor_1d(MRT_I32, scales);
    mrt_tensor shift = tensor_1d(MRT_I32, scales);
    mrt_matmul_int_params p = {.trans_a = c->trans_a, .trans_b = c->trans_b};
    int32_t low, high;
    int32_t *as = tensor_random(&a);
    int32_t *bv = tensor_random(&b);
    random_scales(&multiplier, &shift, c->k);
    for (int64_t i = 0; i < c->n; ++i) {
        tensor_set(&bias, i, (int32_t)((uint32_t)rnd() << (32 - c->bias_bits)) >>
                                 (32 - c->bias_bits));
    }
    range_of(a.dtype, &low, &high);
    p.zero_point_a = c->zero_points ? rnd_value(low, high) : 0;
    range_of(b.dtype, &low, &high);
    p.zero_point_b = c->zero_points ? rnd_value(low, high) : 0;
    range_of(y.dtype, &low, &high);
    p.zero_point_out = rnd_value(low, high);
    p.clamp_min = low;
    p.clamp_max = rnd() % 2 ? high : rnd_in(low, high);
    int32_t *bs = copy_ints(&bias);
    int32_t *ms = copy_ints(&multiplier);
    int32_t *ss = copy_ints(&shift);
    const ref_int_matmul r = {
        .batch = batch, .m = c->m, .k = c->k, .n = c->n,
        .batch_a = c->batch_a == 1 ? 0 : c->m * c->k, .batch_b = c->batch_b == 1 ? 0 : c->k * c->n,
        .trans_a = c->trans_a, .trans_b = c->trans_b, .zero_point_a = (int32_t)p.zero_point_a,
        .zero_point_b = (int32_t)p.zero_point_b, .a = as, .b = bv,
        .end = {c->with_bias ? bs : NULL, ms, ss, c->per_column, (int32_t)p.zero_point_out,
                (int32_t)p.clamp_min, (int32_t)p.clamp_max}};
    int32_t *expected = malloc((size_t)mrt_shape_count(&y.shape) * sizeof(int32_t));
    ref_int_matmul_run(&r, expected);
    const mrt_tensor *in[5] = {&a, &b, c->with_bias ? &bias : NULL, &multiplier, &shift};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 5, .out = outs, .n_out = 1, .params = &p};
    run_and_compare(&call, mrt_matmul_int_check, mrt_matmul_int_run, expected);
    free(expected), free(as), free(bv), free(bs), free(ms), free(ss);
    tensor_free(&a), tensor_free(&b), tensor_free(&y);
    tensor_free(&bias), tensor_free(&multiplier), tensor_free(&shift);
}

START_TEST(matmul_random) {
    for (int i = 0; i < TEST_ROUNDS(200); ++i) {
        matmul_case c = {.batch_a = rnd_in(1, 3), .m = rnd_in(1, 40), .k = rnd_in(1, 70),
                         .n = rnd_in(1, 70), .trans_a = rnd() % 2, .trans_b = rnd() % 2,
                         .per_column = rnd() % 2, .with_bias = rnd() % 2,
                         .zero_points = rnd() % 4 != 0, .bias_bits = 18};
        c.batch_b = rnd() % 2 ? 1 : c.batch_a;
        if (rnd() % 4 == 0) {
            c.batch_b = c.batch_a;
            c.batch_a = 1;
        }
        check_matmul(&c);
    }
}
END_TEST

START_TEST(matmul_corners) {
    static const matmul_case cases[] = {
        {1, 1, 1, 1, 1, 0, 0, false, false, true, 8},
        {1, 1, 1, 1280, 100, 0, 1, true, true, true, 20},
        {1, 1, 1, 1280, 100, 0, 0, false, true, true, 20},
        {1, 1, 131, 4, 32, 0, 0, false, true, true, 20},
        {1, 1, 3, 9001, 33, 0, 0, true, true, true, 20},   /* several panels */
        {1, 1, 2, 17000, 5, 1, 1, false, false, true, 20},
        {1, 1, 5, 40, 35, 0, 0, true, true, true, 32},     /* biases near the ends of int32 */
        {1, 1, 2, 34000, 3, 0, 1, false, true, true, 32},
        {2, 1, 7, 5, 9, 0, 0, false, false, false, 8},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        for (int repeat = 0; repeat < 2; ++repeat) {
            check_matmul(&cases[i]);
        }
    }
}
END_TEST

/* Broken calls are refused with text, never run. */
START_TEST(refusals) {
    mrt_tensor x = tensor_new(MRT_I8, 4, (int64_t[]){1, 4, 5, 5});
    mrt_tensor w = tensor_new(MRT_I8, 4, (int64_t[]){6, 4, 3, 3});
    mrt_tensor y = tensor_new(MRT_I8, 4, (int64_t[]){1, 6, 3, 3});
    mrt_tensor bias = tensor_1d(MRT_I32, 6);
    mrt_tensor multiplier = tensor_1d(MRT_I32, 6);
    mrt_tensor shift = tensor_1d(MRT_I32, 6);
    memset(shift.data, 0, 24);
    const mrt_conv_int_params good = {
        .conv = {.spatial = 2, .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .group = 1},
        .clamp_min = -128, .clamp_max = 127};
    mrt_conv_int_params p = good;
    const mrt_tensor *in[5] = {&x, &w, &bias, &multiplier, &shift};
    mrt_tensor *outs[1] = {&y};
    mrt_call call = {.in = in, .n_in = 5, .out = outs, .n_out = 1, .params = &p};
    mrt_error err;
    size_t scratch = 0;
    ck_assert_int_eq(mrt_conv_int_check(&call, &scratch, &err), MRT_OK);
#define REFUSED(change, undo)                                                                      \
    do {                                                                                           \
        change;                                                                                    \
        err.text[0] = 0;                                                                           \
        ck_assert_int_ne(mrt_conv_int_check(&call, &scratch, &err), MRT_OK);                       \
        ck_assert_str_ne(err.text, "");                                                            \
        undo;                                                                                      \
        p = good;                                                                                  \
    } while (0)
    REFUSED(p.zero_point_in = 128, );
    REFUSED(p.zero_point_out = -129, );
    REFUSED(p.clamp_min = 5; p.clamp_max = 4, );
    REFUSED(p.conv.group = 0, );
    REFUSED(p.conv.group = 3, );
    REFUSED(p.conv.spatial = 4, );
    REFUSED(p.conv.stride[0] = 0, );
    REFUSED(p.conv.kernel[1] = INT64_MAX, );
    REFUSED(p.conv.dilation[1] = INT64_MAX, );
    REFUSED(p.conv.pad_begin[0] = 1, );
    REFUSED(p.conv.pad_begin[0] = INT32_MAX; p.conv.stride[0] = INT32_MAX, );
    REFUSED(tensor_set(&shift, 2, 63), tensor_set(&shift, 2, 0));
    REFUSED(tensor_set(&shift, 2, -1), tensor_set(&shift, 2, 0));
    REFUSED(in[4] = &x, in[4] = &shift);
    REFUSED(in[2] = NULL, in[2] = &bias);
    REFUSED(w.dtype = MRT_U8, w.dtype = MRT_I8);
    REFUSED(w.shape.dims[1] = 3, w.shape.dims[1] = 4);
    REFUSED(y.shape.dims[1] = 7, y.shape.dims[1] = 6);
    ck_assert_int_eq(mrt_conv_int_check(&call, &scratch, &err), MRT_OK);
    tensor_free(&x), tensor_free(&w), tensor_free(&y);
    tensor_free(&bias), tensor_free(&multiplier), tensor_free(&shift);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_int");
    TCase *chance = tcase_create("random");
    tcase_set_timeout(chance, 900);
    tcase_add_test(chance, conv_random);
    tcase_add_test(chance, deconv_random);
    tcase_add_test(chance, matmul_random);
    suite_add_tcase(suite, chance);
    TCase *tcase = tcase_create("products");
    tcase_set_timeout(tcase, 900);
    tcase_add_test(tcase, conv_corners);
    tcase_add_test(tcase, conv_saturation);
    tcase_add_test(tcase, matmul_corners);
    tcase_add_test(tcase, refusals);
    suite_add_tcase(suite, tcase);
    return check_run(suite);
}
